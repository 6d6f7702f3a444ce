//! One WebSocket connection.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::{Duration, Instant};

use axum::http::Uri;
use axum::http::uri::Authority;
use feeds::clock::monotonic;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::machine::TryParse;

use super::{ClientError, ClientSettings, Disconnect};
use crate::limits::{CLIENT_BUFFER_BYTES, CLIENT_MESSAGE_BYTES_MAX};
use crate::wire::Encoding;
use crate::ws::decode::{Decoder, Event, Role};
use crate::ws::deflate::Inflater;
use crate::ws::extensions;
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake::{self, AnswerError};

pub(super) struct Connection {
    stream: TcpStream,
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
    /// Bytes of the frames that were decoded since the last [`Connection::take_wire_bytes`].
    wire_bytes: u64,
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
    #[error("no URL that begins with ws:// and a host")]
    Url,
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
            Ok(Err(source)) => Err(ClientError::Connect { url: url.to_owned(), source }),
            Err(_elapsed) => Err(ClientError::ConnectTimeout { url: url.to_owned(), timeout: patience }),
        }
    }

    async fn shake_hands(url: &str, settings: &ClientSettings) -> Result<Self, ConnectError> {
        let uri: Uri = url.parse().map_err(|_invalid| ConnectError::Url)?;
        let authority = uri.authority().ok_or(ConnectError::Url)?;
        if uri.scheme_str() != Some("ws") {
            return Err(ConnectError::Url);
        }
        let mut stream = dial(authority, settings.receive_buffer).await?;

        let key = handshake::key((u128::from(random()) << 64 | u128::from(random())).to_be_bytes());
        let subprotocol = settings.encoding.subprotocol();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let offer = if settings.compress {
            format!("Sec-WebSocket-Extensions: {}\r\n", extensions::OFFER)
        } else {
            String::new()
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
             Sec-WebSocket-Protocol: {subprotocol}\r\n{offer}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;

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
            wire_bytes: 0,
            since,
            heard: since,
        })
    }

    pub(super) fn queue(&mut self, request: &str) {
        self.put(Opcode::Text, request.as_bytes());
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
        self.wire_bytes += (start - self.unread.start) as u64;
        self.unread.start = start;
        let (answer, received) = match event {
            Ok(None) => return Ok(None),
            Ok(Some(Event::Text(text))) => return Ok(Some(Received::Text(text.to_owned()))),
            Ok(Some(Event::Binary(bytes))) => return Ok(Some(Received::Binary(bytes.to_vec()))),
            Ok(Some(Event::Pong(_))) => return Ok(Some(Received::Nothing)),
            Ok(Some(Event::Ping(payload))) => {
                let payload = payload.to_vec();
                // Whoever does not read its pongs needs no more of them.
                if self.output.len() - self.sent < CLIENT_BUFFER_BYTES {
                    self.put(Opcode::Pong, &payload);
                }
                return Ok(Some(Received::Nothing));
            }
            Ok(Some(Event::Close(None))) => {
                (Vec::new(), Disconnect::Broken("closed without a code".to_owned()))
            }
            Ok(Some(Event::Close(Some((code, reason))))) => {
                (frame::close_payload(code, ""), Disconnect::Closed(code, reason.to_owned()))
            }
            Err(error) => {
                (frame::close_payload(error.close_code(), ""), Disconnect::Malformed(error.to_string()))
            }
        };
        self.put(Opcode::Close, &answer);
        // A courtesy: the connection is over in any case.
        let _ = self.stream.try_write(&self.output[self.sent..]);
        Err(received)
    }

    /// Waits until something is read, into the whole input; how much; 0: nothing more comes. Cancel-safe.
    async fn fill(&mut self) -> io::Result<usize> {
        loop {
            let is_sending = self.sent < self.output.len();
            let writable =
                if is_sending { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            self.stream.ready(writable).await?;
            if is_sending {
                match self.stream.try_write(&self.output[self.sent..]) {
                    Ok(count) => self.sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // Why is told by what is still to be read.
                    Err(_) => self.sent = self.output.len(),
                }
                if self.sent == self.output.len() {
                    self.output = Vec::new();
                    self.sent = 0;
                }
            }
            match self.stream.try_read(&mut self.input) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    fn put(&mut self, opcode: Opcode, payload: &[u8]) {
        let [.., a, b, c, d] = random().to_be_bytes();
        frame::put_masked(&mut self.output, opcode, false, payload, [a, b, c, d]);
    }
}

/// A TCP connection. `receive_buffer`: the bytes that the kernel may hold for it; `None`: as many as it likes.
pub(crate) async fn dial(authority: &Authority, receive_buffer: Option<u32>) -> io::Result<TcpStream> {
    let host = authority.host().trim_matches(['[', ']']);
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, authority.port_u16().unwrap_or(80))).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = receive_buffer {
            // Before it is connected: the window that is offered then follows from it.
            socket.set_recv_buffer_size(bytes)?;
        }
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// What nobody can foresee: every `RandomState` has other keys, which are secret, and it is no dependency.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
