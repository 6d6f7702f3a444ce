//! Connections that get the same bytes.
//!
//! Every connection that follows something belongs to one cohort. While its topics change it is alone in one, which
//! costs what a plain connection costs, and a change of a topic is one entry in a list. When its topics have
//! been the same for a while it *settles*: it moves into the cohort with the same topics and form, if there is one, or
//! is known from then on to those who settle later. A member whose topics change again gets a cohort of its own first.
//! So it is at most once in [`crate::limits::SETTLE_AFTER`] that a connection's topics are gone through as a whole.

use std::hash::{Hash, Hasher};
use std::time::Instant;

use rustc_hash::{FxHashMap, FxHasher};

use super::assembly::Assembly;
use super::compression::Stream;
use super::shard::{Connection, Flushed, Outgoing, Seat, Sent, Shard};
use crate::topic::TopicId;
use crate::wire::{Encoding, Framing};

/// A cohort's number within its shard.
pub(super) type CohortId = usize;

/// How a connection is sent its data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Form {
    /// How updates and states are written.
    pub encoding: Encoding,
    /// How they are compressed; `None`: not at all.
    pub deflate: Option<Deflate>,
    /// What they are cut into. Server-sent events are neither binary nor compressed.
    pub framing: Framing,
}

/// What was agreed with a client on messages to it: RFC 7692.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflate {
    /// Two to this many bytes are what it remembers: 9 to 15.
    pub window_bits: u8,
    /// Whether a message may refer to those before it.
    pub context: bool,
}

/// What connections of one cohort have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CohortKey {
    /// Of the topics, whatever their order. Two sets with the same are compared before they are taken for one.
    topics: u64,
    form: Form,
}

/// Connections with the same topics and form.
#[derive(Debug, Default)]
pub(super) struct Cohort {
    pub(super) form: Form,
    /// What it follows, and its position among the topic's listeners.
    pub(super) topics: FxHashMap<TopicId, u32>,
    /// Sum of the topics' hashes.
    pub(super) hash: u64,
    /// The topics in their order, where somebody has asked for it since they last changed.
    order: Vec<TopicId>,
    /// The first [`Cohort::synced`] of them have everything of the stream since its last key frame.
    pub(super) members: Vec<Connection>,
    pub(super) synced: usize,
    pub(super) stream: Option<Box<Stream>>,
    pub(super) out: Assembly,
    /// It is listed as having something to send.
    pub(super) is_dirty: bool,
    /// It is the one that others with the same key join.
    is_known: bool,
    /// When its topics last changed; `None`: it has settled.
    changed: Option<Instant>,
}

impl Cohort {
    fn new(form: Form, first: Connection) -> Self {
        Self { form, members: vec![first], ..Self::default() }
    }

    /// Whether nobody shares it.
    pub(super) const fn is_lone(&self) -> bool {
        self.members.len() == 1
    }

    /// Whether nothing has changed since, and it has not settled either.
    pub(super) fn is_unchanged_since(&self, changed: Instant) -> bool {
        self.changed == Some(changed)
    }

    fn key(&self) -> CohortKey {
        CohortKey { topics: self.hash, form: self.form }
    }

    /// Follows a topic, as number `position` of its listeners.
    fn insert(&mut self, topic: TopicId, position: u32) {
        if self.topics.insert(topic, position).is_none() {
            self.order.clear();
            self.hash = self.hash.wrapping_add(hash_of(topic));
        }
    }

    /// Follows a topic no more; says its position among the topic's listeners.
    fn remove(&mut self, topic: TopicId) -> Option<u32> {
        let position = self.topics.remove(&topic)?;
        self.order.clear();
        self.hash = self.hash.wrapping_sub(hash_of(topic));
        Some(position)
    }

    /// What it follows, in the topics' order.
    pub(super) fn ordered(&mut self) -> &[TopicId] {
        if self.order.len() != self.topics.len() {
            self.order = self.topics.keys().copied().collect();
            self.order.sort_unstable();
        }
        &self.order
    }

    /// Whether another follows exactly the same.
    fn has_same_topics(&self, other: &Self) -> bool {
        self.topics.len() == other.topics.len()
            && self.topics.keys().all(|topic| other.topics.contains_key(topic))
    }
}

/// Mixed by a finaliser, because sums of near numbers would meet too often otherwise.
pub(super) fn hash_of(topic: TopicId) -> u64 {
    let mut hasher = FxHasher::default();
    // One more, because the hash of zero is zero: a set would be the same with it and without.
    (u64::from(topic.0) + 1).hash(&mut hasher);
    let mut hash = hasher.finish();
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 29)
}

impl Shard {
    /// The cohort that a connection has for itself; where it shared one, it gets a copy of what that has to send.
    pub(super) fn alone(&mut self, connection: Connection) -> CohortId {
        let Some(Seat { cohort: shared, .. }) = self.members[connection].seat else {
            return self.found(connection);
        };
        if self.cohorts[shared].is_lone() {
            self.change(shared);
            return shared;
        }
        self.unseat(connection);
        let lone = self.found(connection);
        let topics: Vec<TopicId> = self.cohorts[shared].topics.keys().copied().collect();
        for topic in topics {
            self.listen(lone, topic);
        }
        let waiting = std::mem::take(&mut self.cohorts[shared].out);
        if !waiting.is_empty() {
            let cohort = &mut self.cohorts[lone];
            // It fits: what it is copied from did.
            let _ = self.queue.push(cohort, lone, |out| {
                out.copy_from(&waiting);
                Ok(())
            });
        }
        self.cohorts[shared].out = waiting;
        lone
    }

    /// A cohort of its own, with no topics yet, for a connection that is in none.
    pub(super) fn found(&mut self, connection: Connection) -> CohortId {
        let member = &mut self.members[connection];
        let cohort = self.cohorts.insert(Cohort::new(member.form, connection));
        member.seat = Some(Seat { cohort, position: 0 });
        self.change(cohort);
        cohort
    }

    /// A lone cohort is about to change: others are not to join it any more.
    fn change(&mut self, id: CohortId) {
        let cohort = &mut self.cohorts[id];
        if std::mem::take(&mut cohort.is_known) {
            self.known.remove(&cohort.key());
        }
        if cohort.changed != Some(self.now) {
            cohort.changed = Some(self.now);
            self.unsettled.push_back((id, self.now));
        }
    }

    /// Moves a lone cohort's connection into the cohort with the same topics, or lets others find this one.
    pub(super) fn settle(
        &mut self,
        id: CohortId,
        flushed: &mut Flushed,
        send: &mut impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) {
        let cohort = &self.cohorts[id];
        let &[connection] = cohort.members.as_slice() else { return };
        let member = &self.members[connection];
        // What is awaited changes it once more, and lists it again.
        if member.awaiting.is_some() || member.lag.is_some() {
            return;
        }
        let key = cohort.key();
        if let Some(&other) = self.known.get(&key) {
            if !self.cohorts[other].has_same_topics(cohort) {
                return;
            }
            // What each has to send would be sent twice to one, or not at all.
            self.flush_cohort(id, flushed, send);
            self.flush_cohort(other, flushed, send);
            // Either may have been the end of a cohort: those who do not keep up leave.
            if self.members[connection].seat.is_none_or(|seat| seat.cohort != id) {
                return;
            }
            if self.cohorts.contains(other) {
                self.leave_cohort(connection);
                let members = &mut self.cohorts[other].members;
                self.members[connection].seat = Some(Seat { cohort: other, position: members.len() });
                self.shared.join(members.len());
                members.push(connection);
                return;
            }
        }
        let cohort = &mut self.cohorts[id];
        (cohort.changed, cohort.is_known) = (None, true);
        self.known.insert(key, id);
    }

    /// Takes a connection out of its cohort, which may be empty then; nothing else changes.
    fn unseat(&mut self, connection: Connection) -> Option<CohortId> {
        let Seat { cohort: id, mut position } = self.members[connection].seat.take()?;
        let Cohort { members, synced, .. } = &mut self.cohorts[id];
        if members.len() > 1 {
            self.shared.leave(members.len());
        }
        let mut moved = None;
        if position < *synced {
            // The last of the synced takes its place, and the last of all that one's.
            *synced -= 1;
            members.swap(position, *synced);
            moved = Some(position);
            position = *synced;
        }
        members.swap_remove(position);
        for position in [moved, Some(position)].into_iter().flatten() {
            if let Some(&moved) = members.get(position)
                && let Some(seat) = &mut self.members[moved].seat
            {
                seat.position = position;
            }
        }
        Some(id)
    }

    /// Takes a connection out of its cohort, and ends the cohort if it was the last.
    pub(super) fn leave_cohort(&mut self, connection: Connection) {
        let Some(id) = self.unseat(connection) else { return };
        if !self.cohorts[id].members.is_empty() {
            return;
        }
        let cohort = &self.cohorts[id];
        if cohort.is_known {
            self.known.remove(&cohort.key());
        }
        let topics: Vec<TopicId> = cohort.topics.keys().copied().collect();
        for topic in topics {
            self.unlisten(id, topic);
        }
        let cohort = self.cohorts.remove(id);
        self.compression.end(cohort.stream);
        self.queue.drop_assembly(cohort.out);
    }

    /// A cohort follows a topic from its present state on.
    pub(super) fn listen(&mut self, id: CohortId, topic: TopicId) {
        let cohort = &mut self.cohorts[id];
        if cohort.topics.contains_key(&topic) {
            return;
        }
        let encoding = cohort.form.encoding;
        let live = &mut self.registry.of(topic).live;
        cohort.insert(topic, u32::try_from(live.len()).expect("connections are fewer than 2^32"));
        live.push(id);
        self.registry.follow(topic, encoding);
    }

    /// A cohort follows a topic no more.
    pub(super) fn unlisten(&mut self, id: CohortId, topic: TopicId) {
        let cohort = &mut self.cohorts[id];
        let Some(position) = cohort.remove(topic) else { return };
        let encoding = cohort.form.encoding;
        let live = &mut self.registry.of(topic).live;
        live.swap_remove(position as usize);
        if let Some(&moved) = live.get(position as usize) {
            self.cohorts[moved].insert(topic, position);
        }
        self.registry.unfollow(topic, encoding);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_of_the_topics_and_not_of_the_way_to_them() {
        let mut one = Cohort::new(Form::default(), 0);
        let mut other = Cohort::new(Form::default(), 1);
        for topic in [3, 1, 2, 9] {
            one.insert(TopicId(topic), 0);
        }
        for topic in [1, 2, 3] {
            other.insert(TopicId(topic), 7);
            other.insert(TopicId(topic), 8);
        }
        assert_ne!(one.key(), other.key());
        assert!(!one.has_same_topics(&other));
        assert_eq!((one.remove(TopicId(9)), one.remove(TopicId(9))), (Some(0), None));
        assert_eq!(one.key(), other.key());
        assert!(one.has_same_topics(&other));
        one.insert(TopicId(0), 0);
        assert_ne!(one.key(), other.key());
        one.remove(TopicId(0));
        other.form.encoding = Encoding::Binary;
        assert_ne!(one.key(), other.key());
    }
}
