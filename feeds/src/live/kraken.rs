//! What Kraken is asked ([documentation](https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/book)).

use super::venues::{Kind, List, Resync, quoted};
use crate::limits::{
    KRAKEN_BOOK_LEVELS, KRAKEN_CONNECTION_SYMBOLS_MAX, KRAKEN_REQUEST_SPACING, KRAKEN_REQUEST_SYMBOLS_MAX,
};

pub(super) static KIND: Kind = Kind {
    name: "kraken",
    venue: "KRAKEN",
    url: "wss://ws.kraken.com/v2",
    rest: None,
    connection_symbols_max: KRAKEN_CONNECTION_SYMBOLS_MAX,
    request_symbols_max: KRAKEN_REQUEST_SYMBOLS_MAX,
    request_spacing: KRAKEN_REQUEST_SPACING,
    spacing_is_shared: false,
    has_heartbeats: true,
    one_book: |symbol| symbol,
    list: List::All(list_instruments),
    subscribe,
    // Its checksums are of one book each, and so are its faults.
    resync: Resync::Subscribe(1, resync),
};

fn list_instruments() -> String {
    r#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true}}"#.to_owned()
}

/// Books from a snapshot on, and trades from now on.
fn subscribe(symbols: &[&str]) -> Vec<String> {
    vec![book("subscribe", symbols), request("subscribe", "trade", symbols, r#""snapshot":false"#)]
}

fn resync(symbols: &[&str]) -> Vec<String> {
    vec![book("unsubscribe", symbols), book("subscribe", symbols)]
}

fn book(method: &str, symbols: &[&str]) -> String {
    request(method, "book", symbols, &format!(r#""depth":{KRAKEN_BOOK_LEVELS}"#))
}

fn request(method: &str, channel: &str, symbols: &[&str], more: &str) -> String {
    let symbols = quoted(symbols);
    format!(r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":{symbols},{more}}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_documented() {
        assert_eq!(
            subscribe(&["BTC/USD", "ETH/USD"]),
            [
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD","ETH/USD"],"depth":1000}}"#,
                r#"{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD","ETH/USD"],"snapshot":false}}"#,
            ]
        );
        assert_eq!(
            resync(&["BTC/USD"]),
            [
                r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":1000}}"#,
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":1000}}"#,
            ]
        );
    }
}
