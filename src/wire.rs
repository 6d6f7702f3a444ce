//! What clients see: the client protocol, version 1, as bytes. Pure: no runtime, no sockets, no clock.
//!
//! `protocol.md` beside this file is the contract, and is shown here:
//!
#![doc = include_str!("wire/protocol.md")]

pub mod code;
pub mod decode;
pub mod json;
pub mod message;

pub use code::{CloseCode, ErrorCode, Return};
pub use decode::ServerMessage;
pub use json::Envelope;
pub use message::{Granted, Method, ReqId, Request, RequestError, Symbols, Token};
