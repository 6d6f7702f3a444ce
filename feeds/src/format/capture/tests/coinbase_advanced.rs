use super::*;

#[test]
fn the_capture_is_read_whole() {
    let Some(path) = shared("crypto-ws/coinbase-advanced/COINBASE_20260809.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!((played.messages, played.gaps()), (1030, 0));
    assert_eq!(played.symbols(), ["BTC-USD", "ETH-USD"]);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 2);
    assert_eq!(played.count(|body| matches!(body, EventBody::LevelSet { .. })), 4859);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 160);
    assert_eq!(books(&played).1, 0);
    // The trades' numbers have no hole.
    let mut last = BTreeMap::new();
    let mut trades = 0;
    for event in played.events() {
        if let EventBody::Trade(Trade { id: Some(id), .. }) = event.body {
            trades += 1;
            assert!(last.insert(event.symbol, id).is_none_or(|last| last + 1 == id));
        }
    }
    assert_eq!(trades, 79);
    let bitcoin = &played.instruments[0];
    assert_eq!(
        (bitcoin.venue, bitcoin.price_exponent, bitcoin.size_exponent),
        ("COINBASE", exponent(-2), exponent(-8))
    );
    assert_eq!((bitcoin.tick_size, bitcoin.currency.as_deref()), (Some(Price(1)), Some("USD")));
}

/// The connections of a capture of this venue.
fn capture() -> Capture {
    let mut capture = Capture::new("COINBASE");
    connect(&mut capture, "ws.1", "0");
    capture
}

fn connect<'a>(capture: &'a mut Capture, name: &str, ts: &str) -> &'a mut Capture {
    capture.line(&format!(
        r#"{{"t":"connect","conn":"{name}","ts":{ts},"addr":"wss://advanced-trade-ws.coinbase.com"}}"#
    ))
}

fn message(channel: &str, sequence: u64, events: &str) -> String {
    format!(
        r#"{{"channel":"{channel}","timestamp":"1970-01-01T00:00:01.5Z","sequence_num":{sequence},"events":[{events}]}}"#
    )
}

fn book(kind: &str, product: &str, sequence: u64) -> String {
    let update = |side: &str, price: &str, size: &str| {
        format!(
            r#"{{"side":"{side}","event_time":"1970-01-01T00:00:01.4Z","price_level":"{price}","new_quantity":"{size}"}}"#
        )
    };
    let updates = [update("bid", "10.5", "2"), update("offer", "11", "0.5")].join(",");
    message(
        "l2_data",
        sequence,
        &format!(r#"{{"type":"{kind}","product_id":"{product}","updates":[{updates}]}}"#),
    )
}

fn trades(kind: &str, sequence: u64) -> String {
    let trade = |id, side| {
        format!(
            r#"{{"product_id":"A-B","trade_id":"{id}","price":"10.5","size":"0.1","time":"1970-01-01T00:00:01.{id}Z","side":"{side}"}}"#
        )
    };
    let trades = [trade(8, "SELL"), trade(7, "BUY")].join(",");
    message("market_trades", sequence, &format!(r#"{{"type":"{kind}","trades":[{trades}]}}"#))
}

#[test]
fn every_kind_of_message_is_read() {
    let ticker = r#"{"type":"update","tickers":[{"product_id":"A-B","best_bid":"10.5","best_ask":"11","best_bid_quantity":"2","best_ask_quantity":"0"}]}"#;
    let mut capture = capture();
    capture
        .http("0.5", "https://api.coinbase.com/api/v3/brokerage/market/products", r#"{"products":[{"product_id":"A-B","quote_increment":"0.5","base_increment":"0.01","quote_currency_id":"B"}]}"#)
        .recv("1", &trades("snapshot", 0))
        .recv("2", &book("snapshot", "A-B", 1))
        .recv("3", &book("update", "A-B", 2))
        .recv("4", &trades("update", 3))
        .recv("5", &message("ticker", 4, ticker))
        .recv("6", &message("heartbeats", 5, r#"{"heartbeat_counter":1}"#))
        .recv("7", r#"{"type":"error","message":"?"}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["A-B"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-1), exponent(-2)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (Some(Price(5)), Some("B")));
    let snapshot = BookSnapshot { bids: vec![level(105, 200)], asks: vec![level(110, 50)] };
    let expected = [
        (1500, EventBody::BookSnapshot(Box::new(snapshot))),
        (1400, EventBody::LevelSet { side: Side::Bid, level: level(105, 200) }),
        (1400, EventBody::LevelSet { side: Side::Ask, level: level(110, 50) }),
        (1700, trade(105, 10, Aggressor::Sell, Some(7))),
        (1800, trade(105, 10, Aggressor::Buy, Some(8))),
        (1500, EventBody::Quote { bid: Some(level(105, 200)), ask: None }),
    ];
    let found: Vec<_> =
        played.events().map(|event| (event.ts_event.0 / 1_000_000, event.body.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hole_in_the_numbers_is_a_gap_of_all_products_of_the_connection() {
    let mut capture = capture();
    connect(&mut capture, "other", "1");
    capture
        .recv("2", &book("snapshot", "A-B", 0))
        .recv("3", &book("snapshot", "C-D", 1))
        .recv_on("other", "3", &book("snapshot", "E-F", 0))
        .recv("4", &message("heartbeats", 3, "{}"))
        .recv("5", &book("update", "A-B", 4))
        .recv_on("other", "6", &book("update", "E-F", 1))
        .recv("7", &book("snapshot", "A-B", 5))
        .recv("8", &book("update", "A-B", 6));
    connect(&mut capture, "ws.1", "9").recv("10", &book("snapshot", "A-B", 0));
    let played = capture.play().expect("undamaged");
    assert_eq!(story(&played), "s0 s0 s0 !2/3 0 !2/3 0 +0 +0 s0 +0 +0 0 s0");
    let told: Vec<_> = played.events().map(|event| event.symbol.0).collect();
    assert_eq!(told, [0, 1, 2, 0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0]);
}

#[test]
fn updates_without_a_snapshot_are_one_gap() {
    let mut capture = capture();
    capture.recv("1", &book("update", "A-B", 0)).recv("2", &book("update", "A-B", 1));
    capture.recv("3", &book("snapshot", "A-B", 2));
    assert_eq!(story(&capture.play().expect("undamaged")), "!0/0 s0");
}

#[test]
fn damage_names_the_product_and_the_field() {
    let book = book("update", "A-B", 0);
    for (payload, reason) in [
        (book.replace("\"bid\"", "\"buy\""), "A-B: `side`: expected `bid` or `offer`"),
        (book.replace("10.5", "-"), "A-B: `price_level`: `-` is not a decimal number"),
        (book.replace("\"new_quantity\":\"2\"", "\"q\":\"2\""), "A-B: `new_quantity`: missing"),
        (
            book.replace("01.4Z", "01.4"),
            "A-B: `event_time`: expected a time of RFC 3339 before the year 2262",
        ),
        (book.replace("\"update\"", "\"up\""), "A-B: `type`: expected `snapshot` or `update`"),
        (book.replace("01.5Z", "1"), "`timestamp`: expected a time of RFC 3339 before the year 2262"),
        (book.replace("sequence_num", "sequence"), "`sequence_num`: missing"),
        (book.replace("product_id", "product"), "`product_id`: missing"),
        (book.replace("events", "event"), "`events`: missing"),
        (trades("update", u64::MAX), "`sequence_num`: expected less than 2^64 - 1"),
        (trades("update", 0).replace("BUY", "buy"), "A-B: `side`: expected `BUY` or `SELL`"),
        (trades("update", 0).replace("\"8\"", "\"-8\""), "A-B: `trade_id`: expected a natural number"),
        (book[..60].to_owned(), "`message`: not JSON: expected the end of a text at offset 60 of it"),
    ] {
        let mut capture = capture();
        capture.recv("1", r#"{"type":"error"}"#);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", &payload);
        let (found_offset, found) = capture.damage();
        assert_eq!(found_offset, offset, "{payload}");
        let is_cut = reason.contains("not JSON") && found.contains("not JSON");
        assert!(found == reason || is_cut, "{payload}: {found}");
    }
}
