//! A client's socket: what could not be written at once waits here, within a bound.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::time::Instant;

use feeds::clock::monotonic;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::limits::OUTBOX_BYTES_MAX;
use crate::wire::code::CloseCode;
use crate::ws::frame::{self, Header, Opcode};

/// One connection's raw socket and outbox. Not shared between threads.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    outbox: RefCell<Outbox>,
    /// Wakes the session: the outbox has something in it, or states have come.
    pub(super) wake: Notify,
    last_data: Cell<Instant>,
}

/// Frames that wait for the socket, whole but for the first, which may have been written in part.
#[derive(Default)]
struct Outbox {
    frames: VecDeque<Waiting>,
    written_of_first: usize,
    bytes: usize,
    /// Nothing but a close frame may follow.
    closing: Option<CloseCode>,
}

struct Waiting {
    bytes: Vec<u8>,
    since: Instant,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Written, or waiting in the outbox.
    Taken,
    /// The outbox is over its bound: the connection is being closed with 4007.
    Overrun,
    /// The socket is closing or broken: nothing goes there any more.
    Gone,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, outbox: RefCell::default(), wake: Notify::new(), last_data: Cell::new(monotonic()) }
    }

    /// Sends a text message that is the JSON array of `objects`, comma-separated. Never waits: what the socket does
    /// not take stays in the outbox.
    pub(super) fn send_array(&self, objects: &[u8]) -> Sent {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.closing.is_some() {
            return Sent::Gone;
        }
        self.last_data.set(monotonic());
        let header = Header::new(Opcode::Text, objects.len() + 2);
        let parts = [header.as_bytes(), b"[", objects, b"]"];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut written = 0;
        if outbox.frames.is_empty() {
            match self.stream.try_write_vectored(&parts.map(IoSlice::new)) {
                Ok(count) if count == len => return Sent::Taken,
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    // The session learns of it when it reads.
                    self.wake.notify_one();
                    return Sent::Gone;
                }
            }
            outbox.written_of_first = written;
        }
        outbox.push(parts.concat());
        self.wake.notify_one();
        if outbox.bytes - written > OUTBOX_BYTES_MAX {
            outbox.close(CloseCode::TooSlow, CloseCode::TooSlow.reason());
            return Sent::Overrun;
        }
        Sent::Taken
    }

    /// Sends a frame that must not wait behind data: it goes out at the next frame boundary.
    pub(super) fn send_control(&self, frame: Vec<u8>) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.closing.is_none() {
            let position = usize::from(outbox.written_of_first > 0);
            outbox.bytes += frame.len();
            outbox.frames.insert(position, Waiting { bytes: frame, since: monotonic() });
            self.wake.notify_one();
        }
    }

    /// Sends a heartbeat, which also counts as a sign of life.
    pub(super) fn send_heartbeat(&self, frame: Vec<u8>) {
        // While one waits for a socket that takes nothing, another would say nothing new.
        if self.outbox.borrow().frames.len() < 2 {
            self.send_control(frame);
        }
        self.last_data.set(monotonic());
    }

    /// Begins to close: data that waits is dropped, and the close frame goes out at the next frame boundary.
    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.closing.is_none() {
            outbox.close(code, reason);
            self.wake.notify_one();
        }
    }

    /// Why the connection is closing, if it is.
    pub(super) fn closing(&self) -> Option<CloseCode> {
        self.outbox.borrow().closing
    }

    /// When data was last sent.
    pub(super) fn last_data(&self) -> Instant {
        self.last_data.get()
    }

    /// How long the oldest waiting frame has waited.
    pub(super) fn lag(&self) -> std::time::Duration {
        self.outbox.borrow().frames.front().map(|waiting| waiting.since.elapsed()).unwrap_or_default()
    }

    /// Whether something waits to be written.
    pub(super) fn has_waiting(&self) -> bool {
        !self.outbox.borrow().frames.is_empty()
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The socket's, when it is broken.
    pub(super) fn write_waiting(&self) -> io::Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        while let Some(first) = outbox.frames.front() {
            let rest = &first.bytes[outbox.written_of_first..];
            match self.stream.try_write(rest) {
                Ok(count) if count == rest.len() => {
                    let done = outbox.frames.pop_front().map_or(0, |waiting| waiting.bytes.len());
                    outbox.bytes -= done;
                    outbox.written_of_first = 0;
                }
                Ok(count) => outbox.written_of_first += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Outbox {
    fn push(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        self.frames.push_back(Waiting { bytes, since: monotonic() });
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.closing = Some(code);
        self.frames.truncate(usize::from(self.written_of_first > 0));
        self.bytes = self.frames.iter().map(|waiting| waiting.bytes.len()).sum();
        self.push(frame::close(code.code(), reason));
    }
}

/// The socket as tungstenite reads it: what it writes by itself (pongs, the answer to a close) is kept apart, and
/// goes out as control frames.
pub(super) struct ReadSide<'a> {
    pub(super) socket: &'a Socket,
    pub(super) replies: &'a mut Vec<u8>,
}

impl Read for ReadSide<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.stream.try_read(buffer)
    }
}

impl Write for ReadSide<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
