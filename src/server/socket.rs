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
    /// Answers the newest ping, at the next frame boundary. Older ones need no answer any more (RFC 6455 section
    /// 5.5.3), so that a client which pings and never reads makes nothing grow.
    pong: Option<Vec<u8>>,
    /// A close frame is the last that waits: nothing may follow.
    is_closing: bool,
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
        if outbox.is_closing {
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
            outbox.close(frame::close(CloseCode::TooSlow.code(), CloseCode::TooSlow.reason()));
            return Sent::Overrun;
        }
        Sent::Taken
    }

    /// Sends a frame that answers a ping. It does not wait behind data.
    pub(super) fn send_pong(&self, frame: Vec<u8>) {
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.is_closing {
            outbox.pong = Some(frame);
            self.wake.notify_one();
        }
    }

    /// Sends a heartbeat, at the next frame boundary.
    pub(super) fn send_heartbeat(&self, frame: Vec<u8>) {
        let mut outbox = self.outbox.borrow_mut();
        // While one waits for a socket that takes nothing, another would say nothing new.
        if !outbox.is_closing && outbox.frames.len() < 2 {
            let position = usize::from(outbox.written_of_first > 0);
            outbox.bytes += frame.len();
            outbox.frames.insert(position, Waiting { bytes: frame, since: monotonic() });
            self.wake.notify_one();
        }
        self.last_data.set(monotonic());
    }

    /// Begins to close, unless that has begun: data that waits is dropped, and the close frame goes out at the next
    /// frame boundary. Says whether it has begun now.
    pub(super) fn close(&self, code: CloseCode, reason: &str) -> bool {
        self.close_with(frame::close(code.code(), reason))
    }

    /// Like [`Socket::close`], with frames of the caller's making, of which the last is a close frame.
    pub(super) fn close_with(&self, last_frames: Vec<u8>) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let begins = !outbox.is_closing;
        if begins {
            outbox.close(last_frames);
            self.wake.notify_one();
        }
        begins
    }

    /// Whether the connection is closing.
    pub(super) fn is_closing(&self) -> bool {
        self.outbox.borrow().is_closing
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
        let outbox = self.outbox.borrow();
        !outbox.frames.is_empty() || outbox.pong.is_some()
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The socket's, when it is broken.
    pub(super) fn write_waiting(&self) -> io::Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        loop {
            if outbox.written_of_first == 0
                && let Some(pong) = outbox.pong.take()
            {
                match self.stream.try_write(&pong) {
                    Ok(count) if count == pong.len() => {}
                    Ok(count) => {
                        outbox.written_of_first = count;
                        outbox.bytes += pong.len();
                        outbox.frames.push_front(Waiting { bytes: pong, since: monotonic() });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        outbox.pong = Some(pong);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(first) = outbox.frames.front() else { break };
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

    fn close(&mut self, last_frames: Vec<u8>) {
        self.is_closing = true;
        self.pong = None;
        self.frames.truncate(usize::from(self.written_of_first > 0));
        self.bytes = self.frames.iter().map(|waiting| waiting.bytes.len()).sum();
        self.push(last_frames);
    }
}

/// The socket as tungstenite reads it: what it writes by itself (pongs, the answer to a close) is kept apart, and no
/// more is read than one turn may.
pub(super) struct ReadSide<'a> {
    pub(super) socket: &'a Socket,
    pub(super) replies: &'a mut Vec<u8>,
    /// Bytes that may still be read in this turn.
    pub(super) budget: &'a mut usize,
}

impl Read for ReadSide<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(*self.budget);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.socket.stream.try_read(&mut buffer[..room])?;
        *self.budget -= count;
        Ok(count)
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
