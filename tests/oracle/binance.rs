//! Binance's diff depth streams, joined with the answer of `GET …/depth` as documented: "How to manage a local order
//! book correctly", for spot
//! (<https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly>)
//! and for futures
//! (<https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly>).
//!
//! The join goes by update numbers alone, so that the order of the lines in the recording does not matter, except that
//! each symbol's depth messages stand in their order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Book, Expected, Level, Side, items, level, payloads};

pub(super) fn compute(venue: &'static str, is_futures: bool, lines: &[Value]) -> Expected {
    let mut trades = 0;
    let mut symbols = BTreeSet::new();
    let mut depths: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    // The venue's own best prices, by symbol and update number.
    let mut tops: BTreeMap<(String, u64), (Level, Level)> = BTreeMap::new();
    for (_, message) in payloads(lines, "recv", "") {
        let stream = message["stream"].as_str().unwrap_or_default();
        let data = &message["data"];
        let Some(symbol) = data["s"].as_str().map(str::to_owned) else { continue };
        if stream.ends_with("@bookTicker") {
            let top = (
                (super::decimal(&data["b"]), super::decimal(&data["B"])),
                (super::decimal(&data["a"]), super::decimal(&data["A"])),
            );
            tops.insert((symbol.clone(), number(&data["u"])), top);
            symbols.insert(symbol);
        } else if data["e"] == "depthUpdate" {
            depths.entry(symbol.clone()).or_default().push(data.clone());
            symbols.insert(symbol);
        } else if data["e"] == "aggTrade" {
            trades += 1;
            symbols.insert(symbol);
        }
    }
    let mut snapshots: BTreeMap<String, Value> = BTreeMap::new();
    for (line, answer) in payloads(lines, "http", "/depth?") {
        let url = line["url"].as_str().expect("filtered by it");
        let (_, query) = url.split_once("symbol=").expect("a snapshot names its symbol");
        let symbol = query.split('&').next().unwrap_or_default().to_owned();
        let earlier = snapshots.insert(symbol.clone(), answer);
        assert!(earlier.is_none(), "{symbol} has two snapshots: which one counts depends on time");
        symbols.insert(symbol);
    }

    let mut proofs = 0;
    let mut books = BTreeMap::new();
    for symbol in symbols {
        let messages = depths.remove(&symbol).unwrap_or_default();
        let snapshot = snapshots.get(&symbol).unwrap_or_else(|| panic!("{symbol} has no snapshot"));
        let mut book = Book::default();
        apply(&mut book, &snapshot["bids"], &snapshot["asks"]);
        let last_update_id = number(&snapshot["lastUpdateId"]);
        let mut previous = None;
        for data in &messages {
            let (first, last) = (number(&data["U"]), number(&data["u"]));
            let is_stale = if is_futures { last < last_update_id } else { last <= last_update_id };
            if is_stale {
                assert_eq!(previous, None, "{symbol}: numbers go back");
                continue;
            }
            let follows = match (previous, is_futures) {
                (None, false) => first <= last_update_id + 1,
                // `pu` is this symbol's number before the message: when the snapshot is not older, nothing is missing.
                (None, true) => first <= last_update_id || number(&data["pu"]) <= last_update_id,
                (Some(previous), false) => first == previous + 1,
                (Some(previous), true) => number(&data["pu"]) == previous,
            };
            assert!(
                follows,
                "{symbol}: {first} to {last} does not follow {previous:?} (snapshot {last_update_id})"
            );
            previous = Some(last);
            apply(&mut book, &data["b"], &data["a"]);
            if let Some((bid, ask)) = tops.get(&(symbol.clone(), last)) {
                assert_eq!(book.best_bids(1), [*bid], "{symbol}: the venue's best bid at {last}");
                assert_eq!(book.best_asks(1), [*ask], "{symbol}: the venue's best offer at {last}");
                proofs += 1;
            }
        }
        books.insert(symbol, book);
    }
    Expected { venue, books, trades, proofs }
}

fn apply(book: &mut Book, bids: &Value, asks: &Value) {
    for (rows, side) in [(bids, Side::Bid), (asks, Side::Ask)] {
        for row in items(rows) {
            book.set(side, level(row));
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}
