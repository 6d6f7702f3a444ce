//! From the live path to the recorder's thread.
//!
//! A buffer of encoded records under a lock. The thread exchanges it for an empty one, once a second or when there is
//! enough for a block, and holds the lock for nothing else; senders hold it while they copy a record. So the order of
//! records is one for all senders, a record costs no allocation, the bound is one of bytes, and what is lost at the
//! bound is announced just where it is missing.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Source;
use super::entry::{Body, Lost, Record, SourceId};
use super::layout::{Malformed, Span};
use super::writer::Written;
use crate::limits::{
    CONNECTIONS_MAX, RECORD_BLOCK_AGE, RECORD_BLOCK_BYTES, RECORD_QUEUE_BYTES_MAX, RECORD_RETRY_AFTER,
    RECORD_SOURCES_BYTES_MAX, RECORD_TEXT_BYTES_MAX,
};
use crate::{FeedError, Timestamp};

/// What becomes of a record when [`RECORD_QUEUE_BYTES_MAX`] wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is lost, counted and announced: a live path waits for nobody.
    Lose,
    /// Its sender waits: for what can be paused, such as a simulation.
    Wait,
}

/// What a recorder did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Records taken.
    pub records: u64,
    /// How long their payloads were.
    pub bytes: u64,
    /// Records lost, for want of room or because they are too long.
    pub records_lost: u64,
    /// Times the disk failed.
    pub failures: u64,
    /// Segments begun.
    pub segments: u64,
    /// Bytes written to the disk.
    pub bytes_written: u64,
}

pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is enough for a block, or the queue was closed.
    enough: Condvar,
    /// There is room, or the queue was closed.
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    sources: Vec<Source>,
    /// What the batch that is taken next must announce.
    lost: Option<Lost>,
    /// What is lost since the last record that was not.
    unannounced: Option<Lost>,
    stats: RecorderStats,
    /// Whether senders wait for room.
    waits: bool,
    is_closed: bool,
}

/// What the thread took, and has not written yet.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` are written.
    pub(super) done: usize,
    /// All that are known.
    pub(super) sources: Vec<Source>,
    /// What was lost since the batch before.
    pub(super) lost: Option<Lost>,
}

impl Queue {
    pub(super) fn new(when_full: WhenFull) -> Self {
        let waiting = Waiting { waits: when_full == WhenFull::Wait, ..Waiting::default() };
        Self { waiting: Mutex::new(waiting), enough: Condvar::new(), room: Condvar::new() }
    }

    pub(super) fn add_source(&self, source: Source) -> Result<SourceId, FeedError> {
        let sources = &mut self.lock().sources;
        let bytes = source.bytes() + sources.iter().map(Source::bytes).sum::<usize>();
        if sources.len() >= CONNECTIONS_MAX
            || bytes > RECORD_SOURCES_BYTES_MAX
            || source.texts().iter().any(|text| text.len() > RECORD_TEXT_BYTES_MAX)
        {
            return Err(FeedError::Settings(format!(
                "a recording has at most {CONNECTIONS_MAX} sources, told of in {RECORD_SOURCES_BYTES_MAX} bytes and no \
                 text of more than {RECORD_TEXT_BYTES_MAX}"
            )));
        }
        let number = u32::try_from(sources.len()).expect("sources are limited");
        sources.push(source);
        Ok(SourceId(number))
    }

    /// Takes a record; `false`: it is lost.
    pub(super) fn push(&self, record: &Record<'_>) -> bool {
        let mut waiting = self.lock();
        if !record.fits() {
            waiting.lose(record);
            return false;
        }
        let is_full = |waiting: &Waiting| waiting.bytes.len() + record.bytes() > RECORD_QUEUE_BYTES_MAX;
        let waits = |waiting: &mut Waiting| waiting.waits && !waiting.is_closed && is_full(waiting);
        waiting = self.room.wait_while(waiting, waits).unwrap_or_else(PoisonError::into_inner);
        if waiting.is_closed || is_full(&waiting) {
            waiting.lose(record);
            return false;
        }
        waiting.announce();
        record.write(&mut waiting.bytes);
        waiting.stats.records += 1;
        waiting.stats.bytes += record.body.payload().len() as u64;
        let is_enough = waiting.bytes.len() >= RECORD_BLOCK_BYTES;
        drop(waiting);
        if is_enough {
            self.enough.notify_one();
        }
        true
    }

    /// Waits until there is enough for a block, or what there is has waited long enough, and takes all of it; `false`: the
    /// queue is closed, and this is the last of it.
    pub(super) fn take(&self, batch: &mut Batch) -> bool {
        let has_too_little =
            |waiting: &mut Waiting| waiting.bytes.len() < RECORD_BLOCK_BYTES && !waiting.is_closed;
        let waited = self.enough.wait_timeout_while(self.lock(), RECORD_BLOCK_AGE, has_too_little);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.announce();
        batch.bytes.clear();
        batch.done = 0;
        mem::swap(&mut batch.bytes, &mut waiting.bytes);
        batch.sources.extend_from_slice(&waiting.sources[batch.sources.len()..]);
        batch.lost = waiting.lost.take();
        let is_open = !waiting.is_closed;
        drop(waiting);
        self.room.notify_all();
        is_open
    }

    /// Waits a while after the disk failed; `false`: there is no point any more, because the queue is closed.
    pub(super) fn wait_to_retry(&self) -> bool {
        let is_open = |waiting: &mut Waiting| !waiting.is_closed;
        let waited = self.enough.wait_timeout_while(self.lock(), RECORD_RETRY_AFTER, is_open);
        let (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !waiting.is_closed
    }

    /// From here on nobody waits for room.
    pub(super) fn stop_waiting(&self) {
        self.lock().waits = false;
        self.room.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.enough.notify_all();
        self.room.notify_all();
    }

    pub(super) fn stats(&self) -> RecorderStats {
        self.lock().stats
    }

    pub(super) fn count_failure(&self) {
        self.lock().stats.failures += 1;
    }

    /// What was lost and nobody was told of yet, while the disk takes nothing.
    pub(super) fn take_lost(&self) -> Option<Lost> {
        self.lock().lost.take()
    }

    /// What was taken, and will not be written.
    pub(super) fn count_unwritten(&self, batch: &Batch) {
        let (records, bytes) = batch.left();
        let stats = &mut self.lock().stats;
        stats.records -= records;
        stats.bytes -= bytes;
        stats.records_lost += records;
    }

    pub(super) fn count_written(&self, written: Written) {
        let stats = &mut self.lock().stats;
        stats.segments = written.segments;
        stats.bytes_written = written.bytes;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn lose(&mut self, record: &Record<'_>) {
        Lost::add(&mut self.lost, record);
        Lost::add(&mut self.unannounced, record);
        self.stats.records_lost += 1;
    }

    /// Says what is missing here. The few bytes may go past the bound: there is at most one of them for each record
    /// that had room.
    fn announce(&mut self) {
        if let Some(lost) = self.unannounced.take() {
            let record = Record { source: None, ts_recv: lost.last, body: Body::Lost(lost) };
            record.write(&mut self.bytes);
        }
    }
}

/// Some records at the beginning of a batch.
pub(super) struct Piece<'a> {
    pub(super) content: &'a [u8],
    pub(super) span: Span,
    /// When the first of them was received.
    pub(super) first: Timestamp,
}

impl Batch {
    /// As many of the next records as a block has room for, at least one, and none received at `until` or later but the
    /// first one. `None`: nothing is left.
    pub(super) fn piece(
        &self,
        until: impl Fn(Timestamp) -> Timestamp,
    ) -> Result<Option<Piece<'_>>, Malformed> {
        let left = &self.bytes[self.done..];
        let mut span = Span::EMPTY;
        let mut first = None;
        let mut bytes = 0;
        while bytes < left.len() {
            let (record, length) = Record::read(&left[bytes..])?;
            let begun = *first.get_or_insert(record.ts_recv);
            let has_room = bytes + length <= RECORD_BLOCK_BYTES && record.ts_recv < until(begun);
            if bytes > 0 && !has_room {
                break;
            }
            span.add_record(record.ts_recv);
            bytes += length;
        }
        Ok(first.map(|first| Piece { content: &left[..bytes], span, first }))
    }

    /// Records that were not written, and how long their payloads are. What was lost before them is not among them.
    fn left(&self) -> (u64, u64) {
        let (mut records, mut bytes) = (0, 0);
        let mut left = &self.bytes[self.done..];
        while let Ok((record, length)) = Record::read(left) {
            if !matches!(record.body, Body::Lost(_)) {
                records += 1;
                bytes += record.body.payload().len() as u64;
            }
            left = &left[length..];
        }
        (records, bytes)
    }
}
