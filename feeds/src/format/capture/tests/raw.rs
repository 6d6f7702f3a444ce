//! Captures in other envelopes.

use super::binance::verify_quotes;
use super::*;
use crate::Input;
use crate::input::zip::tests::{How, archive};

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room on the disk");
    file
}

/// Plays a capture of one symbol of Binance, and checks its depth chain, quotes and trades.
fn verify_stamped(name: &str, venue: &str, symbol: &str, [messages, depths, quotes, trades]: [usize; 4]) {
    let Some(path) = shared(name) else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!((played.messages, played.gaps()), (messages as u64, 0));
    assert_eq!(played.symbols(), [symbol]);
    assert_eq!(played.instruments[0].venue, venue);
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 1);
    assert_eq!(verify_quotes(&played), quotes);
    let ids: Vec<u64> = played
        .events()
        .filter_map(|event| match event.body {
            EventBody::Trade(Trade { id, .. }) => id,
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), trades);
    assert!(ids.is_sorted_by(|one, next| one + 1 == *next));
    // All depth messages stand but those before the snapshot: the chain has no hole, or there would be a gap.
    let text = |input: &mut Input| {
        let mut line = Vec::new();
        let mut count = 0;
        while input.read_line(&mut line, usize::MAX - 1).expect("undamaged") {
            count += usize::from(line.windows(17).any(|window| window == br#""e":"depthUpdate""#));
        }
        count
    };
    assert_eq!(text(&mut Input::open(&path).expect("a file")), depths);
}

#[test]
fn stamped_spot_agrees_with_the_venues_best_prices() {
    let name = "hft-captures/binance-spot_btcusdt_20240808.gz";
    verify_stamped(name, "BINANCE", "BTCUSDT", [41_249, 3_451, 564, 9_757]);
}

#[test]
fn stamped_usdm_agrees_with_the_venues_best_prices() {
    let name = "hft-captures/binance-usdm_ethusdt_20240808.gz";
    // Of the quotes, 471 came before the depth message of the same number, the others after it.
    verify_stamped(name, "BINANCE_FUTURES", "ETHUSDT", [74_655, 6_586, 551, 14_076]);
}

#[test]
fn stamped_coinm_agrees_with_the_venues_best_prices() {
    let name = "hft-captures/binance-cm_btcusd_perp_20240808.gz";
    verify_stamped(name, "BINANCE_DELIVERY", "BTCUSD_PERP", [48_270, 26_847, 1_124, 2_286]);
}

#[test]
fn stamped_hyperliquid_is_read_whole() {
    let Some(path) = shared("hft-captures/hyperliquid_btcusd_20250126.gz") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!((played.messages, played.symbols()), (55, vec!["BTC"]));
    assert_eq!(played.count(|body| matches!(body, EventBody::BookSnapshot(_))), 46);
    assert!(played.count(|body| matches!(body, EventBody::Trade(_))) >= 9);
    assert_eq!(books(&played).1, 0);
}

#[test]
fn the_downloaded_book_is_read_whole() {
    let Some(path) = shared("bybit-ob500/xrpusdt-ob500.data.zip") else { return };
    let played = play(&path).expect("undamaged");
    assert_eq!((played.messages, played.symbols(), played.gaps()), (50, vec!["XRPUSDT"], 0));
    let numbers: Vec<u64> = played.lines.iter().map(|line| line[0].sequence).collect();
    assert_eq!(numbers.len(), 50);
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next));
    let (books, crossed) = books(&played);
    assert_eq!(crossed, 0);
    let book = &books[&SymbolId(0)];
    assert_eq!((book.bids.len(), book.asks.len()), (500, 500));
    assert_eq!(played.instruments[0].venue, "BYBIT");
    assert_eq!(played.lines[0][0].ts_recv, Timestamp(1_733_011_200_691_000_000));
}

const DEPTH: &str = r#"{"stream":"ab@depth@0ms","data":{"e":"depthUpdate","E":1500,"s":"AB","U":9,"u":11,"b":[["2","1"]],"a":[]}}"#;
const ANSWER: &str = r#"{"lastUpdateId":10,"bids":[["1","5"]],"asks":[["99","5"]]}"#;

fn stamped(lines: &[&str]) -> NamedTempFile {
    let lines: Vec<String> =
        (1..).zip(lines).map(|(second, line)| format!("{second}000000001 {line}\n")).collect();
    file_of(lines.concat().as_bytes())
}

fn damage(file: &NamedTempFile) -> (u64, String) {
    match play(file.path()) {
        Err(FeedError::Damaged { offset, reason, .. }) => (offset, reason),
        Err(other) => panic!("expected damage, found {other}"),
        Ok(_) => panic!("expected damage, found none"),
    }
}

#[test]
fn stamped_lines_have_their_time_and_the_answer_among_them() {
    let played = play(stamped(&[DEPTH, ANSWER]).path()).expect("undamaged");
    assert_eq!(story(&played), "s10 +11");
    let times: Vec<_> = played.events().map(|event| event.ts_recv.0).collect();
    assert_eq!(times, [2_000_000_001, 1_000_000_001]);
    // An answer that names its symbol needs no other message; one that does not, just one symbol before it.
    let named = ANSWER.replace(r#"{"last"#, r#"{"symbol":"AB","last"#);
    assert_eq!(story(&play(stamped(&[&named, DEPTH]).path()).expect("undamaged")), "s10 +11");
    let other = DEPTH.replace("\"AB\"", "\"CD\"");
    for lines in [&[ANSWER, DEPTH][..], &[DEPTH, &other, ANSWER]] {
        let error = play(stamped(lines).path()).err().expect("damage").to_string();
        assert!(error.contains("`symbol`: expected the name, or messages of one symbol before"), "{error}");
    }
}

#[test]
fn stamped_lines_that_are_damaged_are_told_where_they_are() {
    let first = stamped(&[DEPTH]);
    let before = std::fs::read(first.path()).expect("a file");
    for (line, reason) in [
        ("x {}", "`line`: expected <nanoseconds> <JSON>"),
        ("2", "`line`: expected <nanoseconds> <JSON>"),
        (" {}", "`line`: expected <nanoseconds> <JSON>"),
        ("99999999999999999999 {}", "`line`: `99999999999999999999` is too large for exponent 0"),
        ("2000000001 [", "`message`: not JSON"),
        ("2000000001 []", "`message`: expected an object"),
    ] {
        let file = file_of(&[&before, line.as_bytes(), b"\n"].concat());
        let (offset, found) = damage(&file);
        assert_eq!(offset, before.len() as u64, "{line}");
        assert!(found.contains(reason), "{line}: {found}");
    }
}

#[test]
fn stamped_lines_of_no_known_venue_are_an_unknown_format() {
    match CaptureReader::open(stamped(&[r#"{"hello":1}"#]).path()) {
        Err(FeedError::UnknownFormat { reason, .. }) => {
            assert_eq!(reason, "none of its first 10000 messages tells the venue");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

const BARE: &str = r#"{"topic":"orderbook.500.AB","type":"snapshot","ts":1500,"data":{"s":"AB","b":[["1","2"]],"a":[],"u":7,"seq":1},"cts":1499}"#;

#[test]
fn bare_lines_have_the_venues_time() {
    let delta = BARE.replace("snapshot", "delta").replace("\"u\":7", "\"u\":8").replace("1500", "1600");
    let text = format!("{BARE}\n{delta}\n");
    let plain = play(file_of(text.as_bytes()).path()).expect("undamaged");
    assert_eq!(story(&plain), "s7 +8");
    let times: Vec<_> = plain.events().map(|event| event.ts_recv.0).collect();
    assert_eq!(times, [1_500_000_000, 1_600_000_000]);
    for how in [How::Stored, How::Deflated, How::Streamed] {
        let packed = play(file_of(&archive(&[text.as_bytes()], how)).path()).expect("undamaged");
        assert_eq!(packed.lines, plain.lines);
    }
    for (line, reason) in [
        (BARE.replace(r#""ts":1500,"#, ""), "`ts`: expected a number"),
        (BARE.replace("1500", "soon"), "`ts`: `soon` is not a decimal number"),
        (BARE.replace("\"2\"", "\"2x\""), "AB: `b`: `2x` is not a decimal number"),
    ] {
        let (offset, found) = damage(&file_of(format!("{BARE}\n{line}\n").as_bytes()));
        assert_eq!((offset, found.as_str()), (BARE.len() as u64 + 1, reason), "{line}");
    }
}
