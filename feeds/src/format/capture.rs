//! Exchange captures: a venue's messages as they were received, one a line.
//!
//! In the envelope of the cryptofeed project, one object a line, in the order of capture:
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
//! `data` is the exact text that was sent or received, and `ts` the recorder's clock in decimal seconds. In that of
//! hftbacktest, the recorder's clock in nanoseconds and the message of one connection, an answer to a request among them:
//!
//! ```text
//! 1723161256172216566 {"stream":"btcusd_perp@depth@0ms","data":{…}}
//! 1723161256609369665 {"lastUpdateId":1007198635033,"E":1723161257835,"T":1723161257823,"symbol":"BTCUSD_PERP",…}
//! ```
//!
//! And in none, as Bybit offers recorded books for download (`…_ob500.data`, in a zip archive):
//!
//! ```text
//! {"topic":"orderbook.500.XRPUSDT","type":"snapshot","ts":1733011200691,"data":{…},"cts":1733011200589}
//! ```
//!
//! This file knows the envelopes; what the payloads mean is the business of [`crate::venue`].
//!
//! Opening reads the whole file once: with the venue's own session over a surveying [`Directory`](crate::venue::Directory), so that the
//! instruments and their exponents are known before the first event. Where the file is damaged the survey stops, and
//! playing reports the damage when it gets there.
//!
//! Lines are played in order of their time, which is not always the file's (`lane`, beside this file): so a book is
//! joined with its snapshot when that arrived, and a replay shows trades and books of one moment together.

mod envelope;
mod identify;
mod lane;
#[cfg(test)]
mod tests;

use std::path::Path;

use rustc_hash::FxHashMap;

pub(crate) use self::envelope::is_capture;
use self::envelope::{Kind, Line};
use self::identify::{Identity, identify};
use self::lane::{LaneStarts, Lanes};
use crate::limits::CONNECTIONS_MAX;
use crate::venue::json;
use crate::venue::{ConnectionId, Session, VenueError};
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
        let Identity { exchange, address } = identify(path)?;
        let Some(session) = Session::survey(&exchange, &address) else {
            let reason = format!("a capture of `{exchange}`, a venue that is not known here");
            return Err(FeedError::UnknownFormat { path: path.to_owned(), reason });
        };
        let mut survey = Self::new(Lanes::open(path, &LaneStarts::default())?, session);
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
        // What they decompressed into is what the next ones will.
        drop(lanes);
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
                Kind::Recv => self.read_message(ts_recv, events)?,
                Kind::Http => self.read_answer(ts_recv, events)?,
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

    fn read_message(
        &mut self,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Result<(), VenueError>, FeedError> {
        let connection = self.connection()?;
        let Self { lanes, session, .. } = self;
        let envelope = lanes.envelope();
        if let Some(payload) = envelope.nested() {
            if let Some(read) = session.on_nested_message(connection, payload, ts_recv, events) {
                return Ok(read);
            }
            envelope.take_apart()?;
        }
        Ok(session.on_message(connection, envelope.payload(), ts_recv, events))
    }

    fn read_answer(
        &mut self,
        ts_recv: Timestamp,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Result<(), VenueError>, FeedError> {
        let Self { lanes, session, .. } = self;
        let envelope = lanes.envelope();
        if let Some(payload) = envelope.nested() {
            // Lists of instruments are long, and of no use any more when playing begins.
            if !session.wants_answer(envelope.url()) && json::is_text(payload) {
                return Ok(Ok(()));
            }
            if let Some(read) = session.on_nested_answer(envelope.url(), payload, ts_recv, events) {
                return Ok(read);
            }
            envelope.take_apart()?;
        }
        let (url, payload) = envelope.answer();
        Ok(session.on_answer(url, payload, ts_recv, events))
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
