//! How far a long file has been read, for somebody who watches.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;

const EVERY: Duration = Duration::from_secs(1);
/// Messages between two looks at the clock.
const MESSAGES_PER_LOOK: u64 = 1_024;
/// To the start of the line, and nothing after it.
const WIPE: &str = "\r\x1b[K";

/// One line on standard error, written over once a second and wiped at the end; nothing where that is no terminal.
/// Opening a recording may take as long as reading it, and says nothing meanwhile.
pub(super) struct Progress {
    /// `None`: nobody watches.
    last: Option<Instant>,
    path: String,
}

impl Progress {
    pub(super) fn new(path: &Path) -> Self {
        let last = std::io::stderr().is_terminal().then(monotonic);
        let progress = Self { last, path: path.display().to_string() };
        progress.show("opening");
        progress
    }

    pub(super) fn at(&mut self, messages: u64) {
        let Some(last) = &mut self.last else { return };
        if !messages.is_multiple_of(MESSAGES_PER_LOOK) {
            return;
        }
        let now = monotonic();
        if now.duration_since(*last) >= EVERY {
            *last = now;
            self.show(&format!("{messages} messages"));
        }
    }

    fn show(&self, what: &str) {
        self.write(&format!("{WIPE}{}: {what}", self.path));
    }

    /// A terminal that is gone is no reason to stop reading.
    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        if self.last.is_some() && stderr.write_all(text.as_bytes()).is_ok() {
            stderr.flush().ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.write(WIPE);
    }
}
