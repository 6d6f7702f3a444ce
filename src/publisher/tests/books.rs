//! What the publisher says of books, followed by a client that has nothing but its messages.

use std::collections::BTreeMap;

use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{Exponent, Feed, Level, Price, Size, SymbolId};

use super::super::*;
use crate::bus::{Batches, Request, Wanted};
use crate::market::quotes::quote_cache;
use crate::wire::Encoding;
use crate::wire::ServerMessage;
use crate::wire::decode::{Base, BookFields, decode};

/// A client's book: sizes by price, and the number of its state.
#[derive(Default)]
struct Follower {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    seq: u64,
}

impl Follower {
    fn take(&mut self, seq: u64, base: Base<'_>, fields: &BookFields<'_>, scale: (Exponent, Exponent)) {
        match base {
            Base::Snapshot { .. } => *self = Self::default(),
            Base::Update { prev_seq } => assert_eq!(prev_seq, self.seq),
        }
        self.seq = seq;
        for (levels, side) in [(&fields.bids, &mut self.bids), (&fields.asks, &mut self.asks)] {
            for &(price, size) in levels {
                let price = Price::parse(price, scale.0).expect("a price").0;
                let size = Size::parse(size, scale.1).expect("a size").0;
                let before = if size == 0 { side.remove(&price) } else { side.insert(price, size) };
                assert_ne!(before.unwrap_or(0), size, "sent without a change");
            }
        }
    }

    fn levels(&self) -> [Vec<Level>; 2] {
        let level = |(&price, &size): (&i64, &i64)| Level { price: Price(price), size: Size(size) };
        [self.bids.iter().rev().map(level).collect(), self.asks.iter().map(level).collect()]
    }
}

fn take_all(batches: &mut Batches, followers: &mut BTreeMap<TopicId, Follower>, directory: &Directory) {
    while let Some(batch) = batches.try_recv() {
        for message in &batch.messages {
            let text = format!("[{}]", String::from_utf8_lossy(batch.encoded(message, Encoding::Json)));
            let decoded = decode(&text).expect("a message of the protocol");
            let [ServerMessage::Book(head, fields)] = decoded.as_slice() else { panic!("{text}") };
            let instrument = directory.get(message.topic.symbol());
            assert_eq!((&*head.symbol, head.seq), (instrument.symbol.as_str(), message.seq));
            let scale = (instrument.price_exponent, instrument.size_exponent);
            followers.entry(message.topic).or_default().take(head.seq, head.base, fields, scale);
        }
    }
}

#[test]
fn updates_keep_a_copy_of_every_book_equal_to_the_market() {
    const INSTRUMENTS: usize = 5;
    const MESSAGES: usize = if cfg!(debug_assertions) { 4_000 } else { 20_000 };
    let settings = SimSettings { instruments: INSTRUMENTS, mode: SimMode::Market, ..SimSettings::default() };
    let mut sim = Sim::new(settings).expect("valid settings");
    let directory = Directory::new(sim.instruments());
    let (bus, mut ends) = Bus::new(TopicId::count(INSTRUMENTS), 1);
    let mut end = ends.remove(0);
    let mut publisher = Publisher::new(
        directory.clone(),
        quote_cache(INSTRUMENTS).0,
        bus,
        Metrics::default(),
        "test".into(),
        WhenFull::Conflate,
    );
    let mut followers = BTreeMap::new();
    let mut events = Vec::new();
    for message in 0..MESSAGES {
        if message == MESSAGES / 4 {
            // In the midst of it, when the books are full.
            let topics: Vec<_> = (0..INSTRUMENTS)
                .flat_map(|index| Depth::ALL.map(|depth| (Channel::Book(depth), SymbolId::from_index(index))))
                .map(|(channel, symbol)| TopicId::new(channel, symbol))
                .collect();
            let wanted = topics.iter().map(|&topic| Wanted { topic, held: None }).collect();
            for &topic in &topics {
                end.bus.interest().set(topic, Encoding::Json, end.shard, true);
            }
            end.bus
                .request(Request::States { shard: end.shard, ticket: 1, epoch: "e".into(), topics: wanted })
                .expect("room");
        }
        events.clear();
        sim.next_message(&mut events).expect("a simulation does not fail");
        publisher.apply(&events);
        while publisher.end_turn() {}
        take_all(&mut end.batches, &mut followers, &directory);
        for (topic, follower) in &followers {
            let Channel::Book(depth) = topic.channel() else { panic!("not a book") };
            let book = publisher.market().book(topic.symbol());
            let best = |side: &mut dyn Iterator<Item = Level>| side.take(depth.levels()).collect::<Vec<_>>();
            assert_eq!(
                follower.levels(),
                [best(&mut book.bids()), best(&mut book.asks())],
                "message {message}"
            );
        }
    }
    assert_eq!(followers.len(), INSTRUMENTS * Depth::ALL.len());
    let depths = followers.values().map(|follower| follower.asks.len()).max();
    assert!(depths > Some(Depth::D25.levels()), "{depths:?} levels: too few to lose any at the far end");
}
