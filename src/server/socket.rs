//! A client's socket: what could not be written at once waits here, within a bound.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::{Clock, Timestamp};
use tokio::sync::Notify;

use super::admin::{Mirror, Passing, shown_request};
use super::admission::Place;
use super::stream::Stream;
use crate::entitlement::Entitlement;
use crate::fanout::{Outgoing, Sent};
use crate::limits::{
    CLOSE_WAIT, LAG_AFTER, LAG_BURST_BYTES, LAG_BYTES, LAG_FAIR_BYTES, OUTBOX_BYTES_MAX, OUTBOX_FAIR_BYTES,
    OUTBOX_TOTAL_BYTES_MAX, SLOW_CLOSE_WAIT,
};
use crate::metrics::{Metrics, Refused};
use crate::wire::admin::Side;
use crate::wire::code::CloseCode;
use crate::wire::{Framing, OnOverflow, events, message};
use crate::ws::frame::{self, Opcode};

/// One connection's stream and outbox. Not shared between threads.
pub(super) struct Socket {
    pub(super) stream: Stream,
    pub(super) peer: IpAddr,
    outbox: RefCell<Outbox>,
    metrics: Metrics,
    /// Wakes the session: the outbox has something in it, or states have come.
    pub(super) wake: Notify,
    last_data: Cell<Instant>,
    on_overflow: Cell<OnOverflow>,
    /// What the client may see, which its session has not heard of yet.
    entitlement: Cell<Option<Arc<Entitlement>>>,
    place: Place,
    framing: Framing,
    /// How long the client has shown no sign of life.
    silence: Cell<Duration>,
    /// Nothing more is read or written.
    is_cut: Cell<bool>,
    /// When the connection came.
    pub(super) opened: Timestamp,
    /// Those to whom is shown what goes over it: mostly nobody.
    mirrors: RefCell<Vec<Mirror>>,
}

/// What follows from a client's silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Nothing.
    Short,
    /// It is to be asked whether it is there.
    Ask,
    /// It was, and has not answered.
    Gone,
}

/// Frames, or events, that wait for the socket, whole but for the first, of which a part may have been written.
#[derive(Default)]
struct Outbox {
    frames: VecDeque<Waiting>,
    /// Part of the first frame has been written.
    is_begun: bool,
    /// What is left to be written of them.
    bytes: usize,
    /// Answers the newest ping, at the next frame boundary. Older ones need no answer any more (RFC 6455 section
    /// 5.5.3), so that a client which pings and never reads makes nothing grow.
    pong: Option<Vec<u8>>,
    /// A close frame is the last that waits: nothing may follow.
    is_closing: bool,
    /// The socket has not taken all that it was last given.
    is_full: bool,
    /// It is being closed because it was too slow.
    is_slow: bool,
}

struct Waiting {
    bytes: Vec<u8>,
    written: usize,
    since: Instant,
}

impl Socket {
    pub(super) fn new(
        stream: Stream,
        peer: IpAddr,
        framing: Framing,
        place: Place,
        metrics: Metrics,
    ) -> Self {
        Self {
            stream,
            peer,
            place,
            framing,
            silence: Cell::default(),
            is_cut: Cell::default(),
            outbox: RefCell::default(),
            metrics,
            wake: Notify::new(),
            last_data: Cell::new(monotonic()),
            on_overflow: Cell::default(),
            entitlement: Cell::default(),
            opened: Clock::System.now(),
            mirrors: RefCell::default(),
        }
    }

    /// How many connections of the process came before it.
    pub(super) const fn number(&self) -> u64 {
        self.place.number()
    }

    /// Tells the session that its client may see something else.
    pub(super) fn entitle(&self, entitlement: Arc<Entitlement>) {
        self.entitlement.set(Some(entitlement));
        self.wake.notify_one();
    }

    /// What the client may see from now on, where that has changed.
    pub(super) fn take_entitlement(&self) -> Option<Arc<Entitlement>> {
        self.entitlement.take()
    }

    /// What happens when more waits than should.
    pub(super) fn set_on_overflow(&self, what: OnOverflow) {
        self.on_overflow.set(what);
    }

    /// Sends a whole frame, or event. Never waits: what the socket does not take is copied into the outbox. `now`: the
    /// time, about.
    pub(super) fn send(&self, outgoing: Outgoing<'_>, now: Instant) -> Sent {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.is_closing {
            return Sent::Taken;
        }
        self.show_sent(outgoing);
        self.last_data.set(now);
        let frame = outgoing.bytes;
        let mut written = 0;
        if outbox.frames.is_empty() && outbox.pong.is_none() {
            match self.stream.try_write(frame) {
                Ok(count) if count == frame.len() => {
                    if self.stream.has_unsent() {
                        self.wake.notify_one();
                    }
                    return Sent::Taken;
                }
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    // The session learns of it when it reads.
                    self.wake.notify_one();
                    return Sent::Taken;
                }
            }
        }
        let before = outbox.bytes;
        outbox.is_begun |= written > 0;
        outbox.is_full = true;
        outbox.push(frame[written..].to_vec(), now);
        self.wake.notify_one();
        let verdict = self.judge(&mut outbox, now);
        self.count(before, outbox.bytes);
        verdict
    }

    /// Whether more waits than should. More than may closes the connection with 4007.
    fn judge(&self, outbox: &mut Outbox, now: Instant) -> Sent {
        let is_crowded = self.metrics.outbox_bytes().get() > OUTBOX_TOTAL_BYTES_MAX;
        let conflates = self.on_overflow.get() == OnOverflow::Conflate;
        // A burst that the socket takes in a moment is no lag: so come the states of a large subscription.
        let is_old = outbox.frames.front().is_some_and(|first| now.duration_since(first.since) > LAG_AFTER);
        let (should, may) = match (conflates, is_crowded) {
            (true, false) if is_old => (LAG_BYTES, OUTBOX_BYTES_MAX),
            (true, false) => (LAG_BURST_BYTES, OUTBOX_BYTES_MAX),
            (true, true) => (LAG_FAIR_BYTES, OUTBOX_FAIR_BYTES),
            (false, false) => (OUTBOX_BYTES_MAX, OUTBOX_BYTES_MAX),
            (false, true) => (OUTBOX_FAIR_BYTES, OUTBOX_FAIR_BYTES),
        };
        if outbox.bytes > may {
            outbox.is_slow = true;
            self.close_outbox(outbox, self.farewell(CloseCode::TooSlow, CloseCode::TooSlow.reason()));
            self.metrics.refusals_total().of(Refused::Overrun).add(1);
        }
        if outbox.bytes > should && !outbox.is_closing { Sent::Refused } else { Sent::Taken }
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
    pub(super) fn send_heartbeat(&self, object: &[u8], now: Instant) {
        let frame = match self.framing {
            Framing::Frames => frame::text(&[b"[", object, b"]"].concat()),
            Framing::Events => {
                let mut event = Vec::new();
                events::heartbeat(&mut event, object);
                event
            }
        };
        let mut outbox = self.outbox.borrow_mut();
        // While one waits for a socket that takes nothing, another would say nothing new.
        if !outbox.is_closing && outbox.frames.len() < 2 {
            self.insert(&mut outbox, frame, now);
        }
        self.last_data.set(now);
    }

    /// Asks the client whether it is there, at the next frame boundary.
    pub(super) fn send_ping(&self, now: Instant) {
        debug_assert_eq!(self.framing, Framing::Frames);
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.is_closing {
            self.insert(&mut outbox, frame::ping(), now);
        }
    }

    /// Puts a frame before those that wait whole.
    fn insert(&self, outbox: &mut Outbox, frame: Vec<u8>, now: Instant) {
        self.show_sent(Outgoing::plain(&frame));
        let position = usize::from(outbox.is_begun);
        let before = outbox.bytes;
        outbox.bytes += frame.len();
        self.count(before, outbox.bytes);
        outbox.frames.insert(position, Waiting { bytes: frame, written: 0, since: now });
        self.wake.notify_one();
    }

    /// The client has sent something, or taken something of what waited for it.
    pub(super) fn hear(&self) {
        self.silence.set(Duration::ZERO);
    }

    /// Adds the time that has passed since the last call, as far as the client could be heard in it.
    pub(super) fn grow_silent(
        &self,
        passed: Duration,
        ping_interval: Duration,
        ping_timeout: Duration,
    ) -> Silence {
        // Whoever reads events says nothing, ever: whether it is there, its system's acknowledgements tell.
        if self.framing == Framing::Events {
            return Silence::Short;
        }
        let before = self.silence.get();
        let silence = before + passed;
        self.silence.set(silence);
        if silence >= ping_interval + ping_timeout {
            Silence::Gone
        } else if before < ping_interval && silence >= ping_interval {
            Silence::Ask
        } else {
            Silence::Short
        }
    }

    /// Why it was told to end from elsewhere, if it was.
    pub(super) fn ending(&self) -> Option<CloseCode> {
        self.place.ticket().ending()
    }

    /// Ends the connection without a word; says whether that is new.
    pub(super) fn cut(&self) -> bool {
        self.wake.notify_one();
        !self.is_cut.replace(true)
    }

    /// Whether it was cut.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.get()
    }

    /// Begins to close, unless that has begun: data that waits is dropped, and the close frame goes out at the next
    /// frame boundary. Says whether it has begun now.
    pub(super) fn close(&self, code: CloseCode, reason: &str) -> bool {
        self.outbox.borrow_mut().is_slow |= code == CloseCode::TooSlow;
        self.close_with(self.farewell(code, reason))
    }

    /// The same, behind an object that says when to come back.
    pub(super) fn close_behind(&self, object: &[u8], code: CloseCode, come_back_after_ms: u64) -> bool {
        let mut last = Vec::new();
        match self.framing {
            Framing::Frames => {
                last.extend_from_slice(&frame::text(&[b"[", object, b"]"].concat()));
                last.extend_from_slice(&frame::close(code.code(), code.reason()));
            }
            Framing::Events => {
                events::retry(&mut last, come_back_after_ms);
                events::data(&mut last, object);
            }
        }
        self.close_with(last)
    }

    /// The last that a client is sent.
    fn farewell(&self, code: CloseCode, reason: &str) -> Vec<u8> {
        match self.framing {
            Framing::Frames => frame::close(code.code(), reason),
            Framing::Events => {
                let (mut object, mut event) = (Vec::new(), Vec::new());
                message::system_closed(&mut object, code, reason);
                events::data(&mut event, &object);
                event
            }
        }
    }

    /// How long to wait for the client to take the close frame: what the kernel holds already goes before it. Whoever may
    /// be gone, because it was silent for most of the time that it may be, is not waited for much longer than that.
    pub(super) fn close_patience(&self, silence_max: Duration) -> Duration {
        if self.outbox.borrow().is_slow {
            SLOW_CLOSE_WAIT.min(silence_max.saturating_sub(self.silence.get())).max(CLOSE_WAIT)
        } else {
            CLOSE_WAIT
        }
    }

    /// Like [`Socket::close`], with frames of the caller's making, of which the last is a close frame.
    pub(super) fn close_with(&self, last_frames: Vec<u8>) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let begins = !outbox.is_closing;
        if begins {
            let before = outbox.bytes;
            self.close_outbox(&mut outbox, last_frames);
            self.count(before, outbox.bytes);
            self.wake.notify_one();
        }
        begins
    }

    fn close_outbox(&self, outbox: &mut Outbox, last_frames: Vec<u8>) {
        self.show_sent(Outgoing::plain(&last_frames));
        outbox.close(last_frames);
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
    pub(super) fn lag(&self, now: Instant) -> Duration {
        let outbox = self.outbox.borrow();
        outbox.frames.front().map(|first| now.duration_since(first.since)).unwrap_or_default()
    }

    /// Whether something waits to be written.
    pub(super) fn has_waiting(&self) -> bool {
        let outbox = self.outbox.borrow();
        !outbox.frames.is_empty() || outbox.pong.is_some() || self.stream.has_unsent()
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.outbox.borrow().bytes
    }

    /// Writes what the socket takes.
    ///
    /// # Errors
    /// The socket's, when it is broken.
    pub(super) fn write_waiting(&self) -> io::Result<()> {
        let mut outbox = self.outbox.borrow_mut();
        let before = outbox.bytes;
        let result = self.write_frames(&mut outbox).and_then(|()| self.stream.flush());
        self.count(before, outbox.bytes);
        result
    }

    fn write_frames(&self, outbox: &mut Outbox) -> io::Result<()> {
        loop {
            if !outbox.is_begun
                && let Some(pong) = outbox.pong.take()
            {
                match self.stream.try_write(&pong) {
                    Ok(written) if written == pong.len() => self.show_sent(Outgoing::plain(&pong)),
                    Ok(written) => {
                        self.show_sent(Outgoing::plain(&pong));
                        outbox.bytes += pong.len() - written;
                        outbox.is_begun = true;
                        outbox.frames.push_front(Waiting { bytes: pong, written, since: monotonic() });
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        outbox.pong = Some(pong);
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            let Some(first) = outbox.frames.front_mut() else { break };
            let rest = &first.bytes[first.written..];
            let count = match self.stream.try_write(rest) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.is_full = true;
                    break;
                }
                Err(error) => return Err(error),
            };
            outbox.bytes -= count;
            let is_begun = count < rest.len();
            // A socket that was full takes more when its client has taken some.
            if std::mem::replace(&mut outbox.is_full, is_begun) {
                self.hear();
            }
            outbox.is_begun = is_begun;
            if outbox.is_begun {
                first.written += count;
            } else {
                outbox.frames.pop_front();
            }
        }
        // An idle connection holds no memory for what once waited.
        if outbox.frames.is_empty() {
            outbox.frames = VecDeque::new();
        }
        Ok(())
    }

    /// Shows somebody from now on what goes over the connection.
    pub(super) fn show_to(&self, mirror: Mirror) {
        self.mirrors.borrow_mut().push(mirror);
    }

    /// Whether anybody is shown what goes over the connection.
    fn is_tapped(&self) -> bool {
        !self.mirrors.borrow().is_empty()
    }

    /// Shows what is handed to the socket: it may wait there yet, and a connection that is closed takes what waits with it.
    fn show_sent(&self, outgoing: Outgoing<'_>) {
        if !self.is_tapped() {
            return;
        }
        match self.framing {
            Framing::Frames => {
                let mut rest = outgoing.bytes;
                while let Some((frame, behind)) = frame::split_first(rest) {
                    let payload = outgoing.inflated.unwrap_or(frame.payload);
                    self.show(
                        Side::Server,
                        frame.opcode,
                        payload.len(),
                        payload,
                        frame.bytes,
                        frame.is_compressed,
                    );
                    rest = behind;
                }
            }
            Framing::Events => {
                let lines = outgoing.bytes.split(|&byte| byte == b'\n');
                for data in lines.filter_map(|line| line.strip_prefix(b"data: ")) {
                    self.show(Side::Server, Opcode::Text, data.len(), data, outgoing.bytes.len(), false);
                }
            }
        }
    }

    /// Shows a control frame of the client, or a binary message: of that no more than its length, for it may have a token
    /// where none belongs.
    pub(super) fn show_received(&self, opcode: Opcode, payload: &[u8], wire_bytes: usize) {
        let shown = if opcode == Opcode::Binary { &[] } else { payload };
        if self.is_tapped() {
            self.show(Side::Client, opcode, payload.len(), shown, wire_bytes, false);
        }
    }

    /// Shows a message of the client, without what it presents.
    pub(super) fn show_request(&self, text: &str, wire_bytes: usize, is_compressed: bool) {
        if self.is_tapped() {
            let shown = shown_request(text);
            self.show(Side::Client, Opcode::Text, text.len(), &shown, wire_bytes, is_compressed);
        }
    }

    fn show(
        &self,
        from: Side,
        opcode: Opcode,
        bytes: usize,
        payload: &[u8],
        wire_bytes: usize,
        is_compressed: bool,
    ) {
        let at = Clock::System.now();
        let passing = Passing { at, from, opcode, bytes, wire_bytes, is_compressed, payload };
        self.mirrors.borrow_mut().retain(|mirror| mirror.take(&passing));
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let waiting = self.outbox.get_mut().bytes;
        self.count(waiting, 0);
    }
}

impl Outbox {
    fn push(&mut self, bytes: Vec<u8>, now: Instant) {
        self.bytes += bytes.len();
        self.frames.push_back(Waiting { bytes, written: 0, since: now });
    }

    fn close(&mut self, last_frames: Vec<u8>) {
        self.is_closing = true;
        self.pong = None;
        self.frames.truncate(usize::from(self.is_begun));
        self.bytes = self.frames.iter().map(|waiting| waiting.bytes.len() - waiting.written).sum();
        self.push(last_frames, monotonic());
    }
}
