//! A made-up market, written by order and by level: the books of the two must be one.

use proptest::prelude::*;

use super::*;

/// What happens next: an order joins, or the nth of those that rest is cut down, moved or taken.
#[derive(Clone, Debug)]
enum Step {
    Add { is_ask: bool, ticks: i64, size: u32 },
    Cancel { nth: usize, size: u32 },
    Modify { nth: usize, ticks: i64, size: u32 },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<bool>(), 1..16_i64, 1..50_u32).prop_map(|(is_ask, ticks, size)| Step::Add { is_ask, ticks, size }),
        3 => (0..64_usize, 1..60_u32).prop_map(|(nth, size)| Step::Cancel { nth, size }),
        2 => (0..64_usize, 1..16_i64, 1..50_u32).prop_map(|(nth, ticks, size)| Step::Modify { nth, ticks, size }),
        1 => Just(Step::Clear),
    ]
}

/// A resting order: its side, its price in units of 10⁻⁹, its size.
type Resting = BTreeMap<u64, (bool, i64, u32)>;

fn price(is_ask: bool, ticks: i64) -> i64 {
    5_000 * ONE + if is_ask { ticks } else { -ticks } * ONE / 4
}

/// The best ten of each side, as `mbp-10` has them.
fn levels(resting: &Resting) -> [BidAskPair; 10] {
    let mut sides: [BTreeMap<i64, u32>; 2] = Default::default();
    for (is_ask, price, size) in resting.values() {
        *sides[usize::from(*is_ask)].entry(*price).or_default() += size;
    }
    let mut bids = sides[0].iter().rev();
    let mut asks = sides[1].iter();
    let none = (&UNDEF_PRICE, &0);
    std::array::from_fn(|_| {
        let ((bid, bid_size), (ask, ask_size)) = (bids.next().unwrap_or(none), asks.next().unwrap_or(none));
        pair((*bid, *bid_size), (*ask, *ask_size))
    })
}

proptest! {
    #[test]
    fn books_by_order_and_by_level_are_one(steps in prop::collection::vec(step(), 1..120), version in 1..4_u8) {
        let names = vec![mapping("ESM4", &[(NOON - DAY, NOON + DAY, ESM4)])];
        let mut by_order = Writer::with(&metadata(version, names.clone()));
        let mut by_level = Writer::with(&metadata(version, names));
        let mut resting = Resting::new();
        let mut expected = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let at = at as u64;
            let nth = |nth: usize| {
                let keys: Vec<_> = resting.keys().copied().collect();
                keys.get(nth % keys.len().max(1)).copied()
            };
            let record = match *step {
                Step::Add { is_ask, ticks, size } => {
                    resting.insert(at, (is_ask, price(is_ask, ticks), size));
                    mbo(at, b'A', if is_ask { b'A' } else { b'B' }, at, price(is_ask, ticks), size)
                }
                Step::Cancel { nth: n, size } => {
                    let Some(order) = nth(n) else { continue };
                    let held = resting.get_mut(&order).expect("rests");
                    let taken = size.min(held.2);
                    held.2 -= taken;
                    let record = mbo(at, b'C', if held.0 { b'A' } else { b'B' }, order, held.1, taken);
                    resting.retain(|_, order| order.2 > 0);
                    record
                }
                Step::Modify { nth: n, ticks, size } => {
                    let Some(order) = nth(n) else { continue };
                    let held = resting.get_mut(&order).expect("rests");
                    (held.1, held.2) = (price(held.0, ticks), size);
                    mbo(at, b'M', if held.0 { b'A' } else { b'B' }, order, held.1, size)
                }
                Step::Clear => {
                    resting.clear();
                    mbo(at, b'R', b'N', 0, UNDEF_PRICE, 0)
                }
            };
            by_order.record(&record);
            by_level.record(&Mbp10Msg {
                hd: RecordHeader::new::<Mbp10Msg>(rtype::MBP_10, GLBX, ESM4, record.hd.ts_event),
                price: record.price,
                size: record.size,
                action: record.action,
                side: record.side,
                flags: record.flags,
                ts_recv: record.ts_recv,
                levels: levels(&resting),
                ..Mbp10Msg::default()
            });
            let shown = levels(&resting);
            let side = |of: fn(&BidAskPair) -> (i64, u32)| {
                let levels = shown.iter().map(of).filter(|(price, _)| *price != UNDEF_PRICE);
                levels.map(|(price, size)| (i128::from(price), i64::from(size))).collect::<Vec<_>>()
            };
            expected.push([side(|level| (level.bid_px, level.bid_sz)), side(|level| (level.ask_px, level.ask_sz))]);
        }
        for file in [&by_order, &by_level] {
            let (messages, reader, end) = read(&save(file.bytes()));
            prop_assert!(end.is_none(), "{:?}", end);
            prop_assert_eq!(messages.len(), expected.len());
            let mut book = Book::default();
            for ((_, events), expected) in messages.iter().zip(&expected) {
                events.iter().for_each(|event| book.apply(&event.body));
                let decimals = u32::from(reader.instruments()[0].price_exponent.get().unsigned_abs());
                let unit = 10_i128.pow(9 - decimals);
                let found = book.top(10).map(|side| {
                    side.iter().map(|level| (i128::from(level.price.0) * unit, level.size.0)).collect::<Vec<_>>()
                });
                prop_assert_eq!(&found, expected);
            }
            prop_assert_eq!(book.unknown, 0);
        }
    }
}
