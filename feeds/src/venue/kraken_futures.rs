//! Kraken Futures (`futures.kraken.com/ws/v1`).
//!
//! Every message names its feed and product
//! ([documentation](https://docs.kraken.com/api/docs/futures-api/websocket/book)):
//!
//! ```text
//! {"feed":"book_snapshot","product_id":"PI_XBTUSD","timestamp":1626994925378,"seq":91192,
//!  "bids":[{"price":439.3,"qty":20108.0},…],"asks":[…]}
//! {"feed":"book","product_id":"PI_XBTUSD","side":"sell","seq":91193,"price":439.6,"qty":0.0,"timestamp":1626994926000}
//! {"feed":"trade","product_id":"PI_LTCUSD","uid":"e2429e31-…","side":"buy","type":"fill","seq":5956,
//!  "time":1626994929946,"qty":320.0,"price":119.44}
//! {"feed":"ticker","product_id":"PI_XBTUSD","bid":32180.5,"ask":32181.0,"bid_size":1200.0,"ask_size":50.0,"time":1612270825253,…}
//! {"event":"subscribed","feed":"book","product_ids":["PI_XBTUSD"]}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `book_snapshot` is the whole book; `book` sets a level, quantity zero deletes.
//! 2. `seq` of a product's book rises by one.
//!
//! - `side` of a trade is the taker's. `trade_snapshot` is of the past, and makes no events.
//! - `ticker_lite` has no sizes, so it is no quote.
//! - Prices and quantities are numbers of JSON, and are read from their digits.

use super::book::{NumberedBook, clear_fed};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, milliseconds, taker};
use crate::{BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// What Kraken Futures' messages mean.
pub(super) struct KrakenFutures {
    directory: Directory,
    books: BySymbol<NumberedBook>,
}

impl KrakenFutures {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default() }
    }
}

impl Venue for KrakenFutures {
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
        clear_fed(receipt, self.books.iter_mut(), |book| book.on_connect(receipt.connection), events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let (None, Some(feed)) = (message.get("event"), json::text_if_any(&message, "feed")) else {
            return Ok(());
        };
        let read = match feed {
            "book" => Self::on_level,
            "book_snapshot" => Self::on_snapshot,
            "trade" => Self::on_trade,
            "ticker" => Self::on_ticker,
            _ => return Ok(()),
        };
        let time_field = if matches!(feed, "trade" | "ticker") { "time" } else { "timestamp" };
        let name = json::text(&message, "product_id")?;
        let symbol = self.directory.id(name)?;
        milliseconds(&message, time_field)
            .and_then(|ts_event| {
                let stamp = Stamp { ts_event, ..receipt.stamp(symbol) };
                read(self, receipt, stamp, &message, events)
            })
            .map_err(|error| error.of(name))
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.ends_with("/instruments")
    }

    /// `{"result":"success","instruments":[{"symbol":"pi_xbtusd","tickSize":0.5,…},…]}`
    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "instruments")?;
        for instrument in &json::list(&answer, "instruments")? {
            let instrument = json::as_object(instrument, "instruments")?;
            let name = json::text(&instrument, "symbol")?.to_ascii_uppercase();
            let tick_size = ("tickSize", json::text_if_any(&instrument, "tickSize"));
            self.directory.list(&name, Listing::of_steps(&name, tick_size, ("qty", None), None)?)?;
        }
        Ok(())
    }
}

impl KrakenFutures {
    /// Step 1.
    fn on_snapshot(
        &mut self,
        receipt: Receipt,
        stamp: Stamp,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (sequence, due) = numbers(message)?;
        let mut side = |field| -> Result<Vec<Level>, VenueError> {
            let level = |level| self.level(stamp.symbol, &json::as_object(level, field)?);
            json::list(message, field)?.iter().map(level).collect()
        };
        let snapshot = BookSnapshot { bids: side("bids")?, asks: side("asks")? };
        self.books.of(stamp.symbol).on_snapshot(receipt.connection, due);
        let body = EventBody::BookSnapshot(Box::new(snapshot));
        events.push(Stamp { sequence, ..stamp }.event(body));
        Ok(())
    }

    /// Steps 1 and 2.
    fn on_level(
        &mut self,
        receipt: Receipt,
        stamp: Stamp,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (sequence, due) = numbers(message)?;
        let stamp = Stamp { sequence, ..stamp };
        let side = match json::text(message, "side")? {
            "buy" => Side::Bid,
            "sell" => Side::Ask,
            _ => return Err(VenueError::expected("side", "`buy` or `sell`")),
        };
        let level = self.level(stamp.symbol, message)?;
        let start = events.len();
        events.push(stamp.event(EventBody::LevelSet { side, level }));
        self.books.of(stamp.symbol).on_update(receipt.connection, (sequence, due), stamp, start, events);
        Ok(())
    }

    fn level(&mut self, symbol: SymbolId, level: &Object<'_>) -> Result<Level, VenueError> {
        self.directory.level(symbol, "price", json::text(level, "price")?, json::text(level, "qty")?)
    }

    fn on_trade(
        &mut self,
        _receipt: Receipt,
        stamp: Stamp,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Level { price, size } = self.level(stamp.symbol, message)?;
        let aggressor = taker(message, "side")?;
        let id = Some(json::natural(message, "seq")?);
        events.push(stamp.event(EventBody::Trade(Trade { price, size, aggressor, id })));
        Ok(())
    }

    fn on_ticker(
        &mut self,
        _receipt: Receipt,
        stamp: Stamp,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let bid = self.directory.best(stamp.symbol, message, "bid", "bid_size")?;
        let ask = self.directory.best(stamp.symbol, message, "ask", "ask_size")?;
        events.push(stamp.event(EventBody::Quote { bid, ask }));
        Ok(())
    }
}

/// `seq`, and the one that follows.
fn numbers(message: &Object<'_>) -> Result<(u64, u64), VenueError> {
    let sequence = json::natural(message, "seq")?;
    let due = sequence.checked_add(1).ok_or_else(|| VenueError::expected("seq", "less than 2^64 - 1"))?;
    Ok((sequence, due))
}
