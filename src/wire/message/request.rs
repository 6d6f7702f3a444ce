//! What a client asks: parsing a text message into a [`Request`], strictly.
//!
//! Off the hot path: a message becomes a tree of JSON values first (bounded by [`REQUEST_BYTES_MAX`]), so that the
//! request's number is known for the answer whatever else is wrong with it.

use rustc_hash::FxHashSet;
use serde_json::{Map, Value};

use super::super::code::ErrorCode;
use crate::limits::{ECHO_BYTES_MAX, REQ_ID_BYTES_MAX, REQUEST_BYTES_MAX, SYMBOLS_PER_REQUEST_MAX};
use crate::topic::{Channel, Depth, Interval};

/// A request that is well-formed. Whether its symbols exist is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client's own number of it, to be echoed.
    pub req_id: Option<ReqId>,
    /// What it asks.
    pub method: Method,
}

/// A client's number of a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(untagged)]
pub enum ReqId {
    /// An integer.
    Number(i64),
    /// A text of at most [`REQ_ID_BYTES_MAX`] bytes.
    Text(String),
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Who the client is.
    Auth {
        /// Its token: a secret, not to be logged.
        token: Token,
    },
    /// To follow topics.
    Subscribe {
        /// The channel, with its parameter.
        channel: Channel,
        /// Of which instruments.
        symbols: Symbols,
        /// Whether each topic begins with its state as a whole.
        snapshot: bool,
    },
    /// To follow them no more.
    Unsubscribe {
        /// The channel, with its parameter.
        channel: Channel,
        /// Of which instruments.
        symbols: Symbols,
    },
    /// Whether the server is there.
    Ping,
    /// Which topics are followed.
    List,
}

/// A token, which does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Which instruments a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symbols {
    /// `["*"]`: all that there are.
    All,
    /// These, in upper case, each once, in the client's order. Any text: what is no symbol is an unknown one.
    Named(Vec<String>),
}

/// Why a message is not a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RequestError {
    /// For programs.
    pub code: ErrorCode,
    /// For people: names the field.
    pub message: String,
    /// The request's number, as far as it could be read.
    pub req_id: Option<ReqId>,
    /// The request's method, as far as it could be read, cut at [`ECHO_BYTES_MAX`].
    pub method: Option<String>,
}

impl Request {
    /// Parses one text message.
    ///
    /// # Errors
    /// [`RequestError`], which is to be sent back as it is.
    pub fn parse(text: &[u8]) -> Result<Self, RequestError> {
        let mut req_id = None;
        let mut method = None;
        Self::parse_parts(text, &mut req_id, &mut method).map_err(|(code, message)| RequestError {
            code,
            message,
            req_id,
            method,
        })
    }

    fn parse_parts(
        text: &[u8],
        req_id: &mut Option<ReqId>,
        method_name: &mut Option<String>,
    ) -> Result<Self, Fault> {
        if text.len() > REQUEST_BYTES_MAX {
            let message =
                format!("the message has {} bytes, at most {REQUEST_BYTES_MAX} are read", text.len());
            return Err((ErrorCode::MessageTooLarge, message));
        }
        let value: Value =
            serde_json::from_slice(text).map_err(|error| (ErrorCode::BadJson, error.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(bad_request("a request is a JSON object"));
        };
        // The number first: an answer that carries it is worth more than one about the number.
        let found_id = fields.remove("req_id").map(read_req_id).transpose();
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Err(bad_request("`method` must be a string")),
            None => return Err(bad_request("`method` is missing")),
        };
        *method_name = Some(shortened(&method));
        *req_id = found_id?;
        let params = match fields.remove("params") {
            Some(Value::Object(params)) => params,
            Some(_) => return Err(bad_request("`params` must be an object")),
            None => Map::new(),
        };
        no_more(&fields, "")?;
        let method = Method::parse(&method, params)?;
        Ok(Self { req_id: req_id.clone(), method })
    }
}

impl Method {
    fn parse(name: &str, mut params: Map<String, Value>) -> Result<Self, Fault> {
        let method = match name {
            "subscribe" => {
                let channel = take_channel(&mut params)?;
                let symbols = take_symbols(&mut params)?;
                let snapshot = match params.remove("snapshot") {
                    None => true,
                    Some(Value::Bool(snapshot)) => snapshot,
                    Some(_) => return Err(bad_request("`params.snapshot` must be true or false")),
                };
                match params.remove("max_frequency") {
                    None => {}
                    Some(Value::String(frequency)) if frequency == "raw" => {}
                    Some(Value::String(_)) => {
                        return Err(unsupported("`params.max_frequency` can only be \"raw\" so far"));
                    }
                    Some(_) => return Err(bad_request("`params.max_frequency` must be a string")),
                }
                if params.remove("resume").is_some() {
                    return Err(unsupported("`params.resume` is not there yet: subscribe without it"));
                }
                Self::Subscribe { channel, symbols, snapshot }
            }
            "unsubscribe" => {
                let channel = take_channel(&mut params)?;
                Self::Unsubscribe { channel, symbols: take_symbols(&mut params)? }
            }
            "auth" => match params.remove("token") {
                Some(Value::String(token)) => Self::Auth { token: Token(token) },
                Some(_) => return Err(bad_request("`params.token` must be a string")),
                None => return Err(bad_request("`params.token` is missing")),
            },
            "ping" => Self::Ping,
            "list" => Self::List,
            "resync" => {
                return Err(unsupported("`resync` is not there yet: unsubscribe, then subscribe"));
            }
            _ => {
                let message = "`method` is none of auth, subscribe, unsubscribe, ping, list";
                return Err((ErrorCode::UnknownMethod, message.to_owned()));
            }
        };
        no_more(&params, "params.")?;
        Ok(method)
    }
}

type Fault = (ErrorCode, String);

fn bad_request(message: impl Into<String>) -> Fault {
    (ErrorCode::BadRequest, message.into())
}

fn unsupported(message: &str) -> Fault {
    (ErrorCode::Unsupported, message.to_owned())
}

fn no_more(fields: &Map<String, Value>, prefix: &str) -> Result<(), Fault> {
    match fields.keys().next() {
        Some(name) => Err(bad_request(format!("unknown field `{prefix}{}`", shortened(name)))),
        None => Ok(()),
    }
}

fn read_req_id(value: Value) -> Result<ReqId, Fault> {
    match value {
        Value::String(text) if text.len() <= REQ_ID_BYTES_MAX => Ok(ReqId::Text(text)),
        Value::Number(number) => number
            .as_i64()
            .map(ReqId::Number)
            .ok_or_else(|| bad_request("`req_id` must be an integer of 64 bits with sign")),
        Value::String(_) => {
            Err(bad_request(format!("`req_id` must not be longer than {REQ_ID_BYTES_MAX} bytes")))
        }
        _ => Err(bad_request("`req_id` must be an integer or a string")),
    }
}

fn take_channel(params: &mut Map<String, Value>) -> Result<Channel, Fault> {
    let text = match params.remove("channel") {
        Some(Value::String(text)) => text,
        Some(_) => return Err(bad_request("`params.channel` must be a string")),
        None => return Err(bad_request("`params.channel` is missing")),
    };
    let (name, suffix) = match text.split_once('.') {
        Some((name, suffix)) => (name, Some(suffix)),
        None => (text.as_str(), None),
    };
    match (name, suffix) {
        ("quote", None) => Ok(Channel::Quote),
        ("trade", None) => Ok(Channel::Trade),
        ("ticker", None) => Ok(Channel::Ticker),
        ("status", None) => Ok(Channel::Status),
        ("book", suffix) => take_depth(params, suffix).map(Channel::Book),
        ("bar", suffix) => take_interval(params, suffix).map(Channel::Bar),
        ("heartbeat" | "system", None) => {
            let message = format!("`params.channel`: {name} is always on, and is not subscribed to");
            Err((ErrorCode::UnknownChannel, message))
        }
        _ => {
            let message = format!(
                "`params.channel` is none of quote, trade, book, ticker, bar, status: {}",
                shortened(&text)
            );
            Err((ErrorCode::UnknownChannel, message))
        }
    }
}

fn take_depth(params: &mut Map<String, Value>, suffix: Option<&str>) -> Result<Depth, Fault> {
    let unknown = || (ErrorCode::BadParameter, "`params.depth` must be 10, 25 or 100".to_owned());
    let given = match params.remove("depth") {
        Some(Value::Number(number)) => {
            let depth = number.as_u64().and_then(Depth::from_levels);
            Some(depth.ok_or_else(unknown)?)
        }
        Some(_) => return Err(bad_request("`params.depth` must be a number")),
        None => None,
    };
    // Compared as text, so that `book.010` is not `book.10`.
    let named = match suffix {
        Some(text) => Some(
            Depth::ALL
                .into_iter()
                .find(|depth| Channel::Book(*depth).to_string().strip_prefix("book.") == Some(text))
                .ok_or_else(unknown)?,
        ),
        None => None,
    };
    one_of("depth", given, named, Depth::D10)
}

fn take_interval(params: &mut Map<String, Value>, suffix: Option<&str>) -> Result<Interval, Fault> {
    let read = |text: &str| {
        Interval::from_text(text).ok_or_else(|| {
            (ErrorCode::BadParameter, "`params.interval` must be 1s, 1m, 5m, 1h or 1d".to_owned())
        })
    };
    let given = match params.remove("interval") {
        Some(Value::String(text)) => Some(read(&text)?),
        Some(_) => return Err(bad_request("`params.interval` must be a string")),
        None => None,
    };
    one_of("interval", given, suffix.map(read).transpose()?, Interval::M1)
}

/// The parameter as it was given as a field, or as part of the channel's name, or neither.
fn one_of<T: PartialEq>(field: &str, given: Option<T>, named: Option<T>, default: T) -> Result<T, Fault> {
    match (given, named) {
        (Some(given), Some(named)) if given != named => Err((
            ErrorCode::BadParameter,
            format!("`params.{field}` differs from the one in the channel's name"),
        )),
        (given, named) => Ok(given.or(named).unwrap_or(default)),
    }
}

fn take_symbols(params: &mut Map<String, Value>) -> Result<Symbols, Fault> {
    let values = match params.remove("symbols") {
        Some(Value::Array(values)) => values,
        Some(_) => return Err(bad_request("`params.symbols` must be an array of strings")),
        None => return Err(bad_request("`params.symbols` is missing")),
    };
    if values.is_empty() {
        return Err(bad_request("`params.symbols` is empty; [\"*\"] means all"));
    }
    if values.len() > SYMBOLS_PER_REQUEST_MAX {
        return Err(bad_request(format!(
            "`params.symbols` has {} symbols, at most {SYMBOLS_PER_REQUEST_MAX} go into one request",
            values.len()
        )));
    }
    let is_single = values.len() == 1;
    let mut named = Vec::with_capacity(values.len());
    let mut seen = FxHashSet::default();
    for (index, value) in values.into_iter().enumerate() {
        match value {
            Value::String(text) if text == "*" && is_single => return Ok(Symbols::All),
            Value::String(text) if text == "*" => {
                return Err(bad_request("`params.symbols`: \"*\" stands alone"));
            }
            Value::String(mut text) => {
                text.make_ascii_uppercase();
                if seen.insert(text.clone()) {
                    named.push(text);
                }
            }
            _ => return Err(bad_request(format!("`params.symbols[{index}]` must be a string"))),
        }
    }
    Ok(Symbols::Named(named))
}

/// A client's text as it is shown back to it: cut at [`ECHO_BYTES_MAX`].
fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(ECHO_BYTES_MAX);
    text[..end].to_owned()
}
