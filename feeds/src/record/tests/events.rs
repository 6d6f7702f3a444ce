//! The events of a simulated market.

use super::super::simulated::{self, Payload, Recorded};
use super::*;
use crate::sim::{Sim, SimSettings};
use crate::{
    Aggressor, Bar, BookChecksum, BookSnapshot, EventBody, Exponent, Feed, Instrument, Level, MarketEvent,
    OrderId, Price, Progress, Side, Size, Symbol, SymbolId, Trade, TradingStatus,
};

fn any_level() -> impl Strategy<Value = Level> {
    (any::<i64>(), any::<i64>()).prop_map(|(price, size)| Level { price: Price(price), size: Size(size) })
}

fn any_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Bid), Just(Side::Ask)]
}

fn any_instrument() -> impl Strategy<Value = Instrument> {
    (
        "[A-Z]{1,9}",
        -18..=18_i8,
        -18..=18_i8,
        any::<Option<i64>>(),
        any::<Option<String>>(),
        any::<Option<usize>>(),
    )
        .prop_map(|(symbol, price, size, tick, currency, book_levels_max)| Instrument {
            symbol: Symbol::new(&symbol).expect("a symbol"),
            venue: simulated::VENUE,
            price_exponent: Exponent::new(price).expect("small"),
            size_exponent: Exponent::new(size).expect("small"),
            tick_size: tick.map(Price),
            currency,
            book_levels_max,
            begins_stale: false,
        })
}

fn any_body() -> impl Strategy<Value = EventBody> {
    let aggressor = prop_oneof![Just(Aggressor::Buy), Just(Aggressor::Sell), Just(Aggressor::None)];
    let status = prop_oneof![
        Just(TradingStatus::Trading),
        Just(TradingStatus::Halted),
        Just(TradingStatus::Auction),
        Just(TradingStatus::Closed)
    ];
    let order = || any::<u64>().prop_map(OrderId);
    let levels = || proptest::collection::vec(any_level(), 0..5);
    prop_oneof![
        (any_level(), aggressor, any::<Option<u64>>()).prop_map(|(Level { price, size }, aggressor, id)| {
            EventBody::Trade(Trade { price, size, aggressor, id })
        }),
        (proptest::option::of(any_level()), proptest::option::of(any_level()))
            .prop_map(|(bid, ask)| EventBody::Quote { bid, ask }),
        (any_side(), any_level()).prop_map(|(side, level)| EventBody::LevelSet { side, level }),
        (levels(), levels())
            .prop_map(|(bids, asks)| EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))),
        Just(EventBody::BookClear),
        any::<u32>().prop_map(|crc| EventBody::BookChecksum(BookChecksum::Kraken(crc))),
        any::<bool>().prop_map(|agrees| EventBody::BookChecksum(BookChecksum::Checked { agrees })),
        (any::<i64>(), any::<[i64; 4]>(), any::<i64>()).prop_map(|(interval_nanos, prices, volume)| {
            let [open, high, low, close] = prices.map(Price);
            EventBody::Bar(Bar { interval_nanos, open, high, low, close, volume: Size(volume) })
        }),
        (order(), any_side(), any_level()).prop_map(|(order, side, level)| EventBody::OrderAdd {
            order,
            side,
            level
        }),
        (order(), any_level()).prop_map(|(order, level)| EventBody::OrderModify { order, level }),
        (order(), any::<Option<i64>>())
            .prop_map(|(order, size)| EventBody::OrderCancel { order, size: size.map(Size) }),
        (order(), any_level(), any::<bool>(), any::<Option<u64>>(), any::<bool>()).prop_map(
            |(order, Level { price, size }, has_price, trade_id, printable)| EventBody::OrderExecute {
                order,
                size,
                price: has_price.then_some(price),
                trade_id,
                printable,
            }
        ),
        (order(), order(), any_level()).prop_map(|(order, new_order, level)| EventBody::OrderReplace {
            order,
            new_order,
            level
        }),
        (status, any::<String>()).prop_map(|(status, reason)| EventBody::Status { status, reason }),
        any_instrument().prop_map(|instrument| EventBody::Definition(Box::new(instrument))),
        (any::<u64>(), any::<u64>()).prop_map(|(expected, found)| EventBody::Gap { expected, found }),
    ]
}

fn any_event() -> impl Strategy<Value = MarketEvent> {
    (any::<u32>(), any::<i64>(), any::<i64>(), any::<u64>(), any_body()).prop_map(
        |(symbol, ts_event, ts_recv, sequence, body)| MarketEvent {
            symbol: SymbolId(symbol),
            ts_event: Timestamp(ts_event),
            ts_recv: Timestamp(ts_recv),
            sequence,
            body,
        },
    )
}

proptest! {
    #[test]
    fn every_event_is_read_as_it_was_written(
        events in proptest::collection::vec(any_event(), 0..9),
        instruments in proptest::collection::vec(any_instrument(), 0..5),
    ) {
        let mut bytes = Vec::new();
        simulated::write_events(&events, &mut bytes);
        let mut found = Vec::new();
        prop_assert_eq!(simulated::read(&bytes, &mut found), Ok(Payload::Events));
        prop_assert_eq!(found, events);
        for cut in 0..bytes.len() {
            let mut found = Vec::new();
            let read = simulated::read(&bytes[..cut], &mut found);
            prop_assert!(read.is_err() || found.len() < 9, "cut at {}", cut);
        }
        bytes.clear();
        simulated::write_instruments(&instruments, &mut bytes);
        let mut found = Vec::new();
        prop_assert_eq!(simulated::read(&bytes, &mut found), Ok(Payload::Instruments(instruments)));
        prop_assert_eq!(found, vec![]);
    }

    #[test]
    fn no_bytes_are_read_into_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
        let _ = simulated::read(&bytes, &mut Vec::new());
    }
}

#[test]
fn a_simulation_is_recorded_while_it_is_played() {
    let folder = folder();
    let sim =
        || Box::new(Sim::new(SimSettings { instruments: 7, ..SimSettings::default() }).expect("possible"));
    let recorder =
        Recorder::start(&settings(folder.path(), 10_000), |report| panic!("{report:?}")).expect("room");
    let mut recorded = Recorded::new(sim(), recorder.handle().clone()).expect("simulated");
    let mut alone = sim();
    recorded.begin(Timestamp(1_000));
    alone.begin(Timestamp(1_000));
    let mut expected = Vec::new();
    for _ in 0..2_000 {
        let (mut events, mut same) = (Vec::new(), Vec::new());
        let Ok(Progress::Message { due }) = alone.next_message(&mut events) else { panic!("it never ends") };
        assert!(
            matches!(recorded.next_message(&mut same), Ok(Progress::Message { due: also }) if also == due)
        );
        assert_eq!(events, same);
        expected.push((due.0, events));
    }
    drop(recorded);
    assert_eq!(recorder.stop().expect("room").records, 2_002);

    let (records, _) = read(folder.path());
    assert_eq!((records[0].kind, records[0].ts), (3, 1_000));
    let mut none = Vec::new();
    assert_eq!(
        simulated::read(&records[1].payload, &mut none),
        Ok(Payload::Instruments(alone.instruments().to_vec()))
    );
    let found: Vec<(i64, Vec<MarketEvent>)> = records[2..]
        .iter()
        .map(|record| {
            let mut events = Vec::new();
            assert_eq!(simulated::read(&record.payload, &mut events), Ok(Payload::Events));
            (record.ts, events)
        })
        .collect();
    assert_eq!(found, expected);
}
