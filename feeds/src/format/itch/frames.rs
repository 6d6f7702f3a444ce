//! Cuts a file into messages.

use std::path::Path;

use super::message::MESSAGE_BYTES_MAX;
use crate::{FeedError, Input};

const LENGTH_BYTES: usize = 2;

/// The messages of a file, one after the other.
pub(super) struct Frames {
    input: Input,
    /// For what lies across the ends of the input's buffer.
    buffer: [u8; MESSAGE_BYTES_MAX],
    /// Where the frame that was read last begins.
    frame_offset: u64,
    /// Its bytes that the input has still to consume.
    frame_bytes: usize,
}

impl Frames {
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        let input = Input::open(path)?;
        Ok(Self { input, buffer: [0; MESSAGE_BYTES_MAX], frame_offset: 0, frame_bytes: 0 })
    }

    /// The next message's bytes; `None` at the end. After an error the position is within a frame: do not go on.
    ///
    /// Nearly all frames lie whole in the input's buffer, and are handed out from where they lie.
    #[inline]
    pub(super) fn next_message(&mut self) -> Result<Option<&[u8]>, FeedError> {
        self.input.consume(std::mem::take(&mut self.frame_bytes));
        self.frame_offset = self.input.offset();
        let ahead = self.input.peek()?;
        if let Some((length, rest)) = ahead.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*length));
            if is_length(length) && length <= rest.len() {
                self.frame_bytes = LENGTH_BYTES + length;
                return Ok(Some(&self.input.peek()?[LENGTH_BYTES..self.frame_bytes]));
            }
        }
        Ok(self.gather()?.map(|length| &self.buffer[..length]))
    }

    /// Collects a frame that lies across the ends of the input's buffer, and tells its message's length; `None` at the end.
    #[cold]
    fn gather(&mut self) -> Result<Option<usize>, FeedError> {
        let mut length = [0; LENGTH_BYTES];
        if !self.input.read_exact_or_end(&mut length)? {
            return Ok(None);
        }
        let length = usize::from(u16::from_be_bytes(length));
        if !is_length(length) {
            return Err(self.damaged(format!(
                "a frame of {length} bytes, where messages have 12 to {MESSAGE_BYTES_MAX}"
            )));
        }
        match self.input.read_exact_or_end(&mut self.buffer[..length]) {
            Ok(true) => Ok(Some(length)),
            Ok(false) => Err(self.damaged(format!("the file ends before a message of {length} bytes"))),
            Err(error) => Err(error.at(self.frame_offset)),
        }
    }

    /// The error for a message that was read last and cannot be right.
    pub(super) fn damaged(&self, reason: String) -> FeedError {
        FeedError::Damaged { path: self.input.path().to_owned(), offset: self.frame_offset, reason }
    }
}

const fn is_length(length: usize) -> bool {
    0 < length && length <= MESSAGE_BYTES_MAX
}
