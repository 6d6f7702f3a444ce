//! Files that are cut or changed.

use std::fs;

use super::disk::segment_path;
use super::layout::{Frame, Seal, hex};
use super::*;

/// A recording in several segments, with its last segment closed or not, and how many records each block holds.
fn recording(folder: &Path, closes: bool) -> Vec<Kept> {
    let records: Vec<Kept> = (0..32)
        .map(|ts| Kept { source: Some(source(index(ts) % 2)), ..Kept::received(ts, &[b'x'; 9]) })
        .collect();
    let mut writer = writer(&settings(folder, 700));
    for (index, some) in records.chunks(BLOCK).enumerate() {
        writer.write(&mut batch(some, &sources(2 + index / 3))).expect("room");
    }
    if closes {
        writer.finish().expect("room");
    }
    records
}

const BLOCK: usize = 4;

fn last_segment(folder: &Path) -> PathBuf {
    let segments = read(folder).1.segments;
    assert!(segments > 2, "{segments}");
    segment_path(folder, segments)
}

#[test]
fn a_recording_that_was_cut_anywhere_has_all_its_whole_blocks_and_goes_on() {
    let folder = folder();
    let records = recording(folder.path(), false);
    let path = last_segment(folder.path());
    let before = records.len() - read(&path).0.len();
    let whole = fs::read(&path).expect("there");
    let mut most = 0;
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).expect("room");
        let (found, verified) = read(folder.path());
        assert_eq!(found, records[..found.len()], "cut at {cut}");
        assert!((found.len() - before).is_multiple_of(BLOCK) && found.len() >= most, "cut at {cut}");
        most = found.len();
        assert!(!verified.is_closed, "cut at {cut}");
        let ends: u64 = verified.cuts.iter().map(|one| one.offset + one.bytes).sum();
        assert!(verified.cuts.is_empty() || ends == cut as u64, "cut at {cut}: {verified:?}");

        for from in [records[0].ts, records[before].ts, records[before + BLOCK].ts, 31] {
            let expected = if index(from) >= found.len() { &[][..] } else { &found[index(from)..] };
            assert_eq!(read_from(folder.path(), Some(from)).expect("sound").0, expected, "cut at {cut}");
        }
    }
    assert_eq!(most, records.len());

    for cut in (0..=whole.len()).step_by(7) {
        let other = tempfile::tempdir().expect("a temporary folder");
        for entry in fs::read_dir(folder.path()).expect("there") {
            let from = entry.expect("there").path();
            fs::copy(&from, other.path().join(from.file_name().expect("a file"))).expect("room");
        }
        let path = other.path().join(path.file_name().expect("a file"));
        fs::write(&path, &whole[..cut]).expect("room");
        let found = read(other.path()).0;
        let again = recording(other.path(), true);
        assert_eq!(read(other.path()).0, [found, again].concat(), "cut at {cut}");
        assert!(read(other.path()).1.is_closed);
    }
}

#[test]
fn any_change_of_any_byte_is_noticed_and_placed() {
    for closes in [true, false] {
        let folder = folder();
        let records = recording(folder.path(), closes);
        let (_, verified) = read(folder.path());
        for entry in fs::read_dir(folder.path()).expect("there") {
            let path = entry.expect("there").path();
            let whole = fs::read(&path).expect("there");
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 1 << (at % 8);
                fs::write(&path, &changed).expect("room");
                let mut found = Vec::new();
                let result = RecordReader::open(folder.path()).and_then(|mut reader| {
                    while let Some(record) = reader.next_record()? {
                        found.push(record.ts_recv.0);
                    }
                    Ok(())
                });
                match result {
                    Err(FeedError::Damaged { path: damaged, offset, .. }) => {
                        assert_eq!(damaged, path);
                        assert!(offset <= at as u64, "byte {at}, told of {offset}");
                    }
                    // A text that is not UTF-8 any more.
                    Err(FeedError::Io { path: damaged, .. }) => assert_eq!(damaged, path),
                    other => panic!("byte {at} of {} changed: {other:?}", path.display()),
                }
                assert_eq!(found, (0..time(found.len())).collect::<Vec<_>>());
            }
            fs::write(&path, &whole).expect("room");
        }
        assert_eq!(read(folder.path()), (records, verified));
    }
}

#[test]
fn segments_that_are_removed_with_their_lines_of_the_manifest_are_missed_but_for_the_last_runs() {
    let one = folder();
    recording(one.path(), true);
    let manifest = one.path().join(super::super::disk::MANIFEST);
    let first_run = manifest::read(one.path()).expect("sound");
    recording(one.path(), true);
    let all = manifest::read(one.path()).expect("sound");
    assert!(first_run.len() > 2 && all.len() == 2 * first_run.len());
    assert!(!read(one.path()).1.is_followed);
    for left in (1..all.len()).rev() {
        fs::remove_file(segment_path(one.path(), left as u64 + 1)).expect("there");
        fs::write(&manifest, manifest::write(&all[..left])).expect("room");
        let verified = read(one.path()).1;
        assert!(verified.is_closed);
        assert_eq!(verified.is_followed, left != first_run.len(), "{left} segments are left");
        assert_eq!(verified.hash, hex(&all[left - 1].hash));
    }
    // Who goes on there has it whole again.
    recording(one.path(), true);
    assert!(!read(one.path()).1.is_followed);
}

#[test]
fn segments_that_are_missing_exchanged_or_of_another_recording_are_noticed() {
    let one = folder();
    recording(one.path(), true);
    let path = |number| segment_path(one.path(), number);
    let stem = |path: &Path| path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let damage = |what: &str| match read_from(one.path(), None) {
        Err(FeedError::Damaged { path, reason, .. }) => (stem(&path), reason),
        Err(FeedError::Io { path, offset: None, source }) => (stem(&path), source.to_string()),
        other => panic!("{what}: {other:?}"),
    };

    let second = fs::read(path(2)).expect("there");
    fs::remove_file(path(2)).expect("there");
    assert_eq!(damage("missing"), ("00000002".to_owned(), "the segment is missing".to_owned()));
    fs::copy(path(3), path(2)).expect("room");
    assert_eq!(
        damage("exchanged"),
        ("00000002".to_owned(), "it is segment 3, by what stands in it".to_owned())
    );

    let other = folder();
    let mut writer = writer(&settings(other.path(), 700));
    for ts in 0..60 {
        writer.write(&mut batch(&[Kept::received(ts, b"other")], &sources(1))).expect("room");
    }
    fs::copy(segment_path(other.path(), 2), path(2)).expect("room");
    let (file, reason) = damage("of another recording");
    assert!(file == "00000002" && reason.starts_with("the chain is broken"), "{file}: {reason}");
    fs::write(path(2), &second).expect("room");

    let last = read(one.path()).1.segments;
    fs::remove_file(path(last)).expect("there");
    assert_eq!(damage("the last is missing").1, "the segment is missing");
}

#[test]
fn an_index_that_tells_of_no_block_is_the_damage_itself() {
    let folder = folder();
    recording(folder.path(), true);
    let path = segment_path(folder.path(), 1);
    let whole = fs::read(&path).expect("there");
    let total = u32::from_le_bytes(*whole.last_chunk().expect("long"));
    let seal_at = whole.len() - total as usize;
    for wrong in [0, 1, seal_at as u64, whole.len() as u64, 1 << 62, u64::MAX] {
        let Frame { body, previous, .. } = Frame::read(&whole[seal_at..], &[]).expect("sound");
        let mut seal = Seal::read(body).expect("sound");
        assert!(seal.blocks.len() > 1);
        let last = seal.blocks.last_mut().expect("several");
        last.offset = wrong;
        let from = last.span.latest.0;
        let mut changed = whole[..seal_at].to_vec();
        seal.write(&previous, &mut changed);
        fs::write(&path, &changed).expect("room");
        for from in [None, Some(from)] {
            match read_from(folder.path(), from) {
                Err(FeedError::Damaged { path: damaged, offset, .. }) => {
                    assert_eq!((damaged, offset), (path.clone(), seal_at as u64), "{wrong}");
                }
                other => panic!("an index that tells of byte {wrong}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_wrong_with_all_of_it_is_told_of_its_last_segment() {
    let folder = folder();
    recording(folder.path(), true);
    let last = last_segment(folder.path());
    let mut reader = RecordReader::open(folder.path()).expect("a recording");
    while reader.next_record().expect("sound").is_some() {}
    match reader.damaged_record("nonsense".to_owned()) {
        FeedError::Damaged { path, offset, .. } => {
            assert_eq!(path, last);
            assert!(offset < fs::metadata(path).expect("there").len());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_folder_is_a_recording_as_soon_as_somebody_records_into_it() {
    let folder = folder();
    let Err(error) = RecordReader::open(folder.path()) else { panic!("there is nothing") };
    assert!(error.to_string().contains("a folder without a recording"), "{error}");
    let _writer = writer(&settings(folder.path(), 700));
    assert_eq!(read(folder.path()).0, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_bytes_at_all_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..900_usize) {
        let folder = folder();
        recording(folder.path(), true);
        let path = segment_path(folder.path(), 2);
        let mut whole = fs::read(&path).expect("there");
        let at = at.min(whole.len());
        let end = (at + bytes.len()).min(whole.len());
        let is_same = whole[at..end] == bytes;
        whole.splice(at..end, bytes);
        fs::write(&path, &whole).expect("room");
        prop_assert!(is_same || read_from(folder.path(), None).is_err());
        for from in [0, 12, 28] {
            // A reader that goes past the damage may not see it.
            let _ = read_from(folder.path(), Some(from));
        }
    }
}
