//! dYdX, API v3 (`api.dydx.exchange/v3/ws`), which closed in October 2024: for its recordings.
//!
//! Every message names its channel and market (documentation: [v3 client and API](https://dydxprotocol.github.io/v3-teacher/#v3-websocket-api)):
//!
//! ```text
//! {"type":"subscribed","message_id":1,"channel":"v3_orderbook","id":"ETH-USD","contents":{"bids":[{"price":"1",
//!  "offset":"2693487298","size":"6.2"},…],"asks":[…]}}
//! {"type":"channel_data","message_id":21,"id":"ETH-USD","channel":"v3_orderbook","contents":{"offset":"2693988240",
//!  "bids":[],"asks":[["4217.8","13.34"]]}}
//! {"type":"channel_data","message_id":291,"id":"ETH-USD","channel":"v3_trades","contents":{"trades":[{"size":"0.1",
//!  "side":"BUY","price":"4215.6","createdAt":"2021-10-28T18:03:51.833Z"}]}}
//! ```
//!
//! The venue's procedure, whose steps the code names:
//! 1. `subscribed` is the whole book, `channel_data` sets levels; size zero deletes.
//! 2. Changes may overtake each other: of two changes of a level, the one with the greater `offset` counts.
//! 3. `message_id` numbers the messages of a connection, but not in the order in which they come. One that has not come
//!    when so many others have ([`REORDERED_MESSAGES_MAX`]) is lost, of whichever market of that connection.
//!
//! `side` of a trade is the taker's. The trades of `subscribed` are of the past, and make no events. The book has no time.

use std::collections::BTreeSet;

use super::book::{Book, clear_fed};
use super::json::{self, Object, Value};
use super::{BySymbol, ConnectionId, Directory, Receipt, Stamp, Venue, VenueError, rfc3339};
use crate::limits::{LEVEL_IDS_MAX, REORDERED_MESSAGES_MAX};
use crate::{Aggressor, BookSnapshot, EventBody, Level, MarketEvent, Price, Side, Size, SymbolId, Trade};
use rustc_hash::FxHashMap;

/// What dYdX's messages mean.
pub(super) struct Dydx {
    directory: Directory,
    markets: BySymbol<Market>,
    orders: FxHashMap<ConnectionId, Order>,
    /// The sum of all markets' offsets.
    count: usize,
}

#[derive(Default)]
struct Market {
    book: Book,
    /// Of the last change of each level, also of those that are gone.
    offsets: FxHashMap<(Side, Price), u64>,
    /// Whose loss is a loss of this market.
    connection: Option<ConnectionId>,
}

/// Which messages of a connection have come.
#[derive(Default)]
struct Order {
    /// One more than the greatest number.
    due: u64,
    /// Smaller ones that have not come.
    missing: BTreeSet<u64>,
}

impl Dydx {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, markets: BySymbol::default(), orders: FxHashMap::default(), count: 0 }
    }
}

impl Venue for Dydx {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        self.orders.remove(&receipt.connection);
        let is_fed = |market: &mut Market| market.book.on_connect(receipt.connection);
        clear_fed(receipt, self.markets.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        self.on_number(receipt, json::natural(&message, "message_id")?, events)?;
        let is_first = match json::text(&message, "type")? {
            "subscribed" => true,
            "channel_data" => false,
            _ => return Ok(()),
        };
        let channel = json::text(&message, "channel")?;
        if !matches!(channel, "v3_orderbook" | "v3_trades") {
            return Ok(());
        }
        let name = json::text(&message, "id")?;
        let symbol = self.directory.id(name)?;
        self.markets.of(symbol).connection = Some(receipt.connection);
        let mut read = || {
            let contents = json::object(&message, "contents")?;
            match (channel, is_first) {
                ("v3_orderbook", true) => self.on_snapshot(receipt, symbol, &contents, events),
                ("v3_orderbook", false) => self.on_update(receipt, symbol, &contents, events),
                (_, is_past) => self.on_trades(receipt, symbol, is_past, &contents, events),
            }
        };
        read().map_err(|error| error.of(name))
    }
}

impl Dydx {
    /// Step 3.
    fn on_number(
        &mut self,
        receipt: Receipt,
        number: u64,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let next =
            number.checked_add(1).ok_or_else(|| VenueError::expected("message_id", "less than 2^64 - 1"))?;
        let order = self
            .orders
            .entry(receipt.connection)
            .or_insert_with(|| Order { due: number, missing: BTreeSet::new() });
        if number < order.due {
            order.missing.remove(&number);
            return Ok(());
        }
        let before = order.due;
        order.due = next;
        let oldest = next.saturating_sub(REORDERED_MESSAGES_MAX);
        let lost = order.missing.first().copied().or((before < number).then_some(before));
        if let Some(lost) = lost.filter(|lost| *lost < oldest) {
            order.missing.clear();
            for (symbol, market) in self.markets.iter_mut() {
                if market.connection == Some(receipt.connection) {
                    market.book = Book::Lost;
                    receipt.stamp(symbol).tell_gap(lost, number, events);
                }
            }
        } else {
            order.missing.extend(before..number);
        }
        Ok(())
    }

    /// Step 1.
    fn on_snapshot(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        contents: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let mut offsets = FxHashMap::default();
        let mut snapshot = BookSnapshot::default();
        for (field, side, levels) in
            [("bids", Side::Bid, &mut snapshot.bids), ("asks", Side::Ask, &mut snapshot.asks)]
        {
            for level in &json::list(contents, field)? {
                let level = json::as_object(level, field)?;
                // Only those who ask for offsets get them.
                let offset = level.get("offset").map_or(Ok(0), |value| json::as_natural(value, "offset"))?;
                let (price, size) = (json::text(&level, "price")?, json::text(&level, "size")?);
                let level = self.directory.level(symbol, field, price, size)?;
                offsets.insert((side, level.price), offset);
                // Levels that are gone are listed for their offset.
                if level.size != Size::ZERO {
                    levels.push(level);
                }
            }
        }
        let market = self.markets.of(symbol);
        self.count = self.count - market.offsets.len() + offsets.len();
        market.offsets = offsets;
        market.book = Book::Held(receipt.connection);
        let stamp = receipt.stamp(symbol);
        events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
        self.check_count(stamp, events);
        Ok(())
    }

    /// Steps 1 and 2.
    fn on_update(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        contents: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let offset = json::natural(contents, "offset")?;
        let stamp = Stamp { sequence: offset, ..receipt.stamp(symbol) };
        let market = self.markets.of(symbol);
        let start = events.len();
        let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
        let is_held = market.book.on_update(receipt.connection, events, start, no_snapshot);
        for (field, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
            for level in &json::list(contents, field)? {
                let level: Level = self.directory.level_of(symbol, field, level)?;
                if !is_held {
                    continue;
                }
                let count = market.offsets.len();
                let last = market.offsets.entry((side, level.price)).or_default();
                if *last <= offset {
                    *last = offset;
                    events.push(stamp.event(EventBody::LevelSet { side, level }));
                }
                self.count += market.offsets.len() - count;
            }
        }
        self.check_count(stamp, events);
        Ok(())
    }

    /// Gives up the book of the market that went over the bound.
    fn check_count(&mut self, stamp: Stamp, events: &mut Vec<MarketEvent>) {
        if self.count > LEVEL_IDS_MAX {
            let market = self.markets.of(stamp.symbol);
            self.count -= market.offsets.len();
            market.offsets = FxHashMap::default();
            market.book = Book::Lost;
            stamp.tell_gap(0, 0, events);
        }
    }

    fn on_trades(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        is_past: bool,
        contents: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for trade in &json::list(contents, "trades")? {
            let data = json::as_object(trade, "trades")?;
            let trade = Trade {
                price: self.directory.price(symbol, "price", json::text(&data, "price")?)?,
                size: self.directory.size(symbol, "size", json::text(&data, "size")?)?,
                aggressor: match json::text(&data, "side")? {
                    "BUY" => Aggressor::Buy,
                    "SELL" => Aggressor::Sell,
                    _ => return Err(VenueError::expected("side", "`BUY` or `SELL`")),
                },
                id: None,
            };
            let stamp = Stamp { ts_event: rfc3339(&data, "createdAt")?, ..receipt.stamp(symbol) };
            if !is_past {
                events.push(stamp.event(EventBody::Trade(trade)));
            }
        }
        Ok(())
    }
}
