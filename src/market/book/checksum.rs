//! The checksum by which two holders of a book know that they hold the same.

use feeds::Level;

/// How many levels a side it covers.
pub const CHECKSUM_LEVELS: usize = 10;

/// CRC32 (IEEE) over the text of the ten best asks, then the ten best bids, each best first: of each level the
/// digits of the price, then those of the size, without the point and without leading zeros (Kraken WebSocket API,
/// "Calculate book checksum").
///
/// The digits are those of the mantissa, so both holders must use the instrument's exponents. What Kraken's rule
/// leaves open: a zero has no digits, and a sign is not a digit.
#[must_use]
pub fn checksum(asks: impl Iterator<Item = Level>, bids: impl Iterator<Item = Level>) -> u32 {
    let mut text = Vec::with_capacity(2 * CHECKSUM_LEVELS * 2 * 20);
    let mut digits = itoa::Buffer::new();
    for level in asks.take(CHECKSUM_LEVELS).chain(bids.take(CHECKSUM_LEVELS)) {
        for mantissa in [level.price.0, level.size.0] {
            if mantissa != 0 {
                text.extend_from_slice(digits.format(mantissa.unsigned_abs()).as_bytes());
            }
        }
    }
    crc32fast::hash(&text)
}

#[cfg(test)]
mod tests {
    use feeds::{Exponent, Price, Size};
    use proptest::prelude::*;

    use super::*;

    /// CRC-32 bit by bit, and text as Kraken's documentation tells clients to make it.
    fn slow_checksum(
        asks: &[Level],
        bids: &[Level],
        price_exponent: Exponent,
        size_exponent: Exponent,
    ) -> u32 {
        let mut text = String::new();
        for level in asks.iter().take(10).chain(bids.iter().take(10)) {
            for shown in [level.price.display(price_exponent), level.size.display(size_exponent)] {
                text.push_str(shown.to_string().replace('.', "").trim_start_matches('0'));
            }
        }
        let mut crc = u32::MAX;
        for byte in text.bytes() {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
            }
        }
        !crc
    }

    #[test]
    fn agrees_with_the_example_in_krakens_documentation() {
        let side = |prices: [&str; 10]| {
            prices.map(|price| Level {
                price: Price::parse(price, Exponent::new(-5).expect("valid")).expect("a price"),
                size: Size::parse("0.00000500", Exponent::new(-8).expect("valid")).expect("a size"),
            })
        };
        let asks = side([
            "0.05005", "0.05010", "0.05015", "0.05020", "0.05025", "0.05030", "0.05035", "0.05040",
            "0.05045", "0.05050",
        ]);
        let bids = side([
            "0.05000", "0.04995", "0.04990", "0.04980", "0.04975", "0.04970", "0.04965", "0.04960",
            "0.04955", "0.04950",
        ]);
        assert_eq!(checksum(asks.into_iter(), bids.into_iter()), 974_947_235);
    }

    proptest! {
        #[test]
        fn agrees_with_the_digits_of_the_text(
            asks in prop::collection::vec((0_i64.., 0_i64..), 0..12),
            bids in prop::collection::vec((0_i64..100_000, 0_i64..100), 0..12),
            price_exponent in -18_i8..=0,
            size_exponent in -18_i8..=0,
        ) {
            let levels = |side: Vec<(i64, i64)>| -> Vec<Level> {
                side.into_iter().map(|(price, size)| Level { price: Price(price), size: Size(size) }).collect()
            };
            let (asks, bids) = (levels(asks), levels(bids));
            let exponent = |value| Exponent::new(value).expect("within range");
            prop_assert_eq!(
                checksum(asks.iter().copied(), bids.iter().copied()),
                slow_checksum(&asks, &bids, exponent(price_exponent), exponent(size_exponent))
            );
        }
    }
}
