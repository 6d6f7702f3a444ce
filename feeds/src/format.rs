//! File formats, one file each.

pub mod capture;
pub mod dbn;
pub mod itch;
