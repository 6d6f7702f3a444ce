use super::*;

#[test]
fn all_checksums_of_the_capture_agree() {
    let Some(path) = shared("crypto-ws/okx-v5/OKX_20220513.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 410);
    let checksums = |wanted| {
        played.count(|body| *body == EventBody::BookChecksum(BookChecksum::Checked { agrees: wanted }))
    };
    assert_eq!((checksums(true), checksums(false), played.gaps()), (290, 0, 0));
    assert_eq!(played.symbols(), ["BTC-USD-220527", "UNI-USD-SWAP", "BTC-USDT"]);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 3);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 74);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 28);
    assert_eq!(books(&played).1, 0);
    let spot = &played.instruments[2];
    assert_eq!((spot.venue, spot.price_exponent, spot.size_exponent), ("OKX", exponent(-1), exponent(-8)));
    assert_eq!((spot.tick_size, spot.currency.as_deref()), (Some(Price(1)), Some("USDT")));
    assert_eq!(played.instruments[1].currency.as_deref(), Some("UNI"));
}

fn crc(text: &str) -> i32 {
    crc32fast::hash(text.as_bytes()).cast_signed()
}

fn book(action: &str, bids: &str, asks: &str, checksum: i32, numbers: &str) -> String {
    format!(
        r#"{{"arg":{{"channel":"books","instId":"A-B"}},"action":"{action}","data":[{{"asks":[{asks}],"bids":[{bids}],"ts":"1500","checksum":{checksum}{numbers}}}]}}"#
    )
}

fn numbers(previous: i64, sequence: u64) -> String {
    format!(r#","prevSeqId":{previous},"seqId":{sequence}"#)
}

const BID: &str = r#"["10.5","2","0","1"]"#;
const ASK: &str = r#"["11","3","0","1"]"#;

fn snapshot(sequence: u64) -> String {
    book("snapshot", BID, ASK, crc("10.5:2:11:3"), &numbers(-1, sequence))
}

/// An update without a checksum.
fn update(previous: i64, sequence: u64) -> String {
    book("update", BID, "", 0, &numbers(previous, sequence))
}

fn tell(payloads: &[String]) -> String {
    let mut capture = Capture::new("OKX");
    for (second, payload) in (1..).zip(payloads) {
        capture.recv(&format!("{second}"), payload);
    }
    story(&capture.play().expect("undamaged"))
}

#[test]
fn every_kind_of_message_is_read() {
    let of = |channel: &str, data: &str| {
        format!(r#"{{"arg":{{"channel":"{channel}","instId":"A-B"}},"data":[{data}]}}"#)
    };
    let mut capture = Capture::new("OKX");
    capture
        .http("1", "https://www.okx.com/api/v5/public/instruments?instType=SPOT", r#"{"code":"0","data":[{"instId":"A-B","quoteCcy":"B","settleCcy":"","tickSz":"0.10","lotSz":"0.01"},{"instId":"C-D","tickSz":"","lotSz":""}]}"#)
        .recv("2", r#"{"event":"subscribe","arg":{"channel":"books","instId":"A-B"}}"#)
        .recv("3", &snapshot(7))
        .recv("4", &book("update", r#"["10.5","0","0","0"],["10.6","1","0","1"]"#, "", crc("10.6:1:11:3"), &numbers(7, 9)))
        .recv("5", &of("trades", r#"{"instId":"A-B","tradeId":"12","px":"10.7","sz":"1.5","side":"sell","ts":"1600"}"#))
        .recv("6", &of("tickers", r#"{"askPx":"11","askSz":"3","bidPx":"","bidSz":"","ts":"1700"}"#))
        .recv("7", &of("bbo-tbt", r#"{"asks":[["11","3","0","1"]],"bids":[["10.6","1","0","1"]],"ts":"1800","seqId":9}"#))
        .recv("8", &of("books5", r#"{"asks":[["11","3","0","1"]],"bids":[],"ts":"1800"}"#))
        .recv("9", &of("funding-rate", r#"{"x":1}"#));
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["A-B"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-1), exponent(-2)));
    assert_eq!((instrument.tick_size, instrument.currency.as_deref()), (Some(Price(1)), Some("B")));
    let snapshot = BookSnapshot { bids: vec![level(105, 200)], asks: vec![level(110, 300)] };
    let set = |price, size| EventBody::LevelSet { side: Side::Bid, level: level(price, size) };
    let agrees = EventBody::BookChecksum(BookChecksum::Checked { agrees: true });
    let expected = [
        (1500, 7, EventBody::BookSnapshot(Box::new(snapshot))),
        (1500, 7, agrees.clone()),
        (1500, 9, set(105, 0)),
        (1500, 9, set(106, 100)),
        (1500, 9, agrees),
        (1600, 0, trade(107, 150, Aggressor::Sell, Some(12))),
        (1700, 0, EventBody::Quote { bid: None, ask: Some(level(110, 300)) }),
        (1800, 0, EventBody::Quote { bid: Some(level(106, 100)), ask: Some(level(110, 300)) }),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_wrong_checksum_voids_the_book_until_the_next_snapshot() {
    let wrong = book("update", "", r#"["11","4","0","1"]"#, crc("10.5:2:11:3"), &numbers(7, 8));
    assert_eq!(
        tell(&[snapshot(7), wrong, update(8, 9), snapshot(20), update(20, 21)]),
        "s7 ok +8 wrong !0/0 0 s20 ok +21"
    );
    let wrong = book("snapshot", BID, ASK, 1, &numbers(-1, 7));
    assert_eq!(tell(&[wrong, update(7, 8), snapshot(9)]), "s7 wrong !0/0 0 s9 ok");
}

/// `0.10` and `0.1` are the same number, but not the same digits.
#[test]
fn checksums_are_over_the_digits_as_sent() {
    let bids = r#"["0.10","5.0","0","1"]"#;
    let of = |text| book("snapshot", bids, "", crc(text), "");
    assert_eq!(tell(&[of("0.10:5.0")]), "s0 ok");
    assert_eq!(tell(&[of("0.1:5")]), "s0 wrong !0/0 0");
}

#[test]
fn a_hole_in_the_numbers_is_a_gap() {
    assert_eq!(
        tell(&[snapshot(7), update(7, 9), update(9, 9), update(10, 11), update(11, 12), snapshot(20)]),
        "s7 ok +9 +9 !9/10 0 s20 ok"
    );
    // The venue's numbers may begin again, as long as they chain.
    assert_eq!(tell(&[snapshot(7), update(7, 3), update(3, 4)]), "s7 ok +3 +4");
    assert_eq!(tell(&[update(7, 8), update(8, 9), snapshot(9), update(9, 10)]), "!0/0 s9 ok +10");
    // Before 2023 there were none.
    let old = |action| book(action, BID, ASK, crc("10.5:2:11:3"), "");
    assert_eq!(tell(&[old("snapshot"), old("update")]), "s0 ok +0 +0 ok");
}

#[test]
fn the_first_channel_is_the_book_until_its_connection_begins_again() {
    let other = |payload: String| payload.replace("\"books\"", "\"books50-l2-tbt\"");
    let mut capture = Capture::new("OKX");
    capture.recv("1", &snapshot(7)).recv("2", &other(snapshot(8))).recv("3", &other(update(8, 9)));
    capture.recv("4", &update(7, 8)).connect("ws.1", "5").recv("6", &other(snapshot(8)));
    assert_eq!(story(&capture.play().expect("undamaged")), "s7 ok +8 0 s8 ok");
}

#[test]
fn damage_names_the_instrument_and_the_field() {
    let trade = r#"{"arg":{"channel":"trades","instId":"A-B"},"data":[{"tradeId":"12","px":"10.7","sz":"1.5","side":"sell","ts":"1600"}]}"#;
    check_damage(
        "OKX",
        &snapshot(1),
        &[
            (snapshot(7).replace("bids", "bid"), "A-B: `bids`: missing"),
            (snapshot(7).replace("10.5", "10.5x"), "A-B: `bids`: `10.5x` is not a decimal number"),
            (snapshot(7).replace("\"2\"", "2"), "A-B: `bids`: expected a text"),
            (snapshot(7).replace("checksum", "check"), "A-B: `checksum`: missing"),
            (
                book("update", "", "", 1, "").replace(":1}", ":4294967296}"),
                "A-B: `checksum`: expected a whole number of 32 bits",
            ),
            (snapshot(7).replace("snapshot", "snap"), "A-B: `action`: expected `snapshot` or `update`"),
            (snapshot(7).replace("\"action\":\"snapshot\",", ""), "A-B: `action`: missing"),
            (update(-1, 7), "A-B: `prevSeqId`: expected a natural number"),
            (update(1, 7).replace("\"1500\"", "\"soon\""), "A-B: `ts`: expected a natural number"),
            (
                update(1, 7).replace("\"1500\"", "\"9223372036854775807\""),
                "A-B: `ts`: expected milliseconds before the year 2262",
            ),
            (
                snapshot(7).replace("A-B", "a b"),
                "`symbol`: symbol `a b` holds a character other than printable ASCII without quotes, commas and spaces",
            ),
            (snapshot(7).replace("instId", "id"), "`instId`: missing"),
            (trade.replace("sell", "up"), "A-B: `side`: expected `buy` or `sell`"),
            (trade.replace("\"12\"", "\"x\""), "A-B: `tradeId`: expected a natural number"),
            (trade.replace("\"1.5\"", "\"-1.5\""), "A-B: `sz`: expected a size of zero or more"),
            ("[]".to_owned(), "`message`: expected an object"),
        ],
    );
}
