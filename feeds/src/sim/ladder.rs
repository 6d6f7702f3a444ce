//! One side of a simulated book.

use super::draw::Draw;
use super::tape::Tape;
use crate::limits::{SIM_EXECUTIONS_PER_SWEEP_MAX, SIM_ORDERS_PER_SIDE_MAX};
use crate::{OrderId, Side};

/// What no trade and no cancel takes away: a side is never empty.
pub(super) const ORDERS_MIN: usize = 4;
/// Worse than any order.
const WORST: i64 = i64::MIN / 4;

/// The resting orders of one side, the next to trade last.
///
/// A price is held as a *key*, larger is better: ticks for bids, minus ticks for asks, so that both sides share all
/// code. At equal keys the earlier order stands nearer to the end, which is price-time priority. A sorted array is
/// enough: a side has at most 64 orders of 24 bytes, and nearly all that happens is near the end. The worst case, an
/// arrival at the far end of a full side, moves 1.5 KiB.
pub(super) struct Ladder {
    side: Side,
    orders: Vec<Order>,
}

struct Order {
    id: OrderId,
    key: i64,
    lots: i64,
}

impl Ladder {
    pub(super) const fn new(side: Side) -> Self {
        Self { side, orders: Vec::new() }
    }

    /// Turns ticks into this side's key, and back; likewise any difference of prices.
    pub(super) const fn key(&self, ticks: i64) -> i64 {
        match self.side {
            Side::Bid => ticks,
            Side::Ask => -ticks,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.orders.len()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.orders.len() >= SIM_ORDERS_PER_SIDE_MAX
    }

    pub(super) fn best(&self) -> i64 {
        self.orders.last().map_or(WORST, |order| order.key)
    }

    /// The size of the best order; 0: there is none.
    pub(super) fn best_lots(&self) -> i64 {
        self.orders.last().map_or(0, |order| order.lots)
    }

    pub(super) fn add(&mut self, key: i64, lots: i64, tape: &mut Tape<'_>) {
        let id = tape.add(self.side, self.key(key), lots);
        self.insert(Order { id, key, lots });
    }

    /// The price of the best order, in ticks; `None`: there is none.
    pub(super) fn best_ticks(&self) -> Option<i64> {
        self.orders.last().map(|order| self.key(order.key))
    }

    /// Tells all orders again, so that each gets its place.
    pub(super) fn retell(&self, tape: &mut Tape<'_>) {
        for order in self.orders.iter().rev() {
            tape.retell(order.id, self.side, self.key(order.key), order.lots);
        }
    }

    pub(super) fn clear(&mut self) {
        self.orders.clear();
    }

    /// Takes a whole order away; the caller has seen that more than [`ORDERS_MIN`] rest.
    pub(super) fn cancel(&mut self, index: usize, tape: &mut Tape<'_>) {
        tape.cancel(self.orders.remove(index).id);
    }

    pub(super) fn cancel_best(&mut self, tape: &mut Tape<'_>) {
        if let Some(order) = self.orders.pop() {
            tape.cancel(order.id);
        }
    }

    /// Takes about half of an order away; `false` if it is too small for that.
    pub(super) fn trim(&mut self, index: usize, tape: &mut Tape<'_>) -> bool {
        let order = &mut self.orders[index];
        let lots = order.lots / 2;
        if lots == 0 {
            return false;
        }
        order.lots -= lots;
        tape.trim(order.id, lots);
        true
    }

    pub(super) fn replace(&mut self, index: usize, key: i64, lots: i64, tape: &mut Tape<'_>) {
        let old = self.orders.remove(index);
        let id = tape.replace(old.id, self.key(key), lots);
        self.insert(Order { id, key, lots });
    }

    /// A market order of `lots` against this side, down to keys above `limit`. How many orders it met.
    pub(super) fn sweep(&mut self, limit: i64, mut lots: i64, tape: &mut Tape<'_>) -> u32 {
        let mut met = 0;
        for _ in 0..SIM_EXECUTIONS_PER_SWEEP_MAX {
            let spare = self.orders.len() > ORDERS_MIN;
            let Some(best) = self.orders.last_mut().filter(|best| spare && lots > 0 && best.key > limit)
            else {
                break;
            };
            let taken = lots.min(best.lots);
            tape.execute(best.id, taken);
            met += 1;
            lots -= taken;
            best.lots -= taken;
            if best.lots == 0 {
                self.orders.pop();
            }
        }
        met
    }

    /// An order, most likely one near the touch.
    pub(super) fn pick_near(&self, draw: &mut Draw) -> usize {
        draw.index(self.orders.len()).max(draw.index(self.orders.len()))
    }

    /// An order, most likely one far from the touch.
    pub(super) fn pick_far(&self, draw: &mut Draw) -> usize {
        draw.index(self.orders.len()).min(draw.index(self.orders.len()))
    }

    fn insert(&mut self, order: Order) {
        let mut index = self.orders.len();
        while index > 0 && self.orders[index - 1].key >= order.key {
            index -= 1;
        }
        self.orders.insert(index, order);
    }
}
