//! Exchange captures: JSON lines in the envelope of the cryptofeed project.
//!
//! One object a line, in the order of capture, plain, gzip or zstd:
//!
//! ```text
//! {"t":"header","format":2,"exchange":"KRAKEN",…}
//! {"t":"http","conn":"KRAKEN.http.sync","ts":1618678132.358447,
//!  "url":"https://api.kraken.com/0/public/AssetPairs","data":"{…}"}
//! {"t":"connect","conn":"KRAKEN.ws.48","ts":1618678132.368463,"addr":"wss://ws.kraken.com"}
//! {"t":"send","conn":"KRAKEN.ws.48","ts":1618678132.83097,"addr":"wss://ws.kraken.com","data":"{…}"}
//! {"t":"recv","conn":"KRAKEN.ws.48","ts":1618678142.592855,"data":"[993,[[\"354.11000000\",…"}
//! ```
//!
//! `data` is the exact text that was sent or received, and `ts` the recorder's clock in decimal seconds. This file
//! knows the envelope; what the payloads mean is the business of [`crate::venue`].
//!
//! Opening reads the whole file once: with the venue's own session over a surveying [`Directory`](crate::venue::Directory), so that the
//! instruments and their exponents are known before the first event. Where the file is damaged the survey stops, and
//! playing reports the damage when it gets there.
//!
//! Lines are played in order of their time, which is not always the file's (`lane`, beside this file): so a book is
//! joined with its snapshot when that arrived, and a replay shows trades and books of one moment together.

mod envelope;
mod lane;
#[cfg(test)]
mod tests;

use std::path::Path;

use rustc_hash::FxHashMap;

use self::envelope::{Kind, Line};
use self::lane::{LaneStarts, Lanes};
use crate::limits::CONNECTIONS_MAX;
use crate::venue::{ConnectionId, Session};
use crate::{FeedError, Instrument, MarketEvent, Timestamp};

/// Plays an exchange capture.
pub struct CaptureReader {
    lanes: Lanes,
    session: Session,
    /// By name, in the order they appeared.
    connections: FxHashMap<String, ConnectionId>,
    messages: u64,
    unknown_lines: u64,
    has_ended: bool,
    /// What stopped the survey, and at which line: playing will stop there too, but knows less of why.
    damage: Option<(u64, FeedError)>,
}

impl CaptureReader {
    /// Opens a capture, finds its instruments, and stands before its first line.
    ///
    /// # Errors
    /// [`FeedError::UnknownFormat`] when the first line is no header of a venue that is known here, [`FeedError::Io`]
    /// and [`FeedError::Damaged`] when the file is damaged up to its first message, or its time goes back more often
    /// than [`crate::limits::CAPTURE_LANES_MAX`] allows.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let mut lanes = Lanes::open(path, &LaneStarts::default())?;
        let exchange = lanes.envelope().exchange();
        let Some(session) = Session::survey(exchange) else {
            let reason = format!("a capture of `{exchange}`, a venue that is not known here");
            return Err(FeedError::UnknownFormat { path: path.to_owned(), reason });
        };
        let mut survey = Self::new(lanes, session);
        let mut starts = LaneStarts::default();
        let mut events = Vec::new();
        let damage = loop {
            match survey.next_message(&mut events) {
                Ok(Some(ts_recv)) => {
                    let envelope = survey.lanes.envelope();
                    starts.see(envelope.offset(), ts_recv).map_err(|reason| envelope.damaged(reason))?;
                }
                Ok(None) => break None,
                Err(error) if survey.messages == 0 => return Err(error),
                Err(error) => break Some((survey.lanes.envelope().offset(), error)),
            }
            events.clear();
        };
        let Self { session, mut lanes, .. } = survey;
        let session = session.finish().map_err(|error| lanes.envelope().damaged(error.to_string()))?;
        Ok(Self { damage, ..Self::new(Lanes::open(path, &starts)?, session) })
    }

    /// All instruments that the file has market data for, in the order they appear; [`crate::SymbolId`] is the index.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        self.session.directory().instruments()
    }

    /// The venue.
    #[must_use]
    pub fn venue(&self) -> &'static str {
        self.session.directory().venue()
    }

    /// Reads a line, appends its events, and returns when it was received; `None` at the end.
    ///
    /// # Errors
    /// [`FeedError`] with the offset of the line that is damaged. Of that line there are no events, and after it there
    /// is nothing more to come.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.has_ended {
            return Ok(None);
        }
        let start = events.len();
        let mut result = self.read(events);
        if result.is_err() {
            events.truncate(start);
            if let Some((offset, error)) = self.damage.take()
                && offset == self.lanes.envelope().offset()
            {
                result = Err(error);
            }
        }
        self.has_ended = !matches!(result, Ok(Some(_)));
        result
    }

    /// Messages of the venue (`recv` lines) read so far.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Lines read so far whose `t` is none of those documented above: they make no events.
    #[must_use]
    pub const fn unknown_lines(&self) -> u64 {
        self.unknown_lines
    }

    fn new(lanes: Lanes, session: Session) -> Self {
        Self {
            lanes,
            session,
            connections: FxHashMap::default(),
            messages: 0,
            unknown_lines: 0,
            has_ended: false,
            damage: None,
        }
    }

    fn read(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        loop {
            let Some(Line { kind, ts_recv }) = self.lanes.next_line()? else {
                return Ok(None);
            };
            let done = match kind {
                Kind::Recv => {
                    let connection = self.connection()?;
                    self.session.on_message(connection, self.lanes.envelope().payload(), ts_recv, events)
                }
                Kind::Http => {
                    let (url, payload) = self.lanes.envelope().answer();
                    self.session.on_answer(url, payload, ts_recv, events)
                }
                Kind::Connect => {
                    let connection = self.connection()?;
                    self.session.on_connect(connection, self.lanes.envelope().address(), ts_recv, events);
                    Ok(())
                }
                Kind::Send => Ok(()),
                Kind::Unknown => {
                    self.unknown_lines += 1;
                    continue;
                }
            };
            done.map_err(|error| self.lanes.envelope().damaged(error.to_string()))?;
            self.messages += u64::from(kind == Kind::Recv);
            return Ok(Some(ts_recv));
        }
    }

    /// The line's connection.
    fn connection(&mut self) -> Result<ConnectionId, FeedError> {
        let name = self.lanes.envelope().connection();
        if let Some(connection) = self.connections.get(name) {
            return Ok(*connection);
        }
        let number = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        if self.connections.len() >= CONNECTIONS_MAX {
            return Err(self.lanes.envelope().damaged(format!("more than {CONNECTIONS_MAX} connections")));
        }
        self.connections.insert(name.to_owned(), ConnectionId(number));
        Ok(ConnectionId(number))
    }
}
