//! Gathers encoded messages, and hands them to the shards; what a full shard cannot take is made good later.

use std::collections::BTreeMap;
use std::sync::Arc;

use feeds::Timestamp;

use super::{Publisher, WhenFull, envelope};
use crate::bus::{Batch, Kind, TopicMessage};
use crate::limits::BATCH_BYTES_MAX;
use crate::topic::{Channel, TopicId};
use crate::wire::json;

#[derive(Default)]
pub(super) struct BatchBuilder {
    messages: Vec<TopicMessage>,
    pub(super) json: Vec<u8>,
    /// Shards that have interest in any of it.
    shards: u64,
    has_states: bool,
}

/// What a full shard has missed of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missed {
    /// All that came after the state of this number, which its clients hold.
    After(u64),
    /// A state for everybody: what its clients hold is void.
    Everything,
}

impl Publisher {
    /// Hands what was encoded to every shard with interest in any of it.
    pub(super) fn flush(&mut self) {
        if self.batch.messages.is_empty() {
            return;
        }
        let shards = self.batch.shards;
        let batch = Arc::new(self.batch.take(Arc::clone(&self.epoch), &self.answered));
        self.metrics.topic_messages_total().add(batch.messages.len() as u64);
        self.metrics.encoded_bytes_total().add(batch.json.len() as u64);
        for shard in 0..self.missed.len() {
            if shards & (1 << shard) == 0 {
                continue;
            }
            if self.when_full == WhenFull::Wait {
                self.bus.wait_and_send(shard, &batch);
            } else if !self.missed[shard].is_empty() || !self.bus.offer(shard, &batch) {
                // Order within a topic must hold: while anything is to be made good, the rest goes that way too.
                self.metrics.batches_conflated_total().add(1);
                note_missed(&mut self.missed[shard], &batch.messages);
            }
        }
    }

    /// Sends each shard that breathes again the states of the topics that it missed, and gaps for its trades.
    pub(super) fn make_good(&mut self) {
        for shard in 0..self.missed.len() {
            if self.missed[shard].is_empty() || !self.bus.has_room(shard) {
                continue;
            }
            while let Some((topic, missed)) = self.missed[shard].pop_first() {
                let kind = match missed {
                    // A gap tells the live; the state is for those who waited for it in a batch that was missed too.
                    Missed::After(held) if topic.channel() == Channel::Trade => {
                        if held < self.numbers[topic.index()] {
                            self.encode_gap(topic, held, 1 << shard);
                        }
                        Kind::Requested
                    }
                    Missed::After(_) | Missed::Everything => Kind::Snapshot,
                };
                self.encode_state(topic, kind, 1 << shard);
                if self.batch.json.len() >= BATCH_BYTES_MAX {
                    break;
                }
            }
            let batch = Arc::new(self.batch.take(Arc::clone(&self.epoch), &self.answered));
            let is_taken = self.bus.offer(shard, &batch);
            debug_assert!(is_taken, "a shard with room takes a batch");
        }
    }

    /// Encodes that the events after number `held` are lost.
    fn encode_gap(&mut self, topic: TopicId, held: u64, shards: u64) {
        let symbol = topic.symbol();
        let seq = self.numbers[topic.index()];
        let envelope = envelope(&self.directory, symbol, seq, self.market.ts_event(symbol));
        let start = self.batch.json.len();
        json::gap(&mut self.batch.json, &envelope, topic.channel(), held);
        self.batch.close(topic, Kind::Gap, seq, start, shards);
    }
}

impl BatchBuilder {
    /// Ends the message whose JSON began at `start`.
    pub(super) fn close(&mut self, topic: TopicId, kind: Kind, seq: u64, start: usize, shards: u64) {
        self.has_states |= matches!(kind, Kind::Requested | Kind::Snapshot);
        self.messages.push(TopicMessage {
            topic,
            kind,
            seq,
            merged: 1,
            ts_event: Timestamp::default(),
            json: start..self.json.len(),
            binary: 0..0,
        });
        self.shards |= shards;
    }

    /// What has been gathered, copied into memory of just its size: the builder's own has grown once and for all, and
    /// batches that wait for a slow shard hold no more than they must.
    pub(super) fn take(&mut self, epoch: Arc<str>, answered: &[u64]) -> Batch {
        let answered = if std::mem::take(&mut self.has_states) { answered.to_vec() } else { Vec::new() };
        self.shards = 0;
        let messages = self.messages.drain(..).collect();
        let json = self.json.as_slice().into();
        self.json.clear();
        Batch { epoch, messages, json, binary: Vec::new(), answered }
    }
}

/// Remembers each topic once. Bounded by the number of topics.
fn note_missed(missed: &mut BTreeMap<TopicId, Missed>, messages: &[TopicMessage]) {
    for message in messages {
        match message.kind {
            Kind::Update | Kind::Gap => {
                missed.entry(message.topic).or_insert(Missed::After(message.seq.saturating_sub(1)));
            }
            // Those who did not ask for it hold it already.
            Kind::Requested => {
                missed.entry(message.topic).or_insert(Missed::After(message.seq));
            }
            Kind::Resumed { .. } => unreachable!("nothing is resumed yet"),
            Kind::Snapshot => {
                missed.insert(message.topic, Missed::Everything);
            }
        }
    }
}
