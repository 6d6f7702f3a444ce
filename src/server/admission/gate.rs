//! What every request by HTTP passes before its route.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::rest;
use super::{Admission, Holder, holder, origin};
use crate::metrics::Refused;

/// The other end of a connection, as the socket or the PROXY protocol tells it.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Peer(pub(in crate::server) IpAddr);

/// Who asks: the peer, or whom it speaks for.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Client(pub(in crate::server) IpAddr);

/// By whom it is counted; `None`: by nobody.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Counted(pub(in crate::server) Option<Holder>);

/// Whoever looks after the service is not to be kept out by those who are too many.
const UNCOUNTED: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];
/// Handshakes have a rate of their own.
pub(in crate::server) const SOCKET: &str = "/v1/ws";
/// So have these.
pub(in crate::server) const EVENTS: &str = "/v1/sse";

/// Lets a request through to its route, with its [`Client`].
pub(in crate::server) async fn check(
    State(admission): State<Admission>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(&Peer(peer)) = request.extensions().get() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if request.headers().contains_key(header::TRANSFER_ENCODING) {
        admission.refuse(Refused::Framing);
        let message = "a request tells its length by `Content-Length`: `Transfer-Encoding` is not taken";
        // What follows on this connection could be read in two ways (RFC 9112 section 6.1): it is not read at all.
        let refusal = rest::Refusal::unreadable(StatusCode::BAD_REQUEST, message);
        return ([(header::CONNECTION, "close")], refusal).into_response();
    }
    let is_http_1_0 = request.version() == Version::HTTP_10;
    let Some(host) = origin::host(request.uri(), request.headers(), is_http_1_0) else {
        admission.refuse(Refused::Host);
        let message = "a request names one host, in its header `Host`";
        return rest::Refusal::unreadable(StatusCode::BAD_REQUEST, message).into_response();
    };
    let settings = admission.settings();
    // Whoever looks whether it lives knows its address alone.
    let has_hosts = !settings.allowed_hosts.is_empty() && !request.uri().path().starts_with("/health/");
    if has_hosts && !origin::is_of(host, &settings.allowed_hosts) {
        admission.refuse(Refused::Host);
        let message = "this host is not served here";
        return rest::Refusal::unreadable(StatusCode::MISDIRECTED_REQUEST, message).into_response();
    }
    let Some(client) = admission.client(peer, request.headers()) else {
        let message = "`X-Forwarded-For` and `Forwarded` tell different clients, or no address";
        return rest::Refusal::unreadable(StatusCode::BAD_REQUEST, message).into_response();
    };
    request.extensions_mut().insert(Client(client));
    request.extensions_mut().insert(Counted(holder(client, &settings)));
    let path = request.uri().path();
    let has_own_rate = path == SOCKET || (path == EVENTS && request.method() != Method::OPTIONS);
    let has_rate = !has_own_rate && !UNCOUNTED.contains(&path);
    if has_rate && let Err(refusal) = admission.take_request(client) {
        return rest::too_many(retry_after(refusal.retry_after));
    }
    let response = next.run(request).await;
    if let Some(&code) = response.extensions().get() {
        admission.refuse_code(code);
    }
    response
}

/// A time as `Retry-After` has it: whole seconds, and one at least.
pub(in crate::server) fn retry_after(time: std::time::Duration) -> HeaderValue {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

/// Whether the page that a request comes from may connect.
pub(in crate::server) fn may_connect(admission: &Admission, request: &Request, is_tls: bool) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
    origin::may_connect(request.headers(), host, is_tls, &admission.settings().allowed_origins)
}
