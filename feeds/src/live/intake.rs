//! What the connections to a venue share: the session that reads their messages, what is known of each book, and the
//! queue to whoever asks for the events.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use tracing::warn;

use super::Reader;
use super::connector::Fault;
use super::queue::{Message, Sender};
use super::rest::Answer;
use crate::clock::monotonic;
use crate::limits::{LIVE_RESYNC_SPACING, LIVE_SNAPSHOT_MAX};
use crate::venue::{ConnectionId, Problem, Session, VenueError};
use crate::{Clock, EventBody, MarketEvent, SymbolId, Timestamp};

pub(super) struct Intake {
    session: Session,
    queue: Sender,
    reader: Reader,
    clock: Clock,
    events: Vec<MarketEvent>,
    /// By symbol.
    books: Vec<Book>,
    /// Of messages that the queue had no room for.
    lost: BTreeSet<SymbolId>,
    /// Messages about symbols that nobody asked for.
    unasked: u64,
}

/// What is known of a symbol's snapshot.
#[derive(Clone, Copy, Default)]
struct Book {
    /// When to ask for it again; `None`: it is here.
    due: Option<Instant>,
    /// When it was asked for last.
    asked: Option<Instant>,
}

impl Book {
    fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
        self.due = Some(now + LIVE_SNAPSHOT_MAX);
    }

    /// It is void.
    fn lose(&mut self, now: Instant) {
        self.due = Some(self.asked.map_or(now, |asked| now.max(asked + LIVE_RESYNC_SPACING)));
    }
}

impl Intake {
    pub(super) fn new(session: Session, queue: Sender, reader: Reader) -> Self {
        let books = vec![Book::default(); session.directory().instruments().len()];
        let (clock, events, lost) = (Clock::System, Vec::new(), BTreeSet::new());
        Self { session, queue, reader, clock, events, books, lost, unasked: 0 }
    }

    /// The venue's names of some symbols.
    pub(super) fn names(&self, symbols: Range<usize>) -> impl Iterator<Item = &str> {
        self.session.directory().instruments()[symbols].iter().map(|instrument| instrument.symbol.as_str())
    }

    pub(super) fn name(&self, symbol: usize) -> &str {
        self.session.directory().instruments()[symbol].symbol.as_str()
    }

    pub(super) fn on_connect(
        &mut self,
        connection: ConnectionId,
        address: &str,
        ts_recv: Timestamp,
    ) -> Result<(), Fault> {
        self.session.on_connect(connection, address, ts_recv, &mut self.events);
        self.forward()
    }

    /// From here on nothing is known of any book of this connection, and whoever looks at one must see that.
    pub(super) fn on_disconnect(
        &mut self,
        connection: ConnectionId,
        ts_recv: Timestamp,
    ) -> Result<(), Fault> {
        self.session.on_disconnect(connection, ts_recv, &mut self.events);
        self.forward()
    }

    /// Returns what is wrong with a message of one symbol, whose book it costs.
    pub(super) fn on_message(
        &mut self,
        connection: ConnectionId,
        payload: &mut [u8],
        ts_recv: Timestamp,
    ) -> Result<Option<VenueError>, Fault> {
        let read = self.session.follow(connection, payload, ts_recv, &mut self.events);
        if read.is_err() {
            self.session.on_disconnect(connection, ts_recv, &mut self.events);
        }
        self.note_books();
        self.forward()?;
        Ok(read?.filter(|error| !self.leaves_aside(error)))
    }

    /// Of messages about symbols that nobody asked for, the log has the first, the second, the fourth and so on.
    fn leaves_aside(&mut self, error: &VenueError) -> bool {
        if error.problem != Problem::Unasked {
            return false;
        }
        self.unasked += 1;
        if self.unasked.is_power_of_two() {
            warn!(%error, messages = self.unasked, "messages about symbols that nobody asked for are left aside");
        }
        true
    }

    /// The answer to a request of the connection. Returns what is wrong with it.
    pub(super) fn on_answer(
        &mut self,
        connection: ConnectionId,
        answer: &mut Answer,
        ts_recv: Timestamp,
    ) -> Result<Option<VenueError>, Fault> {
        let Answer { url, payload } = answer;
        let read = self.session.follow_answer(connection, url, payload, ts_recv, &mut self.events);
        self.note_books();
        self.forward()?;
        Ok(read.err())
    }

    /// The snapshots of these books are to be asked for.
    pub(super) fn want(&mut self, symbols: Range<usize>, now: Instant) {
        self.books[symbols].fill(Book { due: Some(now), asked: None });
    }

    /// The snapshot of this book does not come.
    pub(super) fn miss(&mut self, symbol: usize, now: Instant) {
        self.books[symbol].lose(now);
    }

    /// Whether the snapshot was asked for before by this connection.
    pub(super) fn was_asked(&self, symbol: usize) -> bool {
        self.books[symbol].asked.is_some()
    }

    /// The snapshots of these books have just been asked for.
    pub(super) fn ask(&mut self, symbols: impl IntoIterator<Item = usize>, now: Instant) {
        for symbol in symbols {
            self.books[symbol].ask(now);
        }
    }

    /// Those of the books that are to be asked for: some at most, who waited longest first.
    pub(super) fn due(&self, symbols: Range<usize>, count_max: usize, now: Instant) -> Vec<usize> {
        let since = |symbol: &usize| self.books[*symbol].due;
        let mut due: Vec<usize> =
            symbols.filter(|symbol| since(symbol).is_some_and(|due| due <= now)).collect();
        due.sort_by_key(since);
        due.truncate(count_max);
        due
    }

    fn note_books(&mut self) {
        let now = monotonic();
        for event in &self.events {
            let book = &mut self.books[event.symbol.index()];
            match event.body {
                EventBody::BookSnapshot(_) => book.due = None,
                EventBody::Gap { .. } => book.lose(now),
                _ => {}
            }
        }
    }

    /// Hands the events over, as one message. It may hold none: it shows that the venue speaks.
    pub(super) fn forward(&mut self) -> Result<(), Fault> {
        self.tell_lost()?;
        let events = std::mem::take(&mut self.events);
        if self.lost.is_empty() {
            self.hand_over(events)
        } else {
            self.lost.extend(events.iter().map(|event| event.symbol));
            Ok(())
        }
    }

    /// Tells the gaps of messages that were lost, as soon as there is room for that.
    pub(super) fn tell_lost(&mut self) -> Result<(), Fault> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let lost = std::mem::take(&mut self.lost);
        let ts_event = self.clock.now();
        let body = EventBody::Gap { expected: 0, found: 0 };
        let gap =
            |&symbol| MarketEvent { symbol, ts_event, ts_recv: ts_event, sequence: 0, body: body.clone() };
        self.hand_over(lost.iter().map(gap).collect())?;
        if self.lost.is_empty() {
            let now = monotonic();
            for symbol in lost {
                self.session.forget(symbol);
                self.books[symbol.index()].lose(now);
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, events: Vec<MarketEvent>) -> Result<(), Fault> {
        match self.queue.try_send(Message { ts_recv: self.clock.now(), events }) {
            Ok(()) => {
                if let Some(reader) = self.reader.get() {
                    reader.unpark();
                }
                Ok(())
            }
            Err(TrySendError::Full(message)) if message.events.is_empty() => Ok(()),
            Err(TrySendError::Full(message)) => {
                if self.lost.is_empty() {
                    warn!("messages are not taken fast enough: some are lost");
                }
                self.lost.extend(message.events.iter().map(|event| event.symbol));
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Fault::Unwanted),
        }
    }
}
