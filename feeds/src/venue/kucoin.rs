//! KuCoin, spot (`ws-api.kucoin.com`).
//!
//! Every message of market data names its topic
//! ([documentation](https://www.kucoin.com/docs/websocket/spot-trading/public-channels/level2-market-data)):
//!
//! ```text
//! {"type":"message","topic":"/market/level2:BCHSV-USDT","subject":"trade.l2update","data":{"symbol":"BCHSV-USDT",
//!  "sequenceStart":1613277183875,"sequenceEnd":1613277183875,"changes":{"asks":[["244.351","150","1613277183875"]],"bids":[]}}}
//! {…"topic":"/market/ticker:SNX-BTC","subject":"trade.ticker","data":{"sequence":"1612844051653","bestBid":"0.00028678",
//!  "bestBidSize":"3.70422021","bestAsk":"0.00028717","bestAskSize":"14.04274325","time":1619378326323,…}}
//! {…"topic":"/market/match:DAPPT-BTC","subject":"trade.l3match","data":{"symbol":"DAPPT-BTC","side":"buy",
//!  "size":"81.8814","price":"0.0000001117","time":"1619378327739050725","tradeId":"6085c09769bc506996295e36",…}}
//! ```
//!
//! The venue's procedure for a book: keep the messages of `level2`, get `orderbook/level2`, drop those that it holds
//! (`sequenceEnd <= sequence`), and from there each `sequenceStart` is the `sequenceEnd` before and one. That is the
//! procedure of Binance's spot market, in `venue/depth.rs`. A change at price zero only moves the number.
//!
//! - `side` of a match is the taker's.
//! - Changes have no time but in messages since 2022.

use super::depth::{DepthRange, Depths, Link};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{Directory, Receipt, Stamp, Venue, VenueError, milliseconds, taker};
use crate::{EventBody, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// What KuCoin's messages mean.
pub(super) struct Kucoin {
    directory: Directory,
    depths: Depths,
}

impl Kucoin {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, depths: Depths::default() }
    }
}

impl Venue for Kucoin {
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
        if json::text(&message, "type")? != "message" {
            return Ok(());
        }
        let read = match json::text_if_any(&message, "subject") {
            Some("trade.l2update") => Self::on_depth,
            Some("trade.ticker") => Self::on_ticker,
            Some("trade.l3match") => Self::on_trade,
            _ => return Ok(()),
        };
        let topic = json::text(&message, "topic")?;
        let (_, name) = topic.rsplit_once(':').ok_or_else(|| VenueError::expected("topic", "…:<symbol>"))?;
        if name == "all" {
            return Ok(());
        }
        let symbol = self.directory.id(name)?;
        json::object(&message, "data")
            .and_then(|data| read(self, receipt, symbol, &data, events))
            .map_err(|error| error.of(name))
    }

    fn wants_answer(&self, url: &str) -> bool {
        url.contains("/orderbook/level2") || (url.contains("/symbols") && self.directory.is_surveying())
    }

    /// ```text
    /// {"code":"200000","data":{"time":1619378326628,"sequence":"1613277183892","bids":[["242.649","5"],…],"asks":[…]}}
    /// {"code":"200000","data":[{"symbol":"REQ-ETH","quoteCurrency":"ETH","priceIncrement":"0.0000001",
    ///  "baseIncrement":"0.0001",…},…]}
    /// ```
    fn on_answer(
        &mut self,
        url: &str,
        answer: Value<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "answer")?;
        if !url.contains("/orderbook/level2") {
            for symbol in &json::list(&answer, "data")? {
                let symbol = json::as_object(symbol, "data")?;
                let name = json::text(&symbol, "symbol")?;
                let told = |field| (field, json::text_if_any(&symbol, field));
                let (price, size) = (told("priceIncrement"), told("baseIncrement"));
                self.directory.list(name, Listing::of_steps(name, price, size, told("quoteCurrency").1)?)?;
            }
            return Ok(());
        }
        let name = url
            .split(['?', '&'])
            .find_map(|parameter| parameter.strip_prefix("symbol="))
            .ok_or_else(|| VenueError::expected("url", "a parameter `symbol`"))?;
        let symbol = self.directory.id(name)?;
        let mut read = || {
            let data = json::object(&answer, "data")?;
            let (ts_event, sequence) = (milliseconds(&data, "time")?, json::natural(&data, "sequence")?);
            let snapshot = self.directory.snapshot(symbol, &data, "bids", "asks")?;
            self.depths.on_snapshot(Stamp { symbol, ts_event, ts_recv, sequence }, snapshot, events);
            Ok(())
        };
        read().map_err(|error: VenueError| error.of(name))
    }
}

impl Kucoin {
    fn on_depth(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (first, last) = (json::natural(data, "sequenceStart")?, json::natural(data, "sequenceEnd")?);
        let mut stamp = Stamp { sequence: last, ..receipt.stamp(symbol) };
        if data.get("time").is_some() {
            stamp.ts_event = milliseconds(data, "time")?;
        }
        let changes = json::object(data, "changes")?;
        let start = events.len();
        for (field, side) in [("bids", Side::Bid), ("asks", Side::Ask)] {
            for level in &json::list(&changes, field)? {
                let (price, size) = json::price_and_size(level, field)?;
                let level = self.directory.level(symbol, field, price, size)?;
                if price != "0" {
                    events.push(stamp.event(EventBody::LevelSet { side, level }));
                }
            }
        }
        let range = DepthRange { first, last, link: Link::Next };
        self.depths.on_range(receipt.connection, range, stamp, start, events);
        Ok(())
    }

    fn on_ticker(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (ts_event, sequence) = (milliseconds(data, "time")?, json::natural(data, "sequence")?);
        let bid = self.directory.best(symbol, data, "bestBid", "bestBidSize")?;
        let ask = self.directory.best(symbol, data, "bestAsk", "bestAskSize")?;
        let stamp = Stamp { ts_event, sequence, ..receipt.stamp(symbol) };
        events.push(stamp.event(EventBody::Quote { bid, ask }));
        Ok(())
    }

    fn on_trade(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let nanoseconds = i64::try_from(json::natural(data, "time")?)
            .map_err(|_| VenueError::expected("time", "nanoseconds before the year 2262"))?;
        let trade = Trade {
            price: self.directory.price(symbol, "price", json::text(data, "price")?)?,
            size: self.directory.size(symbol, "size", json::text(data, "size")?)?,
            aggressor: taker(data, "side")?,
            // Their numbers have 96 bits.
            id: None,
        };
        let stamp = Stamp { ts_event: Timestamp(nanoseconds), ..receipt.stamp(symbol) };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}
