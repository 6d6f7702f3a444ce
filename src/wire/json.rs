//! Encoders of what the server pushes: each appends one JSON object, without brackets or commas around it.
//!
//! Written by hand because this is the hot path: every value goes straight into the output, digits by `itoa`, no
//! formatting machinery and no allocation but the output's own growth. Field names with their comma, quotes and colon
//! are one constant each. That is safe because a symbol needs no quoting ([`feeds::Symbol`]), numbers never do, and
//! the few free texts (epoch, reason) are escaped.

mod book;
mod rest;
mod session;
mod value;

use feeds::{Aggressor, Exponent, Instrument, Level, Price, Size, Timestamp, Trade};

use crate::state::{Quote, Status};
use crate::topic::Channel;

pub use book::{book_snapshot, book_update};
pub use rest::{bar_record, history_head, instrument, trade_record};
pub use session::{bar_snapshot, bar_update, ticker_snapshot, ticker_update};
pub(super) use value::{integer, text};

use value::{price, size};

/// What every data message says besides its data.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The instrument, as [`feeds::Symbol`] holds it: it is written without any escaping.
    pub symbol: &'a str,
    /// The scale of its prices.
    pub price_exponent: Exponent,
    /// The scale of its sizes.
    pub size_exponent: Exponent,
    /// The number of the state that the message leads to.
    pub seq: u64,
    /// How many changes the message stands for; `n` says it where it is more than 1.
    pub merged: u32,
    /// The venue's time of that state; shown in whole microseconds.
    pub ts_event: Timestamp,
}

impl<'a> Envelope<'a> {
    /// What a message of an instrument says besides its data.
    #[must_use]
    pub fn new(instrument: &'a Instrument, seq: u64, ts_event: Timestamp) -> Self {
        Self {
            symbol: instrument.symbol.as_str(),
            price_exponent: instrument.price_exponent,
            size_exponent: instrument.size_exponent,
            seq,
            merged: 1,
            ts_event,
        }
    }
}

/// A `quote` as a whole: all four fields, `null` for an empty side.
pub fn quote_snapshot(out: &mut Vec<u8>, envelope: &Envelope<'_>, epoch: &str, quote: &Quote) {
    snapshot_head(out, Channel::Quote, envelope, epoch);
    for (keys, level) in [(&BID_KEYS, quote.bid), (&ASK_KEYS, quote.ask)] {
        out.extend_from_slice(keys.price);
        price(out, level.map(|level| level.price), envelope.price_exponent);
        out.extend_from_slice(keys.size);
        size(out, level.map(|level| level.size), envelope.size_exponent);
    }
    out.push(b'}');
}

/// The fields of a `quote` that differ between `old` and `new`; both fields of a side that became empty are `null`.
/// Where nothing differs there is nothing to send, and this is not called.
pub fn quote_update(out: &mut Vec<u8>, envelope: &Envelope<'_>, prev_seq: u64, old: &Quote, new: &Quote) {
    update_head(out, Channel::Quote, envelope, prev_seq);
    quote_side(out, envelope, &BID_KEYS, old.bid, new.bid);
    quote_side(out, envelope, &ASK_KEYS, old.ask, new.ask);
    out.push(b'}');
}

/// The newest trade, and the number from which the next ones are counted. The trade's fields are left out when there
/// was none yet.
pub fn trade_snapshot(out: &mut Vec<u8>, envelope: &Envelope<'_>, epoch: &str, trade: Option<&Trade>) {
    snapshot_head(out, Channel::Trade, envelope, epoch);
    if let Some(trade) = trade {
        trade_fields(out, envelope, trade);
    }
    out.push(b'}');
}

/// A trade. `id` is left out where the venue gives none.
pub fn trade_update(out: &mut Vec<u8>, envelope: &Envelope<'_>, prev_seq: u64, trade: &Trade) {
    update_head(out, Channel::Trade, envelope, prev_seq);
    trade_fields(out, envelope, trade);
    out.push(b'}');
}

/// Whether the instrument trades, and why not.
pub fn status_snapshot(out: &mut Vec<u8>, envelope: &Envelope<'_>, epoch: &str, status: &Status) {
    snapshot_head(out, Channel::Status, envelope, epoch);
    status_fields(out, status);
}

/// A new status: always both fields.
pub fn status_update(out: &mut Vec<u8>, envelope: &Envelope<'_>, prev_seq: u64, status: &Status) {
    update_head(out, Channel::Status, envelope, prev_seq);
    status_fields(out, status);
}

/// The messages from `prev_seq` + 1 to the envelope's `seq` are lost to this client, and will not be sent.
pub fn gap(out: &mut Vec<u8>, envelope: &Envelope<'_>, channel: Channel, prev_seq: u64) {
    head(out, channel, "gap", envelope);
    out.extend_from_slice(b",\"from\":");
    integer(out, prev_seq.saturating_add(1));
    out.extend_from_slice(b",\"to\":");
    integer(out, envelope.seq);
    numbers(out, envelope, Some(prev_seq));
    out.push(b'}');
}

/// A snapshot's object for a client that holds the state of number `prev_seq`, and gets it in place of so many
/// `changes`: the same with `prev_seq` and `n`.
pub fn caught_up(out: &mut Vec<u8>, snapshot: &[u8], prev_seq: u64, changes: u64) {
    let fields = snapshot.strip_suffix(b"}").unwrap_or(snapshot);
    debug_assert_ne!(fields, snapshot, "an object ends with a brace");
    out.extend_from_slice(fields);
    out.extend_from_slice(b",\"prev_seq\":");
    integer(out, prev_seq);
    out.extend_from_slice(b",\"n\":");
    integer(out, changes);
    out.push(b'}');
}

/// The connection lives although nothing was sent. `ts`: the server's clock; `lag_us`: the age in microseconds of what
/// is being sent to this client; `laggard`: whether it gets merged states because it reads too slowly.
pub fn heartbeat(out: &mut Vec<u8>, ts: Timestamp, lag_us: u64, laggard: bool) {
    out.extend_from_slice(b"{\"channel\":\"heartbeat\",\"ts\":");
    integer(out, ts.micros());
    out.extend_from_slice(b",\"lag_us\":");
    integer(out, lag_us);
    out.extend_from_slice(if laggard { b",\"laggard\":true}" } else { b",\"laggard\":false}" });
}

struct SideKeys {
    price: &'static [u8],
    size: &'static [u8],
}

const BID_KEYS: SideKeys = SideKeys { price: b",\"bid\":", size: b",\"bid_size\":" };
const ASK_KEYS: SideKeys = SideKeys { price: b",\"ask\":", size: b",\"ask_size\":" };

fn quote_side(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    keys: &SideKeys,
    old: Option<Level>,
    new: Option<Level>,
) {
    let (old_price, new_price) = (old.map(|level| level.price), new.map(|level| level.price));
    if old_price != new_price {
        out.extend_from_slice(keys.price);
        price(out, new_price, envelope.price_exponent);
    }
    let (old_size, new_size) = (old.map(|level| level.size), new.map(|level| level.size));
    if old_size != new_size {
        out.extend_from_slice(keys.size);
        size(out, new_size, envelope.size_exponent);
    }
}

fn trade_fields(out: &mut Vec<u8>, envelope: &Envelope<'_>, trade: &Trade) {
    out.extend_from_slice(b",\"price\":");
    price(out, Some(trade.price), envelope.price_exponent);
    out.extend_from_slice(b",\"size\":");
    size(out, Some(trade.size), envelope.size_exponent);
    out.extend_from_slice(match trade.aggressor {
        Aggressor::Buy => b",\"side\":\"buy\"".as_slice(),
        Aggressor::Sell => b",\"side\":\"sell\"",
        Aggressor::None => b",\"side\":\"none\"",
    });
    if let Some(id) = trade.id {
        // A string: venues number trades past what a JavaScript number holds.
        out.extend_from_slice(b",\"id\":\"");
        integer(out, id);
        out.push(b'"');
    }
}

fn status_fields(out: &mut Vec<u8>, status: &Status) {
    out.extend_from_slice(b",\"state\":\"");
    out.extend_from_slice(status.state.as_str().as_bytes());
    out.extend_from_slice(b"\",\"reason\":");
    text(out, &status.reason);
    out.push(b'}');
}

/// `"channel":"book","depth":10`: a channel with its parameter.
pub(super) fn channel_fields(out: &mut Vec<u8>, channel: Channel) {
    out.extend_from_slice(b"\"channel\":\"");
    out.extend_from_slice(channel.name().as_bytes());
    out.push(b'"');
    match channel {
        Channel::Book(depth) => {
            out.extend_from_slice(b",\"depth\":");
            integer(out, depth.levels());
        }
        Channel::Bar(interval) => {
            out.extend_from_slice(b",\"interval\":\"");
            out.extend_from_slice(interval.as_str().as_bytes());
            out.push(b'"');
        }
        Channel::Quote | Channel::Trade | Channel::Ticker | Channel::Status => {}
    }
}

fn snapshot_head(out: &mut Vec<u8>, channel: Channel, envelope: &Envelope<'_>, epoch: &str) {
    head(out, channel, "snapshot", envelope);
    out.extend_from_slice(b",\"epoch\":");
    text(out, epoch);
    numbers(out, envelope, None);
}

fn update_head(out: &mut Vec<u8>, channel: Channel, envelope: &Envelope<'_>, prev_seq: u64) {
    head(out, channel, "update", envelope);
    numbers(out, envelope, Some(prev_seq));
}

fn head(out: &mut Vec<u8>, channel: Channel, kind: &str, envelope: &Envelope<'_>) {
    out.push(b'{');
    channel_fields(out, channel);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"symbol\":\"");
    out.extend_from_slice(envelope.symbol.as_bytes());
    out.push(b'"');
}

fn numbers(out: &mut Vec<u8>, envelope: &Envelope<'_>, prev_seq: Option<u64>) {
    out.extend_from_slice(b",\"seq\":");
    integer(out, envelope.seq);
    if let Some(prev_seq) = prev_seq {
        out.extend_from_slice(b",\"prev_seq\":");
        integer(out, prev_seq);
    }
    if envelope.merged > 1 {
        out.extend_from_slice(b",\"n\":");
        integer(out, envelope.merged);
    }
    out.extend_from_slice(b",\"ts_event\":");
    integer(out, envelope.ts_event.micros());
}

#[cfg(test)]
mod tests;
