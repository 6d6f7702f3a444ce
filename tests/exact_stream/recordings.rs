//! Recordings of two seconds: the openings of those that ship, and one by `tickwire record`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use feeds::record::{Body, Recorder, RecorderSettings, Source, SourceId, WhenFull};
use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, Progress, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use crate::service::program::tickwire;
use crate::service::run::run;

pub(crate) fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

/// Those that ship.
pub(crate) fn shipped(venue: &str) -> PathBuf {
    let day = if venue == "binance" { "20211012" } else { "20210417" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("feeds/recordings/{venue}-{day}.jsonl.zst"))
}

const NANOS: i128 = 1_000_000_000;
const LENGTH: i128 = 2 * NANOS;

/// The first two seconds of a capture, `seconds` later than they were.
pub(crate) fn opening(folder: &Path, venue: &str, seconds: u64) -> PathBuf {
    let whole = zstd::decode_all(fs::read(shipped(venue)).expect("it ships").as_slice()).expect("sound");
    let whole = String::from_utf8(whole).expect("text");
    let end = whole.lines().filter_map(time_of).map(|(_, nanos)| nanos).min().expect("a time") + LENGTH;
    let mut part = String::new();
    for line in whole.lines() {
        match time_of(line) {
            None => part.push_str(line),
            Some((text, nanos)) if nanos <= end => {
                let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
                let later = whole.parse::<u64>().expect("seconds") + seconds;
                part.push_str(&line.replacen(text, &format!("{later}.{fraction}"), 1));
            }
            Some(_) => continue,
        }
        part.push('\n');
    }
    let path = folder.join(format!("{venue}.jsonl"));
    fs::write(&path, part).expect("room");
    path
}

/// The digits of a line's time, and the time.
fn time_of(line: &str) -> Option<(&str, i128)> {
    let (_, rest) = line.split_once("\"ts\":")?;
    let rest = rest.trim_start();
    let text = &rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.')?];
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos = format!("{whole}{fraction:0<9}").parse().expect("digits");
    Some((text, nanos))
}

/// Two venues at the same time, which they were not recorded at: five minutes and 16 seconds lie between.
pub(crate) fn of_kraken_and_coinbase(folder: &Path) -> Vec<PathBuf> {
    vec![opening(folder, "kraken", 0), opening(folder, "coinbase", 316)]
}

/// A recording of ours, in several segments.
pub(crate) fn of_the_simulator(folder: &Path) -> PathBuf {
    let out = folder.join("simulated");
    let output = run(tickwire()
        .args(["record", "--feed", "sim", "--sim-instruments", "5", "--sim-rate", "100", "--speed", "max"])
        .args(["--duration", "2s", "--rotate-every", "500ms", "--log", "error", "--out"])
        .arg(&out));
    assert!(output.status.success(), "{output:?}");
    out
}

/// A recording of ours that holds what a capture does, in several segments.
pub(crate) fn recorded(capture: &Path, to: &Path) -> PathBuf {
    let text = zstd::decode_all(fs::read(capture).expect("there").as_slice()).expect("sound");
    let text = String::from_utf8(text).expect("text");
    let settings = RecorderSettings {
        rotate_bytes: 100_000,
        when_full: WhenFull::Wait,
        ..RecorderSettings::new(to.to_owned())
    };
    let recorder = Recorder::start(&settings, |_| {}).expect("room");
    let json = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
    let mut lines = text.lines();
    let venue = json(lines.next().expect("a header"))["exchange"].as_str().expect("a text").to_owned();
    let mut timed: Vec<_> = lines.map(|line| (time_of(line).map_or(0, |(_, nanos)| nanos), line)).collect();
    timed.sort_by_key(|(nanos, _)| *nanos);
    let mut sources: BTreeMap<String, SourceId> = BTreeMap::new();
    for (nanos, line) in timed {
        let line = json(line);
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let source = *sources.entry(text("conn").to_owned()).or_insert_with(|| {
            let (venue, address) = (venue.clone(), text("addr").to_owned());
            let source = Source { venue, format: "json".to_owned(), address, name: text("conn").to_owned() };
            recorder.handle().source(source).expect("few")
        });
        let payload = text("data").as_bytes();
        let body = match text("t") {
            "recv" => Body::Received(payload),
            "http" => Body::Answered { url: text("url"), payload },
            "connect" => Body::Connected(text("addr")),
            _ => continue,
        };
        let ts_recv = Timestamp(i64::try_from(nanos).expect("before 2262"));
        assert!(recorder.handle().record(Some(source), ts_recv, body), "no room");
    }
    recorder.stop().expect("room");
    to.to_owned()
}

/// When half of the messages have come.
pub(crate) fn middle(files: &[PathBuf]) -> Timestamp {
    let times = times(files);
    times[times.len() / 2]
}

/// When each message is due.
pub(crate) fn times(files: &[PathBuf]) -> Vec<Timestamp> {
    let settings = ReplaySettings { files: files.to_vec(), ..ReplaySettings::default() };
    let mut feed = Replay::open(&settings).expect("sound");
    let (mut times, mut events) = (Vec::new(), Vec::new());
    while let Progress::Message { due } = feed.next_message(&mut events).expect("sound") {
        times.push(due);
    }
    times
}
