//! What an administrator reads: who is connected, and what goes over somebody's connection.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Encoding, Framing};

/// A part of the list of connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// By their numbers.
    pub connections: Vec<Connected>,
    /// The number behind which the next part begins; `None`: there is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Its number: how many of the process came before it.
    pub id: u64,
    /// Who it is; `None`: nobody in particular, or nobody yet.
    pub subject: Option<String>,
    /// Where it is from.
    pub address: IpAddr,
    /// By which way it came.
    pub transport: Framing,
    /// How data is written for it.
    pub encoding: Encoding,
    /// Whether it takes compressed messages.
    pub compressed: bool,
    /// How many topics it follows.
    pub topics: u64,
    /// Bytes that wait for its socket.
    pub queued_bytes: u64,
    /// Whether it does not keep up just now.
    pub laggard: bool,
    /// How often it has not kept up, and was sent merged states.
    pub conflated: u32,
    /// Since when it is there, in microseconds since the Unix epoch.
    pub opened_at: i64,
}

/// How much is shown of what goes over a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// Of which topics, but no prices, no sizes and whatever else a state has.
    Redacted,
    /// All that the administrator may see itself; the rest as above.
    Whole,
}

impl Payload {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Redacted, Self::Whole];

    /// As it is asked for.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Redacted => "redacted",
            Self::Whole => "whole",
        }
    }
}

/// One line of a tap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TapLine {
    /// The first.
    Tap(TapHead),
    /// What went over the connection.
    Frame(TapFrame),
    /// What went over it and found no room here.
    Dropped(Dropped),
    /// The last.
    Ended(Ended),
}

/// What is tapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapHead {
    /// The connection as it stands when the tap begins.
    pub connection: Connected,
    /// How much of it is shown.
    pub payload: Payload,
    /// What it follows, by the numbers that binary records have: `quote:AAPL`. Of very many, some.
    pub topics: BTreeMap<u32, String>,
}

/// A message or a control frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapFrame {
    /// When it was read, or was handed to the socket: nanoseconds since 1970.
    pub at: i64,
    /// Who sent it.
    pub from: Side,
    /// What it is.
    pub opcode: FrameKind,
    /// Bytes of what it carries, inflated.
    pub bytes: u64,
    /// Bytes on the wire, with headers.
    pub wire_bytes: u64,
    /// Whether it was compressed.
    pub compressed: bool,
    /// What it carries.
    #[serde(flatten)]
    pub said: Said,
}

/// What a frame carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// All of it, in base64.
    Payload(String),
    /// What may be shown of it.
    Objects(Vec<Value>),
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Who connected.
    Client,
    /// Who was connected to.
    Server,
}

/// A kind of frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "RFC 6455")]
pub enum FrameKind {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

/// What found no room, between the lines before and behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Messages and control frames.
    pub messages: u64,
}

/// Why there is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// In a few words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_one_key_and_reads_as_it_was_written() {
        let frame = |said| TapFrame {
            at: 1_763_848_800_123_456_789,
            from: Side::Server,
            opcode: FrameKind::Text,
            bytes: 2,
            wire_bytes: 4,
            compressed: false,
            said,
        };
        let whole = json!({"frame": {
            "at": 1_763_848_800_123_456_789_i64, "from": "server", "opcode": "text", "bytes": 2, "wire_bytes": 4,
            "compressed": false, "payload": "W10=",
        }});
        let redacted = json!({"frame": {
            "at": 1_763_848_800_123_456_789_i64, "from": "server", "opcode": "text", "bytes": 2, "wire_bytes": 4,
            "compressed": false, "objects": [{"channel": "quote", "bid": "…"}],
        }});
        for (line, written) in [
            (TapLine::Frame(frame(Said::Payload("W10=".to_owned()))), whole),
            (TapLine::Frame(frame(Said::Objects(vec![json!({"channel": "quote", "bid": "…"})]))), redacted),
            (TapLine::Dropped(Dropped { messages: 7 }), json!({"dropped": {"messages": 7}})),
            (TapLine::Ended(Ended { reason: "x".to_owned() }), json!({"ended": {"reason": "x"}})),
        ] {
            assert_eq!(serde_json::to_value(&line).expect("JSON"), written);
            assert_eq!(serde_json::from_str::<TapLine>(&written.to_string()).expect("a line"), line);
        }
    }

    #[test]
    fn what_a_later_server_adds_is_passed_over() {
        let text = r#"{"id":7,"subject":null,"address":"::1","transport":"sse","encoding":"json","compressed":false,
            "topics":3,"queued_bytes":0,"laggard":false,"conflated":0,"opened_at":1,"mood":"good"}"#;
        let connected: Connected = serde_json::from_str(text).expect("a connection");
        assert_eq!(
            (connected.id, connected.transport, connected.encoding),
            (7, Framing::Events, Encoding::Json)
        );
    }
}
