//! The lines of a capture, read one by one.

use std::fmt;
use std::io::{self, BufRead, Read};

use data_encoding::BASE64;

use super::{End, Frame, Head, Line, VERSION};
use crate::limits::CAPTURE_LINE_BYTES_MAX;
use crate::wire::Encoding;
use crate::wire::admin::Dropped;

/// Why a file is no capture.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CaptureError {
    /// Which, from 1.
    pub line: u64,
    /// What is wrong there.
    pub what: String,
}

/// A line behind the first.
pub(super) enum Entry {
    /// With what it carries.
    Frame(Frame, Vec<u8>),
    Dropped(Dropped),
    End(End),
}

pub(super) struct Lines<R> {
    input: R,
    /// Of the line that was read last, from 1.
    number: u64,
    is_of_another: bool,
    has_ended: bool,
}

impl<R: BufRead> Lines<R> {
    /// Reads the first line: where it was captured, and how data was written.
    pub(super) fn begin(input: R) -> Result<(Self, String, Encoding), CaptureError> {
        let mut lines = Self { input, number: 0, is_of_another: false, has_ended: false };
        let Some(Line::Capture(Head { version, url, subprotocol, connection })) = lines.read()? else {
            return Err(lines.wrong("a capture begins with the line that `tickwire tap --out` writes first"));
        };
        lines.is_of_another = connection.is_some();
        if version != VERSION {
            return Err(
                lines.wrong(format_args!("a capture of version {version}: this reads version {VERSION}"))
            );
        }
        match Encoding::ALL.into_iter().find(|encoding| encoding.subprotocol() == subprotocol) {
            Some(encoding) => Ok((lines, url, encoding)),
            None => Err(lines.wrong(format_args!("the subprotocol `{subprotocol}` is not known"))),
        }
    }

    /// Whether the connection was not that of who captured it.
    pub(super) const fn is_of_another(&self) -> bool {
        self.is_of_another
    }

    /// The line that was read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// What is wrong with the line that was read last.
    pub(super) fn wrong(&self, what: impl fmt::Display) -> CaptureError {
        CaptureError { line: self.number.max(1), what: what.to_string() }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, CaptureError> {
        let Some(line) = self.read()? else { return Ok(None) };
        if self.has_ended {
            return Err(self.wrong("something follows the end"));
        }
        match line {
            Line::Capture(_) => Err(self.wrong("another capture begins: a file has one")),
            Line::Frame(frame) => {
                let payload = BASE64.decode(frame.payload.as_bytes());
                let payload = payload.map_err(|error| self.wrong(format_args!("payload: {error}")))?;
                Ok(Some(Entry::Frame(frame, payload)))
            }
            Line::Dropped(dropped) => Ok(Some(Entry::Dropped(dropped))),
            Line::End(end) => {
                self.has_ended = true;
                Ok(Some(Entry::End(end)))
            }
        }
    }

    fn read(&mut self) -> Result<Option<Line>, CaptureError> {
        let mut text = Vec::new();
        self.number += 1;
        let read: io::Result<usize> =
            self.input.by_ref().take(CAPTURE_LINE_BYTES_MAX).read_until(b'\n', &mut text);
        if read.map_err(|error| self.wrong(error))? == 0 {
            return Ok(None);
        }
        if text.last() != Some(&b'\n') {
            return Err(
                self.wrong(format_args!("it is cut off, or longer than {CAPTURE_LINE_BYTES_MAX} bytes"))
            );
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| self.wrong(error))
    }
}
