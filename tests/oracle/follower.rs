//! A client that knows `src/wire/protocol.md` and nothing else, and panics wherever the server does not keep to it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use futures_util::{SinkExt, StreamExt};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::book_checksum;
use crate::service::process::Service;
use crate::service::program::PATIENCE;

/// Channel (with its depth: `book.10`) and symbol.
pub(crate) type Topic = (String, String);

/// The state of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) epoch: String,
    pub(crate) seq: u64,
    pub(crate) body: Body,
    /// Of books: `ts_event` of the last message with a checksum.
    checksum_at: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Book {
        bids: Levels,
        asks: Levels,
    },
    /// Fields by name.
    Fields(BTreeMap<String, Value>),
}

/// By price; price and size as they were printed.
pub(crate) type Levels = BTreeMap<Decimal, (String, String)>;

/// What was granted of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) price_exponent: i32,
    pub(crate) size_exponent: i32,
}

/// What was counted on the way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) snapshots: usize,
    pub(crate) updates: usize,
    pub(crate) checksums: usize,
    pub(crate) trades: usize,
    /// Trades that it was told it had lost.
    pub(crate) lost: usize,
}

/// A connection and all that it was told.
pub(crate) struct Follower {
    requests: mpsc::Sender<String>,
    incoming: mpsc::Receiver<Result<String, String>>,
    last_req_id: u64,
    answers: BTreeMap<u64, Value>,
    pub(crate) granted: BTreeMap<Topic, Granted>,
    pub(crate) states: BTreeMap<Topic, State>,
    /// The states that each epoch ended with, once the next one has begun.
    pub(crate) finished: Vec<BTreeMap<Topic, State>>,
    pub(crate) counts: Counts,
}

/// Messages that wait to be judged. The socket is read meanwhile, so that the server does not find this client slow.
const INCOMING_MAX: usize = 1 << 16;

impl Follower {
    pub(crate) async fn connect(service: &Service) -> Self {
        let url = format!("ws://{}/v1/ws", service.address);
        let (socket, _) = connect_async(url).await.expect("the service takes connections");
        let (requests, outgoing) = mpsc::channel(16);
        let (sender, incoming) = mpsc::channel(INCOMING_MAX);
        tokio::spawn(pump(socket, outgoing, sender));
        Self {
            requests,
            incoming,
            last_req_id: 0,
            answers: BTreeMap::new(),
            granted: BTreeMap::new(),
            states: BTreeMap::new(),
            finished: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Follows all symbols of a channel (`quote`, `book.25`); returns when the answer has come.
    pub(crate) async fn subscribe(&mut self, channel: &str) {
        let answer = self.ask("subscribe", json!({ "channel": channel, "symbols": ["*"] })).await;
        let result = &answer["result"];
        assert_eq!(result["rejected"], json!([]), "{channel}");
        assert_eq!(topic_channel(result), channel);
        let exponent = |value: &Value| {
            value
                .as_i64()
                .and_then(|number| i32::try_from(number).ok())
                .expect("an exponent is a small integer")
        };
        for row in result["granted"].as_array().expect("a list") {
            let granted = Granted {
                price_exponent: exponent(&row["price_exponent"]),
                size_exponent: exponent(&row["size_exponent"]),
            };
            self.granted.insert((channel.to_owned(), text(&row["symbol"])), granted);
        }
    }

    /// The symbols that were granted.
    pub(crate) fn symbols(&self) -> BTreeSet<String> {
        self.granted.keys().map(|(_, symbol)| symbol.clone()).collect()
    }

    /// Reads until `status` says of every symbol that its recording has `ended`, and then all that was sent before.
    pub(crate) async fn follow_to_end(&mut self) {
        let symbols = self.symbols();
        self.follow_until(|follower| {
            symbols.iter().all(|symbol| follower.field("status", symbol, "state") == &json!("ended"))
        })
        .await;
        self.ask("ping", json!({})).await;
    }

    /// Reads until something is so.
    pub(crate) async fn follow_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        while !is_done(self) {
            self.read().await;
        }
    }

    /// A field of a topic's state.
    pub(crate) fn field(&self, channel: &str, symbol: &str, name: &str) -> &Value {
        match self.states.get(&(channel.to_owned(), symbol.to_owned())).map(|state| &state.body) {
            Some(Body::Fields(fields)) => fields.get(name).unwrap_or(&Value::Null),
            _ => &Value::Null,
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_req_id += 1;
        let req_id = self.last_req_id;
        let request = json!({ "method": method, "params": params, "req_id": req_id });
        self.requests.send(request.to_string()).await.expect("the connection lives");
        loop {
            if let Some(answer) = self.answers.remove(&req_id) {
                assert_eq!(
                    (&answer["method"], &answer["success"]),
                    (&json!(method), &json!(true)),
                    "{answer}"
                );
                return answer;
            }
            self.read().await;
        }
    }

    /// Takes one message of the server.
    pub(crate) async fn read(&mut self) {
        let text = match timeout(PATIENCE, self.incoming.recv()).await {
            Ok(Some(Ok(text))) => text,
            Ok(Some(Err(reason))) => panic!("the connection has ended: {reason}"),
            Ok(None) => panic!("the connection has ended"),
            Err(_) => panic!("no heartbeat, no message for {PATIENCE:?}"),
        };
        let message: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"));
        let objects = message.as_array().unwrap_or_else(|| panic!("no array: {text}"));
        assert!(!objects.is_empty(), "a message of nothing");
        for object in objects {
            self.take(object);
        }
    }

    fn take(&mut self, object: &Value) {
        if object.get("method").is_some() {
            let req_id = object["req_id"].as_u64().unwrap_or_else(|| panic!("not asked for: {object}"));
            self.answers.insert(req_id, object.clone());
            return;
        }
        match object["channel"].as_str() {
            Some("heartbeat" | "system") => return,
            Some(_) => {}
            None => panic!("neither an answer nor of a channel: {object}"),
        }
        let topic = (topic_channel(object), text(&object["symbol"]));
        match object["type"].as_str() {
            Some("snapshot") => self.take_snapshot(topic, object),
            Some("update") => self.take_update(&topic, object),
            Some("gap") => self.take_gap(&topic, object),
            _ => panic!("of no known type: {object}"),
        }
    }

    fn take_snapshot(&mut self, topic: Topic, object: &Value) {
        self.counts.snapshots += 1;
        let epoch = text(&object["epoch"]);
        if self.states.values().next().is_some_and(|state| state.epoch != epoch) {
            let is_old = self.finished.iter().flat_map(BTreeMap::values).any(|state| state.epoch == epoch);
            assert!(!is_old, "an epoch comes back: {object}");
            self.finished.push(mem::take(&mut self.states));
        }
        let seq = number(&object["seq"]);
        let mut checksum_at = 0;
        let body = if topic.0.starts_with("book.") {
            let mut body = Body::Book { bids: Levels::new(), asks: Levels::new() };
            let Body::Book { bids, asks } = &mut body else { unreachable!() };
            for (rows, side, is_ascending) in [(&object["bids"], bids, false), (&object["asks"], asks, true)]
            {
                let mut before: Option<Decimal> = None;
                for (price, row) in levels(rows) {
                    let is_ordered = before
                        .is_none_or(|before| if is_ascending { before < price } else { before > price });
                    assert!(is_ordered, "levels out of order: {object}");
                    assert!(!decimal(&row.1).is_zero(), "a level of nothing: {object}");
                    before = Some(price);
                    side.insert(price, row);
                }
            }
            assert!(object.get("checksum").is_some(), "a snapshot without a checksum: {object}");
            self.check_book(&topic, &body, object);
            checksum_at = number(&object["ts_event"]);
            body
        } else {
            Body::Fields(fields(object))
        };
        self.states.insert(topic, State { epoch, seq, body, checksum_at });
    }

    fn take_update(&mut self, topic: &Topic, object: &Value) {
        self.counts.updates += 1;
        self.counts.trades += usize::from(topic.0 == "trade");
        let mut state =
            self.states.remove(topic).unwrap_or_else(|| panic!("an update before a snapshot: {object}"));
        assert_eq!(number(&object["prev_seq"]), state.seq, "something was lost before {object}");
        state.advance(object);
        match &mut state.body {
            Body::Book { bids, asks } => {
                let mut has_changed = false;
                for (key, side) in [("bids", bids), ("asks", asks)] {
                    for (price, row) in object.get(key).map(levels).unwrap_or_default() {
                        has_changed = true;
                        let before = if decimal(&row.1).is_zero() {
                            let before = side.remove(&price);
                            assert!(before.is_some(), "deletes a level that is not there: {object}");
                            before
                        } else {
                            side.insert(price, row.clone())
                        };
                        assert_ne!(before, Some(row), "a level that has not changed: {object}");
                    }
                }
                assert!(has_changed, "an update of nothing: {object}");
                self.check_book(topic, &state.body, object);
                let ts_event = number(&object["ts_event"]);
                if object.get("checksum").is_some() {
                    state.checksum_at = ts_event;
                }
                assert!(ts_event < state.checksum_at + 1_000_000, "a second without a checksum: {object}");
            }
            Body::Fields(known) => {
                let changed = fields(object);
                assert!(!changed.is_empty(), "an update of nothing: {object}");
                // Of trades and statuses each message has all fields.
                if topic.0 == "quote" {
                    for (name, value) in &changed {
                        assert_ne!(known.get(name), Some(value), "`{name}` has not changed: {object}");
                    }
                }
                known.extend(changed);
            }
        }
        self.states.insert(topic.clone(), state);
    }

    fn take_gap(&mut self, topic: &Topic, object: &Value) {
        assert_eq!(topic.0, "trade", "a gap of a state: {object}");
        let state = self.states.get_mut(topic).unwrap_or_else(|| panic!("a gap before a snapshot: {object}"));
        assert_eq!(number(&object["prev_seq"]), state.seq, "something was lost before {object}");
        let lost = number(&object["seq"]) - state.seq;
        assert!(lost > 0, "a gap of nothing: {object}");
        self.counts.lost += usize::try_from(lost).expect("few");
        state.advance(object);
    }

    fn check_book(&mut self, topic: &Topic, body: &Body, object: &Value) {
        let Body::Book { bids, asks } = body else { return };
        let depth: usize = topic.0["book.".len()..].parse().expect("a depth");
        assert!(bids.len() <= depth && asks.len() <= depth, "deeper than {depth} after {object}");
        if let Some(checksum) = object.get("checksum") {
            assert_eq!(
                number(checksum),
                u64::from(checksum_of(bids, asks)),
                "the book is not the server's: {object}"
            );
            self.counts.checksums += 1;
        }
    }
}

impl State {
    fn advance(&mut self, object: &Value) {
        let seq = number(&object["seq"]);
        assert!(seq > self.seq, "the numbers do not grow: {object}");
        self.seq = seq;
    }
}

/// The checksum of a book, by the protocol's rule.
pub(crate) fn checksum_of(bids: &Levels, asks: &Levels) -> u32 {
    fn row((price, size): &(String, String)) -> (&str, &str) {
        (price, size)
    }
    book_checksum(asks.values().map(row), bids.values().rev().map(row))
}

/// `[["189.10","300"],…]`
pub(crate) fn levels(rows: &Value) -> Vec<(Decimal, (String, String))> {
    let rows = rows.as_array().unwrap_or_else(|| panic!("no levels: {rows}"));
    rows.iter()
        .map(|row| {
            assert_eq!(row.as_array().map(Vec::len), Some(2), "{row}");
            let (price, size) = (text(&row[0]), text(&row[1]));
            (decimal(&price), (price, size))
        })
        .collect()
}

/// `quote`, `book.10`
fn topic_channel(object: &Value) -> String {
    let channel = text(&object["channel"]);
    match object.get("depth") {
        Some(depth) => format!("{channel}.{}", number(depth)),
        None => channel,
    }
}

/// All but what every message has.
fn fields(object: &Value) -> BTreeMap<String, Value> {
    let envelope = ["channel", "type", "symbol", "epoch", "seq", "prev_seq", "n", "ts_event"];
    let fields = object.as_object().expect("messages are objects").iter();
    fields
        .filter(|(name, _)| !envelope.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

fn decimal(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Carries messages between the socket and the follower, until either ends.
async fn pump(
    mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    mut requests: mpsc::Receiver<String>,
    incoming: mpsc::Sender<Result<String, String>>,
) {
    loop {
        let taken = tokio::select! {
            request = requests.recv() => match request {
                Some(request) => match socket.send(Message::text(request)).await {
                    Ok(()) => continue,
                    Err(error) => Err(error.to_string()),
                },
                None => return,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => Ok(text.as_str().to_owned()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(other)) => Err(format!("{other:?}")),
                Some(Err(error)) => Err(error.to_string()),
                None => Err("no more messages".to_owned()),
            },
        };
        let has_ended = taken.is_err();
        if incoming.send(taken).await.is_err() || has_ended {
            return;
        }
    }
}
