use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::ItchReader;
use super::super::writer::{message, padded};
use super::*;
use crate::Input;
use crate::format::itch::writer::Writer as ItchWriter;
use crate::format::pcap::writer::{Container, NANOSECONDS, Writer, ethernet, frame, ipv6, udp};
use crate::shared::shared;

/// 10:00 in New York on the day of most of the shared files.
const TEN: i64 = 1_577_718_000_000_000_000;
const PORT: u16 = 26_477;
const SECOND: i64 = 1_000_000_000;

/// A packet of messages with its first number, before it is put into frames.
#[derive(Clone)]
struct Packet {
    first: u64,
    bytes: Vec<u8>,
}

fn mold(session: &[u8; 10], first: u64, count: u16, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = session.to_vec();
    bytes.extend(first.to_be_bytes());
    bytes.extend(count.to_be_bytes());
    for message in messages {
        bytes.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
        bytes.extend(message);
    }
    bytes
}

/// Packs messages from number 1 on, as many to a packet as `sizes` says in turn.
fn pack(messages: &[Vec<u8>], sizes: &[usize]) -> Vec<Packet> {
    let (mut packets, mut first) = (Vec::new(), 1);
    let mut rest = messages;
    for size in sizes.iter().cycle() {
        let (now, later) = rest.split_at((*size).min(rest.len()));
        if now.is_empty() {
            return packets;
        }
        let count = u16::try_from(now.len()).expect("few");
        packets.push(Packet { first, bytes: mold(b"000000001A", first, count, now) });
        first += u64::from(count);
        rest = later;
    }
    packets
}

/// The messages of an ITCH file, without their lengths.
fn messages_of(path: &Path) -> Vec<Vec<u8>> {
    let mut input = Input::open(path).expect("a file");
    let (mut messages, mut length) = (Vec::new(), [0; 2]);
    while input.read_exact_or_end(&mut length).expect("whole") {
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        assert!(input.read_exact_or_end(&mut message).expect("whole"));
        messages.push(message);
    }
    messages
}

/// An event without the time of receipt and the numbering of instruments.
type Told = (i64, String, EventBody);

fn told(events: &[MarketEvent], instruments: &[Instrument]) -> Vec<Told> {
    let name = |event: &MarketEvent| instruments[event.symbol.index()].symbol.to_string();
    events.iter().map(|event| (event.ts_event.0, name(event), event.body.clone())).collect()
}

/// The events of a capture by message, and what ended it.
fn read(path: &Path) -> (ItchPacketReader, Vec<Vec<Told>>, Option<FeedError>) {
    let mut reader = ItchPacketReader::open(path).expect("a capture with a whole first message");
    let mut messages = Vec::new();
    let end = loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                assert!(events.iter().all(|event| event.ts_recv == time));
                messages.push(told(&events, reader.instruments()));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(reader.next_message(&mut Vec::new()).expect("over"), None);
    (reader, messages, end)
}

fn read_plain(path: &Path) -> Vec<Vec<Told>> {
    let mut reader = ItchReader::open(path).expect("a file");
    let mut messages = Vec::new();
    let mut events = Vec::new();
    while reader.next_message(&mut events).expect("whole").is_some() {
        messages.push(told(&events, reader.instruments()));
        events.clear();
    }
    messages
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Saves frames, one each microsecond.
fn save(folder: &TempDir, frames: &[Vec<u8>]) -> PathBuf {
    let mut writer = Writer::new(NANOSECONDS);
    for (time, frame) in (TEN..).step_by(1_000).zip(frames) {
        writer.packet(time, frame);
    }
    writer.save(folder.path(), "a.pcap")
}

fn frames(packets: &[Packet]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| frame(1, PORT, &packet.bytes)).collect()
}

/// Seven messages: two stocks, orders, a trade of the day's end.
fn small() -> Vec<Vec<u8>> {
    let mut file = ItchWriter::default();
    file.directory(1, 1, "AAPL").directory(2, 2, "MSFT").add(1, 3, "AAPL", 7).add(2, 4, "MSFT", 8);
    file.delete(1, 5, 7).add(2, 6, "MSFT", 9).delete(2, 7, 8);
    let folder = folder();
    messages_of(&file.save(folder.path(), "a.itch"))
}

fn small_told() -> Vec<Vec<Told>> {
    let mut file = ItchWriter::default();
    for message in small() {
        file.0.extend(u16::try_from(message.len()).expect("short").to_be_bytes());
        file.0.extend(message);
    }
    let folder = folder();
    read_plain(&file.save(folder.path(), "20191230.itch"))
}

#[test]
fn packets_of_real_files_give_the_events_of_the_files() {
    for name in [
        "itch/nasdaq-20191230-0930-1000msgs.itch",
        "itch/nasdaq-20191230-directory-1000msgs.itch",
        "itch/nasdaq-20200130-AAPL-first4000.itch",
        "itch/ritch-bx-20191230-obfuscated.reframed.itch.zst",
    ] {
        let Some(path) = shared(name) else { continue };
        let expected = read_plain(&path);
        let messages = messages_of(&path);
        let noon = if name.contains("20200130") { TEN + 31 * 86_400 * SECOND } else { TEN };
        let packets = pack(&messages, &[1, 7, 30, 2, 13]);
        let folder = folder();
        for (container, suffix) in [
            (NANOSECONDS, "pcap"),
            (Container::Records { is_big_endian: true, is_nanoseconds: false }, "pcap.gz"),
            (Container::Blocks { is_big_endian: false }, "pcapng.zst"),
        ] {
            // Lines A and B, each of which loses packets that the other has, and overtakes itself and the other.
            let mut sent = Vec::new();
            for (place, packet) in packets.iter().enumerate() {
                let (a, b) = (frame(1, PORT, &packet.bytes), ipv6(2, &udp(PORT, &packet.bytes)));
                if place % 5 != 3 {
                    sent.push((place + place * 7 % 11, a));
                }
                if place % 5 != 1 {
                    sent.push((place + 9, ethernet(&[0x8100], 0x86dd, &b)));
                }
            }
            sent.sort_by_key(|(place, _)| *place);
            let mut writer = Writer::new(container);
            for (time, (_, frame)) in (noon..).step_by(1_000).zip(&sent) {
                writer.packet(time, frame);
            }
            let (reader, found, end) = read(&writer.save(folder.path(), &format!("a.{suffix}")));
            assert!(end.is_none(), "{name}: {end:?}");
            assert_eq!(reader.messages(), messages.len() as u64, "{name}");
            assert_eq!(reader.lost_messages(), 0);
            assert_eq!(reader.duplicate_packets(), (sent.len() - packets.len()) as u64);
            assert!(found == expected, "{name} in {container:?}");
        }
    }
}

#[test]
fn packets_that_are_missing_are_a_gap_of_every_instrument_of_their_stream() {
    for name in
        ["itch/nasdaq-20191230-0930-1000msgs.itch", "itch/ritch-bx-20191230-obfuscated.reframed.itch.zst"]
    {
        let Some(path) = shared(name) else { continue };
        let plain = read_plain(&path);
        let mut packets = pack(&messages_of(&path), &[10, 3]);
        let middle = packets.len() / 2;
        let missing = packets.remove(middle);
        let next = packets[middle].first;
        let folder = folder();
        let (reader, found, end) = read(&save(&folder, &frames(&packets)));
        assert!(end.is_none(), "{end:?}");
        let (lost, before) = (next - missing.first, usize::try_from(missing.first - 1).expect("small"));
        assert_eq!((reader.lost_messages(), reader.messages()), (lost, plain.len() as u64 - lost));
        assert!(found[..before] == plain[..before]);
        let gap = EventBody::Gap { expected: missing.first, found: next };
        assert_eq!(found[before].len(), reader.instruments().len());
        assert!(found[before].iter().all(|(_, _, body)| *body == gap));
        let names: Vec<_> = found[before].iter().map(|(_, name, _)| name.as_str()).collect();
        let all: Vec<_> = reader.instruments().iter().map(|instrument| instrument.symbol.as_str()).collect();
        assert_eq!(names, all);
        let after = usize::try_from(next - 1).expect("small");
        // A stock that only a lost message names is not known by name.
        let bodies = |told: &[Vec<Told>]| -> Vec<(i64, String, EventBody)> {
            let unnamed = |(time, name, body): &Told| (*time, name.clone(), body.clone());
            told.iter().flatten().filter(|(_, name, _)| !name.starts_with("LOCATE-")).map(unnamed).collect()
        };
        assert!(
            bodies(&found[before + 1..])
                .iter()
                .eq(bodies(&plain[after..]).iter().filter(|(_, name, _)| all.contains(&name.as_str())))
        );
    }
}

#[test]
fn heartbeats_and_the_end_of_a_session_tell_what_should_have_come() {
    let messages = small();
    let folder = folder();
    let heartbeat = |first, count| frame(1, PORT, &mold(b"000000001A", first, count, &[]));
    let packets = frames(&pack(&messages, &[7]));
    let quiet = [heartbeat(1, 0), packets[0].clone(), heartbeat(8, 0), heartbeat(8, 0xffff), heartbeat(5, 0)];
    let (reader, found, end) = read(&save(&folder, &quiet));
    assert!(end.is_none());
    assert_eq!(found, small_told());
    assert_eq!((reader.duplicate_packets(), reader.lost_messages(), reader.foreign_datagrams()), (0, 0, 1));

    let (reader, found, _) = read(&save(&folder, &[packets[0].clone(), heartbeat(10, 0xffff)]));
    assert_eq!(found[..7], small_told());
    let gap = |name: &str| (TEN + 1_000, name.to_owned(), EventBody::Gap { expected: 8, found: 10 });
    assert_eq!(found[7..], [[gap("AAPL"), gap("MSFT")]]);
    assert_eq!(reader.lost_messages(), 2);
}

#[test]
fn a_capture_may_begin_in_the_middle_of_a_session() {
    let messages = small();
    let folder = folder();
    let mut packets = frames(&pack(&messages, &[1]));
    packets.remove(0);
    packets.swap(0, 2);
    let (reader, found, _) = read(&save(&folder, &packets));
    assert_eq!(found, small_told()[1..].to_vec());
    assert_eq!(reader.lost_messages(), 0);
}

#[test]
fn sessions_and_ports_are_streams_of_their_own() {
    let messages = small();
    let folder = folder();
    let of = |session, port, from: usize, to: usize| {
        let count = u16::try_from(to - from).expect("few");
        frame(1, port, &mold(session, from as u64 + 1, count, &messages[from..to]))
    };
    let (one, other) = (b"000000001A", b"000000002A");
    let sent = [
        of(one, PORT, 0, 4),
        of(one, 7, 0, 3),
        frame(1, 9, b"something else altogether"),
        of(one, PORT, 4, 7),
        of(other, PORT, 0, 2),
        of(one, 7, 3, 4),
    ];
    let (reader, found, end) = read(&save(&folder, &sent));
    assert!(end.is_none());
    let names: Vec<_> = reader.instruments().iter().map(|instrument| instrument.symbol.as_str()).collect();
    assert_eq!(names, ["AAPL", "MSFT", "AAPL@7", "MSFT@7"]);
    assert_eq!((reader.messages(), reader.foreign_datagrams(), reader.lost_messages()), (13, 1, 0));
    let shown: Vec<Vec<_>> =
        found.iter().map(|told| told.iter().map(|(_, name, _)| name.as_str()).collect()).collect();
    assert_eq!(shown[..4], [["AAPL"], ["MSFT"], ["AAPL"], ["MSFT"]]);
    assert_eq!(shown[4..7], [["AAPL@7"], ["MSFT@7"], ["AAPL@7"]]);
    assert_eq!(shown[10..], [vec!["AAPL", "MSFT", "AAPL"], vec!["MSFT"], vec!["MSFT@7"]]);
    assert_eq!(found[10][0].2, EventBody::BookClear);
    assert!(found.iter().flatten().all(|(_, name, body)| match body {
        EventBody::Definition(defined) => defined.symbol.as_str() == name,
        _ => true,
    }));
}

#[test]
fn what_stands_before_the_damage_is_read_and_the_damage_is_named() {
    let messages = small();
    let folder = folder();
    let packets = frames(&pack(&messages, &[1]));
    let offset = |frames: &[Vec<u8>]| 24 + frames.iter().map(|frame| 16 + frame.len() as u64).sum::<u64>();
    let ends_at = |sent: &[Vec<u8>], at: u64, reason: &str| {
        let path = save(&folder, sent);
        let (_, found, end) = read(&path);
        match end {
            Some(FeedError::Damaged { path: named, offset, reason: why }) => {
                assert_eq!((named, offset), (path, at));
                assert!(why.contains(reason), "{why}");
            }
            other => panic!("{other:?}"),
        }
        found
    };

    // Packet 4 waits for 3 when the damage comes.
    let mut broken = mold(b"000000001A", 5, 2, &messages[4..5]);
    broken.extend([0, 200]);
    let sent = [packets[0].clone(), packets[1].clone(), packets[3].clone(), frame(1, PORT, &broken)];
    let found = ends_at(&sent, offset(&sent[..3]), "not just 2 messages");
    let told = small_told();
    assert_eq!(found[..2], told[..2]);
    assert_eq!(found[2][0].2, EventBody::Gap { expected: 3, found: 4 });
    assert_eq!(found[3..], told[3..4]);

    // A message that is none, in the middle of a packet.
    let unknown = message(b'?', 1, 9, &[]);
    let mixed = [messages[1].clone(), unknown, messages[2].clone()];
    let sent = [packets[0].clone(), frame(1, PORT, &mold(b"000000001A", 2, 3, &mixed))];
    assert_eq!(ends_at(&sent, offset(&sent[..1]), "unknown message type `?`"), told[..2]);

    let sent = [packets[0].clone(), frame(1, PORT, &mold(b"000000001A", u64::MAX, 1, &messages[1..2]))];
    assert_eq!(ends_at(&sent, offset(&sent[..1]), "from number 18446744073709551615"), told[..1]);

    let mut writer = Writer::new(NANOSECONDS);
    writer.packet(TEN, &packets[0]).cut_packet(TEN, &packets[1][..50], packets[1].len());
    let path = writer.save(folder.path(), "cut.pcap");
    let (_, found, end) = read(&path);
    assert_eq!(found, told[..1]);
    const HEADERS_BYTES: usize = 14 + 20 + 8;
    let whole = packets[1].len() - HEADERS_BYTES;
    let reason = format!(
        "only {} of a datagram's {whole} bytes were captured: capture whole packets",
        50 - HEADERS_BYTES
    );
    let end = end.expect("damage").to_string();
    assert!(end.contains(&format!("at byte {}: {reason}", offset(&sent[..1]))), "{end}");
}

#[test]
fn an_event_tells_the_venues_time_and_that_of_the_capture() {
    let add = message(
        b'A',
        1,
        36_000_000_000_001,
        &[&7_u64.to_be_bytes(), b"B", &5_u32.to_be_bytes(), &padded("AAPL"), &100_u32.to_be_bytes()],
    );
    let folder = folder();
    let path = save(&folder, &frames(&pack(&[add], &[1])));
    let mut reader = ItchPacketReader::open(&path).expect("a capture");
    let mut events = Vec::new();
    reader.next_message(&mut events).expect("a message");
    assert_eq!((events[0].ts_event.0, events[0].ts_recv.0), (TEN + 1, TEN));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens to a capture on its way: no panic, and what is told before the damage was there.
    #[test]
    fn no_bytes_make_it_panic(
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0_usize..200,
    ) {
        let packets = frames(&pack(&small(), &[1, 2]));
        let mut writer = Writer::new(NANOSECONDS);
        for index in &order {
            writer.packet(TEN, &packets[index.index(packets.len())]);
        }
        let length = writer.bytes.len();
        for (index, value) in flips {
            writer.bytes[index.index(length)] ^= value;
        }
        writer.bytes.truncate(length.saturating_sub(cut));
        let folder = folder();
        let path = writer.save(folder.path(), "a.pcap");
        if let Ok(mut reader) = ItchPacketReader::open(&path) {
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
