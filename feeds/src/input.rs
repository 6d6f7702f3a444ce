//! Opens a recording, plain, gzip, zstd or zip, and knows how far it has read.

pub(crate) mod zip;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::FeedError;
use crate::limits::INPUT_BUFFER_BYTES;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Of a frame that is to be skipped, behind a byte from 50 to 5f
/// ([format](https://www.rfc-editor.org/rfc/rfc8878#name-skippable-frames)); the parallel zstd begins each file so.
const ZSTD_SKIPPED_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// A recording's bytes, decompressed. Memory is two buffers and what the decompression needs, whatever the size of the file.
pub struct Input {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    offset: u64,
}

impl Input {
    /// Opens `path` and recognises its compression by content.
    ///
    /// # Errors
    /// [`FeedError::Io`] when it cannot be opened; [`FeedError::Settings`] for what is neither a file nor a folder.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        check_kept(path)?;
        let io_error = |source| FeedError::Io { path: path.to_owned(), offset: None, source };
        let mut file = BufReader::with_capacity(INPUT_BUFFER_BYTES, File::open(path).map_err(io_error)?);
        let head = file.fill_buf().map_err(io_error)?;
        let reader: Box<dyn Read + Send> = if head.starts_with(&GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(file))
        } else if is_zstd(head) {
            Box::new(zstd::Decoder::with_buffer(file).map_err(io_error)?)
        } else if head.starts_with(&zip::MAGIC) {
            Box::new(zip::Member::open(file).map_err(io_error)?)
        } else {
            Box::new(file)
        };
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(INPUT_BUFFER_BYTES, reader),
            offset: 0,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many decompressed bytes have been consumed.
    #[must_use]
    #[inline]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes without consuming them; empty at the end.
    ///
    /// # Errors
    /// [`FeedError::Io`] when the disk fails or the compression is damaged.
    #[inline]
    pub fn peek(&mut self) -> Result<&[u8], FeedError> {
        while let Err(error) = self.reader.fill_buf() {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(self.io_error(error));
            }
        }
        Ok(self.reader.buffer())
    }

    /// Takes `count` bytes of what [`Input::peek`] showed.
    #[inline]
    pub fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.offset += count as u64;
    }

    /// Reads what there is into `buffer`, and tells how many bytes that were: none at the end of the file.
    ///
    /// # Errors
    /// [`FeedError::Io`] as [`Input::peek`].
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, FeedError> {
        loop {
            match self.reader.read(buffer) {
                Ok(count) => {
                    self.offset += count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io_error(source)),
            }
        }
    }

    /// Fills all of `buffer`; `false` at the end of the file when not one byte was left.
    ///
    /// # Errors
    /// [`FeedError::Io`] as [`Input::peek`]; [`FeedError::Damaged`] when the file ends within `buffer`.
    pub fn read_exact_or_end(&mut self, buffer: &mut [u8]) -> Result<bool, FeedError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => {
                    return Err(self.damaged(format!("the file ends {filled} bytes into {}", buffer.len())));
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.io_error(source)),
            }
        }
        self.offset += filled as u64;
        Ok(true)
    }

    /// Reads a line without its line end into `line` (cleared first); `false` at the end of the file.
    ///
    /// # Errors
    /// [`FeedError::Io`] as [`Input::peek`]; [`FeedError::Damaged`] for a line longer than `bytes_max`.
    pub fn read_line(&mut self, line: &mut Vec<u8>, bytes_max: usize) -> Result<bool, FeedError> {
        line.clear();
        loop {
            let buffered = self.peek()?;
            let (count, is_whole) = match memchr::memchr(b'\n', buffered) {
                Some(length) => (length + 1, true),
                None => (buffered.len(), false),
            };
            if line.len() + count > bytes_max + usize::from(is_whole) {
                return Err(self.damaged(format!("a line is longer than {bytes_max} bytes")));
            }
            line.extend_from_slice(&buffered[..count]);
            self.reader.consume(count);
            if is_whole || count == 0 {
                break;
            }
        }
        self.offset += line.len() as u64;
        let is_line = !line.is_empty();
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(is_line)
    }

    /// The error for content that cannot be right, at the present offset.
    #[must_use]
    pub fn damaged(&self, reason: String) -> FeedError {
        FeedError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }

    fn io_error(&self, source: io::Error) -> FeedError {
        FeedError::Io { path: self.path.clone(), offset: Some(self.offset), source }
    }
}

/// Refuses a pipe and a device before they are opened, which could wait for ever: a recording is read more than once, to
/// learn its format and its instruments first, and what was read of a pipe is gone.
///
/// # Errors
/// [`FeedError::Settings`] says what to do; [`FeedError::Io`] for what is not there.
pub(crate) fn check_kept(path: &Path) -> Result<(), FeedError> {
    let found = fs::metadata(path);
    let found = found.map_err(|source| FeedError::Io { path: path.to_owned(), offset: None, source })?;
    if found.is_file() || found.is_dir() {
        return Ok(());
    }
    Err(FeedError::Settings(format!(
        "{} is a pipe or a device, and a recording is read more than once: write it to a file first, and give that (it may \
         be compressed: gzip, zstd and zip are read)",
        path.display()
    )))
}

fn is_zstd(head: &[u8]) -> bool {
    let skipped = head
        .split_first()
        .filter(|(first, rest)| **first & 0xf0 == 0x50 && rest.starts_with(&ZSTD_SKIPPED_MAGIC));
    head.starts_with(&ZSTD_MAGIC) || skipped.is_some()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn zstd_that_begins_with_a_frame_to_be_skipped_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("day");
        let packed = zstd::encode_all(&b"what was recorded"[..], 1).expect("memory");
        for first in 0x50..=0x5f {
            let skipped = [&[first, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
            fs::write(&path, [&skipped[..], &packed, &skipped, &packed].concat()).expect("room");
            let mut input = Input::open(&path).expect("a file");
            let mut read = [0; 34];
            assert!(input.read_exact_or_end(&mut read).expect("sound"));
            assert_eq!(read, *b"what was recordedwhat was recorded");
            assert!(input.peek().expect("sound").is_empty());
        }
    }

    #[test]
    fn pipes_and_devices_are_refused_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().expect("coreutils").success());
        for path in [pipe.as_path(), Path::new("/dev/null")] {
            let error = Input::open(path).err().expect("no file").to_string();
            assert!(
                error.contains(&path.display().to_string()) && error.contains("to a file first"),
                "{error}"
            );
        }
    }

    #[test]
    fn only_what_was_read_has_a_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("day.gz");
        let error = Input::open(&path).err().expect("not there").to_string();
        assert!(error.starts_with(&format!("{}: No such file", path.display())), "{error}");
        fs::write(&path, GZIP_MAGIC).expect("room");
        let error = Input::open(&path).expect("a file").peek().expect_err("cut").to_string();
        assert!(error.starts_with(&format!("{}: at byte 0: ", path.display())), "{error}");
    }
}
