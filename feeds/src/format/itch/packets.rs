//! ITCH in MoldUDP64 datagrams, as a packet capture has them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::Directory;
use super::events::Session;
use super::moldudp64::{PROTOCOL, StreamName};
use super::parse;
use crate::format::date;
use crate::format::pcap::messages::{Item, Messages};
use crate::limits::INSTRUMENTS_MAX;
use crate::{EventBody, FeedError, Instrument, MarketEvent, Symbol, SymbolId, Timestamp};

/// Reads the ITCH messages of a capture, each once and in the order of their numbers, whatever the order of the packets.
///
/// They become what [`super::ItchReader`] says. The day is that of the capture, in New York. Messages that are lost
/// are a gap of every instrument of their stream: none of its books can be trusted any more.
///
/// Each session and port is a stream with locate codes of its own. A session that follows another at the same port
/// voids the books. A stock that streams at several ports carry is an instrument at each of them, which after the first
/// are called `AAPL@<port>`.
pub struct ItchPacketReader {
    messages: Messages<StreamName>,
    /// By the number of the stream.
    streams: Vec<Stream>,
    instruments: Vec<Instrument>,
    count: u64,
    is_over: bool,
}

struct Stream {
    name: StreamName,
    directory: Directory,
    /// From the directory's numbers of instruments to the capture's.
    ids: Vec<SymbolId>,
    /// From the first message on.
    session: Option<Session>,
}

impl ItchPacketReader {
    /// Reads the whole capture once to learn its instruments, then stands at its start.
    ///
    /// # Errors
    /// [`FeedError::Io`] when it cannot be read; [`FeedError::Damaged`] when not even its first message can, and for
    /// more locate codes of all streams than [`INSTRUMENTS_MAX`].
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let mut messages = Messages::open(path, PROTOCOL)?;
        let mut streams: Vec<Stream> = Vec::new();
        let mut is_first = true;
        loop {
            let noted = match messages.next_item() {
                Ok(Some(Item::Message { stream: (index, name), offset, bytes, .. })) => {
                    if streams.len() <= index {
                        streams.resize_with(index + 1, || Stream::new(name));
                    }
                    streams[index].name = name;
                    let known: usize = streams.iter().map(|stream| stream.directory.len()).sum();
                    if known > INSTRUMENTS_MAX {
                        let reason = format!("more than {INSTRUMENTS_MAX} instruments");
                        return Err(messages.damaged(offset, reason));
                    }
                    let directory = &mut streams[index].directory;
                    parse(bytes)
                        .map_err(|error| error.to_string())
                        .and_then(|message| directory.note(&message))
                        .map_err(|reason| messages.damaged(offset, reason))
                }
                Ok(Some(Item::Gap { .. })) => Ok(()),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            match noted {
                Ok(()) => is_first = false,
                Err(error) if is_first => return Err(error),
                Err(_) => break,
            }
        }
        let instruments = merge(&mut streams).map_err(|reason| messages.damaged(0, reason))?;
        let messages = Messages::open(path, PROTOCOL)?;
        Ok(Self { messages, streams, instruments, count: 0, is_over: false })
    }

    /// All instruments of the capture; a [`SymbolId`] is an index here.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Appends the events of the next message or gap, none for many types, and tells when its packet was captured;
    /// `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] as of [`super::ItchReader`], and for what is no packet, at the offset of the packet's
    /// record; [`FeedError::Io`]. What stands before the damage has been read, packets that waited for others too.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return Ok(None);
        }
        let start = events.len();
        let time = self.advance(events);
        match time {
            Ok(Some(time)) => events[start..].iter_mut().for_each(|event| event.ts_recv = time),
            Ok(None) => self.is_over = true,
            Err(_) => {
                self.is_over = true;
                events.truncate(start);
            }
        }
        time
    }

    /// How many messages have been read.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.count
    }

    /// Packets that had been there before, or came too late.
    #[must_use]
    pub fn duplicate_packets(&self) -> u64 {
        self.messages.duplicates()
    }

    /// Messages that the numbering tells of, and which never came.
    #[must_use]
    pub fn lost_messages(&self) -> u64 {
        self.messages.lost()
    }

    /// UDP datagrams that are not of this feed.
    #[must_use]
    pub const fn foreign_datagrams(&self) -> u64 {
        self.messages.foreign()
    }

    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        match self.messages.next_item()? {
            None => Ok(None),
            Some(Item::Gap { stream, expected, found, time }) => {
                let ids = self.streams.get(stream).map_or(&[][..], |stream| &stream.ids);
                append_all(ids, time, &EventBody::Gap { expected, found }, events);
                Ok(Some(time))
            }
            Some(Item::Message { stream: (index, _), offset, time, bytes }) => {
                let done = parse(bytes).map_err(|error| error.to_string()).and_then(|message| {
                    begin(&mut self.streams, index, time, events);
                    let stream = &mut self.streams[index];
                    let symbol = stream.directory.find(&message)?;
                    let Some(session) = &mut stream.session else { return Ok(()) };
                    let start = events.len();
                    session.append(&message, symbol, stream.directory.instruments(), events)?;
                    for event in &mut events[start..] {
                        event.symbol = stream.ids[event.symbol.index()];
                        if let EventBody::Definition(defined) = &mut event.body {
                            (**defined).clone_from(&self.instruments[event.symbol.index()]);
                        }
                    }
                    Ok(())
                });
                done.map_err(|reason| self.messages.damaged(offset, reason))?;
                self.count += 1;
                Ok(Some(time))
            }
        }
    }
}

impl Stream {
    fn new(name: StreamName) -> Self {
        Self { name, directory: Directory::default(), ids: Vec::new(), session: None }
    }
}

/// At the first message of a stream: what an earlier session at its port told is void.
fn begin(streams: &mut [Stream], index: usize, time: Timestamp, events: &mut Vec<MarketEvent>) {
    if streams[index].session.is_some() {
        return;
    }
    let port = streams[index].name.port;
    for earlier in streams.iter().filter(|stream| stream.session.is_some() && stream.name.port == port) {
        append_all(&earlier.ids, time, &EventBody::BookClear, events);
    }
    let stream = &mut streams[index];
    stream.session = Some(Session::new(date::midnight_before(time), stream.ids.len()));
}

fn append_all(ids: &[SymbolId], time: Timestamp, body: &EventBody, events: &mut Vec<MarketEvent>) {
    events.extend(ids.iter().map(|symbol| MarketEvent {
        symbol: *symbol,
        ts_event: time,
        ts_recv: time,
        sequence: 0,
        body: body.clone(),
    }));
}

/// Numbers the instruments of all streams together.
fn merge(streams: &mut [Stream]) -> Result<Vec<Instrument>, String> {
    let mut instruments = Vec::new();
    let mut first_ports: BTreeMap<Symbol, u16> = BTreeMap::new();
    let mut known: BTreeMap<Symbol, SymbolId> = BTreeMap::new();
    for stream in streams {
        stream.directory.complete()?;
        for instrument in stream.directory.instruments() {
            let port = stream.name.port;
            let first_port = *first_ports.entry(instrument.symbol.clone()).or_insert(port);
            let symbol = if first_port == port {
                instrument.symbol.clone()
            } else {
                Symbol::new(&format!("{}@{port}", instrument.symbol)).map_err(|error| error.to_string())?
            };
            let id = *known.entry(symbol.clone()).or_insert_with(|| {
                instruments.push(Instrument { symbol, ..instrument.clone() });
                SymbolId::from_index(instruments.len() - 1)
            });
            stream.ids.push(id);
        }
    }
    Ok(instruments)
}
