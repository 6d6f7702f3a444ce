//! The bus across machines: what an ingest publishes on a broker, and gateways follow there.
//!
//! To the publisher of an ingest the broker is one more shard, whose end is an [`Outlet`]: it listens to the topics that
//! some gateway follows, and what it cannot take in time is made good like any shard's. What travels is the update's
//! binary record, encoded once, with the number before it and its own. `protocol.md` beside these files has it byte by
//! byte.

pub mod address;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod again;
#[cfg(feature = "amqp")]
mod amqp;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod asked;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
mod client;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
mod connection;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
mod gateway;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
mod ingest;
pub mod instruments;
#[cfg(feature = "kafka")]
mod kafka;
mod link;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod listening;
pub mod message;
#[cfg(feature = "nats")]
mod nats;
mod outlet;
pub mod share;
pub mod standby;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
mod stream;
pub mod subject;

#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
pub use connection::{BusError, Connection};
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
pub use gateway::Joined;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
pub use ingest::serve;
pub use link::{Delivery, Link, Order};
pub use outlet::Outlet;
