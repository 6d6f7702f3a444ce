//! Who follows which topic.

use crate::bus::{BusHandle, TopicMessage};
use crate::topic::{PerTopic, TopicId};
use crate::wire::Encoding;

use super::cohort::CohortId;
use super::shard::Connection;

/// The topics of a shard, and their listeners.
pub(super) struct Registry {
    shard: usize,
    bus: BusHandle,
    topics: PerTopic<Listeners>,
}

/// Who follows a topic.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// What those who listen have of it.
    pub(super) state: Reached,
    /// Get every update.
    pub(super) live: Vec<CohortId>,
    /// Get the state that answers their request, and every update after it.
    pub(super) waiting: Vec<Waiter>,
    /// By encoding: cohorts and waiters above, and laggards.
    followers: [u32; Encoding::ALL.len()],
}

/// How far a topic has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reached {
    /// The number of its state.
    pub(super) seq: u64,
    /// How many changes the shard was sent of it so far, modulo 2³²: only differences count.
    pub(super) changes: u32,
    /// The run of the stream that the number is of, as the shard counts them.
    pub(super) run: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) connection: Connection,
    pub(super) ticket: u64,
}

impl Registry {
    pub(super) fn new(shard: usize, bus: BusHandle, topics: usize) -> Self {
        Self { shard, bus, topics: PerTopic::new(topics) }
    }

    /// The listeners of a topic.
    pub(super) fn of(&mut self, topic: TopicId) -> &mut Listeners {
        self.topics.get_mut(topic)
    }

    /// How far a topic has come.
    pub(super) fn reached(&self, topic: TopicId) -> Reached {
        self.topics.get(topic).map(|listeners| listeners.state).unwrap_or_default()
    }

    /// One more follows a topic.
    pub(super) fn follow(&mut self, topic: TopicId, encoding: Encoding) {
        let followers = &mut self.topics.get_mut(topic).followers[encoding as usize];
        *followers += 1;
        if *followers == 1 {
            self.bus.interest().set(topic, encoding, self.shard, true);
        }
    }

    /// One follows it no more.
    pub(super) fn unfollow(&mut self, topic: TopicId, encoding: Encoding) {
        let followers = &mut self.topics.get_mut(topic).followers[encoding as usize];
        *followers -= 1;
        if *followers == 0 {
            self.bus.interest().set(topic, encoding, self.shard, false);
        }
    }

    /// A connection waits for nothing of a topic any more; says whether it did.
    pub(super) fn stop_waiting(
        &mut self,
        topic: TopicId,
        connection: Connection,
        encoding: Encoding,
    ) -> bool {
        let waiting = &mut self.topics.get_mut(topic).waiting;
        let before = waiting.len();
        waiting.retain(|waiter| waiter.connection != connection);
        let stopped = before - waiting.len();
        for _ in 0..stopped {
            self.unfollow(topic, encoding);
        }
        stopped > 0
    }
}

impl Listeners {
    /// A message of the topic has come that is for all who listen.
    pub(super) fn advance(&mut self, message: &TopicMessage, run: u32) {
        self.answer(message, run);
        self.state.changes = self.state.changes.wrapping_add(message.merged);
    }

    /// A message of the topic has come that says nothing new to those who listen.
    pub(super) const fn answer(&mut self, message: &TopicMessage, run: u32) {
        (self.state.seq, self.state.run) = (message.seq, run);
    }
}
