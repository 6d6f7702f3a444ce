//! Venues, one file each: what their messages mean.
//!
//! A [`Session`] takes a venue's bytes, as a socket or a recording has them, and appends events. It knows of no file
//! and no socket; what a venue must remember between messages (whether a book is complete, which number is due) is
//! its own. All venues have the same shape:
//!
//! ```text
//!  on_connect   a connection begins: what it fed before is void
//!  on_message   one message of a connection
//!  on_answer    one answer to an HTTP request: a list of instruments, a snapshot of a book
//! ```

mod binance;
mod bitfinex;
mod bitmex;
mod bitstamp;
mod book;
mod bybit;
mod coinbase;
mod coinbase_advanced;
mod depth;
mod deribit;
mod digits;
mod directory;
mod dydx;
mod ftx;
mod gemini;
mod hitbtc;
mod hyperliquid;
pub(crate) mod json;
mod kraken;
mod kraken_v2;
mod kraken_futures;
mod kucoin;
mod okx;

use std::fmt;

use simd_json::tape::{Object, Value};

pub use directory::Directory;

use self::binance::{Binance, Market};
use self::bitfinex::Bitfinex;
use self::bitmex::Bitmex;
use self::bitstamp::Bitstamp;
use self::bybit::Bybit;
use self::coinbase::Coinbase;
use self::coinbase_advanced::CoinbaseAdvanced;
use self::deribit::Deribit;
use self::dydx::Dydx;
use self::ftx::Ftx;
use self::gemini::Gemini;
use self::hitbtc::Hitbtc;
use self::hyperliquid::Hyperliquid;
use self::json::Json;
use self::kraken::Kraken;
use self::kraken_futures::KrakenFutures;
use self::kraken_v2::KrakenV2;
use self::kucoin::Kucoin;
use self::okx::Okx;
use crate::{
    Aggressor, EventBody, Exponent, Level, MarketEvent, NumberError, Price, Size, SymbolError, SymbolId,
    Timestamp,
};

/// Which connection a message came by: sessions forget what a connection told when it begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u32);

/// A session with a venue.
pub struct Session {
    json: Json,
    kind: &'static Kind,
    venue: Box<dyn Venue>,
    /// By which connection something came of an instrument, if it is followed.
    followed: BySymbol<Option<ConnectionId>>,
}

/// A venue that is known here.
struct Kind {
    /// As cryptofeed's captures spell it; also the name of the venue in [`Instrument::venue`](crate::Instrument::venue).
    name: &'static str,
    open: fn(Directory) -> Box<dyn Venue>,
}

static KINDS: &[Kind] = &[
    Kind { name: "BINANCE", open: |directory| Box::new(Binance::new(Market::Spot, directory)) },
    Kind { name: "BINANCE_DELIVERY", open: |directory| Box::new(Binance::new(Market::Futures, directory)) },
    Kind { name: "BINANCE_FUTURES", open: |directory| Box::new(Binance::new(Market::Futures, directory)) },
    Kind { name: "BINANCE_TR", open: |directory| Box::new(Binance::new(Market::Spot, directory)) },
    Kind { name: "BINANCE_US", open: |directory| Box::new(Binance::new(Market::Spot, directory)) },
    Kind { name: "BITFINEX", open: |directory| Box::new(Bitfinex::new(directory)) },
    Kind { name: "BITMEX", open: |directory| Box::new(Bitmex::new(directory)) },
    Kind { name: "BITSTAMP", open: |directory| Box::new(Bitstamp::new(directory)) },
    Kind { name: "BYBIT", open: |directory| Box::new(Bybit::new(directory)) },
    Kind { name: "COINBASE", open: |directory| Box::new(Coinbase::new(directory)) },
    Kind { name: "DERIBIT", open: |directory| Box::new(Deribit::new(directory)) },
    Kind { name: "DYDX", open: |directory| Box::new(Dydx::new(directory)) },
    Kind { name: "FTX", open: |directory| Box::new(Ftx::new(directory)) },
    Kind { name: "FTX_TR", open: |directory| Box::new(Ftx::new(directory)) },
    Kind { name: "FTX_US", open: |directory| Box::new(Ftx::new(directory)) },
    Kind { name: "GEMINI", open: |directory| Box::new(Gemini::new(directory)) },
    Kind { name: "HITBTC", open: |directory| Box::new(Hitbtc::new(directory)) },
    Kind { name: "HYPERLIQUID", open: |directory| Box::new(Hyperliquid::new(directory)) },
    Kind { name: "KRAKEN", open: |directory| Box::new(Kraken::new(directory)) },
    Kind { name: "KRAKEN_FUTURES", open: |directory| Box::new(KrakenFutures::new(directory)) },
    Kind { name: "KUCOIN", open: |directory| Box::new(Kucoin::new(directory)) },
    Kind { name: "OKX", open: |directory| Box::new(Okx::new(directory)) },
];

/// Venues that have other messages at other addresses, and a part of these.
static AT_ADDRESSES: [(&str, Kind); 2] = [
    (
        "advanced-trade-ws",
        Kind { name: "COINBASE", open: |directory| Box::new(CoinbaseAdvanced::new(directory)) },
    ),
    ("kraken.com/v2", Kind { name: "KRAKEN", open: |directory| Box::new(KrakenV2::new(directory)) }),
];

fn kind_of(venue: &str, address: &str) -> Option<&'static Kind> {
    let at_address = AT_ADDRESSES.iter().find(|(part, kind)| kind.name == venue && address.contains(part));
    at_address.map(|(_, kind)| kind).or_else(|| KINDS.iter().find(|kind| kind.name == venue))
}

/// What a venue's messages mean.
trait Venue: Send {
    fn directory(&self) -> &Directory;

    fn into_directory(self: Box<Self>) -> Directory;

    /// Whether prices and sizes are numbers of JSON, which a parser would round: then all numbers are handed over as
    /// texts with the digits as sent.
    fn has_bare_numbers(&self) -> bool {
        false
    }

    /// A connection to `address` begins: the books it fed are void until their new snapshots.
    fn on_connect(&mut self, receipt: Receipt, address: &str, events: &mut Vec<MarketEvent>);

    /// A message that is not as the venue documents is an error, an unknown kind of message is none.
    fn on_message(
        &mut self,
        receipt: Receipt,
        message: Value<'_, '_>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError>;

    /// Of this instrument something was lost after it was told: its book is void until a snapshot, also where the venue
    /// would say that it has one already.
    fn forget(&mut self, _symbol: SymbolId) {}

    /// Whether there is anything to learn from the answer to this request.
    fn wants_answer(&self, _url: &str) -> bool {
        false
    }

    /// The answer to a request that is wanted.
    fn on_answer(
        &mut self,
        _url: &str,
        _answer: Value<'_, '_>,
        _ts_recv: Timestamp,
        _events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        Ok(())
    }
}

impl Session {
    /// A session with these instruments, by a connection to `address`; `None`: not a venue that is known here.
    #[must_use]
    pub fn new(venue: &str, address: &str, directory: Directory) -> Option<Self> {
        Some(Self::open(kind_of(venue, address)?, directory))
    }

    /// A session that learns the instruments from a recording. `address` may be empty: not told.
    #[must_use]
    pub fn survey(venue: &str, address: &str) -> Option<Self> {
        let kind = kind_of(venue, address)?;
        Some(Self::open(kind, Directory::survey(kind.name)))
    }

    /// A new session with the instruments that this one learnt.
    ///
    /// # Errors
    /// [`VenueError`] as [`Directory::finish`].
    pub fn finish(self) -> Result<Self, VenueError> {
        Ok(Self::open(self.kind, self.venue.into_directory().finish()?))
    }

    /// How many instruments the venue's list names, as far as this surveying session has read it.
    pub(crate) fn listed(&self) -> usize {
        self.venue.directory().listed()
    }

    /// Whether the venue's list names it, as far as this surveying session has read it.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.venue.directory().lists(name)
    }

    /// A new session with these instruments of the venue's list, which this surveying session has read.
    ///
    /// # Errors
    /// [`VenueError`] names the one that is not listed; else as [`Directory::finish`].
    pub(crate) fn choose<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Result<Self, VenueError> {
        let mut directory = self.venue.into_directory();
        for name in names {
            directory.choose(name)?;
        }
        Ok(Self::open(self.kind, directory.finish()?))
    }

    /// The instruments.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        self.venue.directory()
    }

    /// A connection to `address` begins: the books it fed are void until their new snapshots.
    pub fn on_connect(
        &mut self,
        connection: ConnectionId,
        address: &str,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) {
        self.venue.on_connect(Receipt { connection, ts_recv }, address, events);
    }

    /// A connection that was followed has ended: a gap is told of each instrument of which it brought something.
    pub fn on_disconnect(
        &mut self,
        connection: ConnectionId,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) {
        let start = events.len();
        // What the venue keeps of the books goes, as when the next one begins.
        self.on_connect(connection, "", ts_recv, events);
        events.truncate(start);
        let receipt = Receipt { connection, ts_recv };
        for (symbol, source) in self.followed.iter_mut() {
            if source.take_if(|source| *source == connection).is_some() {
                self.venue.forget(symbol);
                events.push(receipt.stamp(symbol).event(EventBody::Gap { expected: 0, found: 0 }));
            }
        }
    }

    /// One message of a connection that is followed, or was, come what may: one that is not as documented costs the
    /// instrument it names its book, which is told as a gap, and the error is returned as well.
    ///
    /// # Errors
    /// [`VenueError`] when it names none: then nobody knows what it meant for the others, and the connection is of no
    /// more use.
    pub fn follow(
        &mut self,
        connection: ConnectionId,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Option<VenueError>, VenueError> {
        let start = events.len();
        let read = self.on_message(connection, payload, ts_recv, events);
        let named = match &read {
            Ok(()) => None,
            Err(error) => error.symbol.as_deref().and_then(|name| self.directory().find(name)),
        };
        if let Some(symbol) = named {
            self.venue.forget(symbol);
            let body = EventBody::Gap { expected: 0, found: 0 };
            events.push(Receipt { connection, ts_recv }.stamp(symbol).event(body));
        }
        for event in &events[start..] {
            // A status may be of all instruments, whoever brings the rest of them.
            if !matches!(event.body, EventBody::Status { .. }) {
                *self.followed.of(event.symbol) = Some(connection);
            }
        }
        match read {
            Err(error) if named.is_none() => Err(error),
            read => Ok(read.err()),
        }
    }

    /// The answer to a request that was made for a connection that is followed: what it tells is lost with the connection.
    /// One that is not as documented is of no use.
    ///
    /// # Errors
    /// [`VenueError`] says why.
    pub fn follow_answer(
        &mut self,
        connection: ConnectionId,
        url: &str,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let start = events.len();
        let read = self.on_answer(url, payload, ts_recv, events);
        if read.is_err() {
            events.truncate(start);
        }
        for event in &events[start..] {
            *self.followed.of(event.symbol) = Some(connection);
        }
        read
    }

    /// Of this instrument something was lost after it was told here: its book is void until its next snapshot.
    pub(crate) fn forget(&mut self, symbol: SymbolId) {
        self.venue.forget(symbol);
    }

    /// One message; `payload` serves as scratch.
    ///
    /// # Errors
    /// [`VenueError`] for a message that is not as the venue documents. An unknown kind of message is no error.
    pub fn on_message(
        &mut self,
        connection: ConnectionId,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Self { json, venue, .. } = self;
        let receipt = Receipt { connection, ts_recv };
        json.parse_as(venue.has_bare_numbers(), payload, |message| venue.on_message(receipt, message, events))
    }

    /// An answer to a request: a list of instruments, which a surveying session reads, or a snapshot of a book.
    ///
    /// # Errors
    /// [`VenueError`] when the answer is not as the venue documents.
    pub fn on_answer(
        &mut self,
        url: &str,
        payload: &mut [u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        let Self { json, venue, .. } = self;
        if !venue.wants_answer(url) {
            return Ok(());
        }
        json.parse_as(venue.has_bare_numbers(), payload, |answer| {
            venue.on_answer(url, answer, ts_recv, events)
        })
    }

    fn open(kind: &'static Kind, directory: Directory) -> Self {
        Self { json: Json::default(), kind, venue: (kind.open)(directory), followed: BySymbol::default() }
    }
}

/// Whence and when a message came.
#[derive(Clone, Copy)]
struct Receipt {
    connection: ConnectionId,
    ts_recv: Timestamp,
}

impl Receipt {
    /// For what the venue gives no time and no number.
    const fn stamp(self, symbol: SymbolId) -> Stamp {
        Stamp { symbol, ts_event: self.ts_recv, ts_recv: self.ts_recv, sequence: 0 }
    }
}

/// What the events of one instrument of a message have in common.
#[derive(Clone, Copy)]
struct Stamp {
    symbol: SymbolId,
    ts_event: Timestamp,
    ts_recv: Timestamp,
    sequence: u64,
}

impl Stamp {
    const fn event(self, body: EventBody) -> MarketEvent {
        let Self { symbol, ts_event, ts_recv, sequence } = self;
        MarketEvent { symbol, ts_event, ts_recv, sequence, body }
    }

    /// Messages were lost: the book is void until a snapshot.
    fn tell_gap(self, expected: u64, found: u64, events: &mut Vec<MarketEvent>) {
        events.push(self.event(EventBody::Gap { expected, found }));
        events.push(self.event(EventBody::BookClear));
    }
}

/// What a venue remembers of each instrument.
#[derive(Default)]
struct BySymbol<T>(Vec<T>);

impl<T: Default> BySymbol<T> {
    /// What is remembered of `symbol`; at first the default.
    fn of(&mut self, symbol: SymbolId) -> &mut T {
        if self.0.len() <= symbol.index() {
            self.0.resize_with(symbol.index() + 1, T::default);
        }
        &mut self.0[symbol.index()]
    }

    /// All of which something is remembered.
    fn iter_mut(&mut self) -> impl Iterator<Item = (SymbolId, &mut T)> {
        (0..).map(SymbolId).zip(&mut self.0)
    }
}

/// What is wrong with a venue's message, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct VenueError {
    /// The instrument, as the venue spells it; `None`: the message did not get as far as naming one.
    pub symbol: Option<String>,
    /// The venue's name of the field.
    pub field: &'static str,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The message is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// The field is not there.
    #[error("missing")]
    Missing,
    /// The field is of another kind than the venue documents.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A price, size or time that cannot be held exactly.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A name that cannot be a symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A message about an instrument that the session was not told of.
    #[error("not among the session's instruments")]
    UnknownInstrument,
    /// An instrument that the venue's list does not name.
    #[error("not in the venue's list of instruments")]
    Unlisted,
    /// More instruments than [`crate::limits::INSTRUMENTS_MAX`].
    #[error("more than {0} instruments")]
    TooManyInstruments(usize),
}

impl VenueError {
    fn new(field: &'static str, problem: impl Into<Problem>) -> Self {
        Self { symbol: None, field, problem: problem.into() }
    }

    pub(crate) fn expected(field: &'static str, what: &'static str) -> Self {
        Self::new(field, Problem::Expected(what))
    }

    /// The same, naming the instrument.
    fn of(mut self, symbol: &str) -> Self {
        self.symbol.get_or_insert_with(|| symbol.to_owned());
        self
    }
}

impl fmt::Display for VenueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(symbol) = &self.symbol {
            write!(f, "{symbol}: ")?;
        }
        write!(f, "`{}`: {}", self.field, self.problem)
    }
}

/// The time in `field`, in natural milliseconds since the Unix epoch.
fn milliseconds(object: &Object<'_, '_>, field: &'static str) -> Result<Timestamp, VenueError> {
    of_milliseconds(field, json::natural(object, field)?)
}

/// The time that is so many milliseconds after the Unix epoch.
fn of_milliseconds(field: &'static str, milliseconds: u64) -> Result<Timestamp, VenueError> {
    i64::try_from(milliseconds)
        .ok()
        .and_then(|milliseconds| milliseconds.checked_mul(1_000_000))
        .map(Timestamp)
        .ok_or_else(|| VenueError::expected(field, "milliseconds before the year 2262"))
}

/// The time in `field`, RFC 3339 with up to nine decimals.
fn rfc3339(object: &Object<'_, '_>, field: &'static str) -> Result<Timestamp, VenueError> {
    json::text(object, field)?
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .map(Timestamp)
        .ok_or_else(|| VenueError::expected(field, "a time of RFC 3339 before the year 2262"))
}

/// A time in microseconds since the Unix epoch.
fn microseconds(field: &'static str, microseconds: u64) -> Result<Timestamp, VenueError> {
    i64::try_from(microseconds)
        .ok()
        .and_then(|microseconds| microseconds.checked_mul(1_000))
        .map(Timestamp)
        .ok_or_else(|| VenueError::expected(field, "microseconds before the year 2262"))
}

/// The taker's side in `field`, as most venues spell it.
fn taker(object: &Object<'_, '_>, field: &'static str) -> Result<Aggressor, VenueError> {
    match json::text(object, field)? {
        "buy" => Ok(Aggressor::Buy),
        "sell" => Ok(Aggressor::Sell),
        _ => Err(VenueError::expected(field, "`buy` or `sell`")),
    }
}

/// A level, unless it is none: venues give an empty side of the book as size zero.
fn level_if_any(level: Level) -> Option<Level> {
    (level.size != Size::ZERO).then_some(level)
}

/// Nanoseconds, as the exponent of a decimal number of them.
pub(crate) const NANOSECONDS: i8 = 0;
/// Milliseconds, as the exponent of a decimal number of them.
pub(crate) const MILLISECONDS: i8 = -6;
const SECONDS: i8 = -9;

/// Reads decimal seconds since the Unix epoch, such as `1618678142.557535`, exactly.
pub(crate) fn seconds(field: &'static str, text: &[u8]) -> Result<Timestamp, VenueError> {
    decimal(field, text, SECONDS)
}

/// Reads a decimal number of `unit` since the Unix epoch, exactly.
pub(crate) fn decimal(field: &'static str, text: &[u8], unit: i8) -> Result<Timestamp, VenueError> {
    Exponent::new(unit)
        .and_then(|exponent| Price::parse_bytes(text, exponent))
        .map(|nanoseconds| Timestamp(nanoseconds.0))
        .map_err(|error| VenueError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_exactly_or_refused() {
        assert_eq!(seconds("ts", b"1618678132.358447"), Ok(Timestamp(1_618_678_132_358_447_000)));
        assert_eq!(seconds("ts", b"1618677816.8414998"), Ok(Timestamp(1_618_677_816_841_499_800)));
        assert_eq!(seconds("ts", b"1618677816"), Ok(Timestamp(1_618_677_816_000_000_000)));
        for wrong in ["1.6e9", "", "1618677816.1234567891", "9999999999999"] {
            let error = seconds("ts", wrong.as_bytes()).expect_err(wrong);
            assert!(matches!(error.problem, Problem::Number(_)), "{wrong}");
        }
    }

    #[test]
    fn errors_name_instrument_and_field() {
        let error = VenueError::new("q", Problem::Missing).of("BTCUSDT").of("OTHER");
        assert_eq!(error.to_string(), "BTCUSDT: `q`: missing");
        assert_eq!(VenueError::new("q", Problem::Missing).to_string(), "`q`: missing");
    }
}
