use super::*;

#[test]
fn the_capture_chains() {
    let Some(path) = shared("crypto-ws/deribit/DERIBIT_20210722.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 136);
    assert_eq!((played.instruments.len(), played.gaps()), (10, 0));
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 89);
    let changes = |line: &&Vec<MarketEvent>| {
        matches!(line[..], [MarketEvent { body: EventBody::LevelSet { .. }, .. }, ..])
    };
    assert_eq!(played.lines.iter().filter(changes).count(), 36);
    assert_eq!(books(&played).1, 0);
    let option = &played.instruments[0];
    assert_eq!((option.symbol.as_str(), option.venue), ("ETH-30JUL21-2800-C", "DERIBIT"));
    assert_eq!((option.price_exponent, option.size_exponent), (exponent(-4), exponent(0)));
    assert_eq!((option.tick_size, option.currency.as_deref()), (Some(Price(5)), Some("ETH")));
}

/// The last quote of an instrument is the best of its book at the end.
#[test]
fn the_books_end_at_the_tickers() {
    let Some(path) = shared("crypto-ws/deribit/DERIBIT_20210722.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    let mut quotes = BTreeMap::new();
    for event in played.events() {
        if let EventBody::Quote { bid, ask } = event.body {
            quotes.insert(event.symbol, (bid, ask));
        }
    }
    let books = books(&played).0;
    let bests: BTreeMap<_, _> = books.iter().map(|(symbol, book)| (*symbol, book.best())).collect();
    assert_eq!(bests, quotes);
}

fn notify(channel: &str, data: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"subscription","params":{{"channel":"{channel}","data":{data}}}}}"#)
}

fn snapshot(id: u64) -> String {
    notify(
        "book.A-B.raw",
        &format!(
            r#"{{"type":"snapshot","timestamp":1500,"instrument_name":"A-B","change_id":{id},"bids":[["new",0.0015,4714.0]],"asks":[["new",1e-2,8.5]]}}"#
        ),
    )
}

fn change(previous: u64, id: u64) -> String {
    notify(
        "book.A-B.raw",
        &format!(
            r#"{{"type":"change","timestamp":1600,"instrument_name":"A-B","prev_change_id":{previous},"change_id":{id},"bids":[],"asks":[["delete",0.010,0.0]]}}"#
        ),
    )
}

fn tell(payloads: &[String]) -> String {
    let mut capture = Capture::new("DERIBIT");
    for (second, payload) in (1..).zip(payloads) {
        capture.recv(&format!("{second}"), payload);
    }
    story(&capture.play().expect("undamaged"))
}

const TRADE: &str = r#"[{"trade_seq":30,"trade_id":"ETH-48","timestamp":1700,"price":0.0020,"instrument_name":"A-B","direction":"sell","amount":2.5}]"#;

#[test]
fn every_kind_of_message_is_read() {
    let ticker = r#"{"timestamp":1650,"instrument_name":"A-B","best_bid_price":0.0015,"best_bid_amount":4714.0,"best_ask_price":null,"best_ask_amount":0.0}"#;
    let mut capture = Capture::new("DERIBIT");
    capture
        .http("1", "https://www.deribit.com/api/v2/public/get_instruments?currency=BTC", r#"{"result":[{"tick_size":0.0005,"min_trade_amount":1,"quote_currency":"BTC","instrument_name":"A-B"},{"tick_size":1e-05,"min_trade_amount":1,"instrument_name":"X_Y-0d5-C"}]}"#)
        .recv("2", r#"{"jsonrpc":"2.0","id":0,"result":["book.A-B.raw"]}"#)
        .recv("3", &snapshot(7))
        .recv("4", &change(7, 9))
        .recv("5", &notify("ticker.A-B.raw", ticker))
        .recv("6", &notify("trades.A-B.raw", TRADE))
        .recv("7", &notify("book.A-B.none.10.100ms", r#"{"timestamp":1,"instrument_name":"A-B","change_id":9,"bids":[[1.0,2.0]],"asks":[]}"#))
        .recv("8", &notify("deribit_price_index.btc_usd", "{}"))
        .recv("9", &notify("trades.X_Y-0d5-C.raw", &TRADE.replace("A-B", "X_Y-0d5-C")));
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["A-B", "X_Y-0D5-C"]);
    let scales = |id: usize| (played.instruments[id].price_exponent.get(), played.instruments[id].tick_size);
    assert_eq!((scales(0), scales(1)), ((-4, Some(Price(5))), (-5, Some(Price(1)))));
    let snapshot = BookSnapshot { bids: vec![level(15, 47140)], asks: vec![level(100, 85)] };
    let expected = [
        (1500, 7, EventBody::BookSnapshot(Box::new(snapshot))),
        (1600, 9, EventBody::LevelSet { side: Side::Ask, level: level(100, 0) }),
        (1650, 0, EventBody::Quote { bid: Some(level(15, 47140)), ask: None }),
        (1700, 0, trade(20, 25, Aggressor::Sell, Some(30))),
        (1700, 0, trade(200, 25, Aggressor::Sell, Some(30))),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hole_in_the_chain_is_a_gap() {
    assert_eq!(
        tell(&[snapshot(7), change(7, 9), change(10, 11), change(11, 12), snapshot(20), change(20, 21)]),
        "s7 +9 !9/10 0 s20 +21"
    );
    assert_eq!(tell(&[change(7, 9), change(9, 10), snapshot(10), change(10, 12)]), "!0/0 s10 +12");
    // The other channel's numbers are the same, but its changes are not.
    let slow = |payload: String| payload.replace(".raw", ".100ms");
    assert_eq!(tell(&[snapshot(7), slow(snapshot(8)), change(7, 9), slow(change(8, 9))]), "s7 +9");
    let mut capture = Capture::new("DERIBIT");
    capture.recv("1", &snapshot(7)).connect("ws.1", "2").recv("3", &slow(snapshot(9)));
    assert_eq!(story(&capture.play().expect("undamaged")), "s7 0 s9");
}

#[test]
fn damage_names_the_instrument_and_the_field() {
    let trades = notify("trades.A-B.raw", TRADE);
    check_damage(
        "DERIBIT",
        "{}",
        &[
            (snapshot(7).replace("new", "old"), "A-B: `bids`: expected `new`, `change` or `delete`"),
            (snapshot(7).replace("0.0015", "0.0.15"), "A-B: `bids`: `0.0.15` is not a decimal number"),
            (snapshot(7).replace(",4714.0", ""), "A-B: `bids`: missing"),
            (snapshot(7).replace("4714.0", "-4714.0"), "A-B: `bids`: expected a size of zero or more"),
            (snapshot(7).replace("1e-2", "1e-99"), "A-B: `asks`: `1e-99` is not a decimal number"),
            (snapshot(7).replace("\"change_id\":7,", ""), "A-B: `change_id`: missing"),
            (change(7, 8).replace("prev_", "p_"), "A-B: `prev_change_id`: missing"),
            (
                change(7, 8).replace("\"change\"", "\"changed\""),
                "A-B: `type`: expected `snapshot` or `change`",
            ),
            (change(7, 8).replace("1600", "1600.5"), "A-B: `timestamp`: expected a natural number"),
            (change(7, 8).replace("instrument_name", "name"), "`instrument_name`: missing"),
            (trades.replace("sell", "down"), "A-B: `direction`: expected `buy` or `sell`"),
            (trades.replace("[{", "{").replace("}]", "}"), "`data`: expected a list"),
            (notify("x", "1").replace("params", "param"), "`params`: missing"),
        ],
    );
}
