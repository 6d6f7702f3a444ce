//! When changes were due, and when they came.

use feeds::Timestamp;
use hdrhistogram::Histogram;

use super::Window;
use crate::limits::LOAD_LATENCY_MAX;

/// Latencies of the changes that were due in a window, in microseconds, to three digits.
#[derive(Debug)]
pub(super) struct Latencies {
    histogram: Histogram<u64>,
    /// Of what came in the first and in the last third of the window, whenever it was due: a backlog that grows shows in
    /// the difference.
    thirds: [Histogram<u64>; 2],
    came_after: u64,
    due_before: u64,
    off_clock: u64,
}

/// What a change's time stamp says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Due in the window.
    Inside,
    /// Due before or after it.
    Outside,
    /// Not of our clock.
    OffClock,
}

impl Latencies {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new(3).expect("three digits are within 0 to 5");
        let thirds = [histogram.clone(), histogram.clone()];
        Self { histogram, thirds, came_after: 0, due_before: 0, off_clock: 0 }
    }

    /// Takes a change that was due at `due`, and was there at `now`.
    pub(super) fn take(&mut self, window: Window, due: Timestamp, now: Timestamp) -> Moment {
        if due > now || now.since(due) > LOAD_LATENCY_MAX {
            self.off_clock += 1;
            return Moment::OffClock;
        }
        let micros = u64::try_from(now.since(due).as_micros()).unwrap_or(u64::MAX);
        let third = window.until.since(window.from) / 3;
        let histogram = if now < window.from || now >= window.until {
            None
        } else if now.since(window.from) < third {
            Some(&mut self.thirds[0])
        } else if window.until.since(now) <= third {
            Some(&mut self.thirds[1])
        } else {
            None
        };
        if let Some(histogram) = histogram {
            histogram.record(micros).expect("a histogram that grows takes every number");
        }
        if due < window.from || due >= window.until {
            self.due_before += u64::from(due < window.from && now >= window.from);
            return Moment::Outside;
        }
        self.came_after += u64::from(now >= window.until);
        self.histogram.record(micros).expect("a histogram that grows takes every number");
        Moment::Inside
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("a histogram that grows takes every other");
        for (own, other) in self.thirds.iter_mut().zip(&other.thirds) {
            own.add(other).expect("a histogram that grows takes every other");
        }
        self.came_after += other.came_after;
        self.due_before += other.due_before;
        self.off_clock += other.off_clock;
    }

    /// Changes that were due in the window and came.
    pub(super) fn due(&self) -> u64 {
        self.histogram.len()
    }

    /// Of those, the ones that came after it.
    pub(super) const fn came_after(&self) -> u64 {
        self.came_after
    }

    /// Changes that came when the window was open or over, and were due before it.
    pub(super) const fn due_before(&self) -> u64 {
        self.due_before
    }

    /// Changes that were not stamped by our clock.
    pub(super) const fn off_clock(&self) -> u64 {
        self.off_clock
    }

    /// In microseconds. `quantile`: 0.999 for p99.9.
    pub(super) fn at(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }

    /// The same of what came in the first and in the last third of the window; `None` where in one of them nothing came.
    pub(super) fn of_thirds(&self, quantile: f64) -> Option<[u64; 2]> {
        let is_known = self.thirds.iter().all(|third| !third.is_empty());
        is_known.then(|| self.thirds.each_ref().map(|third| third.value_at_quantile(quantile)))
    }

    pub(super) fn max(&self) -> u64 {
        self.histogram.max()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn what_was_due_in_the_window_counts_however_late_it_comes() {
        let window = Window { from: Timestamp(10_000 * SECOND), until: Timestamp(10_002 * SECOND) };
        let at = |micros: i64| Timestamp(10_000 * SECOND + micros * 1_000);
        let mut latencies = Latencies::new();
        assert_eq!(latencies.take(window, at(-1), at(5)), Moment::Outside);
        assert_eq!(latencies.take(window, at(2_000_000), at(2_000_009)), Moment::Outside);
        assert_eq!(latencies.take(window, at(3), at(2)), Moment::OffClock);
        assert_eq!(latencies.take(window, Timestamp(10_000), at(2)), Moment::OffClock);
        assert_eq!((latencies.due(), latencies.off_clock()), (0, 2));
        // A stall of one second in a schedule of one change a millisecond: all that were due meanwhile are late.
        for millis in 0..2_000 {
            let received = if millis < 1_000 { 1_000_000 } else { millis * 1_000 + 50 };
            assert_eq!(latencies.take(window, at(millis * 1_000), at(received)), Moment::Inside);
        }
        assert_eq!(latencies.take(window, at(-7), at(-5)), Moment::Outside);
        assert_eq!(latencies.take(window, at(-7), at(2_000_100)), Moment::Outside);
        assert_eq!(latencies.take(window, at(1_999_999), at(2_000_000)), Moment::Inside);
        let mut sum = Latencies::new();
        sum.add(&latencies);
        assert_eq!((sum.due_before(), sum.came_after()), (2, 1));
        assert_eq!((sum.due(), sum.off_clock()), (2_001, 2));
        let near = |value: u64, expected: u64| value.abs_diff(expected) <= expected / 1_000;
        assert_eq!(sum.at(0.5), 50);
        assert!(near(sum.at(0.75), 500_000), "{}", sum.at(0.75));
        assert!(near(sum.at(0.99), 980_000), "{}", sum.at(0.99));
        assert!(near(sum.at(0.999), 998_000), "{}", sum.at(0.999));
        assert!(near(sum.max(), 1_000_000), "{}", sum.max());
    }

    #[test]
    fn a_backlog_that_grows_shows_between_the_thirds() {
        let window = Window { from: Timestamp(10_000 * SECOND), until: Timestamp(10_003 * SECOND) };
        let mut latencies = Latencies::new();
        assert_eq!(latencies.of_thirds(0.99), None);
        // All of it was due before the window, and is the older the later it comes.
        for millis in -100..3_100 {
            let now = Timestamp(window.from.0 + millis * 1_000_000);
            let age = Duration::from_millis(500 + u64::try_from(millis + 100).unwrap() * 2);
            latencies.take(window, Timestamp(now.0 - i64::try_from(age.as_nanos()).unwrap()), now);
        }
        let [first, last] = latencies.of_thirds(0.5).unwrap();
        assert!(first.abs_diff(1_700_000) < 5_000 && last.abs_diff(5_700_000) < 10_000, "{first} {last}");
    }
}
