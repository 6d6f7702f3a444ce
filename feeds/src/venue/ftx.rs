//! FTX (`ftx.com/ws`), which closed in November 2022: for its recordings.
//!
//! Every message names its channel and market (documentation: `docs.ftx.com`, gone with the venue; its rules are those
//! of the [client it published](https://github.com/ftexchange/ftx/blob/master/websocket/client.py)):
//!
//! ```text
//! {"channel": "orderbook", "market": "MKR-PERP", "type": "partial", "data": {"time": 1626993904.2528822,
//!  "checksum": 1581592315, "bids": [[2414.5, 0.568],…], "asks": […], "action": "partial"}}
//! {"channel": "orderbook", "market": "MKR-PERP", "type": "update", "data": {"time": 1626993904.3723018,
//!  "checksum": 640576598, "bids": [], "asks": [[2416.0, 0.755]], "action": "update"}}
//! {"channel": "trades", "market": "BTC-1231", "type": "update", "data": [{"id": 1473821801, "price": 32818.0,
//!  "size": 0.2124, "side": "sell", "liquidation": false, "time": "2021-07-22T22:45:25.174228+00:00"}]}
//! {"channel": "ticker", "market": "BTC-1231", "type": "update", "data": {"bid": 32819.0, "ask": 32826.0,
//!  "bidSize": 0.26, "askSize": 0.0003, "last": 32820.0, "time": 1626993904.2412188}}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `partial` is the whole book of a hundred levels a side, `update` sets levels; size zero deletes.
//! 2. `checksum` is the CRC-32 of the best hundred levels, `bid:size:ask:size:…`, each number as Python prints a float:
//!    `2414.0`, `5e-05`. Most are sent so, but not all.
//!
//! - `side` of a trade is the taker's.
//! - Prices and sizes are numbers of JSON, and are read from their digits.

use std::borrow::Cow;

use super::book::{Book, clear_fed};
use super::digits::DigitBook;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Receipt, Stamp, Venue, VenueError, rfc3339, seconds, taker};
use crate::{BookChecksum, BookSnapshot, EventBody, Level, MarketEvent, Side, SymbolId, Trade};

/// Step 2.
const CHECKSUM_LEVELS: usize = 100;

/// What FTX's messages mean.
pub(super) struct Ftx {
    directory: Directory,
    markets: BySymbol<Market>,
}

#[derive(Default)]
struct Market {
    book: Book,
    digits: DigitBook,
}

impl Ftx {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, markets: BySymbol::default() }
    }
}

impl Venue for Ftx {
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
        let Some(data) = message.get("data") else { return Ok(()) };
        let channel = json::text(&message, "channel")?;
        if !matches!(channel, "orderbook" | "trades" | "ticker") {
            return Ok(());
        }
        let name = json::text(&message, "market")?;
        let symbol = self.directory.id(name)?;
        let mut read = || match channel {
            "trades" => {
                for trade in &json::as_list(data, "data")? {
                    self.on_trade(receipt, symbol, &json::as_object(trade, "data")?, events)?;
                }
                Ok(())
            }
            _ => {
                let data = json::as_object(data, "data")?;
                let ts_event = seconds("time", json::text(&data, "time")?.as_bytes())?;
                let stamp = Stamp { ts_event, ..receipt.stamp(symbol) };
                if channel == "orderbook" {
                    return self.on_book(receipt, stamp, json::text(&message, "type")?, &data, events);
                }
                let bid = self.directory.best(symbol, &data, "bid", "bidSize")?;
                let ask = self.directory.best(symbol, &data, "ask", "askSize")?;
                events.push(stamp.event(EventBody::Quote { bid, ask }));
                Ok(())
            }
        };
        read().map_err(|error| error.of(name))
    }
}

impl Ftx {
    fn on_book(
        &mut self,
        receipt: Receipt,
        stamp: Stamp,
        kind: &str,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let is_snapshot = match kind {
            "partial" => true,
            "update" => false,
            _ => return Err(VenueError::expected("type", "`partial` or `update`")),
        };
        if is_snapshot {
            self.markets.of(stamp.symbol).digits = DigitBook::default();
        }
        let bids = self.side(stamp.symbol, data, "bids", Side::Bid)?;
        let asks = self.side(stamp.symbol, data, "asks", Side::Ask)?;
        let checksum = json::natural_32(data, "checksum")?;
        let market = self.markets.of(stamp.symbol);
        // Step 1.
        if is_snapshot {
            market.book = Book::Held(receipt.connection);
            events.push(stamp.event(EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))));
        } else {
            let start = events.len();
            let set = |side| move |level| stamp.event(EventBody::LevelSet { side, level });
            events.extend(bids.into_iter().map(set(Side::Bid)));
            events.extend(asks.into_iter().map(set(Side::Ask)));
            let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
            if !market.book.on_update(receipt.connection, events, start, no_snapshot) {
                return Ok(());
            }
        }
        // Step 2.
        if !self.directory.is_surveying() {
            let checked = market.digits.check(checksum, CHECKSUM_LEVELS);
            events.push(stamp.event(EventBody::BookChecksum(checked)));
            if checked == (BookChecksum::Checked { agrees: false }) {
                market.book = Book::Lost;
                stamp.tell_gap(0, 0, events);
            }
        }
        Ok(())
    }

    /// Reads the levels of a side, and keeps their digits.
    fn side(
        &mut self,
        symbol: SymbolId,
        data: &Object<'_>,
        field: &'static str,
        side: Side,
    ) -> Result<Vec<Level>, VenueError> {
        let digits = &mut self.markets.of(symbol).digits;
        let mut levels = Vec::new();
        for level in &json::list(data, field)? {
            let (price, size) = json::price_and_size(level, field)?;
            let level = self.directory.level(symbol, field, price, size)?;
            digits.set(side, level, &as_python(price), &as_python(size));
            levels.push(level);
        }
        Ok(levels)
    }

    fn on_trade(
        &mut self,
        receipt: Receipt,
        symbol: SymbolId,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let trade = Trade {
            price: self.directory.price(symbol, "price", json::text(data, "price")?)?,
            size: self.directory.size(symbol, "size", json::text(data, "size")?)?,
            aggressor: taker(data, "side")?,
            id: Some(json::natural(data, "id")?),
        };
        let stamp = Stamp { ts_event: rfc3339(data, "time")?, ..receipt.stamp(symbol) };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }
}

/// A decimal number above zero as Python prints a float: with a digit behind the point, or below a ten-thousandth with an
/// exponent. (So it does from 10^16 on, too, which no market has.)
fn as_python(number: &str) -> Cow<'_, str> {
    let plain = json::without_exponent(number);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = fraction.trim_start_matches('0');
    let zeros = fraction.len() - digits.len();
    let is_tiny = whole == "0" && zeros >= 4 && !digits.is_empty();
    let shown = if is_tiny {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        format!("{first}{point}{rest}e-{:02}", zeros + 1)
    } else if fraction.is_empty() {
        format!("{whole}.0")
    } else {
        format!("{whole}.{fraction}")
    };
    if shown == number { Cow::Borrowed(number) } else { Cow::Owned(shown) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_python_prints_floats() {
        for (sent, printed) in [
            ("2414.5", "2414.5"),
            ("2414", "2414.0"),
            ("2414.50", "2414.5"),
            ("0.0001", "0.0001"),
            ("0.00005", "5e-05"),
            ("5e-05", "5e-05"),
            ("0.000012300", "1.23e-05"),
            ("1e-10", "1e-10"),
            ("0.0", "0.0"),
            ("1e3", "1000.0"),
        ] {
            assert_eq!(as_python(sent), printed, "{sent}");
        }
    }
}
