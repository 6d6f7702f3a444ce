//! Tickwire.

pub mod bus;
pub mod cli;
pub mod client;
pub mod config;
pub mod directory;
pub mod fanout;
pub mod ingest;
pub mod limits;
pub mod market;
pub mod metrics;
pub mod publisher;
pub mod server;
pub mod service;
pub mod state;
pub mod topic;
pub mod wire;
pub mod ws;
