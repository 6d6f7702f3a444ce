//! Gathers encoded messages, and hands them to the shards; what a full shard cannot take is made good later.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Publisher, WhenFull, envelope};
use crate::bus::{Batch, Kind, TopicMessage};
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
            for (topic, prev_seq) in std::mem::take(&mut self.missed[shard]) {
                if topic.channel() == Channel::Trade {
                    let symbol = topic.symbol();
                    let seq = self.numbers[topic.index()];
                    let envelope = envelope(&self.directory, symbol, seq, self.market.ts_event(symbol));
                    let start = self.batch.json.len();
                    json::gap(&mut self.batch.json, &envelope, Channel::Trade, prev_seq);
                    self.batch.close(topic, Kind::Gap, seq, start, 1 << shard);
                }
                // A gap tells the live; the state is for those who waited for it in a batch that was missed too.
                let kind = if topic.channel() == Channel::Trade { Kind::Requested } else { Kind::Snapshot };
                self.encode_state(topic, kind, 1 << shard);
            }
            let batch = Arc::new(self.batch.take(Arc::clone(&self.epoch), &self.answered));
            let is_taken = self.bus.offer(shard, &batch);
            debug_assert!(is_taken, "a shard with room takes a batch");
        }
    }
}

impl BatchBuilder {
    /// Ends the message whose JSON began at `start`.
    pub(super) fn close(&mut self, topic: TopicId, kind: Kind, seq: u64, start: usize, shards: u64) {
        self.has_states |= matches!(kind, Kind::Requested | Kind::Snapshot);
        self.messages.push(TopicMessage { topic, kind, seq, json: start..self.json.len() });
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
        Batch { epoch, messages, json, answered }
    }
}

/// Remembers each topic once, with the state that the shard has of it. Bounded by the number of topics.
fn note_missed(missed: &mut BTreeMap<TopicId, u64>, messages: &[TopicMessage]) {
    for message in messages {
        missed.entry(message.topic).or_insert_with(|| message.seq.saturating_sub(1));
    }
}
