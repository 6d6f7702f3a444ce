//! What an update takes on the wire in each encoding, without the frame around it, on the simulated market.
//!
//! 200 instruments at the usual rate, in raw topics. An update is: a change of a quote, a trade, or a change of the ten
//! best levels of a book (what a level beyond them does is none), each written as the publisher writes it, with
//! checksums when they are due. The market's own mix has more book changes than the one that is asked for, which is 45 %
//! quotes, 15 % trades, 40 % book changes: so the average of each kind is taken over all of its updates, and the three are
//! weighed by that mix.
//!
//! What compression makes of an update hangs on those around it, so that this is measured on a stream: as a shard's clients
//! get it that follow the trades and the books of as many instruments as make up the mix.

mod wire_bytes {
    pub(crate) mod stream;
}

use std::fmt::Write as _;

use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{EventBody, Feed as _, Instrument, Level, Price, Size, SymbolId, Timestamp, Trade};
use tickwire::limits::{CHECKSUM_EVERY, CHECKSUM_EVERY_UPDATES};
use tickwire::market::{BookView, Change, Market};
use tickwire::state::Quote;
use tickwire::topic::{Channel, Depth, TopicId};
use tickwire::wire::binary::{self, BookLevels, BookSide, Head, Held};
use tickwire::wire::{Envelope, json};

use wire_bytes::stream::{Stream, Sums};

const INSTRUMENTS: usize = 200;
const MESSAGES: usize = 60_000;
/// By then the books are open and most instruments have traded.
const WARM_UP: usize = 20_000;
const DEPTH: Depth = Depth::D10;
const EPOCH: &str = "hof1lv5mau";
/// Of quotes, trades, book changes; in hundredths.
const MIX: [usize; 3] = [45, 15, 40];

/// Messages of the feed in one turn of a shard: those of an idle machine, and of busier ones.
const PER_TURN: [usize; 4] = [1, 4, 16, 64];

fn sim() -> Sim {
    let settings = SimSettings {
        instruments: INSTRUMENTS,
        mode: SimMode::Market,
        start: Timestamp(1_763_848_800_000_000_000),
        ..SimSettings::default()
    };
    Sim::new(settings).expect("there is such a market")
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is half of what the test is for")]
fn an_update_takes_at_most_nine_bytes_on_average() {
    let mut sim = sim();
    let mut market = Market::new(sim.instruments());
    let mut followed: Vec<Followed> = sim.instruments().iter().map(Followed::new).collect();
    let mut table = Table::default();
    let (mut events, mut changes) = (Vec::new(), Vec::new());
    for message in 0..MESSAGES {
        events.clear();
        sim.next_message(&mut events).expect("a simulated market does not fail");
        for event in events.iter().filter(|event| !matches!(event.body, EventBody::Definition(_))) {
            market.apply(event, &mut changes);
        }
        market.end_message();
        let symbol = events.first().expect("a message has events").symbol;
        let sent = followed[symbol.index()].publish(symbol, &market, &changes);
        changes.clear();
        if message >= WARM_UP {
            for (kind, bytes) in sent {
                table.add(kind, bytes);
            }
        }
    }

    let [json, whole, msgpack, binary] = table.averages();
    println!("{table}");
    assert!(binary <= 900, "{table}");
    assert!(binary < msgpack && msgpack < json && json < whole, "{table}");
    assert!(table.rows.iter().all(|row| row.updates > 2_000), "too few to say anything\n{table}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is half of what the test is for")]
fn a_cohorts_stream_takes_at_most_a_third_of_json() {
    let mut table =
        String::from("updates a message      JSON  deflated each  deflated in a cohort  binary\n");
    for per_turn in PER_TURN {
        let mut stream = Stream::new(sim());
        stream.play(0..WARM_UP, per_turn);
        stream.sums = Sums::default();
        stream.play(WARM_UP..MESSAGES, per_turn);
        let sums = &stream.sums;
        let updates: usize = sums.updates.iter().sum();
        for (count, share) in sums.updates.iter().zip(MIX) {
            assert!((count * 100 / updates).abs_diff(share) <= 2, "another mix: {:?}", sums.updates);
        }
        let [per_message, json, each, cohort, binary] = [
            (updates, sums.messages),
            (sums.json, updates),
            (sums.deflated, updates),
            (sums.streamed, updates),
            (sums.binary, updates),
        ]
        .map(|(sum, count)| shown(sum * 100 / count));
        let row = format!("{per_message:>17} {json:>9} {each:>14} {cohort:>21} {binary:>7}");
        writeln!(table, "{row}").expect("a text");
        assert!(sums.streamed * 100 <= sums.json * 33, "{table}");
        assert!(sums.streamed < sums.deflated && sums.binary <= updates * 9, "{table}");
    }
    println!("{table}");
}

/// Bytes of one update: JSON, JSON as a whole, MessagePack, binary.
type Bytes = [usize; 4];

/// What has been published of an instrument.
struct Followed {
    instrument: Instrument,
    quote: (u64, Timestamp, Quote),
    trade: (Timestamp, Option<Trade>),
    book: (u64, Timestamp, BookLevels),
    /// The number of the whole book's state.
    book_seq: u64,
    checksum_at: Timestamp,
    updates_since_checksum: u32,
}

impl Followed {
    fn new(instrument: &Instrument) -> Self {
        Self {
            instrument: instrument.clone(),
            quote: (0, Timestamp(0), Quote::default()),
            trade: (Timestamp(0), None),
            book: (0, Timestamp(0), BookLevels::default()),
            book_seq: 0,
            checksum_at: Timestamp(0),
            updates_since_checksum: 0,
        }
    }

    /// What one message of the feed makes the publisher send of it: kinds as in [`MIX`].
    fn publish(&mut self, symbol: SymbolId, market: &Market, changes: &[Change]) -> Vec<(usize, Bytes)> {
        let mut sent = Vec::new();
        for change in changes {
            if let Change::Trade { trade, ts_event, number, .. } = *change {
                sent.push((1, self.publish_trade(symbol, trade, ts_event, number)));
            }
        }
        let ts_event = market.ts_event(symbol);
        if market.quote(symbol) != self.quote.2 {
            sent.push((0, self.publish_quote(symbol, market.quote(symbol), ts_event)));
        }
        if changes.iter().any(|change| matches!(change, Change::Book { .. })) {
            self.book_seq += 1;
            sent.extend(self.publish_book(symbol, market.book(symbol), ts_event).map(|bytes| (2, bytes)));
        }
        sent
    }

    fn publish_quote(&mut self, symbol: SymbolId, quote: Quote, ts_event: Timestamp) -> Bytes {
        let (prev_seq, before, old) = self.quote;
        let seq = prev_seq + 1;
        self.quote = (seq, ts_event, quote);
        let envelope = Envelope::new(&self.instrument, seq, ts_event);
        let topic = TopicId::new(Channel::Quote, symbol);
        let (held, head) = (Held { seq: prev_seq, ts_event: before }, Head::new(topic, seq, ts_event));
        let values =
            |quote: Quote| [quote.bid, quote.ask].map(|side| side.map(|level| [level.price.0, level.size.0]));
        let (old_values, new_values) = (values(old), values(quote));
        let fields = (0..2).flat_map(|side| (0..2).map(move |field| (side, field))).map(|(side, field)| {
            let new = new_values[side].map(|level| level[field]);
            (old_values[side].map(|level| level[field]) != new).then_some(new).flatten()
        });
        [
            length(|out| json::quote_update(out, &envelope, prev_seq, &old, &quote)),
            length(|out| json::quote_snapshot(out, &envelope, EPOCH, &quote)),
            msgpack_head(&head, prev_seq) + fields.map(|field| field.map_or(1, msgpack)).sum::<usize>(),
            length(|out| binary::quote_update(out, &head, &held, &old, &quote)),
        ]
    }

    fn publish_trade(&mut self, symbol: SymbolId, trade: Trade, ts_event: Timestamp, number: u64) -> Bytes {
        let (before, old) = std::mem::replace(&mut self.trade, (ts_event, Some(trade)));
        let envelope = Envelope::new(&self.instrument, number, ts_event);
        let topic = TopicId::new(Channel::Trade, symbol);
        let (held, head) = (Held { seq: number - 1, ts_event: before }, Head::new(topic, number, ts_event));
        let id = trade.id.map_or(1, |id| msgpack(i64::try_from(id).expect("a small number")));
        [
            length(|out| json::trade_update(out, &envelope, number - 1, &trade)),
            length(|out| json::trade_snapshot(out, &envelope, EPOCH, Some(&trade))),
            msgpack_head(&head, number - 1) + msgpack(trade.price.0) + msgpack(trade.size.0) + 1 + id,
            length(|out| binary::trade_update(out, &head, &held, old.as_ref(), &trade)),
        ]
    }

    /// `None` where nothing of the best levels changed.
    fn publish_book(&mut self, symbol: SymbolId, book: BookView<'_>, ts_event: Timestamp) -> Option<Bytes> {
        let new = BookLevels {
            bids: book.bids().take(DEPTH.levels()).collect(),
            asks: book.asks().take(DEPTH.levels()).collect(),
        };
        if new == self.book.2 {
            return None;
        }
        let seq = self.book_seq;
        let (prev_seq, before, old) = std::mem::replace(&mut self.book, (seq, ts_event, new.clone()));
        self.updates_since_checksum += 1;
        let is_due = self.updates_since_checksum >= CHECKSUM_EVERY_UPDATES
            || ts_event.since(self.checksum_at) >= CHECKSUM_EVERY;
        if is_due {
            (self.checksum_at, self.updates_since_checksum) = (ts_event, 0);
        }
        let checksum = is_due.then(|| book.checksum());

        let envelope = Envelope::new(&self.instrument, seq, ts_event);
        let topic = TopicId::new(Channel::Book(DEPTH), symbol);
        let (held, head) = (Held { seq: prev_seq, ts_event: before }, Head::new(topic, seq, ts_event));
        let (bids, asks) = (changed(&old.bids, &new.bids, true), changed(&old.asks, &new.asks, false));
        let side = |old: &[Level], changed, new: &[Level]| BookSide {
            best: old.first().map(|best| best.price),
            changed,
            last: new.get(DEPTH.levels() - 1).map(|last| last.price),
        };
        let levels = |levels: &[Level]| {
            1 + levels.iter().map(|level| 1 + msgpack(level.price.0) + msgpack(level.size.0)).sum::<usize>()
        };
        let crc = checksum.map_or(1, |checksum| msgpack(checksum.into()));
        Some([
            length(|out| json::book_update(out, &envelope, prev_seq, DEPTH, &bids, &asks, checksum)),
            length(|out| {
                let (bids, asks) = (new.bids.iter().copied(), new.asks.iter().copied());
                json::book_snapshot(out, &envelope, EPOCH, DEPTH, bids, asks, book.checksum());
            }),
            msgpack_head(&head, prev_seq) + levels(&bids) + levels(&asks) + crc,
            length(|out| {
                let (bids, asks) = (side(&old.bids, &bids, &new.bids), side(&old.asks, &asks, &new.asks));
                binary::book_update(out, &head, &held, &bids, &asks, checksum);
            }),
        ])
    }
}

fn length(write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let mut out = Vec::new();
    write(&mut out);
    out.len()
}

/// What differs between two sides, best first.
fn changed(old: &[Level], new: &[Level], is_descending: bool) -> Vec<Level> {
    let find = |levels: &[Level], price: Price| levels.iter().find(|level| level.price == price).copied();
    let gone = old.iter().filter(|level| find(new, level.price).is_none());
    let set = new.iter().filter(|level| find(old, level.price) != Some(**level)).copied();
    let mut levels: Vec<Level> = gone.map(|gone| Level { size: Size::ZERO, ..*gone }).chain(set).collect();
    levels.sort_by_key(|level| if is_descending { -level.price.0 } else { level.price.0 });
    levels
}

/// An update as a MessagePack array by position: kind, topic, `seq`, `prev_seq`, `ts_event`, then the channel's fields as
/// mantissas, nil where nothing changed. This is its length without these fields.
fn msgpack_head(head: &Head, prev_seq: u64) -> usize {
    let number = |number: u64| msgpack(i64::try_from(number).expect("a small number"));
    2 + msgpack(head.topic.0.into()) + number(head.seq) + number(prev_seq) + msgpack(head.ts_event.micros())
}

/// The length of an integer in MessagePack.
fn msgpack(value: i64) -> usize {
    match value {
        -32..=127 => 1,
        -128..=255 => 2,
        -32_768..=65_535 => 3,
        -2_147_483_648..=4_294_967_295 => 5,
        _ => 9,
    }
}

#[derive(Default)]
struct Table {
    rows: [Row; MIX.len()],
}

#[derive(Default)]
struct Row {
    updates: usize,
    bytes: Bytes,
}

impl Table {
    fn add(&mut self, kind: usize, bytes: Bytes) {
        let row = &mut self.rows[kind];
        row.updates += 1;
        for (sum, bytes) in row.bytes.iter_mut().zip(bytes) {
            *sum += bytes;
        }
    }

    /// Hundredths of a byte an update, by encoding.
    fn averages(&self) -> Bytes {
        std::array::from_fn(|encoding| {
            self.rows
                .iter()
                .zip(MIX)
                .map(|(row, share)| row.bytes[encoding] * share / row.updates.max(1))
                .sum()
        })
    }
}

fn shown(hundredths: usize) -> String {
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        writeln!(text, "bytes an update  updates      JSON  whole JSON  MessagePack  binary")?;
        let rows = ["quotes", "trades", "book changes"].iter().zip(&self.rows).map(|(name, row)| {
            (*name, row.updates.to_string(), row.bytes.map(|bytes| bytes * 100 / row.updates.max(1)))
        });
        for (name, updates, bytes) in rows.chain([("45 : 15 : 40", String::new(), self.averages())]) {
            let [json, whole, msgpack, binary] = bytes.map(shown);
            writeln!(text, "{name:<15} {updates:>8} {json:>9} {whole:>11} {msgpack:>12} {binary:>7}")?;
        }
        f.write_str(&text)
    }
}
