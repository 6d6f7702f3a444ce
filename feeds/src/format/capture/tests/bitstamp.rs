use super::*;

#[test]
fn the_capture_is_joined_with_its_snapshots() {
    let Some(path) = shared("crypto-ws/bitstamp/BITSTAMP_20220105.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 747);
    assert_eq!(played.instruments.len(), 10);
    assert_eq!(played.gaps(), 0);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 10);
    // Nothing of a message stands that is not later than the snapshot, and time goes forward.
    let mut times = BTreeMap::new();
    let mut lines = 0;
    for line in &played.lines {
        if let Some(event) = line.first() {
            match event.body {
                EventBody::BookSnapshot(_) => _ = times.insert(event.symbol, event.sequence),
                EventBody::LevelSet { .. } => {
                    let last = times.insert(event.symbol, event.sequence).expect("a snapshot before");
                    assert!(last < event.sequence);
                    lines += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!(lines, AFTER_SNAPSHOT);
    assert_eq!(books(&played).1, 0);
    let ether = played.instruments.iter().find(|instrument| instrument.symbol.as_str() == "ETHUSD");
    let ether = ether.expect("is there");
    assert_eq!(
        (ether.venue, ether.price_exponent, ether.size_exponent),
        ("BITSTAMP", exponent(-2), exponent(-8))
    );
    assert_eq!(ether.currency.as_deref(), Some("USD"));
}

/// Of 717 depth messages, those later than the snapshot of their pair (counted by a script of its own).
const AFTER_SNAPSHOT: usize = 615;

fn depth(time: u64) -> String {
    format!(
        r#"{{"data":{{"timestamp":"1","microtimestamp":"{time}","bids":[["10.5","2.00"]],"asks":[]}},"channel":"diff_order_book_abcd","event":"data"}}"#
    )
}

fn snapshot(time: u64) -> String {
    format!(
        r#"{{"timestamp": "1", "microtimestamp": "{time}", "bids": [["10.50", "1.00"]], "asks": [["11.00", "1.00"]]}}"#
    )
}

const URL: &str = "https://www.bitstamp.net/api/v2/order_book/abcd/?group=1";

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("BITSTAMP");
    capture
        .http("1", "https://www.bitstamp.net/api/v2/trading-pairs-info/", r#"[{"url_symbol": "abcd", "name": "AB/CD", "base_decimals": 3, "counter_decimals": 2}]"#)
        .http("1", "https://www.bitstamp.net/api/v2/ticker/", "")
        .recv("2", r#"{"event":"bts:subscription_succeeded","channel":"diff_order_book_abcd","data":{}}"#)
        .http("3", URL, &snapshot(1_500_000))
        .recv("4", &depth(1_600_000))
        .recv("5", r#"{"data":{"id":216,"amount":0.792,"amount_str":"0.79200000","price":10.5,"price_str":"10.50","type":1,"microtimestamp":"1700000"},"channel":"live_trades_abcd","event":"trade"}"#)
        .recv("6", r#"{"data":{"bids":[],"asks":[]},"channel":"order_book_abcd","event":"data"}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["ABCD"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-2), exponent(-3)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (None, Some("CD")));
    let snapshot = BookSnapshot { bids: vec![level(1050, 1000)], asks: vec![level(1100, 1000)] };
    let expected = [
        (1500, 1_500_000, EventBody::BookSnapshot(Box::new(snapshot))),
        (1600, 1_600_000, EventBody::LevelSet { side: Side::Bid, level: level(1050, 2000) }),
        (1700, 0, trade(1050, 792, Aggressor::Sell, Some(216))),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn snapshots_join_by_the_time() {
    let mut capture = Capture::new("BITSTAMP");
    // Kept, dropped, applied.
    capture.recv("1", &depth(8)).recv("2", &depth(10)).recv("3", &depth(12)).http("4", URL, &snapshot(10));
    // The same time may come twice, but not an earlier one.
    capture.recv("5", &depth(12)).recv("6", &depth(13)).recv("7", &depth(11)).recv("8", &depth(14));
    capture.http("9", URL, &snapshot(13)).connect("ws.1", "10").recv("11", &depth(20)).http(
        "12",
        URL,
        &snapshot(15),
    );
    assert_eq!(story(&capture.play().expect("undamaged")), "s10 +12 +12 +13 !13/11 0 s13 +14 0 s15 +20");
}

#[test]
fn damage_names_the_pair_and_the_field() {
    let trade = r#"{"data":{"id":216,"amount_str":"0.792","price_str":"10.50","type":1,"microtimestamp":"17"},"channel":"live_trades_abcd","event":"trade"}"#;
    check_damage(
        "BITSTAMP",
        r#"{"event":"bts:heartbeat"}"#,
        &[
            (
                depth(1).replace("\"1\",\"bids", "\"-1\",\"bids"),
                "ABCD: `microtimestamp`: expected a natural number",
            ),
            (depth(u64::MAX), "ABCD: `microtimestamp`: expected microseconds before the year 2262"),
            (depth(1).replace("microtimestamp", "micro"), "ABCD: `microtimestamp`: missing"),
            (depth(1).replace("asks", "ask"), "ABCD: `asks`: missing"),
            (depth(1).replace("10.5", "ten"), "ABCD: `bids`: `ten` is not a decimal number"),
            (depth(1).replace("\"data\":{", "\"d\":{"), "ABCD: `data`: missing"),
            (depth(1).replace("abcd", ""), "`symbol`: a symbol must not be empty"),
            (trade.replace("\"type\":1", "\"type\":2"), "ABCD: `type`: expected 0 or 1"),
            (
                trade.replace("0.792", "99999999999999999999"),
                "ABCD: `amount_str`: `99999999999999999999` is too large for exponent 0",
            ),
            ("{}".to_owned(), "`event`: missing"),
        ],
    );
    let mut capture = Capture::new("BITSTAMP");
    capture.recv("1", r#"{"event":"bts:heartbeat"}"#).http("2", URL, r#"{"microtimestamp":"1","asks":[]}"#);
    assert_eq!(capture.damage().1, "ABCD: `bids`: missing");
}
