//! What the fakes have in common: a listener, connections, and books.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tungstenite::{Message, WebSocket};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    listener: TcpListener,
    books: BTreeMap<String, Book>,
}

/// Sizes by price, in the units of the venue's fake.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) bids: BTreeMap<i64, i64>,
    pub(crate) asks: BTreeMap<i64, i64>,
}

impl Book {
    pub(crate) fn set(&mut self, side: &str, price: i64, size: i64) {
        let levels = if side == "bids" { &mut self.bids } else { &mut self.asks };
        match size {
            0 => levels.remove(&price),
            _ => levels.insert(price, size),
        };
    }
}

impl Server {
    pub(crate) fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port"), books: BTreeMap::new() }
    }

    /// `127.0.0.1:` and a port.
    pub(crate) fn authority(&self) -> String {
        self.listener.local_addr().expect("bound").to_string()
    }

    pub(crate) fn book(&self, symbol: &str) -> &Book {
        &self.books[symbol]
    }

    pub(crate) fn symbols(&self) -> impl Iterator<Item = &str> {
        self.books.keys().map(String::as_str)
    }

    pub(crate) fn set(&mut self, symbol: &str, side: &str, price: i64, size: i64) {
        self.books.entry(symbol.to_owned()).or_default().set(side, price, size);
    }

    pub(crate) fn accept(&self) -> Connection {
        Connection(tungstenite::accept(self.accept_stream()).expect("a handshake"))
    }

    /// The next request by HTTP.
    #[track_caller]
    pub(crate) fn expect_get(&self, path: &str) -> Get {
        let mut stream = self.accept_stream();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a whole head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        assert_eq!(head.lines().next(), Some(format!("GET {path} HTTP/1.1").as_str()), "{head}");
        assert!(head.contains("host: 127.0.0.1:"), "{head}");
        Get(stream)
    }

    fn accept_stream(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        stream
    }
}

/// A request by HTTP that is not answered yet.
pub(crate) struct Get(TcpStream);

impl Get {
    /// `status` may have more lines after it.
    pub(crate) fn answer(mut self, status: &str, body: &str) {
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        self.0.write_all(text.as_bytes()).expect("a client that listens");
    }

    pub(crate) fn answer_half(mut self, body: &str) {
        let text =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}", body.len(), &body[..body.len() / 2]);
        self.0.write_all(text.as_bytes()).expect("a client that listens");
    }
}

/// An integer as a decimal number.
pub(crate) fn decimal(value: i64, decimals: u32) -> String {
    let one = 10_i64.pow(decimals);
    let width = usize::try_from(decimals).expect("small");
    format!("{}.{:0width$}", value / one, value % one)
}

pub(crate) struct Connection(WebSocket<TcpStream>);

impl Connection {
    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("a client that listens");
    }

    /// In fragments with a ping between them, and their bytes one by one.
    pub(crate) fn send_in_pieces(&mut self, text: &str) {
        const TEXT: u8 = 1;
        const LAST: u8 = 0x80;
        let thirds = text.len() / 3;
        let (first, rest) = text.as_bytes().split_at(thirds);
        let (second, third) = rest.split_at(thirds);
        self.bytes(&frame(TEXT, first));
        self.bytes(&[0x89, 2, b'h', b'i']);
        self.bytes(&frame(0, second));
        self.bytes(&frame(LAST, third));
    }

    /// The beginning of a frame whose end never comes.
    pub(crate) fn send_half(&mut self, text: &str) {
        let frame = frame(0x81, text.as_bytes());
        self.bytes(&frame[..frame.len() / 2]);
    }

    /// Returns when the client has read all that was sent before.
    pub(crate) fn ping(&mut self) {
        self.0.send(Message::Ping("all?".into())).expect("a client that listens");
        loop {
            match self.0.read().expect("an answer") {
                Message::Pong(payload) if &payload[..] == b"all?" => return,
                other => assert!(other.is_pong(), "{other:?}"),
            }
        }
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn request(&mut self) -> Value {
        loop {
            match self.0.read().expect("a request") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                other => assert!(other.is_pong() || other.is_ping(), "{other:?}"),
            }
        }
    }

    /// Answers the client's question whether it lives.
    #[track_caller]
    pub(crate) fn answer_ping(&mut self) {
        let ping = self.0.read().expect("a ping");
        assert!(ping.is_ping(), "{ping:?}");
        self.0.flush().expect("a client that listens");
    }

    /// Reads until the client leaves.
    pub(crate) fn until_left(mut self) {
        while self.0.read().is_ok() {}
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0.get_mut().write_all(&[*byte]).expect("a client that listens");
        }
    }
}

/// A frame without a mask, as servers send them.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short text");
    match u8::try_from(length) {
        Ok(length @ 0..126) => [&[head, length], payload].concat(),
        _ => [&[head, 126], &length.to_be_bytes()[..], payload].concat(),
    }
}
