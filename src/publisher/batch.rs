//! Gathers encoded messages, and hands them to the shards; what a full shard cannot take is made good later.

use std::collections::BTreeMap;
use std::sync::Arc;

use feeds::clock::monotonic;

use super::state::{About, Out};
use super::{Publisher, WhenFull};
use crate::bus::{Batch, Kind, TopicMessage};
use crate::limits::BATCH_BYTES_MAX;
use crate::metrics::Stage;
use crate::topic::{Channel, TopicId};
use crate::wire::{Encoding, binary, json};

#[derive(Default)]
pub(super) struct BatchBuilder {
    messages: Vec<TopicMessage>,
    pub(super) json: Vec<u8>,
    pub(super) binary: Vec<u8>,
    /// Shards that have interest in any of it.
    shards: u64,
    has_states: bool,
}

/// A point in both encodings' bytes.
pub(super) struct Position {
    pub(super) json: usize,
    pub(super) binary: usize,
}

/// What a full shard has missed of a topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Missed {
    /// All that came after the state of number `held`, which its clients hold: so many changes.
    After { held: u64, changes: u32 },
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
        if let Some(received) = self.received.take() {
            self.metrics.stage_seconds().note(Stage::Publish, batch.made.duration_since(received));
        }
        self.metrics.topic_messages_total().add(batch.messages.len() as u64);
        self.metrics.encoded_bytes_total().add((batch.json.len() + batch.binary.len()) as u64);
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
                match missed {
                    // A gap tells the live; the state is for those who waited for it in a batch that was missed too.
                    Missed::After { held, .. } if topic.channel() == Channel::Trade => {
                        if held < self.numbers[topic.index()] {
                            self.encode_gap(topic, held, Kind::Gap, 1 << shard);
                        }
                        self.encode_state(topic, Kind::Requested, 1, 1 << shard);
                    }
                    Missed::After { changes, .. } => {
                        self.encode_state(topic, Kind::Snapshot, changes, 1 << shard);
                    }
                    Missed::Everything => self.encode_state(topic, Kind::Snapshot, 1, 1 << shard),
                }
                if self.batch.bytes() >= BATCH_BYTES_MAX {
                    break;
                }
            }
            let batch = Arc::new(self.batch.take(Arc::clone(&self.epoch), &self.answered));
            let is_taken = self.bus.offer(shard, &batch);
            debug_assert!(is_taken, "a shard with room takes a batch");
        }
    }

    /// Whether a shard takes what is encoded for it now.
    pub(super) fn is_taking(&self, shard: usize) -> bool {
        self.when_full == WhenFull::Wait || (self.missed[shard].is_empty() && self.bus.has_room(shard))
    }

    /// Encodes that the trades after number `held` are lost. A binary record needs one before it: there the state
    /// follows.
    pub(super) fn encode_gap(&mut self, topic: TopicId, held: u64, kind: Kind, shards: u64) {
        self.follow(topic);
        let Some(followed) = self.followed.get_mut(topic) else { return };
        let listening = self.bus.handle().interest().of(topic);
        let instrument = self.directory.get(topic.symbol());
        let (seq, ts_event) = (followed.seq, followed.ts_event);
        let merged = u32::try_from(seq - held).unwrap_or(u32::MAX);
        let about = About { topic, instrument, seq, merged, ts_event };
        let start = self.batch.end();
        if listening.json & shards != 0 {
            let envelope = About { merged: 1, ..about }.envelope();
            json::gap(&mut self.batch.json, &envelope, topic.channel(), held);
        }
        if listening.binary & shards != 0 {
            binary::gap(&mut self.batch.binary, topic, held, seq, ts_event);
            let mut out = Out { json: None, binary: Some(&mut self.batch.binary) };
            followed.state.write(&about, &self.epoch, &mut out);
        }
        self.batch.close(&about, kind, start, shards);
    }
}

impl BatchBuilder {
    /// Bytes gathered, in both encodings.
    pub(super) const fn bytes(&self) -> usize {
        self.json.len() + self.binary.len()
    }

    /// Where the next message begins.
    pub(super) const fn end(&self) -> Position {
        Position { json: self.json.len(), binary: self.binary.len() }
    }

    /// What was written since `start`, in the order of [`Encoding::ALL`].
    pub(super) fn since(&self, start: &Position) -> [&[u8]; Encoding::ALL.len()] {
        [&self.json[start.json..], &self.binary[start.binary..]]
    }

    /// Takes back what was written since `start`.
    pub(super) fn cut(&mut self, start: &Position) {
        self.json.truncate(start.json);
        self.binary.truncate(start.binary);
    }

    /// Ends the message that began at `start`; without shards there is none.
    pub(super) fn close(&mut self, about: &About<'_>, kind: Kind, start: Position, shards: u64) {
        if shards == 0 {
            return self.cut(&start);
        }
        self.has_states |= matches!(kind, Kind::Requested | Kind::Snapshot);
        self.messages.push(TopicMessage {
            topic: about.topic,
            kind,
            seq: about.seq,
            merged: about.merged,
            ts_event: about.ts_event,
            json: start.json..self.json.len(),
            binary: start.binary..self.binary.len(),
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
        let binary = self.binary.as_slice().into();
        self.json.clear();
        self.binary.clear();
        Batch { epoch, messages, json, binary, answered, made: monotonic() }
    }
}

/// Remembers each topic once. Bounded by the number of topics.
fn note_missed(missed: &mut BTreeMap<TopicId, Missed>, messages: &[TopicMessage]) {
    for message in messages {
        let merged = message.merged;
        let (held, changes) = match message.kind {
            Kind::Update | Kind::Gap => (message.seq.saturating_sub(merged.into()), merged),
            // Those who did not ask for it hold it already. What is resumed is only sent where there is room for it.
            Kind::Requested | Kind::Resumed { .. } => (message.seq, 0),
            Kind::Snapshot => {
                missed.insert(message.topic, Missed::Everything);
                continue;
            }
        };
        let before = missed.entry(message.topic).or_insert(Missed::After { held, changes: 0 });
        if let Missed::After { changes: sum, .. } = before {
            *sum = sum.saturating_add(changes);
        }
    }
}
