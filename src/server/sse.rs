//! `/v1/sse`: a stream of server-sent events, which is a connection of its shard as a WebSocket is one.

mod stream;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method as HttpMethod, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use tracing::Span;

pub(super) use self::stream::serve;
use super::admission::gate::{self, Client};
use super::admission::{Admission, Place, Refusal as NoRoom};
use super::auth::{Gate, Lease};
use super::lent::Lent;
use super::refusal;
use super::rest::schema::{EventsParameters, Refused as Stopped};
use super::rest::{Parameters, Refusal};
use super::stream::Stream;
use super::traced;
use super::view::{self, Unseen, View};
use crate::directory::Directory;
use crate::limits::{EVENT_ID_BYTES_MAX, EVENTS_TOPICS_MAX, RETRY_AFTER};
use crate::metrics::{AuthRefusal, Refused};
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::code::ErrorCode;
use crate::wire::{Cursor, Method, Request as Asked, Symbols};

/// What the handler needs: the way to its shard, who may come in, and what there is.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) entered: mpsc::Sender<Entered>,
    pub(super) admission: Admission,
    /// Whether connections come in TLS.
    pub(super) is_tls: bool,
    pub(super) gate: Gate,
    pub(super) directory: Directory,
}

/// A client that is let in, and what it is to be sent.
pub(super) struct Entered {
    stream: Stream,
    /// Whose it is.
    peer: IpAddr,
    place: Place,
    lease: Option<Lease>,
    /// The page of another origin that may read it.
    origin: Option<HeaderValue>,
    channel: Channel,
    rate: Rate,
    topics: Vec<TopicId>,
    rejected: Rejected,
    /// What it holds of a stream before.
    held: Option<Cursor>,
    /// What a collector of traces is told of it.
    traced: Span,
}

/// Symbols that are no topics, and why.
type Rejected = Vec<(String, ErrorCode)>;

/// What a request is for.
struct Wish {
    channel: Channel,
    rate: Rate,
    symbols: Symbols,
}

/// A stream of server-sent events: the objects of the socket.
#[utoipa::path(
    get, path = "/v1/sse", params(EventsParameters),
    responses((status = 200, description = "The stream", content_type = "text/event-stream", body = String), Stopped)
)]
pub(super) async fn enter(
    State(entrance): State<Entrance>,
    Extension(Client(client)): Extension<Client>,
    Extension(lent): Extension<Lent>,
    request: Request,
) -> Result<Response, Response> {
    let admission = &entrance.admission;
    admission.take_handshake(client).map_err(no_room)?;
    if request.method() != HttpMethod::GET {
        let mut response = Refusal::wrong_method().into_response();
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
        return Err(response);
    }
    if !gate::may_connect(admission, &request, entrance.is_tls) {
        admission.refuse(Refused::Origin);
        return Err(Refusal::origin().into_response());
    }
    let (headers, uri) = (request.headers(), request.uri());
    let identity = entrance.gate.caller(headers, uri).await.map_err(Refusal::into_response)?;
    let Some(identity) = identity else {
        return Err(entrance.gate.refuse(AuthRefusal::Missing).into_response());
    };
    let parameters = Parameters::of(uri).map_err(Refusal::into_response)?;
    let Wish { channel, rate, symbols } = wish(parameters).map_err(Refusal::into_response)?;
    let view = View::new(&entrance.directory, &identity.entitlement);
    let (topics, rejected) = select(view, channel, symbols).map_err(Refusal::into_response)?;
    rejected.iter().for_each(|&(_, code)| refusal::count(&entrance.gate.metrics, code));
    let (held, rate) = (last_event_id(headers), identity.entitlement.rate(channel, rate));
    let lease = entrance
        .gate
        .lease(Arc::clone(&identity))
        .map_err(|refusal| Refusal::auth(refusal).into_response())?;
    let place = admission.place(client).map_err(no_room)?;
    let Ok(way) = entrance.entered.clone().try_reserve_owned() else {
        admission.refuse(Refused::Connections);
        return Err(no_room(NoRoom { reason: Refused::Connections, retry_after: RETRY_AFTER }));
    };
    // From here on HTTP has nothing to write to: the answer is the stream's own.
    let Some(stream) = lent.take() else {
        return Err(Refusal::busy().into_response());
    };
    let origin = headers.get(header::ORIGIN).cloned();
    let traced = traced::events(headers, client, &place, &identity, channel, topics.len());
    way.send(Entered {
        stream,
        peer: client,
        place,
        lease,
        origin,
        channel,
        rate,
        topics,
        rejected,
        held,
        traced,
    });
    Ok(().into_response())
}

fn no_room(refusal: NoRoom) -> Response {
    let mut response = Refusal::admission(refusal.reason).into_response();
    // It is counted already, by its reason.
    response.extensions_mut().remove::<ErrorCode>();
    response.headers_mut().insert(header::RETRY_AFTER, gate::retry_after(refusal.retry_after));
    response
}

/// What is asked for: read as the socket's `subscribe` is.
fn wish(parameters: Parameters) -> Result<Wish, Refusal> {
    let names = ["channel", "symbols", "depth", "interval", "max_frequency"];
    let values = parameters.take(names)?;
    let mut params = Map::new();
    for (name, value) in names.into_iter().zip(values) {
        let Some(value) = value else { continue };
        let value = match name {
            "symbols" => value.split(',').map(|symbol| Value::from(symbol.trim())).collect(),
            "depth" => value.parse().map_or(Value::Null, |depth: u64| depth.into()),
            _ => value.into(),
        };
        params.insert(name.to_owned(), value);
    }
    let asked = serde_json::json!({ "method": "subscribe", "params": params }).to_string();
    match Asked::parse(asked.as_bytes()).map_err(Refusal::request)?.method {
        Method::Subscribe { channel, symbols, rate, .. } => Ok(Wish { channel, rate, symbols }),
        other => unreachable!("asked for subscribe, not {}", other.name()),
    }
}

/// The topics that may be seen, and why there are not those of the other symbols. When there is none, the first of these is
/// why nothing is sent.
fn select(view: View<'_>, channel: Channel, symbols: Symbols) -> Result<(Vec<TopicId>, Rejected), Refusal> {
    view.channel(channel)?;
    let (topics, unseen) = view.topics(channel, symbols);
    if topics.is_empty()
        && let Some((name, why)) = unseen.first()
    {
        return Err(match why {
            Unseen::Unknown => Refusal::unknown_symbol(name),
            &why => why.into(),
        });
    }
    if topics.len() > EVENTS_TOPICS_MAX {
        return Err(Refusal::too_many_topics(topics.len()));
    }
    Ok((topics, view::rejected(unseen)))
}

/// What the client holds. What cannot be read is none of ours, and it begins with the whole states.
fn last_event_id(headers: &HeaderMap) -> Option<Cursor> {
    let id = headers.get("last-event-id")?.to_str().ok()?;
    if id.len() > EVENT_ID_BYTES_MAX { None } else { Cursor::parse(id) }
}
