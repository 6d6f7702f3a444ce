//! `/v1/ws`: from an HTTP request to a raw socket in its shard's hands.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tracing::{Span, debug, debug_span};

use super::admission::gate::{self, Client};
use super::admission::{Admission, Place, Refusal};
use super::auth::{Gate, Identity};
use super::lent::Lent;
use super::stream::Stream;
use super::traced;
use crate::fanout::{Deflate, Form};
use crate::limits::RETRY_AFTER;
use crate::metrics::Refused;
use crate::wire::{Encoding, Framing};
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
    /// Whose it is.
    pub(super) peer: IpAddr,
    /// Its place among all connections.
    pub(super) place: Place,
    /// Who it is; `None`: it has to say so.
    pub(super) identity: Option<Arc<Identity>>,
    /// What a collector of traces is told of it.
    pub(super) traced: Span,
}

impl Upgraded {
    /// What the log calls the connection, where it tells that much.
    pub(super) fn span(&self) -> Span {
        let subject = self.identity.as_ref().and_then(|identity| identity.subject.as_deref());
        debug_span!("connection", id = self.place.number(), peer = %self.peer, subject)
    }
}

/// What the handler needs: the way to its shard, and who may come in.
#[derive(Clone)]
pub(super) struct Entrance {
    pub(super) upgraded: mpsc::Sender<Upgraded>,
    pub(super) admission: Admission,
    /// Whether connections come in TLS.
    pub(super) is_tls: bool,
    pub(super) gate: Gate,
}

pub(super) async fn upgrade(
    State(entrance): State<Entrance>,
    Extension(Client(client)): Extension<Client>,
    mut request: Request,
) -> Response {
    let admission = &entrance.admission;
    if let Err(refusal) = admission.take_handshake(client) {
        return too_many(refusal);
    }
    let accepted = match handshake::accept(request.method(), request.headers(), SUBPROTOCOLS, MAY_COMPRESS) {
        Ok(accepted) => accepted,
        Err(error) => {
            admission.refuse(Refused::Handshake);
            return wrong(error);
        }
    };
    if !gate::may_connect(admission, &request, entrance.is_tls) {
        admission.refuse(Refused::Origin);
        let message = "this page may not connect: `allowed_origins` of the service says which may\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    // HTTP/1.0 has no upgrades.
    let Some(on_upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        admission.refuse(Refused::Handshake);
        return wrong(HandshakeError::NotAnUpgrade);
    };
    let identity = match entrance.gate.caller(request.headers(), request.uri()).await {
        Ok(identity) => identity,
        Err(refusal) => return refusal.into_response(),
    };
    // A place is held before the answer, so that a socket which was accepted is never dropped for want of one.
    let place = match admission.place(client) {
        Ok(place) => place,
        Err(refusal) => return too_many(refusal),
    };
    let Ok(way) = entrance.upgraded.try_reserve_owned() else {
        admission.refuse(Refused::Connections);
        return too_many(Refusal { reason: Refused::Connections, retry_after: RETRY_AFTER });
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
        framing: Framing::Frames,
    };
    let traced = traced::socket(request.headers(), client, &place, form, identity.as_deref());
    tokio::spawn(async move {
        match on_upgrade.await.map(stream) {
            Ok(Some((stream, already_read))) => {
                way.send(Upgraded { stream, already_read, form, peer: client, place, identity, traced });
            }
            Ok(None) => debug!("an upgraded connection is not ours"),
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
fn stream(upgraded: hyper::upgrade::Upgraded) -> Option<(Stream, Vec<u8>)> {
    let parts = upgraded.downcast::<TokioIo<Lent>>().ok()?;
    Some((parts.io.into_inner().take()?, parts.read_buf.to_vec()))
}

/// Of one address, that is its doing; of all, it is ours.
fn too_many(refusal: Refusal) -> Response {
    let (status, message) = match refusal.reason {
        Refused::HandshakeRate => (StatusCode::TOO_MANY_REQUESTS, "too many handshakes\n"),
        Refused::AddressConnections => {
            (StatusCode::TOO_MANY_REQUESTS, "too many connections of this address\n")
        }
        Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the service is about to end\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n"),
    };
    (status, [(header::RETRY_AFTER, gate::retry_after(refusal.retry_after))], message).into_response()
}

fn wrong(error: HandshakeError) -> Response {
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
