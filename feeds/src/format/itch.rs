//! NASDAQ TotalView-ITCH 5.0, in the framing of NASDAQ's sample files: a two-byte length, then the message; every
//! number big-endian.
//!
//! ```text
//! 00 13  44 00 0d 00 02 0a 38 6c 1b 2f 40 00 00 00 00 00 00 0f a1
//! len 19 D  locate track  ns since 00:00   order reference
//! ```
//!
//! ITCH tells the time of day and not the day: that comes from the file's name, see [`ItchReader::open`].

mod directory;
mod events;
mod frames;
mod message;
mod moldudp64;
mod packets;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;

use std::path::Path;

use super::date;
use crate::{FeedError, Instrument, MarketEvent, Timestamp};
use directory::Directory;
use events::Session;
use frames::Frames;

pub use message::{
    AddOrder, AddOrderAttributed, Body, BrokenTrade, CrossTrade, DirectListing, HaltAction, IpoQuotingPeriod,
    LuldAuctionCollar, MarketParticipant, Message, MwcbDeclineLevel, MwcbStatus, NetOrderImbalance,
    OperationalHalt, OrderCancel, OrderDelete, OrderExecuted, OrderExecutedWithPrice, OrderReplace,
    ParseError, RegSho, RetailInterest, Stock, StockDirectory, StockTradingAction, SystemEvent, Trade,
    TradingState, length, parse,
};
pub(crate) use moldudp64::carries_itch as is_in_datagram;
pub use packets::ItchPacketReader;

/// The venue of every instrument of these files.
pub const VENUE: &str = "NASDAQ";

/// Reads an ITCH file from its first message to its last.
///
/// What the messages become:
/// - `A` `F` add an order, `E` `C` execute, `X` `D` cancel, `U` replaces it. Orders that the file does not add may be
///   referred to: it may have been cut from the middle of a day.
/// - `P` is a trade against a hidden order, and never tells who crossed the spread: its side has been `B` always
///   since July 2014. `Q` is the trade of a cross, unless nothing was crossed.
/// - `R` defines the instrument. `H` changes its status, and so does `h` where it is about NASDAQ's own market, not
///   BX or PSX. While either halts a stock it is halted: the end of one halt does not lift the other.
/// - `S` with `M`, end of market hours, closes every instrument. The other hours of the system (`O` `S` `Q` `E` `C`)
///   change no instrument: `H` tells the state of each.
/// - The rest (`Y` `L` `V` `W` `K` `J` `B` `I` `N` `O`) is checked and counted, and says nothing that an event has a
///   word for. A broken trade (`B`) is not taken back: what printed has been seen.
pub struct ItchReader {
    frames: Frames,
    directory: Directory,
    session: Session,
    messages: u64,
    is_over: bool,
}

impl ItchReader {
    /// Reads the whole file once to learn its instruments, then stands at its start.
    ///
    /// The day is taken from the first run of exactly eight digits in the file's name that is a date, `YYYYMMDD`
    /// or NASDAQ's own `MMDDYYYY`, and begins at midnight in New York. Without one it is 1970-01-01, UTC.
    ///
    /// Instruments stand in the order in which their locate codes first appear. A code that no message names is
    /// called `LOCATE-<n>`. What is damaged after the first message is left for [`Self::next_message`] to meet.
    ///
    /// # Errors
    /// [`FeedError::Io`] when the file cannot be read, [`FeedError::Damaged`] when not even its first message can.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let mut frames = Frames::open(path)?;
        let mut directory = Directory::default();
        let mut is_first = true;
        loop {
            let noted = match frames.next_message() {
                Ok(Some(bytes)) => parse(bytes)
                    .map_err(|error| error.to_string())
                    .and_then(|message| directory.note(&message))
                    .map(|()| true)
                    .map_err(|reason| frames.damaged(reason)),
                Ok(None) => Ok(false),
                Err(error) => Err(error),
            };
            match noted {
                Ok(true) => is_first = false,
                Ok(false) => break,
                Err(error) if is_first => return Err(error),
                Err(_) => break,
            }
        }
        directory.complete().map_err(|reason| frames.damaged(reason))?;
        let session = Session::new(date::midnight(path), directory.instruments().len());
        Ok(Self { frames: Frames::open(path)?, directory, session, messages: 0, is_over: false })
    }

    /// All instruments of the file; a [`crate::SymbolId`] is an index here.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        self.directory.instruments()
    }

    /// Appends the events of the next message, none for many types, and tells its time; `None` at the end, and
    /// after an error. `ts_recv` is `ts_event`: the files carry no other time.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] for an unknown type, a length that is not the type's, a value that its field cannot
    /// have, a stock that changes its locate code, and a file that ends within a message; [`FeedError::Io`] when
    /// the disk fails or the compression is damaged. The offset is that of the message's frame. No event was
    /// appended.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return Ok(None);
        }
        let time = self.advance(events);
        match time {
            Ok(Some(_)) => self.messages += 1,
            Ok(None) | Err(_) => self.is_over = true,
        }
        time
    }

    /// How many messages have been read.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// The message is looked at where the parser has put it: a copy of what was just written in smaller pieces would wait for
    /// them to leave the processor's store buffer, which took half of the time.
    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        let Some(bytes) = self.frames.next_message()? else {
            return Ok(None);
        };
        let appended = match &parse(bytes) {
            Ok(message) => self.directory.find(message).and_then(|symbol| {
                self.session.append(message, symbol, self.directory.instruments(), events)
            }),
            Err(error) => Err(error.to_string()),
        };
        appended.map(Some).map_err(|reason| self.frames.damaged(reason))
    }
}
