//! What a collector of traces is told of clients: a span of each connection, and of each request by REST.

use std::net::IpAddr;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use feeds::TRACED;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::admission::Place;
use super::admission::gate::{self, Client};
use super::auth::Identity;
use crate::fanout::Form;
use crate::limits::TRACED_PATH_BYTES_MAX;
use crate::topic::Channel;
use crate::traces;

/// The span of a WebSocket, which ends with it.
pub(super) fn socket(
    headers: &HeaderMap,
    client: IpAddr,
    place: &Place,
    form: Form,
    identity: Option<&Identity>,
) -> Span {
    let subject = identity.and_then(|identity| identity.subject.as_deref());
    let span = info_span!(
        target: TRACED, parent: None, "websocket",
        otel.kind = "server",
        http.route = gate::SOCKET,
        client.address = %client,
        user.id = subject,
        tickwire.connection = count(place.number()),
        tickwire.encoding = form.encoding.subprotocol(),
        tickwire.compressed = form.deflate.is_some(),
        tickwire.ended = Empty,
        otel.status_code = Empty,
    );
    traces::follow(&span, headers);
    span
}

/// The span of a stream of events, which ends with it.
pub(super) fn events(
    headers: &HeaderMap,
    client: IpAddr,
    place: &Place,
    identity: &Identity,
    channel: Channel,
    topics: usize,
) -> Span {
    let span = info_span!(
        target: TRACED, parent: None, "events",
        otel.kind = "server",
        http.route = gate::EVENTS,
        client.address = %client,
        user.id = identity.subject.as_deref(),
        tickwire.connection = count(place.number()),
        tickwire.channel = %channel,
        tickwire.topics = count(topics),
        otel.status_code = Empty,
    );
    traces::follow(&span, headers);
    span
}

/// A fault of ours has ended what the span covers.
pub(super) fn fault(span: &Span) {
    span.record("otel.status_code", "ERROR");
}

/// Hands a request on to its route, within a span.
pub(super) async fn request(request: Request, next: Next) -> Response {
    let extensions = request.extensions();
    let route = extensions.get().map_or("", MatchedPath::as_str);
    let client = extensions.get().map(|&Client(client)| tracing::field::display(client));
    let method = named(request.method());
    let path = request.uri().path();
    let span = info_span!(
        target: TRACED, parent: None, "request",
        otel.kind = "server",
        otel.name = %format_args!("{method} {route}"),
        http.request.method = method,
        http.route = route,
        // Without the query: people put tokens into it.
        url.path = &path[..path.floor_char_boundary(TRACED_PATH_BYTES_MAX)],
        client.address = client,
        http.response.status_code = Empty,
        otel.status_code = Empty,
    );
    traces::follow(&span, request.headers());
    let response = next.run(request).await;
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        fault(&span);
    }
    response
}

/// A number as OpenTelemetry has it.
fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A method by its name, where it is one that everybody knows.
fn named(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "_OTHER",
    }
}
