//! The folder of a recording, as its recorder sees it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a recorder asks of a disk. Tests put one in the place of the folder that fails, or keeps it waiting.
pub(super) trait Disk: Send {
    /// Begins a new segment, which all that is appended goes to.
    fn create(&mut self, number: u64) -> io::Result<()>;
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes back all but the first bytes of the segment.
    fn cut(&mut self, bytes: u64) -> io::Result<()>;
    /// Ends the segment: it is on the disk after this, whatever happens to the machine.
    fn close(&mut self) -> io::Result<()>;
    /// Takes back a segment of which nothing was written.
    fn remove(&mut self, number: u64) -> io::Result<()>;
    /// Puts a new manifest in the place of the old one, in one step.
    fn replace_manifest(&mut self, text: &str) -> io::Result<()>;
}

/// A real one.
pub(super) struct Folder {
    path: PathBuf,
    segment: Option<File>,
    /// Its lock keeps other recorders away, and goes with the process.
    folder: File,
}

pub(super) const MANIFEST: &str = "manifest";

/// How the names of segments end.
pub(crate) const SEGMENT_EXTENSION: &str = "twr";

/// The file of a segment.
pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.{SEGMENT_EXTENSION}"))
}

/// Removes a recording, but not its folder.
pub(super) fn remove(folder: &Path) {
    for number in 1.. {
        if fs::remove_file(segment_path(folder, number)).is_err() {
            break;
        }
    }
    let _ = fs::remove_file(folder.join(MANIFEST));
}

impl Folder {
    /// Makes the folder if there is none, and takes its lock.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let folder = File::open(path)?;
        folder.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::other("another process records into it"),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), segment: None, folder })
    }

    fn segment(&self) -> io::Result<&File> {
        self.segment.as_ref().ok_or_else(|| io::Error::other("no segment is open"))
    }
}

impl Disk for Folder {
    fn create(&mut self, number: u64) -> io::Result<()> {
        let path = segment_path(&self.path, number);
        self.segment = Some(OpenOptions::new().write(true).create_new(true).open(path)?);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.segment()?.write_all(bytes)
    }

    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.segment()?.set_len(bytes)
    }

    fn close(&mut self) -> io::Result<()> {
        match self.segment.take() {
            Some(segment) => segment.sync_data(),
            None => Ok(()),
        }
    }

    fn remove(&mut self, number: u64) -> io::Result<()> {
        self.segment = None;
        fs::remove_file(segment_path(&self.path, number))
    }

    fn replace_manifest(&mut self, text: &str) -> io::Result<()> {
        let new = self.path.join("manifest.new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        fs::rename(&new, self.path.join(MANIFEST))?;
        self.folder.sync_all()
    }
}
