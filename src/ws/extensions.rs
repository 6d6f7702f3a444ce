//! `Sec-WebSocket-Extensions`: its grammar (RFC 6455 section 9.1), and the four parameters of `permessage-deflate` (RFC
//! 7692 section 7.1).

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use super::deflate::{WINDOW_BITS_MAX, WINDOW_BITS_MIN};

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT: &str = "client_no_context_takeover";
const SERVER_BITS: &str = "server_max_window_bits";
const CLIENT_BITS: &str = "client_max_window_bits";

/// What a client offers that compresses with any window, or not at all.
pub const OFFER: &str = "permessage-deflate; client_max_window_bits";

/// How the messages of a connection are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiated {
    /// The window that the server compresses with, as a power of two.
    pub server_max_window_bits: u8,
    /// Whether each message of the server stands for itself.
    pub server_no_context_takeover: bool,
    /// The window that the client compresses with, as a power of two.
    pub client_max_window_bits: u8,
    /// Whether each message of the client stands for itself. Our servers ask it of every client, so that one inflater
    /// serves them all.
    pub client_no_context_takeover: bool,
}

impl Negotiated {
    /// A server's answer. It says nothing of the client's window: an offer that names one says what the client keeps
    /// to by itself.
    #[must_use]
    pub fn to_header(&self) -> String {
        let mut text = NAME.to_owned();
        let mut put = |parameter: &str| {
            text.push_str("; ");
            text.push_str(parameter);
        };
        if self.server_no_context_takeover {
            put(SERVER_NO_CONTEXT);
        }
        if self.client_no_context_takeover {
            put(CLIENT_NO_CONTEXT);
        }
        if self.server_max_window_bits != WINDOW_BITS_MAX {
            put(&format!("{SERVER_BITS}={}", self.server_max_window_bits));
        }
        text
    }

    /// What a server's answer to [`OFFER`] says; `None`: it is not one.
    pub(super) fn from_answer(answer: &Extension<'_>) -> Option<Self> {
        let read = Parameters::read(answer)?;
        Some(Self {
            server_max_window_bits: read.server_bits.unwrap_or(WINDOW_BITS_MAX),
            server_no_context_takeover: read.server_no_context,
            client_max_window_bits: match read.client_bits {
                None => WINDOW_BITS_MAX,
                // An answer must say how large.
                Some(bits) => bits?,
            },
            client_no_context_takeover: read.client_no_context,
        })
    }
}

/// Takes up the first offer that can be met.
pub(super) fn accept(offers: &[Extension<'_>]) -> Option<Negotiated> {
    offers.iter().find_map(|offer| {
        let read = Parameters::read(offer)?;
        let server_max_window_bits = read.server_bits.unwrap_or(WINDOW_BITS_MAX);
        (server_max_window_bits >= WINDOW_BITS_MIN).then_some(Negotiated {
            server_max_window_bits,
            server_no_context_takeover: read.server_no_context,
            client_max_window_bits: read.client_bits.flatten().unwrap_or(WINDOW_BITS_MAX),
            client_no_context_takeover: true,
        })
    })
}

/// The parameters of one offer or answer.
#[derive(Default)]
struct Parameters {
    server_no_context: bool,
    client_no_context: bool,
    server_bits: Option<u8>,
    /// `Some(None)`: named without a value.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None`: another extension, or a parameter that is unknown, named twice, or has a value that it cannot have.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        let mut read = Self::default();
        if extension.name != NAME {
            return None;
        }
        for (name, value) in &extension.parameters {
            let value = value.as_deref();
            let is_new = match *name {
                SERVER_NO_CONTEXT if value.is_none() => !std::mem::replace(&mut read.server_no_context, true),
                CLIENT_NO_CONTEXT if value.is_none() => !std::mem::replace(&mut read.client_no_context, true),
                SERVER_BITS => read.server_bits.replace(window_bits(value?)?).is_none(),
                CLIENT_BITS => {
                    let bits = match value {
                        Some(value) => Some(window_bits(value)?),
                        None => None,
                    };
                    read.client_bits.replace(bits).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(read)
    }
}

/// 8 to 15, without leading zeros.
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok().filter(|bits| (8..=WINDOW_BITS_MAX).contains(bits))?;
    value.starts_with(['8', '9', '1']).then_some(bits)
}

/// One element of the header: `name; parameter; parameter=value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// All elements of all headers of that name, in order; `None`: one is malformed.
pub(super) fn parse(headers: &HeaderMap) -> Option<Vec<Extension<'_>>> {
    let mut extensions = Vec::new();
    for value in headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS) {
        let mut text = Text(value.to_str().ok()?);
        loop {
            // Empty elements are none.
            while text.skip(',') {}
            if text.is_end() {
                break;
            }
            extensions.push(text.extension()?);
            if !text.is_end() && !text.skip(',') {
                return None;
            }
        }
    }
    Some(extensions)
}

/// What is left of a header's value.
struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    fn is_end(&mut self) -> bool {
        self.0 = self.0.trim_start_matches([' ', '\t']);
        self.0.is_empty()
    }

    fn skip(&mut self, character: char) -> bool {
        let rest = if self.is_end() { None } else { self.0.strip_prefix(character) };
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn extension(&mut self) -> Option<Extension<'a>> {
        let name = self.token()?;
        let mut parameters = Vec::new();
        while self.skip(';') {
            let name = self.token()?;
            let value = if self.skip('=') { Some(self.value()?) } else { None };
            parameters.push((name, value));
        }
        Some(Extension { name, parameters })
    }

    fn token(&mut self) -> Option<&'a str> {
        let start = self.0.trim_start_matches([' ', '\t']);
        let end = start.find(|character| !is_token(character)).unwrap_or(start.len());
        let (token, rest) = start.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, also where it stands in quotes.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        if !self.skip('"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        let mut characters = self.0.char_indices();
        loop {
            match characters.next()?.1 {
                '"' => break,
                '\\' => value.push(characters.next()?.1),
                character => value.push(character),
            }
        }
        self.0 = characters.as_str();
        (!value.is_empty() && value.chars().all(is_token)).then_some(Cow::Owned(value))
    }
}

/// RFC 7230 section 3.2.6.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |value: &&str| HeaderValue::from_str(value).expect("a header's value");
        values.iter().map(|text| (header::SEC_WEBSOCKET_EXTENSIONS, value(text))).collect()
    }

    /// The answer to offers; `None`: there is none.
    fn answer(offers: &[&str]) -> Option<String> {
        let headers = headers(offers);
        accept(&parse(&headers).expect("well-formed")).map(|negotiated| negotiated.to_header())
    }

    #[test]
    fn each_parameter_is_answered() {
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate; client_no_context_takeover"),
            (
                "permessage-deflate; client_no_context_takeover",
                "permessage-deflate; client_no_context_takeover",
            ),
            ("permessage-deflate;client_max_window_bits", "permessage-deflate; client_no_context_takeover"),
            (
                "permessage-deflate; client_max_window_bits=8",
                "permessage-deflate; client_no_context_takeover",
            ),
            (
                "permessage-deflate; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            ),
            (
                "permessage-deflate ; server_max_window_bits = \"1\\0\" ,",
                "permessage-deflate; client_no_context_takeover; server_max_window_bits=10",
            ),
        ] {
            assert_eq!(answer(&[offer]).as_deref(), Some(expected), "{offer}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_met_is_taken() {
        for declined in [
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; server_max_window_bits=010",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=265",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=\"7\"",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=true",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; mystery",
            "Permessage-Deflate",
            "permessage-bzip2",
        ] {
            assert_eq!(answer(&[declined]), None, "{declined}");
            let next = format!("{declined}, permessage-deflate; server_max_window_bits=12");
            let expected = Some("permessage-deflate; client_no_context_takeover; server_max_window_bits=12");
            assert_eq!(answer(&[&next]).as_deref(), expected, "{next}");
            assert_eq!(
                answer(&[declined, "permessage-deflate; server_max_window_bits=12", "permessage-deflate"])
                    .as_deref(),
                expected
            );
        }
        assert_eq!(answer(&[]), None);
        assert_eq!(answer(&["", " , ,"]), None);
    }

    #[test]
    fn what_is_no_list_is_malformed() {
        for text in
            ["a b", "a;", "a; =1", "a; b=", "a; b=\"", "a; b=\"\"", "a; b=\"c d\"", "a; b=\"c\\", ";", "a=1"]
        {
            assert_eq!(parse(&headers(&[text])), None, "{text}");
        }
        let headers = headers(&["a; b; c=\"d\", e"]);
        let first = Extension { name: "a", parameters: vec![("b", None), ("c", Some("d".into()))] };
        assert_eq!(parse(&headers), Some(vec![first, Extension { name: "e", parameters: vec![] }]));
    }

    #[test]
    fn an_answer_is_read_as_strictly() {
        let read = |text: &str| {
            let headers = headers(&[text]);
            let extensions = parse(&headers).expect("well-formed");
            Negotiated::from_answer(&extensions[0])
        };
        let negotiated = Negotiated {
            server_max_window_bits: 8,
            server_no_context_takeover: true,
            client_max_window_bits: 9,
            client_no_context_takeover: true,
        };
        let text = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                    server_max_window_bits=8; client_max_window_bits=9";
        assert_eq!(read(text), Some(negotiated));
        for text in [
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=99",
            "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9",
            "permessage-deflate; other",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
