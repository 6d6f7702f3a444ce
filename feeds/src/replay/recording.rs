//! One file, of whichever format.

use std::path::Path;

use crate::format::capture::CaptureReader;
use crate::format::dbn::{self, DbnReader};
use crate::format::itch::{self, ItchReader};
use crate::{FeedError, Input, Instrument, MarketEvent, Timestamp};

/// Enough to tell the formats apart: a frame's length and a message's type.
const HEAD_BYTES: usize = 3;

/// A recording, opened by the reader of its format.
pub(super) enum Recording {
    Itch(Box<ItchReader>),
    Capture(Box<CaptureReader>),
    Dbn(Box<DbnReader>),
}

impl Recording {
    /// Recognises the format by the first decompressed bytes: `{` begins a line of a capture, `DBN` a
    /// DBN file, and a short length with a message type of ITCH an ITCH file, damaged though the frame may be: its reader tells how.
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let mut input = Input::open(path)?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        let mut byte = [0];
        while head.len() < HEAD_BYTES && input.read_exact_or_end(&mut byte)? {
            head.push(byte[0]);
        }
        match head[..] {
            [b'{', ..] => CaptureReader::open(path).map(|reader| Self::Capture(Box::new(reader))),
            [0, _, kind] if itch::length(kind).is_some() => {
                ItchReader::open(path).map(|reader| Self::Itch(Box::new(reader)))
            }
            [..] if head == dbn::MAGIC => DbnReader::open(path).map(|reader| Self::Dbn(Box::new(reader))),
            [..] if dbn::is_fragment(&head) => Err(FeedError::UnknownFormat {
                path: path.to_owned(),
                reason: "a fragment of DBN: records without the metadata that tell their version and symbols"
                    .to_owned(),
            }),
            [] => Err(FeedError::UnknownFormat { path: path.to_owned(), reason: "empty".to_owned() }),
            _ => Err(FeedError::UnknownFormat {
                path: path.to_owned(),
                reason: format!("begins with `{}`", head.escape_ascii()),
            }),
        }
    }

    /// Files of one format may hold an instrument at unlike scales, because they tell it only by its prices.
    pub(super) fn share_scales(recordings: &mut [Self]) {
        let readers = recordings.iter_mut().filter_map(|recording| match recording {
            Self::Dbn(reader) => Some(&mut **reader),
            Self::Itch(_) | Self::Capture(_) => None,
        });
        dbn::share_scales(&mut readers.collect::<Vec<_>>());
    }

    pub(super) const fn format(&self) -> &'static str {
        match self {
            Self::Itch(_) => "NASDAQ ITCH 5.0",
            Self::Capture(_) => "exchange capture",
            Self::Dbn(_) => "Databento DBN",
        }
    }

    pub(super) const fn messages(&self) -> u64 {
        match self {
            Self::Itch(reader) => reader.messages(),
            Self::Capture(reader) => reader.messages(),
            Self::Dbn(reader) => reader.messages(),
        }
    }

    pub(super) fn unmapped(&self) -> Vec<(String, u64)> {
        match self {
            Self::Dbn(reader) => reader.unmapped().collect(),
            Self::Itch(_) | Self::Capture(_) => Vec::new(),
        }
    }

    pub(super) fn venue(&self) -> &'static str {
        match self {
            Self::Itch(_) => itch::VENUE,
            Self::Capture(reader) => reader.venue(),
            Self::Dbn(reader) => reader.dataset(),
        }
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        match self {
            Self::Itch(reader) => reader.instruments(),
            Self::Capture(reader) => reader.instruments(),
            Self::Dbn(reader) => reader.instruments(),
        }
    }

    pub(super) fn next_message(
        &mut self,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Option<Timestamp>, FeedError> {
        match self {
            Self::Itch(reader) => reader.next_message(events),
            Self::Capture(reader) => reader.next_message(events),
            Self::Dbn(reader) => reader.next_message(events),
        }
    }
}
