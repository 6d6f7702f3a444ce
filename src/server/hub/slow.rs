//! Who does not keep up, by name.

use std::time::Instant;

use tracing::{Level, debug, enabled};

use super::Inner;
use crate::limits::{SLOW_NAMED_EVERY, SLOW_NAMED_MAX};

impl Inner {
    /// Names the laggards for whom most waits in the log, now and then.
    pub(super) fn name_slow(&mut self, now: Instant) {
        let laggards = self.shard.laggards();
        if laggards.is_empty()
            || now.duration_since(self.named_at) < SLOW_NAMED_EVERY
            || !enabled!(Level::DEBUG)
        {
            return;
        }
        let sockets = laggards.iter().filter_map(|&connection| {
            let socket = self.sockets[connection].as_ref()?;
            Some((socket.waiting_bytes(), connection, socket.peer))
        });
        let mut slow: Vec<_> = sockets.collect();
        slow.sort_unstable_by(|a, b| b.cmp(a));
        let names = slow.iter().take(SLOW_NAMED_MAX).map(|(bytes, connection, peer)| {
            let subject = self.subject(*connection).unwrap_or("nobody in particular");
            format!("{peer} ({subject}): {bytes} bytes")
        });
        debug!(
            count = slow.len(),
            slowest = names.collect::<Vec<_>>().join(", "),
            "clients do not keep up: bytes that wait for each"
        );
        self.named_at = now;
    }
}
