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

use serde::{Deserialize, Serialize};

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
use self::json::{Json, Object, Value};
use self::kraken::Kraken;
use self::kraken_futures::KrakenFutures;
use self::kraken_v2::KrakenV2;
use self::kucoin::Kucoin;
use self::okx::Okx;
use crate::{
    Aggressor, EventBody, Exponent, Instrument, Level, MarketEvent, NumberError, Price, Size, SymbolError,
    SymbolId, Timestamp,
};

/// Which connection a message came by: sessions forget what a connection told when it begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConnectionId(pub u32);

/// A session with a venue.
pub struct Session {
    json: Json,
    kind: &'static Kind,
    venue: Box<dyn Venue>,
    /// By which connection something came of an instrument, if it is followed.
    followed: BySymbol<Option<ConnectionId>>,
}

/// What a session remembers between messages, for a checkpoint.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeptSession {
    venue: Vec<u8>,
    followed: Vec<Option<ConnectionId>>,
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

    /// What it remembers between messages, but for its instruments; `None`: no checkpoint can be made of it.
    fn keep(&self) -> Option<Vec<u8>> {
        None
    }

    /// Remembers what another one kept that had the same instruments.
    fn recall(&mut self, _kept: &[u8]) -> Result<(), postcard::Error> {
        Err(postcard::Error::WontImplement)
    }

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
        message: Value<'_>,
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
        _answer: Value<'_>,
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

    /// What it remembers between messages, but for its instruments; `None`: no checkpoint can be made of such a venue.
    pub(crate) fn keep(&self) -> Option<KeptSession> {
        Some(KeptSession { venue: self.venue.keep()?, followed: self.followed.0.clone() })
    }

    /// A session that remembers what another one kept, with its instruments.
    ///
    /// # Errors
    /// When that was of another version.
    pub(crate) fn recall(
        venue: &str,
        address: &str,
        mut instruments: Vec<Instrument>,
        kept: KeptSession,
    ) -> Result<Self, postcard::Error> {
        let kind = kind_of(venue, address).ok_or(postcard::Error::WontImplement)?;
        for instrument in &mut instruments {
            instrument.venue = kind.name;
        }
        let mut session = Self::open(kind, Directory::new(kind.name, instruments));
        session.venue.recall(&kept.venue)?;
        session.followed = BySymbol(kept.followed);
        Ok(session)
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
    /// [`VenueError`] when it names none of ours: then nobody knows what it meant for the others, and the connection is of no
    /// more use. One about an instrument that [nobody asked for](Problem::Unasked) is no such.
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
            Err(error) if named.is_none() && error.problem != Problem::Unasked => Err(error),
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
        json.parse(venue.has_bare_numbers(), payload, |message| venue.on_message(receipt, message, events))
    }

    /// The same for a payload that stands within a text of JSON. `None`: it cannot be read there, if at all, and nothing
    /// has happened.
    pub(crate) fn on_nested_message(
        &mut self,
        connection: ConnectionId,
        payload: &[u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Option<Result<(), VenueError>> {
        let Self { json, venue, .. } = self;
        let receipt = Receipt { connection, ts_recv };
        json.parse_nested(venue.has_bare_numbers(), payload, |message| {
            venue.on_message(receipt, message, events)
        })
    }

    /// Whether there is anything to learn from the answer to this request.
    pub(crate) fn wants_answer(&self, url: &str) -> bool {
        self.venue.wants_answer(url)
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
        json.parse(venue.has_bare_numbers(), payload, |answer| venue.on_answer(url, answer, ts_recv, events))
    }

    /// The same for an answer that stands within a text of JSON. `None`: it is not wanted, or cannot be read there, if at
    /// all, and nothing has happened.
    pub(crate) fn on_nested_answer(
        &mut self,
        url: &str,
        payload: &[u8],
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Option<Result<(), VenueError>> {
        let Self { json, venue, .. } = self;
        if !venue.wants_answer(url) {
            return None;
        }
        json.parse_nested(venue.has_bare_numbers(), payload, |answer| {
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
#[derive(Default, Serialize, Deserialize)]
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
    /// A message about such an instrument and nothing else: without it nothing is missing.
    #[error("nobody asked for it")]
    Unasked,
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

    /// The same, of a message that is about this instrument alone.
    fn alone(mut self) -> Self {
        if self.problem == Problem::UnknownInstrument {
            self.problem = Problem::Unasked;
        }
        self
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
fn milliseconds(object: &Object<'_>, field: &'static str) -> Result<Timestamp, VenueError> {
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
fn rfc3339(object: &Object<'_>, field: &'static str) -> Result<Timestamp, VenueError> {
    let text = json::text(object, field)?;
    utc(text.as_bytes())
        .or_else(|| i64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok())
        .map(Timestamp)
        .ok_or_else(|| VenueError::expected(field, "a time of RFC 3339 before the year 2262"))
}

/// Reads `2021-04-17T16:43:37.075687Z`, as nearly all venues write times, in nanoseconds since the Unix epoch. `None`: not
/// so, or no time of the years 1970 to 2199.
fn utc(text: &[u8]) -> Option<i64> {
    const SHAPE: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let (head, fraction) = text.strip_suffix(b"Z")?.split_first_chunk::<{ SHAPE.len() }>()?;
    let has_shape = head.iter().zip(SHAPE).all(|(byte, of)| match of {
        b'd' => byte.is_ascii_digit(),
        _ => byte == of,
    });
    let number = |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let is_fraction = match fraction {
        [] => true,
        [b'.', digits @ ..] => (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !has_shape || !is_fraction {
        return None;
    }
    let (year, month, day) = (number(&head[..4]), number(&head[5..7]), number(&head[8..10]));
    let (hour, minute, second) = (number(&head[11..13]), number(&head[14..16]), number(&head[17..]));
    let is_leap_year = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(is_leap_year),
        _ => return None,
    };
    let is_time = (1970..2200).contains(&year)
        && (1..=days_in_month).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !is_time {
        return None;
    }
    // Counted from March on, so that the leap day is the last of a year (Howard Hinnant, "chrono-compatible low-level date
    // algorithms").
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    let digits = fraction.get(1..).unwrap_or_default();
    let nanoseconds = (digits.len()..9).fold(number(digits), |sum, _| sum * 10);
    Some(seconds * 1_000_000_000 + nanoseconds)
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
fn taker(object: &Object<'_>, field: &'static str) -> Result<Aggressor, VenueError> {
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

    fn slow(text: &str) -> Option<i64> {
        i64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_nanosecond()).ok()
    }

    #[test]
    fn every_day_is_the_one_that_jiff_has() {
        for year in 1969..=2201 {
            for month in 0..=13 {
                for day in 0..=32 {
                    let text = format!("{year}-{month:02}-{day:02}T23:59:59.000000001Z");
                    let expected = slow(&text).filter(|_| (1970..2200).contains(&year));
                    assert_eq!(utc(text.as_bytes()), expected, "{text}");
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn times_are_those_that_jiff_reads(
            text in "20[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,10})?[Zz+]?",
        ) {
            if let Some(found) = utc(text.as_bytes()) {
                proptest::prop_assert_eq!(Some(found), slow(&text), "{}", text);
            }
        }
    }

    #[test]
    fn errors_name_instrument_and_field() {
        let error = VenueError::new("q", Problem::Missing).of("BTCUSDT").of("OTHER");
        assert_eq!(error.to_string(), "BTCUSDT: `q`: missing");
        assert_eq!(VenueError::new("q", Problem::Missing).to_string(), "`q`: missing");
    }
}
