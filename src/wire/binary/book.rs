//! The `book` channel.

use feeds::{Level, Price, Side, Size};

use super::varint::{put, zigzag};
use super::{Head, Held, flag, put_size, scale_of, snapshot_head, update_head};
use crate::topic::Depth;

pub(super) const MORE: u64 = 1;
pub(super) const ASK: u64 = 2;
pub(super) const FLAG_BITS: u32 = 2;
/// The first level says the record's scale too.
pub(super) const SCALE_BITS: u32 = 2;

/// What changed on a side of the book.
#[derive(Clone, Copy, Debug, Default)]
pub struct BookSide<'a> {
    /// The best price before the update.
    pub best: Option<Price>,
    /// The levels whose size changed, with their new size, best first; size zero deletes the level.
    pub changed: &'a [Level],
    /// The price of the last level after the update, where the side has as many levels as the topic's depth. What is
    /// deleted beyond it goes without saying: the client keeps no more than so many.
    pub last: Option<Price>,
}

/// The best `depth` levels of both sides, best first, and the checksum of the book as it is then.
pub fn book_snapshot(
    out: &mut Vec<u8>,
    head: &Head,
    epoch: &str,
    depth: Depth,
    bids: impl Iterator<Item = Level> + Clone,
    asks: impl Iterator<Item = Level> + Clone,
    checksum: u32,
) {
    snapshot_head(out, head, epoch);
    out.extend_from_slice(&checksum.to_le_bytes());
    let start = out.len();
    out.push(1);
    if !levels(out, None, bids.take(depth.levels()), None, asks.take(depth.levels())) {
        out[start] = 0;
    }
}

/// The levels that changed: at least one, because an update of nothing is not sent. `checksum`: of the book after this
/// update, where it is sent along.
pub fn book_update(
    out: &mut Vec<u8>,
    head: &Head,
    held: &Held,
    bids: &BookSide<'_>,
    asks: &BookSide<'_>,
    checksum: Option<u32>,
) {
    update_head(out, head, held, if checksum.is_some() { flag::CHECKSUM } else { 0 });
    if let Some(checksum) = checksum {
        out.extend_from_slice(&checksum.to_le_bytes());
    }
    let is_anything = levels(
        out,
        bids.best,
        sent(bids, |price, last| price < last),
        asks.best,
        sent(asks, |price, last| price > last),
    );
    debug_assert!(is_anything, "a book update without a level");
}

fn sent(
    side: &BookSide<'_>,
    is_beyond: impl Fn(Price, Price) -> bool + Copy,
) -> impl Iterator<Item = Level> + Clone {
    let last = side.last;
    side.changed.iter().copied().filter(move |level| {
        level.size != Size::ZERO || last.is_none_or(|last| !is_beyond(level.price, last))
    })
}

/// Writes levels of both sides, each price as the distance from the one before it; whether there was any.
fn levels(
    out: &mut Vec<u8>,
    bid: Option<Price>,
    bids: impl Iterator<Item = Level> + Clone,
    ask: Option<Price>,
    asks: impl Iterator<Item = Level> + Clone,
) -> bool {
    let both = bids.map(|level| (Side::Bid, level)).chain(asks.map(|level| (Side::Ask, level)));
    let scale = scale_of(both.clone().map(|(_, level)| level.size));
    let (mut bid, mut ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    let mut both = both.peekable();
    let mut is_first = true;
    while let Some((side, level)) = both.next() {
        let (distance, side_flag) = match side {
            Side::Bid => (std::mem::replace(&mut bid, level.price).0.wrapping_sub(level.price.0), 0),
            Side::Ask => (level.price.0.wrapping_sub(std::mem::replace(&mut ask, level.price).0), ASK),
        };
        let flags = side_flag | if both.peek().is_some() { MORE } else { 0 };
        if std::mem::take(&mut is_first) {
            put_shifted(out, zigzag(distance), u64::from(scale) << FLAG_BITS | flags, FLAG_BITS + SCALE_BITS);
        } else {
            put_shifted(out, zigzag(distance), flags, FLAG_BITS);
        }
        put_size(out, level.size, scale);
    }
    !is_first
}

/// `value` × 2^`bits` + `low` as a number, which may have more than 64 bits: seven of them go into the first byte.
fn put_shifted(out: &mut Vec<u8>, value: u64, low: u64, bits: u32) {
    let own = 7 - bits;
    let first = ((value << bits | low) & 0x7F) as u8;
    let rest = value >> own;
    if rest == 0 {
        out.push(first);
    } else {
        out.push(first | 0x80);
        put(out, rest);
    }
}
