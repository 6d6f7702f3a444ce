//! Random events, against slow and obvious models.

use std::collections::BTreeMap;

use feeds::{BookChecksum, BookSnapshot, TradingStatus};
use proptest::prelude::*;

use super::*;
use crate::state::StatusState;

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Bid), Just(Side::Ask)]
}

fn small_level() -> impl Strategy<Value = Level> {
    (-4_i64..8, -1_i64..5).prop_map(|(price, size)| level(price, size))
}

/// Numbers that collide in the table of orders, among others.
fn order() -> impl Strategy<Value = OrderId> {
    prop_oneof![0_u64..12, (0_u64..4).prop_map(|n| n * 1_024), Just(u64::MAX)].prop_map(OrderId)
}

fn order_event() -> impl Strategy<Value = EventBody> {
    prop_oneof![
        8 => (order(), side(), small_level())
            .prop_map(|(order, side, level)| EventBody::OrderAdd { order, side, level }),
        2 => (order(), small_level()).prop_map(|(order, level)| EventBody::OrderModify { order, level }),
        2 => (order(), prop::option::of(-1_i64..4))
            .prop_map(|(order, size)| EventBody::OrderCancel { order, size: size.map(Size) }),
        2 => (order(), -1_i64..4, prop::option::of(-4_i64..8), any::<bool>()).prop_map(
            |(order, size, price, printable)| EventBody::OrderExecute {
                order, size: Size(size), price: price.map(Price), trade_id: None, printable,
            }
        ),
        2 => (order(), order(), small_level())
            .prop_map(|(order, new_order, level)| EventBody::OrderReplace { order, new_order, level }),
        1 => Just(EventBody::BookClear),
    ]
}

/// The first depth at which two books differ.
fn difference(before: &[Vec<Level>; 2], after: &[Vec<Level>; 2]) -> Option<usize> {
    (0..64).find(|&depth| (0..2).any(|side| before[side].get(depth) != after[side].get(depth)))
}

fn quote_of(book: &[Vec<Level>; 2]) -> Quote {
    Quote { bid: book[0].first().copied(), ask: book[1].first().copied() }
}

/// All orders of one instrument, and nothing else.
#[derive(Default)]
struct SlowOrders(BTreeMap<OrderId, (Side, Level)>);

impl SlowOrders {
    /// Returns the trade that prints.
    fn apply(&mut self, body: &EventBody) -> Option<Trade> {
        match *body {
            EventBody::OrderAdd { order, side, level } if level.size > Size::ZERO => {
                self.0.entry(order).or_insert((side, level));
            }
            EventBody::OrderModify { order, level } if level.size >= Size::ZERO => {
                if let Some((_, resting)) = self.0.get_mut(&order) {
                    *resting = level;
                }
                self.0.retain(|_, (_, level)| level.size > Size::ZERO);
            }
            EventBody::OrderReplace { order, new_order, level } if level.size >= Size::ZERO => {
                if let Some((side, _)) = self.0.remove(&order)
                    && level.size > Size::ZERO
                {
                    self.0.entry(new_order).or_insert((side, level));
                }
            }
            EventBody::OrderCancel { order, size } => {
                self.take(order, size);
            }
            EventBody::OrderExecute { order, size, price, printable, .. } => {
                let (side, of, taken) = self.take(order, Some(size))?;
                let aggressor = if side == Side::Bid { Aggressor::Sell } else { Aggressor::Buy };
                return printable.then_some(Trade {
                    price: price.unwrap_or(of),
                    size: taken,
                    aggressor,
                    id: None,
                });
            }
            EventBody::BookClear => self.0.clear(),
            _ => {}
        }
        None
    }

    fn take(&mut self, order: OrderId, size: Option<Size>) -> Option<(Side, Price, Size)> {
        let (side, level) = self.0.get_mut(&order)?;
        let size = size.unwrap_or(level.size).min(level.size);
        if size <= Size::ZERO {
            return None;
        }
        level.size.0 -= size.0;
        let taken = (*side, level.price, size);
        self.0.retain(|_, (_, level)| level.size > Size::ZERO);
        Some(taken)
    }

    /// Bids and asks, best first.
    fn book(&self) -> [Vec<Level>; 2] {
        [Side::Bid, Side::Ask].map(|of| {
            let mut sums = BTreeMap::<i64, i64>::new();
            for (side, order) in self.0.values() {
                if *side == of {
                    *sums.entry(order.price.0).or_default() += order.size.0;
                }
            }
            best_first(of, &sums)
        })
    }
}

fn best_first(side: Side, levels: &BTreeMap<i64, i64>) -> Vec<Level> {
    let levels = levels.iter().map(|(price, size)| level(*price, *size));
    if side == Side::Bid { levels.rev().collect() } else { levels.collect() }
}

proptest! {
    #[test]
    fn a_book_by_order_is_the_sum_of_its_orders(
        events in prop::collection::vec((0_u32..2, order_event()), 0..200),
    ) {
        let mut harness = Harness::new(&[instrument("A", None), instrument("B", Some(1))]);
        let mut models = [SlowOrders::default(), SlowOrders::default()];
        for (symbol, body) in events {
            let model = &mut models[symbol as usize];
            let before = model.book();
            let unknown = match &body {
                EventBody::OrderModify { order, .. } | EventBody::OrderReplace { order, .. }
                | EventBody::OrderCancel { order, .. } | EventBody::OrderExecute { order, .. } =>
                    !model.0.contains_key(order),
                _ => false,
            };
            let unknown_before = harness.market.faults().unknown_orders;
            let expected_trade = model.apply(&body);
            let after = model.book();
            let changes = harness.apply(symbol, body);

            let id = SymbolId(symbol);
            prop_assert_eq!(harness.book(symbol), after.clone());
            prop_assert_eq!(harness.market.quote(id), quote_of(&after));
            let index = changes.iter().find_map(|change| match change {
                Change::Book { index, .. } => Some(*index),
                _ => None,
            });
            prop_assert_eq!(index, difference(&before, &after));
            let quote_changed = changes.contains(&Change::Quote { symbol: id });
            prop_assert_eq!(quote_changed, quote_of(&before) != quote_of(&after));
            let printed = changes.iter().find_map(|change| match change {
                Change::Trade { trade, .. } => Some(*trade),
                _ => None,
            });
            prop_assert_eq!(printed, expected_trade);
            prop_assert_eq!(harness.market.faults().unknown_orders - unknown_before, u64::from(unknown));
        }
    }

    /// Of what came between a gap and the venue's new start from nothing, no order is ever in the book.
    #[test]
    fn a_book_by_order_is_not_to_be_trusted_from_a_gap_to_the_next_clear(
        events in prop::collection::vec(
            prop_oneof![12 => order_event(), 1 => Just(EventBody::Gap { expected: 1, found: 3 })],
            0..100,
        ),
    ) {
        let mut harness = Harness::new(&[instrument("A", None)]);
        let mut model = SlowOrders::default();
        let (mut is_whole, mut has_begun) = (true, false);
        for body in events {
            match &body {
                EventBody::Gap { .. } => (model, is_whole) = (SlowOrders::default(), false),
                EventBody::BookClear => (model, is_whole) = (SlowOrders::default(), true),
                body if is_whole => { model.apply(body); }
                _ => {}
            }
            has_begun |= matches!(&body, EventBody::OrderAdd { level, .. } if level.size > Size::ZERO);
            harness.apply(0, body);
            prop_assert_eq!(harness.book(0), model.book());
            let is_stale = harness.market.status(SymbolId(0)).state == StatusState::Stale;
            if !is_whole {
                prop_assert_eq!(is_stale, has_begun);
            } else if !model.0.is_empty() {
                prop_assert!(!is_stale);
            }
        }
    }

    #[test]
    fn a_book_by_level_is_a_map_cut_at_the_venues_depth(
        messages in prop::collection::vec(
            (prop::collection::vec((side(), small_level()), 1..5), 0_u8..20),
            0..60,
        ),
    ) {
        const DEPTH: usize = 3;
        let mut harness = Harness::new(&[instrument("A", Some(DEPTH))]);
        let mut model = [BTreeMap::<i64, i64>::new(), BTreeMap::new()];
        let sorted = |model: &[BTreeMap<i64, i64>; 2]| {
            let mut book = [best_first(Side::Bid, &model[0]), best_first(Side::Ask, &model[1])];
            book.iter_mut().for_each(|side| side.truncate(DEPTH));
            book
        };
        for (levels, kind) in messages {
            harness.market.end_message();
            if kind == 0 {
                model = Default::default();
                harness.apply_at(1, 0, EventBody::BookClear);
            }
            for &(side, level) in &levels {
                let before = sorted(&model);
                let levels = &mut model[usize::from(side == Side::Ask)];
                match level.size.0 {
                    0 => { levels.remove(&level.price.0); }
                    1.. => { levels.insert(level.price.0, level.size.0); }
                    _ => {}
                }
                let changes = harness.apply_at(1, 0, EventBody::LevelSet { side, level });
                let after = sorted(&model);
                prop_assert_eq!(harness.book(0), after.clone());
                // A level past the venue's depth may be reported, and is nobody's business.
                let index = changes.iter().find_map(|change| match change {
                    Change::Book { index, .. } if *index < DEPTH => Some(*index),
                    _ => None,
                });
                prop_assert_eq!(index, difference(&before, &after));
                prop_assert_eq!(harness.market.quote(SymbolId(0)), quote_of(&after));
            }
            let book = sorted(&model);
            for (levels, kept) in model.iter_mut().zip(&book) {
                levels.retain(|price, _| kept.iter().any(|level| level.price.0 == *price));
            }
            let right = checksum(book[1].iter().copied(), book[0].iter().copied());
            let check = EventBody::BookChecksum(BookChecksum::Kraken(right));
            let failed_before = harness.market.faults().checksums_failed;
            if kind % 2 == 0 {
                harness.apply_at(1, 0, check);
            }
            prop_assert_eq!(harness.market.faults().checksums_failed, failed_before);
            if kind == 1 {
                // Lost messages, and the snapshot after them.
                harness.apply(0, EventBody::Gap { expected: 1, found: 2 });
                harness.apply(0, EventBody::LevelSet { side: Side::Bid, level: level(3, 3) });
                let snapshot = BookSnapshot { bids: book[0].clone(), asks: book[1].clone() };
                harness.apply(0, EventBody::BookSnapshot(Box::new(snapshot)));
                prop_assert_eq!(harness.book(0), book);
            }
        }
    }

    /// Trades in order of time: each bar holds the trades whose time lies in it.
    #[test]
    fn bars_and_session_are_what_their_trades_add_up_to(
        steps in prop::collection::vec((0_i64..200_000_000_000, 1_i64..50, 1_i64..9, any::<bool>()), 1..60),
    ) {
        let mut harness = Harness::new(&[instrument("A", None)]);
        let id = SymbolId(0);
        let mut now = -3_600_000_000_000;
        let mut tape = Vec::<(i64, Trade)>::new();
        let mut closed = Vec::<Change>::new();
        for (pause, price, size, advance) in steps {
            now += pause;
            if advance {
                harness.market.advance(Timestamp(now), &mut closed);
            }
            closed.extend(harness.apply_at(now, 0, EventBody::Trade(trade(price, size))));
            tape.push((now, trade(price, size)));
        }
        for interval in Interval::ALL {
            let length = i64::try_from(interval.duration().as_nanos()).expect("at most a day");
            let mut groups = BTreeMap::<i64, Vec<Trade>>::new();
            for (ts, trade) in &tape {
                groups.entry(ts.div_euclid(length)).or_default().push(*trade);
            }
            let open = groups.len() - 1;
            let expected: Vec<Bar> = groups.iter().enumerate().map(|(n, (start, trades))| Bar {
                start: Timestamp(start * length),
                totals: slow_totals(trades),
                closed: n < open,
            }).collect();
            let bars: Vec<Bar> = harness.market.bars(id, interval).copied().collect();
            prop_assert_eq!(harness.market.bar(id, interval), bars.last());
            prop_assert_eq!(&bars, &expected);
            let reported: Vec<Bar> = closed.iter().filter_map(|change| match change {
                Change::BarClosed { interval: of, bar, .. } if *of == interval => Some(*bar),
                _ => None,
            }).collect();
            prop_assert_eq!(&reported[..], &expected[..open]);
        }
        let trades: Vec<Trade> = tape.iter().map(|(_, trade)| *trade).collect();
        let last = trades.last().map(|trade| level(trade.price.0, trade.size.0));
        prop_assert_eq!(harness.market.ticker(id), Ticker {
            last, session: Some(slow_totals(&trades)), ..Ticker::default()
        });
    }

    /// Anything at all: no panic, and a book that is a book.
    #[test]
    fn no_event_breaks_the_book(
        events in prop::collection::vec((any::<[i64; 3]>(), any::<[u8; 4]>(), order_event()), 0..100),
    ) {
        let mut harness = Harness::new(&[instrument("A", Some(2)), instrument("B", None)]);
        let extreme = |value: i64, choice: u8| match choice % 6 {
            0 => i64::MAX,
            1 => i64::MIN,
            2 => value,
            _ => i64::from(choice % 16),
        };
        for ([a, b, time], [kind, x, y, z], order_event) in events {
            let level = level(extreme(a, x), extreme(b, y));
            let side = if z % 2 == 0 { Side::Bid } else { Side::Ask };
            let order = OrderId(u64::from(z % 8));
            let body = match kind % 12 {
                0 => EventBody::Trade(trade(level.price.0, level.size.0)),
                1 => EventBody::Quote { bid: Some(level), ask: None },
                2 => EventBody::LevelSet { side, level },
                3 => EventBody::BookSnapshot(Box::new(BookSnapshot { bids: vec![level; 2], asks: vec![level] })),
                4 => EventBody::BookChecksum(BookChecksum::Kraken(u32::from(x))),
                5 => EventBody::Gap { expected: 0, found: 1 },
                6 => EventBody::Status { status: TradingStatus::Auction, reason: String::new() },
                7..9 => EventBody::OrderAdd { order, side, level },
                9 => EventBody::OrderModify { order, level },
                _ => order_event,
            };
            let symbol = u32::from(z % 5 == 0);
            if z % 3 == 0 {
                harness.market.end_message();
            }
            harness.apply_at(extreme(time, z), symbol, body);
            harness.market.advance(Timestamp(extreme(time, y)), &mut Vec::new());
            let [bids, asks] = harness.book(symbol);
            prop_assert!(bids.is_sorted_by(|better, worse| better.price > worse.price));
            prop_assert!(asks.is_sorted_by(|better, worse| better.price < worse.price));
            prop_assert!(bids.iter().chain(&asks).all(|level| level.size > Size::ZERO));
        }
    }
}

fn slow_totals(trades: &[Trade]) -> crate::state::Totals {
    let prices = || trades.iter().map(|trade| trade.price);
    let sizes = || trades.iter().map(|trade| i128::from(trade.size.0));
    crate::state::Totals {
        open: prices().next().expect("trades"),
        high: prices().max().expect("trades"),
        low: prices().min().expect("trades"),
        close: prices().next_back().expect("trades"),
        volume: sizes().sum(),
        notional: prices().zip(sizes()).map(|(price, size)| i128::from(price.0) * size).sum(),
        trades: trades.len() as u64,
    }
}
