//! A fake of Coinbase Advanced Trade. Prices are in hundredths, sizes in units of 1e-8.

use serde_json::{Value, json};

use super::Venue;
use super::server::{Connection, Server, decimal};

pub(crate) struct Coinbase(pub(crate) Server);

/// A connection, whose messages are numbered.
pub(crate) struct Numbered {
    pub(crate) connection: Connection,
    next: u64,
}

impl Venue for Coinbase {
    const NAME: &str = "coinbase";

    fn url(&self) -> String {
        format!("ws://{}", self.0.authority())
    }

    fn server(&self) -> &Server {
        &self.0
    }

    /// Those that have a book; of others it will not hear.
    fn list_instruments(&self, symbols: &[&str]) {
        let mut client = self.accept();
        client.expect("subscribe", "status", symbols);
        client.say("subscriptions", &json!({ "subscriptions": { "status": symbols } }));
        let unknown = symbols.iter().find(|symbol| !self.0.symbols().any(|known| known == **symbol));
        if let Some(symbol) = unknown {
            let message = format!("failure to subscribe: {symbol} is not a valid product");
            client.connection.send(&json!({ "type": "error", "message": message }).to_string());
        } else {
            let product = |symbol: &&str| {
                json!({ "product_type": "SPOT", "id": symbol, "base_currency": "BTC", "quote_currency": "USD",
                        "base_increment": "0.00000001", "quote_increment": "0.01", "display_name": "BTC/USD",
                        "status": "online", "status_message": "", "min_market_funds": "1" })
            };
            let products: Vec<Value> = symbols.iter().map(product).collect();
            let text = client.message("status", &json!({ "type": "snapshot", "products": products }));
            client.connection.send_in_pieces(&text);
        }
        client.connection.until_left();
    }
}

impl Coinbase {
    pub(crate) fn listen() -> Self {
        Self(Server::listen())
    }

    pub(crate) fn accept(&self) -> Numbered {
        Numbered { connection: self.0.accept(), next: 0 }
    }

    /// An event of the channel `l2_data`.
    pub(crate) fn snapshot(&self, symbol: &str) -> Value {
        let book = self.book(symbol);
        let bids = book.bids.iter().rev().map(|(price, size)| ("bids", *price, *size));
        let asks = book.asks.iter().map(|(price, size)| ("asks", *price, *size));
        event("snapshot", symbol, bids.chain(asks))
    }

    /// Sets levels, and says so.
    pub(crate) fn update(&mut self, symbol: &str, changes: &[(&str, i64, i64)]) -> Value {
        for &(side, price, size) in changes {
            self.0.set(symbol, side, price, size);
        }
        event("update", symbol, changes.iter().copied())
    }
}

fn event<'a>(kind: &str, symbol: &str, levels: impl Iterator<Item = (&'a str, i64, i64)>) -> Value {
    let updates = levels.map(|(side, price, size)| {
        json!({ "side": if side == "bids" { "bid" } else { "offer" }, "event_time": "2026-08-09T21:05:48.170326Z",
                "price_level": decimal(price, 2), "new_quantity": decimal(size, 8) })
    });
    json!({ "type": kind, "product_id": symbol, "updates": updates.collect::<Vec<_>>() })
}

impl Numbered {
    /// A message that was not sent yet, and counts as sent.
    pub(crate) fn message(&mut self, channel: &str, event: &Value) -> String {
        let sequence = self.next;
        self.next += 1;
        json!({ "channel": channel, "client_id": "", "timestamp": "2026-08-09T21:05:48.483587501Z",
                "sequence_num": sequence, "events": [event] })
        .to_string()
    }

    pub(crate) fn say(&mut self, channel: &str, event: &Value) {
        let text = self.message(channel, event);
        self.connection.send(&text);
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn expect(&mut self, kind: &str, channel: &str, symbols: &[&str]) {
        let expected = json!({ "type": kind, "product_ids": symbols, "channel": channel });
        assert_eq!(self.connection.request(), expected);
    }

    #[track_caller]
    pub(crate) fn expect_subscription(&mut self, symbols: &[&str]) {
        let heartbeats = json!({ "type": "subscribe", "channel": "heartbeats" });
        assert_eq!(self.connection.request(), heartbeats);
        self.say("subscriptions", &json!({ "subscriptions": { "heartbeats": ["heartbeats"] } }));
        self.expect("subscribe", "level2", symbols);
        self.expect("subscribe", "market_trades", symbols);
    }

    /// The books of the symbols are asked for anew, and no others.
    #[track_caller]
    pub(crate) fn expect_resync(&mut self, symbols: &[&str]) {
        self.expect("unsubscribe", "level2", symbols);
        self.say("subscriptions", &json!({ "subscriptions": { "heartbeats": ["heartbeats"] } }));
        self.expect("subscribe", "level2", symbols);
    }
}
