//! What a venue's message of JSON costs: replayed from a recorded capture as fast as it goes, beside what others take for
//! parts of that work, over the same bytes.
//!
//! A replay decompresses, parses each line and the payload within it, and makes events of exact numbers, with the venue's own
//! rules applied. Of the others
//! - `decompress` makes the plain lines, and stops there;
//! - `simd_json_lines` parses the plain lines in place, and leaves the payloads texts; `simd_json` parses both, of the
//!   payloads those that a replay reads;
//! - `serde_json` reads lines and payloads into typed structs that borrow, and the levels of books into pairs of texts.
//!
//! None of them converts a number. The goal is a replay in no more than 1 / 0.7 of what the slower of decompression and
//! simd-json takes; what was measured stands in `README.md` beside this file.

mod side_by_side;

use std::borrow::Cow;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use feeds::Input;
use feeds::format::capture::CaptureReader;
use serde::Deserialize;
use serde_json::value::RawValue;
use side_by_side::{Contender, side_by_side, timed};
use simd_json::prelude::ValueIntoString;
use simd_json::tape::Tape;
use simd_json::{Buffers, fill_tape};
use tempfile::TempDir;

const LINE_BYTES_MAX: usize = 1 << 24;

#[derive(Deserialize)]
struct Line<'a> {
    t: &'a str,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// Counts the levels of a payload.
type CountLevels = fn(&str) -> usize;

type Side<'a> = Vec<(&'a str, &'a str)>;

#[derive(Deserialize)]
struct Binance<'a> {
    stream: &'a str,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
#[expect(non_snake_case, dead_code, reason = "the venue's names; what is not counted is read all the same")]
struct BinanceDepth<'a> {
    E: u64,
    s: &'a str,
    U: u64,
    u: u64,
    #[serde(borrow)]
    b: Side<'a>,
    a: Side<'a>,
}

fn binance(payload: &str) -> usize {
    let message: Binance = serde_json::from_str(payload).expect("a message");
    if !message.stream.contains("@depth") {
        return 0;
    }
    let depth: BinanceDepth = serde_json::from_str(message.data.get()).expect("levels");
    depth.b.len() + depth.a.len()
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is not counted is read all the same")]
struct Coinbase<'a> {
    r#type: &'a str,
    product_id: Option<&'a str>,
    time: Option<&'a str>,
    #[serde(borrow)]
    changes: Option<Vec<(&'a str, &'a str, &'a str)>>,
    bids: Option<Side<'a>>,
    asks: Option<Side<'a>>,
    price: Option<&'a str>,
    size: Option<&'a str>,
}

fn coinbase(payload: &str) -> usize {
    let message: Coinbase = serde_json::from_str(payload).expect("a message");
    let sides = [message.bids, message.asks].into_iter().flatten().map(|side| side.len()).sum::<usize>();
    sides + message.changes.map_or(0, |changes| changes.len())
}

#[derive(Default, Deserialize)]
struct KrakenBook<'a> {
    #[serde(borrow, default, alias = "as")]
    a: Vec<Vec<&'a str>>,
    #[serde(borrow, default, alias = "bs")]
    b: Vec<Vec<&'a str>>,
}

fn kraken(payload: &str) -> usize {
    if !payload.starts_with('[') {
        return 0;
    }
    let parts: Vec<&RawValue> = serde_json::from_str(payload).expect("a list");
    if !parts.iter().any(|part| part.get().starts_with("\"book-")) {
        return 0;
    }
    let sides = parts.iter().filter(|part| part.get().starts_with('{'));
    sides
        .map(|book| {
            let book: KrakenBook = serde_json::from_str(book.get()).expect("levels");
            book.a.len() + book.b.len()
        })
        .sum()
}

fn run(c: &mut Criterion, name: &str, path: &Path, count_levels: Option<CountLevels>) {
    let mut input = Input::open(path).expect("readable");
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    while input.read_line(&mut line, LINE_BYTES_MAX).expect("not damaged") {
        lines.push(line.clone());
    }
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    let folder = TempDir::new().expect("a temporary folder");
    let plain = folder.path().join("plain");
    fs::write(&plain, lines.join(&b'\n')).expect("a temporary file");
    let replay = |path: &Path| {
        let mut reader = CaptureReader::open(path).expect("readable");
        let (time, found) = timed(|| {
            let (mut found, mut events) = (0, Vec::new());
            while reader.next_message(&mut events).expect("not damaged").is_some() {
                found += events.len();
                black_box(&events);
                events.clear();
            }
            found
        });
        (time, reader.messages(), found)
    };
    let (_, messages, events) = replay(path);
    let checked = |path: &Path| {
        let (time, found_messages, found_events) = replay(path);
        assert_eq!((found_messages, found_events), (messages, events));
        time
    };
    let decompress = || {
        let mut decoder = zstd::Decoder::new(File::open(path).expect("readable")).expect("zstd");
        let mut buffer = vec![0; 1 << 18];
        let (time, found) = timed(|| {
            let mut found = 0;
            while let count @ 1.. = decoder.read(&mut buffer).expect("not damaged") {
                found += count;
                black_box(&buffer);
            }
            found
        });
        assert!(bytes - found <= 1, "{found} of {bytes} bytes: the last line need have no end");
        time
    };
    let simd_json = |has_payloads: bool| {
        let mut scratch = lines.clone();
        let (mut buffers, mut payload) = (Buffers::default(), Vec::new());
        let (mut tape, mut inner) = (Tape(Vec::new()), Tape(Vec::new()));
        let (time, found) = timed(|| {
            let mut found = 0;
            for line in &mut scratch {
                let mut parsed = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
                fill_tape(line, &mut buffers, &mut parsed).expect("JSON");
                let line = parsed.as_value().as_object().expect("an object");
                let text = |field| line.get(field)?.into_string();
                let is_message = text("t") == Some("recv");
                found += u64::from(is_message);
                // Of the answers to requests a replay reads the snapshots of books, as Binance's.
                let is_read = is_message || text("url").is_some_and(|url| url.contains("/depth?"));
                if is_read && has_payloads {
                    payload.clear();
                    payload.extend_from_slice(text("data").expect("a text").as_bytes());
                    let mut parsed = std::mem::replace(&mut inner, Tape(Vec::new())).reset();
                    fill_tape(&mut payload, &mut buffers, &mut parsed).expect("JSON");
                    black_box(&parsed.0);
                    inner = parsed.reset();
                }
                tape = parsed.reset();
            }
            found
        });
        assert_eq!(found, messages);
        time
    };
    let mut levels = None;
    let mut serde_json = |count_levels: CountLevels| {
        let (time, (found, found_levels)) = timed(|| {
            let (mut found, mut levels) = (0, 0);
            for line in &lines {
                let line: Line = serde_json::from_slice(line).expect("a line");
                if line.t == "recv" {
                    found += 1;
                    levels += count_levels(&line.data.expect("a payload"));
                }
            }
            (found, levels)
        });
        assert_eq!(found, messages);
        assert!(found_levels > 0 && *levels.get_or_insert(found_levels) == found_levels);
        time
    };
    let mut contenders = vec![
        Contender::new("replay_zstd", || checked(path)),
        Contender::new("replay_plain", || checked(&plain)),
        Contender::new("decompress", decompress),
        Contender::new("simd_json_lines", || simd_json(false)),
        Contender::new("simd_json", || simd_json(true)),
    ];
    if let Some(count_levels) = count_levels {
        contenders.push(Contender::new("serde_json", move || serde_json(count_levels)));
    }
    side_by_side(c, &format!("capture/{name}"), messages, &mut contenders);
}

/// The recordings that ship with the product.
fn shipped(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/recordings");
    let count: [(&str, CountLevels); 3] =
        [("kraken-20210417", kraken), ("coinbase-20210417", coinbase), ("binance-20211012", binance)];
    for (name, count_levels) in count {
        run(c, name, &folder.join(format!("{name}.jsonl.zst")), Some(count_levels));
    }
}

/// Larger ones, where they are at hand.
fn larger(c: &mut Criterion) {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/crypto-ws");
    for (name, path) in [
        ("kraken-whole", "kraken-spot-v1/KRAKEN_20210417.jsonl.zst"),
        ("coinbase-advanced", "coinbase-advanced/COINBASE_20260809.jsonl.zst"),
        ("binance-coinm", "binance-coinm/BINANCE_DELIVERY_20210722.jsonl.zst"),
    ] {
        let path = folder.join(path);
        if path.exists() {
            run(c, name, &path, None);
        } else {
            eprintln!("{} not found: not measured", path.display());
        }
    }
}

criterion_group!(benches, shipped, larger);
criterion_main!(benches);
