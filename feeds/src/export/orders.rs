//! The orders that rest in books: what an execution's price was, and how much a cancel took.

use rustc_hash::FxHashMap;

use super::{ExportError, crossing};
use crate::limits::EXPORT_ORDERS_MAX;
use crate::{EventBody, Level, MarketEvent, OrderId, Side, Size, Trade};

/// An order in a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) side: Side,
    pub(super) level: Level,
}

/// By instrument, by number: a book is cleared at once.
pub(super) struct Orders {
    books: Vec<FxHashMap<OrderId, Resting>>,
    count: usize,
}

impl Orders {
    pub(super) fn new(instruments: usize) -> Self {
        Self { books: vec![FxHashMap::default(); instruments], count: 0 }
    }

    /// Follows an event. Gives the order that it is about, as it was before, and the trade that the event is.
    pub(super) fn apply(
        &mut self,
        event: &MarketEvent,
    ) -> Result<(Option<Resting>, Option<Trade>), ExportError> {
        let book = &mut self.books[event.symbol.index()];
        let before = book.len();
        let told = match event.body {
            EventBody::Trade(trade) => (None, Some(trade)),
            EventBody::OrderAdd { order, side, level } => (book.insert(order, Resting { side, level }), None),
            EventBody::OrderModify { order, level } => {
                let resting = book.get(&order).copied();
                set(book, order, resting, level);
                (resting, None)
            }
            EventBody::OrderReplace { order, new_order, level } => {
                let resting = book.remove(&order);
                set(book, new_order, resting, level);
                (resting, None)
            }
            EventBody::OrderCancel { order, size } => {
                let resting = book.get(&order).copied();
                take(book, order, resting, size);
                (resting, None)
            }
            EventBody::OrderExecute { order, size, price, trade_id, printable } => {
                let resting = book.get(&order).copied();
                take(book, order, resting, Some(size));
                let trade = resting.filter(|_| printable).map(|resting| Trade {
                    price: price.unwrap_or(resting.level.price),
                    size: size.min(resting.level.size),
                    aggressor: crossing(resting.side),
                    id: trade_id,
                });
                (resting, trade)
            }
            // A snapshot makes it a book by level.
            EventBody::BookClear | EventBody::BookSnapshot(_) => {
                book.clear();
                (None, None)
            }
            _ => (None, None),
        };
        self.count = self.count - before + book.len();
        if self.count > EXPORT_ORDERS_MAX { Err(ExportError::Orders) } else { Ok(told) }
    }
}

fn set(book: &mut FxHashMap<OrderId, Resting>, order: OrderId, resting: Option<Resting>, level: Level) {
    match resting {
        Some(Resting { side, .. }) if level.size > Size::ZERO => {
            book.insert(order, Resting { side, level });
        }
        _ => {
            book.remove(&order);
        }
    }
}

/// `None`: all of it.
fn take(
    book: &mut FxHashMap<OrderId, Resting>,
    order: OrderId,
    resting: Option<Resting>,
    size: Option<Size>,
) {
    let Some(Resting { side, level }) = resting else { return };
    let left = Size(level.size.0.saturating_sub(size.unwrap_or(level.size).0.max(0)));
    set(book, order, Some(Resting { side, level }), Level { size: left, ..level });
}
