//! Events to states and changes.
//!
//! ```text
//!  MarketEvent ─► Market ─► Change ─► publisher, which reads the state that changed
//! ```
//!
//! Pure and synchronous: one owner applies events one by one, and reads. Nothing here knows the time; that
//! a bar's interval has passed is learned from trades, or told by [`Market::advance`].

mod bars;
mod book;
mod faults;
mod instrument;
mod kept;
pub mod quotes;
mod tape;

use feeds::{Instrument, MarketEvent, SymbolId, Timestamp, Trade};

pub use book::{BookView, CHECKSUM_LEVELS, checksum};
pub use faults::Faults;
pub use kept::{KeptMarket, RecallError};
pub use tape::TradeRecord;

use crate::state::{Bar, Quote, Status, Ticker};
use crate::topic::Interval;
use book::{Context, Orders};
use instrument::InstrumentState;

/// What an event changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Best bid or offer: [`Market::quote`].
    Quote {
        /// The instrument.
        symbol: SymbolId,
    },
    /// A trade printed.
    Trade {
        /// The instrument.
        symbol: SymbolId,
        /// The trade.
        trade: Trade,
        /// The venue's clock.
        ts_event: Timestamp,
        /// Its number among the instrument's trades, from 1.
        number: u64,
    },
    /// Levels of the book: [`Market::book`].
    Book {
        /// The instrument.
        symbol: SymbolId,
        /// Depth of the shallowest level that changed, on whichever side, 0 being the best: a reader of fewer levels
        /// is not concerned. 0 when the whole book was replaced or cleared.
        index: usize,
    },
    /// Last trade, session, best bid or best offer: [`Market::ticker`].
    Ticker {
        /// The instrument.
        symbol: SymbolId,
    },
    /// The open bar, which may be a new one: [`Market::bar`].
    Bar {
        /// The instrument.
        symbol: SymbolId,
        /// Which of its bars.
        interval: Interval,
    },
    /// A bar closed, and does not change any more.
    BarClosed {
        /// The instrument.
        symbol: SymbolId,
        /// Which of its bars.
        interval: Interval,
        /// The bar as it closed.
        bar: Bar,
    },
    /// Whether it trades, and whether it is to be trusted: [`Market::status`].
    Status {
        /// The instrument.
        symbol: SymbolId,
    },
}

/// The state of all instruments.
///
/// The queries take the ids of the instruments that the market was made with, and panic on any other, as indexing
/// does. Events are from outside: none makes it panic, and what is wrong with them is counted in [`Faults`].
///
/// The events of one message belong together: a book that is crossed, or deeper than the venue keeps it, only between
/// two of them is not held against it. [`Market::end_message`] says where a message ends.
#[derive(Clone, Debug)]
pub struct Market {
    /// The number of the first instrument; the others follow.
    first: usize,
    instruments: Vec<InstrumentState>,
    orders: Orders,
    faults: Faults,
    /// Instruments of the message that is being applied, in order of their events, one behind the other only once.
    message: Vec<usize>,
    /// Instruments that have bars, in the order of their first trades.
    traded: Vec<usize>,
    /// No bar's interval passes before this.
    next_due: Timestamp,
}

const NEVER: Timestamp = Timestamp(i64::MAX);

impl Market {
    /// A market in which nothing has happened yet; [`SymbolId`] is the index into `instruments`.
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        Self {
            first: 0,
            instruments: instruments.iter().map(InstrumentState::new).collect(),
            orders: Orders::new(instruments.len()),
            faults: Faults::default(),
            message: Vec::new(),
            traded: Vec::new(),
            next_due: NEVER,
        }
    }

    /// The same market, whose first instrument has that number, and the others those that follow.
    #[must_use]
    pub fn numbered_from(self, first: SymbolId) -> Self {
        Self { first: first.index(), ..self }
    }

    /// Applies an event, and appends what it changed: book, quote, trade, bars, ticker, status, in this order.
    pub fn apply(&mut self, event: &MarketEvent, changes: &mut Vec<Change>) {
        let index = event.symbol.index().wrapping_sub(self.first);
        let Some(instrument) = self.instruments.get_mut(index) else {
            self.faults.unknown_symbols += 1;
            return;
        };
        if self.message.last() != Some(&index) {
            self.message.push(index);
        }
        let context = &mut Context {
            symbol: SymbolId::from_index(index),
            orders: &mut self.orders,
            faults: &mut self.faults,
        };
        let printed = instrument.apply(event, context, changes);
        if printed {
            if instrument.trade_count() == 1 {
                self.traded.push(index);
            }
            self.next_due = self.next_due.min(instrument.bar_due());
        }
    }

    /// The events applied since the last call were one message of the venue: what it left is its last word.
    pub fn end_message(&mut self) {
        for index in self.message.drain(..) {
            self.instruments[index].end_message(&mut self.faults);
        }
    }

    /// Closes the bars whose interval has passed at `now`, a time of the feed. One comparison when none has; a look
    /// at all instruments that traded when one has, which is at most once a second of the feed's time.
    pub fn advance(&mut self, now: Timestamp, changes: &mut Vec<Change>) {
        if now < self.next_due {
            return;
        }
        self.next_due = NEVER;
        for &index in &self.traded {
            let instrument = &mut self.instruments[index];
            instrument.close_bars(SymbolId::from_index(self.first + index), now, changes);
            self.next_due = self.next_due.min(instrument.bar_due());
        }
    }

    /// Lays a state of the feed (that it is silent, that it has ended) and its reason over the venue's
    /// trading status; `None` takes it away again.
    ///
    /// # Panics
    /// When the market has no such instrument.
    pub fn set_feed_state(&mut self, symbol: SymbolId, state: Option<&Status>, changes: &mut Vec<Change>) {
        self.instruments[symbol.index() - self.first].set_feed_status(symbol, state, changes);
    }

    /// A new run of the stream: all that was known is void, but the definitions and [`Market::faults`].
    pub fn reset(&mut self) {
        for instrument in &mut self.instruments {
            instrument.reset();
        }
        self.orders = Orders::new(self.instruments.len());
        self.message.clear();
        self.traded.clear();
        self.next_due = NEVER;
    }

    /// Best bid and offer: the book's, or, while there never was one, the venue's own.
    #[must_use]
    pub fn quote(&self, symbol: SymbolId) -> Quote {
        self.of(symbol).quote
    }

    /// The book.
    #[must_use]
    pub fn book(&self, symbol: SymbolId) -> BookView<'_> {
        self.of(symbol).book.view()
    }

    /// The session so far. The official closing price is in no event yet, so `close` is `None`.
    #[must_use]
    pub fn ticker(&self, symbol: SymbolId) -> Ticker {
        self.of(symbol).ticker()
    }

    /// The newest bar, open or closed; `None` before the first trade.
    #[must_use]
    pub fn bar(&self, symbol: SymbolId, interval: Interval) -> Option<&Bar> {
        self.of(symbol).tape.as_ref()?.series(interval).bars().back()
    }

    /// The newest [`crate::limits::BARS_MAX`] bars, newest last, the open one among them.
    pub fn bars(&self, symbol: SymbolId, interval: Interval) -> impl DoubleEndedIterator<Item = &Bar> {
        self.of(symbol).tape.iter().flat_map(move |tape| tape.series(interval).bars())
    }

    /// The newest [`crate::limits::TRADES_MAX`] trades, newest last.
    pub fn trades(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = &TradeRecord> {
        self.of(symbol).tape.iter().flat_map(|tape| tape.trades())
    }

    /// Whether it trades, and whether its feed and its book are to be trusted.
    #[must_use]
    pub fn status(&self, symbol: SymbolId) -> Status {
        self.of(symbol).status()
    }

    /// The time of its newest event; the epoch before the first.
    #[must_use]
    pub fn ts_event(&self, symbol: SymbolId) -> Timestamp {
        self.of(symbol).ts_event
    }

    fn of(&self, symbol: SymbolId) -> &InstrumentState {
        &self.instruments[symbol.index() - self.first]
    }

    /// What was wrong with the events.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }
}

#[cfg(test)]
mod tests;
