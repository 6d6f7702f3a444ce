//! What a client asks a server by HTTP, beside its socket: one request on a connection of its own.

use std::io;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, Uri, header};
use feeds::userinfo;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use super::token::TokenError;
use super::{ClientSettings, Stream, Token};
use crate::limits::{ADMIN_LIST_BYTES_MAX, CLIENT_REASON_CHARS_MAX};
use crate::printable::printable;

/// The path of the socket, in place of which that of a request comes.
const SOCKET: &str = "/v1/ws";

/// The server whose socket is at a URL.
#[derive(Debug)]
pub struct Rest {
    url: String,
    token: Option<Token>,
    patience: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Not such as `ws://127.0.0.1:8080/v1/ws`.
    #[error("no URL that begins with ws:// or wss:// and a host")]
    Url,
    /// There is no token to present.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The network.
    #[error("no connection to {url}: {source}")]
    Connect {
        /// Where to.
        url: String,
        /// Why not.
        source: io::Error,
    },
    /// No answer in time.
    #[error("{url} does not answer within {patience:?}")]
    Slow {
        /// Who.
        url: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The answer breaks off, or is none of HTTP.
    #[error("the answer breaks off: {0}")]
    Http(#[from] hyper::Error),
    /// The server says no.
    #[error("the server answers {status}: {reason}")]
    Refused {
        /// How.
        status: StatusCode,
        /// What it says.
        reason: String,
    },
    /// Something else than what was asked for.
    #[error("what the server answers is not what was asked for: {0}")]
    Malformed(String),
}

impl Rest {
    /// Of the server whose protocol is at `url`, such as `ws://127.0.0.1:8080/v1/ws`.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Option<Token>) -> Self {
        Self { url: url.into(), token, patience: ClientSettings::default().connect_timeout }
    }

    /// The answer to a GET of a path such as `/v1/instruments`, of so many bytes at most.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn get(&self, path: &str, bytes_max: usize) -> Result<Bytes, RestError> {
        let (_sender, body) = self.open(path).await?;
        let body = self.in_time(Limited::new(body, bytes_max).collect()).await?;
        Ok(body.map_err(|error| RestError::Malformed(error.to_string()))?.to_bytes())
    }

    /// The body of the answer to a GET, which goes on as long as the sender is there.
    pub(super) async fn open(&self, path: &str) -> Result<(SendRequest<String>, Incoming), RestError> {
        let uri: Uri = self.url.parse().map_err(|_invalid| RestError::Url)?;
        let (Some("ws" | "wss"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(RestError::Url);
        };
        let mut request = Request::get(beside(&uri, path))
            .header(header::HOST, authority.as_str())
            .header(header::USER_AGENT, concat!("tickwire/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            let bearer = HeaderValue::try_from(format!("Bearer {}", token.read()?.expose()));
            let mut bearer = bearer.map_err(|_invalid| RestError::Url)?;
            bearer.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, bearer);
        }
        let request = request.body(String::new()).map_err(|_invalid| RestError::Url)?;
        let stream = self.in_time(Stream::connect(&uri, None)).await?;
        let stream = stream.map_err(|source| RestError::Connect { url: self.shown_url(), source })?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, or with whoever reads it; what goes wrong the answer tells.
        tokio::spawn(async move { drop(connection.await) });
        let (head, body) = self.in_time(sender.send_request(request)).await??.into_parts();
        if head.status != StatusCode::OK {
            let body = self.in_time(Limited::new(body, ADMIN_LIST_BYTES_MAX).collect()).await?;
            let reason = body.ok().and_then(|body| reason(&body.to_bytes()));
            let reason = reason.unwrap_or_else(|| "it does not say why".to_owned());
            return Err(RestError::Refused { status: head.status, reason });
        }
        Ok((sender, body))
    }

    async fn in_time<T>(&self, what: impl Future<Output = T>) -> Result<T, RestError> {
        let patience = self.patience;
        timeout(patience, what).await.map_err(|_elapsed| RestError::Slow { url: self.shown_url(), patience })
    }

    fn shown_url(&self) -> String {
        userinfo::hidden(&self.url).into_owned()
    }
}

/// A path of a server that may be behind another.
fn beside(socket: &Uri, path: &str) -> String {
    let before = socket.path().strip_suffix(SOCKET).unwrap_or_default();
    format!("{before}{path}")
}

/// What a problem document says.
fn reason(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        code: String,
        detail: String,
    }
    let Problem { code, detail } = serde_json::from_slice(body).ok()?;
    Some(printable(&format!("{code}: {detail}"), CLIENT_REASON_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_beside_the_socket() {
        for (socket, found) in [
            ("ws://h/v1/ws", "/v1/instruments"),
            ("ws://h/behind/proxy/v1/ws", "/behind/proxy/v1/instruments"),
            ("ws://h/elsewhere", "/v1/instruments"),
        ] {
            assert_eq!(beside(&socket.parse().expect(socket), "/v1/instruments"), found);
        }
    }
}
