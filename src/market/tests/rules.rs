//! Each rule by an example.

use std::time::Duration;

use feeds::{BookChecksum, BookSnapshot, TradingStatus};

use super::*;
use crate::limits::{BARS_MAX, FAULT_EXAMPLES_MAX, TRADES_MAX};
use crate::state::StatusState;

const A: SymbolId = SymbolId(0);
const SECOND: i64 = 1_000_000_000;

fn one() -> Harness {
    Harness::new(&[instrument("A", None)])
}

fn snapshot(bids: &[Level], asks: &[Level]) -> EventBody {
    EventBody::BookSnapshot(Box::new(BookSnapshot { bids: bids.to_vec(), asks: asks.to_vec() }))
}

fn status_of(harness: &Harness) -> (StatusState, String) {
    let Status { state, reason } = harness.market.status(A);
    (state, reason.into_owned())
}

#[test]
fn an_execution_reduces_the_level_and_prints_against_the_resting_side() {
    let mut harness = one();
    harness.apply(0, add(1, Side::Bid, 100, 50));
    harness.apply(0, add(2, Side::Ask, 101, 50));
    let changes = harness.apply(0, execute(2, 20));
    let printed = Trade { aggressor: Aggressor::Buy, ..trade(101, 20) };
    assert_eq!(harness.book(0), [vec![level(100, 50)], vec![level(101, 30)]]);
    assert_eq!(changes[0], Change::Book { symbol: A, index: 0 });
    assert_eq!(changes[1], Change::Quote { symbol: A });
    assert_eq!(changes[2], Change::Trade { symbol: A, trade: printed, ts_event: Timestamp(3), number: 1 });
    assert_eq!(changes.last(), Some(&Change::Ticker { symbol: A }));

    let at_a_price = |printable| EventBody::OrderExecute {
        order: OrderId(1),
        size: Size(5),
        price: Some(Price(99)),
        trade_id: Some(77),
        printable,
    };
    let changes = harness.apply(0, at_a_price(false));
    assert_eq!(changes, [Change::Book { symbol: A, index: 0 }, Change::Quote { symbol: A }]);
    harness.apply(0, at_a_price(true));
    let records: Vec<TradeRecord> = harness.market.trades(A).copied().collect();
    let sold = Trade { aggressor: Aggressor::Sell, id: Some(77), ..trade(99, 5) };
    assert_eq!(records[1], TradeRecord { trade: sold, ts_event: Timestamp(5), number: 2 });
    assert_eq!(harness.book(0)[0], [level(100, 40)]);
}

#[test]
fn what_an_order_does_not_have_cannot_be_taken() {
    let mut harness = one();
    harness.apply(0, add(1, Side::Bid, 100, 5));
    harness.apply(0, add(2, Side::Bid, 100, 5));
    harness.apply(0, execute(1, 9));
    assert_eq!(harness.book(0)[0], [level(100, 5)]);
    assert_eq!(harness.market.trades(A).next().expect("printed").trade.size, Size(5));
    assert_eq!((harness.market.faults().oversized, harness.market.faults().unknown_orders), (1, 0));
    assert_eq!(harness.apply(0, execute(1, 1)), []);
    assert_eq!(harness.market.faults().examples, [(A, OrderId(1))]);
}

#[test]
fn unknown_orders_are_counted_and_the_first_are_named() {
    let mut harness = one();
    for order in 0..100 {
        for _ in 0..2 {
            assert_eq!(harness.apply(0, EventBody::OrderCancel { order: OrderId(order), size: None }), []);
        }
    }
    let faults = harness.market.faults();
    assert_eq!((faults.unknown_orders, faults.examples.len()), (200, FAULT_EXAMPLES_MAX));
    assert_eq!(faults.examples[..2], [(A, OrderId(0)), (A, OrderId(1))]);
}

#[test]
fn two_instruments_may_use_one_order_number() {
    let mut harness = Harness::new(&[instrument("A", None), instrument("B", None)]);
    harness.apply(0, add(7, Side::Bid, 100, 1));
    harness.apply(1, add(7, Side::Ask, 200, 2));
    harness
        .apply(0, EventBody::OrderReplace { order: OrderId(7), new_order: OrderId(8), level: level(99, 3) });
    assert_eq!(harness.book(0), [vec![level(99, 3)], vec![]], "a replaced order keeps its side");
    assert_eq!(harness.book(1), [vec![], vec![level(200, 2)]]);
    assert_eq!(harness.market.faults(), &Faults::default());
}

#[test]
fn the_quote_is_the_venues_until_there_is_a_book() {
    let mut harness = one();
    let venue = |bid, ask| EventBody::Quote { bid, ask };
    let both = [Change::Quote { symbol: A }, Change::Ticker { symbol: A }];
    assert_eq!(harness.apply(0, venue(Some(level(9, 1)), None)), both);
    assert_eq!(harness.apply(0, venue(Some(level(9, 1)), None)), []);
    assert_eq!(harness.apply(0, venue(Some(level(9, 2)), None)), both[..1], "a size is not in the ticker");
    assert_eq!(harness.apply(0, snapshot(&[], &[])), both, "an empty book is a book");
    assert_eq!(harness.market.quote(A), Quote::default());
    assert_eq!(harness.apply(0, venue(Some(level(9, 2)), None)), []);
    harness.apply(0, set(Side::Ask, 12, 4));
    assert_eq!(harness.market.quote(A), Quote { bid: None, ask: Some(level(12, 4)) });
    assert_eq!(harness.market.ticker(A).ask, Some(Price(12)));
}

#[test]
fn after_a_gap_the_book_is_stale_until_a_snapshot() {
    let mut harness = one();
    let gap = || EventBody::Gap { expected: 5, found: 9 };
    harness.apply(0, set(Side::Bid, 10, 1));
    let changes = harness.apply(0, gap());
    let void = [
        Change::Book { symbol: A, index: 0 },
        Change::Quote { symbol: A },
        Change::Ticker { symbol: A },
        Change::Status { symbol: A },
    ];
    assert_eq!(changes, void);
    assert_eq!(status_of(&harness), (StatusState::Stale, "gap".to_owned()));
    assert_eq!(harness.apply(0, set(Side::Bid, 11, 1)), []);
    assert_eq!(harness.apply(0, EventBody::BookClear), [], "a book by level needs its levels");
    assert_eq!(harness.apply(0, snapshot(&[level(11, 2)], &[])), void);
    assert_eq!(status_of(&harness).0, StatusState::Trading);
    assert_eq!(harness.book(0)[0], [level(11, 2)]);
    assert_eq!((harness.market.faults().sequence_gaps, harness.market.faults().untrusted), (1, 1));
}

#[test]
fn a_gap_before_there_is_a_book_is_told_when_one_begins() {
    let gap = || EventBody::Gap { expected: 5, found: 9 };
    let quote = || EventBody::Quote { bid: Some(level(9, 1)), ask: None };
    let stale = (StatusState::Stale, "gap".to_owned());
    for begin in [add(1, Side::Bid, 10, 1), set(Side::Bid, 10, 1)] {
        let mut harness = one();
        assert_eq!(harness.apply(0, gap()), []);
        harness.apply(0, quote());
        assert_eq!(status_of(&harness).0, StatusState::Trading, "quotes and trades need no book");
        harness.apply(0, begin.clone());
        assert_eq!((status_of(&harness), harness.book(0)), (stale.clone(), [vec![], vec![]]));
        assert_eq!(harness.market.quote(A), Quote::default());
        assert_eq!(harness.market.faults().untrusted, 1);
        harness.apply(0, snapshot(&[level(11, 2)], &[]));
        assert_eq!(
            (status_of(&harness).0, harness.market.quote(A).bid),
            (StatusState::Trading, Some(level(11, 2)))
        );
        harness.apply(0, EventBody::BookClear);
        harness.apply(0, begin);
        assert_eq!(harness.book(0)[0], [level(10, 1)], "healed for good");
    }
    // A venue that starts from nothing tells all orders that there are then, but not all levels.
    for (begin, found) in [(add(1, Side::Bid, 10, 1), vec![level(10, 1)]), (set(Side::Bid, 10, 1), vec![])] {
        let mut harness = one();
        harness.apply(0, gap());
        harness.apply(0, EventBody::BookClear);
        harness.apply(0, begin);
        assert_eq!(harness.book(0)[0], found);
    }
}

#[test]
fn a_book_of_a_live_venue_is_stale_until_its_first_snapshot_in_every_run() {
    let mut harness = Harness::new(&[Instrument { begins_stale: true, ..instrument("A", None) }]);
    for _ in 0..2 {
        let stale = (StatusState::Stale, "no snapshot".to_owned());
        assert_eq!(status_of(&harness), stale);
        assert_eq!(harness.apply(0, EventBody::Gap { expected: 0, found: 0 }), []);
        assert_eq!(harness.apply(0, EventBody::BookClear), []);
        assert_eq!(harness.apply(0, set(Side::Bid, 11, 1)), []);
        assert_eq!(status_of(&harness), stale);
        let changes = harness.apply(0, snapshot(&[], &[]));
        assert_eq!(changes, [Change::Status { symbol: A }], "an empty book is a book");
        assert_eq!(status_of(&harness), (StatusState::Trading, String::new()));
        harness.market.reset();
    }
}

#[test]
fn a_book_by_order_recovers_from_a_gap_when_the_venue_starts_from_nothing() {
    let mut harness = one();
    harness.apply(0, add(1, Side::Bid, 10, 1));
    harness.apply(0, EventBody::Gap { expected: 0, found: 0 });
    assert_eq!(harness.apply(0, add(2, Side::Bid, 10, 1)), []);
    assert_eq!(harness.apply(0, EventBody::BookClear), [Change::Status { symbol: A }]);
    harness.apply(0, add(1, Side::Bid, 12, 3));
    assert_eq!(harness.book(0)[0], [level(12, 3)]);
    assert_eq!(harness.market.faults().duplicate_adds, 0, "the first order 1 is gone");
}

#[test]
fn a_wrong_checksum_voids_the_book_and_a_right_one_is_counted() {
    let mut harness = one();
    harness.apply(0, snapshot(&[level(10, 1)], &[level(11, 2)]));
    let right = harness.market.book(A).checksum();
    let check = |value| EventBody::BookChecksum(BookChecksum::Kraken(value));
    assert_eq!(harness.apply(0, check(right)), []);
    harness.apply(0, check(right ^ 1));
    assert_eq!(status_of(&harness), (StatusState::Stale, "checksum".to_owned()));
    assert_eq!(harness.book(0), [vec![], vec![]]);
    harness.apply(0, check(right));
    let faults = harness.market.faults();
    assert_eq!((faults.checksums_ok, faults.checksums_failed, faults.untrusted), (1, 1, 1));
}

#[test]
fn a_checksum_that_the_session_found_wrong_voids_the_book_and_the_gap_behind_it_does_not_hide_why() {
    let mut harness = one();
    harness.apply(0, snapshot(&[level(10, 1)], &[level(11, 2)]));
    let checked = |agrees| EventBody::BookChecksum(BookChecksum::Checked { agrees });
    assert_eq!(harness.apply(0, checked(true)), []);
    assert_eq!(harness.book(0)[0], [level(10, 1)]);
    harness.apply(0, checked(false));
    harness.apply(0, EventBody::Gap { expected: 0, found: 0 });
    assert_eq!(status_of(&harness), (StatusState::Stale, "checksum".to_owned()));
    assert_eq!(harness.book(0), [vec![], vec![]]);
    let faults = harness.market.faults();
    assert_eq!((faults.checksums_ok, faults.checksums_failed), (1, 1));
}

#[test]
fn levels_past_the_venues_depth_go_at_the_end_of_the_message_and_not_before() {
    let mut harness = Harness::new(&[instrument("A", Some(2))]);
    harness.apply(0, snapshot(&[level(10, 1), level(9, 1), level(8, 1)], &[]));
    assert_eq!(harness.book(0)[0], [level(10, 1), level(9, 1)]);
    harness.apply_at(99, 0, set(Side::Bid, 11, 1));
    assert_eq!(harness.book(0)[0], [level(11, 1), level(10, 1)], "nobody sees the third");
    harness.apply_at(99, 0, set(Side::Bid, 11, 0));
    assert_eq!(
        harness.book(0)[0],
        [level(10, 1), level(9, 1)],
        "same message: it was pushed out and let in again"
    );
    harness.apply(0, set(Side::Bid, 11, 1));
    harness.apply(0, set(Side::Bid, 11, 0));
    assert_eq!(harness.book(0)[0], [level(10, 1)], "another message: it is gone until the venue sends it");
}

#[test]
fn a_book_is_crossed_only_if_a_message_leaves_it_so() {
    let mut harness = one();
    harness.apply(0, snapshot(&[level(10, 1)], &[level(11, 1)]));
    harness.apply_at(99, 0, set(Side::Bid, 11, 1));
    harness.apply_at(99, 0, set(Side::Ask, 11, 0));
    harness.apply(0, set(Side::Ask, 12, 1));
    assert_eq!(harness.market.faults().crossed, 0);
    harness.apply(0, set(Side::Ask, 11, 1));
    harness.apply(0, set(Side::Ask, 13, 1));
    harness.apply(0, set(Side::Ask, 11, 0));
    assert_eq!(harness.market.faults().crossed, 1, "once for as long as it lasts");
    harness.apply(0, set(Side::Bid, 12, 1));
    assert_eq!(harness.market.faults().crossed, 2);
}

#[test]
fn a_book_is_by_order_or_by_level_but_not_both() {
    let mut harness = one();
    harness.apply(0, add(1, Side::Bid, 10, 1));
    assert_eq!(harness.apply(0, set(Side::Bid, 10, 9)), []);
    harness.apply(0, snapshot(&[level(9, 9)], &[]));
    assert_eq!(harness.apply(0, add(2, Side::Bid, 10, 1)), []);
    assert_eq!(harness.market.faults().mixed_books, 2);
    assert_eq!(harness.apply(0, execute(1, 1)), [], "the snapshot took the orders away");
    harness.apply(0, EventBody::BookClear);
    harness.apply(0, add(3, Side::Ask, 10, 1));
    assert_eq!(harness.book(0), [vec![], vec![level(10, 1)]]);
}

#[test]
fn the_feeds_state_lies_over_the_venues() {
    let mut harness = one();
    let halt = || EventBody::Status { status: TradingStatus::Halted, reason: "LUDP".to_owned() };
    let silent = Status { state: StatusState::Stale, reason: "silent".into() };
    let mut changes = Vec::new();
    harness.market.set_feed_state(A, Some(&silent), &mut changes);
    harness.market.set_feed_state(A, Some(&silent), &mut changes);
    assert_eq!(changes, [Change::Status { symbol: A }]);
    assert_eq!(harness.apply(0, halt()), [], "hidden");
    assert_eq!(status_of(&harness), (StatusState::Stale, "silent".to_owned()));
    harness.market.set_feed_state(A, None, &mut changes);
    assert_eq!(changes.len(), 2);
    assert_eq!(status_of(&harness), (StatusState::Halted, "LUDP".to_owned()));
    assert_eq!(harness.apply(0, halt()), [], "no change");
}

#[test]
fn bars_close_by_trades_and_by_time_and_late_trades_count_into_the_next() {
    let mut harness = one();
    let at = |seconds: i64| Timestamp(seconds * SECOND);
    let seconds = |harness: &Harness| -> Vec<(i64, u64, bool)> {
        let bars = harness.market.bars(A, Interval::S1);
        bars.map(|bar| (bar.start.0 / SECOND, bar.totals.trades, bar.closed)).collect()
    };
    harness.apply_at(10 * SECOND + 1, 0, EventBody::Trade(trade(5, 1)));
    harness.apply_at(9 * SECOND, 0, EventBody::Trade(trade(7, 1)));
    assert_eq!(seconds(&harness), [(10, 2, false)], "late: counts into the open bar");

    let mut changes = Vec::new();
    harness.market.advance(Timestamp(11 * SECOND - 1), &mut changes);
    assert_eq!(changes, []);
    harness.market.advance(at(11), &mut changes);
    let bar = *harness.market.bar(A, Interval::S1).expect("a bar");
    assert_eq!(changes, [Change::BarClosed { symbol: A, interval: Interval::S1, bar }]);
    assert_eq!((bar.totals.open, bar.totals.high, bar.totals.close), (Price(5), Price(7), Price(7)));

    harness.apply_at(10 * SECOND, 0, EventBody::Trade(trade(6, 1)));
    assert_eq!(seconds(&harness), [(10, 2, true), (11, 1, false)], "late: a closed bar never changes");
    let changes = harness.apply_at(60 * SECOND, 0, EventBody::Trade(trade(6, 1)));
    let closed: Vec<Interval> = changes
        .iter()
        .filter_map(
            |change| if let Change::BarClosed { interval, .. } = change { Some(*interval) } else { None },
        )
        .collect();
    assert_eq!(closed, [Interval::S1, Interval::M1]);
    assert_eq!(seconds(&harness), [(10, 2, true), (11, 1, true), (60, 1, false)]);

    changes_at_the_end_of_time(&mut harness);
}

fn changes_at_the_end_of_time(harness: &mut Harness) {
    let mut changes = Vec::new();
    harness.market.advance(Timestamp(i64::MAX), &mut changes);
    assert_eq!(changes.len(), Interval::ALL.len(), "each open bar");
    harness.market.advance(Timestamp(i64::MAX), &mut changes);
    assert_eq!(changes.len(), Interval::ALL.len(), "once");
    harness.apply_at(i64::MAX, 0, EventBody::Trade(trade(6, 1)));
    harness.apply_at(i64::MIN, 0, EventBody::Trade(trade(6, 1)));
    assert_eq!(harness.market.ticker(A).session.expect("trades").trades, 6);
}

#[test]
fn histories_are_bounded_and_the_oldest_go() {
    let mut harness = one();
    let many = i64::try_from(BARS_MAX.max(TRADES_MAX)).expect("small") + 10;
    for n in 0..many {
        harness.apply_at(n * SECOND, 0, EventBody::Trade(trade(1, n + 1)));
    }
    let bars: Vec<&Bar> = harness.market.bars(A, Interval::S1).collect();
    assert_eq!((bars.len(), bars[BARS_MAX - 1].start), (BARS_MAX, Timestamp((many - 1) * SECOND)));
    assert_eq!(bars[1].start.since(bars[0].start), Duration::from_secs(1));
    let numbers: Vec<u64> = harness.market.trades(A).map(|record| record.number).collect();
    assert_eq!(numbers.len(), TRADES_MAX);
    assert_eq!(numbers.last(), Some(&many.unsigned_abs()));
    assert_eq!(harness.market.ticker(A).session.expect("trades").trades, many.unsigned_abs());
}

#[test]
fn a_sum_past_128_bits_stays_and_is_counted() {
    let mut harness = one();
    for _ in 0..3 {
        harness.apply(0, EventBody::Trade(trade(i64::MAX, i64::MAX)));
    }
    let session = harness.market.ticker(A).session.expect("trades");
    assert_eq!(session.notional, 2 * i128::from(i64::MAX) * i128::from(i64::MAX));
    assert_eq!((session.volume, session.trades), (2 * i128::from(i64::MAX), 3));
    assert_eq!(harness.market.faults().overflows, 1 + Interval::ALL.len() as u64);
}

#[test]
fn nonsense_is_counted() {
    let mut harness = one();
    for body in [
        EventBody::Trade(trade(1, 0)),
        set(Side::Bid, 1, -1),
        snapshot(&[level(1, -1)], &[]),
        add(1, Side::Bid, 1, 0),
        EventBody::Quote { bid: Some(level(1, 0)), ask: None },
    ] {
        assert_eq!(harness.apply(0, body), []);
    }
    assert_eq!(harness.market.faults().bad_sizes, 5);
    harness.apply(0, add(1, Side::Bid, 1, i64::MAX));
    assert_eq!(harness.apply(0, add(2, Side::Bid, 1, 1)), []);
    assert_eq!(harness.apply(0, execute(2, 1)), []);
    assert_eq!((harness.market.faults().overflows, harness.market.faults().unknown_orders), (1, 1));
    assert_eq!(harness.apply(5, set(Side::Bid, 1, 1)), []);
    assert_eq!(harness.market.faults().unknown_symbols, 1);
    let rescaled = Instrument { size_exponent: Exponent::MAX, ..instrument("A", None) };
    assert_eq!(harness.apply(0, EventBody::Definition(Box::new(rescaled))), []);
    assert_eq!(harness.market.faults().rescaled, 1);
}

#[test]
fn a_definition_may_change_the_venues_depth() {
    let mut harness = one();
    harness.apply(0, snapshot(&[level(10, 1), level(9, 1)], &[]));
    harness.apply(0, EventBody::Definition(Box::new(instrument("A", Some(1)))));
    assert_eq!(harness.book(0)[0], [level(10, 1)]);
}

#[test]
fn a_new_run_knows_nothing_of_the_old() {
    let mut harness = one();
    harness.apply(0, add(1, Side::Bid, 10, 1));
    harness.apply(0, execute(1, 1));
    harness.apply(0, add(2, Side::Bid, 10, 1));
    harness.market.reset();
    assert_eq!(harness.book(0), [vec![], vec![]]);
    assert_eq!(harness.market.quote(A), Quote::default());
    assert_eq!(harness.market.ticker(A), Ticker::default());
    assert_eq!((harness.market.trades(A).count(), harness.market.bars(A, Interval::D1).count()), (0, 0));
    assert_eq!(harness.market.ts_event(A), Timestamp::default());
    let mut changes = Vec::new();
    harness.market.advance(Timestamp(i64::MAX), &mut changes);
    assert_eq!(changes, []);
    harness.apply(0, add(2, Side::Bid, 10, 1));
    assert_eq!(harness.book(0)[0], [level(10, 1)]);
    harness.apply(0, execute(2, 1));
    assert_eq!(harness.market.trades(A).next().expect("printed").number, 1);
}
