//! What an administrator is shown of what goes over another's connection: no more of prices and sizes than it may see itself.

use std::cell::RefCell;
use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::mirror::Seen;
use crate::directory::Directory;
use crate::entitlement::Entitlement;
use crate::topic::{Channel, Depth, Interval, TopicId};
use crate::wire::admin::{FrameKind, Payload, Said, Side, TapFrame};
use crate::wire::binary::{Record, What, decode_records};
use crate::ws::frame::Opcode;

/// In place of what is not shown.
const HIDDEN: &str = "…";
/// What is shown of an object that tells a state, or a part of one.
const KEPT: [&str; 14] = [
    "channel",
    "type",
    "symbol",
    "depth",
    "interval",
    "max_frequency",
    "epoch",
    "seq",
    "prev_seq",
    "n",
    "from",
    "to",
    "ts_event",
    "delayed",
];

/// How frames are shown to somebody.
pub(super) struct Shown {
    directory: Directory,
    payload: Payload,
    /// What the administrator may see.
    entitlement: RefCell<Arc<Entitlement>>,
}

impl Shown {
    pub(super) const fn new(directory: Directory, payload: Payload, entitlement: Arc<Entitlement>) -> Self {
        Self { directory, payload, entitlement: RefCell::new(entitlement) }
    }

    /// The administrator may see something else from now on.
    pub(super) fn entitle(&self, entitlement: Arc<Entitlement>) {
        *self.entitlement.borrow_mut() = entitlement;
    }

    pub(super) fn frame(&self, seen: &Seen) -> TapFrame {
        let payload = seen.payload.as_slice();
        let whole = || Said::Payload(BASE64.encode(payload));
        let said = match (seen.opcode, seen.from) {
            (Opcode::Text, from) => self.said_in_text(from, payload),
            (Opcode::Binary | Opcode::Continuation, Side::Server) => {
                self.hidden_of_records(payload).map_or_else(whole, Said::Objects)
            }
            (Opcode::Close, _) => {
                self.hidden_of_control(close_code(payload)).map_or_else(whole, Said::Objects)
            }
            _ => self.hidden_of_control(Vec::new()).map_or_else(whole, Said::Objects),
        };
        TapFrame {
            at: seen.at.0,
            from: seen.from,
            opcode: match seen.opcode {
                Opcode::Text => FrameKind::Text,
                Opcode::Binary | Opcode::Continuation => FrameKind::Binary,
                Opcode::Close => FrameKind::Close,
                Opcode::Ping => FrameKind::Ping,
                Opcode::Pong => FrameKind::Pong,
            },
            bytes: seen.bytes as u64,
            wire_bytes: seen.wire_bytes as u64,
            compressed: seen.is_compressed,
            said,
        }
    }

    /// A message, or its objects without what may not be seen of them. Of an error of the server there is the code: its words and
    /// the number of the request say again what the client has said.
    fn said_in_text(&self, from: Side, text: &[u8]) -> Said {
        let mut objects = match serde_json::from_slice(text) {
            Ok(Value::Array(objects)) => objects,
            Ok(object) => vec![object],
            Err(_) => Vec::new(),
        };
        let may_see = |object: &Value| match told(object) {
            Told::Nothing => true,
            Told::Topic(channel, symbol) => self.entitlement.borrow().allows_of_others(channel, symbol),
            Told::Unknown => false,
        };
        let is_visible = self.payload == Payload::Whole && objects.iter().all(may_see);
        let errors = objects.iter_mut().filter(|_| from == Side::Server).map(hide_words);
        let has_errors = errors.fold(false, |any, is_error| any | is_error);
        if !is_visible {
            return Said::Objects(objects.into_iter().map(redacted).collect());
        }
        let without_words = has_errors.then(|| Value::Array(objects).to_string());
        Said::Payload(BASE64.encode(without_words.as_ref().map_or(text, |text| text.as_bytes())))
    }

    /// The same of binary records.
    fn hidden_of_records(&self, bytes: &[u8]) -> Option<Vec<Value>> {
        let symbol = |topic: TopicId| self.directory.get(topic.symbol()).symbol.as_str();
        let records = || decode_records(bytes).map_while(Result::ok);
        let may_see =
            |topic: TopicId| self.entitlement.borrow().allows_of_others(topic.channel(), symbol(topic));
        // What cannot be read is not shown either.
        let is_visible = decode_records(bytes).all(|record| record.is_ok_and(|record| may_see(record.topic)));
        if self.payload == Payload::Whole && is_visible {
            return None;
        }
        Some(records().map(|record| outline(&record, symbol(record.topic))).collect())
    }

    fn hidden_of_control(&self, hidden: Vec<Value>) -> Option<Vec<Value>> {
        (self.payload == Payload::Redacted).then_some(hidden)
    }
}

/// Whether it is an error, which has lost its words.
fn hide_words(object: &mut Value) -> bool {
    let Some(error) = object.get_mut("error") else { return false };
    *error = json!({ "code": error.get("code"), "message": HIDDEN });
    if let Some(number) = object.get_mut("req_id") {
        *number = HIDDEN.into();
    }
    true
}

/// What an object tells of the market.
enum Told<'a> {
    Nothing,
    /// Of that topic.
    Topic(Channel, &'a str),
    /// Something that is not known here.
    Unknown,
}

fn told(object: &Value) -> Told<'_> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    if object.get("method").is_some() || object.get("hidden").is_some() {
        return Told::Nothing;
    }
    let channel = match text("channel") {
        Some("heartbeat" | "system") => return Told::Nothing,
        Some("quote") => Some(Channel::Quote),
        Some("trade") => Some(Channel::Trade),
        Some("book") => {
            object.get("depth").and_then(Value::as_u64).and_then(Depth::from_levels).map(Channel::Book)
        }
        Some("ticker") => Some(Channel::Ticker),
        Some("bar") => text("interval").and_then(Interval::from_text).map(Channel::Bar),
        Some("status") => Some(Channel::Status),
        // An error that answers what is no request.
        None if object.get("error").is_some() => return Told::Nothing,
        _ => None,
    };
    match (channel, text("symbol")) {
        (Some(channel), Some(symbol)) => Told::Topic(channel, symbol),
        _ => Told::Unknown,
    }
}

/// An object of which what is more than its topic and its numbers is hidden, if it tells of the market.
fn redacted(object: Value) -> Value {
    if matches!(told(&object), Told::Nothing) {
        return object;
    }
    let Value::Object(fields) = object else { return HIDDEN.into() };
    let shown = |(name, value): (String, Value)| {
        let value = if KEPT.contains(&name.as_str()) { value } else { HIDDEN.into() };
        (name, value)
    };
    Value::Object(fields.into_iter().map(shown).collect::<Map<_, _>>())
}

/// Of a record its topic and its numbers.
fn outline(record: &Record<'_>, symbol: &str) -> Value {
    let Record { topic, what } = record;
    let (kind, numbers) = match what {
        What::Snapshot(snapshot) => ("snapshot", json!({ "seq": snapshot.seq, "epoch": snapshot.epoch })),
        What::Update(update) => ("update", json!({ "step": update.step, "n": update.merged })),
        What::Gap(gap) => ("gap", json!({ "prev_seq": gap.prev_seq, "seq": gap.seq })),
        What::Merged(merged) => ("merged", json!({ "prev_seq": merged.prev_seq, "n": merged.n })),
    };
    let mut object = json!({
        "channel": topic.channel().to_string(), "symbol": symbol, "topic": topic.0, "type": kind,
    });
    if let (Value::Object(object), Value::Object(numbers)) = (&mut object, numbers) {
        object.extend(numbers);
    }
    object
}

fn close_code(payload: &[u8]) -> Vec<Value> {
    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    code.map(|code| json!({ "code": code })).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use feeds::{Exponent, Instrument, Symbol, SymbolId, Timestamp};

    use super::*;
    use crate::wire::binary;

    fn directory() -> Directory {
        let instrument = |name: &str| Instrument {
            symbol: Symbol::new(name).expect("a symbol"),
            venue: "TEST",
            price_exponent: Exponent::new(-2).expect("within range"),
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        };
        Directory::new(&[instrument("A"), instrument("B")])
    }

    fn shown(payload: Payload, entitlement: Value) -> Shown {
        let entitlement = serde_json::from_value(entitlement).expect("an entitlement");
        Shown::new(directory(), payload, Arc::new(entitlement))
    }

    fn said(shown: &Shown, opcode: Opcode, payload: &[u8]) -> Said {
        let seen = Seen {
            at: Timestamp(1),
            from: Side::Server,
            opcode,
            bytes: payload.len(),
            wire_bytes: payload.len() + 2,
            is_compressed: false,
            payload: payload.to_vec(),
            lost_before: 0,
        };
        shown.frame(&seen).said
    }

    #[test]
    fn of_errors_the_code_is_shown_and_no_word_that_the_client_may_have_said() {
        let shown = shown(Payload::Whole, json!({"symbols": ["*"], "channels": ["quote"]}));
        let error = json!([
            {"method": "subscribe", "success": false, "req_id": "canary", "error": {"code": "BAD_REQUEST", "message": "`canary`"}},
            {"error": {"code": "BAD_REQUEST", "message": "canary"}},
        ]);
        let Said::Payload(payload) = said(&shown, Opcode::Text, error.to_string().as_bytes()) else {
            panic!("whole")
        };
        let text = String::from_utf8(BASE64.decode(payload.as_bytes()).expect("base64")).expect("UTF-8");
        assert!(!text.contains("canary") && text.matches("BAD_REQUEST").count() == 2, "{text}");
        let answer = json!([{"method": "ping", "success": true, "req_id": 7}]).to_string();
        let Said::Payload(payload) = said(&shown, Opcode::Text, answer.as_bytes()) else { panic!("whole") };
        assert_eq!(BASE64.decode(payload.as_bytes()).expect("base64"), answer.as_bytes());
        let Said::Objects(objects) = said(&shown, Opcode::Binary, &[0xff; 9]) else {
            panic!("no record is in it")
        };
        assert_eq!(objects, [] as [Value; 0]);
    }

    #[test]
    fn of_prices_and_sizes_nothing_is_shown_and_of_topics_and_numbers_all() {
        let redacted = shown(Payload::Redacted, json!({"symbols": ["*"], "channels": ["quote", "book"]}));
        let text = json!([
            {"method": "subscribe", "success": true, "result": {"channel": "quote", "granted": [{"symbol": "A", "topic": 0}]}},
            {"channel": "quote", "type": "update", "symbol": "A", "seq": 2, "prev_seq": 1, "ts_event": 5, "bid": "1.01"},
            {"channel": "book", "depth": 10, "type": "snapshot", "symbol": "A", "epoch": "e", "seq": 1, "bids": [["1.01", "5"]]},
            {"channel": "new", "secret": "7"},
            {"channel": "heartbeat", "ts": 1, "lag_us": 2, "laggard": false},
        ]);
        let expected = json!([
            text[0],
            {"channel": "quote", "type": "update", "symbol": "A", "seq": 2, "prev_seq": 1, "ts_event": 5, "bid": "…"},
            {"channel": "book", "depth": 10, "type": "snapshot", "symbol": "A", "epoch": "e", "seq": 1, "bids": "…"},
            {"channel": "new", "secret": "…"},
            text[4],
        ]);
        let Said::Objects(objects) = said(&redacted, Opcode::Text, text.to_string().as_bytes()) else {
            panic!("a payload")
        };
        assert_eq!(Value::Array(objects), expected);
        assert_eq!(said(&redacted, Opcode::Ping, b"canary"), Said::Objects(Vec::new()));
        assert_eq!(
            said(&redacted, Opcode::Close, b"\x0f\xa7canary"),
            Said::Objects(vec![json!({"code": 4007})])
        );
        assert_eq!(said(&redacted, Opcode::Text, b"["), Said::Objects(Vec::new()));
    }

    #[test]
    fn what_the_administrator_may_not_see_itself_is_hidden_message_by_message() {
        let whole = shown(Payload::Whole, json!({"symbols": ["A"], "channels": ["quote"]}));
        let quote =
            |symbol: &str| json!({"channel": "quote", "type": "update", "symbol": symbol, "bid": "1.01"});
        let is_whole = |message: Value| {
            matches!(said(&whole, Opcode::Text, message.to_string().as_bytes()), Said::Payload(_))
        };
        assert!(is_whole(json!([quote("A"), {"channel": "heartbeat"}])));
        assert!(
            is_whole(json!({"method": "ping"}))
                && is_whole(json!([{"success": false, "error": {"code": "BAD_JSON"}}]))
        );
        assert!(!is_whole(json!([quote("A"), quote("B")])));
        assert!(!is_whole(json!([{"channel": "book", "depth": 10, "symbol": "A"}])));
        assert!(!is_whole(json!([{"channel": "new"}])));
        assert_eq!(said(&whole, Opcode::Ping, b"x"), Said::Payload(BASE64.encode(b"x")));

        let mut gap = Vec::new();
        binary::gap(&mut gap, TopicId::new(Channel::Quote, SymbolId(0)), 3, 5, Timestamp(0));
        assert_eq!(said(&whole, Opcode::Binary, &gap), Said::Payload(BASE64.encode(&gap)));
        let other = TopicId::new(Channel::Quote, SymbolId(1));
        binary::gap(&mut gap, other, 7, 9, Timestamp(0));
        let Said::Objects(objects) = said(&whole, Opcode::Binary, &gap) else { panic!("a payload") };
        assert_eq!(
            objects[1],
            json!({"channel": "quote", "symbol": "B", "topic": other.0, "type": "gap", "prev_seq": 7, "seq": 9})
        );
        whole.entitle(Arc::new(Entitlement::everything()));
        assert!(is_whole(json!([quote("B")])));
    }
}
