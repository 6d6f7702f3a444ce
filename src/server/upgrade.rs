//! `/v1/ws`: from an HTTP request to a raw socket in its shard's hands.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::server::TlsStream;
use tracing::debug;

use super::stream::Stream;
use crate::fanout::{Deflate, Form};
use crate::limits::CONNECTIONS_MAX;
use crate::metrics::Metrics;
use crate::wire::Encoding;
use crate::ws::handshake::{self, HandshakeError};

/// What is spoken; without an offer, the first.
const SUBPROTOCOLS: &[&str] = &[Encoding::Json.subprotocol(), Encoding::Binary.subprotocol()];
/// Whether compression is taken up where a client offers it.
const MAY_COMPRESS: bool = true;

/// A connection whose handshake is done.
pub(super) struct Upgraded {
    pub(super) stream: Stream,
    /// What the client sent right behind its handshake.
    pub(super) already_read: Vec<u8>,
    /// What was agreed on how data is sent.
    pub(super) form: Form,
}

/// What the handler needs: the way to its shard, and whether that has room.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) upgraded: mpsc::Sender<Upgraded>,
    pub(super) metrics: Metrics,
}

pub(super) async fn upgrade(State(entrance): State<Entrance>, mut request: Request) -> Response {
    let accepted = match handshake::accept(request.method(), request.headers(), SUBPROTOCOLS, MAY_COMPRESS) {
        Ok(accepted) => accepted,
        Err(error) => {
            entrance.metrics.connections_refused_total().add(1);
            return refusal(error);
        }
    };
    let is_full = entrance.metrics.connections().get() >= i64::try_from(CONNECTIONS_MAX).unwrap_or(i64::MAX);
    // A place is held before the answer, so that a socket which was accepted is never dropped for want of one.
    let (false, Ok(place), Some(on_upgrade)) =
        (is_full, entrance.upgraded.try_reserve_owned(), request.extensions_mut().remove::<OnUpgrade>())
    else {
        entrance.metrics.connections_refused_total().add(1);
        let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, "too many connections\n").into_response();
    };
    let (subprotocol, deflate) = (accepted.subprotocol, accepted.deflate);
    let form = Form {
        encoding: Encoding::ALL
            .into_iter()
            .find(|encoding| subprotocol == Some(encoding.subprotocol()))
            .unwrap_or_default(),
        deflate: deflate.map(|deflate| Deflate {
            window_bits: deflate.server_max_window_bits,
            context: !deflate.server_no_context_takeover,
        }),
    };
    tokio::spawn(async move {
        match on_upgrade.await.map(streams) {
            Ok(Some((stream, already_read))) => {
                place.send(Upgraded { stream, already_read, form });
            }
            Ok(None) => debug!("an upgraded connection is neither plain nor TLS"),
            Err(error) => debug!(%error, "the client left during its handshake"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&accepted.accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    if let Some(Ok(extension)) = deflate.map(|deflate| HeaderValue::from_str(&deflate.to_header())) {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
    }
    response
}

/// What is below an upgraded connection, and what was read of it already.
fn streams(upgraded: hyper::upgrade::Upgraded) -> Option<(Stream, Vec<u8>)> {
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Some((Stream::Plain(parts.io.into_inner()), parts.read_buf.to_vec())),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<TlsStream<TcpStream>>>().ok()?;
            let (socket, session) = parts.io.into_inner().into_inner();
            Some((Stream::tls(socket, session), parts.read_buf.to_vec()))
        }
    }
}

fn refusal(error: HandshakeError) -> Response {
    let status = match error {
        HandshakeError::NotAnUpgrade | HandshakeError::Version => StatusCode::UPGRADE_REQUIRED,
        HandshakeError::Method => StatusCode::METHOD_NOT_ALLOWED,
        HandshakeError::Key | HandshakeError::Subprotocol(_) | HandshakeError::Extensions => {
            StatusCode::BAD_REQUEST
        }
    };
    let mut response = (status, format!("{error}\n")).into_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
