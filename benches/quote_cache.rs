//! What it costs to publish a quote to other threads, and to read it there, beside the usual concurrent map.
//!
//! Hot: every quote is written once and read by every shard that has somebody to tell. A reader that had to wait for
//! a writer would hold all clients of its shard; the latch costs a few nanoseconds more than the simplest lock so
//! that none ever does.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use feeds::{Level, Price, Size, SymbolId, Timestamp};
use rustc_hash::FxBuildHasher;
use tickwire::market::quotes::{CachedQuote, quote_cache};
use tickwire::state::Quote;

const INSTRUMENTS: u32 = 1_000;

/// Every field follows from `seq`, so that a reader can see that it has a whole one.
fn quote_of(seq: u64) -> CachedQuote {
    let n = i64::try_from(seq).expect("small");
    let level = |price, size| Some(Level { price: Price(price), size: Size(size) });
    let quote = Quote { bid: level(n, n + 1), ask: level(n + 2, n + 3) };
    CachedQuote { quote, seq, ts_event: Timestamp(n) }
}

/// Scattered over all instruments.
fn symbol_of(step: u64) -> SymbolId {
    let index = step.wrapping_mul(0x9E37_79B9) % u64::from(INSTRUMENTS);
    SymbolId(u32::try_from(index).expect("below INSTRUMENTS"))
}

fn latch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quote_cache");
    let (mut writer, reader) = quote_cache(INSTRUMENTS as usize);
    let mut step = 0;
    group.bench_function("latch write", |bencher| {
        bencher.iter(|| {
            step += 1;
            writer.set(symbol_of(step), black_box(&quote_of(step)));
        });
    });
    assert_eq!(reader.get(symbol_of(step)), quote_of(step));

    let mut step = 0;
    group.bench_function("latch read", |bencher| {
        bencher.iter(|| {
            step += 1;
            reader.get(symbol_of(step))
        });
    });

    // One instrument for both: the worst that can meet.
    writer.set(SymbolId(0), &quote_of(0));
    let done = AtomicBool::new(false);
    let mut newest = 0;
    let mut wrong: Option<CachedQuote> = None;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 0;
            while !done.load(Ordering::Relaxed) {
                seq += 1;
                writer.set(SymbolId(0), &quote_of(seq));
            }
        });
        group.bench_function("latch read while it is written", |bencher| {
            bencher.iter(|| {
                let read = reader.get(SymbolId(0));
                if read.seq < newest || read != quote_of(read.seq) {
                    wrong = Some(read);
                }
                newest = read.seq;
            });
        });
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(wrong, None, "torn, or older than one before");
    group.finish();
}

fn dashmap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("quote_cache");
    let map = DashMap::<SymbolId, CachedQuote, FxBuildHasher>::default();
    for index in 0..INSTRUMENTS {
        map.insert(SymbolId(index), CachedQuote::default());
    }
    let mut step = 0;
    group.bench_function("DashMap write", |bencher| {
        bencher.iter(|| {
            step += 1;
            map.insert(symbol_of(step), black_box(quote_of(step)));
        });
    });
    assert_eq!(map.get(&symbol_of(step)).as_deref(), Some(&quote_of(step)));
    let mut step = 0;
    group.bench_function("DashMap read", |bencher| {
        bencher.iter(|| {
            step += 1;
            map.get(&symbol_of(step)).map(|quote| *quote)
        });
    });
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 0;
            while !done.load(Ordering::Relaxed) {
                seq += 1;
                map.insert(SymbolId(0), quote_of(seq));
            }
        });
        group.bench_function("DashMap read while it is written", |bencher| {
            bencher.iter(|| map.get(&SymbolId(0)).map(|quote| *quote));
        });
        done.store(true, Ordering::Relaxed);
    });
    group.finish();
}

criterion_group!(benches, latch, dashmap);
criterion_main!(benches);
