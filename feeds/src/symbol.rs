//! Names of instruments, and the dense numbers that stand for them inside the process.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::limits::SYMBOL_BYTES_MAX;

/// An instrument's number, dense from 0: the index into every flat array that is kept per instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SymbolId(pub u32);

impl SymbolId {
    /// As an index into an array.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// # Panics
    /// When there are more than 2³² instruments, which [`crate::limits::INSTRUMENTS_MAX`] rules out.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("instruments are limited far below 2^32"))
    }
}

/// A symbol as the venue spells it, in upper case; `VENUE:SYMBOL` where two sources carry the same one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Symbol(Arc<str>);

/// Why a text is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// Nothing there.
    #[error("a symbol must not be empty")]
    Empty,
    /// Longer than [`SYMBOL_BYTES_MAX`].
    #[error("symbol `{0}…` is longer than {SYMBOL_BYTES_MAX} bytes")]
    TooLong(String),
    /// Not printable ASCII, or one of `"`, `\`, `,` and space, which would need quoting somewhere.
    #[error("symbol `{0}` holds a character other than printable ASCII without quotes, commas and spaces")]
    Character(String),
}

impl Symbol {
    /// Takes a venue's spelling, and puts it in upper case.
    ///
    /// # Errors
    /// [`SymbolError`] for texts that cannot stand in a topic, a URL or JSON without quoting.
    pub fn new(text: &str) -> Result<Self, SymbolError> {
        if text.is_empty() {
            return Err(SymbolError::Empty);
        }
        if text.len() > SYMBOL_BYTES_MAX {
            return Err(SymbolError::TooLong(text.chars().take(SYMBOL_BYTES_MAX).collect()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',')) {
            return Err(SymbolError::Character(text.into()));
        }
        Ok(Self(text.to_ascii_uppercase().into()))
    }

    /// `VENUE:SYMBOL`.
    #[must_use]
    pub fn qualified(&self, venue: &str) -> Self {
        Self(format!("{venue}:{}", self.0).into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Symbol {
    type Error = SymbolError;

    fn try_from(text: String) -> Result<Self, SymbolError> {
        Self::new(&text)
    }
}

impl From<Symbol> for String {
    fn from(symbol: Symbol) -> Self {
        symbol.0.as_ref().to_owned()
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_upper_case_and_need_no_quoting() {
        assert_eq!(Symbol::new("btcusd_perp").map(|s| s.to_string()), Ok("BTCUSD_PERP".to_owned()));
        assert_eq!(Symbol::new("XBT/EUR").expect("valid").qualified("KRAKEN").as_str(), "KRAKEN:XBT/EUR");
        assert_eq!(Symbol::new(""), Err(SymbolError::Empty));
        assert!(matches!(Symbol::new(&"A".repeat(65)), Err(SymbolError::TooLong(_))));
        for wrong in ["A B", "A\"B", "A\\B", "A,B", "É", "A\n"] {
            assert!(matches!(Symbol::new(wrong), Err(SymbolError::Character(_))), "{wrong}");
        }
    }
}
