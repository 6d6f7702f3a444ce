//! A fake of Binance's spot market. Prices are in hundredths, sizes in units of 1e-5.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Venue;
use super::server::{Connection, Get, Server, decimal};

pub(crate) struct Binance {
    pub(crate) server: Server,
    /// The number of the last change of each book.
    last: BTreeMap<String, u64>,
}

impl Venue for Binance {
    const NAME: &str = "binance";

    fn url(&self) -> String {
        format!("ws://{}/stream", self.server.authority())
    }

    fn server(&self) -> &Server {
        &self.server
    }

    /// Those that have a book; else it says no more than that one is invalid.
    fn list_instruments(&self, symbols: &[&str]) {
        self.list_some(symbols);
    }
}

impl Binance {
    /// Whether it listed all of them. Who is told that one of several is wrong asks for either half.
    fn list_some(&self, symbols: &[&str]) -> bool {
        let names: Vec<String> = symbols.iter().map(|symbol| format!("%22{symbol}%22")).collect();
        let get = self.server.expect_get(&format!("/api/v3/exchangeInfo?symbols=%5B{}%5D", names.join(",")));
        if symbols.iter().any(|symbol| !self.server.symbols().any(|known| known == *symbol)) {
            get.answer("400 Bad Request", r#"{"code":-1121,"msg":"Invalid symbol."}"#);
            let (first, second) = symbols.split_at(symbols.len() / 2);
            return symbols.len() > 1 && self.list_some(first) && self.list_some(second);
        }
        let symbol = |symbol: &&str| {
            json!({ "symbol": symbol, "status": "TRADING", "quoteAsset": "USDT", "filters": [
                { "filterType": "PRICE_FILTER", "minPrice": "0.01000000", "tickSize": "0.01000000" },
                { "filterType": "LOT_SIZE", "minQty": "0.00001000", "stepSize": "0.00001000" }] })
        };
        let symbols: Vec<Value> = symbols.iter().map(symbol).collect();
        get.answer("200 OK", &json!({ "timezone": "UTC", "symbols": symbols }).to_string());
        true
    }

    pub(crate) fn listen() -> Self {
        Self { server: Server::listen(), last: BTreeMap::new() }
    }

    /// The next request for the snapshot of a book.
    #[track_caller]
    pub(crate) fn expect_depth(&self, symbol: &str) -> Get {
        self.server.expect_get(&format!("/api/v3/depth?symbol={symbol}&limit=1000"))
    }

    /// The same, answered as it should be.
    #[track_caller]
    pub(crate) fn answer_depth(&self, symbol: &str) {
        self.expect_depth(symbol).answer("200 OK", &self.snapshot(symbol));
    }

    pub(crate) fn snapshot(&self, symbol: &str) -> String {
        let book = self.book(symbol);
        let bids: Vec<Value> = book.bids.iter().rev().map(level).collect();
        let asks: Vec<Value> = book.asks.iter().map(level).collect();
        json!({ "lastUpdateId": self.last.get(symbol).unwrap_or(&100), "bids": bids, "asks": asks })
            .to_string()
    }

    /// Sets levels, and says so.
    pub(crate) fn update(&mut self, symbol: &str, changes: &[(&str, i64, i64)]) -> String {
        for &(side, price, size) in changes {
            self.server.set(symbol, side, price, size);
        }
        let of = |wanted| {
            let changes = changes.iter().filter(|(side, ..)| *side == wanted);
            changes.map(|(_, price, size)| level((price, size))).collect::<Vec<_>>()
        };
        let last = self.last.entry(symbol.to_owned()).or_insert(100);
        let first = *last + 1;
        *last += 2;
        let data = json!({ "e": "depthUpdate", "E": 1_633_998_512_568_u64, "s": symbol, "U": first, "u": *last,
                           "b": of("bids"), "a": of("asks") });
        message(symbol, "depth@100ms", &data)
    }
}

pub(crate) fn message(symbol: &str, stream: &str, data: &Value) -> String {
    json!({ "stream": format!("{}@{stream}", symbol.to_ascii_lowercase()), "data": data }).to_string()
}

fn level((price, size): (&i64, &i64)) -> Value {
    json!([decimal(price * 1_000_000, 8), decimal(size * 1_000, 8)])
}

#[track_caller]
pub(crate) fn expect_subscription(connection: &mut Connection, symbols: &[&str]) {
    let streams = symbols.iter().map(|symbol| symbol.to_ascii_lowercase());
    let streams = streams.flat_map(|symbol| [format!("{symbol}@depth@100ms"), format!("{symbol}@trade")]);
    let params: Vec<String> = streams.collect();
    assert_eq!(connection.request(), json!({ "method": "SUBSCRIBE", "params": params, "id": 1 }));
    connection.send(r#"{"result":null,"id":1}"#);
}
