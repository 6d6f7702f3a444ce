//! A trading day, in as little time as is asked for.
//!
//! ```text
//!  of 1,000 parts    0  opening auction: books fill, nothing trades
//!                   50  one trade at one price; continuous trading, with halts as always
//!                  900  closing auction
//!                  950  one trade at one price; closed, books empty
//!                1,000  the next day
//! ```
//!
//! In continuous trading the rate follows a U, 1/2 + 6 (x - 1/2)² of its mean, x being how much of it has passed: twice the
//! mean at both ends, half of it in the middle. Sixteen times a day on average it is eightfold for 1/400 of the day. Both
//! together leave the mean as it is: ∫ U = 1, and 1 + 16 × 7 / 400 = 32/25, by which everything is divided.

use super::draw::{Draw, ONE};
use crate::Timestamp;

const PARTS: i64 = 1_000;
const BURST: i64 = 8;
const BURSTS_OF_DAY: i64 = 16;
const BURST_OF_DAY: i64 = 400;
/// How much happens in an auction.
const GATHERING: i64 = ONE / 2;

/// A part of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Opening,
    Continuous,
    Closing,
    Closed,
}

impl Phase {
    const fn parts(self) -> i64 {
        match self {
            Self::Opening | Self::Closing | Self::Closed => 50,
            Self::Continuous => 850,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Opening => Self::Continuous,
            Self::Continuous => Self::Closing,
            Self::Closing => Self::Closed,
            Self::Closed => Self::Opening,
        }
    }
}

/// Where in the day the market is.
pub(super) struct Session {
    /// The length of a day.
    day: i64,
    pub(super) phase: Phase,
    /// When the phase began.
    pub(super) since: Timestamp,
    /// The burst that is, or comes next.
    burst: (i64, i64),
}

impl Session {
    pub(super) const fn new(day: i64, start: Timestamp) -> Self {
        Self { day, phase: Phase::Opening, since: start, burst: (i64::MAX, i64::MAX) }
    }

    fn length(&self) -> i64 {
        self.day / PARTS * self.phase.parts()
    }

    /// When the phase ends; `None`: time stamps run out before.
    pub(super) fn until(&self) -> Option<Timestamp> {
        self.since.0.checked_add(self.length()).map(Timestamp)
    }

    /// Begins the next phase at `now`.
    pub(super) fn turn(&mut self, now: Timestamp, draw: &mut Draw) {
        self.phase = self.phase.next();
        self.since = now;
        self.burst = (i64::MAX, i64::MAX);
        if self.phase == Phase::Continuous {
            self.plan_burst(now.0, draw);
        }
    }

    /// How much happens at `now`, of [`ONE`].
    pub(super) fn activity(&mut self, now: Timestamp, draw: &mut Draw) -> i64 {
        if self.phase != Phase::Continuous {
            return GATHERING;
        }
        let passed = i128::from(now.0 - self.since.0) * i128::from(ONE) / i128::from(self.length());
        let off = i64::try_from(passed).unwrap_or(ONE).clamp(0, ONE) - ONE / 2;
        let shape = (ONE / 2 + 6 * off * off / ONE) * 25 / 32;
        while now.0 >= self.burst.1 {
            self.plan_burst(self.burst.0, draw);
        }
        if now.0 >= self.burst.0 { shape * BURST } else { shape }
    }

    /// The next burst begins half to one and a half times the mean after the last one has.
    fn plan_burst(&mut self, last: i64, draw: &mut Draw) {
        let mean = self.day / BURSTS_OF_DAY;
        let wait = mean / 2 + mean / 1_000 * i64::from(draw.below(1_000));
        let begin = last.saturating_add(wait);
        self.burst = (begin, begin.saturating_add(self.day / BURST_OF_DAY));
    }
}
