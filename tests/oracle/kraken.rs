//! Kraken's WebSocket v1 (<https://docs.kraken.com/websockets-v1/#message-book>): a message is
//! `[number, object…, "book-1000", "XBT/CHF"]`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Book, Expected, Side, book_checksum, decimal, items, level, payloads};

pub(super) fn compute(lines: &[Value]) -> Expected {
    let mut books: BTreeMap<String, Book> = BTreeMap::new();
    let (mut trades, mut proofs) = (0, 0);
    for (_, message) in payloads(lines, "recv", "") {
        let Some([_, parts @ .., channel, pair]) = message.as_array().map(Vec::as_slice) else { continue };
        let book = books.entry(pair.as_str().expect("a pair is a text").to_owned()).or_default();
        let channel = channel.as_str().expect("a channel is a text");
        if channel == "trade" {
            trades += parts.iter().map(|rows| items(rows).len()).sum::<usize>();
        }
        if channel == "ticker" {
            // `[price, whole lots, lots]`
            let best = |key: &str| parts.first().map(|part| (decimal(&part[key][0]), decimal(&part[key][2])));
            book.told = (best("b"), best("a"));
        }
        let Some(depth) = channel.strip_prefix("book-") else { continue };
        let depth = depth.parse().expect("a number of levels");
        for part in parts {
            if part.get("as").is_some() || part.get("bs").is_some() {
                *book = Book::default();
            }
            for (key, side) in [("as", Side::Ask), ("bs", Side::Bid), ("a", Side::Ask), ("b", Side::Bid)] {
                for row in items(&part[key]) {
                    book.set(side, level(row));
                }
            }
        }
        // Levels past the depth that was subscribed to are no longer told of.
        while book.bids.len() > depth {
            book.bids.pop_first();
        }
        while book.asks.len() > depth {
            book.asks.pop_last();
        }
        for expected in parts.iter().filter_map(|part| part.get("c")) {
            assert_eq!(decimal(expected), checksum(book).into(), "the venue's checksum of {pair}");
            proofs += 1;
        }
    }
    Expected { venue: "KRAKEN", books, trades, proofs }
}

/// Of the numbers as the venue printed them: a [`rust_decimal::Decimal`] keeps trailing zeros.
fn checksum(book: &Book) -> u32 {
    let texts = |levels: Vec<super::Level>| -> Vec<(String, String)> {
        levels.iter().map(|(price, size)| (price.to_string(), size.to_string())).collect()
    };
    let (asks, bids) = (texts(book.best_asks(10)), texts(book.best_bids(10)));
    book_checksum(
        asks.iter().map(|(price, size)| (price.as_str(), size.as_str())),
        bids.iter().map(|(price, size)| (price.as_str(), size.as_str())),
    )
}
