//! One shard: which of its connections follow which topics, and what they are yet to be sent.
//!
//! Owned by one thread; nothing in it is locked. Joining and leaving a topic is O(1): a topic knows its listeners by
//! position, and a connection knows its position in each of its topics.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use slab::Slab;

use crate::bus::{Batch, BusHandle, Kind, Request, RequestError, TopicMessage, Wanted};
use crate::directory::Directory;
use crate::limits::{MESSAGE_OUT_BYTES_MAX, OUTBOX_BYTES_MAX, PENDING_BYTES_KEPT, TOPICS_PER_CONNECTION_MAX};
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::Encoding;
use crate::wire::code::ErrorCode;
use crate::wire::message::{self, Acknowledged, Granted, ReqId};

/// A connection's number within its shard.
pub type Connection = usize;

/// The connections of one thread and their topics.
pub struct Shard {
    number: usize,
    /// Requests made of the publisher so far.
    requests: u64,
    bus: BusHandle,
    directory: Directory,
    epoch: Arc<str>,
    connections: Slab<Member>,
    topics: Vec<Listeners>,
    /// Connections with something to send, each once.
    dirty: Vec<Connection>,
    /// Connections that have overrun their bound since they were last taken.
    overrun: Vec<Connection>,
    /// Connections whose states have all come since they were last taken.
    completed: Vec<Connection>,
}

/// Who follows a topic.
#[derive(Default)]
struct Listeners {
    /// The number of the state that they have.
    seq: u64,
    /// Get every update.
    live: Vec<Connection>,
    /// Get the state that answers their request, and every update after it.
    waiting: Vec<Waiter>,
}

#[derive(Clone, Copy)]
struct Waiter {
    connection: Connection,
    ticket: u64,
}

/// A connection as its shard sees it.
#[derive(Default)]
struct Member {
    subscriptions: FxHashMap<TopicId, Subscription>,
    /// JSON objects to send, comma-separated within a message.
    pending: Vec<u8>,
    /// Where messages end within `pending`, but for the last.
    cuts: Vec<usize>,
    is_dirty: bool,
    has_subscribed: bool,
    /// The subscription whose states have not all come yet. Nothing is sent until they have, so that the
    /// acknowledgement can name the number of each.
    ///
    /// Boxed: it is rare, and a delivery passes by a thousand members.
    awaiting: Option<Box<Awaiting>>,
}

#[derive(Clone, Copy)]
enum Subscription {
    /// Waits for the topic's state.
    Waiting,
    /// Gets updates, as number `position` of the topic's listeners.
    Live { position: usize },
}

struct Awaiting {
    req_id: Option<ReqId>,
    channel: Channel,
    snapshot: bool,
    /// In the order of the request; `None` until the state has come.
    granted: Vec<(TopicId, Option<u64>)>,
    index: FxHashMap<TopicId, usize>,
    rejected: Vec<(String, ErrorCode)>,
    has_more: bool,
    missing: usize,
}

/// A request to subscribe.
#[derive(Debug)]
pub struct Subscribe {
    /// The client's number of it.
    pub req_id: Option<ReqId>,
    /// What all the topics are of.
    pub channel: Channel,
    /// Whether the topics' states are to be sent.
    pub snapshot: bool,
    /// What to follow.
    pub topics: Vec<TopicId>,
    /// Symbols that are no topics, for the acknowledgement.
    pub rejected: Vec<(String, ErrorCode)>,
    /// Whether this is a part of the client's request, and another follows.
    pub has_more: bool,
}

impl Subscribe {
    /// To follow topics of a channel from their states on.
    #[must_use]
    pub const fn new(channel: Channel, topics: Vec<TopicId>) -> Self {
        Self { req_id: None, channel, snapshot: true, topics, rejected: Vec::new(), has_more: false }
    }
}

/// What became of a request to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The acknowledgement stands ready to be flushed.
    Acknowledged,
    /// States have been requested; the acknowledgement follows them. Until [`Shard::is_awaiting`] says no, the
    /// connection must not subscribe again.
    Awaiting,
    /// The publisher cannot take the request now: nothing was subscribed.
    Refused(ErrorCode),
}

impl Shard {
    /// A shard without connections.
    #[must_use]
    pub fn new(number: usize, bus: BusHandle, directory: Directory, epoch: Arc<str>) -> Self {
        let topics = (0..TopicId::count(directory.len())).map(|_| Listeners::default()).collect();
        Self {
            number,
            requests: 0,
            bus,
            directory,
            epoch,
            connections: Slab::new(),
            topics,
            dirty: Vec::new(),
            overrun: Vec::new(),
            completed: Vec::new(),
        }
    }

    /// Adds a connection.
    pub fn join(&mut self) -> Connection {
        self.connections.insert(Member::default())
    }

    /// Forgets a connection and all that it follows.
    pub fn leave(&mut self, connection: Connection) {
        let member = &mut self.connections[connection];
        if member.has_subscribed {
            self.bus.subscriber_left();
        }
        let subscriptions = std::mem::take(&mut member.subscriptions);
        // A topic that is followed and asked for again has the connection in both of its lists.
        let asked = member.awaiting.take().map(|awaiting| awaiting.granted).unwrap_or_default();
        for (topic, _) in asked {
            self.topics[topic.index()].waiting.retain(|waiter| waiter.connection != connection);
        }
        for (topic, subscription) in subscriptions {
            self.drop_listener(connection, topic, subscription);
        }
        if self.connections[connection].is_dirty {
            self.dirty.retain(|&other| other != connection);
        }
        self.overrun.retain(|&other| other != connection);
        self.completed.retain(|&other| other != connection);
        self.connections.remove(connection);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// The run of the stream that is being sent.
    #[must_use]
    pub const fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// Follows topics of one channel for a connection; those it follows already are granted again, with their state.
    pub fn subscribe(&mut self, connection: Connection, subscribe: Subscribe) -> Subscribed {
        let Subscribe { req_id, channel, snapshot, topics, mut rejected, has_more } = subscribe;
        let member = &self.connections[connection];
        debug_assert!(member.awaiting.is_none(), "one subscription at a time");
        let mut room = TOPICS_PER_CONNECTION_MAX.saturating_sub(member.subscriptions.len());
        let mut awaiting = Awaiting {
            req_id,
            channel,
            snapshot,
            granted: Vec::with_capacity(topics.len()),
            index: FxHashMap::default(),
            rejected: Vec::new(),
            has_more,
            missing: 0,
        };
        for topic in topics {
            if awaiting.index.contains_key(&topic) {
                continue;
            }
            if !member.subscriptions.contains_key(&topic) {
                if room == 0 {
                    let symbol = self.directory.get(topic.symbol()).symbol.as_str().to_owned();
                    rejected.push((symbol, ErrorCode::TooManySubscriptions));
                    continue;
                }
                room -= 1;
            }
            // Who follows a topic and wants no state goes on from where it is: updates that come while other states
            // are awaited follow the acknowledgement.
            let held = match member.subscriptions.get(&topic) {
                Some(Subscription::Live { .. }) if !snapshot => Some(self.topics[topic.index()].seq),
                _ => None,
            };
            awaiting.index.insert(topic, awaiting.granted.len());
            awaiting.granted.push((topic, held));
            awaiting.missing += usize::from(held.is_none());
        }
        awaiting.rejected = rejected;
        if awaiting.missing == 0 {
            self.acknowledge(connection, &awaiting);
            return Subscribed::Acknowledged;
        }

        // Interest comes before the request, so that no update after the state is missed.
        let missing = awaiting.granted.iter().filter(|(_, seq)| seq.is_none());
        let wanted: Vec<TopicId> = missing.map(|&(topic, _)| topic).collect();
        for &topic in &wanted {
            self.bus.interest().set(topic, Encoding::Json, self.number, true);
        }
        let ticket = self.requests + 1;
        let topics = wanted.iter().map(|&topic| Wanted { topic, held: None }).collect();
        let epoch = Arc::clone(&self.epoch);
        let request = Request::States { shard: self.number, ticket, epoch, topics };
        if let Err(error) = self.bus.request(request) {
            for topic in wanted {
                self.update_interest(topic);
            }
            return Subscribed::Refused(match error {
                RequestError::Busy => ErrorCode::Busy,
                RequestError::Stopped => ErrorCode::Internal,
            });
        }
        self.requests = ticket;
        let member = &mut self.connections[connection];
        for topic in wanted {
            member.subscriptions.entry(topic).or_insert(Subscription::Waiting);
            self.topics[topic.index()].waiting.push(Waiter { connection, ticket });
        }
        member.awaiting = Some(Box::new(awaiting));
        if !std::mem::replace(&mut member.has_subscribed, true) {
            self.bus.subscriber_joined();
        }
        Subscribed::Awaiting
    }

    /// Whether the connection's last request to subscribe still waits for states.
    #[must_use]
    pub fn is_awaiting(&self, connection: Connection) -> bool {
        self.connections[connection].awaiting.is_some()
    }

    /// Gives up a request to subscribe whose states do not come: what has not come is not followed.
    pub fn give_up(&mut self, connection: Connection) {
        let Some(mut awaiting) = self.connections[connection].awaiting.take() else { return };
        let lost = awaiting.granted.extract_if(.., |(_, seq)| seq.is_none()).map(|(topic, _)| topic);
        for topic in lost.collect::<Vec<_>>() {
            self.unsubscribe(connection, topic);
            self.topics[topic.index()].waiting.retain(|waiter| waiter.connection != connection);
            let symbol = self.directory.get(topic.symbol()).symbol.as_str().to_owned();
            awaiting.rejected.push((symbol, ErrorCode::Internal));
        }
        self.acknowledge(connection, &awaiting);
    }

    /// Stops following a topic; `false`: it was not followed.
    pub fn unsubscribe(&mut self, connection: Connection, topic: TopicId) -> bool {
        let Some(subscription) = self.connections[connection].subscriptions.remove(&topic) else {
            return false;
        };
        self.drop_listener(connection, topic, subscription);
        true
    }

    /// What a connection follows, in no particular order, with the number of the state it has of each.
    pub fn subscriptions(&self, connection: Connection) -> impl Iterator<Item = (TopicId, u64)> {
        let topics = self.connections[connection].subscriptions.keys();
        topics.map(|&topic| (topic, self.topics[topic.index()].seq))
    }

    /// Adds a JSON object that is for one connection alone.
    pub fn tell(&mut self, connection: Connection, object: &[u8]) {
        append(connection, &mut self.connections[connection], object, &mut self.dirty, &mut self.overrun);
    }

    /// Adds each message of a batch to the connections that follow its topic.
    pub fn deliver(&mut self, batch: &Batch) {
        if batch.epoch != self.epoch {
            self.epoch = Arc::clone(&batch.epoch);
        }
        for message in &batch.messages {
            let object = batch.encoded(message, Encoding::Json);
            let listeners = &mut self.topics[message.topic.index()];
            listeners.seq = message.seq;
            if message.kind != Kind::Requested {
                for &connection in &listeners.live {
                    append(
                        connection,
                        &mut self.connections[connection],
                        object,
                        &mut self.dirty,
                        &mut self.overrun,
                    );
                }
            }
            if matches!(message.kind, Kind::Requested | Kind::Snapshot) && !listeners.waiting.is_empty() {
                let answered = batch.answered.get(self.number).copied().unwrap_or(0);
                self.admit(message, answered, object);
            }
        }
    }

    /// Hands out what each connection is to get, one call a WebSocket message: the payload without the brackets of
    /// its JSON array.
    pub fn flush(&mut self, mut send: impl FnMut(Connection, &[u8])) {
        self.dirty.retain(|&connection| {
            let member = &mut self.connections[connection];
            if member.awaiting.is_some() {
                return true;
            }
            member.is_dirty = false;
            if member.cuts.is_empty() {
                send(connection, &member.pending);
            } else {
                for range in messages(&member.cuts, member.pending.len()) {
                    send(connection, &member.pending[range]);
                }
                member.cuts.clear();
            }
            member.pending.clear();
            member.pending.shrink_to(PENDING_BYTES_KEPT);
            false
        });
    }

    /// Takes the connections whose subscriptions wait for nothing any more.
    pub fn take_completed(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.completed)
    }

    /// Takes the connections that let more than [`OUTBOX_BYTES_MAX`] come together: they are to be closed.
    pub fn take_overrun(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.overrun)
    }

    /// The state of a topic has come: those whose request it answers get it, and are live from here on.
    fn admit(&mut self, message: &TopicMessage, answered: u64, object: &[u8]) {
        let &TopicMessage { topic, kind, seq, .. } = message;
        let listeners = &mut self.topics[topic.index()];
        for Waiter { connection, .. } in listeners.waiting.extract_if(.., |waiter| waiter.ticket <= answered)
        {
            let member = &mut self.connections[connection];
            let Some(subscription) = member.subscriptions.get_mut(&topic) else { continue };
            let was_live = matches!(subscription, Subscription::Live { .. });
            if !was_live {
                *subscription = Subscription::Live { position: listeners.live.len() };
                listeners.live.push(connection);
            }
            let Some(awaiting) = &mut member.awaiting else { continue };
            if let Some(&index) = awaiting.index.get(&topic)
                && awaiting.granted[index].1.replace(seq).is_none()
            {
                awaiting.missing -= 1;
            }
            let is_complete = awaiting.missing == 0;
            // A live listener has had a state that is for everybody already.
            if awaiting.snapshot && !(was_live && kind == Kind::Snapshot) {
                append(connection, member, object, &mut self.dirty, &mut self.overrun);
            }
            if is_complete && let Some(awaiting) = member.awaiting.take() {
                self.completed.push(connection);
                let ack = acknowledgement(&self.directory, &self.epoch, &awaiting);
                prepend(member, &ack);
                mark_dirty(connection, member, &mut self.dirty);
            }
        }
    }

    fn acknowledge(&mut self, connection: Connection, awaiting: &Awaiting) {
        let ack = acknowledgement(&self.directory, &self.epoch, awaiting);
        let member = &mut self.connections[connection];
        prepend(member, &ack);
        mark_dirty(connection, member, &mut self.dirty);
    }

    fn drop_listener(&mut self, connection: Connection, topic: TopicId, subscription: Subscription) {
        let listeners = &mut self.topics[topic.index()];
        match subscription {
            Subscription::Waiting => listeners.waiting.retain(|waiter| waiter.connection != connection),
            Subscription::Live { position } => {
                listeners.live.swap_remove(position);
                if let Some(&moved) = listeners.live.get(position)
                    && let Some(subscription) = self.connections[moved].subscriptions.get_mut(&topic)
                {
                    *subscription = Subscription::Live { position };
                }
            }
        }
        self.update_interest(topic);
    }

    fn update_interest(&self, topic: TopicId) {
        let listeners = &self.topics[topic.index()];
        if listeners.live.is_empty() && listeners.waiting.is_empty() {
            self.bus.interest().set(topic, Encoding::Json, self.number, false);
        }
    }
}

/// Adds an object to the last message of a connection, or begins another where that is full.
fn append(
    connection: Connection,
    member: &mut Member,
    object: &[u8],
    dirty: &mut Vec<Connection>,
    overrun: &mut Vec<Connection>,
) {
    if member.pending.len() + object.len() > OUTBOX_BYTES_MAX {
        if overrun.last() != Some(&connection) {
            overrun.push(connection);
        }
        return;
    }
    let start = member.cuts.last().copied().unwrap_or(0);
    if member.pending.len() > start {
        if member.pending.len() - start + object.len() > MESSAGE_OUT_BYTES_MAX {
            member.cuts.push(member.pending.len());
        } else {
            member.pending.push(b',');
        }
    }
    member.pending.extend_from_slice(object);
    mark_dirty(connection, member, dirty);
}

/// Puts an object before all that a connection is to get, as a message of its own.
fn prepend(member: &mut Member, object: &[u8]) {
    let has_more = !member.pending.is_empty();
    member.pending.splice(0..0, object.iter().copied());
    for cut in &mut member.cuts {
        *cut += object.len();
    }
    if has_more {
        member.cuts.insert(0, object.len());
    }
}

fn mark_dirty(connection: Connection, member: &mut Member, dirty: &mut Vec<Connection>) {
    if !std::mem::replace(&mut member.is_dirty, true) {
        dirty.push(connection);
    }
}

fn messages(cuts: &[usize], end: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain(std::iter::once(end));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty())
}

fn acknowledgement(directory: &Directory, epoch: &str, awaiting: &Awaiting) -> Vec<u8> {
    let granted = awaiting.granted.iter().filter_map(|&(topic, seq)| {
        let instrument = directory.get(topic.symbol());
        Some(Granted {
            symbol: instrument.symbol.as_str(),
            topic,
            price_exponent: instrument.price_exponent,
            size_exponent: instrument.size_exponent,
            seq: seq?,
        })
    });
    let rejected = awaiting.rejected.iter().map(|(symbol, code)| (symbol.as_str(), *code));
    let mut ack = Vec::new();
    let &Awaiting { ref req_id, channel, has_more, .. } = awaiting;
    let acknowledged = Acknowledged { req_id: req_id.as_ref(), channel, rate: Rate::Raw, epoch };
    message::ack_subscribe(&mut ack, &acknowledged, granted, rejected, has_more);
    ack
}
