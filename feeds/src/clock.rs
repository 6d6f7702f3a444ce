//! The only place that reads the time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Whole microseconds, rounded down: what the JSON protocol carries, exact in a JavaScript number.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This point moved by `duration`; the far future where that would overflow.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with nanoseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(timestamp) => write!(f, "{timestamp:.9}"),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

/// Why a text is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time: RFC 3339 such as 2021-04-17T16:48:52.5Z, or nanoseconds since 1970")]
pub struct TimestampError(String);

impl FromStr for Timestamp {
    type Err = TimestampError;

    /// Reads RFC 3339, or whole nanoseconds since the Unix epoch.
    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let wrong = || TimestampError(text.to_owned());
        if let Ok(nanoseconds) = text.parse() {
            return Ok(Self(nanoseconds));
        }
        let time: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
        i64::try_from(time.as_nanosecond()).map(Self).map_err(|_| wrong())
    }
}

/// How fast a recording's time passes against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Thousandths of real time: 1,000 is 1×, 100,000 is 100×.
    Times {
        /// Thousandths; at least 1.
        thousandths: u64,
    },
    /// No waiting at all.
    Max,
}

impl Speed {
    /// As fast as it was recorded.
    pub const REAL: Self = Self::Times { thousandths: 1_000 };
}

/// What time it is.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Stands still until it is set: for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock for tests, which stands at `now` until [`Clock::set`] moves it.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(now.0)))
    }

    /// The time now.
    ///
    /// # Panics
    /// On a machine whose clock stands outside the years 1970 to 2262.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock past 1970");
                Timestamp(i64::try_from(since_epoch.as_nanos()).expect("a clock before 2262"))
            }
            Self::Manual(now) => Timestamp(now.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock; no effect on the system's.
    pub fn set(&self, now: Timestamp) {
        if let Self::Manual(cell) = self {
            cell.store(now.0, Ordering::Release);
        }
    }
}

/// Time that never runs backwards, for measuring how long something took.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// A recording's time, which runs at a [`Speed`] against a clock: from a time on if it is given one, else from the first
/// time stamp it is asked about.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    clock: Clock,
    speed: Speed,
    /// What was recorded before is due at once.
    from: Option<Timestamp>,
    /// When ours and the recording's time were put together: (ours, the recording's).
    anchor: Option<(Timestamp, Timestamp)>,
}

impl VirtualClock {
    /// A clock that has not started yet.
    #[must_use]
    pub const fn new(clock: Clock, speed: Speed, from: Option<Timestamp>) -> Self {
        Self { clock, speed, from, anchor: None }
    }

    /// How long from now until `recorded` is due; zero if it is due or overdue. The first call starts the clock; each
    /// that asks about what comes before the beginning starts it anew, so that the time taken by that is not made up for.
    pub fn wait(&mut self, recorded: Timestamp) -> Duration {
        let now = self.clock.now();
        match self.from {
            Some(from) if recorded < from => self.anchor = Some((now, from)),
            _ => _ = self.anchor.get_or_insert((now, recorded)),
        }
        let Some(due) = self.due(recorded) else { return Duration::ZERO };
        Duration::from_nanos(u64::try_from(due - i128::from(now.0)).unwrap_or(0))
    }

    /// How long ago `recorded` was due; zero if it is not yet, or no time is kept at all.
    #[must_use]
    pub fn late(&self, recorded: Timestamp) -> Duration {
        let Some(due) = self.due(recorded) else { return Duration::ZERO };
        Duration::from_nanos(u64::try_from(i128::from(self.clock.now().0) - due).unwrap_or(0))
    }

    /// When `recorded` is due by our clock; `None` before the first call of [`VirtualClock::wait`], and without a pace.
    fn due(&self, recorded: Timestamp) -> Option<i128> {
        let Speed::Times { thousandths } = self.speed else { return None };
        let (our_start, recorded_start) = self.anchor?;
        let recorded = self.from.map_or(recorded, |from| recorded.max(from));
        let elapsed =
            i128::from(recorded.0.saturating_sub(recorded_start.0)) * 1_000 / i128::from(thousandths.max(1));
        Some(i128::from(our_start.0) + elapsed)
    }

    /// Starts over at the next time stamp it is asked about: a recording begins again.
    pub const fn restart(&mut self) {
        self.anchor = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_runs_at_its_speed() {
        let clock = Clock::manual(Timestamp(5_000_000_000));
        let mut tenfold = VirtualClock::new(clock.clone(), Speed::Times { thousandths: 10_000 }, None);
        assert_eq!(tenfold.wait(Timestamp(100)), Duration::ZERO);
        assert_eq!(tenfold.wait(Timestamp(1_000_000_100)), Duration::from_millis(100));
        clock.set(Timestamp(5_060_000_000));
        assert_eq!(tenfold.wait(Timestamp(1_000_000_100)), Duration::from_millis(40));
        clock.set(Timestamp(9_000_000_000));
        assert_eq!(tenfold.wait(Timestamp(1_000_000_100)), Duration::ZERO);
        assert_eq!(tenfold.late(Timestamp(1_000_000_100)), Duration::from_millis(3_900));
        assert_eq!(tenfold.late(Timestamp(i64::MAX)), Duration::ZERO);
        tenfold.restart();
        assert_eq!(tenfold.wait(Timestamp(77_000_000_000)), Duration::ZERO);

        let mut unpaced = VirtualClock::new(clock, Speed::Max, None);
        assert_eq!(unpaced.wait(Timestamp(i64::MAX)), Duration::ZERO);
    }

    #[test]
    fn what_comes_before_the_beginning_is_due_at_once_and_takes_no_time() {
        let clock = Clock::manual(Timestamp(5_000_000_000));
        let begin = Timestamp(1_000_000_000);
        let speed = Speed::Times { thousandths: 1_000 };
        let mut pace = VirtualClock::new(clock.clone(), speed, Some(begin));
        for (now, recorded) in [(5_000_000_000, 7), (6_000_000_000, 900_000_000)] {
            clock.set(Timestamp(now));
            assert_eq!(pace.wait(Timestamp(recorded)), Duration::ZERO);
            assert_eq!(pace.late(Timestamp(recorded)), Duration::ZERO);
        }
        assert_eq!(pace.wait(Timestamp(1_250_000_000)), Duration::from_millis(250));
        clock.set(Timestamp(6_300_000_000));
        assert_eq!(pace.wait(Timestamp(1_250_000_000)), Duration::ZERO);
        assert_eq!(pace.late(Timestamp(1_250_000_000)), Duration::from_millis(50));

        // A recording that begins later than that begins with its first message.
        let mut pace = VirtualClock::new(clock, speed, Some(Timestamp::default()));
        assert_eq!(pace.wait(begin), Duration::ZERO);
        assert_eq!(pace.wait(Timestamp(1_500_000_000)), Duration::from_millis(500));
    }

    #[test]
    fn timestamps_show_as_rfc_3339() {
        assert_eq!(Timestamp(1_618_678_132_358_447_000).to_string(), "2021-04-17T16:48:52.358447000Z");
        assert_eq!(Timestamp(-1).micros(), -1);
        for text in
            ["2021-04-17T16:48:52.358447000Z", "1618678132358447000", "2021-04-17T18:48:52.358447+02:00"]
        {
            assert_eq!(text.parse(), Ok(Timestamp(1_618_678_132_358_447_000)), "{text}");
        }
        for wrong in ["", "noon", "2021-04-17", "2500-01-01T00:00:00Z", "99999999999999999999"] {
            assert_eq!(wrong.parse::<Timestamp>(), Err(TimestampError(wrong.to_owned())));
        }
    }
}
