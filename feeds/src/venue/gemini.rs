//! Gemini, market data version 2 (`api.gemini.com/v2/marketdata`).
//!
//! Every message has a `type`
//! ([documentation](https://docs.gemini.com/websocket-api/#market-data-version-2)):
//!
//! ```text
//! {"type":"l2_updates","symbol":"ALCXUSD","changes":[["buy","302.75","0.00001"],…],"trades":[…],"auction_events":[]}
//! {"type":"l2_updates","symbol":"ALCXUSD","changes":[["buy","301.96","0"],["sell","303.39","3.296031"]]}
//! {"type":"trade","symbol":"ANKRUSD","event_id":45465818387,"timestamp":1624493670759,"price":"0.07946",
//!  "quantity":"1020.482111","side":"buy"}
//! {"type":"heartbeat","timestamp":1624493666869}
//! ```
//!
//! - The first `l2_updates` of a symbol is its whole book, and alone has the last `trades`, which are of the past and make
//!   no events. The others set levels; size zero deletes. Nothing is numbered, and the book has no time.
//! - `side` of a trade is the taker's.

use super::book::{Book, clear_fed};
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, milliseconds, taker};
use crate::{BookSnapshot, EventBody, MarketEvent, Side, SymbolId, Trade};

/// What Gemini's messages mean.
pub(super) struct Gemini {
    directory: Directory,
    books: BySymbol<Book>,
}

impl Gemini {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default() }
    }
}

impl Venue for Gemini {
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
        let read = match json::text_if_any(&message, "type") {
            Some("l2_updates") => Self::on_book,
            Some("trade") => Self::on_trade,
            _ => return Ok(()),
        };
        let name = json::text(&message, "symbol")?;
        let symbol = self.directory.id(name)?;
        read(self, receipt, symbol, &message, events).map_err(|error| error.of(name))
    }
}

impl Gemini {
    fn on_book(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let stamp = receipt.stamp(symbol);
        let is_snapshot = message.get("trades").is_some();
        let start = events.len();
        let mut snapshot = BookSnapshot::default();
        for change in &json::list(message, "changes")? {
            let change = json::as_list(change, "changes")?;
            let mut fields = change.iter();
            let side = match json::as_text(fields.next(), "changes")? {
                "buy" => Side::Bid,
                "sell" => Side::Ask,
                _ => return Err(VenueError::expected("changes", "`buy` or `sell`")),
            };
            let price = json::as_text(fields.next(), "changes")?;
            let size = json::as_text(fields.next(), "changes")?;
            let level = self.directory.level(symbol, "changes", price, size)?;
            match (is_snapshot, side) {
                (true, Side::Bid) => snapshot.bids.push(level),
                (true, Side::Ask) => snapshot.asks.push(level),
                (false, side) => events.push(stamp.event(EventBody::LevelSet { side, level })),
            }
        }
        let book = self.books.of(symbol);
        if is_snapshot {
            *book = Book::Held(receipt.connection);
            events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
        } else {
            let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
            book.on_update(receipt.connection, events, start, no_snapshot);
        }
        Ok(())
    }

    fn on_trade(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(symbol, "price", json::text(message, "price")?)?,
            size: self.directory.size(symbol, "quantity", json::text(message, "quantity")?)?,
            aggressor: taker(message, "side")?,
            id: Some(json::natural(message, "event_id")?),
        };
        let stamp = Stamp { ts_event: milliseconds(message, "timestamp")?, ..receipt.stamp(symbol) };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}
