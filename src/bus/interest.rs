//! Which shards listen to what: how the publisher knows what is worth encoding.

use std::sync::OnceLock;
#[cfg(not(tickwire_loom))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(tickwire_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

use crate::topic::{Rate, TopicId};
use crate::wire::Encoding;

/// Which shards listen to a topic, and in which encoding: a bit a shard, a word a topic and encoding.
#[derive(Debug)]
pub struct Interest {
    topics: usize,
    /// By rate and encoding; made when first somebody listens at that rate.
    words: [[OnceLock<Box<[AtomicU64]>>; Encoding::ALL.len()]; Rate::ALL.len()],
}

/// The shards that listen to a topic, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// For JSON objects.
    pub json: u64,
    /// For binary records.
    pub binary: u64,
}

impl Listening {
    /// In whichever encoding.
    #[must_use]
    pub const fn shards(self) -> u64 {
        self.json | self.binary
    }
}

impl Interest {
    pub(super) fn new(topics: usize) -> Self {
        Self { topics, words: Default::default() }
    }

    /// The shards that listen to `topic`.
    ///
    /// Relaxed: interest only says whether encoding is worth it. A shard that has just set its bit takes updates
    /// from the state it requested on, and the request synchronises.
    #[must_use]
    pub fn of(&self, topic: TopicId) -> Listening {
        let words = &self.words[topic.rate() as usize];
        let load = |encoding: Encoding| {
            words[encoding as usize].get().map_or(0, |words| words[topic.index()].load(Ordering::Relaxed))
        };
        Listening { json: load(Encoding::Json), binary: load(Encoding::Binary) }
    }

    /// Says that shard number `shard` listens to `topic` in an encoding, or does no longer.
    pub fn set(&self, topic: TopicId, encoding: Encoding, shard: usize, listens: bool) {
        let words = self.words[topic.rate() as usize][encoding as usize]
            .get_or_init(|| (0..self.topics).map(|_| AtomicU64::new(0)).collect());
        let bit = 1_u64 << shard;
        if listens {
            words[topic.index()].fetch_or(bit, Ordering::Relaxed);
        } else {
            words[topic.index()].fetch_and(!bit, Ordering::Relaxed);
        }
    }
}

/// All interleavings and all reorderings that the memory model allows, with a queue under a lock in the channel's place:
/// `make test-loom`.
#[cfg(all(test, tickwire_loom))]
mod model {
    use super::*;
    use crate::topic::Channel;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    const TURNS: u64 = 3;

    /// What the shard that asked gets.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Sent {
        State(u64),
        Update(u64),
    }

    /// Shard 0 begins to listen, and then asks for the state; `beside` goes on at the same time in shard 1, which
    /// listens to the same topic. The publisher, in each turn, makes an update for whoever listens, and then answers.
    fn check(beside: impl Fn(&Interest, TopicId) + Copy + Send + Sync + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let topic = TopicId::new(Channel::Quote, feeds::SymbolId(0));
            let interest = Arc::new(Interest::new(topic.index() + 1));
            // Also makes the words, which is a matter of the standard library's lock.
            interest.set(topic, Encoding::Json, 1, true);
            let requests = Arc::new(Mutex::new(Vec::new()));
            let asks = {
                let (interest, requests) = (Arc::clone(&interest), Arc::clone(&requests));
                thread::spawn(move || {
                    interest.set(topic, Encoding::Json, 0, true);
                    requests.lock().expect("nobody panics").push(topic);
                })
            };
            let other = {
                let interest = Arc::clone(&interest);
                thread::spawn(move || beside(&interest, topic))
            };
            let mut sent = Vec::new();
            let mut turn = |seq| {
                if interest.of(topic).json & 1 != 0 {
                    sent.push(Sent::Update(seq));
                }
                if requests.lock().expect("nobody panics").pop().is_some() {
                    sent.push(Sent::State(seq));
                }
            };
            (1..=TURNS).for_each(&mut turn);
            asks.join().expect("a shard that holds");
            other.join().expect("a shard that holds");
            (TURNS + 1..=TURNS + 2).for_each(&mut turn);
            let state = sent.iter().position(|sent| matches!(sent, Sent::State(_))).expect("an answer");
            let Sent::State(seq) = sent[state] else { unreachable!("it is the state") };
            let behind: Vec<_> = (seq + 1..=TURNS + 2).map(Sent::Update).collect();
            assert_eq!(sent[state + 1..], behind, "no update behind the state is missed");
            let expected = Interest::new(topic.index() + 1);
            expected.set(topic, Encoding::Json, 1, true);
            beside(&expected, topic);
            expected.set(topic, Encoding::Json, 0, true);
            assert_eq!(interest.of(topic), expected.of(topic), "nobody undoes what another has set");
        });
    }

    #[test]
    fn no_update_behind_a_requested_state_is_missed() {
        check(|_, _| ());
    }

    #[test]
    fn nor_when_another_shard_stops_listening_meanwhile() {
        check(|interest, topic| interest.set(topic, Encoding::Json, 1, false));
    }

    #[test]
    fn nor_when_it_begins_again() {
        check(|interest, topic| {
            interest.set(topic, Encoding::Json, 1, false);
            interest.set(topic, Encoding::Json, 1, true);
        });
    }
}
