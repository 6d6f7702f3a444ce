//! The `book` channel.

use feeds::Level;

use super::{Envelope, integer, price, size, snapshot_head, update_head};
use crate::topic::{Channel, Depth};

/// The best `depth` levels of both sides, best first, and the checksum of the book as it is then.
/// At most `depth` levels are taken from each iterator.
pub fn book_snapshot(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    epoch: &str,
    depth: Depth,
    bids: impl Iterator<Item = Level>,
    asks: impl Iterator<Item = Level>,
    checksum: u32,
) {
    snapshot_head(out, Channel::Book(depth), envelope, epoch);
    out.extend_from_slice(b",\"bids\":");
    levels(out, envelope, bids.take(depth.levels()));
    out.extend_from_slice(b",\"asks\":");
    levels(out, envelope, asks.take(depth.levels()));
    out.extend_from_slice(b",\"checksum\":");
    integer(out, checksum);
    out.push(b'}');
}

/// The levels whose size changed, with their new size; size zero deletes the level. A side without a change is left
/// out. `checksum`: of the book after this update, where it is sent along.
pub fn book_update(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    prev_seq: u64,
    depth: Depth,
    bids: &[Level],
    asks: &[Level],
    checksum: Option<u32>,
) {
    update_head(out, Channel::Book(depth), envelope, prev_seq);
    if !bids.is_empty() {
        out.extend_from_slice(b",\"bids\":");
        levels(out, envelope, bids.iter().copied());
    }
    if !asks.is_empty() {
        out.extend_from_slice(b",\"asks\":");
        levels(out, envelope, asks.iter().copied());
    }
    if let Some(checksum) = checksum {
        out.extend_from_slice(b",\"checksum\":");
        integer(out, checksum);
    }
    out.push(b'}');
}

fn levels(out: &mut Vec<u8>, envelope: &Envelope<'_>, levels: impl Iterator<Item = Level>) {
    let mut separator = b'[';
    for level in levels {
        out.push(separator);
        separator = b',';
        out.push(b'[');
        price(out, Some(level.price), envelope.price_exponent);
        out.push(b',');
        size(out, Some(level.size), envelope.size_exponent);
        out.push(b']');
    }
    if separator == b'[' {
        out.push(b'[');
    }
    out.push(b']');
}
