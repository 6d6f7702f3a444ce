//! A connection whose socket does not keep up: what it holds, and how it gets from there to the present.
//!
//! It belongs to no cohort, nothing is kept for it but how far it had come in each topic, and it costs nothing when
//! these go on. Once its socket has taken what was left, it gets the newest state of each topic that has gone on, with
//! `prev_seq` and `n`, the changes that the state stands for; of events it is told which it lost.

use std::time::Instant;

use rustc_hash::FxHashMap;

use super::cohort::CohortId;
use super::listeners::{Reached, Waiter};
use super::shard::{Connection, Shard, data_of};
use crate::bus::{Batch, TopicMessage, Wanted};
use crate::limits::CATCH_UP_TOPICS;
use crate::topic::{Channel, TopicId};
use crate::wire::{Encoding, Envelope, binary, json};
use crate::ws::frame::Opcode;

/// What a connection that has fallen behind holds.
#[derive(Debug)]
pub(super) struct Lag {
    /// Since when its socket has not taken all there was.
    pub(super) since: Instant,
    /// How far it had come in each topic; `None`: what it holds is void, or it holds nothing yet.
    pub(super) held: FxHashMap<TopicId, Option<Reached>>,
    /// The same of topics whose state has been asked for, with the number of the request.
    pub(super) catching_up: FxHashMap<TopicId, CatchingUp>,
}

/// A topic whose newest state is on its way to a laggard.
#[derive(Clone, Copy, Debug)]
pub(super) struct CatchingUp {
    pub(super) held: Option<Reached>,
    ticket: u64,
}

impl Lag {
    fn new(since: Instant) -> Self {
        Self { since, held: FxHashMap::default(), catching_up: FxHashMap::default() }
    }

    /// Whether it follows a topic.
    pub(super) fn follows(&self, topic: TopicId) -> bool {
        self.held.contains_key(&topic) || self.catching_up.contains_key(&topic)
    }

    /// Whether it holds everything that its cohort would.
    fn is_over(&self) -> bool {
        self.held.is_empty() && self.catching_up.is_empty()
    }
}

impl Shard {
    /// Whether the connection has fallen behind, and does not hold the newest states yet.
    #[must_use]
    pub fn is_laggard(&self, connection: Connection) -> bool {
        self.members[connection].lag.is_some()
    }

    /// The connections that have fallen behind.
    #[must_use]
    pub fn laggards(&self) -> &[Connection] {
        &self.laggards
    }

    /// A laggard's socket has taken all that waited for it: it gets what it has missed, a part at a time. To be said
    /// again until it is no laggard any more; too often does no harm.
    pub fn drained(&mut self, connection: Connection) {
        let Some(mut lag) = self.members[connection].lag.take_if(|lag| lag.catching_up.is_empty()) else {
            return;
        };
        lag.since = self.now;
        let cohort = self.alone(connection);
        let encoding = self.members[connection].form.encoding;
        let mut stale = Vec::new();
        // Those behind the last that is asked for are not looked at: of very many, each part would go through all.
        for (topic, held) in lag.held.extract_if(|_, _| true) {
            if held == Some(self.registry.reached(topic)) {
                self.listen(cohort, topic);
                // The cohort follows it now.
                self.registry.unfollow(topic, encoding);
                continue;
            }
            stale.push((topic, held));
            if stale.len() == CATCH_UP_TOPICS {
                break;
            }
        }
        if !stale.is_empty() {
            let wanted = stale.iter().map(|&(topic, _)| Wanted { topic, held: None }).collect();
            match self.ask(wanted, encoding) {
                Ok(ticket) => {
                    for (topic, held) in stale {
                        // Asking has made it a follower once more.
                        self.registry.unfollow(topic, encoding);
                        self.registry.of(topic).waiting.push(Waiter { connection, ticket });
                        lag.catching_up.insert(topic, CatchingUp { held, ticket });
                    }
                }
                Err(_) => lag.held.extend(stale),
            }
        }
        self.members[connection].lag = Some(lag);
        self.take_stock(connection);
    }

    /// A connection does not keep up: it leaves its cohort, holding what it was sent until now.
    pub(super) fn fall_behind(&mut self, connection: Connection) {
        let member = &self.members[connection];
        // What waits for its acknowledgement has not been sent yet: it is not held.
        let Some(seat) = member.seat.filter(|_| member.awaiting.is_none()) else { return };
        let encoding = member.form.encoding;
        let mut lag = match self.members[connection].lag.take() {
            Some(lag) => lag,
            None => {
                let times = &mut self.members[connection].times_behind;
                *times = times.saturating_add(1);
                self.fell_behind += 1;
                self.laggards.push(connection);
                Box::new(Lag::new(self.now))
            }
        };
        for (topic, coming) in lag.catching_up.drain() {
            if self.registry.stop_waiting(topic, connection, encoding) {
                self.registry.follow(topic, encoding);
            }
            lag.held.insert(topic, coming.held);
        }
        let topics: Vec<TopicId> = self.cohorts[seat.cohort].topics.keys().copied().collect();
        for topic in topics {
            // Of a run that is over, it holds nothing, although the topic's state of the new one is yet to come.
            let held = Some(self.registry.reached(topic)).filter(|held| held.run == self.run);
            lag.held.insert(topic, held);
            self.registry.follow(topic, encoding);
        }
        self.members[connection].lag = Some(lag);
        self.leave_cohort(connection);
    }

    /// Takes the state of a topic for a laggard that has asked for it with that request; `false`: it has not.
    pub(super) fn catch_up(
        &mut self,
        connection: Connection,
        ticket: u64,
        batch: &Batch,
        message: &TopicMessage,
    ) -> bool {
        let topic = message.topic;
        let Some(lag) = &mut self.members[connection].lag else { return false };
        if lag.catching_up.get(&topic).is_none_or(|coming| coming.ticket != ticket) {
            return false;
        }
        let held = lag.catching_up.remove(&topic).and_then(|coming| coming.held);
        let cohort = self.alone(connection);
        let (opcode, state) = data_of(batch, message, self.members[connection].form.encoding);
        match held {
            None => self.append(cohort, opcode, state, true),
            Some(held) if topic.channel() == Channel::Trade => {
                if held.seq < message.seq {
                    self.tell_gap(cohort, message, held.seq);
                    self.append(cohort, opcode, state, true);
                }
            }
            Some(held) => {
                let changes = self.registry.reached(topic).changes.wrapping_sub(held.changes);
                let mut merged = Vec::new();
                in_place_of(&mut merged, opcode, state, topic, held.seq, changes);
                self.append(cohort, opcode, &merged, true);
            }
        }
        self.listen(cohort, topic);
        self.take_stock(connection);
        true
    }

    /// The stream begins anew: whatever a laggard holds is void.
    pub(super) fn forget_what_laggards_hold(&mut self) {
        for &connection in &self.laggards {
            if let Some(lag) = &mut self.members[connection].lag {
                lag.held.values_mut().for_each(|held| *held = None);
                lag.catching_up.values_mut().for_each(|topic| topic.held = None);
            }
        }
    }

    /// A laggard follows a topic no more; `false`: it did not.
    pub(super) fn drop_lagging(&mut self, connection: Connection, topic: TopicId) -> bool {
        let encoding = self.members[connection].form.encoding;
        let Some(lag) = &mut self.members[connection].lag else { return false };
        if lag.held.remove(&topic).is_some() {
            self.registry.unfollow(topic, encoding);
        } else if lag.catching_up.remove(&topic).is_some() {
            self.registry.stop_waiting(topic, connection, encoding);
        } else {
            return false;
        }
        self.take_stock(connection);
        true
    }

    /// A connection is no laggard any more, because it leaves.
    pub(super) fn leave_lag(&mut self, connection: Connection) {
        let Some(lag) = self.members[connection].lag.take() else { return };
        let encoding = self.members[connection].form.encoding;
        self.laggards.retain(|&other| other != connection);
        for &topic in lag.held.keys() {
            self.registry.unfollow(topic, encoding);
        }
        for &topic in lag.catching_up.keys() {
            self.registry.stop_waiting(topic, connection, encoding);
        }
    }

    fn take_stock(&mut self, connection: Connection) {
        let Some(lag) = &self.members[connection].lag else { return };
        if lag.catching_up.is_empty() {
            // It can be sent the next part, or ask for something else.
            self.completed.push(connection);
        }
        if lag.is_over() {
            self.leave_lag(connection);
            if self.members[connection].seat.is_some() {
                // While it lagged, it did not settle: it is to be looked at once more.
                self.alone(connection);
            }
        }
    }

    /// Says that the events of a message's topic after number `held`, up to the message, are lost.
    fn tell_gap(&mut self, cohort: CohortId, message: &TopicMessage, held: u64) {
        let &TopicMessage { topic, seq, ts_event, .. } = message;
        let mut gap = Vec::new();
        let opcode = match self.cohorts[cohort].form.encoding {
            Encoding::Json => {
                let envelope = Envelope::new(self.directory.get(topic.symbol()), seq, ts_event);
                json::gap(&mut gap, &envelope, topic.channel(), held);
                Opcode::Text
            }
            Encoding::Binary => {
                binary::gap(&mut gap, topic, held, seq, ts_event);
                Opcode::Binary
            }
        };
        self.append(cohort, opcode, &gap, true);
    }
}

/// Writes a state for clients that hold an older one, of number `held`, and get it in place of so many changes.
pub(super) fn in_place_of(
    out: &mut Vec<u8>,
    opcode: Opcode,
    state: &[u8],
    topic: TopicId,
    held: u64,
    changes: u32,
) {
    out.clear();
    if opcode == Opcode::Binary {
        binary::merged_prefix(out, topic, held, changes);
        out.extend_from_slice(state);
    } else {
        json::caught_up(out, state, held, u64::from(changes));
    }
}
