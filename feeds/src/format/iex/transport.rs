//! IEX-TP 1.0: the header of every datagram.
//!
//! ```text
//! 0 version 1   1 reserved   2 protocol   4 channel   8 session   12 bytes of messages   14 count
//! 16 offset in the stream of bytes   24 number of the first message   32 time of sending         40 bytes
//! ```
//!
//! A datagram without messages is a heartbeat: it tells the number that comes next.

use crate::format::pcap::messages::{Header, Protocol, are_messages};

const HEADER_BYTES: usize = 40;
const VERSION: u8 = 1;
const TOPS_1_6: u16 = 0x8003;
const DEEP_1_0: u16 = 0x8004;

/// A session of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    protocol: u16,
    channel: u32,
    session: u32,
}

impl Name {
    pub(super) fn is_same_channel(self, other: Self) -> bool {
        (self.protocol, self.channel) == (other.protocol, other.channel)
    }
}

pub(super) const PROTOCOL: Protocol<Name> =
    Protocol { is_known: carries_iex, read_header, length: u16::from_le_bytes };

/// Whether a datagram is TOPS 1.6 or DEEP 1.0, if only a heartbeat.
pub(crate) fn carries_iex(payload: &[u8]) -> bool {
    read_header(0, payload).is_ok()
}

fn read_header(_port: u16, payload: &[u8]) -> Result<Header<Name>, String> {
    let Some((header, rest)) = payload.split_first_chunk::<HEADER_BYTES>() else {
        return Err(format!(
            "a datagram of {} bytes, where IEX-TP has {HEADER_BYTES} or more",
            payload.len()
        ));
    };
    let short = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from(short(at)) | u32::from(short(at + 2)) << 16;
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    let (version, protocol) = (header[0], short(2));
    if version != VERSION || !matches!(protocol, TOPS_1_6 | DEEP_1_0) {
        return Err(format!(
            "version {version} of IEX-TP with protocol {protocol:#06x}, where TOPS 1.6 and DEEP 1.0 are known"
        ));
    }
    let (bytes, count) = (usize::from(short(12)), short(14));
    let is_whole =
        rest.get(..bytes).is_some_and(|messages| are_messages(messages, count, u16::from_le_bytes));
    if !is_whole {
        return Err(format!("{} bytes that are not just {count} messages in {bytes} bytes", rest.len()));
    }
    Ok(Header {
        stream: Name { protocol, channel: word(4), session: word(8) },
        first: long(24),
        count,
        messages: HEADER_BYTES..HEADER_BYTES + bytes,
    })
}
