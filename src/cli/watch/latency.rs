//! How good the connection is, as it is measured here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use feeds::Timestamp;
use hdrhistogram::Histogram;

use crate::client::Stats;
use crate::limits::{LOAD_LATENCY_MAX, WATCH_RATES_MAX};

/// Seconds after which a half of what the percentiles are of is forgotten.
const TURN_SECONDS: u32 = 10;

/// Measured and counted.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    /// From the venue's time of a change until it was here.
    pub(super) ages: Recent,
    /// Changes that were not stamped by a clock like ours: of a recording, or late.
    pub(super) off_clock: u64,
    /// There and back.
    pub(super) trips: Recent,
    /// By how many microseconds the server's clock is ahead of ours, by the last answer.
    pub(super) ahead: Option<i64>,
    /// The question that was not answered yet: its number, and when it was asked.
    asked: Option<(i64, Instant, Timestamp)>,
    /// Updates of each of the last seconds, the newest last.
    pub(super) rates: VecDeque<u64>,
    pub(super) bytes_per_second: u64,
    /// All that was counted, as it was at the last second.
    pub(super) stats: Stats,
    counted: Option<Instant>,
    turn: u32,
}

/// Times of the last ten to twenty seconds, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Recent {
    now: Histogram<u64>,
    before: Histogram<u64>,
}

/// In microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantiles {
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self {
            ages: Recent::new(),
            off_clock: 0,
            trips: Recent::new(),
            ahead: None,
            asked: None,
            rates: VecDeque::new(),
            bytes_per_second: 0,
            stats: Stats::default(),
            counted: None,
            turn: 0,
        }
    }

    /// A change of that time is here.
    pub(super) fn came(&mut self, ts_event: Timestamp, now: Timestamp) {
        if ts_event > now || now.since(ts_event) > LOAD_LATENCY_MAX {
            self.off_clock += 1;
        } else {
            self.ages.add(now.since(ts_event));
        }
    }

    /// The server was asked for its time.
    pub(super) const fn asked(&mut self, request: i64, at: Instant, now: Timestamp) {
        self.asked = Some((request, at, now));
    }

    /// It was told.
    pub(super) fn answered(&mut self, request: i64, ts: Timestamp, at: Instant) {
        let Some((_, sent, now)) = self.asked.take_if(|(asked, ..)| *asked == request) else { return };
        let trip = at.saturating_duration_since(sent);
        self.trips.add(trip);
        self.ahead = Some(ts.micros().saturating_sub(now.plus(trip / 2).micros()));
    }

    /// A second has passed, or somewhat more.
    pub(super) fn second(&mut self, stats: Stats, at: Instant) {
        if let Some(counted) = self.counted {
            let passed = at.saturating_duration_since(counted).as_millis().max(1);
            let a_second = |now: u64, before: u64| {
                let rate = u128::from(now.saturating_sub(before)) * 1_000 / passed;
                u64::try_from(rate).unwrap_or(u64::MAX)
            };
            self.bytes_per_second = a_second(stats.wire_bytes, self.stats.wire_bytes);
            if self.rates.len() == WATCH_RATES_MAX {
                self.rates.pop_front();
            }
            self.rates.push_back(a_second(stats.updates, self.stats.updates));
        }
        self.counted = Some(at);
        self.stats = stats;
        self.turn = (self.turn + 1) % TURN_SECONDS;
        if self.turn == 0 {
            self.ages.turn();
            self.trips.turn();
        }
    }
}

impl Recent {
    fn new() -> Self {
        let histogram = Histogram::new(2).expect("two digits are within 0 to 5");
        Self { before: histogram.clone(), now: histogram }
    }

    fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.now.record(micros).expect("a histogram that grows takes every number");
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.reset();
    }

    /// `None`: nothing was measured.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mut all = self.now.clone();
        all.add(&self.before).expect("a histogram that grows takes every other");
        (!all.is_empty()).then(|| Quantiles {
            p50: all.value_at_quantile(0.5),
            p90: all.value_at_quantile(0.9),
            p99: all.value_at_quantile(0.99),
            max: all.max(),
        })
    }
}

/// A time for people.
pub(super) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{}.{} s", micros / 1_000_000, micros % 1_000_000 / 100_000),
    }
}

/// A number of bytes for people.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes % 1_000_000_000 / 100_000_000),
    }
}

/// A count for people: `1,234,567`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use feeds::clock::monotonic;

    use super::*;

    #[test]
    fn ages_are_of_our_clock_and_of_late() {
        let mut latency = Latency::new();
        assert_eq!(latency.ages.quantiles(), None);
        let start = Timestamp(1_763_848_800_000_000_000);
        let now = start.plus(Duration::from_secs(10_000));
        for millis in 1..=100 {
            latency.came(now, now.plus(Duration::from_millis(millis)));
        }
        latency.came(start, now);
        latency.came(now, start);
        assert_eq!(latency.off_clock, 2);
        let Quantiles { p50, p90, p99, max } = latency.ages.quantiles().expect("measured");
        for (quantile, millis) in [(p50, 50), (p90, 90), (p99, 99), (max, 100)] {
            assert!((millis * 990..=millis * 1_010).contains(&quantile), "{quantile} µs for {millis} ms");
        }
        let at = monotonic();
        for _ in 0..TURN_SECONDS {
            latency.second(Stats::default(), at);
        }
        assert!(latency.ages.quantiles().is_some());
        for _ in 0..TURN_SECONDS {
            latency.second(Stats::default(), at);
        }
        assert_eq!(latency.ages.quantiles(), None);
    }

    #[test]
    fn an_answer_tells_of_its_own_question() {
        let mut latency = Latency::new();
        let (at, now) = (monotonic(), Timestamp(1_000_000_000));
        latency.asked(7, at, now);
        let back = at + Duration::from_millis(4);
        latency.answered(6, now, back);
        assert_eq!((latency.trips.quantiles(), latency.ahead), (None, None));
        latency.answered(7, now.plus(Duration::from_millis(5)), back);
        assert_eq!(latency.ahead, Some(3_000));
        assert!(latency.trips.quantiles().is_some_and(|trips| (3_950..=4_050).contains(&trips.p50)));
        latency.answered(7, now, back);
        assert_eq!(latency.ahead, Some(3_000));
    }

    #[test]
    fn rates_are_by_the_time_that_has_passed() {
        let mut latency = Latency::new();
        let mut at = monotonic();
        let mut stats = Stats::default();
        latency.second(stats, at);
        assert!(latency.rates.is_empty());
        for _ in 0..WATCH_RATES_MAX + 5 {
            stats.updates += 300;
            stats.wire_bytes += 9_000;
            at += Duration::from_millis(1_500);
            latency.second(stats, at);
        }
        assert_eq!((latency.rates.len(), latency.bytes_per_second), (WATCH_RATES_MAX, 6_000));
        assert!(latency.rates.iter().all(|rate| *rate == 200), "{:?}", latency.rates);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([micros(999), micros(12_345), micros(1_250_000)], ["999 µs", "12.3 ms", "1.2 s"]);
        assert_eq!(
            [bytes(999), bytes(1_500), bytes(2_345_678), bytes(u64::MAX)],
            ["999 B", "1.5 kB", "2.3 MB", "18446744073.7 GB"]
        );
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
