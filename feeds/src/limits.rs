//! Every bound on what a file, a venue or a setting can make this crate hold, and what happens at it.

use std::time::Duration;

/// The longest symbol. A longer one is refused.
pub const SYMBOL_BYTES_MAX: usize = 64;
/// Instruments of all feeds together. A feed with more is refused.
pub const INSTRUMENTS_MAX: usize = 65_536;
/// Each of a recording's two read buffers, of the file and of what is decompressed. What is longer is read in pieces.
pub const INPUT_BUFFER_BYTES: usize = 256 * 1024;
/// The longest line of a text recording: Binance's `exchangeInfo` is a few megabytes. A longer one is damage.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events of Binance's depth messages that wait for a snapshot, of all symbols together (about 20 MB). At the bound all
/// of them are given up: the next snapshot must be newer than what comes after, else it is refused.
pub const DEPTH_BUFFER_EVENTS_MAX: usize = 262_144;
/// Connections of one recording. A recording with more is refused.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Events a second of a whole simulated market: one a nanosecond. More is refused.
pub const SIM_EVENTS_PER_SECOND_MAX: u64 = 1_000_000_000;
/// The shortest and the longest day of a simulated market, in nanoseconds: a second and a day. Others are refused.
pub const SIM_SESSION_MIN: i64 = 1_000_000_000;
/// See [`SIM_SESSION_MIN`].
pub const SIM_SESSION_MAX: i64 = 86_400 * 1_000_000_000;
/// Resting orders a side of a simulated book. At it, the next arrival is a cancel instead.
pub const SIM_ORDERS_PER_SIDE_MAX: usize = 64;
/// Resting orders that one simulated market order takes. What is left of it goes away unfilled.
pub const SIM_EXECUTIONS_PER_SWEEP_MAX: usize = 16;
/// Stretches of a recording that are read side by side because its time goes back between them (about 1 MB each). A
/// recording with more is refused.
pub const CAPTURE_LANES_MAX: usize = 32;
/// How far the time of a capture may go back before that begins such a stretch, in nanoseconds: threads of a recorder
/// overtake each other.
pub const CAPTURE_TOLERANCE_NANOSECONDS: i64 = 1_000_000_000;
/// Levels a side of a book whose digits are kept for the venue's checksum, which is over the best hundred at most. At it
/// the worst are dropped.
pub const DIGIT_LEVELS_MAX: usize = 4_096;
/// Levels of a book that are known by the venue's number of them, of all instruments of a session together (about 100
/// MB). At it the book of the next one is given up, as after a gap.
pub const LEVEL_IDS_MAX: usize = 2_097_152;
/// Messages of a connection that may come before one with a smaller number (dYdX). What has not come by then is lost.
pub const REORDERED_MESSAGES_MAX: u64 = 256;
/// Lines of a capture that are read to tell its venue. Where none of them does, the file is refused.
pub const IDENTIFY_LINES_MAX: usize = 10_000;
/// Subscriptions of a session that messages name by number. A session with more is refused.
pub const CHANNELS_MAX: usize = 65_536;

/// The longest record of a packet capture: tcpdump's own bound. A longer one is damage.
pub const PACKET_BYTES_MAX: usize = 262_144;
/// Interfaces of one section of a pcapng file. A section with more is refused.
pub const PCAP_INTERFACES_MAX: usize = 4_096;
/// Streams of one packet capture: sessions and channels, each with its own numbering. A capture with more is refused.
pub const PACKET_STREAMS_MAX: usize = 64;
/// The options of one block of a pcapng file, beside its packet. A longer block is damage.
pub const PCAP_OPTIONS_BYTES_MAX: usize = 65_536;
/// VLAN tags around a packet. One with more is of no protocol that is known here.
pub const VLAN_TAGS_MAX: usize = 4;
/// Addresses that one packet capture may carry these streams to. A capture with more is refused.
pub const PACKET_ADDRESSES_MAX: usize = 4_096;
/// Packets of a stream that wait for one that is late (4 MB at most). At the bound what is missing is given up as lost.
pub const REORDER_PACKETS_MAX: usize = 64;
/// How much later than the first packet that waits another may have been received. Beyond, what is missing is given up
/// as lost.
pub const REORDER_NANOSECONDS_MAX: i64 = 1_000_000_000;
/// Messages of one event of IEX's DEEP that are taken together. What is longer is taken in pieces.
pub const IEX_EVENT_MESSAGES_MAX: usize = 4_096;
/// The longest line of a LOBSTER file: an order book of some thousand levels. A longer one is damage.
pub const LOBSTER_LINE_BYTES_MAX: usize = 65_536;
/// Resting orders that a LOBSTER file is followed with (about 64 MB). A file with more is refused.
pub const LOBSTER_ORDERS_MAX: usize = 4_194_304;
/// The longest row of a CSV file. A longer one is damage.
pub const CSV_ROW_BYTES_MAX: usize = 1_048_576;
/// The power of ten of a number of a CSV file (`1e-5`), up or down. A number with a greater one is damage.
pub const CSV_EXPONENT_MAX: i32 = 64;
/// Columns of a CSV file. A row with more is damage.
pub const CSV_COLUMNS_MAX: usize = 16_384;
/// Rows that are taken as one message, because they were received together (about 8 MB). What is more is another.
pub const CSV_MESSAGE_ROWS_MAX: usize = 131_072;
/// Venues that CSV files and ingests may name while the program runs: their names are never given back. One more is
/// refused.
pub const VENUES_MAX: usize = 1_024;
/// The file with the columns of a CSV file. A longer one is refused.
pub const CSV_COLUMNS_BYTES_MAX: usize = 65_536;
/// The metadata of a DBN file, which names its symbols: some 250 bytes each. More is damage.
pub const DBN_METADATA_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Instrument numbers that a DBN file names. A file with more is refused.
pub const DBN_NAMES_MAX: usize = 1_048_576;
/// Records of one event of a DBN file (about 12 MB): the snapshot of a book is one. A longer event is handed out in pieces.
pub const DBN_EVENT_RECORDS_MAX: usize = 131_072;

/// Levels a side of Kraken's books, as they are subscribed: the most that it offers.
pub const KRAKEN_BOOK_LEVELS: usize = 1_000;
/// Symbols that one connection to Kraken carries: it names no bound, and a thousand levels a side of each are a lot of
/// snapshots.
pub const KRAKEN_CONNECTION_SYMBOLS_MAX: usize = 250;
/// Symbols of one request to Kraken.
pub const KRAKEN_REQUEST_SYMBOLS_MAX: usize = 100;
/// How far apart requests to Kraken are.
pub const KRAKEN_REQUEST_SPACING: Duration = Duration::from_millis(50);
/// Symbols that one connection to Coinbase carries: it names no bound, but books come whole, and those of large products
/// are some megabytes.
pub const COINBASE_CONNECTION_SYMBOLS_MAX: usize = 100;
/// Symbols of one request to Coinbase.
pub const COINBASE_REQUEST_SYMBOLS_MAX: usize = 100;
/// How far apart requests to Coinbase are, over all connections: it allows one address eight a second.
pub const COINBASE_REQUEST_SPACING: Duration = Duration::from_millis(150);
/// Symbols that one connection to Binance carries, which takes 1,024 streams: two a symbol.
pub const BINANCE_CONNECTION_SYMBOLS_MAX: usize = 400;
/// Symbols of one request to Binance: two streams of each, in some six kilobytes.
pub const BINANCE_REQUEST_SYMBOLS_MAX: usize = 100;
/// How far apart requests of a connection to Binance are, which closes it after five messages in a second, and these
/// are not the only ones: pongs count.
pub const BINANCE_REQUEST_SPACING: Duration = Duration::from_millis(500);
/// Levels a side of the snapshots of Binance's books. What lies beyond them is known only when it changes.
pub const BINANCE_DEPTH_LEVELS: usize = 1_000;
/// How far apart requests by HTTP to a live venue are: a hundred a minute, of which each costs 50 at Binance, are 5,000 of
/// the 6,000 that it allows.
pub const LIVE_REST_SPACING: Duration = Duration::from_millis(600);
/// How long a live venue is not asked by HTTP that said it was asked too much, and not for how long.
pub const LIVE_REFUSED_PAUSE: Duration = Duration::from_secs(60);
/// The longest that a live venue is not asked by HTTP, whatever it says: Binance shuts an address out for up to three days,
/// and one request an hour finds out that it is let in again.
pub const LIVE_REFUSED_PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// The longest answer by HTTP of a live venue. A longer one is refused.
pub const LIVE_ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Symbols of a live feed, over as many connections as it takes. More are refused.
pub const LIVE_SYMBOLS_MAX: usize = 2_000;
/// The largest message of a live venue: a list of all instruments is about a megabyte. A larger one ends the connection.
pub const LIVE_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages of a live venue that wait to be applied (some 10 MB of ordinary flow). What is more is lost: their symbols get
/// a gap, and are asked for anew.
pub const LIVE_QUEUE_MESSAGES_MAX: usize = 16_384;
/// The memory of these messages, unless it is one alone. What is more is lost likewise.
pub const LIVE_QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long a connection to a live venue, and its list of instruments, may take.
pub const LIVE_CONNECT_MAX: Duration = Duration::from_secs(15);
/// The pause before the second attempt to connect; it doubles with every further one that brings nothing.
pub const LIVE_BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest pause between attempts to connect.
pub const LIVE_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long a snapshot that was asked for may take. Then it is asked for again.
pub const LIVE_SNAPSHOT_MAX: Duration = Duration::from_secs(20);
/// The least time between two requests for a snapshot of one symbol.
pub const LIVE_RESYNC_SPACING: Duration = Duration::from_secs(1);

// Of our own recordings, which `record/format.md` describes.

/// The longest payload of a record: that of the longest line. A longer one is not recorded, and announced as lost.
pub const RECORD_BYTES_MAX: usize = LINE_BYTES_MAX;
/// Records that wait for the disk. At the bound new ones are lost, counted and announced, or their sender waits, as it
/// was asked.
pub const RECORD_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much of records goes into a block, and how long they wait for it to be full: what a crash can take away. A
/// longer record is a block of its own.
pub const RECORD_BLOCK_BYTES: usize = 256 * 1024;
/// See [`RECORD_BLOCK_BYTES`].
pub const RECORD_BLOCK_AGE: Duration = Duration::from_secs(1);
/// After this a recorder whose disk failed tries again.
pub const RECORD_RETRY_AFTER: Duration = Duration::from_secs(1);
/// The longest of the texts that tell what a source is: Binance's addresses name every stream. A longer one is refused.
pub const RECORD_TEXT_BYTES_MAX: usize = 65_535;
/// All those texts of one run of a recorder. A source past it is refused.
pub const RECORD_SOURCES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest address of an HTTP request. A record with a longer one is not recorded, and announced as lost.
pub const RECORD_URL_BYTES_MAX: usize = 65_535;
/// The longest frame of a recording beside its content; it has room for [`RECORD_SOURCES_BYTES_MAX`] and an index of
/// [`SEGMENT_BLOCKS_MAX`] entries. A longer one is damage.
pub const RECORD_FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Blocks of a segment. At it, the next segment begins.
pub const SEGMENT_BLOCKS_MAX: usize = 65_536;
/// Segments of a recording. At it, nothing more is recorded, and that is announced.
pub const SEGMENTS_MAX: u64 = 65_536;
/// The longest line of a manifest: longer than any whose numbers fit. What is longer is read in part, and is damage.
pub const MANIFEST_LINE_BYTES_MAX: u64 = 256;
/// Losses that a reader of a recording keeps as examples.
pub const RECORD_LOSSES_KEPT_MAX: usize = 16;

// Of the checkpoints of a recording.

/// Records of a recording between two of its checkpoints, at least: about a second of playing at full speed.
pub const CHECKPOINT_RECORDS: u64 = 500_000;
/// Checkpoints of a recording: of a longer one they are further apart. At it, the one whose neighbours are the closest goes.
pub const CHECKPOINTS_MAX: u64 = 64;
/// All of them together, on the disk: of larger ones there are fewer. At it, as at [`CHECKPOINTS_MAX`].
pub const CHECKPOINTS_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// One of them. A state that is larger is not kept, and a file that is larger is not read.
pub const CHECKPOINT_BYTES_MAX: usize = 256 * 1024 * 1024;

// Of exports.

/// Resting orders that an export follows, of all instruments together (about 500 MB). A feed with more is not exported.
pub const EXPORT_ORDERS_MAX: usize = 8_388_608;
/// What of a file waits in memory to be written.
pub const EXPORT_BUFFER_BYTES: usize = 256 * 1024;
/// Rows of a row group of Parquet, which wait in memory (about 100 bytes each) for each kind.
pub const EXPORT_ROW_GROUP_ROWS: usize = 131_072;
