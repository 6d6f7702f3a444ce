//! From topic messages to the bytes of each connection. No sockets here: what a connection is to get leaves through
//! the function that [`Shard::flush`] is given.

mod shard;

pub use shard::{Connection, Shard, Subscribe, Subscribed};
