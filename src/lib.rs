//! Tickwire.

pub mod client;
pub mod limits;
pub mod market;
pub mod state;
pub mod topic;
pub mod wire;
