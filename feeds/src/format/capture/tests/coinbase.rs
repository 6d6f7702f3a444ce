use super::*;
use crate::TradingStatus;

#[test]
fn the_capture_is_read_whole() {
    let Some(path) = shared("crypto-ws/coinbase-exchange/COINBASE_20210417_products-A.jsonl.zst") else {
        return;
    };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 6450);
    assert_eq!(played.symbols(), ["BAND-GBP", "SKL-BTC", "BAND-BTC", "NMR-EUR", "SKL-USD"]);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 5);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 80);
    assert_eq!(played.gaps(), 0);
    let skl = &played.instruments[1];
    assert_eq!((skl.venue, skl.price_exponent, skl.size_exponent), ("COINBASE", exponent(-8), exponent(-1)));
    assert_eq!((skl.tick_size, skl.currency.as_deref()), (Some(Price(1)), Some("BTC")));
    verify_uncrossed(&played);
}

#[test]
fn the_recording_is_read_whole() {
    let played = play(&recording("coinbase-20210417.jsonl.zst")).expect("undamaged");
    assert_eq!(played.messages, 3009);
    assert_eq!(played.symbols(), ["BAND-GBP", "SKL-BTC", "BAND-BTC", "NMR-EUR", "SKL-USD"]);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 5);
    assert_eq!(played.gaps(), 0);
    verify_uncrossed(&played);
}

/// The venue gives no checksum; but a book that missed a change soon crosses itself.
fn verify_uncrossed(played: &Played) {
    assert_eq!(books(played).1, 0);
}

const SNAPSHOT: &str =
    r#"{"type":"snapshot","product_id":"A-B","asks":[["10.1","1.50"]],"bids":[["10.0","2"]]}"#;

fn trade_message(kind: &str, id: u64, side: &str) -> String {
    format!(
        r#"{{"type":"{kind}","trade_id":{id},"side":"{side}","size":"0.5","price":"10.1","product_id":"A-B","sequence":{},"time":"2021-04-17T16:43:37.089723123Z"}}"#,
        id + 1000
    )
}

fn matched(id: u64, aggressor: Aggressor) -> EventBody {
    trade(101, 5, aggressor, Some(id))
}

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("COINBASE");
    capture
        .http("1", "https://api.pro.coinbase.com/products", r#"[{"id":"A-B","quote_currency":"EUR","quote_increment":"0.1","base_increment":"1"},{"id":"C-D","quote_increment":"1","base_increment":"1"}]"#)
        .recv("1.5", r#"{"type":"subscriptions","channels":[]}"#)
        .recv("2", SNAPSHOT)
        .recv("3", r#"{"type":"l2update","product_id":"A-B","changes":[["sell","10.1","0.00"],["buy","9.9","3"]],"time":"2021-04-17T16:43:37Z"}"#)
        .recv("4", &trade_message("last_match", 7, "buy"))
        .recv("5", &trade_message("match", 8, "buy"))
        .recv("6", &trade_message("match", 9, "sell"))
        .recv("7", r#"{"type":"ticker","product_id":"A-B","best_bid":"10","best_ask":"11"}"#)
        .recv("8", r#"{"type":"status","products":[{"id":"X-Y","status":"offline"},{"id":"A-B","status":"offline","status_message":"pause"}]}"#)
        .recv("9", r#"{"type":"status","products":[{"id":"A-B","status":"online","status_message":""}]}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["A-B"]);
    let instrument = &played.instruments[0];
    // The size is widened by the messages.
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-1), exponent(-1)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (Some(Price(1)), Some("EUR")));
    let matched_at = 1_618_677_817_089_723_123;
    let snapshot = BookSnapshot { bids: vec![level(100, 20)], asks: vec![level(101, 15)] };
    let status = |status, reason: &str| EventBody::Status { status, reason: reason.to_owned() };
    let expected = [
        (2_000_000_000, 0, EventBody::BookSnapshot(Box::new(snapshot))),
        (1_618_677_817_000_000_000, 0, EventBody::LevelSet { side: Side::Ask, level: level(101, 0) }),
        (1_618_677_817_000_000_000, 0, EventBody::LevelSet { side: Side::Bid, level: level(99, 30) }),
        (matched_at, 1008, matched(8, Aggressor::Sell)),
        (matched_at, 1009, matched(9, Aggressor::Buy)),
        (8_000_000_000, 0, status(TradingStatus::Halted, "pause")),
        (9_000_000_000, 0, status(TradingStatus::Trading, "online")),
    ];
    let found: Vec<_> =
        played.events().map(|event| (event.ts_event.0, event.sequence, event.body.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hole_in_the_trade_numbers_is_a_gap() {
    let mut capture = Capture::new("COINBASE");
    capture
        .connect("ws.1", "1")
        .recv("2", &trade_message("last_match", 7, "buy"))
        .recv("3", &trade_message("match", 10, "buy"))
        .recv("4", &trade_message("match", 11, "buy"))
        .connect("ws.1", "5")
        .recv("6", &trade_message("match", 20, "buy"));
    let played = capture.play().expect("undamaged");
    assert_eq!(
        played.bodies(),
        [
            &EventBody::Gap { expected: 8, found: 10 },
            &matched(10, Aggressor::Sell),
            &matched(11, Aggressor::Sell),
            &matched(20, Aggressor::Sell)
        ]
    );
}

#[test]
fn updates_without_a_snapshot_are_one_gap() {
    let update =
        r#"{"type":"l2update","product_id":"A-B","changes":[["buy","9","3"]],"time":"2021-04-17T16:43:37Z"}"#;
    let mut capture = Capture::new("COINBASE");
    capture.recv("1", update).recv("2", update).recv("3", SNAPSHOT).recv("4", update).connect("ws.1", "5");
    let played = capture.play().expect("undamaged");
    assert!(matches!(
        played.bodies()[..],
        [
            EventBody::Gap { expected: 0, found: 0 },
            EventBody::BookSnapshot(_),
            EventBody::LevelSet { .. },
            EventBody::BookClear
        ]
    ));
}

#[test]
fn damage_names_the_product_and_the_field() {
    for (payload, reason) in [
        (r#"{"product_id":"A-B"}"#.to_owned(), "`type`: missing"),
        (r#"{"type":"match"}"#.to_owned(), "`product_id`: missing"),
        (SNAPSHOT.replace("bids", "bid"), "A-B: `bids`: missing"),
        (SNAPSHOT.replace("1.50", "1.5.0"), "A-B: `asks`: `1.5.0` is not a decimal number"),
        (trade_message("match", 1, "up"), "A-B: `side`: expected `buy` or `sell`"),
        (trade_message("match", 1, "buy").replace("0.5", "99999999999999999999"), "A-B: `size`: `99999999999999999999` is too large for exponent 0"),
        (trade_message("match", 1, "buy").replace("37.089723123Z", "37"), "A-B: `time`: expected a time of RFC 3339 before the year 2262"),
        (trade_message("match", 1, "buy").replace("\"sequence\":1001", "\"sequence\":1.5"), "A-B: `sequence`: expected a natural number"),
        (trade_message("last_match", u64::MAX - 1000, "buy").replace(&(u64::MAX - 1000).to_string(), &u64::MAX.to_string()), "A-B: `trade_id`: expected less than 2^64 - 1"),
        (r#"{"type":"l2update","product_id":"A-B","changes":[["up","9","3"]],"time":"2021-04-17T16:43:37Z"}"#.to_owned(), "A-B: `changes`: expected `buy` or `sell`"),
    ] {
        let mut capture = Capture::new("COINBASE");
        capture.recv("1", r#"{"type":"heartbeat"}"#);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", &payload);
        let (found_offset, found) = capture.damage();
        assert_eq!((found_offset, found.as_str()), (offset, reason), "{payload}");
    }
}
