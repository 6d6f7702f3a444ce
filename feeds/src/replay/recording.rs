//! One file, of whichever format.

use std::path::Path;

use crate::format::capture::{self, CaptureReader};
use crate::format::csv::{self, CsvReader};
use crate::format::dbn::{self, DbnReader};
use crate::format::iex::{self, IexReader};
use crate::format::itch::{self, ItchPacketReader, ItchReader};
use crate::format::lobster::{self, LobsterReader};
use crate::format::pcap;
use crate::format::recording::RecordingReader;
use crate::record::{self, Verified};
use crate::{FeedError, Input, Instrument, MarketEvent, Timestamp};

/// Enough to tell the formats apart: a line of text with several columns.
const HEAD_BYTES: usize = 1_024;
/// What is shown of a file of no known format: a frame's length and a message's type.
const SHOWN_BYTES: usize = 3;

/// A recording, opened by the reader of its format.
pub(super) enum Recording {
    Itch(Box<ItchReader>),
    ItchPackets(Box<ItchPacketReader>),
    Iex(Box<IexReader>),
    Lobster(Box<LobsterReader>),
    Csv(Box<CsvReader>),
    Capture(Box<CaptureReader>),
    Dbn(Box<DbnReader>),
    Ours(Box<RecordingReader>),
}

impl Recording {
    /// Recognises the format by the first decompressed bytes: `{` begins a line of a capture, or a time before it, and a
    /// short length with a message type of ITCH an ITCH file, damaged though the frame may be: its reader tells how. DBN and a
    /// packet capture have their magic numbers, and what is in the latter is looked for; text is a LOBSTER file by its first row, and CSV
    /// by its header, or because its columns are told beside it. Our own
    /// recording is a folder, or a segment of it.
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let ours = || RecordingReader::open(path).map(|reader| Self::Ours(Box::new(reader)));
        if path.is_dir() {
            return ours();
        }
        let head = head(path)?;
        match head[..] {
            _ if head.starts_with(&record::MAGIC[..SHOWN_BYTES]) => ours(),
            _ if capture::is_capture(&head) => {
                CaptureReader::open(path).map(|reader| Self::Capture(Box::new(reader)))
            }
            [0, _, kind, ..] if itch::length(kind).is_some() => {
                ItchReader::open(path).map(|reader| Self::Itch(Box::new(reader)))
            }
            _ if head.starts_with(dbn::MAGIC) => {
                DbnReader::open(path).map(|reader| Self::Dbn(Box::new(reader)))
            }
            _ if pcap::is_capture(&head) => Self::open_packets(path),
            _ if lobster::is_message_file(&head) => {
                LobsterReader::open(path).map(|reader| Self::Lobster(Box::new(reader)))
            }
            _ if csv::is_csv(path, &head) => CsvReader::open(path).map(|reader| Self::Csv(Box::new(reader))),
            _ if dbn::is_fragment(&head) => Err(FeedError::UnknownFormat {
                path: path.to_owned(),
                reason: "a fragment of DBN: records without the metadata that tell their version and symbols"
                    .to_owned(),
            }),
            [_, ..] if let Some(reason) = csv::refusal(path, &head) => {
                Err(FeedError::UnknownFormat { path: path.to_owned(), reason })
            }
            [] => Err(FeedError::UnknownFormat { path: path.to_owned(), reason: "empty".to_owned() }),
            _ => Err(FeedError::UnknownFormat {
                path: path.to_owned(),
                reason: format!("begins with `{}`", head[..head.len().min(SHOWN_BYTES)].escape_ascii()),
            }),
        }
    }

    /// A packet capture, by the first feed in it.
    fn open_packets(path: &Path) -> Result<Self, FeedError> {
        enum Feed {
            Itch,
            Iex,
        }
        let feed = pcap::identify(path, |payload| {
            let itch = itch::is_in_datagram(payload).then_some(Feed::Itch);
            itch.or_else(|| iex::is_in_datagram(payload).then_some(Feed::Iex))
        })?;
        Ok(match feed {
            Feed::Itch => Self::ItchPackets(Box::new(ItchPacketReader::open(path)?)),
            Feed::Iex => Self::Iex(Box::new(IexReader::open(path)?)),
        })
    }

    /// Files of one format may hold an instrument at unlike scales, because they tell it only by its prices.
    pub(super) fn share_scales(recordings: &mut [Self]) {
        let (mut of_dbn, mut of_csv) = (Vec::new(), Vec::new());
        for recording in recordings {
            match recording {
                Self::Dbn(reader) => of_dbn.push(&mut **reader),
                Self::Csv(reader) => of_csv.push(&mut **reader),
                _ => {}
            }
        }
        dbn::share_scales(&mut of_dbn);
        csv::share_scales(&mut of_csv);
    }

    pub(super) const fn format(&self) -> &'static str {
        match self {
            Self::Itch(_) => "NASDAQ ITCH 5.0",
            Self::ItchPackets(_) => "NASDAQ ITCH 5.0 packets",
            Self::Iex(_) => "IEX TOPS and DEEP packets",
            Self::Lobster(_) => "LOBSTER messages",
            Self::Csv(_) => "CSV",
            Self::Capture(_) => "exchange capture",
            Self::Dbn(_) => "Databento DBN",
            Self::Ours(_) => "Tickwire recording",
        }
    }

    pub(super) const fn messages(&self) -> u64 {
        match self {
            Self::Itch(reader) => reader.messages(),
            Self::ItchPackets(reader) => reader.messages(),
            Self::Iex(reader) => reader.messages(),
            Self::Lobster(reader) => reader.messages(),
            Self::Csv(reader) => reader.messages(),
            Self::Capture(reader) => reader.messages(),
            Self::Dbn(reader) => reader.messages(),
            Self::Ours(reader) => reader.messages(),
        }
    }

    pub(super) fn unmapped(&self) -> Vec<(String, u64)> {
        match self {
            Self::Dbn(reader) => reader.unmapped().collect(),
            Self::Iex(reader) => {
                let types = reader.unused_messages().iter();
                types.map(|(kind, count)| (char::from(*kind).to_string(), *count)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Lines of a capture whose kind is not known here.
    pub(super) const fn unknown_lines(&self) -> u64 {
        match self {
            Self::Capture(reader) => reader.unknown_lines(),
            _ => 0,
        }
    }

    /// What was read of one of our own.
    pub(super) const fn verified(&self) -> Option<&Verified> {
        match self {
            Self::Ours(reader) => Some(reader.verified()),
            _ => None,
        }
    }

    pub(super) fn venue(&self) -> &'static str {
        match self {
            Self::Itch(_) | Self::ItchPackets(_) => itch::VENUE,
            Self::Iex(_) => iex::VENUE,
            Self::Lobster(_) => lobster::VENUE,
            Self::Csv(reader) => reader.venue(),
            Self::Capture(reader) => reader.venue(),
            Self::Dbn(reader) => reader.dataset(),
            Self::Ours(reader) => reader.venue(),
        }
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        match self {
            Self::Itch(reader) => reader.instruments(),
            Self::ItchPackets(reader) => reader.instruments(),
            Self::Iex(reader) => reader.instruments(),
            Self::Lobster(reader) => reader.instruments(),
            Self::Csv(reader) => reader.instruments(),
            Self::Capture(reader) => reader.instruments(),
            Self::Dbn(reader) => reader.instruments(),
            Self::Ours(reader) => reader.instruments(),
        }
    }

    pub(super) fn next_message(
        &mut self,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Option<Timestamp>, FeedError> {
        match self {
            Self::Itch(reader) => reader.next_message(events),
            Self::ItchPackets(reader) => reader.next_message(events),
            Self::Iex(reader) => reader.next_message(events),
            Self::Lobster(reader) => reader.next_message(events),
            Self::Csv(reader) => reader.next_message(events),
            Self::Capture(reader) => reader.next_message(events),
            Self::Dbn(reader) => reader.next_message(events),
            Self::Ours(reader) => reader.next_message(events),
        }
    }
}

/// The first decompressed bytes. Damage after the first ones is left for the format's reader to meet.
fn head(path: &Path) -> Result<Vec<u8>, FeedError> {
    let mut input = Input::open(path)?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut byte = [0];
    while head.len() < HEAD_BYTES {
        match input.read_exact_or_end(&mut byte) {
            Ok(true) => head.push(byte[0]),
            Err(error) if head.len() < SHOWN_BYTES => return Err(error),
            Ok(false) | Err(_) => break,
        }
    }
    Ok(head)
}
