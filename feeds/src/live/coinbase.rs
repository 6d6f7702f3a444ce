//! What Coinbase Advanced Trade is asked
//! ([documentation](https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels)).
//!
//! - Nothing here needs a key. The list of instruments comes by the `status` channel, of the products that are named,
//!   for `GET /api/v3/brokerage/market/products` would be a second address that has to be reached.
//! - One channel a request, and at most eight requests a second of one address
//!   ([limits](https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-rate-limits)).
//! - `heartbeats` come every second: without them a channel on which nothing happens is closed after a minute.
//! - The books of `…-USDC` products are those of `…-USD`, by whose names they come: `venue/coinbase_advanced.rs` gives them
//!   back the names that were asked for, of which there can be but one.

use super::venues::{Kind, List, Resync, quoted};
use crate::limits::{
    COINBASE_CONNECTION_SYMBOLS_MAX, COINBASE_REQUEST_SPACING, COINBASE_REQUEST_SYMBOLS_MAX,
};

pub(super) static KIND: Kind = Kind {
    name: "coinbase",
    venue: "COINBASE",
    url: "wss://advanced-trade-ws.coinbase.com",
    rest: None,
    connection_symbols_max: COINBASE_CONNECTION_SYMBOLS_MAX,
    request_symbols_max: COINBASE_REQUEST_SYMBOLS_MAX,
    request_spacing: COINBASE_REQUEST_SPACING,
    spacing_is_shared: true,
    has_heartbeats: true,
    one_book,
    list: List::Named(list_instruments),
    subscribe,
    // Its numbers are of the connection: a hole in them makes all books of it void.
    resync: Resync::Subscribe(COINBASE_REQUEST_SYMBOLS_MAX, resync),
};

fn one_book(symbol: &str) -> &str {
    symbol.strip_suffix('C').filter(|name| name.ends_with("-USD")).unwrap_or(symbol)
}

fn list_instruments(symbols: &[&str]) -> String {
    request("subscribe", "status", symbols)
}

/// Books from a snapshot on, and trades.
fn subscribe(symbols: &[&str]) -> Vec<String> {
    vec![
        r#"{"type":"subscribe","channel":"heartbeats"}"#.to_owned(),
        request("subscribe", "level2", symbols),
        request("subscribe", "market_trades", symbols),
    ]
}

fn resync(symbols: &[&str]) -> Vec<String> {
    ["unsubscribe", "subscribe"].map(|kind| request(kind, "level2", symbols)).into()
}

fn request(kind: &str, channel: &str, symbols: &[&str]) -> String {
    let symbols = quoted(symbols);
    format!(r#"{{"type":"{kind}","product_ids":{symbols},"channel":"{channel}"}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_documented() {
        assert_eq!(
            subscribe(&["BTC-USD", "ETH-USD"]),
            [
                r#"{"type":"subscribe","channel":"heartbeats"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"market_trades"}"#,
            ]
        );
        assert_eq!(
            resync(&["BTC-USD"]),
            [
                r#"{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"level2"}"#,
                r#"{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}"#,
            ]
        );
    }
}
