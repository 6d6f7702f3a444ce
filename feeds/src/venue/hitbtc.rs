//! HitBTC, API v2 (`api.hitbtc.com/api/2/ws`).
//!
//! Market data are notifications of JSON-RPC ([documentation](https://api.hitbtc.com/v2#socket-market-data)):
//!
//! ```text
//! {"jsonrpc":"2.0","method":"snapshotOrderbook","params":{"ask":[{"price":"0.0002390129","size":"10"},…],"bid":[…],
//!  "symbol":"ETHBTC","sequence":8073827,"timestamp":"2018-11-19T05:00:28.193Z"}}
//! {"jsonrpc":"2.0","method":"updateOrderbook","params":{"ask":[{"price":"0.237282","size":"0"}],"bid":[],
//!  "symbol":"ETHBTC","sequence":8073828,"timestamp":"2018-11-19T05:00:28.700Z"}}
//! {"jsonrpc":"2.0","method":"updateTrades","params":{"data":[{"id":1182734386,"price":"0.020490","quantity":"7.242",
//!  "side":"buy","timestamp":"2021-04-05T19:01:03.607Z"}],"symbol":"REPETH"}}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. A snapshot is the whole book, an update sets levels; size zero deletes.
//! 2. `sequence` of a symbol's book rises by one.
//!
//! - `side` of a trade is the taker's. `snapshotTrades` is of the past, and makes no events.
//! - A `ticker` has no sizes, so it is no quote.

use super::book::{NumberedBook, clear_fed};
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, rfc3339, taker};
use crate::{BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Trade};

/// What HitBTC's messages mean.
pub(super) struct Hitbtc {
    directory: Directory,
    books: BySymbol<NumberedBook>,
}

impl Hitbtc {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default() }
    }
}

impl Venue for Hitbtc {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        clear_fed(receipt, self.books.iter_mut(), |book| book.on_connect(receipt.connection), events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let read = match json::text_if_any(&message, "method") {
            Some("snapshotOrderbook") => Self::on_snapshot,
            Some("updateOrderbook") => Self::on_update,
            Some("updateTrades") => Self::on_trades,
            _ => return Ok(()),
        };
        let params = json::object(&message, "params")?;
        let name = json::text(&params, "symbol")?;
        let symbol = self.directory.id(name)?;
        read(self, receipt, symbol, &params, events).map_err(|error| error.of(name))
    }
}

impl Hitbtc {
    /// Step 1.
    fn on_snapshot(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        params: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (stamp, due) = stamp(receipt, symbol, params)?;
        let snapshot =
            BookSnapshot { bids: self.side(symbol, params, "bid")?, asks: self.side(symbol, params, "ask")? };
        self.books.of(symbol).on_snapshot(receipt.connection, due);
        events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
        Ok(())
    }

    /// Steps 1 and 2.
    fn on_update(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        params: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (stamp, due) = stamp(receipt, symbol, params)?;
        let start = events.len();
        for (field, side) in [("bid", Side::Bid), ("ask", Side::Ask)] {
            let levels = self.side(symbol, params, field)?;
            let set = |level| stamp.event(EventBody::LevelSet { side, level });
            events.extend(levels.into_iter().map(set));
        }
        let numbers = (stamp.sequence, due);
        self.books.of(symbol).on_update(receipt.connection, numbers, stamp, start, events);
        Ok(())
    }

    fn side(
        &mut self,
        symbol: SymbolId,
        params: &Object<'_>,
        field: &'static str,
    ) -> Result<Vec<Level>, VenueError> {
        let level = |level| {
            let level = json::as_object(level, field)?;
            self.directory.level(symbol, field, json::text(&level, "price")?, json::text(&level, "size")?)
        };
        json::list(params, field)?.iter().map(level).collect()
    }

    fn on_trades(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        params: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for trade in &json::list(params, "data")? {
            let data = json::as_object(trade, "data")?;
            let trade = Trade {
                price: self.directory.price(symbol, "price", json::text(&data, "price")?)?,
                size: self.directory.size(symbol, "quantity", json::text(&data, "quantity")?)?,
                aggressor: taker(&data, "side")?,
                id: Some(json::natural(&data, "id")?),
            };
            let stamp = Stamp { ts_event: rfc3339(&data, "timestamp")?, ..receipt.stamp(symbol) };
            events.push(stamp.event(EventBody::Trade(trade)));
        }
        Ok(())
    }
}

/// The stamp of a book's message, and the number that follows.
fn stamp(receipt: Receipt, symbol: SymbolId, params: &Object<'_>) -> Result<(Stamp, u64), VenueError> {
    let sequence = json::natural(params, "sequence")?;
    let due =
        sequence.checked_add(1).ok_or_else(|| VenueError::expected("sequence", "less than 2^64 - 1"))?;
    Ok((Stamp { ts_event: rfc3339(params, "timestamp")?, sequence, ..receipt.stamp(symbol) }, due))
}
