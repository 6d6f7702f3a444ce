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
//! How a book is put together from `depthUpdate` and the answer to `GET …/depth?symbol=NKNUSDT` is in `depth`, beside this file.
//!
//! - `m` (buyer is the maker) true: a seller crossed the spread.
//! - An `aggTrade` is a `trade` or several of one taker at one price. Where a symbol has both streams, the kind that
//!   came first is told and the other is not: both together would count the volume twice.
//! - Spot's `bookTicker` has neither an event type nor a time; the stream's name tells it.
//! - `T` is when it happened, `E` when the message was made: `T` where there is one.
//! - Futures give `…@depth5`, `@depth10` and `@depth20`, whole tops of the book, the event type of changes. They are no
//!   events: the book comes from the changes.
//! - Klines are no events: bars are made from trades.

mod depth;

use simd_json::tape::{Object, Value};

pub use self::depth::Market;
use self::depth::{Depth, DepthRange};
use super::directory::Listing;
use super::json::{self, Json};
use super::{ConnectionId, Directory, Problem, VenueError};
use crate::limits::DEPTH_BUFFER_EVENTS_MAX;
use crate::{
    Aggressor, BookSnapshot, EventBody, Exponent, Level, MarketEvent, Side, SymbolId, Timestamp, Trade,
};

/// A session with one of Binance's markets.
pub struct Binance {
    json: Json,
    state: State,
}

struct State {
    market: Market,
    directory: Directory,
    /// By [`SymbolId`]; as long as the directory.
    books: Vec<Book>,
    /// The sum of what the books' depths keep.
    buffered: usize,
}

#[derive(Default)]
struct Book {
    depth: Depth,
    /// The connection of its depth stream.
    feeder: Option<ConnectionId>,
    trades: Option<TradeStream>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TradeStream {
    Single,
    Aggregate,
}

/// Whence and when a message came.
#[derive(Clone, Copy)]
struct Receipt {
    connection: ConnectionId,
    ts_recv: Timestamp,
}

impl Binance {
    /// A session that has seen nothing yet.
    #[must_use]
    pub fn new(market: Market, directory: Directory) -> Self {
        let books = directory.instruments().iter().map(|_| Book::default()).collect();
        Self { json: Json::default(), state: State { market, directory, books, buffered: 0 } }
    }

    /// The instruments.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.state.directory
    }

    /// Ends the session.
    #[must_use]
    pub fn into_directory(self) -> Directory {
        self.state.directory
    }

    /// A connection begins: the books it fed are void until their new snapshots.
    pub fn on_connect(
        &mut self,
        connection: ConnectionId,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) {
        for (symbol, book) in (0..).map(SymbolId).zip(&mut self.state.books) {
            if book.feeder == Some(connection) {
                book.feeder = None;
                self.state.buffered -= book.depth.buffered();
                if book.depth.restart() {
                    events.push(event(symbol, ts_recv, ts_recv, 0, EventBody::BookClear));
                }
            }
        }
    }

    /// One message; `payload` serves as scratch.
    ///
    /// # Errors
    /// [`VenueError`] for a message that is not as documented above. An unknown stream is no error.
    pub fn on_message(
        &mut self,
        connection: ConnectionId,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let state = &mut self.state;
        let receipt = Receipt { connection, ts_recv };
        self.json.parse(payload, |message| state.on_message(receipt, message, events))
    }

    /// An answer to a request: a book (`…/depth?symbol=`), or the list of instruments (`…/exchangeInfo`), which a
    /// surveying session reads.
    ///
    /// # Errors
    /// [`VenueError`] when the answer is not as documented.
    pub fn on_answer(
        &mut self,
        url: &str,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let state = &mut self.state;
        if path.ends_with("/depth") {
            let name = query
                .split('&')
                .find_map(|parameter| parameter.strip_prefix("symbol="))
                .ok_or_else(|| VenueError::expected("url", "a parameter `symbol`"))?;
            self.json.parse(payload, |answer| {
                state.on_snapshot(name, answer, ts_recv, events).map_err(|error| error.of(name))
            })
        } else if path.ends_with("/exchangeInfo") && state.directory.is_surveying() {
            self.json.parse(payload, |answer| read_exchange_info(answer, &mut state.directory))
        } else {
            Ok(())
        }
    }
}

impl State {
    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let message = json::as_object(message, "message")?;
        let (stream, data) = match message.get("data") {
            Some(data) => (json::text(&message, "stream")?, json::as_object(data, "data")?),
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
        let symbol = self.symbol(name)?;
        read(self, symbol, receipt, &data, events).map_err(|error| error.of(name))
    }

    fn symbol(&mut self, name: &str) -> Result<SymbolId, VenueError> {
        let symbol = self.directory.id(name)?;
        if self.books.len() <= symbol.index() {
            self.books.resize_with(symbol.index() + 1, Book::default);
        }
        Ok(symbol)
    }

    fn on_depth(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let start = events.len();
        let ts_event = time(data)?.ok_or_else(|| VenueError::new("E", Problem::Missing))?;
        let range = DepthRange {
            first: json::natural(data, "U")?,
            last: json::natural(data, "u")?,
            previous: match self.market {
                Market::Spot => None,
                Market::Futures => Some(json::natural(data, "pu")?),
            },
        };
        for (field, side) in [("b", Side::Bid), ("a", Side::Ask)] {
            for level in &json::list(data, field)? {
                let level = self.level(symbol, field, level)?;
                let body = EventBody::LevelSet { side, level };
                events.push(event(symbol, ts_event, receipt.ts_recv, range.last, body));
            }
        }
        let book = &mut self.books[symbol.index()];
        book.feeder = Some(receipt.connection);
        let stamp = event(symbol, ts_event, receipt.ts_recv, range.last, EventBody::BookClear);
        self.buffered -= book.depth.buffered();
        book.depth.on_range(range, &stamp, start, events);
        self.buffered += book.depth.buffered();
        if self.buffered > DEPTH_BUFFER_EVENTS_MAX {
            self.books.iter_mut().for_each(|book| book.depth.forget_buffered());
            self.buffered = 0;
        }
        Ok(())
    }

    /// `{"lastUpdateId":499869752,"bids":[["0.35210000","672.00000000"],…],"asks":[…]}`, futures with `E` and `T`.
    fn on_snapshot(
        &mut self,
        name: &str,
        answer: Value<'_, '_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let symbol = self.symbol(name)?;
        let answer = json::as_object(answer, "depth")?;
        let last_update_id = json::natural(&answer, "lastUpdateId")?;
        let ts_event = time(&answer)?.unwrap_or(ts_recv);
        let mut snapshot = BookSnapshot::default();
        for (field, side) in [("bids", &mut snapshot.bids), ("asks", &mut snapshot.asks)] {
            for level in &json::list(&answer, field)? {
                side.push(self.level(symbol, field, level)?);
            }
        }
        let body = EventBody::BookSnapshot(Box::new(snapshot));
        let snapshot = event(symbol, ts_event, ts_recv, last_update_id, body);
        let depth = &mut self.books[symbol.index()].depth;
        self.buffered -= depth.buffered();
        depth.on_snapshot(snapshot, events);
        self.buffered += depth.buffered();
        Ok(())
    }

    fn on_book_ticker(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let sequence = json::natural(data, "u")?;
        let ts_event = time(data)?.unwrap_or(receipt.ts_recv);
        let mut best = |price_field, size_field| {
            let level = Level {
                price: self.directory.price(symbol, price_field, json::text(data, price_field)?)?,
                size: self.directory.size(symbol, size_field, json::text(data, size_field)?)?,
            };
            Ok::<_, VenueError>((level.size.0 != 0).then_some(level))
        };
        let body = EventBody::Quote { bid: best("b", "B")?, ask: best("a", "A")? };
        events.push(event(symbol, ts_event, receipt.ts_recv, sequence, body));
        Ok(())
    }

    fn on_aggregate_trade(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        self.on_any_trade(TradeStream::Aggregate, "a", symbol, receipt, data, events)
    }

    fn on_trade(
        &mut self,
        symbol: SymbolId,
        receipt: Receipt,
        data: &Object<'_, '_>,
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
        data: &Object<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let ts_event = time(data)?.ok_or_else(|| VenueError::new("T", Problem::Missing))?;
        let trade = Trade {
            price: self.directory.price(symbol, "p", json::text(data, "p")?)?,
            size: self.directory.size(symbol, "q", json::text(data, "q")?)?,
            aggressor: if json::truth(data, "m")? { Aggressor::Sell } else { Aggressor::Buy },
            id: Some(json::natural(data, id_field)?),
        };
        if *self.books[symbol.index()].trades.get_or_insert(stream) == stream {
            events.push(event(symbol, ts_event, receipt.ts_recv, 0, EventBody::Trade(trade)));
        }
        Ok(())
    }

    /// `["0.35170000","4265.00000000"]`
    fn level(
        &mut self,
        symbol: SymbolId,
        field: &'static str,
        level: Value<'_, '_>,
    ) -> Result<Level, VenueError> {
        let level = json::as_list(level, field)?;
        let mut fields = level.iter();
        let price = json::as_text(fields.next(), field)?;
        let size = json::as_text(fields.next(), field)?;
        self.directory.level(symbol, field, price, size)
    }
}

/// `btcusdt@depth20@100ms` is; `btcusdt@depth@100ms` and `btcusdt@depth` are not.
fn is_partial_depth(stream: &str) -> bool {
    stream.split_once("@depth").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// `T`, else `E`, in milliseconds.
fn time(data: &Object<'_, '_>) -> Result<Option<Timestamp>, VenueError> {
    let Some(field) = ["T", "E"].into_iter().find(|field| data.get(*field).is_some()) else {
        return Ok(None);
    };
    let milliseconds = json::natural(data, field)?;
    i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| milliseconds.checked_mul(1_000_000))
        .map(|nanoseconds| Some(Timestamp(nanoseconds)))
        .ok_or_else(|| VenueError::expected(field, "milliseconds before the year 2262"))
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
fn read_exchange_info(answer: Value<'_, '_>, directory: &mut Directory) -> Result<(), VenueError> {
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
        };
        directory.list(name, listing)?;
    }
    Ok(())
}
