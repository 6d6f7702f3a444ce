//! The `ticker` and `bar` channels: what trades of a time span add up to.

use feeds::{Exponent, Price};

use super::value::{decimal, ratio};
use super::{Envelope, integer, price, size, snapshot_head, update_head};
use crate::state::{Bar, Ticker, Totals};
use crate::topic::{Channel, Interval};

/// A `ticker` as a whole: all its fields, `null` where there is none yet.
pub fn ticker_snapshot(out: &mut Vec<u8>, envelope: &Envelope<'_>, epoch: &str, ticker: &Ticker) {
    snapshot_head(out, Channel::Ticker, envelope, epoch);
    ticker_fields(out, envelope, None, ticker);
}

/// The fields of a `ticker` that differ between `old` and `new`.
pub fn ticker_update(out: &mut Vec<u8>, envelope: &Envelope<'_>, prev_seq: u64, old: &Ticker, new: &Ticker) {
    update_head(out, Channel::Ticker, envelope, prev_seq);
    ticker_fields(out, envelope, Some(old), new);
}

/// The newest bar as a whole; all fields are `null` (and `final` is `false`) before the first trade.
pub fn bar_snapshot(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    epoch: &str,
    interval: Interval,
    bar: Option<&Bar>,
) {
    snapshot_head(out, Channel::Bar(interval), envelope, epoch);
    bar_fields(out, envelope, None, bar);
}

/// The fields of a bar that differ between `old` and `new`; all of them where `new` is another interval's bar.
pub fn bar_update(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    prev_seq: u64,
    interval: Interval,
    old: Option<&Bar>,
    new: &Bar,
) {
    update_head(out, Channel::Bar(interval), envelope, prev_seq);
    bar_fields(out, envelope, old.filter(|old| old.start == new.start), Some(new));
}

/// `old` is `None` for a snapshot: every field is written.
fn ticker_fields(out: &mut Vec<u8>, envelope: &Envelope<'_>, old: Option<&Ticker>, new: &Ticker) {
    let differs = |field: fn(&Ticker) -> Option<i128>| old.is_none_or(|old| field(old) != field(new));
    let (prices, sizes) = (envelope.price_exponent, envelope.size_exponent);

    if differs(|ticker| ticker.last.map(|last| last.price.0.into())) {
        out.extend_from_slice(b",\"last\":");
        price(out, new.last.map(|last| last.price), prices);
    }
    if differs(|ticker| ticker.last.map(|last| last.size.0.into())) {
        out.extend_from_slice(b",\"last_size\":");
        size(out, new.last.map(|last| last.size), sizes);
    }
    if differs(|ticker| ticker.bid.map(|bid| bid.0.into())) {
        out.extend_from_slice(b",\"bid\":");
        price(out, new.bid, prices);
    }
    if differs(|ticker| ticker.ask.map(|ask| ask.0.into())) {
        out.extend_from_slice(b",\"ask\":");
        price(out, new.ask, prices);
    }
    let old_totals = old.map(|old| old.session.as_ref());
    price_fields(out, envelope, &SESSION_PRICES, old_totals, new.session.as_ref());
    if differs(|ticker| ticker.close.map(|close| close.0.into())) {
        out.extend_from_slice(b",\"close\":");
        price(out, new.close, prices);
    }
    sum_fields(out, envelope, old_totals, new.session.as_ref());
    if differs(change) {
        out.extend_from_slice(b",\"change\":");
        decimal(out, change(new), prices);
    }
    if old.is_none_or(|old| change_ratio(old) != change_ratio(new)) {
        out.extend_from_slice(b",\"change_percent\":");
        ratio(out, change_ratio(new), Exponent::ONE);
    }
    out.push(b'}');
}

/// The last price less the session's first.
fn change(ticker: &Ticker) -> Option<i128> {
    let (last, session) = (ticker.last?, ticker.session?);
    Some(i128::from(last.price.0) - i128::from(session.open.0))
}

fn change_ratio(ticker: &Ticker) -> Option<(i128, i128)> {
    Some((change(ticker)? * 100, ticker.session?.open.0.into()))
}

/// `old` is `None` where every field is written; else it is of the same interval as `new`.
pub(super) fn bar_fields(out: &mut Vec<u8>, envelope: &Envelope<'_>, old: Option<&Bar>, new: Option<&Bar>) {
    if old.is_none() {
        out.extend_from_slice(b",\"start\":");
        match new {
            Some(bar) => integer(out, bar.start.micros()),
            None => out.extend_from_slice(b"null"),
        }
    }
    let (old_totals, new_totals) = (old.map(|bar| Some(&bar.totals)), new.map(|bar| &bar.totals));
    price_fields(out, envelope, &BAR_PRICES, old_totals, new_totals);
    sum_fields(out, envelope, old_totals, new_totals);
    let closed = new.is_some_and(|bar| bar.closed);
    if old.is_none_or(|bar| bar.closed != closed) {
        out.extend_from_slice(if closed { b",\"final\":true".as_slice() } else { b",\"final\":false" });
    }
    out.push(b'}');
}

type PriceField = (&'static [u8], fn(&Totals) -> Price);

/// A ticker's `close` is the official one, which is not among the totals.
const SESSION_PRICES: [PriceField; 3] = [
    (b",\"open\":", |totals| totals.open),
    (b",\"high\":", |totals| totals.high),
    (b",\"low\":", |totals| totals.low),
];
const BAR_PRICES: [PriceField; 4] =
    [SESSION_PRICES[0], SESSION_PRICES[1], SESSION_PRICES[2], (b",\"close\":", |totals| totals.close)];

fn price_fields(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    fields: &[PriceField],
    old: Option<Option<&Totals>>,
    new: Option<&Totals>,
) {
    for (key, field) in fields {
        let value = new.map(field);
        if old.is_none_or(|old| old.map(field) != value) {
            out.extend_from_slice(key);
            price(out, value, envelope.price_exponent);
        }
    }
}

/// `volume`, `vwap`, `trades`.
fn sum_fields(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    old: Option<Option<&Totals>>,
    new: Option<&Totals>,
) {
    let volume = |totals: &Totals| totals.volume;
    let sums = |totals: &Totals| (totals.notional, totals.volume);
    let trades = |totals: &Totals| totals.trades;
    if old.is_none_or(|old| old.map(volume) != new.map(volume)) {
        out.extend_from_slice(b",\"volume\":");
        decimal(out, new.map(volume), envelope.size_exponent);
    }
    if old.is_none_or(|old| old.map(sums) != new.map(sums)) {
        out.extend_from_slice(b",\"vwap\":");
        ratio(out, new.map(sums), envelope.price_exponent);
    }
    if old.is_none_or(|old| old.map(trades) != new.map(trades)) {
        out.extend_from_slice(b",\"trades\":");
        match new {
            Some(totals) => integer(out, totals.trades),
            None => out.extend_from_slice(b"null"),
        }
    }
}
