//! Questions that wait for an answer, of a broker that brings it with the question's number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::limits::BROKER_REQUESTS_MAX;

#[derive(Default)]
pub(super) struct Asked {
    /// Who waits, by number.
    waiting: Mutex<FxHashMap<u64, oneshot::Sender<Bytes>>>,
    count: AtomicU64,
}

/// One that waits; dropped, it does not any more.
pub(super) struct Question<'a> {
    asked: &'a Asked,
    pub(super) number: u64,
    answer: oneshot::Receiver<Bytes>,
}

impl Asked {
    /// `None`: as many wait as may.
    pub(super) fn begin(&self) -> Option<Question<'_>> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let (asker, answer) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.len() >= BROKER_REQUESTS_MAX {
            return None;
        }
        waiting.insert(number, asker);
        Some(Question { asked: self, number, answer })
    }

    pub(super) fn answer(&self, number: u64, bytes: Bytes) {
        let asker = self.lock().remove(&number);
        // Nobody may wait any more, or another ingest has been faster.
        drop(asker.map(|asker| asker.send(bytes)));
    }

    /// None of them will be answered.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<u64, oneshot::Sender<Bytes>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    /// `None`: the connection is lost.
    pub(super) async fn answer(mut self) -> Option<Bytes> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.asked.lock().remove(&self.number);
    }
}
