//! REST beside the socket: the same objects, with the same `epoch` and `seq`.

mod body;
mod query;
mod refusal;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use feeds::SymbolId;
use rustc_hash::FxHashSet;
use tokio::sync::oneshot;
use tokio::time::timeout;

pub(super) use self::body::Budget;
use self::body::Share;
use self::query::Parameters;
use self::refusal::{Refusal, shortened};
use crate::bus::{BusHandle, Request, States};
use crate::directory::Directory;
use crate::limits::{HISTORY_LIMIT_MAX, STATES_WAIT};
use crate::market::quotes::QuoteReader;
use crate::topic::{Channel, Depth, Interval, TopicId};
use crate::wire::json::{self, Envelope};

/// What a row of an answer takes, generously: so much is set aside before the publisher is asked for it.
const ROW_BYTES: usize = 512;
/// Trades or bars of an answer when no `limit` is given.
const HISTORY_LIMIT: usize = 100;

/// What the routes read from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) directory: Directory,
    pub(super) quotes: QuoteReader,
    pub(super) bus: BusHandle,
    pub(super) budget: Budget,
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

async fn instruments(State(sources): State<Sources>, parameters: Parameters) -> Result<Response, Refusal> {
    let symbols = sources.select(parameters)?;
    let share = sources.reserve(symbols.len())?;
    let mut out = b"{\"instruments\":[".to_vec();
    for (index, symbol) in symbols.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::instrument(&mut out, sources.directory.get(symbol));
    }
    out.extend_from_slice(b"]}");
    answer(share, out)
}

/// Straight from the cache: the publisher is not asked.
async fn quotes(State(sources): State<Sources>, parameters: Parameters) -> Result<Response, Refusal> {
    let symbols = sources.select(parameters)?;
    let share = sources.reserve(symbols.len())?;
    let epoch = sources.bus.epoch().ok_or_else(Refusal::busy)?;
    let mut out = b"{\"quotes\":[".to_vec();
    for (index, symbol) in symbols.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let cached = sources.quotes.get(symbol);
        let envelope = Envelope::new(sources.directory.get(symbol), cached.seq, cached.ts_event);
        json::quote_snapshot(&mut out, &envelope, &epoch, &cached.quote);
    }
    out.extend_from_slice(b"]}");
    // Another run of the stream has begun meanwhile: the numbers would be of two runs.
    if sources.bus.epoch().is_none_or(|now| now != epoch) {
        return Err(Refusal::busy());
    }
    answer(share, out)
}

async fn tickers(State(sources): State<Sources>, parameters: Parameters) -> Result<Response, Refusal> {
    let symbols = sources.select(parameters)?;
    let share = sources.reserve(symbols.len())?;
    let topics = symbols.into_iter().map(|symbol| TopicId::new(Channel::Ticker, symbol)).collect();
    let states = sources.ask(|reply| Request::Read { topics, reply }).await?;
    let mut out = b"{\"tickers\":[".to_vec();
    out.extend_from_slice(&states.json);
    out.extend_from_slice(b"]}");
    answer(share, out)
}

async fn book(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let [depth] = parameters.take(["depth"])?;
    let depth = match depth {
        None => Depth::D10,
        Some(text) => text.parse().ok().and_then(Depth::from_levels).ok_or_else(|| {
            Refusal::bad_parameter(format!("depth `{}` is none of 10, 25 and 100", shortened(&text)))
        })?,
    };
    let topics = vec![TopicId::new(Channel::Book(depth), sources.named(symbol)?)];
    let share = sources.reserve(depth.levels())?;
    let states = sources.ask(|reply| Request::Read { topics, reply }).await?;
    answer(share, states.json)
}

async fn trades(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let [limit] = parameters.take(["limit"])?;
    let limit = history_limit(limit)?;
    let topic = TopicId::new(Channel::Trade, sources.named(symbol)?);
    sources.history("trades", topic, limit).await
}

async fn bars(
    State(sources): State<Sources>,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
) -> Result<Response, Refusal> {
    let [interval, limit] = parameters.take(["interval", "limit"])?;
    let interval = match interval {
        None => Interval::M1,
        Some(text) => Interval::from_text(&text).ok_or_else(|| {
            let text = shortened(&text);
            Refusal::bad_parameter(format!("interval `{text}` is none of 1s, 1m, 5m, 1h and 1d"))
        })?,
    };
    let limit = history_limit(limit)?;
    let topic = TopicId::new(Channel::Bar(interval), sources.named(symbol)?);
    sources.history("bars", topic, limit).await
}

impl Sources {
    fn find(&self, name: &str) -> Result<SymbolId, Refusal> {
        self.directory.find(&name.to_ascii_uppercase()).ok_or_else(|| Refusal::unknown_symbol(name))
    }

    /// The instrument that a path names.
    fn named(&self, symbol: Result<Path<String>, PathRejection>) -> Result<SymbolId, Refusal> {
        let Path(name) = symbol.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
        self.find(&name)
    }

    /// The instruments that `?symbols=A,B` names, each once, in the order of their first mention; all of them
    /// without it.
    fn select(&self, parameters: Parameters) -> Result<Vec<SymbolId>, Refusal> {
        let [symbols] = parameters.take(["symbols"])?;
        let Some(names) = symbols else {
            return Ok(self.directory.iter().map(|(symbol, _)| symbol).collect());
        };
        let mut seen = FxHashSet::default();
        let mut selected = Vec::new();
        for name in names.split(',') {
            let symbol = self.find(name.trim())?;
            if seen.insert(symbol) {
                selected.push(symbol);
            }
        }
        Ok(selected)
    }

    fn reserve(&self, rows: usize) -> Result<Share, Refusal> {
        self.budget.reserve(rows * ROW_BYTES).ok_or_else(Refusal::busy)
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<States>) -> Request) -> Result<States, Refusal> {
        let (sender, receiver) = oneshot::channel();
        self.bus.request(request(sender)).map_err(|_| Refusal::busy())?;
        match timeout(STATES_WAIT, receiver).await {
            Ok(Ok(states)) => Ok(states),
            Ok(Err(_)) | Err(_) => Err(Refusal::busy()),
        }
    }

    async fn history(&self, name: &str, topic: TopicId, limit: usize) -> Result<Response, Refusal> {
        let share = self.reserve(limit)?;
        let states = self.ask(|reply| Request::History { topic, limit, reply }).await?;
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
        answer(share, out)
    }
}

fn history_limit(asked: Option<String>) -> Result<usize, Refusal> {
    let Some(text) = asked else {
        return Ok(HISTORY_LIMIT);
    };
    text.parse().ok().filter(|limit| (1..=HISTORY_LIMIT_MAX).contains(limit)).ok_or_else(|| {
        let text = shortened(&text);
        Refusal::bad_parameter(format!("limit `{text}` is not between 1 and {HISTORY_LIMIT_MAX}"))
    })
}

fn answer(share: Share, content: Vec<u8>) -> Result<Response, Refusal> {
    share.body(content).map(|body| json_response(StatusCode::OK, body)).ok_or_else(Refusal::busy)
}

fn json_response(status: StatusCode, body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

/// Any path that there is not.
pub(super) async fn not_found() -> Response {
    Refusal::not_found().into_response()
}

/// A path that there is, but not for this method.
pub(super) async fn wrong_method() -> Response {
    Refusal::wrong_method().into_response()
}
