//! A capture, taken by a client as if it came from its server.

use std::fmt;
use std::io::BufRead;

use super::lines::{CaptureError, Entry, Lines};
use super::{End, Frame, Kind};
use crate::client::{Client, ClientSettings, Event, Sender, Stats};
use crate::limits::CAPTURE_FAULTS_MAX;
use crate::wire::Encoding;
use crate::wire::admin::Dropped;

/// What a client made of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Where it was captured.
    pub url: String,
    /// Messages and control frames, of both sides.
    pub frames: u64,
    /// What the client counted.
    pub stats: Stats,
    /// Topics that were followed at the end, and how many of them were known.
    pub topics: (usize, usize),
    /// Whether the connection was another's, of whose client no capture knows the end.
    pub is_of_another: bool,
    /// Whether the capture has an end, with which its states were compared.
    pub has_end: bool,
    /// What is wrong, with the line; the first of many.
    pub faults: Vec<String>,
    /// How many there are.
    pub faults_total: usize,
}

impl Checked {
    /// Whether nothing is missing at its end: of another's connection, nobody knows one.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.has_end || self.is_of_another
    }
}

/// Gives a client all that a server sent in a capture, and looks at what becomes of it: each message must follow the state
/// before it, each checksum must agree, and at the end the states must have the numbers that they had then.
///
/// # Errors
/// [`CaptureError`] when it is no capture. What is wrong with what was captured stands in [`Checked::faults`].
pub fn check(input: impl BufRead) -> Result<Checked, CaptureError> {
    let (mut lines, url, encoding) = Lines::begin(input)?;
    let mut check = Check::new(url, encoding, lines.is_of_another());
    while let Some(entry) = lines.next()? {
        match entry {
            Entry::Frame(frame, payload) => check.frame(lines.number(), &frame, &payload),
            Entry::Dropped(dropped) => check.dropped(lines.number(), dropped),
            Entry::End(end) => check.end(lines.number(), &end),
        }
    }
    Ok(check.finish())
}

struct Check {
    client: Client,
    checked: Checked,
    /// Whether the connection has ended, or the client has given it up.
    is_over: bool,
}

impl Check {
    fn new(url: String, encoding: Encoding, is_of_another: bool) -> Self {
        let client = Client::of_recorded(&url, ClientSettings { encoding, ..ClientSettings::default() });
        let checked = Checked {
            url,
            frames: 0,
            stats: Stats::default(),
            topics: (0, 0),
            is_of_another,
            has_end: false,
            faults: Vec::new(),
            faults_total: 0,
        };
        Self { client, checked, is_over: false }
    }

    fn fault(&mut self, line: u64, what: impl fmt::Display) {
        self.checked.faults_total += 1;
        if self.checked.faults.len() < CAPTURE_FAULTS_MAX {
            self.checked.faults.push(format!("line {line}: {what}"));
        }
    }

    fn frame(&mut self, line: u64, frame: &Frame, payload: &[u8]) {
        self.checked.frames += 1;
        if frame.from == Sender::Client || self.is_over {
            return;
        }
        match frame.opcode {
            Kind::Text => match str::from_utf8(payload) {
                Ok(text) => self.client.take(text),
                Err(error) => self.fault(line, error),
            },
            Kind::Binary => self.client.take_records(payload),
            Kind::Close => self.is_over = true,
            Kind::Ping | Kind::Pong => {}
        }
        while let Some(event) = self.client.take_event() {
            match event {
                Event::Diverged { channel, symbol, divergence } => {
                    self.fault(line, format_args!("{channel} of {symbol}: {divergence}"));
                }
                Event::Disconnected(why) => {
                    self.fault(line, why);
                    self.is_over = true;
                }
                _ => {}
            }
        }
    }

    /// What follows could only be proven with what is missing.
    fn dropped(&mut self, line: u64, Dropped { messages }: Dropped) {
        if !self.is_over {
            self.fault(line, format_args!("{messages} messages are missing: what follows is not looked at"));
            self.is_over = true;
        }
    }

    /// What is known now has to be what was known then.
    fn end(&mut self, line: u64, then: &End) {
        self.checked.has_end = true;
        End::of(&self.client).compare(then, |what| self.fault(line, what));
    }

    fn finish(mut self) -> Checked {
        self.checked.stats = *self.client.stats();
        self.checked.topics = self.client.topics();
        let unaccounted = self.checked.stats.unaccounted;
        if unaccounted > 0 {
            self.checked.faults_total += 1;
            self.checked
                .faults
                .push(format!("{unaccounted} changes that numbers and counts do not agree on"));
        }
        self.checked
    }
}
