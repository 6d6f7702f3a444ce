//! What an administrator asks a server by HTTP: who is connected, and what goes over somebody's connection.

use std::io;
use std::time::Duration;

use axum::http::{StatusCode, Uri, header};
use feeds::userinfo;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use super::token::TokenError;
use super::{ClientSettings, Stream, Token};
use crate::limits::{ADMIN_LIST_BYTES_MAX, CLIENT_REASON_CHARS_MAX, TAP_LINE_BYTES_MAX};
use crate::printable::printable;
use crate::wire::admin::{Connections, Payload, TapLine};

/// The path of the protocol, in place of which the administrator's come.
const SOCKET: &str = "/v1/ws";

/// An administrator of the server at a URL.
#[derive(Debug)]
pub struct Administrator {
    url: String,
    token: Option<Token>,
    patience: Duration,
}

/// Why an administrator gets no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
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

impl Administrator {
    /// Of the server whose protocol is at `url`, such as `ws://127.0.0.1:8080/v1/ws`.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Option<Token>) -> Self {
        Self { url: url.into(), token, patience: ClientSettings::default().connect_timeout }
    }

    /// The connections behind that cursor, or the first.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn connections(&self, cursor: Option<&str>) -> Result<Connections, AdminError> {
        let query = match cursor {
            None => String::new(),
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("?cursor={number}"),
            Some(_) => return Err(AdminError::Malformed("`next` is no number".to_owned())),
        };
        let (_sender, body) = self.get(&format!("/v1/admin/connections{query}")).await?;
        let body = self.in_time(Limited::new(body, ADMIN_LIST_BYTES_MAX).collect()).await?;
        let bytes = body.map_err(|error| AdminError::Malformed(error.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| AdminError::Malformed(error.to_string()))
    }

    /// Looks at what goes over the connection of that number from now on.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn tap(&self, id: u64, payload: Payload) -> Result<Tapping, AdminError> {
        let path = format!("/v1/admin/connections/{id}/tap?payload={}", payload.as_str());
        let (sender, body) = self.get(&path).await?;
        Ok(Tapping { _sender: sender, body, unread: Vec::new(), searched: 0 })
    }

    /// The body of the answer to a GET.
    async fn get(&self, path: &str) -> Result<(SendRequest<String>, Incoming), AdminError> {
        let uri: Uri = self.url.parse().map_err(|_invalid| AdminError::Url)?;
        let (Some("ws" | "wss"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AdminError::Url);
        };
        let before = uri.path().strip_suffix(SOCKET).unwrap_or_default();
        let mut request = Request::get(format!("{before}{path}")).header(header::HOST, authority.as_str());
        if let Some(token) = &self.token {
            // Without the line's name and end.
            let line = zeroize::Zeroizing::new(Token::header(&*token.read()?));
            let value = line.split_once(": ").map_or("", |(_, value)| value.trim_end());
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request.body(String::new()).map_err(|_invalid| AdminError::Url)?;
        let stream = self.in_time(Stream::connect(&uri, None)).await?;
        let stream = stream.map_err(|source| AdminError::Connect { url: self.shown_url(), source })?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        // It ends with the answer, or with whoever reads it; what goes wrong the answer tells.
        tokio::spawn(async move { drop(connection.await) });
        let (head, body) = self.in_time(sender.send_request(request)).await??.into_parts();
        if head.status != StatusCode::OK {
            let body = self.in_time(Limited::new(body, ADMIN_LIST_BYTES_MAX).collect()).await?;
            let reason = body.ok().and_then(|body| reason(&body.to_bytes()));
            let reason = reason.unwrap_or_else(|| "it does not say why".to_owned());
            return Err(AdminError::Refused { status: head.status, reason });
        }
        Ok((sender, body))
    }

    async fn in_time<T>(&self, what: impl Future<Output = T>) -> Result<T, AdminError> {
        let patience = self.patience;
        timeout(patience, what).await.map_err(|_elapsed| AdminError::Slow { url: self.shown_url(), patience })
    }

    fn shown_url(&self) -> String {
        userinfo::hidden(&self.url).into_owned()
    }
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

/// A connection that is looked at.
#[derive(Debug)]
pub struct Tapping {
    _sender: SendRequest<String>,
    body: Incoming,
    /// What has come of lines that are not read yet.
    unread: Vec<u8>,
    /// How much of that has no end of a line.
    searched: usize,
}

impl Tapping {
    /// The next line; `None`: no more come. Cancel-safe.
    ///
    /// # Errors
    /// [`AdminError`].
    pub async fn next(&mut self) -> Result<Option<TapLine>, AdminError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread[self.searched..]) {
                let line: Vec<u8> = self.unread.drain(..=self.searched + end).collect();
                self.searched = 0;
                let line = serde_json::from_slice(&line);
                return line.map(Some).map_err(|error| AdminError::Malformed(error.to_string()));
            }
            self.searched = self.unread.len();
            if self.searched > TAP_LINE_BYTES_MAX {
                return Err(AdminError::Malformed(format!("a line of more than {TAP_LINE_BYTES_MAX} bytes")));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.unread.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
