//! Every bound on what a file, a venue or a setting can make this crate hold, and what happens at it.

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
/// The metadata of a DBN file, which names its symbols: some 250 bytes each. More is damage.
pub const DBN_METADATA_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Instrument numbers that a DBN file names. A file with more is refused.
pub const DBN_NAMES_MAX: usize = 1_048_576;
/// Records of one event of a DBN file (about 12 MB): the snapshot of a book is one. A longer event is handed out in pieces.
pub const DBN_EVENT_RECORDS_MAX: usize = 131_072;
