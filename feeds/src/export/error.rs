//! Why a feed cannot be exported.

use std::io;
use std::path::PathBuf;

use crate::Symbol;
use crate::limits::EXPORT_ORDERS_MAX;

/// Why a file cannot be written, or not exactly.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something at the path.
    #[error("{} is there already: remove it, or say --force", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// It cannot be made or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A number that the format cannot hold.
    #[error("{symbol}: {field} {text}: {reason}")]
    Number {
        /// The instrument.
        symbol: Symbol,
        /// What it is.
        field: &'static str,
        /// The number.
        text: String,
        /// What the format holds.
        reason: String,
    },
    /// One file would hold two kinds.
    #[error("{}: the feed has {first} and {second}, and one file holds one kind: say --kind {first} or --kind {second}, or give a folder", path.display())]
    Kinds {
        /// The file.
        path: PathBuf,
        /// The kind it holds.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// More resting orders than are followed.
    #[error("more than {EXPORT_ORDERS_MAX} resting orders")]
    Orders,
    /// The settings make no sense.
    #[error("{0}")]
    Settings(String),
}

impl ExportError {
    pub(super) fn io(path: &std::path::Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
