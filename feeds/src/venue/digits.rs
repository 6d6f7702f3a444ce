//! A book with the digits that the venue printed, for checksums over them.
//!
//! A mantissa does not know whether `0.10` or `0.1` was sent, and some venues' checksums do. So a session checks those
//! itself, and tells the outcome.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::DIGIT_LEVELS_MAX;
use crate::{BookChecksum, Level, Price, Side, Size};

/// Price levels, and how they were printed.
#[derive(Default, Serialize, Deserialize)]
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

    /// Drops all but the best `levels` a side.
    pub(super) fn truncate(&mut self, levels: usize) {
        while self.bids.len() > levels {
            self.bids.pop_first();
        }
        while self.asks.len() > levels {
            self.asks.pop_last();
        }
    }

    /// Whether `expected` is the CRC-32 of the best `levels` offers, then the best `levels` bids: of each the digits of
    /// price and size, without the point and without leading zeros.
    pub(super) fn check_without_points(&self, expected: u32, levels: usize) -> BookChecksum {
        let mut hasher = crc32fast::Hasher::new();
        let bids = self.bids.values().rev().take(levels);
        for number in self.asks.values().take(levels).chain(bids).flat_map(|printed| printed.split(':')) {
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            let whole = whole.trim_start_matches('0');
            let fraction = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
            hasher.update(whole.as_bytes());
            hasher.update(fraction.as_bytes());
        }
        BookChecksum::Checked { agrees: hasher.finalize() == expected }
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

    /// The book of [Kraken's documentation](https://docs.kraken.com/exchange/guides/websockets/book-checksum-v2).
    #[test]
    fn points_and_leading_zeros_are_left_out_as_documented() {
        let asks = "45285.2 0.00100000 45286.4 1.54571953 45286.6 1.54571109 45289.6 1.54560911 45290.2 0.15890660 \
                    45291.8 1.54553491 45294.7 0.04454749 45296.1 0.35380000 45297.5 0.09945542 45299.5 0.18772827";
        let bids = "45283.5 0.10000000 45283.4 1.54582015 45282.1 0.10000000 45281.0 0.10000000 45280.3 1.54592586 \
                    45279.0 0.07990000 45277.6 0.03310103 45277.5 0.30000000 45277.3 1.54602737 45276.6 0.15445238";
        let mut book = DigitBook::default();
        for (side, text) in [(Side::Ask, asks), (Side::Bid, bids)] {
            let words: Vec<&str> = text.split(' ').collect();
            for level in words.chunks(2) {
                let price = Price(level[0].replace('.', "").parse().expect("digits"));
                book.set(side, Level { price, size: Size(1) }, level[0], level[1]);
            }
        }
        let agrees = |agrees| BookChecksum::Checked { agrees };
        assert_eq!(book.check_without_points(3_310_070_434, 10), agrees(true));
        assert_eq!(book.check_without_points(3_310_070_435, 10), agrees(false));
        // The eleventh does not count, and is dropped with the rest past a depth.
        book.set(Side::Ask, Level { price: Price(460_000), size: Size(1) }, "46000.0", "1");
        assert_eq!(book.check_without_points(3_310_070_434, 10), agrees(true));
        assert_eq!(book.check_without_points(3_310_070_434, 11), agrees(false));
        book.truncate(10);
        assert_eq!(book.check_without_points(3_310_070_434, 11), agrees(true));
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
