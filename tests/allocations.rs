//! Holds what is deterministic about speed: how often the way of a quote asks for memory once it runs steadily.
//!
//! Time is noisy and allocations are not: one that creeps into the path of each client shows here as a thousand.

use std::sync::Arc;
use std::time::Duration;

use feeds::clock::monotonic;
use feeds::{
    EventBody, Exponent, Instrument, Level, MarketEvent, Price, Side, Size, Symbol, SymbolId, Timestamp,
};
use tickwire::bus::{Batches, Bus};
use tickwire::directory::Directory;
use tickwire::fanout::{Form, Sent, Shard, Subscribe, Subscribed};
use tickwire::limits::{CHECKSUM_EVERY_UPDATES, RESUME_LINGER};
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::topic::{Channel, Depth, TopicId};
use tickwire::wire::decode::decode;

/// What a batch takes, whatever it holds: itself, its messages, its JSON.
const PER_BATCH: u64 = 3;
/// Book updates in 100 turns that carry a checksum, whose digits are put together in one buffer.
const CHECKSUMS: u64 = 300 / CHECKSUM_EVERY_UPDATES as u64 + 1;

struct Rig {
    publisher: Publisher,
    batches: Batches,
    shard: Shard,
    step: i64,
    delivered: usize,
}

impl Rig {
    /// One instrument, and so many connections that follow these channels of it.
    fn new(connections: usize, channels: &[Channel]) -> Self {
        let exponent = Exponent::new(-2).expect("within range");
        let directory = Directory::new(&[Instrument {
            symbol: Symbol::new("AAPL").expect("a symbol"),
            venue: "TEST",
            price_exponent: exponent,
            size_exponent: exponent,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        }]);
        let (writer, _) = quote_cache(1);
        let (bus, mut ends) = Bus::new(TopicId::count(1), 1);
        let end = ends.remove(0);
        let (epoch, when_full) = ("test".into(), WhenFull::Conflate);
        let mut publisher =
            Publisher::new(directory.clone(), writer, bus, Metrics::default(), Arc::clone(&epoch), when_full);
        let mut shard = Shard::new(end.shard, end.bus, directory, epoch, monotonic());
        let mut batches = end.batches;
        for _ in 0..connections {
            let connection = shard.join(Form::default());
            for &channel in channels {
                let topic = TopicId::new(channel, SymbolId(0));
                let subscribed = shard.subscribe(connection, Subscribe::new(channel, &[topic]));
                assert_eq!(subscribed, Subscribed::Awaiting);
                while publisher.end_turn() {}
                while let Some(batch) = batches.try_recv() {
                    shard.deliver(&batch);
                }
                shard.flush(monotonic(), u64::MAX, |_, _| Sent::Taken);
                assert_eq!(shard.take_completed(), [connection]);
            }
        }
        Self { publisher, batches, shard, step: 0, delivered: 0 }
    }

    /// A change of the book's best levels, and so of the quote, on its way to every connection.
    fn turn(&mut self) {
        self.step += 1;
        let time = Timestamp(self.step * 1_000);
        for (side, price) in [(Side::Bid, 18_910), (Side::Ask, 18_911), (Side::Bid, 18_909)] {
            let level = Level { price: Price(price), size: Size(100 + self.step % 10) };
            let body = EventBody::LevelSet { side, level };
            let event = MarketEvent { symbol: SymbolId(0), ts_event: time, ts_recv: time, sequence: 0, body };
            self.publisher.apply(&[event]);
        }
        while self.publisher.end_turn() {}
        while let Some(batch) = self.batches.try_recv() {
            self.shard.deliver(&batch);
        }
        self.shard.flush(monotonic(), u64::MAX, |_, _| {
            self.delivered += 1;
            Sent::Taken
        });
    }

    /// Allocations and deliveries of 100 turns, once every buffer has found its size.
    fn hundred_turns(mut self) -> (u64, usize) {
        for _ in 0..1_000 {
            self.turn();
        }
        self.delivered = 0;
        let allocated = allocation_counter::measure(|| (0..100).for_each(|_| self.turn()));
        (allocated.count_total, self.delivered)
    }
}

#[test]
fn a_delivered_update_allocates_nothing_for_its_clients() {
    let channels = [Channel::Quote, Channel::Book(Depth::D10)];
    for connections in [1, 1_000] {
        let (allocated, delivered) = Rig::new(connections, &channels).hundred_turns();
        assert_eq!(delivered, 100 * connections);
        let most = 100 * PER_BATCH + CHECKSUMS;
        assert!(allocated <= most, "{allocated} allocations in 100 turns, {connections} connections");
    }
}

#[test]
fn what_nobody_follows_allocates_nothing() {
    assert_eq!(Rig::new(0, &[]).hundred_turns(), (0, 0));
    // Nor does what is followed by nobody any more, once nobody may come back to it.
    let mut rig = Rig::new(1, &[Channel::Quote, Channel::Book(Depth::D10)]);
    rig.turn();
    rig.shard.leave(0);
    let now = monotonic();
    for later in [Duration::ZERO, RESUME_LINGER] {
        rig.publisher.tick(now + later);
    }
    assert_eq!(rig.hundred_turns(), (0, 0));
}

#[test]
fn a_client_reads_updates_where_they_stand() {
    let update = r#"{"channel":"quote","type":"update","symbol":"AAPL","seq":78,"prev_seq":77,"ts_event":1763848800124001,"bid":"189.11"}"#;
    let text = format!("[{}]", vec![update; 1_000].join(","));
    let mut read = 0;
    let allocated = allocation_counter::measure(|| read = decode(&text).map_or(0, |messages| messages.len()));
    assert_eq!(read, 1_000);
    // Of the list of them, which doubles as it grows.
    assert!(allocated.count_total <= 12, "{} allocations for 1,000 updates", allocated.count_total);
}
