//! IEX's feeds in the datagrams of a packet capture: TOPS 1.6 and DEEP 1.0 over IEX-TP 1.0, as IEX gives its history
//! away; every number little-endian.
//!
//! ```text
//! 01 00 0480 01000000 0000a750 1e00 0100 0000000000000000 0100000000000000 573e7bfa3d4cc118
//! version, protocol 0x8004, channel, session, bytes, count, offset, first number, time of sending
//!   1c00  38 01 …   length, then a message: `8`, a buyers' level
//! ```

mod events;
mod message;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::BTreeMap;
use std::path::Path;

use rustc_hash::FxHashMap;

use self::events::States;
use self::message::{Body, Message, Ticker, parse};
use self::transport::{Name, PROTOCOL};
use crate::format::pcap::messages::{Item, Messages};
use crate::limits::{IEX_EVENT_MESSAGES_MAX, INSTRUMENTS_MAX};
use crate::{EventBody, Exponent, FeedError, Instrument, MarketEvent, SymbolId, Timestamp};

pub(crate) use self::transport::carries_iex as is_in_datagram;

/// The venue of every instrument of these captures.
pub const VENUE: &str = "IEX";

const CURRENCY: &str = "USD";
/// Prices have four decimals.
const PRICE_EXPONENT: i8 = -4;

/// Reads the messages of TOPS and DEEP in a capture, each once and in the order of their numbers.
///
/// What the messages become:
/// - `Q` of TOPS is a quote; a side of size zero is empty. It counts whole round lots only, and is so not always the
///   book's best price.
/// - `8` `5` of DEEP set a level. While their flag says that an event is not complete, what follows is of the same
///   message: nobody sees the book between.
/// - `T` is a trade. IEX does not tell who crossed the spread.
/// - `D` defines the instrument. `H` and `O` change its status: it is halted while either halts it, and an auction while
///   orders are accepted for one (`O` and `P` of `H`). `S` with `M`, end of market hours, closes every instrument.
/// - The rest says nothing that an event has a word for, and is counted by type: `X` official prices, `B` trade breaks
///   (what printed has been seen), `A` auctions, `E` `I` `P`, and types that these versions do not have.
///
/// Lost messages are a gap of every instrument that the stream has named. A session that follows another of the same
/// channel voids the books.
pub struct IexReader {
    messages: Messages<Name>,
    directory: Directory,
    states: States,
    /// By the number of the stream.
    streams: Vec<Stream>,
    unused: BTreeMap<u8, u64>,
    count: u64,
    /// What is to be reported once the events before it have been taken.
    failure: Option<FeedError>,
    is_over: bool,
}

struct Stream {
    name: Name,
    /// By [`SymbolId`]: whether it has named the instrument.
    named: Vec<bool>,
}

/// Instruments in the order of their first appearance.
#[derive(Default)]
struct Directory {
    ids: FxHashMap<Ticker, SymbolId>,
    instruments: Vec<Instrument>,
}

impl IexReader {
    /// Reads the whole capture once to learn its instruments, then stands at its start.
    ///
    /// # Errors
    /// [`FeedError::Io`] when it cannot be read; [`FeedError::Damaged`] when not even its first message can.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let mut messages = Messages::open(path, PROTOCOL)?;
        let mut directory = Directory::default();
        let mut is_first = true;
        loop {
            let noted = match messages.next_item() {
                Ok(Some(Item::Message { offset, bytes, .. })) => parse(bytes)
                    .and_then(|message| message.ticker.map_or(Ok(()), |ticker| directory.note(ticker)))
                    .map_err(|reason| messages.damaged(offset, reason)),
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
        Ok(Self {
            messages: Messages::open(path, PROTOCOL)?,
            states: States::new(directory.instruments.len()),
            directory,
            streams: Vec::new(),
            unused: BTreeMap::new(),
            count: 0,
            failure: None,
            is_over: false,
        })
    }

    /// All instruments of the capture; a [`SymbolId`] is an index here.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.directory.instruments
    }

    /// Appends the events of the next message, or of several that belong together, or of a gap, and tells when the
    /// last of it was captured; `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] for what is no packet or no message, at the offset of the packet's record;
    /// [`FeedError::Io`]. What stands before the damage has been read.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return self.failure.take().map_or(Ok(None), Err);
        }
        let mut last = None;
        let mut open = None;
        for _ in 0..IEX_EVENT_MESSAGES_MAX {
            match self.advance(events, open) {
                Ok(Some((time, still_open))) => {
                    last = Some(time);
                    open = still_open;
                }
                Ok(None) => self.is_over = true,
                Err(error) => {
                    self.is_over = true;
                    self.failure = Some(error);
                }
            }
            if open.is_none() || self.is_over {
                break;
            }
        }
        match last {
            None => self.failure.take().map_or(Ok(None), Err),
            last => Ok(last),
        }
    }

    /// How many messages have been read.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.count
    }

    /// Messages that made no event, by their type.
    #[must_use]
    pub const fn unused_messages(&self) -> &BTreeMap<u8, u64> {
        &self.unused
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

    /// UDP datagrams that are not of these feeds.
    #[must_use]
    pub const fn foreign_datagrams(&self) -> u64 {
        self.messages.foreign()
    }

    /// Reads one message or gap. Tells its time, and the instrument whose event is not complete with it; `open`: the one
    /// whose event was not before.
    fn advance(
        &mut self,
        events: &mut Vec<MarketEvent>,
        open: Option<SymbolId>,
    ) -> Result<Option<(Timestamp, Option<SymbolId>)>, FeedError> {
        let start = events.len();
        let result = match self.messages.next_item()? {
            None => return Ok(None),
            Some(Item::Gap { stream, expected, found, time }) => {
                let body = EventBody::Gap { expected, found };
                if let Some(stream) = self.streams.get(stream) {
                    append_all(stream.instruments(), time, &body, events);
                }
                return Ok(Some((time, None)));
            }
            Some(Item::Message { stream: (index, name), offset, time, bytes }) => {
                let read = parse(bytes).and_then(|message| {
                    let id = message.ticker.map(|ticker| self.directory.find(ticker)).transpose()?;
                    Ok((message, id))
                });
                read.map(|read| (index, name, time, read)).map_err(|reason| (offset, reason))
            }
        };
        let (index, name, time, (message, id)) =
            result.map_err(|(offset, reason)| self.messages.damaged(offset, reason))?;
        self.count += 1;
        self.begin(index, name, time, events);
        if let Some(id) = id {
            self.streams[index].named[id.index()] = true;
        }
        let before = events.len();
        self.states.append(&message, id, &self.directory.instruments, events);
        if events.len() == before {
            *self.unused.entry(message.kind).or_default() += 1;
        }
        events[start..].iter_mut().for_each(|event| event.ts_recv = time);
        Ok(Some((time, still_open(&message, id, open))))
    }

    /// At the first message of a stream: what an earlier session of its channel told is void.
    fn begin(&mut self, index: usize, name: Name, time: Timestamp, events: &mut Vec<MarketEvent>) {
        if index < self.streams.len() {
            return;
        }
        for earlier in self.streams.iter().filter(|earlier| earlier.name.is_same_channel(name)) {
            append_all(earlier.instruments(), time, &EventBody::BookClear, events);
        }
        // A stream whose packets all wait may be numbered before one that speaks.
        let instruments = self.directory.instruments.len();
        self.streams.resize_with(index + 1, || Stream { name, named: vec![false; instruments] });
        self.streams[index].name = name;
    }
}

impl Stream {
    fn instruments(&self) -> impl Iterator<Item = SymbolId> {
        let named = self.named.iter().enumerate().filter(|(_, named)| **named);
        named.map(|(index, _)| SymbolId::from_index(index))
    }
}

/// An event of DEEP goes on until a level says that it is complete, or something else is talked of.
fn still_open(message: &Message, id: Option<SymbolId>, open: Option<SymbolId>) -> Option<SymbolId> {
    match message.body {
        Body::Level { is_complete: false, .. } => id,
        Body::Level { is_complete: true, .. } => None,
        _ => open.filter(|_| open == id),
    }
}

fn append_all(
    ids: impl Iterator<Item = SymbolId>,
    time: Timestamp,
    body: &EventBody,
    events: &mut Vec<MarketEvent>,
) {
    events.extend(ids.map(|symbol| MarketEvent {
        symbol,
        ts_event: time,
        ts_recv: time,
        sequence: 0,
        body: body.clone(),
    }));
}

impl Directory {
    fn note(&mut self, ticker: Ticker) -> Result<(), String> {
        if self.ids.contains_key(&ticker) {
            return Ok(());
        }
        if self.instruments.len() >= INSTRUMENTS_MAX {
            return Err(format!("more than {INSTRUMENTS_MAX} instruments"));
        }
        let symbol = ticker.symbol().map_err(|error| error.to_string())?;
        self.ids.insert(ticker, SymbolId::from_index(self.instruments.len()));
        self.instruments.push(Instrument {
            symbol,
            venue: VENUE,
            price_exponent: Exponent::new(PRICE_EXPONENT).map_err(|error| error.to_string())?,
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: Some(CURRENCY.to_owned()),
            book_levels_max: None,
            begins_stale: false,
        });
        Ok(())
    }

    fn find(&self, ticker: Ticker) -> Result<SymbolId, String> {
        if let Some(id) = self.ids.get(&ticker) {
            return Ok(*id);
        }
        ticker.symbol().map_err(|error| error.to_string())?;
        Err(format!("{ticker} was not there when the file was opened"))
    }
}
