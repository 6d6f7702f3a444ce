//! The bus across machines: what an ingest publishes on a broker, and gateways follow there.
//!
//! To the publisher of an ingest the broker is one more shard, whose end is an [`Outlet`]: it listens to the topics that
//! some gateway follows, and what it cannot take in time is made good like any shard's. What travels is the update's
//! binary record, encoded once, with the number before it and its own. `protocol.md` beside these files has it byte by
//! byte.

pub mod address;
#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "nats", feature = "amqp"))]
mod client;
#[cfg(any(feature = "nats", feature = "amqp"))]
mod connection;
#[cfg(any(feature = "nats", feature = "amqp"))]
mod gateway;
#[cfg(any(feature = "nats", feature = "amqp"))]
mod ingest;
pub mod instruments;
mod link;
pub mod message;
#[cfg(feature = "nats")]
mod nats;
mod outlet;
pub mod share;
pub mod standby;
#[cfg(any(feature = "nats", feature = "amqp"))]
mod stream;
pub mod subject;

#[cfg(any(feature = "nats", feature = "amqp"))]
pub use connection::{BusError, Connection};
#[cfg(any(feature = "nats", feature = "amqp"))]
pub use gateway::Joined;
#[cfg(any(feature = "nats", feature = "amqp"))]
pub use ingest::serve;
pub use link::{Delivery, Link, Order};
pub use outlet::Outlet;
