//! Opens a recording, plain, gzip, zstd or zip, and knows how far it has read.

pub(crate) mod zip;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use crate::FeedError;
use crate::limits::INPUT_BUFFER_BYTES;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
    /// [`FeedError::Io`] when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let io_error = |source| FeedError::Io { path: path.to_owned(), offset: 0, source };
        let mut file = BufReader::with_capacity(INPUT_BUFFER_BYTES, File::open(path).map_err(io_error)?);
        let head = file.fill_buf().map_err(io_error)?;
        let reader: Box<dyn Read + Send> = if head.starts_with(&GZIP_MAGIC) {
            Box::new(MultiGzDecoder::new(file))
        } else if head.starts_with(&ZSTD_MAGIC) {
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
        let count = (&mut self.reader)
            .take(bytes_max as u64 + 1)
            .read_until(b'\n', line)
            .map_err(|source| FeedError::Io { path: self.path.clone(), offset: self.offset, source })?;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if count > bytes_max {
            return Err(self.damaged(format!("a line is longer than {bytes_max} bytes")));
        }
        self.offset += count as u64;
        Ok(count > 0)
    }

    /// The error for content that cannot be right, at the present offset.
    #[must_use]
    pub fn damaged(&self, reason: String) -> FeedError {
        FeedError::Damaged { path: self.path.clone(), offset: self.offset, reason }
    }

    fn io_error(&self, source: io::Error) -> FeedError {
        FeedError::Io { path: self.path.clone(), offset: self.offset, source }
    }
}
