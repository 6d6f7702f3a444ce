//! MoldUDP64, NASDAQ's numbering of messages in multicast datagrams, version 1.0; every number big-endian.
//!
//! ```text
//! session     sequence number  count   then so many messages, each behind its length
//! 10 bytes    8 bytes          2 bytes
//! ```
//!
//! A count of 0 is a heartbeat and one of 0xffff the end of the session: both tell the number that would come next.
//! Two addresses that carry the same session at the same port are one stream: the lines A and B of a feed.

use super::message::{self, MESSAGE_BYTES_MAX};
use crate::format::pcap::messages::{Header, LENGTH_BYTES, Protocol, are_messages};

const SESSION_BYTES: usize = 10;
const HEADER_BYTES: usize = 20;
const END_OF_SESSION: u16 = 0xffff;

/// A session at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamName {
    pub(super) port: u16,
    session: [u8; SESSION_BYTES],
}

pub(super) const PROTOCOL: Protocol<StreamName> =
    Protocol { is_known: carries_itch, read_header, length: u16::from_be_bytes };

/// Whether a datagram is MoldUDP64 with nothing but messages of ITCH 5.0 in it, and one at least.
pub(crate) fn carries_itch(payload: &[u8]) -> bool {
    let Ok(Header { count, messages, .. }) = read_header(0, payload) else { return false };
    let mut rest = &payload[messages];
    while let Some((length, tail)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MESSAGE_BYTES_MAX || tail.first().and_then(|kind| message::length(*kind)) != Some(length)
        {
            return false;
        }
        rest = &tail[length..];
    }
    count > 0
}

fn read_header(port: u16, payload: &[u8]) -> Result<Header<StreamName>, String> {
    let Some((header, messages)) = payload.split_first_chunk::<HEADER_BYTES>() else {
        return Err(format!(
            "a datagram of {} bytes, where MoldUDP64 has {HEADER_BYTES} or more",
            payload.len()
        ));
    };
    let mut session = [0; SESSION_BYTES];
    session.copy_from_slice(&header[..SESSION_BYTES]);
    let mut first = [0; 8];
    first.copy_from_slice(&header[SESSION_BYTES..18]);
    let count = match u16::from_be_bytes([header[18], header[19]]) {
        END_OF_SESSION => 0,
        count => count,
    };
    if !are_messages(messages, count, u16::from_be_bytes) {
        return Err(format!(
            "{} bytes that are not just {count} messages, as MoldUDP64 says",
            messages.len()
        ));
    }
    Ok(Header {
        stream: StreamName { port, session },
        first: u64::from_be_bytes(first),
        count,
        messages: HEADER_BYTES..payload.len(),
    })
}
