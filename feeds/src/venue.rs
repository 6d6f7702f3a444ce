//! Venues, one file each: what their messages mean.

pub mod binance;
pub mod coinbase;
pub mod kraken;
