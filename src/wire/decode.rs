//! What a client reads: one text message of the server, as typed messages that borrow from the text.
//!
//! Prices and sizes stay text here. What they mean takes the exponents, which the client has from the acknowledgement.

use std::borrow::Cow;

use feeds::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::message::ReqId;
use crate::topic::{Channel, Depth, Interval};

/// One object of a server's text message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// Best bid and offer.
    Quote(Head<'a>, QuoteFields<'a>),
    /// A trade; in a snapshot the newest, if there was one.
    Trade(Head<'a>, Option<TradeFields<'a>>),
    /// Levels of a book.
    Book(Head<'a>, BookFields<'a>),
    /// The session so far.
    Ticker(Head<'a>, Box<TickerFields<'a>>),
    /// Trades of an interval.
    Bar(Head<'a>, Box<BarFields<'a>>),
    /// Whether the instrument trades.
    Status(Head<'a>, StatusFields<'a>),
    /// Messages that this client will not get.
    Gap(Gap<'a>),
    /// The connection lives.
    Heartbeat(Heartbeat),
    /// The server is about to close the connection.
    Shutdown {
        /// After how long to come back.
        reconnect_after_ms: u64,
    },
    /// The client's token is over soon: another is to be presented.
    TokenExpiring {
        /// When.
        expires: Timestamp,
    },
    /// What the client may see has changed.
    Entitlement {
        /// Whether it sees late data from now on.
        delayed: bool,
        /// What it follows no more.
        removed: Vec<TopicName<'a>>,
        /// What is about to be granted anew.
        moved: Vec<TopicName<'a>>,
    },
    /// A request succeeded.
    Ack(Box<Ack<'a>>),
    /// A request failed.
    Error(Box<Failure<'a>>),
    /// Of a channel that this version does not know: to be ignored.
    Unknown,
}

/// A topic by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicName<'a> {
    /// Channel and parameter.
    pub channel: Channel,
    /// The instrument.
    pub symbol: Cow<'a, str>,
}

/// What every data message says besides its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Channel and parameter.
    pub channel: Channel,
    /// The instrument.
    pub symbol: Cow<'a, str>,
    /// The number of the state that the message leads to.
    pub seq: u64,
    /// What it starts from.
    pub base: Base<'a>,
    /// How many changes it stands for: `n`, or else 1 of an update, and 0 of a snapshot.
    pub merged: u64,
    /// The venue's time, in whole microseconds.
    pub ts_event: Timestamp,
}

/// What a data message starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base<'a> {
    /// Nothing: it is the state as a whole.
    Snapshot {
        /// Identity of the run of the stream.
        epoch: &'a str,
        /// The state in whose place it comes, where a client that does not keep up is caught up.
        prev_seq: Option<u64>,
    },
    /// The state of that number.
    Update {
        /// The number.
        prev_seq: u64,
    },
}

/// A field of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// As it was.
    #[default]
    Absent,
    /// There is none any more.
    Null,
    /// It is now this.
    Value(T),
}

impl<T> Field<T> {
    /// Puts what the field says into `state`.
    pub fn apply(self, state: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *state = None,
            Self::Value(value) => *state = Some(value),
        }
    }

    /// The field in another form, unless that fails.
    ///
    /// # Errors
    /// What `map` returns.
    pub fn try_map<U, E>(self, map: impl FnOnce(T) -> Result<U, E>) -> Result<Field<U>, E> {
        Ok(match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Value(value) => Field::Value(map(value)?),
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// Fields of `quote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `quote`")]
pub struct QuoteFields<'a> {
    pub bid: Field<&'a str>,
    pub bid_size: Field<&'a str>,
    pub ask: Field<&'a str>,
    pub ask_size: Field<&'a str>,
}

/// Fields of `trade`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `trade`")]
pub struct TradeFields<'a> {
    pub price: &'a str,
    pub size: &'a str,
    pub side: &'a str,
    pub id: Option<Cow<'a, str>>,
}

/// Fields of `book`: levels as (price, size).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `book`")]
pub struct BookFields<'a> {
    pub bids: Vec<(&'a str, &'a str)>,
    pub asks: Vec<(&'a str, &'a str)>,
    pub checksum: Option<u32>,
}

/// Fields of `ticker`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `ticker`")]
pub struct TickerFields<'a> {
    pub last: Field<&'a str>,
    pub last_size: Field<&'a str>,
    pub bid: Field<&'a str>,
    pub ask: Field<&'a str>,
    pub open: Field<&'a str>,
    pub high: Field<&'a str>,
    pub low: Field<&'a str>,
    pub close: Field<&'a str>,
    pub volume: Field<&'a str>,
    pub vwap: Field<&'a str>,
    pub trades: Field<u64>,
    pub change: Field<&'a str>,
    pub change_percent: Field<&'a str>,
}

/// Fields of `bar`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `bar`")]
pub struct BarFields<'a> {
    /// Microseconds since the Unix epoch.
    pub start: Field<i64>,
    pub open: Field<&'a str>,
    pub high: Field<&'a str>,
    pub low: Field<&'a str>,
    pub close: Field<&'a str>,
    pub volume: Field<&'a str>,
    pub vwap: Field<&'a str>,
    pub trades: Field<u64>,
    /// `final` on the wire.
    pub closed: Field<bool>,
}

/// Fields of `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `status`")]
pub struct StatusFields<'a> {
    pub state: &'a str,
    pub reason: Cow<'a, str>,
}

/// Messages that this client will not get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// Channel and parameter.
    pub channel: Channel,
    /// The instrument.
    pub symbol: Cow<'a, str>,
    /// The first that is lost.
    pub from: u64,
    /// The last that is lost.
    pub to: u64,
    /// The number of the last that was sent.
    pub prev_seq: u64,
}

/// The connection lives although nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// The server's clock, in whole microseconds.
    pub ts: Timestamp,
    /// The age in microseconds of what is being sent to this client.
    pub lag_us: u64,
    /// Whether it gets merged states because it reads too slowly.
    pub laggard: bool,
}

/// A request succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which method.
    pub method: Cow<'a, str>,
    /// The request's number.
    pub req_id: Option<ReqId>,
    /// The channel it was about.
    pub channel: Option<Channel>,
    /// `subscribe`, `resync`: identity of the run of the stream.
    pub epoch: Option<&'a str>,
    /// `subscribe`: what is followed from now on; `resync`: what is sent anew.
    pub granted: Vec<GrantedTopic<'a>>,
    /// `unsubscribe`: what is followed no more.
    pub removed: Vec<Cow<'a, str>>,
    /// `subscribe`, `unsubscribe`: what failed.
    pub rejected: Vec<Rejected<'a>>,
    /// `subscribe`: another answer to the same request follows.
    pub more: bool,
    /// `subscribe`, `resync`: what is followed comes late.
    pub delayed: bool,
    /// `ping`: the server's clock.
    pub ts: Option<Timestamp>,
}

/// A topic that is followed from now on.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GrantedTopic<'a> {
    /// The instrument.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// The topic's number.
    pub topic: u32,
    /// The scale of its prices.
    pub price_exponent: i8,
    /// The scale of its sizes.
    pub size_exponent: i8,
    /// The number of its state.
    pub seq: u64,
}

/// A symbol for which a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rejected<'a> {
    /// As the client wrote it, in upper case.
    #[serde(borrow)]
    pub symbol: Cow<'a, str>,
    /// Why: the text of an [`ErrorCode`](super::ErrorCode), or one that this version does not know.
    pub code: &'a str,
}

/// A request failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<'a> {
    /// Which method, as far as the server could tell.
    pub method: Option<Cow<'a, str>>,
    /// The request's number, as far as the server could tell.
    pub req_id: Option<ReqId>,
    /// The text of an [`ErrorCode`](super::ErrorCode), or one that this version does not know.
    pub code: &'a str,
    /// For people.
    pub message: Cow<'a, str>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// Why a text is not a server's message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not a JSON array of objects with the protocol's types.
    #[error("not a message of the protocol: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that the message must have.
    #[error("a `{channel}` message lacks `{field}`")]
    Missing {
        /// The message's channel or method.
        channel: String,
        /// The field.
        field: &'static str,
    },
    /// A value that the protocol does not have.
    #[error("`{field}` is `{value}`")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

/// Reads one text message of the server.
///
/// # Errors
/// [`DecodeError`] when it is not one. Fields and channels that are not known are no error.
pub fn decode(text: &str) -> Result<Vec<ServerMessage<'_>>, DecodeError> {
    match serde_json::from_str::<Vec<Object<'_>>>(text) {
        Ok(objects) => objects.into_iter().map(ServerMessage::from_object).collect(),
        // A field of a message that is not known may have another type than it has in those that are.
        Err(_) => serde_json::from_str::<Vec<&RawValue>>(text)?.into_iter().map(decode_alone).collect(),
    }
}

fn decode_alone(raw: &RawValue) -> Result<ServerMessage<'_>, DecodeError> {
    match serde_json::from_str(raw.get()) {
        Ok(object) => ServerMessage::from_object(object),
        Err(error) => match serde_json::from_str::<Kind<'_>>(raw.get()) {
            Ok(kind) if !kind.is_known() => Ok(ServerMessage::Unknown),
            _ => Err(error.into()),
        },
    }
}

/// What tells a message that is known from one that is not.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    r#type: Option<Cow<'a, str>>,
    success: Option<IgnoredAny>,
}

impl Kind<'_> {
    fn is_known(&self) -> bool {
        let kind = self.r#type.as_deref();
        match self.channel.as_deref() {
            None => self.success.is_some(),
            Some("heartbeat") => true,
            Some("system") => matches!(kind, Some("shutdown" | "token_expiring" | "entitlement")),
            Some("quote" | "trade" | "book" | "ticker" | "bar" | "status") => {
                kind.is_none_or(|kind| matches!(kind, "snapshot" | "update" | "gap"))
            }
            Some(_) => false,
        }
    }
}

/// A text that may have escapes: borrowed where it has none. Of a `Cow` in an `Option` or a `Vec`, serde would always make
/// a copy.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Every field there is. One flat structure, and the choice by `channel` and `type` afterwards: an internally tagged
/// enumeration of serde costs 1.6 times as much.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object<'a> {
    channel: Option<&'a str>,
    r#type: Option<&'a str>,
    symbol: Option<Text<'a>>,
    depth: Option<u64>,
    interval: Option<&'a str>,
    seq: Option<u64>,
    prev_seq: Option<u64>,
    n: Option<u64>,
    ts_event: Option<i64>,
    epoch: Option<&'a str>,

    bid: Field<&'a str>,
    bid_size: Field<&'a str>,
    ask: Field<&'a str>,
    ask_size: Field<&'a str>,

    price: Option<&'a str>,
    size: Option<&'a str>,
    side: Option<&'a str>,
    id: Option<Text<'a>>,

    bids: Vec<(&'a str, &'a str)>,
    asks: Vec<(&'a str, &'a str)>,
    checksum: Option<u32>,

    last: Field<&'a str>,
    last_size: Field<&'a str>,
    open: Field<&'a str>,
    high: Field<&'a str>,
    low: Field<&'a str>,
    close: Field<&'a str>,
    volume: Field<&'a str>,
    vwap: Field<&'a str>,
    trades: Field<u64>,
    change: Field<&'a str>,
    change_percent: Field<&'a str>,
    start: Field<i64>,
    r#final: Field<bool>,

    state: Option<&'a str>,
    reason: Option<Text<'a>>,

    from: Option<u64>,
    to: Option<u64>,
    ts: Option<i64>,
    lag_us: Option<u64>,
    laggard: Option<bool>,
    reconnect_after_ms: Option<u64>,
    expires: Option<i64>,
    delayed: Option<bool>,
    removed: Vec<TopicObject<'a>>,
    moved: Vec<TopicObject<'a>>,

    method: Option<Text<'a>>,
    success: Option<bool>,
    req_id: Option<ReqId>,
    result: Option<Box<ResultObject<'a>>>,
    error: Option<Box<ErrorObject<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ResultObject<'a> {
    channel: Option<&'a str>,
    depth: Option<u64>,
    interval: Option<&'a str>,
    epoch: Option<&'a str>,
    more: bool,
    delayed: bool,
    #[serde(default)]
    granted: Vec<GrantedTopic<'a>>,
    removed: Vec<Text<'a>>,
    rejected: Vec<Rejected<'a>>,
    ts: Option<i64>,

    symbol: Option<Text<'a>>,
    topic: Option<u32>,
    price_exponent: Option<i8>,
    size_exponent: Option<i8>,
    seq: Option<u64>,
}

#[derive(Deserialize)]
struct TopicObject<'a> {
    channel: &'a str,
    depth: Option<u64>,
    interval: Option<&'a str>,
    #[serde(borrow)]
    symbol: Cow<'a, str>,
}

impl<'a> TopicObject<'a> {
    /// Those of channels that are known here.
    fn names(objects: Vec<Self>) -> Result<Vec<TopicName<'a>>, DecodeError> {
        let name = |object: Self| {
            let channel = channel(object.channel, object.depth, object.interval)?;
            Ok(channel.map(|channel| TopicName { channel, symbol: object.symbol }))
        };
        objects.into_iter().filter_map(|object| name(object).transpose()).collect()
    }
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    code: &'a str,
    #[serde(borrow)]
    message: Cow<'a, str>,
    retryable: bool,
}

impl<'a> ServerMessage<'a> {
    fn from_object(mut object: Object<'a>) -> Result<Self, DecodeError> {
        let Some(name) = object.channel else {
            return Self::from_reply(object);
        };
        match name {
            "heartbeat" => {
                return Ok(Self::Heartbeat(Heartbeat {
                    ts: timestamp("ts", required(object.ts, name, "ts")?)?,
                    lag_us: required(object.lag_us, name, "lag_us")?,
                    laggard: required(object.laggard, name, "laggard")?,
                }));
            }
            "system" if object.r#type == Some("shutdown") => {
                let reconnect_after_ms = required(object.reconnect_after_ms, name, "reconnect_after_ms")?;
                return Ok(Self::Shutdown { reconnect_after_ms });
            }
            "system" if object.r#type == Some("token_expiring") => {
                let expires = timestamp("expires", required(object.expires, name, "expires")?)?;
                return Ok(Self::TokenExpiring { expires });
            }
            "system" if object.r#type == Some("entitlement") => {
                return Ok(Self::Entitlement {
                    delayed: required(object.delayed, name, "delayed")?,
                    removed: TopicObject::names(object.removed)?,
                    moved: TopicObject::names(object.moved)?,
                });
            }
            _ => {}
        }
        let Some(channel) = channel(name, object.depth, object.interval)? else {
            return Ok(Self::Unknown);
        };
        let Text(symbol) = required(object.symbol.take(), name, "symbol")?;
        let prev_seq = || required(object.prev_seq, name, "prev_seq");
        let base = match required(object.r#type, name, "type")? {
            "snapshot" => {
                Base::Snapshot { epoch: required(object.epoch, name, "epoch")?, prev_seq: object.prev_seq }
            }
            "update" => Base::Update { prev_seq: prev_seq()? },
            "gap" => {
                return Ok(Self::Gap(Gap {
                    channel,
                    symbol,
                    from: required(object.from, name, "from")?,
                    to: required(object.to, name, "to")?,
                    prev_seq: prev_seq()?,
                }));
            }
            _ => return Ok(Self::Unknown),
        };
        let seq = required(object.seq, name, "seq")?;
        let ts_event = timestamp("ts_event", required(object.ts_event, name, "ts_event")?)?;
        let merged = object.n.unwrap_or(u64::from(matches!(base, Base::Update { .. })));
        let head = Head { channel, symbol, seq, base, merged, ts_event };
        Ok(match channel {
            Channel::Quote => Self::Quote(head, object.quote()),
            Channel::Trade => {
                let trade = match object.price {
                    None if matches!(base, Base::Snapshot { .. }) => None,
                    price => Some(TradeFields {
                        price: required(price, name, "price")?,
                        size: required(object.size, name, "size")?,
                        side: required(object.side, name, "side")?,
                        id: object.id.map(|Text(id)| id),
                    }),
                };
                Self::Trade(head, trade)
            }
            Channel::Book(_) => {
                let (bids, asks, checksum) = (object.bids, object.asks, object.checksum);
                Self::Book(head, BookFields { bids, asks, checksum })
            }
            Channel::Ticker => Self::Ticker(head, Box::new(object.ticker())),
            Channel::Bar(_) => Self::Bar(head, Box::new(object.bar())),
            Channel::Status => {
                let state = required(object.state, name, "state")?;
                let Text(reason) = required(object.reason, name, "reason")?;
                Self::Status(head, StatusFields { state, reason })
            }
        })
    }

    fn from_reply(object: Object<'a>) -> Result<Self, DecodeError> {
        let name = object.method.as_ref().map_or("reply", |Text(name)| name);
        match object.success {
            None => Ok(Self::Unknown),
            Some(false) => {
                let error = required(object.error, name, "error")?;
                Ok(Self::Error(Box::new(Failure {
                    method: object.method.map(|Text(name)| name),
                    req_id: object.req_id,
                    code: error.code,
                    message: error.message,
                    retryable: error.retryable,
                })))
            }
            Some(true) => {
                let mut result = required(object.result, name, "result")?;
                if name == "resync" {
                    result.granted = vec![result.resynced()?];
                }
                Ok(Self::Ack(Box::new(Ack {
                    method: required(object.method, "reply", "method")?.0,
                    req_id: object.req_id,
                    channel: match result.channel {
                        Some(name) => channel(name, result.depth, result.interval)?,
                        None => None,
                    },
                    epoch: result.epoch,
                    more: result.more,
                    delayed: result.delayed,
                    granted: result.granted,
                    removed: result.removed.into_iter().map(|Text(symbol)| symbol).collect(),
                    rejected: result.rejected,
                    ts: result.ts.map(|ts| timestamp("ts", ts)).transpose()?,
                })))
            }
        }
    }
}

impl<'a> ResultObject<'a> {
    /// The topic that the answer to `resync` is about.
    fn resynced(&mut self) -> Result<GrantedTopic<'a>, DecodeError> {
        let name = "resync";
        Ok(GrantedTopic {
            symbol: required(self.symbol.take(), name, "symbol")?.0,
            topic: required(self.topic, name, "topic")?,
            price_exponent: required(self.price_exponent, name, "price_exponent")?,
            size_exponent: required(self.size_exponent, name, "size_exponent")?,
            seq: required(self.seq, name, "seq")?,
        })
    }
}

impl<'a> Object<'a> {
    const fn quote(&self) -> QuoteFields<'a> {
        QuoteFields { bid: self.bid, bid_size: self.bid_size, ask: self.ask, ask_size: self.ask_size }
    }

    const fn ticker(&self) -> TickerFields<'a> {
        TickerFields {
            last: self.last,
            last_size: self.last_size,
            bid: self.bid,
            ask: self.ask,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            vwap: self.vwap,
            trades: self.trades,
            change: self.change,
            change_percent: self.change_percent,
        }
    }

    const fn bar(&self) -> BarFields<'a> {
        BarFields {
            start: self.start,
            open: self.open,
            high: self.high,
            low: self.low,
            close: self.close,
            volume: self.volume,
            vwap: self.vwap,
            trades: self.trades,
            closed: self.r#final,
        }
    }
}

/// `None`: a channel that this version does not know.
fn channel(name: &str, depth: Option<u64>, interval: Option<&str>) -> Result<Option<Channel>, DecodeError> {
    Ok(Some(match name {
        "quote" => Channel::Quote,
        "trade" => Channel::Trade,
        "ticker" => Channel::Ticker,
        "status" => Channel::Status,
        "book" => {
            let levels = required(depth, name, "depth")?;
            let wrong = || DecodeError::Value { field: "depth", value: levels.to_string() };
            Channel::Book(Depth::from_levels(levels).ok_or_else(wrong)?)
        }
        "bar" => {
            let text = required(interval, name, "interval")?;
            let wrong = || DecodeError::Value { field: "interval", value: text.to_owned() };
            Channel::Bar(Interval::from_text(text).ok_or_else(wrong)?)
        }
        _ => return Ok(None),
    }))
}

fn required<T>(value: Option<T>, channel: &str, field: &'static str) -> Result<T, DecodeError> {
    value.ok_or_else(|| DecodeError::Missing { channel: channel.to_owned(), field })
}

fn timestamp(field: &'static str, micros: i64) -> Result<Timestamp, DecodeError> {
    let wrong = || DecodeError::Value { field, value: micros.to_string() };
    micros.checked_mul(1_000).map(Timestamp).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
