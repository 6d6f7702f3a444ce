//! From changes of the market to numbered topic messages.
//!
//! One thread owns the publisher and the market in it. It numbers every state of every topic, keeps the quote cache,
//! and encodes what some shard has interest in: once, whatever the number of clients.
//!
//! A topic's `seq` counts the changes of what the topic is made from (for `book`, of the whole book, so that the
//! number of a state does not depend on who listens). Updates name the state before them as `prev_seq`: what is kept
//! of the topic as *followed*, the state last published. A topic that nobody listens to is not followed; it is from
//! when its state is next asked for, and for [`RESUME_LINGER`](crate::limits::RESUME_LINGER) after the last has left.
//!
//! A topic at a rate is made from the raw one, which is followed with it: every change of the raw topic is counted for
//! the rate, and when the rate's slot is due, the difference between what was published at it and the present state
//! is. So the numbers of changes are exact, and a raw topic without rates pays one comparison. Who reads a topic at a rate beside the
//! stream is shown what was last published at it, and so has it followed like one who listens.

mod batch;
mod delayed;
mod followed;
mod history;
mod kept;
mod levels;
mod markets;
mod mirror;
mod rates;
mod relay;
mod requests;
mod state;
mod touched;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use feeds::clock::monotonic;
use feeds::{EventBody, MarketEvent, SymbolId, Timestamp};

use crate::bus::{Bus, Kind};
use crate::directory::{Class, Directory};
use crate::limits::BATCH_BYTES_MAX;
use crate::market::quotes::{CachedQuote, QuoteWriter};
use crate::market::{Change, Market};
use crate::metrics::Metrics;
use crate::state::{Status, StatusState};
use crate::topic::{Channel, Depth, Interval, PerTopic, Rate, TopicId};

pub use kept::{RecallError, Recalled};
pub use mirror::{Mirror, MirrorError};
pub use relay::Errands;

use batch::{BatchBuilder, Missed};
use followed::Followed;
use markets::Markets;
use rates::Rates;
use relay::Relay;
use requests::{Ask, Backlog, Read};
use state::News;
use touched::Touched;

/// What happens when a shard cannot take a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The shard gets the states of the batch's topics once it breathes again: the feed never waits.
    Conflate,
    /// The feed waits: for recordings at full speed, of which nobody wants to miss a part.
    Wait,
}

/// Numbers, caches and encodes; see the module.
pub struct Publisher {
    directory: Directory,
    markets: Markets,
    /// Of a gateway: what it has in place of a market.
    relay: Option<Box<Relay>>,
    quotes: QuoteWriter,
    bus: Bus,
    metrics: Metrics,
    when_full: WhenFull,
    epoch: Arc<str>,
    /// The newest number of each topic; of a book's depths at the first of them.
    numbers: Vec<u64>,
    /// What was last published of each topic that is followed, at each rate.
    followed: PerTopic<Option<Box<Followed>>>,
    /// Those topics, in no order, and the next to be looked at for whether anybody still listens.
    follows: Vec<TopicId>,
    next_look: usize,
    looked_at: Option<Instant>,
    /// Bytes of the histories of all topics.
    history_bytes: usize,
    rates: Rates,
    /// Topics at a rate that are being published: a buffer.
    due: Vec<TopicId>,
    /// The newest quote of each instrument with its number and time, as the cache has it.
    last_quotes: Vec<CachedQuote>,
    /// When each instrument's status last changed.
    status_at: Vec<Timestamp>,
    /// The state of each instrument as it is counted.
    states: Vec<Option<StatusState>>,
    changes: Vec<Change>,
    touched: Touched,
    batch: BatchBuilder,
    /// When the first message came of those whose changes are not handed on yet.
    received: Option<Instant>,
    backlog: Backlog,
    /// Requests of subscribers that hold states: the first is being answered.
    asks: VecDeque<Ask>,
    /// States that are to be read beside the stream: the first is being encoded.
    reads: VecDeque<Read>,
    /// Requests for states of the stream that have been taken.
    subscriptions: u64,
    /// By shard: its newest request that has been taken.
    answered: Vec<u64>,
    /// By shard: topics whose messages it could not take.
    missed: Vec<BTreeMap<TopicId, Missed>>,
}

impl Publisher {
    /// A publisher of a feed's instruments, with nothing in it yet.
    #[must_use]
    pub fn new(
        directory: Directory,
        quotes: QuoteWriter,
        bus: Bus,
        metrics: Metrics,
        epoch: Arc<str>,
        when_full: WhenFull,
    ) -> Self {
        let topics = TopicId::count(directory.len());
        bus.set_epoch(Some(Arc::clone(&epoch)));
        let mut publisher = Self {
            markets: Markets::new(&directory),
            relay: None,
            quotes,
            metrics,
            when_full,
            epoch,
            numbers: vec![0; topics],
            followed: PerTopic::new(topics),
            follows: Vec::new(),
            next_look: 0,
            looked_at: None,
            history_bytes: 0,
            rates: Rates::new(),
            due: Vec::new(),
            last_quotes: vec![CachedQuote::default(); directory.len()],
            status_at: vec![Timestamp::default(); directory.len()],
            states: vec![None; directory.len()],
            changes: Vec::new(),
            touched: Touched::new(directory.len()),
            batch: BatchBuilder::default(),
            received: None,
            backlog: Backlog::new(topics),
            asks: VecDeque::new(),
            reads: VecDeque::new(),
            subscriptions: 0,
            answered: vec![0; bus.shards()],
            missed: vec![BTreeMap::new(); bus.shards()],
            directory,
            bus,
        };
        for class in Class::ALL {
            publisher.count_states(class);
        }
        publisher
    }

    /// The market's present state, whatever is also served late.
    #[must_use]
    pub const fn market(&self) -> &Market {
        self.markets.real_time()
    }

    /// How many requests to subscribe have been taken so far.
    #[must_use]
    pub const fn subscriptions(&self) -> u64 {
        self.subscriptions
    }

    /// Whether some shard is yet to be told what it missed or asked for, as soon as it has room.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.missed.iter().any(|missed| !missed.is_empty()) || !self.asks.is_empty()
    }

    /// The bus that it publishes on.
    #[must_use]
    pub const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Takes the events of one message of the feed, and encodes what they changed.
    pub fn apply(&mut self, events: &[MarketEvent]) {
        self.received.get_or_insert_with(monotonic);
        self.take_events(Class::RealTime, events);
        self.metrics.feed_messages_total().add(1);
        self.metrics.feed_events_total().add(events.len() as u64);
    }

    fn take_events(&mut self, class: Class, events: &[MarketEvent]) {
        let mut changes = std::mem::take(&mut self.changes);
        let market = self.markets.class(class);
        for event in events {
            if matches!(event.body, EventBody::Definition(_)) {
                continue;
            }
            market.apply(event, &mut changes);
        }
        market.end_message();
        self.publish(&mut changes);
        self.changes = changes;
    }

    /// Feed time has come to `now`: bars that are over are closed.
    pub fn advance(&mut self, now: Timestamp) {
        self.advance_class(Class::RealTime, now);
    }

    fn advance_class(&mut self, class: Class, now: Timestamp) {
        let mut changes = std::mem::take(&mut self.changes);
        self.markets.class(class).advance(now, &mut changes);
        self.publish(&mut changes);
        self.changes = changes;
    }

    /// Says of every instrument that its feed is silent or over; `None`: it lives again.
    pub fn set_feed_state(&mut self, state: Option<(StatusState, &'static str)>) {
        let state = state.map(|(state, reason)| Status { state, reason: reason.into() });
        self.set_class_state(Class::RealTime, state.as_ref());
    }

    fn set_class_state(&mut self, class: Class, state: Option<&Status>) {
        let mut changes = std::mem::take(&mut self.changes);
        let market = self.markets.class(class);
        for (symbol, _) in self.directory.of(class) {
            market.set_feed_state(symbol, state, &mut changes);
        }
        self.publish(&mut changes);
        self.changes = changes;
    }

    /// Begins another run of the stream: all state is void, or what was kept of a run before, and everybody who follows
    /// something is told.
    pub fn restart(&mut self, epoch: Arc<str>, recalled: Option<Recalled>) {
        self.begin_run(Class::RealTime, epoch, recalled);
    }

    fn begin_run(&mut self, class: Class, epoch: Arc<str>, recalled: Option<Recalled>) {
        self.flush();
        self.bus.set_epoch(None);
        self.markets.class(class).reset();
        self.epoch = epoch;
        self.forget(class);
        for (symbol, _) in self.directory.clone().of(class) {
            for channel in Channel::ALL {
                self.numbers[TopicId::new(channel, symbol).index()] = 0;
            }
            self.last_quotes[symbol.index()] = CachedQuote::default();
            self.status_at[symbol.index()] = Timestamp::default();
            self.quotes.set(symbol, &CachedQuote::default());
        }
        for missed in &mut self.missed {
            missed.clear();
        }
        if let Some(recalled) = recalled {
            self.take_over(recalled);
        }
        self.count_states(class);
        self.bus.set_epoch(Some(Arc::clone(&self.epoch)));
        self.tell_everybody();
    }

    /// A state for everybody of each topic that somebody listens to.
    fn tell_everybody(&mut self) {
        for rate in Rate::ALL {
            for index in 0..self.numbers.len() {
                let raw = TopicId(u32::try_from(index).expect("topics are fewer than 2^32"));
                let topic = raw.at(rate);
                let shards = self.bus.handle().interest().of(topic).shards();
                if shards != 0 {
                    self.encode_state(topic, Kind::Snapshot, 1, shards);
                    self.flush_if_full();
                }
            }
        }
        self.flush();
    }

    /// It is `now`, by a clock that never stands still: publishes what is due at the rates, and forgets what nobody
    /// has followed for long. Says when it has to be called next at the latest; `None`: nothing waits for a time.
    pub fn tick(&mut self, now: Instant) -> Option<Instant> {
        let mut due = std::mem::take(&mut self.due);
        self.rates.take_due(now, &mut due);
        for topic in due.drain(..) {
            self.publish_rate(topic);
            self.flush_if_full();
        }
        self.due = due;
        self.forget_unfollowed(now);
        self.rates.next_due()
    }

    /// Answers requests, makes good what full shards have missed, and hands on what was encoded: the end of a turn.
    /// Says whether it could do more at once.
    pub fn end_turn(&mut self) -> bool {
        self.end_turn_at(monotonic())
    }

    /// By a clock that says how late shards are.
    fn end_turn_at(&mut self, now: Instant) -> bool {
        self.bus.look(now);
        let could_do_more = self.answer_requests();
        self.flush();
        // Of messages that nobody follows, nothing was handed on.
        self.received = None;
        self.make_good();
        let faults = self.markets.real_time().faults();
        self.metrics.unknown_orders_total().set(faults.unknown_orders);
        self.metrics.book_checksums_ok_total().set(faults.checksums_ok);
        self.metrics.book_checksums_failed_total().set(faults.checksums_failed);
        self.metrics.sequence_gaps_total().set(faults.sequence_gaps);
        could_do_more
    }

    fn publish(&mut self, changes: &mut Vec<Change>) {
        // By reference, and cleared at once: a change is as large as its largest kind, a closed bar.
        for change in &*changes {
            match *change {
                Change::Trade { symbol, trade, ts_event, number } => {
                    let topic = TopicId::new(Channel::Trade, symbol);
                    self.numbers[topic.index()] = number;
                    self.publish_raw(topic, number, ts_event, 1, News::Trade(trade));
                }
                Change::BarClosed { symbol, interval, bar } => {
                    self.publish_next(Channel::Bar(interval), symbol, News::Bar(bar));
                }
                Change::Quote { symbol } => self.touched.mark(symbol).quote = true,
                Change::Book { symbol, index } => {
                    let book = &mut self.touched.mark(symbol).book;
                    *book = Some(book.map_or(index, |shallowest| shallowest.min(index)));
                }
                Change::Ticker { symbol } => self.touched.mark(symbol).ticker = true,
                Change::Bar { symbol, interval } => {
                    self.touched.mark(symbol).bars |= 1 << interval as u8;
                }
                Change::Status { symbol } => self.touched.mark(symbol).status = true,
            }
        }
        changes.clear();
        while let Some(symbol) = self.touched.symbols.pop() {
            let marks = std::mem::take(&mut self.touched.marks[symbol.index()]);
            if marks.quote {
                self.publish_quote(symbol);
            }
            if let Some(index) = marks.book {
                self.publish_book(symbol, index);
            }
            if marks.ticker {
                self.publish_next(Channel::Ticker, symbol, News::State);
            }
            for interval in Interval::ALL {
                if marks.bars & (1 << interval as u8) != 0
                    && let Some(&bar) = self.markets.of(symbol).bar(symbol, interval)
                {
                    self.publish_next(Channel::Bar(interval), symbol, News::Bar(bar));
                }
            }
            if marks.status {
                self.status_at[symbol.index()] = self.markets.of(symbol).ts_event(symbol);
                self.count_state(symbol);
                self.publish_next(Channel::Status, symbol, News::State);
            }
        }
        self.flush_if_full();
    }

    /// Counts an instrument in the state that it is in now.
    fn count_state(&mut self, symbol: SymbolId) {
        let now = self.markets.of(symbol).status(symbol).state;
        let before = self.states[symbol.index()].replace(now);
        if before == Some(now) {
            return;
        }
        let class = self.directory.class(symbol);
        self.metrics.instruments().of(class, now).add(1);
        if let Some(before) = before {
            self.metrics.instruments().of(class, before).add(-1);
        }
    }

    fn count_states(&mut self, class: Class) {
        for (symbol, _) in self.directory.clone().of(class) {
            self.count_state(symbol);
        }
    }

    fn publish_quote(&mut self, symbol: SymbolId) {
        let quote = self.markets.of(symbol).quote(symbol);
        if self.last_quotes[symbol.index()].quote == quote {
            return;
        }
        let topic = TopicId::new(Channel::Quote, symbol);
        let seq = self.bump(topic);
        let ts_event = self.markets.of(symbol).ts_event(symbol);
        let cached = CachedQuote { quote, seq, ts_event };
        self.last_quotes[symbol.index()] = cached;
        self.quotes.set(symbol, &cached);
        self.publish_raw(topic, seq, ts_event, 1, News::State);
    }

    fn publish_book(&mut self, symbol: SymbolId, index: usize) {
        let seq = self.bump(TopicId::new(Channel::Book(Depth::D10), symbol));
        let ts_event = self.markets.of(symbol).ts_event(symbol);
        for depth in Depth::ALL {
            if index < depth.levels() {
                let topic = TopicId::new(Channel::Book(depth), symbol);
                self.publish_raw(topic, seq, ts_event, 1, News::Book { from: index });
            }
        }
    }

    fn publish_next(&mut self, channel: Channel, symbol: SymbolId, news: News) {
        let topic = TopicId::new(channel, symbol);
        let seq = self.bump(topic);
        let ts_event = self.markets.of(symbol).ts_event(symbol);
        self.publish_raw(topic, seq, ts_event, 1, news);
    }

    fn bump(&mut self, topic: TopicId) -> u64 {
        let number = &mut self.numbers[topic.index()];
        *number += 1;
        *number
    }

    fn flush_if_full(&mut self) {
        if self.batch.bytes() >= BATCH_BYTES_MAX {
            self.flush();
        }
    }
}
