//! Records to blocks, blocks to segments.
//!
//! A block is written in one piece, with what begins a segment before the first one. When that fails, the segment is cut
//! back to its last whole block and left, and the same block goes to a new segment, as soon as there can be one.

use std::io;
use std::mem;
use std::time::Duration;

use zstd::bulk::Compressor;

use super::disk::Disk;
use super::layout::{BLOCK_HEAD_BYTES, BlockHead, Hash, Head, IndexEntry, Seal, Span};
use super::manifest::{self, SegmentEntry};
use super::queue::{Batch, Piece};
use super::reader::End;
use super::{RecorderSettings, Source};
use crate::Timestamp;
use crate::limits::{SEGMENT_BLOCKS_MAX, SEGMENTS_MAX};

/// The fastest of zstd's levels with entropy coding: market data is repetitive enough.
const LEVEL: i32 = 1;

pub(super) struct Writer<D> {
    disk: D,
    rotate_bytes: u64,
    rotate_every: Option<Duration>,
    compressor: Compressor<'static>,
    /// The next block, compressed.
    content: Vec<u8>,
    /// What is to be appended.
    bytes: Vec<u8>,
    /// The hash of the last frame.
    link: Hash,
    next_record: u64,
    /// Segments that are complete; the next one's number is one more than there are.
    segments: Vec<SegmentEntry>,
    segment: Option<Segment>,
    written: Written,
    is_manifest_due: bool,
}

/// How much was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) segments: u64,
    pub(super) bytes: u64,
}

/// The one that is being written.
struct Segment {
    bytes: u64,
    /// When its first record was received.
    first: Timestamp,
    blocks: Vec<IndexEntry>,
    /// Those it has told.
    sources: Vec<Source>,
}

impl<D: Disk> Writer<D> {
    /// Writes on behind `end`.
    pub(super) fn new(disk: D, settings: &RecorderSettings, end: End) -> io::Result<Self> {
        let mut writer = Self {
            disk,
            rotate_bytes: settings.rotate_bytes,
            rotate_every: settings.rotate_every,
            compressor: Compressor::new(LEVEL)?,
            content: Vec::new(),
            bytes: Vec::new(),
            link: end.link,
            next_record: end.next_record,
            segments: end.segments,
            segment: None,
            written: Written::default(),
            is_manifest_due: true,
        };
        writer.write_manifest()?;
        Ok(writer)
    }

    pub(super) const fn written(&self) -> Written {
        self.written
    }

    /// Writes what is left of a batch. On failure, what was not written is still there, and may be tried again.
    pub(super) fn write(&mut self, batch: &mut Batch) -> io::Result<()> {
        if self.is_manifest_due {
            self.write_manifest()?;
        }
        loop {
            // By size, a new segment may begin with any block, so no block is longer than a segment may be.
            let every = self.rotate_every;
            let until = |first: Timestamp| every.map_or(Timestamp(i64::MAX), |every| first.plus(every));
            let begun = self.segment.as_ref().map(|segment| segment.first);
            let piece = batch.piece(|first| until(begun.map_or(first, |begun| begun.min(first))));
            let piece = piece.map_err(|error| io::Error::other(error.0))?;
            let Some(piece) = piece else { return Ok(()) };
            let is_over = every.is_some() && begun.is_some_and(|begun| piece.first >= until(begun));
            let bytes = piece.content.len();
            self.write_block(&piece, &batch.sources, is_over)?;
            batch.done += bytes;
        }
    }

    /// Closes the last segment.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.seal(false)?;
        if self.is_manifest_due { self.write_manifest() } else { Ok(()) }
    }

    fn write_block(&mut self, piece: &Piece<'_>, sources: &[Source], is_over: bool) -> io::Result<()> {
        self.content.clear();
        self.content.reserve(zstd::zstd_safe::compress_bound(piece.content.len()));
        self.compressor.compress_to_buffer(piece.content, &mut self.content)?;
        let is_full = self.segment.as_ref().is_some_and(|segment| {
            segment.bytes + (BLOCK_HEAD_BYTES + self.content.len()) as u64 > self.rotate_bytes
                || segment.blocks.len() >= SEGMENT_BLOCKS_MAX
        });
        if is_over || is_full {
            self.seal(true)?;
        }
        match self.segment.take() {
            Some(segment) => self.append_block(segment, piece, sources),
            None => self.begin_segment(piece, sources),
        }
    }

    fn begin_segment(&mut self, piece: &Piece<'_>, sources: &[Source]) -> io::Result<()> {
        let number = self.segments.len() as u64 + 1;
        if number > SEGMENTS_MAX {
            return Err(io::Error::other(format!("the recording has {SEGMENTS_MAX} segments already")));
        }
        self.disk.create(number)?;
        self.bytes.clear();
        let head = Head { number, first_record: self.next_record, sources: sources.to_vec() };
        let link = head.write(&self.link, &mut self.bytes);
        let head_bytes = self.bytes.len() as u64;
        let link = self.put_block(piece, Vec::new(), &link);
        if let Err(error) = self.disk.append(&self.bytes) {
            // If it stays, it is a segment of which nothing was written. The number is used up then.
            if self.disk.remove(number).is_err() {
                self.segments.push(SegmentEntry {
                    is_sealed: false,
                    bytes: 0,
                    span: Span::EMPTY,
                    hash: self.link,
                });
                self.is_manifest_due = true;
            }
            return Err(error);
        }
        self.written.segments += 1;
        let segment = Segment { bytes: 0, first: piece.first, blocks: Vec::new(), sources: sources.to_vec() };
        self.segment = Some(segment);
        self.count_block(link, head_bytes, piece.span);
        Ok(())
    }

    fn append_block(
        &mut self,
        mut segment: Segment,
        piece: &Piece<'_>,
        sources: &[Source],
    ) -> io::Result<()> {
        let new = sources[segment.sources.len()..].to_vec();
        segment.sources.extend_from_slice(&new);
        self.bytes.clear();
        let previous = self.link;
        let link = self.put_block(piece, new, &previous);
        if let Err(error) = self.disk.append(&self.bytes) {
            self.give_up(segment);
            return Err(error);
        }
        let offset = segment.bytes;
        self.segment = Some(segment);
        self.count_block(link, offset, piece.span);
        Ok(())
    }

    /// Adds the block to what is to be appended, and gives its hash.
    fn put_block(&mut self, piece: &Piece<'_>, sources: Vec<Source>, previous: &Hash) -> Hash {
        let head = BlockHead {
            content_bytes: piece.content.len(),
            first_record: self.next_record,
            span: piece.span,
            sources,
        };
        let link = head.write(previous, &self.content, &mut self.bytes);
        self.bytes.extend_from_slice(&self.content);
        link
    }

    fn count_block(&mut self, link: Hash, offset: u64, span: Span) {
        self.link = link;
        self.next_record += span.records;
        self.written.bytes += self.bytes.len() as u64;
        if let Some(segment) = &mut self.segment {
            segment.blocks.push(IndexEntry { offset, span });
            segment.bytes += self.bytes.len() as u64;
        }
    }

    /// Leaves a segment to which nothing more can be written, with its whole blocks.
    fn give_up(&mut self, segment: Segment) {
        // Neither matters when it fails as well: whoever reads it stops at the last whole block by himself.
        let _ = self.disk.cut(segment.bytes);
        let _ = self.disk.close();
        self.end_segment(&segment, false);
    }

    /// Ends the segment, if there is one, and says in it whether another follows.
    fn seal(&mut self, goes_on: bool) -> io::Result<()> {
        let Some(mut segment) = self.segment.take() else { return Ok(()) };
        let seal = Seal {
            blocks: mem::take(&mut segment.blocks),
            sources: mem::take(&mut segment.sources),
            goes_on: Some(goes_on),
        };
        self.bytes.clear();
        let previous = self.link;
        let link = seal.write(&previous, &mut self.bytes);
        segment.blocks = seal.blocks;
        if let Err(error) = self.disk.append(&self.bytes) {
            self.give_up(segment);
            return Err(error);
        }
        segment.bytes += self.bytes.len() as u64;
        self.written.bytes += self.bytes.len() as u64;
        self.link = link;
        self.end_segment(&segment, true);
        self.disk.close()?;
        self.write_manifest()
    }

    fn end_segment(&mut self, segment: &Segment, is_sealed: bool) {
        let mut span = Span::EMPTY;
        for block in &segment.blocks {
            span.add(block.span);
        }
        self.segments.push(SegmentEntry { is_sealed, bytes: segment.bytes, span, hash: self.link });
        self.is_manifest_due = true;
    }

    fn write_manifest(&mut self) -> io::Result<()> {
        self.disk.replace_manifest(&manifest::write(&self.segments))?;
        self.is_manifest_due = false;
        Ok(())
    }
}
