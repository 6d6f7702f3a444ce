//! Deribit, API v2 (`www.deribit.com/ws/api/v2`).
//!
//! Market data are notifications of JSON-RPC that name their channel
//! ([documentation](https://docs.deribit.com/#book-instrument_name-interval)):
//!
//! ```text
//! {"jsonrpc":"2.0","method":"subscription","params":{"channel":"book.BTC-24SEP21-8000-P.raw","data":{
//!  "type":"snapshot","timestamp":1626993723632,"instrument_name":"BTC-24SEP21-8000-P","change_id":33195894164,
//!  "bids":[["new",0.0015,4714.0],…],"asks":[…]}}}
//! {…"data":{"type":"change","timestamp":1626993724318,"prev_change_id":33195894164,"change_id":33195894355,
//!  "bids":[],"asks":[["new",0.001,2.6],["change",0.002,5.0],["delete",0.003,0.0]],…}}}
//! {…"params":{"channel":"ticker.ETH-30JUL21-2800-C.raw","data":{"timestamp":1626993723632,"best_bid_price":0.0015,
//!  "best_bid_amount":4714.0,"best_ask_price":0.0025,"best_ask_amount":873.0,…}}}
//! {…"params":{"channel":"trades.BTC-PERPETUAL.raw","data":[{"trade_seq":30289442,"trade_id":"48079269",
//!  "timestamp":1590484512188,"price":8950.0,"instrument_name":"BTC-PERPETUAL","direction":"sell","amount":10.0,…}]}}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `snapshot` is the whole book, `change` sets levels; `delete` is of amount zero.
//! 2. `prev_change_id` of a change is `change_id` of the message before.
//!
//! - Books without `type` (`book.BTC-PERPETUAL.none.10.100ms`) are tops of the book: no events, the book comes from the
//!   changes. Of an instrument with several channels of changes, the one whose snapshot came first is the book.
//! - `ticker` and `quote` are quotes; an empty side is zero or `null`.
//! - `direction` of a trade is the taker's. `trade_seq` numbers the trades of the instrument.
//! - Prices and amounts are numbers of JSON, and are read from their digits.

use super::book::{NumberedBook, clear_fed};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Problem, Receipt, Stamp, Venue, VenueError, milliseconds, taker};
use crate::{BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// What Deribit's messages mean.
pub(super) struct Deribit {
    directory: Directory,
    books: BySymbol<Book>,
}

#[derive(Default)]
struct Book {
    numbered: NumberedBook,
    /// Of the channel that feeds it: `raw`, `100ms` or `agg2`.
    interval: Option<Box<str>>,
}

impl Deribit {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default() }
    }
}

impl Venue for Deribit {
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
        let is_fed = |book: &mut Book| {
            let is_fed = book.numbered.on_connect(receipt.connection);
            if is_fed {
                book.interval = None;
            }
            is_fed
        };
        clear_fed(receipt, self.books.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        if json::text_if_any(&message, "method") != Some("subscription") {
            return Ok(());
        }
        let params = json::object(&message, "params")?;
        let channel = json::text(&params, "channel")?;
        let data = params.get("data").ok_or_else(|| VenueError::new("data", Problem::Missing))?;
        match channel.split_once('.') {
            Some(("book", rest)) => {
                let data = json::as_object(data, "data")?;
                let Some(kind) = json::text_if_any(&data, "type") else { return Ok(()) };
                let interval = rest.rsplit_once('.').map_or("", |(_, interval)| interval);
                self.with_name(receipt, &data, |this, stamp| {
                    this.on_book(kind, interval, receipt, stamp, &data, events)
                })
            }
            Some(("ticker" | "quote", _)) => {
                let data = json::as_object(data, "data")?;
                self.with_name(receipt, &data, |this, stamp| {
                    let bid =
                        this.directory.best(stamp.symbol, &data, "best_bid_price", "best_bid_amount")?;
                    let ask =
                        this.directory.best(stamp.symbol, &data, "best_ask_price", "best_ask_amount")?;
                    events.push(stamp.event(EventBody::Quote { bid, ask }));
                    Ok(())
                })
            }
            Some(("trades", _)) => {
                for trade in &json::as_list(data, "data")? {
                    let data = json::as_object(trade, "data")?;
                    self.with_name(receipt, &data, |this, stamp| this.on_trade(stamp, &data, events))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/get_instruments")
    }

    /// ```text
    /// {"jsonrpc":"2.0","result":[{"instrument_name":"BTC-24SEP21-40000-P","tick_size":0.0005,"min_trade_amount":0.1,
    ///  "quote_currency":"BTC",…},…]}
    /// ```
    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "get_instruments")?;
        for instrument in &json::list(&answer, "result")? {
            let instrument = json::as_object(instrument, "result")?;
            let name = json::text(&instrument, "instrument_name")?.to_ascii_uppercase();
            let told = |field| (field, json::text_if_any(&instrument, field));
            let currency = told("quote_currency").1;
            let listing = Listing::of_steps(&name, told("tick_size"), told("min_trade_amount"), currency)?;
            self.directory.list(&name, listing)?;
        }
        Ok(())
    }
}

impl Deribit {
    /// Reads `data`, of the instrument that it names, at the time that it names.
    fn with_name(
        &mut self,
        receipt: Receipt,
        data: &Object<'_>,
        read: impl FnOnce(&mut Self, Stamp) -> Result<(), VenueError>,
    ) -> Result<(), VenueError> {
        // Options on small coins have a lower-case `d` for the point of their strike.
        let name = json::text(data, "instrument_name")?.to_ascii_uppercase();
        let symbol = self.directory.id(&name)?;
        milliseconds(data, "timestamp")
            .and_then(|ts_event| read(self, Stamp { ts_event, ..receipt.stamp(symbol) }))
            .map_err(|error| error.of(&name))
    }

    fn on_book(
        &mut self,
        kind: &str,
        interval: &str,
        receipt: Receipt,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Stamp { symbol, .. } = stamp;
        if **self.books.of(symbol).interval.get_or_insert_with(|| interval.into()) != *interval {
            return Ok(());
        }
        let sequence = json::natural(data, "change_id")?;
        let stamp = Stamp { sequence, ..stamp };
        let bids = self.side(symbol, data, "bids")?;
        let asks = self.side(symbol, data, "asks")?;
        let book = &mut self.books.of(symbol).numbered;
        match kind {
            // Step 1.
            "snapshot" => {
                book.on_snapshot(receipt.connection, sequence);
                events.push(stamp.event(EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))));
            }
            "change" => {
                let start = events.len();
                let set = |side| move |level| stamp.event(EventBody::LevelSet { side, level });
                events.extend(bids.into_iter().map(set(Side::Bid)));
                events.extend(asks.into_iter().map(set(Side::Ask)));
                // Step 2.
                let numbers = (json::natural(data, "prev_change_id")?, sequence);
                book.on_update(receipt.connection, numbers, stamp, start, events);
            }
            _ => return Err(VenueError::expected("type", "`snapshot` or `change`")),
        }
        Ok(())
    }

    /// `["new",0.0015,4714.0]` each.
    fn side(
        &mut self,
        symbol: SymbolId,
        data: &Object<'_>,
        field: &'static str,
    ) -> Result<Vec<Level>, VenueError> {
        let level = |level| {
            let level = json::as_list(level, field)?;
            let mut fields = level.iter();
            let action = json::as_text(fields.next(), field)?;
            let price = json::as_text(fields.next(), field)?;
            let size = json::as_text(fields.next(), field)?;
            match action {
                "new" | "change" => self.directory.level(symbol, field, price, size),
                "delete" => self.directory.level(symbol, field, price, "0"),
                _ => Err(VenueError::expected(field, "`new`, `change` or `delete`")),
            }
        };
        json::list(data, field)?.iter().map(level).collect()
    }

    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "price", json::text(data, "price")?)?,
            size: self.directory.size(stamp.symbol, "amount", json::text(data, "amount")?)?,
            aggressor: taker(data, "direction")?,
            id: Some(json::natural(data, "trade_seq")?),
        };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}
