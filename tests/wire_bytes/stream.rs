//! The market through publisher and shard, as its clients get it: plain, binary, and in a compressed cohort.
//!
//! Of the market's own mix of changes there are more of books than are asked for, so that clients follow the trades and
//! the books of some instruments only. Each message is what a shard sends in one turn, whatever the number of changes.

use std::ops::Range;
use std::time::Instant;

use feeds::clock::monotonic;
use feeds::sim::Sim;
use feeds::{Feed as _, SymbolId};
use tickwire::bus::{Batches, Bus, Kind};
use tickwire::directory::Directory;
use tickwire::fanout::{Connection, Deflate, Form, Sent, Shard, Subscribe, Subscribed};
use tickwire::limits::SETTLE_AFTER;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::topic::{Channel, TopicId};
use tickwire::wire::Encoding;
use tickwire::ws::deflate::{Deflater, WINDOW_BITS_MAX};

use super::super::{DEPTH, EPOCH, INSTRUMENTS, MIX};

/// The channels in the order of the mix, and of how many instruments a client follows each.
const FOLLOWED: [(Channel, usize); MIX.len()] =
    [(Channel::Quote, INSTRUMENTS), (Channel::Trade, 195), (Channel::Book(DEPTH), 69)];
/// Plain, binary, and a cohort of two.
const CLIENTS: usize = 4;

/// What clients were sent.
#[derive(Default)]
pub(crate) struct Sums {
    /// By kind.
    pub(crate) updates: [usize; MIX.len()],
    pub(crate) messages: usize,
    pub(crate) json: usize,
    /// In the cohort's stream.
    pub(crate) streamed: usize,
    /// Each message by itself.
    pub(crate) deflated: usize,
    pub(crate) binary: usize,
}

pub(crate) struct Stream {
    sim: Sim,
    publisher: Publisher,
    batches: Batches,
    shard: Shard,
    clients: [Connection; CLIENTS],
    deflater: Deflater,
    now: Instant,
    pub(crate) sums: Sums,
}

impl Stream {
    /// Clients that follow the market, and have settled.
    pub(crate) fn new(sim: Sim) -> Self {
        let directory = Directory::new(sim.instruments());
        let (bus, mut ends) = Bus::new(TopicId::count(INSTRUMENTS), 1);
        let end = ends.remove(0);
        let (quotes, _) = quote_cache(INSTRUMENTS);
        let now = monotonic();
        let mut shard = Shard::new(end.shard, end.bus, directory.clone(), EPOCH.into(), now);
        let metrics = Metrics::default();
        let publisher = Publisher::new(directory, quotes, bus, metrics, EPOCH.into(), WhenFull::Wait);
        let deflate = Some(Deflate { window_bits: WINDOW_BITS_MAX, context: true });
        let compressed = Form { deflate, ..Form::default() };
        let clients =
            [Form::default(), Form { encoding: Encoding::Binary, ..Form::default() }, compressed, compressed]
                .map(|form| shard.join(form));
        let deflater = Deflater::new(WINDOW_BITS_MAX);
        let batches = end.batches;
        let mut stream =
            Self { sim, publisher, batches, shard, clients, deflater, now, sums: Sums::default() };
        stream.subscribe();
        stream
    }

    fn subscribe(&mut self) {
        for connection in self.clients {
            for (channel, instruments) in FOLLOWED {
                let topics: Vec<_> = (0..instruments)
                    .map(|symbol| TopicId::new(channel, SymbolId::from_index(symbol)))
                    .collect();
                let subscribed = self.shard.subscribe(connection, Subscribe::new(channel, &topics));
                assert_eq!(subscribed, Subscribed::Awaiting);
                while self.shard.is_awaiting(connection) {
                    self.end_turn();
                }
            }
        }
        self.now += SETTLE_AFTER;
        self.shard.tick(self.now, |_, _| Sent::Taken);
        assert_eq!(self.shard.cohorts(), CLIENTS - 1, "two share one");
    }

    /// Plays so many messages of the feed, and so many in each turn of the shard.
    pub(crate) fn play(&mut self, messages: Range<usize>, per_turn: usize) {
        let mut events = Vec::new();
        for message in messages {
            events.clear();
            self.sim.next_message(&mut events).expect("a simulated market does not fail");
            self.publisher.apply(&events);
            if message % per_turn == 0 {
                self.end_turn();
            }
        }
        self.end_turn();
    }

    fn end_turn(&mut self) {
        self.publisher.end_turn();
        while let Some(batch) = self.batches.try_recv() {
            for message in batch.messages.iter().filter(|message| message.kind == Kind::Update) {
                let channel = message.topic.channel();
                let kind = FOLLOWED.iter().position(|(followed, _)| *followed == channel);
                self.sums.updates[kind.expect("nothing else is followed")] += 1;
            }
            self.shard.deliver(&batch);
        }
        let Self { shard, clients: [plain, binary, streamed, _], deflater, sums, .. } = self;
        shard.flush(self.now, u64::MAX, |connection, outgoing| {
            let payload = payload(outgoing.bytes);
            if connection == *plain {
                sums.messages += 1;
                sums.json += payload.len();
                deflater.restart();
                let mut deflated = Vec::new();
                deflater.compress(payload, &mut deflated);
                sums.deflated += deflated.len();
            } else if connection == *binary {
                sums.binary += payload.len();
            } else if connection == *streamed {
                sums.streamed += payload.len();
            }
            Sent::Taken
        });
    }
}

/// What stands behind the header of a server's frame.
fn payload(frame: &[u8]) -> &[u8] {
    match frame[1] {
        126 => &frame[4..],
        127 => &frame[10..],
        _ => &frame[2..],
    }
}
