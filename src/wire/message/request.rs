//! What a client asks: parsing a text message into a [`Request`], strictly.
//!
//! Off the hot path: a message becomes a tree of JSON values first (bounded by [`REQUEST_BYTES_MAX`]), so that the
//! request's number is known for the answer whatever else is wrong with it.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value};

use super::super::code::ErrorCode;
use super::distinct::Distinct;
use crate::limits::{ECHO_BYTES_MAX, REQ_ID_BYTES_MAX, REQUEST_BYTES_MAX, SYMBOLS_PER_REQUEST_MAX};
use crate::secret::Secret;
use crate::topic::{Channel, Depth, Interval, Rate};

/// A request that is well-formed. Whether its symbols exist is not known yet.
#[derive(Debug, PartialEq, Eq)]
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
#[derive(Debug, PartialEq, Eq)]
pub enum Method {
    /// Who the client is.
    Auth {
        /// Its token, or API key.
        token: Secret,
    },
    /// To follow topics.
    Subscribe {
        /// The channel, with its parameter.
        channel: Channel,
        /// Of which instruments.
        symbols: Symbols,
        /// Whether each topic begins with its state as a whole.
        snapshot: bool,
        /// How often each topic is sent at most. Event channels are never merged: theirs is raw.
        rate: Rate,
        /// What the client holds of an earlier connection.
        resume: Option<Resume>,
        /// What is to happen to this connection when it does not keep up; `None`: as it was.
        on_overflow: Option<OnOverflow>,
    },
    /// To get a topic that is followed anew, or what is missing of it.
    Resync {
        /// The channel, with its parameter.
        channel: Channel,
        /// The instrument.
        symbol: String,
        /// The number of the state that the client holds, in the present epoch; `None`: a whole state is wanted.
        held: Option<u64>,
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

/// The states that a client holds of an earlier connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The run of the stream that they are of.
    pub epoch: String,
    /// Their numbers by symbol, in upper case. A symbol without one begins with its state.
    pub seq: FxHashMap<String, u64>,
}

/// What happens to a connection that does not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnOverflow {
    /// It gets the newest states, and is told of events that it lost.
    #[default]
    Conflate,
    /// It gets every message, or is closed.
    Disconnect,
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
        let Distinct(value) =
            serde_json::from_slice(text).map_err(|error| (ErrorCode::BadJson, error.to_string()))?;
        let Value::Object(mut fields) = value else {
            return Err(bad_request("a request is a JSON object"));
        };
        // The number first: an answer that carries it is worth more than one about the number.
        let found_id = fields.remove("req_id").map(read_req_id).transpose();
        if let Ok(found) = &found_id {
            req_id.clone_from(found);
        }
        let method = match fields.remove("method") {
            Some(Value::String(method)) => method,
            Some(_) => return Err(bad_request("`method` must be a string")),
            None => return Err(bad_request("`method` is missing")),
        };
        *method_name = Some(shortened(&method));
        found_id?;
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
    /// As a request has it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Auth { .. } => "auth",
            Self::Subscribe { .. } => "subscribe",
            Self::Resync { .. } => "resync",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Ping => "ping",
            Self::List => "list",
        }
    }

    fn parse(name: &str, mut params: Map<String, Value>) -> Result<Self, Fault> {
        let method = match name {
            "subscribe" => {
                let channel = take_channel(&mut params)?;
                let symbols = take_symbols(&mut params)?;
                let wants_snapshot = take(&mut params, "snapshot", "true or false", as_bool)?;
                let rate = take_rate(&mut params, channel)?;
                let resume = take_resume(&mut params)?;
                if resume.is_some() && wants_snapshot == Some(false) {
                    return Err(bad_parameter(
                        "`params.snapshot` cannot be false beside `resume`: what cannot be resumed begins with it",
                    ));
                }
                let on_overflow = take_on_overflow(&mut params)?;
                let snapshot = wants_snapshot.unwrap_or(true);
                Self::Subscribe { channel, symbols, snapshot, rate, resume, on_overflow }
            }
            "resync" => {
                let channel = take_channel(&mut params)?;
                let symbol = take(&mut params, "symbol", "a string", as_text)?;
                let mut symbol = symbol.ok_or_else(|| bad_request("`params.symbol` is missing"))?;
                symbol.make_ascii_uppercase();
                let held = take(&mut params, "seq", "an integer of 0 or more", |value| value.as_u64())?;
                Self::Resync { channel, symbol, held }
            }
            "unsubscribe" => {
                let channel = take_channel(&mut params)?;
                Self::Unsubscribe { channel, symbols: take_symbols(&mut params)? }
            }
            "auth" => match params.remove("token") {
                Some(Value::String(token)) => Self::Auth { token: Secret::new(token) },
                Some(_) => return Err(bad_request("`params.token` must be a string")),
                None => return Err(bad_request("`params.token` is missing")),
            },
            "ping" => Self::Ping,
            "list" => Self::List,
            _ => {
                let message = "`method` is none of auth, subscribe, unsubscribe, resync, ping, list";
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

fn bad_parameter(message: impl Into<String>) -> Fault {
    (ErrorCode::BadParameter, message.into())
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

/// A parameter that may be missing.
fn take<T>(
    params: &mut Map<String, Value>,
    name: &str,
    kind: &str,
    read: impl FnOnce(Value) -> Option<T>,
) -> Result<Option<T>, Fault> {
    let Some(value) = params.remove(name) else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| bad_request(format!("`params.{name}` must be {kind}")))
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `take` calls all of them")]
fn as_bool(value: Value) -> Option<bool> {
    value.as_bool()
}

fn take_rate(params: &mut Map<String, Value>, channel: Channel) -> Result<Rate, Fault> {
    let Some(text) = take(params, "max_frequency", "a string", as_text)? else { return Ok(Rate::Raw) };
    let rate = Rate::from_text(&text)
        .ok_or_else(|| bad_parameter("`params.max_frequency` must be raw, 100ms, 250ms, 500ms, 1s or 5s"))?;
    if channel == Channel::Trade && rate != Rate::Raw {
        return Err(bad_parameter("`params.max_frequency` of trade must be raw: trades are never merged"));
    }
    Ok(rate)
}

fn take_on_overflow(params: &mut Map<String, Value>) -> Result<Option<OnOverflow>, Fault> {
    match take(params, "on_overflow", "a string", as_text)?.as_deref() {
        None => Ok(None),
        Some("conflate") => Ok(Some(OnOverflow::Conflate)),
        Some("disconnect") => Ok(Some(OnOverflow::Disconnect)),
        Some(_) => Err(bad_parameter("`params.on_overflow` must be conflate or disconnect")),
    }
}

fn take_resume(params: &mut Map<String, Value>) -> Result<Option<Resume>, Fault> {
    let mut resume = match params.remove("resume") {
        None => return Ok(None),
        Some(Value::Object(resume)) => resume,
        Some(_) => return Err(bad_request("`params.resume` must be an object")),
    };
    let epoch = match resume.remove("epoch") {
        Some(Value::String(epoch)) => epoch,
        Some(_) => return Err(bad_request("`params.resume.epoch` must be a string")),
        None => return Err(bad_request("`params.resume.epoch` is missing")),
    };
    let numbers = match resume.remove("seq") {
        Some(Value::Object(numbers)) => numbers,
        Some(_) => return Err(bad_request("`params.resume.seq` must be an object of numbers by symbol")),
        None => return Err(bad_request("`params.resume.seq` is missing")),
    };
    no_more(&resume, "params.resume.")?;
    if numbers.len() > SYMBOLS_PER_REQUEST_MAX {
        return Err(bad_request(format!(
            "`params.resume.seq` has {} symbols, at most {SYMBOLS_PER_REQUEST_MAX} go into one request",
            numbers.len()
        )));
    }
    let mut seq = FxHashMap::default();
    for (mut symbol, number) in numbers {
        let shown = shortened(&symbol);
        let number = number.as_u64().ok_or_else(|| {
            bad_request(format!("`params.resume.seq` must be an integer of 0 or more for `{shown}`"))
        })?;
        symbol.make_ascii_uppercase();
        if seq.insert(symbol, number).is_some() {
            return Err(bad_request(format!("`params.resume.seq` has two numbers for `{shown}`")));
        }
    }
    Ok(Some(Resume { epoch, seq }))
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
pub(super) fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(ECHO_BYTES_MAX);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<Request, RequestError> {
        Request::parse(value.to_string().as_bytes())
    }

    fn refused(value: &Value) -> (ErrorCode, String) {
        let error = parse(value).expect_err("a wrong request");
        (error.code, error.message)
    }

    fn subscribe(params: &Value) -> Value {
        json!({"method": "subscribe", "params": params})
    }

    #[test]
    fn a_key_is_named_once() {
        for text in [
            r#"{"method":"ping","method":"list"}"#,
            r#"{"method":"subscribe","params":{"channel":"quote","symbols":["A"],"\u0063hannel":"trade"}}"#,
        ] {
            let error = Request::parse(text.as_bytes()).expect_err("twice");
            assert_eq!(error.code, ErrorCode::BadJson);
            assert!(error.message.contains("` comes twice"), "{}", error.message);
        }
    }

    proptest! {
        /// Where no key comes twice, the values are those that everybody reads.
        #[test]
        fn values_are_read_as_others_read_them(text in "[\\[\\]{}\",:0-9eE.+-]{0,24}|[{]\"a\":(1|2.5|-3|true|null|\"x\"|\\[1,[{][}]\\])[}]") {
            let (ours, others) = (serde_json::from_str::<Distinct>(&text), serde_json::from_str::<Value>(&text));
            match (ours, others) {
                (Ok(Distinct(ours)), Ok(others)) => prop_assert_eq!(ours, others),
                (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => prop_assert!(error.to_string().contains("comes twice"), "{error}"),
                (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
            }
        }
    }

    #[test]
    fn a_subscription_is_read_in_every_spelling() {
        let request = parse(&json!({
            "method": "subscribe",
            "params": {"channel": "quote", "symbols": ["aapl", "MSFT", "AAPL", "no such\n"], "snapshot": false, "max_frequency": "raw"},
            "req_id": 2
        }));
        let symbols = ["AAPL", "MSFT", "NO SUCH\n"].map(str::to_owned).to_vec();
        assert_eq!(
            request,
            Ok(Request {
                req_id: Some(ReqId::Number(2)),
                method: Method::Subscribe {
                    channel: Channel::Quote,
                    symbols: Symbols::Named(symbols),
                    snapshot: false,
                    rate: Rate::Raw,
                    resume: None,
                    on_overflow: None
                },
            })
        );
        let channels = [
            (json!({"channel": "trade"}), Channel::Trade),
            (json!({"channel": "ticker"}), Channel::Ticker),
            (json!({"channel": "status"}), Channel::Status),
            (json!({"channel": "book"}), Channel::Book(Depth::D10)),
            (json!({"channel": "book", "depth": 25}), Channel::Book(Depth::D25)),
            (json!({"channel": "book.100"}), Channel::Book(Depth::D100)),
            (json!({"channel": "book.100", "depth": 100}), Channel::Book(Depth::D100)),
            (json!({"channel": "bar"}), Channel::Bar(Interval::M1)),
            (json!({"channel": "bar", "interval": "5m"}), Channel::Bar(Interval::M5)),
            (json!({"channel": "bar.1d"}), Channel::Bar(Interval::D1)),
        ];
        for (mut params, expected) in channels {
            params["symbols"] = json!(["*"]);
            let method = Method::Subscribe {
                channel: expected,
                symbols: Symbols::All,
                snapshot: true,
                rate: Rate::Raw,
                resume: None,
                on_overflow: None,
            };
            assert_eq!(parse(&subscribe(&params)).map(|request| request.method), Ok(method));
            let request = parse(&json!({"method": "unsubscribe", "params": params}));
            let method = Method::Unsubscribe { channel: expected, symbols: Symbols::All };
            assert_eq!(request.map(|request| request.method), Ok(method));
        }
    }

    #[test]
    fn a_rate_and_what_is_held_are_read() {
        let method = |value: &Value| parse(value).map(|request| request.method);
        for rate in Rate::ALL {
            let params = json!({"channel": "book.25", "symbols": ["a", "B"], "max_frequency": rate.as_str(),
                "resume": {"epoch": "k3f9", "seq": {"a": 7, "C": u64::MAX}}, "on_overflow": "disconnect"});
            let seq = [("A".to_owned(), 7), ("C".to_owned(), u64::MAX)].into_iter().collect();
            let expected = Method::Subscribe {
                channel: Channel::Book(Depth::D25),
                symbols: Symbols::Named(vec!["A".into(), "B".into()]),
                snapshot: true,
                rate,
                resume: Some(Resume { epoch: "k3f9".into(), seq }),
                on_overflow: Some(OnOverflow::Disconnect),
            };
            assert_eq!(method(&subscribe(&params)), Ok(expected));
        }
        for (held, seq) in [(None, json!({})), (Some(0), json!({"seq": 0})), (Some(12), json!({"seq": 12}))] {
            let mut params = seq;
            (params["channel"], params["interval"], params["symbol"]) =
                ("bar".into(), "5m".into(), "aapl".into());
            let expected =
                Method::Resync { channel: Channel::Bar(Interval::M5), symbol: "AAPL".into(), held };
            assert_eq!(method(&json!({"method": "resync", "params": params})), Ok(expected));
        }
    }

    #[test]
    fn the_small_methods_are_read() {
        let method = |value: &Value| parse(value).map(|request| request.method);
        assert_eq!(method(&json!({"method": "ping"})), Ok(Method::Ping));
        assert_eq!(method(&json!({"method": "list", "params": {}})), Ok(Method::List));
        let auth = parse(&json!({"method": "auth", "params": {"token": "secret"}, "req_id": "a\"b"}));
        let expected = Request {
            req_id: Some(ReqId::Text("a\"b".into())),
            method: Method::Auth { token: Secret::new("secret".into()) },
        };
        assert!(!format!("{auth:?}").contains("secret"));
        assert_eq!(auth, Ok(expected));
    }

    #[test]
    fn every_mistake_has_its_code_and_names_its_field() {
        use ErrorCode::{BadParameter, BadRequest, UnknownChannel, UnknownMethod};
        let all = ["*"];
        let resync = |params: &Value| json!({"method": "resync", "params": params});
        let with = |mut params: Value| {
            (params["channel"], params["symbols"]) = ("quote".into(), json!(all));
            subscribe(&params)
        };
        let cases = [
            (json!([]), BadRequest, "object"),
            (json!({}), BadRequest, "`method` is missing"),
            (json!({"method": 7}), BadRequest, "`method`"),
            (json!({"method": "dance"}), UnknownMethod, "`method`"),
            (json!({"method": "ping", "params": []}), BadRequest, "`params`"),
            (json!({"method": "ping", "params": {"x": 1}}), BadRequest, "`params.x`"),
            (json!({"method": "ping", "id": 1}), BadRequest, "`id`"),
            (json!({"method": "ping", "req_id": 1.5}), BadRequest, "`req_id`"),
            (json!({"method": "ping", "req_id": u64::MAX}), BadRequest, "`req_id`"),
            (json!({"method": "ping", "req_id": null}), BadRequest, "`req_id`"),
            (json!({"method": "ping", "req_id": "x".repeat(65)}), BadRequest, "`req_id`"),
            (json!({"method": "auth"}), BadRequest, "`params.token`"),
            (json!({"method": "auth", "params": {"token": 1}}), BadRequest, "`params.token`"),
            (resync(&json!({"symbol": "A"})), BadRequest, "`params.channel`"),
            (resync(&json!({"channel": "quote"})), BadRequest, "`params.symbol`"),
            (resync(&json!({"channel": "quote", "symbol": ["A"]})), BadRequest, "`params.symbol`"),
            (resync(&json!({"channel": "quote", "symbol": "A", "seq": -1})), BadRequest, "`params.seq`"),
            (resync(&json!({"channel": "quote", "symbol": "A", "depth": 10})), BadRequest, "`params.depth`"),
            (
                resync(&json!({"channel": "quote", "symbol": "A", "max_frequency": "1s"})),
                BadRequest,
                "`params.max_frequency`",
            ),
            (subscribe(&json!({"symbols": all})), BadRequest, "`params.channel`"),
            (subscribe(&json!({"channel": 1, "symbols": all})), BadRequest, "`params.channel`"),
            (subscribe(&json!({"channel": "quotes", "symbols": all})), UnknownChannel, "quotes"),
            (subscribe(&json!({"channel": "quote.1", "symbols": all})), UnknownChannel, "quote.1"),
            (subscribe(&json!({"channel": "heartbeat", "symbols": all})), UnknownChannel, "always on"),
            (subscribe(&json!({"channel": "book.7", "symbols": all})), BadParameter, "`params.depth`"),
            (subscribe(&json!({"channel": "book.010", "symbols": all})), BadParameter, "`params.depth`"),
            (
                subscribe(&json!({"channel": "book", "depth": 7, "symbols": all})),
                BadParameter,
                "`params.depth`",
            ),
            (
                subscribe(&json!({"channel": "book", "depth": "10", "symbols": all})),
                BadRequest,
                "`params.depth`",
            ),
            (subscribe(&json!({"channel": "book.10", "depth": 25, "symbols": all})), BadParameter, "differs"),
            (
                subscribe(&json!({"channel": "quote", "depth": 10, "symbols": all})),
                BadRequest,
                "`params.depth`",
            ),
            (subscribe(&json!({"channel": "bar.2m", "symbols": all})), BadParameter, "`params.interval`"),
            (
                subscribe(&json!({"channel": "bar", "interval": 1, "symbols": all})),
                BadRequest,
                "`params.interval`",
            ),
            (subscribe(&json!({"channel": "quote"})), BadRequest, "`params.symbols`"),
            (subscribe(&json!({"channel": "quote", "symbols": "AAPL"})), BadRequest, "`params.symbols`"),
            (subscribe(&json!({"channel": "quote", "symbols": []})), BadRequest, "empty"),
            (subscribe(&json!({"channel": "quote", "symbols": ["A", 1]})), BadRequest, "`params.symbols[1]`"),
            (subscribe(&json!({"channel": "quote", "symbols": ["A", "*"]})), BadRequest, "alone"),
            (
                subscribe(&json!({"channel": "quote", "symbols": all, "snapshot": 1})),
                BadRequest,
                "`params.snapshot`",
            ),
            (with(json!({"max_frequency": "2s"})), BadParameter, "`params.max_frequency`"),
            (with(json!({"max_frequency": 1})), BadRequest, "`params.max_frequency`"),
            (
                subscribe(&json!({"channel": "trade", "symbols": all, "max_frequency": "1s"})),
                BadParameter,
                "never merged",
            ),
            (with(json!({"on_overflow": "wait"})), BadParameter, "`params.on_overflow`"),
            (with(json!({"on_overflow": null})), BadRequest, "`params.on_overflow`"),
            (with(json!({"resume": []})), BadRequest, "`params.resume`"),
            (with(json!({"resume": {}})), BadRequest, "`params.resume.epoch`"),
            (with(json!({"resume": {"epoch": 1}})), BadRequest, "`params.resume.epoch`"),
            (with(json!({"resume": {"epoch": "e"}})), BadRequest, "`params.resume.seq`"),
            (with(json!({"resume": {"epoch": "e", "seq": [1]}})), BadRequest, "`params.resume.seq`"),
            (with(json!({"resume": {"epoch": "e", "seq": {"A": "1"}}})), BadRequest, "for `A`"),
            (with(json!({"resume": {"epoch": "e", "seq": {"A": 1, "a": 2}}})), BadRequest, "two numbers"),
            (with(json!({"resume": {"epoch": "e", "seq": {}, "x": 1}})), BadRequest, "`params.resume.x`"),
            (
                with(json!({"resume": {"epoch": "e", "seq": {}}, "snapshot": false})),
                BadParameter,
                "`params.snapshot`",
            ),
            (
                subscribe(&json!({"channel": "quote", "symbols": all, "snapshots": true})),
                BadRequest,
                "`params.snapshots`",
            ),
        ];
        for (request, code, named) in cases {
            let (found, message) = refused(&request);
            assert_eq!(found, code, "{request}: {message}");
            assert!(message.contains(named), "{request}: {message} does not name {named}");
        }
        let many = vec!["A"; SYMBOLS_PER_REQUEST_MAX + 1];
        assert_eq!(refused(&subscribe(&json!({"channel": "quote", "symbols": many}))).0, BadRequest);
    }

    #[test]
    fn what_can_be_read_of_a_wrong_request_comes_back_shortened() {
        let name = "é".repeat(100);
        let error = parse(&json!({"method": name, "req_id": 9})).expect_err("unknown");
        assert_eq!(error.req_id, Some(ReqId::Number(9)));
        assert_eq!(error.method, Some("é".repeat(32)));

        for wrong in [b"{\"method\":".as_slice(), b"", b"\xff", b"\"\xff\"", &[b'['; 100_000]] {
            let error = Request::parse(wrong).expect_err("not JSON");
            assert_eq!((error.code, error.req_id, error.method), (ErrorCode::BadJson, None, None));
            assert!(error.message.len() < 200);
        }
        let large = vec![b' '; REQUEST_BYTES_MAX + 1];
        assert_eq!(Request::parse(&large).map_err(|error| error.code), Err(ErrorCode::MessageTooLarge));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z*.0-9]{0,8}".prop_map(Value::from),
            prop::sample::select(vec![
                "subscribe",
                "resync",
                "quote",
                "book.10",
                "bar",
                "1m",
                "raw",
                "1s",
                "conflate",
                "*",
                "list",
            ])
            .prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            let names = vec![
                "method",
                "params",
                "req_id",
                "channel",
                "symbols",
                "depth",
                "interval",
                "snapshot",
                "max_frequency",
                "resume",
                "epoch",
                "seq",
                "symbol",
                "on_overflow",
                "token",
                "x",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((prop::sample::select(names), inner), 0..6).prop_map(|fields| {
                    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn no_json_causes_a_panic(value in any_json()) {
            if let Err(error) = parse(&value) {
                prop_assert!(!error.message.is_empty());
                prop_assert!(error.message.len() < 300, "{}", error.message);
            }
        }
    }
}
