//! What reading market data costs: decoding the venues' formats, keeping the books, and simulating.
//!
//! A NASDAQ day has some 300 million ITCH messages: 100 ns here is half a minute of a day's replay at full speed.
//! Captures are what the venues' live messages cost, which come in thousands a second; the simulator must outrun
//! everything that it is to load.

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
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{
    EventBody, Feed, Input, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, SymbolId, Timestamp,
};
use tempfile::TempDir;
use tickwire::market::Market;

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

criterion_group!(benches, captures, databento, simulator);
criterion_main!(benches);
