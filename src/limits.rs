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
/// Symbols that our own client puts into one request: of the longest names they stay below [`REQUEST_BYTES_MAX`].
pub const SYMBOLS_A_REQUEST: usize = 2_000;
/// Read and write buffer of a client's connection, each. A longer message makes the buffer grow for its time.
pub const CLIENT_BUFFER_BYTES: usize = 8 * 1024;
/// The longest message that a client takes. A longer one ends its connection.
pub const CLIENT_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often in a row a client subscribes anew to a topic that diverges; then it gives the connection up, so that a
/// server that is wrong for good is asked at the pace of the back-off.
pub const RESYNCS_IN_A_ROW_MAX: u32 = 8;
