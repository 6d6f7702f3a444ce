//! Packet captures, pcap and pcapng, as tcpdump and Wireshark write them: the UDP datagrams in them, one after the
//! other.
//!
//! ```text
//! pcap    d4 c3 b2 a1 …  a header, then records: time, length, packet      (either byte order, µs or ns)
//! pcapng  0a 0d 0d 0a …  blocks: type, length, content, length             (either byte order, any resolution)
//! ```
//!
//! What they carry is the business of the formats that come in datagrams: [`super::itch`], [`super::iex`]. Those number
//! their messages, and [`messages`] puts them in order, once each, and tells what is missing.

mod blocks;
mod datagram;
pub(crate) mod messages;
mod records;
mod stream;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(test)]
pub(crate) mod writer;

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use self::blocks::Blocks;
use self::datagram::Found;
use self::records::Records;
use crate::{FeedError, Input, Timestamp};

/// What to do about packets of which there are only the first bytes.
const WHOLE: &str = "capture whole packets (tcpdump -s 0)";

/// Whether a file that begins so is a packet capture.
pub(crate) fn is_capture(head: &[u8]) -> bool {
    head.first_chunk().is_some_and(|magic| *magic == blocks::MAGIC || records::Encoding::of(*magic).is_some())
}

/// What the first datagram that is known carries, as `known` tells it.
///
/// # Errors
/// [`FeedError::UnknownFormat`] when there is none; what is damaged before it.
pub(crate) fn identify<T>(path: &Path, known: impl Fn(&[u8]) -> Option<T>) -> Result<T, FeedError> {
    let mut datagrams = Datagrams::open(path)?;
    while let Some(datagram) = datagrams.next_datagram()? {
        if let Some(protocol) = known(datagrams.payload(&datagram)) {
            return Ok(protocol);
        }
    }
    let cut = datagrams.first_cut.map_or_else(String::new, |offset| {
        format!(
            "; the capture cut {} of its packets, the first of them at byte {offset}: {WHOLE}",
            datagrams.cut
        )
    });
    let reason = format!(
        "a capture of {} packets and {} UDP datagrams in them, none of which carries a known feed{cut}",
        datagrams.packets, datagrams.datagrams
    );
    Err(FeedError::UnknownFormat { path: path.to_owned(), reason })
}

/// The UDP datagrams of a capture.
pub(crate) struct Datagrams {
    input: Input,
    container: Container,
    packet: Vec<u8>,
    packets: u64,
    datagrams: u64,
    /// Packets of which the capture has only the beginning.
    cut: u64,
    /// Where the record of the first of them begins.
    first_cut: Option<u64>,
}

/// A datagram. What it carries is [`Datagrams::payload`], up to the next one.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Where its record begins in the file.
    pub(crate) offset: u64,
    /// When it was captured.
    pub(crate) time: Timestamp,
    /// Where it was sent.
    pub(crate) to: SocketAddr,
    payload: Range<usize>,
    /// Bytes that the capture cut off.
    missing: usize,
}

enum Container {
    Records(Records),
    Blocks(Blocks),
}

/// A packet as the container has it.
struct Packet {
    time: Timestamp,
    link: u32,
    /// Bytes that the capture cut off.
    missing: usize,
}

impl Datagrams {
    /// # Errors
    /// [`FeedError::Io`]; [`FeedError::Damaged`] for a header that is not one.
    pub(crate) fn open(path: &Path) -> Result<Self, FeedError> {
        let mut input = Input::open(path)?;
        let mut magic = [0; 4];
        input.read_exact_or_end(&mut magic)?;
        let container = if magic == blocks::MAGIC {
            Blocks::open(&mut input).map(Container::Blocks)
        } else {
            Records::open(&mut input, magic).map(Container::Records)
        };
        let container = container.map_err(|error| error.at(0))?;
        Ok(Self { input, container, packet: Vec::new(), packets: 0, datagrams: 0, cut: 0, first_cut: None })
    }

    /// The next datagram; `None` at the end. Other packets, and fragments of datagrams, are passed over.
    ///
    /// # Errors
    /// [`FeedError::Io`], and [`FeedError::Damaged`] with the offset of the record. Do not go on after it.
    pub(crate) fn next_datagram(&mut self) -> Result<Option<Datagram>, FeedError> {
        loop {
            // Blocks without a packet are passed over within: the offset is that of the packet's own.
            let (input, buffer) = (&mut self.input, &mut self.packet);
            let packet = match &mut self.container {
                Container::Records(records) => records.next_packet(input, buffer),
                Container::Blocks(blocks) => blocks.next_packet(input, buffer),
            };
            let Some((offset, Packet { time, link, missing })) = packet? else {
                return Ok(None);
            };
            self.packets += 1;
            if missing > 0 {
                self.cut += 1;
                self.first_cut.get_or_insert(offset);
            }
            if let Some(Found { to, payload, cut }) = datagram::find(link, &self.packet, missing) {
                self.datagrams += 1;
                return Ok(Some(Datagram { offset, time, to, payload, missing: cut }));
            }
        }
    }

    /// What the datagram that was read last carries.
    pub(crate) fn payload(&self, datagram: &Datagram) -> &[u8] {
        &self.packet[datagram.payload.clone()]
    }

    /// The error for a datagram that cannot be right.
    pub(crate) fn damaged(&self, offset: u64, reason: String) -> FeedError {
        FeedError::Damaged { path: self.input.path().to_owned(), offset, reason }
    }

    /// Refuses a datagram of which the capture has only the beginning.
    ///
    /// # Errors
    /// [`FeedError::Damaged`].
    pub(crate) fn check_whole(&self, datagram: &Datagram) -> Result<(), FeedError> {
        let Datagram { offset, missing, ref payload, .. } = *datagram;
        if missing == 0 {
            return Ok(());
        }
        let whole = payload.len() + missing;
        Err(self.damaged(
            offset,
            format!("only {} of a datagram's {whole} bytes were captured: {WHOLE}", payload.len()),
        ))
    }
}

/// Reads `length` bytes into `buffer`.
fn read(input: &mut Input, buffer: &mut Vec<u8>, length: usize) -> Result<(), FeedError> {
    buffer.resize(length, 0);
    fill(input, buffer)
}

/// Fills `buffer`: here the file must not end.
fn fill(input: &mut Input, buffer: &mut [u8]) -> Result<(), FeedError> {
    if buffer.is_empty() || input.read_exact_or_end(buffer)? {
        return Ok(());
    }
    Err(input.damaged(format!("the file ends before {} bytes that its record has", buffer.len())))
}
