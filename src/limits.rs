//! Every bound of the service, and what happens at it. Those of `feeds` stand in [`feeds::limits`].

/// Shards at most: one bit each in a topic's interest word. More cores than this share shards.
pub const SHARDS_MAX: usize = 64;
/// The longest request of a client. A longer one is answered `MESSAGE_TOO_LARGE`, unread.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Symbols named in one request. A request with more is answered `BAD_REQUEST`.
pub const SYMBOLS_PER_REQUEST_MAX: usize = 10_000;
/// The longest `req_id` that is a text. A longer one is answered `BAD_REQUEST`.
pub const REQ_ID_BYTES_MAX: usize = 64;
/// How much of a wrong name (method, channel, field) is shown back to the client; the rest is cut off.
pub const ECHO_BYTES_MAX: usize = 64;
