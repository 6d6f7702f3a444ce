//! Contenders for the same work, measured by criterion one after the other, and then in turns for their ratios: so whatever
//! slows the machine down for a while slows all of them.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use rustix::time::{ClockId, clock_gettime};

/// Turns that each contender has; once suffices in the tests.
const ROUNDS: usize = 15;

/// One way to do the work.
pub(crate) struct Contender<'a> {
    name: &'static str,
    /// Does it once, checks the result, and tells how long the work alone took.
    run: Box<dyn FnMut() -> Duration + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

pub(crate) fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// How long this thread is on the processor for something, and what it comes to: who else wants the processor does not
/// lengthen it. Neither preparing the work nor dropping its result belongs to it.
pub(crate) fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let on_processor = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("not negative");
    let start = on_processor();
    let result = work();
    (on_processor() - start, result)
}

/// Measures all contenders over `elements` messages, and prints what one costs each, beside the first.
pub(crate) fn side_by_side(c: &mut Criterion, name: &str, elements: u64, contenders: &mut [Contender<'_>]) {
    let mut group = c.benchmark_group(name);
    group.sample_size(10).throughput(Throughput::Elements(elements));
    for Contender { name, run } in &mut *contenders {
        group.bench_function(*name, |b| b.iter_custom(|times| (0..times).map(|_| run()).sum()));
    }
    group.finish();

    let rounds = if is_test() { 1 } else { ROUNDS };
    let mut times = vec![Vec::with_capacity(rounds); contenders.len()];
    for _ in 0..rounds {
        for (Contender { run, .. }, times) in contenders.iter_mut().zip(&mut times) {
            times.push(run().as_nanos());
        }
    }
    let medians = times.iter_mut().map(|times| {
        times.sort_unstable();
        times[rounds / 2].max(1)
    });
    let medians: Vec<u128> = medians.collect();
    for (Contender { name: of, .. }, median) in contenders.iter().zip(&medians) {
        let tenths = median * 10 / u128::from(elements);
        let hundredths = median * 100 / medians[0];
        eprintln!(
            "{name}/{of}: {}.{} ns a message in turns, {}.{:02} of the first's",
            tenths / 10,
            tenths % 10,
            hundredths / 100,
            hundredths % 100
        );
    }
}
