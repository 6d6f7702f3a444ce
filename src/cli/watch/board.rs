//! What the dashboard knows: the watch-list, the book and the tape of one instrument, and how the connection is.

use std::collections::VecDeque;
use std::time::Instant;

use feeds::clock::{Clock, monotonic};
use feeds::{Aggressor, Exponent, Level, Price, Size, Symbol, Timestamp, Trade};

use super::latency::Latency;
use super::row::Row;
use crate::client::{Book, Client, Event, Update};
use crate::limits::{WATCH_FIELD_CHARS_MAX, WATCH_ROWS_MAX, WATCH_TAPE_MAX, WATCH_TEXT_CHARS_MAX};
use crate::printable::printable;
use crate::topic::{Channel, Depth};
use crate::wire::ErrorCode;

/// The channels of which the watch-list is made.
pub(super) const LISTED: [Channel; 3] = [Channel::Quote, Channel::Ticker, Channel::Status];

/// All that is shown, apart from how. A copy of it is what a pause shows.
#[derive(Clone, Debug)]
pub(super) struct Board {
    pub(super) rows: Vec<Row>,
    pub(super) depth: Depth,
    /// Whose book and tape are followed.
    pub(super) open: Option<Open>,
    pub(super) link: Link,
    pub(super) is_delayed: bool,
    pub(super) latency: Latency,
    /// What happened last that is to be told.
    pub(super) note: Option<String>,
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Up,
    Lost { why: String, since: Instant },
}

/// The book and the tape of an instrument.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) symbol: Symbol,
    /// `None`: not known yet, or not any more.
    pub(super) ladder: Option<Ladder>,
    /// The newest first.
    pub(super) tape: VecDeque<Print>,
    /// Trades that were lost, by the server's word.
    pub(super) lost: u64,
    /// The numbers of the requests for the book and for the tape.
    pub(super) requests: [i64; 2],
    /// Why the book, and why the tape does not come: the server's code.
    pub(super) refused: [Option<String>; 2],
    /// How the book was found not to be the server's, until it is known again.
    pub(super) doubt: Option<String>,
}

/// Both sides of a book, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ladder {
    pub(super) bids: Vec<Rung>,
    pub(super) asks: Vec<Rung>,
    /// Between the best bid and offer.
    pub(super) spread: String,
}

/// A level of a book, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rung {
    pub(super) price: String,
    pub(super) size: String,
    /// To be compared with others of the book.
    pub(super) weight: i64,
}

/// A trade, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) time: String,
    pub(super) side: Aggressor,
    pub(super) price: String,
    pub(super) size: String,
}

impl Board {
    pub(super) fn new(symbols: impl IntoIterator<Item = Symbol>, depth: Depth) -> Self {
        let mut board = Self {
            rows: Vec::new(),
            depth,
            open: None,
            link: Link::Up,
            is_delayed: false,
            latency: Latency::new(),
            note: None,
        };
        for symbol in symbols {
            board.add(symbol);
        }
        board
    }

    /// Whether there was room for one more that was not there.
    pub(super) fn add(&mut self, symbol: Symbol) -> bool {
        if self.row(&symbol).is_some() {
            return false;
        }
        if self.rows.len() == WATCH_ROWS_MAX {
            self.note = Some(format!("no more than {WATCH_ROWS_MAX} instruments: d removes one"));
            return false;
        }
        self.rows.push(Row::new(symbol));
        true
    }

    pub(super) fn remove(&mut self, symbol: &Symbol) {
        self.rows.retain(|row| row.symbol != *symbol);
    }

    pub(super) fn row(&self, symbol: &Symbol) -> Option<&Row> {
        self.rows.iter().find(|row| row.symbol == *symbol)
    }

    fn row_mut(&mut self, symbol: &Symbol) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.symbol == *symbol)
    }

    /// Whether it is its book and tape that are followed.
    pub(super) fn is_open(&self, symbol: &Symbol) -> bool {
        self.open.as_ref().is_some_and(|open| open.symbol == *symbol)
    }

    /// Whose book and tape are followed no more.
    pub(super) fn close(&mut self) -> Option<Symbol> {
        let symbol = self.open.take()?.symbol;
        let channels = self.opened();
        if let Some(row) = self.row_mut(&symbol) {
            channels.into_iter().for_each(|channel| row.trust(channel));
        }
        Some(symbol)
    }

    /// The channels that are followed of the instrument that is open.
    pub(super) const fn opened(&self) -> [Channel; 2] {
        [Channel::Book(self.depth), Channel::Trade]
    }

    /// Of what is followed, something happened. Returns the symbols that there are not.
    pub(super) fn take(&mut self, event: &Event, client: &Client) -> Vec<Symbol> {
        match event {
            Event::State(update) => self.state(update, client),
            Event::Trade(update, trade) => {
                self.time(update);
                if let Some(row) = self.row_mut(&update.symbol) {
                    row.trust(update.channel);
                }
                if let Some(scale) = client.exponents(update.channel, update.symbol.as_str())
                    && let Some(open) = self.open.as_mut().filter(|open| open.symbol == update.symbol)
                {
                    open.print(trade, update.ts_event, scale);
                }
            }
            Event::Gap { symbol, lost, .. } => {
                if let Some(open) = self.open.as_mut().filter(|open| open.symbol == *symbol) {
                    open.lost = open.lost.saturating_add(*lost);
                }
            }
            Event::Diverged { channel, symbol, divergence } => {
                if let Some(row) = self.row_mut(symbol) {
                    row.doubt(*channel);
                }
                let told = printable(&divergence.to_string(), WATCH_TEXT_CHARS_MAX);
                if matches!(channel, Channel::Book(_))
                    && let Some(open) = self.open.as_mut().filter(|open| open.symbol == *symbol)
                {
                    open.doubt = Some(told.clone());
                }
                self.tell(&format!("{channel} of {symbol}: {told}; asking anew"));
            }
            Event::Subscribed { channel, rejected, delayed, granted, .. } => {
                if *granted > 0 {
                    self.is_delayed = *delayed;
                }
                return self.reject(*channel, rejected);
            }
            Event::Failed { request, code, message } => {
                if let Some(open) = &mut self.open
                    && let Some(index) = open.requests.iter().position(|own| Some(*own) == *request)
                {
                    open.refused[index] = Some(printable(code, WATCH_FIELD_CHARS_MAX));
                }
                self.tell(&format!("{code}: {message}"));
            }
            Event::Epoch(_) => {
                for row in &mut self.rows {
                    row.void();
                }
                if let Some(open) = &mut self.open {
                    *open = Open::new(open.symbol.clone(), open.requests);
                }
                self.tell("the server's stream has begun anew");
            }
            Event::TokenExpiring(at) => self.tell(&format!("the token is over at {at}")),
            Event::TokenRenewed => self.tell("another token was taken"),
            Event::Entitled { delayed, removed } => {
                self.is_delayed = *delayed;
                self.tell(&format!("what may be seen has changed: {} topics less", removed.len()));
                for (channel, symbol) in removed {
                    self.withhold(*channel, symbol.as_str(), ErrorCode::EntitlementDenied.as_str());
                }
            }
            Event::Disconnected(why) => {
                let why = printable(&why.to_string(), WATCH_TEXT_CHARS_MAX);
                self.link = Link::Lost { why, since: monotonic() };
                // What is good is known again without a word.
                self.rows.iter_mut().for_each(Row::trust_all);
                if let Some(open) = &mut self.open {
                    open.doubt = None;
                }
            }
            Event::Reconnected => {
                self.link = Link::Up;
                self.tell("connected again");
            }
            Event::Pong { request, ts } => self.latency.answered(*request, *ts, monotonic()),
            Event::Heartbeat { .. } => {}
        }
        Vec::new()
    }

    fn tell(&mut self, what: &str) {
        self.note = Some(printable(what, WATCH_TEXT_CHARS_MAX));
    }

    /// A snapshot is as old as its last change, however fast it came: only changes are timed.
    fn time(&mut self, update: &Update) {
        if update.merged > 0 && update.ts_event > Timestamp::default() {
            self.latency.came(update.ts_event, Clock::System.now());
        }
    }

    fn state(&mut self, update: &Update, client: &Client) {
        self.time(update);
        let (channel, name) = (update.channel, update.symbol.as_str());
        if client.seq(channel, name) != Some(update.seq) {
            return; // a newer one follows
        }
        if let Channel::Book(depth) = channel {
            if let Some(open) = self.open.as_mut().filter(|open| open.symbol == update.symbol)
                && let (Some(book), Some(scale)) = (client.book(name, depth), client.exponents(channel, name))
            {
                open.ladder = Some(Ladder::of(book, scale));
                open.doubt = None;
                open.refused[0] = None;
            }
        } else if channel == Channel::Trade
            && let Some(open) = self.open.as_mut().filter(|open| open.symbol == update.symbol)
        {
            open.refused[1] = None;
        }
        let Some(row) = self.row_mut(&update.symbol) else { return };
        row.trust(channel);
        match channel {
            Channel::Quote => {
                if let (Some(quote), Some(scale)) = (client.quote(name), client.exponents(channel, name)) {
                    row.quote(quote, scale);
                }
            }
            Channel::Ticker => row.ticker(&client.fields(channel, name).unwrap_or_default()),
            Channel::Status => row.status(&client.fields(channel, name).unwrap_or_default()),
            Channel::Trade | Channel::Book(_) | Channel::Bar(_) => {}
        }
    }

    fn reject(&mut self, channel: Channel, rejected: &[(String, String)]) -> Vec<Symbol> {
        let mut gone = Vec::new();
        for (name, code) in rejected {
            if *code == ErrorCode::UnknownSymbol.as_str()
                && let Some(symbol) =
                    self.rows.iter().map(|row| &row.symbol).find(|symbol| symbol.as_str() == name)
            {
                gone.push(symbol.clone());
            } else {
                self.withhold(channel, name, code);
            }
        }
        for symbol in &gone {
            self.remove(symbol);
            self.tell(&format!("{symbol}: {}", ErrorCode::UnknownSymbol.as_str()));
        }
        gone
    }

    /// A topic does not come, for the reason of that code.
    fn withhold(&mut self, channel: Channel, name: &str, code: &str) {
        let open = self.open.as_mut().filter(|open| open.symbol.as_str() == name);
        let code = printable(code, WATCH_TEXT_CHARS_MAX);
        match (channel, open) {
            (Channel::Book(_), Some(open)) => open.refused[0] = Some(code),
            (Channel::Trade, Some(open)) => open.refused[1] = Some(code),
            (Channel::Quote, _) => {
                if let Some(row) = self.rows.iter_mut().find(|row| row.symbol.as_str() == name) {
                    row.refuse(&code);
                }
            }
            _ => {}
        }
    }
}

impl Open {
    pub(super) fn new(symbol: Symbol, requests: [i64; 2]) -> Self {
        Self {
            symbol,
            requests,
            ladder: None,
            tape: VecDeque::new(),
            lost: 0,
            refused: [const { None }; 2],
            doubt: None,
        }
    }

    pub(super) fn print(&mut self, trade: &Trade, at: Timestamp, (price, size): (Exponent, Exponent)) {
        if self.tape.len() == WATCH_TAPE_MAX {
            self.tape.pop_back();
        }
        self.tape.push_front(Print {
            time: time_of_day(at),
            side: trade.aggressor,
            price: trade.price.display(price).to_string(),
            size: trade.size.display(size).to_string(),
        });
    }
}

/// In UTC, to the millisecond.
fn time_of_day(at: Timestamp) -> String {
    let text = at.to_string();
    text.get("2026-01-01T".len().."2026-01-01T00:00:00.000".len()).unwrap_or(&text).to_owned()
}

impl Ladder {
    fn of(book: &Book, scale: (Exponent, Exponent)) -> Self {
        Self::new(book.bids(), book.asks(), scale)
    }

    pub(super) fn new(
        bids: impl Iterator<Item = Level>,
        asks: impl Iterator<Item = Level>,
        (price, size): (Exponent, Exponent),
    ) -> Self {
        let (mut best_bid, mut best_ask): (Option<Price>, Option<Price>) = (None, None);
        let rung = |level: Level| Rung {
            price: level.price.display(price).to_string(),
            size: level.size.display(size).to_string(),
            weight: level.size.max(Size::ZERO).0,
        };
        let bids = bids.inspect(|level| best_bid = best_bid.or(Some(level.price))).map(rung).collect();
        let asks = asks.inspect(|level| best_ask = best_ask.or(Some(level.price))).map(rung).collect();
        let spread = match (best_bid, best_ask) {
            (Some(bid), Some(ask)) => {
                ask.0.checked_sub(bid.0).map(|spread| Price(spread).display(price).to_string())
            }
            _ => None,
        };
        Self { bids, asks, spread: spread.unwrap_or_default() }
    }

    /// The largest size of both sides, at least 1.
    pub(super) fn heaviest(&self) -> i64 {
        self.bids.iter().chain(&self.asks).map(|rung| rung.weight).max().unwrap_or(1).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).expect("a symbol")
    }

    fn scale() -> (Exponent, Exponent) {
        (Exponent::new(-2).expect("an exponent"), Exponent::new(0).expect("an exponent"))
    }

    #[test]
    fn there_are_no_more_rows_than_there_may_be() {
        let names = (0..WATCH_ROWS_MAX + 3).map(|index| symbol(&format!("S{index}")));
        let mut board = Board::new(names, Depth::D10);
        assert_eq!(board.rows.len(), WATCH_ROWS_MAX);
        assert!(board.note.take().is_some_and(|note| note.contains("d removes one")));
        assert!(!board.add(symbol("S0")) && board.note.is_none(), "it is there already");
        board.remove(&symbol("S0"));
        assert!(board.add(symbol("NEW")) && !board.add(symbol("S0")));
        assert!(board.row(&symbol("NEW")).is_some() && board.row(&symbol("S0")).is_none());
    }

    #[test]
    fn a_tape_keeps_the_newest_trades() {
        let mut open = Open::new(symbol("A"), [1, 2]);
        let at = Timestamp(1_618_677_832_309_963_000);
        for number in 1..=WATCH_TAPE_MAX + 2 {
            let price = Price(i64::try_from(number).expect("small"));
            let trade = Trade { price, size: Size(7), aggressor: Aggressor::Sell, id: None };
            open.print(&trade, at, scale());
        }
        assert_eq!(open.tape.len(), WATCH_TAPE_MAX);
        let newest = open.tape.front().expect("a trade");
        assert_eq!((newest.time.as_str(), newest.size.as_str()), ("16:43:52.309", "7"));
        assert_eq!(newest.price, "2.58");
        assert_eq!(open.tape.back().expect("a trade").price, "0.03");
    }

    #[test]
    fn a_ladder_has_its_spread_and_its_largest_size() {
        let level = |price, size| Level { price: Price(price), size: Size(size) };
        let bids = [level(999, 5), level(998, 40)];
        let ladder = Ladder::new(bids.into_iter(), [level(1_002, 3)].into_iter(), scale());
        assert_eq!((ladder.spread.as_str(), ladder.heaviest()), ("0.03", 40));
        assert_eq!(ladder.bids[1], Rung { price: "9.98".into(), size: "40".into(), weight: 40 });
        let none = Ladder::new([].into_iter(), [].into_iter(), scale());
        assert_eq!((none.spread.as_str(), none.heaviest()), ("", 1));
        let far = Ladder::new([level(i64::MIN, 1)].into_iter(), [level(i64::MAX, 1)].into_iter(), scale());
        assert_eq!(far.spread, "");
    }

    #[test]
    fn what_is_not_there_is_gone_and_what_may_not_be_seen_says_so() {
        let mut board = Board::new([symbol("A"), symbol("B"), symbol("C")], Depth::D10);
        board.open = Some(Open::new(symbol("B"), [1, 2]));
        let denied = ("A".to_owned(), "ENTITLEMENT_DENIED".to_owned());
        let unknown = ("C".to_owned(), "UNKNOWN_SYMBOL".to_owned());
        assert_eq!(board.reject(Channel::Quote, &[denied.clone(), unknown.clone()]), [symbol("C")]);
        assert_eq!(board.row(&symbol("A")).expect("it stays").condition().0, "ENTITLEMENT_DENIED");
        assert!(board.row(&symbol("C")).is_none());
        assert_eq!(board.note.as_deref(), Some("C: UNKNOWN_SYMBOL"));
        assert!(board.reject(Channel::Ticker, &[unknown]).is_empty(), "it is gone already");
        let book = ("B".to_owned(), "ENTITLEMENT_DENIED".to_owned());
        board.reject(Channel::Book(Depth::D10), &[book]);
        let refused = &board.open.as_ref().expect("it stays").refused;
        assert_eq!(refused, &[Some("ENTITLEMENT_DENIED".to_owned()), None]);
    }
}
