//! The venue's own best bid and offer against the book's.

use std::collections::BTreeMap;

use feeds::{EventBody, MarketEvent, SymbolId};

use crate::limits::{BBO_UNPAIRED_MAX, FAULT_EXAMPLES_MAX};
use crate::market::Market;
use crate::state::{Quote, StatusState};

/// Joins quotes and books by the venue's number of the state that they show (Binance: `u` of a `bookTicker`, and of a
/// depth message or snapshot), and compares them.
///
/// The two come on connections of their own, either first. So of each instrument both are kept for a while, and joined
/// when the other comes; each quote is compared once. The numbers of an instrument only grow, so that when there are [`BBO_UNPAIRED_MAX`] of a kind
/// the one with the lowest number is the one that has waited longest: it is given up, uncompared. Most are: a venue
/// sends far more quotes than it sends depth messages.
#[derive(Default)]
pub(super) struct BboCheck {
    instruments: Vec<Pairing>,
    pub(super) equal: u64,
    pub(super) unequal: u64,
    /// The first that were unequal; [`FAULT_EXAMPLES_MAX`] at most.
    pub(super) examples: Vec<Unequal>,
}

/// A book that was not what the venue said.
pub(super) struct Unequal {
    pub(super) symbol: SymbolId,
    pub(super) sequence: u64,
    pub(super) venue: Quote,
    pub(super) book: Quote,
}

#[derive(Default)]
struct Pairing {
    /// The state that the book is being brought to; `None`: it has been noted, or is not to be trusted.
    sequence: Option<u64>,
    /// Whether there was a snapshot, and nothing since that made the book void.
    has_snapshot: bool,
    quotes: BTreeMap<u64, Quote>,
    books: BTreeMap<u64, Quote>,
}

impl BboCheck {
    pub(super) fn new(instruments: usize) -> Self {
        Self { instruments: (0..instruments).map(|_| Pairing::default()).collect(), ..Self::default() }
    }

    /// To be called before the market applies the event.
    pub(super) fn before(&mut self, event: &MarketEvent, market: &Market) {
        let pairing = &mut self.instruments[event.symbol.index()];
        match event.body {
            EventBody::LevelSet { .. } | EventBody::BookSnapshot(_) => {
                if pairing.sequence.is_some_and(|sequence| sequence != event.sequence) {
                    self.end_state(event.symbol, market);
                }
                let pairing = &mut self.instruments[event.symbol.index()];
                pairing.has_snapshot |= matches!(event.body, EventBody::BookSnapshot(_));
                pairing.sequence = (pairing.has_snapshot && event.sequence != 0).then_some(event.sequence);
            }
            EventBody::BookClear | EventBody::Gap { .. } => {
                pairing.has_snapshot = false;
                pairing.sequence = None;
            }
            EventBody::Quote { bid, ask } if event.sequence != 0 => {
                let quote = Quote { bid, ask };
                if let Some(&book) = pairing.books.get(&event.sequence) {
                    self.compare(event.symbol, event.sequence, quote, book);
                } else {
                    keep(&mut pairing.quotes, event.sequence, quote);
                }
            }
            _ => {}
        }
    }

    /// To be called when a message's events have been applied, for the instrument of each.
    pub(super) fn end_state(&mut self, symbol: SymbolId, market: &Market) {
        let pairing = &mut self.instruments[symbol.index()];
        let Some(sequence) = pairing.sequence.take() else { return };
        if market.status(symbol).state == StatusState::Stale {
            return;
        }
        let view = market.book(symbol);
        let book = Quote { bid: view.best_bid(), ask: view.best_ask() };
        keep(&mut pairing.books, sequence, book);
        if let Some(quote) = pairing.quotes.remove(&sequence) {
            self.compare(symbol, sequence, quote, book);
        }
    }

    fn compare(&mut self, symbol: SymbolId, sequence: u64, venue: Quote, book: Quote) {
        if venue == book {
            self.equal += 1;
            return;
        }
        self.unequal += 1;
        if self.examples.len() < FAULT_EXAMPLES_MAX {
            self.examples.push(Unequal { symbol, sequence, venue, book });
        }
    }
}

fn keep(recent: &mut BTreeMap<u64, Quote>, sequence: u64, quote: Quote) {
    recent.insert(sequence, quote);
    if recent.len() > BBO_UNPAIRED_MAX {
        recent.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use feeds::{BookSnapshot, Exponent, Instrument, Level, Price, Side, Size, Symbol, Timestamp};

    use super::*;

    fn level(price: i64, size: i64) -> Level {
        Level { price: Price(price), size: Size(size) }
    }

    fn snapshot() -> EventBody {
        let (bids, asks) = (vec![level(10, 1), level(9, 1)], vec![level(11, 1)]);
        EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))
    }

    fn bid(price: i64, size: i64) -> EventBody {
        EventBody::LevelSet { side: Side::Bid, level: level(price, size) }
    }

    /// With the ask that never changes.
    fn quote(price: i64, size: i64) -> EventBody {
        EventBody::Quote { bid: Some(level(price, size)), ask: Some(level(11, 1)) }
    }

    /// How many are equal and unequal, and how many books are kept, after messages of one instrument's numbered events.
    fn checked(messages: impl IntoIterator<Item = Vec<(u64, EventBody)>>) -> (u64, u64, usize) {
        let instrument = Instrument {
            symbol: Symbol::new("A").expect("valid"),
            venue: "TEST",
            price_exponent: Exponent::ONE,
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        };
        let mut market = Market::new(&[instrument]);
        let mut check = BboCheck::new(1);
        for (time, message) in (1..).zip(messages) {
            let ts = Timestamp(time);
            for (sequence, body) in message {
                let event = MarketEvent { symbol: SymbolId(0), ts_event: ts, ts_recv: ts, sequence, body };
                check.before(&event, &market);
                market.apply(&event, &mut Vec::new());
            }
            check.end_state(SymbolId(0), &market);
        }
        (check.equal, check.unequal, check.instruments[0].books.len())
    }

    #[test]
    fn a_quote_may_come_before_or_after_its_book() {
        let before = [vec![(7, quote(10, 2))], vec![(5, snapshot())], vec![(7, bid(10, 2))]];
        assert_eq!(checked(before), (1, 0, 2));
        let after =
            [vec![(5, snapshot())], vec![(7, bid(10, 2))], vec![(8, bid(10, 3))], vec![(7, quote(10, 2))]];
        assert_eq!(checked(after), (1, 0, 3));
        let wrong_size = [vec![(5, snapshot())], vec![(7, quote(10, 3))], vec![(7, bid(10, 2))]];
        assert_eq!(checked(wrong_size), (0, 1, 2));
        let unnumbered = [vec![(0, snapshot())], vec![(0, quote(10, 1))]];
        assert_eq!(checked(unnumbered), (0, 0, 0));
    }

    #[test]
    fn a_book_counts_at_the_end_of_its_number_and_not_within() {
        let within = [vec![(7, quote(10, 2))], vec![(5, snapshot())], vec![(7, bid(10, 0)), (7, bid(10, 2))]];
        assert_eq!(checked(within), (1, 0, 2));
        let several_at_once = [
            vec![(5, quote(10, 1))],
            vec![(6, quote(9, 1))],
            vec![(5, snapshot()), (6, bid(10, 0)), (7, bid(8, 1))],
        ];
        assert_eq!(checked(several_at_once), (2, 0, 3));
    }

    #[test]
    fn a_book_without_its_snapshot_is_compared_with_nothing() {
        let never = [vec![(7, quote(10, 2))], vec![(7, bid(10, 2))]];
        assert_eq!(checked(never), (0, 0, 0));
        let gap = || (9, EventBody::Gap { expected: 8, found: 9 });
        let lost = [vec![(5, snapshot())], vec![gap()], vec![(9, bid(10, 2))], vec![(9, quote(10, 2))]];
        assert_eq!(checked(lost), (0, 0, 1));
        let found_again = [
            vec![(5, snapshot())],
            vec![gap(), (9, EventBody::BookClear)],
            vec![(9, snapshot())],
            vec![(9, quote(10, 1))],
        ];
        assert_eq!(checked(found_again), (1, 0, 2));
    }

    #[test]
    fn only_so_many_wait() {
        let numbers = 1..=BBO_UNPAIRED_MAX as u64 + 3;
        let books = numbers.clone().map(|sequence| vec![(sequence, snapshot())]);
        let quotes = numbers.map(|sequence| vec![(sequence, quote(10, 1))]);
        let kept = BBO_UNPAIRED_MAX as u64;
        assert_eq!(checked(books.clone().chain(quotes.clone())), (kept, 0, BBO_UNPAIRED_MAX));
        assert_eq!(checked(quotes.chain(books)), (kept, 0, BBO_UNPAIRED_MAX));
    }
}
