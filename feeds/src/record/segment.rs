//! Reads one segment, frame by frame. Each is checked before anything of it is used.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zstd::bulk::Decompressor;

use super::Source;
use super::layout::{
    BlockHead, Fields, Frame, Hash, Head, IndexEntry, Malformed, PREFIX_BYTES, Prefix, Seal, Span, Tag, hex,
};
use super::manifest::SegmentEntry;
use crate::FeedError;
use crate::limits::{
    CONNECTIONS_MAX, INPUT_BUFFER_BYTES, RECORD_FRAME_BYTES_MAX, RECORD_SOURCES_BYTES_MAX, SEGMENT_BLOCKS_MAX,
};

pub(super) struct SegmentReader {
    path: PathBuf,
    file: BufReader<File>,
    decompressor: Decompressor<'static>,
    /// The frame that was read last, and what is in it.
    frame: Vec<u8>,
    content: Vec<u8>,
    /// Where the next one begins.
    offset: u64,
    chain: Chain,
    /// Those known so far.
    sources: Vec<Source>,
    /// The blocks read so far.
    blocks: Vec<IndexEntry>,
    /// Whether those are all from the first one on.
    is_whole: bool,
    /// As its seal says, once that has been read.
    goes_on: bool,
}

/// What the next frame must be linked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    /// The hash of the frame before.
    pub(super) link: Hash,
    pub(super) next_record: u64,
}

/// What comes next in a segment.
pub(super) enum Step {
    /// A block, which begins there.
    Block { offset: u64, span: Span },
    /// Nothing. This is what the segment was, and `cut` bytes behind it are the beginning of a frame.
    End { entry: SegmentEntry, cut: u64 },
}

/// How far a frame is there.
enum Found {
    All(Prefix),
    /// The file ends within it.
    Part,
    Nothing,
}

impl SegmentReader {
    /// Opens a segment, which must follow on `chain`, where that is known. `None`: its first frame is not all there.
    pub(super) fn open(path: &Path, chain: Option<Chain>) -> Result<Option<Self>, FeedError> {
        let io_error = |source| FeedError::Io { path: path.to_owned(), offset: None, source };
        let file = File::open(path).map_err(io_error)?;
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(INPUT_BUFFER_BYTES, file),
            decompressor: Decompressor::new().map_err(io_error)?,
            frame: Vec::new(),
            content: Vec::new(),
            offset: 0,
            chain: chain.unwrap_or(Chain { link: [0; 32], next_record: 0 }),
            sources: Vec::new(),
            blocks: Vec::new(),
            is_whole: true,
            goes_on: false,
        };
        let Found::All(prefix) = reader.read_frame()? else { return Ok(None) };
        reader.read_head(prefix, chain).map_err(|reason| reader.damaged(reason))?;
        reader.offset += reader.frame.len() as u64;
        Ok(Some(reader))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn chain(&self) -> Chain {
        self.chain
    }

    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Whether all of it has been read, from its first block on.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Whether it says that another one follows it.
    pub(super) const fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Reads the next block's records into `records`.
    pub(super) fn next_block(&mut self, records: &mut Vec<u8>) -> Result<Step, FeedError> {
        let prefix = match self.read_frame()? {
            Found::All(prefix) => prefix,
            Found::Part | Found::Nothing => return self.end(false),
        };
        self.content.clear();
        if !self.fill(prefix.content_bytes, true)? {
            return self.end(false);
        }
        let offset = self.offset;
        match prefix.tag {
            Tag::Block => {
                let span = self.read_block(records).map_err(|reason| self.damaged(reason))?;
                self.offset += (prefix.frame_bytes + prefix.content_bytes) as u64;
                Ok(Step::Block { offset, span })
            }
            Tag::Seal => {
                self.read_seal().map_err(|reason| self.damaged(reason))?;
                self.offset += prefix.frame_bytes as u64;
                match self.end(true)? {
                    Step::End { cut, .. } if cut > 0 => {
                        Err(self.damaged(Malformed(format!("{cut} bytes stand behind the segment's end"))))
                    }
                    end => Ok(end),
                }
            }
            Tag::Head => Err(self.damaged(Malformed("a segment that begins within another".to_owned()))),
        }
    }

    /// Finds all blocks, and goes to the one that `wanted` chooses; `false`: there is none. The links between what was
    /// read before and what comes now are not checked.
    pub(super) fn jump(&mut self, wanted: impl Fn(&IndexEntry) -> bool) -> Result<bool, FeedError> {
        let seal = match self.find_seal()? {
            Some(seal) => seal,
            None => self.walk()?,
        };
        let Some(at) = seal.blocks.iter().position(wanted) else { return Ok(false) };
        self.is_whole = at == 0;
        if at > 0 {
            self.sources = seal.sources;
            self.go_to(seal.blocks[at].offset)?;
            let Found::All(prefix) = self.read_frame()? else {
                return Err(
                    self.damaged(Malformed("the index tells of a block that is not there".to_owned()))
                );
            };
            let chain = self.peek_chain(prefix).map_err(|reason| self.damaged(reason))?;
            self.chain = chain;
        }
        self.go_to(seal.blocks[at].offset)?;
        Ok(true)
    }

    fn read_head(&mut self, prefix: Prefix, chain: Option<Chain>) -> Result<(), Malformed> {
        if prefix.tag != Tag::Head {
            return Err(Malformed("a segment without a beginning".to_owned()));
        }
        let frame = Frame::read(&self.frame, &[])?;
        let head = Head::read(frame.body)?;
        let named = self.path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if named.is_some_and(|named: u64| named != head.number) {
            return Err(Malformed(format!("it is segment {}, by what stands in it", head.number)));
        }
        if let Some(chain) = chain {
            check_link(&chain.link, &frame.previous)?;
            check_record(chain.next_record, head.first_record)?;
        }
        self.chain = Chain { link: frame.hash, next_record: head.first_record };
        self.sources = head.sources;
        Ok(())
    }

    fn read_block(&mut self, records: &mut Vec<u8>) -> Result<Span, Malformed> {
        let frame = Frame::read(&self.frame, &self.content)?;
        check_link(&self.chain.link, &frame.previous)?;
        let head = BlockHead::read(frame.body)?;
        check_record(self.chain.next_record, head.first_record)?;
        let hash = frame.hash;
        records.clear();
        records.reserve_exact(head.content_bytes);
        let decompressed = self.decompressor.decompress_to_buffer(&self.content, records);
        let length =
            decompressed.map_err(|error| Malformed(format!("its compression is damaged: {error}")))?;
        if length != head.content_bytes {
            return Err(Malformed(format!("a block of {length} bytes, not {}", head.content_bytes)));
        }
        if self.blocks.len() >= SEGMENT_BLOCKS_MAX {
            return Err(Malformed(format!("more than {SEGMENT_BLOCKS_MAX} blocks")));
        }
        self.learn(head.sources)?;
        let next_record = self.chain.next_record.checked_add(head.span.records);
        let next_record = next_record.ok_or_else(|| Malformed("more than 2^64 records".to_owned()))?;
        self.chain = Chain { link: hash, next_record };
        self.blocks.push(IndexEntry { offset: self.offset, span: head.span });
        Ok(head.span)
    }

    fn read_seal(&mut self) -> Result<(), Malformed> {
        let frame = Frame::read(&self.frame, &[])?;
        check_link(&self.chain.link, &frame.previous)?;
        let seal = Seal::read(frame.body)?;
        if self.is_whole && (seal.blocks != self.blocks || seal.sources != self.sources) {
            return Err(Malformed("the index is not that of the blocks before it".to_owned()));
        }
        self.chain.link = frame.hash;
        self.goes_on = seal.goes_on == Some(true);
        Ok(())
    }

    /// What the block that was read last is linked to.
    fn peek_chain(&mut self, prefix: Prefix) -> Result<Chain, Malformed> {
        let (body, previous) = Frame::unchecked(&self.frame)?;
        if prefix.tag != Tag::Block {
            return Err(Malformed("the index tells of a block that is not there".to_owned()));
        }
        Ok(Chain { link: previous, next_record: BlockHead::read(body)?.first_record })
    }

    /// The index at the end of the file, if there is one.
    fn find_seal(&mut self) -> Result<Option<Seal>, FeedError> {
        let io_error = |source| FeedError::Io { path: self.path.clone(), offset: None, source };
        let length = self.file.seek(SeekFrom::End(0)).map_err(io_error)?;
        let mut total = [0; 4];
        let Some(total_at) = length.checked_sub(4) else { return Ok(None) };
        self.file.seek(SeekFrom::Start(total_at)).map_err(io_error)?;
        self.file.read_exact(&mut total).map_err(io_error)?;
        let total = u64::from(u32::from_le_bytes(total));
        let begin = self.offset;
        let seal_at = length.checked_sub(total).filter(|&at| at >= begin);
        let seal = match seal_at {
            Some(at) if total <= RECORD_FRAME_BYTES_MAX as u64 => {
                self.go_to(at)?;
                // What is no frame here is the end of a block that was cut.
                match self.read_frame() {
                    Ok(Found::All(Prefix { tag: Tag::Seal, .. })) => {
                        Frame::read(&self.frame, &[]).and_then(|frame| Seal::read(frame.body)).ok()
                    }
                    _ => None,
                }
            }
            _ => None,
        };
        if let (Some(seal), Some(seal_at)) = (&seal, seal_at) {
            let is_ordered = seal.blocks.is_sorted_by(|one, next| one.offset < next.offset);
            if !is_ordered || seal.blocks.iter().any(|block| !(begin..seal_at).contains(&block.offset)) {
                let reason = "the index tells of a block that is not there";
                return Err(Malformed(reason.to_owned()).at(&self.path, seal_at));
            }
        }
        self.go_to(begin)?;
        Ok(seal)
    }

    /// The index of a segment that has none.
    fn walk(&mut self) -> Result<Seal, FeedError> {
        let begin = self.offset;
        let mut blocks = Vec::new();
        let sources = self.sources.clone();
        while let Found::All(prefix) = self.read_frame()? {
            if prefix.tag != Tag::Block || !self.fill(prefix.content_bytes, false)? {
                break;
            }
            let head = Frame::unchecked(&self.frame).and_then(|(body, _)| BlockHead::read(body));
            let BlockHead { span, sources, .. } = head.map_err(|reason| self.damaged(reason))?;
            self.learn(sources).map_err(|reason| self.damaged(reason))?;
            if blocks.len() >= SEGMENT_BLOCKS_MAX {
                return Err(self.damaged(Malformed(format!("more than {SEGMENT_BLOCKS_MAX} blocks"))));
            }
            blocks.push(IndexEntry { offset: self.offset, span });
            self.offset += (prefix.frame_bytes + prefix.content_bytes) as u64;
        }
        let sources = std::mem::replace(&mut self.sources, sources);
        self.go_to(begin)?;
        Ok(Seal { blocks, sources, goes_on: None })
    }

    fn learn(&mut self, sources: Vec<Source>) -> Result<(), Malformed> {
        // Whoever jumped here knows all of them.
        if !self.is_whole || sources.is_empty() {
            return Ok(());
        }
        self.sources.extend(sources);
        if self.sources.len() > CONNECTIONS_MAX
            || self.sources.iter().map(Source::bytes).sum::<usize>() > RECORD_SOURCES_BYTES_MAX
        {
            return Err(Malformed(format!(
                "more than {CONNECTIONS_MAX} sources, or {RECORD_SOURCES_BYTES_MAX} bytes of them"
            )));
        }
        Ok(())
    }

    fn go_to(&mut self, offset: u64) -> Result<(), FeedError> {
        let result = self.file.seek(SeekFrom::Start(offset));
        result.map_err(|source| FeedError::Io { path: self.path.clone(), offset: Some(offset), source })?;
        self.offset = offset;
        Ok(())
    }

    /// Reads the next frame without its content.
    fn read_frame(&mut self) -> Result<Found, FeedError> {
        self.frame.clear();
        if !self.fill_frame(PREFIX_BYTES)? {
            return Ok(if self.frame.is_empty() { Found::Nothing } else { Found::Part });
        }
        let Some(prefix) = self.frame.first_chunk() else { return Ok(Found::Part) };
        let prefix = Prefix::read(prefix).map_err(|reason| self.damaged(reason))?;
        Ok(if self.fill_frame(prefix.frame_bytes)? { Found::All(prefix) } else { Found::Part })
    }

    /// Reads on until the frame has so many bytes; `false`: the file ends before.
    fn fill_frame(&mut self, bytes: usize) -> Result<bool, FeedError> {
        let missing = bytes - self.frame.len();
        let read = self.file.by_ref().take(missing as u64).read_to_end(&mut self.frame);
        read.map_err(|source| self.io_error(source))?;
        Ok(self.frame.len() == bytes)
    }

    /// Reads the content, or goes past it; `false`: the file ends before.
    fn fill(&mut self, bytes: usize, keeps: bool) -> Result<bool, FeedError> {
        let bytes = bytes as u64;
        let mut content = self.file.by_ref().take(bytes);
        let read = if keeps {
            content.read_to_end(&mut self.content).map(|count| count as u64)
        } else {
            std::io::copy(&mut content, &mut std::io::sink())
        };
        Ok(read.map_err(|source| self.io_error(source))? == bytes)
    }

    fn end(&mut self, is_sealed: bool) -> Result<Step, FeedError> {
        let length = self.file.get_ref().metadata().map_err(|source| self.io_error(source))?.len();
        let mut span = Span::EMPTY;
        for block in &self.blocks {
            span.add(block.span);
        }
        // What begins a segment counts only with a block behind it.
        let bytes = if is_sealed || !self.blocks.is_empty() || !self.is_whole { self.offset } else { 0 };
        let entry = SegmentEntry { is_sealed, bytes, span, hash: self.chain.link };
        Ok(Step::End { entry, cut: length.saturating_sub(bytes) })
    }

    pub(super) fn damaged(&self, reason: Malformed) -> FeedError {
        reason.at(&self.path, self.offset)
    }

    fn io_error(&self, source: std::io::Error) -> FeedError {
        FeedError::Io { path: self.path.clone(), offset: Some(self.offset), source }
    }
}

fn check_link(expected: &Hash, found: &Hash) -> Result<(), Malformed> {
    if expected == found {
        return Ok(());
    }
    Err(Malformed(format!(
        "the chain is broken: what comes before has the hash {}, and this is linked to {}",
        hex(expected),
        hex(found)
    )))
}

fn check_record(expected: u64, found: u64) -> Result<(), Malformed> {
    if expected == found {
        return Ok(());
    }
    Err(Malformed(format!("record {found} comes where {expected} is due")))
}

impl<'a> Frame<'a> {
    /// The body of a frame whose content is not read, and what it is linked to.
    fn unchecked(bytes: &'a [u8]) -> Result<(Fields<'a>, Hash), Malformed> {
        let mut fields = Fields(bytes);
        fields.bytes(PREFIX_BYTES)?;
        let body_bytes = fields.0.len().checked_sub(68).ok_or_else(|| Malformed("too short".to_owned()))?;
        let body = Fields(fields.bytes(body_bytes)?);
        Ok((body, fields.array()?))
    }
}
