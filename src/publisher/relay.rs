//! The publisher of a gateway: it has no market, and publishes to its shards what an ingest has published on the bus.
//!
//! Numbers are the ingest's, so that what a client holds of one gateway is the same at another. `status` alone is
//! numbered here, because a gateway says by it that the bus is silent: whoever comes back with the number of a status
//! gets the state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use feeds::clock::monotonic;
use feeds::{Level, SymbolId, Timestamp};
use rustc_hash::FxHashSet;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use tracing::warn;

use super::mirror::{self, Admitted, Mirror, MirrorError, Replaced};
use super::state::{News, Present, State};
use super::{Publisher, WhenFull};
use crate::bus::broker::message::Carried;
use crate::bus::{Bus, Kind, Request, Tape};
use crate::directory::{Class, Directory};
use crate::limits::{BROKER_REQUESTS_MAX, REQUESTS_WAITING_MAX, STATES_WAIT, TAPES_ASKED_MAX};
use crate::market::quotes::quote_cache;
use crate::metrics::Metrics;
use crate::state::{Quote, Status, Ticker};
use crate::topic::{Channel, Rate, TopicId};

/// What a publisher has in place of a market.
pub(super) struct Relay {
    pub(super) mirror: Mirror,
    /// What lies over every status.
    overlay: Option<Status>,
    /// Requests for topics some of which are not held yet, and since when they wait.
    deferred: VecDeque<(Instant, Request)>,
    /// Whether a topic is held that was not when they were last looked at.
    has_news: bool,
    /// What is asked beside the stream: the ingest answers.
    forwards: Vec<Request>,
    /// Topics whose earlier trades are awaited, for those who missed some at another gateway.
    tapes_awaited: FxHashSet<TopicId>,
    /// Those of them that are yet to be asked for.
    tapes_to_ask: VecDeque<TopicId>,
    /// Those that have been.
    tapes: Vec<(TopicId, oneshot::Receiver<Tape>)>,
    wanted: Vec<TopicId>,
    forgotten: Vec<TopicId>,
}

/// What a gateway's publisher wants of the bus.
#[derive(Debug, Default)]
pub struct Errands {
    /// Topics that are to be listened to.
    pub wanted: Vec<TopicId>,
    /// Topics that are not, any more.
    pub forgotten: Vec<TopicId>,
    /// [`Request::Read`], [`Request::History`] and [`Request::Tape`], which the ingest answers.
    pub forwards: Vec<Request>,
}

impl Publisher {
    /// The publisher of a gateway.
    #[must_use]
    pub fn of_gateway(directory: Directory, bus: Bus, metrics: Metrics, mirror: Mirror) -> Self {
        let (quotes, _) = quote_cache(directory.len());
        let epoch = Arc::clone(mirror.epoch());
        let relay = Relay {
            mirror,
            overlay: None,
            deferred: VecDeque::new(),
            has_news: false,
            forwards: Vec::new(),
            tapes_awaited: FxHashSet::default(),
            tapes_to_ask: VecDeque::new(),
            tapes: Vec::new(),
            wanted: Vec::new(),
            forgotten: Vec::new(),
        };
        let publisher = Self::new(directory, quotes, bus, metrics, epoch, WhenFull::Conflate);
        Self { relay: Some(Box::new(relay)), ..publisher }
    }

    /// The topics that came by the bus.
    ///
    /// # Panics
    /// When it is not the publisher of a gateway.
    pub fn mirror(&mut self) -> &mut Mirror {
        &mut self.relay.as_mut().expect("the publisher of a gateway").mirror
    }

    /// Takes what it wants of the bus since this was last called.
    pub fn take_errands(&mut self) -> Errands {
        let Some(relay) = &mut self.relay else { return Errands::default() };
        relay.ask_for_tapes();
        Errands {
            wanted: std::mem::take(&mut relay.wanted),
            forgotten: std::mem::take(&mut relay.forgotten),
            forwards: std::mem::take(&mut relay.forwards),
        }
    }

    /// Publishes a part of a topic's stream.
    ///
    /// # Errors
    /// [`MirrorError`] when it makes no sense. Nothing of it that is wrong was published, and the topic is asked for anew.
    pub fn carry(&mut self, carried: &Carried) -> Result<(), MirrorError> {
        let Some(relay) = &mut self.relay else { return Ok(()) };
        let topic = carried.topic;
        match relay.mirror.admit(carried)? {
            Admitted::Nothing => {}
            Admitted::Hole { is_new } => self.metrics.bus_holes_total().add(is_new.into()),
            Admitted::State(snapshot) => match relay.mirror.replace(carried, &snapshot)? {
                Replaced::First => self.begin(topic, snapshot.seq),
                Replaced::Same => {}
                Replaced::Next => self.publish_mirrored(topic, 1, None),
                Replaced::Jump(changes) => {
                    self.metrics.bus_jumps_total().add(1);
                    if topic.channel() == Channel::Trade {
                        self.publish_lost_trades(topic);
                    } else {
                        self.publish_mirrored(topic, changes, None);
                    }
                }
            },
            Admitted::Updates { mut updates, refills } => loop {
                let mirror = self.mirror();
                let Some(held) = mirror.get(topic).map(|state| state.held) else { break };
                let Some(update) = updates.next(topic, &held) else {
                    if held.seq == carried.seq {
                        self.metrics.bus_refills_total().add(refills.into());
                        break;
                    }
                    mirror.distrust(topic);
                    return Err(MirrorError::Other);
                };
                let update = update.inspect_err(|_| mirror.distrust(topic))?;
                let news = mirror.advance(topic, &update)?;
                self.publish_mirrored(topic, update.merged, Some(news));
            },
        }
        self.flush_if_full();
        Ok(())
    }

    /// A state that was wanted has come.
    fn begin(&mut self, topic: TopicId, seq: u64) {
        let number = &mut self.numbers[topic.index()];
        // A status that was given up and is wanted again goes on from the numbers that it had here.
        *number = if topic.channel() == Channel::Status { seq.max(*number) } else { seq };
        if let Some(relay) = &mut self.relay {
            relay.has_news = true;
        }
        self.follow(topic);
    }

    fn publish_mirrored(&mut self, topic: TopicId, merged: u32, news: Option<News>) {
        let Some(relay) = &self.relay else { return };
        let Some(state) = relay.mirror.get(topic) else { return };
        let (seq, ts_event) = (state.held.seq, state.ts_event());
        let news = news.unwrap_or_else(|| state.news());
        if topic.channel() != Channel::Status {
            self.numbers[topic.index()] = seq;
            return self.publish_raw(topic, seq, ts_event, merged, news);
        }
        let shown = Shown { state, overlay: relay.overlay.as_ref() }.status(topic.symbol());
        let published = self.followed.get(topic).and_then(|followed| followed.as_deref());
        if published
            .is_some_and(|followed| matches!(&followed.state, State::Status(status) if *status != shown))
        {
            let seq = self.bump(topic);
            self.publish_raw(topic, seq, ts_event, 1, news);
        }
    }

    /// Trades are lost: says so to those who follow them.
    fn publish_lost_trades(&mut self, topic: TopicId) {
        let Some(state) = self.relay.as_ref().and_then(|relay| relay.mirror.get(topic)) else { return };
        let (new, held) = (state.published(topic), state.held);
        self.numbers[topic.index()] = held.seq;
        let Some(followed) = self.followed.get_mut(topic) else { return };
        let before = std::mem::replace(&mut followed.seq, held.seq);
        (followed.state, followed.ts_event) = (new, held.ts_event);
        let shards = self.bus.handle().interest().of(topic).shards();
        self.encode_gap(topic, before, Kind::Gap, shards);
    }

    /// Says of every instrument that the bus is silent; `None`: it lives again.
    pub fn set_bus_state(&mut self, overlay: Option<Status>) {
        let Some(relay) = &mut self.relay else { return };
        relay.overlay = overlay;
        let status = self.follows.iter().filter(|topic| topic.channel() == Channel::Status);
        let raw: Vec<_> = status.copied().filter(|topic| topic.rate() == Rate::Raw).collect();
        for topic in raw {
            self.publish_mirrored(topic, 1, None);
        }
    }

    /// Begins another run of the stream, whose states have come: everybody who follows something is told.
    pub fn restart_mirrored(&mut self, mirror: Mirror) {
        self.flush();
        self.bus.set_epoch(None);
        self.epoch = Arc::clone(mirror.epoch());
        for class in [Class::RealTime, Class::Delayed] {
            self.forget(class);
        }
        self.numbers.fill(0);
        for missed in &mut self.missed {
            missed.clear();
        }
        if let Some(relay) = &mut self.relay {
            relay.mirror = mirror;
            relay.forget_tapes();
            let held: Vec<_> = relay.mirror.held().collect();
            for (topic, seq) in held {
                self.begin(topic, seq);
            }
        }
        self.bus.set_epoch(Some(Arc::clone(&self.epoch)));
        self.tell_everybody();
    }

    /// Whether the present state of a topic can be told: always, but for a gateway to which it has not come.
    pub(super) fn is_known(&self, topic: TopicId) -> bool {
        self.relay.as_ref().is_none_or(|relay| relay.mirror.get(topic.at(Rate::Raw)).is_some())
    }

    /// Of a gateway: the present state of a raw topic, its number and its time.
    pub(super) fn mirrored(&self, topic: TopicId) -> Option<(State, u64, Timestamp)> {
        let relay = self.relay.as_ref()?;
        let state = relay.mirror.get(topic)?;
        if topic.channel() == Channel::Status {
            let shown = Shown { state, overlay: relay.overlay.as_ref() }.status(topic.symbol());
            return Some((State::Status(shown), self.numbers[topic.index()], state.ts_event()));
        }
        Some((state.published(topic), state.held.seq, state.ts_event()))
    }

    /// What a request comes to now: a gateway puts it off while it lacks a topic, and leaves to the ingest what is asked
    /// beside the stream.
    pub(super) fn admit_request(&mut self, request: Request) -> Option<Request> {
        let Some(relay) = &mut self.relay else { return Some(request) };
        match request {
            Request::States { shard, ticket, epoch, mut topics } => {
                let mut is_known = true;
                for wanted in &mut topics {
                    let raw = wanted.topic.at(Rate::Raw);
                    if raw.channel() == Channel::Status {
                        wanted.held = None;
                    }
                    is_known &= relay.mirror.get(raw).is_some();
                    if relay.mirror.want(raw) {
                        relay.wanted.push(raw);
                    }
                    let held = wanted.held.filter(|_| raw.channel() == Channel::Trade);
                    if held.is_some_and(|held| {
                        epoch == *relay.mirror.epoch() && relay.mirror.lacks_trades(raw, held)
                    }) {
                        relay.want_tape(raw);
                        is_known = false;
                    }
                }
                let request = Request::States { shard, ticket, epoch, topics };
                if is_known {
                    return Some(request);
                }
                // One more is dropped: its shard gives it up.
                if relay.deferred.len() < REQUESTS_WAITING_MAX {
                    relay.deferred.push_back((monotonic(), request));
                }
                None
            }
            Request::Read { ref topics, .. } if topics.is_empty() => Some(request),
            // Dropping the reply tells the reader that too many wait.
            Request::Read { .. } | Request::History { .. } | Request::Tape { .. } => {
                if relay.forwards.len() < BROKER_REQUESTS_MAX {
                    relay.forwards.push(request);
                }
                None
            }
        }
    }

    /// Requests that were put off, and of which every topic has come.
    pub(super) fn take_ready_requests(&mut self) -> Vec<Request> {
        let Some(relay) = &mut self.relay else { return Vec::new() };
        let now = monotonic();
        relay.deferred.retain(|(since, _)| now.duration_since(*since) < STATES_WAIT);
        relay.take_tapes();
        if !std::mem::take(&mut relay.has_news) {
            return Vec::new();
        }
        let relay = &mut **relay;
        let is_known = |request: &Request| match request {
            Request::States { topics, .. } => topics.iter().all(|wanted| {
                let raw = wanted.topic.at(Rate::Raw);
                let awaits_tape = wanted.held.is_some() && relay.tapes_awaited.contains(&raw);
                relay.mirror.get(raw).is_some() && !awaits_tape
            }),
            Request::Read { .. } | Request::History { .. } | Request::Tape { .. } => true,
        };
        let (ready, deferred) = std::mem::take(&mut relay.deferred)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, request)| is_known(request));
        relay.deferred = deferred;
        ready.into_iter().map(|(_, request)| request).collect()
    }

    /// A raw topic is followed no more.
    pub(super) fn forget_mirrored(&mut self, topic: TopicId) {
        if let Some(relay) = &mut self.relay {
            relay.mirror.forget(topic);
            relay.forgotten.push(topic);
        }
    }

    /// Forgets wanted topics that nobody waits for any more.
    pub(super) fn forget_unwanted(&mut self) {
        let Some(relay) = &self.relay else { return };
        let interest = self.bus.handle().interest();
        let is_wanted =
            |topic: TopicId| Rate::ALL.iter().any(|&rate| interest.of(topic.at(rate)).shards() != 0);
        let unwanted: Vec<_> = relay.mirror.wanted().filter(|&topic| !is_wanted(topic)).collect();
        for topic in unwanted {
            self.forget_mirrored(topic);
        }
    }
}

impl Relay {
    fn want_tape(&mut self, topic: TopicId) {
        if self.tapes_awaited.insert(topic) {
            self.tapes_to_ask.push_back(topic);
        }
    }

    fn ask_for_tapes(&mut self) {
        while self.tapes.len() < TAPES_ASKED_MAX
            && self.forwards.len() < BROKER_REQUESTS_MAX
            && let Some(topic) = self.tapes_to_ask.pop_front()
        {
            let (reply, receiver) = oneshot::channel();
            self.forwards.push(Request::Tape { topic, reply });
            self.tapes.push((topic, receiver));
        }
    }

    /// Those that are awaited are of another run.
    fn forget_tapes(&mut self) {
        self.tapes_awaited.clear();
        self.tapes_to_ask.clear();
        self.tapes.clear();
        self.has_news = true;
    }

    /// Takes over the earlier trades that have come, once the topic's state has.
    fn take_tapes(&mut self) {
        let Self { tapes, tapes_awaited, mirror, has_news, .. } = self;
        tapes.retain_mut(|(topic, receiver)| {
            if mirror.is_wanted(*topic) {
                return true;
            }
            let tape = match receiver.try_recv() {
                Ok(tape) => Some(tape),
                Err(TryRecvError::Closed) => None,
                Err(TryRecvError::Empty) => return true,
            };
            if let Err(error) = mirror.take_tape(*topic, tape.as_ref()) {
                warn!(topic = topic.0, %error, "trades that the ingest tells make no sense: they count as lost");
            }
            tapes_awaited.remove(topic);
            *has_news = true;
            false
        });
    }
}

/// A mirrored state as it is shown.
pub(super) struct Shown<'a> {
    pub(super) state: &'a mirror::State,
    pub(super) overlay: Option<&'a Status>,
}

impl Relay {
    pub(super) fn shown(&self, topic: TopicId) -> Option<Shown<'_>> {
        Some(Shown { state: self.mirror.get(topic)?, overlay: self.overlay.as_ref() })
    }
}

/// Of one topic: whatever instrument is asked for is its own.
impl Present for Shown<'_> {
    fn quote(&self, _: SymbolId) -> Quote {
        self.state.quote()
    }

    fn bids(&self, _: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.state.bids().iter().copied()
    }

    fn asks(&self, _: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.state.asks().iter().copied()
    }

    fn ticker(&self, _: SymbolId) -> Ticker {
        self.state.ticker()
    }

    fn status(&self, _: SymbolId) -> Status {
        self.overlay.cloned().unwrap_or_else(|| self.state.status())
    }
}
