//! The terminal: taken, and given back whatever happens; and what is typed.

use std::io;
use std::thread;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc::{Receiver, channel};

use crate::limits::WATCH_KEYS_MAX;

/// A terminal of which the whole screen is ours, as long as this lives. A panic gives it back before it is told.
pub(super) struct Terminal(DefaultTerminal);

impl Terminal {
    pub(super) fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self).inspect_err(|_| give_back())
    }

    pub(super) const fn inner(&mut self) -> &mut DefaultTerminal {
        &mut self.0
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // One that is gone needs nothing.
        let _ = self.0.show_cursor();
        // After a panic that is done, and what it said stands there: to leave the screen once more would write over it.
        if !thread::panicking() {
            give_back();
        }
    }
}

fn give_back() {
    let _ = ratatui::try_restore();
}

/// What is typed, and changes of size, until the terminal is gone. The thread that waits for them ends with the process.
pub(super) fn inputs() -> io::Result<Receiver<Event>> {
    let (sender, inputs) = channel(WATCH_KEYS_MAX);
    thread::Builder::new().name("keys".to_owned()).spawn(move || {
        while let Ok(input) = event::read()
            && sender.blocking_send(input).is_ok()
        {}
    })?;
    Ok(inputs)
}
