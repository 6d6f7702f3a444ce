//! One connection to the endpoint: a handshake as it is wanted, and frames as they are wanted.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, Uri};
use feeds::Timestamp;
use feeds::clock::monotonic;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tungstenite::handshake::client::Response;
use tungstenite::handshake::machine::TryParse;
use zeroize::Zeroizing;

use super::LintError;
use super::certificate;
use crate::client::{Stream, Token, random};
use crate::limits::{CLIENT_BUFFER_BYTES, LINT_READ_BYTES_MAX};
use crate::secret::Secret;
use crate::ws::decode::{DecodeError, Decoder, Event, Role};
use crate::ws::deflate::Inflater;
use crate::ws::extensions::{self, Negotiated};
use crate::ws::frame::{self, Opcode};
use crate::ws::handshake;

/// The way in to the endpoint.
pub(super) struct Door {
    url: Uri,
    token: Option<Arc<Secret>>,
    pub(super) timeout: Duration,
}

/// How a connection begins.
#[derive(Clone, Copy)]
pub(super) struct Opening {
    pub(super) version: &'static str,
    pub(super) has_key: bool,
    pub(super) origin: Option<&'static str>,
    pub(super) subprotocol: Option<&'static str>,
    pub(super) offers_deflate: bool,
}

impl Opening {
    /// As the RFC has it.
    pub(super) const GOOD: Self =
        Self { version: "13", has_key: true, origin: None, subprotocol: None, offers_deflate: false };
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// What was sent as the key, if it was.
    pub(super) key: String,
    pub(super) talk: Talk,
}

/// Why nothing was answered.
pub(super) enum NoAnswer {
    /// The endpoint's certificate is not one to trust.
    Untrusted(String),
    /// There is no connection.
    Connect(String),
    /// Nothing came in time.
    Silent(Duration),
    /// The connection ended without an answer.
    Ended,
    /// What came is not the head of an answer.
    NotHttp(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted(why) => write!(f, "the certificate is not to be trusted: {why}"),
            Self::Connect(why) => write!(f, "no connection: {why}"),
            Self::Silent(time) => write!(f, "no answer to a handshake within {time:?}"),
            Self::Ended => f.write_str("hangs up on a handshake without an answer"),
            Self::NotHttp(why) => write!(f, "what answers a handshake is not HTTP: {why}"),
        }
    }
}

impl Door {
    pub(super) fn new(url: Uri, token: Option<Arc<Secret>>, timeout: Duration) -> Result<Self, LintError> {
        let has_scheme = matches!(url.scheme_str(), Some("ws" | "wss"));
        if !has_scheme || url.host().is_none_or(str::is_empty) {
            return Err(LintError::Url);
        }
        Ok(Self { url, token, timeout })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme_str() == Some("wss")
    }

    /// Whether what is sent does not leave this machine.
    pub(super) fn is_here(&self) -> bool {
        let host = self.url.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    pub(super) async fn knock(&self, opening: &Opening) -> Result<Answer, NoAnswer> {
        match timeout(self.timeout, self.shake_hands(opening)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(NoAnswer::Silent(self.timeout)),
        }
    }

    async fn shake_hands(&self, opening: &Opening) -> Result<Answer, NoAnswer> {
        let mut stream = Stream::connect(&self.url, None).await.map_err(no_stream)?;
        let key = handshake::key((u128::from(random()) << 64 | u128::from(random())).to_be_bytes());
        let request = Zeroizing::new(self.request(opening, &key));
        // Why it fails is told by what is still to be read.
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = stream.flush().await;

        let mut input = vec![0; CLIENT_BUFFER_BYTES].into_boxed_slice();
        let mut len = 0;
        let (head_len, answer) = loop {
            if len == input.len() {
                return Err(NoAnswer::NotHttp(format!("its head is longer than {len} bytes")));
            }
            match stream.read(&mut input[len..]).await {
                Ok(0) | Err(_) => return Err(NoAnswer::Ended),
                Ok(count) => len += count,
            }
            match Response::try_parse(&input[..len]) {
                Ok(Some(parsed)) => break parsed,
                Ok(None) => {}
                Err(error) => return Err(NoAnswer::NotHttp(error.to_string())),
            }
        };
        let (status, headers) = (answer.status(), answer.headers().clone());
        Ok(Answer { status, headers, key, talk: Talk::new(stream, input, head_len..len, self.timeout) })
    }

    fn request(&self, opening: &Opening, key: &str) -> String {
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: {}\r\n",
            opening.version
        );
        let mut put = |name: &str, value: &str| request.push_str(&format!("{name}: {value}\r\n"));
        if opening.has_key {
            put("Sec-WebSocket-Key", key);
        }
        if let Some(origin) = opening.origin {
            put("Origin", origin);
        }
        if let Some(subprotocol) = opening.subprotocol {
            put("Sec-WebSocket-Protocol", subprotocol);
        }
        if opening.offers_deflate {
            put("Sec-WebSocket-Extensions", extensions::OFFER);
        }
        if let Some(token) = &self.token {
            request.push_str(&Zeroizing::new(Token::header(token)));
        }
        request.push_str("\r\n");
        request
    }
}

fn no_stream(error: io::Error) -> NoAnswer {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(why)) => NoAnswer::Untrusted(why.to_string()),
        _ => NoAnswer::Connect(error.to_string()),
    }
}

impl Answer {
    /// What came behind the head already, which tells people more than the status.
    pub(super) fn body(&self) -> String {
        String::from_utf8_lossy(&self.talk.input[self.talk.unread.clone()]).trim().to_owned()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What came.
pub(super) enum Heard {
    Text(String),
    Binary,
    /// It is answered.
    Ping,
    Pong(Vec<u8>),
    /// With that code, if there is one.
    Close(Option<u16>),
    /// The connection has ended, or broke.
    End,
    /// The server's frames are not right.
    Wrong(DecodeError),
    /// Nothing more within the time.
    Silence,
    /// More than is read.
    TooMuch,
}

/// A connection behind its handshake.
pub(super) struct Talk {
    stream: Stream,
    decoder: Decoder,
    inflater: Inflater,
    input: Box<[u8]>,
    /// What of the input was read and not decoded yet.
    unread: Range<usize>,
    read_bytes: usize,
    /// Frames, of which the socket has taken the first `sent` bytes.
    output: Vec<u8>,
    sent: usize,
    until: Instant,
}

impl Talk {
    fn new(stream: Stream, input: Box<[u8]>, unread: Range<usize>, timeout: Duration) -> Self {
        Self {
            stream,
            decoder: Decoder::new(Role::Client, false, LINT_READ_BYTES_MAX),
            inflater: Inflater::without_context(),
            input,
            unread,
            read_bytes: 0,
            output: Vec::new(),
            sent: 0,
            until: monotonic() + timeout,
        }
    }

    /// From now on messages may be compressed so.
    pub(super) fn agree(&mut self, deflate: &Negotiated) {
        self.decoder = Decoder::new(Role::Client, true, LINT_READ_BYTES_MAX);
        if !deflate.server_no_context_takeover {
            self.inflater = Inflater::with_context(deflate.server_max_window_bits);
        }
    }

    /// The version of TLS, and the end of the certificate, as far as they can be read.
    pub(super) fn tls(&self) -> Option<(&'static str, Option<Timestamp>)> {
        let tls = self.stream.tls()?;
        let version = match tls.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "an unknown version of TLS",
        };
        let end = tls.peer_certificates().and_then(|chain| certificate::end(chain.first()?));
        Some((version, end))
    }

    /// How long [`Talk::hear`] waits from now on, over all its calls.
    pub(super) fn wait_for(&mut self, time: Duration) {
        self.until = monotonic() + time;
    }

    /// Sends a whole message, or a control frame, while what comes is heard.
    pub(super) fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = masked(opcode, payload);
        self.say_bytes(&frame);
    }

    /// Sends what may be no frame, likewise.
    pub(super) fn say_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    pub(super) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.decode() {
                return heard;
            }
            if self.read_bytes > LINT_READ_BYTES_MAX as usize {
                return Heard::TooMuch;
            }
            let patience = self.until.saturating_duration_since(monotonic());
            match timeout(patience, self.fill()).await {
                Err(_elapsed) => return Heard::Silence,
                Ok(Ok(0) | Err(_)) => return Heard::End,
                Ok(Ok(count)) => {
                    self.read_bytes += count;
                    self.unread = 0..count;
                }
            }
        }
    }

    fn decode(&mut self) -> Option<Heard> {
        let mut inflated = Vec::new();
        let mut input = &mut self.input[self.unread.clone()];
        let event = self.decoder.next(&mut input, &mut self.inflater, &mut inflated);
        self.unread.start = self.unread.end - input.len();
        Some(match event {
            Ok(None) => return None,
            Ok(Some(Event::Text(text))) => Heard::Text(text.to_owned()),
            Ok(Some(Event::Binary(_))) => Heard::Binary,
            Ok(Some(Event::Pong(payload))) => Heard::Pong(payload.to_vec()),
            Ok(Some(Event::Ping(payload))) => {
                let pong = masked(Opcode::Pong, payload);
                // Whoever does not read its pongs needs no more of them.
                if self.output.len() - self.sent < CLIENT_BUFFER_BYTES {
                    self.output.extend_from_slice(&pong);
                }
                Heard::Ping
            }
            Ok(Some(Event::Close(close))) => Heard::Close(close.map(|(code, _)| code)),
            Err(error) => Heard::Wrong(error),
        })
    }

    /// Waits until something is read, into the whole input; how much; 0: nothing more comes.
    async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|context| {
            // Why it fails is told by what is still to be read.
            if let Poll::Ready(Err(_)) = self.poll_send(context) {
                self.output.clear();
                self.sent = 0;
            }
            let mut read = ReadBuf::new(&mut self.input);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            Poll::Ready(Ok(read.filled().len()))
        })
        .await
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.output.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.output[self.sent..]))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.output.clear();
        self.sent = 0;
        Pin::new(&mut self.stream).poll_flush(context)
    }
}

/// A frame of ours.
pub(super) fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let [.., a, b, c, d] = random().to_be_bytes();
    let mut frame = Vec::new();
    frame::put_masked(&mut frame, opcode, false, payload, [a, b, c, d]);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        let is_here = |url: &str| {
            let door = Door::new(url.parse().expect("a URL"), None, Duration::from_secs(1));
            door.expect("a WebSocket's URL").is_here()
        };
        for url in ["ws://127.0.0.1:8080/v1/ws", "ws://localhost", "ws://[::1]:9/", "ws://127.1.2.3"] {
            assert!(is_here(url), "{url}");
        }
        for url in ["ws://a.example:80/v1/ws", "ws://[2001:db8::1]:9/", "ws://localhost.a.example/"] {
            assert!(!is_here(url), "{url}");
        }
        for url in ["http://a.example", "/v1/ws"] {
            let door = Door::new(url.parse().expect("a URL"), None, Duration::from_secs(1));
            assert!(matches!(door, Err(LintError::Url)), "{url}");
        }
    }
}
