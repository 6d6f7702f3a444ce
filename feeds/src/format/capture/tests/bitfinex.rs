use super::*;
use crate::TradingStatus;

#[test]
fn the_capture_is_read_whole() {
    let Some(path) = shared("crypto-ws/bitfinex-v2/BITFINEX_20210417.jsonl.zst") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!((played.messages, played.gaps()), (1693, 0));
    assert_eq!(played.symbols().len(), 7);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 7);
    assert_eq!(played.count(|body| matches!(body, EventBody::LevelSet { .. })), 1593);
    assert_eq!(books(&played).1, 0);
    // The number of a connection rises with every list: no two events have the same.
    let numbers: Vec<u64> = played.events().map(|event| event.sequence).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next));
    let dog = played.instruments.iter().find(|instrument| instrument.symbol.as_str() == "TESTBTC:TESTUSD");
    assert_eq!(dog.expect("is there").venue, "BITFINEX");
}

/// All 1670 lists are numbered without a hole: with any one of them taken out, there is a gap just there.
#[test]
fn every_list_is_numbered() {
    let Some(path) = shared("crypto-ws/bitfinex-v2/BITFINEX_20210417.jsonl.zst") else { return };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("a file");
    std::io::Read::read_to_end(&mut zstd::Decoder::new(file).expect("zstd"), &mut bytes).expect("whole");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let is_list = |line: &[u8]| {
        line.windows(9).any(|window| window == br#""data":"["#) && line.starts_with(br#"{"t":"recv""#)
    };
    let lists: Vec<usize> = (0..lines.len()).filter(|line| is_list(lines[*line])).collect();
    assert_eq!(lists.len(), 1670);
    for taken in lists.iter().take(1669).step_by(97) {
        let mut file = NamedTempFile::new().expect("a temporary file");
        for (_, line) in lines.iter().enumerate().filter(|(line, _)| line != taken) {
            file.write_all(line).expect("room on the disk");
        }
        let played = play(file.path()).expect("undamaged");
        // Of all instruments that were subscribed by then.
        let gaps: Vec<_> =
            played.bodies().into_iter().filter(|body| matches!(body, EventBody::Gap { .. })).collect();
        let number = lists.iter().position(|line| line == taken).expect("one of them") as u64 + 1;
        assert!(gaps.iter().all(|gap| **gap == EventBody::Gap { expected: number, found: number + 1 }
            || **gap == EventBody::Gap { expected: 0, found: 0 }));
        assert!(gaps.len() <= 7 && (*taken < 40 || !gaps.is_empty()), "{taken}: {}", gaps.len());
    }
}

const CONF: &str = r#"{"event":"conf","status":"OK","flags":196608}"#;

fn subscribed(channel: &str, number: u64, name: &str) -> String {
    format!(
        r#"{{"event":"subscribed","channel":"{channel}","chanId":{number},"symbol":"{name}","prec":"P0","pair":"AB"}}"#
    )
}

fn tell(payloads: &[&str]) -> String {
    let mut capture = Capture::new("BITFINEX");
    for (second, payload) in (1..).zip(payloads) {
        capture.recv(&format!("{second}"), payload);
    }
    story(&capture.play().expect("undamaged"))
}

#[test]
fn every_kind_of_message_is_read() {
    let mut capture = Capture::new("BITFINEX");
    capture
        .recv("1", r#"{"event":"info","version":2,"platform":{"status":1}}"#)
        .recv("2", r#"{"event":"conf","status":"OK","flags":65536}"#)
        .recv("3", &subscribed("book", 7, "tAB"))
        .recv("3", &subscribed("trades", 8, "tAB").replace(r#""prec":"P0","#, ""))
        .recv("3", &subscribed("ticker", 9, "tAB"))
        .recv("3", &subscribed("trades", 10, "fUSD"))
        .recv("4", "[7,[[10.50,2,3],[11,1,-2.5e-1]],1]")
        .recv("5", "[7,[10.5,0,1],2]")
        .recv("6", "[7,[10.25,1,7],3]")
        .recv("7", r#"[7,"hb",4]"#)
        .recv("8", "[8,[[1,1500,2,10.5]],5]")
        .recv("9", r#"[8,"te",[40,1574694478808,-0.5,10.5],6]"#)
        .recv("10", r#"[8,"tu",[40,1574694478808,-0.5,10.5],7]"#)
        .recv("11", "[9,[10.5,3,11,0.25,0,0,0,0,0,0],8]")
        .recv("12", r#"[10,"fte",[40,1574694478808,-0.5,10.5,2],9]"#)
        .recv("13", r#"{"event":"info","code":20060,"msg":"maintenance"}"#)
        .recv("14", r#"{"event":"info","code":20061}"#)
        .recv("15", r#"{"event":"unsubscribed","status":"OK","chanId":7}"#);
    let played = capture.play().expect("undamaged");
    assert_eq!(played.symbols(), ["AB"]);
    let instrument = &played.instruments[0];
    assert_eq!((instrument.price_exponent, instrument.size_exponent), (exponent(-2), exponent(-2)));
    let snapshot = BookSnapshot { bids: vec![level(1050, 300)], asks: vec![level(1100, 25)] };
    let set = |price, size| EventBody::LevelSet { side: Side::Bid, level: level(price, size) };
    let status = |status, reason: &str| EventBody::Status { status, reason: reason.to_owned() };
    let expected = [
        (4000, 1, EventBody::BookSnapshot(Box::new(snapshot))),
        (5000, 2, set(1050, 0)),
        (6000, 3, set(1025, 700)),
        (1_574_694_478_808, 0, trade(1050, 50, Aggressor::Sell, Some(40))),
        (13_000, 0, status(TradingStatus::Halted, "maintenance")),
        (14_000, 0, status(TradingStatus::Trading, "")),
        (15_000, 0, EventBody::BookClear),
    ];
    let found: Vec<_> = played
        .events()
        .map(|event| (event.ts_event.0 / 1_000_000, event.sequence, event.body.clone()))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hole_in_the_numbers_is_a_gap_of_all_instruments_of_the_connection() {
    let (one, two) = (subscribed("book", 7, "tAB"), subscribed("book", 8, "tCD"));
    let mut capture = Capture::new("BITFINEX");
    capture.recv("1", CONF).recv("1", &one).recv("1", &two);
    capture.recv_on("other", "1", CONF).recv_on("other", "1", &subscribed("book", 7, "tEF"));
    capture.recv_on("other", "2", "[7,[],1]").recv_on("other", "5", "[7,[1,1,1],2]");
    capture.recv("2", "[7,[],1]").recv("3", "[8,[],2]").recv("4", "[7,[1,1,1],4]").recv("5", "[8,[1,1,1],5]");
    let played = capture.recv("6", "[7,[],6]").recv("7", "[7,[1,1,1],7]").play().expect("undamaged");
    let told: Vec<_> = played.events().map(|event| event.symbol.0).collect();
    assert_eq!(told, [2, 0, 1, 0, 0, 1, 1, 2, 0, 0]);
    assert_eq!(story(&played), "s1 s1 s2 !3/4 0 !3/4 0 +2 s6 +7");
    // A new connection counts from 1 again.
    let mut capture = Capture::new("BITFINEX");
    capture.recv("1", CONF).recv("1", &one).recv("2", "[7,[],1]").connect("ws.1", "3");
    capture.recv("4", CONF).recv("4", &one).recv("5", "[7,[],1]");
    assert_eq!(story(&capture.play().expect("undamaged")), "s1 0 s1");
    // Without the flag there are no numbers.
    assert_eq!(tell(&[&one, "[7,[1,1,1]]", "[7,[2,1,1]]", "[7,[[1,1,1]]]", "[7,[2,1,1]]"]), "!0/0 s0 +0");
    // What is not subscribed counts all the same.
    assert_eq!(tell(&[CONF, &one, "[7,[],1]", r#"[99,"hb",2]"#, "[7,[1,1,1],3]"]), "s1 +3");
}

#[test]
fn a_wrong_checksum_voids_the_book_until_the_next_snapshot() {
    let book = subscribed("book", 7, "tAB");
    let crc = |text: &str| crc32fast::hash(text.as_bytes()).cast_signed();
    let right = format!(r#"[7,"cs",{},2]"#, crc("10.50:3:11:-2.5"));
    let wrong = format!(r#"[7,"cs",{},3]"#, crc("10.5:3:11:-2.5"));
    let again = "[7,[[10.50,2,3]],5]";
    assert_eq!(
        tell(&[
            CONF,
            &book,
            "[7,[[10.50,2,3],[11,1,-2.5]],1]",
            &right,
            &wrong,
            "[7,[1,1,1],4]",
            again,
            "[7,[1,1,1],6]"
        ]),
        "s1 ok wrong !0/0 0 s5 +6"
    );
}

#[test]
fn damage_names_the_pair_and_the_field() {
    for (payload, reason) in [
        ("[7,[[10.5,2]],1]", "AB: `amount`: missing"),
        ("[7,[[10.5,2.5,1]],1]", "AB: `count`: expected a natural number"),
        ("[7,[[1-0,2,1]],1]", "AB: `price`: `1-0` is not a decimal number"),
        ("[7,[10.5,1,true],1]", "AB: `amount`: expected a text"),
        ("[7,[[10.5,2,1]]]", "`sequence`: missing"),
        ("[7,[[10.5,2,1]],\"x\"]", "`sequence`: expected a natural number"),
        ("[7,[],18446744073709551615]", "`sequence`: expected less than 2^64 - 1"),
        (r#"[7,"cs",99999999999,1]"#, "AB: `cs`: expected a whole number of 32 bits"),
        (r#"[8,"te",[40,1574694478808,-0.5],1]"#, "AB: `price`: missing"),
        (r#"[8,"te",7,1]"#, "AB: `te`: expected a list"),
        (r#"[8,"te",[40,-1,-0.5,1],1]"#, "AB: `mts`: expected a natural number"),
        ("[]", "`chanId`: missing"),
        ("[7]", "`content`: missing"),
        ("[7,{},1]", "`content`: expected a text"),
        (r#"{"event":"conf","status":"OK"}"#, "`flags`: missing"),
        (
            r#"{"event":"subscribed","channel":"book","chanId":1,"symbol":"tA B","prec":"P0"}"#,
            "`symbol`: symbol `A B` holds a character other than printable ASCII without quotes, commas and spaces",
        ),
        (r#"{"event":"subscribed","channel":"book","symbol":"tAB","prec":"P0"}"#, "`chanId`: missing"),
    ] {
        let mut capture = Capture::new("BITFINEX");
        capture.recv("1", CONF).recv("1", &subscribed("book", 7, "tAB"));
        capture.recv("1", &subscribed("trades", 8, "tAB").replace(r#""prec":"P0","#, ""));
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.recv("2", payload);
        assert_eq!(capture.damage(), (offset, reason.to_owned()), "{payload}");
    }
}
