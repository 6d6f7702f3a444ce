//! Tickwire takes a market-data feed (simulated, replayed or live), keeps the current state of every instrument, and
//! pushes snapshots and changes of it to any number of clients.
//!
//! # The way of a quote
//!
//! ```text
//!  venue bytes ─► feeds ─► market ─► publisher ─► bus ─► fanout (shard) ─► server ─► client
//!              MarketEvent   Change   TopicMessage  TopicMessage     bytes
//! ```
//!
//! Data flows one way. What a client asks goes back only as far as its shard's registry and, for the state of a topic,
//! to the publisher's bounded queue of requests: it is answered at the end of a turn, between two messages of the feed,
//! and no more than a small share of a turn is spent on it. Nothing that a client sends reaches [`market`] or [`feeds`]. Each arrow is a bounded channel
//! or a plain call, joined in one place, [`service`].
//!
//! # Layers
//!
//! Imports point down only; `tests/layers.rs` holds them to it.
//!
//! ```text
//!  4  wiring      main cli config service             import anything; nothing imports them
//!  3  edge        server   client   load   lint       sockets
//!  2  moving      ingest gateway publisher bus fanout lifeline traces  threads and queues, no sockets; they meet through TopicMessage
//!  1  pure        market   wire   ws                  synchronous; no runtime; do not know each other
//!  0  vocabulary  feeds   topic   state   directory   entitlement   limits   metrics   secret printable
//! ```
//!
//! # Invariants
//!
//! - [`market`], [`wire`] and [`ws`] contain no `async`: all that can be wrong about prices or bytes is tested with no
//!   runtime.
//! - Types with serde derives for the public protocol live in [`wire`] alone.
//! - No guard of a lock or a map lives across an `.await`; no queue is unbounded; the ingest never waits for a client.
//! - Only [`feeds::clock`] reads the time. Only [`service`] joins stages. Every bound on what others can make us hold or
//!   wait for is in [`limits`] or [`feeds::limits`], every metric in [`metrics`], every error and close code in
//!   [`wire::code`].

// In the order of the layers, and within them in that of the pipeline.
pub mod topic;
pub mod state;
pub mod directory;
pub mod entitlement;
pub mod limits;
pub mod metrics;
pub mod printable;
pub mod secret;

pub mod market;
pub mod wire;
pub mod ws;

pub mod lifeline;
pub mod traces;
pub mod ingest;
pub mod gateway;
pub mod publisher;
pub mod bus;
pub mod fanout;

pub mod server;
pub mod client;
pub mod load;
pub mod lint;

pub mod cli;
pub mod config;
pub mod service;
