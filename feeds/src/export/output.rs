//! Files that have their names only when they are whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{ExportError, Format, Kind};
use crate::limits::EXPORT_BUFFER_BYTES;

const PARTIAL: &str = "partial";

/// A file or a folder that is being written, under its path with `.partial` behind it. Dropped before it is
/// committed, it goes away.
pub(super) struct Output {
    path: PathBuf,
    partial: PathBuf,
    is_file: bool,
    force: bool,
    is_done: bool,
}

impl Output {
    pub(super) fn create(path: &Path, is_file: bool, force: bool) -> Result<Self, ExportError> {
        let Some(name) = path.file_name() else {
            return Err(ExportError::Settings(format!("{} names no file or folder", path.display())));
        };
        let mut partial = name.to_owned();
        partial.push(".");
        partial.push(PARTIAL);
        let partial = path.with_file_name(partial);
        check(path, is_file, force)?;
        check(&partial, is_file, force)?;
        remove(&partial)?;
        let made = if is_file { File::create_new(&partial).map(drop) } else { fs::create_dir(&partial) };
        made.map_err(|source| ExportError::io(&partial, source))?;
        Ok(Self { path: path.to_owned(), partial, is_file, force, is_done: false })
    }

    /// The one file, or that of a kind in the folder.
    pub(super) fn open(&self, kind: Kind, format: Format) -> Result<OutputFile, ExportError> {
        let path = if self.is_file {
            self.partial.clone()
        } else {
            self.partial.join(format!("{}.{}", kind.name(), format.name()))
        };
        OutputFile::create(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name.
    pub(super) fn commit(mut self) -> Result<(), ExportError> {
        check(&self.path, self.is_file, self.force)?;
        // A file is replaced by the other at once; a folder cannot be.
        if !self.is_file {
            remove(&self.path)?;
        }
        fs::rename(&self.partial, &self.path).map_err(|source| ExportError::io(&self.path, source))?;
        self.is_done = true;
        Ok(())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.is_done {
            // What cannot be removed stays under a name that says what it is.
            let _ = remove(&self.partial);
        }
    }
}

/// Refuses what is there already, and by whatever force what is no export.
fn check(path: &Path, is_file: bool, force: bool) -> Result<(), ExportError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(ExportError::io(path, source)),
    };
    if !force {
        return Err(ExportError::Exists { path: path.to_owned() });
    }
    if metadata.is_dir() == is_file {
        let (is, wanted) = if is_file { ("a folder", "file") } else { ("a file", "folder") };
        return Err(ExportError::Settings(format!(
            "{} is {is}, and is not replaced by a {wanted}: remove it first",
            path.display()
        )));
    }
    let is_half_written = path.extension().is_some_and(|extension| extension == PARTIAL);
    if is_file
        && !is_half_written
        && !begins_as_export(path).map_err(|source| ExportError::io(path, source))?
    {
        let path = path.display();
        return Err(ExportError::Settings(format!(
            "{path} is no export, and is not replaced: remove it first"
        )));
    }
    if !is_file {
        for entry in fs::read_dir(path).map_err(|source| ExportError::io(path, source))? {
            let name = entry.map_err(|source| ExportError::io(path, source))?.file_name();
            if !is_of_export(Path::new(&name)) {
                return Err(ExportError::Settings(format!(
                    "{} holds {}, which is of no export, and is not replaced: remove it first",
                    path.display(),
                    name.display()
                )));
            }
        }
    }
    Ok(())
}

/// Whether a file begins as an export does; or is empty, as one that was never written.
fn begins_as_export(path: &Path) -> io::Result<bool> {
    const DBN: &[u8] = b"DBN";
    const PARQUET: &[u8] = b"PAR1";
    const CSV: &[u8] = b"exchange,symbol,";
    let mut start = Vec::new();
    File::open(path)?.take(CSV.len() as u64).read_to_end(&mut start)?;
    Ok(start.is_empty() || [DBN, PARQUET, CSV].iter().any(|wanted| start.starts_with(wanted)))
}

fn is_of_export(name: &Path) -> bool {
    let kind = name.file_stem().and_then(|stem| stem.to_str()).and_then(Kind::of_name);
    kind.is_some() && Format::of_path(name).is_some()
}

/// Removes a file, or a folder with nothing in it but files of an export.
fn remove(path: &Path) -> Result<(), ExportError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::read_dir(path)
            .and_then(|entries| {
                for entry in entries {
                    let entry = entry?;
                    if is_of_export(Path::new(&entry.file_name())) {
                        fs::remove_file(entry.path())?;
                    }
                }
                Ok(())
            })
            .and_then(|()| fs::remove_dir(path)),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| ExportError::io(path, source))
}

/// A file that is being written, and says its path when it fails.
pub(super) struct OutputFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl OutputFile {
    fn create(path: PathBuf) -> Result<Self, ExportError> {
        let file = File::create(&path).map_err(|source| ExportError::io(&path, source))?;
        Ok(Self { path, writer: BufWriter::with_capacity(EXPORT_BUFFER_BYTES, file) })
    }

    pub(super) fn error(&self, source: io::Error) -> ExportError {
        ExportError::io(&self.path, source)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.writer.write_all(bytes).map_err(|source| ExportError::io(&self.path, source))
    }

    /// Writes over what the file begins with.
    pub(super) fn put_at_start(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        let sought = self.writer.seek(SeekFrom::Start(0));
        sought.map_err(|source| ExportError::io(&self.path, source))?;
        self.put(bytes)
    }

    /// Waits until the disk has it: a name is not given before.
    pub(super) fn finish(&mut self) -> Result<(), ExportError> {
        let finished = self.writer.flush().and_then(|()| self.writer.get_ref().sync_all());
        finished.map_err(|source| ExportError::io(&self.path, source))
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
