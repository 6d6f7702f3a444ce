//! What clients see: the client protocol, version 1, as bytes. Pure: no runtime, no sockets, no clock.
//!
//! `protocol.md` beside this file is the contract, and is shown here:
//!
#![doc = include_str!("wire/protocol.md")]

pub mod admin;
pub mod binary;
pub mod code;
pub mod cursor;
pub mod decode;
pub mod events;
pub mod json;
pub mod message;

use serde::{Deserialize, Serialize};

/// How data is written for a client. Control is always JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// `tickwire.v1.json`.
    #[default]
    Json,
    /// `tickwire.v1.bin`.
    Binary,
}

impl Encoding {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Json, Self::Binary];

    /// The WebSocket subprotocol by which it is agreed on.
    #[must_use]
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "tickwire.v1.json",
            Self::Binary => "tickwire.v1.bin",
        }
    }
}

/// What the bytes to a client are cut into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Framing {
    /// Messages of a WebSocket.
    #[default]
    #[serde(rename = "ws")]
    Frames,
    /// Server-sent events.
    #[serde(rename = "sse")]
    Events,
}

pub use code::{CloseCode, ErrorCode, Return};
pub use cursor::Cursor;
pub use decode::ServerMessage;
pub use json::Envelope;
pub use message::{Granted, Method, OnOverflow, ReqId, Request, RequestError, Resume, Symbols};
