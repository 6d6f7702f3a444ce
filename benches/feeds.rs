//! What reading market data costs: decoding the venues' formats, keeping the books, and simulating.
//!
//! A NASDAQ day has some 300 million ITCH messages: 100 ns here is half a minute of a day's replay at full speed.
//! Captures are what the venues' live messages cost, which come in thousands a second; the simulator must outrun
//! everything that it is to load.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dbn::MboMsg;
use dbn::decode::dbn::Decoder;
use dbn::decode::{DbnMetadata, DecodeRecordRef};
use dbn::encode::dbn::Encoder;
use dbn::encode::{EncodeRecord, EncodeRecordRef};
use feeds::format::capture::CaptureReader;
use feeds::format::dbn::DbnReader;
use feeds::format::itch::{Body, ItchReader, Message, parse};
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{
    EventBody, Feed, Input, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, SymbolId, Timestamp,
};
use tempfile::TempDir;
use tickwire::market::Market;

/// A made-up ITCH session with the shape of a real one: of 100 messages 44 add an order, 36 delete, 8 replace, 8
/// execute and 4 reduce one, with about 20,000 orders at rest in 50 stocks. The same every time.
struct ItchFlow {
    /// As in a file: each message behind its two bytes of length.
    bytes: Vec<u8>,
    messages: u64,
    /// Of adds, executions, reductions, deletions, replacements.
    counts: [u64; 5],
    /// What [`weigh`] gives for all messages together.
    weight: u64,
    /// What is left at the end, by an obvious model: shares by stock, side (bid first) and price.
    books: BTreeMap<(u16, bool, u32), i64>,
    random: u64,
}

struct Order {
    id: u64,
    stock: u16,
    is_ask: bool,
    price: u32,
    size: u32,
}

impl ItchFlow {
    const MESSAGES: u64 = 200_000;
    const STOCKS: u16 = 50;
    const RESTING: usize = 20_000;

    fn new() -> Self {
        let mut flow = Self {
            bytes: Vec::new(),
            messages: 0,
            counts: [0; 5],
            weight: 0,
            books: BTreeMap::new(),
            random: 1,
        };
        for stock in 1..=Self::STOCKS {
            let lot = 100_u32.to_be_bytes();
            let flags = b"NCZ PNN1N".as_slice();
            let fields = [&name(stock)[..], b"QN", &lot, flags, &[0; 4], b"N"];
            flow.message(b'R', stock, &fields);
        }
        let mut resting = Vec::new();
        let mut next_id = 1;
        while flow.messages < Self::MESSAGES {
            let dice = if resting.len() < Self::RESTING { 0 } else { flow.below(100) };
            if dice < 44 {
                let order = flow.order(&mut next_id);
                flow.add(&order);
                resting.push(order);
                continue;
            }
            let index = usize::try_from(flow.below(Self::RESTING as u64)).expect("small");
            let order = &mut resting[index];
            let part = order.size.div_ceil(2);
            match dice {
                44..80 => {
                    flow.message(b'D', order.stock, &[&order.id.to_be_bytes()]);
                    flow.count(3, [order.id, 0, 0]);
                    flow.rest(order, -i64::from(order.size));
                    order.size = 0;
                }
                80..88 => {
                    let fields = [&order.id.to_be_bytes()[..], &part.to_be_bytes(), &next_id.to_be_bytes()];
                    flow.message(b'E', order.stock, &fields);
                    flow.count(1, [order.id, part.into(), next_id]);
                    flow.rest(order, -i64::from(part));
                    order.size -= part;
                }
                88..92 => {
                    flow.message(b'X', order.stock, &[&order.id.to_be_bytes(), &part.to_be_bytes()]);
                    flow.count(2, [order.id, part.into(), 0]);
                    flow.rest(order, -i64::from(part));
                    order.size -= part;
                }
                _ => {
                    let (stock, is_ask) = (order.stock, order.is_ask);
                    let price = flow.price(stock, is_ask);
                    let new = Order { stock, is_ask, price, ..flow.order(&mut next_id) };
                    let fields = [
                        &order.id.to_be_bytes()[..],
                        &new.id.to_be_bytes(),
                        &new.size.to_be_bytes(),
                        &new.price.to_be_bytes(),
                    ];
                    flow.message(b'U', order.stock, &fields);
                    flow.count(4, [order.id, new.id.wrapping_add(new.price.into()), new.size.into()]);
                    flow.rest(order, -i64::from(order.size));
                    flow.rest(&new, i64::from(new.size));
                    *order = new;
                }
            }
            if order.size == 0 {
                resting.swap_remove(index);
            }
        }
        flow.books.retain(|_, shares| *shares != 0);
        flow
    }

    fn order(&mut self, next_id: &mut u64) -> Order {
        let stock = 1 + u16::try_from(self.below(Self::STOCKS.into())).expect("below it");
        let is_ask = self.below(2) == 1;
        let size = 100 * (1 + u32::try_from(self.below(10)).expect("small"));
        *next_id += 1;
        Order { id: *next_id, stock, is_ask, price: self.price(stock, is_ask), size }
    }

    /// Most orders stand near the touch; the two sides never meet.
    fn price(&mut self, stock: u16, is_ask: bool) -> u32 {
        let away = u32::try_from(self.below(60) * self.below(60) / 40).expect("small") * 100;
        let middle = 100_000 * u32::from(stock);
        if is_ask { middle + 100 + away } else { middle - away }
    }

    fn add(&mut self, order: &Order) {
        let fields = [
            &order.id.to_be_bytes()[..],
            if order.is_ask { b"S" } else { b"B" },
            &order.size.to_be_bytes(),
            &name(order.stock),
            &order.price.to_be_bytes(),
        ];
        self.message(b'A', order.stock, &fields);
        self.count(0, [order.id, order.size.into(), order.price.into()]);
        self.rest(order, i64::from(order.size));
    }

    fn message(&mut self, kind: u8, stock: u16, fields: &[&[u8]]) {
        let length = 11 + fields.iter().map(|field| field.len()).sum::<usize>();
        self.bytes.extend_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&stock.to_be_bytes());
        self.bytes.extend_from_slice(&[0, 0]);
        let nanos = 34_200_000_000_000 + self.messages * 1_000;
        self.bytes.extend_from_slice(&nanos.to_be_bytes()[2..]);
        for field in fields {
            self.bytes.extend_from_slice(field);
        }
        self.messages += 1;
        self.weight = self.weight.wrapping_add(nanos).wrapping_add(stock.into());
    }

    fn count(&mut self, kind: usize, numbers: [u64; 3]) {
        self.counts[kind] += 1;
        self.weight = numbers.into_iter().fold(self.weight, u64::wrapping_add);
    }

    fn rest(&mut self, order: &Order, shares: i64) {
        *self.books.entry((order.stock, order.is_ask, order.price)).or_default() += shares;
    }

    /// Knuth's generator for 64 bits; its upper half.
    fn below(&mut self, bound: u64) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }
}

fn name(stock: u16) -> [u8; 8] {
    let mut name = *b"STK     ";
    name[3] = b'A' + u8::try_from(stock / 26).expect("small");
    name[4] = b'A' + u8::try_from(stock % 26).expect("small");
    name
}

/// Counts a message, and adds up the numbers in it.
fn weigh(message: &Message, counts: &mut [u64; 5]) -> u64 {
    let number = |price: Price| price.0.cast_unsigned();
    let shares = |size: Size| size.0.cast_unsigned();
    let (kind, numbers) = match message.body {
        Body::AddOrder(add) => (0, [add.order.0, shares(add.size), number(add.price)]),
        Body::OrderExecuted(executed) => {
            (1, [executed.order.0, shares(executed.size), executed.match_number])
        }
        Body::OrderCancel(cancel) => (2, [cancel.order.0, shares(cancel.size), 0]),
        Body::OrderDelete(delete) => (3, [delete.order.0, 0, 0]),
        Body::OrderReplace(replace) => {
            let new = replace.new_order.0.wrapping_add(number(replace.price));
            (4, [replace.order.0, new, shares(replace.size)])
        }
        _ => return message.nanos_since_midnight.cast_unsigned().wrapping_add(message.locate.into()),
    };
    counts[kind] += 1;
    let head = message.nanos_since_midnight.cast_unsigned().wrapping_add(message.locate.into());
    numbers.into_iter().fold(head, u64::wrapping_add)
}

fn parse_all(mut bytes: &[u8]) -> ([u64; 5], u64) {
    let (mut counts, mut weight) = ([0; 5], 0_u64);
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        let message = parse(message).expect("a message of the specification");
        weight = weight.wrapping_add(weigh(&message, &mut counts));
        bytes = rest;
    }
    (counts, weight)
}

fn read_all(mut reader: ItchReader) -> Vec<MarketEvent> {
    let mut events = Vec::new();
    while reader.next_message(&mut events).expect("not damaged").is_some() {}
    events
}

fn itch(c: &mut Criterion) {
    let flow = ItchFlow::new();
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("01302026.NASDAQ_ITCH50");
    fs::write(&path, &flow.bytes).expect("a temporary file");
    let open = || ItchReader::open(&path).expect("readable");
    let instruments = open().instruments().to_vec();
    let events = read_all(open());
    assert_eq!(events.len() as u64, flow.messages);

    let mut group = c.benchmark_group("itch");
    group.sample_size(30).throughput(Throughput::Elements(flow.messages));
    group.bench_function("parse", |b| {
        b.iter(|| assert_eq!(parse_all(black_box(&flow.bytes)), (flow.counts, flow.weight)));
    });
    group.bench_function("file_to_events", |b| {
        b.iter_batched(
            open,
            |mut reader| {
                let (mut messages, mut events) = (0, Vec::new());
                while reader.next_message(&mut events).expect("not damaged").is_some() {
                    messages += events.len() as u64;
                    events.clear();
                }
                assert_eq!(messages, flow.messages);
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("events_to_books", |b| {
        b.iter_batched(|| Market::new(&instruments), |market| play(market, &events), BatchSize::PerIteration);
    });
    group.finish();

    let market = play(Market::new(&instruments), &events);
    assert_eq!(market.faults().unknown_orders, 0);
    assert_eq!(books(&market, &instruments), flow.books);
}

/// Applies all events; the best bid and offer are kept with each.
fn play(mut market: Market, events: &[MarketEvent]) -> Market {
    let mut changes = Vec::new();
    for event in events {
        market.apply(event, &mut changes);
        black_box(&changes);
        changes.clear();
    }
    market
}

fn books(market: &Market, instruments: &[Instrument]) -> BTreeMap<(u16, bool, u32), i64> {
    let mut books = BTreeMap::new();
    for index in 0..instruments.len() {
        let book = market.book(SymbolId::from_index(index));
        let sides = book.bids().map(|bid| (false, bid)).chain(book.asks().map(|ask| (true, ask)));
        for (is_ask, level) in sides {
            let stock = u16::try_from(index + 1).expect("few");
            books.insert((stock, is_ask, u32::try_from(level.price.0).expect("of 32 bits")), level.size.0);
        }
    }
    books
}

/// The recordings that ship with the product: the venue's JSON to events, with the venue's own rules applied.
fn captures(c: &mut Criterion) {
    const LINE_BYTES_MAX: usize = 1 << 24;
    let folder = TempDir::new().expect("a temporary folder");
    let mut group = c.benchmark_group("capture");
    group.sample_size(30);
    for (name, messages, events) in
        [("kraken-20210417", 937, 1_710), ("coinbase-20210417", 3_009, 2_968), ("binance-20211012", 265, 498)]
    {
        // Plain, so that it is the parser that is measured.
        let path = folder.path().join(name);
        let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/recordings");
        let mut input = Input::open(&recordings.join(format!("{name}.jsonl.zst"))).expect("shipped");
        let (mut bytes, mut line) = (Vec::new(), Vec::new());
        while input.read_line(&mut line, LINE_BYTES_MAX).expect("not damaged") {
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        fs::write(&path, &bytes).expect("a temporary file");

        group.throughput(Throughput::Elements(messages));
        group.bench_function(name, |b| {
            b.iter_batched(
                || CaptureReader::open(&path).expect("readable"),
                |mut reader| {
                    let (mut found, mut buffer) = (0, Vec::new());
                    while reader.next_message(&mut buffer).expect("not damaged").is_some() {
                        found += buffer.len();
                        buffer.clear();
                    }
                    assert_eq!((reader.messages(), found), (messages, events));
                    reader
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Orders of Databento's DBN: ours from file to events and to the book, beside the dbn crate's own decode of the same file,
/// which makes neither.
///
/// The file is ES of 8 May 2024, where it is at hand: a snapshot and two seconds, plain, thirty times over. Else orders are
/// made up: one joins, and the one a thousand before it goes.
fn databento(c: &mut Criterion) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("es.dbn");
    let (name, bytes, records) = es_orders();
    fs::write(&path, bytes).expect("a temporary file");
    let open = || DbnReader::open(&path).expect("readable");
    let instruments = open().instruments().to_vec();

    let mut group = c.benchmark_group("dbn");
    group.sample_size(30).throughput(Throughput::Elements(records));
    group.bench_function(format!("{name}/their_decode"), |b| {
        b.iter_batched(
            || Decoder::from_file(&path).expect("readable"),
            |mut decoder| {
                let (mut found, mut sizes) = (0, 0_u64);
                while let Some(record) = decoder.decode_record_ref().expect("not damaged") {
                    found += 1;
                    sizes += u64::from(record.get::<MboMsg>().expect("an order").size);
                }
                assert_eq!(found, records);
                black_box(sizes)
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(format!("{name}/file_to_events"), |b| {
        b.iter_batched(
            open,
            |mut reader| {
                let mut events = Vec::new();
                while reader.next_message(&mut events).expect("not damaged").is_some() {
                    black_box(&events);
                    events.clear();
                }
                assert_eq!(reader.messages(), records);
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function(format!("{name}/file_to_books"), |b| {
        b.iter_batched(
            || (open(), Market::new(&instruments)),
            |(mut reader, mut market)| {
                let (mut events, mut changes) = (Vec::new(), Vec::new());
                while reader.next_message(&mut events).expect("not damaged").is_some() {
                    for event in events.drain(..) {
                        market.apply(&event, &mut changes);
                        black_box(&changes);
                        changes.clear();
                    }
                }
                assert_eq!((reader.messages(), market.faults().unknown_orders), (records, 0));
                market
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// What the orders are, a plain file of them, and how many records it has.
fn es_orders() -> (&'static str, Vec<u8>, u64) {
    const TIMES: u64 = 30;
    const RESTING: u64 = 1_000;
    let name = "../shared/data/dbn/cme-es/orderbooks_mbo_2024-05-08T00-00-00_2024-05-08T00-00-02.dbn.zst";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let mut records = 0;
    if let Ok(mut input) = Input::open(&path) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 65_536]);
        while let count @ 1.. = input.read(&mut buffer).expect("not damaged") {
            bytes.extend_from_slice(&buffer[..count]);
        }
        let metadata = Decoder::new(&bytes[..]).expect("whole metadata").metadata().clone();
        let mut encoder = Encoder::new(Vec::new(), &metadata).expect("metadata");
        for _ in 0..TIMES {
            let mut decoder = Decoder::new(&bytes[..]).expect("whole metadata");
            while let Some(record) = decoder.decode_record_ref().expect("not damaged") {
                encoder.encode_record_ref(record).expect("a record");
                records += 1;
            }
        }
        return ("es", encoder.get_ref().clone(), records);
    }
    eprintln!("{} not found: orders are made up", path.display());
    let metadata = dbn::Metadata::builder()
        .dataset("GLBX.MDP3")
        .schema(Some(dbn::Schema::Mbo))
        .start(0)
        .stype_in(None)
        .stype_out(dbn::SType::InstrumentId)
        .build();
    let mut encoder = Encoder::new(Vec::new(), &metadata).expect("metadata");
    for order in 0..300_000 {
        let mut record = MboMsg {
            hd: dbn::RecordHeader::new::<MboMsg>(dbn::rtype::MBO, 1, 1, order),
            order_id: order,
            price: 5_000_000_000_000 - 250_000_000 * i64::try_from(order * 7 % 40).expect("small"),
            size: 1,
            action: b'A'.cast_signed(),
            side: b'B'.cast_signed(),
            flags: dbn::FlagSet::new(dbn::flags::LAST),
            ts_recv: order,
            ..MboMsg::default()
        };
        encoder.encode_record(&record).expect("a record");
        records += 1;
        if let Some(gone) = order.checked_sub(RESTING) {
            (record.order_id, record.action) = (gone, b'C'.cast_signed());
            encoder.encode_record(&record).expect("a record");
            records += 1;
        }
    }
    ("made_up", encoder.get_ref().clone(), records)
}

/// Events of a simulated market, and a number that is another one if any of them differs.
fn simulate(sim: &mut Sim, count: usize) -> u64 {
    let (mut seen, mut fingerprint, mut events) = (0, 0, Vec::new());
    while seen < count {
        sim.next_message(&mut events).expect("a simulation does not fail");
        seen += events.len();
        for event in events.drain(..) {
            fingerprint = mix(fingerprint, &event);
        }
    }
    fingerprint
}

/// Each number in turn: order matters, and so does each bit.
fn mix(fingerprint: u64, event: &MarketEvent) -> u64 {
    const OF: fn(Level) -> [u64; 2] = |level| [level.price.0.cast_unsigned(), level.size.0.cast_unsigned()];
    let side = |side: Side| u64::from(side == Side::Ask);
    let (kind, id, [price, size]) = match &event.body {
        EventBody::Trade(trade) => {
            (1, trade.id.unwrap_or(0), OF(Level { price: trade.price, size: trade.size }))
        }
        EventBody::Quote { bid, ask } => {
            let [bid, ask] = [bid, ask].map(|side| OF(side.unwrap_or_default()));
            (2, ask[0] ^ ask[1].rotate_left(32), bid)
        }
        EventBody::OrderAdd { order, side: of, level } => (3 + side(*of), order.0, OF(*level)),
        EventBody::OrderModify { order, level } => (5, order.0, OF(*level)),
        EventBody::OrderCancel { order, size } => {
            (6, order.0, [0, size.map_or(0, |size| size.0.cast_unsigned())])
        }
        EventBody::OrderExecute { order, size, trade_id, .. } => {
            (7, order.0, [trade_id.unwrap_or(0), size.0.cast_unsigned()])
        }
        EventBody::OrderReplace { order, new_order: OrderId(new), level } => {
            (8, order.0 ^ new.rotate_left(32), OF(*level))
        }
        EventBody::Status { status, .. } => (9, *status as u64, [0, 0]),
        other => panic!("the simulator makes no {other:?}"),
    };
    let numbers = [u64::from(event.symbol.0), event.ts_event.0.cast_unsigned(), kind, id, price, size];
    numbers.into_iter().fold(fingerprint, |sum: u64, number| {
        (sum.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

fn simulator(c: &mut Criterion) {
    const EVENTS: usize = 100_000;
    let mut group = c.benchmark_group("sim");
    group.sample_size(30).throughput(Throughput::Elements(EVENTS as u64));
    for (name, mode, fingerprint) in [
        ("market", SimMode::Market, 0xd38a_9662_cc3e_e104),
        ("quotes", SimMode::Quotes, 0xf392_79fe_805e_5575),
    ] {
        let settings = SimSettings { mode, start: Timestamp(0), ..SimSettings::default() };
        group.bench_function(name, |b| {
            b.iter_batched(
                || Sim::new(settings).expect("valid settings"),
                |mut sim| {
                    assert_eq!(simulate(&mut sim, EVENTS), fingerprint, "another market than before");
                    sim
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, itch, captures, databento, simulator);
criterion_main!(benches);
