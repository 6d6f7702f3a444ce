//! Bitstamp, WebSocket API v2 (`ws.bitstamp.net`).
//!
//! Every message names its channel, whose end is the instrument
//! ([documentation](https://www.bitstamp.net/websocket/v2/)):
//!
//! ```text
//! {"data":{"timestamp":"1641343691","microtimestamp":"1641343691244908","bids":[["1.15979","993.02588113"]],
//!  "asks":[["1.17484","0.00000000"]]},"channel":"diff_order_book_bateur","event":"data"}
//! {"data":{"id":216000477,"timestamp":"1641343699","amount":0.0792,"amount_str":"0.07920000","price":3805.44,
//!  "price_str":"3805.44","type":0,"microtimestamp":"1641343699596000",…},"channel":"live_trades_ethusd","event":"trade"}
//! {"event":"bts:subscription_succeeded","channel":"diff_order_book_sgbeur","data":{}}
//! ```
//!
//! The venue's procedure for a book: keep the messages of `diff_order_book`, get `order_book/<pair>`, drop the messages
//! whose `microtimestamp` is not later than that of the answer, and apply the others. They are not numbered, so that a
//! lost one is not seen; only that the time goes back. The join is in `venue/depth.rs`.
//!
//! - `type` of a trade is the taker's side: 0 buys, 1 sells.
//! - `order_book` is the top of the book and `detail_order_book` its orders: no events, the book comes from the changes.

use super::depth::{DepthRange, Depths, Link};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{Directory, Receipt, Stamp, Venue, VenueError, microseconds};
use crate::{Aggressor, EventBody, Exponent, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// What Bitstamp's messages mean.
pub(super) struct Bitstamp {
    directory: Directory,
    depths: Depths,
}

impl Bitstamp {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, depths: Depths::default() }
    }
}

impl Venue for Bitstamp {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn on_connect(&mut self, receipt: Receipt, _address: &str, events: &mut Vec<MarketEvent>) {
        self.depths.on_connect(receipt, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let event = json::text(&message, "event")?;
        if !matches!(event, "data" | "trade") {
            return Ok(());
        }
        let channel = json::text(&message, "channel")?;
        let (name, is_trade) =
            match (channel.strip_prefix("diff_order_book_"), channel.strip_prefix("live_trades_")) {
                (Some(name), _) => (name.to_ascii_uppercase(), false),
                (None, Some(name)) => (name.to_ascii_uppercase(), true),
                (None, None) => return Ok(()),
            };
        let symbol = self.directory.id(&name)?;
        let mut read = || {
            let data = json::object(&message, "data")?;
            let stamp = stamp(&data, symbol, receipt.ts_recv)?;
            if is_trade {
                return self.on_trade(stamp, &data, events);
            }
            let start = events.len();
            self.directory.level_sets(stamp, &data, "bids", Side::Bid, events)?;
            self.directory.level_sets(stamp, &data, "asks", Side::Ask, events)?;
            let range = DepthRange { first: stamp.sequence, last: stamp.sequence, link: Link::Later };
            self.depths.on_range(receipt.connection, range, stamp, start, events);
            Ok(())
        };
        read().map_err(|error: VenueError| error.of(&name))
    }

    fn wants_answer(&self, url: &str) -> bool {
        url.contains("/order_book/") || (url.contains("/trading-pairs-info") && self.directory.is_surveying())
    }

    /// ```text
    /// {"timestamp": "1641343695", "microtimestamp": "1641343695572693", "bids": [["0.14695", "4567.41344936"],…], …}
    /// [{"url_symbol": "btcusd", "name": "BTC/USD", "base_decimals": 8, "counter_decimals": 2, …},…]
    /// ```
    fn on_answer(
        &mut self,
        url: &str,
        answer: Value<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Some((_, pair)) = url.split_once("/order_book/") else {
            return read_pairs(answer, &mut self.directory);
        };
        let name = pair.split(['/', '?']).next().unwrap_or_default().to_ascii_uppercase();
        let symbol = self.directory.id(&name)?;
        let mut read = || {
            let answer = json::as_object(answer, "order_book")?;
            let snapshot = self.directory.snapshot(symbol, &answer, "bids", "asks")?;
            self.depths.on_snapshot(stamp(&answer, symbol, ts_recv)?, snapshot, events);
            Ok(())
        };
        read().map_err(|error: VenueError| error.of(&name))
    }
}

impl Bitstamp {
    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "price_str", json::text(data, "price_str")?)?,
            size: self.directory.size(stamp.symbol, "amount_str", json::text(data, "amount_str")?)?,
            aggressor: match json::natural(data, "type")? {
                0 => Aggressor::Buy,
                1 => Aggressor::Sell,
                _ => return Err(VenueError::expected("type", "0 or 1")),
            },
            id: Some(json::natural(data, "id")?),
        };
        events.push(Stamp { sequence: 0, ..stamp }.event(EventBody::Trade(trade)));
        Ok(())
    }
}

/// The time is the number of the state, too.
fn stamp(data: &Object<'_>, symbol: SymbolId, ts_recv: Timestamp) -> Result<Stamp, VenueError> {
    let sequence = json::natural(data, "microtimestamp")?;
    let ts_event = microseconds("microtimestamp", sequence)?;
    Ok(Stamp { symbol, ts_event, ts_recv, sequence })
}

fn read_pairs(answer: Value<'_>, directory: &mut Directory) -> Result<(), VenueError> {
    for pair in &json::as_list(answer, "trading-pairs-info")? {
        let pair = json::as_object(pair, "trading-pairs-info")?;
        let name = json::text(&pair, "url_symbol")?.to_ascii_uppercase();
        let decimals = |field| {
            let value = json::natural(&pair, field).map_err(|error| error.of(&name))?;
            i8::try_from(value)
                .ok()
                .and_then(|decimals| Exponent::new(-decimals).ok())
                .ok_or_else(|| VenueError::expected(field, "0 to 18").of(&name))
        };
        let listing = Listing {
            price_exponent: Some(decimals("counter_decimals")?),
            size_exponent: Some(decimals("base_decimals")?),
            tick_size: None,
            currency: json::text_if_any(&pair, "name")
                .and_then(|name| Some(name.split_once('/')?.1.to_owned())),
            book_levels_max: None,
        };
        directory.list(&name, listing)?;
    }
    Ok(())
}
