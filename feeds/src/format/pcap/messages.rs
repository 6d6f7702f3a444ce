//! The messages of feeds that number them: in order, each once, and the gaps between.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use super::stream::{Packet, Step, Stream};
use super::{Datagram, Datagrams};
use crate::limits::{PACKET_ADDRESSES_MAX, PACKET_STREAMS_MAX};
use crate::{FeedError, Timestamp};

/// Reads a datagram of a protocol, which was sent to a port.
pub(crate) type ReadHeader<K> = fn(u16, &[u8]) -> Result<Header<K>, String>;

/// What a datagram says of its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header<K> {
    /// The stream within which messages are numbered.
    pub(crate) stream: K,
    /// The number of the first message; where there is none, of the next that will come.
    pub(crate) first: u64,
    /// How many messages there are.
    pub(crate) count: u16,
    /// Where they stand, each behind its length: just so many.
    pub(crate) messages: Range<usize>,
}

/// How a protocol is written.
pub(crate) struct Protocol<K> {
    /// Whether a datagram is of the protocol beyond doubt: from then on all to the same address must be.
    pub(crate) is_known: fn(&[u8]) -> bool,
    /// Reads what must be of the protocol.
    pub(crate) read_header: ReadHeader<K>,
    /// A message's length.
    pub(crate) length: fn([u8; LENGTH_BYTES]) -> u16,
}

pub(crate) const LENGTH_BYTES: usize = 2;

/// What comes next.
#[derive(Debug)]
pub(crate) enum Item<'a, K> {
    /// A message of a stream; streams are numbered in the order they begin to speak.
    Message {
        /// The stream's number, and its name.
        stream: (usize, K),
        /// Where the packet's record begins.
        offset: u64,
        /// When the packet was captured.
        time: Timestamp,
        /// The message.
        bytes: &'a [u8],
    },
    /// Messages of a stream are lost.
    Gap {
        /// The stream's number.
        stream: usize,
        /// The first that is lost.
        expected: u64,
        /// The first that is not.
        found: u64,
        /// When the packet after the gap was captured.
        time: Timestamp,
    },
}

/// The messages of a capture.
pub(crate) struct Messages<K> {
    datagrams: Datagrams,
    protocol: Protocol<K>,
    addresses: BTreeSet<SocketAddr>,
    streams: Vec<(K, Stream)>,
    /// The stream that may have more to give before the next datagram is read.
    turn: Option<usize>,
    current: Option<Current>,
    /// Datagrams of anything else.
    foreign: u64,
    end: Option<Result<(), FeedError>>,
}

/// A packet that is being handed out.
struct Current {
    stream: usize,
    packet: Packet,
    at: usize,
}

enum Next {
    /// Where it is in [`Messages::current`].
    Message(Range<usize>),
    Gap {
        stream: usize,
        expected: u64,
        found: u64,
        time: Timestamp,
    },
}

impl<K: Copy + Eq> Messages<K> {
    pub(crate) fn open(path: &Path, protocol: Protocol<K>) -> Result<Self, FeedError> {
        Ok(Self {
            datagrams: Datagrams::open(path)?,
            protocol,
            addresses: BTreeSet::new(),
            streams: Vec::new(),
            turn: None,
            current: None,
            foreign: 0,
            end: None,
        })
    }

    /// What comes next; `None` at the end. Before damage is reported comes all that stood before it.
    ///
    /// # Errors
    /// [`FeedError`] of the file, or for a datagram that is not what its protocol demands; afterwards `None`.
    pub(crate) fn next_item(&mut self) -> Result<Option<Item<'_, K>>, FeedError> {
        let range = match self.advance()? {
            None => return Ok(None),
            Some(Next::Gap { stream, expected, found, time }) => {
                return Ok(Some(Item::Gap { stream, expected, found, time }));
            }
            Some(Next::Message(range)) => range,
        };
        let Some(Current { stream, packet, .. }) = &self.current else { return Ok(None) };
        Ok(Some(Item::Message {
            stream: (*stream, self.streams[*stream].0),
            offset: packet.offset,
            time: packet.time,
            bytes: &packet.messages[range],
        }))
    }

    fn advance(&mut self) -> Result<Option<Next>, FeedError> {
        loop {
            if let Some(range) = self.message() {
                return Ok(Some(Next::Message(range)));
            }
            if let Some(turn) = self.turn {
                match self.streams[turn].1.step(self.end.is_some()) {
                    Some(Step::Packet(packet, known)) => self.begin(turn, packet, known),
                    Some(Step::Gap { expected, found, time }) => {
                        return Ok(Some(Next::Gap { stream: turn, expected, found, time }));
                    }
                    // At the end every stream gives what it still holds.
                    None => {
                        let next = turn + 1;
                        self.turn = (self.end.is_some() && next < self.streams.len()).then_some(next);
                    }
                }
                continue;
            }
            if let Some(end) = &mut self.end {
                return std::mem::replace(end, Ok(())).map(|()| None);
            }
            match self.datagrams.next_datagram() {
                Ok(Some(datagram)) => match self.arrive(&datagram) {
                    Ok(turn) => self.turn = turn,
                    Err(error) => self.finish(Err(error)),
                },
                Ok(None) => self.finish(Ok(())),
                Err(error) => self.finish(Err(error)),
            }
        }
    }

    /// The error for a message that cannot be right.
    pub(crate) fn damaged(&self, offset: u64, reason: String) -> FeedError {
        self.datagrams.damaged(offset, reason)
    }

    /// Packets that had come before, or came after they had been given up.
    pub(crate) fn duplicates(&self) -> u64 {
        self.streams.iter().map(|(_, stream)| stream.duplicates).sum()
    }

    /// Messages that never came.
    pub(crate) fn lost(&self) -> u64 {
        self.streams.iter().map(|(_, stream)| stream.lost).sum()
    }

    /// Datagrams that were of no stream.
    pub(crate) const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Puts a datagram into its stream.
    fn arrive(&mut self, datagram: &Datagram) -> Result<Option<usize>, FeedError> {
        let payload = self.datagrams.payload(datagram);
        if !self.addresses.contains(&datagram.to) {
            if !(self.protocol.is_known)(payload) {
                self.foreign += 1;
                return Ok(None);
            }
            if self.addresses.len() >= PACKET_ADDRESSES_MAX {
                let reason = format!("streams to more than {PACKET_ADDRESSES_MAX} addresses");
                return Err(self.datagrams.damaged(datagram.offset, reason));
            }
            self.addresses.insert(datagram.to);
        }
        self.datagrams.check_whole(datagram)?;
        let header = (self.protocol.read_header)(datagram.to.port(), payload);
        let header = header.map_err(|reason| self.datagrams.damaged(datagram.offset, reason))?;
        let Header { stream, first, count, messages } = header;
        if first.checked_add(u64::from(count)).is_none() {
            let reason = format!("{count} messages from number {first} on");
            return Err(self.datagrams.damaged(datagram.offset, reason));
        }
        let messages = payload[messages].to_vec();
        let index = match self.streams.iter().position(|(known, _)| *known == stream) {
            Some(index) => index,
            None if self.streams.len() >= PACKET_STREAMS_MAX => {
                let reason = format!("more than {PACKET_STREAMS_MAX} streams");
                return Err(self.datagrams.damaged(datagram.offset, reason));
            }
            None => {
                self.streams.push((stream, Stream::default()));
                self.streams.len() - 1
            }
        };
        self.streams[index].1.arrive(Packet {
            first,
            count: u64::from(count),
            offset: datagram.offset,
            time: datagram.time,
            messages,
        });
        Ok(Some(index))
    }

    fn begin(&mut self, stream: usize, packet: Packet, known: u64) {
        self.current = Some(Current { stream, packet, at: 0 });
        for _ in 0..known {
            self.message();
        }
    }

    /// The next message of the packet that is being handed out.
    fn message(&mut self) -> Option<Range<usize>> {
        let current = self.current.as_mut()?;
        let Some((length, _)) = current.packet.messages[current.at..].split_first_chunk() else {
            self.current = None;
            return None;
        };
        let start = current.at + LENGTH_BYTES;
        current.at = start + usize::from((self.protocol.length)(*length));
        Some(start..current.at)
    }

    fn finish(&mut self, end: Result<(), FeedError>) {
        self.end = Some(end);
        self.turn = (!self.streams.is_empty()).then_some(0);
    }
}

/// Whether `bytes` are just `count` messages, each behind its length.
pub(crate) fn are_messages(bytes: &[u8], count: u16, length: fn([u8; LENGTH_BYTES]) -> u16) -> bool {
    let mut rest = bytes;
    for _ in 0..count {
        let Some((head, tail)) = rest.split_first_chunk() else { return false };
        let Some(tail) = tail.get(usize::from(length(*head))..) else { return false };
        rest = tail;
    }
    rest.is_empty()
}
