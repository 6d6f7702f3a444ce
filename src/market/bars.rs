//! Open, high, low, close, volume by interval.

use std::collections::VecDeque;

use feeds::{Timestamp, Trade};
use serde::{Deserialize, Serialize};

use crate::limits::BARS_MAX;
use crate::state::{Bar, Totals};
use crate::topic::Interval;

/// The bars of one instrument and interval, newest last; the newest may be open, all others are closed.
///
/// A trade at or past the end of the open bar closes it. A late one counts into the open bar, or, when that is closed
/// already, into the interval after it: a closed bar never changes, and no trade is lost. Intervals without trades
/// have no bar.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BarSeries {
    interval: Interval,
    bars: VecDeque<Bar>,
}

/// What a trade did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Added {
    /// The bar that it closed.
    pub(super) closed: Option<Bar>,
    /// Whether the sums could not take it.
    pub(super) overflowed: bool,
}

impl BarSeries {
    pub(super) const fn new(interval: Interval) -> Self {
        Self { interval, bars: VecDeque::new() }
    }

    pub(super) fn add(&mut self, trade: &Trade, ts_event: Timestamp) -> Added {
        // Nearly all trades are of the open bar, as one comparison tells, where an interval's start takes a division.
        let length = self.interval.duration();
        if let Some(open) = self.bars.back_mut()
            && !open.closed
            && open.start > EARLIEST
            && ts_event < open.start.plus(length)
        {
            return Added { closed: None, overflowed: !include(&mut open.totals, trade) };
        }
        let mut start = self.start_of(ts_event);
        let closed = self.close(ts_event);
        match self.bars.back_mut() {
            Some(open) if !open.closed => {
                return Added { closed, overflowed: !include(&mut open.totals, trade) };
            }
            Some(last) => start = start.max(last.start.plus(self.interval.duration())),
            None => {}
        }
        if self.bars.len() == BARS_MAX {
            self.bars.pop_front();
        }
        self.bars.push_back(Bar { start, totals: Totals::first(trade.price, trade.size), closed: false });
        Added { closed, overflowed: false }
    }

    /// Closes the open bar if its interval has passed at `now`.
    pub(super) fn close(&mut self, now: Timestamp) -> Option<Bar> {
        let now_start = self.start_of(now);
        let open = self.bars.back_mut().filter(|bar| !bar.closed && bar.start < now_start)?;
        open.closed = true;
        Some(*open)
    }

    /// When the open bar's interval will have passed.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.bars.back().filter(|bar| !bar.closed).map(|bar| bar.start.plus(self.interval.duration()))
    }

    pub(super) const fn bars(&self) -> &VecDeque<Bar> {
        &self.bars
    }

    /// Whole multiples since the Unix epoch, rounded down; before the first that 64 bits hold, the earliest time.
    fn start_of(&self, time: Timestamp) -> Timestamp {
        let length = Timestamp::default().plus(self.interval.duration()).0;
        Timestamp(time.0.div_euclid(length).saturating_mul(length))
    }
}

/// Not the start of an interval, but the end of time before one.
const EARLIEST: Timestamp = Timestamp(i64::MIN);

/// Adds a trade to the sums of a time span. Returns false if volume or notional would pass 128 bits: both stay then.
pub(super) fn include(totals: &mut Totals, trade: &Trade) -> bool {
    totals.high = totals.high.max(trade.price);
    totals.low = totals.low.min(trade.price);
    totals.close = trade.price;
    totals.trades += 1;
    let size = i128::from(trade.size.0);
    let notional = i128::from(trade.price.0) * size;
    match (totals.volume.checked_add(size), totals.notional.checked_add(notional)) {
        (Some(volume), Some(notional)) => {
            totals.volume = volume;
            totals.notional = notional;
            true
        }
        _ => false,
    }
}
