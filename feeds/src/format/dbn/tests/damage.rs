//! Files that are cut off, flipped, or lie about their lengths.

use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::limits::DBN_METADATA_BYTES_MAX;

/// A file with a record of every type that has a layout of its own in some version.
fn every_type(version: u8) -> Vec<u8> {
    let mut file = Writer::with(&metadata(version, vec![mapping("ESM4", &[(NOON - DAY, NOON + DAY, ESM4)])]));
    file.record(&mbo(1, b'A', b'B', 1, ONE, 3));
    match version {
        1 => file
            .record(&dbn::v1::InstrumentDefMsg { ts_recv: NOON, ..Default::default() })
            .record(&dbn::v1::StatMsg::default())
            .record(&dbn::v1::SymbolMappingMsg::default())
            .record(&dbn::v1::SystemMsg::default()),
        2 => file
            .record(&dbn::v2::InstrumentDefMsg { ts_recv: NOON, ..Default::default() })
            .record(&dbn::v2::StatMsg::default())
            .record(&SymbolMappingMsg::default())
            .record(&dbn::v2::SystemMsg::default()),
        _ => file
            .record(&InstrumentDefMsg { ts_recv: NOON, ..Default::default() })
            .record(&StatMsg::default())
            .record(&SymbolMappingMsg::default())
            .record(&dbn::v3::SystemMsg::default()),
    };
    let hd = RecordHeader::new::<OhlcvMsg>(rtype::OHLCV_1M, GLBX, ESM4, NOON);
    let action = b'A'.cast_signed();
    file.record(&Mbp1Msg { ts_recv: NOON, action, ..Mbp1Msg::default() })
        .record(&Mbp10Msg { ts_recv: NOON, action, ..Mbp10Msg::default() })
        .record(&OhlcvMsg { hd, open: ONE, high: ONE, low: ONE, close: ONE, volume: 1 })
        .record(&StatusMsg { ts_recv: NOON, ..StatusMsg::default() })
        .record(&mbo(2, b'C', b'B', 1, ONE, 3));
    file.bytes().to_vec()
}

/// Where each record begins, and where the file ends.
fn offsets(bytes: &[u8]) -> Vec<usize> {
    let mut offset = 8 + u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes")) as usize;
    let mut offsets = vec![offset];
    while offset < bytes.len() {
        offset += usize::from(bytes[offset]) * 4;
        offsets.push(offset);
    }
    offsets
}

/// Plays a file to its end: how many records it read, and what it ended with.
fn survive(bytes: &[u8]) -> (u64, Option<FeedError>) {
    let saved = save(bytes);
    let mut reader = match DbnReader::open(&saved.path) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut events = Vec::new();
    loop {
        match reader.next_message(&mut events) {
            Ok(Some(_)) => events.clear(),
            Ok(None) => return (reader.messages(), None),
            Err(error) => return (reader.messages(), Some(error)),
        }
    }
}

fn offset(error: Option<&FeedError>) -> Option<u64> {
    match error {
        Some(FeedError::Damaged { offset, .. }) => Some(*offset),
        Some(FeedError::Io { offset, .. }) => *offset,
        _ => None,
    }
}

#[test]
fn whole_files_of_all_versions_are_read() {
    for version in 1..=3 {
        let bytes = every_type(version);
        let (records, end) = survive(&bytes);
        assert!(end.is_none(), "version {version}: {end:?}");
        assert_eq!(records + 1, offsets(&bytes).len() as u64, "version {version}");
    }
}

#[test]
fn a_file_cut_off_anywhere_says_where() {
    for version in 1..=3 {
        let bytes = every_type(version);
        let offsets = offsets(&bytes);
        for length in 0..bytes.len() {
            let (records, end) = survive(&bytes[..length]);
            let whole = offsets.iter().filter(|offset| **offset <= length).count();
            if offsets.contains(&length) {
                assert!(end.is_none(), "{length}: {end:?}");
                assert_eq!(records + 1, whole as u64, "{length}");
            } else if let Some(begun) = whole.checked_sub(1) {
                assert_eq!(offset(end.as_ref()), Some(offsets[begun] as u64), "{length}: {end:?}");
                assert_eq!(records, begun as u64, "{length}");
            } else {
                assert!(
                    offset(end.as_ref()).is_some_and(|offset| offset <= length as u64),
                    "{length}: {end:?}"
                );
            }
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_kept() {
    let good = every_type(3);
    let first = offsets(&good)[0];
    for (at, byte, reason) in [
        (0, b'X', "begins with `XBN`"),
        (3, 0, "version 0"),
        (3, 4, "version 4"),
        (7, 0xff, "metadata of 42"),
        (5, 0, "metadata of"),
        (8 + 45, 0, "symbols of 0 bytes"),
        (first, 0, "a record of 0 bytes"),
        (first, 3, "a record of 12 bytes"),
        (first, 13, "has 52 bytes, where version 3 has 56"),
        (first, 255, "has 1020 bytes, where version 3 has 56"),
        (first + 38, b'?', "Action"),
        (first + 39, b'?', "Side"),
        (first + 15, 0xfe, "is past 2262"),
    ] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let (_, end) = survive(&bytes);
        let expected = if at < first { 0 } else { first as u64 };
        assert_eq!(offset(end.as_ref()), Some(expected), "{reason}: {end:?}");
        let text = end.expect("damage").to_string();
        assert!(text.contains(reason), "{reason}: {text}");
    }
    assert!(DBN_METADATA_BYTES_MAX < u32::MAX as usize);
}

#[test]
fn a_record_that_would_put_the_next_out_of_step_is_damage() {
    let mut bytes = every_type(1);
    let first = offsets(&bytes)[0];
    // Of a type that is not known, once of as many words as records may have, once of one too many.
    for (words, reads) in [(8, true), (9, false)] {
        let mut unknown = vec![0; words * 4];
        unknown[..2].copy_from_slice(&[u8::try_from(words).expect("few"), 9]);
        let with = [&bytes[..first], &unknown, &bytes[first..]].concat();
        let (records, end) = survive(&with);
        assert_eq!(end.is_none(), reads, "{end:?}");
        if let Some(error) = end {
            assert_eq!((records, offset(Some(&error))), (0, Some(first as u64)), "{error}");
            assert!(error.to_string().contains("36 bytes, which are no multiple of 8"), "{error}");
        }
    }
    bytes.truncate(first);
    assert!(survive(&bytes).1.is_none());
}

#[test]
fn a_short_definition_of_an_old_version_is_damage_and_no_panic() {
    for version in 1..=2 {
        let mut bytes = every_type(version);
        let definition = offsets(&bytes)[1];
        bytes[definition] = 4;
        let (records, end) = survive(&bytes);
        assert_eq!((records, offset(end.as_ref())), (1, Some(definition as u64)), "{end:?}");
    }
}

#[test]
fn damaged_compression_says_where() {
    let mut packed = Vec::new();
    let mut encoder = zstd::Encoder::new(&mut packed, 1).expect("an encoder");
    encoder.include_checksum(true).expect("a checksum");
    encoder.write_all(&every_type(3)).expect("written");
    encoder.finish().expect("written");
    assert!(survive(&packed).1.is_none());
    for cut in [packed.len() - 1, packed.len() / 2] {
        let end = survive(&packed[..cut]).1;
        assert!(offset(end.as_ref()).is_some(), "{cut}: {end:?}");
    }
    let last = packed.len() - 1;
    packed[last] ^= 1;
    assert!(matches!(survive(&packed).1, Some(FeedError::Io { .. })), "the checksum is not looked at");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn flipped_bits_are_read_or_refused_with_an_offset(
        version in 1..4_u8,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = every_type(version);
        for (index, bit) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= 1 << bit;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (_, end) = survive(&bytes);
        if let Some(error) = end {
            prop_assert!(offset(Some(&error)).is_some_and(|offset| offset <= bytes.len() as u64), "{}", error);
        }
    }
}
