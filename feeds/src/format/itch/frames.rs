//! Cuts a file into messages.

use std::path::Path;

use super::message::{MESSAGE_BYTES_MAX, Message, parse};
use crate::{FeedError, Input};

const LENGTH_BYTES: usize = 2;

/// The messages of a file, one after the other.
pub(super) struct Frames {
    input: Input,
    buffer: [u8; MESSAGE_BYTES_MAX],
    /// Where the frame that was read last begins.
    frame_offset: u64,
}

impl Frames {
    pub(super) fn open(path: &Path) -> Result<Self, FeedError> {
        Ok(Self { input: Input::open(path)?, buffer: [0; MESSAGE_BYTES_MAX], frame_offset: 0 })
    }

    /// The next message; `None` at the end. After an error the position is within a frame: do not go on.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, FeedError> {
        self.frame_offset = self.input.offset();
        let mut length = [0; LENGTH_BYTES];
        if !self.input.read_exact_or_end(&mut length)? {
            return Ok(None);
        }
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 || length > MESSAGE_BYTES_MAX {
            return Err(self.damaged(format!(
                "a frame of {length} bytes, where messages have 12 to {MESSAGE_BYTES_MAX}"
            )));
        }
        match self.input.read_exact_or_end(&mut self.buffer[..length]) {
            Ok(true) => {}
            Ok(false) => {
                return Err(self.damaged(format!("the file ends before a message of {length} bytes")));
            }
            Err(error) => return Err(error.at(self.frame_offset)),
        }
        parse(&self.buffer[..length]).map(Some).map_err(|error| self.damaged(error.to_string()))
    }

    /// The error for a message that was read last and cannot be right.
    pub(super) fn damaged(&self, reason: String) -> FeedError {
        FeedError::Damaged { path: self.input.path().to_owned(), offset: self.frame_offset, reason }
    }
}
