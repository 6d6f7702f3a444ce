use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::format::pcap::Datagrams;
use crate::format::pcap::writer::{NANOSECONDS, Writer, frame};
use crate::shared::shared;
use crate::{Level, Price, Side, Size, TradingStatus};

const TIME: i64 = 1_783_944_063_000_000_000;
const PORT: u16 = 10_378;
const TOPS: u16 = 0x8003;
const DEEP: u16 = 0x8004;
const TOPS_FILE: &str = "iex/tops-20260713-first55min.pcap.zst";
const DEEP_FILE: &str = "iex/deep-20260713-first55min.pcap.zst";

fn packet(protocol: u16, session: u32, first: u64, messages: &[Vec<u8>]) -> Vec<u8> {
    let body: Vec<u8> = messages
        .iter()
        .flat_map(|message| {
            let length = u16::try_from(message.len()).expect("short").to_le_bytes();
            [&length[..], message].concat()
        })
        .collect();
    let mut bytes = vec![1, 0];
    bytes.extend(protocol.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(session.to_le_bytes());
    bytes.extend(u16::try_from(body.len()).expect("short").to_le_bytes());
    bytes.extend(u16::try_from(messages.len()).expect("few").to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(first.to_le_bytes());
    bytes.extend(TIME.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// A message about a symbol, at a time after [`TIME`].
fn message(kind: u8, code: u8, after: i64, symbol: &str, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = vec![kind, code];
    bytes.extend((TIME + after).to_le_bytes());
    bytes.extend(format!("{symbol:<8}").into_bytes());
    bytes.extend(fields.concat());
    bytes
}

fn system(code: u8) -> Vec<u8> {
    [&[b'S', code][..], &TIME.to_le_bytes()].concat()
}

fn bid(flag: u8, symbol: &str, price: i64, size: u32) -> Vec<u8> {
    message(b'8', flag, 1, symbol, &[&size.to_le_bytes(), &price.to_le_bytes()])
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn save(folder: &TempDir, packets: &[Vec<u8>]) -> PathBuf {
    let mut writer = Writer::new(NANOSECONDS);
    for (time, packet) in (TIME..).zip(packets) {
        writer.packet(time, &frame(1, PORT, packet));
    }
    writer.save(folder.path(), "a.pcap")
}

type Told = (i64, String, EventBody);

fn read(path: &Path) -> (IexReader, Vec<Vec<Told>>, Option<FeedError>) {
    let mut reader = IexReader::open(path).expect("a capture");
    let mut messages = Vec::new();
    let end = loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                assert!(events.iter().all(|event| event.ts_recv <= time));
                let name =
                    |event: &MarketEvent| reader.instruments()[event.symbol.index()].symbol.to_string();
                messages.push(
                    events.iter().map(|event| (event.ts_event.0, name(event), event.body.clone())).collect(),
                );
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(reader.next_message(&mut Vec::new()).expect("over"), None);
    (reader, messages, end)
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

#[test]
fn every_message_becomes_what_it_says() {
    let (price, size) = (1_890_500_i64.to_le_bytes(), 300_u32.to_le_bytes());
    let (ask, ask_size) = (1_891_000_i64.to_le_bytes(), 0_u32.to_le_bytes());
    let messages = [
        system(b'O'),
        message(b'D', 0, 2, "AAPL", &[&[100, 0, 0, 0], &price, &[1]]),
        message(b'H', b'P', 3, "AAPL", &[b"LUDP"]),
        message(b'O', b'O', 4, "AAPL", &[]),
        message(b'H', b'T', 5, "AAPL", &[b"    "]),
        message(b'O', b'N', 6, "AAPL", &[]),
        message(b'Q', 0, 7, "AAPL", &[&size, &price, &ask, &ask_size]),
        bid(1, "AAPL", 1_890_500, 300),
        message(b'5', 1, 9, "ZVZZT", &[&ask_size, &ask]),
        message(b'T', 0x20, 10, "AAPL", &[&size, &price, &77_u64.to_le_bytes()]),
        message(b'B', 0, 11, "AAPL", &[&size, &price, &77_u64.to_le_bytes()]),
        message(b'X', b'M', 12, "AAPL", &[&price]),
        message(b'I', b' ', 13, "AAPL", &[]),
        // Of a later version: a longer message, and one of an unknown type.
        message(b'H', b'H', 14, "AAPL", &[b"T1  ", b"more"]),
        b"?new".to_vec(),
        system(b'M'),
    ];
    let folder = folder();
    let (reader, found, end) = read(&save(&folder, &[packet(DEEP, 1, 1, &messages)]));
    assert!(end.is_none(), "{end:?}");
    assert_eq!(reader.messages(), messages.len() as u64);
    assert_eq!(reader.unused_messages(), &[(b'S', 1), (b'B', 1), (b'X', 1), (b'I', 1), (b'?', 1)].into());
    let status = |status, reason: &str| EventBody::Status { status, reason: reason.to_owned() };
    let one = |after: i64, name: &str, body| vec![(TIME + after, name.to_owned(), body)];
    let instrument = reader.instruments()[0].clone();
    assert_eq!((instrument.price_exponent.get(), instrument.size_exponent.get()), (-4, 0));
    let expected = [
        vec![],
        one(2, "AAPL", EventBody::Definition(Box::new(instrument))),
        one(3, "AAPL", status(TradingStatus::Auction, "LUDP")),
        one(4, "AAPL", status(TradingStatus::Halted, "")),
        one(5, "AAPL", status(TradingStatus::Halted, "")),
        one(6, "AAPL", status(TradingStatus::Trading, "")),
        one(7, "AAPL", EventBody::Quote { bid: Some(level(1_890_500, 300)), ask: None }),
        one(1, "AAPL", EventBody::LevelSet { side: Side::Bid, level: level(1_890_500, 300) }),
        one(9, "ZVZZT", EventBody::LevelSet { side: Side::Ask, level: level(1_891_000, 0) }),
        one(
            10,
            "AAPL",
            EventBody::Trade(crate::Trade {
                price: Price(1_890_500),
                size: Size(300),
                aggressor: crate::Aggressor::None,
                id: Some(77),
            }),
        ),
        vec![],
        vec![],
        vec![],
        one(14, "AAPL", status(TradingStatus::Halted, "T1")),
        vec![],
        ["AAPL", "ZVZZT"].map(|name| (TIME, name.to_owned(), status(TradingStatus::Closed, ""))).to_vec(),
    ];
    assert_eq!(found, expected);
}

#[test]
fn an_event_of_several_levels_comes_at_once() {
    let trade = |symbol| message(b'T', 0, 1, symbol, &[&[1, 0, 0, 0], &[1; 8], &[0; 8]]);
    let packets = [
        packet(DEEP, 1, 1, &[bid(1, "A", 10, 1), bid(0, "A", 10, 0), trade("A"), bid(0, "A", 9, 0)]),
        packet(
            DEEP,
            1,
            5,
            &[bid(1, "A", 8, 5), bid(0, "A", 8, 0), bid(0, "B", 7, 1), trade("C"), trade("C")],
        ),
        packet(DEEP, 1, 10, &[bid(0, "A", 8, 0)]),
        packet(DEEP, 1, 12, &[bid(0, "A", 7, 1)]),
    ];
    let folder = folder();
    let (reader, found, end) = read(&save(&folder, &packets));
    assert!(end.is_none());
    let shown: Vec<usize> = found.iter().map(Vec::len).collect();
    // Of the gap one event for each instrument.
    assert_eq!(shown, [1, 4, 3, 1, 4, 1]);
    assert_eq!((reader.messages(), reader.lost_messages()), (11, 1));
    assert!(found[4][1..].iter().all(|(.., body)| *body == EventBody::Gap { expected: 11, found: 12 }));
}

#[test]
fn streams_are_numbered_apart_and_a_new_session_voids_the_books() {
    let packets = [
        packet(DEEP, 1, 1, &[bid(1, "A", 10, 1)]),
        packet(TOPS, 1, 1, &[message(b'I', b' ', 1, "B", &[])]),
        packet(TOPS, 1, 4, &[message(b'I', b' ', 1, "B", &[])]),
        packet(DEEP, 1, 2, &[bid(1, "A", 10, 1)]),
        packet(DEEP, 2, 1, &[bid(1, "B", 10, 1)]),
        packet(DEEP, 2, 2, &[]),
    ];
    let folder = folder();
    let (reader, found, _) = read(&save(&folder, &packets));
    assert_eq!(reader.messages(), 5);
    assert_eq!((reader.lost_messages(), reader.duplicate_packets()), (2, 0));
    let gaps: Vec<_> = found
        .iter()
        .flatten()
        .filter(|(.., body)| matches!(body, EventBody::Gap { .. } | EventBody::BookClear))
        .map(|(_, name, body)| (name.as_str(), body.clone()))
        .collect();
    let gap = EventBody::Gap { expected: 2, found: 4 };
    assert_eq!(gaps, [("A", EventBody::BookClear), ("B", gap)]);
}

#[test]
fn damage_is_named_and_what_stands_before_it_is_read() {
    let folder = folder();
    let good = packet(DEEP, 1, 1, &[bid(1, "A", 10, 1)]);
    let open = packet(DEEP, 1, 2, &[bid(0, "A", 10, 1)]);
    let record = |packet: &[u8]| 16 + 42 + packet.len() as u64;
    let mut short = packet(DEEP, 1, 3, &[bid(0, "A", 10, 1)]);
    short[12] += 1;
    let mut version = good.clone();
    version[2] = 5;
    for (bad, reason) in [
        (short, "not just 1 messages"),
        (version, "protocol 0x8005"),
        (vec![0; 39], "a datagram of 39 bytes"),
        (packet(DEEP, 1, 3, &[b"8".to_vec()]), "type `8` with 1 bytes, where it has 30"),
        (packet(DEEP, 1, 3, &[vec![]]), "a message of no bytes"),
        (packet(DEEP, 1, 3, &[message(b'I', b' ', 1, "A B", &[])]), "symbol `A B`"),
        (packet(DEEP, 1, 3, &[message(b'H', b'?', 1, "A", &[b"    "])]), "`?` for its status"),
    ] {
        let path = save(&folder, &[good.clone(), open.clone(), bad]);
        let (_, found, end) = read(&path);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1], "{reason}");
        match end {
            Some(FeedError::Damaged { path: named, offset, reason: why }) => {
                assert_eq!((named, offset), (path, 24 + record(&good) + record(&open)));
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sequence_numbers_and_stream_offsets_of_the_real_captures_have_no_gap() {
    for (name, count) in [(TOPS_FILE, 69_987), (DEEP_FILE, 58_403)] {
        let Some(path) = shared(name) else { continue };
        let mut datagrams = Datagrams::open(&path).expect("a capture");
        let (mut number, mut place) = (1, 0);
        while let Some(datagram) = datagrams.next_datagram().expect("whole") {
            let payload = datagrams.payload(&datagram);
            let header = (PROTOCOL.read_header)(0, payload).expect("IEX-TP");
            let offset = u64::from_le_bytes(payload[16..24].try_into().expect("8 bytes"));
            assert_eq!((header.first, offset), (number, place), "{name}");
            number += u64::from(header.count);
            place += header.messages.len() as u64;
        }
        assert_eq!(number - 1, count, "{name}");
        let (reader, _, end) = read(&path);
        assert!(end.is_none(), "{name}: {end:?}");
        assert_eq!((reader.messages(), reader.lost_messages(), reader.duplicate_packets()), (count, 0, 0));
        assert_eq!(reader.foreign_datagrams(), 0);
    }
}

/// Levels by price, by side.
#[derive(Default)]
struct Book([BTreeMap<i64, i64>; 2]);

impl Book {
    /// The best price at which a round lot has come together, and the size up to there.
    fn best(&self, side: usize) -> Option<Level> {
        let levels: Vec<_> =
            if side == 0 { self.0[0].iter().rev().collect() } else { self.0[1].iter().collect() };
        let mut sum = 0;
        for (price, size) in levels {
            sum += size;
            let lot = if *price > 2_500_000 { 40 } else { 100 };
            if sum >= lot {
                return Some(level(*price, sum));
            }
        }
        None
    }
}

/// The best bid and offer that DEEP's levels make are the quotes of TOPS, one by one, for every symbol quoted in both.
#[test]
fn deep_and_tops_tell_the_same_quotes() {
    let (Some(tops), Some(deep)) = (shared(TOPS_FILE), shared(DEEP_FILE)) else { return };
    type Quotes = BTreeMap<String, Vec<(Option<Level>, Option<Level>)>>;
    let put = |quotes: &mut Quotes, name: &str, bid, ask| {
        let of_symbol = quotes.entry(name.to_owned()).or_default();
        if of_symbol.last() != Some(&(bid, ask)) {
            of_symbol.push((bid, ask));
        }
    };
    let (mut quoted, mut quotes) = (Quotes::new(), 0);
    for (_, name, body) in read(&tops).1.iter().flatten() {
        if let EventBody::Quote { bid, ask } = body {
            quotes += 1;
            put(&mut quoted, name, *bid, *ask);
        }
    }
    let (mut built, mut books) = (Quotes::new(), BTreeMap::<String, Book>::new());
    let mut levels = 0;
    for message in read(&deep).1 {
        let mut changed = None;
        for (_, name, body) in message {
            if let EventBody::LevelSet { side, level } = body {
                levels += 1;
                let side = &mut books.entry(name.clone()).or_default().0[usize::from(side == Side::Ask)];
                side.insert(level.price.0, level.size.0);
                side.retain(|_, size| *size != 0);
                changed = Some(name);
            }
        }
        if let Some(name) = changed {
            let book = &books[&name];
            put(&mut built, &name, book.best(0), book.best(1));
        }
    }
    // TOPS quotes every symbol once as empty, before the day begins.
    let nothing = (None, None);
    let trim = |quotes: &[(Option<Level>, Option<Level>)]| match quotes {
        [first, rest @ ..] if *first == nothing => rest.to_vec(),
        quotes => quotes.to_vec(),
    };
    let mut equal = 0;
    let mut compared = 0;
    for (name, quotes) in built.iter().filter(|(name, _)| quoted.contains_key(*name)) {
        assert_eq!(trim(quotes), trim(&quoted[name]), "{name}");
        equal += 1;
        compared += trim(quotes).len();
    }
    // The list of the data set tells of 381 symbols and 135,035 quotes, which is more than these captures hold.
    assert_eq!((quotes, levels), (17_512, 5_928));
    assert_eq!((equal, compared), (313, 4_493));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_make_it_panic(
        order in prop::collection::vec(0_usize..5, 1..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0_usize..200,
    ) {
        let packets = [
            packet(DEEP, 1, 1, &[bid(1, "A", 10, 1), bid(0, "A", 10, 0)]),
            packet(DEEP, 1, 3, &[bid(1, "B", 10, 1), message(b'H', b'T', 0, "C", &[b"    "])]),
            packet(DEEP, 1, 5, &[]),
            packet(TOPS, 1, 1, &[message(b'I', b' ', 1, "B", &[])]),
            packet(DEEP, 1, 5, &[message(b'D', 0, 2, "A", &[&[0; 13]]), system(b'M')]),
        ];
        let mut writer = Writer::new(NANOSECONDS);
        for index in order {
            writer.packet(TIME, &frame(1, PORT, &packets[index]));
        }
        let length = writer.bytes.len();
        for (index, value) in flips {
            writer.bytes[index.index(length)] ^= value;
        }
        writer.bytes.truncate(length.saturating_sub(cut));
        let folder = folder();
        let path = writer.save(folder.path(), "a.pcap");
        if let Ok(mut reader) = IexReader::open(&path) {
            let mut events = Vec::new();
            loop {
                match reader.next_message(&mut events) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(FeedError::Damaged { offset, .. }) => {
                        prop_assert!(offset <= length as u64);
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            prop_assert!(events.iter().all(|event| event.symbol.index() < reader.instruments().len()));
        }
    }
}
