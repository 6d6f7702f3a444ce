//! The pcapng file: blocks, each with its length before and after it.
//!
//! ```text
//! 0a0d0d0a  section header: byte order; what follows is of this section, and so are the interfaces
//! 00000001  interface: link type, snaplen, options (9: resolution of its clock, 14: seconds to add)
//! 00000006  packet: interface, time, bytes here, bytes on the wire, the packet, options
//! 00000002  the same, obsolete: the interface in 16 bits, then a count of drops
//! 00000003  simple packet: without a time, which no replay can do with
//! ```
//!
//! Any other block is passed over. A clock finer than nanoseconds is cut to whole nanoseconds: it is the time of
//! receipt alone that this concerns.

use super::{Packet, fill, read};
use crate::limits::{PACKET_BYTES_MAX, PCAP_INTERFACES_MAX, PCAP_OPTIONS_BYTES_MAX};
use crate::{FeedError, Input, Timestamp};

pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;

/// Type, length, and the length again.
const FRAME_BYTES: usize = 12;
/// Byte order, version, length of the section.
const SECTION_BYTES: usize = 16;
const INTERFACE_BYTES: usize = 8;
const PACKET_FIELDS_BYTES: usize = 20;
const BODY_BYTES_MAX: usize = PACKET_BYTES_MAX + PCAP_OPTIONS_BYTES_MAX;

const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;
const NANOSECONDS_PER_SECOND: i128 = 1_000_000_000;

pub(super) struct Blocks {
    is_big_endian: bool,
    interfaces: Vec<Interface>,
    body: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Interface {
    link: u32,
    /// Units of its clock in a second.
    units_per_second: i128,
    /// What is to be added to its time.
    offset_seconds: i64,
}

impl Blocks {
    /// Reads the first section header, whose type has been read.
    pub(super) fn open(input: &mut Input) -> Result<Self, FeedError> {
        let mut blocks = Self { is_big_endian: false, interfaces: Vec::new(), body: Vec::new() };
        blocks.section(input)?;
        Ok(blocks)
    }

    /// Reads the next packet into `buffer`, and tells where its block begins.
    pub(super) fn next_packet(
        &mut self,
        input: &mut Input,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<(u64, Packet)>, FeedError> {
        loop {
            let offset = input.offset();
            match self.block(input, buffer) {
                Ok(Block::Packet(packet)) => return Ok(Some((offset, packet))),
                Ok(Block::Other) => {}
                Ok(Block::End) => return Ok(None),
                Err(error) => return Err(error.at(offset)),
            }
        }
    }

    fn block(&mut self, input: &mut Input, buffer: &mut Vec<u8>) -> Result<Block, FeedError> {
        let mut kind = [0; 4];
        if !input.read_exact_or_end(&mut kind)? {
            return Ok(Block::End);
        }
        // The same in both byte orders: this block tells which.
        if kind == MAGIC {
            return self.section(input).map(|()| Block::Other);
        }
        let mut length = [0; 4];
        fill(input, &mut length)?;
        let (kind, length) = (self.u32(kind), self.u32(length));
        let body_bytes = body_bytes(length).map_err(|reason| input.damaged(reason))?;
        let is_kept = matches!(kind, INTERFACE | PACKET | OBSOLETE_PACKET);
        if !is_kept {
            if kind == SIMPLE_PACKET {
                return Err(input.damaged("a simple packet block, which has no time".to_owned()));
            }
            self.skip(input, body_bytes)?;
        } else if body_bytes > BODY_BYTES_MAX {
            return Err(input.damaged(format!("a block of {length} bytes, more than {BODY_BYTES_MAX}")));
        } else {
            read(input, &mut self.body, body_bytes)?;
        }
        self.end(input, length)?;
        let content = match kind {
            INTERFACE => self.interface().map(|()| Block::Other),
            PACKET | OBSOLETE_PACKET => self.packet(kind, buffer).map(Block::Packet),
            _ => Ok(Block::Other),
        };
        content.map_err(|reason| input.damaged(reason))
    }

    /// A section header after its type.
    fn section(&mut self, input: &mut Input) -> Result<(), FeedError> {
        let mut head = [0; 4 + SECTION_BYTES];
        fill(input, &mut head)?;
        let order = [head[4], head[5], head[6], head[7]];
        self.is_big_endian = match (u32::from_be_bytes(order), u32::from_le_bytes(order)) {
            (BYTE_ORDER, _) => true,
            (_, BYTE_ORDER) => false,
            _ => return Err(input.damaged(format!("`{}` for a byte order", order.escape_ascii()))),
        };
        let major = self.u16([head[8], head[9]]);
        if major != 1 {
            return Err(input.damaged(format!("pcapng version {major}, where 1 is known")));
        }
        let length = self.u32([head[0], head[1], head[2], head[3]]);
        let options = body_bytes(length).ok().and_then(|bytes| bytes.checked_sub(SECTION_BYTES));
        let Some(options) = options else {
            return Err(input.damaged(format!("a section header of {length} bytes")));
        };
        self.interfaces.clear();
        self.skip(input, options)?;
        self.end(input, length)
    }

    fn interface(&mut self) -> Result<(), String> {
        let body = &self.body;
        if body.len() < INTERFACE_BYTES {
            return Err(format!("an interface of {} bytes", body.len()));
        }
        let mut interface = Interface {
            link: u32::from(self.u16([body[0], body[1]])),
            units_per_second: 1_000_000,
            offset_seconds: 0,
        };
        let mut options = &body[INTERFACE_BYTES..];
        while let [a, b, c, d, rest @ ..] = options {
            let (code, length) = (self.u16([*a, *b]), usize::from(self.u16([*c, *d])));
            if code == 0 {
                break;
            }
            let Some(value) = rest.get(..length) else {
                return Err(format!("an option of {length} bytes, of which {} are there", rest.len()));
            };
            match (code, value) {
                (OPTION_RESOLUTION, [resolution]) => interface.units_per_second = units(*resolution)?,
                (OPTION_OFFSET, value) if value.len() == 8 => {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(value);
                    interface.offset_seconds = if self.is_big_endian {
                        i64::from_be_bytes(bytes)
                    } else {
                        i64::from_le_bytes(bytes)
                    };
                }
                (OPTION_RESOLUTION | OPTION_OFFSET, _) => {
                    return Err(format!("option {code} of {length} bytes"));
                }
                _ => {}
            }
            options = rest.get(padded(length)..).unwrap_or_default();
        }
        if self.interfaces.len() >= PCAP_INTERFACES_MAX {
            return Err(format!("more than {PCAP_INTERFACES_MAX} interfaces in a section"));
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn packet(&self, kind: u32, buffer: &mut Vec<u8>) -> Result<Packet, String> {
        let Some((fields, content)) = self.body.split_first_chunk::<PACKET_FIELDS_BYTES>() else {
            return Err(format!("a packet block with {} bytes", self.body.len()));
        };
        let field = |at: usize| self.u32([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
        let interface =
            if kind == OBSOLETE_PACKET { u32::from(self.u16([fields[0], fields[1]])) } else { field(0) };
        let Some(interface) = self.interfaces.get(interface as usize) else {
            return Err(format!(
                "a packet of interface {interface}, where its section has {}",
                self.interfaces.len()
            ));
        };
        let (here, on_wire) = (field(12), field(16));
        let packet = content.get(..here as usize).filter(|packet| packet.len() <= PACKET_BYTES_MAX);
        let Some(packet) = packet else {
            return Err(format!("a packet of {here} bytes in a block with room for {}", content.len()));
        };
        buffer.clear();
        buffer.extend_from_slice(packet);
        let units = u64::from(field(4)) << 32 | u64::from(field(8));
        Ok(Packet {
            time: interface.time(units)?,
            link: interface.link,
            missing: on_wire.saturating_sub(here) as usize,
        })
    }

    /// The length that closes a block.
    fn end(&self, input: &mut Input, length: u32) -> Result<(), FeedError> {
        let mut again = [0; 4];
        fill(input, &mut again)?;
        let again = self.u32(again);
        if again == length {
            return Ok(());
        }
        Err(input.damaged(format!("a block of {length} bytes that closes with a length of {again}")))
    }

    fn skip(&mut self, input: &mut Input, mut bytes: usize) -> Result<(), FeedError> {
        while bytes > 0 {
            let step = bytes.min(PCAP_OPTIONS_BYTES_MAX);
            read(input, &mut self.body, step)?;
            bytes -= step;
        }
        Ok(())
    }

    const fn u16(&self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    const fn u32(&self, bytes: [u8; 4]) -> u32 {
        if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

enum Block {
    Packet(Packet),
    Other,
    End,
}

impl Interface {
    fn time(&self, units: u64) -> Result<Timestamp, String> {
        let since_offset = i128::from(units) * NANOSECONDS_PER_SECOND / self.units_per_second;
        let nanoseconds = since_offset + i128::from(self.offset_seconds) * NANOSECONDS_PER_SECOND;
        i64::try_from(nanoseconds)
            .map(Timestamp)
            .map_err(|_| format!("a time of {nanoseconds} ns, which 64 bits do not hold"))
    }
}

/// Units in a second: the resolution is a negative power of 10, or of 2 where the highest bit is set.
fn units(resolution: u8) -> Result<i128, String> {
    let power = u32::from(resolution & 0x7f);
    let base: i128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    // 10^-27 s and finer would not multiply with a time of 64 bits.
    base.checked_pow(power)
        .filter(|units| *units <= 1 << 62)
        .ok_or_else(|| format!("a clock with a resolution of {base}^-{power} s"))
}

/// Bytes of a block's content.
fn body_bytes(length: u32) -> Result<usize, String> {
    (length as usize)
        .checked_sub(FRAME_BYTES)
        .filter(|body| body.is_multiple_of(4))
        .ok_or_else(|| format!("a block of {length} bytes"))
}

const fn padded(length: usize) -> usize {
    length.next_multiple_of(4)
}
