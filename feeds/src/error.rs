//! What can go wrong with a feed.

use std::io;
use std::path::PathBuf;

/// Why a feed cannot go on, and where.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be opened or read, or its compression is damaged.
    #[error("{}: {}{source}", path.display(), place(*offset))]
    Io {
        /// The file.
        path: PathBuf,
        /// Decompressed bytes before the failure; `None`: nothing was to be read yet, or it is no matter of a place.
        offset: Option<u64>,
        /// The cause.
        source: io::Error,
    },
    /// The content is not what its format demands.
    #[error("{}: damaged at byte {offset}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Decompressed bytes before the damaged message.
        offset: u64,
        /// What was expected, and what was found.
        reason: String,
    },
    /// The content is of no format that is known here.
    #[error("{}: not a recording of a known format: {reason}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// A live venue cannot be reached, or does not tell what it must.
    #[error("{url}: {reason}")]
    Live {
        /// Where it was looked for.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The feed was asked for something it cannot do.
    #[error("{0}")]
    Settings(String),
}

impl FeedError {
    /// The same at another offset: a record is read in several steps, and what is damaged is the whole record.
    #[must_use]
    pub(crate) fn at(self, offset: u64) -> Self {
        match self {
            Self::Io { path, source, .. } => Self::Io { path, offset: Some(offset), source },
            Self::Damaged { path, reason, .. } => Self::Damaged { path, offset, reason },
            Self::UnknownFormat { .. } | Self::Live { .. } | Self::Settings(_) => self,
        }
    }
}

fn place(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| format!("at byte {offset}: "))
}
