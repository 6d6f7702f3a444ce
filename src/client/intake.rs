//! What comes from the server, and what a client makes of it.

use std::time::Duration;

use feeds::clock::monotonic;
use feeds::{Symbol, SymbolId};

use super::subscriptions::resync;
use super::topic::{Applied, Divergence, Scale, Topic};
use super::{Client, Disconnect, Event, Link, Update};
use crate::limits::RESYNCS_IN_A_ROW_MAX;
use crate::topic::{Channel, TopicId};
use crate::wire::binary::{Merged, Record, What, decode_records};
use crate::wire::decode::{Ack, Base, GrantedTopic, Head, TopicName, decode};
use crate::wire::{Encoding, ReqId, ServerMessage};

impl Client {
    /// Takes one text message.
    pub(super) fn take(&mut self, text: &str) {
        self.take_each(text, |_| {});
    }

    /// Takes one text message, and calls `look` after each object of it: of several states of a topic only the newest stays.
    pub(super) fn take_each(&mut self, text: &str, mut look: impl FnMut(&mut Self)) {
        self.stats.frames += 1;
        self.stats.bytes += text.len() as u64;
        let messages = match decode(text) {
            Ok(messages) => messages,
            Err(error) => {
                self.disconnect(Disconnect::Malformed(error.to_string()));
                return look(self);
            }
        };
        for message in messages {
            self.stats.messages += 1;
            if let Err(disconnect) = self.take_message(&message) {
                self.disconnect(disconnect);
                return look(self);
            }
            look(self);
        }
    }

    /// Takes one binary message.
    pub(super) fn take_records(&mut self, bytes: &[u8]) {
        self.take_records_each(bytes, |_| {});
    }

    /// Takes one binary message, and calls `look` after each record of it, as [`Client::take_each`] does.
    pub(super) fn take_records_each(&mut self, bytes: &[u8], mut look: impl FnMut(&mut Self)) {
        self.stats.frames += 1;
        self.stats.bytes += bytes.len() as u64;
        let mut prefix = None;
        for record in decode_records(bytes) {
            let taken = match record {
                Ok(record) => self.take_record(&record, &mut prefix),
                Err(error) => Err(Disconnect::Malformed(error.to_string())),
            };
            if let Err(disconnect) = taken {
                self.disconnect(disconnect);
                return look(self);
            }
            look(self);
        }
        if prefix.is_some() {
            self.disconnect(no_snapshot());
            look(self);
        }
    }

    fn take_message(&mut self, message: &ServerMessage<'_>) -> Result<(), Disconnect> {
        match message {
            ServerMessage::Quote(head, _)
            | ServerMessage::Trade(head, _)
            | ServerMessage::Book(head, _)
            | ServerMessage::Ticker(head, _)
            | ServerMessage::Bar(head, _)
            | ServerMessage::Status(head, _) => self.take_data(head, message)?,
            ServerMessage::Gap(gap) => match self.id(gap.channel, &gap.symbol) {
                Some(id) => {
                    self.count_unaccounted(gap.from.abs_diff(gap.prev_seq.saturating_add(1)));
                    self.take_gap(id, gap.prev_seq, gap.to)?;
                }
                None => self.stats.ignored += 1,
            },
            ServerMessage::Ack(ack) => self.take_ack(ack)?,
            ServerMessage::Heartbeat(heartbeat) => {
                let lag = Duration::from_micros(heartbeat.lag_us);
                self.events.push_back(Event::Heartbeat { lag, laggard: heartbeat.laggard });
            }
            ServerMessage::Shutdown { reconnect_after_ms } => {
                self.backoff.wait_at_least(Duration::from_millis(*reconnect_after_ms));
            }
            ServerMessage::TokenExpiring { expires } => {
                self.renew_at = Some(monotonic());
                self.events.push_back(Event::TokenExpiring(*expires));
            }
            ServerMessage::Entitlement { delayed, removed, moved } => {
                self.take_entitlement(*delayed, removed, moved);
            }
            ServerMessage::Error(failure) => {
                self.events.push_back(Event::Failed {
                    request: request_number(failure.req_id.as_ref()),
                    code: failure.code.to_owned(),
                    message: failure.message.clone().into_owned(),
                });
                // Only we ask that, and the topic would stay void.
                if failure.method.as_deref() == Some("resync") {
                    return Err(Disconnect::Hopeless);
                }
            }
            ServerMessage::Unknown => {}
        }
        Ok(())
    }

    fn take_data(&mut self, head: &Head<'_>, message: &ServerMessage<'_>) -> Result<(), Disconnect> {
        let id = self.id(head.channel, &head.symbol);
        let is_snapshot = matches!(head.base, Base::Snapshot { .. });
        if let Base::Snapshot { epoch, .. } = head.base {
            self.enter(id, epoch);
        }
        let Some((id, topic)) = id.and_then(|id| Some((id, self.topics.get_mut(&id)?))) else {
            self.stats.ignored += 1;
            return Ok(());
        };
        let applied = topic.apply(head, message);
        let span = match head.base {
            Base::Snapshot { prev_seq, .. } => prev_seq.map(|prev_seq| Span::new(prev_seq, head.seq)),
            Base::Update { prev_seq } => Some(Span::new(prev_seq, head.seq)),
        };
        self.applied(id, applied, is_snapshot, head.merged, span)
    }

    /// `prefix`: what the record before said about this one.
    fn take_record(
        &mut self,
        record: &Record<'_>,
        prefix: &mut Option<(TopicId, Merged)>,
    ) -> Result<(), Disconnect> {
        let before = prefix.take();
        let is_snapshot = matches!(record.what, What::Snapshot(_));
        if before.is_some_and(|(topic, _)| topic != record.topic || !is_snapshot) {
            return Err(no_snapshot());
        }
        if let What::Merged(merged) = record.what {
            *prefix = Some((record.topic, merged));
            return Ok(());
        }
        self.stats.messages += 1;
        let id = self.numbers.get(&record.topic).copied();
        if let What::Snapshot(snapshot) = &record.what {
            self.enter(id, snapshot.epoch);
        }
        let Some((id, topic)) = id.and_then(|id| Some((id, self.topics.get_mut(&id)?))) else {
            self.stats.ignored += 1;
            return Ok(());
        };
        match &record.what {
            What::Snapshot(snapshot) => {
                let merged = before.map(|(_, merged)| merged);
                let applied = topic.apply_snapshot(snapshot, merged);
                let span = merged.map(|merged| Span::new(merged.prev_seq, snapshot.seq));
                self.applied(id, applied, true, merged.map_or(0, |merged| merged.n.into()), span)
            }
            What::Update(update) => {
                let applied = topic.apply_update(update);
                self.applied(id, applied, false, update.merged.into(), Some(Span(Some(update.step))))
            }
            What::Gap(gap) => self.take_gap(id, gap.prev_seq, gap.seq),
            What::Merged(_) => Ok(()),
        }
    }

    /// What of a followed topic's message became of its state. `span`: from the state before; `None`: from none.
    fn applied(
        &mut self,
        id: TopicId,
        applied: Result<Applied, Divergence>,
        is_snapshot: bool,
        merged: u64,
        span: Option<Span>,
    ) -> Result<(), Disconnect> {
        let Some(topic) = self.topics.get(&id) else { return Ok(()) };
        let update = Update {
            channel: topic.channel(),
            symbol: topic.symbol().clone(),
            seq: topic.seq(),
            ts_event: topic.ts_event(),
            is_snapshot,
            merged,
        };
        self.events.push_back(match applied {
            Ok(Applied::Ignored) => {
                self.stats.ignored += 1;
                return Ok(());
            }
            Ok(Applied::State { checksum }) => {
                self.stats.checksums_ok += u64::from(checksum);
                Event::State(update)
            }
            Ok(Applied::Trade(trade)) => Event::Trade(update, trade),
            Err(divergence) => return self.diverged(id, divergence),
        });
        self.stats.snapshots += u64::from(is_snapshot);
        self.stats.updates += u64::from(!is_snapshot);
        self.stats.merged = self.stats.merged.saturating_add(merged);
        if let Some(span) = span {
            self.stats.merges += u64::from(merged > 1);
            self.count_unaccounted(span.unaccounted(id.channel(), merged));
        }
        Ok(())
    }

    const fn count_unaccounted(&mut self, changes: u64) {
        self.stats.unaccounted = self.stats.unaccounted.saturating_add(changes);
    }

    /// A snapshot's epoch: where the topic had a state of another one, every state of that one is void.
    fn enter(&mut self, id: Option<TopicId>, epoch: &str) {
        let old = id.and_then(|id| self.topics.get(&id)).and_then(|topic| topic.epoch().cloned());
        if let Some(old) = old.filter(|old| **old != *epoch) {
            for topic in self.topics.values_mut() {
                if topic.epoch() == Some(&old) {
                    topic.void();
                }
            }
            self.held.retain(|_, topic| topic.epoch() != Some(&old));
            self.events.push_back(Event::Epoch(epoch.into()));
        }
    }

    fn take_gap(&mut self, id: TopicId, prev_seq: u64, to: u64) -> Result<(), Disconnect> {
        let Some(topic) = self.topics.get_mut(&id) else {
            self.stats.ignored += 1;
            return Ok(());
        };
        match topic.skip(prev_seq, to) {
            Ok(true) => {
                let lost = to.saturating_sub(prev_seq);
                self.stats.lost = self.stats.lost.saturating_add(lost);
                let (channel, symbol) = (topic.channel(), topic.symbol().clone());
                self.events.push_back(Event::Gap { channel, symbol, lost });
                Ok(())
            }
            Ok(false) => {
                self.stats.ignored += 1;
                Ok(())
            }
            Err(divergence) => self.diverged(id, divergence),
        }
    }

    /// A topic is not what the server has: it is void until what it lacks, or all of it, has come.
    fn diverged(&mut self, id: TopicId, divergence: Divergence) -> Result<(), Disconnect> {
        let Some(topic) = self.topics.get_mut(&id) else { return Ok(()) };
        let (channel, symbol) = (topic.channel(), topic.symbol().clone());
        match &divergence {
            Divergence::Gap { .. } => self.stats.gaps += 1,
            Divergence::Checksum { .. } => self.stats.checksums_failed += 1,
            Divergence::Overfull { .. } => {}
            Divergence::Malformed(text) => {
                topic.void();
                return Err(Disconnect::Malformed(format!("{channel} of {symbol}: {text}")));
            }
        }
        // Before a gap, the state is what the server's was at its number.
        if !matches!(divergence, Divergence::Gap { .. }) {
            topic.void();
        }
        let held = topic.is_held().then(|| topic.seq());
        let resyncs = topic.ask_anew();
        self.last_request += 1;
        if let Link::Up(connection) = &mut self.link {
            connection.queue(&resync(channel, symbol.as_str(), held, -self.last_request));
        }
        self.events.push_back(Event::Diverged { channel, symbol, divergence });
        if resyncs > RESYNCS_IN_A_ROW_MAX { Err(Disconnect::Hopeless) } else { Ok(()) }
    }

    fn take_entitlement(&mut self, delayed: bool, removed: &[TopicName<'_>], moved: &[TopicName<'_>]) {
        for topic in moved {
            let id = self.id(topic.channel, &topic.symbol);
            if let Some(topic) = id.and_then(|id| self.topics.get_mut(&id)) {
                topic.void();
            }
        }
        let removed = removed.iter().filter_map(|topic| {
            let id = self.id(topic.channel, &topic.symbol)?;
            self.topics.remove(&id).map(|gone| (topic.channel, gone.symbol().clone()))
        });
        let removed = removed.collect();
        self.events.push_back(Event::Entitled { delayed, removed });
    }

    fn take_ack(&mut self, ack: &Ack<'_>) -> Result<(), Disconnect> {
        if ack.method == "auth" {
            self.renew_at = None;
            self.events.push_back(Event::TokenRenewed);
        }
        if ack.method == "ping"
            && let (Some(request), Some(ts)) = (request_number(ack.req_id.as_ref()), ack.ts)
        {
            self.events.push_back(Event::Pong { request, ts });
        }
        let Some(channel) = ack.channel else { return Ok(()) };
        // Who left a topic before it was granted was told of it nevertheless.
        if ack.method == "unsubscribe" {
            for symbol in &ack.removed {
                if let Some(id) = self.id(channel, symbol) {
                    self.topics.remove(&id);
                }
            }
        }
        let is_subscribed = ack.method == "subscribe";
        if !is_subscribed && ack.method != "resync" {
            return Ok(());
        }
        if let Some(epoch) = ack.epoch
            && let Some(held) = self.held.values().next()
            && held.epoch().is_some_and(|held| **held != *epoch)
        {
            self.held.clear();
            self.events.push_back(Event::Epoch(epoch.into()));
        }
        for granted in &ack.granted {
            self.grant(channel, granted).map_err(Disconnect::Malformed)?;
        }
        if is_subscribed {
            self.events.push_back(Event::Subscribed {
                request: request_number(ack.req_id.as_ref()).unwrap_or_default(),
                channel,
                granted: ack.granted.len(),
                more: ack.more,
                delayed: ack.delayed,
                rejected: ack
                    .rejected
                    .iter()
                    .map(|rejected| (rejected.symbol.clone().into_owned(), rejected.code.to_owned()))
                    .collect(),
            });
        }
        Ok(())
    }

    fn grant(&mut self, channel: Channel, granted: &GrantedTopic<'_>) -> Result<(), String> {
        let symbol = Symbol::new(&granted.symbol).map_err(|error| error.to_string())?;
        let scale = Scale::new(granted).map_err(|error| error.to_string())?;
        let symbol_id = match self.symbols.get(&*granted.symbol) {
            Some(&id) => id,
            None => {
                let id = SymbolId::from_index(self.symbols.len());
                self.symbols.insert((*granted.symbol).into(), id);
                id
            }
        };
        let id = TopicId::new(channel, symbol_id);
        let number = TopicId(granted.topic);
        if self.settings.encoding == Encoding::Binary && number.channel() != channel {
            return Err(format!(
                "{channel} of {symbol} has the number {}, which is another channel's",
                number.0
            ));
        }
        self.numbers.insert(number, id);
        let held = self.held.remove(&id);
        // A topic that is subscribed to anew keeps the count of its failures.
        let topic = self.topics.entry(id);
        topic.or_insert_with(|| held.unwrap_or_else(|| Topic::new(channel, symbol, scale))).grant(scale);
        Ok(())
    }

    /// The number of a topic that is followed, or may be.
    fn id(&self, channel: Channel, symbol: &str) -> Option<TopicId> {
        self.symbols.get(symbol).map(|&symbol| TopicId::new(channel, symbol))
    }
}

fn no_snapshot() -> Disconnect {
    Disconnect::Malformed("the prefix of a snapshot stands before none".to_owned())
}

/// Our requests have numbers; what the server answers with is anything.
const fn request_number(req_id: Option<&ReqId>) -> Option<i64> {
    match req_id {
        Some(ReqId::Number(number)) => Some(*number),
        _ => None,
    }
}

/// From a state to a later one of its topic: by how much its number grew, if it did.
#[derive(Clone, Copy, Debug)]
struct Span(Option<u64>);

impl Span {
    const fn new(prev_seq: u64, seq: u64) -> Self {
        Self(seq.checked_sub(prev_seq))
    }

    /// How far `n` is from what it can be. Of quotes and trades, each change has a number of its own. On other channels a
    /// number may also be of what does not show in the topic: a level below a book's depth, a trade in no bar.
    const fn unaccounted(self, channel: Channel, n: u64) -> u64 {
        let Some(step) = self.0 else { return n };
        match channel {
            Channel::Quote | Channel::Trade => step.abs_diff(n),
            // Where the number did not grow, nothing changed; else, at least one thing did.
            _ if n == 0 => (step > 0) as u64,
            _ => n.saturating_sub(step),
        }
    }
}
