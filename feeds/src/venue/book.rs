//! Whether a book is complete: from its snapshot on, for as long as the connection that feeds it stands and, where the
//! venue numbers its updates, no number is missing.

use serde::{Deserialize, Serialize};

use super::{ConnectionId, Receipt, Stamp};
use crate::{EventBody, MarketEvent, SymbolId};

/// What a session has of an instrument's book.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Book {
    /// No snapshot yet.
    #[default]
    Empty,
    /// Complete, fed by this connection.
    Held(ConnectionId),
    /// Updates came with no snapshot before them, and a gap was told.
    Lost,
}

impl Book {
    /// A connection begins. Says whether it fed this book, which is void then.
    pub(super) fn on_connect(&mut self, connection: ConnectionId) -> bool {
        let was_fed = *self == Self::Held(connection);
        if was_fed {
            *self = Self::Empty;
        }
        was_fed
    }

    /// The events from `start` on are an update that came by `connection`. They stand, and `true` is returned, where
    /// there is a snapshot before them: half a book must not pass for a whole one. Else they are taken back, and the
    /// first time `gap` is told in their place.
    pub(super) fn on_update(
        &mut self,
        connection: ConnectionId,
        events: &mut Vec<MarketEvent>,
        start: usize,
        gap: MarketEvent,
    ) -> bool {
        if let Self::Held(feeder) = self {
            *feeder = connection;
            return true;
        }
        events.truncate(start);
        if *self == Self::Empty {
            *self = Self::Lost;
            events.push(gap);
        }
        false
    }
}

/// A book whose updates are numbered.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct NumberedBook {
    book: Book,
    /// What the next update must carry.
    due: u64,
}

impl NumberedBook {
    /// A connection begins. Says whether it fed this book, which is void then.
    pub(super) fn on_connect(&mut self, connection: ConnectionId) -> bool {
        self.book.on_connect(connection)
    }

    /// A snapshot came by `connection`: the next update must carry `due`.
    pub(super) const fn on_snapshot(&mut self, connection: ConnectionId, due: u64) {
        *self = Self { book: Book::Held(connection), due };
    }

    /// The events from `start` on are an update that carries `found`; the one after it must carry `due`. They stand, and
    /// `true` is returned, where nothing is missing before them. Else they are taken back, and where that is news, a gap
    /// is told in their place: the book is void until its next snapshot.
    pub(super) fn on_update(
        &mut self,
        connection: ConnectionId,
        (found, due): (u64, u64),
        stamp: Stamp,
        start: usize,
        events: &mut Vec<MarketEvent>,
    ) -> bool {
        let no_snapshot = stamp.event(EventBody::Gap { expected: 0, found: 0 });
        if !self.book.on_update(connection, events, start, no_snapshot) {
            return false;
        }
        if found != self.due {
            events.truncate(start);
            self.lose(stamp, self.due, found, events);
            return false;
        }
        self.due = due;
        true
    }

    /// What the next update must carry.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// Something was lost before the message of `stamp`.
    pub(super) fn lose(&mut self, stamp: Stamp, expected: u64, found: u64, events: &mut Vec<MarketEvent>) {
        self.book = Book::Lost;
        stamp.tell_gap(expected, found, events);
    }
}

/// Tells that the books are void which `is_fed` says were fed by the connection that begins.
pub(super) fn clear_fed<'a, T: 'a>(
    receipt: Receipt,
    books: impl Iterator<Item = (SymbolId, &'a mut T)>,
    mut is_fed: impl FnMut(&mut T) -> bool,
    events: &mut Vec<MarketEvent>,
) {
    for (symbol, book) in books {
        if is_fed(book) {
            events.push(receipt.stamp(symbol).event(EventBody::BookClear));
        }
    }
}
