//! An even stream of quotes: the shape of a load test.

use super::SimSettings;
use super::draw::Draw;
use super::listing::instrument;
use crate::{EventBody, Instrument, Level, MarketEvent, Price, Size, SymbolId, Timestamp};

const SECOND: u64 = 1_000_000_000;
/// The lowest and highest price a walk starts from, in cents.
const BASE_MIN: i64 = 1_000;
const BASE_MAX: i64 = 100_000;
/// How far from there a walk goes before it turns, in cents.
const REACH: i64 = 500;

/// K × R = N events a second, event n at n / N seconds, the instruments in turn.
pub(super) struct Quotes {
    draw: Draw,
    walks: Vec<Walk>,
    /// Whose turn it is.
    next: usize,
    beat: Beat,
}

/// The price of one instrument, in cents.
struct Walk {
    base: i64,
    bid: i64,
}

impl Quotes {
    pub(super) fn new(settings: &SimSettings, per_second: u64) -> (Vec<Instrument>, Self) {
        let mut draw = Draw::new(settings.seed);
        let instruments =
            (0..settings.instruments).map(|index| instrument(&format!("SYM{index:05}"), -2, 0, 1)).collect();
        let walks = (0..settings.instruments)
            .map(|_| BASE_MIN + i64::from(draw.below(1 << 16)) * (BASE_MAX - BASE_MIN) / (1 << 16))
            .map(|base| Walk { base, bid: base })
            .collect();
        (instruments, Self { draw, walks, next: 0, beat: Beat::new(settings.start, per_second) })
    }

    /// The next quote; `None` when time stamps have run out.
    pub(super) fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Option<Timestamp> {
        let due = self.beat.next()?;
        let walk = &mut self.walks[self.next];
        let up =
            if (walk.bid - walk.base).abs() < REACH { self.draw.below(2) == 0 } else { walk.bid < walk.base };
        walk.bid += if up { 1 } else { -1 };
        let mut level = |cents| Some(Level { price: Price(cents), size: Size(100 * self.draw.from(1, 100)) });
        let body = EventBody::Quote { bid: level(walk.bid), ask: level(walk.bid + 1) };
        let symbol = SymbolId::from_index(self.next);
        events.push(MarketEvent { symbol, ts_event: due, ts_recv: due, sequence: 0, body });
        self.next = if self.next + 1 == self.walks.len() { 0 } else { self.next + 1 };
        Some(due)
    }

    /// A bid above the offer.
    pub(super) fn crossing(&self, symbol: SymbolId) -> EventBody {
        let level = |cents| Some(Level { price: Price(cents), size: Size(100) });
        let bid = self.walks[symbol.index()].bid;
        EventBody::Quote { bid: level(bid + 1), ask: level(bid) }
    }
}

/// Beat n is due at start + n × 10⁹ / N, rounded down, without a division or an ever growing n.
struct Beat {
    due: Option<Timestamp>,
    per_second: u64,
    /// Whole nanoseconds from beat to beat, and the N-ths of one that are left over, each time and so far.
    step: u64,
    step_rest: u64,
    rest: u64,
}

impl Beat {
    const fn new(start: Timestamp, per_second: u64) -> Self {
        let (step, step_rest) = (SECOND / per_second, SECOND % per_second);
        Self { due: Some(start), per_second, step, step_rest, rest: 0 }
    }

    fn next(&mut self) -> Option<Timestamp> {
        let due = self.due?;
        self.rest += self.step_rest;
        let carry = self.rest >= self.per_second;
        if carry {
            self.rest -= self.per_second;
        }
        self.due = due.0.checked_add_unsigned(self.step + u64::from(carry)).map(Timestamp);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn beats_are_where_the_division_puts_them(
            start in -1_000_000_000_000_i64..1_000_000_000_000,
            per_second in 1..=SECOND,
        ) {
            let mut beat = Beat::new(Timestamp(start), per_second);
            for n in 0..2_000_u64 {
                let after = u128::from(n) * u128::from(SECOND) / u128::from(per_second);
                let due = i128::from(start) + i128::try_from(after).expect("small");
                prop_assert_eq!(beat.next().map(|due| i128::from(due.0)), Some(due));
            }
        }
    }

    #[test]
    fn the_last_time_stamp_ends_it() {
        let mut beat = Beat::new(Timestamp(i64::MAX - 1), SECOND);
        assert_eq!(beat.next(), Some(Timestamp(i64::MAX - 1)));
        assert_eq!(beat.next(), Some(Timestamp(i64::MAX)));
        assert_eq!(beat.next(), None);
        assert_eq!(beat.next(), None);
    }
}
