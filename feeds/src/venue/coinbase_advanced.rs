//! Coinbase Advanced Trade (`advanced-trade-ws.coinbase.com`).
//!
//! Every message names its channel and carries events
//! ([documentation](https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels)):
//!
//! ```text
//! {"channel":"l2_data","timestamp":"2026-08-09T21:05:48.483587501Z","sequence_num":13,"events":[{"type":"snapshot",
//!  "product_id":"BTC-USD","updates":[{"side":"bid","event_time":"2026-08-09T21:05:48.170326Z",
//!  "price_level":"65083.66","new_quantity":"0.20371215"},…]}]}
//! {…"events":[{"type":"update","product_id":"BTC-USD","updates":[{"side":"offer","price_level":"65106.54",
//!  "new_quantity":"0",…}]}]}
//! {"channel":"market_trades",…,"events":[{"type":"update","trades":[{"product_id":"BTC-USD",
//!  "trade_id":"1068572091","price":"65083.67","size":"0.01034361","time":"2026-08-09T21:05:48.167634Z","side":"SELL"}]}]}
//! {"channel":"ticker",…,"events":[{"type":"update","tickers":[{"product_id":"ETH-USD","best_bid":"1919.44",
//!  "best_bid_quantity":"0.02858092","best_ask":"1919.49","best_ask_quantity":"0.07814824",…}]}]}
//! {"channel":"status",…,"events":[{"type":"snapshot","products":[{"product_type":"SPOT","id":"BTC-USD",
//!  "base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01",
//!  "status":"online",…}]}]}
//! ```
//!
//! The venue's procedure, whose steps the code names:
//! 1. `sequence_num` rises by one over all messages of a connection. A hole says that messages were lost, of whichever
//!    products of that connection.
//! 2. `snapshot` is the whole book, `update` sets levels; size zero deletes.
//!
//! - `side` of a trade is the **maker's** side, so the aggressor's is the other one. A message lists its trades newest
//!   first. The `snapshot` of trades is of the past, and makes no events.
//! - `ticker` and `ticker_batch` are quotes.
//! - A product in USDC has the book of the one in USD, and its messages come under that one's name.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::book::{Book, clear_fed};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, ConnectionId, Directory, Receipt, Stamp, Venue, VenueError, rfc3339};
use crate::{Aggressor, BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// What Coinbase Advanced Trade's messages mean.
pub(super) struct CoinbaseAdvanced {
    directory: Directory,
    products: BySymbol<Product>,
    /// The number that is due, by connection.
    due: FxHashMap<ConnectionId, u64>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Product {
    book: Book,
    /// Whose loss is a loss of this product.
    connection: Option<ConnectionId>,
}

impl CoinbaseAdvanced {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, products: BySymbol::default(), due: FxHashMap::default() }
    }
}

impl Venue for CoinbaseAdvanced {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn keep(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(&self.products, &self.due)).ok()
    }

    fn recall(&mut self, kept: &[u8]) -> Result<(), postcard::Error> {
        (self.products, self.due) = postcard::from_bytes(kept)?;
        Ok(())
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        self.due.remove(&receipt.connection);
        let is_fed = |product: &mut Product| product.book.on_connect(receipt.connection);
        clear_fed(receipt, self.products.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        // `{"type":"error",…}` has none.
        let Some(channel) = json::text_if_any(&message, "channel") else { return Ok(()) };
        self.on_sequence(receipt, json::natural(&message, "sequence_num")?, events)?;
        if channel == "status" {
            return self.on_status(&message);
        }
        if !matches!(channel, "l2_data" | "market_trades" | "ticker" | "ticker_batch") {
            return Ok(());
        }
        let ts_event = rfc3339(&message, "timestamp")?;
        for event in &json::list(&message, "events")? {
            let event = json::as_object(event, "events")?;
            match channel {
                "l2_data" => self.with_product(receipt, ts_event, &event, |this, stamp| {
                    this.on_book(receipt, stamp, &event, events)
                })?,
                "market_trades" => {
                    let is_past = json::text(&event, "type")? == "snapshot";
                    let start = events.len();
                    for trade in &json::list(&event, "trades")? {
                        let trade = json::as_object(trade, "trades")?;
                        self.with_product(receipt, ts_event, &trade, |this, stamp| {
                            this.on_trade(stamp, &trade, events)
                        })?;
                    }
                    if is_past {
                        events.truncate(start);
                    }
                    events[start..].reverse();
                }
                _ => {
                    for ticker in &json::list(&event, "tickers")? {
                        let ticker = json::as_object(ticker, "tickers")?;
                        // Before 2024 there were no sizes: no quote.
                        if ticker.get("best_bid_quantity").is_none() {
                            continue;
                        }
                        self.with_product(receipt, ts_event, &ticker, |this, stamp| {
                            let mut best =
                                |price, size| this.directory.best(stamp.symbol, &ticker, price, size);
                            let bid = best("best_bid", "best_bid_quantity")?;
                            let ask = best("best_ask", "best_ask_quantity")?;
                            events.push(stamp.event(EventBody::Quote { bid, ask }));
                            Ok(())
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/products")
    }

    /// ```text
    /// {"products":[{"product_id":"BTC-USD","quote_increment":"0.01","base_increment":"0.00000001",
    ///  "quote_currency_id":"USD",…},…]}
    /// ```
    fn on_answer(
        &mut self,
        _url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "products")?;
        for product in &json::list(&answer, "products")? {
            let product = json::as_object(product, "products")?;
            let name = json::text(&product, "product_id")?;
            let told = |field| (field, json::text_if_any(&product, field));
            let currency = told("quote_currency_id").1;
            let steps = (told("quote_increment"), told("base_increment"));
            self.directory.list(name, Listing::of_steps(name, steps.0, steps.1, currency)?)?;
        }
        Ok(())
    }
}

impl CoinbaseAdvanced {
    /// Products of the venue's list, in another spelling than by REST.
    fn on_status(&mut self, message: &Object<'_>) -> Result<(), VenueError> {
        if !self.directory.is_surveying() {
            return Ok(());
        }
        for event in &json::list(message, "events")? {
            for product in &json::list(&json::as_object(event, "events")?, "products")? {
                let product = json::as_object(product, "products")?;
                let name = json::text(&product, "id")?;
                let told = |field| (field, json::text_if_any(&product, field));
                let steps = (told("quote_increment"), told("base_increment"));
                let listing = Listing::of_steps(name, steps.0, steps.1, told("quote_currency").1)?;
                self.directory.list(name, listing)?;
            }
        }
        Ok(())
    }

    /// Step 1.
    fn on_sequence(
        &mut self,
        receipt: Receipt,
        sequence: u64,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let next = sequence
            .checked_add(1)
            .ok_or_else(|| VenueError::expected("sequence_num", "less than 2^64 - 1"))?;
        if let Some(expected) = self.due.insert(receipt.connection, next)
            && expected != sequence
        {
            for (symbol, product) in self.products.iter_mut() {
                if product.connection == Some(receipt.connection) {
                    product.book = Book::Lost;
                    receipt.stamp(symbol).tell_gap(expected, sequence, events);
                }
            }
        }
        Ok(())
    }

    /// The name under which a product is followed that is not known by its own: `BTC-USD` tells of `BTC-USDC` too, where that
    /// alone was asked for.
    fn followed_as<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let in_usdc = || Some(format!("{}-USDC", name.strip_suffix("-USD")?));
        let is_ours = |name: &String| self.directory.find(name).is_some() || self.directory.lists(name);
        match in_usdc().filter(is_ours) {
            Some(in_usdc) if !self.directory.lists(name) => Cow::Owned(in_usdc),
            _ => Cow::Borrowed(name),
        }
    }

    /// Reads `data`, of the product that it names.
    fn with_product(
        &mut self,
        receipt: Receipt,
        ts_event: Timestamp,
        data: &Object<'_>,
        read: impl FnOnce(&mut Self, Stamp) -> Result<(), VenueError>,
    ) -> Result<(), VenueError> {
        let name = json::text(data, "product_id")?;
        let symbol = match self.directory.find(name) {
            Some(symbol) => symbol,
            None => self.directory.id(&self.followed_as(name))?,
        };
        self.products.of(symbol).connection = Some(receipt.connection);
        read(self, Stamp { ts_event, ..receipt.stamp(symbol) }).map_err(|error| error.of(name))
    }

    /// Step 2.
    fn on_book(
        &mut self,
        receipt: Receipt,
        stamp: Stamp,
        event: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Stamp { symbol, .. } = stamp;
        let start = events.len();
        match json::text(event, "type")? {
            "snapshot" => {
                let mut snapshot = BookSnapshot::default();
                for update in &json::list(event, "updates")? {
                    let (side, level) = self.level(symbol, &json::as_object(update, "updates")?)?;
                    match side {
                        Side::Bid => snapshot.bids.push(level),
                        Side::Ask => snapshot.asks.push(level),
                    }
                }
                self.products.of(symbol).book = Book::Held(receipt.connection);
                events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
            }
            "update" => {
                for update in &json::list(event, "updates")? {
                    let update = json::as_object(update, "updates")?;
                    let (side, level) = self.level(symbol, &update)?;
                    let stamp = Stamp { ts_event: rfc3339(&update, "event_time")?, ..stamp };
                    events.push(stamp.event(EventBody::LevelSet { side, level }));
                }
                let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
                self.products.of(symbol).book.on_update(receipt.connection, events, start, no_snapshot);
            }
            _ => return Err(VenueError::expected("type", "`snapshot` or `update`")),
        }
        Ok(())
    }

    fn level(&mut self, symbol: SymbolId, update: &Object<'_>) -> Result<(Side, Level), VenueError> {
        let side = match json::text(update, "side")? {
            "bid" => Side::Bid,
            "offer" => Side::Ask,
            _ => return Err(VenueError::expected("side", "`bid` or `offer`")),
        };
        let price = self.directory.price(symbol, "price_level", json::text(update, "price_level")?)?;
        let size = self.directory.size(symbol, "new_quantity", json::text(update, "new_quantity")?)?;
        Ok((side, Level { price, size }))
    }

    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "price", json::text(data, "price")?)?,
            size: self.directory.size(stamp.symbol, "size", json::text(data, "size")?)?,
            aggressor: match json::text(data, "side")? {
                "BUY" => Aggressor::Sell,
                "SELL" => Aggressor::Buy,
                _ => return Err(VenueError::expected("side", "`BUY` or `SELL`")),
            },
            id: Some(json::natural(data, "trade_id")?),
        };
        events.push(Stamp { ts_event: rfc3339(data, "time")?, ..stamp }.event(EventBody::Trade(trade)));
        Ok(())
    }
}
