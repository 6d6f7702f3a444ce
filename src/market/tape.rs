//! The trades of one instrument, and what they add up to.

use std::collections::VecDeque;

use feeds::{Level, SymbolId, Timestamp, Trade};
use serde::{Deserialize, Serialize};

use super::bars::{self, BarSeries};
use super::{Change, Faults};
use crate::limits::TRADES_MAX;
use crate::state::Totals;
use crate::topic::Interval;

/// A trade, when, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeRecord {
    /// The trade.
    pub trade: Trade,
    /// The venue's clock.
    pub ts_event: Timestamp,
    /// Its number among the instrument's trades, from 1.
    pub number: u64,
}

/// What is kept of an instrument that trades.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tape {
    /// Newest last; never empty.
    trades: VecDeque<TradeRecord>,
    session: Totals,
    /// In the order of [`Interval::ALL`].
    series: [BarSeries; Interval::ALL.len()],
}

impl Tape {
    /// Appends a trade to the tape, which is made at the first one.
    pub(super) fn print(
        tape: &mut Option<Box<Self>>,
        symbol: SymbolId,
        trade: Trade,
        ts_event: Timestamp,
        faults: &mut Faults,
        changes: &mut Vec<Change>,
    ) {
        let number = match tape {
            Some(tape) => {
                faults.overflows += u64::from(!bars::include(&mut tape.session, &trade));
                tape.session.trades
            }
            None => 1,
        };
        let tape = tape.get_or_insert_with(|| {
            Box::new(Self {
                trades: VecDeque::new(),
                session: Totals::first(trade.price, trade.size),
                series: Interval::ALL.map(BarSeries::new),
            })
        });
        if tape.trades.len() == TRADES_MAX {
            tape.trades.pop_front();
        }
        tape.trades.push_back(TradeRecord { trade, ts_event, number });
        changes.push(Change::Trade { symbol, trade, ts_event, number });
        for (series, interval) in tape.series.iter_mut().zip(Interval::ALL) {
            let added = series.add(&trade, ts_event);
            faults.overflows += u64::from(added.overflowed);
            if let Some(bar) = added.closed {
                changes.push(Change::BarClosed { symbol, interval, bar });
            }
            changes.push(Change::Bar { symbol, interval });
        }
    }

    /// Closes the bars whose interval has passed at `now`.
    pub(super) fn close_bars(&mut self, symbol: SymbolId, now: Timestamp, changes: &mut Vec<Change>) {
        for (series, interval) in self.series.iter_mut().zip(Interval::ALL) {
            if let Some(bar) = series.close(now) {
                changes.push(Change::BarClosed { symbol, interval, bar });
            }
        }
    }

    /// When the next bar's interval will have passed.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.series.iter().filter_map(BarSeries::due).min()
    }

    pub(super) const fn trades(&self) -> &VecDeque<TradeRecord> {
        &self.trades
    }

    pub(super) const fn session(&self) -> Totals {
        self.session
    }

    pub(super) fn last(&self) -> Option<Level> {
        self.trades.back().map(|record| Level { price: record.trade.price, size: record.trade.size })
    }

    pub(super) fn series(&self, interval: Interval) -> &BarSeries {
        &self.series[Interval::ALL.iter().position(|of| *of == interval).expect("all intervals are in ALL")]
    }
}
