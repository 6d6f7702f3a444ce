//! What an order of Databento's files costs, beside the dbn crate's own decode, and what an event of the simulator: it must
//! outrun everything that it is to load.

mod into_books;
mod side_by_side;

use std::fs;
use std::hint::black_box;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dbn::MboMsg;
use dbn::decode::dbn::Decoder;
use dbn::decode::{DbnMetadata, DecodeRecordRef};
use dbn::encode::dbn::Encoder;
use dbn::encode::{EncodeRecord, EncodeRecordRef};
use feeds::format::dbn::DbnReader;
use feeds::sim::{Sim, SimMode, SimSettings};
use feeds::{EventBody, Feed, Input, Level, MarketEvent, OrderId, Side, Timestamp};
use into_books::into_books;
use side_by_side::{Contender, side_by_side, timed};
use tempfile::TempDir;
use tickwire::market::Market;

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

    let theirs = || {
        let mut decoder = Decoder::from_file(&path).expect("readable");
        let (time, found) = timed(|| {
            let (mut found, mut sizes) = (0, 0_u64);
            while let Some(record) = decoder.decode_record_ref().expect("not damaged") {
                found += 1;
                sizes += u64::from(record.get::<MboMsg>().expect("an order").size);
            }
            black_box(sizes);
            found
        });
        assert_eq!(found, records);
        time
    };
    let to_events = || {
        let mut reader = open();
        let (time, ()) = timed(|| {
            let mut events = Vec::new();
            while reader.next_message(&mut events).expect("not damaged").is_some() {
                black_box(&events);
                events.clear();
            }
        });
        assert_eq!(reader.messages(), records);
        time
    };
    let to_books = || {
        let (mut reader, mut market) = (open(), Market::new(&instruments));
        let (time, ()) = timed(|| {
            into_books(&mut market, |events| reader.next_message(events).expect("not damaged").is_some());
        });
        assert_eq!((reader.messages(), market.faults().unknown_orders), (records, 0));
        time
    };
    side_by_side(
        c,
        &format!("dbn/{name}"),
        records,
        &mut [
            Contender::new("their_decode", theirs),
            Contender::new("file_to_events", to_events),
            Contender::new("file_to_books", to_books),
        ],
    );
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
        ("market", SimMode::Market, 0xf9a5_64a9_a312_e827),
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

criterion_group!(benches, databento, simulator);
criterion_main!(benches);
