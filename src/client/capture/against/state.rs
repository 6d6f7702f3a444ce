//! What a message leads to: a topic's state of one number.

use std::collections::BTreeMap;

use feeds::{Aggressor, Exponent, Level, Symbol, Trade};

use super::report::{Difference, Findings};
use crate::client::topic::{Topic, Values};
use crate::client::{Book, TextField, Update};
use crate::state::Quote;
use crate::topic::Channel;

/// Which topic.
pub(super) type TopicName = (Channel, Symbol);

/// A topic's state.
#[derive(Debug)]
pub(super) struct State {
    /// Whether it came as a whole, and in the place of nothing.
    pub(super) begins: bool,
    pub(super) is_snapshot: bool,
    /// How many changes since the state before are in it.
    pub(super) merged: u64,
    /// In whole microseconds; 0: there is none.
    ts_event: i64,
    scale: (Exponent, Exponent),
    fields: Fields,
}

#[derive(Debug, PartialEq, Eq)]
enum Fields {
    Quote(Quote),
    /// The newest, if there was one.
    Trade(Option<Trade>),
    Book(Book),
    Texts(Vec<TextField>),
}

impl State {
    /// What an update has led to.
    pub(super) fn of(topic: &Topic, update: &Update) -> Option<Self> {
        let fields = match topic.values()? {
            Values::Quote(quote) => Fields::Quote(*quote),
            Values::Trade(trade) => Fields::Trade(*trade),
            Values::Book(book) => Fields::Book(book.clone()),
            Values::Texts(_) | Values::Ticker(_) | Values::Bar(_) | Values::Status(_) => {
                Fields::Texts(topic.texts()?.into_owned())
            }
        };
        Some(Self {
            begins: update.is_snapshot && update.merged == 0,
            is_snapshot: update.is_snapshot,
            merged: update.merged,
            ts_event: update.ts_event.micros(),
            scale: topic.scale().exponents(),
            fields,
        })
    }

    /// `difference`: of which topic, number and line; `follows_the_same`: both are updates of one state.
    pub(super) fn compare(
        &self,
        server: &Self,
        follows_the_same: bool,
        difference: impl Fn() -> Difference,
        findings: &mut Findings,
    ) {
        findings.states += 1;
        let tell = |findings: &mut Findings, field: &str, captured: Option<&str>, server: Option<&str>| {
            findings.add(|| Difference {
                field: Some(field.to_owned()),
                captured: captured.map(str::to_owned),
                server: server.map(str::to_owned),
                ..difference()
            });
        };
        if self.ts_event != 0
            && server.ts_event != 0
            && !findings.is_same_time(self.ts_event, server.ts_event)
        {
            let [captured, server] = [self, server].map(|state| state.ts_event.to_string());
            tell(findings, "ts_event", Some(&captured), Some(&server));
        }
        if follows_the_same && self.merged != server.merged {
            let [captured, server] = [self, server].map(|state| state.merged.to_string());
            tell(findings, "n", Some(&captured), Some(&server));
        }
        if self.scale == server.scale && self.fields == server.fields {
            return;
        }
        each_difference(&self.texts(), &server.texts(), |field, captured, server| {
            // A bar's: the one time among the fields.
            if field == "start"
                && let (Some(Ok(captured)), Some(Ok(server))) =
                    (captured.map(str::parse), server.map(str::parse))
                && findings.is_same_time(captured, server)
            {
                return;
            }
            tell(findings, field, captured, server);
        });
    }

    /// What it says, by name: levels of a book by side and price.
    fn texts(&self) -> BTreeMap<String, String> {
        let (price, size) = self.scale;
        let text = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
        let mut texts = BTreeMap::new();
        match &self.fields {
            Fields::Quote(quote) => {
                for (name, level) in [("bid", quote.bid), ("ask", quote.ask)] {
                    let size = level.map(|level| level.size.display(size).to_string());
                    texts.insert(
                        name.to_owned(),
                        text(level.map(|level| level.price.display(price).to_string())),
                    );
                    texts.insert(format!("{name}_size"), text(size));
                }
            }
            Fields::Trade(None) => {}
            Fields::Trade(Some(trade)) => {
                let side = match trade.aggressor {
                    Aggressor::Buy => "buy",
                    Aggressor::Sell => "sell",
                    Aggressor::None => "none",
                };
                texts.insert("price".to_owned(), trade.price.display(price).to_string());
                texts.insert("size".to_owned(), trade.size.display(size).to_string());
                texts.insert("side".to_owned(), side.to_owned());
                texts.extend(trade.id.map(|id| ("id".to_owned(), id.to_string())));
            }
            Fields::Book(book) => {
                let mut side = |name: &str, level: Level| {
                    let name = format!("{name} {}", level.price.display(price));
                    texts.insert(name, level.size.display(size).to_string());
                };
                book.bids().for_each(|level| side("bids", level));
                book.asks().for_each(|level| side("asks", level));
            }
            Fields::Texts(fields) => {
                for (name, value) in fields {
                    texts.insert((*name).to_owned(), text(value.as_deref().map(str::to_owned)));
                }
            }
        }
        texts
    }

    /// Beside the structure itself.
    pub(super) fn bytes(&self) -> usize {
        match &self.fields {
            Fields::Quote(_) | Fields::Trade(_) => 0,
            Fields::Book(book) => (book.bids().len() + book.asks().len()) * size_of::<Level>(),
            Fields::Texts(fields) => {
                let text = |(_, value): &TextField| value.as_ref().map_or(0, |text| text.len());
                fields.iter().map(|field| size_of::<TextField>() + text(field)).sum()
            }
        }
    }
}

/// Calls `each` with the name and both values, of all that is not the same.
pub(super) fn each_difference(
    captured: &BTreeMap<String, String>,
    server: &BTreeMap<String, String>,
    mut each: impl FnMut(&str, Option<&str>, Option<&str>),
) {
    for (name, value) in captured {
        let found = server.get(name);
        if found != Some(value) {
            each(name, Some(value), found.map(String::as_str));
        }
    }
    for (name, value) in server.iter().filter(|(name, _)| !captured.contains_key(*name)) {
        each(name, None, Some(value));
    }
}
