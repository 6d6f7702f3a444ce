//! Bitfinex, WebSocket API v2 (`api.bitfinex.com/ws/2`).
//!
//! Market data are lists that begin with the number of a channel, which a message before has named
//! ([documentation](https://docs.bitfinex.com/docs/ws-general)):
//!
//! ```text
//! {"event":"conf","status":"OK","flags":65536}
//! {"event":"subscribed","channel":"book","chanId":214238,"symbol":"tBFTUSD","prec":"P0","freq":"F0","len":"100",…}
//! [214238,[[0.068965,1,60157.36709703],[0.0774,2,-48578.50804052],…],8]      the whole book
//! [214238,[0.068965,0,1],133]                                                 a level
//! [214238,"cs",-1176218271,134]                                               checksum
//! [225158,"te",[401597395,1574694478808,0.005,7245.3],135]                    a trade
//! [225158,"hb",136]                                                           heartbeat
//! ```
//!
//! The venue's procedure, whose steps the code names:
//! 1. With flag 65536 every list carries a number behind its content, which rises by one over all of the connection. A
//!    hole says that messages were lost, of whichever instruments of that connection.
//! 2. A level is `[price, count, amount]`: amounts above zero are bids, below zero offers; `count` zero deletes. A list
//!    of such is the whole book.
//! 3. With flag 131072, [`cs`](https://docs.bitfinex.com/docs/ws-websocket-checksum) is the CRC-32, as a signed number, of
//!    the best 25 levels, `bid:amount:offer:amount:…`, with the digits as sent, an offer's amount with its sign.
//!
//! - `te` is a trade when it happens, `tu` tells it again with what it lacked. The amount is below zero where the taker
//!   sold. The list of trades at the beginning is of the past.
//! - A `ticker` has the sum of 25 levels for a size, which is no quote.
//! - Books by order (`R0`) and funding make no events. Of an instrument with several books, the one whose snapshot came first counts.
//! - Levels have no time. Prices and amounts are numbers of JSON, and are read from their digits.

use super::book::{Book, clear_fed};
use super::digits::DigitBook;
use super::json::{self, Array, Object, Value};
use super::{BySymbol, ConnectionId, Directory, Problem, Receipt, Stamp, Venue, VenueError};
use crate::limits::CHANNELS_MAX;
use crate::{
    Aggressor, BookChecksum, BookSnapshot, EventBody, Level, MarketEvent, Side, Size, SymbolId, Trade,
    TradingStatus,
};
use rustc_hash::FxHashMap;

/// Step 1.
const SEQUENCE_FLAG: u64 = 65_536;
/// Step 3.
const CHECKSUM_FLAG: u64 = 131_072;
const CHECKSUM_LEVELS: usize = 25;

/// What errors call the content of a list.
const CONTENT: &str = "content";

/// What Bitfinex's messages mean.
pub(super) struct Bitfinex {
    directory: Directory,
    instruments: BySymbol<State>,
    channels: FxHashMap<(ConnectionId, u64), Channel>,
    connections: FxHashMap<ConnectionId, Flags>,
}

#[derive(Clone, Copy)]
struct Channel {
    symbol: SymbolId,
    is_book: bool,
}

/// What a connection was asked to add.
#[derive(Clone, Copy, Default)]
struct Flags {
    /// The number that the next list must carry.
    due: Option<u64>,
    has_checksums: bool,
}

#[derive(Default)]
struct State {
    book: Book,
    /// The channel that feeds the book.
    feeder: Option<u64>,
    digits: DigitBook,
    /// Whose loss is a loss of this instrument.
    connection: Option<ConnectionId>,
}

impl Bitfinex {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            directory,
            instruments: BySymbol::default(),
            channels: FxHashMap::default(),
            connections: FxHashMap::default(),
        }
    }
}

impl Venue for Bitfinex {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn has_bare_numbers(&self) -> bool {
        true
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        self.connections.remove(&receipt.connection);
        self.channels.retain(|(connection, _), _| *connection != receipt.connection);
        let is_fed = |state: &mut State| {
            let is_fed = state.book.on_connect(receipt.connection);
            if state.connection == Some(receipt.connection) {
                *state = State::default();
            }
            is_fed
        };
        clear_fed(receipt, self.instruments.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        if let Some(object) = message.as_object() {
            return self.on_event(receipt, &object, events);
        }
        let parts = json::as_list(message, "message")?;
        let first = parts.get(0).ok_or_else(|| VenueError::new("chanId", Problem::Missing))?;
        let number = json::as_natural(first, "chanId")?;
        let content = parts.get(1).ok_or_else(|| VenueError::new(CONTENT, Problem::Missing))?;
        let kind = content
            .as_array()
            .map_or_else(|| json::as_text(Some(content), CONTENT).map(Some), |_| Ok(None))?;
        let behind = if matches!(kind, None | Some("hb")) { 2 } else { 3 };
        let sequence = self.on_sequence(receipt, parts.get(behind), events)?;
        let Some(channel) = self.channels.get(&(receipt.connection, number)).copied() else { return Ok(()) };
        let stamp = Stamp { sequence, ..receipt.stamp(channel.symbol) };
        let read = match (kind, channel.is_book) {
            (None, true) => self.on_book(receipt, number, stamp, &json::as_list(content, CONTENT)?, events),
            (Some("cs"), true) => self.on_checksum(number, stamp, parts.get(2), events),
            (Some("te"), false) => self.on_trade(stamp, parts.get(2), events),
            _ => Ok(()),
        };
        read.map_err(|error| error.of(self.directory.instruments()[channel.symbol.index()].symbol.as_str()))
    }
}

impl Bitfinex {
    fn on_event(
        &mut self,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        match json::text_if_any(message, "event") {
            Some("conf") if json::text_if_any(message, "status") == Some("OK") => {
                let flags = json::natural(message, "flags")?;
                let known = self.connections.entry(receipt.connection).or_default();
                known.due = (flags & SEQUENCE_FLAG != 0).then_some(known.due.unwrap_or(1));
                known.has_checksums = flags & CHECKSUM_FLAG != 0;
            }
            Some("subscribed") => {
                let is_book = match json::text(message, "channel")? {
                    "book" => json::text(message, "prec")? != "R0",
                    "trades" => false,
                    _ => return Ok(()),
                };
                // Others are funding.
                let Some(name) = json::text(message, "symbol")?.strip_prefix('t') else { return Ok(()) };
                if message.get("prec").is_some() && !is_book {
                    return Ok(());
                }
                let number = json::natural(message, "chanId")?;
                let symbol = self.directory.id(name)?;
                self.instruments.of(symbol).connection = Some(receipt.connection);
                self.channels.insert((receipt.connection, number), Channel { symbol, is_book });
                if self.channels.len() > CHANNELS_MAX {
                    return Err(VenueError::expected("chanId", "fewer subscriptions").of(name));
                }
            }
            Some("unsubscribed") => {
                let number = json::natural(message, "chanId")?;
                if let Some(Channel { symbol, .. }) = self.channels.remove(&(receipt.connection, number)) {
                    let state = self.instruments.of(symbol);
                    if state.feeder == Some(number) {
                        state.feeder = None;
                        state.book = Book::Empty;
                        events.push(receipt.stamp(symbol).event(EventBody::BookClear));
                    }
                }
            }
            Some("info") => {
                // 20060: maintenance begins; 20061: it ended.
                let status = match json::text_if_any(message, "code") {
                    Some("20060") => TradingStatus::Halted,
                    Some("20061") => TradingStatus::Trading,
                    _ => return Ok(()),
                };
                let reason = json::text_if_any(message, "msg").unwrap_or_default();
                for (symbol, _) in self.instruments.iter_mut() {
                    let body = EventBody::Status { status, reason: reason.to_owned() };
                    events.push(receipt.stamp(symbol).event(body));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Step 1; returns the number, 0 where there is none.
    fn on_sequence(
        &mut self,
        receipt: Receipt,
        sequence: Option<Value<'_>>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<u64, VenueError> {
        let Some(Flags { due: Some(due), .. }) = self.connections.get_mut(&receipt.connection) else {
            return Ok(0);
        };
        let sequence = sequence.ok_or_else(|| VenueError::new("sequence", Problem::Missing))?;
        let sequence = json::as_natural(sequence, "sequence")?;
        let expected = *due;
        *due =
            sequence.checked_add(1).ok_or_else(|| VenueError::expected("sequence", "less than 2^64 - 1"))?;
        if sequence != expected {
            for (symbol, state) in self.instruments.iter_mut() {
                if state.connection == Some(receipt.connection) {
                    state.book = Book::Lost;
                    Stamp { sequence, ..receipt.stamp(symbol) }.tell_gap(expected, sequence, events);
                }
            }
        }
        Ok(sequence)
    }

    /// Step 2.
    fn on_book(
        &mut self,
        receipt: Receipt,
        number: u64,
        stamp: Stamp,
        content: &Array<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Stamp { symbol, .. } = stamp;
        let state = self.instruments.of(symbol);
        if *state.feeder.get_or_insert(number) != number {
            return Ok(());
        }
        let is_snapshot = content.get(0).is_none_or(|first| first.as_array().is_some());
        if !is_snapshot {
            let (side, level) = self.level(symbol, content)?;
            let start = events.len();
            events.push(stamp.event(EventBody::LevelSet { side, level }));
            let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
            let book = &mut self.instruments.of(symbol).book;
            book.on_update(receipt.connection, events, start, no_snapshot);
            return Ok(());
        }
        state.digits = DigitBook::default();
        state.book = Book::Held(receipt.connection);
        let mut snapshot = BookSnapshot::default();
        for level in content {
            let (side, level) = self.level(symbol, &json::as_list(level, CONTENT)?)?;
            match side {
                Side::Bid => snapshot.bids.push(level),
                Side::Ask => snapshot.asks.push(level),
            }
        }
        events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
        Ok(())
    }

    /// `[price, count, amount]`
    fn level(&mut self, symbol: SymbolId, level: &Array<'_>) -> Result<(Side, Level), VenueError> {
        let price_text = json::as_text(level.get(0), "price")?;
        let count = level.get(1).ok_or_else(|| VenueError::new("count", Problem::Missing))?;
        let count = json::as_natural(count, "count")?;
        let amount = json::as_text(level.get(2), "amount")?;
        let (side, size) = amount.strip_prefix('-').map_or((Side::Bid, amount), |size| (Side::Ask, size));
        let price = self.directory.price(symbol, "price", price_text)?;
        let size = if count == 0 { Size::ZERO } else { self.directory.size(symbol, "amount", size)? };
        let level = Level { price, size };
        self.instruments.of(symbol).digits.set(side, level, price_text, amount);
        Ok((side, level))
    }

    /// Step 3.
    fn on_checksum(
        &mut self,
        number: u64,
        stamp: Stamp,
        checksum: Option<Value<'_>>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let checksum = checksum.ok_or_else(|| VenueError::new("cs", Problem::Missing))?;
        let expected = json::as_signed(checksum, "cs")?.cast_unsigned();
        let is_surveying = self.directory.is_surveying();
        let state = self.instruments.of(stamp.symbol);
        if is_surveying || state.feeder != Some(number) || !matches!(state.book, Book::Held(_)) {
            return Ok(());
        }
        let checked = state.digits.check(expected, CHECKSUM_LEVELS);
        events.push(stamp.event(EventBody::BookChecksum(checked)));
        if checked == (BookChecksum::Checked { agrees: false }) {
            state.book = Book::Lost;
            stamp.tell_gap(0, 0, events);
        }
        Ok(())
    }

    /// `[id, milliseconds, amount, price]`
    fn on_trade(
        &mut self,
        stamp: Stamp,
        trade: Option<Value<'_>>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = trade.ok_or_else(|| VenueError::new("te", Problem::Missing))?;
        let trade = json::as_list(trade, "te")?;
        let number = |index, field| {
            let value = trade.get(index).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
            json::as_natural(value, field)
        };
        let (id, time) = (number(0, "id")?, number(1, "mts")?);
        let amount = json::as_text(trade.get(2), "amount")?;
        let (aggressor, size) =
            amount.strip_prefix('-').map_or((Aggressor::Buy, amount), |size| (Aggressor::Sell, size));
        let ts_event = super::of_milliseconds("mts", time)?;
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "price", json::as_text(trade.get(3), "price")?)?,
            size: self.directory.size(stamp.symbol, "amount", size)?,
            aggressor,
            id: Some(id),
        };
        events.push(Stamp { ts_event, sequence: 0, ..stamp }.event(EventBody::Trade(trade)));
        Ok(())
    }
}
