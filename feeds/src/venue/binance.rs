//! Binance: spot, USD-M futures (`fstream`) and COIN-M futures (`dstream`).
//!
//! Combined streams wrap each message and name its stream
//! ([spot](https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams),
//! [USD-M](https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams),
//! [COIN-M](https://developers.binance.com/docs/derivatives/coin-margined-futures/websocket-market-streams)):
//!
//! ```text
//! {"stream":"nknusdt@depth@100ms","data":{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT",
//!  "U":499869753,"u":499869754,"b":[["0.35170000","4265.00000000"]],"a":[["0.35290000","10968.00000000"]]}}
//! {"stream":"sushiusdt@depth@100ms","data":{"e":"depthUpdate","E":1626992741037,"T":1626992741024,"s":"SUSHIUSDT",
//!  "U":600859599090,"u":600859600917,"pu":600859598061,"b":[["7.5040","813"],["7.6090","0"]],"a":[…]}}
//! {"stream":"nknusdt@bookTicker","data":{"u":499869768,"s":"NKNUSDT",
//!  "b":"0.35210000","B":"672.00000000","a":"0.35260000","A":"3199.00000000"}}
//! {"stream":"akrousdt@aggTrade","data":{"e":"aggTrade","E":1626992742291,"a":14888302,"s":"AKROUSDT",
//!  "p":"0.01731","q":"312","f":27931348,"l":27931348,"T":1626992742134,"m":true}}
//! ```
//!
//! How a book is put together from `depthUpdate` and the answer to `GET …/depth?symbol=NKNUSDT` is in `venue/depth.rs`.
//!
//! - `m` (buyer is the maker) true: a seller crossed the spread.
//! - An `aggTrade` is a `trade` or several of one taker at one price. Where a symbol has both streams, the kind that
//!   came first is told and the other is not: both together would count the volume twice.
//! - Spot's `bookTicker` has neither an event type nor a time; the stream's name tells it.
//! - `T` is when it happened, `E` when the message was made: `T` where there is one.
//! - Futures give `…@depth5`, `@depth10` and `@depth20`, whole tops of the book, the event type of changes. They are no
//!   events: the book comes from the changes.
//! - Klines are no events: bars are made from trades.

use serde::{Deserialize, Serialize};

use super::depth::{DepthRange, Depths, Link};
use super::directory::Listing;
use super::json::{self, Object, Value};
use super::{BySymbol, Directory, Problem, Receipt, Stamp, Venue, VenueError, level_if_any, milliseconds};
use crate::{Aggressor, EventBody, Exponent, Level, MarketEvent, Side, SymbolId, Timestamp, Trade};

/// Which numbering a market has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Market {
    /// `U` and `u`.
    Spot,
    /// `U`, `u` and `pu`.
    Futures,
}

/// What the messages of one of Binance's markets mean.
pub(super) struct Binance {
    market: Market,
    directory: Directory,
    depths: Depths,
    trades: BySymbol<Option<TradeStream>>,
    seen: Seen,
}

/// Which symbols the messages were of.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Seen {
    None,
    One(SymbolId),
    Several,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum TradeStream {
    Single,
    Aggregate,
}

impl Binance {
    pub(super) fn new(market: Market, directory: Directory) -> Self {
        Self { market, directory, depths: Depths::default(), trades: BySymbol::default(), seen: Seen::None }
    }
}

impl Venue for Binance {
    fn directory(&self) -> &Directory {
        &self.directory
    }

    fn into_directory(self: Box<Self>) -> Directory {
        self.directory
    }

    fn keep(&self) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(&self.depths, &self.trades, &self.seen)).ok()
    }

    fn recall(&mut self, kept: &[u8]) -> Result<(), postcard::Error> {
        (self.depths, self.trades, self.seen) = postcard::from_bytes(kept)?;
        Ok(())
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
        let (stream, data) = match message.get("data") {
            Some(data) => (json::text(&message, "stream")?, json::as_object(data, "data")?),
            None if message.get("lastUpdateId").is_some() => {
                return self.on_recorded_answer(&message, receipt.ts_recv, events);
            }
            None => ("", message),
        };
        let kind = match json::text_if_any(&data, "e") {
            Some(kind) => kind,
            None if stream.ends_with("bookTicker") => "bookTicker",
            None => return Ok(()),
        };
        let read = match kind {
            "depthUpdate" if !is_partial_depth(stream) => Self::on_depth,
            "bookTicker" => Self::on_book_ticker,
            "aggTrade" => Self::on_aggregate_trade,
            "trade" => Self::on_trade,
            _ => return Ok(()),
        };
        let name = json::text(&data, "s")?;
        let symbol = self.directory.id(name).map_err(VenueError::alone)?;
        self.seen = match self.seen {
            Seen::None => Seen::One(symbol),
            Seen::One(other) if other != symbol => Seen::Several,
            seen => seen,
        };
        read(self, symbol, receipt, &data, events).map_err(|error| error.of(name))
    }

    fn forget(&mut self, symbol: SymbolId) {
        self.depths.forget(symbol);
    }

    fn wants_answer(&self, url: &str) -> bool {
        match path_and_query(url).0 {
            path if path.ends_with("/depth") => true,
            path => path.ends_with("/exchangeInfo") && self.directory.is_surveying(),
        }
    }

    fn on_answer(
        &mut self,
        url: &str,
        answer: Value<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (path, query) = path_and_query(url);
        if path.ends_with("/exchangeInfo") {
            return read_exchange_info(answer, &mut self.directory);
        }
        let name = query
            .split('&')
            .find_map(|parameter| parameter.strip_prefix("symbol="))
            .ok_or_else(|| VenueError::expected("url", "a parameter `symbol`"))?;
        let symbol = self.directory.id(name)?;
        let answer = json::as_object(answer, "depth")?;
        self.on_snapshot(symbol, &answer, ts_recv, events).map_err(|error| error.of(name))
    }
}

fn path_and_query(url: &str) -> (&str, &str) {
    url.split_once('?').unwrap_or((url, ""))
}

impl Binance {
    fn on_depth(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let ts_event = time(data)?.ok_or_else(|| VenueError::new("E", Problem::Missing))?;
        let range = DepthRange {
            first: json::natural(data, "U")?,
            last: json::natural(data, "u")?,
            link: match self.market {
                Market::Spot => Link::Next,
                Market::Futures => Link::After(json::natural(data, "pu")?),
            },
        };
        let stamp = Stamp { symbol, ts_event, ts_recv: receipt.ts_recv, sequence: range.last };
        let start = events.len();
        self.directory.level_sets(stamp, data, "b", Side::Bid, events)?;
        self.directory.level_sets(stamp, data, "a", Side::Ask, events)?;
        self.depths.on_range(receipt.connection, range, stamp, start, events);
        Ok(())
    }

    /// Some recorders put the answer to `…/depth` among the messages. Only COIN-M names the symbol there: else it is that
    /// of all messages before.
    fn on_recorded_answer(
        &mut self,
        answer: &Object<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = match (json::text_if_any(answer, "symbol"), self.seen) {
            (Some(name), _) => self.directory.id(name)?,
            (None, Seen::One(symbol)) => symbol,
            (None, _) => {
                return Err(VenueError::expected("symbol", "the name, or messages of one symbol before"));
            }
        };
        self.on_snapshot(symbol, answer, ts_recv, events)
    }

    /// `{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],…],"asks":[…]}`, futures with `E` and `T`.
    fn on_snapshot(
        &mut self,
        symbol: SymbolId,
        answer: &Object<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let sequence = json::natural(answer, "lastUpdateId")?;
        let ts_event = time(answer)?.unwrap_or(ts_recv);
        let snapshot = self.directory.snapshot(symbol, answer, "bids", "asks")?;
        self.depths.on_snapshot(Stamp { symbol, ts_event, ts_recv, sequence }, snapshot, events);
        Ok(())
    }

    fn on_book_ticker(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let sequence = json::natural(data, "u")?;
        let ts_event = time(data)?.unwrap_or(receipt.ts_recv);
        let mut best = |price_field, size_field| {
            let level = Level {
                price: self.directory.price(symbol, price_field, json::text(data, price_field)?)?,
                size: self.directory.size(symbol, size_field, json::text(data, size_field)?)?,
            };
            Ok::<_, VenueError>(level_if_any(level))
        };
        let body = EventBody::Quote { bid: best("b", "B")?, ask: best("a", "A")? };
        events.push(event(symbol, ts_event, receipt.ts_recv, sequence, body));
        Ok(())
    }

    fn on_aggregate_trade(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        self.on_any_trade(TradeStream::Aggregate, "a", symbol, receipt, data, events)
    }

    fn on_trade(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        self.on_any_trade(TradeStream::Single, "t", symbol, receipt, data, events)
    }

    fn on_any_trade(
        &mut self,
        stream: TradeStream,
        id_field: &'static str,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let ts_event = time(data)?.ok_or_else(|| VenueError::new("T", Problem::Missing))?;
        let trade = Trade {
            price: self.directory.price(symbol, "p", json::text(data, "p")?)?,
            size: self.directory.size(symbol, "q", json::text(data, "q")?)?,
            aggressor: if json::truth(data, "m")? { Aggressor::Sell } else { Aggressor::Buy },
            id: Some(json::natural(data, id_field)?),
        };
        if *self.trades.of(symbol).get_or_insert(stream) == stream {
            events.push(event(symbol, ts_event, receipt.ts_recv, 0, EventBody::Trade(trade)));
        }
        Ok(())
    }
}

/// `btcusdt@depth20@100ms` is; `btcusdt@depth@100ms` and `btcusdt@depth` are not.
fn is_partial_depth(stream: &str) -> bool {
    stream.split_once("@depth").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `T`, else `E`, in milliseconds.
fn time(data: &Object<'_>) -> Result<Option<Timestamp>, VenueError> {
    let Some(field) = ["T", "E"].into_iter().find(|field| data.get(field).is_some()) else {
        return Ok(None);
    };
    milliseconds(data, field).map(Some)
}

const fn event(
    symbol: SymbolId,
    ts_event: Timestamp,
    ts_recv: Timestamp,
    sequence: u64,
    body: EventBody,
) -> MarketEvent {
    MarketEvent { symbol, ts_event, ts_recv, sequence, body }
}

/// ```text
/// {"symbols":[{"symbol":"NKNUSDT","quoteAsset":"USDT","filters":[
///   {"filterType":"PRICE_FILTER","tickSize":"0.00010000"},{"filterType":"LOT_SIZE","stepSize":"1.00000000"},…],…},…]}
/// ```
/// Futures have `pricePrecision` and `quantityPrecision` too, which stand in where a filter is missing or is zero
/// (switched off).
fn read_exchange_info(answer: Value<'_>, directory: &mut Directory) -> Result<(), VenueError> {
    let answer = json::as_object(answer, "exchangeInfo")?;
    for symbol in &json::list(&answer, "symbols")? {
        let symbol = json::as_object(symbol, "symbols")?;
        let name = json::text(&symbol, "symbol")?;
        let step = |kind, field| {
            json::list(&symbol, "filters").ok()?.iter().find_map(|filter| {
                let filter = filter.as_object()?;
                (json::text_if_any(&filter, "filterType") == Some(kind)).then_some(())?;
                json::text_if_any(&filter, field)
                    .filter(|step| step.bytes().any(|b| matches!(b, b'1'..=b'9')))
            })
        };
        let exponent = |step: Option<&str>, precision_field| match step {
            Some(step) => {
                let digits = if step.contains('.') { step.trim_end_matches('0') } else { step };
                Exponent::of_text(digits).map(Some)
            }
            None => json::natural(&symbol, precision_field)
                .ok()
                .and_then(|precision| i8::try_from(precision).ok())
                .map(|precision| Exponent::new(-precision))
                .transpose(),
        };
        let tick_size = step("PRICE_FILTER", "tickSize");
        let of_field = |field| move |error| VenueError::new(field, Problem::Number(error)).of(name);
        let listing = Listing {
            price_exponent: exponent(tick_size, "pricePrecision").map_err(of_field("tickSize"))?,
            size_exponent: exponent(step("LOT_SIZE", "stepSize"), "quantityPrecision")
                .map_err(of_field("stepSize"))?,
            tick_size: tick_size.map(str::to_owned),
            currency: json::text_if_any(&symbol, "quoteAsset").map(str::to_owned),
            book_levels_max: None,
        };
        directory.list(name, listing)?;
    }
    Ok(())
}
