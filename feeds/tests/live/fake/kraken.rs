//! A fake of Kraken, version 2. Prices are in tenths, sizes in units of 1e-8.

use serde_json::json;

use super::Venue;
use super::server::{Book, Connection, Server, decimal};

pub(crate) struct Kraken(pub(crate) Server);

/// The digits of a number without its point and leading zeros are those of the integer.
fn checksum(book: &Book) -> u32 {
    let levels = book.asks.iter().take(10).chain(book.bids.iter().rev().take(10));
    let text: String = levels.map(|(price, size)| format!("{price}{size}")).collect();
    crc32fast::hash(text.as_bytes())
}

/// As the venue prints them: bare, with all decimals.
fn levels<'a>(levels: impl Iterator<Item = (&'a i64, &'a i64)>) -> String {
    let shown = levels
        .map(|(price, size)| format!(r#"{{"price":{},"qty":{}}}"#, decimal(*price, 1), decimal(*size, 8)));
    shown.collect::<Vec<_>>().join(",")
}

impl Venue for Kraken {
    const NAME: &str = "kraken";

    fn url(&self) -> String {
        format!("ws://{}/v2", self.0.authority())
    }

    fn server(&self) -> &Server {
        &self.0
    }

    /// All that have a book, and some more.
    fn list_instruments(&self, _symbols: &[&str]) {
        let mut connection = self.0.accept();
        let params = json!({ "channel": "instrument", "snapshot": true });
        assert_eq!(connection.request(), json!({ "method": "subscribe", "params": params }));
        connection.send(r#"{"method":"subscribe","result":{"channel":"instrument"},"success":true}"#);
        let of_books = self.0.symbols().map(|symbol| {
            format!(
                r#",{{"symbol":"{symbol}","base":"BTC","quote":"USD","status":"online","qty_precision":8,"price_precision":1,
                 "price_increment":0.1,"qty_increment":0.00000001,"qty_min":0.002}}"#
            )
        });
        let of_books = of_books.collect::<String>();
        connection.send_in_pieces(&format!(
            r#"{{"channel":"instrument","type":"snapshot","data":{{"assets":[{{"id":"USD","status":"enabled"}}],"pairs":[
                {{"symbol":"DOGE/USD","base":"DOGE","quote":"USD","status":"online","qty_precision":8,"price_precision":7,
                 "price_increment":1e-7,"qty_increment":0.00000001,"qty_min":10}}{of_books}]}}}}"#,
        ));
        connection.until_left();
    }
}

impl Kraken {
    pub(crate) fn listen() -> Self {
        Self(Server::listen())
    }

    pub(crate) fn snapshot(&self, symbol: &str) -> String {
        let book = self.book(symbol);
        message(
            "snapshot",
            symbol,
            &levels(book.bids.iter().rev()),
            &levels(book.asks.iter()),
            checksum(book),
        )
    }

    /// Sets levels, and says so.
    pub(crate) fn update(&mut self, symbol: &str, changes: &[(&str, i64, i64)]) -> String {
        for &(side, price, size) in changes {
            self.0.set(symbol, side, price, size);
        }
        let of = |wanted| {
            levels(changes.iter().filter(|(side, ..)| *side == wanted).map(|(_, price, size)| (price, size)))
        };
        message("update", symbol, &of("bids"), &of("asks"), checksum(self.book(symbol)))
    }
}

fn message(kind: &str, symbol: &str, bids: &str, asks: &str, checksum: u32) -> String {
    format!(
        r#"{{"channel":"book","type":"{kind}","data":[{{"symbol":"{symbol}","bids":[{bids}],"asks":[{asks}],"checksum":{checksum},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}"#
    )
}

#[track_caller]
pub(crate) fn expect_book_request(connection: &mut Connection, method: &str, symbols: &[&str]) {
    let params = json!({ "channel": "book", "symbol": symbols, "depth": 1000 });
    assert_eq!(connection.request(), json!({ "method": method, "params": params }));
}

#[track_caller]
pub(crate) fn expect_subscription(connection: &mut Connection, symbols: &[&str]) {
    expect_book_request(connection, "subscribe", symbols);
    let params = json!({ "channel": "trade", "symbol": symbols, "snapshot": false });
    assert_eq!(connection.request(), json!({ "method": "subscribe", "params": params }));
}
