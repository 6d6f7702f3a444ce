use std::io::Read;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

fn file_of(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("room on the disk");
    file
}

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(recording(name)).expect("a recording");
    zstd::Decoder::new(file).expect("zstd").read_to_end(&mut bytes).expect("whole");
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn compression_makes_no_difference() {
    let name = "binance-20211012.jsonl.zst";
    let bytes = unpacked(name);
    let packed = play(&recording(name)).expect("undamaged");
    for file in [file_of(&bytes), file_of(&gzip(&bytes))] {
        let played = play(file.path()).expect("undamaged");
        assert_eq!(played.instruments, packed.instruments);
        assert_eq!(played.lines, packed.lines);
    }
}

#[test]
fn what_is_no_capture_is_an_unknown_format() {
    for (bytes, reason) in [
        ("", "an empty file"),
        ("\x01\x02", "the first line is no header"),
        (r#"{"t":"recv","conn":"a","ts":1,"data":"{}"}"#, "the first line is no header"),
        (r#"{"t":"header"}"#, "`exchange`: missing"),
        (r#"{"t":"header","exchange":"FTX"}"#, "a capture of `FTX`, a venue that is not known here"),
    ] {
        match CaptureReader::open(file_of(bytes.as_bytes()).path()) {
            Err(FeedError::UnknownFormat { reason: found, .. }) => assert!(found.contains(reason), "{found}"),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened {bytes}"),
        }
    }
}

#[test]
fn damage_before_the_first_message_refuses_to_open() {
    let mut capture = Capture::new("KRAKEN");
    let header_bytes = capture.0.as_file().metadata().expect("a file").len();
    capture.line("{").recv("1", r#"{"event":"heartbeat"}"#);
    match CaptureReader::open(capture.0.path()) {
        Err(FeedError::Damaged { offset, .. }) => assert_eq!(offset, header_bytes),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn damaged_lines_are_told_where_they_are() {
    let recv = |data: &str| format!(r#"{{"t":"recv","conn":"a","ts":1,"data":{data}}}"#);
    for (line, reason) in [
        (recv(r#""{""#), "`message`: not JSON"),
        (recv("7"), "`data`: expected a text"),
        (recv("null").replace(r#","data":null"#, ""), "`data`: missing"),
        (recv(r#""{}""#).replace(r#""ts":1,"#, ""), "`ts`: expected a number"),
        (recv(r#""{}""#).replace("1", "1e9"), "`ts`: `1e9` is not a decimal number"),
        (recv(r#""{}""#).replace("1", "\"1\""), "`ts`: `\"1\"` is not a decimal number"),
        (recv(r#""{}""#).replace(r#""conn":"a","#, ""), "`conn`: missing"),
        (recv(r#""{}""#).replace("recv", "http"), "`url`: missing"),
        (
            r#"{"t":"header","exchange":"COINBASE"}"#.to_owned(),
            "`exchange`: expected the venue of the first header",
        ),
        (r#"{"ts":1}"#.to_owned(), "`t`: missing"),
        ("[1]".to_owned(), "`line`: expected an object"),
        (recv(r#""{}""#)[..20].to_owned(), "`message`: not JSON"),
    ] {
        let mut capture = Capture::new("KRAKEN");
        capture.recv("0.5", r#"{"event":"heartbeat"}"#);
        let offset = capture.0.as_file().metadata().expect("a file").len();
        capture.line(&line);
        let (found_offset, found) = capture.damage();
        assert!(found.contains(reason), "{line}: {found}");
        assert_eq!(found_offset, offset, "{line}");
    }
}

#[test]
fn a_file_that_ends_within_a_line_says_so() {
    let whole = r#"{"t":"recv","conn":"ws.1","ts":1,"data":"{\"event\":\"heartbeat\"}"}"#;
    let mut capture = Capture::new("KRAKEN");
    capture.recv("0.5", r#"{"event":"heartbeat"}"#);
    let before = std::fs::read(capture.0.path()).expect("a file");
    let file_with = |end: &str| file_of(&[&before, end.as_bytes()].concat());
    for length in 1..whole.len() {
        match play(file_with(&whole[..length]).path()) {
            Err(FeedError::Damaged { offset, reason, .. }) => {
                assert_eq!((offset, reason.as_str()), (before.len() as u64, "the file ends within a line"));
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("no damage in {}", &whole[..length]),
        }
    }
    assert_eq!(play(file_with(whole).path()).expect("whole, but for its line end").messages, 2);
    // What is whole is wrong for its own reason, and so is what has a line end.
    for (end, reason) in [("[1]", "`line`: expected an object"), (&format!("{}\n", &whole[..30]), "not JSON")]
    {
        let error = play(file_with(end).path()).err().expect("damage").to_string();
        assert!(error.contains(reason) && !error.contains("ends within"), "{error}");
    }
    let header = play(file_of(&before[..20]).path()).err().expect("no header").to_string();
    assert!(header.contains("the file ends within a line"), "{header}");
}

#[test]
fn unknown_lines_blank_lines_and_further_headers_make_no_events() {
    let mut capture = Capture::new("KRAKEN");
    capture
        .line(r#"{"t":"note","text":"hello"}"#)
        .line("")
        .line(r#"{"t":"header","exchange":"KRAKEN"}"#)
        .line(r#"{"t":"send","conn":"a","ts":1,"data":"{}"}"#)
        .recv("2", r#"{"event":"heartbeat"}"#);
    let mut reader = CaptureReader::open(capture.0.path()).expect("undamaged");
    let mut events = Vec::new();
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), Some(Timestamp(1_000_000_000)));
    assert_eq!((reader.messages(), reader.unknown_lines()), (0, 1));
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), Some(Timestamp(2_000_000_000)));
    assert_eq!(reader.messages(), 1);
    assert_eq!(reader.next_message(&mut events).expect("undamaged"), None);
    assert_eq!(events, []);
}

#[test]
fn a_file_that_is_cut_off_plays_up_to_there() {
    let bytes = unpacked("kraken-20210417.jsonl.zst");
    let packed = gzip(&bytes);
    let cut = file_of(&packed[..packed.len() * 9 / 10]);
    let mut reader = CaptureReader::open(cut.path()).expect("undamaged at first");
    assert_eq!(reader.instruments().len(), 7);
    let mut events = Vec::new();
    let error = loop {
        match reader.next_message(&mut events) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("no error"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, FeedError::Io { offset, .. } if offset > 0), "{error}");
    assert!(reader.messages() > 100 && reader.messages() < 937, "{}", reader.messages());
    assert!(matches!(reader.next_message(&mut events), Ok(None)));
}

#[test]
fn a_damaged_message_leaves_no_events() {
    let mut capture = Capture::new("KRAKEN");
    capture.recv("1", r#"{"event":"heartbeat"}"#);
    capture.recv("2", r#"[1,[["1","1","1","b","m",""],["1","1","1","?","m",""]],"trade","A/B"]"#);
    let mut reader = CaptureReader::open(capture.0.path()).expect("undamaged at first");
    let mut events = Vec::new();
    reader.next_message(&mut events).expect("a heartbeat");
    reader.next_message(&mut events).expect_err("damage");
    assert_eq!(events, []);
}

/// The lines of the small recordings, those longer than a screen left out.
fn some_lines(name: &str) -> Vec<Vec<u8>> {
    let bytes = unpacked(name);
    let short = |line: &&[u8]| line.len() < 2000;
    bytes.split(|byte| *byte == b'\n').filter(short).take(400).map(<[u8]>::to_vec).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is in a file, it is read or refused.
    #[test]
    fn changed_lines_never_panic(
        name in prop::sample::select(&["kraken-20210417.jsonl.zst", "coinbase-20210417.jsonl.zst", "binance-20211012.jsonl.zst"][..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..12),
        keep_header: bool,
    ) {
        let mut lines = some_lines(name);
        for (line, at, byte, how) in changes {
            let line = line.index(lines.len() - usize::from(keep_header)) + usize::from(keep_header);
            let line = &mut lines[line];
            if line.is_empty() {
                continue;
            }
            let at = at.index(line.len());
            match how {
                0 => line[at] = byte,
                1 => line.truncate(at),
                2 => line.insert(at, byte),
                _ => line[at] = b"\"[]{},:0-.\\"[usize::from(byte) % 11],
            }
        }
        let file = file_of(&lines.join(&b'\n'));
        if let Ok(mut reader) = CaptureReader::open(file.path()) {
            let mut events = Vec::new();
            while let Ok(Some(_)) = reader.next_message(&mut events) {
                events.clear();
            }
        }
    }
}
