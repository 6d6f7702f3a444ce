//! A publisher with two shards of clients that follow topics, slowly and obviously: at any rate, in both encodings, each
//! with the state that it made of its messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::{
    Aggressor, EventBody, Exponent, Instrument, Level, MarketEvent, Price, Side, Size, Symbol, SymbolId,
    Timestamp, Trade, TradingStatus,
};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::super::*;
use crate::bus::{Batch, Request, ShardEnd, TopicMessage, Wanted};
use crate::limits::BATCHES_WAITING_MAX;
use crate::market::quotes::quote_cache;
use crate::state::{Bar, Quote, Status, Ticker};
use crate::wire::Encoding;
use crate::wire::binary::{self, Held, What, decode_records};

pub(super) const SYMBOLS: usize = 2;
pub(super) const CHANNELS: [Channel; 7] = [
    Channel::Quote,
    Channel::Trade,
    Channel::Book(Depth::D10),
    Channel::Book(Depth::D25),
    Channel::Ticker,
    Channel::Bar(Interval::S1),
    Channel::Status,
];

pub(super) struct Rig {
    pub(super) publisher: Publisher,
    begun: Instant,
    pub(super) now: Instant,
    ends: Vec<ShardEnd>,
    tickets: Vec<u64>,
    event_time: i64,
    epochs: u32,
    pub(super) clients: Vec<Client>,
    /// From the updates of shard 0.
    changes: Changes,
    /// What the twins are yet to get; `None`: the beginning of another run.
    pub(super) late: VecDeque<Option<MarketEvent>>,
}

/// Of each raw topic in each epoch: how many changes led to the state of each number.
type Changes = BTreeMap<(String, TopicId), BTreeMap<u64, u64>>;

/// A client of one topic.
pub(super) struct Client {
    pub(super) shard: usize,
    pub(super) topic: TopicId,
    pub(super) encoding: Encoding,
    pub(super) held: Option<State>,
    waits_for: Option<u64>,
    is_cut: bool,
    pub(super) gaps: usize,
    pub(super) updates: usize,
    /// Snapshots that came unasked or in answer.
    pub(super) snapshots: usize,
}

/// What a client holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) epoch: String,
    pub(super) seq: u64,
    ts_event: Timestamp,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    /// The fields; of a book `bids` and `asks` as objects of size by price.
    Json(Map<String, Value>),
    Quote(Quote),
    Trade(Option<Trade>),
    Book(binary::BookLevels),
    Ticker(Box<Ticker>),
    Bar(Option<Bar>),
    Status(Status),
}

impl Rig {
    /// Shard 0 holds a client of every raw topic, which counts the changes; shard 1 is for the tests.
    pub(super) fn new() -> Self {
        Self::without_reference().with_reference()
    }

    pub(super) fn without_reference() -> Self {
        Self::over(Directory::new(&instruments()))
    }

    /// The same, where each instrument has a twin.
    pub(super) fn with_twins() -> Self {
        Self::over(Directory::with_twins(&instruments())).with_reference()
    }

    fn with_reference(mut self) -> Self {
        for symbol in 0..self.publisher.directory.len() {
            for channel in CHANNELS {
                let topic = TopicId::new(channel, SymbolId::from_index(symbol));
                self.join(0, topic, Encoding::Json);
            }
        }
        self.settle();
        self
    }

    fn over(directory: Directory) -> Self {
        let (bus, ends) = Bus::new(TopicId::count(directory.len()), 2);
        let metrics = Metrics::default();
        let quotes = quote_cache(directory.len()).0;
        let publisher = Publisher::new(directory, quotes, bus, metrics, "e0".into(), WhenFull::Conflate);
        let now = monotonic();
        Self {
            publisher,
            begun: now,
            now,
            ends,
            tickets: vec![0; 2],
            event_time: 1_000_000_000,
            epochs: 0,
            clients: Vec::new(),
            changes: BTreeMap::new(),
            late: VecDeque::new(),
        }
    }

    pub(super) fn event(&mut self, symbol: usize, body: EventBody) {
        self.event_time += 7_000_000;
        let ts = Timestamp(self.event_time);
        let symbol = SymbolId::from_index(symbol);
        self.publisher.advance(ts);
        let event = MarketEvent { symbol, ts_event: ts, ts_recv: ts, sequence: 0, body };
        self.publisher.apply(std::slice::from_ref(&event));
        if self.publisher.directory.has_twins() {
            self.late.push_back(Some(event));
        }
    }

    /// A bid below 40 or an ask above.
    pub(super) fn level(&mut self, symbol: usize, is_bid: bool, price: i64, size: i64) {
        let (side, price) = if is_bid { (Side::Bid, price) } else { (Side::Ask, price + 40) };
        self.event(
            symbol,
            EventBody::LevelSet { side, level: Level { price: Price(price), size: Size(size) } },
        );
    }

    pub(super) fn trade(&mut self, symbol: usize, price: i64) {
        let (price, size) = (Price(price), Size(3));
        let id = Some(u64::try_from(self.event_time).expect("positive"));
        self.event(symbol, EventBody::Trade(Trade { price, size, aggressor: Aggressor::Buy, id }));
    }

    pub(super) fn status(&mut self, symbol: usize, reason: &str) {
        let status = TradingStatus::Halted;
        self.event(symbol, EventBody::Status { status, reason: reason.to_owned() });
    }

    pub(super) fn tick(&mut self, passed: Duration) {
        self.now += passed;
        self.publisher.tick(self.now);
    }

    /// No shard is late, however slow the machine is.
    pub(super) fn end_turn(&mut self) -> bool {
        self.publisher.end_turn_at(self.begun)
    }

    pub(super) fn restart(&mut self) {
        self.epochs += 1;
        self.publisher.restart(format!("e{}", self.epochs).into(), None);
        if self.publisher.directory.has_twins() {
            self.late.push_back(None);
        }
    }

    /// The twins get the next of what their originals had.
    pub(super) fn late(&mut self) {
        match self.late.pop_front() {
            Some(Some(event)) => {
                self.publisher.advance_delayed(event.ts_event);
                self.publisher.apply_delayed(&mut [event]);
            }
            Some(None) => self.restart_late(),
            None => {}
        }
    }

    /// What the twins have not had yet is lost: they go on from what their originals are.
    pub(super) fn go_on(&mut self) {
        if self.late.drain(..).any(|late| late.is_none()) {
            self.restart_late();
        }
        let market = self.publisher.copy_market();
        self.publisher.continue_delayed(market);
    }

    fn restart_late(&mut self) {
        self.epochs += 1;
        self.publisher.restart_delayed(format!("e{}", self.epochs).into());
    }

    /// Begins another run with what was kept of one.
    pub(super) fn restart_with(&mut self, kept: &[u8]) {
        self.epochs += 1;
        let recalled = self.publisher.recall(kept).expect("what a publisher kept");
        self.publisher.restart(format!("e{}", self.epochs).into(), Some(recalled));
    }

    /// A client that asks for a topic's state.
    pub(super) fn join(&mut self, shard: usize, topic: TopicId, encoding: Encoding) -> usize {
        self.clients.push(Client {
            shard,
            topic,
            encoding,
            held: None,
            waits_for: None,
            is_cut: true,
            gaps: 0,
            updates: 0,
            snapshots: 0,
        });
        let client = self.clients.len() - 1;
        self.come(client);
        client
    }

    /// A client's connection breaks: it gets nothing more.
    pub(super) fn cut(&mut self, client: usize) {
        let Client { shard, topic, encoding, .. } = self.clients[client];
        self.clients[client].is_cut = true;
        self.clients[client].waits_for = None;
        let is_followed = self.clients.iter().any(|other| {
            !other.is_cut && (other.shard, other.topic, other.encoding) == (shard, topic, encoding)
        });
        self.ends[shard].bus.interest().set(topic, encoding, shard, is_followed);
    }

    /// It comes back with what it holds.
    pub(super) fn come(&mut self, client: usize) {
        let client = &mut self.clients[client];
        assert!(std::mem::replace(&mut client.is_cut, false), "it was away");
        let (shard, topic) = (client.shard, client.topic);
        self.tickets[shard] += 1;
        client.waits_for = Some(self.tickets[shard]);
        let (held, epoch) = match &client.held {
            Some(held) => (Some(held.seq), held.epoch.as_str()),
            None => (None, "none"),
        };
        let topics = vec![Wanted { topic, held }];
        let (ticket, epoch) = (self.tickets[shard], epoch.into());
        self.ends[shard].bus.interest().set(topic, client.encoding, shard, true);
        let request = Request::States { shard, ticket, epoch, topics };
        self.ends[shard].bus.request(request).expect("room");
    }

    /// Publishes until shard 1 takes no more, and once again; shard 0 takes all.
    pub(super) fn fill(&mut self) {
        for size in 0..=i64::try_from(BATCHES_WAITING_MAX).expect("small") {
            self.level(0, true, 30, 1 + size % 7);
            self.end_turn();
            self.drain(0);
        }
        assert!(self.publisher.is_behind());
    }

    pub(super) fn turn(&mut self) {
        while self.end_turn() {}
        self.drain(0);
    }

    pub(super) fn settle(&mut self) {
        while self.end_turn() || self.publisher.is_behind() {
            self.drain(0);
            self.drain(1);
        }
        self.drain(0);
        self.drain(1);
    }

    fn drain(&mut self, shard: usize) {
        while let Some(batch) = self.ends[shard].batches.try_recv() {
            for message in &batch.messages {
                // A state in place of another is one change, too.
                let made = match message.kind {
                    Kind::Update | Kind::Snapshot => 1,
                    Kind::Gap => u64::from(message.merged),
                    Kind::Requested | Kind::Resumed { .. } => 0,
                };
                if shard == 0 && made > 0 && message.topic.rate() == Rate::Raw {
                    let key = (batch.epoch.to_string(), message.topic);
                    let is_new = &*batch.epoch != "e0" && !self.changes.contains_key(&key);
                    if message.kind == Kind::Snapshot && is_new {
                        // The first state of a further epoch is no change; of what did not begin anew, the count goes on.
                        let before = self.before(&key);
                        let goes_on = before.last_key_value().is_some_and(|(&seq, _)| seq <= message.seq);
                        self.changes.insert(key, if goes_on { before } else { BTreeMap::new() });
                    } else {
                        let count = self.changes.entry(key).or_default();
                        let before = count.last_key_value().map_or(0, |(_, &count)| count);
                        // Each of the trades that a gap passes over has a number of its own.
                        let numbers = message.seq + 1 - made..=message.seq;
                        count.extend(numbers.zip(before + 1..));
                    }
                }
                for client in &mut self.clients {
                    if client.shard == shard && client.topic == message.topic && !client.is_cut {
                        client.take(&batch, message, &self.changes);
                    }
                }
            }
        }
    }

    /// The count of a topic's changes in the epoch before that one.
    fn before(&self, (epoch, topic): &(String, TopicId)) -> BTreeMap<u64, u64> {
        let number: u32 = epoch[1..].parse().expect("as this rig names them");
        let before =
            number.checked_sub(1).and_then(|number| self.changes.get(&(format!("e{number}"), *topic)));
        before.cloned().unwrap_or_default()
    }

    /// Every client that is there holds the market's state, when all that changed has been due.
    pub(super) fn check(&mut self) {
        for _ in 0..2 {
            self.tick(Duration::from_secs(5));
        }
        self.settle();
        let expected: Vec<_> = self.clients.iter().map(|client| (client.topic, client.encoding)).collect();
        for (index, (topic, encoding)) in expected.into_iter().enumerate() {
            if self.clients[index].is_cut {
                continue;
            }
            let market = match encoding {
                Encoding::Json => Data::Json(self.read(topic.at(Rate::Raw))),
                Encoding::Binary => self.market(topic),
            };
            let client = &self.clients[index];
            let held = client.held.as_ref().expect("a state");
            assert_eq!(client.waits_for, None, "{topic:?} was answered");
            if topic.channel() == Channel::Trade && client.gaps > 0 && encoding == Encoding::Json {
                assert_eq!(held.seq, self.publisher.numbers[topic.index()]);
            } else {
                assert_eq!(held.data, market, "{topic:?} {} at {:?}", topic.channel(), topic.rate());
            }
        }
    }

    fn read(&mut self, topic: TopicId) -> Map<String, Value> {
        let (reply, mut receiver) = oneshot::channel();
        self.ends[0].bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        self.end_turn();
        let states = receiver.try_recv().expect("an answer");
        let mut fields = Map::new();
        merge(&mut fields, serde_json::from_slice(&states.json).expect("an object"));
        fields
    }

    fn market(&self, topic: TopicId) -> Data {
        let symbol = topic.symbol();
        let market = self.publisher.markets.of(symbol);
        match topic.channel() {
            Channel::Quote => Data::Quote(market.quote(symbol)),
            Channel::Trade => Data::Trade(market.trades(symbol).next_back().map(|record| record.trade)),
            Channel::Book(depth) => Data::Book(binary::BookLevels {
                bids: market.book(symbol).bids().take(depth.levels()).collect(),
                asks: market.book(symbol).asks().take(depth.levels()).collect(),
            }),
            Channel::Ticker => Data::Ticker(Box::new(market.ticker(symbol))),
            Channel::Bar(interval) => Data::Bar(market.bar(symbol, interval).copied()),
            Channel::Status => Data::Status(market.status(symbol)),
        }
    }
}

impl Client {
    fn take(&mut self, batch: &Batch, message: &TopicMessage, changes: &Changes) {
        let is_for_it = match (message.kind, self.waits_for) {
            (Kind::Resumed { shard, ticket }, Some(own)) => (shard, ticket) == (self.shard, own),
            (Kind::Resumed { .. }, None) | (Kind::Update | Kind::Gap, Some(_)) => false,
            (Kind::Requested | Kind::Snapshot, Some(own)) => {
                batch.answered.get(self.shard).is_some_and(|&answered| own <= answered)
            }
            (kind, None) => kind != Kind::Requested,
        };
        if !is_for_it {
            return;
        }
        let before = self.held.clone();
        let is_answer = self.waits_for.take().is_some();
        let bytes = batch.encoded(message, self.encoding);
        match self.encoding {
            Encoding::Json => {
                let text = std::str::from_utf8(bytes).expect("UTF-8");
                let objects: Vec<Map<String, Value>> =
                    serde_json::from_str(&format!("[{text}]")).expect("objects");
                objects.into_iter().for_each(|object| self.take_json(object, changes));
            }
            Encoding::Binary => self.take_binary(bytes, changes),
        }
        let held = self.held.as_ref().expect("a state");
        assert_eq!(held.seq, message.seq);
        assert_eq!(held.ts_event.micros(), message.ts_event.micros(), "{message:?}");
        // What was sent of a state that it held stands for exactly the changes since.
        let is_continued = match message.kind {
            Kind::Update | Kind::Gap | Kind::Resumed { .. } => true,
            Kind::Snapshot => !is_answer,
            Kind::Requested => false,
        };
        if let Some(before) = before.filter(|before| is_continued && before.epoch == held.epoch) {
            let expected = changed(changes, self.topic, &before.epoch, before.seq, held.seq);
            assert!(expected.is_none_or(|expected| expected == u64::from(message.merged)), "{message:?}");
        }
    }

    fn take_json(&mut self, object: Map<String, Value>, changes: &Changes) {
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let seq = number("seq").expect("a number");
        let ts_event = Timestamp(object["ts_event"].as_i64().expect("a time") * 1_000);
        let kind = object["type"].as_str().expect("a type").to_owned();
        match kind.as_str() {
            "snapshot" => {
                let epoch = object["epoch"].as_str().expect("an epoch").to_owned();
                let mut fields = Map::new();
                merge(&mut fields, object);
                self.snapshots += 1;
                self.held = Some(State { epoch, seq, ts_event, data: Data::Json(fields) });
            }
            "update" | "gap" => {
                let held = self.held.as_mut().expect("a state before an update");
                assert_eq!(number("prev_seq"), Some(held.seq), "{object:?}");
                if kind == "gap" {
                    assert_eq!((number("from"), number("to")), (Some(held.seq + 1), Some(seq)));
                    self.gaps += 1;
                } else {
                    let expected = changed(changes, self.topic, &held.epoch, held.seq, seq);
                    let n = number("n").unwrap_or(1);
                    assert!(expected.is_none_or(|expected| expected == n), "{expected:?} {object:?}");
                    self.updates += 1;
                    let Data::Json(fields) = &mut held.data else { panic!("JSON") };
                    merge(fields, object);
                }
                (held.seq, held.ts_event) = (seq, ts_event);
            }
            other => panic!("type {other}"),
        }
    }

    fn take_binary(&mut self, bytes: &[u8], changes: &Changes) {
        for record in decode_records(bytes) {
            let record = record.expect("a record");
            assert_eq!(record.topic, self.topic);
            match record.what {
                What::Snapshot(snapshot) => {
                    let mut data = nothing(self.topic.channel());
                    if let Some(change) = snapshot.change {
                        apply(self.topic.channel(), &mut data, &change);
                    }
                    self.snapshots += 1;
                    let (seq, ts_event) = (snapshot.seq, snapshot.ts_event);
                    self.held = Some(State { epoch: snapshot.epoch.to_owned(), seq, ts_event, data });
                }
                What::Update(update) => {
                    let held = self.held.as_mut().expect("a state before an update");
                    let before = Held { seq: held.seq, ts_event: held.ts_event };
                    let next = update.follow(&before).expect("nothing was missed");
                    let expected = changed(changes, self.topic, &held.epoch, held.seq, next.seq);
                    assert!(expected.is_none_or(|expected| expected == u64::from(update.merged)));
                    apply(self.topic.channel(), &mut held.data, &update.change);
                    self.updates += 1;
                    (held.seq, held.ts_event) = (next.seq, next.ts_event);
                }
                What::Gap(gap) => {
                    assert_eq!(gap.prev_seq, self.held.as_ref().expect("a state").seq);
                    self.gaps += 1;
                }
                What::Merged(_) => panic!("the publisher merges nothing into snapshots"),
            }
        }
    }
}

fn instruments() -> Vec<Instrument> {
    let instruments = (0..SYMBOLS).map(|number| Instrument {
        symbol: Symbol::new(&format!("S{number}")).expect("a symbol"),
        venue: "TEST",
        price_exponent: Exponent::new(-2).expect("within range"),
        size_exponent: Exponent::ONE,
        tick_size: None,
        currency: None,
        book_levels_max: None,
        begins_stale: false,
    });
    instruments.collect()
}

/// How many changes of the raw topic led from one number to another; `None`: not counted.
fn changed(changes: &Changes, topic: TopicId, epoch: &str, from: u64, to: u64) -> Option<u64> {
    let counts = changes.get(&(epoch.to_owned(), topic.at(Rate::Raw)))?;
    let at = |seq| counts.range(..=seq).next_back().map_or(0, |(_, &count)| count);
    Some(at(to) - at(from))
}

fn merge(fields: &mut Map<String, Value>, object: Map<String, Value>) {
    for (name, value) in object {
        match name.as_str() {
            "type" | "seq" | "prev_seq" | "n" | "ts_event" | "epoch" | "checksum" => {}
            "bids" | "asks" => {
                let side = fields.entry(name).or_insert_with(|| Map::new().into());
                let side = side.as_object_mut().expect("levels");
                for level in value.as_array().expect("levels") {
                    let (price, size) = (level[0].as_str().expect("a price"), &level[1]);
                    if size == "0" {
                        assert!(side.remove(price).is_some(), "{price} was there");
                    } else {
                        side.insert(price.to_owned(), size.clone());
                    }
                }
            }
            _ => {
                fields.insert(name, value);
            }
        }
    }
}

fn nothing(channel: Channel) -> Data {
    match channel {
        Channel::Quote => Data::Quote(Quote::default()),
        Channel::Trade => Data::Trade(None),
        Channel::Book(_) => Data::Book(binary::BookLevels::default()),
        Channel::Ticker => Data::Ticker(Box::default()),
        Channel::Bar(_) => Data::Bar(None),
        Channel::Status => Data::Status(Status { state: StatusState::Trading, reason: String::new().into() }),
    }
}

fn apply(channel: Channel, data: &mut Data, change: &binary::Change<'_>) {
    match (data, change) {
        (Data::Quote(quote), binary::Change::Quote(change)) => *quote = change.apply(quote),
        (Data::Trade(trade), binary::Change::Trade(change)) => *trade = Some(change.apply(trade.as_ref())),
        (Data::Book(book), binary::Change::Book(change)) => {
            let Channel::Book(depth) = channel else { panic!("a book") };
            change.apply(book, depth);
        }
        (Data::Ticker(ticker), binary::Change::Ticker(change)) => **ticker = change.apply(ticker),
        (Data::Bar(bar), binary::Change::Bar(change)) => *bar = Some(change.apply(bar.as_ref())),
        (Data::Status(status), &binary::Change::Status { state, reason }) => {
            *status = Status { state, reason: Arc::<str>::from(reason).to_string().into() };
        }
        (data, change) => panic!("{change:?} of {data:?}"),
    }
}
