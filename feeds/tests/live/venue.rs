//! A fake of Kraken, version 2: a real server on a socket, with books of its own, that sends what it is told to.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Venue {
    listener: TcpListener,
    books: BTreeMap<String, Book>,
}

/// Sizes by price: in tenths, and in units of 1e-8.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Book {
    pub(crate) fn set(&mut self, side: &str, price: i64, size: i64) {
        let levels = if side == "bids" { &mut self.bids } else { &mut self.asks };
        match size {
            0 => levels.remove(&price),
            _ => levels.insert(price, size),
        };
    }

    /// The digits of a number without its point and leading zeros are those of the integer.
    fn checksum(&self) -> u32 {
        let levels = self.asks.iter().take(10).chain(self.bids.iter().rev().take(10));
        let text: String = levels.map(|(price, size)| format!("{price}{size}")).collect();
        crc32fast::hash(text.as_bytes())
    }
}

/// As the venue prints them: bare, with all decimals.
fn levels<'a>(levels: impl Iterator<Item = (&'a i64, &'a i64)>) -> String {
    let shown = levels.map(|(price, size)| {
        let (price, size) = ((price / 10, price % 10), (size / 100_000_000, size % 100_000_000));
        format!(r#"{{"price":{}.{},"qty":{}.{:08}}}"#, price.0, price.1, size.0, size.1)
    });
    shown.collect::<Vec<_>>().join(",")
}

impl Venue {
    pub(crate) fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port"), books: BTreeMap::new() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/v2", self.listener.local_addr().expect("bound"))
    }

    pub(crate) fn accept(&self) -> Connection {
        let (stream, _) = self.listener.accept().expect("a client");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Connection(tungstenite::accept(stream).expect("a handshake"))
    }

    /// Serves the connection that asks for the list of instruments.
    pub(crate) fn list_instruments(&self) {
        let mut connection = self.accept();
        let params = json!({ "channel": "instrument", "snapshot": true });
        assert_eq!(connection.request(), json!({ "method": "subscribe", "params": params }));
        connection.send(r#"{"method":"subscribe","result":{"channel":"instrument"},"success":true}"#);
        connection.send_in_pieces(
            r#"{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD","status":"enabled"}],"pairs":[
                {"symbol":"ETH/USD","base":"ETH","quote":"USD","status":"online","qty_precision":8,"price_precision":1,
                 "price_increment":0.1,"qty_increment":0.00000001,"qty_min":0.002},
                {"symbol":"DOGE/USD","base":"DOGE","quote":"USD","status":"online","qty_precision":8,"price_precision":7,
                 "price_increment":1e-7,"qty_increment":0.00000001,"qty_min":10},
                {"symbol":"BTC/USD","base":"BTC","quote":"USD","status":"online","qty_precision":8,"price_precision":1,
                 "price_increment":0.1,"qty_increment":0.00000001,"qty_min":0.0001}]}}"#,
        );
        // Until the client leaves.
        while connection.0.read().is_ok() {}
    }

    pub(crate) fn book(&self, symbol: &str) -> &Book {
        &self.books[symbol]
    }

    pub(crate) fn set(&mut self, symbol: &str, side: &str, price: i64, size: i64) {
        self.books.entry(symbol.to_owned()).or_default().set(side, price, size);
    }

    pub(crate) fn snapshot(&self, symbol: &str) -> String {
        let book = self.book(symbol);
        message(
            "snapshot",
            symbol,
            &levels(book.bids.iter().rev()),
            &levels(book.asks.iter()),
            book.checksum(),
        )
    }

    /// Sets levels, and says so.
    pub(crate) fn update(&mut self, symbol: &str, changes: &[(&str, i64, i64)]) -> String {
        for &(side, price, size) in changes {
            self.set(symbol, side, price, size);
        }
        let of = |wanted| {
            levels(changes.iter().filter(|(side, ..)| *side == wanted).map(|(_, price, size)| (price, size)))
        };
        message("update", symbol, &of("bids"), &of("asks"), self.book(symbol).checksum())
    }
}

fn message(kind: &str, symbol: &str, bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}"#
    )
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
                other => assert!(other.is_pong(), "{other:?}"),
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect_book_request(&mut self, method: &str, symbols: &[&str]) {
        let params = json!({ "channel": "book", "symbol": symbols, "depth": 1000 });
        assert_eq!(self.request(), json!({ "method": method, "params": params }));
    }

    #[track_caller]
    pub(crate) fn expect_subscription(&mut self, symbols: &[&str]) {
        self.expect_book_request("subscribe", symbols);
        let params = json!({ "channel": "trade", "symbol": symbols, "snapshot": false });
        assert_eq!(self.request(), json!({ "method": "subscribe", "params": params }));
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
