//! A shard with its sockets: where what the shard has for a connection meets the connection's socket.

use std::cell::{Cell, RefCell, RefMut};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use feeds::Clock;
use feeds::clock::monotonic;
use tokio::sync::Notify;

use super::reading::ReadRoom;
use super::socket::Socket;
use crate::bus::Batch;
use crate::directory::Directory;
use crate::fanout::{Connection, Flushed, Form, Sent, Shard, Subscribe, Subscribed};
use crate::limits::{FLUSH_SENDS_MAX, HEARTBEAT_EVERY, RECONNECT_AFTER_MS};
use crate::metrics::Metrics;
use crate::topic::TopicId;
use crate::wire::code::CloseCode;
use crate::wire::json;
use crate::wire::message::{self, ReqId};
use crate::ws::frame;

/// One thread's shard and sockets. Every method is short and free of waiting, so that no borrow crosses an `.await`.
pub(super) struct Hub {
    inner: RefCell<Inner>,
    read_room: RefCell<ReadRoom>,
    directory: Directory,
    metrics: Metrics,
    /// How many laggards of this shard the metric was told of: it is the sum over all shards.
    laggards: Cell<i64>,
    /// Wakes the worker: a session has made something that is to be flushed.
    pub(super) dirtied: Notify,
}

struct Inner {
    shard: Shard,
    /// By connection.
    sockets: Vec<Option<Rc<Socket>>>,
    metrics: Metrics,
}

impl Hub {
    pub(super) fn new(shard: Shard, directory: Directory, metrics: Metrics) -> Self {
        let inner = Inner { shard, sockets: Vec::new(), metrics: metrics.clone() };
        Self {
            inner: RefCell::new(inner),
            read_room: RefCell::new(ReadRoom::new()),
            directory,
            metrics,
            laggards: Cell::new(0),
            dirtied: Notify::new(),
        }
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn read_room(&self) -> RefMut<'_, ReadRoom> {
        self.read_room.borrow_mut()
    }

    pub(super) fn join(&self, socket: &Rc<Socket>, form: Form) -> Connection {
        let mut inner = self.inner.borrow_mut();
        let connection = inner.shard.join(form);
        if inner.sockets.len() <= connection {
            inner.sockets.resize(connection + 1, None);
        }
        inner.sockets[connection] = Some(Rc::clone(socket));
        self.metrics.connections().add(1);
        self.metrics.connections_total().add(1);
        connection
    }

    pub(super) fn leave(&self, connection: Connection) {
        let mut inner = self.inner.borrow_mut();
        inner.shard.leave(connection);
        inner.sockets[connection] = None;
        self.metrics.connections().add(-1);
    }

    pub(super) fn epoch(&self) -> Arc<str> {
        Arc::clone(self.inner.borrow().shard.epoch())
    }

    /// Sends what there is for a connection, and says whether it keeps up: then it may subscribe, before anything else is
    /// awaited.
    pub(super) fn keeps_up(&self, connection: Connection) -> bool {
        let mut inner = self.inner.borrow_mut();
        // Sending may be what makes it a laggard.
        inner.flush_one(connection);
        !inner.shard.is_laggard(connection)
    }

    pub(super) fn subscribe(&self, connection: Connection, subscribe: Subscribe) -> Subscribed {
        let subscribed = self.inner.borrow_mut().shard.subscribe(connection, subscribe);
        self.dirtied.notify_one();
        subscribed
    }

    pub(super) fn is_awaiting(&self, connection: Connection) -> bool {
        self.inner.borrow().shard.is_awaiting(connection)
    }

    /// Whether something for the connection waits to be flushed.
    pub(super) fn has_pending(&self, connection: Connection) -> bool {
        self.inner.borrow().shard.has_pending(connection)
    }

    /// The connection's socket has taken all that waited for it.
    pub(super) fn drained(&self, connection: Connection) {
        let mut inner = self.inner.borrow_mut();
        if inner.shard.is_laggard(connection) {
            inner.shard.drained(connection);
            self.dirtied.notify_one();
        }
    }

    pub(super) fn give_up(&self, connection: Connection) {
        self.inner.borrow_mut().shard.give_up(connection);
        self.dirtied.notify_one();
    }

    pub(super) fn unsubscribe(&self, connection: Connection, topic: TopicId) -> bool {
        self.inner.borrow_mut().shard.unsubscribe(connection, topic)
    }

    /// The topic that a connection follows of all the rates of a topic.
    pub(super) fn followed(&self, connection: Connection, topic: TopicId) -> Option<TopicId> {
        self.inner.borrow().shard.followed(connection, topic)
    }

    /// Writes the answer to `list`.
    pub(super) fn list(&self, connection: Connection, out: &mut Vec<u8>, req_id: Option<&ReqId>) {
        let inner = self.inner.borrow();
        let mut followed: Vec<_> = inner.shard.subscriptions(connection).collect();
        followed.sort_unstable();
        let rows = followed
            .into_iter()
            .map(|(topic, seq)| (topic, self.directory.get(topic.symbol()).symbol.as_str(), seq));
        message::ack_list(out, req_id, rows);
    }

    /// Sends a JSON object to one connection, after what it is to get anyway.
    pub(super) fn tell(&self, connection: Connection, object: &[u8]) {
        self.inner.borrow_mut().shard.tell(connection, object);
        self.dirtied.notify_one();
    }

    /// Like [`Hub::tell`], and closes the connection behind it.
    pub(super) fn tell_and_close(
        &self,
        connection: Connection,
        object: &[u8],
        code: CloseCode,
        reason: &str,
    ) {
        let mut inner = self.inner.borrow_mut();
        inner.shard.tell(connection, object);
        inner.flush_one(connection);
        if let Some(socket) = &inner.sockets[connection] {
            socket.close(code, reason);
        }
    }

    /// Adds what batches bring to what each connection is to be sent.
    pub(super) fn deliver(&self, batches: &[Arc<Batch>]) {
        let mut inner = self.inner.borrow_mut();
        for batch in batches {
            inner.shard.deliver(batch);
        }
    }

    /// Whether something is to be flushed.
    pub(super) fn is_dirty(&self) -> bool {
        self.inner.borrow().shard.is_dirty()
    }

    /// Whether something should be flushed before more is delivered.
    pub(super) fn is_full(&self) -> bool {
        self.inner.borrow().shard.is_full()
    }

    /// Sends to some connections what there is for them.
    pub(super) fn flush(&self, now: Instant) -> Flushed {
        let mut inner = self.inner.borrow_mut();
        let Inner { shard, sockets, .. } = &mut *inner;
        let flushed = shard.flush(now, FLUSH_SENDS_MAX, send_to(sockets, now));
        inner.conclude(flushed);
        flushed
    }

    /// What is to be done now and then: cohorts settle, laggards catch up or are given up, and each connection that
    /// has been silent for a second gets a heartbeat.
    pub(super) fn tick(&self, clock: &Clock) {
        let now = monotonic();
        let mut inner = self.inner.borrow_mut();
        let Inner { shard, sockets, .. } = &mut *inner;
        let flushed = shard.tick(now, send_to(sockets, now));
        // The publisher may have been too busy when their sockets drained.
        for connection in shard.laggards().to_vec() {
            if sockets[connection].as_ref().is_some_and(|socket| !socket.has_waiting()) {
                shard.drained(connection);
            }
        }
        let laggards = i64::try_from(shard.laggards().len()).unwrap_or(i64::MAX);
        self.metrics.laggards().add(laggards - self.laggards.replace(laggards));
        inner.conclude(flushed);
        inner.send_heartbeats(now, clock);
        drop(inner);
        self.dirtied.notify_one();
    }

    /// Begins to close every connection, telling each client when to come back.
    pub(super) fn close_all(&self, code: CloseCode) {
        let lot = RandomState::new();
        let (first, end) = RECONNECT_AFTER_MS;
        for (connection, socket) in self.inner.borrow().sockets.iter().enumerate() {
            let Some(socket) = socket else { continue };
            let mut shutdown = Vec::new();
            message::system_shutdown(&mut shutdown, first + lot.hash_one(connection) % (end - first));
            let mut last_frames = frame::text(&[b"[", &shutdown[..], b"]"].concat());
            last_frames.append(&mut frame::close(code.code(), code.reason()));
            socket.close_with(last_frames);
        }
    }
}

impl Inner {
    fn flush_one(&mut self, connection: Connection) {
        let now = monotonic();
        let flushed = self.shard.flush_one(now, connection, send_to(&self.sockets, now));
        self.conclude(flushed);
    }

    /// Counts what was sent, closes those for which too much waits, and wakes those who waited for it to be sent.
    fn conclude(&mut self, flushed: Flushed) {
        for connection in self.shard.take_overrun() {
            // It may be closing for that already.
            if let Some(socket) = &self.sockets[connection]
                && socket.close(CloseCode::TooSlow, CloseCode::TooSlow.reason())
            {
                self.metrics.connections_overrun_total().add(1);
            }
        }
        for connection in self.shard.take_completed() {
            if let Some(socket) = &self.sockets[connection] {
                socket.wake.notify_one();
            }
        }
        self.metrics.messages_out_total().add(flushed.messages);
        self.metrics.updates_out_total().add(flushed.updates);
        self.metrics.bytes_out_total().add(flushed.bytes);
    }

    fn send_heartbeats(&self, now: Instant, clock: &Clock) {
        for (connection, socket) in self.sockets.iter().enumerate() {
            let Some(socket) = socket else { continue };
            if now.duration_since(socket.last_data()) < HEARTBEAT_EVERY {
                continue;
            }
            let lag_us = u64::try_from(socket.lag(now).as_micros()).unwrap_or(u64::MAX);
            let mut heartbeat = Vec::new();
            json::heartbeat(&mut heartbeat, clock.now(), lag_us, self.shard.is_laggard(connection));
            socket.send_heartbeat(frame::text(&[b"[", &heartbeat[..], b"]"].concat()), now);
        }
    }
}

fn send_to(sockets: &[Option<Rc<Socket>>], now: Instant) -> impl FnMut(Connection, &[u8]) -> Sent {
    move |connection, frame| match &sockets[connection] {
        Some(socket) => socket.send(frame, now),
        None => Sent::Taken,
    }
}
