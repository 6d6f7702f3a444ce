//! Shared compressed streams: every member understands every message, whenever it entered.

use std::time::Duration;

use tickwire::fanout::{Deflate, Form};
use tickwire::limits::{KEY_FRAME_EVERY, SETTLE_AFTER};
use tickwire::topic::Channel;

use super::pipeline::{CHANNELS, Pipeline};

const RSV1: u8 = 0x40;

fn form(window_bits: u8, context: bool) -> Form {
    Form { deflate: Some(Deflate { window_bits, context }), ..Form::default() }
}

fn join(pipeline: &mut Pipeline, form: Form) -> usize {
    let client = pipeline.join(0, form);
    for channel in CHANNELS {
        pipeline.subscribe(client, channel, &[0, 1]);
        pipeline.settle();
    }
    client
}

/// One message to everybody; says who got it compressed, and how long it was then.
fn message(pipeline: &mut Pipeline, clients: &[usize], size: i64) -> Vec<Option<usize>> {
    let before: Vec<_> = clients.iter().map(|&client| pipeline.client(client).frames.len()).collect();
    pipeline.level(0, true, 1 + size % 30, size);
    pipeline.settle();
    let frames = clients.iter().zip(before).map(|(&client, before)| {
        let [frame] = &pipeline.clients[client].as_ref().expect("there").frames[before..] else {
            panic!("one message")
        };
        (frame[0] & RSV1 != 0).then_some(frame.len())
    });
    frames.collect()
}

#[test]
fn joiners_enter_at_a_key_frame_of_which_there_is_one_in_its_time() {
    for window_bits in [9, 15] {
        let mut pipeline = Pipeline::new(2, 1);
        let mut clients: Vec<_> = (0..3).map(|_| join(&mut pipeline, form(window_bits, true))).collect();
        pipeline.check_cohorts();
        // The first message is a key frame: nobody had any before.
        let first = message(&mut pipeline, &clients, 1);
        assert!(first.iter().all(Option::is_some) && first[0] == first[2], "{first:?}");
        let second = message(&mut pipeline, &clients, 2);
        assert!(second[0] < first[0], "it refers to the first: {first:?} {second:?}");
        let mut key_frames = 0;
        let mut plain = 0;
        for number in 0..40 {
            if number % 5 == 0 {
                clients.push(join(&mut pipeline, form(window_bits, true)));
            }
            pipeline.pass(Duration::from_millis(100));
            let newest = *clients.last().expect("some");
            let all = message(&mut pipeline, &clients, 10 + number);
            // Whoever has its place gets them compressed, and all the same.
            assert!(all[0].is_some());
            let is_compressed = |&&size: &&Option<usize>| size.is_some();
            let joined = all.iter().filter(is_compressed).filter(|size| **size == all[0]).count();
            assert!(joined >= 3);
            if all[0] > second[0].map(|size| size + 40) {
                key_frames += 1;
            }
            plain += usize::from(all[clients.len() - 1].is_none());
            pipeline.client(newest).assert_is_quiet();
        }
        assert!(plain > 0, "they wait for it");
        assert!((1..=4).contains(&key_frames), "{key_frames} in four seconds: {KEY_FRAME_EVERY:?}");
        let standing = pipeline.sides[0].shard.standing();
        assert_eq!((standing.compressed_streams, standing.key_frames), (1, 1 + key_frames), "{standing:?}");
        clients.push(join(&mut pipeline, form(window_bits, true)));
        pipeline.pass(SETTLE_AFTER);
        pipeline.pass(KEY_FRAME_EVERY);
        let key_frame = message(&mut pipeline, &clients, 100);
        let next = message(&mut pipeline, &clients, 101);
        for all in [&key_frame, &next] {
            assert!(all.iter().all(|size| *size == all[0] && size.is_some()), "{all:?}");
        }
        assert!(key_frame[0] > next[0], "{key_frame:?} {next:?}");
        pipeline.check();
        pipeline.check_end();
    }
}

#[test]
fn what_is_for_one_alone_is_plain_and_disturbs_no_window() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients: Vec<_> = (0..3).map(|_| join(&mut pipeline, form(15, true))).collect();
    pipeline.check_cohorts();
    message(&mut pipeline, &clients, 1);
    let long = "psst ".repeat(1_000);
    for size in 2..20 {
        pipeline.tell(clients[0], &long);
        let before = pipeline.client(clients[0]).frames.len();
        pipeline.flush_one(clients[0]);
        let frames = &pipeline.client(clients[0]).frames[before..];
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0][0], 0x81);
        let all = message(&mut pipeline, &clients, size);
        assert!(all.iter().all(|size| *size == all[0] && size.is_some()), "{all:?}");
    }
    pipeline.check();
}

#[test]
fn a_member_that_stalls_and_comes_back_understands_everything() {
    for context in [true, false] {
        let mut pipeline = Pipeline::new(2, 1);
        let clients: Vec<_> = (0..4).map(|_| join(&mut pipeline, form(15, context))).collect();
        pipeline.check_cohorts();
        for round in 0..6 {
            for size in 1..5 {
                message(&mut pipeline, &clients, 10 * round + size);
            }
            for stalled in &clients[..usize::try_from(round).expect("small") % 5] {
                pipeline.stall(*stalled, 1);
            }
            for size in 1..5 {
                pipeline.level(0, true, 3, 1_000 + 10 * round + size);
                pipeline.trade(1, size);
                pipeline.settle();
            }
            pipeline.check();
            // Sometimes they have settled before the next message, and sometimes not.
            if round % 2 == 0 {
                pipeline.check_cohorts();
            }
        }
        pipeline.check_end();
    }
}

/// A long message to a client that is alone is compressed too, and refers to none before it.
#[test]
fn a_lone_client_moves_between_streams() {
    let mut pipeline = Pipeline::new(2, 1);
    let mates: Vec<_> = (0..2).map(|_| join(&mut pipeline, form(15, true))).collect();
    let loner = join(&mut pipeline, form(15, true));
    pipeline.check_cohorts();
    assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
    for round in 0..5 {
        for size in 1..4 {
            message(&mut pipeline, &mates, 100 * round + size);
        }
        pipeline.unsubscribe(loner, Channel::Status, 1);
        let before = pipeline.client(loner).frames.len();
        pipeline.book(0);
        pipeline.level(0, true, 39, round + 1);
        pipeline.settle();
        pipeline.check();
        assert!(pipeline.client(loner).frames[before..].iter().any(|frame| frame[0] & RSV1 != 0));
        pipeline.subscribe(loner, Channel::Status, &[1]);
        pipeline.check();
        pipeline.check_cohorts();
        assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
    }
    pipeline.check_end();
}
