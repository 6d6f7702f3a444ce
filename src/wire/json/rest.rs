//! What only REST carries: instruments, and the history of trades and bars.

use feeds::{Instrument, Trade};

use super::value::price;
use super::{Envelope, channel_fields, integer, session, text, trade_fields};
use crate::state::Bar;
use crate::topic::Channel;

/// An instrument; `null` for what its venue does not say.
pub fn instrument(out: &mut Vec<u8>, instrument: &Instrument) {
    out.extend_from_slice(b"{\"symbol\":\"");
    out.extend_from_slice(instrument.symbol.as_str().as_bytes());
    out.extend_from_slice(b"\",\"venue\":\"");
    out.extend_from_slice(instrument.venue.as_bytes());
    out.extend_from_slice(b"\",\"price_exponent\":");
    integer(out, instrument.price_exponent.get());
    out.extend_from_slice(b",\"size_exponent\":");
    integer(out, instrument.size_exponent.get());
    out.extend_from_slice(b",\"tick_size\":");
    price(out, instrument.tick_size, instrument.price_exponent);
    out.extend_from_slice(b",\"currency\":");
    match &instrument.currency {
        Some(currency) => text(out, currency),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// What a list of a topic's history begins with: the topic, its epoch, and its newest number. No brackets around it.
pub fn history_head(out: &mut Vec<u8>, channel: Channel, symbol: &str, epoch: &str, seq: u64) {
    channel_fields(out, channel);
    out.extend_from_slice(b",\"symbol\":\"");
    out.extend_from_slice(symbol.as_bytes());
    out.extend_from_slice(b"\",\"epoch\":");
    text(out, epoch);
    out.extend_from_slice(b",\"seq\":");
    integer(out, seq);
}

/// A trade of the history, with the `seq` it was sent with.
pub fn trade_record(out: &mut Vec<u8>, envelope: &Envelope<'_>, trade: &Trade) {
    out.extend_from_slice(b"{\"seq\":");
    integer(out, envelope.seq);
    out.extend_from_slice(b",\"ts_event\":");
    integer(out, envelope.ts_event.micros());
    trade_fields(out, envelope, trade);
    out.push(b'}');
}

/// A bar of the history; the envelope's numbers are not shown.
pub fn bar_record(out: &mut Vec<u8>, envelope: &Envelope<'_>, bar: &Bar) {
    let start = out.len();
    session::bar_fields(out, envelope, None, Some(bar));
    // The fields follow others elsewhere, and begin with a comma.
    out[start] = b'{';
}
