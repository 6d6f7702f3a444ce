//! What was wrong with the events.

use feeds::{OrderId, SymbolId};

use crate::limits::FAULT_EXAMPLES_MAX;

/// What was wrong with the events, counted since the market was made; a reset does not clear it. An event that is
/// counted here had no other effect, unless it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Events of orders that nobody added: they rested before the recording began, or messages are missing.
    pub unknown_orders: u64,
    /// The first of these orders, each once; [`FAULT_EXAMPLES_MAX`] at most.
    pub examples: Vec<(SymbolId, OrderId)>,
    /// Orders added, or put in another's place, under a number that rests already.
    pub duplicate_adds: u64,
    /// Executions and cancels of more than the order had: what was there was taken.
    pub oversized: u64,
    /// Sizes that are negative, or zero where there must be something.
    pub bad_sizes: u64,
    /// Venue's checksums that agreed.
    pub checksums_ok: u64,
    /// Venue's checksums that did not: the book was cleared, and is stale until the next snapshot.
    pub checksums_failed: u64,
    /// Gaps announced by the feed: the book was cleared, and is stale until the next snapshot.
    pub sequence_gaps: u64,
    /// Events for books that were stale in that way.
    pub untrusted: u64,
    /// Times a message left a book with its best bid at or above its best offer. The book stays as it is. Known
    /// once the instrument's next message, or its end, comes.
    pub crossed: u64,
    /// Order events for a book by level, and the other way round.
    pub mixed_books: u64,
    /// Sums past their integers. A level's: the order was refused. A session's or a bar's: volume and notional
    /// stay as they were, and no longer are sums.
    pub overflows: u64,
    /// Levels and orders past a bound of [`crate::limits`].
    pub refused: u64,
    /// Definitions that change the scale of an instrument's numbers, which would change the meaning of all that is
    /// held of it.
    pub rescaled: u64,
    /// Events of instruments that the market was not made with.
    pub unknown_symbols: u64,
}

impl Faults {
    /// Counts and names an order that nobody added.
    pub(super) fn unknown_order(&mut self, symbol: SymbolId, order: OrderId) {
        self.unknown_orders += 1;
        if self.examples.len() < FAULT_EXAMPLES_MAX && !self.examples.contains(&(symbol, order)) {
            self.examples.push((symbol, order));
        }
    }
}
