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
/// Resting orders a side of a simulated book. At it, the next arrival is a cancel instead.
pub const SIM_ORDERS_PER_SIDE_MAX: usize = 64;
/// Resting orders that one simulated market order takes. What is left of it goes away unfilled.
pub const SIM_EXECUTIONS_PER_SWEEP_MAX: usize = 16;
/// Stretches of a recording that are read side by side because its time goes back between them (about 1 MB each). A
/// recording with more is refused.
pub const CAPTURE_LANES_MAX: usize = 32;

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
