//! The market as its readers see it. Beside each part stand the tests of the part alone.

mod against_models;
mod rules;

use feeds::{
    Aggressor, EventBody, Exponent, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, Symbol,
    SymbolId, Timestamp, Trade,
};

use super::*;

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

fn instrument(name: &str, book_levels_max: Option<usize>) -> Instrument {
    Instrument {
        symbol: Symbol::new(name).expect("a symbol"),
        venue: "TEST",
        price_exponent: Exponent::new(-2).expect("valid"),
        size_exponent: Exponent::ONE,
        tick_size: None,
        currency: None,
        book_levels_max,
        begins_stale: false,
    }
}

fn trade(price: i64, size: i64) -> Trade {
    Trade { price: Price(price), size: Size(size), aggressor: Aggressor::None, id: None }
}

fn set(side: Side, price: i64, size: i64) -> EventBody {
    EventBody::LevelSet { side, level: level(price, size) }
}

fn add(order: u64, side: Side, price: i64, size: i64) -> EventBody {
    EventBody::OrderAdd { order: OrderId(order), side, level: level(price, size) }
}

fn execute(order: u64, size: i64) -> EventBody {
    EventBody::OrderExecute {
        order: OrderId(order),
        size: Size(size),
        price: None,
        trade_id: None,
        printable: true,
    }
}

/// A market of one or more instruments, whose events are each a message of their own unless told otherwise.
struct Harness {
    market: Market,
    message: i64,
}

impl Harness {
    fn new(instruments: &[Instrument]) -> Self {
        Self { market: Market::new(instruments), message: 0 }
    }

    /// One message of one event, at a venue's time of its number.
    fn apply(&mut self, symbol: u32, body: EventBody) -> Vec<Change> {
        self.message += 1;
        let changes = self.apply_at(self.message, symbol, body);
        self.market.end_message();
        changes
    }

    /// An event of a message that is still to end.
    fn apply_at(&mut self, ts_event: i64, symbol: u32, body: EventBody) -> Vec<Change> {
        let event = MarketEvent {
            symbol: SymbolId(symbol),
            ts_event: Timestamp(ts_event),
            ts_recv: Timestamp(self.message),
            sequence: 0,
            body,
        };
        let mut changes = Vec::new();
        self.market.apply(&event, &mut changes);
        changes
    }

    /// Bids and asks, best first.
    fn book(&self, symbol: u32) -> [Vec<Level>; 2] {
        let view = self.market.book(SymbolId(symbol));
        [view.bids().collect(), view.asks().collect()]
    }
}
