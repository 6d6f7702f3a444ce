//! The book of one instrument, by order or by level.

mod checksum;
mod levels;
mod orders;

use feeds::{BookChecksum, BookSnapshot, EventBody, Level, OrderId, Price, Side, Size, SymbolId, Trade};

use serde::{Deserialize, Serialize};

pub use checksum::{CHECKSUM_LEVELS, checksum};
use levels::{LevelError, Levels};
use orders::{AddError, Order};
pub(super) use orders::{Orders, RestingOrder};

use super::faults::Faults;
use crate::state::Quote;

/// The book of an instrument: levels, and the rules by which events change them.
///
/// A book is kept by order from its first order on, or by level from its first level or snapshot on, and stays so
/// until it is cleared; events of the other kind are counted in [`Faults::mixed_books`] and ignored, because a level that
/// is both a sum of orders and a size of its own is neither. A snapshot always makes it a book by level.
///
/// After a gap or a failed checksum the book is empty and *untrusted*, and so is one that
/// [begins stale](feeds::Instrument::begins_stale): what would change it is counted in
/// [`Faults::untrusted`] and ignored, until a snapshot (or, by order, a clear, from which orders build it anew). A gap before
/// there is a book is no matter to an instrument that never has one, and so it tells only when one begins: what was lost
/// may belong in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Book {
    bids: Levels,
    asks: Levels,
    kind: Kind,
    /// Whether there ever was a book: from then on it says what the quote is.
    exists: bool,
    untrusted: Option<Untrusted>,
    lost: Lost,
    /// [`feeds::Instrument::book_levels_max`].
    levels_max: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Unknown,
    ByOrder,
    ByLevel,
}

/// What a gap may have taken away of a book of which nothing was known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Lost {
    Nothing,
    /// The venue has cleared the book since: it has no orders from before, and levels come with a snapshot.
    Levels,
    All,
}

/// Why a book is not to be trusted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Untrusted {
    Gap,
    Checksum,
    /// There was none yet.
    NoSnapshot,
}

/// What an event did to a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// The depth of the shallowest level that changed, on whichever side; 0 for a whole book.
    pub(super) changed: Option<usize>,
    /// The trade that an execution was.
    pub(super) trade: Option<Trade>,
}

impl Outcome {
    const NOTHING: Self = Self { changed: None, trade: None };

    const fn changed(depth: Option<usize>) -> Self {
        Self { changed: depth, trade: None }
    }
}

/// Where a book's event counts its faults and keeps its orders.
pub(super) struct Context<'a> {
    pub(super) symbol: SymbolId,
    pub(super) orders: &'a mut Orders,
    pub(super) faults: &'a mut Faults,
}

impl Book {
    pub(super) fn new(levels_max: Option<usize>, begins_stale: bool) -> Self {
        Self {
            bids: Levels::new(Side::Bid),
            asks: Levels::new(Side::Ask),
            kind: Kind::Unknown,
            exists: false,
            untrusted: begins_stale.then_some(Untrusted::NoSnapshot),
            lost: Lost::Nothing,
            levels_max,
        }
    }

    /// Applies an event of the book; any other has no effect.
    pub(super) fn apply(&mut self, body: &EventBody, context: &mut Context<'_>) -> Outcome {
        match body {
            EventBody::BookSnapshot(snapshot) => return self.replace(snapshot, context),
            EventBody::BookClear => return self.clear(context),
            EventBody::Gap { .. } => return self.gap(context),
            // The venue has started from nothing since.
            EventBody::OrderAdd { .. } if self.kind == Kind::Unknown && self.lost == Lost::Levels => {
                self.untrusted = None;
            }
            _ if self.untrusted.is_some() => {
                context.faults.untrusted += 1;
                return Outcome::NOTHING;
            }
            _ => {}
        }
        match *body {
            EventBody::LevelSet { side, level } => self.set_level(side, level, context),
            EventBody::BookChecksum(checksum) => self.check(checksum, context),
            EventBody::OrderAdd { order, side, level } => self.add_order(order, side, level, context),
            EventBody::OrderModify { order, level } => self.modify_order(order, order, level, context),
            EventBody::OrderReplace { order, new_order, level } => {
                self.modify_order(order, new_order, level, context)
            }
            EventBody::OrderCancel { order, size } => Outcome::changed(
                self.take_from_order(order, size, context).and_then(|(_, _, changed)| changed),
            ),
            EventBody::OrderExecute { order, size, price, trade_id, printable } => {
                let Some((resting, size, changed)) = self.take_from_order(order, Some(size), context) else {
                    return Outcome::NOTHING;
                };
                let trade = printable.then(|| resting.trade(price, size, trade_id));
                Outcome { changed, trade }
            }
            _ => Outcome::NOTHING,
        }
    }

    /// What the events of one message make of it: levels past the venue's depth are gone for good.
    /// (Not earlier: within a message a level may be pushed out by one event, and let in again by the next.)
    pub(super) fn end_message(&mut self) {
        if let Some(levels) = self.levels_max
            && self.kind == Kind::ByLevel
        {
            self.bids.truncate(levels);
            self.asks.truncate(levels);
        }
    }

    pub(super) fn view(&self) -> BookView<'_> {
        let past = |side: &Levels| match (self.levels_max, self.kind) {
            (Some(levels), Kind::ByLevel) => side.as_slice().len().saturating_sub(levels),
            _ => 0,
        };
        BookView {
            bids: &self.bids.as_slice()[past(&self.bids)..],
            asks: &self.asks.as_slice()[past(&self.asks)..],
        }
    }

    /// Best bid and offer; `None` while there never was a book.
    pub(super) fn quote(&self) -> Option<Quote> {
        self.exists.then(|| Quote { bid: self.bids.best(), ask: self.asks.best() })
    }

    pub(super) fn is_crossed(&self) -> bool {
        matches!((self.bids.best(), self.asks.best()), (Some(bid), Some(ask)) if bid.price >= ask.price)
    }

    /// Why the book is not to be trusted.
    pub(super) fn untrusted(&self) -> Option<&'static str> {
        self.untrusted.map(|why| match why {
            Untrusted::Gap => "gap",
            Untrusted::Checksum => "checksum",
            Untrusted::NoSnapshot => "no snapshot",
        })
    }

    pub(super) const fn set_levels_max(&mut self, levels_max: Option<usize>) {
        self.levels_max = levels_max;
    }

    fn replace(&mut self, snapshot: &BookSnapshot, context: &mut Context<'_>) -> Outcome {
        if snapshot.bids.iter().chain(&snapshot.asks).any(|level| level.size < Size::ZERO) {
            context.faults.bad_sizes += 1;
            return Outcome::NOTHING;
        }
        context.orders.clear(context.symbol);
        let (bids_changed, bids_refused) = self.bids.replace(&snapshot.bids);
        let (asks_changed, asks_refused) = self.asks.replace(&snapshot.asks);
        context.faults.refused += (bids_refused + asks_refused) as u64;
        self.kind = Kind::ByLevel;
        self.exists = true;
        self.untrusted = None;
        self.lost = Lost::Nothing;
        self.end_message();
        Outcome::changed((bids_changed || asks_changed).then_some(0))
    }

    fn clear(&mut self, context: &mut Context<'_>) -> Outcome {
        if self.untrusted.is_none() || self.kind == Kind::ByOrder {
            self.untrusted = None;
            self.kind = Kind::Unknown;
        }
        if self.lost == Lost::All {
            self.lost = Lost::Levels;
        }
        Outcome::changed(self.empty(context))
    }

    fn gap(&mut self, context: &mut Context<'_>) -> Outcome {
        context.faults.sequence_gaps += 1;
        if self.kind == Kind::Unknown {
            self.lost = Lost::All;
        }
        if !self.exists {
            return Outcome::NOTHING;
        }
        // What a gap only follows from is told, not the gap.
        self.untrusted.get_or_insert(Untrusted::Gap);
        Outcome::changed(self.empty(context))
    }

    /// Whether this event would begin a book behind a gap: then it does not, and the gap is told.
    fn begins_behind_gap(&mut self, kind: Kind, context: &mut Context<'_>) -> bool {
        let is_whole = match self.lost {
            Lost::Nothing => true,
            Lost::Levels => kind == Kind::ByOrder,
            Lost::All => false,
        };
        if is_whole || self.kind != Kind::Unknown {
            return false;
        }
        self.kind = kind;
        self.exists = true;
        self.untrusted = Some(Untrusted::Gap);
        context.faults.untrusted += 1;
        true
    }

    fn check(&mut self, checksum: BookChecksum, context: &mut Context<'_>) -> Outcome {
        self.end_message();
        let agrees = match checksum {
            BookChecksum::Kraken(expected) => self.view().checksum() == expected,
            BookChecksum::Checked { agrees } => agrees,
        };
        if agrees {
            context.faults.checksums_ok += 1;
            return Outcome::NOTHING;
        }
        context.faults.checksums_failed += 1;
        self.untrusted = Some(Untrusted::Checksum);
        Outcome::changed(self.empty(context))
    }

    fn empty(&mut self, context: &mut Context<'_>) -> Option<usize> {
        context.orders.clear(context.symbol);
        let had_bids = self.bids.clear();
        let had_asks = self.asks.clear();
        (had_bids || had_asks).then_some(0)
    }

    fn set_level(&mut self, side: Side, level: Level, context: &mut Context<'_>) -> Outcome {
        if self.kind == Kind::ByOrder {
            context.faults.mixed_books += 1;
            return Outcome::NOTHING;
        }
        if level.size < Size::ZERO {
            context.faults.bad_sizes += 1;
            return Outcome::NOTHING;
        }
        if self.begins_behind_gap(Kind::ByLevel, context) {
            return Outcome::NOTHING;
        }
        self.kind = Kind::ByLevel;
        self.exists = true;
        match self.side(side).set(level) {
            Ok(changed) => Outcome::changed(changed),
            Err(error) => {
                context.refuse_level(error);
                Outcome::NOTHING
            }
        }
    }

    fn add_order(&mut self, id: OrderId, side: Side, level: Level, context: &mut Context<'_>) -> Outcome {
        if self.kind == Kind::ByLevel {
            context.faults.mixed_books += 1;
            return Outcome::NOTHING;
        }
        if level.size <= Size::ZERO {
            context.faults.bad_sizes += 1;
            return Outcome::NOTHING;
        }
        if self.begins_behind_gap(Kind::ByOrder, context) {
            return Outcome::NOTHING;
        }
        if let Err(error) = context.orders.add(context.symbol, id, side, level) {
            match error {
                AddError::Duplicate => context.faults.duplicate_adds += 1,
                AddError::Full => context.faults.refused += 1,
            }
            return Outcome::NOTHING;
        }
        self.kind = Kind::ByOrder;
        self.exists = true;
        match self.side(side).add(level) {
            Ok(depth) => Outcome::changed(Some(depth)),
            Err(error) => {
                context.orders.remove(context.symbol, id);
                context.refuse_level(error);
                Outcome::NOTHING
            }
        }
    }

    /// Gives an order a new price, size and perhaps number. What cannot be added is counted; the old order is
    /// gone all the same, since the venue has said so.
    fn modify_order(
        &mut self,
        id: OrderId,
        new_id: OrderId,
        level: Level,
        context: &mut Context<'_>,
    ) -> Outcome {
        let Some(order) = context.orders.get(context.symbol, id) else {
            context.faults.unknown_order(context.symbol, id);
            return Outcome::NOTHING;
        };
        if level.size < Size::ZERO {
            context.faults.bad_sizes += 1;
            return Outcome::NOTHING;
        }
        let before = order.level;
        if id == new_id && level.size != Size::ZERO {
            context.orders.set(context.symbol, id, level);
        } else {
            context.orders.remove(context.symbol, id);
        }
        let side = self.side(order.side);
        if id != new_id && level.size != Size::ZERO {
            match context.orders.add(context.symbol, new_id, order.side, level) {
                Ok(()) => {}
                Err(AddError::Duplicate) => {
                    context.faults.duplicate_adds += 1;
                    return Outcome::changed(side.reduce(before));
                }
                Err(AddError::Full) => {
                    context.faults.refused += 1;
                    return Outcome::changed(side.reduce(before));
                }
            }
        }
        if before.price == level.price {
            // Neither is negative, so the difference fits.
            let grown = level.size.0 - before.size.0;
            let delta = Level { price: level.price, size: Size(grown.abs()) };
            return match grown.signum() {
                0 => Outcome::NOTHING,
                -1 => Outcome::changed(side.reduce(delta)),
                _ => side.add(delta).map_or_else(
                    |error| {
                        context.orders.remove(context.symbol, new_id);
                        context.refuse_level(error);
                        Outcome::changed(side.reduce(before))
                    },
                    |depth| Outcome::changed(Some(depth)),
                ),
            };
        }
        let mut added = None;
        if level.size != Size::ZERO {
            match side.add(level) {
                Ok(depth) => added = Some(depth),
                Err(error) => {
                    context.orders.remove(context.symbol, new_id);
                    context.refuse_level(error);
                }
            }
        }
        let reduced = side.reduce(before);
        Outcome::changed(match (added, reduced) {
            (Some(added), Some(reduced)) => Some(added.min(reduced)),
            (one, other) => one.or(other),
        })
    }

    /// Takes from an order what is there, at most `size` (`None`: all). Returns the order as it was, how much was
    /// taken, and the depth of the change.
    fn take_from_order(
        &mut self,
        id: OrderId,
        size: Option<Size>,
        context: &mut Context<'_>,
    ) -> Option<(Order, Size, Option<usize>)> {
        if size.is_some_and(|size| size <= Size::ZERO) {
            match context.orders.get(context.symbol, id) {
                Some(_) => context.faults.bad_sizes += 1,
                None => context.faults.unknown_order(context.symbol, id),
            }
            return None;
        }
        let Some(order) = context.orders.take(context.symbol, id, size) else {
            context.faults.unknown_order(context.symbol, id);
            return None;
        };
        let Level { price, size: resting } = order.level;
        let size = size.unwrap_or(resting);
        context.faults.oversized += u64::from(size > resting);
        let taken = size.min(resting);
        let changed = self.side(order.side).reduce(Level { price, size: taken });
        Some((order, taken, changed))
    }

    const fn side(&mut self, side: Side) -> &mut Levels {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

impl Context<'_> {
    const fn refuse_level(&mut self, error: LevelError) {
        match error {
            LevelError::Full => self.faults.refused += 1,
            LevelError::Overflow => self.faults.overflows += 1,
        }
    }
}

impl Order {
    fn trade(&self, price: Option<Price>, size: Size, id: Option<u64>) -> Trade {
        let aggressor = match self.side {
            Side::Bid => feeds::Aggressor::Sell,
            Side::Ask => feeds::Aggressor::Buy,
        };
        Trade { price: price.unwrap_or(self.level.price), size, aggressor, id }
    }
}

/// A book's levels, for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookView<'a> {
    /// Worst first.
    bids: &'a [Level],
    asks: &'a [Level],
}

impl<'a> BookView<'a> {
    /// Buyers' levels, best first.
    pub fn bids(self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone + use<'a> {
        self.bids.iter().rev().copied()
    }

    /// Sellers' levels, best first.
    pub fn asks(self) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone + use<'a> {
        self.asks.iter().rev().copied()
    }

    /// The highest price somebody buys at.
    #[must_use]
    pub fn best_bid(self) -> Option<Level> {
        self.bids.last().copied()
    }

    /// The lowest price somebody sells at.
    #[must_use]
    pub fn best_ask(self) -> Option<Level> {
        self.asks.last().copied()
    }

    /// Levels of buyers.
    #[must_use]
    pub const fn bid_depth(self) -> usize {
        self.bids.len()
    }

    /// Levels of sellers.
    #[must_use]
    pub const fn ask_depth(self) -> usize {
        self.asks.len()
    }

    /// The [`checksum()`] of it.
    #[must_use]
    pub fn checksum(self) -> u32 {
        checksum(self.asks(), self.bids())
    }
}
