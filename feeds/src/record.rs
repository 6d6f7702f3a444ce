//! Recordings of our own: raw bytes exactly as they were received, with when, from where, and what happened to the
//! connection.
//!
//! `record/format.md` beside this file describes the files byte by byte.
//!
//! ```text
//!  entry.rs      a record and its bytes
//!  queue.rs      from the live path to the disk's thread: bounded, and never waits for the disk
//!  writer.rs     records to blocks, blocks to segments
//!  disk.rs       the folder
//!  layout.rs     the bytes of frames
//!  manifest.rs   the list of segments
//!  segment.rs    reads one segment
//!  reader.rs     reads a recording: in order, from a time, after a crash
//!  simulated.rs  what is recorded of a feed that has no bytes: its events
//!  checkpoints.rs  what a replay keeps beside it, so that the next one need not begin at its beginning
//! ```

pub(crate) mod checkpoints;
mod disk;
mod entry;
mod layout;
mod manifest;
mod queue;
mod reader;
mod segment;
pub mod simulated;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use entry::{Body, Lost, Record, SourceId};
pub use queue::{RecorderStats, WhenFull};
pub(crate) use reader::Place;
pub use reader::{Cut, RecordReader, Verified};

use crate::{FeedError, Timestamp};
pub(crate) use disk::SEGMENT_EXTENSION;
use disk::{Disk, Folder};
pub(crate) use layout::MAGIC;
use queue::{Batch, Queue};
use writer::Writer;

/// Where bytes came from. Connections that are pooled differ in their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The venue in upper case, as a capture's header spells it: `KRAKEN`, `BINANCE_FUTURES`, `SIM`.
    pub venue: String,
    /// What the bytes are, as the reader of a replay asks for it: `json`, `events`.
    pub format: String,
    /// The address that was connected to.
    pub address: String,
    /// The connection's name in its venue.
    pub name: String,
}

impl Source {
    fn texts(&self) -> [&str; 4] {
        [&self.venue, &self.format, &self.address, &self.name]
    }

    fn bytes(&self) -> usize {
        self.texts().iter().map(|text| text.len()).sum()
    }
}

/// How to record.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// The folder. Where it holds a recording already, that goes on.
    pub folder: PathBuf,
    /// The next segment begins when one would become longer than this, its index aside. It has a block at least.
    pub rotate_bytes: u64,
    /// A segment has no record received so much later than its first one; `None`: only the size counts.
    pub rotate_every: Option<Duration>,
    /// What becomes of a record for which there is no room.
    pub when_full: WhenFull,
}

impl RecorderSettings {
    /// Records into `folder`, in segments of a gigabyte, and never lets the sender of a record wait.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder, rotate_bytes: 1 << 30, rotate_every: None, when_full: WhenFull::Lose }
    }
}

/// What whoever started a recorder should know at once.
#[derive(Debug)]
pub enum RecorderReport {
    /// The disk failed. What has been taken is kept, and tried again until it succeeds.
    Failed {
        /// The cause.
        error: io::Error,
    },
    /// The disk works again.
    Recovered,
    /// There was no room for some records.
    Lost(Lost),
}

/// Takes records from any number of threads and tasks. Cheap to clone.
#[derive(Clone)]
pub struct RecorderHandle {
    queue: Arc<Queue>,
}

impl RecorderHandle {
    /// Makes a source known; its records may follow.
    ///
    /// # Errors
    /// [`FeedError::Settings`] for texts longer than [`crate::limits::RECORD_TEXT_BYTES_MAX`], or all of them longer than
    /// [`crate::limits::RECORD_SOURCES_BYTES_MAX`], and for more than [`crate::limits::CONNECTIONS_MAX`] sources.
    pub fn source(&self, source: Source) -> Result<SourceId, FeedError> {
        self.queue.add_source(source)
    }

    /// Records something that was received, or happened, at `ts_recv`; `false`: there was no room, and it is lost.
    ///
    /// With [`WhenFull::Lose`] it never waits for the disk, so that asynchronous tasks may call it: it copies the bytes
    /// under a lock that is otherwise held only to exchange a buffer.
    pub fn record(&self, source: Option<SourceId>, ts_recv: Timestamp, body: Body<'_>) -> bool {
        self.queue.push(&Record { source, ts_recv, body })
    }

    /// Lets go of whoever waits for the disk, and of all who would: from here on, what there is no room for is lost. Call it
    /// before waiting for a sender's end.
    pub fn stop_waiting(&self) {
        self.queue.stop_waiting();
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        self.queue.stats()
    }
}

/// A recording being made, by a thread of its own.
pub struct Recorder {
    handle: RecorderHandle,
    thread: JoinHandle<io::Result<()>>,
    folder: PathBuf,
    /// What there was not before it.
    made: Made,
}

/// What a recorder has made to record into.
#[derive(Default)]
struct Made {
    /// Folders, the innermost first.
    folders: Vec<PathBuf>,
    recording: bool,
}

impl Recorder {
    /// Begins to record, or goes on with the recording in the folder. `report` is called from the recorder's thread.
    ///
    /// # Errors
    /// [`FeedError::Io`] when the folder cannot be written, or another process records into it;
    /// [`FeedError::Damaged`] when the end of the recording in it is.
    pub fn start(
        settings: &RecorderSettings,
        report: impl FnMut(RecorderReport) + Send + 'static,
    ) -> Result<Self, FeedError> {
        let folder = &settings.folder;
        let at_folder = |source| FeedError::Io { path: folder.clone(), offset: None, source };
        let folders = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let mut made = Made { folders: folders.map(Path::to_owned).collect(), recording: false };
        let disk = Folder::open(folder).map_err(at_folder)?;
        let end = reader::end_of(folder)?;
        made.recording = end.segments.is_empty();
        let writer = Writer::new(disk, settings, end).map_err(at_folder)?;
        Ok(Self { made, ..Self::start_writer(writer, settings, report)? })
    }

    fn start_writer<D: Disk + 'static>(
        writer: Writer<D>,
        settings: &RecorderSettings,
        report: impl FnMut(RecorderReport) + Send + 'static,
    ) -> Result<Self, FeedError> {
        let queue = Arc::new(Queue::new(settings.when_full));
        let taken = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || run(&taken, writer, report))
            .map_err(|source| FeedError::Io { path: settings.folder.clone(), offset: None, source })?;
        let folder = settings.folder.clone();
        Ok(Self { handle: RecorderHandle { queue }, thread, folder, made: Made::default() })
    }

    /// What takes the records.
    #[must_use]
    pub const fn handle(&self) -> &RecorderHandle {
        &self.handle
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes back what it has made, for whoever finds after its start that there is nothing to record: a recording that was
    /// there before stays, and what was added to it.
    pub fn abandon(self) {
        self.handle.queue.close();
        // What fails here leaves files behind, which is all that can be wrong any more.
        let _ = self.thread.join();
        if self.made.recording {
            disk::remove(&self.folder);
        }
        for folder in &self.made.folders {
            let _ = std::fs::remove_dir(folder);
        }
    }

    /// Writes what was taken, and closes the last segment.
    ///
    /// # Errors
    /// [`FeedError::Io`] when the disk fails: then what could not be written is lost, and
    /// [`RecorderHandle::stats`] counts it.
    pub fn stop(self) -> Result<RecorderStats, FeedError> {
        self.handle.queue.close();
        let result =
            self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the recorder has panicked")));
        result.map_err(|source| FeedError::Io { path: self.folder, offset: None, source })?;
        Ok(self.handle.stats())
    }
}

/// Records what a recording holds, until it is told to stop: the same records in the same order, in other segments. Sources
/// that a recorder told of in several of its runs are told of once. `false`: it was stopped.
///
/// # Errors
/// [`FeedError`] of the recording, and of more sources than a run of a recorder may have.
pub fn copy(
    reader: &mut RecordReader,
    to: &RecorderHandle,
    is_stopped: impl Fn() -> bool,
) -> Result<bool, FeedError> {
    let mut known: BTreeMap<Source, SourceId> = BTreeMap::new();
    while reader.advance()? {
        if is_stopped() {
            return Ok(false);
        }
        let Record { source, ts_recv, body } = reader.record()?;
        let source = match source.and_then(|source| reader.source(source)) {
            None => None,
            Some(source) => Some(match known.get(source) {
                Some(id) => *id,
                None => {
                    let id = to.source(source.clone())?;
                    known.insert(source.clone(), id);
                    id
                }
            }),
        };
        to.record(source, ts_recv, body);
    }
    Ok(true)
}

/// Takes records and writes them, until the queue is closed.
fn run<D: Disk>(
    queue: &Queue,
    mut writer: Writer<D>,
    mut report: impl FnMut(RecorderReport),
) -> io::Result<()> {
    let mut batch = Batch::default();
    loop {
        let is_open = queue.take(&mut batch);
        let mut has_failed = false;
        while let Err(error) = writer.write(&mut batch) {
            queue.count_failure();
            if !has_failed {
                report(RecorderReport::Failed { error: io::Error::new(error.kind(), error.to_string()) });
                has_failed = true;
            }
            if !queue.wait_to_retry() {
                queue.count_unwritten(&batch);
                // What had no room in it.
                queue.take(&mut batch);
                queue.count_unwritten(&batch);
                return Err(error);
            }
            if let Some(lost) = queue.take_lost() {
                report(RecorderReport::Lost(lost));
            }
        }
        queue.count_written(writer.written());
        if has_failed {
            report(RecorderReport::Recovered);
        }
        if let Some(lost) = batch.lost.take() {
            report(RecorderReport::Lost(lost));
        }
        if !is_open {
            let finished = writer.finish();
            queue.count_written(writer.written());
            return finished;
        }
    }
}
