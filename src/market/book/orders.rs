//! Every resting order of every order-by-order book.

use feeds::{Level, OrderId, Price, Side, Size, SymbolId};
use rustc_hash::FxHashMap;

use crate::limits::{ORDER_OVERFLOW_MAX, ORDER_TABLE_SLOTS_MAX};

const TABLE_SLOTS_FIRST: usize = 1_024;
/// The table grows while it has fewer slots than this for each resting order.
const SLOTS_PER_ORDER: usize = 8;

/// The orders of all books, by (instrument, number): numbers are unique per venue and day, which says nothing of two
/// files, two venues or a simulator.
///
/// Venues number orders upwards (ITCH over all instruments of a day), so an order's place is simply its number modulo
/// the size of one table: consecutive numbers lie side by side, finding one is a single access with no hashing, and
/// the table is a window that slides over the day. When a new number meets a resting order in its slot, the table
/// doubles while it is small for what rests, and otherwise the older order, which by then is one of the few that live
/// long, moves to a hash map. Sparse or random numbers work too: they are hashed by their low bits, and the map
/// takes the collisions.
///
/// Cost: one cache line for the newest `table` numbers; for older ones that and a look into the map, which is spared
/// for every number above the highest that was ever moved there. Worst case: all orders in the map (a hash map's cost),
/// and a doubling, which copies up to 64 MiB once.
///
/// Clearing a book raises its generation, which makes its orders invisible at once; those in the table are vacant
/// slots from then on, and those in the map are swept when they may be half of it.
#[derive(Clone, Debug)]
pub(in crate::market) struct Orders {
    /// Empty, or a power of two long.
    table: Vec<Slot>,
    overflow: FxHashMap<(SymbolId, OrderId), Order>,
    /// The highest number ever put into `overflow`.
    overflow_highest: Option<OrderId>,
    /// How many orders in `overflow` may be of cleared books.
    overflow_stale_max: usize,
    /// Resting orders, wherever they are.
    resting: usize,
    /// By instrument.
    books: Vec<BookOrders>,
}

/// An order of a book's current generation, found in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) side: Side,
    pub(super) level: Level,
    generation: u32,
}

/// Why an order was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddError {
    /// Its number rests in this book already.
    Duplicate,
    /// [`ORDER_OVERFLOW_MAX`].
    Full,
}

/// An order of some instrument.
pub(in crate::market) type RestingOrder = (SymbolId, OrderId, Side, Level);

#[derive(Clone, Copy, Debug)]
struct Slot {
    id: OrderId,
    price: Price,
    /// Zero: the slot is vacant.
    size: Size,
    symbol_and_side: u32,
    generation: u32,
}

const VACANT: Slot =
    Slot { id: OrderId(0), price: Price::ZERO, size: Size::ZERO, symbol_and_side: 0, generation: 0 };

#[derive(Clone, Copy, Debug, Default)]
struct BookOrders {
    generation: u32,
    resting: u32,
}

impl Orders {
    pub(in crate::market) fn new(instruments: usize) -> Self {
        Self {
            table: Vec::new(),
            overflow: FxHashMap::default(),
            overflow_highest: None,
            overflow_stale_max: 0,
            resting: 0,
            books: vec![BookOrders::default(); instruments],
        }
    }

    /// A table in which these rest; `None`: they cannot.
    pub(in crate::market) fn of(
        instruments: usize,
        resting: impl IntoIterator<Item = RestingOrder>,
    ) -> Option<Self> {
        let mut orders = Self::new(instruments);
        for (symbol, id, side, level) in resting {
            if symbol.index() >= instruments || level.size <= Size::ZERO {
                return None;
            }
            orders.add(symbol, id, side, level).ok()?;
        }
        Some(orders)
    }

    /// Adds an order of a positive size.
    pub(super) fn add(
        &mut self,
        symbol: SymbolId,
        id: OrderId,
        side: Side,
        level: Level,
    ) -> Result<(), AddError> {
        if self.get(symbol, id).is_some() {
            return Err(AddError::Duplicate);
        }
        if self.table.is_empty() {
            self.table = vec![VACANT; TABLE_SLOTS_FIRST];
        }
        let mut home = self.home(id);
        while self.is_resting(&self.table[home])
            && self.table.len() < ORDER_TABLE_SLOTS_MAX
            && self.table.len() / SLOTS_PER_ORDER < self.resting
        {
            self.double();
            home = self.home(id);
        }
        let older = self.table[home];
        if self.is_resting(&older) {
            if self.overflow.len() >= ORDER_OVERFLOW_MAX {
                return Err(AddError::Full);
            }
            self.overflow.insert((older.symbol(), older.id), older.order());
            self.overflow_highest = self.overflow_highest.max(Some(older.id));
        }
        let book = &mut self.books[symbol.index()];
        book.resting += 1;
        self.resting += 1;
        self.table[home] = Slot {
            id,
            price: level.price,
            size: level.size,
            symbol_and_side: symbol_and_side(symbol, side),
            generation: book.generation,
        };
        Ok(())
    }

    /// The order, if it rests.
    #[inline]
    pub(super) fn get(&self, symbol: SymbolId, id: OrderId) -> Option<Order> {
        if let Some(slot) = self.table.get(self.home(id))
            && self.is_order(slot, symbol, id)
        {
            return Some(slot.order());
        }
        if Some(id) > self.overflow_highest { None } else { self.get_older(symbol, id) }
    }

    #[cold]
    fn get_older(&self, symbol: SymbolId, id: OrderId) -> Option<Order> {
        let generation = self.books[symbol.index()].generation;
        self.overflow.get(&(symbol, id)).copied().filter(|order| order.generation == generation)
    }

    /// Takes a positive size (`None`: all) off an order, or what is there of it. An order that nothing is left of is gone.
    /// Returns it as it was; `None` when it does not rest.
    ///
    /// One search, where [`Self::get`] and then [`Self::set`] or [`Self::remove`] would be two: most orders end here.
    #[inline]
    pub(super) fn take(&mut self, symbol: SymbolId, id: OrderId, size: Option<Size>) -> Option<Order> {
        let home = self.home(id);
        let book = &mut self.books[symbol.index()];
        if let Some(slot) = self.table.get_mut(home)
            && slot.is_order(symbol, id, book.generation)
        {
            let order = slot.order();
            slot.size = left(order.level.size, size);
            let gone = u32::from(slot.size == Size::ZERO);
            book.resting -= gone;
            self.resting -= gone as usize;
            return Some(order);
        }
        if Some(id) > self.overflow_highest { None } else { self.take_older(symbol, id, size) }
    }

    #[cold]
    fn take_older(&mut self, symbol: SymbolId, id: OrderId, size: Option<Size>) -> Option<Order> {
        let order = self.get_older(symbol, id)?;
        let Level { price, size: resting } = order.level;
        match left(resting, size) {
            Size::ZERO => self.remove(symbol, id),
            size => self.set(symbol, id, Level { price, size }),
        }
        Some(order)
    }

    /// Changes an order that rests. No effect on one that does not.
    pub(super) fn set(&mut self, symbol: SymbolId, id: OrderId, level: Level) {
        let home = self.home(id);
        if self.table.get(home).is_some_and(|slot| self.is_order(slot, symbol, id)) {
            let slot = &mut self.table[home];
            slot.price = level.price;
            slot.size = level.size;
        } else if let Some(order) = self.overflow.get_mut(&(symbol, id)) {
            order.level = level;
        }
    }

    /// Removes an order that rests. No effect on one that does not.
    pub(super) fn remove(&mut self, symbol: SymbolId, id: OrderId) {
        let home = self.home(id);
        if self.table.get(home).is_some_and(|slot| self.is_order(slot, symbol, id)) {
            self.table[home].size = Size::ZERO;
        } else {
            let generation = self.books[symbol.index()].generation;
            match self.overflow.remove(&(symbol, id)) {
                Some(order) if order.generation == generation => {}
                _ => return,
            }
        }
        self.books[symbol.index()].resting -= 1;
        self.resting -= 1;
    }

    /// All that rest, by instrument and number.
    pub(in crate::market) fn resting(&self) -> Vec<RestingOrder> {
        let in_table = self.table.iter().filter(|slot| self.is_resting(slot));
        let in_table = in_table.map(|slot| (slot.symbol(), slot.id, slot.order()));
        let of_book = |symbol: SymbolId| self.books[symbol.index()].generation;
        let older = self.overflow.iter().map(|(&(symbol, id), order)| (symbol, id, *order));
        let older = older.filter(|(symbol, _, order)| order.generation == of_book(*symbol));
        let all =
            in_table.chain(older).map(|(symbol, id, Order { side, level, .. })| (symbol, id, side, level));
        let mut all: Vec<_> = all.collect();
        all.sort_unstable_by_key(|(symbol, id, ..)| (*symbol, *id));
        all
    }

    /// Removes all orders of a book.
    pub(super) fn clear(&mut self, symbol: SymbolId) {
        let book = &mut self.books[symbol.index()];
        let gone = book.resting as usize;
        if gone == 0 {
            return;
        }
        // To be taken for a newer one, an order would have to rest unswept through 2³² clears of its book.
        *book = BookOrders { generation: book.generation.wrapping_add(1), resting: 0 };
        self.resting -= gone;
        self.overflow_stale_max += gone;
        if self.overflow_stale_max > self.overflow.len() / 2 {
            let books = &self.books;
            self.overflow.retain(|(symbol, _), order| books[symbol.index()].generation == order.generation);
            self.overflow_stale_max = 0;
        }
    }

    fn home(&self, id: OrderId) -> usize {
        let mask = self.table.len().wrapping_sub(1) as u64;
        usize::try_from(id.0 & mask).unwrap_or(usize::MAX)
    }

    fn is_order(&self, slot: &Slot, symbol: SymbolId, id: OrderId) -> bool {
        slot.is_order(symbol, id, self.books[symbol.index()].generation)
    }

    fn is_resting(&self, slot: &Slot) -> bool {
        slot.size != Size::ZERO && slot.generation == self.books[slot.symbol().index()].generation
    }

    /// Twice the slots. Two orders that had slots of their own have so in the larger table.
    fn double(&mut self) {
        let larger = vec![VACANT; self.table.len() * 2];
        for slot in std::mem::replace(&mut self.table, larger) {
            if self.is_resting(&slot) {
                let home = self.home(slot.id);
                self.table[home] = slot;
            }
        }
    }
}

/// What is left of an order when that much (`None`: all) is taken off.
fn left(resting: Size, size: Option<Size>) -> Size {
    size.map_or(Size::ZERO, |size| Size(resting.0 - size.min(resting).0))
}

impl Slot {
    fn is_order(&self, symbol: SymbolId, id: OrderId, generation: u32) -> bool {
        self.id == id && self.size != Size::ZERO && self.symbol() == symbol && self.generation == generation
    }

    const fn symbol(&self) -> SymbolId {
        SymbolId(self.symbol_and_side >> 1)
    }

    const fn order(&self) -> Order {
        let side = if self.symbol_and_side & 1 == 0 { Side::Bid } else { Side::Ask };
        Order { side, level: Level { price: self.price, size: self.size }, generation: self.generation }
    }
}

/// Instruments are limited to [`feeds::limits::INSTRUMENTS_MAX`], far below 2³¹.
const fn symbol_and_side(symbol: SymbolId, side: Side) -> u32 {
    symbol.0 << 1
        | match side {
            Side::Bid => 0,
            Side::Ask => 1,
        }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SYMBOLS: usize = 3;

    fn level(price: i64, size: i64) -> Level {
        Level { price: Price(price), size: Size(size) }
    }

    /// Numbers that meet in the table's slots, at every size it will have, and the largest ones.
    fn order_id() -> impl Strategy<Value = OrderId> {
        prop_oneof![
            0_u64..40,
            (0_u64..40).prop_map(|n| n * TABLE_SLOTS_FIRST as u64),
            (0_u64..40).prop_map(|n| n << 40),
            (0_u64..4).prop_map(|n| u64::MAX - n),
        ]
        .prop_map(OrderId)
    }

    proptest! {
        #[test]
        fn the_orders_are_a_map(
            steps in prop::collection::vec((0_u8..20, 0_u32..3, order_id(), 1_i64..9), 0..400),
        ) {
            let mut orders = Orders::new(SYMBOLS);
            let mut model = BTreeMap::<(SymbolId, OrderId), (Side, Level)>::new();
            for (kind, symbol, id, size) in steps {
                let symbol = SymbolId(symbol);
                let key = (symbol, id);
                let side = if size % 2 == 0 { Side::Bid } else { Side::Ask };
                match kind {
                    0..12 => {
                        let added = orders.add(symbol, id, side, level(size, size));
                        let duplicate = model.contains_key(&key);
                        prop_assert_eq!(added, if duplicate { Err(AddError::Duplicate) } else { Ok(()) });
                        model.entry(key).or_insert((side, level(size, size)));
                    }
                    12..15 => {
                        orders.set(symbol, id, level(-size, size));
                        if let Some(order) = model.get_mut(&key) { order.1 = level(-size, size); }
                    }
                    15..17 => {
                        let taken = (kind == 15).then_some(Size(size / 2 + 1));
                        let order = orders.take(symbol, id, taken).map(|order| (order.side, order.level));
                        prop_assert_eq!(order, model.get(&key).copied());
                        if let Some((_, level)) = model.get_mut(&key) {
                            level.size.0 -= taken.map_or(level.size.0, |size| size.0);
                            if level.size.0 <= 0 { model.remove(&key); }
                        }
                    }
                    17..19 => {
                        orders.remove(symbol, id);
                        model.remove(&key);
                    }
                    _ => {
                        orders.clear(symbol);
                        model.retain(|(of, _), _| *of != symbol);
                    }
                }
                prop_assert_eq!(orders.resting, model.len());
                prop_assert!(orders.overflow.len() <= 2 * model.len() + 400);
                for (&(symbol, id), &(side, level)) in &model {
                    let order = orders.get(symbol, id).map(|order| (order.side, order.level));
                    prop_assert_eq!(order, Some((side, level)));
                }
                prop_assert_eq!(orders.get(symbol, id).is_some(), model.contains_key(&key));
            }
        }
    }

    #[test]
    fn the_table_grows_with_what_rests_and_then_the_oldest_move_over() {
        let mut orders = Orders::new(1);
        let symbol = SymbolId(0);
        for id in 0..100_000 {
            orders.add(symbol, OrderId(id), Side::Bid, level(1, 1)).expect("new");
            // Every hundredth stays for good; the others live for fifty numbers.
            if id >= 50 && (id - 50) % 100 != 0 {
                orders.remove(symbol, OrderId(id - 50));
            }
        }
        assert_eq!(orders.resting, 1_000 + 50);
        assert!(orders.table.len() <= 2 * SLOTS_PER_ORDER * orders.resting, "{} slots", orders.table.len());
        assert!(orders.overflow.len() > 500, "{} moved over", orders.overflow.len());
        for id in (0..99_900).step_by(100) {
            assert!(orders.get(symbol, OrderId(id)).is_some(), "order {id}");
            assert!(orders.get(symbol, OrderId(id + 1)).is_none(), "order {}", id + 1);
        }
        orders.clear(symbol);
        assert_eq!((orders.resting, orders.overflow.len()), (0, 0));
        assert!(orders.get(symbol, OrderId(0)).is_none());
    }
}
