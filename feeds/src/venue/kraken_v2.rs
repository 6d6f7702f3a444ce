//! Kraken, WebSocket API version 2 (`ws.kraken.com/v2`).
//!
//! Every message of market data names its channel
//! ([documentation](https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/book)); all numbers are bare:
//!
//! ```text
//! {"channel":"instrument","type":"snapshot","data":{"assets":[…],"pairs":[{"symbol":"BTC/USD","quote":"USD",
//!  "price_precision":1,"price_increment":0.1,"qty_precision":8,"status":"online",…},…]}}
//! {"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.10000000},…],
//!  "asks":[{"price":45285.2,"qty":0.00100000},…],"checksum":3310070434,"timestamp":"2023-10-06T17:35:54.440295Z"}]}
//! {"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":45285.2,"qty":0}],
//!  "checksum":…,"timestamp":"2023-10-06T17:35:55.440295Z"}]}
//! {"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":45283.5,"qty":0.4,
//!  "ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}
//! {"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":45283.5,"bid_qty":0.1,"ask":45285.2,
//!  "ask_qty":0.001,…}]}
//! {"channel":"status","type":"update","data":[{"system":"online","version":"2.0.0",…}]}
//! {"channel":"heartbeat"}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `snapshot` is the whole book, to the depth that was subscribed; `update` sets levels, `qty` zero deletes.
//! 2. After each message, a level that falls past the depth is dropped: nothing will correct it.
//! 3. `checksum` is the CRC-32 of the book after the whole message: the ten best asks, then the ten best bids, the digits
//!    as sent, without the point and without leading zeros. A book that does not agree is void, and is to be subscribed anew.
//!
//! Nothing is numbered: a lost message shows in the checksum alone. A snapshot of trades tells what was before, and is
//! no event.

use serde::{Deserialize, Serialize};

use super::book::{NumberedBook, clear_fed};
use super::digits::DigitBook;
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Problem, Receipt, Stamp, Venue, VenueError, rfc3339, taker};
use crate::{BookChecksum, BookSnapshot, EventBody, Exponent, Level, MarketEvent, Side, SymbolId, Trade};
use crate::{TradingStatus, limits::KRAKEN_BOOK_LEVELS};

/// Step 3.
const CHECKSUM_LEVELS: usize = 10;

/// What Kraken's messages mean.
pub(super) struct KrakenV2 {
    directory: Directory,
    books: BySymbol<Book>,
    /// The last `status`.
    is_online: bool,
}

#[derive(Default, Serialize, Deserialize)]
struct Book {
    numbered: NumberedBook,
    digits: DigitBook,
}

impl KrakenV2 {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, books: BySymbol::default(), is_online: true }
    }
}

impl Venue for KrakenV2 {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn keep(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(&self.books, &self.is_online)).ok()
    }

    fn recall(&mut self, kept: &[u8]) -> Result<(), postcard::Error> {
        (self.books, self.is_online) = postcard::from_bytes(kept)?;
        Ok(())
    }

    fn has_bare_numbers(&self) -> bool {
        true
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        let is_fed = |book: &mut Book| book.numbered.on_connect(receipt.connection);
        clear_fed(receipt, self.books.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let Some(channel) = json::text_if_any(&message, "channel") else { return Ok(()) };
        if channel == "instrument" {
            return self.on_instruments(&message);
        }
        if !matches!(channel, "book" | "trade" | "ticker" | "status") {
            return Ok(());
        }
        let is_snapshot = match json::text(&message, "type")? {
            "snapshot" => true,
            "update" => false,
            _ => return Err(VenueError::expected("type", "`snapshot` or `update`")),
        };
        if channel == "trade" && is_snapshot {
            return Ok(());
        }
        for data in &json::list(&message, "data")? {
            let data = json::as_object(data, "data")?;
            if channel == "status" {
                self.on_status(&data, receipt, events)?;
                continue;
            }
            let name = json::text(&data, "symbol")?;
            let stamp = receipt.stamp(self.directory.id(name)?);
            let read = match channel {
                "book" => self.on_book(is_snapshot, receipt, stamp, &data, events),
                "trade" => self.on_trade(stamp, &data, events),
                _ => self.on_ticker(stamp, &data, events),
            };
            read.map_err(|error| error.of(name))?;
        }
        Ok(())
    }
}

impl KrakenV2 {
    /// Pairs of the venue's list; their names are those that are subscribed.
    fn on_instruments(&mut self, message: &Object<'_>) -> Result<(), VenueError> {
        if !self.directory.is_surveying() {
            return Ok(());
        }
        for pair in &json::list(&json::object(message, "data")?, "pairs")? {
            let pair = json::as_object(pair, "pairs")?;
            let name = json::text(&pair, "symbol")?;
            let exponent = |field| {
                i8::try_from(json::natural(&pair, field)?)
                    .ok()
                    .and_then(|decimals| Exponent::new(-decimals).ok())
                    .ok_or_else(|| VenueError::expected(field, "0 to 18"))
            };
            let steps =
                (("price_increment", json::text_if_any(&pair, "price_increment")), ("qty_increment", None));
            let listing = Listing {
                price_exponent: Some(exponent("price_precision").map_err(|error| error.of(name))?),
                size_exponent: Some(exponent("qty_precision").map_err(|error| error.of(name))?),
                book_levels_max: Some(KRAKEN_BOOK_LEVELS),
                ..Listing::of_steps(name, steps.0, steps.1, json::text_if_any(&pair, "quote"))?
            };
            self.directory.list(name, listing)?;
        }
        Ok(())
    }

    /// A `system` other than `online` stops all instruments, until it is `online` again.
    fn on_status(
        &mut self,
        data: &Object<'_>,
        receipt: Receipt,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let system = json::text(data, "system")?;
        let is_online = system == "online";
        if is_online && self.is_online {
            return Ok(());
        }
        self.is_online = is_online;
        let status = match system {
            // Orders are limited, but they trade.
            "online" | "limit_only" | "post_only" => TradingStatus::Trading,
            _ => TradingStatus::Halted,
        };
        for symbol in (0..).map(SymbolId).take(self.directory.instruments().len()) {
            let reason = if is_online { String::new() } else { system.to_owned() };
            events.push(receipt.stamp(symbol).event(EventBody::Status { status, reason }));
        }
        Ok(())
    }

    fn on_book(
        &mut self,
        is_snapshot: bool,
        receipt: Receipt,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        // The first snapshots of this version had no time.
        let stamp = match data.get("timestamp") {
            Some(_) => Stamp { ts_event: rfc3339(data, "timestamp")?, ..stamp },
            None => stamp,
        };
        let bids = self.side(stamp.symbol, is_snapshot, data, "bids", Side::Bid)?;
        let asks = self.side(stamp.symbol, is_snapshot, data, "asks", Side::Ask)?;
        let book = self.books.of(stamp.symbol);
        // Step 1.
        if is_snapshot {
            events.push(stamp.event(EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))));
            book.numbered.on_snapshot(receipt.connection, 0);
        } else {
            let start = events.len();
            let set = |side| move |level| stamp.event(EventBody::LevelSet { side, level });
            events.extend(bids.into_iter().map(set(Side::Bid)));
            events.extend(asks.into_iter().map(set(Side::Ask)));
            if !book.numbered.on_update(receipt.connection, (0, 0), stamp, start, events) {
                return Ok(());
            }
        }
        // Step 2.
        book.digits.truncate(KRAKEN_BOOK_LEVELS);
        // Step 3.
        let checksum = json::natural_32(data, "checksum")?;
        if !self.directory.is_surveying() {
            let checked = book.digits.check_without_points(checksum, CHECKSUM_LEVELS);
            events.push(stamp.event(EventBody::BookChecksum(checked)));
            if checked == (BookChecksum::Checked { agrees: false }) {
                book.numbered.lose(stamp, 0, 0, events);
            }
        }
        Ok(())
    }

    /// Reads the levels of a side, and keeps their digits.
    fn side(
        &mut self,
        symbol: SymbolId,
        is_snapshot: bool,
        data: &Object<'_>,
        field: &'static str,
        side: Side,
    ) -> Result<Vec<Level>, VenueError> {
        let digits = &mut self.books.of(symbol).digits;
        if is_snapshot {
            digits.clear(side);
        }
        let mut levels = Vec::new();
        // A side on which nothing changed may be left out of an update.
        let Some(list) = data.get(field) else {
            let missing = Err(VenueError::new(field, Problem::Missing));
            return if is_snapshot { missing } else { Ok(levels) };
        };
        for level in &json::as_list(list, field)? {
            let level = json::as_object(level, field)?;
            let (price, size) = (json::text(&level, "price")?, json::text(&level, "qty")?);
            let level = self.directory.level(symbol, field, price, size)?;
            digits.set(side, level, price, size);
            levels.push(level);
        }
        Ok(levels)
    }

    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "price", json::text(data, "price")?)?,
            size: self.directory.size(stamp.symbol, "qty", json::text(data, "qty")?)?,
            aggressor: taker(data, "side")?,
            id: Some(json::natural(data, "trade_id")?),
        };
        let stamp = Stamp { ts_event: rfc3339(data, "timestamp")?, ..stamp };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }

    fn on_ticker(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let bid = self.directory.best(stamp.symbol, data, "bid", "bid_qty")?;
        let ask = self.directory.best(stamp.symbol, data, "ask", "ask_qty")?;
        events.push(stamp.event(EventBody::Quote { bid, ask }));
        Ok(())
    }
}
