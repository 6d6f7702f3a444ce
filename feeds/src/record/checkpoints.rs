//! Checkpoints of replays, beside the recording: what came of everything up to a record, so that a replay can begin there.
//!
//! They are made of the recording, and can be made anew: one that is damaged, of other segments or of another version is
//! no error, but left aside. `format.md` beside this file has the bytes. What is in one is the business of whoever
//! replays.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tracing::{info, warn};
use zstd::bulk;

use super::layout::{Fields, Hash, Malformed};
use super::reader::fingerprint;
use crate::limits::{CHECKPOINT_BYTES_MAX, CHECKPOINTS_BYTES_MAX, CHECKPOINTS_MAX};
use crate::{FeedError, Timestamp};

/// The folder, in that of the recording.
const FOLDER: &str = "checkpoints";
const EXTENSION: &str = "twc";
const UNFINISHED: &str = "new";
const MAGIC: [u8; 8] = *b"twcheck\n";
/// To be raised with every change of what is in a checkpoint, or of what it means: a test of the service notices.
const VERSION: u32 = 3;
const HEAD_BYTES: usize = 8 + 4 + 32 + 8 + 8 + 8 + 32;
/// Decompression in vain costs more than the room that a higher level saves.
const COMPRESSION_LEVEL: i32 = 1;

/// The checkpoints of a recording.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    fingerprint: Hash,
    /// Those that can be used, as far as their heads tell, in order.
    kept: Vec<Kept>,
    /// Those that cannot.
    useless: Vec<PathBuf>,
    /// Records between two of them, at least.
    apart: u64,
    /// When the next one is due, in records.
    due: u64,
    writing: Option<JoinHandle<io::Result<Kept>>>,
    is_writable: bool,
}

/// A checkpoint, as its head tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    /// How many records came before.
    pub(crate) records: u64,
    /// The latest time that was due of them.
    pub(crate) at: Timestamp,
    /// Of the file.
    bytes: u64,
}

impl Checkpoints {
    /// Those of the recording in `folder`, to be kept at least `apart` records from each other.
    ///
    /// # Errors
    /// [`FeedError`] of the recording. What is wrong with checkpoints is only logged.
    pub(crate) fn open(folder: &Path, apart: u64) -> Result<Self, FeedError> {
        let fingerprint = fingerprint(folder)?;
        let folder = folder.join(FOLDER);
        let (mut kept, mut useless) = (Vec::new(), Vec::new());
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries {
            let extension = path.extension().unwrap_or_default();
            if extension == UNFINISHED {
                useless.push(path);
                continue;
            } else if extension != EXTENSION {
                continue;
            }
            match read_head(&path, &fingerprint) {
                Ok(head) if path == path_of(&folder, head.records) => kept.push(head),
                Ok(_) => useless.push(path),
                Err(reason) => {
                    warn!(path = %path.display(), reason, "a checkpoint that cannot be used");
                    useless.push(path);
                }
            }
        }
        kept.sort_by_key(|head| head.records);
        Ok(Self { folder, fingerprint, kept, useless, apart, due: apart, writing: None, is_writable: true })
    }

    /// Whether the recording is still the one that these are of: nobody records into it.
    pub(crate) fn are_current(&self) -> bool {
        self.folder.parent().and_then(|folder| fingerprint(folder).ok()) == Some(self.fingerprint)
    }

    /// Takes the newest one of before `from`, and what is in it. It is given up with [`Checkpoints::give_up`] if that is
    /// of no use.
    pub(crate) fn newest_before(&mut self, from: Timestamp) -> Option<(Kept, Vec<u8>)> {
        loop {
            let head = *self.kept.iter().rev().find(|head| head.at < from)?;
            match self.read(head) {
                Ok(content) => return Some((head, content)),
                Err(reason) => self.give_up(head, &reason),
            }
        }
    }

    /// Says that a checkpoint cannot be used after all.
    pub(crate) fn give_up(&mut self, head: Kept, reason: &str) {
        let path = path_of(&self.folder, head.records);
        warn!(path = %path.display(), reason, "a checkpoint that cannot be used");
        self.kept.retain(|other| *other != head);
        self.useless.push(path);
    }

    /// A replay begins behind so many records of `total`.
    pub(crate) fn begin(&mut self, records: u64, total: u64) {
        let largest = self.kept.iter().map(|head| head.bytes).max().unwrap_or(0).max(1);
        let room = (CHECKPOINTS_BYTES_MAX / largest).clamp(1, CHECKPOINTS_MAX);
        self.apart = self.apart.max(total.div_ceil(room));
        self.due = records.saturating_add(self.apart);
    }

    /// Whether one is to be kept behind so many records.
    pub(crate) fn is_due(&mut self, records: u64) -> bool {
        if records < self.due || !self.is_writable {
            return false;
        }
        self.due = records.saturating_add(self.apart);
        !self.kept.iter().any(|head| head.records == records)
    }

    /// Keeps one more, by a thread of its own. While one is still being written, there is no other.
    pub(crate) fn keep(&mut self, records: u64, at: Timestamp, content: Vec<u8>) {
        if self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) || !self.finish() {
            return;
        }
        if content.len() > CHECKPOINT_BYTES_MAX {
            info!(bytes = content.len(), "a state that is too large for a checkpoint");
            return;
        }
        let useless = std::mem::take(&mut self.useless).into_iter().chain(self.thin()).collect::<Vec<_>>();
        let (folder, fingerprint) = (self.folder.clone(), self.fingerprint);
        let writing = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(move || {
            let bytes = encode(&fingerprint, records, at, &content)?;
            write(&folder, records, &bytes, &useless)?;
            Ok(Kept { records, at, bytes: bytes.len() as u64 })
        });
        match writing {
            Ok(writing) => self.writing = Some(writing),
            Err(error) => self.stop(&error),
        }
    }

    /// Waits for the one that is being written; `false`: it could not be, and no other will be.
    fn finish(&mut self) -> bool {
        if let Some(writing) = self.writing.take() {
            match writing.join().unwrap_or_else(|_| Err(io::Error::other("it has panicked"))) {
                Ok(head) => {
                    self.kept.push(head);
                    self.kept.sort_by_key(|head| head.records);
                }
                Err(error) => self.stop(&error),
            }
        }
        self.is_writable
    }

    fn stop(&mut self, error: &io::Error) {
        info!(folder = %self.folder.display(), %error, "no checkpoints are kept");
        self.is_writable = false;
    }

    /// Gives up those that are the least missed, until there is room for one more of the largest.
    fn thin(&mut self) -> Vec<PathBuf> {
        let mut thinned = Vec::new();
        loop {
            let largest = self.kept.iter().map(|head| head.bytes).max().unwrap_or(0);
            let total: u64 = self.kept.iter().map(|head| head.bytes).sum();
            if (self.kept.len() as u64) < CHECKPOINTS_MAX && total + largest <= CHECKPOINTS_BYTES_MAX {
                return thinned;
            }
            // Without it, the way from the one before to the one after is the shortest.
            let way = |index: usize| {
                let before = index.checked_sub(1).map_or(0, |before| self.kept[before].records);
                let after = self.kept.get(index + 1).map_or(u64::MAX, |after| after.records);
                after - before
            };
            let Some(index) = (0..self.kept.len()).min_by_key(|&index| way(index)) else { return thinned };
            thinned.push(path_of(&self.folder, self.kept.remove(index).records));
        }
    }

    fn read(&self, head: Kept) -> Result<Vec<u8>, String> {
        let bytes = read_bounded(&path_of(&self.folder, head.records), CHECKPOINT_BYTES_MAX)?;
        let (found, content_bytes, hash) =
            parse_head(&bytes, &self.fingerprint).map_err(|Malformed(reason)| reason)?;
        let (head_bytes, content) = bytes.split_at(HEAD_BYTES);
        if hash != hash_of(&head_bytes[..HEAD_BYTES - 32], content) {
            return Err("its hash is another: something in it has changed".to_owned());
        }
        if found != (Kept { bytes: bytes.len() as u64, ..head }) {
            return Err("it is another one than before".to_owned());
        }
        let content = bulk::decompress(content, content_bytes).map_err(|error| error.to_string())?;
        if content.len() == content_bytes { Ok(content) } else { Err("it is too short".to_owned()) }
    }
}

impl Drop for Checkpoints {
    /// What was begun is finished.
    fn drop(&mut self) {
        self.finish();
    }
}

fn path_of(folder: &Path, records: u64) -> PathBuf {
    folder.join(format!("{records:016}.{EXTENSION}"))
}

/// Writes it beside its place, and puts it there in one step.
fn write(folder: &Path, records: u64, bytes: &[u8], useless: &[PathBuf]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for path in useless {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let path = path_of(folder, records);
    let new = path.with_extension(UNFINISHED);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&new, &path)
}

fn encode(fingerprint: &Hash, records: u64, at: Timestamp, content: &[u8]) -> io::Result<Vec<u8>> {
    let compressed = bulk::compress(content, COMPRESSION_LEVEL)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + compressed.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(fingerprint);
    bytes.extend(records.to_le_bytes());
    bytes.extend(at.0.to_le_bytes());
    bytes.extend((content.len() as u64).to_le_bytes());
    let hash = hash_of(&bytes, &compressed);
    bytes.extend(hash);
    bytes.extend(compressed);
    Ok(bytes)
}

fn hash_of(head: &[u8], content: &[u8]) -> Hash {
    blake3::Hasher::new().update(head).update(content).finalize().into()
}

fn read_head(path: &Path, fingerprint: &Hash) -> Result<Kept, String> {
    let file_bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|error| error.to_string())?;
    let (head, ..) = parse_head(&head, fingerprint).map_err(|Malformed(reason)| reason)?;
    Ok(Kept { bytes: file_bytes, ..head })
}

/// The head, with as many bytes as it was given, how long the content is, and the hash.
fn parse_head(bytes: &[u8], fingerprint: &Hash) -> Result<(Kept, usize, Hash), Malformed> {
    let mut fields = Fields(bytes);
    if fields.array()? != MAGIC {
        return Err(Malformed("no checkpoint".to_owned()));
    }
    let version = fields.u32()?;
    if version != VERSION {
        return Err(Malformed(format!("of version {version}, and this is {VERSION}")));
    }
    if fields.array()? != *fingerprint {
        return Err(Malformed("of another recording, or of what this one was before".to_owned()));
    }
    let (records, at) = (fields.u64()?, Timestamp(fields.i64()?));
    let content_bytes = usize::try_from(fields.u64()?).unwrap_or(usize::MAX);
    if content_bytes > CHECKPOINT_BYTES_MAX {
        return Err(Malformed(format!("of more than {CHECKPOINT_BYTES_MAX} bytes")));
    }
    Ok((Kept { records, at, bytes: bytes.len() as u64 }, content_bytes, fields.array()?))
}

fn read_bounded(path: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
    match read.map_err(|error| error.to_string())? {
        read if read > bytes_max => Err(format!("of more than {bytes_max} bytes")),
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests;
