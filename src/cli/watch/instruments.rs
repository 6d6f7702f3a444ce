//! Which instruments a server has: one request by HTTP, to the same server, by whoever the client is.

use anyhow::{anyhow, bail};
use axum::http::{HeaderValue, Uri};
use feeds::Symbol;
use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::time::timeout;

use crate::client::{Stream, Token};
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
    match timeout(WATCH_LIST_WAIT, request(url, token)).await {
        Ok(listed) => listed,
        Err(_elapsed) => bail!("it took longer than {WATCH_LIST_WAIT:?}"),
    }
}

async fn request(url: &str, token: Option<&Token>) -> anyhow::Result<Vec<Listed>> {
    let uri: Uri = url.parse()?;
    let authority = uri.authority().ok_or_else(|| anyhow!("the URL has no host"))?.clone();
    let mut request = Request::get(path(uri.path()))
        .header(HOST, authority.as_str())
        .header(USER_AGENT, concat!("tickwire/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/json");
    if let Some(token) = token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.read()?.expose()))?;
        bearer.set_sensitive(true);
        request = request.header(AUTHORIZATION, bearer);
    }
    let request = request.body(String::new())?;
    let stream = Stream::connect(&uri, None).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status != StatusCode::OK {
            bail!("the server answers {}", head.status);
        }
        let body =
            Limited::new(body, WATCH_LIST_BYTES_MAX).collect().await.map_err(|error| anyhow!(error))?;
        read(&body.to_bytes())
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It ends when all has come, or is broken: either way the answer says so.
        _ = &mut connection => answer.await,
    }
}

/// Beside the WebSocket, also where a proxy has put both under another path.
fn path(websocket: &str) -> String {
    format!("{}/instruments", websocket.strip_suffix("/ws").unwrap_or("/v1"))
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
    fn the_list_is_beside_the_websocket() {
        for (websocket, list) in [
            ("/v1/ws", "/v1/instruments"),
            ("/behind/proxy/v1/ws", "/behind/proxy/v1/instruments"),
            ("/elsewhere", "/v1/instruments"),
        ] {
            assert_eq!(path(websocket), list);
        }
    }

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
