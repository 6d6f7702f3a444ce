//! One WebSocket connection.

use std::future::poll_fn;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, Uri, header};
use feeds::clock::{Clock, monotonic};
use feeds::userinfo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::machine::TryParse;
use zeroize::Zeroizing;

use super::stream::Stream;
use super::tap::{Observed, Sender, Tap};
use super::token::TokenError;
use super::{ClientError, ClientSettings, Disconnect, Token};
use crate::limits::{CLIENT_BUFFER_BYTES, CLIENT_MESSAGE_BYTES_MAX, CLIENT_REASON_CHARS_MAX};
use crate::secret::Secret;
use crate::wire::Encoding;
use crate::ws::decode::{Decoder, Event, Role};
use crate::ws::deflate::Inflater;
use crate::ws::extensions;
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake::{self, AnswerError};

pub(super) struct Connection {
    stream: Stream,
    decoder: Decoder,
    inflater: Inflater,
    is_compressed: bool,
    input: Box<[u8]>,
    /// What of the input was read and not decoded yet.
    unread: Range<usize>,
    /// Frames, of which the socket has taken the first `sent` bytes. Bounded by what the owner asks, one request for each
    /// topic, and a bound on pongs.
    output: Vec<u8>,
    sent: usize,
    /// Whether nothing of what the stream took waits in it: TLS keeps records that the socket did not take.
    is_flushed: bool,
    /// Bytes of the frames that were decoded since the last [`Connection::take_wire_bytes`].
    wire_bytes: u64,
    /// Those of the message or control frame that is being read.
    frame_bytes: u64,
    /// Is shown what goes over the connection, if anybody looks.
    tap: Option<Tap>,
    /// What was presented last.
    token: Option<Arc<Secret>>,
    since: Instant,
    /// When something came last: kept here, and not by a timer of [`Connection::receive`], which may be dropped and called
    /// again all the time.
    heard: Instant,
}

/// What a connection gave.
pub(super) enum Received {
    Text(String),
    Binary(Vec<u8>),
    /// A control frame.
    Nothing,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not such as `ws://127.0.0.1:8080/v1/ws`.
    #[error("no URL that begins with ws:// or wss:// and a host")]
    Url,
    /// A name or password in the URL, which would not be sent.
    #[error("a URL has no name or password in it: present a token instead")]
    Userinfo,
    /// There is no token to present.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server lets nobody in who presents this, or nothing.
    #[error("the server answered 401: {reason}")]
    Refused {
        /// What the server says.
        reason: String,
    },
    /// The network.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is not the head of an answer.
    #[error(transparent)]
    Http(Box<tungstenite::Error>),
    /// The head of the answer is longer than [`CLIENT_BUFFER_BYTES`].
    #[error("the head of the answer is longer than {CLIENT_BUFFER_BYTES} bytes")]
    TooLong,
    /// The server does not agree.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The server does not speak `tickwire.v1.bin`.
    #[error("the server does not speak {0}")]
    Subprotocol(&'static str),
}

impl Connection {
    pub(super) async fn open(url: &str, settings: &ClientSettings) -> Result<Self, ClientError> {
        let patience = settings.connect_timeout;
        match timeout(patience, Self::shake_hands(url, settings)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(ConnectError::Refused { reason })) => Err(ClientError::Refused { reason }),
            Ok(Err(source)) => Err(ClientError::Connect { url: userinfo::hidden(url).into_owned(), source }),
            Err(_elapsed) => {
                let url = userinfo::hidden(url).into_owned();
                Err(ClientError::ConnectTimeout { url, timeout: patience })
            }
        }
    }

    async fn shake_hands(url: &str, settings: &ClientSettings) -> Result<Self, ConnectError> {
        let uri: Uri = url.parse().map_err(|_invalid| ConnectError::Url)?;
        let (Some("ws" | "wss"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ConnectError::Url);
        };
        if userinfo::is_in(url) {
            return Err(ConnectError::Userinfo);
        }
        let token = settings.token.as_ref().map(Token::read).transpose()?;
        let mut stream = Stream::connect(&uri, settings.receive_buffer).await?;

        let key = handshake::key((u128::from(random()) << 64 | u128::from(random())).to_be_bytes());
        let subprotocol = settings.encoding.subprotocol();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let offer = if settings.compress {
            format!("Sec-WebSocket-Extensions: {}\r\n", extensions::OFFER)
        } else {
            String::new()
        };
        let authorization = Zeroizing::new(token.as_deref().map(Token::header).unwrap_or_default());
        let request = Zeroizing::new(format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n{offer}{}\r\n",
            *authorization
        ));
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;

        // The usual buffers of 128 KiB would make thousands of clients heavy.
        let mut input = vec![0; CLIENT_BUFFER_BYTES].into_boxed_slice();
        let mut len = 0;
        let (head_len, answer) = loop {
            if len == input.len() {
                return Err(ConnectError::TooLong);
            }
            match stream.read(&mut input[len..]).await? {
                0 => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                count => len += count,
            }
            let parsed = Response::try_parse(&input[..len]);
            if let Some(parsed) = parsed.map_err(|error| ConnectError::Http(Box::new(error)))? {
                break parsed;
            }
        };
        let (status, headers) = (answer.status(), answer.headers());
        if status == StatusCode::UNAUTHORIZED {
            let reason = read_reason(&mut stream, headers, &mut input, head_len..len).await;
            return Err(ConnectError::Refused { reason });
        }
        let agreed = handshake::read_answer(status, headers, &key, &[subprotocol], settings.compress)?;
        // A server that knows of no subprotocols speaks JSON.
        if agreed.subprotocol.is_none() && settings.encoding != Encoding::Json {
            return Err(ConnectError::Subprotocol(subprotocol));
        }
        let inflater = match &agreed.deflate {
            Some(deflate) if !deflate.server_no_context_takeover => {
                Inflater::with_context(deflate.server_max_window_bits)
            }
            _ => Inflater::without_context(),
        };
        let since = monotonic();
        let is_compressed = agreed.deflate.is_some();
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Client, is_compressed, CLIENT_MESSAGE_BYTES_MAX),
            inflater,
            is_compressed,
            input,
            unread: head_len..len,
            output: Vec::new(),
            sent: 0,
            is_flushed: true,
            wire_bytes: 0,
            frame_bytes: 0,
            tap: None,
            token,
            since,
            heard: since,
        })
    }

    /// From now on `tap` is shown what goes over the connection.
    pub(super) fn tap(&mut self, tap: Tap) {
        self.tap = Some(tap);
    }

    pub(super) fn queue(&mut self, request: &str) {
        self.put(Opcode::Text, request.as_bytes());
    }

    /// What was presented last.
    pub(super) const fn token(&self) -> Option<&Arc<Secret>> {
        self.token.as_ref()
    }

    /// Presents another token.
    pub(super) fn present(&mut self, token: Arc<Secret>, request: i64) {
        let text = Zeroizing::new(Token::request(&token, request));
        let hidden = Token::request(&Secret::new("…".to_owned()), request);
        self.put_shown_as(Opcode::Text, text.as_bytes(), hidden.as_bytes());
        self.token = Some(token);
    }

    /// Bytes on the wire, with headers and compressed where they are, of all that was received since the last call.
    pub(super) const fn take_wire_bytes(&mut self) -> u64 {
        std::mem::replace(&mut self.wire_bytes, 0)
    }

    /// Whether compression was agreed on.
    pub(super) const fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    pub(super) fn age(&self) -> Duration {
        monotonic().saturating_duration_since(self.since)
    }

    /// The next message. Sends what is queued while it waits. Cancel-safe.
    pub(super) async fn receive(&mut self, silence: Duration) -> Result<Received, Disconnect> {
        loop {
            if let Some(received) = self.decode()? {
                return Ok(received);
            }
            let patience = silence.saturating_sub(monotonic().saturating_duration_since(self.heard));
            // What is there already is taken even when the patience is over: it was us who did not listen.
            match timeout(patience, self.fill()).await {
                Err(_elapsed) => return Err(Disconnect::Silent),
                Ok(Err(error)) => return Err(Disconnect::Broken(error.to_string())),
                Ok(Ok(0)) => return Err(Disconnect::Broken("ended".to_owned())),
                Ok(Ok(count)) => self.unread = 0..count,
            }
            self.heard = monotonic();
        }
    }

    /// The next message of those that were read.
    fn decode(&mut self) -> Result<Option<Received>, Disconnect> {
        let mut inflated = Vec::new();
        let mut input = &mut self.input[self.unread.clone()];
        let event = self.decoder.next(&mut input, &mut self.inflater, &mut inflated);
        let start = self.unread.end - input.len();
        self.frame_bytes += (start - self.unread.start) as u64;
        self.wire_bytes += (start - self.unread.start) as u64;
        self.unread.start = start;
        let heard = match event {
            Ok(None) => return Ok(None),
            Ok(Some(event)) => Ok(Heard::from(event)),
            Err(error) => Err(error),
        };
        let wire_bytes = std::mem::take(&mut self.frame_bytes);
        if let (Some(tap), Ok(heard)) = (&mut self.tap, &heard) {
            heard.show(tap, wire_bytes, !inflated.is_empty());
        }
        let (answer, received) = match heard {
            Ok(Heard::Text(text)) => return Ok(Some(Received::Text(text))),
            Ok(Heard::Binary(bytes)) => return Ok(Some(Received::Binary(bytes))),
            Ok(Heard::Pong(_)) => return Ok(Some(Received::Nothing)),
            Ok(Heard::Ping(payload)) => {
                // Whoever does not read its pongs needs no more of them.
                if self.output.len() - self.sent < CLIENT_BUFFER_BYTES {
                    self.put(Opcode::Pong, &payload);
                }
                return Ok(Some(Received::Nothing));
            }
            Ok(Heard::Close(None)) => (Vec::new(), Disconnect::Broken("closed without a code".to_owned())),
            Ok(Heard::Close(Some((code, reason)))) => {
                (frame::close_payload(code, ""), Disconnect::Closed(code, reason))
            }
            Err(error) => {
                (frame::close_payload(error.close_code(), ""), Disconnect::Malformed(error.to_string()))
            }
        };
        self.put(Opcode::Close, &answer);
        // A courtesy: the connection is over in any case.
        let _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
        Err(received)
    }

    /// Waits until something is read, into the whole input; how much; 0: nothing more comes. Cancel-safe.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|context| {
            // Why it fails is told by what is still to be read.
            if let Poll::Ready(Err(_)) = self.poll_send(context) {
                self.sent = self.output.len();
                self.is_flushed = true;
            }
            let mut read = ReadBuf::new(&mut self.input);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    /// Sends what is queued.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            self.sent += ready!(Pin::new(&mut self.stream).poll_write(context, &self.output[self.sent..]))?;
            self.is_flushed = false;
        }
        if !self.output.is_empty() {
            self.output = Vec::new();
            self.sent = 0;
        }
        if !self.is_flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) {
        self.put_shown_as(opcode, payload, payload);
    }

    /// `shown`: what of it may be seen.
    fn put_shown_as(&mut self, opcode: Opcode, payload: &[u8], shown: &[u8]) {
        let [.., a, b, c, d] = random().to_be_bytes();
        let before = self.output.len();
        frame::put_masked(&mut self.output, opcode, false, payload, [a, b, c, d]);
        if let Some(tap) = &mut self.tap {
            tap(&Observed {
                at: Clock::System.now(),
                sender: Sender::Client,
                opcode,
                wire_bytes: (self.output.len() - before) as u64,
                is_compressed: false,
                payload: shown,
            });
        }
    }
}

/// What came, apart from where it came to.
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Heard {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Event::Ping(payload) => Self::Ping(payload.to_vec()),
            Event::Pong(payload) => Self::Pong(payload.to_vec()),
            Event::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

impl Heard {
    fn show(&self, tap: &mut Tap, wire_bytes: u64, is_compressed: bool) {
        let close;
        let (opcode, payload) = match self {
            Self::Text(text) => (Opcode::Text, text.as_bytes()),
            Self::Binary(bytes) => (Opcode::Binary, &bytes[..]),
            Self::Ping(payload) => (Opcode::Ping, &payload[..]),
            Self::Pong(payload) => (Opcode::Pong, &payload[..]),
            Self::Close(None) => (Opcode::Close, &[][..]),
            Self::Close(Some((code, reason))) => {
                close = frame::close_payload(*code, reason);
                (Opcode::Close, &close[..])
            }
        };
        let at = Clock::System.now();
        tap(&Observed { at, sender: Sender::Server, opcode, wire_bytes, is_compressed, payload });
    }
}

/// What a server says of why it lets somebody not in: the `detail` of its problem document, as far as it is text that can be shown.
async fn read_reason(
    stream: &mut Stream,
    headers: &HeaderMap,
    input: &mut [u8],
    mut body: Range<usize>,
) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: String,
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let end = input.len().min(body.start.saturating_add(length.unwrap_or(0)));
    while body.end < end {
        match stream.read(&mut input[body.end..end]).await {
            Ok(0) | Err(_) => break,
            Ok(count) => body.end += count,
        }
    }
    match serde_json::from_slice::<Problem>(&input[body]) {
        Ok(Problem { detail }) if !detail.contains(char::is_control) => {
            detail.chars().take(CLIENT_REASON_CHARS_MAX).collect()
        }
        _ => "it does not say why".to_owned(),
    }
}

/// What nobody can foresee: every `RandomState` has other keys, which are secret, and it is no dependency.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
