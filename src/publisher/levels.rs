//! The levels last published of a `book` topic: what its next update is the difference to.

use feeds::{Level, Price, Timestamp};

use crate::limits::{CHECKSUM_EVERY, CHECKSUM_EVERY_UPDATES};
use crate::topic::Depth;

/// A book's best levels, best first, and what changed last.
#[derive(Clone)]
pub(super) struct BookLevels {
    pub(super) depth: Depth,
    pub(super) bids: SideLevels,
    pub(super) asks: SideLevels,
    checksum_at: Timestamp,
    updates_since_checksum: u32,
}

/// Those of one side.
#[derive(Clone)]
pub(super) struct SideLevels {
    levels: Vec<Level>,
    /// What changed in the last [`BookLevels::advance`]; size zero: the level is gone from the best ones.
    pub(super) changed: Vec<Level>,
    /// The best price before it.
    pub(super) best_before: Option<Price>,
}

impl BookLevels {
    /// Of a book's sides, best first.
    pub(super) fn new(
        bids: impl Iterator<Item = Level>,
        asks: impl Iterator<Item = Level>,
        depth: Depth,
        ts_event: Timestamp,
    ) -> Self {
        Self {
            depth,
            bids: SideLevels::new(bids.take(depth.levels())),
            asks: SideLevels::new(asks.take(depth.levels())),
            checksum_at: ts_event,
            updates_since_checksum: 0,
        }
    }

    /// Takes over the book's best levels; `false`, and no change, if they are the same. The best `from` of each side
    /// are known to be as they were, and not looked at.
    pub(super) fn advance(
        &mut self,
        bids: impl ExactSizeIterator<Item = Level> + Clone,
        asks: impl ExactSizeIterator<Item = Level> + Clone,
        from: usize,
    ) -> bool {
        let levels = self.depth.levels();
        self.bids.advance(bids.take(levels), from, |a, b| a > b);
        self.asks.advance(asks.take(levels), from, |a, b| a < b);
        !self.bids.changed.is_empty() || !self.asks.changed.is_empty()
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

impl SideLevels {
    fn new(levels: impl Iterator<Item = Level>) -> Self {
        Self { levels: levels.collect(), changed: Vec::new(), best_before: None }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Level> + Clone {
        self.levels.iter().copied()
    }

    /// The last level's price, where there are as many as the topic shows.
    pub(super) fn last_of(&self, depth: Depth) -> Option<Price> {
        self.levels.get(depth.levels() - 1).map(|level| level.price)
    }

    fn advance(
        &mut self,
        new: impl ExactSizeIterator<Item = Level> + Clone,
        from: usize,
        is_better: impl Fn(Price, Price) -> bool,
    ) {
        debug_assert!(new.clone().take(from).eq(self.iter().take(from)), "levels changed above {from}");
        self.best_before = self.levels.first().map(|level| level.price);
        advance_side(&mut self.levels, from, new, &mut self.changed, is_better);
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
