//! A client's socket: what could not be written at once waits here, within a bound.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::limits::{
    CLOSE_WAIT, OUTBOX_BYTES_MAX, OUTBOX_FAIR_BYTES, OUTBOX_TOTAL_BYTES_MAX, SLOW_CLOSE_WAIT,
};
use crate::metrics::Metrics;
use crate::wire::code::CloseCode;
use crate::ws::frame::{self, Header, Opcode};

/// One connection's raw socket and outbox. Not shared between threads.
pub(super) struct Socket {
    pub(super) stream: TcpStream,
    outbox: RefCell<Outbox>,
    metrics: Metrics,
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
    /// It is being closed because it was too slow.
    is_slow: bool,
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
    pub(super) fn new(stream: TcpStream, metrics: Metrics) -> Self {
        let last_data = Cell::new(monotonic());
        Self { stream, outbox: RefCell::default(), metrics, wake: Notify::new(), last_data }
    }

    /// Sends a text message that is the JSON array of `objects`, comma-separated. Never waits: what the socket does
    /// not take stays in the outbox.
    pub(super) fn send_array(&self, objects: &[u8]) -> Sent {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.is_closing {
            return Sent::Gone;
        }
        self.last_data.set(monotonic());
        let header = Header::new(Opcode::Text, false, objects.len() + 2);
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
        let before = outbox.bytes;
        outbox.push(parts.concat());
        self.wake.notify_one();
        let waiting = outbox.bytes - written;
        let is_crowded = self.metrics.outbox_bytes().get() > OUTBOX_TOTAL_BYTES_MAX;
        let is_overrun = waiting > OUTBOX_BYTES_MAX || (is_crowded && waiting > OUTBOX_FAIR_BYTES);
        if is_overrun {
            outbox.is_slow = true;
            outbox.close(frame::close(CloseCode::TooSlow.code(), CloseCode::TooSlow.reason()));
        }
        self.count(before, outbox.bytes);
        if is_overrun { Sent::Overrun } else { Sent::Taken }
    }

    fn count(&self, before: usize, after: usize) {
        if before != after {
            let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
            self.metrics.outbox_bytes().add(signed(after) - signed(before));
        }
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
            let before = outbox.bytes;
            outbox.bytes += frame.len();
            self.count(before, outbox.bytes);
            outbox.frames.insert(position, Waiting { bytes: frame, since: monotonic() });
            self.wake.notify_one();
        }
        self.last_data.set(monotonic());
    }

    /// Begins to close, unless that has begun: data that waits is dropped, and the close frame goes out at the next
    /// frame boundary. Says whether it has begun now.
    pub(super) fn close(&self, code: CloseCode, reason: &str) -> bool {
        self.outbox.borrow_mut().is_slow |= code == CloseCode::TooSlow;
        self.close_with(frame::close(code.code(), reason))
    }

    /// How long to wait for the client to take the close frame: what the kernel holds already goes before it.
    pub(super) fn close_patience(&self) -> Duration {
        if self.outbox.borrow().is_slow { SLOW_CLOSE_WAIT } else { CLOSE_WAIT }
    }

    /// Like [`Socket::close`], with frames of the caller's making, of which the last is a close frame.
    pub(super) fn close_with(&self, last_frames: Vec<u8>) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let begins = !outbox.is_closing;
        if begins {
            let before = outbox.bytes;
            outbox.close(last_frames);
            self.count(before, outbox.bytes);
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
    pub(super) fn lag(&self) -> Duration {
        let outbox = self.outbox.borrow();
        outbox.frames.front().map(|first| monotonic().duration_since(first.since)).unwrap_or_default()
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
        let before = outbox.bytes;
        let result = self.write_frames(&mut outbox);
        self.count(before, outbox.bytes);
        result
    }

    fn write_frames(&self, outbox: &mut Outbox) -> io::Result<()> {
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

impl Drop for Socket {
    fn drop(&mut self) {
        let waiting = self.outbox.get_mut().bytes;
        self.count(waiting, 0);
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
