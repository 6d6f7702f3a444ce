//! Our own recordings, played through the sessions of the venues that were recorded.
//!
//! [`crate::record`] knows the files; this file knows which session each source belongs to. As with captures, opening
//! reads the whole recording once, so that all instruments are known before the first event.
//!
//! Records are played in the order in which they were taken. Where some are missing, which the recording tells, every
//! instrument has a gap.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::limits::{CONNECTIONS_MAX, INSTRUMENTS_MAX};
use crate::record::simulated::{self, Payload};
use crate::record::{Body, Place, Record, RecordReader, Source, Verified};
use crate::venue::{ConnectionId, KeptSession, Session};
use crate::{EventBody, FeedError, Instrument, MarketEvent, Symbol, SymbolId, Timestamp};

/// Plays a recording.
pub struct RecordingReader {
    path: PathBuf,
    reader: RecordReader,
    parts: Vec<Part>,
    /// By source: where its messages go. Pooled connections share a part.
    lines: BTreeMap<Source, Line>,
    /// By the present number of the source.
    numbered: Numbered,
    instruments: Vec<Instrument>,
    /// Of the message that is read; venues parse in place.
    payload: Vec<u8>,
    messages: u64,
    /// Of the whole recording.
    records_total: u64,
    has_ended: bool,
    /// What stopped the survey, and after how many records: playing will stop there too, but knows less of why.
    damage: Option<(u64, FeedError)>,
}

/// All sources of one venue whose bytes have the same format.
struct Part {
    venue: String,
    format: String,
    /// Of its first source.
    address: String,
    kind: Kind,
    /// The number of its first instrument among all.
    first: usize,
}

enum Kind {
    Venue(Box<Session>),
    Simulated(Simulated),
}

#[derive(Default)]
struct Simulated {
    /// Of all runs.
    instruments: Vec<Instrument>,
    /// Those of the present run, in its order.
    run: Vec<SymbolId>,
    /// Whether its books may hold anything.
    is_connected: bool,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Line {
    part: usize,
    connection: ConnectionId,
}

#[derive(Default)]
struct Numbered {
    lines: Vec<Line>,
    /// The segment that numbered them.
    segment: u64,
}

/// Where a reader stands in a recording, and what it remembers of what is before.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeptReader {
    place: Place,
    parts: Vec<KeptPart>,
    lines: Vec<(Source, Line)>,
    messages: u64,
    records_total: u64,
}

#[derive(Serialize, Deserialize)]
struct KeptPart {
    venue: String,
    format: String,
    address: String,
    instruments: Vec<Instrument>,
    /// `None`: of the simulated market.
    session: Option<KeptSession>,
    /// Of the simulated market.
    run: Vec<SymbolId>,
    is_connected: bool,
}

/// The format of a venue's own messages, for [`Source::format`].
pub const JSON: &str = "json";

impl RecordingReader {
    /// Opens a recording, or one segment of it, finds its instruments, and stands before its first record.
    ///
    /// # Errors
    /// [`FeedError::UnknownFormat`] for a source that nothing here can read, [`FeedError::Io`] and
    /// [`FeedError::Damaged`] when the recording is damaged before its first message.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let mut survey = Self::new(path, Vec::new())?;
        let mut events = Vec::new();
        let damage = loop {
            match survey.next_message(&mut events) {
                Ok(Some(_)) => events.clear(),
                Ok(None) => break None,
                Err(error) if survey.messages == 0 => return Err(error),
                Err(error) => break Some((survey.reader.verified().records, error)),
            }
        };
        let mut parts = Vec::with_capacity(survey.parts.len());
        let mut instruments = Vec::new();
        for Part { venue, format, address, kind, .. } in survey.parts {
            let kind = match kind {
                Kind::Venue(session) => {
                    let session = session.finish();
                    let session = session.map_err(|error| survey.reader.damaged_record(error.to_string()))?;
                    Kind::Venue(Box::new(session))
                }
                Kind::Simulated(Simulated { instruments, .. }) => {
                    Kind::Simulated(Simulated { instruments, ..Simulated::default() })
                }
            };
            let part = Part { venue, format, address, kind, first: instruments.len() };
            instruments.extend(part.listed());
            parts.push(part);
        }
        if instruments.len() > INSTRUMENTS_MAX {
            return Err(FeedError::Settings(format!(
                "{} carries more than {INSTRUMENTS_MAX} instruments",
                path.display()
            )));
        }
        let records_total = survey.reader.verified().records;
        Ok(Self { instruments, damage, records_total, ..Self::new(path, parts)? })
    }

    /// Goes on in a recording where another reader of it stood.
    ///
    /// # Errors
    /// [`FeedError`] when what was kept is not of this recording.
    pub(crate) fn go_on(path: &Path, kept: KeptReader) -> Result<Self, FeedError> {
        let mut parts = Vec::with_capacity(kept.parts.len());
        let mut instruments = Vec::new();
        for part in kept.parts {
            let first = instruments.len();
            let part = part.recall(first).map_err(|error| FeedError::Settings(error.to_string()))?;
            instruments.extend(part.listed());
            parts.push(part);
        }
        let mut reader = Self::new(path, parts)?;
        reader.reader.go_on(&kept.place)?;
        reader.lines = kept.lines.into_iter().collect();
        reader.instruments = instruments;
        reader.messages = kept.messages;
        reader.records_total = kept.records_total;
        Ok(reader)
    }

    /// Where it stands, and what it remembers; `None`: at its beginning, in a damaged recording, or in one of a venue that
    /// cannot be kept.
    pub(crate) fn keep(&self) -> Option<KeptReader> {
        if self.damage.is_some() {
            return None;
        }
        Some(KeptReader {
            place: self.reader.place()?,
            parts: self.parts.iter().map(Part::keep).collect::<Option<_>>()?,
            lines: self.lines.iter().map(|(source, line)| (source.clone(), *line)).collect(),
            messages: self.messages,
            records_total: self.records_total,
        })
    }

    /// How many records it has read, of how many.
    pub(crate) fn records(&self) -> (u64, u64) {
        (self.reader.record_number(), self.records_total)
    }

    /// All instruments, source by source; [`SymbolId`] is the index.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The venue, if there is one.
    #[must_use]
    pub fn venue(&self) -> &'static str {
        let mut venues = self.instruments.iter().map(|instrument| instrument.venue);
        let first = venues.next().unwrap_or("nothing");
        if venues.all(|venue| venue == first) { first } else { "several venues" }
    }

    /// Messages received that were read so far.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// What was read of it so far.
    #[must_use]
    pub const fn verified(&self) -> &Verified {
        self.reader.verified()
    }

    /// Reads a record, appends its events, and returns when it was received; `None` at the end of the last whole block.
    ///
    /// # Errors
    /// [`FeedError`] with the file and the offset of the block that is damaged. Of the record there are no events, and
    /// after it there is nothing more to come.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.has_ended {
            return Ok(None);
        }
        let start = events.len();
        let mut result = self.read(events);
        if result.is_err() {
            events.truncate(start);
            if let Some((records, error)) = self.damage.take()
                && records == self.reader.verified().records
            {
                result = Err(error);
            }
        }
        self.has_ended = !matches!(result, Ok(Some(_)));
        result
    }

    fn new(path: &Path, parts: Vec<Part>) -> Result<Self, FeedError> {
        Ok(Self {
            path: path.to_owned(),
            reader: RecordReader::open(path)?,
            parts,
            lines: BTreeMap::new(),
            numbered: Numbered::default(),
            instruments: Vec::new(),
            payload: Vec::new(),
            messages: 0,
            records_total: 0,
            has_ended: false,
            damage: None,
        })
    }

    fn read(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if !self.reader.advance()? {
            return Ok(None);
        }
        self.number_sources()?;
        let Record { source, ts_recv, body } = self.reader.record()?;
        let line = source.and_then(|source| self.numbered.lines.get(source.0 as usize).copied());
        let Some(Line { part, connection }) = line else {
            if let Body::Lost(_) = body {
                tell_lost(self.instruments.len(), ts_recv, events);
            }
            return Ok(Some(ts_recv));
        };
        let address =
            source.and_then(|source| self.reader.source(source)).map_or("", |source| &source.address);
        let Part { kind, first, .. } = &mut self.parts[part];
        let start = events.len();
        let mut wrong = None;
        let done = match kind {
            Kind::Simulated(simulated) => simulated.apply(&body, ts_recv, events),
            Kind::Venue(session) => {
                self.payload.clear();
                self.payload.extend_from_slice(body.payload());
                let payload = &mut self.payload[..];
                match body {
                    Body::Received(_) => {
                        let read = session.follow(connection, payload, ts_recv, events);
                        // Whoever received it gave the connection up, and went on with the next.
                        if read.is_err() {
                            session.on_disconnect(connection, ts_recv, events);
                        }
                        wrong = read.unwrap_or_else(Some);
                        Ok(())
                    }
                    Body::Answered { url, .. } => {
                        // Likewise: who got an answer that cannot be read asked again.
                        let _ = session.follow_answer(connection, url, payload, ts_recv, events);
                        Ok(())
                    }
                    Body::Connected(told) => {
                        let address = if told.is_empty() { address } else { told };
                        session.on_connect(connection, address, ts_recv, events);
                        Ok(())
                    }
                    Body::Disconnected(_) => {
                        session.on_disconnect(connection, ts_recv, events);
                        Ok(())
                    }
                    Body::Sent(_) | Body::Note(_) | Body::Lost(_) => Ok(()),
                }
            }
        };
        done.map_err(|reason| self.reader.damaged_record(reason))?;
        // The survey has met it too, and said nothing.
        if let Some(error) = wrong.filter(|_| !self.instruments.is_empty()) {
            let place = self.reader.damaged_record(error.to_string());
            warn!(%place, "a message that is not as the venue documents was followed as it was live");
        }
        for event in &mut events[start..] {
            event.symbol = SymbolId::from_index(event.symbol.index() + *first);
        }
        self.messages += u64::from(matches!(body, Body::Received(_)));
        Ok(Some(ts_recv))
    }

    /// Finds out where the messages of the sources go that the last block told of.
    fn number_sources(&mut self) -> Result<(), FeedError> {
        let segment = self.reader.verified().segments;
        if self.numbered.segment != segment {
            self.numbered = Numbered { lines: Vec::new(), segment };
        }
        for source in self.reader.sources().iter().skip(self.numbered.lines.len()) {
            let line = match self.lines.get(source) {
                Some(line) => *line,
                None => {
                    let part = self.parts.iter().position(|part| part.carries(source));
                    let part = match part {
                        Some(part) => part,
                        None => {
                            let reason = || {
                                format!(
                                    "it has `{}` of `{}`, which are not known here",
                                    source.format, source.venue
                                )
                            };
                            let part = Part::survey(source);
                            self.parts.push(part.ok_or_else(|| FeedError::UnknownFormat {
                                path: self.path.clone(),
                                reason: reason(),
                            })?);
                            self.parts.len() - 1
                        }
                    };
                    if self.lines.len() >= CONNECTIONS_MAX {
                        let reason = format!("more than {CONNECTIONS_MAX} connections");
                        return Err(self.reader.damaged_record(reason));
                    }
                    let connection = ConnectionId(u32::try_from(self.lines.len()).unwrap_or(u32::MAX));
                    let line = Line { part, connection };
                    self.lines.insert(source.clone(), line);
                    line
                }
            };
            self.numbered.lines.push(line);
        }
        Ok(())
    }
}

/// Nobody knows which instruments the records that are missing here were of. Nothing says either that a book is empty: one
/// by order is stale until it is built anew.
fn tell_lost(instruments: usize, ts_recv: Timestamp, events: &mut Vec<MarketEvent>) {
    events.extend((0..instruments).map(SymbolId::from_index).map(|symbol| {
        let body = EventBody::Gap { expected: 0, found: 0 };
        MarketEvent { symbol, ts_event: ts_recv, ts_recv, sequence: 0, body }
    }));
}

impl Part {
    /// A part that learns its instruments; `None`: nothing here can read such bytes.
    fn survey(source: &Source) -> Option<Self> {
        let kind = match (source.venue.as_str(), source.format.as_str()) {
            (simulated::VENUE, simulated::FORMAT) => Kind::Simulated(Simulated::default()),
            (venue, JSON) => Kind::Venue(Box::new(Session::survey(venue, &source.address)?)),
            _ => return None,
        };
        let Source { venue, format, address, .. } = source.clone();
        Some(Self { venue, format, address, kind, first: 0 })
    }

    fn keep(&self) -> Option<KeptPart> {
        let Self { venue, format, address, kind, .. } = self;
        let (session, run, is_connected) = match kind {
            Kind::Venue(session) => (Some(session.keep()?), Vec::new(), false),
            Kind::Simulated(Simulated { run, is_connected, .. }) => (None, run.clone(), *is_connected),
        };
        Some(KeptPart {
            venue: venue.clone(),
            format: format.clone(),
            address: address.clone(),
            instruments: self.instruments().to_vec(),
            session,
            run,
            is_connected,
        })
    }

    fn carries(&self, source: &Source) -> bool {
        (&self.venue, &self.format) == (&source.venue, &source.format)
    }

    /// Its instruments, as whoever plays them is to know them.
    fn listed(&self) -> impl Iterator<Item = Instrument> {
        let begins_stale = matches!(self.kind, Kind::Venue(_));
        self.instruments().iter().map(move |instrument| Instrument { begins_stale, ..instrument.clone() })
    }

    fn instruments(&self) -> &[Instrument] {
        match &self.kind {
            Kind::Venue(session) => session.directory().instruments(),
            Kind::Simulated(simulated) => &simulated.instruments,
        }
    }
}

impl KeptPart {
    /// `first`: the number of its first instrument among all.
    fn recall(self, first: usize) -> Result<Part, postcard::Error> {
        let Self { venue, format, address, mut instruments, session, run, is_connected } = self;
        let kind = match session {
            Some(session) => Kind::Venue(Box::new(Session::recall(&venue, &address, instruments, session)?)),
            None => {
                for instrument in &mut instruments {
                    instrument.venue = simulated::VENUE;
                }
                Kind::Simulated(Simulated { instruments, run, is_connected })
            }
        };
        Ok(Part { venue, format, address, kind, first })
    }
}

impl Simulated {
    /// The instruments of a run are those of the runs before by their names, and more.
    fn begin_run(&mut self, instruments: Vec<Instrument>) -> Result<(), String> {
        self.run.clear();
        let known: FxHashMap<Symbol, usize> =
            self.instruments.iter().map(|instrument| instrument.symbol.clone()).zip(0..).collect();
        for instrument in instruments {
            let index = match known.get(&instrument.symbol) {
                Some(&index) if self.instruments[index] == instrument => index,
                Some(_) => return Err(format!("{} is another instrument than before", instrument.symbol)),
                None if self.instruments.len() >= INSTRUMENTS_MAX => {
                    return Err(format!("more than {INSTRUMENTS_MAX} instruments"));
                }
                None => {
                    self.instruments.push(instrument);
                    self.instruments.len() - 1
                }
            };
            self.run.push(SymbolId::from_index(index));
        }
        Ok(())
    }

    fn apply(
        &mut self,
        body: &Body<'_>,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), String> {
        match body {
            Body::Connected(_) if std::mem::replace(&mut self.is_connected, true) => {
                // Another run: what was before is void.
                for symbol in (0..self.instruments.len()).map(SymbolId::from_index) {
                    let body = EventBody::BookClear;
                    events.push(MarketEvent { symbol, ts_event: ts_recv, ts_recv, sequence: 0, body });
                }
                Ok(())
            }
            Body::Received(payload) => {
                let start = events.len();
                match simulated::read(payload, events)? {
                    Payload::Instruments(instruments) => self.begin_run(instruments)?,
                    Payload::Events if self.run.is_empty() => {
                        let reason =
                            "its list of instruments is in a segment before: play the whole recording";
                        return Err(reason.to_owned());
                    }
                    Payload::Events => {}
                }
                for event in &mut events[start..] {
                    let symbol = self.run.get(event.symbol.index()).copied();
                    event.symbol = symbol.ok_or_else(|| {
                        format!("an event of instrument {}, which there is not", event.symbol.0)
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
