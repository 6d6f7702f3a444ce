//! What is looked at, and why it matters.

use serde::{Serialize, Serializer};

/// One thing that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Whether what is sent can be read on the way.
    Tls,
    /// Whether the certificate is trusted, and for how long.
    Certificate,
    /// Whether a handshake as the RFC has it opens a WebSocket.
    Handshake,
    /// What becomes of compression that is offered.
    Compression,
    /// Which subprotocol is chosen.
    Subprotocol,
    /// What a handshake of another version is answered.
    Version,
    /// What a handshake without a key is answered.
    Key,
    /// Whether a page of anybody may connect.
    Origin,
    /// Whether who is refused for want of room is told when to come back.
    RetryAfter,
    /// Whether a ping is answered.
    Ping,
    /// What becomes of a message that is not JSON.
    Json,
    /// Whether a close frame is answered, and the connection ended.
    Close,
    /// What becomes of a frame that is not masked.
    Mask,
    /// What becomes of a frame with reserved bits.
    ReservedBits,
    /// What becomes of a frame of a kind that does not exist.
    ReservedOpcode,
    /// What becomes of text that is not UTF-8.
    Utf8,
    /// What becomes of a message that is longer than any request.
    Size,
    /// Whether what the server sends are frames as the RFC has them.
    Frames,
    /// Whether a silent connection can be told from a dead one.
    Heartbeat,
}

/// What is to be known of a [`Check`].
#[derive(Clone, Copy, Debug)]
pub struct Explained {
    /// What it is called.
    pub name: &'static str,
    /// Where the rule stands.
    pub source: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What is to be done about a fault.
    pub advice: &'static str,
}

impl Check {
    /// What is to be known of it.
    #[must_use]
    pub const fn explained(self) -> Explained {
        let (name, source, why, advice) = match self {
            Self::Tls => (
                "tls",
                "RFC 6455 section 10.6",
                "in the clear, everybody on the way reads prices and tokens, and can change them",
                "serve wss:// with TLS 1.3, and leave ws:// to this machine",
            ),
            Self::Certificate => (
                "certificate",
                "RFC 5280 section 6",
                "a client that is right refuses a certificate that it cannot trust, or whose time is over",
                "renew it before its end, for the host's name, with the certificates between it and an authority; one's own \
                 authority is named to us by SSL_CERT_FILE",
            ),
            Self::Handshake => (
                "handshake",
                "RFC 6455 section 4.2.2",
                "browsers and libraries take nothing else for a WebSocket",
                "answer 101 with `Upgrade: websocket`, `Connection: Upgrade` and the `Sec-WebSocket-Accept` of the key",
            ),
            Self::Compression => (
                "compression",
                "RFC 7692 section 7.1",
                "market data is repetitive: compressed, it takes a fifth of the bytes or less; a wrong answer ends the connection",
                "answer an offer of `permessage-deflate` with parameters of that section, or without the header",
            ),
            Self::Subprotocol => (
                "subprotocol",
                "RFC 6455 section 4.2.2",
                "a client ends a connection whose subprotocol it has not offered, and trusts one that it has",
                "choose one that was offered and is spoken; else send no `Sec-WebSocket-Protocol`, or refuse with 400",
            ),
            Self::Version => (
                "version",
                "RFC 6455 section 4.4",
                "a client of another version learns only by this which one to speak",
                "refuse with 426 and `Sec-WebSocket-Version: 13`",
            ),
            Self::Key => (
                "key",
                "RFC 6455 section 4.2.1",
                "without a key, what asks is no WebSocket client: the proof that both mean the same is missing",
                "refuse with 400",
            ),
            Self::Origin => (
                "origin",
                "RFC 6455 section 10.2",
                "a browser lets the page of anybody connect, and sends along the cookies that it has for the server",
                "refuse the pages that are not known with 403; never take a cookie alone for who somebody is",
            ),
            Self::RetryAfter => (
                "retry-after",
                "RFC 6585 section 4, RFC 9110 section 15.6.4",
                "clients that are refused without a word on when to come back come back at once, all of them",
                "send `Retry-After` with 429 and 503",
            ),
            Self::Ping => (
                "ping",
                "RFC 6455 section 5.5.2",
                "clients and proxies take a connection without pongs for dead, and their payload for the time that one took",
                "answer each ping, or the newest, with a pong of the same payload",
            ),
            Self::Json => (
                "json",
                "good practice; close codes: RFC 6455 section 7.4.1",
                "whoever made the mistake learns of it only by an answer",
                "answer with an error that names what is wrong, or close with 1007 or 1008 and a reason",
            ),
            Self::Close => (
                "close",
                "RFC 6455 sections 5.5.1 and 7.1.1",
                "without an answer, a client cannot tell a good end from a broken connection, and waits for it",
                "answer a close frame with one of the same code, then end the connection",
            ),
            Self::Mask => (
                "mask",
                "RFC 6455 section 5.1",
                "masks keep a page from writing what a proxy on the way takes for a request",
                "close with 1002",
            ),
            Self::ReservedBits => (
                "reserved-bits",
                "RFC 6455 section 5.2",
                "they have a meaning only in an extension that was agreed on: what is read without it is something else",
                "close with 1002",
            ),
            Self::ReservedOpcode => (
                "reserved-opcode",
                "RFC 6455 section 5.2",
                "a frame of an unknown kind cannot be passed over: nobody knows what it was for",
                "close with 1002",
            ),
            Self::Utf8 => (
                "utf-8",
                "RFC 6455 section 8.1",
                "what is not text for one side may be some for the other: checks are got around by that",
                "close with 1007",
            ),
            Self::Size => (
                "size",
                "RFC 6455 section 10.4",
                "a server that holds whatever is begun can be filled by a few clients",
                "bound what is read of a message, close past it with 1009 or answer with an error, and document the bound",
            ),
            Self::Frames => (
                "frames",
                "RFC 6455 section 5.2",
                "clients end a connection on which something comes that is no frame",
                "send frames that are not masked, of known kinds, whose text is UTF-8",
            ),
            Self::Heartbeat => (
                "heartbeat",
                "RFC 6455 section 5.5.2",
                "a client cannot tell a quiet market from a dead connection, and balancers end idle ones",
                "send a ping or a heartbeat on a silent connection, at least each half a minute",
            ),
        };
        Explained { name, source, why, advice }
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.explained().name)
    }
}
