//! What a client tells its owner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use feeds::{Symbol, Timestamp, Trade};

use super::topic::Divergence;
use crate::topic::Channel;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A topic's state changed; it can be read from the client. Of several in one message the newest is readable.
    State(Update),
    /// A trade printed. The trade of a snapshot is [`Event::State`]: it is not new.
    Trade(Update, Trade),
    /// The server lost that many messages of a topic for this client, and says so.
    Gap {
        /// The topic's channel.
        channel: Channel,
        /// The topic's instrument.
        symbol: Symbol,
        /// How many.
        lost: u64,
    },
    /// A topic is not what the server has: it is void until what it lacks has come, which was asked for.
    Diverged {
        /// The topic's channel.
        channel: Channel,
        /// The topic's instrument.
        symbol: Symbol,
        /// How that showed.
        divergence: Divergence,
    },
    /// A subscription was answered. A state that was held over a reconnection and is still good is known again.
    Subscribed {
        /// What [`Client::subscribe`](super::Client::subscribe) returned; negative: the client asked on its own.
        request: i64,
        /// The channel.
        channel: Channel,
        /// How many symbols are followed from now on.
        granted: usize,
        /// Whether more of the answer follows: one to very many symbols comes in parts.
        more: bool,
        /// Whether what is followed comes late.
        delayed: bool,
        /// The symbols that are not, and the error code of each.
        rejected: Vec<(String, String)>,
    },
    /// A request failed.
    Failed {
        /// What the method that asked returned, as far as the server could tell.
        request: Option<i64>,
        /// The error code.
        code: String,
        /// For people.
        message: String,
    },
    /// The stream began anew: everything of the epoch before is void.
    Epoch(Arc<str>),
    /// Nothing happened for a second, and the connection lives.
    Heartbeat {
        /// The age of what is being sent to this client.
        lag: Duration,
        /// Whether this client does not keep up, and gets merged states.
        laggard: bool,
    },
    /// The answer to [`Client::ping`](super::Client::ping).
    Pong {
        /// What it returned.
        request: i64,
        /// What the server's clock said in between.
        ts: Timestamp,
    },
    /// The token that was presented is over at that time: another is presented as soon as there is one.
    TokenExpiring(Timestamp),
    /// The server has taken another token.
    TokenRenewed,
    /// What this client may see has changed. Topics that it goes on following, but late or at another rate, are void until their
    /// states have come.
    Entitled {
        /// Whether what it sees is late from now on.
        delayed: bool,
        /// What it may not see any more, and follows no longer.
        removed: Vec<(Channel, Symbol)>,
    },
    /// The connection is gone; everything is void until the next one, on which [`Client::next`](super::Client::next) works.
    Disconnected(Disconnect),
    /// There is a connection again, and the subscriptions were asked for.
    Reconnected,
}

/// Which topic is in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The topic's channel.
    pub channel: Channel,
    /// The topic's instrument.
    pub symbol: Symbol,
    /// Number of the state.
    pub seq: u64,
    /// The venue's time of it, in whole microseconds.
    pub ts_event: Timestamp,
    /// Whether it came as a whole.
    pub is_snapshot: bool,
    /// How many changes since the last state are in it. 0: it came as a whole, and in the place of nothing.
    pub merged: u64,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The server closed it, with that code and reason.
    Closed(u16, String),
    /// It ended without a close frame, or failed.
    Broken(String),
    /// Nothing came for [`ClientSettings::silence`](super::ClientSettings::silence).
    Silent,
    /// The server sent what is not the protocol.
    Malformed(String),
    /// A topic diverged again and again, or the server has no more of it.
    Hopeless,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(code, reason) => write!(f, "closed by the server: {code} {reason}"),
            Self::Broken(reason) => write!(f, "connection lost: {reason}"),
            Self::Silent => f.write_str("the server is silent"),
            Self::Malformed(what) => write!(f, "the server does not keep to the protocol: {what}"),
            Self::Hopeless => f.write_str("a topic diverged again and again"),
        }
    }
}

/// What a client counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages, of text and binary ones.
    pub frames: u64,
    /// Their bytes, inflated and without headers.
    pub bytes: u64,
    /// Bytes on the wire behind the handshakes: as they came, with headers, control frames too.
    pub wire_bytes: u64,
    /// Objects and records in them.
    pub messages: u64,
    /// Snapshots that were applied.
    pub snapshots: u64,
    /// Updates that were applied.
    pub updates: u64,
    /// Changes in those updates, and in snapshots that came in the place of updates.
    pub merged: u64,
    /// How many of those updates and snapshots stand for more than one change.
    pub merges: u64,
    /// Changes that the states' numbers tell of and `n` does not, or the other way round: 0, unless the server is wrong.
    pub unaccounted: u64,
    /// Updates whose `prev_seq` was not the state's number.
    pub gaps: u64,
    /// Messages that the server said it lost.
    pub lost: u64,
    /// Checksums that agreed.
    pub checksums_ok: u64,
    /// Checksums that did not.
    pub checksums_failed: u64,
    /// Data messages that were not applied: of topics that are void, or not followed any more.
    pub ignored: u64,
    /// Connections that were made after the first.
    pub reconnects: u64,
    /// Attempts at that which failed.
    pub connect_failures: u64,
}
