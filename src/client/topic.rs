//! One topic as a client knows it: a state, its number, and the proof that it is the server's.

mod binary;
mod json;

use std::fmt;
use std::sync::Arc;

use feeds::{Exponent, NumberError, Symbol, Timestamp, Trade};

use super::book::Book;
use crate::state::{Bar, Quote, Status, Ticker};
use crate::topic::Channel;
use crate::wire::binary::Held;
use crate::wire::decode::GrantedTopic;

#[derive(Debug)]
pub(super) struct Topic {
    channel: Channel,
    symbol: Symbol,
    scale: Scale,
    /// The state's number and time.
    held: Held,
    /// Of the last snapshot.
    epoch: Option<Arc<str>>,
    /// `None`: void until a snapshot comes.
    values: Option<Values>,
    /// Whether it was asked for anew. What comes before the answer is of no use, and the values are not the newest.
    is_asked: bool,
    /// How often it was asked for anew since it last was proven.
    resyncs: u32,
}

/// The exponents of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    price: Exponent,
    size: Exponent,
}

#[derive(Debug)]
pub(super) enum Values {
    Quote(Quote),
    /// The newest, if there was one.
    Trade(Option<Trade>),
    Book(Book),
    /// `ticker`, `bar`, `status` of JSON: fields as they stand on the wire.
    Texts(Vec<TextField>),
    Ticker(Box<Ticker>),
    /// The last, if there was one.
    Bar(Option<Box<Bar>>),
    Status(Status),
}

/// A field's name, and its value as it stands on the wire; `None`: `null`.
pub type TextField = (&'static str, Option<Box<str>>);

/// What a data message did.
pub(super) enum Applied {
    /// Nothing: the topic is void, or what it lacks comes later.
    Ignored,
    /// It led to a new state, whose checksum agreed if it carried one.
    State { checksum: bool },
    /// It was a trade.
    Trade(Trade),
}

/// How a topic was found not to be what the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// A message is missing before this one.
    Gap {
        /// The number of the state that we have.
        expected: u64,
        /// The number of the state that the message starts from. A binary one tells only that it is not ours.
        found: Option<u64>,
    },
    /// The book is another one.
    Checksum {
        /// Of our book.
        ours: u32,
        /// The server's.
        theirs: u32,
    },
    /// The book has more levels a side than the topic's depth.
    Overfull {
        /// How many.
        levels: usize,
    },
    /// The message makes no sense: which part of it.
    Malformed(String),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found: Some(found) } => {
                write!(f, "a gap: the state is {expected}, the update follows {found}")
            }
            Self::Gap { expected, found: None } => {
                write!(f, "a gap: the state is {expected}, the update follows another")
            }
            Self::Checksum { ours, theirs } => {
                write!(f, "another book: checksum {ours}, the server's {theirs}")
            }
            Self::Overfull { levels } => write!(f, "a book with {levels} levels a side"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl Topic {
    pub(super) const fn new(channel: Channel, symbol: Symbol, scale: Scale) -> Self {
        let held = Held { seq: 0, ts_event: Timestamp(0) };
        Self { channel, symbol, scale, held, epoch: None, values: None, is_asked: false, resyncs: 0 }
    }

    pub(super) const fn channel(&self) -> Channel {
        self.channel
    }

    pub(super) const fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    pub(super) const fn scale(&self) -> Scale {
        self.scale
    }

    pub(super) const fn seq(&self) -> u64 {
        self.held.seq
    }

    pub(super) const fn ts_event(&self) -> Timestamp {
        self.held.ts_event
    }

    pub(super) const fn epoch(&self) -> Option<&Arc<str>> {
        self.epoch.as_ref()
    }

    /// The state, if it is known.
    pub(super) fn values(&self) -> Option<&Values> {
        self.values.as_ref().filter(|_| !self.is_asked)
    }

    /// Whether there is a state, if only an old one, that the server can go on from.
    pub(super) const fn is_held(&self) -> bool {
        self.values.is_some()
    }

    pub(super) fn void(&mut self) {
        self.values = None;
        self.epoch = None;
    }

    /// The server's answer to a request for it.
    pub(super) fn grant(&mut self, scale: Scale) {
        if self.scale != scale {
            self.void();
        }
        self.scale = scale;
        self.is_asked = false;
    }

    /// It is asked for anew, and was so many times in a row.
    pub(super) const fn ask_anew(&mut self) -> u32 {
        self.is_asked = true;
        self.resyncs += 1;
        self.resyncs
    }

    /// Messages after `prev_seq` up to `to` are lost, as the server says. `false`: what is lost comes later.
    pub(super) fn skip(&mut self, prev_seq: u64, to: u64) -> Result<bool, Divergence> {
        if self.is_asked {
            return Ok(false);
        }
        self.check_follows(prev_seq)?;
        self.held.seq = to;
        Ok(true)
    }

    /// Whether a message that comes in the place of those after `prev_seq` does so of our state too.
    const fn check_follows(&self, prev_seq: u64) -> Result<(), Divergence> {
        if self.values.is_some() && self.held.seq != prev_seq {
            return Err(Divergence::Gap { expected: self.held.seq, found: Some(prev_seq) });
        }
        Ok(())
    }

    fn enter(&mut self, epoch: &str) {
        if self.epoch.as_deref() != Some(epoch) {
            self.epoch = Some(epoch.into());
        }
    }

    /// Whether the book was proven to be the server's.
    fn check_book(
        book: &Book,
        channel: Channel,
        scale: Scale,
        checksum: Option<u32>,
    ) -> Result<bool, Divergence> {
        if let Channel::Book(depth) = channel
            && book.levels() > depth.levels()
        {
            return Err(Divergence::Overfull { levels: book.levels() });
        }
        let Some(theirs) = checksum else { return Ok(false) };
        let ours = book.checksum(scale.price, scale.size);
        if ours == theirs { Ok(true) } else { Err(Divergence::Checksum { ours, theirs }) }
    }

    /// A message led to a new state.
    fn proven(&mut self, is_snapshot: bool, checksum: bool) -> Applied {
        // A snapshot of a book proves nothing about the deltas that follow, a checksum on one does.
        if !is_snapshot && (checksum || !matches!(self.channel, Channel::Book(_))) {
            self.resyncs = 0;
        }
        Applied::State { checksum }
    }
}

impl Scale {
    pub(super) fn new(granted: &GrantedTopic<'_>) -> Result<Self, NumberError> {
        Ok(Self {
            price: Exponent::new(granted.price_exponent)?,
            size: Exponent::new(granted.size_exponent)?,
        })
    }

    pub(super) const fn exponents(self) -> (Exponent, Exponent) {
        (self.price, self.size)
    }
}
