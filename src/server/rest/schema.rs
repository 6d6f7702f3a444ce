//! What answers hold, for their description. They are written without these, by [`crate::wire::json`]; that they are so is
//! checked from outside, answer by answer.
#![expect(dead_code, reason = "described, never made")]

use serde::Deserialize;
use utoipa::{IntoParams, IntoResponses, ToSchema};

use super::problem::Problem;

/// Which rows of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct ListParameters {
    /// `A,B,C`, in upper or lower case; each once, in the order of its first mention. Default: all that may be seen.
    symbols: Option<String>,
    /// Of these, those whose names match: a name, or one that begins or ends with `*`.
    #[param(pattern = r"^(\*?[A-Za-z0-9/._-]{1,20}|[A-Za-z0-9/._-]{1,20}\*)$")]
    r#match: Option<String>,
    /// Of these, those of that venue.
    venue: Option<String>,
    /// Of these, those in that currency.
    currency: Option<String>,
    /// So many at most.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// `next` of the part before.
    cursor: Option<String>,
}

/// Of which instrument.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::server) struct SymbolParameter {
    /// The instrument, in upper or lower case; a `/` in it is written `%2F`.
    symbol: String,
}

/// How deep.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct BookParameters {
    /// Levels of each side: 10 (default), 25 or 100.
    #[param(pattern = "^(10|25|100)$")]
    depth: Option<String>,
}

/// Bars of which length.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct IntervalParameter {
    /// 1s, 1m (default), 5m, 1h or 1d.
    #[param(pattern = "^(1s|1m|5m|1h|1d)$")]
    interval: Option<String>,
}

/// How much.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct HistoryParameters {
    /// So many at most; the server keeps the newest 256 trades and 512 bars.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What a stream of events follows.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct EventsParameters {
    /// quote, trade, book, ticker, bar or status; also book.25, bar.5m.
    channel: String,
    /// `A,B,C`, or `*`: all that may be seen.
    symbols: String,
    /// Of `book`: 10, 25 or 100.
    #[param(pattern = "^(10|25|100)$")]
    depth: Option<String>,
    /// Of `bar`: 1s, 1m, 5m, 1h or 1d.
    #[param(pattern = "^(1s|1m|5m|1h|1d)$")]
    interval: Option<String>,
    /// raw (default), 100ms, 250ms, 500ms, 1s or 5s.
    #[param(pattern = "^(raw|100ms|250ms|500ms|1s|5s)$")]
    max_frequency: Option<String>,
}

/// Which connections.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct ConnectionsParameters {
    /// Those of that subject of a token, or name of an API key.
    subject: Option<String>,
    /// Those from that address.
    address: Option<String>,
    /// So many at most.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<u32>,
    /// `next` of the part before.
    #[param(pattern = "^[0-9]{1,20}$")]
    cursor: Option<String>,
}

/// Which connection.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::server) struct ConnectionParameter {
    /// The connection's number, as `/v1/admin/connections` has it.
    id: u64,
}

/// How much is shown.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::server) struct TapParameters {
    /// redacted (default): topics and numbers, no prices and no sizes; whole: all that the administrator may see itself.
    #[param(pattern = "^(redacted|whole)$")]
    payload: Option<String>,
}

/// A list of connections.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct AdminConnections {
    connections: Vec<AdminConnection>,
    /// `cursor` of the next part, where there is more.
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AdminConnection {
    /// How many of the process came before it.
    id: u64,
    /// The subject of its token, or the name of its API key; `null`: nobody in particular, or nobody yet.
    #[schema(required)]
    subject: Option<String>,
    address: String,
    #[schema(pattern = "^(ws|sse)$")]
    transport: String,
    #[schema(pattern = "^(json|binary)$")]
    encoding: String,
    /// Whether it takes compressed messages.
    compressed: bool,
    /// How many topics it follows.
    topics: u64,
    /// What waits for its socket.
    queued_bytes: u64,
    /// Whether it does not keep up just now.
    laggard: bool,
    /// How often it has not kept up, and was sent merged states.
    conflated: u32,
    /// In microseconds since the Unix epoch.
    opened_at: i64,
}

/// A list of instruments.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instruments {
    instruments: Vec<Instrument>,
    /// `cursor` of the next part, where there is more.
    #[schema(nullable = false)]
    next: Option<String>,
}

/// What is traded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Instrument {
    symbol: String,
    venue: String,
    /// Prices are integers times ten to this power.
    price_exponent: i8,
    size_exponent: i8,
    #[schema(required)]
    tick_size: Option<Decimal>,
    #[schema(required)]
    currency: Option<String>,
}

/// A number with all its digits.
#[derive(Deserialize, ToSchema)]
#[schema(pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
struct Decimal(String);

/// A list of best bids and offers.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Quotes {
    quotes: Vec<Quote>,
    /// `cursor` of the next part, where there is more.
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Best bid and offer; `null` where a side is empty.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Quote {
    #[schema(pattern = "^quote$")]
    channel: String,
    #[schema(pattern = "^snapshot$")]
    r#type: String,
    symbol: String,
    /// The run of the stream.
    epoch: String,
    /// The number of the state.
    seq: u64,
    /// The venue's time, in microseconds since the Unix epoch.
    ts_event: i64,
    #[schema(required)]
    bid: Option<Decimal>,
    #[schema(required)]
    bid_size: Option<Decimal>,
    #[schema(required)]
    ask: Option<Decimal>,
    #[schema(required)]
    ask_size: Option<Decimal>,
}

/// A list of sessions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Tickers {
    tickers: Vec<Ticker>,
    /// `cursor` of the next part, where there is more.
    #[schema(nullable = false)]
    next: Option<String>,
}

/// The session so far; `null` where there is nothing yet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Ticker {
    #[schema(pattern = "^ticker$")]
    channel: String,
    #[schema(pattern = "^snapshot$")]
    r#type: String,
    symbol: String,
    epoch: String,
    seq: u64,
    ts_event: i64,
    #[schema(required)]
    last: Option<Decimal>,
    #[schema(required)]
    last_size: Option<Decimal>,
    #[schema(required)]
    bid: Option<Decimal>,
    #[schema(required)]
    ask: Option<Decimal>,
    #[schema(required)]
    open: Option<Decimal>,
    #[schema(required)]
    high: Option<Decimal>,
    #[schema(required)]
    low: Option<Decimal>,
    #[schema(required)]
    close: Option<Decimal>,
    #[schema(required)]
    volume: Option<Decimal>,
    #[schema(required)]
    vwap: Option<Decimal>,
    #[schema(required)]
    trades: Option<u64>,
    #[schema(required)]
    change: Option<Decimal>,
    #[schema(required)]
    change_percent: Option<Decimal>,
}

/// The best levels, best first, each as price and size.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    #[schema(pattern = "^book$")]
    channel: String,
    depth: u8,
    #[schema(pattern = "^snapshot$")]
    r#type: String,
    symbol: String,
    epoch: String,
    seq: u64,
    ts_event: i64,
    bids: Vec<Vec<Decimal>>,
    asks: Vec<Vec<Decimal>>,
    /// Over the best ten levels, by Kraken's rule.
    checksum: u32,
}

/// The newest trades of an instrument.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trades {
    #[schema(pattern = "^trade$")]
    channel: String,
    symbol: String,
    epoch: String,
    /// The number of the topic's newest state.
    seq: u64,
    trades: Vec<Trade>,
}

/// A trade.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Trade {
    seq: u64,
    ts_event: i64,
    price: Decimal,
    size: Decimal,
    /// Who took liquidity.
    #[schema(pattern = "^(buy|sell|none)$")]
    side: String,
    /// The venue's number of it, where it gives one.
    #[schema(nullable = false)]
    id: Option<String>,
}

/// The newest bars of an instrument.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Bars {
    #[schema(pattern = "^bar$")]
    channel: String,
    #[schema(pattern = "^(1s|1m|5m|1h|1d)$")]
    interval: String,
    symbol: String,
    epoch: String,
    seq: u64,
    bars: Vec<Bar>,
}

/// Trades of an interval.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Bar {
    /// The interval's first microsecond.
    start: i64,
    open: Decimal,
    high: Decimal,
    low: Decimal,
    close: Decimal,
    volume: Decimal,
    #[schema(required)]
    vwap: Option<Decimal>,
    trades: u64,
    /// Whether the interval has passed.
    r#final: bool,
}

/// A short-lived token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Token {
    token: String,
    /// Seconds.
    expires_in: u64,
}

/// Requests that are not answered.
#[derive(IntoResponses)]
pub(in crate::server) enum Refused {
    /// Not a request of this service, or no such value of a parameter.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// Say who you are.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// Not for this client.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// No such instrument.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// Another method.
    #[response(status = 405, content_type = "application/problem+json")]
    MethodNotAllowed(Problem),
    /// Content that is not taken.
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// Too often.
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyRequests(Problem),
    /// Busy.
    #[response(status = 503, content_type = "application/problem+json")]
    Busy(Problem),
}
