//! Coinbase Exchange's `level2` channel (<https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#level2-channel>).

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Book, Expected, Side, decimal, items, level, payloads};

pub(super) fn compute(lines: &[Value]) -> Expected {
    let mut books: BTreeMap<String, Book> = BTreeMap::new();
    let mut trades = 0;
    for (_, message) in payloads(lines, "recv", "") {
        let Some(product) = message["product_id"].as_str() else { continue };
        let book = books.entry(product.to_owned()).or_default();
        match message["type"].as_str() {
            Some("snapshot") => {
                *book = Book::default();
                for (key, side) in [("asks", Side::Ask), ("bids", Side::Bid)] {
                    for row in items(&message[key]) {
                        book.set(side, level(row));
                    }
                }
            }
            Some("l2update") => {
                for change in items(&message["changes"]) {
                    let side = match change[0].as_str() {
                        Some("buy") => Side::Bid,
                        Some("sell") => Side::Ask,
                        other => panic!("a side `{other:?}`"),
                    };
                    book.set(side, (decimal(&change[1]), decimal(&change[2])));
                }
            }
            // `last_match` is of before the subscription.
            Some("match") => trades += 1,
            _ => {}
        }
    }
    Expected { venue: "COINBASE", books, trades, proofs: 0 }
}
