//! The classic pcap file: one header, one kind of link, records.
//!
//! ```text
//! magic version major minor, zone, accuracy, snaplen, link type    24 bytes
//! seconds, µs or ns, bytes here, bytes on the wire                 16 bytes, then the packet
//! ```

use super::{Packet, fill, read};
use crate::limits::PACKET_BYTES_MAX;
use crate::{FeedError, Input, Timestamp};

const VERSION_MAJOR: u16 = 2;
/// The upper bits of the link type tell the length of a frame check sequence.
const LINK_MASK: u32 = 0x0fff_ffff;
const NANOSECONDS_PER_SECOND: i64 = 1_000_000_000;

pub(super) struct Records {
    encoding: Encoding,
    link: u32,
}

/// What the first four bytes tell.
#[derive(Clone, Copy)]
pub(super) struct Encoding {
    is_big_endian: bool,
    nanoseconds_per_unit: u32,
}

impl Encoding {
    pub(super) fn of(magic: [u8; 4]) -> Option<Self> {
        let (is_big_endian, nanoseconds_per_unit) = match magic {
            [0xd4, 0xc3, 0xb2, 0xa1] => (false, 1_000),
            [0xa1, 0xb2, 0xc3, 0xd4] => (true, 1_000),
            [0x4d, 0x3c, 0xb2, 0xa1] => (false, 1),
            [0xa1, 0xb2, 0x3c, 0x4d] => (true, 1),
            _ => return None,
        };
        Some(Self { is_big_endian, nanoseconds_per_unit })
    }

    fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

impl Records {
    /// Reads the rest of the header.
    pub(super) fn open(input: &mut Input, magic: [u8; 4]) -> Result<Self, FeedError> {
        let Some(encoding) = Encoding::of(magic) else {
            return Err(input.damaged(format!("begins with `{}`, as no pcap does", magic.escape_ascii())));
        };
        let mut header = [0; 20];
        fill(input, &mut header)?;
        let major = encoding.u16([header[0], header[1]]);
        if major != VERSION_MAJOR {
            return Err(input.damaged(format!("pcap version {major}, where {VERSION_MAJOR} is known")));
        }
        let link = encoding.u32([header[16], header[17], header[18], header[19]]) & LINK_MASK;
        Ok(Self { encoding, link })
    }

    /// Reads the next packet into `buffer`, and tells where its record begins.
    pub(super) fn next_packet(
        &self,
        input: &mut Input,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<(u64, Packet)>, FeedError> {
        let offset = input.offset();
        self.record(input, buffer).map(|packet| Some((offset, packet?))).map_err(|error| error.at(offset))
    }

    fn record(&self, input: &mut Input, buffer: &mut Vec<u8>) -> Result<Option<Packet>, FeedError> {
        let mut header = [0; 16];
        if !input.read_exact_or_end(&mut header)? {
            return Ok(None);
        }
        let field =
            |at: usize| self.encoding.u32([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (seconds, fraction, here, on_wire) = (field(0), field(4), field(8), field(12));
        let nanoseconds = i64::from(fraction) * i64::from(self.encoding.nanoseconds_per_unit);
        if nanoseconds >= NANOSECONDS_PER_SECOND {
            return Err(input.damaged(format!("a time with {fraction} as the fraction of its second")));
        }
        let length = here as usize;
        if length > PACKET_BYTES_MAX {
            return Err(input.damaged(format!("a packet of {length} bytes, more than {PACKET_BYTES_MAX}")));
        }
        read(input, buffer, length)?;
        let time = Timestamp(i64::from(seconds) * NANOSECONDS_PER_SECOND + nanoseconds);
        Ok(Some(Packet { time, link: self.link, missing: on_wire.saturating_sub(here) as usize }))
    }
}
