//! A book from its deltas.

use feeds::{Exponent, Level, Price, Size};

use crate::wire::binary::BookLevels;

/// The best levels of a book, as the server has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book(pub(super) BookLevels);

impl Book {
    /// Buyers' levels, best first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = Level> + DoubleEndedIterator + '_ {
        self.0.bids.iter().copied()
    }

    /// Sellers' levels, best first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = Level> + DoubleEndedIterator + '_ {
        self.0.asks.iter().copied()
    }

    /// The checksum of the ten best levels of both sides, by the rule in `protocol.md`: made from the texts that stand on
    /// the wire, as a client in any language would, so that it is a check on the server's own way.
    #[must_use]
    pub fn checksum(&self, price_exponent: Exponent, size_exponent: Exponent) -> u32 {
        // The zeros that a positive exponent puts behind the mantissa do not count.
        let (price_exponent, size_exponent) =
            (price_exponent.min(Exponent::ONE), size_exponent.min(Exponent::ONE));
        let mut hasher = crc32fast::Hasher::new();
        let mut text = Vec::with_capacity(24);
        for level in self.asks().take(10).chain(self.bids().take(10)) {
            text.clear();
            level.price.write(price_exponent, &mut text);
            update_with_digits(&mut hasher, &text);
            text.clear();
            level.size.write(size_exponent, &mut text);
            update_with_digits(&mut hasher, &text);
        }
        hasher.finalize()
    }

    pub(super) fn set_bid(&mut self, price: Price, size: Size) {
        // `!` turns the order round, as minus does, and cannot overflow.
        set(&mut self.0.bids, price, size, |price| !price.0);
    }

    pub(super) fn set_ask(&mut self, price: Price, size: Size) {
        set(&mut self.0.asks, price, size, |price| price.0);
    }

    /// Levels of the longer side.
    pub(super) fn levels(&self) -> usize {
        self.0.bids.len().max(self.0.asks.len())
    }
}

/// Without sign, point and leading zeros: of zero nothing is left.
fn update_with_digits(hasher: &mut crc32fast::Hasher, text: &[u8]) {
    let first = text.iter().position(|byte| !matches!(byte, b'-' | b'0' | b'.')).unwrap_or(text.len());
    for part in text[first..].split(|&byte| byte == b'.') {
        hasher.update(part);
    }
}

/// `rank` grows from the best price on.
fn set(levels: &mut Vec<Level>, price: Price, size: Size, rank: impl Fn(Price) -> i64) {
    match (levels.binary_search_by_key(&rank(price), |level| rank(level.price)), size) {
        (Ok(index), Size::ZERO) => {
            levels.remove(index);
        }
        (Ok(index), size) => levels[index].size = size,
        // What is not there cannot be deleted any more: two changes that were merged into one look like that.
        (Err(_), Size::ZERO) => {}
        (Err(index), size) => levels.insert(index, Level { price, size }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn exponent(value: i8) -> Exponent {
        Exponent::new(value).expect("within range")
    }

    #[test]
    fn the_checksum_is_of_the_texts_on_the_wire() {
        let mut book = Book::default();
        book.set_ask(Price(5_005), Size(500));
        book.set_ask(Price(5_010), Size(1_000));
        book.set_bid(Price(5_000), Size(0));
        book.set_bid(Price(4_995), Size(1));
        // 0.05005 0.00000500, 0.05010 0.00001000, then 0.04995 0.00000001
        let expected = crc32fast::hash(b"50055005010100049951");
        assert_eq!(book.checksum(exponent(-5), exponent(-8)), expected);

        let mut spread = Book::default();
        spread.set_ask(Price(0), Size(12));
        spread.set_bid(Price(-105), Size(3));
        assert_eq!(spread.checksum(exponent(-2), exponent(2)), crc32fast::hash(b"121053"));
        assert_eq!(Book::default().checksum(exponent(0), exponent(0)), 0);
    }

    proptest! {
        #[test]
        fn a_book_is_what_a_map_would_be(changes in prop::collection::vec((any::<bool>(), -8_i64..8, 0_i64..3), 0..64)) {
            let mut book = Book::default();
            let mut model = [BTreeMap::new(), BTreeMap::new()];
            for (is_bid, price, size) in changes {
                if is_bid {
                    book.set_bid(Price(price), Size(size));
                } else {
                    book.set_ask(Price(price), Size(size));
                }
                if size == 0 {
                    model[usize::from(is_bid)].remove(&price);
                } else {
                    model[usize::from(is_bid)].insert(price, size);
                }
            }
            let level = |(&price, &size): (&i64, &i64)| Level { price: Price(price), size: Size(size) };
            let asks: Vec<Level> = model[0].iter().map(level).collect();
            let bids: Vec<Level> = model[1].iter().rev().map(level).collect();
            prop_assert_eq!(book.asks().collect::<Vec<_>>(), asks);
            prop_assert_eq!(book.bids().collect::<Vec<_>>(), bids);
            prop_assert_eq!(book.levels(), model[0].len().max(model[1].len()));
        }
    }
}
