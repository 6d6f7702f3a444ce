//! What an administrator asks a server by HTTP: who is connected, and what goes over somebody's connection.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use super::Token;
use super::rest::{Rest, RestError};
use crate::limits::{ADMIN_LIST_BYTES_MAX, TAP_LINE_BYTES_MAX};
use crate::wire::admin::{Connections, Payload, TapLine};

/// An administrator of the server at a URL.
#[derive(Debug)]
pub struct Administrator(Rest);

impl Administrator {
    /// Of the server whose protocol is at `url`, such as `ws://127.0.0.1:8080/v1/ws`.
    #[must_use]
    pub fn new(url: impl Into<String>, token: Option<Token>) -> Self {
        Self(Rest::new(url, token))
    }

    /// The connections behind that cursor, or the first.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn connections(&self, cursor: Option<&str>) -> Result<Connections, RestError> {
        let query = match cursor {
            None => String::new(),
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("?cursor={number}"),
            Some(_) => return Err(RestError::Malformed("`next` is no number".to_owned())),
        };
        let bytes = self.0.get(&format!("/v1/admin/connections{query}"), ADMIN_LIST_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| RestError::Malformed(error.to_string()))
    }

    /// Looks at what goes over the connection of that number from now on.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn tap(&self, id: u64, payload: Payload) -> Result<Tapping, RestError> {
        let path = format!("/v1/admin/connections/{id}/tap?payload={}", payload.as_str());
        let (sender, body) = self.0.open(&path).await?;
        Ok(Tapping { _sender: sender, body, unread: Vec::new(), searched: 0 })
    }
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
    /// [`RestError`].
    pub async fn next(&mut self) -> Result<Option<TapLine>, RestError> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.unread[self.searched..]) {
                let line: Vec<u8> = self.unread.drain(..=self.searched + end).collect();
                self.searched = 0;
                let line = serde_json::from_slice(&line);
                return line.map(Some).map_err(|error| RestError::Malformed(error.to_string()));
            }
            self.searched = self.unread.len();
            if self.searched > TAP_LINE_BYTES_MAX {
                return Err(RestError::Malformed(format!("a line of more than {TAP_LINE_BYTES_MAX} bytes")));
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
