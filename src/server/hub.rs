//! A shard with its sockets: where what the shard has for a connection meets the connection's socket.

mod administered;
mod slow;

use std::cell::{Cell, RefCell, RefMut};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feeds::Clock;
use feeds::clock::monotonic;
use tokio::sync::Notify;

use super::admission::{Admission, Settings};
use super::auth::{self, Auth, Due, Identity, Lease};
use super::reading::ReadRoom;
use super::socket::{Silence, Socket};
use crate::bus::Batch;
use crate::directory::Directory;
use crate::fanout::{Connection, Flushed, Form, Outgoing, Sent, Shard, Standing, Subscribe, Subscribed};
use crate::limits::{FLUSH_SENDS_MAX, HEARTBEAT_EVERY, RECONNECT_AFTER_MS, SILENCE_STEP_MAX};
use crate::metrics::{AuthRefusal, Metrics, Refused, Stage};
use crate::topic::TopicId;
use crate::wire::code::{CloseCode, Return};
use crate::wire::json;
use crate::wire::message::{self, ReqId};

/// One thread's shard and sockets. Every method is short and free of waiting, so that no borrow crosses an `.await`.
pub(super) struct Hub {
    inner: RefCell<Inner>,
    read_room: RefCell<ReadRoom>,
    auth: Auth,
    directory: Directory,
    admission: Admission,
    metrics: Metrics,
    /// Since when, and for how long, connections are being closed one after the other.
    draining: Cell<Option<Drain>>,
    last_tick: Cell<Instant>,
    /// Chooses moments for connections that they cannot foresee.
    lot: RandomState,
    /// Wakes the worker: a session has made something that is to be flushed.
    pub(super) dirtied: Notify,
}

#[derive(Clone, Copy)]
struct Drain {
    began: Instant,
    over: Duration,
}

struct Inner {
    shard: Shard,
    /// By connection.
    sockets: Vec<Option<Rc<Socket>>>,
    /// By connection, where anybody is asked who it is.
    leases: Vec<Option<Lease>>,
    /// As it was last counted.
    standing: Standing,
    /// When the log last named laggards.
    named_at: Instant,
    metrics: Metrics,
}

impl Hub {
    pub(super) fn new(
        mut shard: Shard,
        directory: Directory,
        admission: Admission,
        metrics: Metrics,
        auth: Auth,
    ) -> Self {
        // The first clients may come before the first tick.
        shard.set_topics_max(admission.settings().subscriptions_max);
        let inner = Inner {
            shard,
            sockets: Vec::new(),
            leases: Vec::new(),
            standing: Standing::default(),
            named_at: monotonic(),
            metrics: metrics.clone(),
        };
        Self {
            inner: RefCell::new(inner),
            read_room: RefCell::new(ReadRoom::new()),
            auth,
            directory,
            admission,
            metrics,
            draining: Cell::new(None),
            last_tick: Cell::new(monotonic()),
            lot: RandomState::new(),
            dirtied: Notify::new(),
        }
    }

    pub(super) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) const fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub(super) fn read_room(&self) -> RefMut<'_, ReadRoom> {
        self.read_room.borrow_mut()
    }

    pub(super) const fn auth(&self) -> &Auth {
        &self.auth
    }

    /// What a connection of that identity may stand on; `None` where nobody is asked who it is.
    ///
    /// # Errors
    /// [`AuthRefusal::Connections`], counted.
    pub(super) fn lease(&self, identity: Option<Arc<Identity>>) -> Result<Option<Lease>, AuthRefusal> {
        Lease::grant(&self.auth, &self.metrics, identity)
    }

    pub(super) fn join(&self, socket: &Rc<Socket>, form: Form, lease: Option<Lease>) -> Connection {
        let mut inner = self.inner.borrow_mut();
        let connection = inner.shard.join(form);
        if inner.sockets.len() <= connection {
            inner.sockets.resize(connection + 1, None);
        }
        inner.sockets[connection] = Some(Rc::clone(socket));
        if self.auth.is_on() {
            let len = inner.sockets.len();
            inner.leases.resize_with(len, || None);
            inner.leases[connection] = lease;
        }
        self.metrics.connections().add(1);
        self.metrics.connections_total().add(1);
        connection
    }

    pub(super) fn leave(&self, connection: Connection) {
        let mut inner = self.inner.borrow_mut();
        inner.shard.leave(connection);
        inner.sockets[connection] = None;
        if let Some(lease) = inner.leases.get_mut(connection) {
            *lease = None;
        }
        self.metrics.connections().add(-1);
    }

    /// Whether the client may ask for more than to be let in.
    pub(super) fn is_let_in(&self, connection: Connection) -> bool {
        self.inner.borrow().lease(connection).is_none_or(|lease| lease.identity().is_some())
    }

    /// Takes up what the client has presented.
    ///
    /// # Errors
    /// It is another's than before.
    pub(super) fn renew(&self, connection: Connection, identity: Arc<Identity>) -> Result<(), AuthRefusal> {
        let mut inner = self.inner.borrow_mut();
        match inner.leases.get_mut(connection) {
            Some(Some(lease)) => lease.renew(&self.auth, identity),
            Some(None) | None => Ok(()),
        }
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

    /// All that a connection follows.
    pub(super) fn followed_topics(&self, connection: Connection) -> Vec<TopicId> {
        let mut topics: Vec<_> =
            self.inner.borrow().shard.subscriptions(connection).map(|(topic, _)| topic).collect();
        topics.sort_unstable();
        topics
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

    /// Closes a connection whose client may come back after that time, behind what it was answered.
    pub(super) fn close_for_a_while(&self, connection: Connection, code: CloseCode, retry_after_ms: u64) {
        let mut inner = self.inner.borrow_mut();
        inner.flush_one(connection);
        if let Some(socket) = &inner.sockets[connection] {
            close_with_retry(socket, code, retry_after_ms);
        }
    }

    /// Adds what a batch brings to what each connection is to be sent.
    pub(super) fn deliver(&self, batch: &Batch) {
        self.metrics.stage_seconds().note(Stage::Wait, monotonic().duration_since(batch.made));
        self.inner.borrow_mut().shard.deliver(batch);
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

    /// What is to be done now and then: cohorts settle, laggards catch up or are given up, each connection that has been
    /// silent for a second gets a heartbeat, and those that are to end do.
    pub(super) fn tick(&self, clock: &Clock) {
        let now = monotonic();
        let passed = now.duration_since(self.last_tick.replace(now)).min(SILENCE_STEP_MAX);
        let settings = self.admission.settings();
        let mut inner = self.inner.borrow_mut();
        let Inner { shard, sockets, .. } = &mut *inner;
        shard.set_topics_max(settings.subscriptions_max);
        let flushed = shard.tick(now, send_to(sockets, now));
        // The publisher may have been too busy when their sockets drained.
        for connection in shard.laggards().to_vec() {
            if sockets[connection].as_ref().is_some_and(|socket| !socket.has_waiting()) {
                shard.drained(connection);
            }
        }
        inner.conclude(flushed);
        inner.count_standing();
        inner.name_slow(now);
        inner.look_at_leases(&self.auth, now, clock);
        inner.send_heartbeats(now, clock);
        for (connection, socket) in inner.connected() {
            self.look_after(connection, socket, passed, now, &settings);
        }
        drop(inner);
        self.dirtied.notify_one();
    }

    /// Ends a connection whose time has come, or whose client is gone.
    fn look_after(
        &self,
        connection: Connection,
        socket: &Socket,
        passed: Duration,
        now: Instant,
        settings: &Settings,
    ) {
        if let Some(code) = socket.ending() {
            self.send_away(connection, socket, code);
        } else if self.draining.get().is_some_and(|drain| now >= self.moment(connection, drain)) {
            self.say_goodbye(connection, socket);
        }
        match socket.grow_silent(passed, settings.ping_interval, settings.ping_timeout) {
            Silence::Short => {}
            Silence::Ask => socket.send_ping(now),
            Silence::Gone => {
                if socket.cut() {
                    self.metrics.refusals_total().of(Refused::Idle).add(1);
                }
            }
        }
    }

    fn send_away(&self, connection: Connection, socket: &Socket, code: CloseCode) {
        let has_begun = match code.come_back() {
            Return::Yes => close_with_retry(socket, code, self.come_back_after_ms(connection)),
            Return::WithNewToken | Return::No => socket.close(code, code.reason()),
        };
        if has_begun && code == CloseCode::TryAgainLater {
            self.metrics.refusals_total().of(Refused::Shed).add(1);
        }
    }

    /// Begins to close the connections, each at a moment of its own within that time.
    pub(super) fn begin_to_drain(&self, over: Duration) {
        self.draining.set(Some(Drain { began: monotonic(), over }));
    }

    fn moment(&self, connection: Connection, drain: Drain) -> Instant {
        let over_ms = u64::try_from(drain.over.as_millis()).unwrap_or(u64::MAX).max(1);
        drain.began + Duration::from_millis(self.lot.hash_one(("moment", connection)) % over_ms)
    }

    /// When a client is to come back, which is told it anyway.
    pub(super) fn come_back_after_ms(&self, connection: Connection) -> u64 {
        let (first, end) = RECONNECT_AFTER_MS;
        first + self.lot.hash_one(connection) % (end - first)
    }

    /// Begins to close every connection, telling each client when to come back.
    pub(super) fn close_all(&self) {
        for (connection, socket) in self.inner.borrow().connected() {
            self.say_goodbye(connection, socket);
        }
    }

    fn say_goodbye(&self, connection: Connection, socket: &Socket) {
        let mut shutdown = Vec::new();
        let after_ms = self.come_back_after_ms(connection);
        message::system_shutdown(&mut shutdown, after_ms);
        socket.close_behind(&shutdown, CloseCode::Restart, after_ms);
    }
}

/// Closes a connection whose client may come back after that time; says whether that has begun now.
pub(super) fn close_with_retry(socket: &Socket, code: CloseCode, retry_after_ms: u64) -> bool {
    let mut object = Vec::new();
    message::system_closing(&mut object, code, retry_after_ms);
    socket.close_behind(&object, code, retry_after_ms)
}

impl Inner {
    fn connected(&self) -> impl Iterator<Item = (Connection, &Rc<Socket>)> {
        let by_connection = self.sockets.iter().enumerate();
        by_connection.filter_map(|(connection, socket)| Some((connection, socket.as_ref()?)))
    }

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
                self.metrics.refusals_total().of(Refused::Overrun).add(1);
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

    /// Counts how the shard's connections stand, beside those of the other shards.
    fn count_standing(&mut self) {
        let now = self.shard.standing();
        let before = std::mem::replace(&mut self.standing, now);
        let metrics = &self.metrics;
        metrics.cohorts().shift(before.cohorts, now.cohorts);
        metrics.cohort_connections().shift(before.cohort_connections, now.cohort_connections);
        metrics.lone_connections().shift(before.lone_connections, now.lone_connections);
        metrics.laggards().shift(before.laggards, now.laggards);
        metrics.laggards_total().add(now.fell_behind - before.fell_behind);
        metrics.compressed_streams().shift(before.compressed_streams, now.compressed_streams);
        metrics.key_frames_total().add(now.key_frames - before.key_frames);
        let too_many = now.too_many_subscriptions - before.too_many_subscriptions;
        metrics.refusals_total().of(Refused::TooManySubscriptions).add(too_many);
    }

    fn lease(&self, connection: Connection) -> Option<&Lease> {
        self.leases.get(connection)?.as_ref()
    }

    /// Tells those whose token is over soon, and closes those that are not let in any longer.
    fn look_at_leases(&mut self, auth: &Auth, now: Instant, clock: &Clock) {
        let time = clock.now();
        for (connection, lease) in self.leases.iter_mut().enumerate() {
            let Some(lease) = lease else { continue };
            match lease.due(auth, now, time) {
                Due::Nothing => {}
                Due::Notice(expires) => {
                    let mut notice = Vec::new();
                    message::system_token_expiring(&mut notice, expires);
                    self.shard.tell(connection, &notice);
                }
                Due::Entitle(entitlement) => {
                    if let Some(socket) = &self.sockets[connection] {
                        socket.entitle(entitlement);
                    }
                }
                Due::End(refusal) => {
                    let code = auth::close_code(refusal);
                    // It may be closing already.
                    if let Some(socket) = &self.sockets[connection]
                        && socket.close(code, code.reason())
                    {
                        self.metrics.auth_refused_total().of(refusal).add(1);
                    }
                }
            }
        }
    }

    fn send_heartbeats(&self, now: Instant, clock: &Clock) {
        for (connection, socket) in self.connected() {
            if now.duration_since(socket.last_data()) < HEARTBEAT_EVERY {
                continue;
            }
            let lag_us = u64::try_from(socket.lag(now).as_micros()).unwrap_or(u64::MAX);
            let mut heartbeat = Vec::new();
            json::heartbeat(&mut heartbeat, clock.now(), lag_us, self.shard.is_laggard(connection));
            socket.send_heartbeat(&heartbeat, now);
        }
    }
}

fn send_to(sockets: &[Option<Rc<Socket>>], now: Instant) -> impl FnMut(Connection, Outgoing<'_>) -> Sent {
    move |connection, outgoing| match &sockets[connection] {
        Some(socket) => socket.send(outgoing, now),
        None => Sent::Taken,
    }
}
