//! A book by level, of which `mbp-10` tells the best ten.

use std::collections::BTreeMap;

use dbn::{Action, BidAskPair, FlagSet, Mbp10Msg, Side as DbnSide, UNDEF_PRICE};

use super::super::ExportError;
use super::letter;
use super::number::{SizeUnit, price};
use crate::{EventBody, Instrument, Level, Price, Side, Size};

const DEPTH: usize = 10;

#[derive(Default)]
pub(super) struct Depth {
    bids: BTreeMap<Price, Size>,
    asks: BTreeMap<Price, Size>,
    levels_max: Option<usize>,
    /// After a gap, until a snapshot.
    is_bad: bool,
    is_cleared: bool,
    /// What was told last.
    told: Option<(Box<[BidAskPair; DEPTH]>, bool)>,
}

impl Depth {
    pub(super) fn new(levels_max: Option<usize>) -> Self {
        Self { levels_max, ..Self::default() }
    }

    /// Follows an event of the book. Whether it may have changed it: after a gap nothing does but a snapshot.
    pub(super) fn apply(&mut self, body: &EventBody) -> bool {
        match body {
            EventBody::BookSnapshot(snapshot) => {
                self.clear();
                for (side, levels) in [(Side::Bid, &snapshot.bids), (Side::Ask, &snapshot.asks)] {
                    levels.iter().for_each(|level| self.set(side, *level));
                }
                self.is_bad = false;
            }
            EventBody::BookClear => {
                self.clear();
                self.is_cleared = true;
            }
            EventBody::LevelSet { side, level } if !self.is_bad => self.set(*side, *level),
            _ => return false,
        }
        true
    }

    pub(super) fn gap(&mut self) {
        self.clear();
        self.is_bad = true;
    }

    /// The best levels after a message, but for the times and the number; `None` where they have been told.
    pub(super) fn record(
        &mut self,
        instrument: &Instrument,
        unit: &SizeUnit,
    ) -> Result<Option<Mbp10Msg>, ExportError> {
        if let Some(levels) = self.levels_max {
            while self.bids.len() > levels {
                self.bids.pop_first();
            }
            while self.asks.len() > levels {
                self.asks.pop_last();
            }
        }
        let level = |(price, size): (&Price, &Size)| Level { price: *price, size: *size };
        let mut bids = self.bids.iter().rev().map(level);
        let mut asks = self.asks.iter().map(level);
        let mut levels: [BidAskPair; DEPTH] = std::array::from_fn(|_| BidAskPair::default());
        for told in &mut levels {
            *told = pair(instrument, unit, bids.next(), asks.next())?;
        }
        let is_cleared = std::mem::take(&mut self.is_cleared) && self.bids.is_empty() && self.asks.is_empty();
        let state = Some((Box::new(levels.clone()), self.is_bad));
        if self.told == state {
            return Ok(None);
        }
        self.told = state;
        let mut flags = FlagSet::empty().set_last();
        if self.is_bad {
            flags.set_maybe_bad_book();
        }
        Ok(Some(Mbp10Msg {
            price: UNDEF_PRICE,
            action: letter(if is_cleared { Action::Clear } else { Action::Modify } as u8),
            side: letter(DbnSide::None as u8),
            flags,
            levels,
            ..Mbp10Msg::default()
        }))
    }

    fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }

    fn set(&mut self, side: Side, level: Level) {
        let levels = match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        };
        if level.size == Size::ZERO {
            levels.remove(&level.price);
        } else {
            levels.insert(level.price, level.size);
        }
    }
}

/// A level of both sides, undefined where there is none.
pub(super) fn pair(
    instrument: &Instrument,
    unit: &SizeUnit,
    bid: Option<Level>,
    ask: Option<Level>,
) -> Result<BidAskPair, ExportError> {
    let mut pair = BidAskPair::default();
    if let Some(bid) = bid {
        pair.bid_px = price(instrument, "bid", bid.price)?;
        pair.bid_sz = unit.size(instrument, "bid size", bid.size)?;
    }
    if let Some(ask) = ask {
        pair.ask_px = price(instrument, "ask", ask.price)?;
        pair.ask_sz = unit.size(instrument, "ask size", ask.size)?;
    }
    Ok(pair)
}
