use std::path::Path;

use proptest::prelude::*;

use super::writer::{CONTAINERS, Container, NANOSECONDS, Writer, ethernet, frame, ipv4, ipv6, udp};
use super::*;

const BLOCKS: Container = Container::Blocks { is_big_endian: false };

/// Time, port and payload.
type Told = (i64, u16, Vec<u8>);

/// Every datagram, and what ended them.
fn read(path: &Path) -> (Vec<Told>, Option<FeedError>) {
    let mut found = Vec::new();
    let mut datagrams = match Datagrams::open(path) {
        Ok(datagrams) => datagrams,
        Err(error) => return (found, Some(error)),
    };
    loop {
        match datagrams.next_datagram() {
            Ok(Some(datagram)) => {
                found.push((datagram.time.0, datagram.to.port(), datagrams.payload(&datagram).to_vec()));
            }
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

fn saved(writer: &Writer, check: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    check(&writer.save(folder.path(), "a.pcap"));
}

fn damage(path: &Path) -> (u64, String) {
    match read(path).1 {
        Some(FeedError::Damaged { path: named, offset, reason }) => {
            assert_eq!(named, path);
            (offset, reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_container_gives_the_same_datagrams() {
    const TIME: i64 = 1_577_716_200_123_456_000;
    for container in CONTAINERS {
        let mut writer = Writer::new(container);
        writer.packet(TIME, &frame(1, 26_477, b"one")).packet(TIME + 1_000, &frame(1, 7, b""));
        for name in ["a.pcap", "a.pcap.gz", "a.pcap.zst"] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let path = writer.save(folder.path(), name);
            assert!(is_capture(&writer.bytes));
            let (found, error) = read(&path);
            assert!(error.is_none(), "{container:?}: {error:?}");
            assert_eq!(found, [(TIME, 26_477, b"one".to_vec()), (TIME + 1_000, 7, Vec::new())]);
        }
    }
}

#[test]
fn datagrams_are_found_behind_every_kind_of_link() {
    let v4 = ipv4(1, &udp(5, b"x"));
    let v6 = ipv6(1, &udp(5, b"x"));
    let prefixed = |prefix: &[u8], packet: &[u8]| [prefix, packet].concat();
    for (link, packet) in [
        (1, ethernet(&[], 0x0800, &v4)),
        (1, ethernet(&[0x8100], 0x0800, &v4)),
        (1, ethernet(&[0x88a8, 0x8100], 0x86dd, &v6)),
        (101, v4.clone()),
        (12, v6.clone()),
        (228, v4.clone()),
        (229, v6.clone()),
        (0, prefixed(&[2, 0, 0, 0], &v4)),
        (108, prefixed(&[0, 0, 0, 30], &v6)),
        (113, prefixed(&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0], &v4)),
        (276, prefixed(&[&[0x86, 0xdd][..], &[0; 18]].concat(), &v6)),
    ] {
        let mut writer = Writer::of_link(NANOSECONDS, link);
        writer.packet(0, &packet);
        saved(&writer, |path| assert_eq!(read(path).0, [(0, 5, b"x".to_vec())], "link {link}"));
    }
}

#[test]
fn what_is_no_datagram_is_passed_over() {
    let good = ipv4(1, &udp(5, b"x"));
    let changed = |at: usize, to: u8| {
        let mut packet = good.clone();
        packet[at] = to;
        ethernet(&[], 0x0800, &packet)
    };
    let mut writer = Writer::new(NANOSECONDS);
    for packet in [
        ethernet(&[], 0x0806, &good),
        ethernet(&[0x8100; 5], 0x0800, &good),
        changed(0, 0x65),
        changed(0, 0x44),
        changed(6, 0x20),
        changed(7, 1),
        changed(9, 6),
        changed(3, 20),
        changed(25, 7),
        changed(25, 200),
        vec![0; 13],
        Vec::new(),
        frame(1, 6, b"y"),
    ] {
        writer.packet(0, &packet);
    }
    saved(&writer, |path| assert_eq!(read(path).0, [(0, 6, b"y".to_vec())]));
}

#[test]
fn a_pcapng_clock_may_have_any_resolution() {
    let packet = frame(1, 5, b"x");
    for (options, units, nanoseconds) in [
        (&[][..], 1_500_000, 1_500_000_000),
        (&[(9_u16, &[3_u8][..])], 1_500, 1_500_000_000),
        (&[(9, &[12])], 1_500_000_001_999, 1_500_000_001),
        (&[(9, &[0x80 | 32])], 3 << 31, 1_500_000_000),
        (&[(9, &[0]), (14, &(-2_i64).to_le_bytes())], 3, 1_000_000_000),
    ] {
        let mut writer = Writer::new(BLOCKS);
        writer.block(5, &[0; 8]).interface(1, options).block_packet(1, units, &packet, packet.len());
        saved(&writer, |path| assert_eq!(read(path).0, [(nanoseconds, 5, b"x".to_vec())], "{options:?}"));
    }
}

#[test]
fn sections_follow_each_other_in_either_byte_order() {
    let packet = frame(1, 5, b"x");
    let mut bytes = Vec::new();
    for is_big_endian in [true, false, true] {
        bytes.extend(Writer::new(Container::Blocks { is_big_endian }).packet(7, &packet).bytes.clone());
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.pcapng");
    std::fs::write(&path, bytes).expect("written");
    assert_eq!(read(&path).0, vec![(7, 5, b"x".to_vec()); 3]);
}

#[test]
fn damage_is_named_with_the_offset_of_its_record() {
    let packet = frame(1, 5, b"x");
    let record = 16 + packet.len() as u64;

    let mut writer = Writer::new(NANOSECONDS);
    writer.packet(0, &packet).packet(0, &packet);
    writer.bytes.truncate(writer.bytes.len() - 1);
    saved(&writer, |path| assert_eq!(damage(path).0, 24 + record));

    let mut writer = Writer::new(NANOSECONDS);
    writer.packet(0, &packet);
    writer.bytes.extend([0, 0, 0, 0, 0, 0xca, 0x9a, 0x3b, 0, 0, 0, 0, 0, 0, 0, 0]);
    saved(&writer, |path| {
        assert_eq!(
            damage(path),
            (24 + record, "a time with 1000000000 as the fraction of its second".to_owned())
        );
        assert_eq!(read(path).0.len(), 1);
    });

    let mut writer = Writer::new(NANOSECONDS);
    writer.bytes.extend([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 1, 0, 4, 0]);
    saved(&writer, |path| {
        assert_eq!(damage(path), (24, "a packet of 262145 bytes, more than 262144".to_owned()))
    });

    let block = |change: fn(&mut Vec<u8>, usize)| {
        let mut writer = Writer::new(BLOCKS);
        let offset = writer.bytes.len();
        writer.packet(0, &packet);
        change(&mut writer.bytes, offset);
        let mut found = None;
        saved(&writer, |path| found = Some(damage(path)));
        let (at, reason) = found.expect("damage");
        assert_eq!(at, offset as u64, "{reason}");
        reason
    };
    assert!(block(|bytes, at| bytes[at + 4] += 1).contains("a block of"));
    assert!(block(|bytes, at| bytes[at + 7] = 0xff).contains("more than"));
    assert!(block(|bytes, at| bytes[at + 8] = 1).contains("interface 1, where its section has 1"));
    assert!(block(|bytes, at| bytes[at + 21] = 9).contains("in a block with room for"));
    assert!(block(|bytes, at| bytes[at] = 3).contains("no time"));
    assert!(block(|bytes, _| *bytes.last_mut().expect("there") = 1).contains("closes with"));
    assert!(block(|bytes, at| bytes[at + 12..at + 20].fill(0xff)).contains("64 bits"));
}

/// `tcpdump -s 40` leaves not even the ports.
#[test]
fn a_capture_that_cut_its_packets_says_so() {
    let whole = frame(1, 5, b"abcdefgh");
    for container in CONTAINERS {
        let mut writer = Writer::new(container);
        writer.packet(1, &ethernet(&[], 0x0806, &[0; 28]));
        let offset = writer.bytes.len();
        writer.cut_packet(2, &whole[..40], whole.len()).cut_packet(3, &whole[..44], whole.len());
        saved(&writer, |path| {
            let error =
                identify(path, |payload| (payload == b"abcdefgh").then_some(())).expect_err("nothing known");
            let cut =
                format!("cut 2 of its packets, the first of them at byte {offset}: capture whole packets");
            assert!(error.to_string().contains(&cut), "{error}");
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever bytes there are: no panic, and either an end or an error within the file.
    #[test]
    fn no_bytes_make_it_panic(
        container in prop::sample::select(CONTAINERS.to_vec()),
        tail in prop::collection::vec(any::<u8>(), 0..200),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut writer = Writer::new(container);
        writer.packet(1, &frame(1, 5, b"abcdefgh"));
        writer.packet(2, &ethernet(&[0x8100], 0x86dd, &ipv6(1, &udp(6, b"xyz"))));
        writer.bytes.extend(tail);
        for (index, value) in flips {
            let at = index.index(writer.bytes.len());
            writer.bytes[at] ^= value;
        }
        writer.bytes.truncate(cut.index(writer.bytes.len()) + 1);
        let length = writer.bytes.len() as u64;
        saved(&writer, |path| match read(path).1 {
            None | Some(FeedError::UnknownFormat { .. }) => {}
            Some(FeedError::Damaged { offset, .. }) => assert!(offset <= length),
            Some(other) => panic!("{other}"),
        });
    }
}
