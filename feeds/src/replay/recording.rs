//! One file, of whichever format.

use std::path::Path;

use crate::format::capture::CaptureReader;
use crate::format::itch::{self, ItchReader};
use crate::format::recording::RecordingReader;
use crate::record;
use crate::{FeedError, Input, Instrument, MarketEvent, Timestamp};

/// Enough to tell the formats apart: a frame's length and a message's type.
const HEAD_BYTES: usize = 3;

/// A recording, opened by the reader of its format.
pub(super) enum Recording {
    Itch(Box<ItchReader>),
    Capture(Box<CaptureReader>),
    Ours(Box<RecordingReader>),
}

impl Recording {
    /// Recognises the format by the first decompressed bytes: `{` begins a line of a capture, and a short length
    /// with a message type of ITCH an ITCH file, damaged though the frame may be: its reader tells how.
    /// Our own recording is a folder, or a segment of it.
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let ours = || RecordingReader::open(path).map(|reader| Self::Ours(Box::new(reader)));
        if path.is_dir() {
            return ours();
        }
        let mut input = Input::open(path)?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let mut byte = [0];
        while head.len() < HEAD_BYTES && input.read_exact_or_end(&mut byte)? {
            head.push(byte[0]);
        }
        match head[..] {
            [..] if record::MAGIC.starts_with(&head) && head.len() == HEAD_BYTES => ours(),
            [b'{', ..] => CaptureReader::open(path).map(|reader| Self::Capture(Box::new(reader))),
            [0, _, kind] if itch::length(kind).is_some() => {
                ItchReader::open(path).map(|reader| Self::Itch(Box::new(reader)))
            }
            [] => Err(FeedError::UnknownFormat { path: path.to_owned(), reason: "empty".to_owned() }),
            _ => Err(FeedError::UnknownFormat {
                path: path.to_owned(),
                reason: format!("begins with `{}`", head.escape_ascii()),
            }),
        }
    }

    pub(super) const fn format(&self) -> &'static str {
        match self {
            Self::Itch(_) => "NASDAQ ITCH 5.0",
            Self::Capture(_) => "exchange capture",
            Self::Ours(_) => "Tickwire recording",
        }
    }

    pub(super) const fn messages(&self) -> u64 {
        match self {
            Self::Itch(reader) => reader.messages(),
            Self::Capture(reader) => reader.messages(),
            Self::Ours(reader) => reader.messages(),
        }
    }

    pub(super) fn venue(&self) -> &'static str {
        match self {
            Self::Itch(_) => itch::VENUE,
            Self::Capture(reader) => reader.venue(),
            Self::Ours(reader) => reader.venue(),
        }
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        match self {
            Self::Itch(reader) => reader.instruments(),
            Self::Capture(reader) => reader.instruments(),
            Self::Ours(reader) => reader.instruments(),
        }
    }

    pub(super) fn next_message(
        &mut self,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Option<Timestamp>, FeedError> {
        match self {
            Self::Itch(reader) => reader.next_message(events),
            Self::Capture(reader) => reader.next_message(events),
            Self::Ours(reader) => reader.next_message(events),
        }
    }
}
