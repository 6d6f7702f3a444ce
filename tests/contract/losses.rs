//! Between an ingest's end and a gateway's publisher messages are lost, without a broker and on the test's own thread:
//! whoever listens is never shown a hole, and holds what the ingest has when no more are lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::sim::{Sim, SimSettings};
use feeds::{Feed, Progress};
use proptest::prelude::*;
use serde_json::{Map, Value};
use tickwire::bus::broker::Outlet;
use tickwire::bus::broker::message::{Carried, Follow, Message};
use tickwire::bus::{Bus, BusHandle, Request, ShardEnd};
use tickwire::directory::Directory;
use tickwire::limits::ASK_AGAIN_AFTER;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Mirror, Publisher, WhenFull};
use tickwire::topic::{Channel, Depth, TopicId};
use tokio::sync::oneshot;

use super::listener::{Fields, Listener, all_topics, fields};

struct Pair {
    feed: Sim,
    ingest: Publisher,
    ingest_bus: BusHandle,
    end: ShardEnd,
    outlet: Outlet,
    gateway: Publisher,
    listener: Listener,
    metrics: Metrics,
    now: Instant,
    /// Which byte of the records of the next message that has it is another.
    damage: Option<usize>,
    has_damaged: bool,
    /// How often it showed.
    found_out: u64,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let settings = SimSettings { seed, instruments: 2, rate: 50, ..SimSettings::default() };
        let feed = Sim::new(settings).expect("settings that can be");
        let directory = Directory::new(feed.instruments());
        let topics = TopicId::count(directory.len());
        let epoch: Arc<str> = "e0".into();
        let (bus, mut ends) = Bus::new(topics, 1);
        let ingest_bus = bus.handle().clone();
        let (writer, _) = quote_cache(directory.len());
        let ingest = Publisher::new(
            directory.clone(),
            writer,
            bus,
            Metrics::default(),
            Arc::clone(&epoch),
            WhenFull::Conflate,
        );
        let end = ends.pop().expect("a shard");
        let now = monotonic();
        let outlet = Outlet::new(end.shard, end.bus.clone(), topics, Arc::clone(&epoch), now);
        let metrics = Metrics::default();
        let (bus, mut ends) = Bus::new(topics, 1);
        let gateway = Publisher::of_gateway(directory, bus, metrics.clone(), Mirror::new(epoch));
        let listener = Listener::new(ends.pop().expect("a shard"));
        Self {
            feed,
            ingest,
            ingest_bus,
            end,
            outlet,
            gateway,
            listener,
            metrics,
            now,
            damage: None,
            has_damaged: false,
            found_out: 0,
        }
    }

    /// The market moves, and what comes of it goes to the gateway as far as it is not lost.
    fn step(&mut self, messages: usize, mut is_lost: impl FnMut() -> bool) {
        let mut events = Vec::new();
        for _ in 0..messages {
            events.clear();
            let Ok(Progress::Message { due }) = self.feed.next_message(&mut events) else { continue };
            self.ingest.advance(due);
            self.ingest.apply(&events);
        }
        self.now += Duration::from_millis(20);
        self.ingest.end_turn();
        let mut out = Vec::new();
        while let Some(batch) = self.end.batches.try_recv() {
            self.outlet.take(&batch, &mut out);
        }
        self.outlet.look(self.now, &mut out);
        for carried in out {
            if !is_lost() {
                let bytes = Message::Carried(carried).encode();
                let Ok(Message::Carried(carried)) = Message::decode(&bytes) else { panic!("as it was sent") };
                self.carry(&carried);
            }
        }
        self.gateway.end_turn();
        self.gateway.take_errands();
        let mirror = self.gateway.mirror();
        mirror.look(self.now);
        let follow = Follow { epoch: Arc::clone(mirror.epoch()), topics: mirror.asks(self.now, false) };
        if !follow.topics.is_empty() && !is_lost() {
            self.outlet.follow(&follow, self.now);
        }
        self.listener.take();
    }

    fn carry(&mut self, carried: &Carried) {
        if let Some(place) = self.damage.take_if(|place| *place < carried.records.len()) {
            let mut damaged = carried.clone();
            damaged.records[place] ^= 1 << (place % 8);
            self.has_damaged = true;
            self.found_out += u64::from(self.gateway.carry(&damaged).is_err());
            return;
        }
        match self.gateway.carry(carried) {
            Ok(()) => {}
            // What made sense by chance, such as another size, shows at the next checksum.
            Err(_) if self.has_damaged => self.found_out += 1,
            Err(error) => panic!("what an ingest sends makes sense: {error}"),
        }
    }

    fn oracle(&mut self, topic: TopicId) -> (u64, Fields) {
        let (reply, mut answer) = oneshot::channel();
        self.ingest_bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        self.ingest.end_turn();
        let states = answer.try_recv().expect("an answer at the end of a turn");
        let object: Map<String, Value> = serde_json::from_slice(&states.json).expect("an object");
        (states.seq, fields(&object))
    }

    /// Nothing is lost any more, and nothing happens.
    fn settle(&mut self) {
        // As long as it takes to ask again, and to hear of the last message that was lost.
        let steps = 3 * ASK_AGAIN_AFTER.as_millis() / 20;
        for _ in 0..steps {
            self.step(0, || false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_lost_is_had_again_or_told(
        seed in 0_u64..1_000,
        losses in prop::collection::vec(prop::bool::weighted(0.2), 64),
        steps in 20_usize..120,
        messages in 1_usize..40,
    ) {
        let mut pair = Pair::new(seed);
        let topics = all_topics(2);
        let mut lot = losses.iter().copied().cycle();
        pair.step(200, || false);
        pair.listener.follow(&topics);
        for _ in 0..steps {
            // A step may lose none of its messages, some, or all.
            pair.step(messages, || lot.next().unwrap_or_default());
        }
        pair.settle();
        let mut numbers = 0;
        for &topic in &topics {
            let (seq, state) = pair.oracle(topic);
            let (_, ours, held) = pair.listener.state(topic).expect("a state");
            if topic.channel() == Channel::Trade {
                numbers += seq;
            }
            // Gateways number statuses themselves, and a gap does not tell the newest trade.
            prop_assert!(ours == seq || topic.channel() == Channel::Status, "{} at {ours}, not {seq}", topic.channel());
            prop_assert!(held == state || held.is_empty(), "{}: {held:?}, not {state:?}", topic.channel());
        }
        let counts = pair.listener.counts;
        let holes = pair.metrics.bus_holes_total().get();
        let (refills, jumps) = (pair.metrics.bus_refills_total().get(), pair.metrics.bus_jumps_total().get());
        prop_assert!(counts.trades + counts.lost_trades <= numbers, "{counts:?} of {numbers}");
        prop_assert!(holes == 0 || refills + jumps > 0, "{holes} holes, {refills} refills, {jumps} jumps");
    }
}

/// Of a hole that the ingest's history covers, not one update is merged or lost.
#[test]
fn a_hole_that_is_known_is_filled_with_all_that_was_in_it() {
    let mut pair = Pair::new(7);
    let topics = all_topics(2);
    pair.step(200, || false);
    pair.listener.follow(&topics);
    pair.settle();
    let before = pair.listener.counts;
    let first: u64 = topics.iter().map(|&topic| pair.listener.seq(topic)).sum();
    pair.step(20, || true);
    pair.step(20, || false);
    pair.settle();
    let counts = pair.listener.counts;
    assert!(pair.metrics.bus_holes_total().get() > 0);
    assert!(pair.metrics.bus_refills_total().get() > 0);
    assert_eq!((pair.metrics.bus_jumps_total().get(), counts.lost_trades), (0, 0));
    assert_eq!(counts.states, before.states, "nothing came as a whole again");
    let last: u64 = topics.iter().map(|&topic| pair.listener.seq(topic)).sum();
    assert!(last - first >= counts.updates - before.updates && counts.updates > before.updates);
}

/// The checksum of a message keeps the broker's faults away; here it is the ingest that sends what makes no sense, of
/// books of ten levels, whose own checksum finds it out wherever it stands.
#[test]
fn what_makes_no_sense_is_found_out_and_the_state_is_asked_for() {
    let mut pair = Pair::new(3);
    let is_book = |topic: &TopicId| topic.channel() == Channel::Book(Depth::D10);
    let books = all_topics(2).into_iter().filter(is_book);
    let topics: Vec<_> = books.collect();
    pair.step(200, || false);
    pair.listener.follow(&topics);
    pair.settle();
    for place in 0..200 {
        pair.damage = Some(place % 12);
        pair.step(10, || false);
        pair.step(10, || false);
    }
    pair.damage = None;
    // Until each book has had its checksum.
    for _ in 0..100 {
        pair.step(10, || false);
    }
    pair.settle();
    assert!(pair.found_out > 50, "{}", pair.found_out);
    for &topic in &topics {
        let (seq, state) = pair.oracle(topic);
        let (_, ours, held) = pair.listener.state(topic).expect("a state");
        assert_eq!((ours, held), (seq, state), "{}", topic.channel());
    }
}
