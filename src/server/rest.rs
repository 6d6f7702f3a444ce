//! REST beside the socket: the same objects, with the same `epoch` and `seq`.

mod body;
mod describe;
mod docs;
mod entitled;
mod page;
mod problem;
mod query;
mod refusal;
pub(super) mod schema;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use feeds::SymbolId;
use ring::digest::{SHA256, digest};
use tokio::sync::oneshot;
use tokio::time::timeout;

pub(super) use self::body::Budget;
use self::body::Share;
pub(super) use self::docs::routes as description;
use self::entitled::Entitled;
use self::page::Page;
pub(super) use self::query::Parameters;
pub(super) use self::refusal::{Refusal, shortened};
use self::schema::{
    Bars, Book, BookParameters, HistoryParameters, Instruments, IntervalParameter, ListParameters, Quotes,
    Refused, SymbolParameter, Tickers, Trades,
};
use super::negotiation::{self, Coding};
use super::view::{Unseen, View};
use crate::bus::{BusHandle, Request, States};
use crate::directory::Directory;
use crate::limits::{HISTORY_LIMIT_MAX, STATES_WAIT};
use crate::market::quotes::QuoteReader;
use crate::topic::{Channel, Depth, Interval, Rate, TopicId};
use crate::wire::json::{self, Envelope};

/// What a row of an answer takes, generously: so much is set aside before the publisher is asked for it.
const ROW_BYTES: usize = 512;
/// Trades or bars of an answer when no `limit` is given.
const HISTORY_LIMIT: usize = 100;

/// What the routes read from.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) directory: Directory,
    pub(super) quotes: Option<QuoteReader>,
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

/// The instruments that may be seen.
#[utoipa::path(
    get, path = "/v1/instruments", params(ListParameters),
    responses((status = 200, description = "The instruments", body = Instruments), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn instruments(
    State(sources): State<Sources>,
    entitled: Entitled,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let page = sources.page(&entitled, parameters)?;
    let share = sources.reserve(&entitled, page.rows.len())?;
    let mut out = b"{\"instruments\":[".to_vec();
    for (index, &symbol) in page.rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::instrument(&mut out, sources.directory.get(symbol));
    }
    page.end(&mut out);
    sources.answer(share, out, None, &headers).await
}

/// Best bids and offers, straight from the cache where there is one.
#[utoipa::path(
    get, path = "/v1/quotes", params(ListParameters),
    responses((status = 200, description = "Best bids and offers", body = Quotes), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn quotes(
    State(sources): State<Sources>,
    entitled: Entitled,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    sources.view(&entitled).channel(Channel::Quote)?;
    let page = sources.page(&entitled, parameters)?;
    let share = sources.reserve(&entitled, page.rows.len())?;
    let is_raw = entitled.rate(Channel::Quote) == Rate::Raw;
    let Some(cache) = sources.quotes.as_ref().filter(|_| is_raw) else {
        return sources.states(&entitled, "quotes", Channel::Quote, page, share, &headers).await;
    };
    let epoch = sources.bus.epoch().ok_or_else(Refusal::busy)?;
    let mut out = b"{\"quotes\":[".to_vec();
    for (index, &symbol) in page.rows.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let cached = cache.get(symbol);
        let envelope = Envelope::new(sources.directory.get(symbol), cached.seq, cached.ts_event);
        json::quote_snapshot(&mut out, &envelope, &epoch, &cached.quote);
    }
    page.end(&mut out);
    // Another run of the stream has begun meanwhile: the numbers would be of two runs.
    if sources.bus.epoch().is_none_or(|now| now != epoch) {
        return Err(Refusal::busy());
    }
    sources.answer(share, out, None, &headers).await
}

/// The sessions so far.
#[utoipa::path(
    get, path = "/v1/tickers", params(ListParameters),
    responses((status = 200, description = "The sessions", body = Tickers), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn tickers(
    State(sources): State<Sources>,
    entitled: Entitled,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    sources.view(&entitled).channel(Channel::Ticker)?;
    let page = sources.page(&entitled, parameters)?;
    let share = sources.reserve(&entitled, page.rows.len())?;
    sources.states(&entitled, "tickers", Channel::Ticker, page, share, &headers).await
}

/// The best levels of a book.
#[utoipa::path(
    get, path = "/v1/books/{symbol}", params(SymbolParameter, BookParameters),
    responses((status = 200, description = "The book", body = Book), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn book(
    State(sources): State<Sources>,
    entitled: Entitled,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let [depth] = parameters.take(["depth"])?;
    let depth = match depth {
        None => Depth::D10,
        Some(text) => text.parse().ok().and_then(Depth::from_levels).ok_or_else(|| {
            Refusal::bad_parameter(format!("depth `{}` is none of 10, 25 and 100", shortened(&text)))
        })?,
    };
    let topics = vec![sources.topic(&entitled, Channel::Book(depth), symbol)?];
    let share = sources.reserve(&entitled, depth.levels())?;
    let states = sources.ask(|reply| Request::Read { topics, reply }).await?;
    let tag = tag(&states.epoch, states.seq);
    sources.answer(share, states.json, Some(tag), &headers).await
}

/// The newest trades, oldest first.
#[utoipa::path(
    get, path = "/v1/trades/{symbol}", params(SymbolParameter, HistoryParameters),
    responses((status = 200, description = "The trades", body = Trades), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn trades(
    State(sources): State<Sources>,
    entitled: Entitled,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let [limit] = parameters.take(["limit"])?;
    let limit = limit_of_history(limit)?;
    let topic = sources.topic(&entitled, Channel::Trade, symbol)?;
    sources.history(&entitled, "trades", topic, limit, &headers).await
}

/// The newest bars, oldest first; the last may be open.
#[utoipa::path(
    get, path = "/v1/bars/{symbol}", params(SymbolParameter, IntervalParameter, HistoryParameters),
    responses((status = 200, description = "The bars", body = Bars), (status = 304, description = "As `If-None-Match` has it"), Refused)
)]
async fn bars(
    State(sources): State<Sources>,
    entitled: Entitled,
    symbol: Result<Path<String>, PathRejection>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let [interval, limit] = parameters.take(["interval", "limit"])?;
    let interval = match interval {
        None => Interval::M1,
        Some(text) => Interval::from_text(&text).ok_or_else(|| {
            let text = shortened(&text);
            Refusal::bad_parameter(format!("interval `{text}` is none of 1s, 1m, 5m, 1h and 1d"))
        })?,
    };
    let limit = limit_of_history(limit)?;
    let topic = sources.topic(&entitled, Channel::Bar(interval), symbol)?;
    sources.history(&entitled, "bars", topic, limit, &headers).await
}

impl Sources {
    fn view<'a>(&'a self, Entitled { entitlement, .. }: &'a Entitled) -> View<'a> {
        View::new(&self.directory, entitlement)
    }

    /// The topic of a channel and the instrument that a path names.
    fn topic(
        &self,
        entitled: &Entitled,
        channel: Channel,
        symbol: Result<Path<String>, PathRejection>,
    ) -> Result<TopicId, Refusal> {
        let Path(name) = symbol.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
        let view = self.view(entitled);
        let symbol = find(view, &name)?;
        view.channel(channel)?;
        Ok(TopicId::new(channel, symbol).at(entitled.rate(channel)))
    }

    fn reserve(&self, entitled: &Entitled, rows: usize) -> Result<Share, Refusal> {
        self.budget.reserve(entitled.holder, rows * ROW_BYTES).ok_or_else(Refusal::busy)
    }

    async fn ask(&self, request: impl FnOnce(oneshot::Sender<States>) -> Request) -> Result<States, Refusal> {
        let (sender, receiver) = oneshot::channel();
        self.bus.request(request(sender)).map_err(|_| Refusal::busy())?;
        match timeout(STATES_WAIT, receiver).await {
            Ok(Ok(states)) => Ok(states),
            Ok(Err(_)) | Err(_) => Err(Refusal::busy()),
        }
    }

    /// The states of a channel, as a list of that name.
    async fn states(
        &self,
        entitled: &Entitled,
        name: &str,
        channel: Channel,
        page: Page,
        share: Share,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let rate = entitled.rate(channel);
        let topics = page.rows.iter().map(|&symbol| TopicId::new(channel, symbol).at(rate)).collect();
        let states = self.ask(|reply| Request::Read { topics, reply }).await?;
        let mut out = format!("{{\"{name}\":[").into_bytes();
        out.extend_from_slice(&states.json);
        page.end(&mut out);
        self.answer(share, out, None, headers).await
    }

    async fn history(
        &self,
        entitled: &Entitled,
        name: &str,
        topic: TopicId,
        limit: usize,
        headers: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let share = self.reserve(entitled, limit)?;
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
        self.answer(share, out, Some(tag(&states.epoch, states.seq)), headers).await
    }

    /// Answers with a document, or that the client has it. Without a tag, the content is its own.
    async fn answer(
        &self,
        share: Share,
        content: Vec<u8>,
        tag: Option<String>,
        asked: &HeaderMap,
    ) -> Result<Response, Refusal> {
        let tag = tag.unwrap_or_else(|| tag_of(&content));
        let headers = [
            (header::CACHE_CONTROL, "private, no-cache"),
            (header::VARY, "authorization, accept-encoding"),
            (header::ETAG, tag.as_str()),
        ];
        if negotiation::has(asked, &tag) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let (content, coding) = match Coding::worth_it(asked, content.len()) {
            None => (content, None),
            Some(coding) => match self.budget.encode(content, coding).await {
                Ok(encoded) => (encoded, Some(coding)),
                Err(content) => (content, None),
            },
        };
        let body = share.body(content).ok_or_else(Refusal::busy)?;
        let mut response = (headers, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        if let Some(coding) = coding {
            let coding = HeaderValue::from_static(coding.as_str());
            response.headers_mut().insert(header::CONTENT_ENCODING, coding);
        }
        Ok(response)
    }
}

/// Weak: it stands for the state in whatever coding.
fn tag(epoch: &str, seq: u64) -> String {
    format!("W/\"{epoch}:{seq}\"")
}

/// Of a list, in which each state has its own number.
fn tag_of(content: &[u8]) -> String {
    let hash = digest(&SHA256, content);
    format!("W/\"{}\"", data_encoding::HEXLOWER.encode(&hash.as_ref()[..16]))
}

fn find(view: View<'_>, name: &str) -> Result<SymbolId, Refusal> {
    view.find(&name.to_ascii_uppercase()).map_err(|unseen| match unseen {
        Unseen::Unknown => Refusal::unknown_symbol(name),
        denied => denied.into(),
    })
}

fn limit_of_history(asked: Option<String>) -> Result<usize, Refusal> {
    limit(asked, HISTORY_LIMIT, HISTORY_LIMIT_MAX)
}

pub(super) fn limit(asked: Option<String>, default: usize, max: usize) -> Result<usize, Refusal> {
    let Some(text) = asked else {
        return Ok(default);
    };
    text.parse().ok().filter(|limit| (1..=max).contains(limit)).ok_or_else(|| {
        let text = shortened(&text);
        Refusal::bad_parameter(format!("limit `{text}` is not between 1 and {max}"))
    })
}

pub(super) fn json_response(status: StatusCode, body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body).into_response()
}

/// One request too many of an address.
pub(super) fn too_many(retry_after: HeaderValue) -> Response {
    let mut response = Refusal::rate_limited().into_response();
    response.headers_mut().insert(header::RETRY_AFTER, retry_after);
    response
}

/// A path that there is, but not for this method.
pub(super) async fn wrong_method() -> Response {
    Refusal::wrong_method().into_response()
}
