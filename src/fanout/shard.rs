//! One shard: its connections, and what they are yet to be sent.
//!
//! Owned by one thread; nothing in it is locked. A topic knows its cohorts by position, and a cohort its position in
//! each of its topics, so that following and leaving one is O(1). What is to be sent is sent in the order in which it
//! began to wait, some connections at a time: what comes meanwhile for those that still wait goes with it, in one
//! message and one write.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;
use slab::Slab;

use super::assembly::{Assembly, Overrun};
use super::cohort::{Cohort, CohortId, CohortKey, Form};
use super::compression::Compression;
use super::laggard::{Lag, in_place_of};
use super::listeners::Registry;
use super::subscribing::Awaiting;
use crate::bus::{Batch, BusHandle, Kind, TopicMessage};
use crate::directory::Directory;
use crate::limits::{
    LAGGARD_MAX, SETTLE_AFTER, SETTLE_TOPICS_PER_TURN_MAX, SHARD_PENDING_BYTES_MAX, SPARE_BYTES_MAX,
    TOPICS_PER_CONNECTION_MAX,
};
use crate::topic::TopicId;
use crate::wire::{Encoding, Framing, events};
use crate::ws::frame::{self, Opcode};

/// A connection's number within its shard.
pub type Connection = usize;

/// The connections of one thread and their topics.
pub struct Shard {
    pub(super) number: usize,
    /// Requests made of the publisher so far.
    pub(super) requests: u64,
    pub(super) bus: BusHandle,
    pub(super) directory: Directory,
    pub(super) epoch: Arc<str>,
    /// How many runs of the stream there were before this one.
    pub(super) run: u32,
    pub(super) members: Slab<Member>,
    pub(super) cohorts: Slab<Cohort>,
    /// Those that others can settle in.
    pub(super) known: FxHashMap<CohortKey, CohortId>,
    /// Lone cohorts by the time of their last change. One that has changed again since is listed again.
    pub(super) unsettled: VecDeque<(CohortId, Instant)>,
    pub(super) registry: Registry,
    pub(super) queue: Queue,
    pub(super) compression: Compression,
    pub(super) laggards: Vec<Connection>,
    pub(super) fell_behind: u64,
    /// Topics that one connection may follow.
    pub(super) topics_max: usize,
    /// Topics that were one too many.
    pub(super) too_many_subscriptions: u64,
    /// Of the cohorts, those with several members, and how many these have.
    pub(super) shared: Shared,
    /// Connections that have overrun a bound since they were last taken.
    pub(super) overrun: Vec<Connection>,
    /// Connections whose states have all come, or that are no laggards any more, since they were last taken.
    pub(super) completed: Vec<Connection>,
    /// The time, as of the last turn.
    pub(super) now: Instant,
    /// A state that this shard has missed changes before, as its clients get it.
    merged: Vec<u8>,
    /// The server-sent event that was sent last.
    pub(super) event: Vec<u8>,
}

/// Who waits to be sent something.
#[derive(Default)]
pub(super) struct Queue {
    /// Cohorts with something to send, and perhaps some that have sent it meanwhile.
    dirty: VecDeque<CohortId>,
    /// Connections with something that is for them alone.
    told: VecDeque<Connection>,
    /// Of the dirty, those that this round of sends is yet to come to.
    round: usize,
    /// What waits in all cohorts' assemblies.
    bytes: usize,
    /// Empty assemblies with memory, for whoever has something to send next.
    spare: Vec<Assembly>,
    /// How much memory.
    spare_bytes: usize,
}

/// Cohorts with several members.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shared {
    pub(super) cohorts: usize,
    pub(super) members: usize,
}

impl Shared {
    /// A cohort that had so many members has one more.
    pub(super) const fn join(&mut self, members: usize) {
        if members == 1 {
            self.cohorts += 1;
            self.members += 1;
        }
        self.members += 1;
    }

    /// A cohort that had so many members, which are several, has one less.
    pub(super) const fn leave(&mut self, members: usize) {
        if members == 2 {
            self.cohorts -= 1;
            self.members -= 1;
        }
        self.members -= 1;
    }
}

/// How a shard's connections stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Cohorts of several connections.
    pub cohorts: usize,
    /// Connections in them.
    pub cohort_connections: usize,
    /// Connections that follow something, each in a cohort of its own.
    pub lone_connections: usize,
    /// Connections that have fallen behind.
    pub laggards: usize,
    /// Times that one fell behind, ever.
    pub fell_behind: u64,
    /// Cohorts with a compressed stream.
    pub compressed_streams: usize,
    /// Key frames of all streams that there ever were.
    pub key_frames: u64,
    /// Topics that were one too many for their connection, of all that there ever were.
    pub too_many_subscriptions: u64,
}

/// A connection as its shard sees it.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) form: Form,
    /// `None`: it follows nothing yet, or is a laggard.
    pub(super) seat: Option<Seat>,
    /// JSON objects for it alone, which come after what its cohort has for it.
    pub(super) private: Vec<u8>,
    pub(super) has_subscribed: bool,
    /// The subscription whose states have not all come yet.
    pub(super) awaiting: Option<Box<Awaiting>>,
    pub(super) lag: Option<Box<Lag>>,
    pub(super) times_behind: u32,
}

/// Where a connection is in its cohort.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) cohort: CohortId,
    pub(super) position: usize,
}

/// What a connection is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// As it is on the wire: a frame, or an event.
    pub bytes: &'a [u8],
    /// Of a compressed message what it says, which nobody else can tell: its context is that of a whole cohort.
    pub inflated: Option<&'a [u8]>,
}

impl<'a> Outgoing<'a> {
    /// What is not compressed.
    #[must_use]
    pub const fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, inflated: None }
    }
}

/// How one connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// How it is sent its data.
    pub form: Form,
    /// How many topics it follows.
    pub topics: usize,
    /// Whether it has fallen behind.
    pub is_laggard: bool,
    /// How often it has fallen behind, and was sent states in place of what it missed.
    pub times_behind: u32,
}

/// What became of a message to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, or waits within bounds; or the connection is at its end, and nothing matters any more.
    Taken,
    /// It waits, and more waits than should: the connection does not keep up.
    Refused,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// WebSocket messages, one for each connection that gets it.
    pub messages: u64,
    /// Updates and states in them.
    pub updates: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everybody was come to who waited when the round of sends began.
    pub is_round_over: bool,
}

impl Shard {
    /// A shard without connections.
    #[must_use]
    pub fn new(number: usize, bus: BusHandle, directory: Directory, epoch: Arc<str>, now: Instant) -> Self {
        let topics = TopicId::count(directory.len());
        Self {
            number,
            requests: 0,
            registry: Registry::new(number, bus.clone(), topics),
            bus,
            directory,
            epoch,
            run: 0,
            members: Slab::new(),
            cohorts: Slab::new(),
            known: FxHashMap::default(),
            unsettled: VecDeque::new(),
            queue: Queue::default(),
            compression: Compression::default(),
            laggards: Vec::new(),
            fell_behind: 0,
            topics_max: TOPICS_PER_CONNECTION_MAX,
            too_many_subscriptions: 0,
            shared: Shared::default(),
            overrun: Vec::new(),
            completed: Vec::new(),
            now,
            merged: Vec::new(),
            event: Vec::new(),
        }
    }

    /// How many topics one connection may follow from now on. Those that follow more keep them.
    pub fn set_topics_max(&mut self, max: usize) {
        self.topics_max = max;
    }

    /// Adds a connection.
    pub fn join(&mut self, form: Form) -> Connection {
        self.members.insert(Member { form, ..Member::default() })
    }

    /// Forgets a connection and all that it follows.
    pub fn leave(&mut self, connection: Connection) {
        if self.members[connection].has_subscribed {
            self.bus.subscriber_left();
        }
        let member = &mut self.members[connection];
        let encoding = member.form.encoding;
        if let Some(awaiting) = member.awaiting.take() {
            for (topic, _) in awaiting.granted {
                self.registry.stop_waiting(topic, connection, encoding);
            }
        }
        self.leave_lag(connection);
        self.leave_cohort(connection);
        self.overrun.retain(|&other| other != connection);
        self.completed.retain(|&other| other != connection);
        self.members.remove(connection);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.members.len()
    }

    /// How many cohorts there are.
    #[must_use]
    pub fn cohorts(&self) -> usize {
        self.cohorts.len()
    }

    /// How its connections stand. It takes no time, however many they are.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            cohorts: self.shared.cohorts,
            cohort_connections: self.shared.members,
            lone_connections: self.cohorts.len() - self.shared.cohorts,
            laggards: self.laggards.len(),
            fell_behind: self.fell_behind,
            compressed_streams: self.compression.streams(),
            key_frames: self.compression.key_frames(),
            too_many_subscriptions: self.too_many_subscriptions,
        }
    }

    /// How one connection stands. It takes no time either.
    #[must_use]
    pub fn stand(&self, connection: Connection) -> Stand {
        let member = &self.members[connection];
        let live = member.seat.map_or(0, |seat| self.cohorts[seat.cohort].topics.len());
        let behind = member.lag.as_ref().map_or(0, |lag| lag.held.len() + lag.catching_up.len());
        Stand {
            form: member.form,
            topics: live + behind,
            is_laggard: member.lag.is_some(),
            times_behind: member.times_behind,
        }
    }

    /// The run of the stream that is being sent.
    #[must_use]
    pub const fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// Whether there is anything to flush.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.queue.dirty.is_empty() || !self.queue.told.is_empty()
    }

    /// Whether so much waits to be sent that some of it should be before more is delivered.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.queue.bytes >= SHARD_PENDING_BYTES_MAX
    }

    /// Adds a JSON object that is for one connection alone.
    pub fn tell(&mut self, connection: Connection, object: &[u8]) {
        let member = &mut self.members[connection];
        // Not before what it was told when it shared a cohort.
        if let Some(seat) = member.seat
            && self.cohorts[seat.cohort].is_lone()
            && member.private.is_empty()
        {
            self.append(seat.cohort, Opcode::Text, object, false);
            return;
        }
        if member.private.is_empty() {
            self.queue.told.push_back(connection);
        } else {
            member.private.push(b',');
        }
        member.private.extend_from_slice(object);
    }

    /// Adds each message of a batch to the cohorts that follow its topic.
    pub fn deliver(&mut self, batch: &Batch) {
        if batch.epoch != self.epoch {
            self.epoch = Arc::clone(&batch.epoch);
            self.run = self.run.wrapping_add(1);
            self.forget_what_laggards_hold();
        }
        for message in &batch.messages {
            let listeners = self.registry.of(message.topic);
            match message.kind {
                // Those who did not ask hold it already, or are sent the updates that lead to it.
                Kind::Requested | Kind::Resumed { .. } => listeners.answer(message, self.run),
                Kind::Update | Kind::Snapshot | Kind::Gap => {
                    let held = listeners.state;
                    // Of another run, what they hold is void, and nothing is continued.
                    let is_in_place = message.kind == Kind::Snapshot && held.run == self.run;
                    let missed = if is_in_place { message.merged } else { 0 };
                    listeners.advance(message, self.run);
                    for &id in &listeners.live {
                        let cohort = &mut self.cohorts[id];
                        let (opcode, mut data) = data_of(batch, message, cohort.form.encoding);
                        if missed > 0 && !data.is_empty() {
                            in_place_of(&mut self.merged, opcode, data, message.topic, held.seq, missed);
                            data = &self.merged;
                        }
                        if self.queue.push(cohort, id, |out| out.append_data(opcode, data)).is_err() {
                            self.overrun.extend(&cohort.members);
                        }
                    }
                }
            }
            if message.kind != Kind::Update && !self.registry.of(message.topic).waiting.is_empty() {
                self.admit(batch, message);
            }
        }
    }

    /// Sends what there is to at least one and some `sends` connections, who has waited longest first; says what that
    /// was. It ends with the round: who has something to send again by then waits for the next.
    pub fn flush(
        &mut self,
        now: Instant,
        sends: u64,
        mut send: impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) -> Flushed {
        self.now = now;
        let mut flushed = Flushed::default();
        if self.queue.round == 0 {
            self.queue.round = self.queue.dirty.len();
        }
        // In turn, so that neither those who ask all the time nor a market that never rests keeps the others waiting.
        while flushed.messages < sends {
            let told = self.queue.told.pop_front();
            // It may have been sent with something else, or have left.
            if let Some(connection) = told
                && self.members.contains(connection)
            {
                self.flush_connection(connection, &mut flushed, &mut send);
            }
            if self.queue.round > 0
                && let Some(cohort) = self.queue.dirty.pop_front()
            {
                self.queue.round -= 1;
                if self.cohorts.contains(cohort) {
                    self.flush_cohort(cohort, &mut flushed, &mut send);
                }
            } else if told.is_none() {
                break;
            }
        }
        flushed.is_round_over = self.queue.round == 0;
        flushed
    }

    /// Whether something for a connection waits to be flushed.
    #[must_use]
    pub fn has_pending(&self, connection: Connection) -> bool {
        let member = &self.members[connection];
        !member.private.is_empty() || member.seat.is_some_and(|seat| self.cohorts[seat.cohort].is_dirty)
    }

    /// Sends all that there is for one connection, and with it for its cohort.
    pub fn flush_one(
        &mut self,
        now: Instant,
        connection: Connection,
        mut send: impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) -> Flushed {
        self.now = now;
        let mut flushed = Flushed::default();
        self.flush_connection(connection, &mut flushed, &mut send);
        flushed
    }

    /// Lets cohorts settle that have not changed for a while, and laggards go that have waited for too long.
    pub fn tick(&mut self, now: Instant, mut send: impl FnMut(Connection, Outgoing<'_>) -> Sent) -> Flushed {
        self.now = now;
        let mut flushed = Flushed::default();
        let mut topics = 0;
        while let Some(&(cohort, changed)) = self.unsettled.front()
            && now.duration_since(changed) >= SETTLE_AFTER
            && topics < SETTLE_TOPICS_PER_TURN_MAX
        {
            self.unsettled.pop_front();
            // One that has changed again since takes nothing but this: else these could come faster than they go.
            if self.cohorts.get(cohort).is_some_and(|cohort| cohort.is_unchanged_since(changed)) {
                topics += 1 + self.cohorts[cohort].topics.len();
                self.settle(cohort, &mut flushed, &mut send);
            }
        }
        for &connection in &self.laggards {
            if let Some(lag) = &self.members[connection].lag
                && now.duration_since(lag.since) >= LAGGARD_MAX
            {
                self.overrun.push(connection);
            }
        }
        flushed
    }

    /// Takes the connections that wait for nothing any more: states have come, or they are no laggards any more.
    pub fn take_completed(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.completed)
    }

    /// Takes the connections for which more came together than may wait, or which waited for longer than they may:
    /// they are to be closed.
    pub fn take_overrun(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.overrun)
    }

    pub(super) fn append(&mut self, id: CohortId, opcode: Opcode, data: &[u8], is_data: bool) {
        let cohort = &mut self.cohorts[id];
        let result = self.queue.push(cohort, id, |out| {
            if is_data { out.append_data(opcode, data) } else { out.append(opcode, data) }
        });
        if result.is_err() {
            self.overrun.extend(&cohort.members);
        }
    }

    /// A private message comes after what its connection's cohort has for it: else it could speak of what has not come.
    fn flush_connection(
        &mut self,
        connection: Connection,
        flushed: &mut Flushed,
        send: &mut impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) {
        if let Some(seat) = self.members[connection].seat {
            self.flush_cohort(seat.cohort, flushed, send);
        }
        let objects = std::mem::take(&mut self.members[connection].private);
        if objects.is_empty() {
            return;
        }
        let frame = framed(self.members[connection].form.framing, &objects);
        flushed.messages += 1;
        flushed.bytes += frame.len() as u64;
        if send(connection, Outgoing::plain(&frame)) == Sent::Refused {
            self.fall_behind(connection);
        }
    }

    pub(super) fn flush_cohort(
        &mut self,
        id: CohortId,
        flushed: &mut Flushed,
        send: &mut impl FnMut(Connection, Outgoing<'_>) -> Sent,
    ) {
        let cohort = &mut self.cohorts[id];
        // Nothing goes out before the acknowledgement does. It is listed again then.
        if !cohort.is_dirty || (cohort.is_lone() && self.members[cohort.members[0]].awaiting.is_some()) {
            return;
        }
        cohort.is_dirty = false;
        let mut out = std::mem::take(&mut cohort.out);
        self.queue.bytes -= out.bytes();
        if cohort.form.framing == Framing::Events {
            return self.send_event(id, out, flushed, send);
        }
        let members = cohort.members.len() as u64;
        flushed.updates += out.updates() * members;
        // Mostly nobody: then it takes no memory.
        let mut refused = Vec::new();
        let now = self.now;
        let compression = &mut self.compression;
        out.drain(|message| {
            flushed.messages += members;
            compression.frames(cohort, &message, now, |members, frame| {
                flushed.bytes += (frame.bytes.len() * members.len()) as u64;
                for &connection in members {
                    if send(connection, frame) == Sent::Refused {
                        refused.push(connection);
                    }
                }
            });
        });
        self.queue.recycle(out);
        for connection in refused {
            self.fall_behind(connection);
        }
    }
}

impl Queue {
    /// Adds to what a cohort is to send.
    pub(super) fn push(
        &mut self,
        cohort: &mut Cohort,
        id: CohortId,
        append: impl FnOnce(&mut Assembly) -> Result<(), Overrun>,
    ) -> Result<(), Overrun> {
        if !cohort.is_dirty {
            cohort.is_dirty = true;
            self.dirty.push_back(id);
            if cohort.out.capacity() == 0 {
                cohort.out = self.spare.pop().unwrap_or_default();
                self.spare_bytes -= cohort.out.capacity();
            }
        }
        let before = cohort.out.bytes();
        let result = append(&mut cohort.out);
        self.bytes += cohort.out.bytes() - before;
        result
    }

    /// Puts a JSON object before all that a cohort is to send, and lists it: it may have been passed over.
    pub(super) fn push_first(&mut self, cohort: &mut Cohort, id: CohortId, object: &[u8]) {
        let before = cohort.out.bytes();
        cohort.out.prepend(object);
        self.bytes += cohort.out.bytes() - before;
        cohort.is_dirty = true;
        self.dirty.push_back(id);
    }

    /// What a cohort was to send is not sent any more.
    pub(super) fn drop_assembly(&mut self, out: Assembly) {
        self.bytes -= out.bytes();
        self.recycle(out);
    }

    pub(super) fn recycle(&mut self, mut out: Assembly) {
        let capacity = out.capacity();
        if capacity > 0 && self.spare_bytes + capacity <= SPARE_BYTES_MAX {
            out.clear();
            self.spare_bytes += capacity;
            self.spare.push(out);
        }
    }
}

/// JSON objects, with commas between them, as a message.
fn framed(framing: Framing, objects: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Frames => frame::text(&[b"[", objects, b"]"].concat()),
        Framing::Events => {
            let mut event = Vec::with_capacity(objects.len() + 16);
            events::data(&mut event, objects);
            event
        }
    }
}

/// A message as a client of that encoding gets it.
pub(super) fn data_of<'a>(
    batch: &'a Batch,
    message: &TopicMessage,
    encoding: Encoding,
) -> (Opcode, &'a [u8]) {
    let opcode = match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Binary => Opcode::Binary,
    };
    (opcode, batch.encoded(message, encoding))
}
