//! The one normalised form of what any venue, file or simulator says.

use serde::{Deserialize, Serialize};

use crate::{Instrument, Price, Size, SymbolId, Timestamp};

/// One change of one instrument, from a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketEvent {
    /// The instrument.
    pub symbol: SymbolId,
    /// The venue's clock. Where the venue's message carries no time, the time it was received.
    pub ts_event: Timestamp,
    /// Our clock, or the recorder's.
    pub ts_recv: Timestamp,
    /// The venue's own number of this state of the instrument (Binance `u`, Coinbase `sequence`); 0: none given.
    pub sequence: u64,
    /// What happened.
    pub body: EventBody,
}

/// What a [`MarketEvent`] says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventBody {
    /// A trade printed.
    Trade(Trade),
    /// The venue's own best bid and offer (`None`: that side is empty). Where the instrument has a book, the
    /// book rules, and this is what it can be checked against.
    Quote {
        /// Best bid.
        bid: Option<Level>,
        /// Best offer.
        ask: Option<Level>,
    },
    /// The venue's, or its vendor's, own bar of an interval that is over. [`MarketEvent::ts_event`] is its start.
    Bar(Bar),
    /// The whole size at a price level is now this; zero deletes the level.
    LevelSet {
        /// Bid or ask.
        side: Side,
        /// Price and its new size.
        level: Level,
    },
    /// The whole book by level; replaces what was held. Sides in any order.
    BookSnapshot(Box<BookSnapshot>),
    /// The book up to here is void (venue reset, new connection): empty until a snapshot or new orders come.
    BookClear,
    /// The venue's checksum of the book as it must be after the events before this one.
    BookChecksum(BookChecksum),
    /// An order joined the book.
    OrderAdd {
        /// The venue's number of the order.
        order: OrderId,
        /// Bid or ask.
        side: Side,
        /// Its limit and size.
        level: Level,
    },
    /// An order's size (and, where given, price) is now this.
    OrderModify {
        /// The order.
        order: OrderId,
        /// Its new price and size.
        level: Level,
    },
    /// That much of an order was taken away; `None`: all that is left (ITCH `D`).
    OrderCancel {
        /// The order.
        order: OrderId,
        /// How much.
        size: Option<Size>,
    },
    /// That much of an order traded.
    OrderExecute {
        /// The order.
        order: OrderId,
        /// How much.
        size: Size,
        /// The price where it is not the order's own (ITCH `C`).
        price: Option<Price>,
        /// The venue's number of the match; `None`: not given.
        trade_id: Option<u64>,
        /// Whether the trade prints to the tape (ITCH `C` with printable `N` does not).
        printable: bool,
    },
    /// An order became another with a new number, price and size on the same side.
    OrderReplace {
        /// The order that is gone.
        order: OrderId,
        /// The order that stands for it.
        new_order: OrderId,
        /// Price and size of the new order.
        level: Level,
    },
    /// The instrument's trading state changed.
    Status {
        /// What it is now.
        status: TradingStatus,
        /// The venue's reason, as it spells it; empty: none given.
        reason: String,
    },
    /// The instrument's definition, at its first appearance or on a change.
    Definition(Box<Instrument>),
    /// Messages of this instrument were lost before this point: its book is not to be trusted until a snapshot.
    Gap {
        /// The number that should have come; 0 where the venue numbers nothing.
        expected: u64,
        /// The number that came.
        found: u64,
    },
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Its price.
    pub price: Price,
    /// How much changed hands.
    pub size: Size,
    /// Who crossed the spread.
    pub aggressor: Aggressor,
    /// The venue's number of it; `None`: not given.
    pub id: Option<u64>,
}

/// What traded in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// How long the interval is.
    pub interval_nanos: i64,
    /// The price of its first trade.
    pub open: Price,
    /// Its highest price.
    pub high: Price,
    /// Its lowest price.
    pub low: Price,
    /// The price of its last trade.
    pub close: Price,
    /// How much changed hands.
    pub volume: Size,
}

/// A price and the size there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Level {
    /// The price.
    pub price: Price,
    /// The whole size.
    pub size: Size,
}

/// All levels of a book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookSnapshot {
    /// Buyers' levels, in any order.
    pub bids: Vec<Level>,
    /// Sellers' levels, in any order.
    pub asks: Vec<Level>,
}

/// A venue's checksum of its book, and the rule it is made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookChecksum {
    /// CRC32 over the ten best asks, then the ten best bids: of each level the digits of price and size without
    /// the point and without leading zeros. Kraken WebSocket API, "book checksum"; also Tickwire's own rule.
    Kraken(u32),
    /// The session has compared it already, with the digits as the venue sent them, which mantissas do not have (OKX,
    /// Bitfinex, FTX). Where it does not agree, a gap follows.
    Checked {
        /// Whether the venue's checksum is ours.
        agrees: bool,
    },
}

/// A venue's number of a resting order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderId(pub u64);

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Side {
    /// Buyers.
    Bid,
    /// Sellers.
    Ask,
}

/// Who took liquidity in a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Aggressor {
    /// A buyer lifted an offer.
    Buy,
    /// A seller hit a bid.
    Sell,
    /// An auction, a cross, or not told.
    None,
}

/// Whether an instrument trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TradingStatus {
    /// Continuous trading, as far as is known.
    Trading,
    /// Stopped by the venue.
    Halted,
    /// Orders are collected for a single price.
    Auction,
    /// Outside trading hours.
    Closed,
}
