//! What instruments are called.

use dbn::SystemMsg;

use super::*;

fn definition(publisher: u16, number: u32, name: &str, tick: i64) -> InstrumentDefMsg {
    InstrumentDefMsg {
        hd: RecordHeader::new::<InstrumentDefMsg>(rtype::INSTRUMENT_DEF, publisher, number, NOON),
        ts_recv: NOON,
        raw_symbol: str_to_c_chars(name).expect("short"),
        min_price_increment: tick,
        currency: str_to_c_chars("USD").expect("short"),
        ..InstrumentDefMsg::default()
    }
}

fn of(publisher: u16, number: u32, day: u64, order_id: u64) -> MboMsg {
    let mut record = mbo(0, b'A', b'B', order_id, ONE, 1);
    (record.hd.publisher_id, record.hd.instrument_id) = (publisher, number);
    MboMsg { ts_recv: NOON + day * DAY, ..record }
}

#[test]
fn mappings_name_first_then_definitions_then_numbers() {
    let mut file = Writer::new();
    file.record(&of(GLBX, 9, 0, 1))
        .record(&definition(GLBX, ESM4, "WRONG", ONE / 4))
        .record(&of(GLBX, ESM4, 0, 2))
        .record(&definition(GLBX, 9, "ESM4 C5200", ONE / 20))
        .record(&of(GLBX, 10, 0, 3))
        .record(&of(60_000, ESM4, 0, 4));
    assert_eq!(symbols(&file), ["ESM4_C5200", "ESM4", "INSTRUMENT-1-10", "PUBLISHER-60000:ESM4"]);
    let (messages, reader, end) = read(&save(file.bytes()));
    assert!(end.is_none(), "{end:?}");
    let [option, future, ..] = reader.instruments() else { panic!("four") };
    assert_eq!((option.venue, option.price_exponent.get(), option.tick_size), ("GLBX", -2, Some(Price(5))));
    assert_eq!((future.tick_size, future.currency.as_deref()), (Some(Price(25)), Some("USD")));
    assert_eq!(reader.instruments()[3].venue, "DATABENTO");
    let ids: Vec<_> = messages.iter().map(|(_, events)| events[0].symbol.0).collect();
    assert_eq!(ids, [0, 1, 1, 0, 2, 3]);
    assert_eq!(messages[1].1[0].body, EventBody::Definition(Box::new(future.clone())));
}

#[test]
fn each_publisher_of_a_name_is_an_instrument() {
    let mut file = Writer::new();
    // XNAS.ITCH, and IEX among Databento's US equities.
    file.record(&of(2, ESM4, 0, 1)).record(&of(39, ESM4, 0, 1));
    let (_, reader, _) = read(&save(file.bytes()));
    let venues: Vec<_> = reader.instruments().iter().map(|one| (one.symbol.as_str(), one.venue)).collect();
    assert_eq!(venues.len(), 2);
    assert!(venues.iter().all(|(symbol, _)| *symbol == "ESM4") && venues[0].1 != venues[1].1, "{venues:?}");
}

#[test]
fn a_continuous_contract_begins_a_new_book_with_each_number() {
    let roll = [(NOON - DAY, NOON + DAY, 5), (NOON + DAY, NOON + 3 * DAY, 6)];
    let mut file = Writer::with(&metadata(3, vec![mapping("ES.c.0", &roll)]));
    file.record(&of(GLBX, 5, 0, 1)).record(&of(GLBX, 6, 1, 1)).record(&of(GLBX, 6, 2, 2));
    assert_eq!(symbols(&file), ["ES.C.0"]);
    let shown = bodies(&file);
    assert_eq!(shown.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2, 1]);
    assert_eq!(shown[1][0], EventBody::BookClear);
}

#[test]
fn a_number_is_another_instrument_when_it_has_another_name() {
    let mappings = vec![
        mapping("OLD", &[(NOON - DAY, NOON + DAY, 5)]),
        mapping("NEW", &[(NOON + DAY, NOON + 3 * DAY, 5)]),
    ];
    let mut file = Writer::with(&metadata(3, mappings));
    file.record(&of(GLBX, 5, 0, 1)).record(&of(GLBX, 5, 1, 1)).record(&of(GLBX, 5, 9, 1));
    assert_eq!(symbols(&file), ["OLD", "NEW", "INSTRUMENT-1-5"], "on the last day it has neither");
}

#[test]
fn a_name_of_several_instruments_at_once_is_the_name_of_none() {
    let whole = (NOON - DAY, NOON + DAY);
    let mappings = vec![mapping("ES.FUT", &[(whole.0, whole.1, 5), (whole.0, whole.1, 6)])];
    let mut file = Writer::with(&metadata(3, mappings));
    file.record(&of(GLBX, 5, 0, 1)).record(&of(GLBX, 6, 0, 1));
    assert_eq!(symbols(&file), ["INSTRUMENT-1-5", "INSTRUMENT-1-6"]);
}

#[test]
fn names_that_become_one_are_told_apart() {
    let whole = |number| [(NOON - DAY, NOON + DAY, number)];
    let mappings = vec![mapping("A B", &whole(5)), mapping("A_B", &whole(6)), mapping("a_b", &whole(7))];
    let mut file = Writer::with(&metadata(3, mappings));
    (5..8).for_each(|number| {
        file.record(&of(GLBX, number, 0, 1));
    });
    assert_eq!(symbols(&file), ["A_B", "INSTRUMENT-1-6", "INSTRUMENT-1-7"]);
}

#[test]
fn a_mapping_among_the_records_names_from_there_on() {
    let mut file = Writer::with(&metadata(3, Vec::new()));
    let named = |name: &str| SymbolMappingMsg {
        hd: RecordHeader::new::<SymbolMappingMsg>(rtype::SYMBOL_MAPPING, 0, 5, NOON),
        stype_out_symbol: str_to_c_chars(name).expect("short"),
        ..SymbolMappingMsg::default()
    };
    let system =
        SystemMsg { hd: RecordHeader::new::<SystemMsg>(rtype::SYSTEM, 0, 0, NOON), ..SystemMsg::default() };
    file.record(&system).record(&named("ESM4")).record(&of(GLBX, 5, 0, 1));
    file.record(&named("ESU4")).record(&of(GLBX, 5, 0, 1));
    let (messages, reader, end) = read(&save(file.bytes()));
    assert!(end.is_none(), "{end:?}");
    assert_eq!(symbols(&file), ["ESM4", "ESU4"]);
    let ids: Vec<_> = messages.iter().map(|(_, events)| events.first().map(|event| event.symbol.0)).collect();
    assert_eq!(ids, [None, None, Some(0), None, Some(1)]);
    let unmapped: Vec<_> = reader.unmapped().map(|(what, count)| format!("{what} {count}")).collect();
    assert_eq!(unmapped, ["SymbolMapping 2", "System 1"]);
}

#[test]
fn numbers_are_named_the_other_way_round_too() {
    let mut metadata = metadata(
        3,
        vec![SymbolMapping {
            raw_symbol: "5".to_owned(),
            intervals: mapping("", &[(NOON - DAY, NOON + DAY, 0)]).intervals,
        }],
    );
    metadata.mappings[0].intervals[0].symbol = "ESM4".to_owned();
    (metadata.stype_in, metadata.stype_out) = (Some(SType::InstrumentId), SType::RawSymbol);
    let mut file = Writer::with(&metadata);
    file.record(&of(GLBX, 5, 0, 1));
    assert_eq!(symbols(&file), ["ESM4"]);
}

#[test]
fn files_that_play_together_share_the_finest_scale() {
    let mut prices = Writer::new();
    prices.record(&of(GLBX, ESM4, 0, 1));
    let mut ticks = Writer::new();
    ticks.record(&definition(GLBX, ESM4, "ESM4", ONE / 20));
    let (prices, ticks) = (save(prices.bytes()), save(ticks.bytes()));
    let mut readers = [&prices, &ticks].map(|saved| DbnReader::open(&saved.path).expect("a file"));
    assert_eq!(readers.each_ref().map(|reader| reader.instruments()[0].price_exponent.get()), [0, -2]);
    share_scales(&mut readers.each_mut());
    for reader in &readers {
        assert_eq!(reader.instruments()[0].price_exponent.get(), -2);
    }
    let mut events = Vec::new();
    readers[0].next_message(&mut events).expect("whole");
    let EventBody::OrderAdd { level: added, .. } = events[0].body else { panic!("{events:?}") };
    assert_eq!(added, level(100, 1));
    assert_eq!(readers[1].instruments()[0].tick_size, Some(Price(5)));
    share_scales(&mut readers.each_mut());
    assert_eq!(readers[1].instruments()[0].tick_size, Some(Price(5)), "once is enough");
}
