//! A capture, taken by a client as if it came from its server.

use std::fmt;
use std::io::{self, BufRead, Read};

use data_encoding::BASE64;

use super::{End, Frame, Head, Kind, Line, VERSION};
use crate::client::{Client, ClientSettings, Event, Sender, Stats};
use crate::limits::{CAPTURE_FAULTS_MAX, CAPTURE_LINE_BYTES_MAX};
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
    /// Whether the capture has an end, with which its states were compared.
    pub has_end: bool,
    /// What is wrong, with the line; the first of many.
    pub faults: Vec<String>,
    /// How many there are.
    pub faults_total: usize,
}

/// Why a file is no capture.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CaptureError {
    /// Which, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

/// Gives a client all that a server sent in a capture, and looks at what becomes of it: each message must follow the state
/// before it, each checksum must agree, and at the end the states must have the numbers that they had then.
///
/// # Errors
/// [`CaptureError`] when it is no capture. What is wrong with what was captured stands in [`Checked::faults`].
pub fn check(mut input: impl BufRead) -> Result<Checked, CaptureError> {
    let mut lines = Lines { input: &mut input, number: 0 };
    let head = match lines.next()? {
        Some(Line::Capture(head)) => head,
        _ => return Err(lines.wrong("a capture begins with the line that `tickwire tap --out` writes first")),
    };
    let mut check = Check::new(&head).map_err(|what| lines.wrong(what))?;
    while let Some(line) = lines.next()? {
        if check.checked.has_end {
            return Err(lines.wrong("something follows the end"));
        }
        match line {
            Line::Capture(_) => return Err(lines.wrong("another capture begins: a file has one")),
            Line::Frame(frame) => check.frame(lines.number, &frame).map_err(|what| lines.wrong(what))?,
            Line::Dropped(dropped) => check.dropped(lines.number, dropped),
            Line::End(end) => check.end(lines.number, &end),
        }
    }
    Ok(check.finish())
}

struct Lines<'a, R> {
    input: &'a mut R,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn wrong(&self, what: impl fmt::Display) -> CaptureError {
        CaptureError { line: self.number.max(1), what: what.to_string() }
    }

    fn next(&mut self) -> Result<Option<Line>, CaptureError> {
        let mut text = Vec::new();
        self.number += 1;
        let read: io::Result<usize> =
            self.input.by_ref().take(CAPTURE_LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if read.map_err(|error| self.wrong(error))? == 0 {
            return Ok(None);
        }
        if text.last() != Some(&b'\n') {
            return Err(self.wrong(format!("it is cut off, or longer than {CAPTURE_LINE_BYTES_MAX} bytes")));
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| self.wrong(error))
    }
}

struct Check {
    client: Client,
    checked: Checked,
    /// Whether the connection has ended, or the client has given it up.
    is_over: bool,
}

impl Check {
    fn new(head: &Head) -> Result<Self, String> {
        let Head { version, url, subprotocol, connection: _ } = head;
        if *version != VERSION {
            return Err(format!("a capture of version {version}: this reads version {VERSION}"));
        }
        let encoding = Encoding::ALL.into_iter().find(|encoding| encoding.subprotocol() == subprotocol);
        let encoding = encoding.ok_or_else(|| format!("the subprotocol `{subprotocol}` is not known"))?;
        let client = Client::of_recorded(url, ClientSettings { encoding, ..ClientSettings::default() });
        let checked = Checked {
            url: url.clone(),
            frames: 0,
            stats: Stats::default(),
            topics: (0, 0),
            has_end: false,
            faults: Vec::new(),
            faults_total: 0,
        };
        Ok(Self { client, checked, is_over: false })
    }

    fn fault(&mut self, line: u64, what: impl fmt::Display) {
        self.checked.faults_total += 1;
        if self.checked.faults.len() < CAPTURE_FAULTS_MAX {
            self.checked.faults.push(format!("line {line}: {what}"));
        }
    }

    fn frame(&mut self, line: u64, frame: &Frame) -> Result<(), String> {
        self.checked.frames += 1;
        let payload = BASE64.decode(frame.payload.as_bytes()).map_err(|error| format!("payload: {error}"))?;
        if frame.from == Sender::Client || self.is_over {
            return Ok(());
        }
        match frame.opcode {
            Kind::Text => match str::from_utf8(&payload) {
                Ok(text) => self.client.take(text),
                Err(error) => self.fault(line, error),
            },
            Kind::Binary => self.client.take_records(&payload),
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
        Ok(())
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
        let now = End::of(&self.client);
        if now == *then {
            return;
        }
        for (what, now, then) in
            [("messages", now.messages, then.messages), ("checksums", now.checksums, then.checksums)]
        {
            if now != then {
                self.fault(line, format_args!("{now} {what}, and {then} when it was captured"));
            }
        }
        for (topic, seq) in &now.topics {
            match then.topics.get(topic) {
                Some(then) if then == seq => {}
                Some(then) => self.fault(line, format_args!("{topic} is at {seq}, and was at {then}")),
                None => self.fault(line, format_args!("{topic} is known, and was not")),
            }
        }
        for topic in then.topics.keys().filter(|topic| !now.topics.contains_key(*topic)) {
            self.fault(line, format_args!("{topic} is not known, and was"));
        }
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
