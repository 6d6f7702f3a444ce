//! What one event costs the market, from the event to the changed book, best bid and offer, and list of changes.
//!
//! Hot: every message of a venue goes through here, on one thread. The public anchor for order-by-order books is 61 ns
//! a message (charles-cooper/itch-order-book, a whole ITCH day on a 2012 desktop, books only: no quotes, trades,
//! bars, changes). Some 500 ns would be a regression to look into: it would cap a full-speed replay at 2 million a second.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use feeds::{
    EventBody, Exponent, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, Symbol, SymbolId,
    Timestamp,
};
use tickwire::market::{Change, Market};

const EVENTS: usize = 400_000;
/// Quick enough for every run of the tests.
const EVENTS_IN_TESTS: usize = 20_000;

fn events_of(flow: impl Fn(usize) -> Flow) -> Flow {
    let testing = std::env::args().any(|argument| argument == "--test");
    flow(if testing { EVENTS_IN_TESTS } else { EVENTS })
}

/// Events, and what the market must come to: the sum of all sizes in all books.
struct Flow {
    instruments: Vec<Instrument>,
    /// Fills the books; not timed.
    opening: Vec<MarketEvent>,
    events: Vec<MarketEvent>,
    resting_size: i128,
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough randomness for a shape, the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: i64) -> i64 {
        i64::try_from(self.next() % bound.unsigned_abs()).expect("below an i64")
    }

    /// Ticks from the touch: near it half of the time, seldom far.
    fn ticks(&mut self) -> i64 {
        let widest = 1 << (1 + self.below(7));
        self.below(widest)
    }
}

fn instruments(count: usize) -> Vec<Instrument> {
    (0..count)
        .map(|n| Instrument {
            symbol: Symbol::new(&format!("SYM{n:05}")).expect("a symbol"),
            venue: "TEST",
            price_exponent: Exponent::new(-4).expect("valid"),
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        })
        .collect()
}

fn event(symbol: usize, time: usize, body: EventBody) -> MarketEvent {
    let time = Timestamp(i64::try_from(time).expect("small") * 1_000);
    MarketEvent { symbol: SymbolId::from_index(symbol), ts_event: time, ts_recv: time, sequence: 0, body }
}

/// Orders as in ITCH: numbers ascending over all books; of 100 messages 45 adds, 42 cancels, 8 replaces and 5
/// executions of the best; most orders live shortly. Some books are busier than others.
fn order_flow(books: usize, count: usize) -> Flow {
    struct Resting {
        id: OrderId,
        side: Side,
        level: Level,
    }
    let mut random = Random(7);
    let mut resting: Vec<VecDeque<Resting>> = (0..books).map(|_| VecDeque::new()).collect();
    let mut number = 0;
    let mut next_id = || {
        number += 1;
        OrderId(number)
    };
    let mut events = Vec::new();
    let opening_count = books * 100;
    while events.len() < opening_count + count {
        let bound = i64::try_from(books).expect("small");
        let symbol = usize::try_from(random.below(bound).min(random.below(bound))).expect("not negative");
        let book = &mut resting[symbol];
        let side = if random.below(2) == 0 { Side::Bid } else { Side::Ask };
        let price = |ticks: i64| match side {
            Side::Bid => Price(1_000_000 - 100 * (1 + ticks)),
            Side::Ask => Price(1_000_000 + 100 * (1 + ticks)),
        };
        let opening = events.len() < opening_count;
        let body = match random.below(100) {
            kind if opening || kind < 45 || book.len() < 20 => {
                let order = Resting {
                    id: next_id(),
                    side,
                    level: Level { price: price(random.ticks()), size: Size(100 * (1 + random.below(9))) },
                };
                let body = EventBody::OrderAdd { order: order.id, side, level: order.level };
                book.push_back(order);
                body
            }
            45..87 => {
                // Of four cancels three are of the newest orders.
                let newest = book.len() - 1 - usize::try_from(random.below(8)).expect("small");
                let any = usize::try_from(random.below(20)).expect("small");
                let position = if random.below(4) == 0 { any } else { newest };
                let order = book.remove(position).expect("at least 20 rest");
                EventBody::OrderCancel { order: order.id, size: None }
            }
            87..95 => {
                let position = book.len() - 1 - usize::try_from(random.below(8)).expect("small");
                let order = &mut book[position];
                let (old, new_order) = (order.id, next_id());
                let ticks = if order.side == side { random.ticks() } else { 0 };
                order.id = new_order;
                order.level.size = Size(100 * (1 + random.below(9)));
                if order.side == side {
                    order.level.price = price(ticks);
                }
                EventBody::OrderReplace { order: old, new_order, level: order.level }
            }
            _ => {
                let best = (0..book.len())
                    .filter(|&position| book[position].side == side)
                    .min_by_key(|&position| (book[position].level.price.0 - 1_000_000).abs());
                let Some(position) = best else { continue };
                let order = book[position].id;
                let size = book[position].level.size;
                book.remove(position);
                EventBody::OrderExecute { order, size, price: None, trade_id: None, printable: true }
            }
        };
        events.push(event(symbol, events.len(), body));
    }
    let resting_size = resting.iter().flatten().map(|order| i128::from(order.level.size.0)).sum();
    let timed = events.split_off(opening_count);
    Flow { instruments: instruments(books), opening: events, events: timed, resting_size }
}

/// Levels as a crypto venue sends them: mostly near the touch, a third of them deletions.
fn level_flow(books: usize, count: usize) -> Flow {
    let mut random = Random(11);
    let mut levels = vec![std::collections::BTreeMap::<(bool, i64), i64>::new(); books];
    let mut events = Vec::new();
    let opening_count = books * 200;
    while events.len() < opening_count + count {
        let symbol =
            usize::try_from(random.below(i64::try_from(books).expect("small"))).expect("not negative");
        let bid = random.below(2) == 0;
        let ticks = 1 + if events.len() < opening_count { random.below(128) } else { random.ticks() };
        let price = 1_000_000 + if bid { -100 * ticks } else { 100 * ticks };
        let size = if random.below(3) == 0 { 0 } else { 1 + random.below(1_000) };
        levels[symbol].insert((bid, price), size);
        let side = if bid { Side::Bid } else { Side::Ask };
        let level = Level { price: Price(price), size: Size(size) };
        events.push(event(symbol, events.len(), EventBody::LevelSet { side, level }));
    }
    let resting_size =
        levels.iter().flat_map(std::collections::BTreeMap::values).map(|size| i128::from(*size)).sum();
    let timed = events.split_off(opening_count);
    Flow { instruments: instruments(books), opening: events, events: timed, resting_size }
}

fn apply_all(market: &mut Market, events: &[MarketEvent], changes: &mut Vec<Change>) {
    for event in events {
        changes.clear();
        market.apply(event, changes);
        black_box(market.quote(event.symbol));
    }
}

fn run(criterion: &mut Criterion, name: &str, flow: &Flow) {
    let mut changes = Vec::new();
    let opened = || {
        let mut market = Market::new(&flow.instruments);
        apply_all(&mut market, &flow.opening, &mut Vec::new());
        market
    };
    let mut market = opened();
    apply_all(&mut market, &flow.events, &mut changes);
    let faults = market.faults();
    assert_eq!((faults.unknown_orders, faults.duplicate_adds, faults.crossed, faults.refused), (0, 0, 0, 0));
    let held: i128 = (0..flow.instruments.len())
        .map(|index| market.book(SymbolId::from_index(index)))
        .flat_map(|book| book.bids().chain(book.asks()))
        .map(|level| i128::from(level.size.0))
        .sum();
    assert_eq!(held, flow.resting_size);

    let mut group = criterion.benchmark_group("book");
    group.throughput(Throughput::Elements(flow.events.len() as u64)).sample_size(20);
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            opened,
            |market| apply_all(market, &flow.events, &mut changes),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn by_order(criterion: &mut Criterion) {
    run(criterion, "by order, 500 books", &events_of(|count| order_flow(500, count)));
    run(criterion, "by order, 8000 books", &events_of(|count| order_flow(8_000, count)));
}

fn by_level(criterion: &mut Criterion) {
    run(criterion, "by level, 500 books", &events_of(|count| level_flow(500, count)));
}

criterion_group!(benches, by_order, by_level);
criterion_main!(benches);
