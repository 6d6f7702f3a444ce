//! A shard with its sockets: where what the shard has for a connection meets the connection's socket.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use feeds::Clock;
use feeds::clock::monotonic;

use super::socket::{Sent, Socket};
use crate::bus::Batch;
use crate::directory::Directory;
use crate::fanout::{Connection, Shard, Subscribe, Subscribed};
use crate::limits::{HEARTBEAT_EVERY, RECONNECT_AFTER_MS};
use crate::metrics::Metrics;
use crate::topic::TopicId;
use crate::wire::code::CloseCode;
use crate::wire::json;
use crate::wire::message::{self, ReqId};
use crate::ws::frame;

/// One thread's shard and sockets. Every method is short and free of waiting, so that no borrow crosses an `.await`.
pub(super) struct Hub {
    inner: RefCell<Inner>,
    directory: Directory,
    metrics: Metrics,
}

struct Inner {
    shard: Shard,
    /// By connection.
    sockets: Vec<Option<Rc<Socket>>>,
}

impl Hub {
    pub(super) fn new(shard: Shard, directory: Directory, metrics: Metrics) -> Self {
        Self { inner: RefCell::new(Inner { shard, sockets: Vec::new() }), directory, metrics }
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn join(&self, socket: &Rc<Socket>) -> Connection {
        let mut inner = self.inner.borrow_mut();
        let connection = inner.shard.join();
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

    pub(super) fn subscribe(&self, connection: Connection, subscribe: Subscribe) -> Subscribed {
        let mut inner = self.inner.borrow_mut();
        let subscribed = inner.shard.subscribe(connection, subscribe);
        inner.flush(&self.metrics);
        subscribed
    }

    pub(super) fn is_awaiting(&self, connection: Connection) -> bool {
        self.inner.borrow().shard.is_awaiting(connection)
    }

    pub(super) fn give_up(&self, connection: Connection) {
        let mut inner = self.inner.borrow_mut();
        inner.shard.give_up(connection);
        inner.flush(&self.metrics);
    }

    pub(super) fn unsubscribe(&self, connection: Connection, topic: TopicId) -> bool {
        self.inner.borrow_mut().shard.unsubscribe(connection, topic)
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
        let mut inner = self.inner.borrow_mut();
        inner.shard.tell(connection, object);
        inner.flush(&self.metrics);
    }

    /// Delivers batches, and writes what they bring to each connection.
    pub(super) fn deliver(&self, batches: &[std::sync::Arc<Batch>]) {
        let mut inner = self.inner.borrow_mut();
        for batch in batches {
            inner.shard.deliver(batch);
        }
        inner.flush(&self.metrics);
    }

    /// Sends a heartbeat to each connection that has been silent for a second.
    pub(super) fn heartbeat(&self, clock: &Clock) {
        let now = monotonic();
        for socket in self.inner.borrow().sockets.iter().flatten() {
            if now.duration_since(socket.last_data()) < HEARTBEAT_EVERY {
                continue;
            }
            let lag_us = u64::try_from(socket.lag().as_micros()).unwrap_or(u64::MAX);
            let mut heartbeat = Vec::new();
            json::heartbeat(&mut heartbeat, clock.now(), lag_us, false);
            socket.send_heartbeat(frame::text(&[b"[", &heartbeat[..], b"]"].concat()));
        }
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
    fn flush(&mut self, metrics: &Metrics) {
        let sockets = &self.sockets;
        let mut messages = 0;
        let mut bytes = 0;
        let mut overrun = 0;
        self.shard.flush(|connection, objects| {
            let Some(socket) = &sockets[connection] else { return };
            messages += 1;
            bytes += objects.len() as u64;
            if socket.send_array(objects) == Sent::Overrun {
                overrun += 1;
            }
        });
        for connection in self.shard.take_overrun() {
            // It may be closing for that already.
            if let Some(socket) = &sockets[connection]
                && socket.close(CloseCode::TooSlow, CloseCode::TooSlow.reason())
            {
                overrun += 1;
            }
        }
        for connection in self.shard.take_completed() {
            if let Some(socket) = &sockets[connection] {
                socket.wake.notify_one();
            }
        }
        metrics.messages_out_total().add(messages);
        metrics.bytes_out_total().add(bytes);
        metrics.connections_overrun_total().add(overrun);
    }
}
