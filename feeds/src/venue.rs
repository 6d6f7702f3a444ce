//! Venues, one file each: what their messages mean.
//!
//! A venue's session takes the venue's bytes, as a socket or a recording has them, and appends events. It knows of no
//! file and no socket; what it must remember between messages (whether a book is complete, which number is due) is
//! its own. All sessions have the same shape:
//!
//! ```text
//!  on_connect   a connection begins: what it fed before is void
//!  on_message   one message of a connection
//!  on_answer    one answer to an HTTP request: a list of instruments, a snapshot of a book
//! ```

pub mod binance;
mod book;
pub mod coinbase;
mod directory;
pub(crate) mod json;
pub mod kraken;

use std::fmt;

pub use directory::Directory;

use crate::{Exponent, NumberError, Price, SymbolError, Timestamp};

/// Which connection a message came by: sessions forget what a connection told when it begins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u32);

/// What is wrong with a venue's message, and where in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct VenueError {
    /// The instrument, as the venue spells it; `None`: the message did not get as far as naming one.
    pub symbol: Option<String>,
    /// The venue's name of the field.
    pub field: &'static str,
    /// What is wrong with it.
    #[source]
    pub problem: Problem,
}

/// What can be wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The message is not JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// The field is not there.
    #[error("missing")]
    Missing,
    /// The field is of another kind than the venue documents.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A price, size or time that cannot be held exactly.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// A name that cannot be a symbol.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A message about an instrument that the session was not told of.
    #[error("not among the session's instruments")]
    UnknownInstrument,
    /// More instruments than [`crate::limits::INSTRUMENTS_MAX`].
    #[error("more than {0} instruments")]
    TooManyInstruments(usize),
}

impl VenueError {
    fn new(field: &'static str, problem: impl Into<Problem>) -> Self {
        Self { symbol: None, field, problem: problem.into() }
    }

    pub(crate) fn expected(field: &'static str, what: &'static str) -> Self {
        Self::new(field, Problem::Expected(what))
    }

    /// The same, naming the instrument.
    fn of(mut self, symbol: &str) -> Self {
        self.symbol.get_or_insert_with(|| symbol.to_owned());
        self
    }
}

impl fmt::Display for VenueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(symbol) = &self.symbol {
            write!(f, "{symbol}: ")?;
        }
        write!(f, "`{}`: {}", self.field, self.problem)
    }
}

/// Reads decimal seconds since the Unix epoch, such as `1618678142.557535`, exactly.
pub(crate) fn seconds(field: &'static str, text: &[u8]) -> Result<Timestamp, VenueError> {
    const NANOSECONDS: i8 = -9;
    Exponent::new(NANOSECONDS)
        .and_then(|exponent| Price::parse_bytes(text, exponent))
        .map(|nanoseconds| Timestamp(nanoseconds.0))
        .map_err(|error| VenueError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_exactly_or_refused() {
        assert_eq!(seconds("ts", b"1618678132.358447"), Ok(Timestamp(1_618_678_132_358_447_000)));
        assert_eq!(seconds("ts", b"1618677816.8414998"), Ok(Timestamp(1_618_677_816_841_499_800)));
        assert_eq!(seconds("ts", b"1618677816"), Ok(Timestamp(1_618_677_816_000_000_000)));
        for wrong in ["1.6e9", "", "1618677816.1234567891", "9999999999999"] {
            let error = seconds("ts", wrong.as_bytes()).expect_err(wrong);
            assert!(matches!(error.problem, Problem::Number(_)), "{wrong}");
        }
    }

    #[test]
    fn errors_name_instrument_and_field() {
        let error = VenueError::new("q", Problem::Missing).of("BTCUSDT").of("OTHER");
        assert_eq!(error.to_string(), "BTCUSDT: `q`: missing");
        assert_eq!(VenueError::new("q", Problem::Missing).to_string(), "`q`: missing");
    }
}
