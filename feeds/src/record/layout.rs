//! The bytes of a recording, as `format.md` beside this file describes them.

use crate::limits::{
    CONNECTIONS_MAX, RECORD_BYTES_MAX, RECORD_FRAME_BYTES_MAX, RECORD_SOURCES_BYTES_MAX,
    RECORD_TEXT_BYTES_MAX, RECORD_URL_BYTES_MAX, SEGMENT_BLOCKS_MAX,
};
use crate::{FeedError, Timestamp};

use super::Source;

/// Links a frame to all that came before it.
pub(crate) type Hash = [u8; 32];

/// What the first frame of all is linked to.
pub(crate) const NO_HASH: Hash = [0; 32];
/// A skippable frame of zstd, "T" for Tickwire.
pub(crate) const MAGIC: [u8; 4] = 0x184D_2A54_u32.to_le_bytes();
pub(super) const PREFIX_BYTES: usize = 20;
/// The previous hash, this one, and the length of the frame.
const SUFFIX_BYTES: usize = 32 + 32 + 4;
const VERSION: u16 = 1;
/// What stands before the payload of a record.
pub(super) const RECORD_HEAD_BYTES: usize = 4 + 1 + 4 + 8;
/// A block's frame without its content, when it tells of no source.
pub(super) const BLOCK_HEAD_BYTES: usize = PREFIX_BYTES + 8 + 8 + 24 + 8 + SUFFIX_BYTES;
/// The most that a block's records can be.
pub(super) const CONTENT_BYTES_MAX: usize = RECORD_HEAD_BYTES + 2 + RECORD_URL_BYTES_MAX + RECORD_BYTES_MAX;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Head,
    Block,
    Seal,
}

impl Tag {
    const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Head => *b"HEAD",
            Self::Block => *b"BLCK",
            Self::Seal => *b"SEAL",
        }
    }
}

/// The first frame of a segment.
pub(super) struct Head {
    /// Of the segment.
    pub(super) number: u64,
    /// Of the first record.
    pub(super) first_record: u64,
    pub(super) sources: Vec<Source>,
}

/// What stands before the records of a block.
pub(super) struct BlockHead {
    /// How long they are without compression.
    pub(super) content_bytes: usize,
    pub(super) first_record: u64,
    pub(super) span: Span,
    /// Those not told before in this segment.
    pub(super) sources: Vec<Source>,
}

/// Some records: how many, and from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) records: u64,
    pub(super) earliest: Timestamp,
    pub(super) latest: Timestamp,
}

/// The last frame of a segment that was closed.
pub(super) struct Seal {
    pub(super) blocks: Vec<IndexEntry>,
    pub(super) sources: Vec<Source>,
    /// Whether its recorder went on in another segment; recordings of before this was told do not know.
    pub(super) goes_on: Option<bool>,
}

/// Where a block is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    /// Of the segment file.
    pub(super) offset: u64,
    pub(super) span: Span,
}

impl Span {
    pub(super) const EMPTY: Self =
        Self { records: 0, earliest: Timestamp(i64::MAX), latest: Timestamp(i64::MIN) };

    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.earliest = self.earliest.min(other.earliest);
        self.latest = self.latest.max(other.latest);
    }

    pub(super) fn add_record(&mut self, ts_recv: Timestamp) {
        self.add(Self { records: 1, earliest: ts_recv, latest: ts_recv });
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.records.to_le_bytes());
        out.extend(self.earliest.0.to_le_bytes());
        out.extend(self.latest.0.to_le_bytes());
    }
}

impl Head {
    pub(super) fn write(&self, previous: &Hash, out: &mut Vec<u8>) -> Hash {
        write_frame(Tag::Head, previous, &[], out, |out| {
            out.extend(VERSION.to_le_bytes());
            out.extend(self.number.to_le_bytes());
            out.extend(self.first_record.to_le_bytes());
            write_sources(&self.sources, out);
        })
    }

    pub(super) fn read(mut body: Fields<'_>) -> Result<Self, Malformed> {
        let version = body.u16()?;
        if version != VERSION {
            return Err(Malformed(format!("version {version} of the format, and only {VERSION} is known")));
        }
        let head = Self { number: body.u64()?, first_record: body.u64()?, sources: body.sources()? };
        body.end()?;
        Ok(head)
    }
}

impl BlockHead {
    pub(super) fn write(&self, previous: &Hash, content: &[u8], out: &mut Vec<u8>) -> Hash {
        write_frame(Tag::Block, previous, content, out, |out| {
            out.extend((self.content_bytes as u64).to_le_bytes());
            out.extend(self.first_record.to_le_bytes());
            self.span.write(out);
            write_sources(&self.sources, out);
        })
    }

    pub(super) fn read(mut body: Fields<'_>) -> Result<Self, Malformed> {
        let content_bytes = usize::try_from(body.u64()?)
            .ok()
            .filter(|&bytes| bytes <= CONTENT_BYTES_MAX)
            .ok_or_else(|| Malformed(format!("a block of more than {CONTENT_BYTES_MAX} bytes")))?;
        let head =
            Self { content_bytes, first_record: body.u64()?, span: body.span()?, sources: body.sources()? };
        body.end()?;
        Ok(head)
    }
}

impl Seal {
    pub(super) fn write(&self, previous: &Hash, out: &mut Vec<u8>) -> Hash {
        write_frame(Tag::Seal, previous, &[], out, |out| {
            out.extend((self.blocks.len() as u64).to_le_bytes());
            for IndexEntry { offset, span } in &self.blocks {
                out.extend(offset.to_le_bytes());
                span.write(out);
            }
            write_sources(&self.sources, out);
            out.extend(self.goes_on.map(u8::from));
        })
    }

    pub(super) fn read(mut body: Fields<'_>) -> Result<Self, Malformed> {
        let mut blocks = Vec::new();
        for _ in 0..body.u64()? {
            blocks.push(IndexEntry { offset: body.u64()?, span: body.span()? });
        }
        let sources = body.sources()?;
        let goes_on = match body.0 {
            [] => None,
            _ => match body.u8()? {
                0 => Some(false),
                1 => Some(true),
                other => {
                    return Err(Malformed(format!("{other} where 0 or 1 tells whether another follows")));
                }
            },
        };
        body.end()?;
        Ok(Self { blocks, sources, goes_on })
    }
}

fn write_sources(sources: &[Source], out: &mut Vec<u8>) {
    out.extend((sources.len() as u64).to_le_bytes());
    for text in sources.iter().flat_map(Source::texts) {
        out.extend(u16::try_from(text.len()).expect("texts are limited").to_le_bytes());
        out.extend(text.as_bytes());
    }
}

/// Appends a frame, which `content` is to follow, and gives its hash.
fn write_frame(
    tag: Tag,
    previous: &Hash,
    content: &[u8],
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) -> Hash {
    let start = out.len();
    out.extend([0; PREFIX_BYTES]);
    body(out);
    out.extend(previous);
    let hash_at = out.len();
    let total = u32::try_from(hash_at - start + 36).expect("frames are limited to megabytes");
    let content_bytes = u32::try_from(content.len()).expect("blocks are limited to megabytes");
    let prefix = &mut out[start..start + PREFIX_BYTES];
    prefix[0..4].copy_from_slice(&MAGIC);
    prefix[4..8].copy_from_slice(&(total - 8).to_le_bytes());
    prefix[8..12].copy_from_slice(&tag.bytes());
    prefix[12..16].copy_from_slice(&content_bytes.to_le_bytes());
    let crc = crc32fast::hash(&prefix[..16]);
    prefix[16..20].copy_from_slice(&crc.to_le_bytes());
    let hash = hash(&out[start..hash_at], content);
    out.extend(hash);
    out.extend(total.to_le_bytes());
    hash
}

fn hash(head: &[u8], content: &[u8]) -> Hash {
    blake3::Hasher::new().update(head).update(content).finalize().into()
}

/// How long a frame is, which its first bytes tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    pub(super) tag: Tag,
    /// Without the content.
    pub(super) frame_bytes: usize,
    /// What follows the frame, and belongs to it.
    pub(super) content_bytes: usize,
}

impl Prefix {
    pub(super) fn read(bytes: &[u8; PREFIX_BYTES]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let (magic, length, tag) = (fields.array()?, fields.u32()?, fields.array()?);
        let (content, crc) = (fields.u32()?, fields.u32()?);
        if magic != MAGIC || crc != crc32fast::hash(&bytes[..16]) {
            return Err(Malformed("not what `tickwire record` writes".to_owned()));
        }
        let tag = [Tag::Head, Tag::Block, Tag::Seal].into_iter().find(|known| known.bytes() == tag);
        let frame_bytes = 8 + length as usize;
        let content_bytes = content as usize;
        match tag {
            Some(tag)
                if (PREFIX_BYTES + SUFFIX_BYTES..=RECORD_FRAME_BYTES_MAX).contains(&frame_bytes)
                    && content_bytes <= zstd::zstd_safe::compress_bound(CONTENT_BYTES_MAX)
                    && (tag == Tag::Block || content_bytes == 0) =>
            {
                Ok(Self { tag, frame_bytes, content_bytes })
            }
            _ => Err(Malformed("a frame of no known kind or length".to_owned())),
        }
    }
}

/// A whole frame.
pub(super) struct Frame<'a> {
    pub(super) body: Fields<'a>,
    pub(super) previous: Hash,
    pub(super) hash: Hash,
}

impl<'a> Frame<'a> {
    /// Checks a frame against its content.
    pub(super) fn read(bytes: &'a [u8], content: &[u8]) -> Result<Self, Malformed> {
        let too_short = || Malformed("a frame that is too short".to_owned());
        let (bytes, suffix) = bytes.split_last_chunk::<SUFFIX_BYTES>().ok_or_else(too_short)?;
        let body = bytes.get(PREFIX_BYTES..).ok_or_else(too_short)?;
        let mut fields = Fields(suffix);
        let (previous, expected, total) = (fields.array()?, fields.array()?, fields.u32()?);
        let found: Hash =
            blake3::Hasher::new().update(bytes).update(&previous).update(content).finalize().into();
        if found != expected {
            return Err(Malformed(format!(
                "the hash is {}, not {}: something in it has changed",
                hex(&found),
                hex(&expected)
            )));
        }
        if total as usize != bytes.len() + SUFFIX_BYTES {
            return Err(Malformed("a frame that tells another length at its end".to_owned()));
        }
        Ok(Self { body: Fields(body), previous, hash: expected })
    }
}

/// What is wrong with bytes that are not as described.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) String);

impl Malformed {
    pub(super) fn at(self, path: &std::path::Path, offset: u64) -> FeedError {
        FeedError::Damaged { path: path.to_owned(), offset, reason: self.0 }
    }
}

/// Reads numbers and texts one after the other.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or_else(|| Malformed("it ends within a field".to_owned()))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) =
            self.0.split_first_chunk().ok_or_else(|| Malformed("it ends within a field".to_owned()))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn text(&mut self, bytes: usize) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(bytes)?).map_err(|_| Malformed("a text that is not UTF-8".to_owned()))
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(Malformed(format!("{left} bytes more than its fields have"))),
        }
    }

    fn span(&mut self) -> Result<Span, Malformed> {
        Ok(Span { records: self.u64()?, earliest: Timestamp(self.i64()?), latest: Timestamp(self.i64()?) })
    }

    fn sources(&mut self) -> Result<Vec<Source>, Malformed> {
        let mut sources = Vec::new();
        let count = self.u64()?;
        if count > CONNECTIONS_MAX as u64 {
            return Err(Malformed(format!("{count} sources, more than {CONNECTIONS_MAX}")));
        }
        for _ in 0..count {
            let mut text = || {
                let bytes = self.u16()?;
                self.text(bytes.into()).map(str::to_owned)
            };
            sources.push(Source { venue: text()?, format: text()?, address: text()?, name: text()? });
        }
        Ok(sources)
    }
}

pub(super) fn hex(hash: &Hash) -> String {
    blake3::Hash::from_bytes(*hash).to_hex().to_string()
}

const _: () =
    assert!(RECORD_TEXT_BYTES_MAX <= u16::MAX as usize && RECORD_URL_BYTES_MAX <= u16::MAX as usize);
const _: () = assert!(
    PREFIX_BYTES
        + SUFFIX_BYTES
        + 16
        + SEGMENT_BLOCKS_MAX * 32
        + CONNECTIONS_MAX * 8
        + RECORD_SOURCES_BYTES_MAX
        <= RECORD_FRAME_BYTES_MAX
);
