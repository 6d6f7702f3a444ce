//! Where the publisher and the shards meet: batches of topic messages down, interest and requests up.
//!
//! The in-process bus. Its contract: every shard gets the messages of each topic it has interest in, in order; what
//! a full shard cannot take is made good later by a state ([`Kind::Snapshot`]) or a [`Kind::Gap`], never lost
//! silently; a requested state takes its place in the order of the topic's updates.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Instant;

use feeds::Timestamp;
use feeds::clock::monotonic;
use tokio::sync::{mpsc, oneshot};

use crate::limits::{BATCH_AGE_MAX, BATCHES_WAITING_MAX, REQUESTS_WAITING_MAX, SHARDS_MAX};
use crate::topic::{Rate, TopicId};
use crate::wire::Encoding;

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
    fn new(topics: usize) -> Self {
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
    publisher: Arc<OnceLock<Thread>>,
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
        if let Some(thread) = self.publisher.get() {
            thread.unpark();
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
    /// When each of those was sent that the shard has not taken yet, as far as is known.
    sent: VecDeque<Instant>,
    /// How many were sent so far, and how many of them the shard has taken.
    sent_total: u64,
    taken_total: Arc<AtomicU64>,
}

impl Way {
    /// Whether there is room, and the oldest that waits does not wait for too long already.
    fn has_room(&mut self) -> bool {
        // Relaxed: it only says when to forget a time stamp.
        let waiting = self.sent_total - self.taken_total.load(Ordering::Relaxed);
        let known = self.sent.len();
        self.sent.drain(..known - known.min(usize::try_from(waiting).unwrap_or(known)));
        let is_late = |sent: &Instant| monotonic().duration_since(*sent) > BATCH_AGE_MAX;
        self.batches.capacity() > 0 && !self.sent.front().is_some_and(is_late)
    }

    fn note_sent(&mut self) {
        self.sent_total += 1;
        self.sent.push_back(monotonic());
    }
}

/// What a shard takes batches from.
#[derive(Debug)]
pub struct Batches {
    receiver: mpsc::Receiver<Arc<Batch>>,
    taken_total: Arc<AtomicU64>,
}

impl Batches {
    /// Waits for at least one batch, and adds up to `limit` to `batches`; 0: the publisher has stopped.
    ///
    /// Cancel-safe: dropping it takes nothing.
    pub async fn recv_many(&mut self, batches: &mut Vec<Arc<Batch>>, limit: usize) -> usize {
        let count = self.receiver.recv_many(batches, limit).await;
        self.taken_total.fetch_add(count as u64, Ordering::Relaxed);
        count
    }

    /// The next batch, if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Batch>> {
        let batch = self.receiver.try_recv().ok()?;
        self.taken_total.fetch_add(1, Ordering::Relaxed);
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
                let taken_total = Arc::new(AtomicU64::new(0));
                let batches = Batches { receiver, taken_total: Arc::clone(&taken_total) };
                let way = Way { batches: sender, sent: VecDeque::new(), sent_total: 0, taken_total };
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

    /// Makes the calling thread the one that requests wake.
    pub fn owned_by_this_thread(&self) {
        // A second call would come from the same thread: one publisher owns the bus.
        let _ = self.handle.publisher.set(std::thread::current());
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

    /// Whether a shard takes another batch: it has room, and is not late. Only the publisher sends, so that what there is room for now is taken.
    #[must_use]
    pub fn has_room(&mut self, shard: usize) -> bool {
        self.shards[shard].has_room()
    }

    /// Whether some shard is yet to take what it was sent.
    #[must_use]
    pub fn has_untaken(&self) -> bool {
        self.shards.iter().any(|way| way.sent_total > way.taken_total.load(Ordering::Relaxed))
    }

    /// Hands a batch to a shard; `false`: it is full, or late, and the batch was not taken. A shard that is gone takes
    /// all.
    #[must_use]
    pub fn offer(&mut self, shard: usize, batch: &Arc<Batch>) -> bool {
        let way = &mut self.shards[shard];
        if !way.has_room() {
            return way.batches.is_closed();
        }
        way.note_sent();
        !matches!(way.batches.try_send(Arc::clone(batch)), Err(mpsc::error::TrySendError::Full(_)))
    }

    /// Hands a batch to a shard, and waits while it is full: for recordings at full speed, whose reader can wait.
    pub fn wait_and_send(&mut self, shard: usize, batch: &Arc<Batch>) {
        let way = &mut self.shards[shard];
        way.note_sent();
        // An error says that the shard has stopped: nobody is left to deliver to.
        let _ = way.batches.blocking_send(Arc::clone(batch));
        // Nobody asks for room here, which is what forgets.
        way.has_room();
    }
}
