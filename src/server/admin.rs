//! `/v1/admin`: who is connected, and what goes over somebody's connection, for those whose role or token says that they look
//! after the service.
//!
//! A tap harms nobody: what passes is copied for it on its way to the socket, into a queue with a bound, and what finds no room
//! there is dropped and counted. A connection that nobody taps pays for one look at an empty list.

mod mirror;
mod shown;
mod stream;
mod switchboard;

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, any, get};
use feeds::Clock;
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

pub(super) use self::mirror::{Mirror, Passing, shown_request};
use self::shown::Shown;
use self::stream::Tap;
pub(super) use self::switchboard::{Asked, Filter, Switchboard, Tapped};
use super::admission::gate::{Client, Counted};
use super::auth::{Gate, Identity};
use super::lent::Lent;
use super::rest::schema::{
    AdminConnections, ConnectionParameter, ConnectionsParameters, Refused as Stopped, TapParameters,
};
use super::rest::{Budget, Parameters, Refusal, json_response, limit, shortened};
use crate::directory::Directory;
use crate::limits::{LIST_ROWS_MAX, TAPS_MAX};
use crate::metrics::AuthRefusal;
use crate::wire::admin::{Connections, Payload, TapHead};

/// What a row of the list takes, generously.
const ROW_BYTES: usize = 512;

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub(super) struct Sources {
    pub(super) gate: Gate,
    pub(super) switchboard: Switchboard,
    pub(super) directory: Directory,
    pub(super) budget: Budget,
    pub(super) clock: Clock,
    pub(super) taps: Taps,
}

/// The taps that there may be, of all shards together. Cheap to clone.
#[derive(Clone)]
pub(super) struct Taps(Arc<Semaphore>);

impl Taps {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(TAPS_MAX)))
    }
}

pub(super) fn routes(sources: Sources) -> Router {
    Router::new()
        .route("/v1/admin/connections", get(connections))
        .route("/v1/admin/connections/{id}/tap", any(tap))
        .with_state(sources)
}

/// Those who are connected to this process, by the numbers of their connections.
#[utoipa::path(
    get, path = "/v1/admin/connections", params(ConnectionsParameters),
    responses((status = 200, description = "The connections", body = AdminConnections), Stopped),
    security(("bearer" = []))
)]
pub(super) async fn connections(
    State(sources): State<Sources>,
    Extension(Counted(holder)): Extension<Counted>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    sources.administrator(&headers, &uri).await?;
    let [subject, address, rows, cursor] =
        Parameters::of(&uri)?.take(["subject", "address", "limit", "cursor"])?;
    let address = address.map(|text| {
        text.parse().map_err(|_| {
            Refusal::bad_parameter(format!("address `{}` is no address of IPv4 or IPv6", shortened(&text)))
        })
    });
    let after = cursor.map(|text| {
        text.parse()
            .map_err(|_| Refusal::bad_parameter(format!("cursor `{}` is not of this list", shortened(&text))))
    });
    let rows = limit(rows, LIST_ROWS_MAX, LIST_ROWS_MAX)?;
    let share = sources.budget.reserve(holder, rows * ROW_BYTES).ok_or_else(Refusal::busy)?;
    // One more, to know whether there is one.
    let filter = Filter { subject, address: address.transpose()?, after: after.transpose()?, most: rows + 1 };
    let mut found = sources.switchboard.connections(&filter).await.map_err(|_busy| Refusal::busy())?;
    let has_more = found.len() > rows;
    found.truncate(rows);
    let next = found.last().filter(|_| has_more).map(|last| last.id.to_string());
    let list = Connections { connections: found, next };
    let content = serde_json::to_vec(&list).map_err(|_| Refusal::busy())?;
    let body = share.body(content).ok_or_else(Refusal::busy)?;
    Ok(json_response(StatusCode::OK, body))
}

/// What goes over a connection from now on, as lines of JSON: described in `protocol.md`, "Administration".
#[utoipa::path(
    get, path = "/v1/admin/connections/{id}/tap", params(ConnectionParameter, TapParameters),
    responses((status = 200, description = "The lines", content_type = "application/x-ndjson", body = String), Stopped),
    security(("bearer" = []))
)]
pub(super) async fn tap(
    State(sources): State<Sources>,
    Extension(Client(from)): Extension<Client>,
    Extension(lent): Extension<Lent>,
    id: Result<Path<u64>, PathRejection>,
    request: Request,
) -> Result<Response, Refusal> {
    if request.method() != Method::GET {
        return Ok(([(header::ALLOW, "GET")], Refusal::wrong_method()).into_response());
    }
    let identity = sources.administrator(request.headers(), request.uri()).await?;
    let Path(id) = id.map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    let [payload] = Parameters::of(request.uri())?.take(["payload"])?;
    let payload = match payload {
        None => Payload::Redacted,
        Some(text) => Payload::ALL.into_iter().find(|payload| payload.as_str() == text).ok_or_else(|| {
            Refusal::bad_parameter(format!("payload `{}` is none of redacted and whole", shortened(&text)))
        })?,
    };
    let place = Arc::clone(&sources.taps.0).try_acquire_owned().map_err(|_| Refusal::too_many_taps())?;
    let metrics = sources.gate.metrics.clone();
    let (mirror, reflection) = mirror::mirror(&metrics);
    let tapped = sources.switchboard.tap(id, mirror).await.map_err(|_busy| Refusal::busy())?;
    let Tapped { connection, topics } = tapped.ok_or_else(|| Refusal::no_connection(id))?;
    let lease = sources.gate.lease(Arc::clone(&identity)).map_err(Refusal::auth)?;
    // From here on HTTP has nothing to write to: the answer is the tap's own.
    let Some(stream) = lent.take() else { return Err(Refusal::busy()) };
    let named = topics.into_iter().map(|topic| {
        let symbol = &sources.directory.get(topic.symbol()).symbol;
        (topic.0, format!("{}:{symbol}", topic.channel()))
    });
    let head = TapHead { connection, payload, topics: named.collect() };
    let tap = Tap {
        stream,
        admin: identity.subject.clone().unwrap_or_else(|| "nobody in particular".to_owned()),
        from,
        lease,
        auth: sources.gate.auth.clone(),
        clock: sources.clock.clone(),
        head,
        shown: Shown::new(sources.directory.clone(), payload, Arc::clone(&identity.entitlement)),
        reflection,
        metrics,
        place,
    };
    spawn_local(stream::serve(tap));
    Ok(().into_response())
}

impl Sources {
    /// Who asks, if that is an administrator.
    async fn administrator(&self, headers: &HeaderMap, uri: &Uri) -> Result<Arc<Identity>, Refusal> {
        match self.gate.caller(headers, uri).await? {
            Some(identity) if identity.entitlement.is_admin() => Ok(identity),
            // Who has said nothing may yet say who it is, where anybody is asked.
            Some(identity) if identity.subject.is_some() || !self.gate.auth.is_on() => {
                Err(Refusal::no_admin())
            }
            _ => Err(self.gate.refuse(AuthRefusal::Missing)),
        }
    }
}
