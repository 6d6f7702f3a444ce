//! Every bound of this crate, and what happens at it.

/// The longest symbol. A longer one is refused.
pub const SYMBOL_BYTES_MAX: usize = 64;
/// Instruments of all feeds together. A feed with more is refused.
pub const INSTRUMENTS_MAX: usize = 65_536;
/// The longest line of a text recording: Binance's `exchangeInfo` is a few megabytes. A longer one is damage.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;
