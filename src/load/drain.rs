//! A client that reads and counts, and keeps nothing: it costs little more than the kernel's work for its socket, so that
//! one core of ours can load a core of a server's to its limit.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::Uri;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;
use zeroize::Zeroizing;

use super::counts::Counts;
use super::scanner::{BadFrame, Control, Form, Needle, Piece, Scanner, Tail};
use crate::client::{Stream, Token};
use crate::limits::{
    LOAD_ANSWER_BYTES_MAX, LOAD_CONNECT_WAIT, LOAD_READ_BYTES, LOAD_RECEIVE_BUFFER_BYTES, SYMBOLS_A_REQUEST,
};
use crate::topic::{Channel, Rate};
use crate::wire::decode::decode;
use crate::wire::{Encoding, ServerMessage};

/// The key of RFC 6455 section 1.3: nothing caches what lies between us and a server under test.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What each update has, and nothing else; and each snapshot.
const UPDATE: &str = r#""type":"update""#;
const SNAPSHOT: &str = r#""type":"snapshot""#;

/// What the drains of a thread share: what they read into, and what they look for.
#[derive(Debug)]
pub(super) struct Basin {
    buffer: RefCell<Box<[u8]>>,
    needles: Needles,
}

#[derive(Debug)]
struct Needles {
    update: Needle,
    snapshot: Needle,
}

impl Basin {
    pub(super) fn new() -> Self {
        let needles = Needles { update: Needle::new(UPDATE), snapshot: Needle::new(SNAPSHOT) };
        Self { buffer: RefCell::new(vec![0; LOAD_READ_BYTES].into()), needles }
    }
}

/// What is asked of a server beside its topics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    pub(super) encoding: Encoding,
    pub(super) compress: bool,
    pub(super) max_frequency: Rate,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Drain {
    stream: Stream,
    /// What came right behind the handshake.
    early: Vec<u8>,
    scanner: Scanner,
    update_tail: Tail,
    snapshot_tail: Tail,
    /// Until all topics are granted, messages are read as what they are.
    answers: Option<Answers>,
    pongs: Vec<u8>,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct Answers {
    topics: usize,
    granted: usize,
    rejected: Vec<String>,
    message: Vec<u8>,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing but more of the same.
    More,
    /// Every topic was granted or refused: the refusals.
    Answered(Vec<String>),
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum DrainError {
    #[error("no connection to {url}: {reason}")]
    Connect { url: String, reason: String },
    #[error("closed by the server: {0} {1}")]
    Closed(u16, String),
    #[error("connection lost: {0}")]
    Broken(#[from] io::Error),
    #[error("ended")]
    Ended,
    #[error("the server does not keep to the protocol: {0}")]
    Malformed(String),
}

impl From<BadFrame> for DrainError {
    fn from(bad: BadFrame) -> Self {
        Self::Malformed(bad.to_string())
    }
}

impl Drain {
    /// Connects, and asks for the topics.
    pub(super) async fn open(
        url: &str,
        token: Option<&Token>,
        dialect: Dialect,
        channel: Channel,
        symbols: &[String],
    ) -> Result<Self, DrainError> {
        let failed = |reason: String| DrainError::Connect { url: url.to_owned(), reason };
        let connecting = timeout(LOAD_CONNECT_WAIT, shake_hands(url, token, dialect)).await;
        let connected = connecting.map_err(|_elapsed| failed(format!("not within {LOAD_CONNECT_WAIT:?}")))?;
        let (mut stream, early) = connected.map_err(failed)?;
        let mut requests = Vec::new();
        for (number, symbols) in symbols.chunks(SYMBOLS_A_REQUEST).enumerate() {
            let mut params = json!({"channel": channel.to_string(), "symbols": symbols});
            // A server that does not know rates need not be told that none is wanted.
            if dialect.max_frequency != Rate::Raw {
                params["max_frequency"] = dialect.max_frequency.as_str().into();
            }
            let request = json!({"method": "subscribe", "params": params, "req_id": number}).to_string();
            put_frame(&mut requests, TEXT, request.as_bytes());
        }
        stream.write_all(&requests).await?;
        stream.flush().await?;
        let answers =
            Answers { topics: symbols.len(), granted: 0, rejected: Vec::new(), message: Vec::new() };
        Ok(Self {
            stream,
            early,
            scanner: Scanner::default(),
            update_tail: Tail::default(),
            snapshot_tail: Tail::default(),
            answers: Some(answers),
            pongs: Vec::new(),
            counts: Counts::default(),
        })
    }

    /// Reads once, as much as there is. Cancel-safe but for the answer to a ping.
    pub(super) async fn read(&mut self, basin: &Basin) -> Result<Read, DrainError> {
        let read = poll_fn(|context| self.poll_read(basin, context)).await?;
        if !self.pongs.is_empty() {
            self.stream.write_all(&self.pongs).await?;
            self.stream.flush().await?;
            self.pongs.clear();
        }
        Ok(read)
    }

    /// By `poll_read` and not `try_read`: after a read that did not fill the buffer, tokio knows without asking the kernel
    /// again that nothing is left.
    fn poll_read(&mut self, basin: &Basin, context: &mut Context<'_>) -> Poll<Result<Read, DrainError>> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return Poll::Ready(self.take(&early, &basin.needles));
        }
        let mut buffer = basin.buffer.borrow_mut();
        let mut read = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
        Poll::Ready(match read.filled() {
            [] => Err(DrainError::Ended),
            bytes => self.take(bytes, &basin.needles),
        })
    }

    fn take(&mut self, mut bytes: &[u8], needles: &Needles) -> Result<Read, DrainError> {
        self.counts.wire_bytes += bytes.len() as u64;
        let mut read = Read::More;
        while let Some(piece) = self.scanner.next(&mut bytes)? {
            match piece {
                Piece::Data { form, payload, is_end } => {
                    self.counts.bytes += payload.len() as u64;
                    self.counts.frames += u64::from(is_end);
                    match form {
                        Form::Text => {
                            self.counts.updates +=
                                needles.update.count(&mut self.update_tail, payload, is_end);
                            self.counts.snapshots +=
                                needles.snapshot.count(&mut self.snapshot_tail, payload, is_end);
                        }
                        Form::Opaque => self.counts.opaque += u64::from(is_end),
                    }
                    if let Some(answers) = &mut self.answers
                        && answers.take(form, payload, is_end)?
                    {
                        read = Read::Answered(std::mem::take(&mut answers.rejected));
                        self.answers = None;
                    }
                }
                Piece::Control(Control::Ping, payload) => put_frame(&mut self.pongs, PONG, payload),
                Piece::Control(Control::Pong, _) => {}
                Piece::Control(Control::Close, payload) => {
                    return Err(match payload {
                        [high, low, reason @ ..] => DrainError::Closed(
                            u16::from_be_bytes([*high, *low]),
                            String::from_utf8_lossy(reason).into_owned(),
                        ),
                        _ => DrainError::Ended,
                    });
                }
            }
        }
        Ok(read)
    }
}

impl Answers {
    /// Takes a piece of a message; `true` once every topic was answered. Where answers are opaque, the first one has to do.
    fn take(&mut self, form: Form, payload: &[u8], is_end: bool) -> Result<bool, DrainError> {
        let malformed = |what: &dyn std::fmt::Display| DrainError::Malformed(what.to_string());
        if form == Form::Opaque {
            return Ok(true);
        }
        if self.message.len() + payload.len() > LOAD_ANSWER_BYTES_MAX {
            return Err(malformed(&format!("an answer of more than {LOAD_ANSWER_BYTES_MAX} bytes")));
        }
        self.message.extend_from_slice(payload);
        if !is_end {
            return Ok(false);
        }
        let message = std::mem::take(&mut self.message);
        let text = std::str::from_utf8(&message).map_err(|error| malformed(&error))?;
        for message in decode(text).map_err(|error| malformed(&error))? {
            match message {
                ServerMessage::Ack(ack) if ack.method == "subscribe" => {
                    self.granted += ack.granted.len();
                    let rejected = ack.rejected.iter();
                    self.rejected.extend(rejected.map(|topic| format!("{}: {}", topic.symbol, topic.code)));
                }
                // A request that was refused as a whole: nothing more comes of it.
                ServerMessage::Error(failure) => {
                    self.rejected.push(format!("{}: {}", failure.code, failure.message));
                    return Ok(true);
                }
                _ => {}
            }
        }
        Ok(self.granted + self.rejected.len() >= self.topics)
    }
}

/// A connection behind its handshake, and what came right behind that; else why not.
async fn shake_hands(
    url: &str,
    token: Option<&Token>,
    dialect: Dialect,
) -> Result<(Stream, Vec<u8>), String> {
    let text = |error: io::Error| error.to_string();
    let uri: Uri = url.parse().map_err(|error| format!("{error}"))?;
    let authority = uri.authority().ok_or("no host")?;
    let mut stream = Stream::connect(&uri, Some(LOAD_RECEIVE_BUFFER_BYTES)).await.map_err(text)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let subprotocol = dialect.encoding.subprotocol();
    let extensions = if dialect.compress { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    let token = token.map(Token::read).transpose().map_err(|error| error.to_string())?;
    let authorization = Zeroizing::new(token.as_deref().map(Token::header).unwrap_or_default());
    let request = Zeroizing::new(format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Protocol: {subprotocol}\r\n{extensions}{}\r\n",
        *authorization
    ));
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    stream.flush().await.map_err(text)?;
    let mut answer = Vec::new();
    let end = loop {
        if let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n") {
            break end;
        }
        if answer.len() > LOAD_ANSWER_BYTES_MAX || stream.read_buf(&mut answer).await.map_err(text)? == 0 {
            return Err(format!("no handshake in its {} bytes", answer.len()));
        }
    };
    let early = answer.split_off(end + 4);
    check(&String::from_utf8_lossy(&answer), dialect)?;
    Ok((stream, early))
}

/// Whether the head of an answer accepts what was offered.
fn check(head: &str, dialect: Dialect) -> Result<(), String> {
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 101 ") {
        return Err(format!("the handshake was answered {status:?}"));
    }
    let header = |name: &str| {
        let values = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        values.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    if header("Sec-WebSocket-Accept") != Some(&*derive_accept_key(KEY.as_bytes())) {
        return Err("the handshake's key was not answered".to_owned());
    }
    let extensions = header("Sec-WebSocket-Extensions").unwrap_or_default();
    if extensions.starts_with("permessage-deflate") != dialect.compress {
        return Err(format!("compression was to be {}: {extensions:?}", dialect.compress));
    }
    // Servers that are not ours may not care for subprotocols; what is not JSON must have been agreed on.
    let (offered, chosen) = (dialect.encoding.subprotocol(), header("Sec-WebSocket-Protocol"));
    if chosen != Some(offered) && (chosen.is_some() || dialect.encoding != Encoding::Json) {
        return Err(format!("{offered} was offered, but {chosen:?} chosen"));
    }
    Ok(())
}

const TEXT: u8 = 0x1;
const PONG: u8 = 0xa;

/// A client's frame. The mask is zero: it protects from scripts in browsers, and there is none here.
fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    const FIN: u8 = 0x80;
    const MASKED: u8 = 0x80;
    out.push(FIN | opcode);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ 0..=125), _) => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend(medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend((payload.len() as u64).to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Dialect = Dialect { encoding: Encoding::Json, compress: false, max_frequency: Rate::Raw };

    #[test]
    fn a_handshake_must_accept_what_was_offered() {
        let head = |more: &str| {
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{more}"
            )
        };
        let (binary, compress) =
            (Dialect { encoding: Encoding::Binary, ..JSON }, Dialect { compress: true, ..JSON });
        let deflate = head("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n");
        let binary_agreed = head("Sec-WebSocket-Protocol: tickwire.v1.bin\r\n");
        assert_eq!(check(&head(""), JSON), Ok(()));
        assert_eq!(check(&head("Sec-WebSocket-Protocol: tickwire.v1.json\r\n"), JSON), Ok(()));
        assert_eq!(check(&deflate, compress), Ok(()));
        assert_eq!(check(&binary_agreed, binary), Ok(()));
        for (head, dialect, part) in [
            (head(""), compress, "to be true"),
            (deflate, JSON, "to be false"),
            (head(""), binary, "tickwire.v1.bin was offered"),
            (binary_agreed, JSON, "\"tickwire.v1.bin\""),
            ("HTTP/1.1 503 Service Unavailable\r\n".to_owned(), JSON, "503"),
            ("HTTP/1.1 101 Switching Protocols\r\n".to_owned(), JSON, "key"),
        ] {
            assert!(check(&head, dialect).is_err_and(|error| error.contains(part)), "{part}: {head}");
        }
    }

    #[test]
    fn topics_are_answered_in_any_number_of_parts() {
        let mut answers = Answers { topics: 3, granted: 0, rejected: Vec::new(), message: Vec::new() };
        let part = |granted: &[&str], rejected: &[&str]| {
            let granted: Vec<_> = granted
                .iter()
                .map(|name| json!({"symbol": name, "topic": 1, "price_exponent": -2, "size_exponent": 0, "seq": 1}))
                .collect();
            let rejected: Vec<_> =
                rejected.iter().map(|name| json!({"symbol": name, "code": "UNKNOWN_SYMBOL"})).collect();
            let result = json!({"channel": "quote", "epoch": "e", "granted": granted, "rejected": rejected});
            json!([{"method": "subscribe", "success": true, "req_id": 0, "result": result}]).to_string()
        };
        let mut take = |text: &str| answers.take(Form::Text, text.as_bytes(), true).unwrap();
        assert!(!take(r#"[{"channel":"heartbeat","ts":1,"lag_us":0,"laggard":false}]"#));
        assert!(!take(&part(&["A"], &["X"])));
        assert!(take(&part(&["B"], &[])));
        assert_eq!(answers.rejected, ["X: UNKNOWN_SYMBOL"]);
    }
}
