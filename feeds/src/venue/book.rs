//! Whether the book of a venue that does not number its updates is complete: from its snapshot on, for as long as the
//! connection that feeds it stands.

use super::ConnectionId;
use crate::MarketEvent;

/// What a session has of an instrument's book.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
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
