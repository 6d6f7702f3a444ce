//! What a topic's state is made of: the values that the market computes and the wire carries.

use std::borrow::Cow;

use feeds::{Level, Price, Size, Timestamp};
use serde::{Deserialize, Serialize};

/// Best bid and offer; `None`: that side is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The highest price somebody buys at, and the whole size there.
    pub bid: Option<Level>,
    /// The lowest price somebody sells at, and the whole size there.
    pub ask: Option<Level>,
}

/// The session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticker {
    /// The newest trade's price and size.
    pub last: Option<Level>,
    /// Best bid.
    pub bid: Option<Price>,
    /// Best offer.
    pub ask: Option<Price>,
    /// Open, high, low, volume and so on of the session's trades; `None` before the first.
    pub session: Option<Totals>,
    /// The official closing price, once the venue has printed it.
    pub close: Option<Price>,
}

/// What trades of a time span add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Sum of the sizes: mantissa of the size exponent.
    pub volume: i128,
    /// Sum of price × size: mantissa of the price exponent plus the size exponent.
    pub notional: i128,
    /// Number of trades.
    pub trades: u64,
}

/// Trades of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// The interval's first nanosecond.
    pub start: Timestamp,
    /// What its trades add up to.
    pub totals: Totals,
    /// Whether the interval has passed: the bar does not change any more.
    pub closed: bool,
}

/// Whether an instrument trades, and whether its feed lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What it is now.
    pub state: StatusState,
    /// Why, in a word or a few; empty: no reason given.
    pub reason: Cow<'static, str>,
}

/// The values of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusState {
    /// Continuous trading, as far as is known.
    Trading,
    /// Stopped by the venue.
    Halted,
    /// Orders are collected for a single price.
    Auction,
    /// Outside trading hours.
    Closed,
    /// Its feed is silent, or its book is not to be trusted until the next snapshot.
    Stale,
    /// Its recording is over: this is the last state.
    Ended,
}

impl StatusState {
    /// All of them, in the order of their making.
    pub const ALL: [Self; 6] =
        [Self::Trading, Self::Halted, Self::Auction, Self::Closed, Self::Stale, Self::Ended];

    /// As the protocol spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trading => "trading",
            Self::Halted => "halted",
            Self::Auction => "auction",
            Self::Closed => "closed",
            Self::Stale => "stale",
            Self::Ended => "ended",
        }
    }
}

impl Totals {
    /// A time span's first trade.
    #[must_use]
    pub fn first(price: Price, size: Size) -> Self {
        Self {
            open: price,
            high: price,
            low: price,
            close: price,
            volume: i128::from(size.0),
            notional: i128::from(price.0) * i128::from(size.0),
            trades: 1,
        }
    }
}
