//! The `ticker` and `bar` channels. What JSON rounds (`vwap`, `change_percent`) is not sent: a client has the exact
//! sums that it is made from.

use feeds::{Price, Size, Timestamp};

use super::varint::{put, put_difference, put_sum_difference, zigzag};
use super::{Head, Held, price_difference, snapshot_head, update_head};
use crate::state::{Bar, Ticker, Totals};

/// The bits of a ticker's fields; those that change with every trade and quote are in the first byte.
pub(super) mod ticker_field {
    pub(in super::super) const LAST: u32 = 1;
    pub(in super::super) const LAST_SIZE: u32 = 1 << 1;
    pub(in super::super) const BID: u32 = 1 << 2;
    pub(in super::super) const ASK: u32 = 1 << 3;
    pub(in super::super) const VOLUME: u32 = 1 << 4;
    pub(in super::super) const NOTIONAL: u32 = 1 << 5;
    pub(in super::super) const TRADES: u32 = 1 << 6;
    pub(in super::super) const HIGH: u32 = 1 << 7;
    pub(in super::super) const LOW: u32 = 1 << 8;
    pub(in super::super) const OPEN: u32 = 1 << 9;
    pub(in super::super) const CLOSE: u32 = 1 << 10;
    pub(in super::super) const NO_LAST: u32 = 1 << 11;
    pub(in super::super) const NO_BID: u32 = 1 << 12;
    pub(in super::super) const NO_ASK: u32 = 1 << 13;
    pub(in super::super) const NO_SESSION: u32 = 1 << 14;
    pub(in super::super) const NO_CLOSE: u32 = 1 << 15;
    pub(in super::super) const ALL: u32 = (1 << 16) - 1;
}

/// The bits of a bar's fields.
pub(super) mod bar_field {
    pub(in super::super) const HIGH: u32 = 1;
    pub(in super::super) const LOW: u32 = 1 << 1;
    pub(in super::super) const CLOSE: u32 = 1 << 2;
    pub(in super::super) const VOLUME: u32 = 1 << 3;
    pub(in super::super) const NOTIONAL: u32 = 1 << 4;
    pub(in super::super) const TRADES: u32 = 1 << 5;
    pub(in super::super) const FINAL: u32 = 1 << 6;
    pub(in super::super) const OPEN: u32 = 1 << 7;
    pub(in super::super) const START: u32 = 1 << 8;
    pub(in super::super) const ALL: u32 = (1 << 9) - 1;
}

/// A `ticker` as a whole.
pub fn ticker_snapshot(out: &mut Vec<u8>, head: &Head, epoch: &str, ticker: &Ticker) {
    snapshot_head(out, head, epoch);
    ticker_fields(out, &Ticker::default(), ticker);
}

/// What of a `ticker` differs between `old`, the state `held`, and `new`.
pub fn ticker_update(out: &mut Vec<u8>, head: &Head, held: &Held, old: &Ticker, new: &Ticker) {
    update_head(out, head, held, 0);
    ticker_fields(out, old, new);
}

/// The newest bar as a whole; `None` before the first trade.
pub fn bar_snapshot(out: &mut Vec<u8>, head: &Head, epoch: &str, bar: Option<&Bar>) {
    snapshot_head(out, head, epoch);
    out.push(u8::from(bar.is_some()));
    if let Some(bar) = bar {
        bar_fields(out, None, bar);
    }
}

/// What of a bar differs between `old`, the state `held`, and `new`.
pub fn bar_update(out: &mut Vec<u8>, head: &Head, held: &Held, old: Option<&Bar>, new: &Bar) {
    update_head(out, head, held, 0);
    bar_fields(out, old, new);
}

fn ticker_fields(out: &mut Vec<u8>, old: &Ticker, new: &Ticker) {
    use ticker_field::{
        ASK, BID, CLOSE, HIGH, LAST, LAST_SIZE, LOW, NO_ASK, NO_BID, NO_CLOSE, NO_LAST, NO_SESSION, NOTIONAL,
        OPEN, TRADES, VOLUME,
    };

    let mut fields = 0;
    let mut mark = |field, is_sent| fields |= if is_sent { field } else { 0 };
    let appears = old.last.is_none() && new.last.is_some();
    let (last, old_last) = (new.last.unwrap_or_default(), old.last.unwrap_or_default());
    mark(LAST, new.last.is_some() && (appears || last.price != old_last.price));
    mark(LAST_SIZE, new.last.is_some() && (appears || last.size != old_last.size));
    mark(BID, new.bid.is_some() && new.bid != old.bid);
    mark(ASK, new.ask.is_some() && new.ask != old.ask);
    mark(CLOSE, new.close.is_some() && new.close != old.close);
    let appears = old.session.is_none() && new.session.is_some();
    let (session, old_session) = (new.session.unwrap_or(NOTHING), old.session.unwrap_or(NOTHING));
    let mut mark_session = |field, differs: bool| mark(field, new.session.is_some() && (appears || differs));
    mark_session(VOLUME, session.volume != old_session.volume);
    mark_session(NOTIONAL, session.notional != old_session.notional);
    mark_session(TRADES, session.trades != old_session.trades);
    mark_session(HIGH, session.high != old_session.high);
    mark_session(LOW, session.low != old_session.low);
    mark_session(OPEN, session.open != old_session.open);
    mark(NO_LAST, old.last.is_some() && new.last.is_none());
    mark(NO_BID, old.bid.is_some() && new.bid.is_none());
    mark(NO_ASK, old.ask.is_some() && new.ask.is_none());
    mark(NO_SESSION, old.session.is_some() && new.session.is_none());
    mark(NO_CLOSE, old.close.is_some() && new.close.is_none());

    put(out, u64::from(fields));
    let is_sent = |field| fields & field != 0;
    if is_sent(LAST) {
        price_difference(out, old_last.price, last.price);
    }
    if is_sent(LAST_SIZE) {
        put_whole(out, last.size);
    }
    if is_sent(BID) {
        price_difference(out, old.bid.unwrap_or_default(), new.bid.unwrap_or_default());
    }
    if is_sent(ASK) {
        price_difference(out, old.ask.unwrap_or_default(), new.ask.unwrap_or_default());
    }
    sums(out, [VOLUME, NOTIONAL, TRADES].map(is_sent), &old_session, &session);
    for (field, of) in [(HIGH, HIGHEST), (LOW, LOWEST), (OPEN, FIRST)] {
        if is_sent(field) {
            price_difference(out, of(&old_session), of(&session));
        }
    }
    if is_sent(CLOSE) {
        price_difference(out, old.close.unwrap_or_default(), new.close.unwrap_or_default());
    }
}

fn bar_fields(out: &mut Vec<u8>, old: Option<&Bar>, new: &Bar) {
    use bar_field::{CLOSE, FINAL, HIGH, LOW, NOTIONAL, OPEN, START, TRADES, VOLUME};

    let is_new = old.is_none_or(|old| old.start != new.start);
    let base = if is_new { before(old) } else { old.copied().unwrap_or_else(|| before(None)) };
    let (totals, old_totals) = (&new.totals, &base.totals);
    let mut fields = if is_new { START } else { 0 };
    let mut mark = |field, differs| fields |= if differs { field } else { 0 };
    mark(HIGH, totals.high != old_totals.high);
    mark(LOW, totals.low != old_totals.low);
    mark(CLOSE, totals.close != old_totals.close);
    mark(VOLUME, totals.volume != old_totals.volume);
    mark(NOTIONAL, totals.notional != old_totals.notional);
    mark(TRADES, totals.trades != old_totals.trades);
    mark(FINAL, new.closed != base.closed);
    mark(OPEN, totals.open != old_totals.open);

    put(out, u64::from(fields));
    let is_sent = |field| fields & field != 0;
    if is_new {
        put_difference(out, base.start.micros(), new.start.micros());
    }
    for (field, of) in [(HIGH, HIGHEST), (LOW, LOWEST), (CLOSE, NEWEST)] {
        if is_sent(field) {
            price_difference(out, of(old_totals), of(totals));
        }
    }
    sums(out, [VOLUME, NOTIONAL, TRADES].map(is_sent), old_totals, totals);
    if is_sent(OPEN) {
        price_difference(out, old_totals.open, totals.open);
    }
}

/// What a new bar differs from: a bar that stands where the one before it closed, and in which nothing was traded.
pub(super) fn before(old: Option<&Bar>) -> Bar {
    let (start, close) = old.map_or((Timestamp(0), Price::ZERO), |old| (old.start, old.totals.close));
    let totals = Totals { open: close, high: close, low: close, close, ..NOTHING };
    Bar { start, totals, closed: false }
}

/// What the totals of the first trade differ from.
pub(super) const NOTHING: Totals = Totals {
    open: Price::ZERO,
    high: Price::ZERO,
    low: Price::ZERO,
    close: Price::ZERO,
    volume: 0,
    notional: 0,
    trades: 0,
};

const FIRST: fn(&Totals) -> Price = |totals| totals.open;
const HIGHEST: fn(&Totals) -> Price = |totals| totals.high;
const LOWEST: fn(&Totals) -> Price = |totals| totals.low;
const NEWEST: fn(&Totals) -> Price = |totals| totals.close;

/// Volume, notional and number of trades, as far as they are sent.
fn sums(out: &mut Vec<u8>, is_sent: [bool; 3], old: &Totals, new: &Totals) {
    if is_sent[0] {
        put_sum_difference(out, old.volume, new.volume);
    }
    if is_sent[1] {
        put_sum_difference(out, old.notional, new.notional);
    }
    if is_sent[2] {
        put(out, zigzag(new.trades.wrapping_sub(old.trades).cast_signed()));
    }
}

fn put_whole(out: &mut Vec<u8>, size: Size) {
    put(out, size.0.cast_unsigned());
}
