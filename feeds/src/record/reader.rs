//! Reads a recording: all of it in order, or from a time on.
//!
//! Memory is a block, whatever the size of the recording. Every frame is checked against its hash and the one before, and
//! every complete segment against the manifest, so that whoever has read to the end has verified it all.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Source;
use super::disk::{MANIFEST, segment_path};
use super::entry::{Body, Lost, Record, SourceId};
use super::layout::{Hash, Malformed, NO_HASH, Span, hex};
use super::manifest::{self, SegmentEntry};
use super::segment::{Chain, SegmentReader, Step};
use crate::input::check_kept;
use crate::limits::{RECORD_LOSSES_KEPT_MAX, SEGMENTS_MAX};
use crate::{FeedError, Timestamp};

/// Reads the records of a recording.
pub struct RecordReader {
    files: Vec<PathBuf>,
    /// Those that are complete, of the manifest or as they were found.
    segments: Vec<SegmentEntry>,
    /// Of the files.
    next: usize,
    segment: Option<SegmentReader>,
    /// What the next segment must follow on; `None`: not known.
    chain: Option<Chain>,
    block: Block,
    /// Those of the segment that was read last.
    sources: Vec<Source>,
    from: Option<Timestamp>,
    has_ended: bool,
    verified: Verified,
}

/// The records of a block.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    /// Where the record is that was read last.
    record: usize,
    /// Where the next one is.
    next: usize,
    /// Where it begins, in which of the files, and what comes before it.
    offset: u64,
    file: usize,
    before: Option<Chain>,
    /// What it is to hold, and what was found so far.
    expected: Option<Span>,
    found: Option<Span>,
}

/// Where a reader stands between two records: enough to go on from there without what is before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    file: usize,
    /// Where in it the block begins, and what comes before it.
    block: u64,
    before: Chain,
    /// Where in the block's bytes the next record is.
    record: usize,
}

/// What was read of a recording, and found right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Files.
    pub segments: u64,
    /// Blocks, each with its hash.
    pub blocks: u64,
    /// Records.
    pub records: u64,
    /// How long they are without compression.
    pub bytes: u64,
    /// Records that had no room, as the recording tells where they are missing.
    pub records_lost: u64,
    /// When the earliest and the latest were received; `None`: there is none.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Whether the last segment was closed. If not, its recorder was killed, or still writes it.
    pub is_closed: bool,
    /// Whether the last segment, which was closed, says that another one follows it: that was removed, or never begun.
    pub is_followed: bool,
    /// The first of these losses; [`RECORD_LOSSES_KEPT_MAX`] at most.
    pub losses: Vec<Lost>,
    /// What a killed recorder, or a failing disk, had not finished.
    pub cuts: Vec<Cut>,
    /// The hash of the last frame in hexadecimal digits: whoever keeps it can tell that nothing before has changed.
    pub hash: String,
}

/// The beginning of a frame, at the end of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// How much of it there is.
    pub bytes: u64,
}

/// Where a recording can go on.
pub(super) struct End {
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) link: Hash,
    pub(super) next_record: u64,
}

impl RecordReader {
    /// Opens the folder of a recording, or one segment of it.
    ///
    /// # Errors
    /// [`FeedError::Io`], also for segments that are missing; [`FeedError::UnknownFormat`] for a folder in which nothing was
    /// recorded; [`FeedError::Damaged`] for a manifest that is damaged; [`FeedError::Settings`] for what is neither a file
    /// nor a folder, and for too many segments.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        check_kept(path)?;
        if !path.is_dir() {
            return Ok(Self::new(vec![path.to_owned()], Vec::new(), None));
        }
        let reader = Self::open_folder(path)?;
        if reader.files.is_empty() && !path.join(MANIFEST).exists() {
            let reason = "a folder without a recording of `tickwire record`: give the files in it".to_owned();
            return Err(FeedError::UnknownFormat { path: path.to_owned(), reason });
        }
        Ok(reader)
    }

    /// Opens a folder in which there need not be anything yet.
    fn open_folder(path: &Path) -> Result<Self, FeedError> {
        let segments = manifest::read(path)?;
        let files = list(path, segments.len())?;
        Ok(Self::new(files, segments, Some(Chain { link: NO_HASH, next_record: 0 })))
    }

    fn new(files: Vec<PathBuf>, segments: Vec<SegmentEntry>, chain: Option<Chain>) -> Self {
        Self {
            files,
            segments,
            next: 0,
            segment: None,
            chain,
            block: Block::default(),
            sources: Vec::new(),
            from: None,
            has_ended: false,
            verified: Verified { is_closed: true, ..Verified::default() },
        }
    }

    /// Reads the first block, if it stands before it: what is no recording at all is found out there.
    ///
    /// # Errors
    /// As [`RecordReader::next_record`].
    pub fn check(&mut self) -> Result<(), FeedError> {
        if self.block.bytes.is_empty() {
            self.next_block().inspect_err(|_| self.has_ended = true)?;
        }
        Ok(())
    }

    /// Goes to the first record that was received at `from` or later. The index tells where that is; what is before is not
    /// read, and not verified.
    ///
    /// # Errors
    /// [`FeedError::Io`] and [`FeedError::Damaged`].
    pub fn seek(&mut self, from: Timestamp) -> Result<(), FeedError> {
        let (files, segments) = (std::mem::take(&mut self.files), std::mem::take(&mut self.segments));
        *self = Self::new(files, segments, None);
        self.from = Some(from);
        for (index, path) in self.files.iter().enumerate() {
            if self.segments.get(index).is_some_and(|segment| segment.span.latest < from) {
                continue;
            }
            let Some(mut segment) = SegmentReader::open(path, None)? else { continue };
            if segment.jump(|block| block.span.latest >= from)? {
                self.sources = segment.sources().to_vec();
                self.verified.segments = 1;
                self.segment = Some(segment);
                self.next = index + 1;
                return Ok(());
            }
        }
        self.next = self.files.len();
        Ok(())
    }

    /// Where it stands; `None`: at its beginning.
    pub(crate) fn place(&self) -> Option<Place> {
        let Block { next, offset, file, before, .. } = self.block;
        Some(Place { file, block: offset, before: before?, record: next })
    }

    /// How many records there are before the place at which it stands.
    pub(crate) fn record_number(&self) -> u64 {
        let in_block = self.block.found.map_or(0, |found| found.records);
        self.block.before.map_or(0, |before| before.next_record) + in_block
    }

    /// Goes to where a reader of the same recording stood. What is before is not read, and not verified.
    ///
    /// # Errors
    /// [`FeedError::Io`], and [`FeedError::Damaged`] when there is no such place.
    pub(crate) fn go_on(&mut self, place: &Place) -> Result<(), FeedError> {
        let (files, segments) = (std::mem::take(&mut self.files), std::mem::take(&mut self.segments));
        *self = Self::new(files, segments, None);
        let path = self.files.get(place.file).cloned().unwrap_or_default();
        let no_place = || Malformed("no block that a checkpoint tells of".to_owned()).at(&path, place.block);
        let mut segment = SegmentReader::open(&path, None)?.ok_or_else(no_place)?;
        if !segment.jump(|block| block.offset == place.block)? || segment.chain() != place.before {
            return Err(no_place());
        }
        self.segment = Some(segment);
        self.next = place.file + 1;
        self.verified.segments = 1;
        self.next_block()?;
        while self.block.next < place.record {
            let (record, bytes) = self.block.read(self.block.next).map_err(|reason| self.damaged(reason))?;
            let ts_recv = record.ts_recv;
            self.block.found.get_or_insert(Span::EMPTY).add_record(ts_recv);
            self.block.next += bytes;
        }
        if self.block.next == place.record { Ok(()) } else { Err(no_place()) }
    }

    /// The next record; `None` at the end of the last whole block.
    ///
    /// # Errors
    /// [`FeedError::Io`] and [`FeedError::Damaged`] with file and offset of the frame that is not as it was written. There
    /// is nothing more to come after it.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, FeedError> {
        if self.advance()? { self.record().map(Some) } else { Ok(None) }
    }

    /// The source of a record, by its number: valid until the next record is asked for.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(id.0 as usize)
    }

    /// All sources known at the record that was read last; [`SourceId`] is the index. When a recorder was started again,
    /// its sources are numbered anew.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Reads to the end, and says what was read since the beginning.
    ///
    /// # Errors
    /// As [`RecordReader::next_record`].
    pub fn verify(mut self) -> Result<Verified, FeedError> {
        while self.next_record()?.is_some() {}
        Ok(self.verified)
    }

    /// What was read so far, and found right.
    #[must_use]
    pub const fn verified(&self) -> &Verified {
        &self.verified
    }

    /// Goes to the next record; `false`: there is none.
    pub(crate) fn advance(&mut self) -> Result<bool, FeedError> {
        let has_more = !self.has_ended && self.find_record().inspect_err(|_| self.has_ended = true)?;
        self.has_ended = !has_more;
        Ok(has_more)
    }

    /// The record that it stands at.
    pub(crate) fn record(&self) -> Result<Record<'_>, FeedError> {
        let read = self.block.read(self.block.record);
        read.map(|(record, _)| record).map_err(|reason| self.damaged(reason))
    }

    /// The error for what is in that record.
    pub(crate) fn damaged_record(&self, reason: String) -> FeedError {
        self.damaged(Malformed(reason))
    }

    /// Goes to the next record that is wanted; `false`: there is none.
    fn find_record(&mut self) -> Result<bool, FeedError> {
        loop {
            while self.block.next >= self.block.bytes.len() {
                if !self.next_block()? {
                    return Ok(false);
                }
            }
            let at = self.block.next;
            self.block.record = at;
            let (record, bytes) = self.block.read(at).map_err(|reason| self.damaged(reason))?;
            let (source, ts_recv) = (record.source, record.ts_recv);
            let lost = if let Body::Lost(lost) = record.body { Some(lost) } else { None };
            if source.is_some_and(|source| source.0 as usize >= self.sources.len()) {
                return Err(self.damaged(Malformed("a record of a source that nobody told of".to_owned())));
            }
            self.block.next = at + bytes;
            self.block.found.get_or_insert(Span::EMPTY).add_record(ts_recv);
            if self.block.next == self.block.bytes.len() && self.block.found != self.block.expected {
                let reason = "the records of the block are not those that it tells of";
                return Err(self.damaged(Malformed(reason.to_owned())));
            }
            if self.from.is_some_and(|from| ts_recv < from) {
                continue;
            }
            self.from = None;
            self.verified.records += 1;
            if let Some(lost) = lost {
                self.verified.records_lost = self.verified.records_lost.saturating_add(lost.records);
                if self.verified.losses.len() < RECORD_LOSSES_KEPT_MAX {
                    self.verified.losses.push(lost);
                }
            }
            self.verified.bytes += bytes as u64;
            let (first, last) = self.verified.span.get_or_insert((ts_recv, ts_recv));
            *first = ts_recv.min(*first);
            *last = ts_recv.max(*last);
            return Ok(true);
        }
    }

    /// Reads the next block; `false`: there is none.
    fn next_block(&mut self) -> Result<bool, FeedError> {
        loop {
            let Some(segment) = &mut self.segment else {
                if !self.next_segment()? {
                    return Ok(false);
                }
                continue;
            };
            let before = Some(segment.chain());
            match segment.next_block(&mut self.block.bytes)? {
                Step::Block { offset, span } => {
                    if self.sources.len() != segment.sources().len() {
                        self.sources = segment.sources().to_vec();
                    }
                    self.verified.blocks += 1;
                    let bytes = std::mem::take(&mut self.block.bytes);
                    let file = self.next - 1;
                    self.block =
                        Block { bytes, offset, file, before, expected: Some(span), ..Block::default() };
                    return Ok(true);
                }
                Step::End { entry, cut } => {
                    self.block.bytes.clear();
                    self.block.next = 0;
                    self.end_segment(entry, cut)?;
                }
            }
        }
    }

    /// Opens the next segment; `false`: there is none.
    fn next_segment(&mut self) -> Result<bool, FeedError> {
        let Some(path) = self.files.get(self.next) else { return Ok(false) };
        self.next += 1;
        self.verified.segments += 1;
        self.verified.is_followed = false;
        let Some(segment) = SegmentReader::open(path, self.chain)? else {
            let bytes = fs::metadata(path)
                .map_err(|source| FeedError::Io { path: path.clone(), offset: None, source })?
                .len();
            let hash = self.chain.map_or(NO_HASH, |chain| chain.link);
            let entry = SegmentEntry { is_sealed: false, bytes: 0, span: Span::EMPTY, hash };
            let path = path.clone();
            self.close(&path, entry, bytes, true)?;
            return Ok(true);
        };
        self.sources = segment.sources().to_vec();
        self.segment = Some(segment);
        Ok(true)
    }

    fn end_segment(&mut self, mut entry: SegmentEntry, cut: u64) -> Result<(), FeedError> {
        let Some(segment) = self.segment.take() else { return Ok(()) };
        self.verified.is_followed = entry.is_sealed && segment.goes_on();
        if entry.bytes == 0 {
            // Of no block, and so not a link of the chain.
            entry.hash = self.chain.map_or(NO_HASH, |chain| chain.link);
        } else {
            self.chain = Some(segment.chain());
        }
        self.close(segment.path(), entry, cut, segment.is_whole())
    }

    /// Compares a segment that has been read with what the manifest tells of it.
    fn close(&mut self, path: &Path, entry: SegmentEntry, cut: u64, is_whole: bool) -> Result<(), FeedError> {
        if entry.bytes > 0 {
            self.verified.hash = hex(&entry.hash);
        }
        self.verified.is_closed = entry.is_sealed;
        if cut > 0 {
            self.verified.cuts.push(Cut { path: path.to_owned(), offset: entry.bytes, bytes: cut });
        }
        match self.segments.get(self.next - 1) {
            Some(listed) => {
                let span = if is_whole { entry.span } else { listed.span };
                if *listed != (SegmentEntry { span, ..entry.clone() }) {
                    let reason = format!(
                        "the manifest tells of {}, and this is {}",
                        listed.display(),
                        entry.display()
                    );
                    return Err(Malformed(reason).at(path, entry.bytes));
                }
            }
            None if is_whole && self.segments.len() + 1 == self.next => self.segments.push(entry),
            None => {}
        }
        Ok(())
    }

    fn damaged(&self, reason: Malformed) -> FeedError {
        let Malformed(reason) = reason;
        let path = self.files.get(self.block.file).cloned().unwrap_or_default();
        let at = self.block.record;
        Malformed(format!("in the block that begins here, at byte {at} of its records: {reason}"))
            .at(&path, self.block.offset)
    }
}

impl Block {
    fn read(&self, at: usize) -> Result<(Record<'_>, usize), Malformed> {
        Record::read(&self.bytes[at..])
    }
}

impl SegmentEntry {
    fn display(&self) -> String {
        let Self { is_sealed, bytes, span, hash } = self;
        let kind = if *is_sealed { "a closed segment" } else { "a segment that was not closed," };
        format!("{kind} of {bytes} bytes and {} records with the hash {}", span.records, hex(hash))
    }
}

/// The segments of a folder, which must be numbered from 1 on, and be at least as many as are `listed`.
fn list(folder: &Path, listed: usize) -> Result<Vec<PathBuf>, FeedError> {
    let io_error = |source| FeedError::Io { path: folder.to_owned(), offset: None, source };
    let mut count = 0;
    let mut last = 0;
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number
            && path == segment_path(folder, number)
        {
            count += 1;
            last = last.max(number);
        }
    }
    let missing = (1..=last.max(listed as u64)).find(|&number| !segment_path(folder, number).exists());
    if let Some(number) = missing {
        let source = io::Error::new(io::ErrorKind::NotFound, "the segment is missing");
        return Err(FeedError::Io { path: segment_path(folder, number), offset: None, source });
    }
    if count > SEGMENTS_MAX {
        let folder = folder.display();
        return Err(FeedError::Settings(format!("{folder}: more than {SEGMENTS_MAX} segments")));
    }
    Ok((1..=last).map(|number| segment_path(folder, number)).collect())
}

/// What stands in the folder of a recording, in a hash: of the manifest, and of the segments that it does not list.
///
/// # Errors
/// As [`RecordReader::open`].
pub(crate) fn fingerprint(folder: &Path) -> Result<Hash, FeedError> {
    let segments = manifest::read(folder)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(manifest::write(&segments).as_bytes());
    for (index, path) in list(folder, segments.len())?.into_iter().enumerate() {
        let io_error = |source| FeedError::Io { path: path.clone(), offset: None, source };
        let file = fs::File::open(&path).map_err(io_error)?;
        hasher.update(&file.metadata().map_err(io_error)?.len().to_le_bytes());
        if index >= segments.len() {
            hasher.update_reader(file).map_err(io_error)?;
        }
    }
    Ok(hasher.finalize().into())
}

/// Where the recording in a folder can go on; what the manifest does not tell of is read for it.
pub(super) fn end_of(folder: &Path) -> Result<End, FeedError> {
    let mut reader = RecordReader::open_folder(folder)?;
    let link = reader.segments.last().map_or(NO_HASH, |segment| segment.hash);
    let next_record = reader.segments.iter().map(|segment| segment.span.records).sum();
    reader.next = reader.segments.len();
    reader.chain = Some(Chain { link, next_record });
    while reader.next_record()?.is_some() {}
    let Chain { link, next_record } = reader.chain.unwrap_or(Chain { link, next_record });
    Ok(End { segments: reader.segments, link, next_record })
}
