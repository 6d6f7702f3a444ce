//! Market data in: knows venues and file formats, knows nothing of clients.
//!
//! ```text
//!  bytes of a file, a venue, a seed ─► Feed ─► MarketEvent
//! ```
//!
//! A [`Feed`] is pulled: whoever owns it asks for the next message when it wants it, so that no queue stands between
//! a recording and the market, and a replay at full speed is as exact as one in real time. A live venue does not wait to
//! be asked: [`live`] has a thread of its own, and a bounded queue.

pub mod clock;
mod error;
mod event;
pub mod export;
pub mod format;
mod input;
mod instrument;
pub mod limits;
pub mod live;
mod price;
pub mod record;
pub mod replay;
pub mod request;
#[cfg(test)]
mod shared;
pub mod sim;
mod symbol;
pub mod userinfo;
pub mod venue;

pub use clock::{Clock, Speed, Timestamp, TimestampError, VirtualClock};
pub use error::FeedError;
pub use event::{
    Aggressor, Bar, BookChecksum, BookSnapshot, EventBody, Level, MarketEvent, OrderId, Side, Trade,
    TradingStatus,
};
pub use input::Input;
pub use instrument::{Instrument, kept_venue};
pub use price::{Exponent, NumberError, Price, Size};
pub use symbol::{Symbol, SymbolError, SymbolId};

/// The target of spans that are for a collector of traces alone. The log is not told of them, and they are never entered:
/// what they cover may be polled thousands of times a second.
pub const TRACED: &str = "otlp";

/// A source of market events.
pub trait Feed: Send {
    /// All instruments it carries; [`SymbolId`] is the index. Does not change while the feed runs.
    fn instruments(&self) -> &[Instrument];

    /// Where playing begins, in the feed's own time: what is due before is not waited for.
    fn begins_at(&self) -> Option<Timestamp> {
        None
    }

    /// Called once, before the first message is asked for, at the time at which playing begins: a feed that makes its
    /// events up starts its time there. One that says [`Progress::Waiting`] unparks the calling thread when there is more.
    fn begin(&mut self, _now: Timestamp) {}

    /// Appends the events of the next message to `events`: they belong together, and the state between two of
    /// them is nobody's business. A message may hold no event at all.
    ///
    /// # Errors
    /// [`FeedError`] when the source is damaged or gone. What was appended before stands, and there is nothing
    /// more to come.
    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError>;

    /// Lines so far of a kind that is not known here: they make no events.
    fn unknown_lines(&self) -> u64 {
        0
    }

    /// What whoever plays it had come to at the place where it begins, if that is not its beginning: see
    /// [`Feed::keep_state`]. To be taken over before the first message is asked for, and again after
    /// [`Progress::Restarted`].
    fn take_state(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// What was taken cannot be used: begins at the beginning.
    ///
    /// # Errors
    /// [`FeedError`] as for opening it.
    fn begin_without_state(&mut self) -> Result<(), FeedError> {
        Ok(())
    }

    /// Whether it is time to keep a state, so that another time it need not begin at its beginning.
    fn wants_state(&mut self) -> bool {
        false
    }

    /// Keeps what whoever plays it has come to by all messages so far.
    fn keep_state(&mut self, _state: &[u8]) {}

    /// How its connections stand. A recording has none.
    fn connections(&self) -> Connections {
        Connections::default()
    }
}

/// How the connections of a live feed stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Those that stand.
    pub open: u64,
    /// Those that were lost so far, each of which is made anew.
    pub lost: u64,
    /// Books that were asked for anew so far.
    pub resyncs: u64,
}

/// What [`Feed::next_message`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It read a message, which was received at `due` in the feed's own time.
    Message {
        /// When it is due.
        due: Timestamp,
    },
    /// There is none yet. No events were appended.
    Waiting,
    /// The recording begins again: all state is void. No events were appended.
    Restarted,
    /// There is no more. No events were appended.
    Ended,
}
