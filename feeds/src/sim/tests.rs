//! The simulated market against a slow, obvious model of what a market may do, and against what it promises.

mod faults;
mod session;

use std::collections::{BTreeMap, BTreeSet};

use super::{Sim, SimMode, SimSettings};
use crate::limits::{INSTRUMENTS_MAX, SIM_EVENTS_PER_SECOND_MAX, SIM_ORDERS_PER_SIDE_MAX};
use crate::{
    EventBody, Feed, FeedError, Instrument, Level, MarketEvent, OrderId, Progress, Side, Size, SymbolId,
    Timestamp, TradingStatus,
};

const SECOND: i64 = 1_000_000_000;

fn sim(settings: SimSettings) -> Sim {
    Sim::new(settings).expect("valid settings")
}

/// The next message's events, which it replaces, and its time.
fn step(sim: &mut Sim, events: &mut Vec<MarketEvent>) -> Timestamp {
    events.clear();
    match sim.next_message(events).expect("a simulation does not fail") {
        Progress::Message { due } => due,
        other => panic!("it does not end: {other:?}"),
    }
}

fn first_events(settings: SimSettings, count: usize) -> Vec<MarketEvent> {
    let (mut sim, mut all) = (sim(settings), Vec::new());
    while all.len() < count {
        sim.next_message(&mut all).expect("a simulation does not fail");
    }
    all.truncate(count);
    all
}

#[test]
fn time_begins_when_it_is_played_and_nothing_else_changes() {
    for mode in [SimMode::Market, SimMode::Quotes] {
        let opened = SimSettings { mode, instruments: 5, start: Timestamp(7), ..SimSettings::default() };
        let begun = Timestamp(1_700_000_000 * SECOND);
        let (mut held, mut there) = (sim(opened), sim(SimSettings { start: begun, ..opened }));
        held.begin(begun);
        assert_eq!(held.instruments(), there.instruments());
        let (mut events, mut expected) = (Vec::new(), Vec::new());
        for number in 0..2_000 {
            let due = step(&mut held, &mut events);
            assert_eq!(due, step(&mut there, &mut expected));
            assert_eq!(events, expected);
            assert!(number > 0 || due == begun, "{mode:?}: {due}");
        }
    }
}

/// A book as a textbook has it: price → queue of (order → size), older orders having smaller numbers.
#[derive(Default)]
struct Book {
    bids: BTreeMap<i64, BTreeMap<OrderId, i64>>,
    asks: BTreeMap<i64, BTreeMap<OrderId, i64>>,
}

impl Book {
    fn side(&mut self, side: Side) -> &mut BTreeMap<i64, BTreeMap<OrderId, i64>> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }

    fn insert(&mut self, side: Side, order: OrderId, level: Level) {
        self.side(side).entry(level.price.0).or_default().insert(order, level.size.0);
    }

    fn reduce(&mut self, side: Side, price: i64, order: OrderId, size: i64) {
        let queue = self.side(side).get_mut(&price).expect("the order's level");
        let left = queue[&order] - size;
        assert!(left >= 0, "{order:?}: {size} taken, {left} left");
        if left == 0 {
            queue.remove(&order);
        } else {
            queue.insert(order, left);
        }
        if queue.is_empty() {
            self.side(side).remove(&price);
        }
    }

    /// Whose turn it is to trade on a side.
    fn first(&mut self, side: Side) -> Option<OrderId> {
        let best = match side {
            Side::Bid => self.bids.last_key_value(),
            Side::Ask => self.asks.first_key_value(),
        };
        best.and_then(|(_, queue)| queue.keys().next().copied())
    }

    fn touch(&self) -> Option<(i64, i64)> {
        Some((*self.bids.last_key_value()?.0, *self.asks.first_key_value()?.0))
    }
}

/// Replays a market, asserting that nothing impossible happens in it.
struct Model {
    instruments: Vec<Instrument>,
    books: Vec<Book>,
    status: Vec<Option<TradingStatus>>,
    /// Where each order rests.
    orders: BTreeMap<OrderId, (SymbolId, Side, i64)>,
    last_order: OrderId,
    last_trade: u64,
    now: Timestamp,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    messages: usize,
    events: usize,
    adds: usize,
    cancels: usize,
    trims: usize,
    replaces: usize,
    executes: usize,
    halts: usize,
    /// Messages that traded against more than one order.
    sweeps: usize,
}

impl Model {
    fn new(sim: &Sim, start: Timestamp) -> Self {
        let instruments = sim.instruments().to_vec();
        Self {
            books: instruments.iter().map(|_| Book::default()).collect(),
            status: vec![None; instruments.len()],
            instruments,
            orders: BTreeMap::new(),
            last_order: OrderId(0),
            last_trade: 0,
            now: start,
            counts: Counts::default(),
        }
    }

    /// Takes a message; says which instrument it was about.
    fn apply(&mut self, due: Timestamp, events: &[MarketEvent]) -> SymbolId {
        assert!(due >= self.now, "time went backwards: {due} after {}", self.now);
        self.now = due;
        let symbol = events.first().expect("a message says something").symbol;
        for event in events {
            assert_eq!((event.ts_event, event.ts_recv, event.symbol), (due, due, symbol));
            self.apply_event(symbol, &event.body);
        }
        self.counts.messages += 1;
        self.counts.events += events.len();
        let executes = events.iter().filter(|event| matches!(event.body, EventBody::OrderExecute { .. }));
        self.counts.sweeps += usize::from(executes.count() > 1);
        let book = &self.books[symbol.index()];
        let (bid, ask) = book.touch().expect("both sides hold orders");
        assert!(bid < ask, "{symbol:?} is crossed: {bid} against {ask}");
        for side in [&book.bids, &book.asks] {
            assert!(side.values().map(BTreeMap::len).sum::<usize>() <= SIM_ORDERS_PER_SIDE_MAX);
        }
        symbol
    }

    fn apply_event(&mut self, symbol: SymbolId, body: &EventBody) {
        let book = &mut self.books[symbol.index()];
        let trades = self.status[symbol.index()] == Some(TradingStatus::Trading);
        match *body {
            EventBody::OrderAdd { order, side, level } => {
                self.arrive(symbol, order, side, level);
                self.counts.adds += 1;
            }
            EventBody::OrderCancel { order, size } => {
                let (at, side, price) = self.orders[&order];
                assert_eq!(at, symbol);
                let left = book.side(side)[&price][&order];
                match size {
                    Some(Size(size)) => {
                        assert!(0 < size && size < left, "{size} of {left}");
                        book.reduce(side, price, order, size);
                        self.counts.trims += 1;
                    }
                    None => {
                        book.reduce(side, price, order, left);
                        self.orders.remove(&order);
                        self.counts.cancels += 1;
                    }
                }
            }
            EventBody::OrderExecute { order, size, price, trade_id, printable } => {
                assert!(trades, "a trade of {symbol:?} outside trading");
                let (at, side, resting_at) = self.orders[&order];
                assert_eq!(at, symbol);
                assert_eq!(book.first(side), Some(order), "price-time priority");
                assert!(size.0 > 0);
                book.reduce(side, resting_at, order, size.0);
                if !book.side(side).get(&resting_at).is_some_and(|queue| queue.contains_key(&order)) {
                    self.orders.remove(&order);
                }
                assert_eq!((price, trade_id, printable), (None, Some(self.last_trade + 1), true));
                self.last_trade += 1;
                self.counts.executes += 1;
            }
            EventBody::OrderReplace { order, new_order, level } => {
                assert!(trades);
                let (at, side, price) = self.orders.remove(&order).expect("the replaced order");
                assert_eq!(at, symbol);
                let left = book.side(side)[&price][&order];
                book.reduce(side, price, order, left);
                self.arrive(symbol, new_order, side, level);
                self.counts.replaces += 1;
            }
            EventBody::Status { status, ref reason } => {
                use TradingStatus::{Auction, Halted, Trading};
                let held = self.status[symbol.index()].replace(status);
                assert!(
                    matches!(
                        (held, status),
                        (None | Some(Auction), Trading) | (Some(Trading), Halted) | (Some(Halted), Auction)
                    ),
                    "{held:?} to {status:?}"
                );
                assert_eq!(reason.is_empty(), status == Trading, "{status:?}: `{reason}`");
                self.counts.halts += usize::from(status == Halted);
            }
            ref other => panic!("no part of an order-driven market: {other:?}"),
        }
    }

    fn arrive(&mut self, symbol: SymbolId, order: OrderId, side: Side, level: Level) {
        let tick = self.instruments[symbol.index()].tick_size.expect("every instrument has one").0;
        assert!(level.price.0 > 0 && level.price.0 % tick == 0, "{level:?} by {tick}");
        assert!(level.size.0 > 0);
        assert!(order > self.last_order, "numbers are unique");
        self.last_order = order;
        self.orders.insert(order, (symbol, side, level.price.0));
        self.books[symbol.index()].insert(side, order, level);
    }

    fn spread_grains(&self, symbol: SymbolId) -> i64 {
        let (bid, ask) = self.books[symbol.index()].touch().expect("both sides hold orders");
        let tick = self.instruments[symbol.index()].tick_size.expect("every instrument has one").0;
        (ask - bid) / (bid >> 13).max(tick)
    }
}

#[test]
fn nothing_impossible_happens_in_600_000_events() {
    let settings = SimSettings { start: Timestamp(1_700_000_000 * SECOND), ..SimSettings::default() };
    let mut sim = sim(settings);
    let mut model = Model::new(&sim, settings.start);
    let mut events = Vec::new();
    let (mut wide, mut sampled) = (0, 0);
    // Where a book was wide: until which message of its own it has time to narrow.
    let mut narrowing: Vec<Option<(i64, usize)>> = vec![None; settings.instruments];
    let (mut narrowed, mut still_wide) = (0, 0);
    while model.counts.events < 600_000 {
        let due = step(&mut sim, &mut events);
        let symbol = model.apply(due, &events);
        if model.status[symbol.index()] != Some(TradingStatus::Trading) {
            continue;
        }
        let spread = model.spread_grains(symbol);
        sampled += 1;
        wide += usize::from(spread >= 8);
        assert!(spread < 100, "{symbol:?} is {spread} grains wide");
        match &mut narrowing[symbol.index()] {
            None if spread >= 8 => narrowing[symbol.index()] = Some((spread, 40)),
            None => {}
            Some((was, 0)) => {
                if spread < *was {
                    narrowed += 1;
                } else {
                    still_wide += 1;
                }
                narrowing[symbol.index()] = None;
            }
            Some((_, messages)) => *messages -= 1,
        }
    }
    let counts = &model.counts;
    assert!(counts.halts >= 2, "{} halts", counts.halts);
    assert!(counts.sweeps > counts.messages / 100, "{} sweeps", counts.sweeps);
    // In thousandths of the events, from the least to the most that recordings have, as figures.md tells of them.
    for (kind, count, recorded) in [
        ("adds", counts.adds, 471..=563),
        ("cancels", counts.cancels, 174..=415),
        ("replaces", counts.replaces, 1..=226),
        ("executes", counts.executes, 29..=98),
    ] {
        let share = count * 1_000 / counts.events;
        assert!(recorded.contains(&share), "{share} of 1,000 are {kind}");
    }
    let cancel_ratio = (counts.cancels + counts.replaces) * 1_000 / (counts.adds + counts.replaces);
    assert!((507..=849).contains(&cancel_ratio), "{cancel_ratio}");
    assert!(counts.trims > 0);
    assert!(wide * 50 < sampled, "{wide} of {sampled} spreads are wide");
    assert!(narrowed > 20 * still_wide && narrowed > 100, "{narrowed} narrowed, {still_wide} did not");
}

#[test]
fn nothing_impossible_happens_in_markets_of_other_shapes() {
    // Few instruments at a low rate are halted often; the last start is close to the end of time.
    for (seed, instruments, rate, start) in
        [(0, 1, 1, 0), (u64::MAX, 3, 7, -SECOND), (5, 2_000, 100_000, 0), (9, 12, 40, i64::MAX / 2)]
    {
        let start = Timestamp(start);
        let mut sim = sim(SimSettings {
            seed,
            instruments,
            rate,
            start,
            mode: SimMode::Market,
            ..SimSettings::default()
        });
        let mut model = Model::new(&sim, start);
        let mut events = Vec::new();
        while model.counts.events < 60_000 + 81 * instruments {
            let due = step(&mut sim, &mut events);
            model.apply(due, &events);
        }
        assert_eq!(model.counts.halts > 0, instruments < 100);
    }
}

#[test]
fn a_seed_is_a_market() {
    let events = first_events(SimSettings::default(), 100_000);
    assert_eq!(events, first_events(SimSettings::default(), 100_000));
    assert_eq!(fingerprint(&events), 2_325_730_402);
    let other = first_events(SimSettings { seed: 2, ..SimSettings::default() }, 100_000);
    assert_ne!(fingerprint(&events), fingerprint(&other));

    let quotes = SimSettings { mode: SimMode::Quotes, ..SimSettings::default() };
    let events = first_events(quotes, 10_000);
    assert_eq!(fingerprint(&events), 3_381_216_217);
    assert_ne!(events, first_events(SimSettings { seed: 2, ..quotes }, 10_000));
}

/// CRC32 of all that the events say, number by number.
fn fingerprint(events: &[MarketEvent]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    let mut take = |numbers: &[i64]| numbers.iter().for_each(|number| hasher.update(&number.to_le_bytes()));
    let id = |order: OrderId| order.0.cast_signed();
    let level = |level: Option<Level>| level.map_or([-1, -1], |level| [level.price.0, level.size.0]);
    for event in events {
        take(&[i64::from(event.symbol.0), event.ts_event.0, event.ts_recv.0, event.sequence.cast_signed()]);
        match event.body {
            EventBody::OrderAdd { order, side, level } => {
                take(&[1, id(order), i64::from(side == Side::Ask), level.price.0, level.size.0]);
            }
            EventBody::OrderCancel { order, size } => take(&[2, id(order), size.map_or(-1, |size| size.0)]),
            EventBody::OrderExecute { order, size, trade_id, .. } => {
                take(&[3, id(order), size.0, trade_id.expect("numbered").cast_signed()]);
            }
            EventBody::OrderReplace { order, new_order, level } => {
                take(&[4, id(order), id(new_order), level.price.0, level.size.0]);
            }
            EventBody::Status { status, ref reason } => {
                take(&[5, i64::from(status == TradingStatus::Halted)]);
                reason.bytes().for_each(|byte| take(&[i64::from(byte)]));
            }
            EventBody::Quote { bid, ask } => {
                take(&[6]);
                take(&level(bid));
                take(&level(ask));
            }
            ref other => panic!("not simulated: {other:?}"),
        }
    }
    hasher.finalize()
}

#[test]
fn events_come_at_the_rate_asked_for_and_in_bursts() {
    for (instruments, rate) in [(200, 20), (1, 1), (3, 250_000), (1_000, 3)] {
        let mut sim = sim(SimSettings { instruments, rate, ..SimSettings::default() });
        let (mut events, mut count, mut now) = (Vec::new(), 0_u64, Timestamp(0));
        // How many events the first instrument had in each quarter of a second.
        let mut quarters: BTreeMap<i64, i64> = BTreeMap::new();
        for _ in 0..instruments {
            assert_eq!(step(&mut sim, &mut events), Timestamp(0), "books open at the start");
        }
        while count < 400_000 {
            now = step(&mut sim, &mut events);
            count += events.len() as u64;
            for event in events.iter().filter(|event| event.symbol == SymbolId(0)) {
                *quarters.entry(event.ts_event.0 / (SECOND / 4)).or_default() += 1;
            }
        }
        let asked = u128::from(rate) * instruments as u128 * u128::try_from(now.0).expect("positive");
        let came = u128::from(count) * 1_000_000_000;
        assert!(came.abs_diff(asked) * 50 < asked, "{instruments} at {rate}: {count} events by {now}");
        if (instruments, rate) == (200, 20) {
            // Were arrivals independent, the variance of the counts would be near their mean, which is 5.
            let all = now.0 / (SECOND / 4);
            let sum: i64 = quarters.values().sum();
            let squares: i64 = quarters.values().map(|count| count * count).sum();
            assert!(squares * all - sum * sum > 3 * sum * all, "{sum} and {squares} in {all}");
        }
    }
}

#[test]
fn prices_move_together() {
    let settings = SimSettings { seed: 4, ..SimSettings::default() };
    let mut sim = sim(settings);
    let mut model = Model::new(&sim, settings.start);
    let (mut events, mut held): (_, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut moved, mut with_most) = (SECOND, 0, 0);
    while next < 150 * SECOND {
        let due = step(&mut sim, &mut events);
        while due.0 >= next {
            let mids: Vec<i64> = model
                .books
                .iter()
                .map(|book| book.touch().expect("open"))
                .map(|(bid, ask)| bid + ask)
                .collect();
            let up = held.iter().zip(&mids).filter(|(before, now)| now > before).count();
            let down = held.iter().zip(&mids).filter(|(before, now)| now < before).count();
            moved += up + down;
            with_most += up.max(down);
            held = mids;
            next += 5 * SECOND;
        }
        model.apply(due, &events);
    }
    // Of 200 independent walks about 53 % go the way that most go.
    assert!(with_most * 100 > moved * 63, "{with_most} of {moved}");
}

#[test]
fn quotes_are_exactly_as_many_as_asked_for() {
    let (instruments, rate, seconds) = (7, 13, 20);
    let start = Timestamp(55);
    let settings =
        SimSettings { seed: 1, instruments, rate, mode: SimMode::Quotes, start, ..SimSettings::default() };
    let mut sim = sim(settings);
    let names: Vec<&str> = sim.instruments().iter().map(|instrument| instrument.symbol.as_str()).collect();
    assert_eq!(names[..2], ["SYM00000", "SYM00001"]);
    let scales = sim.instruments().iter().map(|i| (i.price_exponent.get(), i.size_exponent.get()));
    assert!(scales.into_iter().all(|scale| scale == (-2, 0)));

    let mut events = Vec::new();
    let mut held: BTreeMap<SymbolId, (Level, Level)> = BTreeMap::new();
    let mut in_second: BTreeMap<(i64, SymbolId), u64> = BTreeMap::new();
    let per_second = i64::try_from(rate).expect("small") * 7;
    for n in 0..per_second * seconds {
        let due = step(&mut sim, &mut events);
        assert_eq!(due.0, start.0 + n * SECOND / per_second);
        let [MarketEvent { symbol, ts_event, ts_recv, body, .. }] = &events[..] else {
            panic!("one event a message: {events:?}");
        };
        assert_eq!((i64::from(symbol.0), *ts_event, *ts_recv), (n % 7, due, due));
        let EventBody::Quote { bid: Some(bid), ask: Some(ask) } = *body else {
            panic!("quotes only: {body:?}");
        };
        assert!(0 < bid.price.0 && bid.price < ask.price && ask.price.0 < 102_000);
        assert!(bid.size.0 > 0 && ask.size.0 > 0);
        if let Some((old_bid, old_ask)) = held.insert(*symbol, (bid, ask)) {
            assert_eq!((bid.price.0 - old_bid.price.0).abs(), 1);
            assert_eq!((ask.price.0 - old_ask.price.0).abs(), 1);
        }
        *in_second.entry(((due.0 - start.0) / SECOND, *symbol)).or_default() += 1;
    }
    assert_eq!(in_second.len(), 7 * 20);
    assert!(in_second.values().all(|&count| count == rate));
}

#[test]
fn impossible_settings_are_refused() {
    let refused = |settings| matches!(Sim::new(settings), Err(FeedError::Settings(_)));
    let usual = SimSettings::default();
    for mode in [SimMode::Market, SimMode::Quotes] {
        let usual = SimSettings { mode, ..usual };
        assert!(refused(SimSettings { instruments: 0, ..usual }));
        assert!(refused(SimSettings { instruments: INSTRUMENTS_MAX + 1, ..usual }));
        assert!(refused(SimSettings { rate: 0, ..usual }));
        assert!(refused(SimSettings { rate: SIM_EVENTS_PER_SECOND_MAX, ..usual }));
        assert!(refused(SimSettings { rate: u64::MAX, ..usual }));
        assert!(!refused(SimSettings { instruments: 1, rate: SIM_EVENTS_PER_SECOND_MAX, ..usual }));
        let unique: BTreeSet<_> = sim(SimSettings { instruments: INSTRUMENTS_MAX, ..usual })
            .instruments()
            .iter()
            .map(|instrument| instrument.symbol.clone())
            .collect();
        assert_eq!(unique.len(), INSTRUMENTS_MAX);
    }
}

#[test]
fn it_ends_with_time_itself() {
    for mode in [SimMode::Market, SimMode::Quotes] {
        let start = Timestamp(i64::MAX - SECOND);
        let mut sim =
            sim(SimSettings { seed: 1, instruments: 2, rate: 100, mode, start, ..SimSettings::default() });
        let (mut events, mut messages) = (Vec::new(), 0);
        while sim.next_message(&mut events).expect("no failure") != Progress::Ended {
            messages += 1;
        }
        assert!((100..400).contains(&messages), "{messages}");
        let count = events.len();
        assert!(matches!(sim.next_message(&mut events), Ok(Progress::Ended)));
        assert_eq!(events.len(), count);
    }
}
