//! Every bound of the service, and what happens at it. Those of `feeds` stand in [`feeds::limits`].

/// Shards at most: one bit each in a topic's interest word. More cores than this share shards.
pub const SHARDS_MAX: usize = 64;
