//! What Kraken is asked ([documentation](https://docs.kraken.com/exchange/api-reference/spot-websocket-v2/book)).
//! What it answers is the business of [`crate::venue`].

use std::fmt::Write as _;

use crate::limits::KRAKEN_BOOK_LEVELS;

/// Its name in recordings.
pub(super) const VENUE: &str = "KRAKEN";
/// Where it listens.
pub(super) const URL: &str = "wss://ws.kraken.com/v2";

/// Asks for the list of instruments.
pub(super) fn list_instruments() -> String {
    r#"{"method":"subscribe","params":{"channel":"instrument","snapshot":true}}"#.to_owned()
}

/// Asks for the books of these symbols, from a snapshot on, and for their trades from now on.
pub(super) fn subscribe(symbols: &[&str]) -> [String; 2] {
    [book("subscribe", symbols), request("subscribe", "trade", symbols, r#""snapshot":false"#)]
}

/// Asks for the book of a symbol anew: the venue sends a snapshot to who subscribes, and only then.
pub(super) fn resync(symbol: &str) -> [String; 2] {
    [book("unsubscribe", &[symbol]), book("subscribe", &[symbol])]
}

fn book(method: &str, symbols: &[&str]) -> String {
    request(method, "book", symbols, &format!(r#""depth":{KRAKEN_BOOK_LEVELS}"#))
}

fn request(method: &str, channel: &str, symbols: &[&str], more: &str) -> String {
    let mut list = String::new();
    for symbol in symbols {
        let comma = if list.is_empty() { "" } else { "," };
        // The venue has listed them: there is nothing to escape in them.
        let _ = write!(list, "{comma}\"{symbol}\"");
    }
    format!(r#"{{"method":"{method}","params":{{"channel":"{channel}","symbol":[{list}],{more}}}}}"#)
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
            resync("BTC/USD"),
            [
                r#"{"method":"unsubscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":1000}}"#,
                r#"{"method":"subscribe","params":{"channel":"book","symbol":["BTC/USD"],"depth":1000}}"#,
            ]
        );
    }
}
