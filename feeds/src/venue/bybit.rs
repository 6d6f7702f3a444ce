//! Bybit, API v5 (`stream.bybit.com/v5/public/…`), also the recorded books that Bybit offers for download (`ob500`).
//!
//! Every message of market data names its topic
//! ([documentation](https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook)):
//!
//! ```text
//! {"topic":"orderbook.200.BTCUSDT","type":"snapshot","ts":1786310818130,"data":{"s":"BTCUSDT",
//!  "b":[["65114.20","6.054"],…],"a":[…],"u":15076952,"seq":753843913800},"cts":1786310818129}
//! {"topic":"orderbook.200.BTCUSDT","type":"delta","ts":1786310818230,"data":{"s":"BTCUSDT",
//!  "b":[["65095.30","0"]],"a":[],"u":15076953,"seq":753843913870},"cts":1786310818229}
//! {"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Price":"65114.20","bid1Size":"6.054",
//!  "ask1Price":"65114.30","ask1Size":"10.486"},"cs":753843907770,"ts":1786310817883}
//! {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1786310819681,"data":[{"T":1786310819680,"s":"BTCUSDT",
//!  "S":"Sell","v":"0.004","p":"65114.20","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7",…}]}
//! {"success":true,"ret_msg":"","op":"subscribe",…}
//! ```
//!
//! The venue's procedure for a book, whose steps the code names:
//! 1. `snapshot` is the whole book, `orderbook.N` having `N` levels a side, and replaces what was held. So does whatever
//!    has `u` 1: the service began again.
//! 2. `delta` sets levels; size zero deletes, also what falls past `N`.
//! 3. `u` of a topic rises by one from message to message.
//! 4. Depth 1 has snapshots only: a quote.
//!
//! - Of an instrument with several depths, the deepest one is the book.
//! - Of `tickers`, a delta has the fields that changed. The best prices in it are a quote (`cs` is not numbered like `u`).
//! - `S` of a trade is the taker's side. `cts` is the time of the matching engine.
//! - The same name may be an instrument of the spot market and a contract. On a connection to the spot market it is
//!   called `BTCUSDT-SPOT` here.

use std::borrow::Cow;

use super::book::{NumberedBook, clear_fed};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{
    BySymbol, ConnectionId, Directory, Receipt, Stamp, Venue, VenueError, level_if_any, milliseconds,
};
use crate::{Aggressor, EventBody, Level, MarketEvent, Price, Side, Size, SymbolId, Timestamp, Trade};

/// What Bybit's messages mean.
pub(super) struct Bybit {
    directory: Directory,
    instruments: BySymbol<State>,
    /// The connections to the spot market.
    spot: Vec<ConnectionId>,
}

#[derive(Default)]
struct State {
    book: NumberedBook,
    /// Of the topic that feeds the book; 0: none yet.
    depth: u32,
    bid: Best,
    ask: Best,
}

/// A side of the ticker, as far as it was told.
#[derive(Clone, Copy, Default)]
struct Best {
    price: Option<Price>,
    size: Option<Size>,
}

impl Bybit {
    pub(super) fn new(directory: Directory) -> Self {
        Self { directory, instruments: BySymbol::default(), spot: Vec::new() }
    }
}

impl Venue for Bybit {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn on_connect(&mut self, receipt: Receipt, address: &str, events: &mut Vec<MarketEvent>) {
        self.spot.retain(|connection| *connection != receipt.connection);
        if address.ends_with("/spot") {
            self.spot.push(receipt.connection);
        }
        let is_fed = |state: &mut State| {
            let is_fed = state.book.on_connect(receipt.connection);
            if is_fed {
                *state = State::default();
            }
            is_fed
        };
        clear_fed(receipt, self.instruments.iter_mut(), is_fed, events);
    }

    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let Some(topic) = json::text_if_any(&message, "topic") else { return Ok(()) };
        let mut parts = topic.splitn(3, '.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("orderbook"), Some(depth), Some(name)) => {
                // Other kinds of books, such as `orderbook.rpi`, have no number there.
                let Ok(depth) = depth.parse() else { return Ok(()) };
                let symbol = self.symbol(receipt, name)?;
                self.on_book(depth, symbol, receipt, &message, events).map_err(|error| error.of(name))
            }
            (Some("tickers"), Some(name), None) => {
                let symbol = self.symbol(receipt, name)?;
                self.on_ticker(symbol, receipt, &message, events).map_err(|error| error.of(name))
            }
            (Some("publicTrade"), Some(name), None) => {
                let symbol = self.symbol(receipt, name)?;
                self.on_trades(symbol, receipt, &message, events).map_err(|error| error.of(name))
            }
            _ => Ok(()),
        }
    }

    fn wants_answer(&self, url: &str) -> bool {
        self.directory.is_surveying() && url.contains("/instruments-info")
    }

    /// ```text
    /// {"retCode":0,"result":{"category":"linear","list":[{"symbol":"0GUSDT","quoteCoin":"USDT",
    ///  "priceFilter":{"tickSize":"0.0001",…},"lotSizeFilter":{"qtyStep":"0.1",…},…},…]}}
    /// ```
    /// The spot market has `basePrecision` for `qtyStep`.
    fn on_answer(
        &mut self,
        url: &str,
        answer: Value<'_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let answer = json::as_object(answer, "instruments-info")?;
        for instrument in &json::list(&json::object(&answer, "result")?, "list")? {
            let instrument = json::as_object(instrument, "list")?;
            let name = qualified(json::text(&instrument, "symbol")?, url.contains("category=spot"));
            let filters = [
                ("priceFilter", "tickSize"),
                ("lotSizeFilter", "qtyStep"),
                ("lotSizeFilter", "basePrecision"),
            ];
            let [tick_size, step, spot_step] = filters.map(|(filter, field)| {
                instrument.get(filter).and_then(|filter| json::text_if_any(&filter.as_object()?, field))
            });
            let currency = json::text_if_any(&instrument, "quoteCoin");
            let steps = (("tickSize", tick_size), ("qtyStep", step.or(spot_step)));
            self.directory.list(&name, Listing::of_steps(&name, steps.0, steps.1, currency)?)?;
        }
        Ok(())
    }
}

/// The name of an instrument here.
fn qualified(name: &str, is_spot: bool) -> Cow<'_, str> {
    if is_spot { Cow::Owned(format!("{name}-SPOT")) } else { Cow::Borrowed(name) }
}

impl Bybit {
    fn symbol(&mut self, receipt: Receipt, name: &str) -> Result<SymbolId, VenueError> {
        let is_spot = self.spot.contains(&receipt.connection);
        self.directory.id(&qualified(name, is_spot))
    }

    fn on_book(
        &mut self,
        depth: u32,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let start = events.len();
        let data = json::object(message, "data")?;
        let sequence = json::natural(&data, "u")?;
        let is_snapshot = match json::text(message, "type")? {
            "snapshot" => true,
            "delta" => sequence == 1,
            _ => return Err(VenueError::expected("type", "`snapshot` or `delta`")),
        };
        let time_field = if message.get("cts").is_some() { "cts" } else { "ts" };
        let ts_event = milliseconds(message, time_field)?;
        let stamp = Stamp { ts_event, sequence, ..receipt.stamp(symbol) };
        let state = self.instruments.of(symbol);
        if depth == 1 {
            // Step 4.
            if is_snapshot {
                let snapshot = self.directory.snapshot(symbol, &data, "b", "a")?;
                let best = |levels: Vec<Level>| levels.first().copied().and_then(level_if_any);
                let body = EventBody::Quote { bid: best(snapshot.bids), ask: best(snapshot.asks) };
                // Each topic counts for itself: this is not a number of the book.
                events.push(Stamp { sequence: 0, ..stamp }.event(body));
            }
            return Ok(());
        }
        let due = sequence.checked_add(1).ok_or_else(|| VenueError::expected("u", "less than 2^64 - 1"))?;
        if is_snapshot {
            // Step 1.
            if depth >= state.depth {
                let snapshot = self.directory.snapshot(symbol, &data, "b", "a")?;
                events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
                state.depth = depth;
                state.book.on_snapshot(receipt.connection, due);
            }
        } else if depth == state.depth || state.depth == 0 {
            // Steps 2 and 3.
            self.directory.level_sets(stamp, &data, "b", Side::Bid, events)?;
            self.directory.level_sets(stamp, &data, "a", Side::Ask, events)?;
            state.book.on_update(receipt.connection, (sequence, due), stamp, start, events);
        }
        Ok(())
    }

    fn on_ticker(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let data = json::object(message, "data")?;
        let stamp = Stamp { ts_event: milliseconds(message, "ts")?, ..receipt.stamp(symbol) };
        let state = self.instruments.of(symbol);
        let mut is_told = false;
        for (best, price_field, size_field) in
            [(&mut state.bid, "bid1Price", "bid1Size"), (&mut state.ask, "ask1Price", "ask1Size")]
        {
            // An empty text: that side of the book is empty.
            if let Some(text) = json::text_if_any(&data, price_field) {
                let price = |text| self.directory.price(symbol, price_field, text);
                best.price = Some(text).filter(|text| !text.is_empty()).map(price).transpose()?;
                is_told = true;
            }
            if let Some(text) = json::text_if_any(&data, size_field) {
                let size = |text| self.directory.size(symbol, size_field, text);
                best.size = Some(text).filter(|text| !text.is_empty()).map(size).transpose()?;
                is_told = true;
            }
        }
        if is_told {
            events.push(stamp.event(EventBody::Quote { bid: state.bid.level(), ask: state.ask.level() }));
        }
        Ok(())
    }

    fn on_trades(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        message: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for trade in &json::list(message, "data")? {
            let data = json::as_object(trade, "data")?;
            let trade = Trade {
                price: self.directory.price(symbol, "p", json::text(&data, "p")?)?,
                size: self.directory.size(symbol, "v", json::text(&data, "v")?)?,
                aggressor: match json::text(&data, "S")? {
                    "Buy" => Aggressor::Buy,
                    "Sell" => Aggressor::Sell,
                    _ => return Err(VenueError::expected("S", "`Buy` or `Sell`")),
                },
                // A number in the spot market, a UUID elsewhere.
                id: json::text(&data, "i")?.parse().ok(),
            };
            let stamp = Stamp { ts_event: milliseconds(&data, "T")?, ..receipt.stamp(symbol) };
            events.push(stamp.event(EventBody::Trade(trade)));
        }
        Ok(())
    }
}

impl Best {
    fn level(self) -> Option<Level> {
        level_if_any(Level { price: self.price?, size: self.size? })
    }
}
