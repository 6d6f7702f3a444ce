//! All that is known of one instrument.

use std::borrow::Cow;

use feeds::{
    EventBody, Exponent, Instrument, Level, MarketEvent, Size, SymbolId, Timestamp, Trade, TradingStatus,
};

use serde::{Deserialize, Serialize};

use super::book::{Book, Context, Outcome};
use super::tape::Tape;
use super::{Change, Faults};
use crate::state::{Quote, Status, StatusState, Ticker};

/// The state of one instrument. Takes no memory beyond itself until something happens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct InstrumentState {
    pub(super) book: Book,
    pub(super) quote: Quote,
    pub(super) ts_event: Timestamp,
    /// Whether the message before left the book crossed.
    crossed: bool,
    /// The venue's own status.
    venue_status: Status,
    /// What lies over it.
    #[serde(skip)]
    feed_status: Option<Status>,
    pub(super) tape: Option<Box<Tape>>,
    scale: (Exponent, Exponent),
    levels_max: Option<usize>,
    /// [`Instrument::begins_stale`].
    #[serde(skip)]
    pub(super) begins_stale: bool,
}

impl InstrumentState {
    pub(super) fn new(instrument: &Instrument) -> Self {
        let scale = (instrument.price_exponent, instrument.size_exponent);
        Self::void(scale, instrument.book_levels_max, instrument.begins_stale)
    }

    fn void(scale: (Exponent, Exponent), levels_max: Option<usize>, begins_stale: bool) -> Self {
        Self {
            book: Book::new(levels_max, begins_stale),
            quote: Quote::default(),
            ts_event: Timestamp::default(),
            crossed: false,
            venue_status: Status { state: StatusState::Trading, reason: Cow::Borrowed("") },
            feed_status: None,
            tape: None,
            scale,
            levels_max,
            begins_stale,
        }
    }

    /// Forgets all but the definition.
    pub(super) fn reset(&mut self) {
        *self = Self::void(self.scale, self.levels_max, self.begins_stale);
    }

    /// Returns whether a trade printed.
    pub(super) fn apply(
        &mut self,
        event: &MarketEvent,
        context: &mut Context<'_>,
        changes: &mut Vec<Change>,
    ) -> bool {
        let symbol = event.symbol;
        self.ts_event = event.ts_event;
        let untrusted = self.book.untrusted();
        let mut outcome = Outcome::default();
        match &event.body {
            EventBody::Trade(trade) => outcome.trade = Some(*trade),
            EventBody::Quote { bid, ask } => {
                self.venue_quote(symbol, Quote { bid: *bid, ask: *ask }, context.faults, changes)
            }
            EventBody::Status { status, reason } => self.set_venue_status(symbol, *status, reason, changes),
            EventBody::Definition(instrument) => self.define(instrument, context.faults),
            // Bars are made here of trades. A vendor's tells neither how many there were nor their average price, which
            // every bar on the wire has.
            EventBody::Bar(_) => {}
            body => outcome = self.book.apply(body, context),
        }
        if let Some(index) = outcome.changed {
            changes.push(Change::Book { symbol, index });
        }
        // A change below the touch leaves best bid and offer alone. A book's first event may change no level, and
        // yet takes the quote over from the venue's own.
        let moved = outcome.changed.is_none_or(|index| index == 0)
            && self.book.quote().is_some_and(|quote| self.set_quote(symbol, quote, changes));
        let traded = outcome
            .trade
            .is_some_and(|trade| self.print(symbol, trade, event.ts_event, context.faults, changes));
        if moved || traded {
            changes.push(Change::Ticker { symbol });
        }
        if self.book.untrusted() != untrusted && self.feed_status.is_none() {
            changes.push(Change::Status { symbol });
        }
        traded
    }

    /// To be called when no more events of the message can come.
    pub(super) fn end_message(&mut self, faults: &mut Faults) {
        self.book.end_message();
        let crossed = self.book.is_crossed();
        faults.crossed += u64::from(crossed && !self.crossed);
        self.crossed = crossed;
    }

    /// Lays a state of the feed over the venue's, or takes it away.
    pub(super) fn set_feed_status(
        &mut self,
        symbol: SymbolId,
        status: Option<&Status>,
        changes: &mut Vec<Change>,
    ) {
        let before = self.status();
        self.feed_status = status.cloned();
        if self.status() != before {
            changes.push(Change::Status { symbol });
        }
    }

    /// The feed's state rules over the book's, and that over the venue's.
    pub(super) fn status(&self) -> Status {
        if let Some(status) = &self.feed_status {
            status.clone()
        } else if let Some(reason) = self.book.untrusted() {
            Status { state: StatusState::Stale, reason: Cow::Borrowed(reason) }
        } else {
            self.venue_status.clone()
        }
    }

    pub(super) const fn scale(&self) -> (Exponent, Exponent) {
        self.scale
    }

    pub(super) fn trade_count(&self) -> u64 {
        self.tape.as_ref().map_or(0, |tape| tape.session().trades)
    }

    pub(super) fn close_bars(&mut self, symbol: SymbolId, now: Timestamp, changes: &mut Vec<Change>) {
        if let Some(tape) = &mut self.tape {
            tape.close_bars(symbol, now, changes);
        }
    }

    /// When the next bar's interval will have passed; the end of time when none is open.
    pub(super) fn bar_due(&self) -> Timestamp {
        self.tape.as_ref().and_then(|tape| tape.due()).unwrap_or(Timestamp(i64::MAX))
    }

    pub(super) fn ticker(&self) -> Ticker {
        Ticker {
            last: self.tape.as_ref().and_then(|tape| tape.last()),
            bid: self.quote.bid.map(|level| level.price),
            ask: self.quote.ask.map(|level| level.price),
            session: self.tape.as_ref().map(|tape| tape.session()),
            close: None,
        }
    }

    fn venue_quote(
        &mut self,
        symbol: SymbolId,
        quote: Quote,
        faults: &mut Faults,
        changes: &mut Vec<Change>,
    ) {
        if self.book.quote().is_some() {
            return;
        }
        if [quote.bid, quote.ask].into_iter().flatten().any(|level| level.size <= Size::ZERO) {
            faults.bad_sizes += 1;
            return;
        }
        if self.set_quote(symbol, quote, changes) {
            changes.push(Change::Ticker { symbol });
        }
    }

    /// Returns whether a price changed.
    fn set_quote(&mut self, symbol: SymbolId, quote: Quote, changes: &mut Vec<Change>) -> bool {
        if self.quote == quote {
            return false;
        }
        let price = |level: Option<Level>| level.map(|level| level.price);
        let moved = price(self.quote.bid) != price(quote.bid) || price(self.quote.ask) != price(quote.ask);
        self.quote = quote;
        changes.push(Change::Quote { symbol });
        moved
    }

    fn set_venue_status(
        &mut self,
        symbol: SymbolId,
        status: TradingStatus,
        reason: &str,
        changes: &mut Vec<Change>,
    ) {
        let state = match status {
            TradingStatus::Trading => StatusState::Trading,
            TradingStatus::Halted => StatusState::Halted,
            TradingStatus::Auction => StatusState::Auction,
            TradingStatus::Closed => StatusState::Closed,
        };
        let before = self.status();
        self.venue_status = Status { state, reason: Cow::Owned(reason.to_owned()) };
        if self.status() != before {
            changes.push(Change::Status { symbol });
        }
    }

    fn define(&mut self, instrument: &Instrument, faults: &mut Faults) {
        if (instrument.price_exponent, instrument.size_exponent) == self.scale {
            self.levels_max = instrument.book_levels_max;
            self.book.set_levels_max(self.levels_max);
        } else {
            faults.rescaled += 1;
        }
    }

    /// Returns whether the trade counts.
    fn print(
        &mut self,
        symbol: SymbolId,
        trade: Trade,
        ts_event: Timestamp,
        faults: &mut Faults,
        changes: &mut Vec<Change>,
    ) -> bool {
        if trade.size <= Size::ZERO {
            faults.bad_sizes += 1;
            return false;
        }
        Tape::print(&mut self.tape, symbol, trade, ts_event, faults, changes);
        true
    }
}
