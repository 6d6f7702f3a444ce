//! What is traded.

use crate::{Exponent, Price, Symbol};

/// An instrument: its name, where it is traded, and the scale of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// The venue's spelling, upper case.
    pub symbol: Symbol,
    /// The venue in upper case: `NASDAQ`, `KRAKEN`, `BINANCE`, `SIM`.
    pub venue: &'static str,
    /// The scale of every [`Price`] of this instrument.
    pub price_exponent: Exponent,
    /// The scale of every [`crate::Size`] of this instrument.
    pub size_exponent: Exponent,
    /// The smallest step between prices, where the venue says it.
    pub tick_size: Option<Price>,
    /// The currency of its prices, where the venue says it.
    pub currency: Option<String>,
    /// How many levels a side the venue keeps up to date (Kraken `book-1000`: 1,000): a level that falls past
    /// it is dropped, because no later message would correct it. `None`: all of them.
    pub book_levels_max: Option<usize>,
}
