//! From HTTP in the clear to the same place in TLS.

use axum::Router;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// A listener for those who come in the clear.
pub(super) struct Redirect {
    pub(super) listener: TcpListener,
    /// Where TLS is.
    pub(super) to_port: u16,
}

/// Answers every request with 308 (RFC 9110 section 15.4.9): the method stays, and so do path and query.
pub(super) fn routes(to_port: u16) -> Router {
    Router::new().fallback(move |headers: HeaderMap, uri: Uri| async move { answer(&headers, &uri, to_port) })
}

fn answer(headers: &HeaderMap, uri: &Uri, to_port: u16) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
        return (StatusCode::BAD_REQUEST, "this is in the clear, and a request without a host: use https\n")
            .into_response();
    };
    let port = if to_port == 443 { String::new() } else { format!(":{to_port}") };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let to = format!("https://{}{port}{path}", host.host());
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response()
}
