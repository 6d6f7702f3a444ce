//! What Binance's spot market is asked
//! ([streams](https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams),
//! [requests](https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints)).
//!
//! - The addresses are those for market data alone, which need no key.
//! - A connection carries 1,024 streams, of which a symbol takes two, and takes five messages a second, pongs included.
//! - Changes of a book are joined with the answer to `GET …/depth`: how is in `venue/depth.rs`. It costs 50 of the 6,000
//!   that one address may use a minute.
//! - `bookTicker` is left out: where there is a book, the best bid and offer are the book's.

use super::venues::{Kind, List, Resync, quoted};
use crate::limits::{
    BINANCE_CONNECTION_SYMBOLS_MAX, BINANCE_DEPTH_LEVELS, BINANCE_REQUEST_SPACING,
    BINANCE_REQUEST_SYMBOLS_MAX,
};

pub(super) static KIND: Kind = Kind {
    name: "binance",
    venue: "BINANCE",
    url: "wss://data-stream.binance.vision/stream",
    rest: Some("https://data-api.binance.vision"),
    connection_symbols_max: BINANCE_CONNECTION_SYMBOLS_MAX,
    request_symbols_max: BINANCE_REQUEST_SYMBOLS_MAX,
    request_spacing: BINANCE_REQUEST_SPACING,
    spacing_is_shared: false,
    has_heartbeats: false,
    one_book: |symbol| symbol,
    list: List::Get(exchange_info),
    subscribe,
    resync: Resync::Get(depth),
};

fn exchange_info(symbols: &[&str]) -> String {
    format!("/api/v3/exchangeInfo?symbols={}", escaped(&quoted(symbols)))
}

fn subscribe(symbols: &[&str]) -> Vec<String> {
    let streams = symbols.iter().flat_map(|symbol| {
        let symbol = symbol.to_ascii_lowercase();
        [format!("{symbol}@depth@100ms"), format!("{symbol}@trade")]
    });
    let streams: Vec<String> = streams.collect();
    let streams = quoted(&streams.iter().map(String::as_str).collect::<Vec<_>>());
    vec![format!(r#"{{"method":"SUBSCRIBE","params":{streams},"id":1}}"#)]
}

fn depth(symbol: &str) -> String {
    format!("/api/v3/depth?symbol={}&limit={BINANCE_DEPTH_LEVELS}", escaped(symbol))
}

/// As a part of a URL: nobody has looked yet whether the symbols are the venue's.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b',' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_as_documented() {
        assert_eq!(
            subscribe(&["BTCUSDT", "ETHUSDT"]),
            [
                r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade","ethusdt@depth@100ms","ethusdt@trade"],"id":1}"#
            ]
        );
        assert_eq!(
            exchange_info(&["BTCUSDT", "A&B"]),
            "/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22,%22A%26B%22%5D"
        );
        assert_eq!(depth("BTCUSDT"), "/api/v3/depth?symbol=BTCUSDT&limit=1000");
    }
}
