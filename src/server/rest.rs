//! REST beside the socket: the same objects, with the same `epoch` and `seq`.

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use feeds::SymbolId;
use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::bus::{BusHandle, Request, States};
use crate::directory::Directory;
use crate::limits::{HISTORY_LIMIT_MAX, STATES_WAIT};
use crate::market::quotes::QuoteReader;
use crate::topic::{Channel, Depth, Interval, TopicId};
use crate::wire::code::ErrorCode;
use crate::wire::json::{self, Envelope};

/// What the routes read from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) directory: Directory,
    pub(super) quotes: QuoteReader,
    pub(super) bus: BusHandle,
}

pub(super) fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/v1/instruments", get(instruments))
        .route("/v1/quotes", get(quotes))
        .route("/v1/tickers", get(tickers))
        .route("/v1/books/{symbol}", get(book))
        .route("/v1/trades/{symbol}", get(trades))
        .route("/v1/bars/{symbol}", get(bars))
        .with_state(sources)
}

/// A request that cannot be answered.
struct Refusal {
    status: StatusCode,
    code: ErrorCode,
    message: String,
}

impl Refusal {
    fn unknown_symbol(name: &str) -> Self {
        let message = format!("there is no instrument `{name}` here: /v1/instruments lists them");
        Self { status: StatusCode::NOT_FOUND, code: ErrorCode::UnknownSymbol, message }
    }

    fn bad_parameter(message: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code: ErrorCode::BadParameter, message }
    }

    fn busy() -> Self {
        let message = "the server is busy: try again in a moment".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code: ErrorCode::Busy, message }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = serde_json::json!({
            "code": self.code.as_str(), "message": self.message, "retryable": self.code.retryable(),
        });
        json_response(self.status, serde_json::json!({ "error": error }).to_string().into_bytes())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    symbols: Option<String>,
}

async fn instruments(
    State(sources): State<Sources>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let mut out = b"{\"instruments\":[".to_vec();
    for (index, symbol) in sources.select(filter)?.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::instrument(&mut out, sources.directory.get(symbol));
    }
    out.extend_from_slice(b"]}");
    Ok(json_response(StatusCode::OK, out))
}

/// Straight from the cache: the publisher is not asked.
async fn quotes(
    State(sources): State<Sources>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let symbols = sources.select(filter)?;
    let epoch = sources.bus.epoch().ok_or_else(Refusal::busy)?;
    let mut out = b"{\"quotes\":[".to_vec();
    for (index, symbol) in symbols.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let cached = sources.quotes.get(symbol);
        let instrument = sources.directory.get(symbol);
        let envelope = Envelope {
            symbol: instrument.symbol.as_str(),
            price_exponent: instrument.price_exponent,
            size_exponent: instrument.size_exponent,
            seq: cached.seq,
            ts_event: cached.ts_event,
        };
        json::quote_snapshot(&mut out, &envelope, &epoch, &cached.quote);
    }
    out.extend_from_slice(b"]}");
    // Another run of the stream has begun meanwhile: the numbers would be of two runs.
    if sources.bus.epoch().is_none_or(|now| now != epoch) {
        return Err(Refusal::busy());
    }
    Ok(json_response(StatusCode::OK, out))
}

async fn tickers(
    State(sources): State<Sources>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let symbols = sources.select(filter)?;
    let topics = symbols.into_iter().map(|symbol| TopicId::new(Channel::Ticker, symbol)).collect();
    let states = sources.ask(|reply| Request::Read { topics, reply }).await?;
    Ok(list("tickers", states))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BookQuery {
    depth: Option<u64>,
}

async fn book(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    query: Result<Query<BookQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let levels = parameters(query)?.depth.unwrap_or(10);
    let depth = Depth::from_levels(levels)
        .ok_or_else(|| Refusal::bad_parameter(format!("depth {levels} is none of 10, 25 and 100")))?;
    let topics = vec![TopicId::new(Channel::Book(depth), sources.named(symbol)?)];
    let states = sources.ask(|reply| Request::Read { topics, reply }).await?;
    Ok(json_response(StatusCode::OK, states.json))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TradesQuery {
    limit: Option<usize>,
}

async fn trades(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    query: Result<Query<TradesQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let limit = limit(parameters(query)?.limit)?;
    let topic = TopicId::new(Channel::Trade, sources.named(symbol)?);
    let states = sources.ask(|reply| Request::History { topic, limit, reply }).await?;
    Ok(sources.history("trades", topic, states))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BarsQuery {
    interval: Option<String>,
    limit: Option<usize>,
}

async fn bars(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    query: Result<Query<BarsQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Refusal> {
    let query = parameters(query)?;
    let text = query.interval.as_deref().unwrap_or("1m");
    let interval = Interval::from_text(text).ok_or_else(|| {
        Refusal::bad_parameter(format!("interval `{text}` is none of 1s, 1m, 5m, 1h and 1d"))
    })?;
    let limit = limit(query.limit)?;
    let topic = TopicId::new(Channel::Bar(interval), sources.named(symbol)?);
    let states = sources.ask(|reply| Request::History { topic, limit, reply }).await?;
    Ok(sources.history("bars", topic, states))
}

impl Sources {
    fn find(&self, name: &str) -> Result<SymbolId, Refusal> {
        self.directory.find(&name.to_ascii_uppercase()).ok_or_else(|| Refusal::unknown_symbol(name))
    }

    /// The instrument that a path names.
    fn named(&self, symbol: Result<Path<String>, PathRejection>) -> Result<SymbolId, Refusal> {
        let Path(name) = symbol.map_err(|rejection| Refusal::bad_parameter(rejection.body_text()))?;
        self.find(&name)
    }

    /// The instruments that `?symbols=A,B` names; all of them without it.
    fn select(
        &self,
        filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
    ) -> Result<Vec<SymbolId>, Refusal> {
        match parameters(filter)?.symbols {
            None => Ok(self.directory.iter().map(|(symbol, _)| symbol).collect()),
            Some(names) => names.split(',').map(|name| self.find(name.trim())).collect(),
        }
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<States>) -> Request) -> Result<States, Refusal> {
        let (sender, receiver) = oneshot::channel();
        self.bus.request(request(sender)).map_err(|_| Refusal::busy())?;
        match timeout(STATES_WAIT, receiver).await {
            Ok(Ok(states)) => Ok(states),
            Ok(Err(_)) | Err(_) => Err(Refusal::busy()),
        }
    }

    fn history(&self, name: &str, topic: TopicId, states: States) -> Response {
        let mut out = b"{".to_vec();
        json::history_head(
            &mut out,
            topic.channel(),
            self.directory.get(topic.symbol()).symbol.as_str(),
            &states.epoch,
            states.seq,
        );
        out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        out.extend_from_slice(&states.json);
        out.extend_from_slice(b"]}");
        json_response(StatusCode::OK, out)
    }
}

fn parameters<T>(query: Result<Query<T>, axum::extract::rejection::QueryRejection>) -> Result<T, Refusal> {
    query
        .map(|Query(parameters)| parameters)
        .map_err(|rejection| Refusal::bad_parameter(rejection.body_text()))
}

fn limit(asked: Option<usize>) -> Result<usize, Refusal> {
    match asked {
        None => Ok(100),
        Some(limit @ 1..=HISTORY_LIMIT_MAX) => Ok(limit),
        Some(limit) => {
            Err(Refusal::bad_parameter(format!("limit {limit} is not between 1 and {HISTORY_LIMIT_MAX}")))
        }
    }
}

fn list(name: &str, states: States) -> Response {
    let mut out = format!("{{\"{name}\":[").into_bytes();
    out.extend_from_slice(&states.json);
    out.extend_from_slice(b"]}");
    json_response(StatusCode::OK, out)
}

fn json_response(status: StatusCode, body: Vec<u8>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

/// Any path that there is not.
pub(super) async fn not_found() -> Response {
    let message = "there is nothing at this path: see README.md for the routes".to_owned();
    Refusal { status: StatusCode::NOT_FOUND, code: ErrorCode::NotFound, message }.into_response()
}
