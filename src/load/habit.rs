//! Clients that do not read steadily: what they do instead, and when.

use std::fmt;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;

/// What a client does beside reading. All but steady ones begin with it once they have their snapshots, and leave it when
/// the window is over, so that they have the time to catch up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Nothing.
    Steady,
    /// It reads no more than so many bytes a second.
    Slow {
        /// Of messages.
        bytes_per_second: u32,
    },
    /// It stops reading now and then.
    Stalling {
        /// How often.
        every: Duration,
        /// For how long.
        pause: Duration,
    },
    /// It drops its connection, and comes back on a new one.
    Dropping {
        /// How often.
        every: Duration,
    },
    /// It leaves a topic, and follows it again.
    Switching {
        /// How often it does one of both.
        every: Duration,
    },
}

impl fmt::Display for Habit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steady => f.write_str("steady"),
            Self::Slow { bytes_per_second } => write!(f, "slow: {bytes_per_second} bytes/s"),
            Self::Stalling { every, pause } => write!(f, "stalling: {pause:?} every {every:?}"),
            Self::Dropping { every } => write!(f, "dropping: every {every:?}"),
            Self::Switching { every } => write!(f, "switching: every {every:?}"),
        }
    }
}

/// What a habit makes a client do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urge {
    Read,
    /// Not to read for that long.
    Wait(Duration),
    Drop,
    Switch,
}

/// Follows a client's habit through time.
#[derive(Debug)]
pub(super) struct Rhythm {
    habit: Habit,
    since: Instant,
    bytes: u64,
}

impl Rhythm {
    /// From now on, when the client has read `bytes`. `phase`, a share of 256, is how far it is towards its first deed: not all
    /// clients shall do it at once.
    pub(super) fn new(habit: Habit, bytes: u64, phase: u8) -> Self {
        let since = monotonic();
        let ahead = match habit {
            Habit::Steady | Habit::Slow { .. } => Duration::ZERO,
            Habit::Stalling { every, .. } | Habit::Dropping { every } | Habit::Switching { every } => {
                every * u32::from(phase) / 256
            }
        };
        Self { habit, since: since.checked_sub(ahead).unwrap_or(since), bytes }
    }

    /// What to do at `now`, after `bytes` were read.
    pub(super) fn urge(&mut self, now: Instant, bytes: u64) -> Urge {
        let passed = now.saturating_duration_since(self.since);
        match self.habit {
            Habit::Steady => Urge::Read,
            Habit::Slow { bytes_per_second } => {
                let read = bytes.saturating_sub(self.bytes).saturating_mul(1_000_000);
                match Duration::from_micros(read / u64::from(bytes_per_second.max(1))).saturating_sub(passed)
                {
                    Duration::ZERO => Urge::Read,
                    wait => Urge::Wait(wait),
                }
            }
            Habit::Stalling { every, pause } if passed >= every => {
                self.since = now + pause;
                Urge::Wait(pause)
            }
            Habit::Dropping { every } if passed >= every => {
                self.since = now;
                Urge::Drop
            }
            Habit::Switching { every } if passed >= every => {
                self.since = now;
                Urge::Switch
            }
            Habit::Stalling { .. } | Habit::Dropping { .. } | Habit::Switching { .. } => Urge::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_slow_client_waits_for_what_it_has_read() {
        let mut rhythm = Rhythm::new(Habit::Slow { bytes_per_second: 1_000 }, 500, 0);
        let start = rhythm.since;
        assert_eq!(rhythm.urge(start, 500), Urge::Read);
        assert_eq!(rhythm.urge(start, 2_500), Urge::Wait(2 * SECOND));
        assert_eq!(rhythm.urge(start + SECOND, 2_500), Urge::Wait(SECOND));
        assert_eq!(rhythm.urge(start + 2 * SECOND, 2_500), Urge::Read);
    }

    #[test]
    fn deeds_recur() {
        let start = monotonic();
        let mut stalling = Rhythm::new(Habit::Stalling { every: 4 * SECOND, pause: SECOND }, 0, 0);
        stalling.since = start;
        let at = |rhythm: &mut Rhythm, seconds| rhythm.urge(start + seconds * SECOND, 0);
        assert_eq!(at(&mut stalling, 3), Urge::Read);
        assert_eq!(at(&mut stalling, 4), Urge::Wait(SECOND));
        assert_eq!(at(&mut stalling, 8), Urge::Read);
        assert_eq!(at(&mut stalling, 9), Urge::Wait(SECOND));
        for (habit, deed) in [
            (Habit::Dropping { every: SECOND }, Urge::Drop),
            (Habit::Switching { every: SECOND }, Urge::Switch),
        ] {
            let mut rhythm = Rhythm::new(habit, 0, 0);
            rhythm.since = start;
            assert_eq!(
                (at(&mut rhythm, 0), at(&mut rhythm, 1), at(&mut rhythm, 1)),
                (Urge::Read, deed, Urge::Read)
            );
            assert_eq!(at(&mut rhythm, 2), deed);
        }
    }
}
