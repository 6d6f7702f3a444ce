//! Which venue a capture is of.

use std::path::Path;

use super::envelope::{Envelope, Kind, Wrapping};
use crate::limits::IDENTIFY_LINES_MAX;
use crate::{FeedError, Timestamp};

/// A venue, as [`Session::survey`](crate::venue::Session::survey) takes it.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) exchange: String,
    /// Of the first connection; empty: not told.
    pub(super) address: String,
}

/// Tells the venue by the header and the first connection, or else by the first messages. Damage is met again by who
/// reads the file.
pub(super) fn identify(path: &Path) -> Result<Identity, FeedError> {
    let mut envelope = Envelope::open(path, 0)?;
    let mut identity = Identity { exchange: envelope.exchange().to_owned(), address: String::new() };
    for _ in 0..IDENTIFY_LINES_MAX {
        let Ok(Some(line)) = envelope.next_line(None, Timestamp::default()) else { break };
        match (envelope.wrapping(), line.kind) {
            (Wrapping::Object, Kind::Connect) => {
                envelope.address().clone_into(&mut identity.address);
                return Ok(identity);
            }
            (Wrapping::Object, Kind::Recv) => return Ok(identity),
            (Wrapping::Object, _) => {}
            (Wrapping::Bare, _) => return Ok(Identity { exchange: "BYBIT".to_owned(), ..identity }),
            (Wrapping::Stamped, _) => {
                if let Some(exchange) = exchange_of(envelope.payload()) {
                    return Ok(Identity { exchange: exchange.to_owned(), ..identity });
                }
            }
        }
    }
    if envelope.wrapping() == Wrapping::Stamped {
        let reason = format!("none of its first {IDENTIFY_LINES_MAX} messages tells the venue");
        return Err(FeedError::UnknownFormat { path: path.to_owned(), reason });
    }
    Ok(identity)
}

/// The markets of Binance differ in the fields of a depth message: futures have `pu`, those margined in coin also `ps`.
fn exchange_of(payload: &[u8]) -> Option<&'static str> {
    let has = |text: &str| payload.windows(text.len()).any(|window| window == text.as_bytes());
    if has(r#""channel":"l2Book""#) {
        return Some("HYPERLIQUID");
    }
    if !has(r#""e":"depthUpdate""#) {
        return None;
    }
    Some(match (has(r#""pu":"#), has(r#""ps":"#)) {
        (false, _) => "BINANCE",
        (true, false) => "BINANCE_FUTURES",
        (true, true) => "BINANCE_DELIVERY",
    })
}
