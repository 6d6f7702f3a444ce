//! The same recording is the same stream: at any speed, in every run, with any number of shards.
//!
//! What is the same, byte for byte and for each topic, is the sequence of its published messages: first the state that
//! was asked for, then every change with its numbers, times, fields and checksums. So is the state at the end, as REST
//! shows it.
//!
//! What may differ:
//! - The epoch, which is the time of the start, as the name of a run: it is taken out of states.
//! - What the service says of itself: heartbeats and answers are no topics.
//! - How the messages of several topics are mixed within a turn, and where batches end: each topic is looked at alone.
//! - Below full speed the feed waits for nobody. A client that falls behind then gets states merged: fewer messages, but
//!   each leads to the state that the complete stream has under the same number. So do topics at a rate, which are not
//!   looked at here: theirs is real time.
//! - `stale` says how long the service itself has heard nothing of its feed, in real time: it is off here.

mod exact_stream {
    pub(crate) mod client;
    pub(crate) mod publisher;
    pub(crate) mod recordings;
    pub(crate) mod stream;
}
mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
}

use std::fs;
use std::path::{Path, PathBuf};

use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, Timestamp};

use exact_stream::client::serve;
use exact_stream::publisher::{publish, publish_after};
use exact_stream::recordings::{
    folder, middle, of_kraken_and_coinbase, of_the_simulator, opening, recorded, shipped, times,
};
use exact_stream::stream::assert_leads_to;
use service::eventually::eventually;
use service::process::Service;

/// Plays recordings of a few seconds by the real program, in all ways, to clients of every topic.
fn check_program(files: &[PathBuf], from: Option<Timestamp>, topics_min: usize) {
    let expected = serve(files, from, "max", 1);
    assert!(expected.is_complete(), "full speed waits for its clients");
    assert!(expected.topics.len() >= topics_min, "{} topics", expected.topics.len());
    for (speed, shards) in
        [("max", 1), ("max", 3), ("max", 3), ("100", 1), ("100", 3), ("100", 3), ("1", 1), ("1", 3)]
    {
        let found = serve(files, from, speed, shards);
        assert!(found.state == expected.state, "at {speed}, {shards} shards: another state at the end");
        if found.is_complete() {
            assert!(found.topics == expected.topics, "at {speed}, {shards} shards: other bytes");
        } else {
            eprintln!("at {speed}, {shards} shards a client fell behind");
            assert_leads_to(&expected, &found);
        }
    }
}

#[test]
fn a_capture_is_the_same_stream_at_any_speed_and_with_any_shards() {
    let folder = folder();
    check_program(&[opening(folder.path(), "kraken", 0)], None, 7 * 12);
}

#[test]
fn captures_merged_by_time_are_the_same_stream_at_any_speed_and_with_any_shards() {
    let folder = folder();
    check_program(&of_kraken_and_coinbase(folder.path()), None, 9 * 12);
}

#[test]
fn a_recording_of_the_simulated_market_is_the_same_stream_at_any_speed_and_with_any_shards() {
    let folder = folder();
    check_program(&[of_the_simulator(folder.path())], None, 5 * 12);
}

/// What was received before comes at once, and a client may fall behind in it.
#[test]
fn a_recording_from_its_middle_on_is_the_same_stream_at_any_speed_and_with_any_shards() {
    let folder = folder();
    let files = [of_the_simulator(folder.path())];
    check_program(&files, Some(middle(&files)), 5 * 12);
}

#[test]
fn a_recording_from_its_middle_on_ends_in_the_state_of_the_whole() {
    let folder = folder();
    let of_two = of_kraken_and_coinbase(folder.path());
    let simulated = [of_the_simulator(folder.path())];
    let all = ["kraken", "coinbase", "binance"].map(shipped);
    for files in [&all[..1], &all[1..2], &all[2..], &all, &of_two, &simulated] {
        let whole = publish(files, None, 256, 1);
        let part = publish(files, Some(middle(files)), 256, 1);
        for (topic, state) in &whole.state {
            assert_eq!(part.state.get(topic), Some(state), "{files:?}, {topic}");
        }
    }
}

/// Plays `recording` from many times on, without a checkpoint and with those that a replay has left, to clients that come
/// then: each time they must be told the same, byte by byte, and end in the same state, and the message read less.
fn check_checkpoints(recording: &Path) {
    let files = vec![recording.to_owned()];
    let times = times(&files);
    let apart = times.len() as u64 / 16;
    let settings = |from, checkpoint_records| ReplaySettings {
        files: files.clone(),
        from,
        checkpoint_records,
        ..ReplaySettings::default()
    };
    let kept = || fs::read_dir(recording.join("checkpoints")).map_or(0, Iterator::count);
    // Of those that become due while another is being written, the next replay keeps more.
    while kept() < 8 {
        let read = publish_after(&settings(None, Some(apart)), times[0]).messages;
        assert_eq!(read, times.len());
    }
    let mut shortest = times.len();
    for at in (0..times.len()).step_by(times.len() / 23) {
        let from = times[at];
        let whole = publish_after(&settings(None, None), from);
        let played = publish_after(&settings(Some(from), None), from);
        assert!(played == whole, "{} from {from}: not what the whole has", recording.display());
        let sought = publish_after(&settings(Some(from), Some(apart)), from);
        let (found, expected) = (&sought.stream, &whole.stream);
        assert!(found.topics == expected.topics, "{} from {from}: other bytes", recording.display());
        assert!(found.state == expected.state, "{} from {from}: another state", recording.display());
        assert!(sought.kept == whole.kept, "{} from {from}: another state is kept", recording.display());
        let read = sought.messages;
        let due_before = times.partition_point(|time| *time < from);
        assert!(read >= times.len() - due_before, "{read} messages");
        shortest = shortest.min(read);
    }
    assert!(shortest < times.len() / 4, "{shortest} of {} messages", times.len());
    // Some of the instruments, which are numbered otherwise.
    let names = Replay::open(&settings(None, None)).expect("sound").instruments().to_vec();
    let last = names.last().map(|instrument| instrument.symbol.clone());
    let from = times[times.len() * 3 / 4];
    let of_last = |checkpoint_records| {
        let symbols = last.clone().into_iter().collect();
        let settings = ReplaySettings { symbols: Some(symbols), ..settings(Some(from), checkpoint_records) };
        publish_after(&settings, from)
    };
    let (expected, found) = (of_last(None), of_last(Some(apart)));
    assert!(found.stream == expected.stream, "{}: of one instrument another stream", recording.display());
    assert!(found.kept == expected.kept, "{}: of one instrument another state", recording.display());
    assert!(found.messages < times.len() / 2, "{} of {} messages", found.messages, times.len());
}

#[test]
fn a_recording_from_a_checkpoint_on_is_the_same_stream() {
    let folder = folder();
    check_checkpoints(&of_the_simulator(folder.path()));
    for venue in ["kraken", "coinbase", "binance"] {
        check_checkpoints(&recorded(&shipped(venue), &folder.path().join(venue)));
    }
}

/// What REST shows at the end of a recording that is played from a time on, how many messages were read for it, and what
/// the log says.
fn serve_from(recording: &Path, from: Timestamp) -> (String, i64, String) {
    let feed = format!("replay:{}", recording.display());
    let from = from.0.to_string();
    let service = Service::start(["--feed", &feed, "--speed", "max", "--from", &from, "--log", "info"]);
    eventually("the recording is over", || service.get("/health/ready").json()["feed"] == "ended");
    let quotes = service.json("/v1/quotes");
    let epoch = quotes["quotes"][0]["epoch"].as_str().expect("a text").to_owned();
    let paths = ["/v1/quotes".to_owned(), "/v1/tickers".to_owned()].into_iter();
    let symbols = quotes["quotes"].as_array().expect("a list").iter();
    let books = symbols.map(|quote| format!("/v1/books/{}", quote["symbol"].as_str().expect("a text")));
    let state = paths.chain(books).map(|path| service.get(&path).body.replace(&epoch, "")).collect();
    eventually("the log is there", || service.log().contains("has ended"));
    (state, service.metric("feed_messages_total"), service.log())
}

#[test]
fn the_program_begins_at_a_checkpoint_and_says_when_one_cannot_be_used() {
    let folder = folder();
    let recording = of_the_simulator(folder.path());
    let times = times(std::slice::from_ref(&recording));
    let from = times[times.len() * 3 / 4];
    let (expected, all, log) = serve_from(&recording, from);
    assert_eq!(usize::try_from(all), Ok(times.len()));
    assert!(log.contains("without a checkpoint"), "{log}");
    let apart = Some(times.len() as u64 / 8);
    let settings = ReplaySettings {
        files: vec![recording.clone()],
        checkpoint_records: apart,
        ..ReplaySettings::default()
    };
    let checkpoints = || fs::read_dir(recording.join("checkpoints")).into_iter().flatten().flatten();
    while checkpoints().count() < 8 {
        publish_after(&settings, times[0]);
    }
    let (found, read, log) = serve_from(&recording, from);
    assert_eq!(found, expected);
    assert!(read < all / 2, "{read} of {all} messages");
    assert!(log.contains("begins at a checkpoint"), "{log}");
    for file in checkpoints() {
        let mut bytes = fs::read(file.path()).expect("there");
        *bytes.last_mut().expect("content") ^= 1;
        fs::write(file.path(), bytes).expect("room");
    }
    let (found, read, log) = serve_from(&recording, from);
    assert_eq!((found, read), (expected, all));
    assert!(log.contains("a checkpoint that cannot be used"), "{log}");
    assert!(log.contains("something in it has changed"), "{log}");
}

/// Whoever comes here has changed what is kept of the market or the publisher, or what it means: the checkpoints of before
/// must not be used. Raise the version in `feeds/src/record/checkpoints.rs`, and put the new sums here.
#[test]
fn what_is_kept_is_of_its_version() {
    let kept = ["kraken", "coinbase", "binance"].map(|venue| {
        let files = vec![shipped(venue)];
        crc32fast::hash(
            &publish_after(&ReplaySettings { files, ..ReplaySettings::default() }, Timestamp(0)).kept,
        )
    });
    assert_eq!(kept, [374_349_714, 2_481_976_498, 47_015_961]);
}

/// Whole recordings, in both encodings, however many messages a turn takes: at speed 1 it is one or a few.
#[test]
fn what_is_published_does_not_depend_on_what_a_turn_takes() {
    let folder = folder();
    let of_two = of_kraken_and_coinbase(folder.path());
    let simulated = [of_the_simulator(folder.path())];
    let all = ["kraken", "coinbase", "binance"].map(shipped);
    for files in [&all[..1], &all[1..2], &all[2..], &all, &of_two, &simulated] {
        let expected = publish(files, None, 256, 1);
        let messages: usize = expected.topics.values().map(Vec::len).sum();
        assert!(messages > 1_000, "{files:?}: {messages} messages");
        for (turn, shards) in [(256, 1), (1, 1), (7, 3), (256, 3)] {
            let found = publish(files, None, turn, shards);
            assert!(
                found.topics == expected.topics,
                "{files:?}, {turn} a turn, {shards} shards: other bytes"
            );
            assert!(
                found.state == expected.state,
                "{files:?}, {turn} a turn, {shards} shards: another state"
            );
        }
    }
}
