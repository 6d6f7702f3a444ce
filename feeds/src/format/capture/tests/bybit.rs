use super::*;

#[test]
fn the_capture_is_read_whole() {
    let Some(path) = shared("crypto-ws/bybit-v5/BYBIT_20260809_linear.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 2546);
    assert_eq!(played.symbols(), ["BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT"]);
    // `u` rises by one in each topic.
    let mut last = BTreeMap::new();
    let mut chained = 0;
    for line in &played.lines {
        if let Some(event) = line.first() {
            match event.body {
                EventBody::BookSnapshot(_) => _ = last.insert(event.symbol, event.sequence),
                EventBody::LevelSet { .. } => {
                    let last = last.get_mut(&event.symbol).expect("a snapshot before");
                    assert_eq!(event.sequence, *last + 1);
                    *last += 1;
                    chained += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!((chained, played.gaps()), (1594, 0));
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 4);
    let (books, crossed) = books(&played);
    assert_eq!(crossed, 0);
    // The venue deletes what falls past the depth.
    assert!(books.values().all(|book| (book.bids.len(), book.asks.len()) == (200, 200)));
    let bitcoin = &played.instruments[0];
    assert_eq!(
        (bitcoin.venue, bitcoin.price_exponent, bitcoin.size_exponent),
        ("BYBIT", exponent(-1), exponent(-3))
    );
    assert_eq!((bitcoin.tick_size, bitcoin.currency.as_deref()), (Some(Price(1)), Some("USDT")));
}

fn book(depth: u32, kind: &str, update: u64) -> String {
    format!(
        r#"{{"topic":"orderbook.{depth}.AB","type":"{kind}","ts":1500,"data":{{"s":"AB","b":[["10.5","{depth}"]],"a":[],"u":{update},"seq":7}},"cts":1499}}"#
    )
}

/// What happens with the messages (depth, `s` or `d`, `u`).
fn tell(messages: &[(u32, char, u64)]) -> String {
    let mut capture = Capture::new("BYBIT");
    for (second, (depth, kind, update)) in (1..).zip(messages) {
        let kind = if *kind == 's' { "snapshot" } else { "delta" };
        capture.recv(&format!("{second}"), &book(*depth, kind, *update));
    }
    story(&capture.play().expect("undamaged"))
}

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("BYBIT");
    capture
        .http("1", "https://api.bybit.com/v5/market/instruments-info?category=linear", r#"{"result":{"category":"linear","list":[{"symbol":"AB","quoteCoin":"B","priceFilter":{"tickSize":"0.50"},"lotSizeFilter":{"qtyStep":"0.01"}}]}}"#)
        .http("1", "https://api.bybit.com/v5/market/instruments-info?category=spot", r#"{"result":{"category":"spot","list":[{"symbol":"AB","quoteCoin":"B","priceFilter":{"tickSize":"0.001"},"lotSizeFilter":{"basePrecision":"0.1"}}]}}"#)
        .recv("2", r#"{"success":true,"ret_msg":"","op":"subscribe"}"#)
        .recv("3", &book(50, "snapshot", 7))
        .recv("4", &book(50, "delta", 8).replace("\"50\"", "\"0\"").replace(r#","cts":1499"#, ""))
        .recv("5", &book(1, "snapshot", 4))
        .recv("6", r#"{"topic":"tickers.AB","type":"snapshot","data":{"symbol":"AB","bid1Price":"10.5","bid1Size":"1","ask1Price":"11","ask1Size":"2"},"cs":1,"ts":1600}"#)
        .recv("7", r#"{"topic":"tickers.AB","type":"delta","data":{"symbol":"AB","ask1Size":"3"},"cs":2,"ts":1601}"#)
        .recv("8", r#"{"topic":"tickers.AB","type":"delta","data":{"symbol":"AB","lastPrice":"10.5"},"cs":3,"ts":1602}"#)
        .recv("9", r#"{"topic":"tickers.AB","type":"delta","data":{"symbol":"AB","bid1Price":"","bid1Size":""},"cs":4,"ts":1603}"#)
        .recv("10", r#"{"topic":"publicTrade.AB","type":"snapshot","ts":1701,"data":[{"T":1700,"s":"AB","S":"Sell","v":"0.04","p":"10.5","i":"a9188a0a-82bc"},{"T":1700,"s":"AB","S":"Buy","v":"0.05","p":"10.5","i":"17"}]}"#)
        .recv("11", r#"{"topic":"kline.1.AB","type":"snapshot","ts":1,"data":[]}"#)
        .recv("12", &book(50, "delta", 9).replace(".50.", ".rpi."));
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["AB"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-1), exponent(-2)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (Some(Price(5)), Some("B")));
    let snapshot = BookSnapshot { bids: vec![level(105, 5000)], asks: vec![] };
    let quote = |bid, ask| EventBody::Quote { bid, ask };
    let (bid, ask) = (level(105, 100), level(110, 200));
    let expected = [
        (1499, 7, EventBody::BookSnapshot(Box::new(snapshot))),
        (1500, 8, EventBody::LevelSet { side: Side::Bid, level: level(105, 0) }),
        (1499, 0, quote(Some(bid), None)),
        (1600, 0, quote(Some(bid), Some(ask))),
        (1601, 0, quote(Some(bid), Some(level(110, 300)))),
        (1603, 0, quote(None, Some(level(110, 300)))),
        (1700, 0, trade(105, 4, Aggressor::Sell, None)),
        (1700, 0, trade(105, 5, Aggressor::Buy, Some(17))),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hole_in_the_numbers_is_a_gap() {
    assert_eq!(
        tell(&[(50, 's', 7), (50, 'd', 8), (50, 'd', 10), (50, 'd', 11), (50, 's', 20), (50, 'd', 21)]),
        "s7 +8 !9/10 0 s20 +21"
    );
    assert_eq!(tell(&[(50, 'd', 8), (50, 'd', 9), (50, 's', 9), (50, 'd', 10)]), "!0/0 s9 +10");
    // The service began again.
    assert_eq!(tell(&[(50, 's', 7), (50, 'd', 1), (50, 'd', 2)]), "s7 s1 +2");
}

#[test]
fn the_deepest_topic_is_the_book() {
    assert_eq!(
        tell(&[(50, 's', 7), (200, 'd', 3), (200, 's', 4), (50, 'd', 8), (200, 'd', 5), (50, 's', 9)]),
        "s7 s4 +5"
    );
}

#[test]
fn a_new_connection_voids_the_book_and_the_spot_market_is_apart() {
    let mut capture = Capture::new("BYBIT");
    let connect = |name: &str, market: &str| {
        format!(
            r#"{{"t":"connect","conn":"{name}","ts":1,"addr":"wss://stream.bybit.com/v5/public/{market}"}}"#
        )
    };
    capture.line(&connect("a", "linear")).line(&connect("b", "spot"));
    capture.recv_on("a", "2", &book(50, "snapshot", 7)).recv_on("b", "2", &book(50, "snapshot", 70));
    capture.recv_on("a", "3", &book(50, "delta", 8)).recv_on("b", "3", &book(50, "delta", 71));
    capture.connect("a", "4").recv_on("b", "5", &book(50, "delta", 72));
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["AB", "AB-SPOT"]);
    assert_eq!(story(&played), "s7 s70 +8 +71 0 +72");
}

#[test]
fn damage_names_the_instrument_and_the_field() {
    let trade = r#"{"topic":"publicTrade.AB","data":[{"T":1700,"s":"AB","S":"Sell","v":"0.04","p":"10.5","i":"17"}]}"#;
    let book = book(50, "delta", 8);
    check_damage(
        "BYBIT",
        "{}",
        &[
            (book.replace("\"u\":8", "\"u\":\"?\""), "AB: `u`: expected a natural number"),
            (book.replace("\"u\":8", "\"u\":18446744073709551615"), "AB: `u`: expected less than 2^64 - 1"),
            (book.replace("\"u\":8,", ""), "AB: `u`: missing"),
            (book.replace("delta", "d"), "AB: `type`: expected `snapshot` or `delta`"),
            (book.replace("10.5", "1e"), "AB: `b`: `1e` is not a decimal number"),
            (book.replace("\"a\":[],", ""), "AB: `a`: missing"),
            (book.replace("1499", "-1"), "AB: `cts`: expected a natural number"),
            (book.replace("\"data\"", "\"d\""), "AB: `data`: missing"),
            (trade.replace("Sell", "S"), "AB: `S`: expected `Buy` or `Sell`"),
            (trade.replace("\"0.04\"", "0.04"), "AB: `v`: expected a text"),
            (trade.replace("1700", "null"), "AB: `T`: expected a natural number"),
            (trade[..40].to_owned() + "}", "`message`: not JSON: expected `,` or `]` at offset 41 of it"),
            ("7".to_owned(), "`message`: expected an object"),
        ],
    );
}
