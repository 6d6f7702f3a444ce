//! A publisher with a simulated market, and two who listen to it by a bus.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::clock::monotonic;
use feeds::sim::{Sim, SimSettings};
use feeds::{Feed, Progress};
use serde_json::{Map, Value};
use tickwire::bus::broker::address::Address;
use tickwire::bus::broker::share::{Publication, Share};
use tickwire::bus::broker::{self, Connection, Joined};
use tickwire::bus::{Bus, BusHandle, Request, States};
use tickwire::directory::Directory;
use tickwire::gateway;
use tickwire::ingest::Control;
use tickwire::lifeline::lifeline;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Mirror, Publisher, WhenFull};
use tickwire::topic::{Channel, TopicId};
use tokio::sync::oneshot;

use super::listener::{Fields, Listener, fields};
use crate::service::broker::Broker;
use crate::service::program::PATIENCE;

/// A gateway, which has one shard.
struct Gateway {
    control: Control,
    bus: BusHandle,
    thread: Option<JoinHandle<()>>,
    metrics: Metrics,
}

pub(crate) struct Rig {
    pub(crate) publisher: Publisher,
    pub(crate) listeners: Vec<Listener>,
    bus: BusHandle,
    feed: Sim,
    runs: u32,
    gateways: Vec<Gateway>,
    /// By share.
    connections: Vec<Connection>,
    pub(crate) metrics: Metrics,
    pub(crate) server: Option<Broker>,
}

pub(crate) const INSTRUMENTS: u32 = 3;

impl Rig {
    /// Over a broker, or in one process.
    pub(crate) fn new(server: Option<Broker>) -> Self {
        Self::of_shares(server, 1)
    }

    /// Over a broker, on which so many ingests publish a part of the instruments each.
    pub(crate) fn of_shares(server: Option<Broker>, shares: u16) -> Self {
        let settings = SimSettings { instruments: INSTRUMENTS as usize, rate: 50, ..SimSettings::default() };
        let feed = Sim::new(settings).expect("settings that can be");
        let directory = Directory::new(feed.instruments());
        let topics = TopicId::count(directory.len());
        let (bus, ends) = Bus::new(topics, if server.is_none() { 2 } else { shares.into() });
        let handle = bus.handle().clone();
        let (writer, _) = quote_cache(directory.len());
        let metrics = Metrics::default();
        let epoch: Arc<str> = "e0".into();
        let publisher = Publisher::new(
            directory.clone(),
            writer,
            bus,
            metrics.clone(),
            Arc::clone(&epoch),
            WhenFull::Conflate,
        );
        let mut rig = Self {
            publisher,
            listeners: Vec::new(),
            bus: handle,
            feed,
            runs: 0,
            gateways: Vec::new(),
            connections: Vec::new(),
            metrics,
            server,
        };
        match &rig.server {
            None => rig.listeners = ends.into_iter().map(Listener::new).collect(),
            Some(server) => {
                let address: Address = server.url().parse().expect("an address");
                for (end, index) in ends.into_iter().zip(0..) {
                    let (lifeline, _) = lifeline();
                    let share = Share::new(index, shares).expect("one of them");
                    let publication = Publication { address: Address::clone(&address), share };
                    let connection =
                        broker::serve(&publication, end, &directory, &epoch, &rig.metrics, lifeline);
                    rig.connections.push(connection.expect("a server"));
                }
                for _ in 0..2 {
                    let (gateway, listener) = Gateway::start(&address);
                    rig.gateways.push(gateway);
                    rig.listeners.push(listener);
                }
            }
        }
        rig
    }

    /// So many messages of the market, each published by itself.
    pub(crate) fn play(&mut self, messages: usize) {
        let mut events = Vec::new();
        for _ in 0..messages {
            events.clear();
            let Ok(Progress::Message { due }) = self.feed.next_message(&mut events) else {
                panic!("the simulation never ends")
            };
            self.publisher.advance(due);
            self.publisher.apply(&events);
            self.publisher.end_turn();
        }
    }

    /// Another run of the stream.
    pub(crate) fn restart(&mut self) {
        self.runs += 1;
        self.publisher.restart(format!("e{}", self.runs).into(), None);
    }

    /// Turns until something holds.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let start = monotonic();
        loop {
            self.publisher.tick(monotonic());
            self.publisher.end_turn();
            for listener in &mut self.listeners {
                listener.take();
            }
            if holds(self) {
                return;
            }
            assert!(monotonic().duration_since(start) < PATIENCE, "still not so: {what}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// A topic as the publisher tells it to whoever asks.
    pub(crate) fn oracle(&mut self, topic: TopicId) -> (Arc<str>, u64, Fields) {
        let (reply, mut answer) = oneshot::channel();
        self.bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        loop {
            self.publisher.end_turn();
            if let Ok(States { epoch, seq, json }) = answer.try_recv() {
                let object: Map<String, Value> = serde_json::from_slice(&json).expect("an object");
                return (epoch, seq, fields(&object));
            }
        }
    }

    /// Whoever listens holds what the publisher has.
    #[track_caller]
    pub(crate) fn settle(&mut self, topics: &[TopicId]) {
        let all: Vec<_> = (0..self.listeners.len()).collect();
        self.settle_some(topics, &all);
    }

    #[track_caller]
    pub(crate) fn settle_some(&mut self, topics: &[TopicId], listeners: &[usize]) {
        for &topic in topics {
            let (epoch, seq, state) = self.oracle(topic);
            // That of several ingests is made of theirs.
            let is_joined = self.connections.len() > 1;
            // Gateways number statuses themselves, which say that the bus is silent too.
            let is_numbered = self.server.is_none() || topic.channel() != Channel::Status;
            for &listener in listeners {
                self.until(&format!("{} at {seq}", topic.channel()), |rig| {
                    rig.listeners[listener].state(topic).is_some_and(|(its_epoch, its_seq, its)| {
                        // After a gap of trades, the newest one is not told.
                        let is_of_run =
                            if is_joined { its.is_empty() || its == state } else { its_epoch == epoch };
                        is_of_run && if is_numbered { its_seq == seq } else { its == state }
                    })
                });
                let (its_epoch, _, its) = self.listeners[listener].state(topic).expect("a state");
                assert_eq!(is_joined, its_epoch != epoch, "{its_epoch} of {epoch}");
                // After a gap of trades, the newest one is not told.
                if !its.is_empty() {
                    assert_eq!(its, state, "{}", topic.channel());
                }
            }
        }
    }

    /// Counters of all gateways.
    pub(crate) fn sum(&self, counter: impl Fn(&Metrics) -> u64) -> u64 {
        self.gateways.iter().map(|gateway| counter(&gateway.metrics)).sum()
    }
}

impl Gateway {
    fn start(address: &Address) -> (Self, Listener) {
        let metrics = Metrics::default();
        let joined = Joined::join(address, &metrics).expect("a server and an ingest");
        let (directory, epoch) = (joined.directory.clone(), Arc::clone(&joined.epoch));
        let (bus, mut ends) = Bus::new(TopicId::count(directory.len()), 1);
        let handle = bus.handle().clone();
        let mirror = Mirror::new(epoch);
        let publisher = Publisher::of_gateway(directory, bus, metrics.clone(), mirror);
        let (runtime, link) = joined.start(&metrics);
        let control = Control::default();
        let thread = {
            let (control, metrics) = (control.clone(), metrics.clone());
            std::thread::spawn(move || gateway::run(publisher, &runtime, link, control, metrics))
        };
        let listener = Listener::new(ends.pop().expect("a shard"));
        (Self { control, bus: handle, thread: Some(thread), metrics }, listener)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.control.stop();
        self.bus.wake();
        let thread = self.thread.take().expect("once");
        if thread.join().is_err() && !std::thread::panicking() {
            panic!("the gateway has panicked");
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.gateways.clear();
        self.connections.drain(..).for_each(Connection::stop);
    }
}
