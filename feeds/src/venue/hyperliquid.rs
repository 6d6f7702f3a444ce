//! Hyperliquid (`api.hyperliquid.xyz/ws`).
//!
//! Every message names its channel
//! ([documentation](https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/websocket/subscriptions)):
//!
//! ```text
//! {"channel":"l2Book","data":{"coin":"BTC","time":1737918843893,"levels":[[{"px":"105055.0","sz":"3.03622","n":5},…],
//!  [{"px":"105056.0","sz":"0.1","n":1},…]]}}
//! {"channel":"trades","data":[{"coin":"BTC","side":"B","px":"105056.0","sz":"0.00219","time":1737918794873,
//!  "tid":121451470284048,…}]}
//! ```
//!
//! - `l2Book` is the whole book of 20 levels a side, bids first, each time: there is nothing to number.
//! - `side` of a trade is the taker's: `B` buys, `A` sells.

use super::json::{self, Object, Value};
use super::{Directory, Problem, Receipt, Stamp, Venue, VenueError, milliseconds};
use crate::{Aggressor, BookSnapshot, EventBody, Level, MarketEvent, SymbolId, Trade};

/// What Hyperliquid's messages mean.
pub(super) struct Hyperliquid {
    directory: Directory,
}

impl Hyperliquid {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory }
    }
}

impl Venue for Hyperliquid {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    /// Its first message replaces what was held.
    fn on_connect(&mut self, _receipt: Receipt, _address: &str, _events: &mut Vec<MarketEvent>) {}

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        match json::text_if_any(&message, "channel") {
            Some("l2Book") => {
                let data = json::object(&message, "data")?;
                self.with_coin(receipt, &data, |this, stamp| {
                    let levels = json::list(&data, "levels")?;
                    let mut side = |index| this.side(stamp.symbol, levels.get(index));
                    let snapshot = BookSnapshot { bids: side(0)?, asks: side(1)? };
                    events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
                    Ok(())
                })
            }
            Some("trades") => {
                for trade in &json::list(&message, "data")? {
                    let data = json::as_object(trade, "data")?;
                    self.with_coin(receipt, &data, |this, stamp| this.on_trade(stamp, &data, events))?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Hyperliquid {
    /// Reads `data`, of the coin that it names. Some have a lower-case `k` for a thousand.
    fn with_coin(
        &mut self,
        receipt: Receipt,
        data: &Object<'_>,
        read: impl FnOnce(&mut Self, Stamp) -> Result<(), VenueError>,
    ) -> Result<(), VenueError> {
        let name = json::text(data, "coin")?.to_ascii_uppercase();
        let symbol = self.directory.id(&name)?;
        milliseconds(data, "time")
            .and_then(|ts_event| read(self, Stamp { ts_event, ..receipt.stamp(symbol) }))
            .map_err(|error| error.of(&name))
    }

    fn side(&mut self, symbol: SymbolId, side: Option<Value<'_>>) -> Result<Vec<Level>, VenueError> {
        let side = side.ok_or_else(|| VenueError::new("levels", Problem::Missing))?;
        let level = |level| {
            let level = json::as_object(level, "levels")?;
            let price = self.directory.price(symbol, "px", json::text(&level, "px")?)?;
            let size = self.directory.size(symbol, "sz", json::text(&level, "sz")?)?;
            Ok(Level { price, size })
        };
        json::as_list(side, "levels")?.iter().map(level).collect()
    }

    fn on_trade(
        &mut self,
        stamp: Stamp,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(stamp.symbol, "px", json::text(data, "px")?)?,
            size: self.directory.size(stamp.symbol, "sz", json::text(data, "sz")?)?,
            aggressor: match json::text(data, "side")? {
                "B" => Aggressor::Buy,
                "A" => Aggressor::Sell,
                _ => return Err(VenueError::expected("side", "`B` or `A`")),
            },
            id: Some(json::natural(data, "tid")?),
        };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}
