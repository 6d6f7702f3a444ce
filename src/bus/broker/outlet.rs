//! The ingest's end of a broker, without the broker: which topics are published, and what each message says.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::message::{Carried, CarriedForm, Follow, Want};
use crate::bus::{Batch, BusHandle, Kind, Request, TopicMessage, Wanted};
use crate::limits::{BROKER_UPDATES_BYTES_MAX, FOLLOWED_LASTS, QUIET_EVERY, REQUESTS_WAITING_MAX};
use crate::topic::{Rate, TopicId};
use crate::wire::Encoding;
use crate::wire::binary::{What, decode_records};

/// Takes a shard's batches, and makes messages of them.
#[derive(Debug)]
pub struct Outlet {
    shard: usize,
    bus: BusHandle,
    topics: usize,
    epoch: Arc<str>,
    /// Requests made of the publisher so far.
    requests: u64,
    followed: FxHashMap<TopicId, Followed>,
    /// Requests for what came after a state, by ticket: which state. The oldest are forgotten; who asked asks again.
    resumes: VecDeque<(u64, TopicId, u64)>,
    swept_at: Instant,
}

/// A topic that some gateway follows.
#[derive(Debug)]
struct Followed {
    /// Until when, unless somebody says so again.
    until: Instant,
    /// The number of the state that was published last; `None`: no state yet, so that no update makes sense.
    published: Option<u64>,
    /// The newest request for its state that was not answered.
    asked: Option<u64>,
    /// Whether it has been published since the last look.
    has_spoken: bool,
}

impl Outlet {
    /// The end of that shard, for a process with so many raw topics.
    #[must_use]
    pub fn new(shard: usize, bus: BusHandle, topics: usize, epoch: Arc<str>, now: Instant) -> Self {
        Self {
            shard,
            bus,
            topics,
            epoch,
            requests: 0,
            followed: FxHashMap::default(),
            resumes: VecDeque::new(),
            swept_at: now,
        }
    }

    /// How many topics are followed.
    #[must_use]
    pub fn followed(&self) -> usize {
        self.followed.len()
    }

    /// A gateway says what it follows. What it wants is asked of the publisher, whose answer comes in a batch; where the
    /// publisher is too busy, the gateway asks again.
    pub fn follow(&mut self, follow: &Follow, now: Instant) {
        let mut wanted = Vec::new();
        for &(topic, want) in &follow.topics {
            if topic.rate() != Rate::Raw || topic.index() >= self.topics {
                continue;
            }
            let until = now + FOLLOWED_LASTS;
            let followed = self.followed.entry(topic).or_insert_with(|| {
                // Before the request, so that no update after the state is missed.
                self.bus.interest().set(topic, Encoding::Binary, self.shard, true);
                Followed { until, published: None, asked: None, has_spoken: false }
            });
            followed.until = until;
            let held = match want {
                Want::More if followed.published.is_some() || followed.asked.is_some() => continue,
                Want::More | Want::State => None,
                Want::After(held) => Some(held),
            };
            wanted.push(Wanted { topic, held });
        }
        if wanted.is_empty() {
            return;
        }
        let ticket = self.requests + 1;
        let asked: Vec<_> = wanted.clone();
        let epoch = Arc::clone(&follow.epoch);
        let request = Request::States { shard: self.shard, ticket, epoch, topics: wanted };
        if self.bus.request(request).is_err() {
            return;
        }
        self.requests = ticket;
        for Wanted { topic, held } in asked {
            if let Some(held) = held {
                self.resumes.push_back((ticket, topic, held));
            }
            if let Some(followed) = self.followed.get_mut(&topic) {
                followed.asked = Some(ticket);
            }
        }
        let most = REQUESTS_WAITING_MAX.max(self.followed.len());
        self.resumes.drain(..self.resumes.len().saturating_sub(most));
    }

    /// Appends what a batch has for gateways. Updates of one topic come in one message; the order of topics is not kept,
    /// that of a topic is.
    pub fn take(&mut self, batch: &Batch, out: &mut Vec<Carried>) {
        if batch.epoch != self.epoch {
            self.epoch = Arc::clone(&batch.epoch);
            for followed in self.followed.values_mut() {
                followed.published = None;
            }
            self.resumes.clear();
        }
        let mut open: FxHashMap<TopicId, usize> = FxHashMap::default();
        for message in &batch.messages {
            let Some(carried) = self.carried(batch, message) else { continue };
            let before = open.get(&message.topic).map(|&index: &usize| &mut out[index]);
            match before {
                Some(before)
                    if message.kind == Kind::Update
                        && before.form == CarriedForm::Updates
                        && before.seq == carried.prev
                        && before.records.len() + carried.records.len() <= BROKER_UPDATES_BYTES_MAX =>
                {
                    before.seq = carried.seq;
                    before.merged = before.merged.saturating_add(carried.merged);
                    before.records.extend_from_slice(&carried.records);
                }
                _ => {
                    open.insert(message.topic, out.len());
                    out.push(carried);
                }
            }
        }
    }

    fn carried(&mut self, batch: &Batch, message: &TopicMessage) -> Option<Carried> {
        let topic = message.topic;
        let followed = self.followed.get_mut(&topic)?;
        let records = batch.encoded(message, Encoding::Binary);
        let (form, prev) = match message.kind {
            Kind::Resumed { shard, ticket } => {
                if shard != self.shard {
                    return None;
                }
                let of = self.resumes.iter().position(|&(of, its, _)| (of, its) == (ticket, topic))?;
                let (_, _, held) = self.resumes.remove(of)?;
                if followed.asked == Some(ticket) {
                    followed.asked = None;
                }
                (form_of(records), held)
            }
            Kind::Requested | Kind::Snapshot => {
                let answered = batch.answered.get(self.shard).copied().unwrap_or(0);
                let is_answer = followed.asked.is_some_and(|ticket| ticket <= answered);
                // Somebody else's, or of a time before this topic was listened to.
                if records.is_empty() || !(is_answer || message.kind == Kind::Snapshot) {
                    return None;
                }
                if is_answer {
                    followed.asked = None;
                } else if followed.published.is_none() && followed.asked.is_some() {
                    return None;
                }
                (CarriedForm::State, followed.published.unwrap_or(message.seq))
            }
            Kind::Update => (CarriedForm::Updates, followed.published?),
            // A gap is told with the state after it.
            Kind::Gap => (CarriedForm::State, followed.published?),
        };
        followed.published = Some(message.seq);
        followed.has_spoken = true;
        Some(Carried {
            epoch: Arc::clone(&batch.epoch),
            topic,
            form,
            prev: prev.min(message.seq),
            seq: message.seq,
            merged: message.merged,
            records: records.to_vec(),
        })
    }

    /// Forgets what nobody follows any more, and appends the newest numbers of what was silent.
    pub fn look(&mut self, now: Instant, out: &mut Vec<Carried>) {
        if now.duration_since(self.swept_at) < QUIET_EVERY {
            return;
        }
        self.swept_at = now;
        let Self { followed, bus, shard, epoch, .. } = self;
        followed.retain(|&topic, followed| {
            if followed.until < now {
                bus.interest().set(topic, Encoding::Binary, *shard, false);
                return false;
            }
            if !std::mem::take(&mut followed.has_spoken)
                && let Some(seq) = followed.published
            {
                let (epoch, form) = (Arc::clone(epoch), CarriedForm::Updates);
                out.push(Carried { epoch, topic, form, prev: seq, seq, merged: 0, records: Vec::new() });
            }
            true
        });
    }
}

/// What is resumed are updates; of trades that are not all known any more, the gap and the state behind it.
fn form_of(records: &[u8]) -> CarriedForm {
    let has_state = decode_records(records)
        .any(|record| record.is_ok_and(|record| matches!(record.what, What::Snapshot(_))));
    if has_state { CarriedForm::State } else { CarriedForm::Updates }
}
