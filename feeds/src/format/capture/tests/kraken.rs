use super::*;
use crate::TradingStatus;

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

/// The venue's rule, from texts with all their digits.
fn checksum(book: &Model, instrument: &Instrument) -> u32 {
    let digits = |text: String| text.replace('.', "").trim_start_matches('0').to_owned();
    let asks = book.asks.iter().take(10);
    let bids = book.bids.iter().rev().take(10);
    let text: String = asks
        .chain(bids)
        .map(|(price, size)| {
            digits(price.display(instrument.price_exponent).to_string())
                + &digits(size.display(instrument.size_exponent).to_string())
        })
        .collect();
    crc32(text.bytes())
}

/// Checks every checksum, and returns how many there are.
fn verify(played: &Played) -> usize {
    let mut books: BTreeMap<SymbolId, Model> = BTreeMap::new();
    let mut verified = 0;
    for event in played.events() {
        let instrument = &played.instruments[event.symbol.index()];
        let book = books.entry(event.symbol).or_default();
        book.apply(&event.body);
        if let EventBody::BookChecksum(BookChecksum::Kraken(expected)) = event.body {
            book.truncate(instrument.book_levels_max.expect("a book of limited depth"));
            assert_eq!(checksum(book, instrument), expected, "{instrument:?} at {}", event.ts_recv);
            verified += 1;
        }
    }
    verified
}

#[test]
fn all_checksums_of_the_capture_agree() {
    let Some(path) = shared("crypto-ws/kraken-spot-v1/KRAKEN_20210417.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!(played.messages, 4430);
    assert_eq!(verify(&played), 4269);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::Trade(_))), 10);
    assert_eq!(played.count(|body| matches!(body, EventBody::Quote { .. })), 18);
    assert_eq!(played.gaps(), 0);
    assert_eq!(played.instruments.len(), 10);
    let scales = |symbol| {
        let found = played.instruments.iter().find(|instrument| instrument.symbol.as_str() == symbol);
        let instrument = found.expect("is there");
        assert_eq!((instrument.venue, instrument.book_levels_max), ("KRAKEN", Some(1000)));
        (instrument.price_exponent.get(), instrument.size_exponent.get(), instrument.currency.clone())
    };
    // As printed; the list says 2, 1 and 8 decimals.
    assert_eq!(scales("XMR/USD"), (-8, -8, Some("USD".to_owned())));
    assert_eq!(scales("XBT/CHF"), (-5, -8, Some("CHF".to_owned())));
    assert_eq!(scales("ADA/XBT"), (-9, -8, Some("XBT".to_owned())));
}

#[test]
fn all_checksums_of_the_recording_agree() {
    let played = play(&recording("kraken-20210417.jsonl.zst")).expect("undamaged");
    assert_eq!(played.messages, 937);
    assert_eq!(verify(&played), KRAKEN_CHECKSUMS);
    assert_eq!(played.symbols().len(), 7);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 7);
    assert_eq!(played.gaps(), 0);
}

const KRAKEN_CHECKSUMS: usize = 848;

const SNAPSHOT: &str = r#"[7,{"as":[["10.10","1.5","1618678123.481570"]],"bs":[["10.00","2.0","1618678123.481571"]]},"book-10","XBT/EUR"]"#;

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("KRAKEN");
    capture
        .recv("1.5", r#"{"event":"systemStatus","status":"online","version":"1.8.3"}"#)
        .recv("2", SNAPSHOT)
        .recv("3", r#"[7,{"a":[["10.10","0.0","1618678124.1"]]},{"b":[["10.01","3.0","1618678124.2","r"]],"c":"4105471083"},"book-10","XBT/EUR"]"#)
        .recv("4", r#"[5,[["10.05","0.5","1618678125.5","s","l",""],["10.06","0.6","1618678125.6","b","m",""]],"trade","XBT/EUR"]"#)
        .recv("5", r#"[6,{"a":["10.10",1,"1.5"],"b":["10.00",0,"0.0"],"c":["1","2"]},"ticker","XBT/EUR"]"#)
        .recv("6", r#"[6,["10.00","10.10","1618678126.5","2.0","1.5"],"spread","XBT/EUR"]"#)
        .recv("7", r#"[6,["1","2","3"],"ohlc-5","XBT/EUR"]"#)
        .recv("8", r#"{"event":"systemStatus","status":"maintenance"}"#)
        .recv("9", r#"{"event":"systemStatus","status":"online"}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.messages, 9);
    assert_eq!(played.symbols(), ["XBT/EUR"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-2), exponent(-1)));
    assert_eq!((instrument.book_levels_max, &instrument.currency), (Some(10), &None));
    let status = |status, reason: &str| EventBody::Status { status, reason: reason.to_owned() };
    let snapshot = BookSnapshot { bids: vec![level(1000, 20)], asks: vec![level(1010, 15)] };
    let expected = [
        (1_618_678_123_481_571_000, EventBody::BookSnapshot(Box::new(snapshot))),
        (1_618_678_124_100_000_000, EventBody::LevelSet { side: Side::Ask, level: level(1010, 0) }),
        (1_618_678_124_200_000_000, EventBody::LevelSet { side: Side::Bid, level: level(1001, 30) }),
        (1_618_678_124_200_000_000, EventBody::BookChecksum(BookChecksum::Kraken(4_105_471_083))),
        (1_618_678_125_500_000_000, trade(1005, 5, Aggressor::Sell, None)),
        (1_618_678_125_600_000_000, trade(1006, 6, Aggressor::Buy, None)),
        (5_000_000_000, EventBody::Quote { bid: None, ask: Some(level(1010, 15)) }),
        (
            1_618_678_126_500_000_000,
            EventBody::Quote { bid: Some(level(1000, 20)), ask: Some(level(1010, 15)) },
        ),
        (8_000_000_000, status(TradingStatus::Halted, "maintenance")),
        (9_000_000_000, status(TradingStatus::Trading, "")),
    ];
    let found: Vec<_> = played.events().map(|event| (event.ts_event.0, event.body.clone())).collect();
    assert_eq!(found, expected);
    assert!(played.events().all(|event| event.symbol == SymbolId(0) && event.sequence == 0));
    assert_eq!(played.lines[1][0].ts_recv, Timestamp(2_000_000_000));
}

#[test]
fn without_a_book_the_list_gives_the_exponents_and_numbers_widen_them() {
    let list = r#"{"error":[],"result":{"AB":{"wsname":"A/B","pair_decimals":2,"lot_decimals":3,"tick_size":"0.05"},"AB.d":{"altname":"AB.d"},"C":{"wsname":"C/D","pair_decimals":1,"lot_decimals":1}}}"#;
    let trade = |price: &str| format!(r#"[7,[["{price}","1.50","1","b","m",""]],"trade","A/B"]"#);
    let scales = |price: &str, list: Option<&str>| {
        let mut capture = Capture::new("KRAKEN");
        if let Some(list) = list {
            capture.http("1", "https://api.kraken.com/0/public/AssetPairs", list);
        }
        let instruments = capture.recv("2", &trade(price)).play().expect("undamaged").instruments;
        assert_eq!(instruments.len(), 1);
        let instrument = &instruments[0];
        (instrument.price_exponent.get(), instrument.size_exponent.get(), instrument.tick_size)
    };
    assert_eq!(scales("7.10", Some(list)), (-2, -3, Some(Price(5))));
    assert_eq!(scales("7.1234000", Some(list)), (-4, -3, Some(Price(500))));
    assert_eq!(scales("7.10", None), (-1, -1, None));

    let mut capture = Capture::new("KRAKEN");
    let list = list.replace("\"pair_decimals\":2", "\"pair_decimals\":19");
    capture.http("1", "https://api.kraken.com/0/public/AssetPairs", &list).recv("2", &trade("1"));
    assert_eq!(capture.damage().1, "A/B: `pair_decimals`: expected 0 to 18");
}

#[test]
fn updates_without_a_snapshot_are_one_gap() {
    let update = r#"[7,{"a":[["10.10","1.0","1618678124.1"]],"c":"1"},"book-10","XBT/EUR"]"#;
    let mut capture = Capture::new("KRAKEN");
    capture.recv("1", update).recv("2", update).recv("3", SNAPSHOT).recv("4", update);
    let played = capture.play().expect("undamaged");
    assert!(matches!(
        played.bodies()[..],
        [
            EventBody::Gap { expected: 0, found: 0 },
            EventBody::BookSnapshot(_),
            EventBody::LevelSet { .. },
            EventBody::BookChecksum(_)
        ]
    ));
}

#[test]
fn a_new_connection_voids_the_books_it_fed() {
    let mut capture = Capture::new("KRAKEN");
    capture.connect("a", "1").connect("b", "1").recv_on("a", "2", SNAPSHOT);
    capture.connect("b", "3").connect("a", "4").recv_on("a", "5", SNAPSHOT);
    let played = capture.play().expect("undamaged");
    assert!(matches!(
        played.bodies()[..],
        [EventBody::BookSnapshot(_), EventBody::BookClear, EventBody::BookSnapshot(_)]
    ));
    assert_eq!(played.events().nth(1).map(|event| event.ts_recv), Some(Timestamp(4_000_000_000)));
}

#[test]
fn damage_names_the_pair_and_the_field() {
    for (payload, reason) in [
        (r#"[7,{"as":[["x","1","1"]],"bs":[]},"book-10","A/B"]"#, "A/B: `as`: `x` is not a decimal number"),
        (
            r#"[7,{"as":[["1","-1","1"]],"bs":[]},"book-10","A/B"]"#,
            "A/B: `as`: expected a size of zero or more",
        ),
        (r#"[7,{"as":[["1","1"]],"bs":[]},"book-10","A/B"]"#, "A/B: `as`: missing"),
        (r#"[7,{"as":[]},"book-10","A/B"]"#, "A/B: `bs`: missing"),
        (
            r#"[7,{"a":[],"c":"4294967296"},"book-10","A/B"]"#,
            "A/B: `c`: expected a checksum of 32 bits in decimal digits",
        ),
        (r#"[7,{"a":[]},"book-x","A/B"]"#, "A/B: `channelName`: expected book-<levels>"),
        (r#"[7,[["1","1","1","?"]],"trade","A/B"]"#, "A/B: `side`: expected `b` or `s`"),
        (r#"[7,[["1","1","1e9","s"]],"trade","A/B"]"#, "A/B: `time`: `1e9` is not a decimal number"),
        (r#"[7,[["1",1,"1","s"]],"trade","A/B"]"#, "A/B: `volume`: expected a text"),
        (r#"[7,{"a":["1",0,"1"]},"ticker","A/B"]"#, "A/B: `b`: missing"),
        (r#"[7,["1"],"spread","A/B"]"#, "A/B: `ask`: missing"),
        (
            r#"[7,[],"trade","a b"]"#,
            "a b: `symbol`: symbol `a b` holds a character other than printable ASCII without quotes, commas and spaces",
        ),
        (r#"[1,2]"#, "`message`: expected [number, data…, channel, pair]"),
        (r#"17"#, "`message`: expected a list"),
    ] {
        let mut capture = Capture::new("KRAKEN");
        capture.recv("1", SNAPSHOT);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", payload);
        assert_eq!(capture.damage(), (offset, reason.to_owned()), "{payload}");
    }
}
