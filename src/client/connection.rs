//! One WebSocket connection.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::{ClientError, Disconnect};
use crate::limits::{CLIENT_BUFFER_BYTES, CLIENT_MESSAGE_BYTES_MAX};

pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Requests that were not handed to the socket yet. Bounded by what the owner asks, and two for each topic.
    outgoing: VecDeque<String>,
    needs_flush: bool,
    since: Instant,
    /// When a message came last: kept here, and not by a timer of [`Connection::receive`], which may be dropped and called
    /// again all the time.
    heard: Instant,
}

/// What a connection gave.
pub(super) enum Received {
    Text(Utf8Bytes),
    /// A control frame, or what is not for us.
    Nothing,
}

impl Connection {
    pub(super) async fn open(url: &str, patience: Duration) -> Result<Self, ClientError> {
        let failed = |source| ClientError::Connect { url: url.to_owned(), source: Box::new(source) };
        let mut request = url.into_client_request().map_err(failed)?;
        let protocol = HeaderValue::from_static("tickwire.v1.json");
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocol);
        // The usual buffers of 128 KiB would make thousands of clients heavy.
        let config = WebSocketConfig::default()
            .read_buffer_size(CLIENT_BUFFER_BYTES)
            .write_buffer_size(CLIENT_BUFFER_BYTES)
            .max_message_size(Some(CLIENT_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(CLIENT_MESSAGE_BYTES_MAX));
        let connecting = connect_async_with_config(request, Some(config), true);
        match timeout(patience, connecting).await {
            Ok(Ok((socket, _response))) => {
                let since = monotonic();
                Ok(Self { socket, outgoing: VecDeque::new(), needs_flush: false, since, heard: since })
            }
            Ok(Err(error)) => Err(failed(error)),
            Err(_elapsed) => Err(ClientError::ConnectTimeout { url: url.to_owned(), timeout: patience }),
        }
    }

    pub(super) fn queue(&mut self, request: String) {
        self.outgoing.push_back(request);
    }

    pub(super) fn age(&self) -> Duration {
        monotonic().saturating_duration_since(self.since)
    }

    /// Sends what is queued, then waits for the next message. Cancel-safe.
    pub(super) async fn receive(&mut self, silence: Duration) -> Result<Received, Disconnect> {
        let mut patience = silence.saturating_sub(monotonic().saturating_duration_since(self.heard));
        if self.needs_flush || !self.outgoing.is_empty() {
            timeout(patience, self.send())
                .await
                .map_err(|_elapsed| Disconnect::Silent)?
                .map_err(|error| Disconnect::Broken(error.to_string()))?;
            patience = silence.saturating_sub(monotonic().saturating_duration_since(self.heard));
        }
        // A message that is there already is taken even when the patience is over: it was us who did not listen.
        let received = timeout(patience, self.socket.next()).await;
        self.heard = monotonic();
        match received {
            Err(_elapsed) => Err(Disconnect::Silent),
            Ok(Some(Ok(Message::Text(text)))) => Ok(Received::Text(text)),
            Ok(Some(Ok(Message::Close(frame)))) => Err(match frame {
                Some(frame) => Disconnect::Closed(frame.code.into(), frame.reason.as_str().to_owned()),
                None => Disconnect::Broken("closed without a code".to_owned()),
            }),
            Ok(Some(Ok(Message::Binary(_)))) => {
                Err(Disconnect::Malformed("a binary message, which was not asked for".to_owned()))
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => Ok(Received::Nothing),
            Ok(Some(Err(error))) => Err(Disconnect::Broken(error.to_string())),
            Ok(None) => Err(Disconnect::Broken("ended".to_owned())),
        }
    }

    /// A request leaves the queue in the same step in which the socket takes it: nothing is lost, and nothing is sent
    /// twice, where this is dropped in between.
    async fn send(&mut self) -> Result<(), Error> {
        while !self.outgoing.is_empty() {
            poll_fn(|context| self.socket.poll_ready_unpin(context)).await?;
            if let Some(request) = self.outgoing.pop_front() {
                self.needs_flush = true;
                self.socket.start_send_unpin(Message::text(request))?;
            }
        }
        self.socket.flush().await?;
        self.needs_flush = false;
        Ok(())
    }
}
