//! One instrument of the watch-list.

use std::cmp::Ordering;
use std::str::FromStr;

use feeds::{Exponent, Level, Symbol};
use rust_decimal::Decimal;

use crate::client::TextField;
use crate::limits::WATCH_FIELD_CHARS_MAX;
use crate::printable::printable;
use crate::state::{Quote, StatusState};
use crate::topic::Channel;

/// What is known of an instrument, as it is shown: exact texts, and the numbers that order them.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) symbol: Symbol,
    pub(super) last: Moving,
    pub(super) bid: Moving,
    pub(super) ask: Moving,
    pub(super) bid_size: String,
    pub(super) ask_size: String,
    pub(super) change: Signed,
    pub(super) percent: Signed,
    pub(super) volume: Signed,
    /// As the server spells it; empty: not known yet.
    state: String,
    reason: String,
    /// Why there are no quotes: the server's code.
    refused: Option<String>,
    /// Channels whose state was found not to be the server's, until it is known again.
    doubtful: Vec<Channel>,
}

/// A price, and which way it went last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moving {
    pub(super) text: String,
    pub(super) way: Way,
    value: Option<Decimal>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Way {
    #[default]
    Same,
    Up,
    Down,
}

/// A number with its text, whose sign may matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) value: Option<Decimal>,
}

/// How much a condition is to be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Calm,
    Note,
    Alarm,
}

impl Row {
    pub(super) fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            last: Moving::default(),
            bid: Moving::default(),
            ask: Moving::default(),
            bid_size: String::new(),
            ask_size: String::new(),
            change: Signed::default(),
            percent: Signed::default(),
            volume: Signed::default(),
            state: String::new(),
            reason: String::new(),
            refused: None,
            doubtful: Vec::new(),
        }
    }

    /// Forgets all but the name.
    pub(super) fn void(&mut self) {
        *self = Self::new(self.symbol.clone());
    }

    pub(super) fn quote(&mut self, quote: Quote, (price, size): (Exponent, Exponent)) {
        let side = |moving: &mut Moving, shown: &mut String, level: Option<Level>| {
            let text = level.map(|level| level.price.display(price).to_string());
            moving.set(text.as_deref());
            *shown = level.map(|level| level.size.display(size).to_string()).unwrap_or_default();
        };
        side(&mut self.bid, &mut self.bid_size, quote.bid);
        side(&mut self.ask, &mut self.ask_size, quote.ask);
        self.refused = None;
    }

    pub(super) fn ticker(&mut self, fields: &[TextField]) {
        for (name, value) in fields {
            let value = value.as_deref();
            match *name {
                "last" => self.last.set(value),
                "change" => self.change.set(value),
                "change_percent" => self.percent.set(value),
                "volume" => self.volume.set(value),
                _ => {}
            }
        }
    }

    pub(super) fn status(&mut self, fields: &[TextField]) {
        for (name, value) in fields {
            let value = printable(value.as_deref().unwrap_or_default(), WATCH_FIELD_CHARS_MAX);
            match *name {
                "state" => self.state = value,
                "reason" => self.reason = value,
                _ => {}
            }
        }
    }

    pub(super) fn refuse(&mut self, code: &str) {
        self.refused = Some(printable(code, WATCH_FIELD_CHARS_MAX));
    }

    pub(super) fn doubt(&mut self, channel: Channel) {
        if !self.doubtful.contains(&channel) {
            self.doubtful.push(channel);
        }
    }

    /// A state of the channel is known.
    pub(super) fn trust(&mut self, channel: Channel) {
        self.doubtful.retain(|doubtful| *doubtful != channel);
    }

    pub(super) fn trust_all(&mut self) {
        self.doubtful.clear();
    }

    /// In a word or two.
    pub(super) fn condition(&self) -> (&str, Tone) {
        if let Some(code) = &self.refused {
            return (code, Tone::Alarm);
        }
        if !self.doubtful.is_empty() {
            return ("unproven", Tone::Alarm);
        }
        let state = StatusState::ALL.into_iter().find(|state| state.as_str() == self.state);
        let tone = match state {
            Some(StatusState::Trading) => Tone::Calm,
            Some(StatusState::Halted | StatusState::Stale) => Tone::Alarm,
            Some(StatusState::Auction | StatusState::Closed | StatusState::Ended) => Tone::Note,
            None if self.state.is_empty() => Tone::Calm,
            None => Tone::Note,
        };
        (&self.state, tone)
    }

    /// Why it is in that condition, if somebody said so.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}

impl Moving {
    fn set(&mut self, text: Option<&str>) {
        let text = printable(text.unwrap_or_default(), WATCH_FIELD_CHARS_MAX);
        let value = Decimal::from_str(&text).ok();
        self.way = match (self.value, value) {
            (Some(before), Some(now)) => match now.cmp(&before) {
                Ordering::Greater => Way::Up,
                Ordering::Less => Way::Down,
                Ordering::Equal => self.way,
            },
            _ => Way::Same,
        };
        self.text = text;
        self.value = value;
    }
}

impl Signed {
    fn set(&mut self, text: Option<&str>) {
        let text = printable(text.unwrap_or_default(), WATCH_FIELD_CHARS_MAX);
        self.value = Decimal::from_str(&text).ok();
        self.text = text;
    }

    pub(super) fn way(&self) -> Way {
        match self.value {
            Some(value) if value > Decimal::ZERO => Way::Up,
            Some(value) if value < Decimal::ZERO => Way::Down,
            _ => Way::Same,
        }
    }

    /// With its sign where there is one.
    pub(super) fn with_sign(&self) -> String {
        if self.way() == Way::Up { format!("+{}", self.text) } else { self.text.clone() }
    }
}

#[cfg(test)]
mod tests {
    use feeds::{Price, Size};

    use super::*;
    use crate::topic::Depth;

    fn quoted(row: &mut Row, bid: i64, ask: Option<i64>) {
        let level = |price| Level { price: Price(price), size: Size(25) };
        let scale = (Exponent::new(-2).expect("an exponent"), Exponent::new(-1).expect("an exponent"));
        row.quote(Quote { bid: Some(level(bid)), ask: ask.map(level) }, scale);
    }

    fn row() -> Row {
        Row::new(Symbol::new("AAPL").expect("a symbol"))
    }

    #[test]
    fn a_price_keeps_the_way_that_it_went_last() {
        let mut row = row();
        let mut ways = Vec::new();
        for (bid, ask) in [(999, Some(1_001)), (1_000, Some(1_001)), (1_000, Some(1_000)), (990, None)] {
            quoted(&mut row, bid, ask);
            ways.push((row.bid.text.clone(), row.bid.way, row.ask.text.clone(), row.ask.way));
        }
        let seen =
            |bid: &str, bid_way, ask: &str, ask_way| (bid.to_owned(), bid_way, ask.to_owned(), ask_way);
        assert_eq!(
            ways,
            [
                seen("9.99", Way::Same, "10.01", Way::Same),
                seen("10.00", Way::Up, "10.01", Way::Same),
                seen("10.00", Way::Up, "10.00", Way::Down),
                seen("9.90", Way::Down, "", Way::Same),
            ]
        );
        assert_eq!((row.bid_size.as_str(), row.ask_size.as_str()), ("2.5", ""));
    }

    #[test]
    fn a_change_has_its_sign_and_numbers_stay_exact() {
        let mut row = row();
        let long = "0.1234567890123456789";
        row.ticker(&[
            ("last", Some("0.7914".into())),
            ("change", Some("0.0004".into())),
            ("change_percent", Some("-0.0506".into())),
            ("volume", Some(long.into())),
            ("close", None),
        ]);
        assert_eq!((row.change.with_sign(), row.change.way()), ("+0.0004".to_owned(), Way::Up));
        assert_eq!((row.percent.with_sign(), row.percent.way()), ("-0.0506".to_owned(), Way::Down));
        assert_eq!((row.last.text.as_str(), row.volume.text.as_str()), ("0.7914", long));
        row.ticker(&[("change", Some("0.0000".into())), ("last", None)]);
        assert_eq!((row.change.with_sign(), row.last.text.as_str()), ("0.0000".to_owned(), ""));
    }

    #[test]
    fn what_is_wrong_is_told_before_what_is_usual() {
        let mut row = row();
        assert_eq!(row.condition(), ("", Tone::Calm));
        row.status(&[("state", Some("trading".into())), ("reason", Some("".into()))]);
        assert_eq!(row.condition(), ("trading", Tone::Calm));
        row.status(&[("state", Some("halted".into())), ("reason", Some("news\u{1b}[2J".into()))]);
        assert_eq!((row.condition(), row.reason()), (("halted", Tone::Alarm), "news [2J"));
        row.status(&[("state", Some("auction".into()))]);
        assert_eq!(row.condition(), ("auction", Tone::Note));
        let (quote, book) = (Channel::Quote, Channel::Book(Depth::D10));
        row.doubt(book);
        row.doubt(quote);
        row.trust(book);
        assert_eq!(row.condition(), ("unproven", Tone::Alarm));
        row.trust(quote);
        assert_eq!(row.condition(), ("auction", Tone::Note));
        row.refuse("ENTITLEMENT_DENIED");
        assert_eq!(row.condition(), ("ENTITLEMENT_DENIED", Tone::Alarm));
        row.void();
        assert_eq!(row.condition(), ("", Tone::Calm));
    }
}
