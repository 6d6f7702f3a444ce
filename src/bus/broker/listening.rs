//! Who listens to which subject, of a broker that brings all of them by one way.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;
use tokio::sync::mpsc;

use super::client::{Arrived, Messages};
use crate::limits::SUBJECT_WAITING_MAX;

/// What is listened to. It outlives connections: the next one brings the same.
pub(super) struct Listening<A> {
    senders: Mutex<FxHashMap<String, mpsc::Sender<Arrived<A>>>>,
}

/// Why a message is not taken.
pub(super) enum Untaken<A> {
    /// Nobody listens to its subject.
    Unheard,
    /// As many of its subject wait as may.
    Full(Arrived<A>),
}

impl<A> Default for Listening<A> {
    fn default() -> Self {
        Self { senders: Mutex::default() }
    }
}

impl<A> Listening<A> {
    pub(super) fn listen(&self, subject: String) -> mpsc::Receiver<Arrived<A>> {
        let (sender, receiver) = mpsc::channel(SUBJECT_WAITING_MAX);
        self.lock().insert(subject, sender);
        receiver
    }

    pub(super) fn subjects(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Whether such a subject is listened to.
    #[cfg(feature = "kafka")]
    pub(super) fn any(&self, mut is_such: impl FnMut(&str) -> bool) -> bool {
        self.lock().keys().any(|subject| is_such(subject))
    }

    /// Never waits: whoever brings the messages of all may not wait for one.
    pub(super) fn offer(&self, subject: &str, arrived: Arrived<A>) -> Result<(), Untaken<A>> {
        let senders = self.lock();
        let sender = senders.get(subject).ok_or(Untaken::Unheard)?;
        sender.try_send(arrived).map_err(|error| match error {
            mpsc::error::TrySendError::Full(arrived) => Untaken::Full(arrived),
            mpsc::error::TrySendError::Closed(_) => Untaken::Unheard,
        })
    }

    /// Forgets subjects that nobody listens to any more, and names them.
    pub(super) fn sweep(&self) -> Vec<String> {
        self.lock().extract_if(|_, sender| sender.is_closed()).map(|(subject, _)| subject).collect()
    }

    fn lock(&self) -> MutexGuard<'_, FxHashMap<String, mpsc::Sender<Arrived<A>>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Send + 'static> Messages for mpsc::Receiver<Arrived<A>> {
    type Asker = A;

    async fn next(&mut self) -> Option<Arrived<A>> {
        self.recv().await
    }
}
