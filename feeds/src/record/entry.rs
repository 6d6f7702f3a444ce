//! A record, and its bytes in the queue and in a block.

use super::layout::{Fields, Malformed, RECORD_HEAD_BYTES};
use crate::Timestamp;
use crate::limits::{RECORD_BYTES_MAX, RECORD_URL_BYTES_MAX};

/// Something that was received, or happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Whose; `None`: the recorder's own.
    pub source: Option<SourceId>,
    /// When it was received, by our clock.
    pub ts_recv: Timestamp,
    /// What.
    pub body: Body<'a>,
}

/// The number of a [`super::Source`] in its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceId(pub u32);

/// What a [`Record`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A message came.
    Received(&'a [u8]),
    /// A message was sent.
    Sent(&'a [u8]),
    /// An HTTP request was answered.
    Answered {
        /// What was asked.
        url: &'a str,
        /// The body of the answer.
        payload: &'a [u8],
    },
    /// The connection was made, to the address of its source or, where there are several, to this one.
    Connected(&'a str),
    /// The connection ended, for this reason.
    Disconnected(&'a str),
    /// Whatever a reader of the recording should know.
    Note(&'a str),
    /// There was no room for some records, which would stand here.
    Lost(Lost),
}

/// Records that were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub records: u64,
    /// How long their payloads were.
    pub bytes: u64,
    /// When the first of them was received.
    pub first: Timestamp,
    /// When the last of them was received.
    pub last: Timestamp,
}

const RECEIVED: u8 = 1;
const SENT: u8 = 2;
const ANSWERED: u8 = 3;
const CONNECTED: u8 = 4;
const DISCONNECTED: u8 = 5;
const NOTE: u8 = 6;
const LOST: u8 = 7;

const NO_SOURCE: u32 = u32::MAX;
const LENGTH_BYTES: usize = 4;

impl<'a> Record<'a> {
    /// Whether it is not longer than a record may be.
    pub(super) const fn fits(&self) -> bool {
        let url_bytes = match self.body {
            Body::Answered { url, .. } => url.len(),
            _ => 0,
        };
        self.body.payload().len() <= RECORD_BYTES_MAX && url_bytes <= RECORD_URL_BYTES_MAX
    }

    /// How many bytes [`Record::write`] writes, [`Lost`] aside.
    pub(super) const fn bytes(&self) -> usize {
        let url_bytes = match self.body {
            Body::Answered { url, .. } => 2 + url.len(),
            _ => 0,
        };
        RECORD_HEAD_BYTES + url_bytes + self.body.payload().len()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0; LENGTH_BYTES]);
        out.push(self.body.kind());
        out.extend(self.source.map_or(NO_SOURCE, |source| source.0).to_le_bytes());
        out.extend(self.ts_recv.0.to_le_bytes());
        match self.body {
            Body::Answered { url, .. } => {
                out.extend(u16::try_from(url.len()).expect("addresses are limited").to_le_bytes());
                out.extend(url.as_bytes());
            }
            Body::Lost(Lost { records, bytes, first, last }) => {
                out.extend(records.to_le_bytes());
                out.extend(bytes.to_le_bytes());
                out.extend(first.0.to_le_bytes());
                out.extend(last.0.to_le_bytes());
            }
            _ => {}
        }
        out.extend(self.body.payload());
        let length = u32::try_from(out.len() - start - LENGTH_BYTES).expect("records are limited");
        out[start..start + LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
    }

    /// Reads the first record of some, and how long it is.
    pub(super) fn read(bytes: &'a [u8]) -> Result<(Self, usize), Malformed> {
        let mut fields = Fields(bytes);
        let length = fields.u32()? as usize;
        let mut fields = Fields(fields.bytes(length)?);
        let (kind, source) = (fields.u8()?, fields.u32()?);
        let source = (source != NO_SOURCE).then_some(SourceId(source));
        let ts_recv = Timestamp(fields.i64()?);
        let body = match kind {
            RECEIVED => Body::Received(fields.0),
            SENT => Body::Sent(fields.0),
            ANSWERED => {
                let url_bytes = fields.u16()?;
                Body::Answered { url: fields.text(url_bytes.into())?, payload: fields.0 }
            }
            CONNECTED => Body::Connected(fields.text(fields.0.len())?),
            DISCONNECTED => Body::Disconnected(fields.text(fields.0.len())?),
            NOTE => Body::Note(fields.text(fields.0.len())?),
            LOST => {
                let lost = Lost {
                    records: fields.u64()?,
                    bytes: fields.u64()?,
                    first: Timestamp(fields.i64()?),
                    last: Timestamp(fields.i64()?),
                };
                fields.end()?;
                Body::Lost(lost)
            }
            other => return Err(Malformed(format!("a record of the unknown kind {other}"))),
        };
        Ok((Self { source, ts_recv, body }, LENGTH_BYTES + length))
    }
}

impl<'a> Body<'a> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Received(_) => RECEIVED,
            Self::Sent(_) => SENT,
            Self::Answered { .. } => ANSWERED,
            Self::Connected(_) => CONNECTED,
            Self::Disconnected(_) => DISCONNECTED,
            Self::Note(_) => NOTE,
            Self::Lost(_) => LOST,
        }
    }

    pub(crate) const fn payload(&self) -> &'a [u8] {
        match *self {
            Self::Received(payload) | Self::Sent(payload) | Self::Answered { payload, .. } => payload,
            Self::Connected(text) | Self::Disconnected(text) | Self::Note(text) => text.as_bytes(),
            Self::Lost(_) => &[],
        }
    }
}

impl Lost {
    /// Adds a record that was received at `ts_recv`.
    pub(super) fn add(lost: &mut Option<Self>, record: &Record<'_>) {
        let ts_recv = record.ts_recv;
        let lost = lost.get_or_insert(Self { records: 0, bytes: 0, first: ts_recv, last: ts_recv });
        lost.records += 1;
        lost.bytes += record.body.payload().len() as u64;
        lost.first = lost.first.min(ts_recv);
        lost.last = lost.last.max(ts_recv);
    }
}
