//! From topic messages to the bytes of each connection. No sockets here: what a connection is to get leaves through
//! the function that [`Shard::flush`] is given.
//!
//! Connections that are sent the same share a *cohort*: their messages are assembled, framed and compressed once. A
//! connection whose socket does not keep up becomes a *laggard*, for which nothing is kept but how far it had come.

mod shard;
mod listeners;
mod subscribing;
mod cohort;
mod assembly;
mod compression;
mod events;
mod laggard;

pub use cohort::{Deflate, Form};
pub use events::mark_of;
pub use shard::{Connection, Flushed, Outgoing, Sent, Shard, Stand, Standing};
pub use subscribing::{Subscribe, SubscribeKind, Subscribed};
