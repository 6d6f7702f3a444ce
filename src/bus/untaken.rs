//! What a shard has been sent and has not taken yet.

use std::collections::VecDeque;
use std::sync::Arc;
#[cfg(not(tickwire_loom))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

#[cfg(tickwire_loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// The publisher's account.
#[derive(Debug)]
pub(super) struct Untaken {
    /// When each of those was sent, as far as is known.
    sent: VecDeque<Instant>,
    /// How many were sent so far, and how many of them the shard has taken.
    sent_total: u64,
    taken_total: Arc<AtomicU64>,
}

/// The shard's part in it.
#[derive(Debug)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Untaken {
    pub(super) fn new() -> (Self, Taken) {
        let taken_total = Arc::new(AtomicU64::new(0));
        let taken = Taken(Arc::clone(&taken_total));
        (Self { sent: VecDeque::new(), sent_total: 0, taken_total }, taken)
    }

    /// To be called before something is sent: the shard may take it at once.
    pub(super) fn note_sent(&mut self, now: Instant) {
        self.sent_total += 1;
        self.sent.push_back(now);
    }

    /// The newest was not sent after all: nobody is there to take it.
    pub(super) fn take_back(&mut self) {
        self.sent_total -= 1;
        self.sent.pop_back();
    }

    /// When the oldest was sent.
    pub(super) fn oldest(&mut self) -> Option<Instant> {
        let known = self.sent.len();
        self.sent.drain(..known - known.min(usize::try_from(self.count()).unwrap_or(known)));
        self.sent.front().copied()
    }

    /// How many were sent so far.
    pub(super) const fn sent_total(&self) -> u64 {
        self.sent_total
    }

    /// How many there are. Relaxed: it only says when to forget a time stamp.
    pub(super) fn count(&self) -> u64 {
        self.sent_total - self.taken_total.load(Ordering::Relaxed)
    }
}

impl Taken {
    /// Counts one that was taken, behind the taking.
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// All interleavings, with a queue under a lock in the channel's place: `make test-loom`.
#[cfg(all(test, tickwire_loom))]
mod model {
    use std::time::Duration;

    use super::*;
    use feeds::clock::monotonic;
    use loom::sync::Mutex;
    use loom::thread;

    const BATCHES: u32 = 4;
    const ROOM: usize = 2;

    #[test]
    fn what_waits_is_counted_and_what_was_taken_is_forgotten() {
        let start = monotonic();
        let stamp = move |batch: u32| start + Duration::from_millis(batch.into());
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(move || {
            let (mut untaken, taken) = Untaken::new();
            let queue = loom::sync::Arc::new(Mutex::new(VecDeque::new()));
            let shard = {
                let queue = loom::sync::Arc::clone(&queue);
                thread::spawn(move || {
                    for _ in 0..2 {
                        let batch = queue.lock().expect("nobody panics").pop_front();
                        if batch.is_some() {
                            taken.add_one();
                        }
                    }
                    taken
                })
            };
            for batch in 0..BATCHES {
                if queue.lock().expect("nobody panics").len() < ROOM {
                    untaken.note_sent(stamp(batch));
                    queue.lock().expect("nobody panics").push_back(batch);
                }
                let oldest = untaken.oldest();
                let waiting = queue.lock().expect("nobody panics").front().copied();
                if let Some(waiting) = waiting {
                    assert!(
                        oldest.is_some_and(|oldest| oldest <= stamp(waiting)),
                        "none that waits is forgotten"
                    );
                }
            }
            let taken = shard.join().expect("a shard that holds");
            let mut queue = queue.lock().expect("nobody panics");
            assert_eq!(
                untaken.oldest(),
                queue.front().map(|batch| stamp(*batch)),
                "the oldest is the one that waits"
            );
            assert_eq!(untaken.sent.len(), queue.len(), "no stamp stays behind");
            queue.drain(..).for_each(|_| taken.add_one());
            assert_eq!(untaken.oldest(), None, "a shard that has taken all is not late");
            assert_eq!((untaken.count(), untaken.sent.len()), (0, 0));
        });
    }
}
