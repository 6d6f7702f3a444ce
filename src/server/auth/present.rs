//! How a request says who sends it: `Authorization: Bearer …`, or, where a browser's WebSocket cannot have that, an entry
//! `tickwire.token.…` of `Sec-WebSocket-Protocol`. Never in a URL, which is written to logs and histories on the way.

use axum::http::{HeaderMap, Uri, header};

use crate::metrics::AuthRefusal;
use crate::secret::Secret;

/// What an entry of `Sec-WebSocket-Protocol` begins with that is a token or an API key.
pub const SUBPROTOCOL_PREFIX: &str = "tickwire.token.";
/// Names of parameters by which others take tokens, in lower case.
const PARAMETERS: [&str; 10] = [
    "token",
    "access_token",
    "id_token",
    "auth_token",
    "api_key",
    "apikey",
    "api-key",
    "authorization",
    "bearer",
    "jwt",
];

/// The one token or API key of a request, if it has any and is asked for one. In a URL it is refused also where nobody asks:
/// it has been shown by then.
///
/// # Errors
/// [`AuthRefusal::Misplaced`].
pub fn credential(headers: &HeaderMap, uri: &Uri, is_asked: bool) -> Result<Option<Secret>, AuthRefusal> {
    if uri.query().is_some_and(has_token) {
        return Err(AuthRefusal::Misplaced);
    }
    if !is_asked {
        return Ok(None);
    }
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let by_header = authorizations.next().map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    let mut by_subprotocol = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|entry| entry.trim().strip_prefix(SUBPROTOCOL_PREFIX));
    let found = match (by_header, by_subprotocol.next()) {
        (None, None) => None,
        (Some(Some(token)), None) | (None, Some(token)) => Some(Secret::new(token.to_owned())),
        _ => return Err(AuthRefusal::Misplaced),
    };
    if authorizations.next().is_some() || by_subprotocol.next().is_some() {
        return Err(AuthRefusal::Misplaced);
    }
    Ok(found)
}

/// Whether a URL has a parameter by which somebody means to present something.
#[must_use]
pub fn is_in_url(url: &str) -> bool {
    url.split_once('?').is_some_and(|(_, query)| has_token(query))
}

fn has_token(query: &str) -> bool {
    query.split('&').any(|pair| {
        let name = decoded(pair.split_once('=').map_or(pair, |(name, _)| name));
        PARAMETERS.iter().any(|parameter| name.eq_ignore_ascii_case(parameter))
    })
}

/// A parameter's name without its escapes, as whoever reads it has it.
fn decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = name.get(at + 1..at + 3).filter(|digits| byte == b'%' && !digits.starts_with('+'));
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn of(uri: &str, lines: &[(&'static str, &'static str)]) -> Result<Option<String>, AuthRefusal> {
        let mut headers = HeaderMap::new();
        for &(name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let found = credential(&headers, &uri.parse().expect("a URI"), true)?;
        Ok(found.map(|secret| secret.expose().to_owned()))
    }

    #[test]
    fn it_is_in_a_header_or_among_the_subprotocols() {
        let token = Ok(Some("a.b-c_d".to_owned()));
        assert_eq!(of("/v1/quotes?symbols=A", &[]), Ok(None));
        assert_eq!(of("/", &[("authorization", "Bearer a.b-c_d")]), token);
        assert_eq!(of("/", &[("authorization", "bearer  a.b-c_d ")]), token);
        let offer = "tickwire.v1.json, tickwire.token.a.b-c_d";
        assert_eq!(of("/", &[("sec-websocket-protocol", offer)]), token);
        assert_eq!(
            of("/", &[("sec-websocket-protocol", "tickwire.v1.bin"), ("sec-websocket-protocol", offer)]),
            token
        );
        assert_eq!(of("/", &[("sec-websocket-protocol", "tickwire.v1.json")]), Ok(None));
    }

    #[test]
    fn what_is_escaped_is_read_and_what_is_no_escape_is_left() {
        let names = ["token", "%54%6f%6Ben", "100%", "%", "%4", "%zz", "%+1", "%é", "é%41"];
        let read = ["token", "Token", "100%", "%", "%4", "%zz", "%+1", "%é", "éA"];
        assert_eq!(names.map(decoded), read);
    }

    #[test]
    fn who_is_not_asked_may_send_what_it_likes_but_in_a_url() {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
        let of = |uri: &str| credential(&headers, &uri.parse().expect("a URI"), false);
        assert_eq!(of("/v1/ws"), Ok(None));
        assert_eq!(of("/v1/ws?token=a"), Err(AuthRefusal::Misplaced));
    }

    #[test]
    fn in_a_url_or_twice_it_is_misplaced() {
        let misplaced = Err(AuthRefusal::Misplaced);
        for uri in [
            "/v1/ws?token=a",
            "/v1/ws?x=1&Access_Token=a",
            "/v1/quotes?api_key",
            "/?jwt=&b",
            "/?%74oken=a",
            "/?acc%65ss%5Ftoken=a",
        ] {
            assert_eq!(of(uri, &[]), misplaced, "{uri}");
            assert_eq!(of(uri, &[("authorization", "Bearer a")]), misplaced, "{uri}");
        }
        for lines in [
            &[("authorization", "Basic YTpi")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            &[("authorization", "Bearer a"), ("sec-websocket-protocol", "tickwire.token.a")],
            &[("sec-websocket-protocol", "tickwire.token.a, tickwire.token.b")],
        ] {
            assert_eq!(of("/", lines), misplaced, "{lines:?}");
        }
    }
}
