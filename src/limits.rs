//! Every bound of the service, and what happens at it. Those of `feeds` stand in [`feeds::limits`].

use std::time::Duration;

/// Shards at most: one bit each in a topic's interest word. More are refused at the start.
pub const SHARDS_MAX: usize = 64;

/// Symbols named in one request. A request with more is answered `BAD_REQUEST`.
pub const SYMBOLS_PER_REQUEST_MAX: usize = 10_000;
/// The longest `req_id` that is a text. A longer one is answered `BAD_REQUEST`.
pub const REQ_ID_BYTES_MAX: usize = 64;
/// How much of a wrong name (method, channel, field) is shown back to the client; the rest is cut off.
pub const ECHO_BYTES_MAX: usize = 64;

/// Feed messages that one turn of the ingest takes before it hands on what it has.
pub const TURN_MESSAGES_MAX: usize = 256;
/// How long nobody must subscribe before a feed that was held for clients begins: a client that follows several
/// channels asks for one after the other, and is to have all of them from the first event.
pub const WAIT_CLIENTS_QUIET: Duration = Duration::from_millis(250);
/// Encoded bytes after which the ingest hands a batch on within its turn.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Batches that wait for a shard. When they are all there, the ingest conflates for that shard, or waits where
/// the feed asks for it (a recording at full speed).
pub const BATCHES_WAITING_MAX: usize = 1_024;
/// How long a batch may wait for a shard. While it does for longer, the shard counts as full: what its clients get is
/// then merged, and not older and older.
pub const BATCH_AGE_MAX: Duration = Duration::from_millis(150);
/// The same for a shard that was full within [`OVERLOAD_LASTS`]. What comes in within that time takes it longer to send
/// than that, by as many times as it is overloaded: of a short wait, it stays a short one.
pub const BATCH_AGE_OVERLOADED_MAX: Duration = Duration::from_millis(35);
/// How long a shard must keep up before a longer wait is taken for a short trouble again, and not for overload.
pub const OVERLOAD_LASTS: Duration = Duration::from_secs(1);
/// Requests for states that wait for the publisher. One more is answered with `BUSY`.
pub const REQUESTS_WAITING_MAX: usize = 1_024;
/// Requests that the publisher takes in one turn; the others wait for the next.
pub const REQUESTS_PER_TURN_MAX: usize = 64;
/// States that the publisher encodes on request in one turn, for subscribers and again for REST, and bytes after which
/// it stops earlier; the others follow in the next. So the feed never waits for more than a fraction of a millisecond
/// on those who ask.
pub const STATES_PER_TURN_MAX: usize = 64;
/// See [`STATES_PER_TURN_MAX`].
pub const STATES_BYTES_PER_TURN_MAX: usize = 64 * 1024;
/// REST requests that the publisher works on, one after the other. One more is answered with `BUSY`.
pub const READS_WAITING_MAX: usize = 256;
/// Feed time after which a book update carries a checksum again.
pub const CHECKSUM_EVERY: Duration = Duration::from_millis(500);
/// Book updates after which one carries a checksum, however little time has passed.
pub const CHECKSUM_EVERY_UPDATES: u32 = 32;

/// How long the publisher goes on with a topic that nobody listens to any more, so that a client that comes back gets
/// what it missed. Then the topic's state and history are dropped.
pub const RESUME_LINGER: Duration = Duration::from_secs(30);
/// Bytes of updates that are kept for one topic, at one rate and in one encoding. The oldest are dropped: a client that
/// comes back to them gets the state instead. A power of two, as its memory is taken.
pub const HISTORY_BYTES_MAX: usize = 32 * 1024;
/// The same of all topics together. Past it, a topic drops its own oldest updates for each that comes.
pub const HISTORY_TOTAL_BYTES_MAX: usize = 128 * 1024 * 1024;
/// How often the publisher looks for topics that nobody listens to any more.
pub const FOLLOWED_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many of them it looks at in one turn; at the others, in the next.
pub const FOLLOWED_LOOKS_MAX: usize = 1_024;
/// Neighbouring instruments that share a slot of a rate's period: their updates come together. More than these are
/// spread, so that no more come at once.
pub const RATE_SLOT_INSTRUMENTS: usize = 1_024;

/// HTTP connections of one shard that are not, or not yet, WebSockets. One more is closed at once, and counted in
/// `http_connections_refused_total`.
pub const HTTP_CONNECTIONS_MAX: usize = 8_192;
/// How long a client may take for the head of a request, the idle time before it included, and for its TLS handshake.
/// Then it is closed.
pub const HTTP_HEADER_WAIT: Duration = Duration::from_secs(10);
/// The largest file of a certificate or a key.
pub const CERTIFICATE_BYTES_MAX: u64 = 1024 * 1024;
/// How often the files of the certificate are looked at.
pub const CERTIFICATE_CHECK_EVERY: Duration = Duration::from_secs(2);
/// What TLS holds of a connection beyond what the kernel has taken: four of its records. More waits as it came.
pub const TLS_UNSENT_BYTES_MAX: usize = 64 * 1024;
/// The age of an HTTP connection that is not upgraded: past it, no other request is read.
pub const HTTP_AGE_MAX: Duration = Duration::from_secs(60);
/// How long the answer that is on its way then may take. Then the connection is cut off.
pub const HTTP_END_WAIT: Duration = Duration::from_secs(5);
/// Bytes of a request's head after which, when it is not whole, it is answered 431 (414 for its path); and bytes of an
/// answer that wait to be written, when no more of it is asked for.
pub const HTTP_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all REST answers that their clients have not taken yet, or that the publisher was asked for. A request
/// that would make them more is answered with `BUSY`.
pub const REST_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of a REST answer that are handed to the connection at once.
pub const REST_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes that the kernel takes for a socket beyond those on their way (`TCP_NOTSENT_LOWAT`). Its own bound is some
/// megabytes: to a slow client these would all be sent, stale, before its close frame.
pub const UNSENT_BYTES_MAX: u32 = 32 * 1024;

/// WebSocket connections of the process. One more is refused with 503.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Upgraded sockets that wait for their shard to take them. One more is refused with 503.
pub const UPGRADES_WAITING_MAX: usize = 16_384;
/// Topics of one part of a subscription: the next part's states are asked for when the client has taken these.
pub const SUBSCRIBE_PART_TOPICS: usize = 1_024;
/// Topics that one connection follows. One more is rejected with `TOO_MANY_SUBSCRIPTIONS`.
pub const TOPICS_PER_CONNECTION_MAX: usize = 3 * feeds::limits::INSTRUMENTS_MAX;
/// Bytes of one WebSocket message to a client, unless a single state is larger; more become several messages.
pub const MESSAGE_OUT_BYTES_MAX: usize = 512 * 1024;
/// Bytes that wait to be sent by a shard, of all its connections, before it takes no more batches until some were: then
/// the publisher conflates for it.
pub const SHARD_PENDING_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Memory that a shard keeps for the next messages of whichever cohort has some. More is given back.
pub const SPARE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How long a connection's topics stay the same before it moves into the cohort of those with the same.
pub const SETTLE_AFTER: Duration = Duration::from_millis(500);
/// Topics of the connections that settle in one turn, each of which is gone through: some milliseconds' worth. The
/// others follow in the next.
pub const SETTLE_TOPICS_PER_TURN_MAX: usize = 65_536;
/// How often a compressed stream begins anew for those who wait to enter it. Until then they are sent plain messages.
pub const KEY_FRAME_EVERY: Duration = Duration::from_secs(1);
/// Compressed streams of a shard, about 0.3 MB each. The messages of a further cohort are compressed each by itself.
pub const STREAMS_PER_SHARD_MAX: usize = 256;
/// Bytes of a message from which on it is compressed by itself; a shorter one is sent plain.
pub const COMPRESS_BYTES_MIN: usize = 512;
/// Bytes that wait for one client's socket, some of them for longer than [`LAG_AFTER`], before it is taken for a laggard,
/// which gets no more until it has taken them (unless it asked to be closed rather than to miss anything).
pub const LAG_BYTES: usize = 64 * 1024;
/// See [`LAG_BYTES`].
pub const LAG_AFTER: Duration = Duration::from_millis(50);
/// Bytes that wait for one client's socket before it is taken for a laggard at once.
pub const LAG_BURST_BYTES: usize = 1024 * 1024;
/// The same when more than [`OUTBOX_TOTAL_BYTES_MAX`] wait for all clients together.
pub const LAG_FAIR_BYTES: usize = 16 * 1024;
/// Topics whose newest states a laggard is sent at once; it gets those of the next when it has taken these.
pub const CATCH_UP_TOPICS: usize = 1_024;
/// How long the socket of a laggard may take no part, or not all, of what waits for it. Then it is closed with 4007.
pub const LAGGARD_MAX: Duration = Duration::from_secs(30);
/// The longest request of a client. A longer one is answered `MESSAGE_TOO_LARGE`, unread.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one client message that is read at all. A longer one closes the connection with 1009.
pub const MESSAGE_IN_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of the messages of all clients that have not come whole yet. Over it, a client whose message takes more than
/// [`MESSAGE_IN_FAIR_BYTES`] is closed with 1013, and counted in `connections_crowded_total`.
pub const MESSAGES_IN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// See [`MESSAGES_IN_BYTES_MAX`]. Most requests are shorter, and come whole.
pub const MESSAGE_IN_FAIR_BYTES: usize = 4 * 1024;
/// Bytes that a connection reads before the others of its shard take their turn: the shard's read buffer.
pub const READ_TURN_BYTES_MAX: usize = 16 * 1024;
/// Bytes that wait for one client's socket, or for its cohort to be sent. A client for which more wait is closed with
/// 4007.
pub const OUTBOX_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes that wait for all clients' sockets together. Over it, a client whose outbox grows past
/// [`OUTBOX_FAIR_BYTES`] is closed with 4007.
pub const OUTBOX_TOTAL_BYTES_MAX: i64 = 1024 * 1024 * 1024;
/// See [`OUTBOX_TOTAL_BYTES_MAX`].
pub const OUTBOX_FAIR_BYTES: usize = 1024 * 1024;
/// How long a client that was too slow may take to read what stands before its close frame.
pub const SLOW_CLOSE_WAIT: Duration = Duration::from_secs(15);
/// How long a closing connection may take to read what is left and answer the close frame.
pub const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// Milliseconds after which clients are to come back when the server goes away: from the first to below the second,
/// chosen by lot, so that they do not come at once.
pub const RECONNECT_AFTER_MS: (u64, u64) = (500, 5_500);
/// How long a request for states may wait for the publisher. Then a socket's is answered with `INTERNAL`, and one by
/// REST with `BUSY`.
pub const STATES_WAIT: Duration = Duration::from_secs(5);
/// Malformed client messages in a row after which the connection is closed with 1008.
pub const BAD_REQUESTS_MAX: u32 = 100;

/// Trades or bars that one REST answer holds at most. A larger `limit` is refused.
pub const HISTORY_LIMIT_MAX: usize = 1_000;
/// How often a shard looks for silent connections, for cohorts that settle, and for laggards.
pub const SHARD_TICK: Duration = Duration::from_millis(250);
/// Sends after which a shard that flushes looks at what else there is to do.
pub const FLUSH_SENDS_MAX: u64 = 256;
/// The longest that a busy shard lets updates come together before it sends them.
pub const FLUSH_PAUSE_MAX: Duration = Duration::from_millis(10);
/// Batches that wait for a shard at the end of a round of sends, past which it does not rest: it is behind.
pub const REST_BATCHES_MAX: usize = 8;
/// Batches that a shard delivers before it writes to its connections.
pub const BATCHES_PER_TURN_MAX: usize = 64;
/// Connections that the kernel holds for a shard before it takes them.
pub const BACKLOG_MAX: i32 = 4_096;
/// The ingest's longest sleep without looking whether to stop.
pub const INGEST_SLEEP_MAX: Duration = Duration::from_millis(100);
/// How soon the ingest looks again for what it waits for: room in a full shard, or clients that have subscribed.
pub const INGEST_RETRY_AFTER: Duration = Duration::from_millis(1);
/// How long the ingest sleeps at least while a shard has not taken what it was sent last, because it could only be sent
/// more of the same batch; and after a turn that nobody was sent anything of, because what is due next is as little awaited.
pub const INGEST_PAUSE: Duration = Duration::from_micros(500);
/// How late a feed may be before the log says so, and how often it says so.
pub const FEED_LATE_MAX: Duration = Duration::from_secs(1);
/// See [`FEED_LATE_MAX`].
pub const FEED_LATE_LOG_EVERY: Duration = Duration::from_secs(10);
/// Silence on a connection after which it gets a heartbeat.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// Levels a side of one book. A level that would be one more is refused, with the order that makes it, and counted
/// in [`crate::market::Faults::refused`]; of a longer snapshot the best are kept.
pub const BOOK_LEVELS_MAX: usize = 65_536;
/// Slots of the table of orders (32 bytes each). Past it, an order whose slot is taken drives the older one into
/// the overflow map, where it is as good, but slower to find.
pub const ORDER_TABLE_SLOTS_MAX: usize = 1 << 21;
/// Orders in that overflow map. One more is refused, and counted in [`crate::market::Faults::refused`].
pub const ORDER_OVERFLOW_MAX: usize = 1 << 24;
/// Bars kept per instrument and interval, the open one among them. The oldest is dropped.
pub const BARS_MAX: usize = 512;
/// Trades kept per instrument. The oldest is dropped.
pub const TRADES_MAX: usize = 256;
/// Unknown orders that are named in [`crate::market::Faults::examples`]; more are only counted.
pub const FAULT_EXAMPLES_MAX: usize = 16;
/// Events of the simulated market that `inspect --stats` looks at.
pub const SIM_STATS_EVENTS: u64 = 1_000_000;
/// Symbols that our own client puts into one request: of the longest names they stay below [`REQUEST_BYTES_MAX`].
pub const SYMBOLS_A_REQUEST: usize = 2_000;
/// Numbers of held states that it puts into one, in bytes. Symbols whose numbers find no room begin with their states.
pub const RESUME_BYTES_A_REQUEST: usize = 96 * 1024;
/// Read buffer of a client's connection. Of a longer message, what has come is held beside it.
pub const CLIENT_BUFFER_BYTES: usize = 8 * 1024;
/// The longest message that a client takes. A longer one ends its connection.
pub const CLIENT_MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// How often in a row a client asks anew for a topic that diverges; then it gives the connection up, so that a
/// server that is wrong for good is asked at the pace of the back-off.
pub const RESYNCS_IN_A_ROW_MAX: u32 = 8;
/// Best bids and offers of the venue, and as many of the book, that `inspect` keeps per instrument until the other
/// comes (64 bytes each). The oldest is given up, uncompared.
pub const BBO_UNPAIRED_MAX: usize = 128;
/// Clients of one load. More are refused at the start.
pub const LOAD_CLIENTS_MAX: usize = 100_000;
/// Threads of one load. More are refused at the start.
pub const LOAD_THREADS_MAX: u16 = 256;
/// The longest warm-up and the longest window of a load. A longer one is refused at the start.
pub const LOAD_TIME_MAX: Duration = Duration::from_secs(86_400);
/// Bytes that the kernel may hold of what a client of a load has not read yet; Linux doubles them. Left alone they grow to
/// tens of megabytes, and what is read from there is seconds old: the age that is measured would be the buffers', and
/// the server could not see who does not keep up. With a quarter of this, it could not write a turn's updates at once.
pub const LOAD_RECEIVE_BUFFER_BYTES: u32 = 256 * 1024;
/// Bytes that a thread of a load reads from a socket at once, into one buffer for all its drains.
pub const LOAD_READ_BYTES: usize = 128 * 1024;
/// Bytes of an answer that a drain reads as a whole: of a handshake, or to a subscription. A longer one ends its
/// connection.
pub const LOAD_ANSWER_BYTES_MAX: usize = CLIENT_MESSAGE_BYTES_MAX as usize;
/// How often a client of a load that does not read steadily looks whether to do what is its habit.
pub const LOAD_HABIT_STEP: Duration = Duration::from_millis(50);
/// How long a drain waits before it makes a lost connection anew; a client that is slow or comes and goes on purpose, at most.
pub const LOAD_RECONNECT_WAIT: Duration = Duration::from_secs(1);
/// How long the first connection of a load, and each of a drain, may take. Then there is none.
pub const LOAD_CONNECT_WAIT: Duration = Duration::from_secs(5);
/// The longest latency that a load measures, which bounds its histograms. A change that is older when it comes, or younger
/// than now, was not stamped by our clock, and is only counted.
pub const LOAD_LATENCY_MAX: Duration = Duration::from_secs(3_600);
/// How long the clients of a load may take to get their snapshots after the last has connected. Those that take
/// longer are counted as unready.
pub const LOAD_READY_WAIT: Duration = Duration::from_secs(30);
/// How long a load goes on receiving what was due in its window after that has passed.
pub const LOAD_DRAIN_WAIT: Duration = Duration::from_secs(3);
/// Different texts of errors that a load reports; more are only counted.
pub const LOAD_ERRORS_MAX: usize = 16;

/// Frames that one message may come in. One more closes the connection with 1009: each costs its sender two bytes.
pub const MESSAGE_FRAMES_MAX: u32 = 2_048;
/// Pings of one connection that are answered each, in one turn of reading. Of more, the newest is.
pub const PONGS_PER_TURN_MAX: u32 = 16;
/// Final blocks in one compressed message, for which a sender has no more than one use. One more makes the message
/// count as damaged, and closes the connection with 1007: each costs us a reset of the inflater.
pub const DEFLATE_FINAL_BLOCKS_MAX: u32 = 16;
