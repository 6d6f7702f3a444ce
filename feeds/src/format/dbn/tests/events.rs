//! What each kind of record becomes.

use dbn::{
    Bbo1SMsg, Cbbo1SMsg, ConsolidatedBidAskPair, StatusAction, StatusReason, UNDEF_TIMESTAMP, flags::*,
};

use super::*;
use crate::{Aggressor, Bar, BookSnapshot, Trade, TradingStatus};

fn flagged(raw: u8, mbo: MboMsg) -> MboMsg {
    MboMsg { flags: FlagSet::new(raw), ..mbo }
}

const fn trade(price: i64, size: i64, aggressor: Aggressor) -> EventBody {
    EventBody::Trade(Trade { price: Price(price), size: Size(size), aggressor, id: None })
}

const fn quote(bid: Option<Level>, ask: Option<Level>) -> EventBody {
    EventBody::Quote { bid, ask }
}

#[test]
fn orders_and_what_becomes_of_them() {
    let mut file = Writer::new();
    file.record(&mbo(1, b'R', b'N', 0, UNDEF_PRICE, 0))
        .record(&mbo(2, b'A', b'B', 7, 5_214 * ONE + ONE / 4, 3))
        .record(&mbo(3, b'A', b'A', 8, 5_215 * ONE, 4))
        .record(&mbo(4, b'M', b'A', 8, 5_216 * ONE, 9))
        .record(&flagged(0, mbo(5, b'T', b'B', 0, 5_216 * ONE, 2)))
        .record(&flagged(0, mbo(5, b'F', b'A', 8, 5_216 * ONE, 2)))
        .record(&mbo(5, b'C', b'A', 8, 5_216 * ONE, 2))
        .record(&mbo(6, b'N', b'N', 0, UNDEF_PRICE, 0));
    let order = OrderId(8);
    assert_eq!(
        bodies(&file),
        [
            vec![EventBody::BookClear],
            vec![EventBody::OrderAdd { order: OrderId(7), side: Side::Bid, level: level(521_425, 3) }],
            vec![EventBody::OrderAdd { order, side: Side::Ask, level: level(521_500, 4) }],
            vec![EventBody::OrderModify { order, level: level(521_600, 9) }],
            vec![trade(521_600, 2, Aggressor::Buy), EventBody::OrderCancel { order, size: Some(Size(2)) }],
            vec![],
        ]
    );
    let (messages, reader, _) = read(&save(file.bytes()));
    assert_eq!((reader.messages(), reader.dataset(), reader.unmapped().count()), (8, "GLBX.MDP3", 0));
    let nanos = NOON.cast_signed();
    let MarketEvent { ts_event, ts_recv, sequence, .. } = messages[1].1[0];
    assert_eq!((ts_event, ts_recv, sequence), (Timestamp(nanos + 2), Timestamp(nanos + 3), 2));
    assert_eq!(messages[1].0, ts_recv);
}

#[test]
fn an_event_is_one_message_up_to_the_last_of_each_instrument() {
    let other = |mut mbo: MboMsg| {
        mbo.hd.instrument_id = 9;
        mbo
    };
    let add = |at, order, raw| flagged(raw, mbo(at, b'A', b'B', order, ONE, 1));
    let sizes = |file: &Writer| bodies(file).iter().map(Vec::len).collect::<Vec<_>>();

    let mut file = Writer::new();
    file.record(&add(1, 1, 0))
        .record(&other(add(1, 2, LAST)))
        .record(&add(1, 3, LAST))
        .record(&add(2, 4, LAST));
    assert_eq!(sizes(&file), [3, 1], "interleaved with another's");

    let mut file = Writer::new();
    file.record(&add(1, 1, 0)).record(&add(2, 2, 0)).record(&add(2, 3, 0));
    assert_eq!(sizes(&file), [1, 2], "one without a last record ends where the next begins, or the file");

    let mut file = Writer::new();
    let (snapshot, last) = (SNAPSHOT | BAD_TS_RECV, SNAPSHOT | BAD_TS_RECV | LAST);
    file.record(&flagged(snapshot, mbo(9, b'R', b'N', 0, UNDEF_PRICE, 0)))
        .record(&add(1, 1, snapshot))
        .record(&add(5, 2, snapshot))
        .record(&add(3, 3, last))
        .record(&add(9, 4, LAST));
    assert_eq!(sizes(&file), [4, 1], "a snapshot's orders are as old as they are");
}

#[test]
fn orders_that_rest_in_no_book_are_counted() {
    let mut file = Writer::new();
    file.record(&mbo(1, b'A', b'B', 7, UNDEF_PRICE, 3))
        .record(&mbo(2, b'A', b'N', 7, ONE, 3))
        .record(&flagged(LAST | MBP, mbo(3, b'A', b'B', 0, ONE, 3)))
        .record(&mbo(4, b'T', b'N', 0, UNDEF_PRICE, 3));
    let (messages, reader, end) = read(&save(file.bytes()));
    assert!(end.is_none() && messages.iter().all(|(_, events)| events.is_empty()));
    let unmapped: Vec<_> = reader.unmapped().map(|(what, count)| format!("{what} {count}")).collect();
    assert_eq!(
        unmapped,
        ["mbo of a level 1", "order without a price 1", "order without a side 1", "trade without a price 1"]
    );
}

#[test]
fn top_of_book_records_are_quotes() {
    let mut file = Writer::new();
    file.record(&flagged(LAST | TOB, mbo(1, b'A', b'B', 0, ONE, 3)))
        .record(&flagged(LAST | TOB, mbo(2, b'A', b'A', 0, 2 * ONE, 4)))
        .record(&flagged(LAST | TOB, mbo(3, b'A', b'B', 0, UNDEF_PRICE, 0)));
    let (bid, ask) = (Some(level(1, 3)), Some(level(2, 4)));
    assert_eq!(bodies(&file).concat(), [quote(bid, None), quote(bid, ask), quote(None, ask)]);
}

#[test]
fn a_book_that_may_be_bad_has_a_gap_once() {
    let mut file = Writer::new();
    file.record(&mbo(1, b'A', b'B', 1, ONE, 3))
        .record(&flagged(LAST | MAYBE_BAD_BOOK, mbo(2, b'A', b'B', 2, ONE, 3)))
        .record(&flagged(LAST | MAYBE_BAD_BOOK, mbo(3, b'A', b'B', 3, ONE, 3)))
        .record(&mbo(4, b'R', b'N', 0, UNDEF_PRICE, 0));
    let shown: Vec<_> = bodies(&file).concat();
    let gaps = shown.iter().map(|body| matches!(body, EventBody::Gap { .. })).collect::<Vec<_>>();
    assert_eq!(gaps, [false, true, false, false, false]);
}

fn mbp_10(at: u64, action: u8, levels: &[(BidAskPair, usize)]) -> Mbp10Msg {
    let mut record = Mbp10Msg {
        hd: RecordHeader::new::<Mbp10Msg>(rtype::MBP_10, GLBX, ESM4, NOON + at),
        action: action.cast_signed(),
        side: b'A'.cast_signed(),
        price: 2 * ONE,
        size: 5,
        ts_recv: NOON + at + 1,
        flags: FlagSet::new(LAST),
        ..Mbp10Msg::default()
    };
    record.levels.fill(pair((UNDEF_PRICE, 0), (UNDEF_PRICE, 0)));
    for (level, index) in levels {
        record.levels[*index] = level.clone();
    }
    record
}

#[test]
fn levels_are_a_snapshot_and_then_what_changed() {
    let mut file = Writer::new();
    let one = [(pair((2 * ONE, 5), (3 * ONE, 6)), 0), (pair((ONE, 7), (UNDEF_PRICE, 0)), 1)];
    let other = [(pair((2 * ONE, 4), (3 * ONE, 6)), 0), (pair((ONE / 2, 8), (4 * ONE, 9)), 1)];
    file.record(&mbp_10(1, b'A', &one))
        .record(&mbp_10(2, b'C', &one))
        .record(&mbp_10(3, b'T', &other))
        .record(&mbp_10(4, b'R', &[]));
    let set = |side, level| EventBody::LevelSet { side, level };
    assert_eq!(
        bodies(&file),
        [
            vec![EventBody::BookSnapshot(Box::new(BookSnapshot {
                bids: vec![level(20, 5), level(10, 7)],
                asks: vec![level(30, 6)],
            }))],
            vec![],
            vec![
                set(Side::Bid, level(10, 0)),
                set(Side::Bid, level(20, 4)),
                set(Side::Bid, level(5, 8)),
                set(Side::Ask, level(40, 9)),
                trade(20, 5, Aggressor::Sell),
            ],
            vec![
                set(Side::Bid, level(20, 0)),
                set(Side::Bid, level(5, 0)),
                set(Side::Ask, level(30, 0)),
                set(Side::Ask, level(40, 0)),
            ],
        ]
    );
}

#[test]
fn quotes_and_the_trades_that_met_them() {
    let mbp_1 = |at, action: u8| Mbp1Msg {
        hd: RecordHeader::new::<Mbp1Msg>(rtype::MBP_1, GLBX, ESM4, NOON + at),
        action: action.cast_signed(),
        side: b'B'.cast_signed(),
        price: 3 * ONE,
        size: 2,
        ts_recv: NOON + at + 1,
        flags: FlagSet::new(LAST),
        sequence: 77,
        levels: [pair((ONE, 5), (3 * ONE, 6))],
        ..Mbp1Msg::default()
    };
    let mut file = Writer::new();
    file.record(&mbp_1(1, b'A')).record(&mbp_1(2, b'T'));
    let both = quote(Some(level(1, 5)), Some(level(3, 6)));
    assert_eq!(bodies(&file), [vec![both.clone()], vec![both.clone(), trade(3, 2, Aggressor::Buy)]]);
    let (messages, ..) = read(&save(file.bytes()));
    let numbers: Vec<_> =
        messages.iter().flat_map(|(_, events)| events).map(|event| event.sequence).collect();
    assert_eq!(numbers, [77, 0, 77], "a trade's quote is of the state before it");

    let mut file = Writer::new();
    file.record(&TradeMsg {
        hd: RecordHeader::new::<TradeMsg>(rtype::MBP_0, GLBX, ESM4, NOON),
        price: 3 * ONE,
        size: 2,
        action: b'T'.cast_signed(),
        side: b'N'.cast_signed(),
        ts_recv: NOON + 1,
        ..TradeMsg::default()
    });
    assert_eq!(bodies(&file), [vec![trade(3, 2, Aggressor::None)]]);
}

#[test]
fn quotes_at_the_end_of_an_interval() {
    let mut file = Writer::new();
    let mut bbo = Bbo1SMsg {
        hd: RecordHeader::new::<BboMsg>(rtype::BBO_1S, GLBX, ESM4, UNDEF_TIMESTAMP),
        ts_recv: NOON + 5,
        levels: [pair((ONE, 5), (UNDEF_PRICE, 0))],
        ..BboMsg::default_for_schema(Schema::Bbo1S)
    };
    file.record(&bbo);
    bbo.hd.ts_event = NOON;
    file.record(&bbo);
    let mut cbbo = Cbbo1SMsg {
        hd: RecordHeader::new::<CbboMsg>(rtype::CBBO_1S, GLBX, ESM4, NOON),
        ts_recv: NOON + 5,
        ..CbboMsg::default_for_schema(Schema::Cbbo1S)
    };
    cbbo.levels = [ConsolidatedBidAskPair {
        bid_px: ONE,
        bid_sz: 5,
        ask_px: UNDEF_PRICE,
        ..ConsolidatedBidAskPair::default()
    }];
    file.record(&cbbo);
    let (messages, ..) = read(&save(file.bytes()));
    let end = Timestamp(NOON.cast_signed() + 5);
    for (time, events) in &messages {
        assert_eq!((*time, events[0].ts_event, &events[0].body), (end, end, &quote(Some(level(1, 5)), None)));
    }
    assert_eq!(messages.len(), 3);
}

#[test]
fn bars_are_known_when_they_are_over() {
    let mut file = Writer::new();
    let bar = |kind| OhlcvMsg {
        hd: RecordHeader::new::<OhlcvMsg>(kind, GLBX, ESM4, NOON),
        open: 2 * ONE,
        high: 4 * ONE,
        low: ONE / 100,
        close: 3 * ONE,
        volume: 12,
    };
    let kinds =
        [(rtype::OHLCV_1S, 1), (rtype::OHLCV_1M, 60), (rtype::OHLCV_1H, 3_600), (rtype::OHLCV_1D, 86_400)];
    kinds.iter().for_each(|(kind, _)| {
        file.record(&bar(*kind));
    });
    file.record(&bar(rtype::OHLCV_EOD));
    let (messages, reader, end) = read(&save(file.bytes()));
    assert!(end.is_none(), "{end:?}");
    for ((time, events), (_, seconds)) in messages.iter().zip(kinds) {
        let interval_nanos = seconds * 1_000_000_000;
        assert_eq!(*time, Timestamp(NOON.cast_signed() + interval_nanos));
        assert_eq!(events[0].ts_event, Timestamp(NOON.cast_signed()));
        let [open, high, low, close] = [200, 400, 1, 300].map(Price);
        assert_eq!(
            events[0].body,
            EventBody::Bar(Bar { interval_nanos, open, high, low, close, volume: Size(12) })
        );
    }
    assert!(messages[4].1.is_empty());
    assert_eq!(reader.unmapped().collect::<Vec<_>>(), [("OhlcvEod".to_owned(), 1)]);
}

#[test]
fn statuses() {
    let mut file = Writer::new();
    let mut record = |action: u16, reason: u16, is_trading: u8| {
        file.record(&StatusMsg {
            hd: RecordHeader::new::<StatusMsg>(rtype::STATUS, GLBX, ESM4, NOON),
            ts_recv: NOON + 1,
            action,
            reason,
            is_trading: is_trading.cast_signed(),
            ..StatusMsg::default()
        });
    };
    record(StatusAction::Trading as u16, StatusReason::Scheduled as u16, b'Y');
    record(StatusAction::Pause as u16, 0, b'N');
    record(StatusAction::PreOpen as u16, 0, b'N');
    record(StatusAction::Close as u16, 60_000, b'N');
    record(StatusAction::SsrChange as u16, 0, b'Y');
    record(StatusAction::SsrChange as u16, 0, b'~');
    let (messages, reader, end) = read(&save(file.bytes()));
    assert!(end.is_none(), "{end:?}");
    let shown: Vec<_> = (messages.iter().flat_map(|(_, events)| events))
        .map(|event| match &event.body {
            EventBody::Status { status, reason } => (*status, reason.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        shown,
        [
            (TradingStatus::Trading, "Scheduled"),
            (TradingStatus::Halted, ""),
            (TradingStatus::Auction, ""),
            (TradingStatus::Closed, "60000"),
            (TradingStatus::Trading, ""),
        ]
    );
    assert_eq!(reader.unmapped().collect::<Vec<_>>(), [("status without a change".to_owned(), 1)]);
}
