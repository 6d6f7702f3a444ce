//! The WebSocket messages that a cohort or a connection is to be sent next, gathered in one buffer.
//!
//! Each message is preceded by room for the longest frame header, which is written when the message's length is known:
//! a frame is a range of the buffer, and the bytes that every member gets are never moved.

use std::ops::Range;

use crate::limits::{MESSAGE_OUT_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::ws::frame::{HEADER_BYTES_MAX, Header, Opcode};

/// Messages to send. Nothing in it: no memory.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    bytes: Vec<u8>,
    messages: Vec<Message>,
    updates: u64,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    opcode: Opcode,
    /// Where the room for its header begins.
    start: usize,
    end: usize,
}

/// More would wait than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overrun;

/// A message that is whole.
pub(super) struct Assembled<'a> {
    pub(super) opcode: Opcode,
    pub(super) payload: &'a [u8],
    /// The same with its header.
    pub(super) frame: &'a [u8],
}

impl Assembly {
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What it takes: all messages with the room for their headers.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How much memory it has for its messages.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many updates and states are in it.
    pub(super) const fn updates(&self) -> u64 {
        self.updates
    }

    /// Adds an update or state.
    pub(super) fn append_data(&mut self, opcode: Opcode, data: &[u8]) -> Result<(), Overrun> {
        self.updates += 1;
        self.append(opcode, data)
    }

    /// Adds a JSON object (for [`Opcode::Text`]) or binary records to the last message, or begins another where that is
    /// full or of the other kind.
    pub(super) fn append(&mut self, opcode: Opcode, data: &[u8]) -> Result<(), Overrun> {
        if self.bytes.len() + data.len() > OUTBOX_BYTES_MAX {
            return Err(Overrun);
        }
        match self.messages.last_mut() {
            Some(last)
                if last.opcode == opcode && last.end - last.start + data.len() <= MESSAGE_OUT_BYTES_MAX =>
            {
                if opcode == Opcode::Text {
                    self.bytes.push(b',');
                }
            }
            _ => {
                self.finish();
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&[0; HEADER_BYTES_MAX]);
                if opcode == Opcode::Text {
                    self.bytes.push(b'[');
                }
                self.messages.push(Message { opcode, start, end: start });
            }
        }
        self.bytes.extend_from_slice(data);
        if let Some(last) = self.messages.last_mut() {
            last.end = self.bytes.len();
        }
        Ok(())
    }

    /// Ends the last message.
    fn finish(&mut self) {
        if let Some(last) = self.messages.last_mut() {
            if last.opcode == Opcode::Text {
                self.bytes.push(b']');
            }
            last.end = self.bytes.len();
        }
    }

    /// Puts a JSON object before everything else, as a message of its own.
    pub(super) fn prepend(&mut self, object: &[u8]) {
        let mut first = vec![0; HEADER_BYTES_MAX];
        first.push(b'[');
        first.extend_from_slice(object);
        let closed = usize::from(!self.messages.is_empty());
        if closed == 1 {
            first.push(b']');
        }
        let moved = first.len();
        for message in &mut self.messages {
            message.start += moved;
            message.end += moved;
        }
        self.messages.insert(0, Message { opcode: Opcode::Text, start: 0, end: moved });
        self.bytes.splice(0..0, first);
    }

    /// Copies all that another has.
    pub(super) fn copy_from(&mut self, other: &Self) {
        debug_assert!(self.is_empty());
        self.bytes.extend_from_slice(&other.bytes);
        self.messages.extend_from_slice(&other.messages);
        self.updates = other.updates;
    }

    /// Ends it, and hands out each message in its order.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Assembled<'_>)) {
        self.finish();
        for Message { opcode, start, end } in self.messages.drain(..) {
            let payload = start + HEADER_BYTES_MAX;
            let header = Header::new(opcode, false, end - payload);
            let Range { start: head, .. } = payload - header.as_bytes().len()..payload;
            self.bytes[head..payload].copy_from_slice(header.as_bytes());
            take(Assembled { opcode, payload: &self.bytes[payload..end], frame: &self.bytes[head..end] });
        }
        self.bytes.clear();
        self.updates = 0;
    }

    /// Empties it, and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.messages.clear();
        self.updates = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(assembly: &mut Assembly) -> Vec<String> {
        let mut texts = Vec::new();
        assembly.drain(|message| {
            let header = Header::new(message.opcode, false, message.payload.len());
            assert_eq!(message.frame, [header.as_bytes(), message.payload].concat());
            texts.push(String::from_utf8_lossy(message.payload).into_owned());
        });
        assert!(assembly.is_empty());
        texts
    }

    #[test]
    fn objects_become_one_array_and_records_follow_as_a_message_of_their_own() {
        let mut assembly = Assembly::default();
        for object in ["1", "2"] {
            assert_eq!(assembly.append(Opcode::Text, object.as_bytes()), Ok(()));
        }
        assert_eq!(assembly.append(Opcode::Binary, b"ab"), Ok(()));
        assert_eq!(assembly.append(Opcode::Binary, b"c"), Ok(()));
        assert_eq!(assembly.append(Opcode::Text, b"3"), Ok(()));
        assembly.prepend(b"0");
        assert_eq!(texts(&mut assembly), ["[0]", "[1,2]", "abc", "[3]"]);
        assembly.prepend(b"0");
        assert_eq!(texts(&mut assembly), ["[0]"]);
    }

    #[test]
    fn a_message_is_no_longer_than_it_may_be_and_all_of_them_together_neither() {
        let mut assembly = Assembly::default();
        let object = vec![b'7'; MESSAGE_OUT_BYTES_MAX / 2 - 20];
        let mut count = 0;
        while assembly.append(Opcode::Text, &object) == Ok(()) {
            count += 1;
        }
        assert_eq!(count, (OUTBOX_BYTES_MAX - 32 * 16) / object.len());
        let texts = texts(&mut assembly);
        assert_eq!(texts.len(), count / 2);
        assert!(texts.iter().all(|text| text.len() == 2 * object.len() + 3));
    }
}
