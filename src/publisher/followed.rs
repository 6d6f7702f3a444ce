//! Topics that are followed: their difference to the present state, published raw and at rates.

use std::time::Instant;

use feeds::Timestamp;

use super::history::History;
use super::levels::BookLevels;
use super::state::{About, News, Out, State};
use super::{BatchBuilder, Publisher};
use crate::bus::{Kind, Listening};
use crate::directory::Class;
use crate::limits::{FOLLOWED_LOOK_EVERY, FOLLOWED_LOOKS_MAX, RESUME_LINGER};
use crate::topic::{Channel, Depth, Rate, TopicId};
use crate::wire::Encoding;
use crate::wire::binary::Held;

/// What was last published of a topic at its rate.
pub(super) struct Followed {
    pub(super) state: State,
    pub(super) seq: u64,
    pub(super) ts_event: Timestamp,
    /// Of a topic at a rate: changes of the raw one that are yet to be published.
    changes: u32,
    /// Of a topic at a rate: whether it waits for its slot.
    is_marked: bool,
    /// Of a raw topic: the rates at which it is followed too, a bit each.
    rates: u8,
    /// By encoding: updates for those who come back, while there are any or have been lately. None of trades: these
    /// the market keeps.
    pub(super) histories: [Option<History>; Encoding::ALL.len()],
    /// Whether it was read beside the stream since it was last looked at, and when that was last seen.
    pub(super) was_read: bool,
    read_at: Option<Instant>,
}

impl Followed {
    fn new(state: State, seq: u64, ts_event: Timestamp) -> Self {
        Self {
            state,
            seq,
            ts_event,
            changes: 0,
            is_marked: false,
            rates: 0,
            histories: [const { None }; Encoding::ALL.len()],
            was_read: false,
            read_at: None,
        }
    }

    /// Begins a history in each encoding that is listened for.
    fn keep_history(&mut self, listening: Listening) {
        if matches!(self.state, State::Trade(_)) {
            return;
        }
        for (encoding, shards) in [(Encoding::Json, listening.json), (Encoding::Binary, listening.binary)] {
            if shards != 0 {
                self.histories[encoding as usize].get_or_insert_with(|| History::new(encoding));
            }
        }
    }

    fn wants(&self, encoding: Encoding, listening_shards: u64) -> bool {
        listening_shards != 0 || self.histories[encoding as usize].is_some()
    }
}

impl Publisher {
    /// Publishes what changed of a raw topic, in so many changes, and counts them for each rate at which the topic is
    /// followed.
    pub(super) fn publish_raw(
        &mut self,
        topic: TopicId,
        seq: u64,
        ts_event: Timestamp,
        merged: u32,
        news: News,
    ) {
        let Some(followed) = self.followed.get_mut(topic).as_deref() else { return };
        let rates = followed.rates;
        if !self.publish_difference(topic, seq, ts_event, merged, news) || rates == 0 {
            return;
        }
        // A state that the next one replaces for good does not wait: at a rate, it would not be seen.
        let is_last =
            matches!(topic.channel(), Channel::Status) || matches!(news, News::Bar(bar) if bar.closed);
        for rate in Rate::ALL {
            if rates & (1 << rate as u8) == 0 {
                continue;
            }
            let topic = topic.at(rate);
            let Some(followed) = self.followed.get_mut(topic) else { continue };
            followed.changes = followed.changes.saturating_add(merged);
            if is_last {
                self.publish_rate(topic);
            } else if !std::mem::replace(&mut followed.is_marked, true) {
                self.rates.mark(topic);
            }
        }
    }

    /// Publishes what changed of a topic at a rate since it was last published.
    pub(super) fn publish_rate(&mut self, topic: TopicId) {
        let Some(followed) = self.followed.get_mut(topic) else { return };
        followed.is_marked = false;
        let changes = followed.changes;
        if changes == 0 {
            return;
        }
        let Some(raw) = self.followed.get_mut(topic.at(Rate::Raw)) else { return };
        let (seq, ts_event, news) = (raw.seq, raw.ts_event, raw.state.news());
        if self.publish_difference(topic, seq, ts_event, changes, news)
            && let Some(followed) = self.followed.get_mut(topic)
        {
            followed.changes = 0;
        }
    }

    /// Takes over a topic's news, and encodes the difference; `false`: there is none.
    fn publish_difference(
        &mut self,
        topic: TopicId,
        seq: u64,
        ts_event: Timestamp,
        merged: u32,
        news: News,
    ) -> bool {
        let Some(followed) = self.followed.get_mut(topic) else { return false };
        let listening = self.bus.handle().interest().of(topic);
        followed.keep_history(listening);
        let instrument = self.directory.get(topic.symbol());
        let about = About { topic, instrument, seq, merged, ts_event };
        let held = Held { seq: followed.seq, ts_event: followed.ts_event };
        let start = self.batch.end();
        let BatchBuilder { json, binary, .. } = &mut self.batch;
        let mut out = Out {
            json: followed.wants(Encoding::Json, listening.json).then_some(json),
            binary: followed.wants(Encoding::Binary, listening.binary).then_some(binary),
        };
        let shown = self.relay.as_ref().and_then(|relay| relay.shown(topic.at(Rate::Raw)));
        let has_changed = match shown {
            Some(shown) => followed.state.advance(&shown, news, &held, &about, &mut out),
            None => followed.state.advance(self.markets.of(topic.symbol()), news, &held, &about, &mut out),
        };
        if !has_changed {
            return false;
        }
        (followed.seq, followed.ts_event) = (seq, ts_event);
        for (history, message) in followed.histories.iter_mut().zip(self.batch.since(&start)) {
            if let Some(history) = history {
                history.push(held.seq, merged, message, &mut self.history_bytes);
            }
        }
        self.batch.close(&about, Kind::Update, start, listening.shards());
        true
    }

    /// Follows a topic from its present state on, if it is not followed yet.
    pub(super) fn follow(&mut self, topic: TopicId) -> &Followed {
        let raw = topic.at(Rate::Raw);
        if self.followed.get_mut(raw).is_none() {
            let (state, seq, ts_event) = self.present(raw);
            *self.followed.get_mut(raw) = Some(Box::new(Followed::new(state, seq, ts_event)));
            self.follows.push(raw);
        }
        if self.followed.get_mut(topic).is_none()
            && let Some(source) = self.followed.get_mut(raw)
        {
            source.rates |= 1 << topic.rate() as u8;
            let followed = Followed::new(source.state.clone(), source.seq, source.ts_event);
            *self.followed.get_mut(topic) = Some(Box::new(followed));
            self.follows.push(topic);
        }
        let listening = self.bus.handle().interest().of(topic);
        let followed = self.followed.get_mut(topic).as_mut().expect("followed from here on");
        followed.keep_history(listening);
        followed
    }

    /// Follows a topic at a rate for those who read it beside the stream: until its slot is due, all are shown the same.
    pub(super) fn follow_read(&mut self, topic: TopicId) {
        self.follow(topic);
        if let Some(followed) = self.followed.get_mut(topic) {
            followed.was_read = true;
        }
    }

    /// The present state of a raw topic, its number and its time.
    pub(super) fn present(&self, topic: TopicId) -> (State, u64, Timestamp) {
        if let Some(mirrored) = self.mirrored(topic) {
            return mirrored;
        }
        let symbol = topic.symbol();
        let seq = self.numbers[topic.index()];
        let market = self.markets.of(symbol);
        let now = market.ts_event(symbol);
        match topic.channel() {
            Channel::Quote => {
                let cached = &self.last_quotes[symbol.index()];
                (State::Quote(cached.quote), seq, cached.ts_event)
            }
            Channel::Trade => {
                let last = market.trades(symbol).next_back();
                let ts_event = last.map_or(Timestamp::default(), |record| record.ts_event);
                (State::Trade(last.map(|record| record.trade)), seq, ts_event)
            }
            Channel::Book(depth) => {
                let levels =
                    BookLevels::new(market.book(symbol).bids(), market.book(symbol).asks(), depth, now);
                let seq = self.numbers[TopicId::new(Channel::Book(Depth::D10), symbol).index()];
                (State::Book(levels), seq, now)
            }
            Channel::Ticker => (State::Ticker(market.ticker(symbol)), seq, now),
            Channel::Bar(interval) => (State::Bar(interval, market.bar(symbol, interval).copied()), seq, now),
            Channel::Status => (State::Status(market.status(symbol)), seq, self.status_at[symbol.index()]),
        }
    }

    /// Follows none of a class's topics any more, as if nobody had ever listened; says which they were, the number
    /// that was last published of each, and how many changes were yet to be published.
    pub(super) fn forget(&mut self, class: Class) -> Vec<(TopicId, u64, u32)> {
        let Self { follows, followed, history_bytes, directory, .. } = self;
        self.next_look = 0;
        let topics = follows.extract_if(.., |topic| directory.class(topic.symbol()) == class);
        let forgotten = topics.filter_map(|topic| {
            let followed = followed.get_mut(topic).take()?;
            *history_bytes -= followed.histories.iter().flatten().map(History::size).sum::<usize>();
            Some((topic, followed.seq, followed.changes))
        });
        forgotten.collect()
    }

    /// Looks at some of the followed topics, all of them in turn: what nobody has listened to for [`RESUME_LINGER`] is
    /// followed no more.
    pub(super) fn forget_unfollowed(&mut self, now: Instant) {
        if self.next_look == 0 {
            if self.looked_at.is_some_and(|last| now.duration_since(last) < FOLLOWED_LOOK_EVERY) {
                return;
            }
            self.looked_at = Some(now);
            self.forget_unwanted();
        }
        for _ in 0..FOLLOWED_LOOKS_MAX {
            let Some(&topic) = self.follows.get(self.next_look) else {
                self.next_look = 0;
                return;
            };
            if self.is_still_followed(topic, now) {
                self.next_look += 1;
                continue;
            }
            *self.followed.get_mut(topic) = None;
            self.follows.swap_remove(self.next_look);
            if topic.rate() == Rate::Raw {
                self.forget_mirrored(topic);
            } else if let Some(raw) = self.followed.get_mut(topic.at(Rate::Raw)) {
                raw.rates &= !(1 << topic.rate() as u8);
            }
        }
    }

    fn is_still_followed(&mut self, topic: TopicId, now: Instant) -> bool {
        let listening = self.bus.handle().interest().of(topic);
        let Some(followed) = self.followed.get_mut(topic) else { return false };
        for (slot, shards) in followed.histories.iter_mut().zip([listening.json, listening.binary]) {
            let Some(history) = slot else { continue };
            if shards != 0 {
                history.left_at = None;
            } else if now.duration_since(*history.left_at.get_or_insert(now)) >= RESUME_LINGER {
                self.history_bytes -= history.size();
                *slot = None;
            }
        }
        if std::mem::take(&mut followed.was_read) {
            followed.read_at = Some(now);
        }
        listening.shards() != 0
            || followed.rates != 0
            || followed.histories.iter().any(Option::is_some)
            || followed.read_at.is_some_and(|at| now.duration_since(at) < RESUME_LINGER)
    }
}
