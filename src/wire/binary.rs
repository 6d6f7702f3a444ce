//! Encoders of `tickwire.v1.bin`: each appends one record. The layouts stand in `protocol.md`, byte by byte.
//!
//! The functions are those of [`super::json`], for the same publisher at the same moments. What differs is that a
//! record says differences: besides the old values an update is given the number and the time of the state before it.
//!
//! A record does not say its channel: the topic's number does, for whoever gave it out and for whoever was told it.

mod apply;
mod book;
mod decode;
mod session;
pub(super) mod varint;
#[cfg(test)]
mod tests;

use feeds::{Aggressor, Level, Price, Size, Timestamp, Trade};

use crate::state::{Quote, Status, StatusState};
use crate::topic::TopicId;

pub use apply::{BookLevels, Held, Missed};
pub use book::{BookSide, book_snapshot, book_update};
pub use decode::{
    BarChange, BookChange, Change, Fault, Gap, LevelChange, Merged, PriceStep, QuoteChange, Record,
    RecordError, Records, SideChange, Snapshot, TickerChange, TradeChange, Update, What, decode_records,
};
pub use session::{bar_snapshot, bar_update, ticker_snapshot, ticker_update};

use varint::{put, put_difference, zigzag};

/// What every record says besides its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which topic.
    pub topic: TopicId,
    /// The number of the state that the record leads to.
    pub seq: u64,
    /// How many changes it stands for.
    pub merged: u32,
    /// The venue's time of that state; sent in whole microseconds.
    pub ts_event: Timestamp,
}

impl Head {
    /// The head of a record that stands for one change.
    #[must_use]
    pub const fn new(topic: TopicId, seq: u64, ts_event: Timestamp) -> Self {
        Self { topic, seq, merged: 1, ts_event }
    }
}

/// The two low bits of a record's first number; above them stands the topic's.
mod form {
    /// An update to the next number.
    pub(super) const NEXT: u64 = 0;
    /// An update whose step is not 1.
    pub(super) const STEP: u64 = 1;
    pub(super) const SNAPSHOT: u64 = 2;
    /// What it is says the next byte: one of [`super::kind`], or an update with [`super::flag`]s.
    pub(super) const OTHER: u64 = 3;
}

mod kind {
    pub(super) const GAP: u8 = 0;
    pub(super) const MERGED: u8 = 1;
}

mod flag {
    /// Always set: it tells flags from a kind.
    pub(super) const UPDATE: u8 = 0x80;
    pub(super) const STEP: u8 = 0x01;
    pub(super) const MERGED: u8 = 0x02;
    pub(super) const BACKWARDS: u8 = 0x04;
    /// Of `book` only.
    pub(super) const CHECKSUM: u8 = 0x08;
    /// Of `quote` only.
    pub(super) const NO_BID: u8 = 0x10;
    pub(super) const NO_ASK: u8 = 0x20;
    pub(super) const EVERYWHERE: u8 = UPDATE | STEP | MERGED | BACKWARDS;
}

mod quote_field {
    pub(super) const BID: u8 = 1;
    pub(super) const BID_SIZE: u8 = 2;
    pub(super) const ASK: u8 = 4;
    pub(super) const ASK_SIZE: u8 = 8;
    pub(super) const SCALE_SHIFT: u32 = 4;
    pub(super) const STEP_SHIFT: u32 = 6;
    pub(super) const STEP_MAX: u64 = 3;
}

mod trade_field {
    pub(super) const SIDE: u8 = 3;
    pub(super) const ID: u8 = 4;
    pub(super) const SCALE_SHIFT: u32 = 3;
    pub(super) const STEP_SHIFT: u32 = 5;
    pub(super) const STEP_MAX: u64 = 6;
}

/// What the sizes of a record are divided by, all of them alike. Sizes are whole lots most of the time, and a lot is a
/// power of ten.
const SCALES: [u64; 4] = [1, 10, 10_000, 100_000];

/// A `quote` as a whole.
pub fn quote_snapshot(out: &mut Vec<u8>, head: &Head, epoch: &str, quote: &Quote) {
    snapshot_head(out, head, epoch);
    quote_fields(out, &Quote::default(), quote);
}

/// What differs between `old`, the state `held`, and `new`. Where nothing differs there is nothing to send, and this is
/// not called.
pub fn quote_update(out: &mut Vec<u8>, head: &Head, held: &Held, old: &Quote, new: &Quote) {
    let gone =
        |old: Option<Level>, new: Option<Level>, flag| if old.is_some() && new.is_none() { flag } else { 0 };
    let flags = gone(old.bid, new.bid, flag::NO_BID) | gone(old.ask, new.ask, flag::NO_ASK);
    update_head(out, head, held, flags);
    quote_fields(out, old, new);
}

/// The newest trade, and the number from which the next ones are counted.
pub fn trade_snapshot(out: &mut Vec<u8>, head: &Head, epoch: &str, trade: Option<&Trade>) {
    snapshot_head(out, head, epoch);
    out.push(u8::from(trade.is_some()));
    if let Some(trade) = trade {
        trade_fields(out, None, trade);
    }
}

/// A trade. `old`: the one before it.
pub fn trade_update(out: &mut Vec<u8>, head: &Head, held: &Held, old: Option<&Trade>, trade: &Trade) {
    update_head(out, head, held, 0);
    trade_fields(out, old, trade);
}

/// Whether the instrument trades, and why not.
pub fn status_snapshot(out: &mut Vec<u8>, head: &Head, epoch: &str, status: &Status) {
    snapshot_head(out, head, epoch);
    status_fields(out, status);
}

/// A new status.
pub fn status_update(out: &mut Vec<u8>, head: &Head, held: &Held, status: &Status) {
    update_head(out, head, held, 0);
    status_fields(out, status);
}

/// The messages from `prev_seq` + 1 to `seq` are lost to this client. Differences need something to differ from, so
/// that the topic's snapshot has to stand before its next update.
pub fn gap(out: &mut Vec<u8>, topic: TopicId, prev_seq: u64, seq: u64, ts_event: Timestamp) {
    record_head(out, topic, form::OTHER);
    out.push(kind::GAP);
    put(out, prev_seq);
    put(out, seq.wrapping_sub(prev_seq));
    put(out, zigzag(ts_event.micros()));
}

/// Says of the snapshot that follows it that it comes in place of the `n` changes after the state of number `prev_seq`,
/// which this client holds.
pub fn merged_prefix(out: &mut Vec<u8>, topic: TopicId, prev_seq: u64, n: u32) {
    record_head(out, topic, form::OTHER);
    out.push(kind::MERGED);
    put(out, prev_seq);
    put(out, u64::from(n));
}

fn record_head(out: &mut Vec<u8>, topic: TopicId, form: u64) {
    put(out, u64::from(topic.0) << 2 | form);
}

fn snapshot_head(out: &mut Vec<u8>, head: &Head, epoch: &str) {
    record_head(out, head.topic, form::SNAPSHOT);
    put(out, head.seq);
    put(out, zigzag(head.ts_event.micros()));
    text(out, epoch);
}

fn update_head(out: &mut Vec<u8>, head: &Head, held: &Held, mut flags: u8) {
    let step = head.seq.wrapping_sub(held.seq);
    let time_step = head.ts_event.micros() - held.ts_event.micros();
    if head.merged > 1 {
        flags |= flag::MERGED;
    }
    if time_step < 0 {
        flags |= flag::BACKWARDS;
    }
    if flags == 0 {
        record_head(out, head.topic, if step == 1 { form::NEXT } else { form::STEP });
    } else {
        record_head(out, head.topic, form::OTHER);
        out.push(flag::UPDATE | flags | if step == 1 { 0 } else { flag::STEP });
    }
    out.push(check(head.seq));
    if step != 1 {
        put(out, step);
    }
    if head.merged > 1 {
        put(out, u64::from(head.merged));
    }
    put(out, time_step.unsigned_abs());
}

/// By which a client sees that it holds the state before: the sum of the number's eight bytes.
///
/// Two numbers that differ by 1 to 254 never have the same, others by chance, one pair in 256. A loss that does not show
/// at once shows at the next carry into another byte, at most 256 updates later, if fewer than 65,280 messages were
/// lost. (The low byte alone would be blind to a loss of 256 for ever.)
const fn check(seq: u64) -> u8 {
    let mut sum = 0_u8;
    let mut rest = seq;
    while rest > 0 {
        sum = sum.wrapping_add((rest & 0xFF) as u8);
        rest >>= 8;
    }
    sum
}

fn text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// The largest of [`SCALES`] that divides all of them.
fn scale_of(sizes: impl Iterator<Item = Size> + Clone) -> u8 {
    let divides = |divisor: u64| {
        sizes.clone().all(|size| u64::try_from(size.0).is_ok_and(|size| size.is_multiple_of(divisor)))
    };
    (1..4_u8).rev().find(|&scale| divides(SCALES[usize::from(scale)])).unwrap_or(0)
}

fn put_size(out: &mut Vec<u8>, size: Size, scale: u8) {
    put(out, size.0.cast_unsigned() / SCALES[usize::from(scale)]);
}

fn quote_fields(out: &mut Vec<u8>, old: &Quote, new: &Quote) {
    use quote_field::{ASK, ASK_SIZE, BID, BID_SIZE, SCALE_SHIFT, STEP_MAX, STEP_SHIFT};

    let sides = [quote_side(old.bid, new.bid, BID, BID_SIZE), quote_side(old.ask, new.ask, ASK, ASK_SIZE)];
    let sizes = sides.iter().filter_map(|side| side.size);
    let scale = scale_of(sizes);
    let step = match [sides[0].price, sides[1].price] {
        [Some(step @ 1..=STEP_MAX), None] | [None, Some(step @ 1..=STEP_MAX)] => step,
        _ => 0,
    };
    let step_bits = ((step & STEP_MAX) as u8) << STEP_SHIFT;
    out.push(sides[0].fields | sides[1].fields | scale << SCALE_SHIFT | step_bits);
    for side in sides {
        if let Some(price) = side.price.filter(|_| step == 0) {
            put(out, price);
        }
        if let Some(size) = side.size {
            put_size(out, size, scale);
        }
    }
}

/// What of a side is sent.
#[derive(Clone, Copy, Default)]
struct QuoteSide {
    fields: u8,
    /// The difference, zigzag.
    price: Option<u64>,
    size: Option<Size>,
}

fn quote_side(old: Option<Level>, new: Option<Level>, price: u8, size: u8) -> QuoteSide {
    let Some(new) = new else { return QuoteSide::default() };
    let (base, appears) = (old.unwrap_or_default(), old.is_none());
    let mut side = QuoteSide::default();
    if appears || new.price != base.price {
        side.fields |= price;
        side.price = Some(zigzag(new.price.0.wrapping_sub(base.price.0)));
    }
    if appears || new.size != base.size {
        side.fields |= size;
        side.size = Some(new.size);
    }
    side
}

fn trade_fields(out: &mut Vec<u8>, old: Option<&Trade>, trade: &Trade) {
    use trade_field::{ID, SCALE_SHIFT, STEP_MAX, STEP_SHIFT};

    let side = match trade.aggressor {
        Aggressor::None => 0,
        Aggressor::Buy => 1,
        Aggressor::Sell => 2,
    };
    let step = zigzag(trade.price.0.wrapping_sub(old.map_or(0, |old| old.price.0)));
    let is_small = step <= STEP_MAX;
    let scale = scale_of(std::iter::once(trade.size));
    let step_bits = (if is_small { (step & 7) as u8 + 1 } else { 0 }) << STEP_SHIFT;
    out.push(side | if trade.id.is_some() { ID } else { 0 } | scale << SCALE_SHIFT | step_bits);
    if !is_small {
        put(out, step);
    }
    put_size(out, trade.size, scale);
    if let Some(id) = trade.id {
        let before = old.and_then(|old| old.id).unwrap_or(0);
        put(out, zigzag(id.wrapping_sub(before).cast_signed()));
    }
}

fn status_fields(out: &mut Vec<u8>, status: &Status) {
    out.push(match status.state {
        StatusState::Trading => 0,
        StatusState::Halted => 1,
        StatusState::Auction => 2,
        StatusState::Closed => 3,
        StatusState::Stale => 4,
        StatusState::Ended => 5,
    });
    text(out, &status.reason);
}

fn price_difference(out: &mut Vec<u8>, old: Price, new: Price) {
    put_difference(out, old.0, new.0);
}
