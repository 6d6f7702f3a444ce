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
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
}

use std::path::PathBuf;

use feeds::Timestamp;

use exact_stream::client::serve;
use exact_stream::publisher::publish;
use exact_stream::recordings::{folder, middle, of_kraken_and_coinbase, of_the_simulator, opening, shipped};
use exact_stream::stream::assert_leads_to;

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
