//! What is traded.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::limits::VENUES_MAX;
use crate::{Exponent, Price, Symbol};

/// An instrument: its name, where it is traded, and the scale of its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// The venue's spelling, upper case.
    pub symbol: Symbol,
    /// The venue in upper case: `NASDAQ`, `KRAKEN`, `BINANCE`, `SIM`.
    #[serde(skip)] // Its list says it once, and a text that lives for ever cannot be read.
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
    /// Whether its book is stale from the beginning until its first snapshot: of a venue that is followed live, and of what
    /// was recorded of one, it is known that there is a book, and that it comes whole.
    #[serde(skip)] // Whoever follows a venue knows it.
    pub begins_stale: bool,
}

/// The name of a venue that comes from outside, for [`Instrument::venue`]: held for as long as the program runs, so that
/// there may be only so many. `None`: there are [`VENUES_MAX`] others.
#[must_use]
pub fn kept_venue(name: &Symbol) -> Option<&'static str> {
    static VENUES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut venues = VENUES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = venues.get(name.as_str()) {
        return Some(known);
    }
    if venues.len() >= VENUES_MAX {
        return None;
    }
    let kept: &'static str = Box::leak(name.as_str().into());
    venues.insert(kept);
    Some(kept)
}
