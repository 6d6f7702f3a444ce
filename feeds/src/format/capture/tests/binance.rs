use super::*;

/// Counts the quotes whose update number is also one of a depth message, and checks that the book's best levels
/// after that message are the quote's.
pub(super) fn verify_quotes(played: &Played) -> usize {
    let mut books: BTreeMap<SymbolId, Model> = BTreeMap::new();
    let mut bests = BTreeMap::new();
    let mut quotes = BTreeMap::new();
    for event in played.events() {
        let at = (event.symbol, event.sequence);
        if let EventBody::Quote { bid, ask } = event.body {
            quotes.insert(at, (bid, ask));
            continue;
        }
        let book = books.entry(event.symbol).or_default();
        book.apply(&event.body);
        if let EventBody::LevelSet { .. } = event.body {
            bests.insert(at, book.best());
        }
    }
    let mut joined = 0;
    for (at, quote) in &quotes {
        if let Some(best) = bests.get(at) {
            assert_eq!(best, quote, "{at:?}");
            joined += 1;
        }
    }
    joined
}

fn verify_capture(
    name: &str,
    venue: &str,
    messages: u64,
    quotes: usize,
    instruments: usize,
) -> Option<Played> {
    let played = play(&shared(name)?).expect("undamaged");
    assert_eq!(played.messages, messages);
    assert_eq!(verify_quotes(&played), quotes);
    assert_eq!(played.gaps(), 0);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), instruments);
    assert_eq!(played.instruments.len(), instruments);
    assert!(played.instruments.iter().all(|instrument| instrument.venue == venue));
    Some(played)
}

#[test]
fn spot_books_agree_with_the_venues_best_prices() {
    let name = "crypto-ws/binance-spot/BINANCE_20211012.jsonl.zst";
    let Some(played) = verify_capture(name, "BINANCE", 265, 26, 4) else { return };
    assert_eq!(played.symbols(), ["NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"]);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 2);
    let rune = &played.instruments[3];
    assert_eq!((rune.price_exponent, rune.size_exponent), (exponent(-3), exponent(-1)));
    assert_eq!((rune.tick_size, rune.currency.as_deref()), (Some(Price(1)), Some("EUR")));
}

#[test]
fn usdm_books_agree_with_the_venues_best_prices() {
    let name = "crypto-ws/binance-usdm/BINANCE_FUTURES_20210722.jsonl.zst";
    let Some(played) = verify_capture(name, "BINANCE_FUTURES", 1535, 50, 4) else { return };
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 91);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 613);
}

#[test]
fn coinm_books_agree_with_the_venues_best_prices() {
    let name = "crypto-ws/binance-coinm/BINANCE_DELIVERY_20210722.jsonl.zst";
    // All that the file has; one of them is of the very number of its snapshot.
    let Some(played) = verify_capture(name, "BINANCE_DELIVERY", 4371, 212, 10) else { return };
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 51);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 2240);
}

#[test]
fn the_recording_agrees_with_the_venues_best_prices() {
    let played = play(&recording("binance-20211012.jsonl.zst")).expect("undamaged");
    assert_eq!((played.messages, played.instruments.len(), played.gaps()), (265, 4, 0));
    assert_eq!(verify_quotes(&played), 26);
}

const DEPTH_URL: &str = "https://api.binance.com/api/v3/depth?limit=1000&symbol=AB";

fn depth(first: u64, last: u64, previous: Option<u64>, price: &str) -> String {
    let previous = previous.map(|pu| format!(r#""pu":{pu},"#)).unwrap_or_default();
    format!(
        r#"{{"stream":"ab@depth@100ms","data":{{"e":"depthUpdate","E":1500,"s":"AB","U":{first},"u":{last},{previous}"b":[["{price}","1"]],"a":[]}}}}"#
    )
}

fn snapshot(last: u64) -> String {
    format!(r#"{{"lastUpdateId":{last},"bids":[["1","5"]],"asks":[["99","5"]]}}"#)
}

/// Plays `d` depth messages as (first, last, previous) and `s` snapshots.
enum Step {
    D(u64, u64, u64),
    S(u64),
    Connect,
}
use Step::{Connect, D, S};

fn tell(exchange: &str, steps: &[Step]) -> String {
    let is_spot = exchange == "BINANCE";
    let mut capture = Capture::new(exchange);
    for (second, step) in (1..).zip(steps) {
        let ts: String = format!("{second}");
        match *step {
            D(first, last, previous) => {
                capture.recv(&ts, &depth(first, last, (!is_spot).then_some(previous), "2"))
            }
            S(last) => capture.http(&ts, DEPTH_URL, &snapshot(last)),
            Connect => capture.connect("ws.1", &ts),
        };
    }
    story(&capture.play().expect("undamaged"))
}

#[test]
fn spot_snapshots_join_by_the_venues_procedure() {
    let spot = |steps: &[Step]| tell("BINANCE", steps);
    // Buffered, dropped, straddled, chained.
    assert_eq!(spot(&[D(1, 4, 0), D(5, 10, 0), D(11, 12, 0), S(10), D(13, 13, 0)]), "s10 +12 +13");
    assert_eq!(spot(&[D(5, 12, 0), S(10), D(13, 14, 0)]), "s10 +12 +14");
    assert_eq!(spot(&[S(10), D(5, 10, 0), D(9, 12, 0), D(13, 14, 0)]), "s10 +12 +14");
    // A snapshot older than what was kept is refused; the next one fits.
    assert_eq!(spot(&[D(12, 14, 0), S(10), D(15, 16, 0), S(14)]), "!11/12 0 s14 +16");
    // A lost message, also among those kept.
    assert_eq!(
        spot(&[S(10), D(11, 12, 0), D(14, 15, 0), S(13), D(16, 16, 0)]),
        "s10 +12 !13/14 0 s13 +15 +16"
    );
    assert_eq!(spot(&[D(11, 12, 0), D(14, 15, 0), S(10), S(14)]), "s10 +12 !13/14 0 s14 +15");
    // The first message after the snapshot must straddle it.
    assert_eq!(spot(&[S(10), D(12, 13, 0)]), "s10 !11/12 0");
    // A later snapshot replaces the book; an older one does not.
    assert_eq!(
        spot(&[S(10), D(11, 12, 0), S(11), D(13, 13, 0), S(15), D(14, 15, 0), D(16, 16, 0)]),
        "s10 +12 +13 s15 +16"
    );
    // A new connection starts over.
    assert_eq!(spot(&[Connect, S(10), D(11, 12, 0), Connect, D(15, 16, 0), S(14)]), "s10 +12 0 s14 +16");
}

#[test]
fn futures_snapshots_join_by_the_venues_procedure() {
    let futures = |steps: &[Step]| tell("BINANCE_FUTURES", steps);
    assert_eq!(futures(&[D(1, 4, 0), D(7, 10, 4), D(13, 15, 10), S(10), D(18, 20, 15)]), "s10 +10 +15 +20");
    // Between `pu` and `U` there is nothing of this symbol.
    assert_eq!(futures(&[S(10), D(13, 15, 9), D(16, 17, 15)]), "s10 +15 +17");
    assert_eq!(futures(&[S(10), D(13, 15, 12)]), "s10 !10/12 0");
    assert_eq!(
        futures(&[S(10), D(9, 11, 8), D(15, 16, 14), S(15), D(17, 18, 16)]),
        "s10 +11 !11/14 0 s15 +16 +18"
    );
}

#[test]
fn what_waits_for_a_snapshot_is_bounded() {
    let mut capture = Capture::new("BINANCE");
    let levels: Vec<String> = (1..=1000).map(|price| format!(r#"["{price}","1"]"#)).collect();
    let bids = levels.join(",");
    let last = crate::limits::DEPTH_BUFFER_EVENTS_MAX as u64 / 1001 + 1;
    for update in 1..=last {
        let message =
            format!(r#"{{"e":"depthUpdate","E":1,"s":"AB","U":{update},"u":{update},"b":[{bids}],"a":[]}}"#);
        capture.recv("1", &message);
    }
    capture.recv("1", &depth(last + 1, last + 1, None, "2"));
    capture.http("2", DEPTH_URL, &snapshot(last - 1)).http("3", DEPTH_URL, &snapshot(last));
    let played = capture.play().expect("undamaged");
    let expected = format!("!{last}/{} 0 s{last} +{}", last + 1, last + 1);
    assert_eq!(story(&played), expected);
}

#[test]
fn every_kind_of_message_is_read() {
    let info = r#"{"symbols":[{"symbol":"AB","quoteAsset":"USD","pricePrecision":3,"quantityPrecision":1,"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.00000000"}]},{"symbol":"CD","filters":[]}]}"#;
    let mut capture = Capture::new("BINANCE");
    capture
        .http("1", "https://api.binance.com/api/v3/exchangeInfo", info)
        .http("1", "https://api.binance.com/api/v3/time", "{}")
        .recv("2", r#"{"stream":"ab@bookTicker","data":{"u":7,"s":"AB","b":"2.50","B":"3","a":"2.51","A":"0"}}"#)
        .recv("3", r#"{"stream":"ab@aggTrade","data":{"e":"aggTrade","E":1501,"s":"AB","a":8,"p":"2.5","q":"4","T":1500,"m":true}}"#)
        .recv("4", r#"{"stream":"ab@trade","data":{"e":"trade","E":1501,"s":"AB","t":9,"p":"2.5","q":"4","T":1500,"m":true}}"#)
        .recv("5", r#"{"e":"trade","E":1501,"s":"EF","t":10,"p":"1.2500","q":"400","m":false}"#)
        .recv("6", r#"{"stream":"ab@kline_1m","data":{"e":"kline","E":1,"s":"AB","k":{}}}"#)
        .recv("7", r#"{"stream":"ab@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#)
        .recv("7.5", &depth(1, 1, None, "5").replace("@depth@", "@depth5@"))
        .recv("8", r#"{"result":null,"id":1}"#)
        .http("9", DEPTH_URL, &snapshot(10).replace(r#"{"last"#, r#"{"E":1600,"T":1599,"last"#))
        .recv("10", r#"{"e":"depthUpdate","E":1700,"s":"AB","U":11,"u":12,"b":[["2.5","0"]],"a":[["2.6","1.5"]]}"#)
        .recv("11", r#"{"e":"depthUpdate","E":1800,"s":"AB","U":13,"u":13,"b":[],"a":[]}"#)
        .recv("12", r#"{"e":"depthUpdate","E":1900,"s":"AB","U":14,"u":14,"b":[["2","1"]],"a":[]}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["AB", "EF"]);
    let scales = |id: usize| (played.instruments[id].price_exponent, played.instruments[id].size_exponent);
    assert_eq!((scales(0), scales(1)), ((exponent(-3), exponent(-1)), (exponent(-2), exponent(0))));
    assert_eq!((played.instruments[0].tick_size, &played.instruments[1].currency), (None, &None));
    let book = BookSnapshot { bids: vec![level(1000, 50)], asks: vec![level(99_000, 50)] };
    let set = |side, price, size| EventBody::LevelSet { side, level: level(price, size) };
    let expected = [
        (0, 2000, 7, EventBody::Quote { bid: Some(level(2500, 30)), ask: None }),
        (0, 1500, 0, trade(2500, 40, Aggressor::Sell, Some(8))),
        (1, 1501, 0, trade(125, 400, Aggressor::Buy, Some(10))),
        (0, 1599, 10, EventBody::BookSnapshot(Box::new(book))),
        (0, 1700, 12, set(Side::Bid, 2500, 0)),
        (0, 1700, 12, set(Side::Ask, 2600, 15)),
        (0, 1900, 14, set(Side::Bid, 2000, 10)),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.symbol.0, event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn damage_names_the_symbol_and_the_field() {
    for (payload, reason) in [
        (depth(1, 2, None, "2"), "AB: `pu`: missing"),
        (depth(1, 2, Some(0), "2").replace(r#""u":2"#, r#""u":-2"#), "AB: `u`: expected a natural number"),
        (depth(1, 2, Some(0), "2").replace(r#""U":1,"#, ""), "AB: `U`: missing"),
        (depth(1, 2, Some(0), "2").replace(r#""E":1500,"#, ""), "AB: `E`: missing"),
        (
            depth(1, 2, Some(0), "2").replace("1500", "18446744073709551615"),
            "AB: `E`: expected milliseconds before the year 2262",
        ),
        (depth(1, 2, Some(0), "2,5"), "AB: `b`: `2,5` is not a decimal number"),
        (depth(1, 2, Some(0), "2").replace(r#""a":[]"#, r#""a":[1]"#), "AB: `a`: expected a list"),
        (depth(1, 2, Some(0), "2").replace("\"AB\"", "\"ab\""), "ab: `symbol`: expected upper case"),
        (r#"{"e":"bookTicker","u":1,"s":"AB","b":"1","B":"1","a":"1"}"#.to_owned(), "AB: `A`: missing"),
        (r#"{"e":"trade","E":1,"s":"AB","t":1,"p":"1","q":"1"}"#.to_owned(), "AB: `m`: missing"),
        (r#"{"e":"trade","E":1,"t":1,"p":"1","q":"1"}"#.to_owned(), "`s`: missing"),
        (r#"[]"#.to_owned(), "`message`: expected an object"),
    ] {
        let mut capture = Capture::new("BINANCE_DELIVERY");
        capture.recv("1", r#"{"stream":"x","data":{}}"#);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", &payload);
        assert_eq!(capture.damage(), (offset, reason.to_owned()), "{payload}");
    }
    let mut capture = Capture::new("BINANCE");
    capture.recv("1", "{}").http("2", "https://api.binance.com/api/v3/depth?symbol=AB", r#"{"bids":[]}"#);
    assert_eq!(capture.damage().1, "AB: `lastUpdateId`: missing");
}
