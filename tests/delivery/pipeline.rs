//! Publisher, bus, shards and clients on the test's own thread and clock.

use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::{
    Aggressor, BookSnapshot, EventBody, Exponent, Instrument, Level, MarketEvent, Price, Side, Size, Symbol,
    SymbolId, Timestamp, Trade,
};
use serde_json::{Map, Value};
use tickwire::bus::{Batches, Bus, BusHandle, Request, Wanted};
use tickwire::directory::Directory;
use tickwire::fanout::{Connection, Form, Shard, Standing, Subscribe, Subscribed};
use tickwire::limits::{BATCHES_WAITING_MAX, SETTLE_AFTER};
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::topic::{Channel, Depth, Interval, Rate, TopicId};
use tickwire::wire::Encoding;
use tickwire::wire::message;
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::client::Client;
use super::state::{Data, Fields};

pub(crate) const CHANNELS: [Channel; 7] = [
    Channel::Quote,
    Channel::Trade,
    Channel::Book(Depth::D10),
    Channel::Book(Depth::D25),
    Channel::Ticker,
    Channel::Bar(Interval::S1),
    Channel::Status,
];

pub(crate) struct Pipeline {
    pub(crate) publisher: Publisher,
    pub(crate) bus: BusHandle,
    pub(crate) sides: Vec<ShardSide>,
    pub(crate) directory: Directory,
    pub(crate) clients: Vec<Option<Client>>,
    pub(crate) now: Instant,
    event_time: i64,
    epochs: u32,
}

/// A shard, and what it is to take.
pub(crate) struct ShardSide {
    pub(crate) shard: Shard,
    pub(crate) batches: Batches,
}

impl Pipeline {
    pub(crate) fn new(symbols: usize, shards: usize) -> Self {
        let instruments: Vec<_> = (0..symbols)
            .map(|number| Instrument {
                symbol: Symbol::new(&format!("S{number}")).expect("a symbol"),
                venue: "TEST",
                price_exponent: Exponent::new(-2).expect("within range"),
                size_exponent: Exponent::ONE,
                tick_size: None,
                currency: None,
                book_levels_max: None,
                begins_stale: false,
            })
            .collect();
        let directory = Directory::new(&instruments);
        let (bus, ends) = Bus::new(TopicId::count(symbols), shards);
        let handle = bus.handle().clone();
        let (writer, _) = quote_cache(symbols);
        let now = monotonic();
        let sides = ends.into_iter().map(|end| ShardSide {
            shard: Shard::new(end.shard, end.bus, directory.clone(), "e0".into(), now),
            batches: end.batches,
        });
        Self {
            sides: sides.collect(),
            publisher: Publisher::new(
                directory.clone(),
                writer,
                bus,
                Metrics::default(),
                "e0".into(),
                WhenFull::Conflate,
            ),
            bus: handle,
            directory,
            clients: Vec::new(),
            now,
            event_time: 1_000_000_000,
            epochs: 0,
        }
    }

    pub(crate) fn event(&mut self, symbol: u32, body: EventBody) {
        self.event_time += 7_000_000;
        let ts = Timestamp(self.event_time);
        self.publisher.advance(ts);
        self.publisher.apply(&[MarketEvent {
            symbol: SymbolId(symbol),
            ts_event: ts,
            ts_recv: ts,
            sequence: 0,
            body,
        }]);
    }

    pub(crate) fn trade(&mut self, symbol: u32, price: i64) {
        let (price, size) = (Price(price), Size(1));
        let id = u64::try_from(self.event_time).ok();
        self.event(symbol, EventBody::Trade(Trade { price, size, aggressor: Aggressor::Sell, id }));
    }

    /// A bid below 40 or an ask above: a book that is not crossed.
    pub(crate) fn level(&mut self, symbol: u32, is_bid: bool, price: i64, size: i64) {
        let (side, price) = if is_bid { (Side::Bid, price) } else { (Side::Ask, price + 40) };
        self.event(
            symbol,
            EventBody::LevelSet { side, level: Level { price: Price(price), size: Size(size) } },
        );
    }

    pub(crate) fn book(&mut self, symbol: u32) {
        let level = |price: i64| Level { price: Price(price), size: Size(price) };
        let (bids, asks) = ((10..30).map(level).collect(), (45..60).map(level).collect());
        self.event(symbol, EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks })));
    }

    pub(crate) fn restart(&mut self) {
        self.epochs += 1;
        self.publisher.restart(format!("e{}", self.epochs).into(), None);
    }

    /// Publishes of one instrument until its shards take no more, and once again.
    pub(crate) fn fill(&mut self, symbol: u32) {
        // A book with a hole in its feed takes no levels, and the first size may be what the level has already.
        self.book(symbol);
        for size in 1..=i64::try_from(BATCHES_WAITING_MAX).expect("small") + 2 {
            self.level(symbol, true, 39, size);
            self.publisher.end_turn();
        }
        assert!(self.publisher.is_behind());
    }

    /// Asks the publisher for so much that it takes no more until its next turn.
    pub(crate) fn keep_busy(&mut self) {
        let topic = TopicId::new(Channel::Trade, SymbolId(0));
        let ask = || {
            let (reply, _) = oneshot::channel();
            self.bus.request(Request::History { topic, limit: 1, reply })
        };
        while ask().is_ok() {}
    }

    /// The shard takes what was published.
    pub(crate) fn deliver(&mut self, shard: usize) {
        let ShardSide { shard, batches } = &mut self.sides[shard];
        while let Some(batch) = batches.try_recv() {
            shard.deliver(&batch);
        }
    }

    /// The shard sends what it has; who is not stalled reads.
    pub(crate) fn flush(&mut self, shard: usize) {
        let Self { sides, clients, now, .. } = self;
        let side = &mut sides[shard].shard;
        while side.is_dirty() {
            let flushed =
                side.flush(*now, 1, |connection, out| client(clients, (shard, connection)).send(out.bytes));
            if flushed.messages == 0 && flushed.is_round_over {
                break;
            }
        }
        for client in self.clients.iter_mut().flatten().filter(|client| !client.is_stalled()) {
            client.read();
        }
    }

    /// All shards take and send what there is.
    pub(crate) fn drain(&mut self) {
        for shard in 0..self.sides.len() {
            self.deliver(shard);
            self.flush(shard);
        }
    }

    /// Everything that happened has come to all clients that are not stalled.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut has_more = self.publisher.end_turn() || self.publisher.is_behind();
            self.drain();
            for id in 0..self.clients.len() {
                has_more |= self.tell_drained(id);
                has_more |= self.clients[id].is_some() && self.is_awaiting(id);
            }
            self.drain();
            if !has_more {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    /// The shard learns that the client's socket is empty, if it is; says whether the client is a laggard.
    pub(crate) fn tell_drained(&mut self, id: usize) -> bool {
        let Some(client) = self.clients[id].as_ref().filter(|client| !client.is_stalled()) else {
            return false;
        };
        let (shard, connection) = client.seat;
        let shard = &mut self.sides[shard].shard;
        let is_laggard = shard.is_laggard(connection);
        shard.drained(connection);
        is_laggard
    }

    /// Time passes: cohorts settle, and topics at rates are due.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now;
        self.publisher.tick(now);
        for shard in 0..self.sides.len() {
            let Self { sides, clients, .. } = self;
            sides[shard]
                .shard
                .tick(now, |connection, out| client(clients, (shard, connection)).send(out.bytes));
        }
        self.drain();
    }

    pub(crate) fn join(&mut self, shard: usize, form: Form) -> usize {
        let connection = self.sides[shard].shard.join(form);
        self.clients.push(Some(Client::new((shard, connection), form, self.directory.clone())));
        self.clients.len() - 1
    }

    pub(crate) fn leave(&mut self, id: usize) -> Client {
        let client = self.clients[id].take().expect("there");
        self.sides[client.seat.0].shard.leave(client.seat.1);
        client
    }

    pub(crate) fn client(&mut self, id: usize) -> &mut Client {
        self.clients[id].as_mut().expect("there")
    }

    /// The client's socket takes so many more messages, and reads none.
    pub(crate) fn stall(&mut self, id: usize, takes: usize) {
        self.client(id).takes = Some(takes);
    }

    /// The client reads all that its socket holds, and goes on reading.
    pub(crate) fn revive(&mut self, id: usize) {
        let client = self.client(id);
        client.takes = None;
        client.read();
    }

    pub(crate) fn times_behind(&mut self, id: usize) -> u32 {
        let (shard, connection) = self.client(id).seat;
        self.sides[shard].shard.stand(connection).times_behind
    }

    pub(crate) fn is_laggard(&self, id: usize) -> bool {
        let client = self.clients[id].as_ref().expect("there");
        self.sides[client.seat.0].shard.is_laggard(client.seat.1)
    }

    pub(crate) fn is_awaiting(&self, id: usize) -> bool {
        let client = self.clients[id].as_ref().expect("there");
        self.sides[client.seat.0].shard.is_awaiting(client.seat.1)
    }

    pub(crate) fn subscribe(&mut self, id: usize, channel: Channel, symbols: &[u32]) {
        assert_eq!(self.try_subscribe(id, channel, Rate::Raw, symbols), Subscribed::Awaiting);
    }

    /// As a session does: first everything that there is for the connection is flushed.
    pub(crate) fn try_subscribe(
        &mut self,
        id: usize,
        channel: Channel,
        rate: Rate,
        symbols: &[u32],
    ) -> Subscribed {
        self.flush_one(id);
        let topics: Vec<_> = symbols.iter().map(|&symbol| TopicId::new(channel, SymbolId(symbol))).collect();
        let mut subscribe = Subscribe::new(channel, &[]);
        subscribe.rate = rate;
        subscribe.topics = topics.iter().map(|topic| Wanted { topic: topic.at(rate), held: None }).collect();
        let (shard, connection) = self.client(id).seat;
        let subscribed = self.sides[shard].shard.subscribe(connection, subscribe);
        if !matches!(subscribed, Subscribed::Refused(_)) {
            let client = self.client(id);
            for topic in topics {
                client.wanted.retain(|other| other.at(Rate::Raw) != topic);
                client.wanted.insert(topic.at(rate));
                if rate != Rate::Raw {
                    client.rated.insert(topic);
                }
            }
        }
        subscribed
    }

    /// As a session does: the answer follows what was on its way.
    pub(crate) fn unsubscribe(&mut self, id: usize, channel: Channel, symbol: u32) {
        let topic = TopicId::new(channel, SymbolId(symbol));
        let (shard, connection) = self.client(id).seat;
        let shard = &mut self.sides[shard].shard;
        let was_followed = shard.unsubscribe(connection, topic);
        let name = self.directory.get(topic.symbol()).symbol.clone();
        let removed = was_followed.then_some(name.as_str());
        let mut ack = Vec::new();
        message::ack_unsubscribe(&mut ack, None, channel, removed.into_iter(), std::iter::empty());
        shard.tell(connection, &ack);
        let wanted = &mut self.client(id).wanted;
        let before = wanted.len();
        wanted.retain(|other| other.at(Rate::Raw) != topic);
        assert_eq!(was_followed, wanted.len() < before);
    }

    pub(crate) fn tell(&mut self, id: usize, note: &str) {
        let (shard, connection) = self.client(id).seat;
        let object = format!("{{\"method\":\"note\",\"success\":true,\"note\":\"{note}\"}}");
        self.sides[shard].shard.tell(connection, object.as_bytes());
    }

    pub(crate) fn flush_one(&mut self, id: usize) {
        let Self { sides, clients, now, .. } = self;
        let (shard, connection) = clients[id].as_ref().expect("there").seat;
        sides[shard].shard.flush_one(*now, connection, |connection, out| {
            client(clients, (shard, connection)).send(out.bytes)
        });
    }

    /// The states of a request do not come.
    pub(crate) fn give_up(&mut self, id: usize) {
        let (shard, connection) = self.client(id).seat;
        let shard = &mut self.sides[shard].shard;
        shard.give_up(connection);
        let followed = shard.subscriptions(connection).map(|(topic, _)| topic).collect();
        self.client(id).wanted = followed;
    }

    /// The publisher's own word on the state of a topic, and its number.
    fn state(&mut self, topic: TopicId) -> (u64, Data) {
        let (reply, mut receiver) = oneshot::channel();
        self.bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        let states = loop {
            self.publisher.end_turn();
            match receiver.try_recv() {
                Ok(states) => break states,
                Err(error) => assert_eq!(error, TryRecvError::Empty, "too many ask"),
            }
        };
        let object: Map<String, Value> = serde_json::from_slice(&states.json).expect("an object");
        let seq = object["seq"].as_u64().expect("a number");
        let mut fields = Fields::default();
        fields.merge(object);
        (seq, Data::Json(fields))
    }

    /// Everybody reads, and then holds exactly what the publisher has of all that it follows; what stood for several
    /// changes stood for as many as a client got that missed none.
    pub(crate) fn check(&mut self) {
        for id in 0..self.clients.len() {
            if self.clients[id].is_some() {
                self.revive(id);
            }
        }
        self.settle();
        // What is followed at a rate is due.
        for _ in 0..2 {
            self.pass(Duration::from_secs(5));
            self.settle();
        }
        for id in 0..self.clients.len() {
            if self.clients[id].is_none() {
                continue;
            }
            assert!(!self.is_laggard(id) && !self.is_awaiting(id));
            self.client(id).assert_is_quiet();
            for topic in self.client(id).wanted.clone() {
                let raw = topic.at(Rate::Raw);
                let (seq, mut expected) = self.state(raw);
                let encoding = self.client(id).form.encoding;
                if encoding == Encoding::Binary {
                    expected = Data::of(self.publisher.market(), raw);
                }
                let held = &self.client(id).topics[&raw];
                if topic == raw {
                    assert_eq!(held.seq, seq, "{topic:?} {}", topic.channel());
                }
                if !held.is_after_gap {
                    assert_eq!(held.data, expected, "{topic:?} {} of {id}", topic.channel());
                }
            }
        }
    }

    /// Every cohort that can have settled has: as many as there are sets of topics in different forms.
    pub(crate) fn check_cohorts(&mut self) {
        for _ in 0..2 {
            self.pass(SETTLE_AFTER + Duration::from_millis(1));
            self.settle();
        }
        for shard in 0..self.sides.len() {
            let mut sets: Vec<_> = (self.clients.iter().flatten())
                .filter(|client| client.seat.0 == shard && !client.wanted.is_empty())
                .map(|client| (client.form, &client.wanted))
                .collect();
            let mut sizes = Vec::new();
            while let Some(set) = sets.pop() {
                let before = sets.len();
                sets.retain(|other| *other != set);
                sizes.push(1 + before - sets.len());
            }
            let shard = &self.sides[shard].shard;
            let standing = shard.standing();
            assert_eq!(shard.cohorts(), sizes.len(), "{standing:?}");
            let shared = || sizes.iter().filter(|size| **size > 1);
            assert_eq!(
                (standing.cohorts, standing.cohort_connections, standing.lone_connections),
                (shared().count(), shared().sum(), sizes.len() - shared().count())
            );
        }
    }

    /// Everybody leaves, and nothing is left.
    pub(crate) fn check_end(&mut self) {
        for id in 0..self.clients.len() {
            if self.clients[id].is_some() {
                self.leave(id);
            }
        }
        for side in &mut self.sides {
            let shard = &side.shard;
            assert_eq!((shard.connections(), shard.cohorts()), (0, 0));
            let Standing { fell_behind, key_frames, .. } = shard.standing();
            assert_eq!(shard.standing(), Standing { fell_behind, key_frames, ..Standing::default() });
            side.shard.flush(self.now, u64::MAX, |_, _| panic!("nobody is there"));
            assert!(!side.shard.is_dirty());
        }
        assert_eq!(self.bus.subscribers(), 0);
        for (symbol, _) in self.directory.iter() {
            for (channel, rate) in
                Channel::ALL.iter().flat_map(|&channel| Rate::ALL.map(|rate| (channel, rate)))
            {
                let topic = TopicId::new(channel, symbol).at(rate);
                assert_eq!(self.bus.interest().of(topic).shards(), 0, "{topic:?} {channel}");
            }
        }
    }
}

fn client(clients: &mut [Option<Client>], seat: (usize, Connection)) -> &mut Client {
    clients.iter_mut().flatten().find(|client| client.seat == seat).expect("nobody is sent anything who left")
}
