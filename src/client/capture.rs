//! A connection in a file: written while it lives, and checked later, without a server or against one. `capture/format.md`
//! describes it.

mod against;
mod check;
mod lines;

use std::collections::BTreeMap;
use std::io::{self, Write};

use data_encoding::BASE64;
use feeds::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Client, Observed, Sender, Stats};
use crate::wire::Encoding;
use crate::wire::admin::Dropped;
use crate::ws::frame::Opcode;

pub use against::{AgainstError, Compared, Difference, Disagreement, PassedOver, Verdict, compare};
pub use check::{Checked, check};
pub use lines::CaptureError;

/// Of files that this version writes and reads.
const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Line {
    /// The first.
    Capture(Head),
    Frame(Frame),
    /// What is missing here.
    Dropped(Dropped),
    /// The last, if the capture was ended and not broken off.
    End(End),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    version: u32,
    url: String,
    subprotocol: String,
    /// Of another's connection, its number at the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connection: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame {
    /// Nanoseconds since 1970.
    at: i64,
    from: Sender,
    opcode: Kind,
    wire_bytes: u64,
    compressed: bool,
    /// Base64.
    payload: String,
}

/// What of a connection is captured: whole messages, and control frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What the client knew when it stopped.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    messages: u64,
    checksums: u64,
    /// The numbers of the states that were known, by channel and symbol.
    topics: BTreeMap<String, u64>,
}

impl End {
    /// What is known, or was known when the connection ended.
    fn of(client: &Client) -> Self {
        let Stats { messages, checksums_ok, .. } = *client.stats();
        let held = client.held.values().filter(|topic| topic.values().is_some());
        let held = held.map(|topic| (topic.channel(), topic.symbol(), topic.seq()));
        let states = client.states().chain(held);
        let topics = states.map(|(channel, symbol, seq)| (format!("{channel}:{symbol}"), seq)).collect();
        Self { messages, checksums: checksums_ok, topics }
    }

    /// Tells what is not as it was `then`.
    fn compare(&self, then: &Self, mut each: impl FnMut(String)) {
        for (what, now, then) in
            [("messages", self.messages, then.messages), ("checksums", self.checksums, then.checksums)]
        {
            if now != then {
                each(format!("{now} {what}, and {then} when it was captured"));
            }
        }
        for (topic, seq) in &self.topics {
            match then.topics.get(topic) {
                Some(then) if then == seq => {}
                Some(then) => each(format!("{topic} is at {seq}, and was at {then}")),
                None => each(format!("{topic} is known, and was not")),
            }
        }
        for topic in then.topics.keys().filter(|topic| !self.topics.contains_key(*topic)) {
            each(format!("{topic} is not known, and was"));
        }
    }
}

/// Writes a capture.
#[derive(Debug)]
pub struct Capture<W> {
    out: W,
}

impl<W: Write> Capture<W> {
    /// Begins one of a connection to `url`, where data is written so: our own, or another's of that number.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn begin(out: W, url: &str, encoding: Encoding, connection: Option<u64>) -> io::Result<Self> {
        let mut capture = Self { out };
        let (url, subprotocol) = (url.to_owned(), encoding.subprotocol().to_owned());
        let head = Head { version: VERSION, url, subprotocol, connection };
        capture.put(&Line::Capture(head))?;
        Ok(capture)
    }

    /// Adds what was seen.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn add(&mut self, observed: &Observed<'_>) -> io::Result<()> {
        let &Observed { at: Timestamp(at), sender, opcode, wire_bytes, is_compressed, payload } = observed;
        let opcode = match opcode {
            Opcode::Text => Kind::Text,
            Opcode::Binary | Opcode::Continuation => Kind::Binary,
            Opcode::Close => Kind::Close,
            Opcode::Ping => Kind::Ping,
            Opcode::Pong => Kind::Pong,
        };
        let payload = BASE64.encode(payload);
        self.put(&Line::Frame(Frame {
            at,
            from: sender,
            opcode,
            wire_bytes,
            compressed: is_compressed,
            payload,
        }))
    }

    /// Says that so many messages are missing here.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn add_dropped(&mut self, dropped: Dropped) -> io::Result<()> {
        self.put(&Line::Dropped(dropped))
    }

    /// Leaves it without an end, as that of another's connection, of whose client nothing is known.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn leave(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Ends it with what the client knows that has taken all that was added.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn end(mut self, client: &Client) -> io::Result<()> {
        self.put(&Line::End(End::of(client)))?;
        self.out.flush()
    }

    fn put(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}
