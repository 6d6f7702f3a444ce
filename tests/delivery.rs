//! From market events to what each client holds, without sockets: whatever happens to the market and to subscriptions,
//! a client that applies what it is sent holds the publisher's state, and every number continues the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use feeds::clock::monotonic;
use feeds::{
    Aggressor, BookSnapshot, EventBody, Exponent, Instrument, Level, MarketEvent, Price, Side, Size, Symbol,
    SymbolId, Timestamp, Trade,
};
use proptest::prelude::*;
use serde_json::{Map, Value};
use tickwire::bus::{Batches, Bus, BusHandle, Request};
use tickwire::directory::Directory;
use tickwire::fanout::{Connection, Form, Sent, Shard, Subscribe, Subscribed};
use tickwire::limits::BATCHES_WAITING_MAX;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::topic::{Channel, Depth, Interval, TopicId};
use tokio::sync::oneshot;

const SYMBOLS: u32 = 3;
const CLIENTS: usize = 3;
const CHANNELS: [Channel; 7] = [
    Channel::Quote,
    Channel::Trade,
    Channel::Book(Depth::D10),
    Channel::Book(Depth::D25),
    Channel::Ticker,
    Channel::Bar(Interval::S1),
    Channel::Status,
];

/// Publisher, bus and one shard on the test's own thread.
struct Pipeline {
    publisher: Publisher,
    bus: BusHandle,
    batches: Batches,
    shard: Shard,
    directory: Directory,
    clients: BTreeMap<Connection, Client>,
    now: i64,
    epochs: u32,
}

/// What a client knows from what it was sent.
#[derive(Default)]
struct Client {
    topics: BTreeMap<TopicId, Held>,
    followed: BTreeSet<TopicId>,
    gaps: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    seq: u64,
    epoch: String,
    /// The fields of the state; of a book the levels by side and price text.
    fields: Map<String, Value>,
    book: BTreeMap<(String, String), String>,
}

fn instruments() -> Vec<Instrument> {
    (0..SYMBOLS)
        .map(|number| Instrument {
            symbol: Symbol::new(&format!("S{number}")).expect("a symbol"),
            venue: "TEST",
            price_exponent: Exponent::new(-2).expect("within range"),
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
        })
        .collect()
}

impl Pipeline {
    fn new(when_full: WhenFull) -> Self {
        let directory = Directory::new(&instruments());
        let (bus, mut ends) = Bus::new(TopicId::count(directory.len()), 1);
        let end = ends.pop().expect("one shard");
        let handle = bus.handle().clone();
        let (writer, _) = quote_cache(directory.len());
        let epoch: Arc<str> = "e0".into();
        let publisher =
            Publisher::new(directory.clone(), writer, bus, Metrics::default(), Arc::clone(&epoch), when_full);
        let shard = Shard::new(0, end.bus, directory.clone(), epoch, monotonic());
        Self {
            publisher,
            bus: handle,
            batches: end.batches,
            shard,
            directory,
            clients: BTreeMap::new(),
            now: 1_000_000_000,
            epochs: 0,
        }
    }

    fn event(&mut self, symbol: u32, body: EventBody) {
        self.now += 7_000_000;
        let ts = Timestamp(self.now);
        self.publisher.advance(ts);
        self.publisher.apply(&[MarketEvent {
            symbol: SymbolId(symbol),
            ts_event: ts,
            ts_recv: ts,
            sequence: 0,
            body,
        }]);
    }

    fn trade(&mut self, symbol: u32, price: i64) {
        let (price, size) = (Price(price), Size(1));
        self.event(symbol, EventBody::Trade(Trade { price, size, aggressor: Aggressor::Sell, id: None }));
    }

    /// Publishes of one instrument until the shard takes no more, and once again.
    fn fill(&mut self, symbol: u32) {
        for price in 1..=i64::try_from(BATCHES_WAITING_MAX).expect("small") + 1 {
            let level = Level { price: Price(price), size: Size(price) };
            self.event(symbol, EventBody::LevelSet { side: Side::Bid, level });
            self.publisher.end_turn();
        }
        assert!(self.publisher.is_behind());
    }

    /// Lets the shard take what was published, and the clients what the shard has for them.
    fn settle(&mut self) {
        while self.publisher.end_turn() || self.publisher.is_behind() {
            self.drain();
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(batch) = self.batches.try_recv() {
            self.shard.deliver(&batch);
        }
        let mut sent = Vec::new();
        while self.shard.is_dirty() {
            let flushed = self.shard.flush(monotonic(), 1, |connection, frame| {
                sent.push((connection, message(frame).to_owned()));
                Sent::Taken
            });
            if flushed.messages == 0 && flushed.is_round_over {
                break;
            }
        }
        for (connection, message) in sent {
            let objects: Vec<Map<String, Value>> =
                serde_json::from_str(&message).expect("a JSON array of objects");
            let client = self.clients.get_mut(&connection).expect("a client that is there");
            for object in objects {
                client.take(&self.directory, object);
            }
        }
    }

    fn join(&mut self) -> Connection {
        let connection = self.shard.join(Form::default());
        self.clients.insert(connection, Client::default());
        connection
    }

    fn subscribe(&mut self, connection: Connection, channel: Channel, symbols: &[u32]) {
        let topics: Vec<_> = symbols.iter().map(|&symbol| TopicId::new(channel, SymbolId(symbol))).collect();
        self.clients.get_mut(&connection).expect("there").followed.extend(&topics);
        let subscribed = self.shard.subscribe(connection, Subscribe::new(channel, &topics));
        assert_eq!(subscribed, Subscribed::Awaiting);
    }

    /// The publisher's own word on the state of a topic.
    fn state(&mut self, topic: TopicId) -> Map<String, Value> {
        let (reply, mut receiver) = oneshot::channel();
        self.bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        self.publisher.end_turn();
        let states = receiver.try_recv().expect("an answer");
        serde_json::from_str(text(&states.json)).expect("an object")
    }

    /// Every client holds exactly what the publisher has, of all that it follows.
    fn check(&mut self) {
        let held: Vec<_> = self
            .clients
            .values()
            .flat_map(|client| {
                client.followed.iter().map(|topic| (*topic, client.topics.get(topic).cloned()))
            })
            .collect();
        for (topic, held) in held {
            let mut expected = Held::of(self.state(topic));
            // A gap announces lost trades without repeating them: only the number is the same then.
            if topic.channel() == Channel::Trade {
                expected.fields.clear();
            }
            let mut held = held.expect("a followed topic has a state");
            if topic.channel() == Channel::Trade {
                held.fields.clear();
            }
            assert_eq!(held, expected, "{topic:?} {}", topic.channel());
        }
    }
}

impl Client {
    fn take(&mut self, directory: &Directory, mut object: Map<String, Value>) {
        let Some(Value::String(kind)) = object.remove("type") else {
            assert_eq!(object["success"], true, "{object:?}");
            return;
        };
        let symbol = directory.find(object["symbol"].as_str().expect("a symbol")).expect("a known symbol");
        let topic = TopicId::new(channel(&object), symbol);
        assert!(self.followed.contains(&topic), "{topic:?} was not asked for: {object:?}");
        match kind.as_str() {
            "snapshot" => {
                self.topics.insert(topic, Held::of(object));
            }
            "update" | "gap" => {
                let held = self.topics.get_mut(&topic).expect("no update before a snapshot");
                assert_eq!(object["prev_seq"], held.seq, "{object:?}");
                self.gaps += usize::from(kind == "gap");
                held.update(object);
            }
            other => panic!("a message of type {other}"),
        }
    }
}

impl Held {
    fn of(mut object: Map<String, Value>) -> Self {
        object.remove("type");
        let epoch =
            object.remove("epoch").and_then(|epoch| epoch.as_str().map(str::to_owned)).expect("an epoch");
        let mut held = Self { seq: 0, epoch, fields: Map::new(), book: BTreeMap::new() };
        object.insert("prev_seq".into(), 0.into());
        held.update(object);
        held
    }

    fn update(&mut self, mut object: Map<String, Value>) {
        let seq = object.remove("seq").and_then(|seq| seq.as_u64()).expect("a seq");
        object.remove("prev_seq");
        object.remove("n");
        object.remove("ts_event");
        let checksum = object.remove("checksum").and_then(|checksum| checksum.as_u64());
        assert!(seq >= self.seq);
        self.seq = seq;
        for side in ["bids", "asks"] {
            for level in object.remove(side).iter().flat_map(|levels| levels.as_array().expect("levels")) {
                let (price, size) = (level[0].as_str().expect("a price"), level[1].as_str().expect("a size"));
                let key = (side.to_owned(), format!("{price:>12}"));
                if size == "0" {
                    assert!(
                        self.book.remove(&key).is_some(),
                        "a level that is not there is deleted: {price}"
                    );
                } else {
                    self.book.insert(key, size.to_owned());
                }
            }
        }
        if let Some(checksum) = checksum {
            assert_eq!(u64::from(self.checksum()), checksum, "{:?}", self.book);
        }
        self.fields.extend(object);
    }

    /// Kraken's rule over the ten best levels of each side, from the texts.
    fn checksum(&self) -> u32 {
        let side = |name: &'static str| self.book.iter().filter(move |((side, _), _)| side == name);
        let digits = |(key, size): (&(String, String), &String)| {
            let strip = |text: &str| text.trim().replace('.', "").trim_start_matches('0').to_owned();
            strip(&key.1) + &strip(size)
        };
        let asks = side("asks").take(10).map(digits);
        let bids = side("bids").rev().take(10).map(digits);
        crc32fast::hash(asks.chain(bids).collect::<String>().as_bytes())
    }
}

fn channel(object: &Map<String, Value>) -> Channel {
    let is = |channel: &&Channel| {
        channel.name() == object["channel"]
            && match channel {
                Channel::Book(depth) => object["depth"] == depth.levels(),
                Channel::Bar(interval) => object["interval"] == interval.as_str(),
                _ => true,
            }
    };
    *Channel::ALL.iter().find(is).expect("a known channel")
}

/// The text of an unmasked frame.
fn message(frame: &[u8]) -> &str {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    text(&frame[header..])
}

fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("UTF-8")
}

#[derive(Clone, Debug)]
enum Step {
    Level { symbol: u32, side: bool, price: i64, size: i64 },
    Snapshot { symbol: u32 },
    Trade { symbol: u32, price: i64 },
    Gap { symbol: u32 },
    Subscribe { client: usize, channel: usize, symbols: Vec<u32> },
    Unsubscribe { client: usize, channel: usize, symbol: u32 },
    Leave { client: usize },
    Restart,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let symbol = 0..SYMBOLS;
    let client = 0..CLIENTS;
    let channel = 0..CHANNELS.len();
    prop_oneof![
        30 => (symbol.clone(), any::<bool>(), 1_i64..40, 0_i64..5)
            .prop_map(|(symbol, side, price, size)| Step::Level { symbol, side, price, size }),
        3 => symbol.clone().prop_map(|symbol| Step::Snapshot { symbol }),
        8 => (symbol.clone(), 20_i64..80).prop_map(|(symbol, price)| Step::Trade { symbol, price }),
        1 => symbol.clone().prop_map(|symbol| Step::Gap { symbol }),
        8 => (client.clone(), channel.clone(), prop::collection::vec(symbol.clone(), 1..4))
            .prop_map(|(client, channel, symbols)| Step::Subscribe { client, channel, symbols }),
        3 => (client.clone(), channel, symbol)
            .prop_map(|(client, channel, symbol)| Step::Unsubscribe { client, channel, symbol }),
        1 => client.prop_map(|client| Step::Leave { client }),
        1 => Just(Step::Restart),
        12 => Just(Step::Settle),
    ]
}

fn run(steps: Vec<Step>) {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    let mut seats: Vec<Connection> = (0..CLIENTS).map(|_| pipeline.join()).collect();
    for step in steps {
        match step {
            Step::Level { symbol, side, price, size } => {
                // Bids below 40, asks above: a book that is not crossed.
                let (side, price) = if side { (Side::Bid, price) } else { (Side::Ask, price + 40) };
                let level = Level { price: Price(price), size: Size(size) };
                pipeline.event(symbol, EventBody::LevelSet { side, level });
            }
            Step::Snapshot { symbol } => {
                let level = |price: i64| Level { price: Price(price), size: Size(price) };
                let bids = (10..30).map(level).collect();
                let asks = (45..60).map(level).collect();
                pipeline.event(symbol, EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks })));
            }
            Step::Trade { symbol, price } => {
                let trade = Trade { price: Price(price), size: Size(3), aggressor: Aggressor::Buy, id: None };
                pipeline.event(symbol, EventBody::Trade(trade));
            }
            Step::Gap { symbol } => pipeline.event(symbol, EventBody::Gap { expected: 1, found: 3 }),
            Step::Subscribe { client, channel, symbols } => {
                if pipeline.shard.is_awaiting(seats[client]) {
                    pipeline.settle();
                }
                pipeline.subscribe(seats[client], CHANNELS[channel], &symbols);
            }
            Step::Unsubscribe { client, channel, symbol } => {
                if pipeline.shard.is_awaiting(seats[client]) {
                    pipeline.settle();
                }
                // What was published before was on its way already.
                pipeline.drain();
                let topic = TopicId::new(CHANNELS[channel], SymbolId(symbol));
                let client = pipeline.clients.get_mut(&seats[client]).map(|state| (seats[client], state));
                let (connection, state) = client.expect("there");
                let was_followed = state.followed.remove(&topic);
                state.topics.remove(&topic);
                assert_eq!(pipeline.shard.unsubscribe(connection, topic), was_followed);
            }
            Step::Leave { client } => {
                pipeline.clients.remove(&seats[client]);
                pipeline.shard.leave(seats[client]);
                seats[client] = pipeline.join();
            }
            Step::Restart => {
                pipeline.epochs += 1;
                pipeline.publisher.restart(format!("e{}", pipeline.epochs).into());
            }
            Step::Settle => {
                pipeline.settle();
                pipeline.check();
            }
        }
    }
    pipeline.settle();
    pipeline.check();
}

proptest! {
    #[test]
    fn a_client_holds_what_the_publisher_has(steps in prop::collection::vec(step(), 1..150)) {
        run(steps);
    }
}

/// A shard that takes nothing for a while gets states and announced gaps, and its clients are right again.
#[test]
fn a_shard_that_was_full_is_made_good() {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    let client = pipeline.join();
    for channel in CHANNELS {
        pipeline.subscribe(client, channel, &[0, 1]);
        pipeline.settle();
    }
    let trade = |price| {
        EventBody::Trade(Trade {
            price: Price(price),
            size: Size(1),
            aggressor: Aggressor::Sell,
            id: Some(u64::try_from(price).expect("positive")),
        })
    };
    let level = |price| EventBody::LevelSet {
        side: Side::Bid,
        level: Level { price: Price(price), size: Size(price) },
    };
    // Each turn is a batch; nobody takes them.
    for price in 1..=i64::try_from(BATCHES_WAITING_MAX).expect("small") + 50 {
        pipeline.event(0, trade(price));
        pipeline.event(0, level(price));
        pipeline.publisher.end_turn();
    }
    assert_eq!(pipeline.clients[&client].gaps, 0);
    pipeline.settle();
    pipeline.check();
    assert_eq!(pipeline.clients[&client].gaps, 1, "lost trades are announced, once");
    pipeline.event(0, trade(7));
    pipeline.event(1, level(7));
    pipeline.settle();
    pipeline.check();
    assert_eq!(pipeline.clients[&client].gaps, 1);
}

/// A state that only one client asked for is not news to the others: missing it is no loss to announce.
#[test]
fn a_requested_state_that_was_missed_is_no_gap() {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    let (first, second) = (pipeline.join(), pipeline.join());
    pipeline.subscribe(first, Channel::Trade, &[0]);
    pipeline.settle();
    pipeline.subscribe(first, Channel::Quote, &[1]);
    pipeline.settle();
    pipeline.trade(0, 5);
    pipeline.settle();
    pipeline.fill(1);
    pipeline.subscribe(second, Channel::Trade, &[0]);
    pipeline.publisher.end_turn();
    pipeline.settle();
    pipeline.check();
    assert_eq!(pipeline.clients[&first].gaps, 0);
    pipeline.trade(0, 6);
    pipeline.settle();
    pipeline.check();
}

/// A new run of the stream reaches also the clients of a shard that was full when it began.
#[test]
fn a_restart_that_was_missed_is_made_good() {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    let client = pipeline.join();
    for channel in CHANNELS {
        pipeline.subscribe(client, channel, &[0, 1]);
        pipeline.settle();
    }
    pipeline.trade(0, 5);
    pipeline.settle();
    pipeline.fill(1);
    pipeline.publisher.restart("e1".into());
    pipeline.trade(0, 6);
    pipeline.settle();
    pipeline.check();
    pipeline.trade(0, 7);
    pipeline.settle();
    pipeline.check();
}

/// A client that joins while its topic's updates are on their way sees none of them before its snapshot.
#[test]
fn a_joiner_starts_at_its_snapshot() {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    let first = pipeline.join();
    pipeline.subscribe(first, Channel::Book(Depth::D10), &[0]);
    pipeline.settle();
    let level = |price, size| EventBody::LevelSet {
        side: Side::Bid,
        level: Level { price: Price(price), size: Size(size) },
    };
    for size in 1..200 {
        pipeline.event(0, level(size % 30, size));
        pipeline.publisher.end_turn();
        if size % 9 == 0 {
            let joiner = pipeline.join();
            pipeline.subscribe(joiner, Channel::Book(Depth::D10), &[0, 1]);
        }
    }
    pipeline.settle();
    pipeline.check();
    assert_eq!(pipeline.clients.len(), 23);
}

/// Nothing is encoded that nobody follows.
#[test]
fn without_listeners_nothing_is_encoded() {
    let mut pipeline = Pipeline::new(WhenFull::Conflate);
    for price in 1..100 {
        pipeline.event(
            0,
            EventBody::LevelSet { side: Side::Ask, level: Level { price: Price(price), size: Size(1) } },
        );
    }
    pipeline.settle();
    assert!(pipeline.batches.try_recv().is_none());
    let client = pipeline.join();
    pipeline.subscribe(client, Channel::Quote, &[0]);
    pipeline.settle();
    pipeline.check();
    pipeline.clients.get_mut(&client).expect("there").followed.clear();
    assert!(pipeline.shard.unsubscribe(client, TopicId::new(Channel::Quote, SymbolId(0))));
    pipeline.event(0, EventBody::BookClear);
    pipeline.settle();
    assert!(pipeline.batches.try_recv().is_none());
}
