//! Following topics, from the request to the acknowledgement, and following them no more.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::listeners::{Reached, Waiter};
use super::shard::{Connection, Shard, data_of};
use crate::bus::{Batch, Kind, Request, RequestError, TopicMessage, Wanted};
use crate::directory::{Class, Directory};
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::Encoding;
use crate::wire::code::ErrorCode;
use crate::wire::message::{self, Acknowledged, Granted, ReqId};

/// A request to subscribe.
#[derive(Debug)]
pub struct Subscribe {
    /// The client's number of it.
    pub req_id: Option<ReqId>,
    /// What all the topics are of.
    pub channel: Channel,
    /// How often each is sent at most.
    pub rate: Rate,
    /// Whether the topics' states are to be sent.
    pub snapshot: bool,
    /// What to follow, and what the client holds of it already.
    pub topics: Vec<Wanted>,
    /// Symbols that are no topics, for the acknowledgement.
    pub rejected: Vec<(String, ErrorCode)>,
    /// What it is, for the acknowledgement.
    pub kind: SubscribeKind,
}

/// How a request to subscribe is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeKind {
    /// As the last part of the client's request, or as all of it.
    Last,
    /// As a part which another follows.
    Part,
    /// As a `resync` of the only topic.
    Resync,
}

impl Subscribe {
    /// To follow topics of a channel from their states on.
    #[must_use]
    pub fn new(channel: Channel, topics: &[TopicId]) -> Self {
        let topics = topics.iter().map(|&topic| Wanted { topic, held: None }).collect();
        Self {
            req_id: None,
            channel,
            rate: Rate::Raw,
            snapshot: true,
            topics,
            rejected: Vec::new(),
            kind: SubscribeKind::Last,
        }
    }
}

/// What became of a request to subscribe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// The acknowledgement stands ready to be flushed.
    Acknowledged,
    /// States have been requested; the acknowledgement follows them. Until [`super::Shard::is_awaiting`] says no, the
    /// connection must not subscribe again.
    Awaiting,
    /// The publisher cannot take the request now: nothing was subscribed.
    Refused(ErrorCode),
}

/// A request of which some states are yet to come. Nothing is sent until they have, so that the acknowledgement can
/// name the number of each.
#[derive(Debug)]
pub(super) struct Awaiting {
    pub(super) req_id: Option<ReqId>,
    pub(super) channel: Channel,
    pub(super) rate: Rate,
    pub(super) snapshot: bool,
    pub(super) kind: SubscribeKind,
    /// In the order of the request; `None` until the state has come.
    pub(super) granted: Vec<(TopicId, Option<u64>)>,
    pub(super) index: FxHashMap<TopicId, usize>,
    pub(super) rejected: Vec<(String, ErrorCode)>,
    pub(super) missing: usize,
}

impl Awaiting {
    /// Takes note of the state of a topic, and says whether it was the last.
    fn arrived(&mut self, topic: TopicId, seq: u64) -> bool {
        if let Some(&index) = self.index.get(&topic)
            && self.granted[index].1.replace(seq).is_none()
        {
            self.missing -= 1;
        }
        self.missing == 0
    }

    /// What the client is told.
    fn acknowledgement(&self, directory: &Directory, epoch: &str) -> Vec<u8> {
        let granted = self.granted.iter().filter_map(|&(topic, seq)| {
            let instrument = directory.get(topic.symbol());
            Some(Granted {
                symbol: instrument.symbol.as_str(),
                topic,
                price_exponent: instrument.price_exponent,
                size_exponent: instrument.size_exponent,
                seq: seq?,
            })
        });
        let mut ack = Vec::new();
        let first = self.granted.first();
        let about = Acknowledged {
            req_id: self.req_id.as_ref(),
            channel: self.channel,
            rate: self.rate,
            epoch,
            delayed: first.is_some_and(|(topic, _)| directory.class(topic.symbol()) == Class::Delayed),
        };
        if self.kind == SubscribeKind::Resync {
            let mut granted = granted;
            if let Some(granted) = granted.next() {
                message::ack_resync(&mut ack, &about, &granted);
                return ack;
            }
            let error = message::RequestError {
                code: ErrorCode::Internal,
                message: "the topic's state did not come in time: it is not followed any more".to_owned(),
                req_id: self.req_id.clone(),
                method: Some("resync".to_owned()),
            };
            message::error(&mut ack, &error);
            return ack;
        }
        let rejected = self.rejected.iter().map(|(symbol, code)| (symbol.as_str(), *code));
        message::ack_subscribe(&mut ack, &about, granted, rejected, self.kind == SubscribeKind::Part);
        ack
    }
}

impl Shard {
    /// Follows topics of one channel for a connection; those it follows already are granted again, with their state.
    /// Not while the connection is a laggard, or awaits the states of another request. What there is for it is to be
    /// flushed before: the acknowledgement comes before all that waits.
    pub fn subscribe(&mut self, connection: Connection, subscribe: Subscribe) -> Subscribed {
        let Subscribe { req_id, channel, rate, snapshot, topics, mut rejected, kind } = subscribe;
        debug_assert!(self.members[connection].awaiting.is_none(), "one subscription at a time");
        debug_assert!(self.members[connection].lag.is_none(), "a laggard catches up first");
        let cohort = self.alone(connection);
        let followed = &self.cohorts[cohort].topics;
        let mut room = self.topics_max.saturating_sub(followed.len());
        let mut awaiting = Awaiting {
            req_id,
            channel,
            rate,
            snapshot,
            kind,
            granted: Vec::with_capacity(topics.len()),
            index: FxHashMap::default(),
            rejected: Vec::new(),
            missing: 0,
        };
        let mut wanted = Vec::new();
        for Wanted { topic, held } in topics {
            if awaiting.index.contains_key(&topic) {
                continue;
            }
            let is_live = followed.contains_key(&topic);
            if !is_live {
                if room == 0 {
                    let symbol = self.directory.get(topic.symbol()).symbol.as_str().to_owned();
                    rejected.push((symbol, ErrorCode::TooManySubscriptions));
                    self.too_many_subscriptions += 1;
                    continue;
                }
                room -= 1;
            }
            // Who follows a topic and wants no state goes on from where it is: updates that come while other states
            // are awaited follow the acknowledgement.
            let seq = (is_live && !snapshot).then(|| self.registry.reached(topic).seq);
            awaiting.index.insert(topic, awaiting.granted.len());
            awaiting.granted.push((topic, seq));
            if seq.is_none() {
                wanted.push(Wanted { topic, held });
            }
        }
        awaiting.missing = wanted.len();
        awaiting.rejected = rejected;
        if wanted.is_empty() {
            self.acknowledge(connection, &awaiting);
            return Subscribed::Acknowledged;
        }
        let encoding = self.members[connection].form.encoding;
        let topics: Vec<TopicId> = wanted.iter().map(|wanted| wanted.topic).collect();
        let ticket = match self.ask(wanted, encoding) {
            Ok(ticket) => ticket,
            Err(error) => {
                return Subscribed::Refused(match error {
                    RequestError::Busy => ErrorCode::Busy,
                    RequestError::Stopped => ErrorCode::Internal,
                });
            }
        };
        for topic in topics {
            // What comes between what it holds and the answer is part of the answer. A connection follows a topic at
            // one rate; the newest request counts.
            for rate in Rate::ALL {
                self.unlisten(cohort, topic.at(rate));
            }
            self.registry.of(topic).waiting.push(Waiter { connection, ticket });
        }
        let member = &mut self.members[connection];
        member.awaiting = Some(Box::new(awaiting));
        if !std::mem::replace(&mut member.has_subscribed, true) {
            self.bus.subscriber_joined();
        }
        Subscribed::Awaiting
    }

    /// Whether the connection's last request to subscribe still waits for states.
    #[must_use]
    pub fn is_awaiting(&self, connection: Connection) -> bool {
        self.members[connection].awaiting.is_some()
    }

    /// Gives up a request to subscribe whose states do not come: what has not come is not followed.
    pub fn give_up(&mut self, connection: Connection) {
        let Some(mut awaiting) = self.members[connection].awaiting.take() else { return };
        let encoding = self.members[connection].form.encoding;
        let lost = awaiting.granted.extract_if(.., |(_, seq)| seq.is_none()).map(|(topic, _)| topic);
        for topic in lost.collect::<Vec<_>>() {
            self.unsubscribe(connection, topic);
            self.registry.stop_waiting(topic, connection, encoding);
            let symbol = self.directory.get(topic.symbol()).symbol.as_str().to_owned();
            awaiting.rejected.push((symbol, ErrorCode::Internal));
        }
        self.acknowledge(connection, &awaiting);
    }

    /// Stops following a topic, at whatever rate; `false`: it was not followed.
    pub fn unsubscribe(&mut self, connection: Connection, topic: TopicId) -> bool {
        let Some(topic) = self.followed(connection, topic) else { return false };
        if !self.drop_lagging(connection, topic) {
            let cohort = self.alone(connection);
            self.unlisten(cohort, topic);
        }
        true
    }

    /// The topic that a connection follows of all the rates of a topic.
    #[must_use]
    pub fn followed(&self, connection: Connection, topic: TopicId) -> Option<TopicId> {
        let member = &self.members[connection];
        let in_cohort = member.seat.map(|seat| &self.cohorts[seat.cohort].topics);
        Rate::ALL.into_iter().map(|rate| topic.at(rate)).find(|topic| {
            in_cohort.is_some_and(|topics| topics.contains_key(topic))
                || member.lag.as_ref().is_some_and(|lag| lag.follows(*topic))
        })
    }

    /// What a connection follows, in no particular order, with the number of the state it has of each.
    pub fn subscriptions(&self, connection: Connection) -> impl Iterator<Item = (TopicId, u64)> {
        let member = &self.members[connection];
        let live = member.seat.map(|seat| &self.cohorts[seat.cohort].topics);
        let live = live.into_iter().flatten().map(|(&topic, _)| (topic, self.registry.reached(topic).seq));
        let lag = member.lag.as_deref();
        let seq = |held: Option<Reached>| held.map_or(0, |held| held.seq);
        let held = lag.into_iter().flat_map(|lag| &lag.held).map(move |(&topic, &held)| (topic, seq(held)));
        let coming = lag.into_iter().flat_map(|lag| &lag.catching_up);
        live.chain(held).chain(coming.map(move |(&topic, coming)| (topic, seq(coming.held))))
    }

    /// Asks the publisher for states. Each topic has one follower more then, who waits.
    pub(super) fn ask(&mut self, topics: Vec<Wanted>, encoding: Encoding) -> Result<u64, RequestError> {
        // Interest comes before the request, so that no update after the state is missed.
        let asked: Vec<TopicId> = topics.iter().map(|wanted| wanted.topic).collect();
        for &topic in &asked {
            self.registry.follow(topic, encoding);
        }
        let ticket = self.requests + 1;
        let epoch = Arc::clone(&self.epoch);
        let result = self.bus.request(Request::States { shard: self.number, ticket, epoch, topics });
        if let Err(error) = result {
            for topic in asked {
                self.registry.unfollow(topic, encoding);
            }
            return Err(error);
        }
        self.requests = ticket;
        Ok(ticket)
    }

    /// The state of a topic has come: those whose request it answers get it, and are live from here on.
    pub(super) fn admit(&mut self, batch: &Batch, message: &TopicMessage) {
        let answered = batch.answered.get(self.number).copied().unwrap_or(0);
        let members = &self.members;
        let is_answered = |waiter: &mut Waiter| match message.kind {
            Kind::Resumed { shard, ticket } => shard == self.number && waiter.ticket == ticket,
            // A gateway answers later requests before one whose topics have not all come; a state that another shard has
            // asked for meanwhile may not be in this one's encoding.
            Kind::Requested | Kind::Snapshot => {
                let encoding = members[waiter.connection].form.encoding;
                waiter.ticket <= answered && !batch.encoded(message, encoding).is_empty()
            }
            Kind::Update | Kind::Gap => false,
        };
        let admitted: Vec<Waiter> =
            self.registry.of(message.topic).waiting.extract_if(.., is_answered).collect();
        for Waiter { connection, ticket } in admitted {
            if !self.catch_up(connection, ticket, batch, message) {
                self.admit_one(connection, batch, message);
            }
            self.registry.unfollow(message.topic, self.members[connection].form.encoding);
        }
    }

    fn admit_one(&mut self, connection: Connection, batch: &Batch, message: &TopicMessage) {
        let topic = message.topic;
        let cohort = self.alone(connection);
        self.listen(cohort, topic);
        let Some(awaiting) = &mut self.members[connection].awaiting else { return };
        let is_complete = awaiting.arrived(topic, message.seq);
        let encoding = self.cohorts[cohort].form.encoding;
        let (opcode, data) = data_of(batch, message, encoding);
        // Binary records are differences to it.
        if (awaiting.snapshot || encoding == Encoding::Binary) && !data.is_empty() {
            self.append(cohort, opcode, data, true);
        }
        if is_complete && let Some(awaiting) = self.members[connection].awaiting.take() {
            self.completed.push(connection);
            self.acknowledge(connection, &awaiting);
        }
    }

    /// Puts the acknowledgement before what was held back for it.
    fn acknowledge(&mut self, connection: Connection, awaiting: &Awaiting) {
        let ack = awaiting.acknowledgement(&self.directory, &self.epoch);
        let id = self.alone(connection);
        let cohort = &mut self.cohorts[id];
        self.queue.push_first(cohort, id, &ack);
    }
}
