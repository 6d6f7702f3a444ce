//! What the targets of the file formats share: any bytes, played as the service plays a recording.

use std::fs;
use std::path::{Path, PathBuf};

use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, FeedError, Instrument, MarketEvent, Progress, Timestamp};
use libfuzzer_sys::Corpus;
use tempfile::TempDir;
use tickwire::market::{Change, Market};

/// A file system in memory, where there is one: readers open paths, and a disk would be all that is measured.
const MEMORY: &str = "/dev/shm";
/// How a compressed file begins: gzip, zstd, zip. It has a target of its own; here a few bytes would be millions.
const COMPRESSED: [&[u8]; 3] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"];

/// A folder in memory that goes away with what is in it.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn folder() -> TempDir {
    let memory = Path::new(MEMORY);
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

/// Writes a file.
///
/// # Panics
/// When it cannot be written.
pub fn save(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("room in memory");
    path
}

/// The input as a file, and what stands in the file beside it: all behind the first zero byte, if there is one.
#[must_use]
pub fn split_beside(data: &[u8]) -> (&[u8], Option<&[u8]>) {
    match data.iter().position(|byte| *byte == 0) {
        Some(zero) => (&data[..zero], Some(&data[zero + 1..])),
        None => (data, None),
    }
}

/// Plays a file to its end or its damage, twice side by side, into a market. What turns out to be of another format than
/// those of `formats` is not kept: that one has its own target.
///
/// # Panics
/// When the two differ, when the market panics, when more comes out than the bytes can say, when an error does not stand
/// within its file, and when something comes after it.
pub fn play(path: &Path, formats: &[&str]) -> Corpus {
    play_expanded(path, formats, bytes_beside(path))
}

/// The same for a format that compresses: what stands in the file is `bytes` long.
///
/// # Panics
/// As [`play`].
pub fn play_expanded(path: &Path, formats: &[&str], bytes: usize) -> Corpus {
    if is_compressed(path) {
        return Corpus::Reject;
    }
    let settings = ReplaySettings { files: vec![path.to_owned()], ..ReplaySettings::default() };
    let (mut replay, mut again) = match (Replay::open(&settings), Replay::open(&settings)) {
        (Ok(replay), Ok(again)) => (replay, again),
        (Err(error), Err(other)) => {
            assert_eq!(error.to_string(), other.to_string(), "the same bytes are the same error");
            check_offset(&error);
            return Corpus::Keep;
        }
        (one, other) => panic!("{:?} and {:?}", one.err(), other.err()),
    };
    if !formats.contains(&replay.files()[0].format) {
        return Corpus::Reject;
    }
    let mut reading = Reading::new(replay.instruments(), bytes);
    let mut events_again = Vec::new();
    loop {
        let progress = replay.next_message(&mut reading.events);
        let progress_again = again.next_message(&mut events_again);
        assert_eq!(reading.events, events_again, "the same bytes are the same events");
        match (progress, progress_again) {
            (Ok(progress), Ok(other)) => {
                assert_eq!(progress, other);
                let Progress::Message { due } = progress else { break };
                reading.take(due);
            }
            (Err(error), Err(other)) => {
                assert_eq!(error.to_string(), other.to_string(), "the same bytes are the same error");
                check_offset(&error);
                break;
            }
            (one, other) => panic!("{one:?} and {other:?}"),
        }
        events_again.clear();
    }
    assert!(reading.events.is_empty(), "an end and an error have no events");
    assert!(matches!(replay.next_message(&mut reading.events), Ok(Progress::Ended)), "nothing comes behind");
    assert!(reading.events.is_empty(), "nothing comes behind");
    Corpus::Keep
}

struct Reading {
    market: Market,
    instruments: usize,
    /// Of all files.
    bytes: usize,
    messages: usize,
    /// Of all messages.
    event_count: usize,
    /// Of this message.
    events: Vec<MarketEvent>,
    changes: Vec<Change>,
}

impl Reading {
    fn new(instruments: &[Instrument], bytes: usize) -> Self {
        Self {
            market: Market::new(instruments),
            instruments: instruments.len(),
            bytes,
            messages: 0,
            event_count: 0,
            events: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Puts the message's events into the market, as the ingest does, and reads what the publisher would.
    fn take(&mut self, due: Timestamp) {
        self.messages += 1;
        self.event_count += self.events.len();
        assert!(self.messages <= self.bytes, "a message takes a byte at least");
        // A gap of a connection is one of each of its instruments.
        assert!(self.event_count <= self.bytes * self.instruments, "{} events", self.event_count);
        self.market.advance(due, &mut self.changes);
        for event in &self.events {
            assert!(event.symbol.index() < self.instruments, "{event:?}");
            self.market.apply(event, &mut self.changes);
        }
        self.market.end_message();
        for event in self.events.drain(..) {
            let _ = (self.market.quote(event.symbol), self.market.ticker(event.symbol));
            let _ = self.market.status(event.symbol);
        }
        self.changes.clear();
    }
}

/// An error that tells where it is, tells a place in its file; of a compressed one, in what it stands for.
///
/// # Panics
/// When it does not.
pub fn check_offset(error: &FeedError) {
    let (path, offset) = match error {
        FeedError::Damaged { path, offset, .. } => (path, Some(*offset)),
        FeedError::Io { path, offset, .. } => (path, *offset),
        _ => return,
    };
    if let Some(offset) = offset {
        let size = fs::metadata(path).expect("a file of the input").len();
        assert!(offset <= size || is_compressed(path), "{error}, which has {size} bytes");
    }
}

fn is_compressed(path: &Path) -> bool {
    let bytes = fs::read(path).expect("a file of the input");
    COMPRESSED.iter().any(|magic| bytes.starts_with(magic))
}

/// The bytes of a file and of those beside it.
fn bytes_beside(path: &Path) -> usize {
    let folder = fs::read_dir(path.parent().expect("a folder")).expect("a folder");
    folder.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file of the input").len()).sum()
}

/// Makes the checksums, the hashes and the links of all whole frames of a segment of ours right, as
/// `feeds/src/record/format.md` has them.
///
/// # Panics
/// Never: all of it is in memory.
#[must_use]
pub fn mend_segment(data: &[u8]) -> Vec<u8> {
    const PREFIX: usize = 20;
    const SUFFIX: usize = 68;
    let mut mended = data.to_vec();
    let mut rest = &mut mended[..];
    let mut previous = [0; 32];
    while let Some(length) = number(rest, 4)
        && let Some(content_bytes) = number(rest, 12)
        && let frame_bytes = length.saturating_add(8)
        && frame_bytes >= PREFIX + SUFFIX
        && frame_bytes.saturating_add(content_bytes) <= rest.len()
    {
        let (frame, behind) = rest.split_at_mut(frame_bytes);
        let (content, behind) = behind.split_at_mut(content_bytes);
        frame[..4].copy_from_slice(b"\x54\x2a\x4d\x18");
        let crc = crc32fast::hash(&frame[..16]);
        frame[16..PREFIX].copy_from_slice(&crc.to_le_bytes());
        let (head, suffix) = frame.split_at_mut(frame_bytes - SUFFIX);
        suffix[..32].copy_from_slice(&previous);
        let mut hasher = blake3::Hasher::new();
        hasher.update(head).update(&previous).update(content);
        previous = hasher.finalize().into();
        suffix[32..64].copy_from_slice(&previous);
        suffix[64..].copy_from_slice(&u32::try_from(frame_bytes).expect("short").to_le_bytes());
        rest = behind;
    }
    mended
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().expect("four bytes");
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}
