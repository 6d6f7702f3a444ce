use super::*;

#[test]
fn the_books_of_the_capture_agree_with_its_quotes() {
    let Some(path) = shared("crypto-ws/bitmex/BITMEX_20210722.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    // No change of an unknown row: no gaps.
    assert_eq!((played.messages, played.instruments.len(), played.gaps()), (2120, 10, 0));
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::LevelSet { .. })), 1490 + 554 + 543);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 426 + 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 17);
    // After each message of quotes, the last one is the best of the book.
    let mut books: BTreeMap<SymbolId, Model> = BTreeMap::new();
    let mut equal = 0;
    for line in &played.lines {
        for event in line {
            books.entry(event.symbol).or_default().apply(&event.body);
        }
        if let Some(MarketEvent { symbol, body: EventBody::Quote { bid, ask }, .. }) = line.last()
            && !books[symbol].bids.is_empty()
        {
            assert_eq!(books[symbol].best(), (*bid, *ask));
            equal += 1;
        }
    }
    assert_eq!(equal, 83);
    let bitcoin = played.instruments.iter().find(|instrument| instrument.symbol.as_str() == "XBTUSD");
    let bitcoin = bitcoin.expect("is there");
    assert_eq!(
        (bitcoin.venue, bitcoin.price_exponent, bitcoin.size_exponent),
        ("BITMEX", exponent(-1), exponent(0))
    );
    let ripple = played.instruments.iter().find(|instrument| instrument.symbol.as_str() == "XRPU21");
    assert_eq!(ripple.expect("is there").price_exponent, exponent(-8));
}

fn table(action: &str, rows: &str) -> String {
    format!(r#"{{"table":"orderBookL2","action":"{action}","data":[{rows}]}}"#)
}

fn row(id: u64, side: &str, rest: &str) -> String {
    format!(r#"{{"symbol":"AB","id":{id},"side":"{side}"{rest}}}"#)
}

fn partial() -> String {
    let rows =
        [row(1, "Sell", r#","size":5,"price":11"#), row(2, "Buy", r#","size":3,"price":10.5"#)].join(",");
    table("partial", &rows)
}

fn tell(payloads: &[String]) -> String {
    let mut capture = Capture::new("BITMEX");
    for (second, payload) in (1..).zip(payloads) {
        capture.recv(&format!("{second}"), payload);
    }
    story(&capture.play().expect("undamaged"))
}

const QUOTE: &str = r#"{"table":"quote","action":"insert","data":[{"timestamp":"1970-01-01T00:00:01.700Z","symbol":"AB","bidSize":3,"bidPrice":10.5,"askPrice":null,"askSize":null}]}"#;
const TRADE: &str = r#"{"table":"trade","action":"insert","data":[{"timestamp":"1970-01-01T00:00:01.800Z","symbol":"AB","side":"Buy","size":100,"price":1.05e1,"trdMatchID":"6e70"},{"timestamp":"1970-01-01T00:00:01.800Z","symbol":"AB","side":"","size":1,"price":10.5}]}"#;

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("BITMEX");
    capture
        .http("1", "https://www.bitmex.com/api/v1/instrument/active", r#"[{"symbol":"AB","tickSize":0.5,"lotSize":100,"quoteCurrency":"USD"},{"symbol":"C","tickSize":1e-8,"lotSize":null}]"#)
        .recv("1", r#"{"info":"Welcome to the BitMEX Realtime API.","version":"2"}"#)
        .recv("1", r#"{"success":true,"subscribe":"orderBookL2:AB","request":{}}"#)
        .recv("2", &partial())
        .recv("3", &table("insert", &row(3, "Buy", r#","size":4,"price":10,"timestamp":"1970-01-01T00:00:01.500Z""#)))
        .recv("4", &table("update", &row(3, "Buy", r#","size":6"#)))
        .recv("5", &table("delete", &row(3, "Buy", "")))
        .recv("6", QUOTE)
        .recv("7", TRADE)
        .recv("8", &TRADE.replace("insert", "partial"))
        .recv("9", r#"{"table":"orderBookL2","action":"partial","filter":{"symbol":"EMPTY"},"data":[]}"#)
        .recv("10", r#"{"table":"liquidation","action":"insert","data":[{}]}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["AB", "EMPTY"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-1), exponent(0)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (Some(Price(5)), Some("USD")));
    let snapshot = BookSnapshot { bids: vec![level(105, 3)], asks: vec![level(110, 5)] };
    let set = |size| EventBody::LevelSet { side: Side::Bid, level: level(100, size) };
    let expected = [
        (2000, EventBody::BookSnapshot(Box::new(snapshot))),
        (1500, set(4)),
        (4000, set(6)),
        (5000, set(0)),
        (1700, EventBody::Quote { bid: Some(level(105, 3)), ask: None }),
        (1800, trade(105, 100, Aggressor::Buy, None)),
        (1800, trade(105, 1, Aggressor::None, None)),
        (9000, EventBody::BookSnapshot(Box::default())),
    ];
    let found: Vec<_> =
        played.events().map(|event| (event.ts_event.0 / 1_000_000, event.body.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_change_of_an_unknown_row_is_a_gap() {
    let update = |id| table("update", &row(id, "Buy", r#","size":6"#));
    let delete = |id| table("delete", &row(id, "Buy", ""));
    assert_eq!(
        tell(&[partial(), update(2), update(9), update(2), partial(), update(2)]),
        "s0 +0 !0/0 0 s0 +0"
    );
    assert_eq!(tell(&[partial(), delete(2), delete(2), partial(), delete(2)]), "s0 +0 !0/0 0 s0 +0");
    // Rows of the other side are other rows.
    assert_eq!(tell(&[partial(), delete(1)]), "s0 !0/0 0");
    assert_eq!(tell(&[update(2), update(2), partial(), update(2)]), "!0/0 s0 +0");
    let mut capture = Capture::new("BITMEX");
    capture.recv("1", &partial()).connect("ws.1", "2").recv("3", &partial()).recv("4", &update(2));
    assert_eq!(story(&capture.play().expect("undamaged")), "s0 0 s0 +0");
    // The shallow table is not mixed with the deep one.
    let shallow = |payload: String| payload.replace("L2", "L2_25");
    assert_eq!(tell(&[partial(), shallow(partial()), shallow(delete(2)), update(2)]), "s0 +0");
}

#[test]
fn damage_names_the_symbol_and_the_field() {
    check_damage(
        "BITMEX",
        "{}",
        &[
            (partial().replace("10.5", "1.0.5"), "AB: `price`: `1.0.5` is not a decimal number"),
            (partial().replace(r#","price":10.5"#, ""), "AB: `price`: missing"),
            (partial().replace("\"size\":3", "\"size\":-3"), "AB: `size`: expected a size of zero or more"),
            (partial().replace("Buy", "buy"), "AB: `side`: expected `Buy` or `Sell`"),
            (partial().replace("\"id\":1", "\"id\":1.5"), "AB: `id`: expected a natural number"),
            (partial().replace("symbol", "s"), "`symbol`: missing"),
            (
                partial().replace("partial", "part"),
                "`action`: expected `partial`, `insert`, `update` or `delete`",
            ),
            (partial().replace("data", "rows"), "`data`: missing"),
            (
                QUOTE.replace("00:01.700Z", "00:01.700"),
                "AB: `timestamp`: expected a time of RFC 3339 before the year 2262",
            ),
            (QUOTE.replace("10.5", "[]"), "AB: `bidPrice`: expected a text"),
            (TRADE.replace("1.05e1", "1.05e"), "AB: `price`: `1.05e` is not a decimal number"),
            (
                TRADE.replace("100", "99999999999999999999"),
                "AB: `size`: `99999999999999999999` is too large for exponent 0",
            ),
        ],
    );
}
