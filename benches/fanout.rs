//! What an update costs between the feed and the sockets: market, publisher, bus and shard in one thread.
//!
//! Delivery runs once per client and update, and is what a core's worth of clients hangs on: 0.1 µs here is 10 % of a
//! core at a million delivered updates a second. Publishing runs once per event of the feed, on the ingest's thread,
//! whether anybody listens or not.
//!
//! The sink counts while the clock runs. That each connection gets exactly the bytes it should is checked before and
//! after, on the same rig. Sockets are the business of `tickwire load`.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use feeds::clock::monotonic;
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{
    BookSnapshot, EventBody, Exponent, Feed, Instrument, Level, MarketEvent, Price, Side, Size, Symbol,
    SymbolId, Timestamp,
};
use tickwire::bus::{Batches, Bus};
use tickwire::directory::Directory;
use tickwire::fanout::{Connection, Form, Sent, Shard, Subscribe, Subscribed};
use tickwire::market::quotes::{QuoteReader, quote_cache};
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::state::Quote;
use tickwire::topic::{Channel, Depth, TopicId};
use tickwire::wire::decode::{Base, decode};
use tickwire::wire::{Envelope, ServerMessage, json};

const CONNECTIONS: usize = 1_000;

/// The whole way but the feed and the sockets.
struct Rig {
    publisher: Publisher,
    quotes: QuoteReader,
    batches: Batches,
    shard: Shard,
}

impl Rig {
    fn new(instruments: &[Instrument]) -> Self {
        let directory = Directory::new(instruments);
        let (writer, quotes) = quote_cache(instruments.len());
        let (bus, mut ends) = Bus::new(TopicId::count(instruments.len()), 1);
        let end = ends.remove(0);
        let epoch: Arc<str> = "bench".into();
        let publisher = Publisher::new(
            directory.clone(),
            writer,
            bus,
            Metrics::default(),
            Arc::clone(&epoch),
            WhenFull::Conflate,
        );
        let shard = Shard::new(end.shard, end.bus, directory, epoch, monotonic());
        Self { publisher, quotes, batches: end.batches, shard }
    }

    /// Adds a connection that follows a channel of some symbols, and has their states.
    fn follow(&mut self, channel: Channel, symbols: impl Iterator<Item = usize>) -> Connection {
        let topics: Vec<_> =
            symbols.map(|symbol| TopicId::new(channel, SymbolId::from_index(symbol))).collect();
        let connection = self.shard.join(Form::default());
        let subscribed = self.shard.subscribe(connection, Subscribe::new(channel, &topics));
        assert_eq!(subscribed, Subscribed::Awaiting);
        let mut messages = 0;
        self.turn(&[], |_, _| messages += 1);
        assert_eq!((messages, self.shard.take_completed()), (2, vec![connection]));
        connection
    }

    /// A turn of the ingest with one message, and what the shard makes of it.
    fn turn(&mut self, events: &[MarketEvent], sink: impl FnMut(Connection, &[u8])) {
        self.publisher.apply(events);
        self.end_turn(sink);
    }

    fn end_turn(&mut self, mut sink: impl FnMut(Connection, &[u8])) {
        while self.publisher.end_turn() {}
        while let Some(batch) = self.batches.try_recv() {
            self.shard.deliver(&batch);
        }
        self.shard.flush(monotonic(), u64::MAX, |connection, outgoing| {
            sink(connection, payload(outgoing.bytes));
            Sent::Taken
        });
    }
}

/// The objects in a text frame: without its header and the brackets of the array.
fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    &frame[header + 1..frame.len() - 1]
}

fn instruments(count: usize) -> Vec<Instrument> {
    let exponent = |value| Exponent::new(value).expect("within range");
    let instrument = |index| Instrument {
        symbol: Symbol::new(&format!("SYM{index:05}")).expect("a symbol"),
        venue: "BENCH",
        price_exponent: exponent(-2),
        size_exponent: exponent(0),
        tick_size: None,
        currency: None,
        book_levels_max: None,
        begins_stale: false,
    };
    (0..count).map(instrument).collect()
}

fn event(symbol: usize, time: i64, body: EventBody) -> MarketEvent {
    let time = Timestamp(time * 1_000);
    MarketEvent { symbol: SymbolId::from_index(symbol), ts_event: time, ts_recv: time, sequence: 0, body }
}

const fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

/// Quotes of which each differs in all four fields from the one before.
fn quote_at(step: i64) -> Quote {
    let price = 18_900 + step % 64;
    Quote { bid: Some(level(price, 100 + step % 64)), ask: Some(level(price + 1, 300 + step % 64)) }
}

fn quote_event(symbol: usize, step: i64) -> MarketEvent {
    let Quote { bid, ask } = quote_at(step);
    event(symbol, step, EventBody::Quote { bid, ask })
}

/// What every client of a symbol is to get when its quote goes from the one of `step` − 1 to that of `step`.
fn expected_update(symbol: usize, step: i64) -> Vec<u8> {
    let instruments = instruments(symbol + 1);
    let instrument = &instruments[symbol];
    let seq = u64::try_from(step).expect("counted up") + 1;
    let envelope = Envelope {
        symbol: instrument.symbol.as_str(),
        price_exponent: instrument.price_exponent,
        size_exponent: instrument.size_exponent,
        seq,
        merged: 1,
        ts_event: Timestamp(step * 1_000),
    };
    let mut out = Vec::new();
    json::quote_update(&mut out, &envelope, seq - 1, &quote_at(step - 1), &quote_at(step));
    out
}

/// Connections with some of the symbols each.
struct Crowd {
    rig: Rig,
    symbols: usize,
    each: usize,
    step: i64,
}

impl Crowd {
    fn new(symbols: usize, each: usize) -> Self {
        let mut crowd = Self { rig: Rig::new(&instruments(symbols)), symbols, each, step: -1 };
        crowd.round(|_, _| {});
        for connection in 0..CONNECTIONS {
            let followed = crowd.followed(connection);
            assert_eq!(crowd.rig.follow(Channel::Quote, followed.into_iter()), connection);
        }
        crowd
    }

    /// Evenly spread, and not the same for every connection where there are more symbols than one follows.
    fn followed(&self, connection: usize) -> Vec<usize> {
        let mut followed: Vec<_> = (0..self.each)
            .map(|n| (connection * 7 + n * (self.symbols / self.each)) % self.symbols)
            .collect();
        followed.sort_unstable();
        followed
    }

    /// A turn with a new quote of every symbol.
    fn round(&mut self, sink: impl FnMut(Connection, &[u8])) {
        self.step += 1;
        for symbol in 0..self.symbols {
            self.rig.publisher.apply(&[quote_event(symbol, self.step)]);
        }
        self.rig.end_turn(sink);
    }

    /// A round of which every connection gets its own updates in one message, and nothing else.
    fn check(&mut self) {
        let mut got = vec![Vec::new(); CONNECTIONS];
        self.round(|connection, objects| {
            assert!(got[connection].is_empty(), "two messages in a turn");
            got[connection] = objects.to_vec();
        });
        let updates: Vec<_> = (0..self.symbols).map(|symbol| expected_update(symbol, self.step)).collect();
        for (connection, got) in got.iter().enumerate() {
            let own: Vec<_> =
                self.followed(connection).into_iter().map(|symbol| updates[symbol].as_slice()).collect();
            let own = own.join(&b',');
            assert_eq!(String::from_utf8_lossy(got), String::from_utf8_lossy(&own));
        }
    }
}

/// Time per delivered update.
fn deliver(c: &mut Criterion, name: &str, symbols: usize, each: usize) {
    let mut crowd = Crowd::new(symbols, each);
    crowd.check();
    let (mut rounds, mut messages) = (0, 0);
    let mut group = c.benchmark_group("deliver");
    group.throughput(Throughput::Elements((CONNECTIONS * each) as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            rounds += 1;
            crowd.round(|_, objects| {
                black_box(objects);
                messages += 1;
            });
        });
    });
    group.finish();
    assert_eq!(messages, rounds * CONNECTIONS);
    crowd.check();
}

fn delivering(c: &mut Criterion) {
    deliver(c, "1000_connections_1_symbol", 1, 1);
    deliver(c, "1000_connections_20_of_200_symbols", 200, 20);
}

/// Time per quote change that nobody follows: what every instrument costs that is only kept current.
fn quotes_nobody_follows(c: &mut Criterion) {
    const SYMBOLS: usize = 200;
    let mut rig = Rig::new(&instruments(SYMBOLS));
    let mut step = 0;
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(SYMBOLS as u64));
    group.bench_function("quotes_nobody_follows", |b| {
        b.iter(|| {
            step += 1;
            for symbol in 0..SYMBOLS {
                rig.turn(&[quote_event(symbol, step)], |_, _| panic!("nobody follows"));
            }
        });
    });
    group.finish();
    for symbol in 0..SYMBOLS {
        let cached = rig.quotes.get(SymbolId::from_index(symbol));
        assert_eq!((cached.quote, cached.seq), (quote_at(step), u64::try_from(step).expect("counted up")));
    }
}

/// Time per event of a whole market that nobody follows: books, trades, bars and tickers, with the quote cache.
fn market_nobody_follows(c: &mut Criterion) {
    const EVENTS: usize = 50_000;
    let settings = SimSettings { mode: SimMode::Market, ..SimSettings::default() };
    let mut sim = Sim::new(settings).expect("valid settings");
    let instruments = sim.instruments().to_vec();
    let (mut messages, mut events) = (Vec::new(), 0);
    while events < EVENTS {
        let mut message = Vec::new();
        sim.next_message(&mut message).expect("a simulation does not fail");
        events += message.len();
        messages.push(message);
    }
    let mut group = c.benchmark_group("publish");
    group.sample_size(20).throughput(Throughput::Elements(events as u64));
    group.bench_function("market_nobody_follows", |b| {
        b.iter_batched(
            || Rig::new(&instruments),
            |mut rig| {
                for message in &messages {
                    rig.turn(message, |_, _| panic!("nobody follows"));
                }
                rig
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let mut rig = Rig::new(&instruments);
    for message in &messages {
        rig.turn(message, |_, _| panic!("nobody follows"));
    }
    let market = rig.publisher.market();
    let mut quoted = 0;
    for symbol in (0..instruments.len()).map(SymbolId::from_index) {
        let cached = rig.quotes.get(symbol);
        assert_eq!(cached.quote, market.quote(symbol));
        assert_eq!(cached.quote.bid, market.book(symbol).best_bid());
        quoted += u64::from(cached.seq > 0);
    }
    assert_eq!((market.faults().unknown_orders, quoted), (0, 200));
}

/// Time per change of one level, `index` levels below the best bid, with one listener.
fn book(c: &mut Criterion, name: &str, depth: Depth, index: i64) {
    const BEST: i64 = 18_900;
    let mut rig = Rig::new(&instruments(1));
    let side = |away: i64| (0..200).map(|n| level(BEST + away * (n + i64::from(away > 0)), 100)).collect();
    let snapshot = BookSnapshot { bids: side(-1), asks: side(1) };
    rig.turn(&[event(0, 0, EventBody::BookSnapshot(Box::new(snapshot)))], |_, _| {});
    rig.follow(Channel::Book(depth), std::iter::once(0));
    let mut step = 0;
    let mut change = |rig: &mut Rig, sink: &mut dyn FnMut(Connection, &[u8])| {
        step += 1;
        let level = level(BEST - index, 100 + step % 64);
        rig.turn(&[event(0, step, EventBody::LevelSet { side: Side::Bid, level })], sink);
        step
    };
    let (mut changes, mut messages) = (0, 0);
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| {
        b.iter(|| {
            changes += 1;
            change(&mut rig, &mut |_, objects| {
                black_box(objects);
                messages += 1;
            })
        });
    });
    group.finish();
    assert_eq!(messages, changes);

    let mut text = String::new();
    let last = change(&mut rig, &mut |_, objects| text = format!("[{}]", String::from_utf8_lossy(objects)));
    let decoded = decode(&text).expect("a message of the protocol");
    let [ServerMessage::Book(head, fields)] = decoded.as_slice() else { panic!("{text}") };
    let seq = u64::try_from(last).expect("counted up") + 1;
    assert_eq!((head.seq, head.base), (seq, Base::Update { prev_seq: seq - 1 }));
    let (price, size) = (BEST - index, 100 + last % 64);
    let expected = (format!("{}.{:02}", price / 100, price % 100), size.to_string());
    assert_eq!(fields.bids, [(expected.0.as_str(), expected.1.as_str())]);
    assert_eq!(fields.asks, []);
}

fn publishing(c: &mut Criterion) {
    quotes_nobody_follows(c);
    market_nobody_follows(c);
    book(c, "book_10_level_5", Depth::D10, 5);
    book(c, "book_100_level_5", Depth::D100, 5);
    book(c, "book_100_level_60", Depth::D100, 60);
}

criterion_group!(benches, delivering, publishing);
criterion_main!(benches);
