//! The contract of every bus, each kept to it by the same tests: in one process, and over brokers, by one ingest or two that
//! share its instruments.
//!
//! Whoever listens gets the messages of each topic in order, each update after the state before it; what cannot be had
//! is told, by a state or a gap; a state that is asked for takes its place among the updates.
#![cfg(all(feature = "nats", feature = "amqp", feature = "kafka"))]

mod contract {
    pub(crate) mod listener;
    mod losses;
    pub(crate) mod rig;
}
mod service {
    #[expect(dead_code, reason = "nothing is frozen there")]
    pub(crate) mod broker;
    pub(crate) mod eventually;
    pub(crate) mod installed;
    pub(crate) mod nats;
    pub(crate) mod needed;
    pub(crate) mod port;
    #[expect(dead_code, reason = "there is no program here but the broker")]
    pub(crate) mod program;
    #[expect(dead_code, reason = "nothing is encrypted there")]
    pub(crate) mod rabbit;
    pub(crate) mod tansu;
}

use contract::listener::all_topics;
use contract::rig::{INSTRUMENTS, Rig};
use feeds::SymbolId;
use service::broker::{Broker, Kind};
use tickwire::limits::BATCHES_WAITING_MAX;
use tickwire::topic::{Channel, TopicId};

/// Each of them as a test of each bus.
macro_rules! each_bus {
    ($($(#[$doc:meta])* fn $name:ident($rig:ident) $body:block)*) => {
        $($(#[$doc])* fn $name(mut $rig: Rig) $body)*

        mod in_process {
            $(#[test]
            fn $name() {
                super::$name(super::Rig::new(None));
            })*
        }

        each_bus!(in nats, Nats, 1, $($name)*);
        each_bus!(in nats_with_two_shares, Nats, 2, $($name)*);
        each_bus!(in rabbit_mq, RabbitMq, 1, $($name)*);
        each_bus!(in rabbit_mq_with_two_shares, RabbitMq, 2, $($name)*);
        each_bus!(in kafka, Kafka, 1, $($name)*);
    };
    (in $module:ident, $kind:ident, $shares:literal, $($name:ident)*) => {
        mod $module {
            $(#[test]
            fn $name() {
                if let Some(broker) = super::Broker::shared(super::Kind::$kind) {
                    super::$name(super::Rig::of_shares(Some(broker), $shares));
                }
            })*
        }
    };
}

each_bus! {
    fn every_topic_comes_as_a_state_and_then_every_update_in_order(rig) {
        let topics = all_topics(INSTRUMENTS);
        rig.play(500);
        rig.listeners[0].follow(&topics);
        rig.until("the first has its states", |rig| topics.iter().all(|&topic| rig.listeners[0].state(topic).is_some()));
        // No faster than who listens: what waits for too long is conflated, and trades are lost by it.
        for _ in 0..20 {
            rig.play(50);
            rig.settle_some(&topics[..1], &[0]);
        }
        // In the middle of it.
        rig.listeners[1].follow(&topics);
        for _ in 0..20 {
            rig.play(50);
            rig.settle_some(&topics[..1], &[0, 1]);
        }
        rig.settle(&topics);
        let [first, second] = [0, 1].map(|listener: usize| rig.listeners[listener].counts);
        assert!(first.updates > second.updates && second.updates > 0, "{first:?} {second:?}");
        assert_eq!((first.lost_trades, second.lost_trades), (0, 0));
        assert_eq!(first.states, topics.len() as u64, "nothing was made good");
    }

    fn who_comes_back_gets_what_it_missed(rig) {
        let topics = all_topics(1);
        rig.play(200);
        rig.listeners[0].follow(&topics);
        rig.listeners[1].follow(&topics);
        rig.settle(&topics);
        rig.listeners[0].leave(&topics);
        rig.play(20);
        rig.settle_some(&topics, &[1]);
        let states = rig.listeners[0].counts.states;
        rig.listeners[0].follow(&topics);
        rig.settle(&topics);
        let counts = rig.listeners[0].counts;
        assert!(counts.resumed > 0 && counts.lost_trades == 0, "{counts:?}");
        assert!(counts.states - states <= 1, "a status may come whole: {counts:?}");
    }

    /// As after a cut: where it comes back, nobody has followed them meanwhile.
    fn who_comes_back_where_nobody_followed_gets_every_trade(rig) {
        let trades: Vec<_> = (0..INSTRUMENTS).map(|symbol| TopicId::new(Channel::Trade, SymbolId(symbol))).collect();
        rig.play(200);
        rig.listeners[0].follow(&trades);
        rig.settle_some(&trades, &[0]);
        rig.listeners[0].leave(&trades);
        let held = trades.iter().map(|&topic| rig.listeners[0].seq(topic)).collect::<Vec<_>>();
        while trades.iter().zip(&held).any(|(&topic, held)| rig.oracle(topic).1 < held + 20) {
            rig.play(20);
        }
        let (first, second) = rig.listeners.split_at_mut(1);
        second[0].inherit(&first[0]);
        second[0].follow(&trades);
        rig.settle_some(&trades, &[1]);
        let missed: u64 = trades.iter().zip(&held).map(|(&topic, held)| rig.listeners[1].seq(topic) - held).sum();
        let counts = rig.listeners[1].counts;
        assert_eq!((counts.lost_trades, counts.trades), (0, missed));
        assert_eq!(counts.resumed, trades.len() as u64);
    }

    fn another_run_of_the_stream_is_told_with_its_states(rig) {
        let topics = all_topics(INSTRUMENTS);
        rig.play(300);
        rig.listeners[0].follow(&topics);
        rig.settle_some(&topics, &[0]);
        for run in 1..=3 {
            rig.restart();
            rig.play(300);
            rig.settle_some(&topics, &[0]);
            assert_eq!(rig.listeners[0].counts.restarts, run);
        }
        // Numbers of the run before are worth nothing.
        rig.listeners[1].follow(&topics);
        rig.settle(&topics);
        rig.listeners[1].leave(&topics);
        rig.restart();
        rig.play(300);
        rig.listeners[1].follow(&topics);
        rig.settle(&topics);
    }

    fn who_does_not_take_what_comes_is_told_what_it_missed(rig) {
        let topics = all_topics(INSTRUMENTS);
        let trades: Vec<_> = (0..INSTRUMENTS).map(|symbol| TopicId::new(Channel::Trade, SymbolId(symbol))).collect();
        rig.play(300);
        rig.listeners[0].follow(&topics);
        rig.listeners[1].follow(&topics);
        rig.settle(&topics);
        let numbers = |rig: &Rig| trades.iter().map(|&topic| rig.listeners[0].seq(topic)).sum::<u64>();
        let before = (numbers(&rig), rig.listeners[0].counts);
        for _ in 0..BATCHES_WAITING_MAX + 500 {
            rig.play(2);
            rig.listeners[1].take();
        }
        rig.settle(&topics);
        let counts = rig.listeners[0].counts;
        let told = counts.trades + counts.lost_trades - before.1.trades;
        assert_eq!(told, numbers(&rig) - before.0, "every trade came, or its loss was told");
    }

    fn what_nobody_follows_does_not_travel(rig) {
        let quote = TopicId::new(Channel::Quote, SymbolId(1));
        rig.listeners[0].follow(&[quote]);
        rig.until("it has the state", |rig| rig.listeners[0].state(quote).is_some());
        rig.play(300);
        rig.settle_some(&[quote], &[0]);
        let encoded = rig.metrics.topic_messages_total().get();
        let updates = rig.listeners[0].counts.updates;
        assert!(encoded <= updates + 20, "{encoded} encoded for {updates}");
    }
}

/// Beside the contract: what is lost on the way is had again.
fn a_server_that_is_killed_and_comes_back_leaves_no_hole(kind: Kind) {
    let Some(broker) = Broker::own(kind) else { return };
    let mut rig = Rig::new(Some(broker));
    let topics = all_topics(INSTRUMENTS);
    rig.play(300);
    rig.listeners[0].follow(&topics);
    rig.settle_some(&topics, &[0]);
    for _ in 0..3 {
        rig.play(20);
        rig.server.as_mut().expect("a broker").kill();
        // Somebody comes while it is away, and asks again when it is back.
        rig.listeners[1].follow(&topics);
        rig.play(200);
        rig.until("a turn", |_| true);
        rig.server.as_mut().expect("a broker").start_again();
        rig.listeners[1].follow(&topics);
        rig.play(20);
        rig.settle(&topics);
    }
    assert_eq!(rig.listeners[0].counts.restarts, 0);
    assert!(rig.sum(|metrics| metrics.bus_reconnects_total().get()) >= 6);
}

#[test]
fn a_nats_server_that_is_killed_and_comes_back_leaves_no_hole() {
    a_server_that_is_killed_and_comes_back_leaves_no_hole(Kind::Nats);
}

#[test]
fn a_rabbit_mq_server_that_is_killed_and_comes_back_leaves_no_hole() {
    a_server_that_is_killed_and_comes_back_leaves_no_hole(Kind::RabbitMq);
}

#[test]
fn a_kafka_broker_that_is_killed_and_comes_back_leaves_no_hole() {
    a_server_that_is_killed_and_comes_back_leaves_no_hole(Kind::Kafka);
}
