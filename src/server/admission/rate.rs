//! How often something may happen: GCRA, which needs one number a limit and no timer.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Time that only grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Monotonic;

impl Clock for Monotonic {
    type Instant = Instant;

    fn now(&self) -> Instant {
        monotonic()
    }
}

/// So often, on average; and so many at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// A second.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

/// What one client has used up of a limit.
pub(crate) struct Meter<C: Clock = Monotonic> {
    limit: Limit,
    state: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
}

impl<C: Clock + Clone> Meter<C> {
    pub(crate) fn new(limit: Limit, clock: &C) -> Self {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst);
        Self { limit, state: RateLimiter::direct_with_clock(quota, clock.clone()) }
    }

    /// Counts one more; one of another limit than the last begins anew.
    ///
    /// # Errors
    /// How long to wait for it, when it is one too many.
    pub(crate) fn take(&mut self, limit: Limit) -> Result<(), Duration> {
        if limit != self.limit {
            *self = Self::new(limit, &self.state.clock().clone());
        }
        self.state.check().map_err(|not_until| not_until.wait_time_from(self.state.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(per_second: u32, burst: u32) -> Limit {
        let [per_second, burst] = [per_second, burst].map(|n| NonZeroU32::new(n).expect("not 0"));
        Limit { per_second, burst }
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let mut rate = Meter::new(limit(10, 3), &clock);
        for _ in 0..3 {
            assert_eq!(rate.take(limit(10, 3)), Ok(()));
        }
        assert_eq!(rate.take(limit(10, 3)), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(99));
        assert_eq!(rate.take(limit(10, 3)), Err(Duration::from_millis(1)), "refusals cost nothing");
        clock.advance(Duration::from_millis(1));
        assert_eq!(rate.take(limit(10, 3)), Ok(()));
        assert!(rate.take(limit(10, 3)).is_err());
        clock.advance(Duration::from_secs(3_600));
        let taken = (0..10).take_while(|_| rate.take(limit(10, 3)).is_ok()).count();
        assert_eq!(taken, 3, "rest is not saved up beyond the burst");
    }

    #[test]
    fn a_new_limit_holds_at_once() {
        let clock = FakeRelativeClock::default();
        let mut rate = Meter::new(limit(1, 1), &clock);
        assert_eq!(rate.take(limit(1, 1)), Ok(()));
        assert_eq!(rate.take(limit(1, 1)), Err(Duration::from_secs(1)));
        for _ in 0..5 {
            assert_eq!(rate.take(limit(1, 5)), Ok(()));
        }
        assert_eq!(rate.take(limit(1, 5)), Err(Duration::from_secs(1)));
    }
}
