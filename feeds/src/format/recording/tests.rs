//! A recording says what was recorded: against captures of the same bytes, and against the simulated market itself.

mod kept;

use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::record::simulated::Recorded;
use crate::record::{Recorder, RecorderSettings, SourceId, WhenFull};
use crate::replay::{Replay, ReplaySettings};
use crate::sim::{Sim, SimSettings};
use crate::venue::seconds;
use crate::{Feed, Progress};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn recorder(folder: &Path, rotate_bytes: u64) -> Recorder {
    let settings = RecorderSettings {
        rotate_bytes,
        when_full: WhenFull::Wait,
        ..RecorderSettings::new(folder.to_owned())
    };
    Recorder::start(&settings, |_| {}).expect("room")
}

/// Records what a capture holds, in the order in which it was received, which is not always the file's.
fn convert(capture: &Path, to: &Path) {
    let file = std::fs::File::open(capture).expect("there");
    let text = String::from_utf8(zstd::decode_all(file).expect("sound")).expect("UTF-8");
    let mut lines = text.lines();
    let recorder = recorder(to, 100_000);
    let handle = recorder.handle();
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    let venue = json(lines.next().expect("a header"))["exchange"].as_str().expect("a text").to_owned();
    let mut sources: BTreeMap<String, SourceId> = BTreeMap::new();
    let timed = lines.map(|line| {
        // The digits of the time, which a JSON parser would round.
        let (_, time) = line.split_once("\"ts\":").expect("a time");
        let digits = time.find([',', '}']).expect("something behind it");
        (seconds("ts", &time.as_bytes()[..digits]).expect("seconds"), line)
    });
    let mut timed: Vec<(Timestamp, &str)> = timed.collect();
    timed.sort_by_key(|(ts_recv, _)| *ts_recv);
    for (ts_recv, line) in timed {
        let line = json(line);
        let text = |key: &str| line[key].as_str().unwrap_or_default();
        let source = *sources.entry(text("conn").to_owned()).or_insert_with(|| {
            let source = Source {
                venue: venue.clone(),
                format: JSON.to_owned(),
                address: text("addr").to_owned(),
                name: text("conn").to_owned(),
            };
            handle.source(source).expect("few")
        });
        let data = text("data");
        let body = match text("t") {
            "recv" => Body::Received(data.as_bytes()),
            "send" => Body::Sent(data.as_bytes()),
            "http" => Body::Answered { url: text("url"), payload: data.as_bytes() },
            "connect" => Body::Connected(text("addr")),
            _ => continue,
        };
        assert!(handle.record(Some(source), ts_recv, body));
    }
    recorder.stop().expect("room");
}

struct Played {
    instruments: Vec<Instrument>,
    messages: Vec<(Timestamp, Vec<MarketEvent>)>,
    received: u64,
}

fn play(path: &Path, from: Option<Timestamp>) -> Result<Played, FeedError> {
    let mut replay =
        Replay::open(&ReplaySettings { files: vec![path.to_owned()], from, ..ReplaySettings::default() })?;
    assert_eq!(replay.begins_at(), from);
    let mut messages = Vec::new();
    loop {
        let mut events = Vec::new();
        let Progress::Message { due } = replay.next_message(&mut events)? else { break };
        messages.push((due, events));
    }
    let received = replay.files()[0].messages;
    Ok(Played { instruments: replay.instruments().to_vec(), messages, received })
}

#[test]
fn a_recording_of_a_venue_says_what_the_capture_of_the_same_bytes_says() {
    for name in ["kraken-20210417.jsonl.zst", "coinbase-20210417.jsonl.zst", "binance-20211012.jsonl.zst"] {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(name);
        let folder = folder();
        convert(&capture, folder.path());
        let expected = play(&capture, None).expect("sound");
        let found = play(folder.path(), None).expect("sound");
        let stale = |instrument: &Instrument| Instrument { begins_stale: true, ..instrument.clone() };
        assert_eq!(found.instruments, expected.instruments.iter().map(stale).collect::<Vec<_>>(), "{name}");
        assert_eq!(found.received, expected.received, "{name}");
        assert_eq!(found.messages.len(), expected.messages.len(), "{name}");
        for (index, (found, expected)) in found.messages.iter().zip(&expected.messages).enumerate() {
            assert_eq!(found, expected, "{name}, message {index}");
        }

        // From the middle: the same events at the same times, only that nobody waits for the first half.
        let middle = expected.messages[expected.messages.len() / 2].0;
        let from = play(folder.path(), Some(middle)).expect("sound");
        assert!(from.messages == expected.messages, "{name}");
    }
}

fn simulated(seed: u64) -> Box<Sim> {
    Box::new(Sim::new(SimSettings { seed, instruments: 5, ..SimSettings::default() }).expect("possible"))
}

#[test]
fn a_recording_of_the_simulated_market_is_the_market_and_each_run_begins_empty() {
    let folder = folder();
    let mut expected: Vec<(Timestamp, Vec<MarketEvent>)> = Vec::new();
    for (run, start) in [(1, 1_000), (2, 9_000_000_000_000)] {
        let recorder = recorder(folder.path(), 20_000);
        let mut feed = Recorded::new(simulated(run), recorder.handle().clone()).expect("simulated");
        feed.begin(Timestamp(start));
        let begun = if run == 1 { 0 } else { feed.instruments().len() };
        let clear = |symbol| MarketEvent {
            symbol: SymbolId::from_index(symbol),
            ts_event: Timestamp(start),
            ts_recv: Timestamp(start),
            sequence: 0,
            body: EventBody::BookClear,
        };
        expected.push((Timestamp(start), (0..begun).map(clear).collect()));
        expected.push((Timestamp(start), Vec::new()));
        for _ in 0..1_000 {
            let mut events = Vec::new();
            let Ok(Progress::Message { due }) = feed.next_message(&mut events) else { panic!("it goes on") };
            expected.push((due, events));
        }
        drop(feed);
        recorder.stop().expect("room");
    }
    let found = play(folder.path(), None).expect("sound");
    assert_eq!(found.instruments, simulated(1).instruments());
    assert_eq!(found.messages, expected);
    assert_eq!(found.received, 2_002);

    // A market of more instruments, and one in which the first of them is another.
    let run = |mut feed: Box<dyn Feed>| {
        let recorder = recorder(folder.path(), 20_000);
        feed = Box::new(Recorded::new(feed, recorder.handle().clone()).expect("simulated"));
        feed.begin(Timestamp(9_000_000_000_000));
        let mut events = Vec::new();
        while !events.iter().any(|event: &MarketEvent| event.symbol == SymbolId(5)) {
            feed.next_message(&mut events).expect("it goes on");
        }
        recorder.stop().expect("room");
        play(folder.path(), None)
    };
    let larger = Sim::new(SimSettings { instruments: 6, ..SimSettings::default() }).expect("possible");
    let names: Vec<_> = larger.instruments().to_vec();
    let found = run(Box::new(larger)).expect("sound");
    assert_eq!(found.instruments, names);
    assert!(found.messages.iter().flat_map(|(_, events)| events).any(|event| event.symbol == SymbolId(5)));
    let other = Sim::new(SimSettings { instruments: 6, ..SimSettings::default() }).expect("possible");
    let mut instruments = names;
    instruments[0].currency = Some("XYZ".to_owned());
    let other = Other(other, instruments);
    let error = run(Box::new(other)).err().expect("another market").to_string();
    assert!(error.ends_with(" is another instrument than before"), "{error}");
}

/// A market whose first instrument has another currency.
struct Other(Sim, Vec<Instrument>);

impl Feed for Other {
    fn instruments(&self) -> &[Instrument] {
        &self.1
    }

    fn begin(&mut self, now: Timestamp) {
        self.0.begin(now);
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        self.0.next_message(events)
    }
}

#[test]
fn where_records_are_missing_every_instrument_has_a_gap() {
    let folder = folder();
    let recorder = recorder(folder.path(), 1 << 30);
    let mut feed = Recorded::new(simulated(1), recorder.handle().clone()).expect("simulated");
    feed.begin(Timestamp(5));
    let too_long = vec![0; crate::limits::RECORD_BYTES_MAX + 1];
    assert!(!recorder.handle().record(None, Timestamp(7), Body::Received(&too_long)));
    drop(feed);
    recorder.stop().expect("room");
    let found = play(folder.path(), None).expect("sound");
    let (due, events) = found.messages.last().expect("some");
    assert_eq!((due.0, events.len()), (7, 5));
    let gaps = events.iter().filter(|event| event.body == EventBody::Gap { expected: 0, found: 0 });
    assert_eq!(gaps.map(|event| event.symbol.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn what_nothing_here_can_read_is_refused_and_what_is_damaged_is_placed() {
    let record = |venue: &str, format: &str, payload: &[u8]| {
        let folder = folder();
        let recorder = recorder(folder.path(), 1 << 30);
        let source = Source {
            venue: venue.to_owned(),
            format: format.to_owned(),
            address: "wss://venue".to_owned(),
            name: "ws".to_owned(),
        };
        let source = recorder.handle().source(source).expect("few");
        assert!(recorder.handle().record(Some(source), Timestamp(1), Body::Received(payload)));
        recorder.stop().expect("room");
        play(folder.path(), None).err().expect("refused").to_string()
    };
    let error = record("NOWHERE", "json", b"{}");
    assert!(error.ends_with("it has `json` of `NOWHERE`, which are not known here"), "{error}");
    let error = record("KRAKEN", "letters", b"{}");
    assert!(error.ends_with("it has `letters` of `KRAKEN`, which are not known here"), "{error}");
    let error = record("SIM", "events", &[1, 0, 0, 0, 0]);
    assert!(error.ends_with("at byte 0 of its records: it ends within a field"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn a_recording_of_anything_plays_or_is_refused(
        payloads in proptest::collection::vec((0..3_usize, proptest::collection::vec(any::<u8>(), 0..50)), 0..9),
    ) {
        let folder = folder();
        let recorder = recorder(folder.path(), 1 << 30);
        let ids: Vec<SourceId> = [("SIM", "events"), ("KRAKEN", "json"), ("BINANCE", "json")]
            .into_iter()
            .map(|(venue, format)| {
                let (venue, format) = (venue.to_owned(), format.to_owned());
                recorder.handle().source(Source { venue, format, address: String::new(), name: String::new() })
            })
            .collect::<Result<_, _>>()
            .expect("few");
        for (index, payload) in &payloads {
            recorder.handle().record(Some(ids[*index]), Timestamp(0), Body::Received(payload));
        }
        recorder.stop().expect("room");
        let _ = play(folder.path(), None);
    }
}
