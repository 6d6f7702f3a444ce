//! The messages of TOPS 1.6 and DEEP 1.0, as far as events are made of them.
//!
//! All begin with type, a byte that differs, and the time in nanoseconds since the Unix epoch; and all but `S` go on
//! with the symbol. IEX may lengthen a message, and add types: what is more than known here is passed over.

use std::fmt;

use crate::{Level, Price, Size, Symbol, SymbolError, Timestamp};

/// A symbol, padded with spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ticker([u8; 8]);

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    /// `None`: a type that is not known, whose fields are not either.
    pub(super) time: Option<Timestamp>,
    /// `None`: about the whole market, or not known.
    pub(super) ticker: Option<Ticker>,
    pub(super) body: Body,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// `S`: `O` `S` `R` `M` `E` `C`, begin and end of messages, system hours and market hours.
    SystemEvent(u8),
    /// `D`.
    SecurityDirectory,
    /// `H`: `H` halted, `O` halted and orders accepted, `P` paused and orders accepted, `T` trading.
    TradingStatus { status: u8, reason: [u8; 4] },
    /// `O`.
    OperationalHalt { is_halted: bool },
    /// `Q`.
    Quote { bid: Option<Level>, ask: Option<Level> },
    /// `8`, `5`.
    Level { is_bid: bool, level: Level, is_complete: bool },
    /// `T`.
    Trade { level: Level, id: u64 },
    /// The rest.
    Other,
}

/// How many bytes a message of a type has; `None`: not a type of these versions.
const fn length(kind: u8) -> Option<usize> {
    Some(match kind {
        b'S' => 10,
        b'I' | b'O' | b'E' => 18,
        b'P' => 19,
        b'H' => 22,
        b'X' => 26,
        b'8' | b'5' => 30,
        b'D' => 31,
        b'T' | b'B' => 38,
        b'Q' => 42,
        b'A' => 80,
        _ => return None,
    })
}

pub(super) fn parse(bytes: &[u8]) -> Result<Message, String> {
    let Some(&kind) = bytes.first() else {
        return Err("a message of no bytes".to_owned());
    };
    let Some(expected) = length(kind) else {
        return Ok(Message { kind, time: None, ticker: None, body: Body::Other });
    };
    let shown = kind.escape_ascii();
    if bytes.len() < expected {
        return Err(format!(
            "a message of type `{shown}` with {} bytes, where it has {expected}",
            bytes.len()
        ));
    }
    let time = Timestamp(i64::from_le_bytes(array(bytes, 2)));
    let ticker = (kind != b'S').then(|| Ticker(array(bytes, 10)));
    let size = |at| Size(u32::from_le_bytes(array(bytes, at)).into());
    let price = |at| Price(i64::from_le_bytes(array(bytes, at)));
    let level = |price_at, size_at| Level { price: price(price_at), size: size(size_at) };
    let side = |level: Level| (level.size != Size::ZERO).then_some(level);
    let code = bytes[1];
    let body = match kind {
        b'S' => Body::SystemEvent(code),
        b'D' => Body::SecurityDirectory,
        b'H' if matches!(code, b'H' | b'O' | b'P' | b'T') => {
            Body::TradingStatus { status: code, reason: array(bytes, 18) }
        }
        b'O' if matches!(code, b'O' | b'N') => Body::OperationalHalt { is_halted: code == b'O' },
        b'H' | b'O' => {
            return Err(format!("a message of type `{shown}` with `{}` for its status", code.escape_ascii()));
        }
        b'Q' => Body::Quote { bid: side(level(22, 18)), ask: side(level(30, 38)) },
        b'8' | b'5' => Body::Level { is_bid: kind == b'8', level: level(22, 18), is_complete: code & 1 == 1 },
        b'T' => Body::Trade { level: level(22, 18), id: u64::from_le_bytes(array(bytes, 30)) },
        _ => Body::Other,
    };
    Ok(Message { kind, time: Some(time), ticker, body })
}

/// The `N` bytes at a place that the length was checked for.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

impl Ticker {
    pub(super) fn symbol(self) -> Result<Symbol, SymbolError> {
        Symbol::new(String::from_utf8_lossy(self.0.trim_ascii_end()).as_ref())
    }
}

impl fmt::Display for Ticker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trim_ascii_end().escape_ascii().fmt(f)
    }
}
