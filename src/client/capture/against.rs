//! A capture as a test of a server: its requests are sent again, and what comes is compared with what came then.
//!
//! What has to be the same:
//!
//! - Answers, in their order: of each the method, the request's number, whether it succeeded, the code of an error, symbols that
//!   are granted, with their exponents, and rejected, with the code of each, and whatever else they say. Not: the words of an
//!   error, `epoch`, `topic`, `seq`, `ts`, `expires`.
//! - Of each topic, at every `seq` that both sides have: the state that it leads to, field by field, `ts_event`, and `n` where
//!   both sides come from the same state. Books are compared level by level. Times may be later than captured ones, `ts_event`
//!   and the `start` of a bar, but all by one span: that of a market whose time is today's.
//! - The numbers themselves. One that a side alone has is a difference, unless the other one passed over it as the protocol
//!   allows: by a message that says it is merged of several changes, by a snapshot, in another epoch, or by a `gap`. So that what
//!   came before the later of the two beginnings is not compared, nor what comes after the captured end. Epochs go by their
//!   order: the second here with the second there.
//! - What a client proves, on both sides: that each update follows the state before it, checksums, counts of changes; and what
//!   the capture's end says was known then.
//!
//! What differs freely: which messages come together, and the order of those of several topics; where there is a checksum;
//! heartbeats, `system`, pings and closing. Also left out is `auth`, whose token is in no capture.
//!
//! Each request is sent when all that came before it in the capture, states and answers, has come. The time of that is free.

mod answer;
mod comparison;
mod pair;
mod report;
mod side;
mod state;

use std::io::BufRead;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use serde_json::Value;
use tokio::time::timeout;

use super::lines::{CaptureError, Entry, Lines};
use super::{Frame, Kind};
use crate::client::connection::{Connection, Received};
use crate::client::{ClientError, ClientSettings, Sender};
use crate::limits::{CAPTURE_AHEAD_BYTES_MAX, CAPTURE_PAUSE_MAX, CAPTURE_WAIT};

use comparison::{Comparison, Message};

pub use report::{Compared, Difference, Disagreement, PassedOver, Verdict};

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum AgainstError {
    /// The file is no capture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// There is no connection.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Compares a capture with what the server at `url` sends now. Of `settings`, the encoding is the capture's.
///
/// # Errors
/// [`AgainstError`]: where there is no capture, or no server. One that is gone later is [`Compared::cannot_tell`].
pub async fn compare(
    input: impl BufRead,
    url: &str,
    settings: ClientSettings,
) -> Result<Compared, AgainstError> {
    let (lines, captured_at, encoding) = Lines::begin(input)?;
    if lines.is_of_another() {
        let reason =
            "it is of another's connection, and begins in the middle: only one's own can be compared";
        return Err(lines.wrong(reason).into());
    }
    let settings = ClientSettings { encoding, ..settings };
    let mut connection = Connection::open(url, &settings).await?;
    let mut reading = Reading {
        lines,
        comparison: Comparison::new(&captured_at, url, encoding),
        request: None,
        is_read: false,
        is_over: false,
        frames: 0,
        last_at: None,
        pause: Duration::ZERO,
    };
    let (mut requests, mut unanswered_bytes) = (0, 0);
    let mut since = monotonic();
    let cannot_tell = loop {
        if reading.read()? {
            since = monotonic();
        }
        if !reading.comparison.is_waiting() {
            if let Some(request) = reading.request.take() {
                unanswered_bytes += request.len();
                if unanswered_bytes > CAPTURE_AHEAD_BYTES_MAX {
                    return Err(reading.lines.wrong("too many requests without an answer between").into());
                }
                connection.queue(&request);
                requests += 1;
                continue;
            }
            if reading.is_read {
                break None;
            }
        }
        if reading.comparison.bytes().1 > CAPTURE_AHEAD_BYTES_MAX {
            break Some(format!(
                "the server is more than {CAPTURE_AHEAD_BYTES_MAX} bytes ahead of what is awaited of it"
            ));
        }
        let patience = left(since, CAPTURE_WAIT + reading.pause);
        let received = match timeout(patience, connection.receive(settings.silence)).await {
            Ok(Ok(received)) if !patience.is_zero() => received,
            Ok(Err(disconnect)) => break Some(format!("before all had come: {disconnect}")),
            _ => {
                reading.comparison.give_up();
                break Some(format!(
                    "nothing that was awaited came for {} s",
                    (CAPTURE_WAIT + reading.pause).as_secs()
                ));
            }
        };
        unanswered_bytes = 0;
        let is_awaited = match received {
            Received::Text(text) => reading.comparison.take_server(Message::Text(&text)),
            Received::Binary(bytes) => reading.comparison.take_server(Message::Binary(&bytes)),
            Received::Nothing => false,
        };
        if reading.comparison.is_server_over() {
            break Some("what else the server sends is not looked at".to_owned());
        }
        if is_awaited {
            since = monotonic();
        }
    };
    let counts = (reading.frames, requests);
    Ok(reading.comparison.finish(cannot_tell, captured_at, url.to_owned(), counts))
}

fn left(since: Instant, patience: Duration) -> Duration {
    patience.saturating_sub(monotonic().saturating_duration_since(since))
}

/// The capture, as far as it was read.
struct Reading<R> {
    lines: Lines<R>,
    comparison: Comparison,
    /// What is to be sent once all before it has come. Nothing behind it was read.
    request: Option<String>,
    is_read: bool,
    /// Whether the captured connection has ended.
    is_over: bool,
    frames: u64,
    /// When something was captured that is compared.
    last_at: Option<i64>,
    /// The longest time between two of those: a server that has the same pace may be silent for as long.
    pause: Duration,
}

impl<R: BufRead> Reading<R> {
    /// Reads up to the next request, or as much as may be kept. Whether there was anything.
    fn read(&mut self) -> Result<bool, CaptureError> {
        let mut is_any = false;
        while self.request.is_none() && !self.is_read && self.comparison.bytes().0 <= CAPTURE_AHEAD_BYTES_MAX
        {
            is_any = true;
            match self.lines.next()? {
                Some(Entry::Frame(frame, payload)) => self.frame(&frame, &payload)?,
                Some(Entry::Dropped(_)) => return Err(self.lines.wrong("messages are missing here")),
                Some(Entry::End(end)) => self.comparison.captured_end(self.lines.number(), &end),
                None => {
                    self.is_read = true;
                    self.comparison.end();
                }
            }
        }
        Ok(is_any)
    }

    fn frame(&mut self, frame: &Frame, payload: &[u8]) -> Result<(), CaptureError> {
        self.frames += 1;
        let line = self.lines.number();
        let is_any = match (frame.from, frame.opcode) {
            _ if self.is_over => false,
            (Sender::Client, Kind::Text) => {
                let text = str::from_utf8(payload).map_err(|error| self.lines.wrong(error))?;
                self.request = (!is_auth(text)).then(|| text.to_owned());
                false
            }
            (Sender::Client, Kind::Binary) => {
                return Err(self.lines.wrong("a client sends no binary messages"));
            }
            (Sender::Server, Kind::Text) => match str::from_utf8(payload) {
                Ok(text) => self.comparison.take_captured(line, Message::Text(text)),
                Err(error) => {
                    self.comparison.captured_fault(line, None, error.to_string());
                    false
                }
            },
            (Sender::Server, Kind::Binary) => self.comparison.take_captured(line, Message::Binary(payload)),
            (_, Kind::Close) => {
                self.is_over = true;
                false
            }
            (_, Kind::Ping | Kind::Pong) => false,
        };
        if is_any {
            if let Some(last) = self.last_at {
                let nanos = u64::try_from(frame.at.saturating_sub(last)).unwrap_or(0);
                self.pause = self.pause.max(Duration::from_nanos(nanos)).min(CAPTURE_PAUSE_MAX);
            }
            self.last_at = Some(frame.at);
        }
        Ok(())
    }
}

/// The token is hidden in a capture: whoever has to present one does so with the handshake.
fn is_auth(request: &str) -> bool {
    serde_json::from_str::<Value>(request).is_ok_and(|request| request["method"] == "auth")
}
