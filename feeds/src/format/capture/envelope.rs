//! The lines of a capture, without their payloads' meaning.

use std::path::Path;

use crate::limits::LINE_BYTES_MAX;
use crate::venue::json::{self, Json};
use crate::venue::{Problem, VenueError, seconds};
use crate::{FeedError, Input, Timestamp};

/// Reads a capture line by line into memory that is kept.
///
/// A line is parsed in place, which unescapes the payload; the payload is then copied once, to be parsed in place by
/// the venue. The time is taken from the line's own digits before, because a JSON parser would make it a float.
pub(super) struct Envelope {
    input: Input,
    json: Json,
    exchange: String,
    line: Vec<u8>,
    /// Where the line begins.
    offset: u64,
    payload: Vec<u8>,
    connection: String,
    /// The URL of an `http` line, the address of a `connect` line; else empty.
    url: String,
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
            exchange: String::new(),
            line: Vec::new(),
            offset: 0,
            payload: Vec::new(),
            connection: String::new(),
            url: String::new(),
        };
        let unknown = |reason: String| FeedError::UnknownFormat { path: path.to_owned(), reason };
        if !envelope.input.read_line(&mut envelope.line, LINE_BYTES_MAX)? {
            return Err(unknown("an empty file".to_owned()));
        }
        envelope.exchange = envelope
            .json
            .parse(&mut envelope.line, |line| {
                let line = json::as_object(line, "line")?;
                let is_header = json::text(&line, "t")? == HEADER;
                Ok(is_header.then_some(json::text(&line, "exchange")?.to_owned()))
            })
            .map_err(|error| {
                let reason = envelope.reason(&error);
                unknown(format!("the first line is no header of a capture: {reason}"))
            })?
            .ok_or_else(|| unknown("the first line is no header of a capture".to_owned()))?;
        while envelope.input.offset() < start
            && envelope.input.read_line(&mut envelope.line, LINE_BYTES_MAX)?
        {}
        Ok(envelope)
    }

    /// The venue, as the header spells it.
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

    /// The line's payload.
    pub(super) fn payload(&mut self) -> &mut [u8] {
        &mut self.payload
    }

    /// The address of a `connect` line; empty where it has none.
    pub(super) fn address(&self) -> &str {
        &self.url
    }

    /// The request and the payload of an `http` line.
    pub(super) fn answer(&mut self) -> (&str, &mut [u8]) {
        (&self.url, &mut self.payload)
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
        let time = raw_number(&self.line, b"ts").map(|text| seconds("ts", text));
        let Self { json, line, exchange, payload, connection, url, .. } = self;
        json.parse(line, |line| {
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
            connection.clear();
            connection.push_str(json::text(&line, "conn")?);
            payload.clear();
            if matches!(kind, Kind::Recv | Kind::Http) {
                payload.extend_from_slice(json::text(&line, "data")?.as_bytes());
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
