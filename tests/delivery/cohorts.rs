//! Clients that follow the same come to share what they are sent, and part again.

use std::time::Duration;

use feeds::SymbolId;
use tickwire::fanout::{Form, Sent, Subscribe, Subscribed};
use tickwire::limits::SETTLE_AFTER;
use tickwire::topic::{Channel, Depth, TopicId};
use tickwire::wire::Encoding;

use super::pipeline::Pipeline;

fn cohorts(pipeline: &Pipeline) -> usize {
    pipeline.sides[0].shard.cohorts()
}

fn crowd(pipeline: &mut Pipeline, count: usize) -> Vec<usize> {
    (0..count)
        .map(|number| {
            let client = pipeline.join(0, Form::default());
            // Whatever the order in which they come to it.
            let mut channels = [Channel::Quote, Channel::Trade, Channel::Book(Depth::D10)];
            channels.rotate_left(number % 3);
            for channel in channels {
                pipeline.subscribe(client, channel, &[0, 1]);
                pipeline.settle();
            }
            client
        })
        .collect()
}

#[test]
fn a_settled_crowd_is_one_cohort_and_gets_equal_frames() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = crowd(&mut pipeline, 20);
    assert_eq!(cohorts(&pipeline), 20);
    // Something waits for them when they settle.
    pipeline.level(0, true, 3, 3);
    pipeline.publisher.end_turn();
    pipeline.deliver(0);
    pipeline.pass(SETTLE_AFTER);
    assert_eq!(cohorts(&pipeline), 1);
    pipeline.check_cohorts();
    let before: Vec<_> = clients.iter().map(|&client| pipeline.client(client).frames.len()).collect();
    for size in 1..30 {
        pipeline.level(0, size % 2 == 0, size, size);
        pipeline.trade(1, size);
        if size % 3 == 0 {
            pipeline.settle();
        }
    }
    pipeline.check();
    let frames: Vec<_> = (clients.iter().zip(before))
        .map(|(&client, before)| pipeline.client(client).frames[before..].to_vec())
        .collect();
    assert!(frames[0].len() >= 9);
    assert!(frames.iter().all(|other| *other == frames[0]));
    pipeline.check_end();
}

#[test]
fn who_changes_parts_with_what_was_under_way_and_who_changes_back_returns() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = crowd(&mut pipeline, 5);
    pipeline.check_cohorts();
    pipeline.level(0, true, 3, 3);
    pipeline.trade(0, 3);
    pipeline.publisher.end_turn();
    pipeline.deliver(0);
    // What was delivered and not sent goes to all of them, once.
    pipeline.unsubscribe(clients[2], Channel::Trade, 0);
    assert_eq!(cohorts(&pipeline), 2);
    pipeline.trade(0, 4);
    pipeline.level(0, true, 3, 4);
    pipeline.check();
    pipeline.check_cohorts();
    assert_eq!(cohorts(&pipeline), 2);
    pipeline.subscribe(clients[2], Channel::Trade, &[0]);
    pipeline.check();
    pipeline.check_cohorts();
    assert_eq!(cohorts(&pipeline), 1);
    // Changes faster than it settles.
    for _ in 0..10 {
        pipeline.unsubscribe(clients[0], Channel::Quote, 0);
        pipeline.pass(SETTLE_AFTER / 2);
        pipeline.subscribe(clients[0], Channel::Quote, &[0]);
        pipeline.settle();
        pipeline.pass(SETTLE_AFTER / 2);
        assert_eq!(cohorts(&pipeline), 2);
    }
    pipeline.check();
    for &client in &clients[1..] {
        pipeline.leave(client);
    }
    pipeline.check_cohorts();
    pipeline.level(1, true, 5, 5);
    pipeline.check();
    pipeline.check_end();
}

#[test]
fn a_member_that_stalls_while_it_settles_or_shares_is_apart_at_once() {
    for takes in 0..3 {
        let mut pipeline = Pipeline::new(2, 1);
        let clients = crowd(&mut pipeline, 4);
        pipeline.stall(clients[1], takes);
        pipeline.stall(clients[3], takes);
        for size in 1..6 {
            pipeline.level(0, true, 3, size);
            pipeline.trade(1, size);
            pipeline.publisher.end_turn();
            pipeline.deliver(0);
            // Settling flushes: it is then that the socket refuses.
            pipeline.pass(SETTLE_AFTER + Duration::from_millis(1));
        }
        assert!(pipeline.is_laggard(clients[1]) && pipeline.is_laggard(clients[3]));
        assert_eq!(cohorts(&pipeline), 1);
        pipeline.check();
        pipeline.check_cohorts();
        assert_eq!(cohorts(&pipeline), 1);
        pipeline.check_end();
    }
}

/// Whoever was to join it is found by the next instead.
#[test]
fn a_cohort_that_ends_as_another_settles_in_it_is_replaced_by_that() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients = crowd(&mut pipeline, 2);
    pipeline.stall(clients[0], 0);
    pipeline.level(0, true, 3, 3);
    pipeline.publisher.end_turn();
    pipeline.deliver(0);
    pipeline.pass(SETTLE_AFTER);
    assert!(pipeline.is_laggard(clients[0]));
    pipeline.check();
    pipeline.check_cohorts();
    assert_eq!(cohorts(&pipeline), 1);
}

/// Sets that differ in the very first topic are told apart.
#[test]
fn every_topic_counts() {
    let mut pipeline = Pipeline::new(2, 1);
    let clients: Vec<_> = (0..4).map(|_| pipeline.join(0, Form::default())).collect();
    for (number, &client) in clients.iter().enumerate() {
        pipeline.subscribe(client, Channel::Quote, if number < 2 { &[1] } else { &[0, 1] });
    }
    pipeline.settle();
    pipeline.check_cohorts();
    assert_eq!(cohorts(&pipeline), 2);
    pipeline.check_end();
}

#[test]
fn those_who_ask_all_the_time_do_not_keep_updates_waiting() {
    let mut pipeline = Pipeline::new(1, 1);
    let follower = pipeline.join(0, Form::default());
    pipeline.subscribe(follower, Channel::Quote, &[0]);
    pipeline.settle();
    for _ in 0..8 {
        let asker = pipeline.join(0, Form::default());
        pipeline.tell(asker, "again");
    }
    pipeline.level(0, true, 3, 3);
    pipeline.publisher.end_turn();
    pipeline.deliver(0);
    let mut sent = Vec::new();
    pipeline.sides[0].shard.flush(pipeline.now, 4, |connection, _| {
        sent.push(connection);
        Sent::Taken
    });
    assert!(sent.contains(&pipeline.client(follower).seat.1), "{sent:?}");
}

/// However often a client changes its mind, those behind it settle in their time.
#[test]
fn a_client_that_changes_all_the_time_keeps_nobody_from_settling() {
    let mut pipeline = Pipeline::new(1, 1);
    let restless = pipeline.join(0, Form::default());
    for _ in 0..3_000 {
        for depth in [Depth::D10, Depth::D25] {
            pipeline.now += Duration::from_micros(10);
            pipeline.subscribe(restless, Channel::Book(depth), &[0]);
            pipeline.settle();
        }
    }
    for _ in 0..2 {
        let client = pipeline.join(0, Form::default());
        pipeline.subscribe(client, Channel::Quote, &[0]);
        pipeline.settle();
    }
    pipeline.pass(SETTLE_AFTER + Duration::from_millis(1));
    assert_eq!(pipeline.sides[0].shard.cohorts(), 2);
    pipeline.check();
    pipeline.check_end();
}

/// Binary records are differences to the state before.
#[test]
fn a_binary_client_gets_the_state_that_it_did_not_ask_for() {
    let mut pipeline = Pipeline::new(1, 1);
    let form = Form { encoding: Encoding::Binary, ..Form::default() };
    let client = pipeline.join(0, form);
    let topic = TopicId::new(Channel::Quote, SymbolId(0));
    let mut subscribe = Subscribe::new(Channel::Quote, &[topic]);
    subscribe.snapshot = false;
    let connection = pipeline.client(client).seat.1;
    assert_eq!(pipeline.sides[0].shard.subscribe(connection, subscribe), Subscribed::Awaiting);
    pipeline.client(client).wanted.insert(topic);
    pipeline.settle();
    pipeline.level(0, true, 3, 3);
    pipeline.check();
    pipeline.check_end();
}
