//! How long to wait before connecting anew.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Waits that double up to a limit, each jittered between its half and its whole, so that the clients of a server that
/// went away do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
    at_least: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first, at_least: Duration::ZERO }
    }

    pub(super) fn next_wait(&mut self) -> Duration {
        let whole = self.next.min(self.max);
        self.next = whole.saturating_mul(2).min(self.max);
        let half = whole / 2;
        let half_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        // Every `RandomState` has other keys: randomness enough to spread clients, and no dependency.
        let jitter = RandomState::new().build_hasher().finish().checked_rem(half_ns).unwrap_or(0);
        std::mem::take(&mut self.at_least).max(half + Duration::from_nanos(jitter))
    }

    /// The next wait is not shorter than what the server asks for, up to the limit: a server does not send clients away
    /// for days.
    pub(super) fn wait_at_least(&mut self, at_least: Duration) {
        self.at_least = at_least.min(self.max);
    }

    pub(super) const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_jittered_by_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(500));
        for whole in [100, 200, 400, 500, 500] {
            let wait = backoff.next_wait();
            assert!(wait >= ms(whole) / 2 && wait < ms(whole), "{wait:?} of {whole} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() < ms(100));
        backoff.wait_at_least(ms(450));
        assert_eq!(backoff.next_wait(), ms(450));
        backoff.wait_at_least(ms(100_000));
        assert_eq!(backoff.next_wait(), ms(500));
        let waits: Vec<Duration> = (0..8).map(|_| backoff.next_wait()).collect();
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]), "no jitter: {waits:?}");
        assert_eq!(Backoff::new(Duration::ZERO, ms(1)).next_wait(), Duration::ZERO);
    }
}
