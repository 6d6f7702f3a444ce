//! Where the events of one message go.

use crate::{
    Aggressor, EventBody, Level, MarketEvent, OrderId, Price, Side, Size, SymbolId, Timestamp, Trade,
    TradingStatus,
};

/// The scale of an instrument: what a tick and a lot are in its mantissas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    pub(super) tick: i64,
    pub(super) lot: i64,
}

impl Scale {
    fn size(self, lots: i64) -> Size {
        Size(lots * self.lot)
    }

    pub(super) fn level(self, ticks: i64, lots: i64) -> Level {
        Level { price: Price(ticks * self.tick), size: self.size(lots) }
    }
}

/// Numbers of orders and trades: unique in a market, from 1.
#[derive(Default)]
pub(super) struct Numbers {
    orders: u64,
    trades: u64,
}

/// Appends the events of one instrument at one point in time.
pub(super) struct Tape<'a> {
    pub(super) events: &'a mut Vec<MarketEvent>,
    pub(super) numbers: &'a mut Numbers,
    pub(super) symbol: SymbolId,
    pub(super) scale: Scale,
    pub(super) now: Timestamp,
}

impl Tape<'_> {
    pub(super) fn add(&mut self, side: Side, ticks: i64, lots: i64) -> OrderId {
        let order = self.number();
        self.retell(order, side, ticks, lots);
        order
    }

    /// An order that rests already, for somebody who does not know it.
    pub(super) fn retell(&mut self, order: OrderId, side: Side, ticks: i64, lots: i64) {
        self.push(EventBody::OrderAdd { order, side, level: self.scale.level(ticks, lots) });
    }

    pub(super) fn clear(&mut self) {
        self.push(EventBody::BookClear);
    }

    pub(super) fn cancel(&mut self, order: OrderId) {
        self.push(EventBody::OrderCancel { order, size: None });
    }

    pub(super) fn trim(&mut self, order: OrderId, lots: i64) {
        self.push(EventBody::OrderCancel { order, size: Some(self.scale.size(lots)) });
    }

    pub(super) fn replace(&mut self, order: OrderId, ticks: i64, lots: i64) -> OrderId {
        let new_order = self.number();
        self.push(EventBody::OrderReplace { order, new_order, level: self.scale.level(ticks, lots) });
        new_order
    }

    pub(super) fn execute(&mut self, order: OrderId, lots: i64) {
        self.numbers.trades += 1;
        let trade_id = Some(self.numbers.trades);
        let size = self.scale.size(lots);
        self.push(EventBody::OrderExecute { order, size, price: None, trade_id, printable: true });
    }

    /// A trade of an auction: nobody crossed a spread, and no order that rests was met.
    pub(super) fn cross(&mut self, ticks: i64, lots: i64) {
        self.numbers.trades += 1;
        let (Level { price, size }, id) = (self.scale.level(ticks, lots), Some(self.numbers.trades));
        self.push(EventBody::Trade(Trade { price, size, aggressor: Aggressor::None, id }));
    }

    pub(super) fn status(&mut self, status: TradingStatus, reason: &str) {
        self.push(EventBody::Status { status, reason: reason.to_owned() });
    }

    fn number(&mut self) -> OrderId {
        self.numbers.orders += 1;
        OrderId(self.numbers.orders)
    }

    fn push(&mut self, body: EventBody) {
        let (symbol, now) = (self.symbol, self.now);
        self.events.push(MarketEvent { symbol, ts_event: now, ts_recv: now, sequence: 0, body });
    }
}
