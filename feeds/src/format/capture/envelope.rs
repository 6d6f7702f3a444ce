//! The lines of a capture, without their payloads' meaning.

use std::ops::Range;
use std::path::Path;

use crate::limits::LINE_BYTES_MAX;
use crate::venue::json::{self, Json};
use crate::venue::{MILLISECONDS, NANOSECONDS, Problem, VenueError, decimal, seconds};
use crate::{FeedError, Input, Timestamp};

/// Reads a capture line by line into memory that is kept.
///
/// Nearly all lines are messages in the very form that the recorder writes. Of those only the beginning is read here, and
/// the payload is left where it is, to be read there by the venue ([`Envelope::nested`]): that it is read to its end is
/// what says that the line is JSON. Where it cannot be read so, the line is taken apart as any other
/// ([`Envelope::take_apart`]), which copies the payload without its escapes.
pub(super) struct Envelope {
    input: Input,
    json: Json,
    wrapping: Wrapping,
    /// The venue, as the header spells it; empty where there is no header.
    exchange: String,
    line: Vec<u8>,
    /// Where the line begins.
    offset: u64,
    place: Place,
    /// A payload without its escapes.
    unescaped: Vec<u8>,
    connection: String,
    /// The URL of an `http` line, the address of a `connect` line; else empty.
    url: String,
}

/// How a line holds its payload.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// As a text in an object of JSON; the first line is a header.
    Object,
    /// `<nanoseconds> <payload>`.
    Stamped,
    /// The line is the payload, and the time the venue's own, `ts` in milliseconds.
    Bare,
}

/// Where the line's payload is.
enum Place {
    /// Within a text of the line, whose escapes it has.
    Nested(Range<usize>),
    /// In the line from here on.
    Line(usize),
    Unescaped,
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Connect,
    Send,
    Recv,
    Http,
    Unknown,
}

pub(super) struct Line {
    pub(super) kind: Kind,
    /// When it was received; of unknown lines without a time, that of the line before.
    pub(super) ts_recv: Timestamp,
}

impl Envelope {
    /// Opens a capture, reads its header, and goes to the line at `start`, or the first one after the header.
    pub(super) fn open(path: &Path, start: u64) -> Result<Self, FeedError> {
        let mut envelope = Self {
            input: Input::open(path)?,
            json: Json::default(),
            wrapping: Wrapping::Object,
            exchange: String::new(),
            line: Vec::new(),
            offset: 0,
            place: Place::Unescaped,
            unescaped: Vec::new(),
            connection: String::new(),
            url: String::new(),
        };
        let unknown = |reason: String| FeedError::UnknownFormat { path: path.to_owned(), reason };
        if !envelope.input.read_line(&mut envelope.line, LINE_BYTES_MAX)? {
            return Err(unknown("an empty file".to_owned()));
        }
        if split_stamp(&envelope.line).is_some() {
            envelope.wrapping = Wrapping::Stamped;
        } else if envelope.line.starts_with(BARE_BEGINNING) {
            envelope.wrapping = Wrapping::Bare;
        }
        if envelope.wrapping == Wrapping::Object {
            envelope.exchange = envelope
                .json
                .parse(false, &envelope.line, |line| {
                    let line = json::as_object(line, "line")?;
                    let is_header = json::text(&line, "t")? == HEADER;
                    Ok(is_header.then_some(json::text(&line, "exchange")?.to_owned()))
                })
                .map_err(|error| {
                    let reason = envelope.reason(&error);
                    unknown(format!("the first line is no header of a capture: {reason}"))
                })?
                .ok_or_else(|| unknown("the first line is no header of a capture".to_owned()))?;
        } else {
            // The first line is a message.
            envelope.input = Input::open(path)?;
        }
        while envelope.input.offset() < start
            && envelope.input.read_line(&mut envelope.line, LINE_BYTES_MAX)?
        {}
        Ok(envelope)
    }

    /// How its lines hold their payloads.
    pub(super) const fn wrapping(&self) -> Wrapping {
        self.wrapping
    }

    /// The venue, as the header spells it; empty where there is no header.
    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    /// Reads the next line, blank ones and further headers aside; `None` at `end` or the end of the file. `ts_before` is
    /// the time of the line before.
    pub(super) fn next_line(
        &mut self,
        end: Option<u64>,
        ts_before: Timestamp,
    ) -> Result<Option<Line>, FeedError> {
        loop {
            self.offset = self.input.offset();
            if end.is_some_and(|end| self.offset >= end)
                || !self.input.read_line(&mut self.line, LINE_BYTES_MAX)?
            {
                return Ok(None);
            }
            if self.line.is_empty() {
                continue;
            }
            if let Some(line) =
                self.parse_line(ts_before).map_err(|error| self.damaged(self.reason(&error)))?
            {
                return Ok(Some(line));
            }
        }
    }

    /// Where the line begins.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The name of the line's connection.
    pub(super) fn connection(&self) -> &str {
        &self.connection
    }

    /// The line's payload as it stands within a text of the line, with its escapes; `None`: it is [`Envelope::payload`].
    pub(super) fn nested(&self) -> Option<&[u8]> {
        match &self.place {
            Place::Nested(range) => Some(&self.line[range.clone()]),
            _ => None,
        }
    }

    /// Takes a line apart whose payload could not be read where it stands.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] when the line is not what it looked like.
    pub(super) fn take_apart(&mut self) -> Result<(), FeedError> {
        let taken = self.parse_object(Timestamp::default());
        taken.map(|_| ()).map_err(|error| self.damaged(self.reason(&error)))
    }

    /// The line's payload.
    pub(super) fn payload(&mut self) -> &mut [u8] {
        match self.place {
            Place::Line(start) => &mut self.line[start..],
            _ => &mut self.unescaped,
        }
    }

    /// The address of a `connect` line; empty where it has none.
    pub(super) fn address(&self) -> &str {
        &self.url
    }

    /// The request of an `http` line.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The request and the payload of an `http` line.
    pub(super) fn answer(&mut self) -> (&str, &mut [u8]) {
        (&self.url, &mut self.unescaped)
    }

    /// The error for this line.
    pub(super) fn damaged(&self, reason: String) -> FeedError {
        FeedError::Damaged { path: self.input.path().to_owned(), offset: self.offset, reason }
    }

    /// What is wrong with the line. One that is no JSON and has no line end is the beginning of one: only the last line
    /// of a file has none, and is then as long as what was read of it.
    fn reason(&self, error: &VenueError) -> String {
        let is_cut = self.input.offset() - self.offset == self.line.len() as u64;
        match &error.problem {
            Problem::Json(_) if is_cut => "the file ends within a line".to_owned(),
            _ => error.to_string(),
        }
    }

    /// `None` for a header: captures that were put together from several have one for each.
    fn parse_line(&mut self, ts_before: Timestamp) -> Result<Option<Line>, VenueError> {
        match self.wrapping {
            Wrapping::Object => match self.look_at_usual() {
                Some(line) => Ok(Some(line)),
                None => self.parse_object(ts_before),
            },
            Wrapping::Stamped => {
                let (stamp, payload) = split_stamp(&self.line)
                    .ok_or_else(|| VenueError::expected("line", "<nanoseconds> <JSON>"))?;
                self.place = Place::Line(self.line.len() - payload.len());
                let ts_recv = decimal("line", stamp, NANOSECONDS)?;
                Ok(Some(Line { kind: Kind::Recv, ts_recv }))
            }
            Wrapping::Bare => {
                let stamp =
                    raw_number(&self.line, b"ts").ok_or_else(|| VenueError::expected("ts", "a number"))?;
                let ts_recv = decimal("ts", stamp, MILLISECONDS)?;
                self.place = Place::Line(0);
                Ok(Some(Line { kind: Kind::Recv, ts_recv }))
            }
        }
    }

    /// Reads a line in the form that the recorder writes messages and answers in, up to the payload, which is taken to be
    /// all that is left. `None`: it is not of that form.
    fn look_at_usual(&mut self) -> Option<Line> {
        let rest = self.line.strip_prefix(br#"{"t":""#)?;
        let (kind, rest) = match rest.strip_prefix(br#"recv","conn":""#) {
            Some(rest) => (Kind::Recv, rest),
            None => (Kind::Http, rest.strip_prefix(br#"http","conn":""#)?),
        };
        let (connection, rest) = json::plain_text(rest)?;
        let rest = rest.strip_prefix(br#","ts":"#)?;
        let (time, rest) = rest.split_at(rest.iter().position(|byte| *byte == b',')?);
        let (url, rest) = match kind {
            Kind::Http => json::plain_text(rest.strip_prefix(br#","url":""#)?)?,
            _ => ("", rest),
        };
        let payload = rest.strip_prefix(br#","data":""#)?.strip_suffix(br#""}"#)?;
        // Whatever else a number may begin with, a number of JSON may not in all cases.
        let ts_recv = seconds("ts", time).ok().filter(|_| matches!(time, [b'1'..=b'9', ..]))?;
        let end = self.line.len() - br#""}"#.len();
        self.place = Place::Nested(end - payload.len()..end);
        if connection != self.connection {
            connection.clone_into(&mut self.connection);
        }
        url.clone_into(&mut self.url);
        Some(Line { kind, ts_recv })
    }

    fn parse_object(&mut self, ts_before: Timestamp) -> Result<Option<Line>, VenueError> {
        let time = raw_number(&self.line, b"ts").map(|text| seconds("ts", text));
        let Self { json, line, exchange, place, unescaped, connection, url, .. } = self;
        *place = Place::Unescaped;
        json.parse(false, line, |line| {
            let line = json::as_object(line, "line")?;
            let kind = match json::text(&line, "t")? {
                "recv" => Kind::Recv,
                "http" => Kind::Http,
                "connect" => Kind::Connect,
                "send" => Kind::Send,
                HEADER if json::text(&line, "exchange")? == exchange => return Ok(None),
                HEADER => return Err(VenueError::expected("exchange", "the venue of the first header")),
                _ => {
                    let ts_recv = time.and_then(Result::ok).unwrap_or(ts_before);
                    return Ok(Some(Line { kind: Kind::Unknown, ts_recv }));
                }
            };
            json::text(&line, "conn")?.clone_into(connection);
            unescaped.clear();
            if matches!(kind, Kind::Recv | Kind::Http) {
                unescaped.extend_from_slice(json::text(&line, "data")?.as_bytes());
            }
            url.clear();
            match kind {
                Kind::Http => url.push_str(json::text(&line, "url")?),
                Kind::Connect => url.push_str(json::text_if_any(&line, "addr").unwrap_or_default()),
                _ => {}
            }
            let ts_recv = time.unwrap_or_else(|| Err(VenueError::expected("ts", "a number")))?;
            Ok(Some(Line { kind, ts_recv }))
        })
    }
}

const HEADER: &str = "header";

/// How the first line begins of what Bybit offers for download.
const BARE_BEGINNING: &[u8] = br#"{"topic""#;

/// Whether a file that begins so is a capture.
pub(crate) fn is_capture(head: &[u8]) -> bool {
    let digits = head.iter().take_while(|byte| byte.is_ascii_digit()).count();
    head.starts_with(b"{") || (digits > 0 && head[digits..].starts_with(b" {"))
}

/// The parts of `<nanoseconds> <payload>`.
fn split_stamp(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (stamp, rest) = line.split_at(digits);
    Some((stamp, rest.strip_prefix(b" ")?)).filter(|(stamp, _)| !stamp.is_empty())
}

/// The digits of the number that stands behind `key` in the outermost object of a line of JSON.
///
/// It goes over keys and values by their quotes and brackets only, and is stricter than JSON in that the key must be
/// written without escapes. Whether the line is JSON at all is for the parser to say.
fn raw_number<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let start = at + 1;
                at = start + json::closing_quote(line.get(start..)?)?;
                let behind = line.get(at + 1..)?.trim_ascii_start();
                if depth == 1
                    && line.get(start..at) == Some(key)
                    && let Some(value) = behind.strip_prefix(b":")
                {
                    let value = value.trim_ascii_start();
                    let length = value.iter().take_while(|byte| !b",}] \t\r".contains(byte)).count();
                    return value.get(..length);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_taken_from_the_outermost_object() {
        let number = |line: &'static str| raw_number(line.as_bytes(), b"ts").map(|text| text.to_vec());
        assert_eq!(number(r#"{"t":"recv","ts":12.5,"data":""}"#), Some(b"12.5".to_vec()));
        assert_eq!(number(r#"{"a":{"ts":1},"data":"{\"ts\":2}\\","ts" : 3 }"#), Some(b"3".to_vec()));
        assert_eq!(number(r#"{"conn":"ts","ts":4}"#), Some(b"4".to_vec()));
        assert_eq!(number(r#"{"ts":"5"}"#), Some(br#""5""#.to_vec()));
        for none in ["", "{", r#"{"ts"#, r#"["ts",1]"#, r#"}"ts":1"#, r#"{"t":"recv"}"#] {
            assert_eq!(number(none), None, "{none}");
        }
    }
}
