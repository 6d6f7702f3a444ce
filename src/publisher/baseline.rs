//! What was last published of a topic: what its next update is the difference to.

use feeds::{Level, Price, Timestamp};

use crate::limits::{CHECKSUM_EVERY, CHECKSUM_EVERY_UPDATES};
use crate::market::BookView;
use crate::state::{Bar, Ticker};
use crate::topic::Depth;

/// The state last published of a topic that somebody listens to.
pub(super) enum Baseline {
    Book(BookBaseline),
    Ticker(Published<Ticker>),
    Bar(Published<Option<Bar>>),
}

/// A state with its number and the venue's time of it.
pub(super) struct Published<T> {
    pub(super) state: T,
    pub(super) seq: u64,
    pub(super) ts_event: Timestamp,
}

/// The levels last published of a `book` topic, best first.
pub(super) struct BookBaseline {
    pub(super) seq: u64,
    pub(super) ts_event: Timestamp,
    bids: Vec<Level>,
    asks: Vec<Level>,
    changed_bids: Vec<Level>,
    changed_asks: Vec<Level>,
    checksum_at: Timestamp,
    updates_since_checksum: u32,
}

impl BookBaseline {
    pub(super) fn new(book: &BookView<'_>, depth: Depth, seq: u64, ts_event: Timestamp) -> Self {
        Self {
            seq,
            ts_event,
            bids: book.bids().take(depth.levels()).collect(),
            asks: book.asks().take(depth.levels()).collect(),
            changed_bids: Vec::new(),
            changed_asks: Vec::new(),
            checksum_at: ts_event,
            updates_since_checksum: 0,
        }
    }

    pub(super) fn bids(&self) -> impl Iterator<Item = Level> {
        self.bids.iter().copied()
    }

    pub(super) fn asks(&self) -> impl Iterator<Item = Level> {
        self.asks.iter().copied()
    }

    /// Bids that changed in the last [`BookBaseline::advance`]; size zero: the level is gone from the best ones.
    pub(super) fn changed_bids(&self) -> &[Level] {
        &self.changed_bids
    }

    /// The same of asks.
    pub(super) fn changed_asks(&self) -> &[Level] {
        &self.changed_asks
    }

    /// Takes over the book's best levels as the state of number `seq`; `false`, and no change, if they are the same.
    /// The best `from` of each side are known to be as they were, and not looked at.
    pub(super) fn advance(
        &mut self,
        book: &BookView<'_>,
        depth: Depth,
        from: usize,
        seq: u64,
        ts_event: Timestamp,
    ) -> bool {
        let levels = depth.levels();
        debug_assert!(
            book.bids().take(from).eq(self.bids.iter().copied().take(from)),
            "bids changed above {from}"
        );
        debug_assert!(
            book.asks().take(from).eq(self.asks.iter().copied().take(from)),
            "asks changed above {from}"
        );
        let (bids, asks) = (book.bids().take(levels), book.asks().take(levels));
        advance_side(&mut self.bids, from, bids, &mut self.changed_bids, |a, b| a > b);
        advance_side(&mut self.asks, from, asks, &mut self.changed_asks, |a, b| a < b);
        if self.changed_bids.is_empty() && self.changed_asks.is_empty() {
            return false;
        }
        (self.seq, self.ts_event) = (seq, ts_event);
        true
    }

    /// Whether the update that is being made is to carry a checksum.
    pub(super) fn is_checksum_due(&mut self, ts_event: Timestamp) -> bool {
        self.updates_since_checksum += 1;
        let is_due = self.updates_since_checksum >= CHECKSUM_EVERY_UPDATES
            || ts_event.since(self.checksum_at) >= CHECKSUM_EVERY;
        if is_due {
            self.checksum_at = ts_event;
            self.updates_since_checksum = 0;
        }
        is_due
    }
}

/// Lists in `changed` what turns `old` into `new`, both best first and equal before `from`, and makes it so. One walk
/// over both from there.
fn advance_side(
    old: &mut Vec<Level>,
    from: usize,
    mut new: impl ExactSizeIterator<Item = Level> + Clone,
    changed: &mut Vec<Level>,
    is_better: impl Fn(Price, Price) -> bool,
) {
    changed.clear();
    let mut position = 0;
    let mut equal = from.min(old.len());
    // Levels of `old` before `position` are done; those of `new` are written to `old` only where they differ, so that
    // the usual case, one level changed in place, moves nothing, and the others are passed over in a tight loop.
    loop {
        if equal > 0 {
            new.nth(equal - 1);
            position += equal;
        }
        let Some(level) = new.next() else { break };
        while let Some(&gone) = old.get(position)
            && is_better(gone.price, level.price)
        {
            changed.push(Level { price: gone.price, size: feeds::Size::ZERO });
            old.remove(position);
        }
        match old.get_mut(position) {
            Some(same) if same.price == level.price => {
                if same.size != level.size {
                    same.size = level.size;
                    changed.push(level);
                }
            }
            _ => {
                old.insert(position, level);
                changed.push(level);
            }
        }
        position += 1;
        equal = old[position..].iter().zip(new.clone()).take_while(|(old, new)| *old == new).count();
    }
    changed.extend(old.drain(position..).map(|gone| Level { price: gone.price, size: feeds::Size::ZERO }));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use feeds::Size;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a client does with the changes gives the new levels, and nothing is sent that did not change.
        #[test]
        fn changes_turn_the_old_levels_into_the_new(
            old in prop::collection::btree_map(0_i64..40, 1_i64..4, 0..12),
            new in prop::collection::btree_map(0_i64..40, 1_i64..4, 0..12),
            descending: bool,
            from: prop::sample::Index,
        ) {
            let list = |map: &BTreeMap<i64, i64>| {
                let mut levels: Vec<Level> =
                    map.iter().map(|(&price, &size)| Level { price: Price(price), size: Size(size) }).collect();
                if descending {
                    levels.reverse();
                }
                levels
            };
            let mut levels = list(&old);
            let mut changed = Vec::new();
            let equal = levels.iter().zip(list(&new)).take_while(|(old, new)| *old == new).count();
            let is_better = |a, b| if descending { a > b } else { a < b };
            advance_side(&mut levels, from.index(equal + 1), list(&new).into_iter(), &mut changed, is_better);
            prop_assert_eq!(levels, list(&new));
            let mut client = old.clone();
            for level in &changed {
                let before = if level.size == Size::ZERO {
                    client.remove(&level.price.0)
                } else {
                    client.insert(level.price.0, level.size.0)
                };
                prop_assert_ne!(before.unwrap_or(0), level.size.0);
            }
            prop_assert_eq!(client, new);
        }
    }
}
