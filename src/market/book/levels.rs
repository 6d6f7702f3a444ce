//! One side of a book: its price levels in order.

use feeds::{Level, Price, Side, Size};
use serde::{Deserialize, Serialize};

use crate::limits::BOOK_LEVELS_MAX;

/// How many levels are looked at from the touch before the search turns binary.
const SCAN: usize = 16;

/// The levels of one side, sorted with the best at the END of the vector.
///
/// Nearly all that happens in a market happens within a few ticks of the touch. With the best at the end, a new best
/// price is a push, its removal a pop, and a change `k` levels deep finds its place in `k` compares and moves
/// `16 × k` bytes; deeper than [`SCAN`] the place is found by halves. Worst case: one `memmove` of the whole side,
/// 1 MiB at [`BOOK_LEVELS_MAX`]. Compared to a tree it has no nodes to chase; readers get a plain slice.
///
/// Both sides share the code by ranking prices with an XOR: with 0 for bids (higher is better), with all ones for
/// asks, which reverses the order of all 64-bit integers and, unlike a minus sign, cannot overflow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Levels {
    flip: i64,
    levels: Vec<Level>,
}

/// Why a level could not take a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LevelError {
    /// The side has [`BOOK_LEVELS_MAX`] levels.
    Full,
    /// The sum of the sizes does not fit 64 bits.
    Overflow,
}

impl Levels {
    pub(super) const fn new(side: Side) -> Self {
        let flip = match side {
            Side::Bid => 0,
            Side::Ask => -1,
        };
        Self { flip, levels: Vec::new() }
    }

    /// All levels, worst first.
    pub(super) fn as_slice(&self) -> &[Level] {
        &self.levels
    }

    pub(super) fn best(&self) -> Option<Level> {
        self.levels.last().copied()
    }

    /// Makes the size at a price this; zero deletes the level. Returns the depth (0: the best) of the change,
    /// `None` when nothing changed.
    pub(super) fn set(&mut self, level: Level) -> Result<Option<usize>, LevelError> {
        match self.find(level.price) {
            Ok(position) if level.size == Size::ZERO => Ok(Some(self.remove(position))),
            Ok(position) if self.levels[position].size == level.size => Ok(None),
            Ok(position) => {
                self.levels[position].size = level.size;
                Ok(Some(self.depth(position)))
            }
            Err(_) if level.size == Size::ZERO => Ok(None),
            Err(position) => self.insert(position, level).map(Some),
        }
    }

    /// Adds to the size at a price. Returns the depth of the change.
    pub(super) fn add(&mut self, level: Level) -> Result<usize, LevelError> {
        match self.find(level.price) {
            Ok(position) => {
                let size = &mut self.levels[position].size;
                *size = Size(size.0.checked_add(level.size.0).ok_or(LevelError::Overflow)?);
                Ok(self.depth(position))
            }
            Err(position) => self.insert(position, level),
        }
    }

    /// Takes from the size at a price; a level that is used up is removed. Returns the depth of the change,
    /// `None` when there is no such level.
    pub(super) fn reduce(&mut self, level: Level) -> Option<usize> {
        let position = self.find(level.price).ok()?;
        let here = &mut self.levels[position];
        if here.size > level.size {
            here.size = Size(here.size.0 - level.size.0);
            Some(self.depth(position))
        } else {
            Some(self.remove(position))
        }
    }

    /// Replaces all levels, given in any order. Of two with one price the later holds; zero sizes are no levels.
    /// Returns whether anything changed, and how many levels found no room.
    pub(super) fn replace(&mut self, levels: &[Level]) -> (bool, usize) {
        let mut sorted: Vec<Level> = levels.to_vec();
        sorted.sort_by_key(|level| self.rank(level.price));
        // Stable, so the later of two equal prices stands behind: kept by giving its size to the one before.
        sorted.dedup_by(|later, kept| {
            let same = later.price == kept.price;
            if same {
                kept.size = later.size;
            }
            same
        });
        sorted.retain(|level| level.size != Size::ZERO);
        let too_many = sorted.len().saturating_sub(BOOK_LEVELS_MAX);
        sorted.drain(..too_many);
        let changed = sorted != self.levels;
        self.levels = sorted;
        (changed, too_many)
    }

    /// Empties the side; keeps its memory. Returns whether there was anything.
    pub(super) fn clear(&mut self) -> bool {
        let had = !self.levels.is_empty();
        self.levels.clear();
        had
    }

    /// Drops the worst levels past `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        let past = self.levels.len().saturating_sub(count);
        self.levels.drain(..past);
    }

    const fn rank(&self, price: Price) -> i64 {
        price.0 ^ self.flip
    }

    const fn depth(&self, position: usize) -> usize {
        self.levels.len() - 1 - position
    }

    /// The position of a price, or the position it would be inserted at.
    fn find(&self, price: Price) -> Result<usize, usize> {
        let rank = self.rank(price);
        let near = self.levels.len().saturating_sub(SCAN);
        let (far_levels, near_levels) = self.levels.split_at(near);
        for (position, level) in near_levels.iter().enumerate().rev() {
            let here = self.rank(level.price);
            if here <= rank {
                return if here == rank { Ok(near + position) } else { Err(near + position + 1) };
            }
        }
        far_levels.binary_search_by_key(&rank, |level| self.rank(level.price))
    }

    fn insert(&mut self, position: usize, level: Level) -> Result<usize, LevelError> {
        if self.levels.len() >= BOOK_LEVELS_MAX {
            return Err(LevelError::Full);
        }
        self.levels.insert(position, level);
        Ok(self.depth(position))
    }

    fn remove(&mut self, position: usize) -> usize {
        let depth = self.depth(position);
        self.levels.remove(position);
        depth
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, size: i64) -> Level {
        Level { price: Price(price), size: Size(size) }
    }

    #[test]
    fn the_extremes_of_64_bits_are_prices_like_any_other() {
        let mut asks = Levels::new(Side::Ask);
        for price in [i64::MAX, i64::MIN, 0, -1] {
            asks.set(level(price, 1)).expect("room");
        }
        let prices: Vec<i64> = asks.as_slice().iter().map(|level| level.price.0).collect();
        assert_eq!(prices, [i64::MAX, 0, -1, i64::MIN], "the lowest ask is the best, and stands last");
    }

    #[test]
    fn a_full_side_and_a_size_past_64_bits_are_refused() {
        let mut bids = Levels::new(Side::Bid);
        for price in 0..BOOK_LEVELS_MAX {
            bids.set(level(i64::try_from(price).expect("small"), 1)).expect("room");
        }
        assert_eq!(bids.set(level(-1, 1)), Err(LevelError::Full));
        assert_eq!(bids.add(level(-1, 1)), Err(LevelError::Full));
        assert_eq!(bids.add(level(0, i64::MAX)), Err(LevelError::Overflow));
        assert_eq!(bids.as_slice()[0], level(0, 1), "a refused size changes nothing");
        let many: Vec<Level> =
            (0..=BOOK_LEVELS_MAX).map(|p| level(i64::try_from(p).expect("small"), 2)).collect();
        assert_eq!(bids.replace(&many), (true, 1));
        assert_eq!(bids.as_slice().first(), Some(&level(1, 2)), "the worst found no room");
    }

    proptest! {
        /// Deep sides, so that both the scan and the binary search are met.
        #[test]
        fn a_side_is_a_sorted_map(
            ask: bool,
            steps in prop::collection::vec((0_u8..3, -40_i64..40, 0_i64..4), 0..300),
        ) {
            let mut levels = Levels::new(if ask { Side::Ask } else { Side::Bid });
            let mut model = BTreeMap::<i64, i64>::new();
            for (kind, price, size) in steps {
                let before = model.clone();
                let depth = match kind {
                    0 => {
                        if size == 0 { model.remove(&price); } else { model.insert(price, size); }
                        levels.set(level(price, size)).expect("room")
                    }
                    1 => {
                        *model.entry(price).or_default() += size + 1;
                        Some(levels.add(level(price, size + 1)).expect("room"))
                    }
                    _ => {
                        if let Some(here) = model.get_mut(&price) {
                            *here -= size + 1;
                            if *here <= 0 { model.remove(&price); }
                        }
                        levels.reduce(level(price, size + 1))
                    }
                };
                let sorted = |map: &BTreeMap<i64, i64>| -> Vec<Level> {
                    let mut best_first: Vec<Level> = map.iter().map(|(p, s)| level(*p, *s)).collect();
                    if !ask { best_first.reverse(); }
                    best_first
                };
                let (old, new) = (sorted(&before), sorted(&model));
                let held: Vec<Level> = levels.as_slice().iter().rev().copied().collect();
                prop_assert_eq!(&held, &new);
                prop_assert_eq!(levels.best(), new.first().copied());
                let longest = old.len().max(new.len());
                prop_assert_eq!(depth, (0..longest).find(|&i| old.get(i) != new.get(i)));
            }
        }

        #[test]
        fn a_snapshot_is_what_its_levels_set_one_by_one_would_be(
            given in prop::collection::vec((-9_i64..9, 0_i64..4), 0..30),
        ) {
            let given: Vec<Level> = given.into_iter().map(|(price, size)| level(price, size)).collect();
            let mut at_once = Levels::new(Side::Bid);
            let mut one_by_one = Levels::new(Side::Bid);
            at_once.replace(&given);
            for level in given {
                one_by_one.set(level).expect("room");
            }
            prop_assert_eq!(at_once.as_slice(), one_by_one.as_slice());
            prop_assert_eq!(at_once.replace(one_by_one.as_slice()), (false, 0));
        }
    }
}
