//! Which instruments a server has: one request by HTTP, to the same server, by whoever the client is.

use anyhow::bail;
use feeds::Symbol;
use serde::Deserialize;
use tokio::time::timeout;

use crate::client::{Rest, Token};
use crate::limits::{LIST_ROWS_MAX, WATCH_FIELD_CHARS_MAX, WATCH_LIST_BYTES_MAX, WATCH_LIST_WAIT};
use crate::printable::printable;

/// An instrument that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) symbol: Symbol,
    /// Venue and currency, as far as they are known.
    pub(super) place: String,
}

/// What may be seen of the server whose WebSocket is at `url`, in the server's order.
pub(super) async fn list(url: &str, token: Option<&Token>) -> anyhow::Result<Vec<Listed>> {
    let server = Rest::new(url, token.cloned());
    match timeout(WATCH_LIST_WAIT, server.get("/v1/instruments", WATCH_LIST_BYTES_MAX)).await {
        Ok(answer) => read(&answer?),
        Err(_elapsed) => bail!("it took longer than {WATCH_LIST_WAIT:?}"),
    }
}

fn read(body: &[u8]) -> anyhow::Result<Vec<Listed>> {
    #[derive(Deserialize)]
    struct Answer {
        instruments: Vec<Instrument>,
    }
    #[derive(Deserialize)]
    struct Instrument {
        symbol: Symbol,
        venue: String,
        currency: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    let listed = answer.instruments.into_iter().take(LIST_ROWS_MAX).map(|instrument| {
        let Instrument { symbol, venue, currency } = instrument;
        let place = format!("{venue} {}", currency.unwrap_or_default());
        Listed { symbol, place: printable(place.trim_end(), WATCH_FIELD_CHARS_MAX) }
    });
    Ok(listed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_read_and_cannot_command_a_terminal() {
        let body = r#"{"instruments":[{"symbol":"SKL-USD","venue":"COINBASE","price_exponent":-4,"tick_size":null,"currency":"USD"},{"symbol":"a","venue":"X\u001b[2J","currency":null}],"next":"b"}"#;
        let listed = |symbol, place: &str| Listed {
            symbol: Symbol::new(symbol).expect("a symbol"),
            place: place.to_owned(),
        };
        let read_body = read(body.as_bytes()).expect("a list");
        assert_eq!(read_body, [listed("SKL-USD", "COINBASE USD"), listed("A", "X [2J")]);
        for wrong in ["", "{}", r#"{"instruments":[{"symbol":"a b","venue":"X"}]}"#] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
