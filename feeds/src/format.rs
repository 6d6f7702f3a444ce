//! File formats, one file each.

pub mod capture;
pub mod csv;
mod date;
pub mod iex;
pub mod dbn;
pub mod itch;
pub mod lobster;
pub(crate) mod pcap;
pub mod recording;
