//! What a client holds of a topic, made of its messages in either encoding.

use std::collections::BTreeMap;

use feeds::{Timestamp, Trade};
use serde_json::{Map, Value};
use tickwire::market::Market;
use tickwire::state::{Bar, Quote, Status, StatusState, Ticker};
use tickwire::topic::{Channel, TopicId};
use tickwire::wire::binary::{BookLevels, Change};

#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) seq: u64,
    pub(crate) epoch: String,
    pub(crate) ts_event: Timestamp,
    /// The events up to `seq` are lost: the data is that of an older one.
    pub(crate) is_after_gap: bool,
    pub(crate) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Json(Fields),
    Quote(Quote),
    Trade(Option<Trade>),
    Book(BookLevels),
    Ticker(Box<Ticker>),
    Bar(Option<Bar>),
    Status(Status),
}

/// The fields of a state; of a book the levels by side and price text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fields {
    fields: Map<String, Value>,
    book: BTreeMap<(String, String), String>,
}

impl Fields {
    /// Takes over what a snapshot or an update says.
    pub(crate) fn merge(&mut self, object: Map<String, Value>) {
        let mut checksum = None;
        for (name, value) in object {
            match name.as_str() {
                "type" | "seq" | "prev_seq" | "n" | "ts_event" | "epoch" => {}
                "checksum" => checksum = value.as_u64(),
                "bids" | "asks" => {
                    for level in value.as_array().expect("levels") {
                        let (price, size) =
                            (level[0].as_str().expect("a price"), level[1].as_str().expect("a size"));
                        let key = (name.clone(), format!("{price:>12}"));
                        if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                            assert!(self.book.remove(&key).is_some(), "a level that is not there: {price}");
                        } else {
                            self.book.insert(key, size.to_owned());
                        }
                    }
                }
                _ => {
                    self.fields.insert(name, value);
                }
            }
        }
        if let Some(checksum) = checksum {
            assert_eq!(u64::from(self.checksum()), checksum, "{:?}", self.book);
        }
    }

    /// Kraken's rule over the ten best levels of each side, from the texts.
    fn checksum(&self) -> u32 {
        let side = |name: &'static str| self.book.iter().filter(move |((side, _), _)| side == name);
        let digits = |(key, size): (&(String, String), &String)| {
            let strip = |text: &str| text.trim().replace('.', "").trim_start_matches('0').to_owned();
            strip(&key.1) + &strip(size)
        };
        let asks = side("asks").take(10).map(digits);
        let bids = side("bids").rev().take(10).map(digits);
        crc32fast::hash(asks.chain(bids).collect::<String>().as_bytes())
    }
}

impl Data {
    /// What a binary snapshot changes.
    pub(crate) fn nothing(channel: Channel) -> Self {
        match channel {
            Channel::Quote => Self::Quote(Quote::default()),
            Channel::Trade => Self::Trade(None),
            Channel::Book(_) => Self::Book(BookLevels::default()),
            Channel::Ticker => Self::Ticker(Box::default()),
            Channel::Bar(_) => Self::Bar(None),
            Channel::Status => Self::Status(Status { state: StatusState::Trading, reason: "".into() }),
        }
    }

    pub(crate) fn apply(&mut self, channel: Channel, change: &Change<'_>) {
        match (self, change) {
            (Self::Quote(quote), Change::Quote(change)) => *quote = change.apply(quote),
            (Self::Trade(trade), Change::Trade(change)) => *trade = Some(change.apply(trade.as_ref())),
            (Self::Book(book), Change::Book(change)) => {
                let Channel::Book(depth) = channel else { panic!("a book") };
                change.apply(book, depth);
            }
            (Self::Ticker(ticker), Change::Ticker(change)) => **ticker = change.apply(ticker),
            (Self::Bar(bar), Change::Bar(change)) => *bar = Some(change.apply(bar.as_ref())),
            (Self::Status(status), &Change::Status { state, reason }) => {
                *status = Status { state, reason: reason.to_string().into() };
            }
            (data, change) => panic!("{change:?} of {data:?}"),
        }
    }

    /// The market's own.
    pub(crate) fn of(market: &Market, topic: TopicId) -> Self {
        let symbol = topic.symbol();
        match topic.channel() {
            Channel::Quote => Self::Quote(market.quote(symbol)),
            Channel::Trade => Self::Trade(market.trades(symbol).next_back().map(|record| record.trade)),
            Channel::Book(depth) => Self::Book(BookLevels {
                bids: market.book(symbol).bids().take(depth.levels()).collect(),
                asks: market.book(symbol).asks().take(depth.levels()).collect(),
            }),
            Channel::Ticker => Self::Ticker(Box::new(market.ticker(symbol))),
            Channel::Bar(interval) => Self::Bar(market.bar(symbol, interval).copied()),
            Channel::Status => Self::Status(market.status(symbol)),
        }
    }
}
