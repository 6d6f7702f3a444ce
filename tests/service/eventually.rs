//! Waiting for what comes to be.

use std::time::Duration;

use feeds::clock::monotonic;

use super::program::PATIENCE;

/// Looks at a condition until it holds.
///
/// # Panics
/// When that takes longer than [`PATIENCE`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = monotonic();
    while !holds() {
        assert!(monotonic().duration_since(start) < PATIENCE, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
