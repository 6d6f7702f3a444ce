//! From differences to states: what a client does with a record.

use feeds::{Level, Price, Side, Size, Timestamp, Trade};

use super::check;
use super::decode::{
    BarChange, BookChange, PriceStep, QuoteChange, SideChange, TickerChange, TradeChange, Update,
};
use super::session::{NOTHING, before};
use crate::state::{Bar, Quote, Ticker, Totals};
use crate::topic::Depth;

/// The number and time of a state: what the next update of the topic differs from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The state's number.
    pub seq: u64,
    /// The venue's time of it.
    pub ts_event: Timestamp,
}

/// The update does not follow the state that is held: something is missing between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an update with a step of {step} and check {check} does not follow state {held}: something was missed"
)]
pub struct Missed {
    /// The number of the state that is held.
    pub held: u64,
    /// The update's step.
    pub step: u64,
    /// Its check.
    pub check: u8,
}

impl Update<'_> {
    /// The number and time of the state that the update leads to, if it follows the state held.
    ///
    /// # Errors
    /// [`Missed`] if it does not: the state is not to be used any more.
    pub fn follow(&self, held: &Held) -> Result<Held, Missed> {
        let missed = Missed { held: held.seq, step: self.step, check: self.check };
        let seq = held.seq.checked_add(self.step).filter(|&seq| check(seq) == self.check).ok_or(missed)?;
        // No two times of a server are further apart than there is time.
        let micros = held.ts_event.micros().checked_add(self.time_step).ok_or(missed)?;
        Ok(Held { seq, ts_event: Timestamp(micros.saturating_mul(1_000)) })
    }
}

impl PriceStep {
    fn apply(self, old: Option<Price>) -> Option<Price> {
        match self {
            Self::Same => old,
            Self::By(difference) => Some(moved(old.unwrap_or_default(), difference)),
            Self::Gone => None,
        }
    }
}

impl QuoteChange {
    /// The quote after it.
    #[must_use]
    pub fn apply(&self, old: &Quote) -> Quote {
        Quote { bid: self.bid.apply(old.bid), ask: self.ask.apply(old.ask) }
    }
}

impl SideChange {
    fn apply(self, old: Option<Level>) -> Option<Level> {
        if self == Self::default() {
            return old;
        }
        let price = self.price.apply(old.map(|old| old.price));
        let size = self.size.unwrap_or_else(|| old.unwrap_or_default().size);
        match self.price {
            PriceStep::Gone => None,
            PriceStep::Same | PriceStep::By(_) => Some(Level { price: price.unwrap_or_default(), size }),
        }
    }
}

impl TradeChange {
    /// The trade, after `old`.
    #[must_use]
    pub fn apply(&self, old: Option<&Trade>) -> Trade {
        let before = old.and_then(|old| old.id).unwrap_or(0);
        Trade {
            price: moved(old.map_or(Price::ZERO, |old| old.price), self.price),
            size: self.size,
            aggressor: self.aggressor,
            id: self.id.map(|difference| before.wrapping_add_signed(difference)),
        }
    }
}

/// The levels of a `book` topic, best first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `book`")]
pub struct BookLevels {
    pub bids: Vec<Level>,
    pub asks: Vec<Level>,
}

impl BookChange<'_> {
    /// Takes the changes over; no more than `depth` levels of a side are kept.
    pub fn apply(&self, book: &mut BookLevels, depth: Depth) {
        let best = |levels: &[Level]| levels.first().map_or(Price::ZERO, |best| best.price);
        let (mut bid, mut ask) = (best(&book.bids), best(&book.asks));
        for change in self.levels() {
            match change.side {
                Side::Bid => {
                    bid = Price(bid.0.wrapping_sub(change.distance));
                    // `!` turns the order round, as minus does, and cannot overflow.
                    set(&mut book.bids, Level { price: bid, size: change.size }, |price| !price.0);
                }
                Side::Ask => {
                    ask = moved(ask, change.distance);
                    set(&mut book.asks, Level { price: ask, size: change.size }, |price| price.0);
                }
            }
        }
        book.bids.truncate(depth.levels());
        book.asks.truncate(depth.levels());
    }
}

/// `rank` grows from the best price on.
fn set(levels: &mut Vec<Level>, level: Level, rank: impl Fn(Price) -> i64) {
    match (levels.binary_search_by_key(&rank(level.price), |level| rank(level.price)), level.size) {
        (Ok(index), Size::ZERO) => {
            levels.remove(index);
        }
        (Ok(index), size) => levels[index].size = size,
        (Err(_), Size::ZERO) => {}
        (Err(index), _) => levels.insert(index, level),
    }
}

impl TickerChange {
    /// The ticker after it. Its session's last price is `last`: the record says it once.
    #[must_use]
    pub fn apply(&self, old: &Ticker) -> Ticker {
        let last = SideChange { price: self.last, size: self.last_size }.apply(old.last);
        let changes_session = self.volume.is_some()
            || self.notional.is_some()
            || self.trades.is_some()
            || self.open.is_some()
            || self.high.is_some()
            || self.low.is_some();
        let base = if self.session_gone { None } else { old.session.or(changes_session.then_some(NOTHING)) };
        let session = base.map(|base| Totals {
            open: moved(base.open, self.open.unwrap_or(0)),
            high: moved(base.high, self.high.unwrap_or(0)),
            low: moved(base.low, self.low.unwrap_or(0)),
            close: last.map_or(base.close, |last| last.price),
            volume: base.volume.wrapping_add(self.volume.unwrap_or(0)),
            notional: base.notional.wrapping_add(self.notional.unwrap_or(0)),
            trades: base.trades.wrapping_add_signed(self.trades.unwrap_or(0)),
        });
        Ticker {
            last,
            bid: self.bid.apply(old.bid),
            ask: self.ask.apply(old.ask),
            session,
            close: self.close.apply(old.close),
        }
    }
}

impl BarChange {
    /// The bar after it.
    #[must_use]
    pub fn apply(&self, old: Option<&Bar>) -> Bar {
        let base = match (old, self.start) {
            (Some(old), None) => *old,
            (old, _) => before(old),
        };
        let totals = base.totals;
        let start = base.start.micros().wrapping_add(self.start.unwrap_or(0));
        Bar {
            start: Timestamp(start.saturating_mul(1_000)),
            totals: Totals {
                open: moved(totals.open, self.open.unwrap_or(0)),
                high: moved(totals.high, self.high.unwrap_or(0)),
                low: moved(totals.low, self.low.unwrap_or(0)),
                close: moved(totals.close, self.close.unwrap_or(0)),
                volume: totals.volume.wrapping_add(self.volume.unwrap_or(0)),
                notional: totals.notional.wrapping_add(self.notional.unwrap_or(0)),
                trades: totals.trades.wrapping_add_signed(self.trades.unwrap_or(0)),
            },
            closed: base.closed != self.final_changed,
        }
    }
}

/// Prices move modulo 2⁶⁴, as the differences are made.
const fn moved(price: Price, difference: i64) -> Price {
    Price(price.0.wrapping_add(difference))
}
