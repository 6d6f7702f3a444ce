//! A book with the digits that the venue printed, for checksums over them.
//!
//! A mantissa does not know whether `0.10` or `0.1` was sent, and some venues' checksums do. So a session checks those
//! itself, and tells the outcome.

use std::collections::BTreeMap;

use crate::limits::DIGIT_LEVELS_MAX;
use crate::{BookChecksum, Level, Price, Side, Size};

/// Price levels, and how they were printed.
#[derive(Default)]
pub(super) struct DigitBook {
    bids: BTreeMap<Price, Printed>,
    asks: BTreeMap<Price, Printed>,
}

/// `price:size`.
type Printed = Box<str>;

impl DigitBook {
    /// Forgets all levels of a side.
    pub(super) fn clear(&mut self, side: Side) {
        match side {
            Side::Bid => self.bids.clear(),
            Side::Ask => self.asks.clear(),
        }
    }

    /// Sets a level; size zero deletes it.
    pub(super) fn set(&mut self, side: Side, level: Level, price: &str, size: &str) {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if level.size == Size::ZERO {
            levels.remove(&level.price);
            return;
        }
        levels.insert(level.price, format!("{price}:{size}").into());
        if levels.len() > DIGIT_LEVELS_MAX {
            match side {
                Side::Bid => self.bids.pop_first(),
                Side::Ask => self.asks.pop_last(),
            };
        }
    }

    /// Whether `expected` is the CRC-32 of the best `levels` a side, joined by colons: the best bid, the best offer, the
    /// second bid, and so on. Where a side has fewer, the other goes on alone.
    pub(super) fn check(&self, expected: u32, levels: usize) -> BookChecksum {
        let mut hasher = crc32fast::Hasher::new();
        let mut bids = self.bids.values().rev().take(levels);
        let mut asks = self.asks.values().take(levels);
        let mut is_first = true;
        loop {
            let pair = [bids.next(), asks.next()];
            for printed in pair.iter().flatten() {
                if !std::mem::take(&mut is_first) {
                    hasher.update(b":");
                }
                hasher.update(printed.as_bytes());
            }
            if pair == [None, None] {
                return BookChecksum::Checked { agrees: hasher.finalize() == expected };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(bids: &[(i64, &str, &str)], asks: &[(i64, &str, &str)]) -> DigitBook {
        let mut book = DigitBook::default();
        for (side, levels) in [(Side::Bid, bids), (Side::Ask, asks)] {
            for (price, printed, size) in levels {
                book.set(side, Level { price: Price(*price), size: Size(1) }, printed, size);
            }
        }
        book
    }

    /// The strings of OKX's documentation.
    #[test]
    fn levels_are_joined_as_documented() {
        let bids = [(33_661, "3366.1", "7"), (33_660, "3366", "6")];
        let asks = [(33_668, "3366.8", "9"), (33_680, "3368", "8"), (33_720, "3372", "8")];
        let crc = |text: &str| crc32fast::hash(text.as_bytes());
        let agrees = BookChecksum::Checked { agrees: true };
        let wrong = BookChecksum::Checked { agrees: false };
        let both = crc("3366.1:7:3366.8:9:3366:6:3368:8");
        assert_eq!(book(&bids, &asks[..2]).check(both, 25), agrees);
        assert_eq!(book(&bids, &asks).check(both, 2), agrees);
        assert_eq!(book(&bids, &asks).check(both, 25), wrong);
        assert_eq!(book(&bids[..1], &asks).check(crc("3366.1:7:3366.8:9:3368:8:3372:8"), 25), agrees);
        assert_eq!(book(&bids, &[]).check(crc("3366.1:7:3366:6"), 25), agrees);
        assert_eq!(book(&[], &[]).check(crc(""), 25), agrees);
    }

    #[test]
    fn a_level_of_size_zero_is_gone_and_the_worst_go_at_the_bound() {
        let mut one = book(&[(2, "2", "1"), (1, "1", "1")], &[]);
        one.set(Side::Bid, Level { price: Price(2), size: Size::ZERO }, "2", "0");
        assert_eq!(one.check(crc32fast::hash(b"1:1"), 25), BookChecksum::Checked { agrees: true });
        let bound = i64::try_from(DIGIT_LEVELS_MAX).expect("small");
        for price in 1..=bound + 2 {
            let level = Level { price: Price(price), size: Size(1) };
            one.set(Side::Bid, level, "p", "s");
            one.set(Side::Ask, level, "p", "s");
        }
        assert_eq!((one.bids.len(), one.asks.len()), (DIGIT_LEVELS_MAX, DIGIT_LEVELS_MAX));
        assert_eq!(one.bids.first_key_value().map(|(price, _)| *price), Some(Price(3)));
        assert_eq!(one.asks.last_key_value().map(|(price, _)| *price), Some(Price(bound)));
    }
}
