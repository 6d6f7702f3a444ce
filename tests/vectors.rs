//! `tests/vectors/*.json`, both ways: the messages written as records are the hex, and the hex read is the messages.
//!
//! A message is what `tickwire.v1.json` says of the same change, without `symbol`, and with `notional`, the sum that
//! JSON shows as `vwap` alone. `tests/clients/binary.mjs` reads the same files.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use feeds::{Aggressor, Exponent, Level, Price, Size, Timestamp, Trade};
use serde::Deserialize;
use serde_json::{Map, Value};
use tickwire::state::{Bar, Quote, Status, StatusState, Ticker, Totals};
use tickwire::topic::{Channel, Depth, Interval, TopicId};
use tickwire::wire::binary::{
    self, BookLevels, BookSide, Change, Head, Held, RecordError, What, decode_records,
};
use tickwire::wire::{Envelope, json};

const CHANNELS: [&str; 6] = ["quote", "trade", "book", "ticker", "bar", "status"];

#[derive(Deserialize)]
struct File {
    sequences: Vec<Sequence>,
}

/// One topic from a snapshot on.
#[derive(Deserialize)]
struct Sequence {
    name: String,
    topic: u32,
    price_exponent: i8,
    size_exponent: i8,
    records: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    hex: String,
    messages: Vec<Message>,
}

type Message = Map<String, Value>;

/// Records that are none.
#[derive(Deserialize)]
struct Refused {
    refused: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    hex: String,
    offset: usize,
    fault: String,
}

#[test]
fn messages_are_written_as_the_hex() {
    for_each_sequence(|sequence, place| {
        let mut topic = Topic::new(sequence);
        for vector in &sequence.records {
            let mut out = Vec::new();
            for message in &vector.messages {
                topic.write(message, &mut out);
            }
            assert_eq!(hex(&out), vector.hex, "{place}: {:?}", vector.messages);
        }
    });
}

#[test]
fn the_hex_is_read_as_the_messages() {
    for_each_sequence(|sequence, place| {
        let mut topic = Topic::new(sequence);
        for vector in &sequence.records {
            let messages = topic.read(&bytes(&vector.hex));
            assert_eq!(messages, vector.messages, "{place}: {}", vector.hex);
        }
    });
}

#[test]
fn what_is_no_record_is_refused_where_it_is_wrong() {
    let refused: Refused = parse(&folder().join("refused.json"));
    for Refusal { hex, offset, fault } in refused.refused {
        let bytes = bytes(&hex);
        let error: RecordError = decode_records(&bytes).find_map(Result::err).expect("an error");
        assert_eq!((error.offset, error.fault.to_string()), (offset, fault), "{hex}");
    }
}

#[test]
fn the_examples_of_the_protocol_are_vectors() {
    let protocol = include_str!("../src/wire/protocol.md");
    let section = protocol.split("### By example").nth(1).expect("the section");
    let block = section.split("```").nth(1).and_then(|block| block.strip_prefix("text\n")).expect("a block");
    let mut vectors = Vec::new();
    for name in CHANNELS {
        let file: File = parse(&folder().join(format!("{name}.json")));
        let records = file.sequences.into_iter().flat_map(|sequence| sequence.records);
        vectors.extend(records.map(|vector| vector.hex));
    }
    let examples = block.split("\n\n").map(|example| -> String {
        example.lines().filter_map(|line| line.split("  ").next()).flat_map(str::split_whitespace).collect()
    });
    let unknown: Vec<String> = examples.filter(|example| !vectors.contains(example)).collect();
    assert!(unknown.is_empty(), "{unknown:#?}");
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> T {
    let text = fs::read_to_string(path).expect("a file of vectors");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn for_each_sequence(check: impl Fn(&Sequence, &str)) {
    for name in CHANNELS {
        let file: File = parse(&folder().join(format!("{name}.json")));
        for sequence in &file.sequences {
            check(sequence, &format!("{name}, {}", sequence.name));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// A topic as its client holds it.
struct Topic {
    id: TopicId,
    prices: Exponent,
    sizes: Exponent,
    held: Held,
    epoch: String,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Quote(Quote),
    Trade(Option<Trade>),
    Book(BookLevels),
    Ticker(Ticker),
    Bar(Option<Bar>),
    Status(Status),
}

impl Topic {
    fn new(sequence: &Sequence) -> Self {
        let exponent = |value| Exponent::new(value).expect("within range");
        let id = TopicId(sequence.topic);
        let state = State::empty(id.channel());
        let (prices, sizes) = (exponent(sequence.price_exponent), exponent(sequence.size_exponent));
        Self { id, prices, sizes, held: Held::default(), epoch: String::new(), state }
    }

    fn depth(&self) -> Depth {
        match self.id.channel() {
            Channel::Book(depth) => depth,
            other => panic!("{other} has no depth"),
        }
    }

    fn interval(&self) -> Interval {
        match self.id.channel() {
            Channel::Bar(interval) => interval,
            other => panic!("{other} has no interval"),
        }
    }

    /// Writes a message as the publisher does: from the state before and the one after.
    fn write(&mut self, message: &Message, out: &mut Vec<u8>) {
        let number = |field: &str| message.get(field).map(|value| value.as_u64().expect("a number"));
        let seq = number("seq").expect("a number");
        let ts_event = Timestamp(message["ts_event"].as_i64().expect("a time") * 1_000);
        let merged = number("n").map_or(1, |n| u32::try_from(n).expect("32 bits"));
        let head = Head { topic: self.id, seq, merged, ts_event };
        let prev_seq = number("prev_seq");
        match message["type"].as_str() {
            Some("gap") => {
                binary::gap(out, self.id, prev_seq.expect("a number"), seq, ts_event);
                return;
            }
            Some("snapshot") => {
                if let Some(prev_seq) = prev_seq {
                    binary::merged_prefix(out, self.id, prev_seq, merged);
                }
                self.state = self.after(&State::empty(self.id.channel()), message);
                let epoch = message["epoch"].as_str().expect("a text");
                match &self.state {
                    State::Quote(quote) => binary::quote_snapshot(out, &head, epoch, quote),
                    State::Trade(trade) => binary::trade_snapshot(out, &head, epoch, trade.as_ref()),
                    State::Book(book) => {
                        let (bids, asks) = (book.bids.iter().copied(), book.asks.iter().copied());
                        let checksum = checksum(message).expect("a checksum");
                        binary::book_snapshot(out, &head, epoch, self.depth(), bids, asks, checksum);
                    }
                    State::Ticker(ticker) => binary::ticker_snapshot(out, &head, epoch, ticker),
                    State::Bar(bar) => binary::bar_snapshot(out, &head, epoch, bar.as_ref()),
                    State::Status(status) => binary::status_snapshot(out, &head, epoch, status),
                }
            }
            _ => {
                let new = self.after(&self.state, message);
                let held = &self.held;
                assert_eq!(Some(held.seq), prev_seq);
                match (&self.state, &new) {
                    (State::Quote(old), State::Quote(new)) => {
                        binary::quote_update(out, &head, held, old, new)
                    }
                    (State::Trade(old), State::Trade(Some(new))) => {
                        binary::trade_update(out, &head, held, old.as_ref(), new);
                    }
                    (State::Book(old), State::Book(new)) => {
                        let (bids, asks) = (self.levels(message, "bids"), self.levels(message, "asks"));
                        let last = self.depth().levels() - 1;
                        let side = |old: &[Level], changed, new: &[Level]| BookSide {
                            best: old.first().map(|best| best.price),
                            changed,
                            last: new.get(last).map(|last| last.price),
                        };
                        let bids = side(&old.bids, &bids, &new.bids);
                        let asks = side(&old.asks, &asks, &new.asks);
                        binary::book_update(out, &head, held, &bids, &asks, checksum(message));
                    }
                    (State::Ticker(old), State::Ticker(new)) => {
                        binary::ticker_update(out, &head, held, old, new)
                    }
                    (State::Bar(old), State::Bar(Some(new))) => {
                        binary::bar_update(out, &head, held, old.as_ref(), new);
                    }
                    (State::Status(_), State::Status(new)) => binary::status_update(out, &head, held, new),
                    _ => unreachable!("one channel"),
                }
                self.state = new;
            }
        }
        self.held = Held { seq, ts_event };
    }

    /// The state after a message on another.
    fn after(&self, old: &State, message: &Message) -> State {
        let price = |field: &str, old: Option<Price>| match message.get(field) {
            None => old,
            Some(Value::Null) => None,
            Some(value) => Some(Price::parse(value.as_str().expect("a text"), self.prices).expect("a price")),
        };
        let size = |field: &str, old: Option<Size>| match message.get(field) {
            None => old,
            Some(Value::Null) => None,
            Some(value) => Some(Size::parse(value.as_str().expect("a text"), self.sizes).expect("a size")),
        };
        let level = |name: &str, size_name: &str, old: Option<Level>| {
            let price = price(name, old.map(|old| old.price))?;
            Some(Level { price, size: size(size_name, old.map(|old| old.size))? })
        };
        let sum = |field: &str, old: i128| {
            message.get(field).map_or(old, |value| {
                value.as_str().expect("a text").replace('.', "").parse().expect("digits")
            })
        };
        let totals = |old: Option<Totals>, close: Option<Price>| {
            let before = |of: fn(&Totals) -> Price| old.as_ref().map(of);
            let open = price("open", before(|totals| totals.open))?;
            Some(Totals {
                open,
                high: price("high", before(|totals| totals.high))?,
                low: price("low", before(|totals| totals.low))?,
                close: close?,
                volume: sum("volume", old.map_or(0, |old| old.volume)),
                notional: sum("notional", old.map_or(0, |old| old.notional)),
                trades: message
                    .get("trades")
                    .map_or(old.map_or(0, |old| old.trades), |trades| trades.as_u64().expect("a number")),
            })
        };
        match old {
            State::Quote(old) => State::Quote(Quote {
                bid: level("bid", "bid_size", old.bid),
                ask: level("ask", "ask_size", old.ask),
            }),
            State::Trade(_) => State::Trade(price("price", None).map(|price| Trade {
                price,
                size: size("size", None).expect("a size"),
                aggressor: match message["side"].as_str() {
                    Some("buy") => Aggressor::Buy,
                    Some("sell") => Aggressor::Sell,
                    _ => Aggressor::None,
                },
                id: message.get("id").map(|id| id.as_str().expect("a text").parse().expect("digits")),
            })),
            State::Book(old) => {
                let mut new = old.clone();
                set(&mut new.bids, &self.levels(message, "bids"), true);
                set(&mut new.asks, &self.levels(message, "asks"), false);
                State::Book(new)
            }
            State::Ticker(old) => {
                let last = level("last", "last_size", old.last);
                State::Ticker(Ticker {
                    last,
                    bid: price("bid", old.bid),
                    ask: price("ask", old.ask),
                    session: totals(old.session, last.map(|last| last.price)),
                    close: price("close", old.close),
                })
            }
            State::Bar(old) => {
                let old = old.as_ref();
                let start =
                    message.get("start").map(|start| start.as_i64().map(|start| Timestamp(start * 1_000)));
                let close = price("close", old.map(|old| old.totals.close));
                State::Bar(start.unwrap_or(old.map(|old| old.start)).map(|start| {
                    Bar {
                        start,
                        totals: totals(old.map(|old| old.totals), close).expect("a whole bar"),
                        closed: message
                            .get("final")
                            .map_or(old.is_some_and(|old| old.closed), |closed| closed == &Value::Bool(true)),
                    }
                }))
            }
            State::Status(_) => State::Status(Status {
                state: state(message["state"].as_str().expect("a text")),
                reason: Cow::Owned(message["reason"].as_str().expect("a text").to_owned()),
            }),
        }
    }

    fn levels(&self, message: &Message, side: &str) -> Vec<Level> {
        let pairs = message.get(side).and_then(Value::as_array).into_iter().flatten();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        pairs
            .map(|pair| Level {
                price: Price::parse(&text(&pair[0]), self.prices).expect("a price"),
                size: Size::parse(&text(&pair[1]), self.sizes).expect("a size"),
            })
            .collect()
    }

    /// Reads records as a client does, and says them as JSON.
    fn read(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let mut merged = None;
        for record in decode_records(bytes) {
            let record = record.expect("a record");
            assert_eq!(record.topic, self.id);
            match record.what {
                What::Merged(prefix) => merged = Some(prefix),
                What::Gap(gap) => {
                    messages.push(self.said(gap.seq, 1, gap.ts_event, None, |out, envelope| {
                        json::gap(out, envelope, self.id.channel(), gap.prev_seq);
                    }))
                }
                What::Snapshot(snapshot) => {
                    self.epoch = snapshot.epoch.to_owned();
                    let prefix = merged.take();
                    let (state, checksum) =
                        self.applied(&State::empty(self.id.channel()), snapshot.change.as_ref());
                    self.state = state;
                    self.held = Held { seq: snapshot.seq, ts_event: snapshot.ts_event };
                    let n = prefix.map_or(1, |prefix| prefix.n);
                    let notional = self.notional(None);
                    let mut message =
                        self.said(snapshot.seq, n, snapshot.ts_event, notional, |out, envelope| {
                            self.say_snapshot(out, envelope, checksum);
                        });
                    if let Some(prefix) = prefix {
                        message.insert("prev_seq".into(), prefix.prev_seq.into());
                    }
                    messages.push(message);
                }
                What::Update(update) => {
                    let held = update.follow(&self.held).expect("it follows");
                    let prev_seq = std::mem::replace(&mut self.held, held).seq;
                    let (new, checksum) = self.applied(&self.state, Some(&update.change));
                    let old = std::mem::replace(&mut self.state, new);
                    let notional = self.notional(Some(&old));
                    messages.push(self.said(
                        held.seq,
                        update.merged,
                        held.ts_event,
                        notional,
                        |out, envelope| {
                            self.say_update(out, envelope, prev_seq, &old, checksum);
                        },
                    ));
                }
            }
        }
        messages
    }

    fn applied(&self, old: &State, change: Option<&Change<'_>>) -> (State, Option<u32>) {
        let state = match (old, change) {
            (State::Quote(old), Some(Change::Quote(change))) => State::Quote(change.apply(old)),
            (State::Trade(old), Some(Change::Trade(change))) => {
                State::Trade(Some(change.apply(old.as_ref())))
            }
            (State::Ticker(old), Some(Change::Ticker(change))) => State::Ticker(change.apply(old)),
            (State::Bar(old), Some(Change::Bar(change))) => State::Bar(Some(change.apply(old.as_ref()))),
            (State::Status(_), Some(Change::Status { state, reason })) => {
                State::Status(Status { state: *state, reason: Cow::Owned((*reason).to_owned()) })
            }
            (State::Book(old), Some(Change::Book(change))) => {
                let mut book = old.clone();
                change.apply(&mut book, self.depth());
                return (State::Book(book), change.checksum);
            }
            (State::Trade(_) | State::Bar(_), None) => State::empty(self.id.channel()),
            other => panic!("not a change of its channel: {other:?}"),
        };
        (state, None)
    }

    /// What JSON says, without the symbol.
    fn said(
        &self,
        seq: u64,
        merged: u32,
        ts_event: Timestamp,
        notional: Option<Value>,
        write: impl FnOnce(&mut Vec<u8>, &Envelope<'_>),
    ) -> Message {
        let (price_exponent, size_exponent) = (self.prices, self.sizes);
        let envelope = Envelope { symbol: "AAPL", price_exponent, size_exponent, seq, merged, ts_event };
        let mut out = Vec::new();
        write(&mut out, &envelope);
        let mut message: Message = serde_json::from_slice(&out).expect("JSON");
        message.remove("symbol");
        if let Some(notional) = notional {
            message.insert("notional".into(), notional);
        }
        message
    }

    fn say_snapshot(&self, out: &mut Vec<u8>, envelope: &Envelope<'_>, checksum: Option<u32>) {
        match &self.state {
            State::Quote(quote) => json::quote_snapshot(out, envelope, &self.epoch, quote),
            State::Trade(trade) => json::trade_snapshot(out, envelope, &self.epoch, trade.as_ref()),
            State::Book(book) => {
                let (bids, asks) = (book.bids.iter().copied(), book.asks.iter().copied());
                let checksum = checksum.expect("a checksum");
                json::book_snapshot(out, envelope, &self.epoch, self.depth(), bids, asks, checksum);
            }
            State::Ticker(ticker) => json::ticker_snapshot(out, envelope, &self.epoch, ticker),
            State::Bar(bar) => json::bar_snapshot(out, envelope, &self.epoch, self.interval(), bar.as_ref()),
            State::Status(status) => json::status_snapshot(out, envelope, &self.epoch, status),
        }
    }

    fn say_update(
        &self,
        out: &mut Vec<u8>,
        envelope: &Envelope<'_>,
        prev_seq: u64,
        old: &State,
        checksum: Option<u32>,
    ) {
        match (old, &self.state) {
            (State::Quote(old), State::Quote(new)) => json::quote_update(out, envelope, prev_seq, old, new),
            (_, State::Trade(Some(new))) => json::trade_update(out, envelope, prev_seq, new),
            (State::Book(old), State::Book(new)) => {
                let bids = changed(&old.bids, &new.bids, true);
                let asks = changed(&old.asks, &new.asks, false);
                json::book_update(out, envelope, prev_seq, self.depth(), &bids, &asks, checksum);
            }
            (State::Ticker(old), State::Ticker(new)) => {
                json::ticker_update(out, envelope, prev_seq, old, new)
            }
            (State::Bar(old), State::Bar(Some(new))) => {
                json::bar_update(out, envelope, prev_seq, self.interval(), old.as_ref(), new);
            }
            (_, State::Status(new)) => json::status_update(out, envelope, prev_seq, new),
            _ => unreachable!("one channel"),
        }
    }

    /// The exact sum, where it is another than in `old`, or of a whole state.
    fn notional(&self, old: Option<&State>) -> Option<Value> {
        let of = |state: &State| match state {
            State::Ticker(ticker) => Some(ticker.session.map(|session| session.notional)),
            State::Bar(bar) => Some(bar.map(|bar| bar.totals.notional)),
            _ => None,
        };
        let is_new_bar = matches!((old, &self.state), (Some(State::Bar(old)), State::Bar(new))
            if old.map(|bar| bar.start) != new.map(|bar| bar.start));
        let new = of(&self.state)?;
        (is_new_bar || old.is_none_or(|old| of(old) != Some(new))).then(|| {
            new.map_or(Value::Null, |notional| {
                let decimals = usize::from((self.prices.get() + self.sizes.get()).min(0).unsigned_abs());
                let digits = format!("{:0width$}", notional.unsigned_abs(), width = decimals + 1);
                let (whole, fraction) = digits.split_at(digits.len() - decimals);
                let sign = if notional < 0 { "-" } else { "" };
                let point = if decimals > 0 { "." } else { "" };
                format!("{sign}{whole}{point}{fraction}").into()
            })
        })
    }
}

impl State {
    fn empty(channel: Channel) -> Self {
        match channel {
            Channel::Quote => Self::Quote(Quote::default()),
            Channel::Trade => Self::Trade(None),
            Channel::Book(_) => Self::Book(BookLevels::default()),
            Channel::Ticker => Self::Ticker(Ticker::default()),
            Channel::Bar(_) => Self::Bar(None),
            Channel::Status => {
                Self::Status(Status { state: StatusState::Trading, reason: Cow::Borrowed("") })
            }
        }
    }
}

fn checksum(message: &Message) -> Option<u32> {
    message.get("checksum").map(|crc| u32::try_from(crc.as_u64().expect("a number")).expect("32 bits"))
}

fn state(text: &str) -> StatusState {
    [
        StatusState::Trading,
        StatusState::Halted,
        StatusState::Auction,
        StatusState::Closed,
        StatusState::Stale,
        StatusState::Ended,
    ]
    .into_iter()
    .find(|state| state.as_str() == text)
    .expect("a state")
}

fn sort(levels: &mut [Level], is_descending: bool) {
    levels.sort_by_key(|level| if is_descending { !level.price.0 } else { level.price.0 });
}

fn set(levels: &mut Vec<Level>, changed: &[Level], is_descending: bool) {
    levels.retain(|old| changed.iter().all(|new| new.price != old.price));
    levels.extend(changed.iter().filter(|new| new.size != Size::ZERO));
    sort(levels, is_descending);
}

/// What differs between two sides, best first.
fn changed(old: &[Level], new: &[Level], is_descending: bool) -> Vec<Level> {
    let gone = old.iter().filter(|old| new.iter().all(|new| new.price != old.price));
    let set = new.iter().filter(|new| !old.contains(new)).copied();
    let mut levels: Vec<Level> = gone.map(|gone| Level { size: Size::ZERO, ..*gone }).chain(set).collect();
    sort(&mut levels, is_descending);
    levels
}
