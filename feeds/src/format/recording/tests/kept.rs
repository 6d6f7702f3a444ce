//! What is kept of a reader is all that it remembers: another one that goes on there reads what the first one reads.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;
use crate::shared::shared;

/// Goes on from many places: from each of the first ones, where books are being joined, and some all over.
fn check(path: &Path) {
    let Played { messages: whole, received, .. } = play(path, None).expect("sound");
    let mut reader = RecordingReader::open(path).expect("sound");
    let mut events = Vec::new();
    for at in 0..whole.len() {
        assert_eq!(reader.next_message(&mut events).expect("sound"), Some(whole[at].0));
        events.clear();
        let is_far = at % (whole.len() / 12) == 7;
        if at > 60 && !is_far {
            continue;
        }
        let kept = postcard::to_stdvec(&reader.keep().expect("a venue that can be kept")).expect("bytes");
        let kept = postcard::from_bytes(&kept).expect("what was written");
        let mut other = RecordingReader::go_on(path, kept).expect("the same recording");
        assert_eq!(other.instruments(), reader.instruments());
        let rest = if is_far { &whole[at + 1..] } else { &whole[at + 1..whole.len().min(at + 500)] };
        for (index, (ts_recv, expected)) in rest.iter().enumerate() {
            let mut found = Vec::new();
            assert_eq!(other.next_message(&mut found).expect("sound"), Some(*ts_recv));
            // The numbers of a replay are those of its only file.
            assert!(found == *expected, "{}: from {at}, message {index}", path.display());
        }
        if is_far {
            assert_eq!(other.next_message(&mut Vec::new()).expect("sound"), None);
            assert_eq!(other.messages(), received);
        }
    }
}

fn check_capture(capture: &Path) {
    let folder = folder();
    convert(capture, folder.path());
    check(folder.path());
}

#[test]
fn captures_of_venues_that_are_followed_live_go_on_anywhere() {
    for name in ["kraken-20210417.jsonl.zst", "coinbase-20210417.jsonl.zst", "binance-20211012.jsonl.zst"] {
        check_capture(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name));
    }
    if let Some(capture) = shared("crypto-ws/coinbase-advanced/COINBASE_20260809.jsonl.zst") {
        check_capture(&capture);
    }
}

/// Whoever comes here has changed what a session or a reader remembers, or what it means: the checkpoints of before must not be
/// used. Raise the version in `record/checkpoints.rs`, and put the new sums here.
#[test]
fn what_is_kept_is_of_its_version() {
    let names = ["kraken-20210417.jsonl.zst", "coinbase-20210417.jsonl.zst", "binance-20211012.jsonl.zst"];
    let kept = names.map(|name| {
        let folder = folder();
        convert(&Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name), folder.path());
        let mut reader = RecordingReader::open(folder.path()).expect("sound");
        for _ in 0..100 {
            assert!(reader.next_message(&mut Vec::new()).expect("sound").is_some());
        }
        let KeptReader { place: _, parts, lines, messages, records_total } =
            reader.keep().expect("live venues");
        let kept = postcard::to_stdvec(&(parts, lines, messages, records_total)).expect("bytes");
        crc32fast::hash(&kept)
    });
    assert_eq!(kept, [2_084_569_739, 4_175_874_446, 3_353_582_004]);
}

#[test]
fn a_simulated_market_that_began_again_goes_on_anywhere() {
    let folder = folder();
    for (seed, start) in [(1, 1_000), (2, 9_000_000_000_000)] {
        let recorder = recorder(folder.path(), 20_000);
        let mut feed = Recorded::new(simulated(seed), recorder.handle().clone()).expect("simulated");
        feed.begin(Timestamp(start));
        for _ in 0..100 {
            feed.next_message(&mut Vec::new()).expect("it goes on");
        }
        recorder.stop().expect("room");
    }
    check(folder.path());
}

/// A side of a made-up book of Kraken's: prices in tenths, sizes in units of 1e-8, as they are printed there.
type Levels = BTreeMap<u32, u32>;

fn checksum([bids, asks]: &[Levels; 2]) -> u32 {
    let levels = asks.iter().take(10).chain(bids.iter().rev().take(10));
    crc32fast::hash(levels.map(|(price, size)| format!("{price}{size}")).collect::<String>().as_bytes())
}

fn message(kind: &str, symbol: &str, sides: &[Levels; 2], checksum: u32) -> String {
    let [bids, asks] = sides.each_ref().map(|side| {
        let levels = side
            .iter()
            .map(|(price, size)| format!(r#"{{"price":{}.{},"qty":0.{size:08}}}"#, price / 10, price % 10));
        levels.collect::<Vec<_>>().join(",")
    });
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}"#
    )
}

/// Two connections of Kraken's version 2, whose books diverge, and which are lost and begin again.
fn kraken_v2(folder: &Path) {
    let recorder = recorder(folder, 30_000);
    let handle = recorder.handle();
    let sources = ["one", "two"].map(|name| {
        let address = "wss://ws.kraken.com/v2".to_owned();
        let source =
            Source { venue: "KRAKEN".to_owned(), format: JSON.to_owned(), address, name: name.to_owned() };
        handle.source(source).expect("few")
    });
    let symbols = ["BTC/USD", "ETH/USD"];
    let mut books: [Option<[Levels; 2]>; 2] = [None, None];
    let mut random = Pcg64Mcg::seed_from_u64(7);
    for step in 0..1_500 {
        let which = random.random_range(0..2_usize);
        let told = match (&mut books[which], random.random_range(0..200)) {
            (book, 0) => {
                *book = None;
                assert!(handle.record(Some(sources[which]), Timestamp(step), Body::Disconnected("lost")));
                assert!(handle.record(Some(sources[which]), Timestamp(step), Body::Connected("")));
                continue;
            }
            (Some(book), 1..5) => message("update", symbols[which], &Default::default(), checksum(book) ^ 1),
            (_, 5..8) => {
                r#"{"channel":"status","type":"update","data":[{"system":"maintenance"}]}"#.to_owned()
            }
            (_, 8..11) => r#"{"channel":"status","type":"update","data":[{"system":"online"}]}"#.to_owned(),
            (book, 11..16) => {
                let side = |first| (0..30).map(|level| (first + level, 1_000 + level)).collect::<Levels>();
                let book = book.insert([side(45_200), side(45_240)]);
                message("snapshot", symbols[which], book, checksum(book))
            }
            (None, _) => continue,
            (Some(book), random_bits) => {
                let mut changes: [Levels; 2] = Default::default();
                let side = random_bits % 2;
                let price = [45_200, 45_240][side] + random.random_range(0..35);
                let size = random.random_range(0..3);
                match size {
                    0 => _ = book[side].remove(&price),
                    _ => _ = book[side].insert(price, size),
                }
                changes[side].insert(price, size);
                message("update", symbols[which], &changes, checksum(book))
            }
        };
        assert!(handle.record(Some(sources[which]), Timestamp(step), Body::Received(told.as_bytes())));
    }
    recorder.stop().expect("room");
}

#[test]
fn books_with_their_digits_go_on_anywhere() {
    let folder = folder();
    kraken_v2(folder.path());
    let messages = play(folder.path(), None).expect("sound").messages;
    let count = |wanted: fn(&EventBody) -> bool| {
        messages.iter().flat_map(|(_, events)| events).filter(|event| wanted(&event.body)).count()
    };
    let agreed =
        count(|body| matches!(body, EventBody::BookChecksum(crate::BookChecksum::Checked { agrees: true })));
    let gaps = count(|body| matches!(body, EventBody::Gap { .. }));
    assert!(agreed > 300 && gaps > 5, "{agreed} checksums, {gaps} gaps");
    check(folder.path());
}

#[test]
fn a_venue_that_cannot_be_kept_is_played_from_the_beginning() {
    let folder = folder();
    let recorder = recorder(folder.path(), 20_000);
    let source = |venue: &str| Source {
        venue: venue.to_owned(),
        format: JSON.to_owned(),
        address: String::new(),
        name: String::new(),
    };
    let source = recorder.handle().source(source("OKX")).expect("few");
    for time in 0..100 {
        assert!(recorder.handle().record(Some(source), Timestamp(time), Body::Received(b"{}")));
    }
    recorder.stop().expect("room");
    let files: Vec<PathBuf> = vec![folder.path().to_owned()];
    let settings = |from| ReplaySettings {
        files: files.clone(),
        from,
        checkpoint_records: Some(10),
        ..ReplaySettings::default()
    };
    for from in [None, Some(Timestamp(90))] {
        let mut replay = Replay::open(&settings(from)).expect("sound");
        assert_eq!(replay.take_state(), None);
        let mut read = 0;
        while let Progress::Message { .. } = replay.next_message(&mut Vec::new()).expect("sound") {
            read += 1;
            if replay.wants_state() {
                replay.keep_state(&[]);
            }
        }
        assert_eq!(read, 100);
    }
    assert!(!folder.path().join("checkpoints").exists());
}
