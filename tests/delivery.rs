//! From market events to what each client holds, without sockets: whatever happens to the market, to subscriptions and
//! to what the clients' sockets take, a client that applies what it is sent holds the publisher's state, and every
//! number continues the one before.

mod delivery {
    pub(crate) mod client;
    mod cohorts;
    mod compressed;
    mod deferred;
    mod laggards;
    pub(crate) mod pipeline;
    mod random;
    pub(crate) mod state;
}

use feeds::{EventBody, SymbolId};
use tickwire::fanout::Form;
use tickwire::limits::BATCHES_WAITING_MAX;
use tickwire::topic::{Channel, Depth, TopicId};

use delivery::pipeline::{CHANNELS, Pipeline};

fn pipeline() -> Pipeline {
    Pipeline::new(3, 1)
}

/// A client of two instruments' every channel.
fn follower(pipeline: &mut Pipeline) -> usize {
    let client = pipeline.join(0, Form::default());
    for channel in CHANNELS {
        pipeline.subscribe(client, channel, &[0, 1]);
        pipeline.settle();
    }
    client
}

/// A shard that takes nothing for a while gets states and announced gaps, and its clients are right again.
#[test]
fn a_shard_that_was_full_is_made_good() {
    let mut pipeline = pipeline();
    let client = follower(&mut pipeline);
    // Each turn is a batch; nobody takes them.
    let changes = i64::try_from(BATCHES_WAITING_MAX).expect("small") + 50;
    for price in 1..=changes {
        pipeline.trade(0, price);
        pipeline.level(0, true, 1 + price % 39, price);
        pipeline.publisher.end_turn();
    }
    assert!(pipeline.client(client).gaps.is_empty());
    pipeline.check();
    let gaps = pipeline.client(client).gaps.clone();
    assert_eq!(gaps.len(), 1, "lost trades are announced, once");
    assert_eq!(gaps[0].1, u64::try_from(changes).expect("positive"));
    pipeline.trade(0, 7);
    pipeline.level(1, true, 7, 7);
    pipeline.check();
    assert_eq!(pipeline.client(client).gaps, gaps);
}

/// A state that only one client asked for is not news to the others: missing it is no loss to announce.
#[test]
fn a_requested_state_that_was_missed_is_no_gap() {
    let mut pipeline = pipeline();
    let [first, second] = [(); 2].map(|()| pipeline.join(0, Form::default()));
    pipeline.subscribe(first, Channel::Trade, &[0]);
    pipeline.settle();
    pipeline.subscribe(first, Channel::Quote, &[1]);
    pipeline.settle();
    pipeline.trade(0, 5);
    pipeline.settle();
    pipeline.fill(1);
    pipeline.subscribe(second, Channel::Trade, &[0]);
    pipeline.publisher.end_turn();
    pipeline.check();
    assert!(pipeline.client(first).gaps.is_empty());
    pipeline.trade(0, 6);
    pipeline.check();
}

/// A new run of the stream reaches also the clients of a shard that was full when it began.
#[test]
fn a_restart_that_was_missed_is_made_good() {
    let mut pipeline = pipeline();
    follower(&mut pipeline);
    pipeline.trade(0, 5);
    pipeline.settle();
    pipeline.fill(1);
    pipeline.restart();
    pipeline.trade(0, 6);
    pipeline.check();
    pipeline.trade(0, 7);
    pipeline.check();
}

/// What was held before a restart is not what the new run's states are told to follow.
#[test]
fn a_new_run_names_no_state_of_the_old() {
    let mut pipeline = pipeline();
    let client = follower(&mut pipeline);
    pipeline.level(0, true, 7, 7);
    pipeline.settle();
    pipeline.restart();
    pipeline.check();
    assert_eq!(pipeline.client(client).merges, []);
}

/// A client that joins while its topic's updates are on their way sees none of them before its snapshot.
#[test]
fn a_joiner_starts_at_its_snapshot() {
    let mut pipeline = pipeline();
    let first = pipeline.join(0, Form::default());
    pipeline.subscribe(first, Channel::Book(Depth::D10), &[0]);
    pipeline.settle();
    for size in 1..200 {
        pipeline.level(0, true, size % 30, size);
        pipeline.publisher.end_turn();
        if size % 9 == 0 {
            let joiner = pipeline.join(0, Form::default());
            pipeline.subscribe(joiner, Channel::Book(Depth::D10), &[0, 1]);
        }
    }
    pipeline.check();
    assert_eq!(pipeline.clients.len(), 23);
}

/// Nothing is encoded that nobody follows, or has followed lately.
#[test]
fn without_listeners_nothing_is_encoded() {
    let mut pipeline = pipeline();
    for price in 1..39 {
        pipeline.level(0, false, price, 1);
    }
    pipeline.publisher.end_turn();
    assert!(pipeline.sides[0].batches.try_recv().is_none());
    let client = pipeline.join(0, Form::default());
    pipeline.subscribe(client, Channel::Quote, &[0]);
    pipeline.check();
    pipeline.unsubscribe(client, Channel::Quote, 0);
    assert_eq!(pipeline.bus.interest().of(TopicId::new(Channel::Quote, SymbolId(0))).shards(), 0);
    pipeline.event(0, EventBody::BookClear);
    pipeline.publisher.end_turn();
    assert!(pipeline.sides[0].batches.try_recv().is_none());
    pipeline.check();
    pipeline.check_end();
}
