//! Where the publisher and the shards meet: batches of topic messages down, interest and requests up.
//!
//! The in-process bus. Its contract: every shard gets the messages of each topic it has interest in, in order; what
//! a full shard cannot take is made good later by a state ([`Kind::Snapshot`]) or a [`Kind::Gap`], never lost
//! silently; a requested state takes its place in the order of the topic's updates.

pub mod broker;
mod interest;
mod untaken;

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use feeds::Timestamp;
use feeds::clock::monotonic;
use tokio::sync::{mpsc, oneshot};

use crate::limits::{
    BATCH_AGE_MAX, BATCH_AGE_OVERLOADED_MAX, BATCHES_WAITING_MAX, OVERLOAD_LASTS, REQUESTS_WAITING_MAX,
    SHARDS_MAX,
};
use crate::topic::TopicId;
use crate::wire::Encoding;
use untaken::{Taken, Untaken};

pub use interest::{Interest, Listening};

/// Updates and states of a turn, encoded once for every shard and every client.
#[derive(Debug)]
pub struct Batch {
    /// The run of the stream that they belong to.
    pub epoch: Arc<str>,
    /// In the order of their making.
    pub messages: Vec<TopicMessage>,
    /// The JSON objects of all messages that have one, back to back.
    pub json: Vec<u8>,
    /// The binary records of all messages that have one, back to back.
    pub binary: Vec<u8>,
    /// By shard: the newest of its requests that had been taken when the batch's states were encoded. Whoever has
    /// asked later must not take them for an answer: between the two, nobody may have listened. Empty without states.
    pub answered: Vec<u64>,
    /// When it was made.
    pub made: Instant,
}

/// One state or change of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMessage {
    /// The topic.
    pub topic: TopicId,
    /// What it is.
    pub kind: Kind,
    /// The number of the state that a client has after it.
    pub seq: u64,
    /// How many changes it stands for: 1, or more where they are merged. Of a [`Kind::Snapshot`] those that the shard has
    /// missed of the topic, which may be none; its object does not say them. Of a [`Kind::Gap`] the events lost.
    pub merged: u32,
    /// The venue's time of that state.
    pub ts_event: Timestamp,
    /// Where its JSON object stands in [`Batch::json`]; empty: nobody wanted one.
    pub json: Range<usize>,
    /// Where its binary record stands in [`Batch::binary`]; empty: nobody wanted one.
    pub binary: Range<usize>,
}

/// What a [`TopicMessage`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole state, for whoever waits for it.
    Requested,
    /// The whole state, for everybody: what they hold is void or incomplete.
    Snapshot,
    /// What changed since the state before.
    Update,
    /// Events that were lost.
    Gap,
    /// The updates after the state that one subscriber holds, comma-separated; nothing where it holds the newest. Of
    /// trades that are not all known any more it is the gap (in binary with the state after it). For the waiter with
    /// this ticket in this shard alone; [`Batch::answered`] does not tell of it.
    Resumed {
        /// Whose.
        shard: usize,
        /// The number of its request.
        ticket: u64,
    },
}

impl Batch {
    /// One of its messages as a client of that encoding gets it.
    #[must_use]
    pub fn encoded(&self, message: &TopicMessage, encoding: Encoding) -> &[u8] {
        match encoding {
            Encoding::Json => &self.json[message.json.clone()],
            Encoding::Binary => &self.binary[message.binary.clone()],
        }
    }
}

/// What is asked of the publisher.
#[derive(Debug)]
pub enum Request {
    /// States of these topics, to come as [`Kind::Requested`] in the stream of shard number `shard`.
    States {
        /// Who asks.
        shard: usize,
        /// The number of the request, counted by the shard from 1.
        ticket: u64,
        /// The run of the stream that the numbers held are of.
        epoch: Arc<str>,
        /// What for.
        topics: Vec<Wanted>,
    },
    /// The states of these topics, to whoever asked.
    Read {
        /// What for.
        topics: Vec<TopicId>,
        /// Where to.
        reply: oneshot::Sender<States>,
    },
    /// The trades of a topic that are known, for a gateway that takes them over.
    Tape {
        /// A raw `trade` topic.
        topic: TopicId,
        /// Where to.
        reply: oneshot::Sender<Tape>,
    },
    /// The newest trades or bars of a topic, oldest first.
    History {
        /// A `trade` or `bar` topic.
        topic: TopicId,
        /// How many at most.
        limit: usize,
        /// Where to.
        reply: oneshot::Sender<States>,
    },
}

/// A topic whose state is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The topic.
    pub topic: TopicId,
    /// The number of the state that the client holds. Where all that came after it is still known, the answer is
    /// [`Kind::Resumed`]; else, as without a number, [`Kind::Requested`].
    pub held: Option<u64>,
}

/// JSON objects, comma-separated, as the publisher answers with.
#[derive(Debug)]
pub struct States {
    /// The run of the stream that they belong to.
    pub epoch: Arc<str>,
    /// The number of the topic's newest state; the first one's where there are several.
    pub seq: u64,
    /// The objects with commas between.
    pub json: Vec<u8>,
}

/// The newest trades of an instrument in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tape {
    /// The run of the stream that their numbers belong to.
    pub epoch: Arc<str>,
    /// Records of `tickwire.v1.bin`, none without trades: the oldest as a snapshot, and each other as the update after the one before.
    pub records: Vec<u8>,
}

/// A request could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Too many requests wait.
    #[error("too many requests wait for the publisher")]
    Busy,
    /// The publisher is gone.
    #[error("the publisher has stopped")]
    Stopped,
}

/// What is shared of the bus by all who ask the publisher.
#[derive(Clone, Debug)]
pub struct BusHandle {
    interest: Arc<Interest>,
    requests: mpsc::Sender<Request>,
    publisher: Arc<OnceLock<Waker>>,
    subscribers: Arc<AtomicUsize>,
    epoch: Arc<Mutex<Option<Arc<str>>>>,
}

impl BusHandle {
    /// The present run of the stream; `None` while one run makes place for the next.
    #[must_use]
    pub fn epoch(&self) -> Option<Arc<str>> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Which shards listen to what.
    #[must_use]
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Asks the publisher, and wakes it. Never waits.
    ///
    /// # Errors
    /// [`RequestError`] when too many requests wait, or the publisher has stopped.
    pub fn request(&self, request: Request) -> Result<(), RequestError> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => RequestError::Busy,
            mpsc::error::TrySendError::Closed(_) => RequestError::Stopped,
        })?;
        self.wake();
        Ok(())
    }

    /// Counts a connection that has its first subscription, for `--wait-clients`.
    pub fn subscriber_joined(&self) {
        self.subscribers.fetch_add(1, Ordering::Release);
        self.wake();
    }

    /// Counts it no more: it has gone.
    pub fn subscriber_left(&self) {
        self.subscribers.fetch_sub(1, Ordering::Release);
    }

    /// How many connections there are that have subscribed to something.
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Acquire)
    }

    /// Wakes the publisher's thread, if it sleeps.
    pub fn wake(&self) {
        if let Some(publisher) = self.publisher.get() {
            publisher.wake_by_ref();
        }
    }
}

/// The publisher's end: owns the way to every shard.
#[derive(Debug)]
pub struct Bus {
    handle: BusHandle,
    requests: mpsc::Receiver<Request>,
    shards: Vec<Way>,
}

/// The way to one shard.
#[derive(Debug)]
struct Way {
    batches: mpsc::Sender<Arc<Batch>>,
    untaken: Untaken,
    /// The oldest that waited when [`Bus::look`] came by had waited for too long.
    is_late: bool,
    /// Until when the shard counts as overloaded.
    overloaded_until: Option<Instant>,
}

impl Way {
    /// Looks whether the shard is late.
    fn look(&mut self, now: Instant) {
        let is_overloaded = self.overloaded_until.is_some_and(|until| now < until);
        let age_max = if is_overloaded { BATCH_AGE_OVERLOADED_MAX } else { BATCH_AGE_MAX };
        self.is_late = self.untaken.oldest().is_some_and(|sent| now.duration_since(sent) > age_max);
        if !self.has_room() {
            self.overloaded_until = Some(now + OVERLOAD_LASTS);
        }
    }

    fn has_room(&self) -> bool {
        !self.is_late && self.batches.capacity() > 0
    }
}

/// What a shard takes batches from.
#[derive(Debug)]
pub struct Batches {
    receiver: mpsc::Receiver<Arc<Batch>>,
    taken: Taken,
}

impl Batches {
    /// Waits for the next batch; `None`: the publisher has stopped.
    ///
    /// Cancel-safe: dropping it takes nothing.
    pub async fn recv(&mut self) -> Option<Arc<Batch>> {
        let batch = self.receiver.recv().await?;
        self.taken.add_one();
        Some(batch)
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.receiver.len()
    }

    /// The next batch, if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Batch>> {
        let batch = self.receiver.try_recv().ok()?;
        self.taken.add_one();
        Some(batch)
    }
}

/// A shard's end.
#[derive(Debug)]
pub struct ShardEnd {
    /// Its number.
    pub shard: usize,
    /// What it gets.
    pub batches: Batches,
    /// What it asks with.
    pub bus: BusHandle,
}

impl Bus {
    /// A bus of `topics` topics and `shards` shards, 1 to [`SHARDS_MAX`].
    ///
    /// # Panics
    /// For more shards than that; the command line refuses them before.
    #[must_use]
    pub fn new(topics: usize, shards: usize) -> (Self, Vec<ShardEnd>) {
        assert!((1..=SHARDS_MAX).contains(&shards), "{shards} shards");
        let (request_sender, requests) = mpsc::channel(REQUESTS_WAITING_MAX);
        let handle = BusHandle {
            interest: Arc::new(Interest::new(topics)),
            requests: request_sender,
            publisher: Arc::default(),
            subscribers: Arc::default(),
            epoch: Arc::default(),
        };
        let (senders, ends) = (0..shards)
            .map(|shard| {
                let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
                let (untaken, taken) = Untaken::new();
                let batches = Batches { receiver, taken };
                let way = Way { batches: sender, untaken, is_late: false, overloaded_until: None };
                (way, ShardEnd { shard, batches, bus: handle.clone() })
            })
            .unzip();
        (Self { handle, requests, shards: senders }, ends)
    }

    /// What others ask with.
    #[must_use]
    pub const fn handle(&self) -> &BusHandle {
        &self.handle
    }

    /// Names whom requests wake: the publisher, which owns the bus.
    pub fn woken_by(&self, publisher: Waker) {
        // A second one would be of the same publisher.
        let _ = self.handle.publisher.set(publisher);
    }

    /// Names the present run of the stream, for those who read caches beside the bus.
    pub fn set_epoch(&self, epoch: Option<Arc<str>>) {
        *self.handle.epoch.lock().unwrap_or_else(PoisonError::into_inner) = epoch;
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The next request, if one waits.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.try_recv().ok()
    }

    /// Looks which shards are late at `now`. Nothing else does: what makes a batch because there is room for it must not
    /// lose it because time has passed meanwhile.
    pub fn look(&mut self, now: Instant) {
        for way in &mut self.shards {
            way.look(now);
        }
    }

    /// Whether a shard takes another batch: it has room, and was not late when that was last looked at. Only the
    /// publisher sends, so that what there is room for now is taken until the next [`Bus::look`].
    #[must_use]
    pub fn has_room(&self, shard: usize) -> bool {
        self.shards[shard].has_room()
    }

    /// Whether some shard is yet to take what it was sent.
    #[must_use]
    pub fn has_untaken(&self) -> bool {
        self.shards.iter().any(|way| way.untaken.count() > 0)
    }

    /// How many batches were sent so far, to all shards together.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shards.iter().map(|way| way.untaken.sent_total()).sum()
    }

    /// Hands a batch to a shard; `false`: it is full, or late, and the batch was not taken. A shard that is gone takes
    /// all.
    #[must_use]
    pub fn offer(&mut self, shard: usize, batch: &Arc<Batch>) -> bool {
        let way = &mut self.shards[shard];
        if !way.has_room() {
            return way.batches.is_closed();
        }
        way.untaken.note_sent(monotonic());
        let sent = way.batches.try_send(Arc::clone(batch));
        if sent.is_err() {
            way.untaken.take_back();
        }
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Hands a batch to a shard, and waits while it is full: for recordings at full speed, whose reader can wait.
    pub fn wait_and_send(&mut self, shard: usize, batch: &Arc<Batch>) {
        let way = &mut self.shards[shard];
        way.untaken.note_sent(monotonic());
        // An error says that the shard has stopped: nobody is left to deliver to.
        if way.batches.blocking_send(Arc::clone(batch)).is_err() {
            way.untaken.take_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn batch() -> Arc<Batch> {
        Arc::new(Batch {
            epoch: "k3f9".into(),
            messages: Vec::new(),
            json: Vec::new(),
            binary: Vec::new(),
            answered: Vec::new(),
            made: monotonic(),
        })
    }

    #[test]
    fn who_was_late_once_is_late_sooner_until_it_has_kept_up_for_a_while() {
        const TICK: Duration = Duration::from_millis(1);
        let (mut bus, mut ends) = Bus::new(1, 1);
        let has_room = |bus: &mut Bus, now| {
            bus.look(now);
            bus.has_room(0)
        };
        let send = |bus: &mut Bus, now| {
            bus.shards[0].untaken.note_sent(now);
            bus.shards[0].batches.try_send(batch()).expect("there is room");
        };
        let start = monotonic();
        send(&mut bus, start);
        assert!(has_room(&mut bus, start + BATCH_AGE_MAX), "a short trouble");
        let late = start + BATCH_AGE_MAX + TICK;
        assert!(!has_room(&mut bus, late));

        assert!(ends[0].batches.try_recv().is_some());
        assert!(has_room(&mut bus, late), "it has taken all");
        send(&mut bus, late);
        assert!(has_room(&mut bus, late + BATCH_AGE_OVERLOADED_MAX));
        let late = late + BATCH_AGE_OVERLOADED_MAX + TICK;
        assert!(!has_room(&mut bus, late), "overload");

        assert!(ends[0].batches.try_recv().is_some());
        let kept_up = late + OVERLOAD_LASTS;
        send(&mut bus, kept_up);
        assert!(has_room(&mut bus, kept_up + BATCH_AGE_MAX), "a short trouble again");
    }

    /// What the publisher gathers for a shard that has room can be gathered only once.
    #[test]
    fn a_shard_that_has_room_keeps_it_however_late_it_becomes_until_the_next_look() {
        let (mut bus, mut ends) = Bus::new(1, 1);
        assert!(bus.offer(0, &batch()));
        let sent = monotonic();
        bus.look(sent);
        assert!(bus.has_room(0));
        // By the time that the next look would find it late.
        let late = sent + BATCH_AGE_MAX * 2;
        assert!(bus.offer(0, &batch()), "nobody has looked");
        bus.look(late);
        assert!(!bus.has_room(0) && !bus.offer(0, &batch()));
        assert!(ends[0].batches.try_recv().is_some() && ends[0].batches.try_recv().is_some());
        assert!(!bus.has_room(0), "nobody has looked");
        bus.look(late);
        assert!(bus.has_room(0) && bus.offer(0, &batch()));
    }

    #[test]
    fn nothing_waits_for_a_shard_that_is_gone() {
        let (mut bus, ends) = Bus::new(1, 1);
        drop(ends);
        let batch = batch();
        bus.wait_and_send(0, &batch);
        assert!(bus.offer(0, &batch), "a shard that is gone takes all");
        assert!(!bus.has_untaken());
    }
}
