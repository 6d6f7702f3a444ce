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
/// `refusals_total{reason="http_connections"}`.
pub const HTTP_CONNECTIONS_MAX: usize = 8_192;
/// How long a client may take for the head of a request, the idle time before it included; for the first one, from the
/// moment that it is accepted, with its PROXY header and its TLS handshake. Then it is closed.
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
/// Those of them that the clients of one address may hold.
pub const REST_BYTES_PER_ADDRESS_MAX: usize = 16 * 1024 * 1024;
/// Rows of a list by REST, and how many come where no `limit` is given. A larger `limit` is refused; what is left comes with
/// the next `cursor`.
pub const LIST_ROWS_MAX: usize = 10_000;
/// Bytes of a REST answer from which on it is compressed for who takes that.
pub const COMPRESSED_DOCUMENT_BYTES_MIN: usize = 1_024;
/// Bytes of one up to which that is done at once; a longer one is handed to another thread, as not to keep the shard.
pub const COMPRESSED_AT_ONCE_BYTES_MAX: usize = 32 * 1024;
/// How many of these are compressed at the same time. One more is sent as it is.
pub const COMPRESSING_MAX: usize = 2;
/// Bytes of a REST answer that are handed to the connection at once.
pub const REST_CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Bytes that the kernel takes for a socket beyond those on their way (`TCP_NOTSENT_LOWAT`). Its own bound is some
/// megabytes: to a slow client these would all be sent, stale, before its close frame.
pub const UNSENT_BYTES_MAX: u32 = 32 * 1024;

/// WebSocket connections of the process where nothing is set (`max_connections`). One more is refused with 503.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Upgraded sockets that wait for their shard to take them. One more is refused with 503.
pub const UPGRADES_WAITING_MAX: usize = 16_384;
/// Topics of one part of a subscription: the next part's states are asked for when the client has taken these.
pub const SUBSCRIBE_PART_TOPICS: usize = 1_024;
/// Topics that one connection follows where nothing is set (`max_subscriptions`). One more is rejected with `TOO_MANY_SUBSCRIPTIONS`.
pub const TOPICS_PER_CONNECTION_MAX: usize = 3 * feeds::limits::INSTRUMENTS_MAX;
/// Topics of one stream of server-sent events: the `id` of each event says how far all of them have come, in seven bytes or
/// less each, and comes back in one header. A stream of more is refused with 400.
pub const EVENTS_TOPICS_MAX: usize = SUBSCRIBE_PART_TOPICS;
/// The longest `Last-Event-ID` that is read. A longer one is none of ours: its client begins with the whole states.
pub const EVENT_ID_BYTES_MAX: usize = 16 * 1024;
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
/// How often a shard's log names laggards, where it tells that much.
pub const SLOW_NAMED_EVERY: Duration = Duration::from_secs(5);
/// How many of them it names: those for whom most waits.
pub const SLOW_NAMED_MAX: usize = 8;
/// The longest request of a client. A longer one is answered `MESSAGE_TOO_LARGE`, unread.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one client message that is read at all. A longer one closes the connection with 1009.
pub const MESSAGE_IN_BYTES_MAX: u32 = 1024 * 1024;
/// Bytes of the messages of all clients that have not come whole yet. Over it, a client whose message takes more than
/// [`MESSAGE_IN_FAIR_BYTES`] is closed with 1013, and counted in `refusals_total{reason="crowded"}`.
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
/// chosen by lot, so that no second holds more than 15 % of them: `docs/capacity.md`.
pub const RECONNECT_AFTER_MS: (u64, u64) = (1_000, 9_000);
/// How long a request for states may wait for the publisher. Then a socket's is answered with `INTERNAL`, and one by
/// REST with `BUSY`.
pub const STATES_WAIT: Duration = Duration::from_secs(5);
/// Malformed client messages in a row after which the connection is closed with 1008.
pub const BAD_REQUESTS_MAX: u32 = 100;

/// Taps of others' connections, of all administrators together. One more is refused with 503.
pub const TAPS_MAX: usize = 4;
/// Messages that wait for who taps. One more is dropped, and counted where it is missing: the connection that is tapped waits
/// for nobody.
pub const TAP_WAITING_MAX: usize = 1_024;
/// The same in bytes.
pub const TAP_WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Topics that are named at the beginning of a tap, of those that the connection follows by then. Others are not.
pub const TAP_TOPICS_MAX: usize = SUBSCRIBE_PART_TOPICS;
/// How long the socket of who taps may take nothing. Then the tap is over.
pub const TAP_STALLED_MAX: Duration = Duration::from_secs(30);
/// Requests of administrators that wait for a shard. One more is answered with `BUSY`.
pub const ADMIN_REQUESTS_MAX: usize = 16;
/// Bytes of one part of the list of connections that our own client reads. A longer one is none.
pub const ADMIN_LIST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one line of a tap that it reads: the longest message in base64, and more. A longer one ends it.
pub const TAP_LINE_BYTES_MAX: usize = 24 * 1024 * 1024;

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
/// How soon the ingest looks again for what it waits for: room in a full shard, or clients that have subscribed. A gateway, whose
/// timers count whole milliseconds, takes up to twice as long.
pub const INGEST_RETRY_AFTER: Duration = Duration::from_millis(1);
/// How long the ingest sleeps at least while a shard has not taken what it was sent last, because it could only be sent
/// more of the same batch; and after a turn that nobody was sent anything of, because what is due next is as little awaited.
pub const INGEST_PAUSE: Duration = Duration::from_micros(500);
/// How late a feed may be before the log says so, and how often it says so.
pub const FEED_LATE_MAX: Duration = Duration::from_secs(1);
/// See [`FEED_LATE_MAX`].
pub const FEED_LATE_LOG_EVERY: Duration = Duration::from_secs(10);
/// How often the log says how far a replay has come on its way to where it is to begin.
pub const SEEK_LOG_EVERY: Duration = Duration::from_secs(5);
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
/// How often a client looks for another token once it was told that its own is over soon.
pub const CLIENT_TOKEN_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How much a client shows of what a server says of why it lets it not in; the rest is cut off.
pub const CLIENT_REASON_CHARS_MAX: usize = 200;
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
/// Bytes of one line of a capture: more than the longest message that a client takes, in base64. A longer one is refused.
pub const CAPTURE_LINE_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Faults of a capture, or differences between it and a server, that are told; more are only counted.
pub const CAPTURE_FAULTS_MAX: usize = 16;
/// Characters of a field's name and of a value that a difference tells; the rest is cut off.
pub const CAPTURE_VALUE_CHARS_MAX: usize = 200;
/// Bytes that are kept of what was captured, and of what a server sends, because the other one has not come that far. Of the
/// capture no more is read then; of the server it is the end of the comparison.
pub const CAPTURE_AHEAD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a server may send nothing that a capture awaits, beside the longest pause in the capture. Then it has not come.
pub const CAPTURE_WAIT: Duration = Duration::from_secs(10);
/// The longest pause in a capture that counts; a longer one is taken for this.
pub const CAPTURE_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// Bytes that `lint` reads of one connection. Past it, the connection's check is given up.
pub const LINT_READ_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// Bytes of the message by which it looks for a bound: more than any request needs.
pub const LINT_MESSAGE_BYTES: usize = 1024 * 1024 + 1;
/// Characters that it shows of what an endpoint sent; the rest is cut off.
pub const LINT_SEEN_CHARS_MAX: usize = 200;
/// How long a certificate is to be good for yet. Of one that ends sooner, it warns.
pub const LINT_CERTIFICATE_LEFT_MIN: Duration = Duration::from_secs(14 * 86_400);
/// Instruments in the dashboard of `watch`. Of more that are asked for, the first are shown; then none is added.
pub const WATCH_ROWS_MAX: usize = 500;
/// Trades of an instrument that it keeps. The oldest is dropped.
pub const WATCH_TAPE_MAX: usize = 256;
/// Bytes of the list of instruments, which has [`LIST_ROWS_MAX`] rows at most. Of a longer one, it says so, and has none.
pub const WATCH_LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How long it waits for that list.
pub const WATCH_LIST_WAIT: Duration = Duration::from_secs(5);
/// Instruments that a search shows: the best matches.
pub const WATCH_FOUND_MAX: usize = 100;
/// Keys and changes of size that wait. Then the terminal keeps them.
pub const WATCH_KEYS_MAX: usize = 64;
/// Seconds of which it shows the updates.
pub const WATCH_RATES_MAX: usize = 60;
/// Characters of a field of the server's that it shows, and of a longer text; the rest is cut off.
pub const WATCH_FIELD_CHARS_MAX: usize = 40;
/// See [`WATCH_FIELD_CHARS_MAX`].
pub const WATCH_TEXT_CHARS_MAX: usize = 200;
/// From one drawing to the next, at least.
pub const WATCH_DRAW_EVERY: Duration = Duration::from_millis(33);
/// How often a load tells how far it is.
pub const LOAD_TELL_EVERY: Duration = Duration::from_secs(1);
/// Different texts of errors that a load reports; more are only counted.
pub const LOAD_ERRORS_MAX: usize = 16;

/// Frames that one message may come in. One more closes the connection with 1009: each costs its sender two bytes.
pub const MESSAGE_FRAMES_MAX: u32 = 1_024;
/// Pings of one connection that are answered each, in one turn of reading. Of more, the newest is.
pub const PONGS_PER_TURN_MAX: u32 = 16;
/// Final blocks in one compressed message, for which a sender has no more than one use. One more makes the message
/// count as damaged, and closes the connection with 1007: each costs us a reset of the inflater.
pub const DEFLATE_FINAL_BLOCKS_MAX: u32 = 16;

/// WebSockets of one address, where nothing is set (`max_connections_per_address`). One more is refused with 429.
pub const CONNECTIONS_PER_ADDRESS: usize = 1_000;
/// Handshakes of WebSockets a second of one address, and at once, where nothing is set (`max_handshakes_per_second`).
/// One more is refused with 429.
pub const HANDSHAKES_PER_SECOND: u32 = 100;
/// Requests by HTTP a second of one address, and at once, where nothing is set (`max_requests_per_second`). One more is
/// refused with 429.
pub const REQUESTS_PER_SECOND: u32 = 100;
/// Messages a second of one WebSocket where nothing is set (`max_messages_per_second`). Past the rate and the burst, it is
/// closed with 4029.
pub const MESSAGES_PER_SECOND: u32 = 100;
/// Seconds' worth of messages that may come at once.
pub const MESSAGES_BURST_SECONDS: u32 = 10;
/// HTTP connections of one address that are not, or not yet, WebSockets. One more is closed at once.
pub const HTTP_CONNECTIONS_PER_ADDRESS_MAX: usize = 512;
/// Addresses of which something is remembered. Past it, those that hold no connection are forgotten, the longest unseen
/// of a few first.
pub const ADDRESSES_MAX: usize = 65_536;
/// See [`ADDRESSES_MAX`].
pub const ADDRESSES_LOOKED_AT: usize = 64;
/// The longest header of the PROXY protocol. A longer one closes the connection.
pub const PROXY_HEADER_BYTES_MAX: usize = 1_024;
/// How often the memory of the process is looked at.
pub const MEMORY_LOOK_EVERY: Duration = Duration::from_secs(1);
/// The share of `max_memory` below it from which on nobody more is let in: an eighth.
pub const MEMORY_REFUSE_SHARE: u64 = 8;
/// The share of the connections that is sent away at once when there is more: a sixteenth.
pub const MEMORY_SHED_SHARE: usize = 16;
/// The share of `max_memory` by which the process must have grown before more are sent away: a 256th.
pub const MEMORY_GROWTH_SHARE: u64 = 256;
/// The longest pause between two looks at a connection that counts as its silence: while the process does not run, it
/// hears nobody.
pub const SILENCE_STEP_MAX: Duration = Duration::from_millis(500);
/// Seconds after which whoever was refused for want of room may try again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest time to drain that can be set.
pub const DRAIN_MAX: Duration = Duration::from_secs(3_600);
/// The longest token or API key. A longer one is refused unread.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The longest subject, and the longest number, of a token, and the longest name of an API key or a role.
pub const IDENTITY_BYTES_MAX: usize = 256;
/// The shortest secret of HS256: its hash's length (RFC 7518 section 3.2).
pub const TOKEN_SECRET_BYTES_MIN: usize = 32;
/// How far the clocks of an issuer and ours may differ. Past it, a token that has expired ends its connection.
pub const TOKEN_LEEWAY: Duration = Duration::from_secs(2);
/// How long a connection may stand before its client has said who it is. Then it is closed with 4001.
pub const AUTH_WAIT: Duration = Duration::from_secs(10);
/// The largest file of keys, API keys or revocations. A larger one is refused.
pub const AUTH_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How often these files are looked at. A change is taken up when the next look sees it again.
pub const AUTH_CHECK_EVERY: Duration = Duration::from_millis(500);
/// Bits of the modulus of an RSA key, at least: RFC 7518 section 3.3. A smaller one is refused; of a JWKS, passed over.
pub const RSA_BITS_MIN: usize = 2_048;
/// The same at most, so that a signature is verified in a short time.
pub const RSA_BITS_MAX: usize = 8_192;
/// The longest JWKS that is fetched.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of a JWKS that are looked at. One with more is refused.
pub const JWKS_KEYS_MAX: usize = 64;
/// How long the fetch of a JWKS may take.
pub const JWKS_FETCH_WAIT: Duration = Duration::from_secs(5);
/// How soon a JWKS that could not be fetched is asked for again.
pub const JWKS_RETRY_AFTER: Duration = Duration::from_secs(10);
/// How often a token with the name of an unknown key has the JWKS fetched before its time. Anybody can make up such a
/// name: a new key waits no longer than this, whoever has had it fetched just now.
pub const JWKS_UNKNOWN_KEY_EVERY: Duration = Duration::from_secs(10);
/// API keys in the file. One of more is refused: each is looked at for each key that is presented.
pub const API_KEYS_MAX: usize = 4_096;
/// Patterns of symbols in one entitlement, each as long as a symbol at most. One of more is refused.
pub const PATTERNS_MAX: usize = 1_024;
/// The least memory for what waits to be seen late. Less is refused at the start: two blocks of it are not compressed.
pub const DELAY_BYTES_MIN: usize = 4 * 1024 * 1024;

/// Bytes of a message on a broker: what NATS takes where nothing is set. A longer one is not sent, and not read.
pub const BROKER_MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of JSON in one of them. A longer answer is refused with `BUSY`, and asked for in parts.
pub const BROKER_JSON_BYTES_MAX: usize = BROKER_MESSAGE_BYTES_MAX - 1_024;
/// Bytes of updates of one topic that are gathered into one of them.
pub const BROKER_UPDATES_BYTES_MAX: usize = 64 * 1024;
/// Bytes of instruments in one of them; the others follow in the next.
pub const INSTRUMENT_PAGE_BYTES_MAX: usize = 256 * 1024;
/// The longest name of an epoch in a message.
pub const EPOCH_BYTES_MAX: usize = 32;
/// The longest other text in one. An instrument with a longer one is refused at the start.
pub const BROKER_TEXT_BYTES_MAX: usize = 255;
/// Topics that one message names.
pub const FOLLOWS_PER_MESSAGE_MAX: usize = 4_096;
/// Topics whose states are asked for beside the stream in one message: of quotes and tickers, their JSON fits one.
pub const READS_PER_MESSAGE_MAX: usize = 512;
/// Shares into which the instruments on a bus can be divided.
pub const SHARES_MAX: u16 = 64;
/// How often an ingest says on the bus that it lives.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);
/// How long an ingest that stands by hears no other on a bus that carries messages before it takes over; up to
/// [`BEAT_EVERY`] longer, to be the only one.
pub const TAKE_OVER_AFTER: Duration = Duration::from_millis(750);
/// How long an ingest that stands by may be without what it has sent itself. Then the bus is taken to carry nothing.
pub const ECHO_MISSED_AFTER: Duration = Duration::from_millis(600);
/// Silence of it after which a gateway says that what it serves is stale, and is not ready.
pub const BEATS_MISSED_MAX: Duration = Duration::from_millis(1_500);
/// How long a gateway does not listen to an ingest of a lower rank while the one that it follows lives, or may.
pub const OTHER_INGEST_AFTER: Duration = Duration::from_millis(750);
/// How often a gateway says what it follows.
pub const FOLLOW_EVERY: Duration = Duration::from_secs(5);
/// How long an ingest publishes a topic that no gateway has said to follow.
pub const FOLLOWED_LASTS: Duration = Duration::from_secs(16);
/// How often an ingest tells the newest number of a topic that is followed and silent: whoever missed the last message
/// learns it by that.
pub const QUIET_EVERY: Duration = Duration::from_secs(1);
/// How long a gateway waits for a state that it has asked the ingest for before it asks again.
pub const ASK_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Messages of a broker that wait for a gateway's publisher. Then those behind them wait in the subscriptions.
pub const DELIVERIES_WAITING_MAX: usize = 4_096;
/// Messages of one subject that wait at a gateway, while it is busy with others or begins a new run of the stream. One more
/// is lost, which shows by its number.
pub const SUBJECT_WAITING_MAX: usize = 1_024;
/// Messages that wait at RabbitMQ for a process. Of more, the oldest are dropped, which shows by their numbers.
pub const QUEUE_WAITING_MAX: i32 = 16_384;
/// Messages that a connection to RabbitMQ, or to a partition of Kafka, has taken and not written. Then who publishes waits.
pub const UNSENT_MAX: usize = 256;
/// Partitions of a topic of Kafka. One with more is refused: each costs every process two tasks.
pub const KAFKA_PARTITIONS_MAX: usize = 1_024;
/// Bytes of a message on Kafka: with key and headers less than the 1 MiB that brokers take where nothing is set.
pub const KAFKA_MESSAGE_BYTES_MAX: usize = BROKER_MESSAGE_BYTES_MAX - 2_048;
/// Bytes of messages that are sent to a partition together; more follow when these are taken.
pub const KAFKA_BATCH_BYTES_MAX: usize = 256 * 1024;
/// Bytes that are read of a partition at once; the others follow in the next answer.
pub const KAFKA_FETCH_BYTES_MAX: i32 = 1024 * 1024;
/// How long Kafka waits for the next record before it answers that there is none. It answers at once when one comes.
pub const KAFKA_FETCH_WAIT: Duration = Duration::from_millis(100);
/// Bytes of an answer of Kafka. A longer one ends the connection: others may have written such records, or there are more
/// topics in the cluster than fit.
pub const KAFKA_FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages that a gateway's publisher takes in one turn.
pub const DELIVERIES_PER_TURN_MAX: usize = 1_024;
/// Requests of a gateway to its ingest that wait for an answer. One more is answered with `BUSY`.
pub const BROKER_REQUESTS_MAX: usize = 256;
/// Topics whose earlier trades a gateway asks its ingest for at once; more wait.
pub const TAPES_ASKED_MAX: usize = 32;
/// How long a broker may take to let us in, and an ingest to answer.
pub const BROKER_WAIT: Duration = Duration::from_secs(3);
/// How long to wait between two attempts to reach a broker: from the first, growing to the second, less up to half of it
/// by lot.
pub const BROKER_RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Spans that wait for the collector, or are on their way to it. One more is dropped, and counted in `spans_dropped_total`.
pub const OTLP_SPANS_WAITING_MAX: usize = 2_048;
/// Spans that are sent to it at once.
pub const OTLP_BATCH_SPANS_MAX: usize = 512;
/// How long spans wait for more to be sent with.
pub const OTLP_EVERY: Duration = Duration::from_secs(1);
/// How long the collector may take for a request, and after how long a batch is not tried again. Then it is dropped.
pub const OTLP_WAIT: Duration = Duration::from_secs(3);
/// How long the last spans may take at the end. Then they are lost.
pub const OTLP_END_WAIT: Duration = Duration::from_secs(2);
/// Bytes of the collector's answer. A longer one counts as none.
pub const OTLP_ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest `traceparent` or `tracestate` that is read: what W3C Trace Context asks for. A longer one is left aside.
pub const TRACE_HEADER_BYTES_MAX: usize = 512;
/// Bytes of a request's path that its span shows; the rest is cut off.
pub const TRACED_PATH_BYTES_MAX: usize = 256;
