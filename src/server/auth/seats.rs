//! How many connections each subject has, over all shards. When all seats are taken, another connection is refused, or
//! takes the seat of the oldest.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many connections a subject may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// So many; 0: as many as it likes.
    pub connections: usize,
    /// Whether one too many takes the place of the oldest.
    pub takes_over: bool,
}

/// All seats. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats(Arc<Mutex<BTreeMap<Who, Row>>>);

/// Names of API keys and subjects of tokens are given by different people: the same name is not the same somebody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// A token.
    Subject(String),
    /// An API key, or a token for one.
    ApiKey(String),
}

/// The seats of a subject, the oldest first, each with its mark.
type Row = VecDeque<Arc<AtomicBool>>;

/// The seat of a connection, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Seats,
    who: Who,
    is_taken_over: Arc<AtomicBool>,
}

impl Seats {
    /// A seat for a connection of that somebody; `None`: there is none.
    pub(super) fn take(&self, who: Who, bound: Bound) -> Option<Seat> {
        let mut rows = self.rows();
        let row = rows.entry(who.clone()).or_default();
        while bound.connections > 0 && row.len() >= bound.connections {
            if !bound.takes_over {
                return None;
            }
            if let Some(oldest) = row.pop_front() {
                oldest.store(true, Ordering::Release);
            }
        }
        let is_taken_over = Arc::new(AtomicBool::new(false));
        row.push_back(Arc::clone(&is_taken_over));
        Some(Seat { seats: self.clone(), who, is_taken_over })
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Who, Row>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whether a newer connection has it now.
    pub(super) fn is_taken_over(&self) -> bool {
        self.is_taken_over.load(Ordering::Acquire)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rows = self.seats.rows();
        if let Some(row) = rows.get_mut(&self.who) {
            row.retain(|mark| !Arc::ptr_eq(mark, &self.is_taken_over));
            if row.is_empty() {
                rows.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anna() -> Who {
        Who::Subject("anna".to_owned())
    }

    #[test]
    fn one_too_many_is_refused_until_another_goes() {
        let (seats, bound) = (Seats::default(), Bound { connections: 2, takes_over: false });
        let first = seats.take(anna(), bound).expect("a seat");
        let second = seats.take(anna(), bound).expect("a seat");
        assert!(seats.take(anna(), bound).is_none());
        for other in [Who::Subject("ben".to_owned()), Who::ApiKey("anna".to_owned())] {
            assert!(seats.take(other, bound).is_some(), "others have their own");
        }
        drop(first);
        let third = seats.take(anna(), bound).expect("a seat that is free again");
        assert!(!second.is_taken_over() && !third.is_taken_over());
        drop((second, third));
        assert!(seats.rows().is_empty(), "nothing is kept of those who have gone");
    }

    #[test]
    fn the_newest_takes_over_from_the_oldest() {
        let (seats, bound) = (Seats::default(), Bound { connections: 2, takes_over: true });
        let [first, second, third, fourth] = [(); 4].map(|()| seats.take(anna(), bound).expect("a seat"));
        let taken_over = [&first, &second, &third, &fourth].map(Seat::is_taken_over);
        assert_eq!(taken_over, [true, true, false, false]);
        drop(first);
        let fifth = seats.take(anna(), bound).expect("a seat");
        assert!(third.is_taken_over() && !fourth.is_taken_over() && !fifth.is_taken_over());
    }

    #[test]
    fn without_a_bound_there_is_always_one() {
        let seats = Seats::default();
        let all: Vec<_> = (0..100).filter_map(|_| seats.take(anna(), Bound::default())).collect();
        assert_eq!(all.len(), 100);
    }
}
