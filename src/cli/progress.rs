//! How far long work has come, for somebody who watches.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use feeds::clock::monotonic;

const EVERY: Duration = Duration::from_secs(1);
/// Messages between two looks at the clock.
const MESSAGES_PER_LOOK: u64 = 1_024;
/// To the start of the line, and nothing after it.
const WIPE: &str = "\r\x1b[K";
/// Characters of a bar.
const BAR_LEN: u64 = 24;

/// One line on standard error, written over and wiped at the end; nothing where that is no terminal.
pub(super) struct Progress {
    /// When it was written last; `None`: nobody watches.
    last: Option<Instant>,
    what: String,
}

impl Progress {
    /// Of work on `what`.
    pub(super) fn of(what: impl Display) -> Self {
        let last = std::io::stderr().is_terminal().then(monotonic);
        Self { last, what: what.to_string() }
    }

    /// Says at once how far it is.
    pub(super) fn show(&self, state: impl Display) {
        if self.last.is_some() {
            self.write(&format!("{WIPE}{}: {state}", self.what));
        }
    }

    /// Says once a second how many messages were read, and of how much that is how much.
    pub(super) fn at(&mut self, messages: u64, share: Option<(u64, u64)>) {
        let Some(last) = &mut self.last else { return };
        if !messages.is_multiple_of(MESSAGES_PER_LOOK) {
            return;
        }
        let now = monotonic();
        if now.duration_since(*last) >= EVERY {
            *last = now;
            let bar = share.map(|(done, of)| bar(done, of) + " ").unwrap_or_default();
            self.show(format_args!("{bar}{messages} messages"));
        }
    }

    /// A terminal that is gone is no reason to stop.
    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        if stderr.write_all(text.as_bytes()).is_ok() {
            stderr.flush().ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.last.is_some() {
            self.write(WIPE);
        }
    }
}

/// A share as a bar and in percent.
pub(super) fn bar(done: u64, of: u64) -> String {
    let share = |whole: u64| {
        let part = u128::from(done.min(of)) * u128::from(whole) / u128::from(of.max(1));
        usize::try_from(part).unwrap_or_default()
    };
    let full = share(BAR_LEN);
    let empty = usize::try_from(BAR_LEN).unwrap_or_default() - full;
    format!("[{}{}] {:>3} %", "#".repeat(full), "-".repeat(empty), share(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        assert_eq!(bar(0, 7), "[------------------------]   0 %");
        assert_eq!(bar(1, 2), "[############------------]  50 %");
        assert_eq!(bar(7, 7), "[########################] 100 %");
        assert_eq!(bar(9, 7), bar(7, 7));
        assert_eq!(bar(0, 0), "[------------------------]   0 %");
        assert_eq!(bar(u64::MAX, u64::MAX), bar(7, 7));
    }
}
