//! The opening handshake, as a server reads it. RFC 6455 sections 4.2.1 and 4.2.2.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The subprotocol that is spoken, also where a client offers none.
pub const SUBPROTOCOL_JSON: &str = "tickwire.v1.json";

/// A request that is to become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For `Sec-WebSocket-Accept`.
    pub accept: String,
    /// For `Sec-WebSocket-Protocol`; `None`: the client offered none.
    pub subprotocol: Option<&'static str>,
}

/// Why a request cannot become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Not a GET.
    #[error("a WebSocket begins with GET")]
    Method,
    /// A plain HTTP request: no `Upgrade: websocket` with `Connection: Upgrade`.
    #[error("this is a WebSocket endpoint: send `Connection: Upgrade` and `Upgrade: websocket`")]
    NotAnUpgrade,
    /// Any version but 13.
    #[error("the WebSocket version must be 13")]
    Version,
    /// The key is not 16 bytes in base64.
    #[error("`Sec-WebSocket-Key` must be 16 bytes in base64")]
    Key,
    /// Subprotocols were offered, and none of them is spoken.
    #[error("none of the offered subprotocols is spoken here: offer `{SUBPROTOCOL_JSON}`, or none")]
    Subprotocol,
}

/// Reads the opening handshake.
///
/// # Errors
/// [`HandshakeError`] names the first thing that is wrong.
pub fn accept(method: &Method, headers: &HeaderMap) -> Result<Accepted, HandshakeError> {
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || !has_token(headers, &header::UPGRADE, "websocket")
    {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if !is_sixteen_bytes_in_base64(key) {
        return Err(HandshakeError::Key);
    }
    let mut offered = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).peekable();
    let subprotocol = if offered.peek().is_none() {
        None
    } else if offered.any(|protocol| protocol == SUBPROTOCOL_JSON) {
        Some(SUBPROTOCOL_JSON)
    } else {
        return Err(HandshakeError::Subprotocol);
    };
    Ok(Accepted { accept: derive_accept_key(key), subprotocol })
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

fn has_token(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

/// 16 bytes are 22 characters of base64 and two of padding; the last carries only two bits.
fn is_sixteen_bytes_in_base64(key: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_base64) && b"AQgw".contains(&key[21])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    /// The handshake of RFC 6455 section 1.3, without its subprotocols.
    const SAMPLE: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        let mut map = headers(&SAMPLE);
        map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        map
    }

    #[test]
    fn the_sample_of_the_rfc_is_accepted() {
        let accepted = Accepted { accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), subprotocol: None };
        assert_eq!(accept(&Method::GET, &headers(&SAMPLE)), Ok(accepted));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(accept(&Method::GET, &HeaderMap::new()), Err(HandshakeError::NotAnUpgrade));
        assert_eq!(accept(&Method::POST, &headers(&SAMPLE)), Err(HandshakeError::Method));
        for version in ["8", "0", "13, 8", ""] {
            assert_eq!(
                accept(&Method::GET, &with("sec-websocket-version", version)),
                Err(HandshakeError::Version)
            );
        }
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25j!Q=="] {
            assert_eq!(
                accept(&Method::GET, &with("sec-websocket-key", key)),
                Err(HandshakeError::Key),
                "{key}"
            );
        }
    }

    #[test]
    fn a_subprotocol_is_chosen_from_those_offered() {
        let chosen =
            |offer| accept(&Method::GET, &with("sec-websocket-protocol", offer)).map(|a| a.subprotocol);
        assert_eq!(chosen("tickwire.v1.json"), Ok(Some(SUBPROTOCOL_JSON)));
        assert_eq!(chosen("chat, tickwire.v1.json"), Ok(Some(SUBPROTOCOL_JSON)));
        assert_eq!(chosen("chat"), Err(HandshakeError::Subprotocol));
    }
}
