//! The made-up instruments of a simulated market.

use super::draw::Draw;
use super::flow::BASE_TICKS_MIN;
use super::tape::Scale;
use crate::{Exponent, Instrument, Price, Symbol};

const VENUE: &str = "SIM";

/// An instrument with what the simulation needs to know about it.
pub(super) struct Listing {
    pub(super) instrument: Instrument,
    pub(super) scale: Scale,
    /// The price, in ticks, that its fair value moves around.
    pub(super) base_ticks: i64,
}

/// A family of instruments that share their scale.
struct Kind {
    /// After the name.
    suffix: &'static str,
    price_exponent: i8,
    size_exponent: i8,
    scale: Scale,
    /// Prices start from here, in ticks, and double up to so many times.
    ticks_min: i64,
    doublings: u32,
}

/// 5.00 to 2,560.00.
const SHARE: Kind = Kind {
    suffix: "",
    price_exponent: -2,
    size_exponent: 0,
    scale: Scale { tick: 1, lot: 10 },
    ticks_min: BASE_TICKS_MIN,
    doublings: 9,
};
/// 0.50000 to 2.00000.
const CURRENCY_PAIR: Kind = Kind {
    suffix: "USD",
    price_exponent: -5,
    size_exponent: 0,
    scale: Scale { tick: 1, lot: 100_000 },
    ticks_min: 50_000,
    doublings: 2,
};
/// 500.00 to 64,000.00, traded in ten-thousandths.
const COIN: Kind = Kind {
    suffix: "-USD",
    price_exponent: -2,
    size_exponent: -8,
    scale: Scale { tick: 1, lot: 10_000 },
    ticks_min: 50_000,
    doublings: 7,
};
/// 0.00000600 to 0.00038400.
const TOKEN: Kind = Kind {
    suffix: "-USD",
    price_exponent: -8,
    size_exponent: -8,
    scale: Scale { tick: 1, lot: 25_000_000_000 },
    ticks_min: 600,
    doublings: 6,
};
/// 10,000 to 80,000 in steps of 5.
const INDEX: Kind = Kind {
    suffix: "-F",
    price_exponent: 0,
    size_exponent: 0,
    scale: Scale { tick: 5, lot: 1 },
    ticks_min: 2_000,
    doublings: 3,
};

/// Of ten instruments; the order mixes them in a list of any length.
const KINDS: [&Kind; 10] =
    [&SHARE, &COIN, &SHARE, &CURRENCY_PAIR, &SHARE, &TOKEN, &SHARE, &INDEX, &SHARE, &SHARE];

/// Lists an instrument of the market.
pub(super) fn list(index: usize, draw: &mut Draw) -> Listing {
    let kind = KINDS[index % KINDS.len()];
    // Uniform within a doubling, as many low prices as high ones.
    let from = kind.ticks_min << draw.below(kind.doublings);
    let base_ticks = from + i64::from(draw.below(1 << 16)) * from / (1 << 16);
    let text = format!("{}{}", name(index), kind.suffix);
    let instrument = instrument(&text, kind.price_exponent, kind.size_exponent, kind.scale.tick);
    Listing { instrument, scale: kind.scale, base_ticks }
}

/// A simulated instrument.
pub(super) fn instrument(symbol: &str, price_exponent: i8, size_exponent: i8, tick: i64) -> Instrument {
    let exponent = |value| Exponent::new(value).expect("the kinds above are within -18 to 18");
    Instrument {
        symbol: Symbol::new(symbol).expect("letters, digits and hyphens, at most 12"),
        venue: VENUE,
        price_exponent: exponent(price_exponent),
        size_exponent: exponent(size_exponent),
        tick_size: Some(Price(tick)),
        currency: Some("USD".to_owned()),
        book_levels_max: None,
        begins_stale: false,
    }
}

/// Pronounceable, with letters that real symbols seldom have.
const SYLLABLES: [&str; 16] =
    ["ZA", "VO", "XI", "QU", "KY", "JO", "WE", "ZU", "VY", "XO", "KU", "ZE", "VA", "JY", "XE", "QO"];

/// A name of its own for each index below 65,536: two syllables for the first 256, four for the last ones.
fn name(index: usize) -> String {
    let digits = match index {
        0..0x100 => 2,
        0x100..0x1000 => 3,
        _ => 4,
    };
    // An odd factor permutes the last two digits, so that neighbours do not sound alike.
    let mixed = (index & !0xff) | ((index * 89) & 0xff);
    (0..digits).rev().map(|digit| SYLLABLES[mixed >> (4 * digit) & 0xf]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::INSTRUMENTS_MAX;

    #[test]
    fn every_symbol_is_unique_and_every_base_price_is_in_its_range() {
        let mut draw = Draw::new(3);
        let mut symbols = BTreeSet::new();
        for index in 0..INSTRUMENTS_MAX {
            let Listing { instrument, base_ticks, .. } = list(index, &mut draw);
            let kind = KINDS[index % KINDS.len()];
            assert!((kind.ticks_min..kind.ticks_min << kind.doublings).contains(&base_ticks));
            assert!(base_ticks >= BASE_TICKS_MIN);
            assert!(symbols.insert(instrument.symbol.clone()), "{} twice", instrument.symbol);
        }
    }

    #[test]
    fn the_first_two_hundred_cover_several_scales() {
        let mut draw = Draw::new(1);
        let scales: BTreeSet<(i8, i8)> = (0..200)
            .map(|index| list(index, &mut draw).instrument)
            .map(|instrument| (instrument.price_exponent.get(), instrument.size_exponent.get()))
            .collect();
        assert_eq!(scales, BTreeSet::from([(-2, 0), (-5, 0), (-2, -8), (-8, -8), (0, 0)]));
        assert_eq!([name(0), name(1), name(2)], ["ZAZA", "JOXO", "ZEXI"]);
    }
}
