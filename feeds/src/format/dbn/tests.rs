mod damage;
mod events;
mod names;
mod oracle;
mod recordings;

use std::fs;
use std::path::PathBuf;

use dbn::encode::dbn::Encoder;
use dbn::encode::{DbnEncodable, EncodeRecord};
use dbn::record::{str_to_c_chars, ts_to_dt};
use dbn::{
    BidAskPair, FlagSet, MappingInterval, Metadata, MetadataBuilder, OhlcvMsg, RecordHeader, SType,
    SymbolMapping, UNDEF_PRICE, flags,
};
use tempfile::TempDir;

use super::*;
use crate::{EventBody, Input, Level, OrderId, Price, Side, Size};

/// Noon of 8 May 2024, UTC.
const NOON: u64 = 1_715_169_600_000_000_000;
const DAY: u64 = 86_400_000_000_000;
const GLBX: u16 = 1;
const ESM4: u32 = 5_602;
const ONE: i64 = dbn::FIXED_PRICE_SCALE;

/// A file in the making.
struct Writer(Encoder<Vec<u8>>);

impl Writer {
    /// Of version 3, where `ESM4` has its number for the week around [`NOON`].
    fn new() -> Self {
        Self::with(&metadata(3, vec![mapping("ESM4", &[(NOON - 3 * DAY, NOON + 3 * DAY, ESM4)])]))
    }

    fn with(metadata: &Metadata) -> Self {
        Self(Encoder::new(Vec::new(), metadata).expect("metadata"))
    }

    fn record(&mut self, record: &impl DbnEncodable) -> &mut Self {
        self.0.encode_record(record).expect("a record");
        self
    }

    fn bytes(&self) -> &[u8] {
        self.0.get_ref()
    }
}

/// A file in a folder of its own, which goes with it.
struct Saved {
    _folder: TempDir,
    path: PathBuf,
}

fn save(bytes: &[u8]) -> Saved {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("x.dbn");
    fs::write(&path, bytes).expect("a temporary file");
    Saved { _folder: folder, path }
}

fn metadata(version: u8, mappings: Vec<SymbolMapping>) -> Metadata {
    let mut metadata = MetadataBuilder::new()
        .version(version)
        .dataset("GLBX.MDP3")
        .schema(None)
        .start(NOON)
        .stype_in(Some(SType::RawSymbol))
        .stype_out(SType::InstrumentId)
        .mappings(mappings)
        .build();
    metadata.symbol_cstr_len = if version == 1 { dbn::v1::SYMBOL_CSTR_LEN } else { dbn::SYMBOL_CSTR_LEN };
    metadata
}

/// A name with its numbers, each from one day to another.
fn mapping(name: &str, intervals: &[(u64, u64, u32)]) -> SymbolMapping {
    let date = |nanos| ts_to_dt(nanos).expect("a time").date();
    let interval = |&(from, until, number): &(u64, u64, u32)| MappingInterval {
        start_date: date(from),
        end_date: date(until),
        symbol: number.to_string(),
    };
    SymbolMapping { raw_symbol: name.to_owned(), intervals: intervals.iter().map(interval).collect() }
}

/// An order's record at [`NOON`] plus `at`, the only one of its event.
fn mbo(at: u64, action: u8, side: u8, order_id: u64, price: i64, size: u32) -> MboMsg {
    MboMsg {
        hd: RecordHeader::new::<MboMsg>(rtype::MBO, GLBX, ESM4, NOON + at),
        order_id,
        price,
        size,
        flags: FlagSet::new(flags::LAST),
        channel_id: 0,
        action: action.cast_signed(),
        side: side.cast_signed(),
        ts_recv: NOON + at + 1,
        ts_in_delta: 0,
        sequence: u32::try_from(at).expect("small"),
    }
}

fn pair(bid: (i64, u32), ask: (i64, u32)) -> BidAskPair {
    BidAskPair { bid_px: bid.0, ask_px: ask.0, bid_sz: bid.1, ask_sz: ask.1, bid_ct: 1, ask_ct: 1 }
}

const fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

type Message = (Timestamp, Vec<MarketEvent>);

/// All messages of a file, and how it ended.
fn read(saved: &Saved) -> (Vec<Message>, DbnReader, Option<FeedError>) {
    let mut reader = DbnReader::open(&saved.path).expect("whole metadata");
    let mut messages = Vec::new();
    let end = loop {
        let mut events = Vec::new();
        match reader.next_message(&mut events) {
            Ok(Some(time)) => {
                assert!(events.iter().all(|event| event.symbol.index() < reader.instruments().len()));
                messages.push((time, events));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert_eq!(reader.next_message(&mut Vec::new()).expect("over"), None, "nothing comes after the end");
    (messages, reader, end)
}

/// What the events of each message of a whole file say.
fn bodies(writer: &Writer) -> Vec<Vec<EventBody>> {
    let (messages, _, end) = read(&save(writer.bytes()));
    assert!(end.is_none(), "{end:?}");
    messages.into_iter().map(|(_, events)| events.into_iter().map(|event| event.body).collect()).collect()
}

fn symbols(writer: &Writer) -> Vec<String> {
    let reader = DbnReader::open(&save(writer.bytes()).path).expect("a file");
    reader.instruments().iter().map(|instrument| instrument.symbol.to_string()).collect()
}

/// The obvious book: orders by number, or levels by price.
#[derive(Default)]
struct Book {
    orders: BTreeMap<OrderId, (Side, Level)>,
    levels: [BTreeMap<Price, Size>; 2],
    unknown: u64,
}

impl Book {
    fn apply(&mut self, body: &EventBody) {
        match body {
            EventBody::BookClear => *self = Self { unknown: self.unknown, ..Self::default() },
            EventBody::OrderAdd { order, side, level } => {
                assert!(self.orders.insert(*order, (*side, *level)).is_none(), "{order:?} twice");
            }
            EventBody::OrderModify { order, level } => match self.orders.get_mut(order) {
                Some((_, held)) => *held = *level,
                None => self.unknown += 1,
            },
            EventBody::OrderCancel { order, size } => match self.orders.get_mut(order) {
                Some((_, held)) => {
                    held.size.0 -= size.expect("DBN tells how much").0;
                    assert!(held.size >= Size::ZERO, "more cancelled than there was");
                    if held.size == Size::ZERO {
                        self.orders.remove(order);
                    }
                }
                None => self.unknown += 1,
            },
            EventBody::LevelSet { side, level } => self.set(*side, *level),
            EventBody::BookSnapshot(snapshot) => {
                self.levels = Default::default();
                snapshot.bids.iter().for_each(|level| self.set(Side::Bid, *level));
                snapshot.asks.iter().for_each(|level| self.set(Side::Ask, *level));
            }
            EventBody::Trade(_) | EventBody::Quote { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn set(&mut self, side: Side, level: Level) {
        let levels = &mut self.levels[usize::from(side == Side::Ask)];
        if level.size == Size::ZERO {
            assert!(levels.remove(&level.price).is_some(), "a level that was not there");
        } else {
            levels.insert(level.price, level.size);
        }
    }

    /// The best levels of each side, best first.
    fn top(&self, count: usize) -> [Vec<Level>; 2] {
        let mut levels = self.levels.clone();
        for (side, level) in self.orders.values() {
            levels[usize::from(*side == Side::Ask)].entry(level.price).or_default().0 += level.size.0;
        }
        let [bids, asks] = levels
            .map(|side| side.into_iter().map(|(price, size)| Level { price, size }).collect::<Vec<_>>());
        [bids.into_iter().rev().take(count).collect(), asks.into_iter().take(count).collect()]
    }
}
