//! File formats, one file each.

pub mod capture;
pub mod itch;
pub mod recording;
