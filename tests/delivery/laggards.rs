//! Clients that stall: what they held, what they are told when they come back, and that nobody else notices.

use std::sync::Arc;

use feeds::{SymbolId, Timestamp};
use tickwire::bus::{Batch, Kind, TopicMessage};
use tickwire::fanout::{Form, Subscribed};
use tickwire::limits::{CATCH_UP_TOPICS, LAGGARD_MAX, OUTBOX_BYTES_MAX, SETTLE_AFTER};
use tickwire::topic::{Channel, Depth, Rate, TopicId};
use tickwire::wire::code::ErrorCode;
use tickwire::wire::{Encoding, Framing};

use super::pipeline::{CHANNELS, Pipeline};

const BINARY: Form = Form { encoding: Encoding::Binary, deflate: None, framing: Framing::Frames };

fn followers(pipeline: &mut Pipeline, form: Form, count: usize, channels: &[Channel]) -> Vec<usize> {
    let clients: Vec<_> = (0..count).map(|_| pipeline.join(0, form)).collect();
    for &channel in channels {
        for &client in &clients {
            pipeline.subscribe(client, channel, &[0, 1]);
        }
        pipeline.settle();
    }
    clients
}

fn some_changes(pipeline: &mut Pipeline, count: i64) {
    for number in 1..=count {
        pipeline.level(0, number % 2 == 0, 1 + number % 20, number);
        pipeline.trade(0, 30 + number % 9);
        pipeline.settle();
    }
}

#[test]
fn a_laggard_is_told_how_much_it_missed_and_of_every_lost_trade() {
    for form in [Form::default(), BINARY] {
        let mut pipeline = Pipeline::new(2, 1);
        let clients = followers(&mut pipeline, form, 2, &CHANNELS);
        let [slow, fast] = clients[..] else { unreachable!() };
        pipeline.check_cohorts();
        assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
        some_changes(&mut pipeline, 5);
        pipeline.stall(slow, 0);
        some_changes(&mut pipeline, 9);
        assert!(pipeline.is_laggard(slow) && !pipeline.is_laggard(fast));
        assert_eq!((pipeline.times_behind(slow), pipeline.times_behind(fast)), (1, 0));
        assert!(pipeline.client(fast).merges.is_empty() && pipeline.client(fast).gaps.is_empty());
        let frames = pipeline.client(slow).frames.len();
        some_changes(&mut pipeline, 9);
        assert_eq!(pipeline.client(slow).frames.len(), frames, "nothing is sent to it meanwhile");
        pipeline.revive(slow);
        pipeline.settle();
        assert!(!pipeline.is_laggard(slow));
        let held = pipeline.client(fast).topics.clone();
        let counts = pipeline.client(fast).changes.clone();
        let merges = pipeline.client(slow).merges.clone();
        assert!(merges.iter().any(|merge| merge.topic.channel() == Channel::Book(Depth::D10)), "{merges:?}");
        for merge in merges {
            let counts = &counts[&(merge.epoch, merge.topic)];
            assert_eq!(merge.n, counts[&merge.seq] - counts[&merge.prev_seq]);
            assert_eq!(merge.seq, held[&merge.topic].seq);
        }
        let trades = held[&TopicId::new(Channel::Trade, SymbolId(0))].seq;
        let [(from, to)] = pipeline.client(slow).gaps[..] else { panic!("one gap") };
        // The first trade after the stall was still sent, or the level before it was.
        assert!((trades - 17..=trades - 16).contains(&from) && to == trades, "{from} {to} {trades}");
        some_changes(&mut pipeline, 3);
        pipeline.check();
        pipeline.check_cohorts();
        assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
        pipeline.check_end();
    }
}

/// Of what did not change meanwhile, it is told nothing.
#[test]
fn a_laggard_gets_the_stale_topics_alone() {
    let mut pipeline = Pipeline::new(2, 1);
    let [slow] = followers(&mut pipeline, Form::default(), 1, &CHANNELS)[..] else { unreachable!() };
    pipeline.stall(slow, 0);
    pipeline.level(1, true, 3, 3);
    pipeline.settle();
    pipeline.level(0, true, 3, 3);
    pipeline.settle();
    pipeline.check();
    let merges = &pipeline.client(slow).merges;
    assert!(
        !merges.is_empty() && merges.iter().all(|merge| merge.topic.symbol() == SymbolId(0)),
        "{merges:?}"
    );
}

#[test]
fn more_topics_than_are_caught_up_with_at_once_come_in_parts() {
    let symbols = u32::try_from(CATCH_UP_TOPICS).expect("small") / 2 + 100;
    let mut pipeline = Pipeline::new(symbols as usize, 1);
    let slow = pipeline.join(0, Form::default());
    let all: Vec<u32> = (0..symbols).collect();
    for channel in [Channel::Quote, Channel::Book(Depth::D10)] {
        pipeline.subscribe(slow, channel, &all);
        pipeline.settle();
    }
    pipeline.stall(slow, 0);
    let change = |pipeline: &mut Pipeline, size| {
        for symbol in 0..symbols {
            pipeline.level(symbol, true, 3, size);
        }
        pipeline.publisher.end_turn();
        pipeline.drain();
    };
    change(&mut pipeline, 1);
    change(&mut pipeline, 2);
    pipeline.revive(slow);
    // The first part, of which some is on its way while everything changes again.
    pipeline.tell_drained(slow);
    pipeline.publisher.end_turn();
    pipeline.drain();
    assert!(pipeline.is_laggard(slow));
    change(&mut pipeline, 3);
    // It stalls once more before the part has come.
    pipeline.stall(slow, 0);
    while pipeline.publisher.end_turn() {
        pipeline.drain();
    }
    change(&mut pipeline, 4);
    pipeline.check();
    pipeline.check_cohorts();
    pipeline.check_end();
}

#[test]
fn a_busy_publisher_is_asked_again() {
    let mut pipeline = Pipeline::new(2, 1);
    let [slow] = followers(&mut pipeline, Form::default(), 1, &CHANNELS)[..] else { unreachable!() };
    pipeline.stall(slow, 0);
    some_changes(&mut pipeline, 3);
    pipeline.revive(slow);
    pipeline.keep_busy();
    for _ in 0..3 {
        assert!(pipeline.tell_drained(slow));
        assert!(pipeline.is_laggard(slow));
    }
    // Time enough for its cohort to have settled, had it anything in it.
    pipeline.pass(SETTLE_AFTER * 2);
    pipeline.settle();
    pipeline.check();
    let fast = pipeline.join(0, Form::default());
    for channel in CHANNELS {
        pipeline.subscribe(fast, channel, &[0, 1]);
        pipeline.settle();
    }
    pipeline.check_cohorts();
    pipeline.check_end();
}

/// What it has unsubscribed from while its cohort waits is not what keeps it from settling.
#[test]
fn a_laggard_whose_publisher_was_busy_settles_like_others() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 2, &[Channel::Quote, Channel::Status]);
    pipeline.check_cohorts();
    pipeline.stall(clients[0], 0);
    pipeline.level(0, true, 3, 3);
    pipeline.settle();
    pipeline.level(0, true, 3, 4);
    pipeline.settle();
    pipeline.revive(clients[0]);
    pipeline.keep_busy();
    pipeline.tell_drained(clients[0]);
    pipeline.pass(SETTLE_AFTER * 2);
    assert!(pipeline.is_laggard(clients[0]));
    for &client in &clients {
        pipeline.unsubscribe(client, Channel::Quote, 0);
    }
    pipeline.check();
    pipeline.check_cohorts();
}

#[test]
fn a_laggard_may_unsubscribe_and_subscribe_again() {
    for form in [Form::default(), BINARY] {
        let mut pipeline = Pipeline::new(2, 1);
        let [slow, fast] = followers(&mut pipeline, form, 2, &CHANNELS)[..] else { unreachable!() };
        pipeline.check_cohorts();
        pipeline.stall(slow, 0);
        some_changes(&mut pipeline, 3);
        // Once of what it holds, once of what is on its way.
        pipeline.unsubscribe(slow, Channel::Trade, 0);
        pipeline.revive(slow);
        pipeline.tell_drained(slow);
        pipeline.unsubscribe(slow, Channel::Book(Depth::D10), 0);
        pipeline.unsubscribe(slow, Channel::Book(Depth::D25), 1);
        pipeline.check();
        for channel in [Channel::Trade, Channel::Book(Depth::D10)] {
            pipeline.subscribe(slow, channel, &[0]);
            some_changes(&mut pipeline, 2);
        }
        pipeline.check();
        for &client in &[slow, fast] {
            for channel in CHANNELS {
                for symbol in 0..2 {
                    pipeline.unsubscribe(client, channel, symbol);
                }
            }
        }
        pipeline.check();
        pipeline.check_end();
    }
}

#[test]
fn a_laggard_that_unsubscribes_from_everything_is_none() {
    let mut pipeline = Pipeline::new(2, 1);
    let [slow] = followers(&mut pipeline, Form::default(), 1, &[Channel::Quote])[..] else { unreachable!() };
    pipeline.stall(slow, 0);
    pipeline.level(0, true, 3, 3);
    pipeline.settle();
    assert!(pipeline.is_laggard(slow));
    for symbol in 0..2 {
        pipeline.unsubscribe(slow, Channel::Quote, symbol);
    }
    assert!(!pipeline.is_laggard(slow));
    pipeline.check();
    pipeline.check_end();
}

#[test]
fn a_laggard_of_a_restart_gets_the_new_run_and_no_word_of_the_old() {
    for form in [Form::default(), BINARY] {
        for stage in 0..4 {
            let mut pipeline = Pipeline::new(2, 1);
            let [slow, _] = followers(&mut pipeline, form, 2, &CHANNELS)[..] else { unreachable!() };
            some_changes(&mut pipeline, 4);
            pipeline.stall(slow, 0);
            some_changes(&mut pipeline, 2);
            if stage == 1 {
                pipeline.revive(slow);
                pipeline.tell_drained(slow);
            } else if stage == 2 {
                pipeline.revive(slow);
                pipeline.tell_drained(slow);
                pipeline.publisher.end_turn();
            } else if stage == 3 {
                pipeline.revive(slow);
                pipeline.tell_drained(slow);
                pipeline.publisher.end_turn();
                pipeline.deliver(0);
                pipeline.stall(slow, 0);
            }
            pipeline.restart();
            pipeline.trade(0, 44);
            pipeline.settle();
            pipeline.check();
            some_changes(&mut pipeline, 2);
            pipeline.check();
            pipeline.check_end();
        }
    }
}

/// The new run's states come in several batches: who falls behind between two of them still holds states of the old run.
#[test]
fn a_client_that_falls_behind_amid_a_restart_holds_nothing_of_it() {
    let mut pipeline = Pipeline::new(2, 1);
    let [slow] = followers(&mut pipeline, Form::default(), 1, &[Channel::Trade, Channel::Quote])[..] else {
        unreachable!()
    };
    for price in 1..10 {
        pipeline.trade(0, price);
        pipeline.trade(1, price);
    }
    pipeline.settle();
    pipeline.restart();
    let batch = pipeline.sides[0].batches.try_recv().expect("the new run's states");
    let part = |messages: &[TopicMessage]| Batch {
        epoch: Arc::clone(&batch.epoch),
        messages: messages.to_vec(),
        json: batch.json.clone(),
        binary: batch.binary.clone(),
        answered: batch.answered.clone(),
        made: batch.made,
    };
    let is_second = |message: &TopicMessage| message.topic == TopicId::new(Channel::Trade, SymbolId(1));
    let (second, first): (Vec<_>, Vec<_>) = batch.messages.iter().cloned().partition(is_second);
    assert_eq!((second.len(), first.len(), first[0].kind), (1, 3, Kind::Snapshot));
    pipeline.sides[0].shard.deliver(&part(&first));
    pipeline.stall(slow, 0);
    pipeline.flush(0);
    assert!(pipeline.is_laggard(slow));
    pipeline.sides[0].shard.deliver(&part(&second));
    pipeline.trade(1, 3);
    pipeline.check();
    pipeline.trade(1, 4);
    pipeline.check();
    assert_eq!(pipeline.client(slow).gaps, []);
}

#[test]
fn a_laggard_that_leaves_leaves_nothing() {
    for stage in 0..3 {
        let mut pipeline = Pipeline::new(2, 1);
        let [slow] = followers(&mut pipeline, Form::default(), 1, &CHANNELS)[..] else { unreachable!() };
        pipeline.stall(slow, 0);
        some_changes(&mut pipeline, 3);
        if stage > 0 {
            pipeline.revive(slow);
            pipeline.tell_drained(slow);
        }
        if stage > 1 {
            pipeline.publisher.end_turn();
            pipeline.deliver(0);
        }
        pipeline.leave(slow);
        // Whoever gets its number gets nothing else of it.
        let other = pipeline.join(0, Form::default());
        assert_eq!(pipeline.client(other).seat.1, 0);
        pipeline.settle();
        pipeline.flush_one(other);
        assert!(pipeline.client(other).frames.is_empty());
        pipeline.check();
        pipeline.check_end();
    }
}

#[test]
fn a_cohort_all_of_whose_members_stall_comes_together_again() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 4, &CHANNELS);
    pipeline.check_cohorts();
    for &client in &clients {
        pipeline.stall(client, 0);
    }
    some_changes(&mut pipeline, 3);
    assert_eq!(pipeline.sides[0].shard.cohorts(), 0);
    assert_eq!(pipeline.sides[0].shard.laggards().len(), 4);
    pipeline.check();
    pipeline.check_cohorts();
    assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
    pipeline.check_end();
}

#[test]
fn a_client_that_stalls_while_it_awaits_a_subscription_gets_it_all_the_same() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 2, &[Channel::Quote, Channel::Trade]);
    pipeline.check_cohorts();
    pipeline.subscribe(clients[0], Channel::Book(Depth::D10), &[0]);
    pipeline.stall(clients[0], 0);
    pipeline.tell(clients[0], "while it waits");
    pipeline.level(0, true, 3, 3);
    pipeline.trade(0, 9);
    pipeline.publisher.end_turn();
    pipeline.drain();
    assert!(pipeline.is_laggard(clients[0]));
    pipeline.level(0, true, 3, 4);
    pipeline.trade(0, 9);
    pipeline.settle();
    pipeline.check();
    assert_eq!(pipeline.client(clients[0]).gaps.len(), 1);
    pipeline.check_end();
}

/// A request that the publisher does not take changes nothing.
#[test]
fn a_refused_subscription_loses_nothing() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 2, &[Channel::Quote]);
    pipeline.check_cohorts();
    pipeline.level(0, true, 3, 3);
    pipeline.publisher.end_turn();
    pipeline.deliver(0);
    pipeline.keep_busy();
    let refused = pipeline.try_subscribe(clients[0], Channel::Trade, Rate::Raw, &[0]);
    assert_eq!(refused, Subscribed::Refused(ErrorCode::Busy));
    pipeline.level(0, true, 3, 4);
    pipeline.check();
    pipeline.check_cohorts();
    assert_eq!(pipeline.sides[0].shard.cohorts(), 1);
    pipeline.check_end();
}

/// States of a request that do not come are not followed, and the others go on.
#[test]
fn what_is_given_up_is_followed_no_more() {
    let mut pipeline = Pipeline::new(2, 1);
    let client = pipeline.join(0, Form::default());
    pipeline.try_subscribe(client, Channel::Quote, Rate::Ms100, &[0]);
    pipeline.settle();
    pipeline.subscribe(client, Channel::Quote, &[0, 1]);
    pipeline.give_up(client);
    assert!(pipeline.client(client).wanted.is_empty());
    pipeline.level(0, true, 3, 3);
    pipeline.check();
    pipeline.subscribe(client, Channel::Quote, &[1]);
    pipeline.check();
    pipeline.check_end();
}

/// Whoever follows a topic at another rate from now on is sent nothing more at the old one.
#[test]
fn nothing_of_the_old_rate_comes_after_the_answer() {
    let mut pipeline = Pipeline::new(2, 1);
    let client = pipeline.join(0, Form::default());
    pipeline.subscribe(client, Channel::Book(Depth::D10), &[0]);
    pipeline.settle();
    pipeline.try_subscribe(client, Channel::Book(Depth::D10), Rate::S5, &[0]);
    pipeline.level(0, true, 3, 3);
    pipeline.check();
    pipeline.check_end();
}

#[test]
fn a_deaf_laggard_is_given_up_after_its_time() {
    let mut pipeline = Pipeline::new(2, 1);
    let [slow, _] = followers(&mut pipeline, Form::default(), 2, &CHANNELS)[..] else { unreachable!() };
    pipeline.stall(slow, 0);
    some_changes(&mut pipeline, 3);
    pipeline.pass(LAGGARD_MAX - SETTLE_AFTER);
    assert!(pipeline.sides[0].shard.take_overrun().is_empty());
    // It takes what there was, and gets something new: its time begins anew.
    pipeline.revive(slow);
    pipeline.tell_drained(slow);
    pipeline.stall(slow, 0);
    pipeline.pass(SETTLE_AFTER);
    pipeline.pass(LAGGARD_MAX - SETTLE_AFTER * 2);
    assert!(pipeline.sides[0].shard.take_overrun().is_empty());
    pipeline.pass(SETTLE_AFTER);
    let connection = pipeline.client(slow).seat.1;
    assert_eq!(pipeline.sides[0].shard.take_overrun(), [connection]);
    pipeline.leave(slow);
    pipeline.check();
    pipeline.check_end();
}

/// While it awaits states, what is held back for a client is bounded.
#[test]
fn more_than_may_wait_for_a_cohort_is_an_overrun() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 2, &[Channel::Quote]);
    let waiting = clients[0];
    pipeline.subscribe(waiting, Channel::Trade, &[1]);
    let text = vec![b'7'; 64 * 1024];
    let message = TopicMessage {
        topic: TopicId::new(Channel::Quote, SymbolId(0)),
        kind: Kind::Update,
        seq: 1,
        merged: 1,
        ts_event: Timestamp::default(),
        json: 0..text.len(),
        binary: 0..0,
    };
    let batch = Batch {
        epoch: Arc::clone(pipeline.sides[0].shard.epoch()),
        messages: vec![message; 8],
        json: text,
        binary: Vec::new(),
        answered: Vec::new(),
        made: pipeline.now,
    };
    let shard = &mut pipeline.sides[0].shard;
    let mut batches = 0;
    let overrun = loop {
        shard.deliver(&batch);
        // The other one is sent all of it at once.
        shard.flush(pipeline.now, u64::MAX, |connection, _| {
            assert_eq!(connection, 1);
            tickwire::fanout::Sent::Taken
        });
        batches += 1;
        let overrun = shard.take_overrun();
        if !overrun.is_empty() {
            break overrun;
        }
    };
    assert!(overrun.iter().all(|&connection| connection == 0), "{overrun:?}");
    assert_eq!(batches, OUTBOX_BYTES_MAX / (8 * 64 * 1024));
    pipeline.check_end();
}

/// Answers come in the order of the questions, also to a client that has just left a cohort.
#[test]
fn answers_keep_their_order() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = followers(&mut pipeline, Form::default(), 2, &[Channel::Quote]);
    pipeline.check_cohorts();
    pipeline.tell(clients[0], "first");
    pipeline.unsubscribe(clients[0], Channel::Quote, 1);
    pipeline.tell(clients[0], "last");
    let before = pipeline.client(clients[0]).frames.len();
    pipeline.check();
    let frames = pipeline.client(clients[0]).frames[before..].concat();
    let text = String::from_utf8_lossy(&frames).into_owned();
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    assert!(at("first") < at("unsubscribe") && at("unsubscribe") < at("last"), "{text}");
}
