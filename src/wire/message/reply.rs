//! What a client is answered: each function appends one JSON object.

use feeds::{Exponent, Timestamp};

use super::super::code::{CloseCode, ErrorCode};
use super::super::json::{channel_fields, integer, text};
use super::{ReqId, RequestError};
use crate::topic::{Channel, Rate, TopicId};

/// A topic that a client follows from now on.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    /// The instrument.
    pub symbol: &'a str,
    /// The topic's number.
    pub topic: TopicId,
    /// The scale of its prices.
    pub price_exponent: Exponent,
    /// The scale of its sizes.
    pub size_exponent: Exponent,
    /// The number of the topic's state at this moment: of the snapshot, and `prev_seq` of the first update.
    pub seq: u64,
}

/// What an acknowledgement of `subscribe` or `resync` is about.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged<'a> {
    /// The client's number of the request.
    pub req_id: Option<&'a ReqId>,
    /// The channel.
    pub channel: Channel,
    /// How often its topics are sent at most; said where it is not raw.
    pub rate: Rate,
    /// The run of the stream.
    pub epoch: &'a str,
    /// Whether its topics are late; said where they are.
    pub delayed: bool,
}

/// What of a `subscribe` was done; with `has_more`, of its first part: the next answers the rest.
pub fn ack_subscribe<'a>(
    out: &mut Vec<u8>,
    acknowledged: &Acknowledged<'_>,
    granted: impl Iterator<Item = Granted<'a>>,
    rejected: impl Iterator<Item = (&'a str, ErrorCode)>,
    has_more: bool,
) {
    success(out, "subscribe", acknowledged.req_id);
    acknowledged_fields(out, acknowledged);
    out.extend_from_slice(b",\"granted\":");
    array(out, granted, |out, granted| {
        out.push(b'{');
        granted_fields(out, &granted);
        out.push(b'}');
    });
    write_rejected(out, rejected);
    out.extend_from_slice(if has_more { b",\"more\":true}}".as_slice() } else { b"}}" });
}

/// The topic's whole state follows, or what the client missed of it.
pub fn ack_resync(out: &mut Vec<u8>, acknowledged: &Acknowledged<'_>, granted: &Granted<'_>) {
    success(out, "resync", acknowledged.req_id);
    acknowledged_fields(out, acknowledged);
    out.push(b',');
    granted_fields(out, granted);
    out.extend_from_slice(b"}}");
}

/// What of an `unsubscribe` was done.
pub fn ack_unsubscribe<'a>(
    out: &mut Vec<u8>,
    req_id: Option<&ReqId>,
    channel: Channel,
    removed: impl Iterator<Item = &'a str>,
    rejected: impl Iterator<Item = (&'a str, ErrorCode)>,
) {
    success(out, "unsubscribe", req_id);
    channel_fields(out, channel);
    out.extend_from_slice(b",\"removed\":");
    array(out, removed, text);
    write_rejected(out, rejected);
    out.extend_from_slice(b"}}");
}

/// The client is who it says, until its token is over, or nobody asks.
pub fn ack_auth(out: &mut Vec<u8>, req_id: Option<&ReqId>, expires: Option<Timestamp>) {
    success(out, "auth", req_id);
    if let Some(expires) = expires {
        out.extend_from_slice(b"\"expires\":");
        integer(out, expires.micros());
    }
    out.extend_from_slice(b"}}");
}

/// The answer to `ping`, with the server's time.
pub fn pong(out: &mut Vec<u8>, req_id: Option<&ReqId>, ts: Timestamp) {
    success(out, "ping", req_id);
    out.extend_from_slice(b"\"ts\":");
    integer(out, ts.micros());
    out.extend_from_slice(b"}}");
}

/// What the client follows, with the number of the state last sent to it.
pub fn ack_list<'a>(
    out: &mut Vec<u8>,
    req_id: Option<&ReqId>,
    subscriptions: impl Iterator<Item = (TopicId, &'a str, u64)>,
) {
    success(out, "list", req_id);
    out.extend_from_slice(b"\"subscriptions\":");
    array(out, subscriptions, |out, (topic, symbol, seq)| {
        out.push(b'{');
        topic_fields(out, topic, symbol);
        out.extend_from_slice(b",\"seq\":");
        integer(out, seq);
        out.push(b'}');
    });
    out.extend_from_slice(b"}}");
}

/// A request failed as a whole.
pub fn error(out: &mut Vec<u8>, error: &RequestError) {
    out.extend_from_slice(b"{\"method\":");
    match &error.method {
        Some(method) => text(out, method),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"success\":false");
    write_req_id(out, error.req_id.as_ref());
    out.extend_from_slice(b",\"error\":{\"code\":\"");
    out.extend_from_slice(error.code.as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    text(out, &error.message);
    let retryable = error.code.retryable();
    out.extend_from_slice(if retryable { b",\"retryable\":true}}" } else { b",\"retryable\":false}}" });
}

/// The server is about to close the connection, and is there again after that many milliseconds, which differ from
/// client to client so that not all come at once.
pub fn system_shutdown(out: &mut Vec<u8>, reconnect_after_ms: u64) {
    out.extend_from_slice(b"{\"channel\":\"system\",\"type\":\"shutdown\",\"reconnect_after_ms\":");
    integer(out, reconnect_after_ms);
    out.push(b'}');
}

/// The server is about to close the connection with that code. Where the code lets the client come back, it is welcome
/// after that many milliseconds.
pub fn system_closing(out: &mut Vec<u8>, code: CloseCode, retry_after_ms: u64) {
    out.extend_from_slice(b"{\"channel\":\"system\",\"type\":\"closing\",\"code\":");
    integer(out, code.code());
    out.extend_from_slice(b",\"retry_after_ms\":");
    integer(out, retry_after_ms);
    out.push(b'}');
}

/// The server ends a stream of events, which has no close frame, for that reason.
pub fn system_closed(out: &mut Vec<u8>, code: CloseCode, reason: &str) {
    out.extend_from_slice(b"{\"channel\":\"system\",\"type\":\"closing\",\"code\":");
    integer(out, code.code());
    out.extend_from_slice(b",\"reason\":");
    text(out, reason);
    out.push(b'}');
}

/// The client's token is over soon: another is to be presented by `auth`.
pub fn system_token_expiring(out: &mut Vec<u8>, expires: Timestamp) {
    out.extend_from_slice(b"{\"channel\":\"system\",\"type\":\"token_expiring\",\"expires\":");
    integer(out, expires.micros());
    out.push(b'}');
}

/// What the client may see has changed. `removed` it follows no more; `moved` it is about to be granted anew, at the rate
/// said, each with its state. With `has_more`, another message says the rest.
pub fn system_entitlement<'a>(
    out: &mut Vec<u8>,
    delayed: bool,
    removed: impl Iterator<Item = (TopicId, &'a str)>,
    moved: impl Iterator<Item = (TopicId, &'a str)>,
    has_more: bool,
) {
    out.extend_from_slice(b"{\"channel\":\"system\",\"type\":\"entitlement\",\"delayed\":");
    out.extend_from_slice(if delayed { b"true" } else { b"false" });
    let topic = |out: &mut Vec<u8>, (topic, symbol)| {
        out.push(b'{');
        topic_fields(out, topic, symbol);
        out.push(b'}');
    };
    out.extend_from_slice(b",\"removed\":");
    array(out, removed, topic);
    out.extend_from_slice(b",\"moved\":");
    array(out, moved, topic);
    out.extend_from_slice(if has_more { b",\"more\":true}".as_slice() } else { b"}" });
}

fn topic_fields(out: &mut Vec<u8>, topic: TopicId, symbol: &str) {
    channel_fields(out, topic.channel());
    rate_field(out, topic.rate());
    out.extend_from_slice(b",\"symbol\":");
    text(out, symbol);
}

fn acknowledged_fields(out: &mut Vec<u8>, acknowledged: &Acknowledged<'_>) {
    channel_fields(out, acknowledged.channel);
    rate_field(out, acknowledged.rate);
    if acknowledged.delayed {
        out.extend_from_slice(b",\"delayed\":true");
    }
    out.extend_from_slice(b",\"epoch\":");
    text(out, acknowledged.epoch);
}

fn rate_field(out: &mut Vec<u8>, rate: Rate) {
    if rate != Rate::Raw {
        out.extend_from_slice(b",\"max_frequency\":\"");
        out.extend_from_slice(rate.as_str().as_bytes());
        out.push(b'"');
    }
}

fn granted_fields(out: &mut Vec<u8>, granted: &Granted<'_>) {
    out.extend_from_slice(b"\"symbol\":");
    text(out, granted.symbol);
    out.extend_from_slice(b",\"topic\":");
    integer(out, granted.topic.0);
    out.extend_from_slice(b",\"price_exponent\":");
    integer(out, granted.price_exponent.get());
    out.extend_from_slice(b",\"size_exponent\":");
    integer(out, granted.size_exponent.get());
    out.extend_from_slice(b",\"seq\":");
    integer(out, granted.seq);
}

/// `{"method":"…","success":true,"req_id":…,"result":{`
fn success(out: &mut Vec<u8>, method: &str, req_id: Option<&ReqId>) {
    out.extend_from_slice(b"{\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"success\":true");
    write_req_id(out, req_id);
    out.extend_from_slice(b",\"result\":{");
}

fn write_req_id(out: &mut Vec<u8>, req_id: Option<&ReqId>) {
    let Some(req_id) = req_id else { return };
    out.extend_from_slice(b",\"req_id\":");
    match req_id {
        ReqId::Number(number) => integer(out, *number),
        ReqId::Text(id) => text(out, id),
    }
}

fn write_rejected<'a>(out: &mut Vec<u8>, rejected: impl Iterator<Item = (&'a str, ErrorCode)>) {
    out.extend_from_slice(b",\"rejected\":");
    array(out, rejected, |out, (symbol, code)| {
        out.extend_from_slice(b"{\"symbol\":");
        text(out, symbol);
        out.extend_from_slice(b",\"code\":\"");
        out.extend_from_slice(code.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
    });
}

fn array<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, write: impl Fn(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use feeds::SymbolId;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        text
    }

    #[test]
    fn acknowledgements_are_spelled_as_in_the_protocol() {
        let number = ReqId::Number(-2);
        let exponent = |value| Exponent::new(value).expect("within range");
        let granted = Granted {
            symbol: "AAPL",
            topic: TopicId(12),
            price_exponent: exponent(-2),
            size_exponent: exponent(0),
            seq: 918_240,
        };
        let quote = Acknowledged {
            req_id: Some(&number),
            channel: Channel::Quote,
            rate: Rate::Raw,
            epoch: "k3f9",
            delayed: false,
        };
        let both = [granted, Granted { symbol: "MSFT", topic: TopicId(24), ..granted }];
        assert_eq!(
            written(|out| {
                let rejected = [("NO\"PE", ErrorCode::UnknownSymbol)];
                ack_subscribe(out, &quote, both.into_iter(), rejected.into_iter(), false);
            }),
            r#"{"method":"subscribe","success":true,"req_id":-2,"result":{"channel":"quote","epoch":"k3f9","granted":[{"symbol":"AAPL","topic":12,"price_exponent":-2,"size_exponent":0,"seq":918240},{"symbol":"MSFT","topic":24,"price_exponent":-2,"size_exponent":0,"seq":918240}],"rejected":[{"symbol":"NO\"PE","code":"UNKNOWN_SYMBOL"}]}}"#
        );
        let part = written(|out| {
            let about = Acknowledged { req_id: None, rate: Rate::Ms250, ..quote };
            ack_subscribe(out, &about, std::iter::empty(), std::iter::empty(), true);
        });
        assert_eq!(
            part,
            r#"{"method":"subscribe","success":true,"result":{"channel":"quote","max_frequency":"250ms","epoch":"k3f9","granted":[],"rejected":[],"more":true}}"#
        );
        let about =
            Acknowledged { channel: Channel::Book(crate::topic::Depth::D25), rate: Rate::S1, ..quote };
        assert_eq!(
            written(|out| ack_resync(out, &about, &granted)),
            r#"{"method":"resync","success":true,"req_id":-2,"result":{"channel":"book","depth":25,"max_frequency":"1s","epoch":"k3f9","symbol":"AAPL","topic":12,"price_exponent":-2,"size_exponent":0,"seq":918240}}"#
        );
        assert_eq!(
            written(|out| {
                let bar = Channel::Bar(crate::topic::Interval::M5);
                ack_unsubscribe(out, None, bar, ["AAPL", "MSFT"].into_iter(), std::iter::empty());
            }),
            r#"{"method":"unsubscribe","success":true,"result":{"channel":"bar","interval":"5m","removed":["AAPL","MSFT"],"rejected":[]}}"#
        );
        let text = ReqId::Text("a\\b".into());
        assert_eq!(
            written(|out| pong(out, Some(&text), Timestamp(1_763_848_800_123_456_789))),
            r#"{"method":"ping","success":true,"req_id":"a\\b","result":{"ts":1763848800123456}}"#
        );
        assert_eq!(
            written(|out| ack_auth(out, None, None)),
            r#"{"method":"auth","success":true,"result":{}}"#
        );
        let expires = Timestamp(1_763_848_800_000_000_000);
        assert_eq!(
            written(|out| ack_auth(out, None, Some(expires))),
            r#"{"method":"auth","success":true,"result":{"expires":1763848800000000}}"#
        );
        assert_eq!(
            written(|out| system_token_expiring(out, expires)),
            r#"{"channel":"system","type":"token_expiring","expires":1763848800000000}"#
        );
        assert_eq!(
            written(|out| {
                let topic = |channel, symbol| TopicId::new(channel, SymbolId(symbol));
                let book = topic(Channel::Book(crate::topic::Depth::D10), 1).at(Rate::S5);
                let rows = [(book, "AAPL", 77), (topic(Channel::Trade, 2), "MSFT", 0)];
                ack_list(out, Some(&number), rows.into_iter());
            }),
            r#"{"method":"list","success":true,"req_id":-2,"result":{"subscriptions":[{"channel":"book","depth":10,"max_frequency":"5s","symbol":"AAPL","seq":77},{"channel":"trade","symbol":"MSFT","seq":0}]}}"#
        );
        assert_eq!(
            written(|out| system_shutdown(out, 3_250)),
            r#"{"channel":"system","type":"shutdown","reconnect_after_ms":3250}"#
        );
        assert_eq!(
            written(|out| system_closing(out, CloseCode::RateLimited, 1_000)),
            r#"{"channel":"system","type":"closing","code":4029,"retry_after_ms":1000}"#
        );
    }

    #[test]
    fn errors_are_spelled_as_in_the_protocol() {
        let known = RequestError {
            code: ErrorCode::UnknownMethod,
            message: "no \"x\"".into(),
            req_id: Some(ReqId::Number(1)),
            method: Some("x\"\u{1}".into()),
        };
        assert_eq!(
            written(|out| error(out, &known)),
            r#"{"method":"x\"\u0001","success":false,"req_id":1,"error":{"code":"UNKNOWN_METHOD","message":"no \"x\"","retryable":false}}"#
        );
        let internal =
            RequestError { code: ErrorCode::Internal, message: "sorry".into(), req_id: None, method: None };
        assert_eq!(
            written(|out| error(out, &internal)),
            r#"{"method":null,"success":false,"error":{"code":"INTERNAL","message":"sorry","retryable":true}}"#
        );
    }
}
