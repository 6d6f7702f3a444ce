//! Every bound of the service, and what happens at it. Those of `feeds` stand in [`feeds::limits`].

/// Shards at most: one bit each in a topic's interest word. More cores than this share shards.
pub const SHARDS_MAX: usize = 64;

/// Levels a side of one book. A level that would be one more is refused, with the order that makes it, and counted
/// in [`crate::market::Faults::refused`]; of a longer snapshot the best are kept.
pub const BOOK_LEVELS_MAX: usize = 65_536;
/// Slots of the table of orders (32 bytes each). Past it, an order whose slot is taken drives the older one into
/// the overflow map, where it is as good, but slower to find.
pub const ORDER_TABLE_SLOTS_MAX: usize = 1 << 21;
/// Orders in that overflow map. One more is refused, and counted in [`crate::market::Faults::refused`].
pub const ORDER_OVERFLOW_MAX: usize = 1 << 24;
/// Bars kept per instrument and interval, the open one among them. The oldest is dropped.
pub const BARS_MAX: usize = 512;
/// Trades kept per instrument. The oldest is dropped.
pub const TRADES_MAX: usize = 256;
/// Unknown orders that are named in [`crate::market::Faults::examples`]; more are only counted.
pub const FAULT_EXAMPLES_MAX: usize = 16;
