//! What must come out: a slow, obvious model of each recording's books, written from the venues' own documentation
//! and sharing nothing with the code under test; and a client that knows the protocol's document alone.

mod binance;
pub(crate) mod check;
mod coinbase;
mod crc;
pub(crate) mod files;
pub(crate) mod follower;
mod itch;
mod kraken;
pub(crate) mod synthetic;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use rust_decimal::Decimal;
use serde_json::Value;

pub(crate) use crc::book_checksum;

/// A level: price and size.
pub(crate) type Level = (Decimal, Decimal);

/// A whole book, every level of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) bids: BTreeMap<Decimal, Decimal>,
    pub(crate) asks: BTreeMap<Decimal, Decimal>,
    exists: bool,
    /// Best bid and offer as the venue told them of itself: they count while there is no book.
    told: (Option<Level>, Option<Level>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Bid,
    Ask,
}

/// What a recording leads to.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) venue: &'static str,
    /// By symbol; every instrument that the recording has market data of.
    pub(crate) books: BTreeMap<String, Book>,
    /// How many trades it tells of.
    pub(crate) trades: usize,
    /// How often something of the venue's own in the recording (a checksum, a best price) agreed with the model. Where
    /// it does not, the model panics.
    pub(crate) proofs: usize,
}

impl Book {
    fn side(&mut self, side: Side) -> &mut BTreeMap<Decimal, Decimal> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    /// Sets a level; size zero deletes it.
    fn set(&mut self, side: Side, (price, size): Level) {
        self.exists = true;
        if size.is_zero() {
            self.side(side).remove(&price);
        } else {
            self.side(side).insert(price, size);
        }
    }

    /// Best bid and offer.
    pub(crate) fn best(&self) -> (Option<Level>, Option<Level>) {
        if self.exists { (self.best_bids(1).pop(), self.best_asks(1).pop()) } else { self.told }
    }

    /// Buyers' levels, best first.
    pub(crate) fn best_bids(&self, depth: usize) -> Vec<Level> {
        self.bids.iter().rev().take(depth).map(|(&price, &size)| (price, size)).collect()
    }

    /// Sellers' levels, best first.
    pub(crate) fn best_asks(&self, depth: usize) -> Vec<Level> {
        self.asks.iter().take(depth).map(|(&price, &size)| (price, size)).collect()
    }
}

/// Computes a recording's last books. Of a damaged one: what stands before the damage.
pub(crate) fn compute(path: &Path) -> Expected {
    let bytes = decompressed(path);
    if bytes.first() != Some(&b'{') {
        return itch::compute(&bytes);
    }
    let lines = capture_lines(&bytes);
    match lines[0]["exchange"].as_str() {
        Some("KRAKEN") => kraken::compute(&lines),
        Some("COINBASE") => coinbase::compute(&lines),
        Some("BINANCE") => binance::compute("BINANCE", false, &lines),
        Some("BINANCE_FUTURES") => binance::compute("BINANCE_FUTURES", true, &lines),
        Some("BINANCE_DELIVERY") => binance::compute("BINANCE_DELIVERY", true, &lines),
        other => panic!("{}: no model of {other:?}", path.display()),
    }
}

/// All bytes up to the end, or to where the compression is damaged.
fn decompressed(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader: Box<dyn Read> = if bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::new(bytes.as_slice()).expect("memory for a decoder"))
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice()))
    } else {
        return bytes;
    };
    let mut plain = Vec::new();
    let mut byte = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut byte) {
        plain.extend_from_slice(&byte[..count]);
    }
    plain
}

/// The lines of a capture, up to one that is no JSON or has no end.
fn capture_lines(bytes: &[u8]) -> Vec<Value> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    bytes[..whole].split(|&byte| byte == b'\n').map_while(|line| serde_json::from_slice(line).ok()).collect()
}

/// The payloads of the lines of a kind (`recv`, `http`), with the line; of `http` those with this in their address.
fn payloads<'a>(lines: &'a [Value], kind: &'a str, url: &'a str) -> impl Iterator<Item = (&'a Value, Value)> {
    lines
        .iter()
        .filter(move |line| line["t"] == kind)
        .filter(move |line| {
            kind != "http" || line["url"].as_str().is_some_and(|of_line| of_line.contains(url))
        })
        .map(|line| {
            let text = line["data"].as_str().expect("a payload is a text");
            (line, serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}")))
        })
}

/// A number from its text, digit by digit.
fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().unwrap_or_else(|| panic!("not a text: {value}"));
    Decimal::from_str_exact(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `["354.11000000","0.50000000",…]`
fn level(value: &Value) -> Level {
    (decimal(&value[0]), decimal(&value[1]))
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
