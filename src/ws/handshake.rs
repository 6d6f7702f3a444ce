//! The opening handshake, from both sides. RFC 6455 section 4.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use super::extensions::{self, Negotiated};

/// A request that is to become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// For `Sec-WebSocket-Accept`.
    pub accept: String,
    /// For `Sec-WebSocket-Protocol`; `None`: the client offered none.
    pub subprotocol: Option<&'static str>,
    /// For `Sec-WebSocket-Extensions`, by [`Negotiated::to_header`]; `None`: messages go as they are.
    pub deflate: Option<Negotiated>,
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
    /// Subprotocols were offered, and none of these, which are spoken, is among them.
    #[error("none of the offered subprotocols is spoken here: offer `{}`, or none", .0.join("` or `"))]
    Subprotocol(&'static [&'static str]),
    /// `Sec-WebSocket-Extensions` is no list of extensions. (What is merely unknown is not taken up.)
    #[error("`Sec-WebSocket-Extensions` must be a list as in RFC 6455 section 9.1")]
    Extensions,
}

/// Reads the opening handshake of a client. Of the `subprotocols` that are spoken, the one is chosen that the client
/// names first; compression is taken up where it `may_compress`.
///
/// # Errors
/// [`HandshakeError`] names the first thing that is wrong.
pub fn accept(
    method: &Method,
    headers: &HeaderMap,
    subprotocols: &'static [&'static str],
    may_compress: bool,
) -> Result<Accepted, HandshakeError> {
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || !has_token(headers, &header::UPGRADE, "websocket")
    {
        return Err(HandshakeError::NotAnUpgrade);
    }
    if method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if the_only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(HandshakeError::Version);
    }
    let key = the_only(headers, &header::SEC_WEBSOCKET_KEY).unwrap_or_default();
    if BASE64.decode(key).map(|nonce| nonce.len()) != Ok(16) {
        return Err(HandshakeError::Key);
    }
    let mut offered = tokens(headers, &header::SEC_WEBSOCKET_PROTOCOL).peekable();
    let subprotocol = if offered.peek().is_none() {
        None
    } else {
        let spoken = offered.find_map(|offer| subprotocols.iter().find(|spoken| **spoken == offer));
        Some(*spoken.ok_or(HandshakeError::Subprotocol(subprotocols))?)
    };
    let offers = extensions::parse(headers).ok_or(HandshakeError::Extensions)?;
    let deflate = if may_compress { extensions::accept(&offers) } else { None };
    Ok(Accepted { accept: accept_key(key), subprotocol, deflate })
}

/// The `Sec-WebSocket-Key` of 16 bytes that nobody can foresee.
#[must_use]
pub fn key(nonce: [u8; 16]) -> String {
    BASE64.encode(&nonce)
}

/// What a server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed<'a> {
    /// One of those offered, or none.
    pub subprotocol: Option<&'a str>,
    /// How the server compresses, and how its client may; `None`: messages go as they are.
    pub deflate: Option<Negotiated>,
}

/// Why an answer does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Not 101.
    #[error("the server answered {0}, not 101")]
    Status(StatusCode),
    /// `Upgrade: websocket` or `Connection: Upgrade` is missing.
    #[error("the answer lacks `Upgrade: websocket` or `Connection: Upgrade`")]
    NotAnUpgrade,
    /// `Sec-WebSocket-Accept` does not belong to the key that was sent.
    #[error("`Sec-WebSocket-Accept` does not belong to the key that was sent")]
    Accept,
    /// A subprotocol that was not offered, or more than one.
    #[error("the server chose a subprotocol that was not offered")]
    Subprotocol,
    /// An extension, or a parameter of it, that was not offered or that is not valid.
    #[error("the server chose an extension that was not offered")]
    Extensions,
}

/// Reads a server's answer to a request that had this `key`, offered these `subprotocols`, and, where it was
/// `offered_deflate`, [`extensions::OFFER`]. RFC 6455 section 4.1.
///
/// # Errors
/// [`AnswerError`] names the first thing that is wrong.
pub fn read_answer<'a>(
    status: StatusCode,
    headers: &HeaderMap,
    key: &str,
    subprotocols: &[&'a str],
    offered_deflate: bool,
) -> Result<Agreed<'a>, AnswerError> {
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(AnswerError::Status(status));
    }
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || !has_token(headers, &header::UPGRADE, "websocket")
    {
        return Err(AnswerError::NotAnUpgrade);
    }
    if the_only(headers, &header::SEC_WEBSOCKET_ACCEPT) != Some(accept_key(key.as_bytes()).as_bytes()) {
        return Err(AnswerError::Accept);
    }
    let subprotocol = if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        let chosen = the_only(headers, &header::SEC_WEBSOCKET_PROTOCOL);
        let offered = subprotocols.iter().find(|offered| Some(offered.as_bytes()) == chosen);
        Some(*offered.ok_or(AnswerError::Subprotocol)?)
    } else {
        None
    };
    let chosen = extensions::parse(headers).ok_or(AnswerError::Extensions)?;
    let deflate = match chosen[..] {
        [] => None,
        [ref chosen] if offered_deflate => {
            Some(Negotiated::from_answer(chosen).ok_or(AnswerError::Extensions)?)
        }
        _ => return Err(AnswerError::Extensions),
    };
    Ok(Agreed { subprotocol, deflate })
}

fn accept_key(key: &[u8]) -> String {
    BASE64.encode(
        &Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize(),
    )
}

/// The value of a header that may stand there once.
fn the_only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() { None } else { first }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SPOKEN: &[&str] = &["a.json", "a.bin"];

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

    fn accepted(headers: &HeaderMap) -> Result<Accepted, HandshakeError> {
        accept(&Method::GET, headers, SPOKEN, true)
    }

    #[test]
    fn the_sample_of_the_rfc_is_accepted() {
        let expected =
            Accepted { accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), subprotocol: None, deflate: None };
        assert_eq!(accepted(&headers(&SAMPLE)), Ok(expected));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(accepted(&HeaderMap::new()), Err(HandshakeError::NotAnUpgrade));
        assert_eq!(accept(&Method::POST, &headers(&SAMPLE), SPOKEN, true), Err(HandshakeError::Method));
        for version in ["8", "0", "13, 8", "013", ""] {
            assert_eq!(accepted(&with("sec-websocket-version", version)), Err(HandshakeError::Version));
        }
        for key in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25j!Q=="] {
            assert_eq!(accepted(&with("sec-websocket-key", key)), Err(HandshakeError::Key), "{key}");
        }
        let mut twice = headers(&SAMPLE);
        twice.append("sec-websocket-key", HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(accepted(&twice), Err(HandshakeError::Key));
        assert_eq!(accepted(&with("sec-websocket-extensions", "a; b=\"")), Err(HandshakeError::Extensions));
    }

    #[test]
    fn the_client_s_order_decides_among_what_is_spoken() {
        let chosen = |offer| accepted(&with("sec-websocket-protocol", offer)).map(|a| a.subprotocol);
        assert_eq!(chosen("a.json"), Ok(Some("a.json")));
        assert_eq!(chosen("chat, a.bin, a.json"), Ok(Some("a.bin")));
        assert_eq!(chosen("a.json, a.bin"), Ok(Some("a.json")));
        let refused = HandshakeError::Subprotocol(SPOKEN);
        assert_eq!(chosen("chat"), Err(refused));
        assert!(refused.to_string().contains("offer `a.json` or `a.bin`, or none"), "{refused}");
    }

    #[test]
    fn compression_is_taken_up_only_where_it_may_be() {
        let offer = with("sec-websocket-extensions", "permessage-deflate");
        assert!(accepted(&offer).is_ok_and(|accepted| accepted.deflate.is_some()));
        let plain = accept(&Method::GET, &offer, SPOKEN, false);
        assert!(plain.is_ok_and(|accepted| accepted.deflate.is_none()));
    }

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ANSWER: [(&str, &str); 3] = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];

    fn read(change: &[(&'static str, &'static str)], deflate: bool) -> Result<Agreed<'static>, AnswerError> {
        let mut map = headers(&ANSWER);
        for &(name, value) in change {
            map.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        read_answer(StatusCode::SWITCHING_PROTOCOLS, &map, KEY, SPOKEN, deflate)
    }

    #[test]
    fn an_answer_may_hold_what_was_offered_alone() {
        assert_eq!(key(*b"the sample nonce"), KEY);
        assert_eq!(read(&[], true), Ok(Agreed { subprotocol: None, deflate: None }));
        let chosen = read(&[("sec-websocket-protocol", "a.bin")], false);
        assert_eq!(chosen, Ok(Agreed { subprotocol: Some("a.bin"), deflate: None }));
        let deflate = ("sec-websocket-extensions", "permessage-deflate; server_max_window_bits=10");
        let agreed = read(&[deflate], true).expect("an answer").deflate.expect("an agreement");
        assert_eq!(agreed.server_max_window_bits, 10);

        for (change, error) in [
            (("upgrade", "h2c"), AnswerError::NotAnUpgrade),
            (("connection", "close"), AnswerError::NotAnUpgrade),
            (("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="), AnswerError::Accept),
            (("sec-websocket-protocol", "chat"), AnswerError::Subprotocol),
            (("sec-websocket-protocol", "a.bin, a.json"), AnswerError::Subprotocol),
            (("sec-websocket-protocol", ""), AnswerError::Subprotocol),
            (deflate, AnswerError::Extensions),
        ] {
            assert_eq!(read(&[change], false), Err(error), "{change:?}");
        }
        let error = read_answer(StatusCode::OK, &headers(&ANSWER), KEY, SPOKEN, true);
        assert_eq!(error, Err(AnswerError::Status(StatusCode::OK)));
        for value in
            ["permessage-deflate, permessage-deflate", "x-webkit-deflate-frame", "permessage-deflate; x"]
        {
            assert_eq!(
                read(&[("sec-websocket-extensions", value)], true),
                Err(AnswerError::Extensions),
                "{value}"
            );
        }
    }
}
