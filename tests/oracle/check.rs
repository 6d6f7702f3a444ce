//! Compares what a client and REST show with what a recording leads to, digit by digit.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::follower::{Body, Follower, Granted, Levels, State, Topic, checksum_of, levels};
use super::{Book, Level};
use crate::service::process::Service;

const DEPTHS: [usize; 3] = [10, 25, 100];

/// That a client's states of every symbol are these books, to every depth, and their best bids and offers.
pub(crate) fn check_states(
    states: &BTreeMap<Topic, State>,
    granted: &BTreeMap<Topic, Granted>,
    books: &BTreeMap<String, Book>,
) {
    let followed: Vec<&String> =
        granted.keys().filter(|(channel, _)| channel == "quote").map(|(_, s)| s).collect();
    assert_eq!(followed, books.keys().collect::<Vec<_>>(), "the symbols");
    for (symbol, book) in books {
        let topic = |channel: &str| (channel.to_owned(), symbol.clone());
        let scale = granted[&topic("quote")];
        for depth in DEPTHS {
            let channel = topic(&format!("book.{depth}"));
            assert_eq!(granted[&channel], scale, "{symbol}");
            let Body::Book { bids, asks } = &states[&channel].body else { panic!("{channel:?} is no book") };
            let rows = |levels: &Levels| levels.values().cloned().collect::<Vec<_>>();
            let bids = rows(bids).into_iter().rev().collect::<Vec<_>>();
            assert_eq!(bids, texts(&book.best_bids(depth), scale), "bids of {symbol} to depth {depth}");
            assert_eq!(rows(asks), texts(&book.best_asks(depth), scale), "asks of {symbol} to depth {depth}");
        }
        let Body::Fields(quote) = &states[&topic("quote")].body else { panic!("a quote is no book") };
        assert_eq!(*quote, quote_of(book, scale), "quote of {symbol}");
    }
}

/// That REST shows the same, with the numbers of the client's states.
pub(crate) fn check_rest(service: &Service, follower: &Follower, books: &BTreeMap<String, Book>) {
    let quotes = service.json("/v1/quotes");
    let quotes = quotes["quotes"].as_array().expect("a list");
    assert_eq!(quotes.len(), books.len());
    for (symbol, book) in books {
        let state = |channel: &str| &follower.states[&(channel.to_owned(), symbol.clone())];
        let scale = follower.granted[&("quote".to_owned(), symbol.clone())];
        for depth in DEPTHS {
            let rest = service.json(&book_path(symbol, depth));
            let rows = |rows| levels(rows).into_iter().map(|(_, row)| row).collect::<Vec<_>>();
            assert_eq!(rows(&rest["bids"]), texts(&book.best_bids(depth), scale), "REST bids of {symbol}");
            assert_eq!(rows(&rest["asks"]), texts(&book.best_asks(depth), scale), "REST asks of {symbol}");
            let checksum = checksum_of(
                &levels(&rest["bids"]).into_iter().collect(),
                &levels(&rest["asks"]).into_iter().collect(),
            );
            assert_eq!(rest["checksum"], checksum);
            let followed = state(&format!("book.{depth}"));
            assert_eq!(
                (&rest["epoch"], &rest["seq"]),
                (&json!(followed.epoch), &json!(followed.seq)),
                "{symbol}"
            );
        }
        let quote = quotes.iter().find(|quote| quote["symbol"] == *symbol).expect("every quote is there");
        for (field, value) in quote_of(book, scale) {
            assert_eq!(quote[&field], value, "REST quote of {symbol}");
        }
        let followed = state("quote");
        assert_eq!(
            (&quote["epoch"], &quote["seq"]),
            (&json!(followed.epoch), &json!(followed.seq)),
            "{symbol}"
        );
    }
}

fn quote_of(book: &Book, scale: Granted) -> BTreeMap<String, Value> {
    let mut quote = BTreeMap::new();
    let (bid, ask) = book.best();
    for (level, price, size) in [(bid, "bid", "bid_size"), (ask, "ask", "ask_size")] {
        let best = texts(level.as_slice(), scale).pop();
        quote.insert(price.to_owned(), json!(best.as_ref().map(|(price, _)| price)));
        quote.insert(size.to_owned(), json!(best.as_ref().map(|(_, size)| size)));
    }
    quote
}

fn texts(levels: &[Level], scale: Granted) -> Vec<(String, String)> {
    levels
        .iter()
        .map(|&(price, size)| (printed(price, scale.price_exponent), printed(size, scale.size_exponent)))
        .collect()
}

/// A number with all digits of an exponent, as the protocol demands it.
fn printed(number: Decimal, exponent: i32) -> String {
    let mut printed = number;
    printed.rescale(u32::try_from(-exponent).unwrap_or(0));
    assert_eq!(printed, number, "the exponent {exponent} cannot hold it");
    printed.to_string()
}

/// Where REST has a book.
pub(crate) fn book_path(symbol: &str, depth: usize) -> String {
    format!("/v1/books/{}?depth={depth}", symbol.replace('/', "%2F"))
}
