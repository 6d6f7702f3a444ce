//! The topics of a gateway: states as its ingest published them, built from the records that come by the bus.
//!
//! Where a publisher of an ingest reads the present state of a topic from its market, one of a gateway reads it here. Only
//! topics are here that somebody has asked for. One whose state has not come is *wanted*; one that is *held* follows its
//! updates, each of which names the number before it. Where that is not the number held, something is missing: the topic
//! stays as it is until the ingest has sent what came after it, or its state.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use feeds::{Level, SymbolId, Timestamp};
use rustc_hash::FxHashMap;

use super::levels;
use super::state::{self, News};
use crate::bus::Tape;
use crate::bus::broker::message::{Carried, CarriedForm, Want};
use crate::limits::{ASK_AGAIN_AFTER, TRADES_MAX};
use crate::market::{TradeRecord, checksum};
use crate::state::{Bar, Quote, Status, Ticker};
use crate::topic::{Channel, Depth, TopicId};
use crate::wire::binary::{
    BookLevels, Change, Held, Missed, RecordError, Records, Snapshot, Update, What, decode_records,
};

/// The states of one run of the stream.
#[derive(Debug)]
pub struct Mirror {
    epoch: Arc<str>,
    topics: FxHashMap<TopicId, Mirrored>,
    /// How many of them have no state yet.
    wanted: usize,
    /// Topics that the ingest is to be asked for at once.
    to_ask: Vec<TopicId>,
}

/// A topic.
#[derive(Debug, Default)]
struct Mirrored {
    held: Option<State>,
    /// What the ingest was asked for and has not sent yet, and since when.
    asked: Option<(Asked, Option<Instant>)>,
    /// Of trades: the ingest was asked for those before the first that came, and has not got more, or they are here.
    has_tape: bool,
}

/// What is asked of the ingest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// What came after the state that is held.
    Rest,
    /// The state: there is none, or it is not to be trusted.
    Whole,
}

/// A state, its number and its time.
#[derive(Debug)]
pub(super) struct State {
    pub(super) held: Held,
    pub(super) values: Values,
}

/// What a state is made of.
#[derive(Debug)]
pub(super) enum Values {
    Quote(Quote),
    /// The newest in a row, newest last.
    Trades(VecDeque<TradeRecord>),
    Book(Depth, BookLevels),
    Ticker(Box<Ticker>),
    Bar(Option<Box<Bar>>),
    Status(Status),
}

/// What a message leads to.
pub(super) enum Admitted<'a> {
    /// Nothing: it is old, of another run, or nobody here wants its topic.
    Nothing,
    /// Something is missing before it, which is being asked for. Whether that is news.
    Hole { is_new: bool },
    /// The whole state.
    State(Snapshot<'a>),
    /// The updates after the state that is held; whether these were missing.
    Updates { updates: Updates<'a>, refills: bool },
}

/// Updates of a message that follow the state that is held.
pub(super) struct Updates<'a> {
    records: Records<'a>,
    /// The number of the state before the next record.
    before: u64,
}

/// A message that makes no sense. The topic is asked for as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Its records cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record does not follow the one before it.
    #[error(transparent)]
    Missed(#[from] Missed),
    /// A record of another topic, another number or another kind than the message says.
    #[error("the records are not what the message says that they are")]
    Other,
    /// The book is another one than the ingest's.
    #[error("the book's checksum is {ours:08x}, and the ingest's {theirs:08x}")]
    Checksum {
        /// Of the book here.
        ours: u32,
        /// As it was sent.
        theirs: u32,
    },
}

/// How a topic came to a state that was sent whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// It had none.
    First,
    /// It was not to be trusted, and nothing has changed since it was last published.
    Same,
    /// It had the one before.
    Next,
    /// What lies between the two is not known here, and will not be: so many changes.
    Jump(u32),
}

impl Mirror {
    /// Of a run of the stream, with nothing in it.
    #[must_use]
    pub fn new(epoch: Arc<str>) -> Self {
        Self { epoch, topics: FxHashMap::default(), wanted: 0, to_ask: Vec::new() }
    }

    /// Of another run, with the same topics, none of which is known yet.
    #[must_use]
    pub fn of_next_run(&self, epoch: Arc<str>) -> Self {
        let mut next = Self::new(epoch);
        for &topic in self.topics.keys() {
            next.want(topic);
        }
        next
    }

    /// The run.
    #[must_use]
    pub const fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// How many topics there are, wanted or held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether every topic has a state.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.wanted == 0
    }

    /// Wants a topic; `false`: it is there already.
    pub fn want(&mut self, topic: TopicId) -> bool {
        let mut is_new = false;
        self.topics.entry(topic).or_insert_with(|| {
            is_new = true;
            Mirrored { asked: Some((Asked::Whole, None)), ..Mirrored::default() }
        });
        if is_new {
            self.wanted += 1;
            self.to_ask.push(topic);
        }
        is_new
    }

    /// Does not want a topic any more.
    pub fn forget(&mut self, topic: TopicId) {
        if self.topics.remove(&topic).is_some_and(|mirrored| mirrored.held.is_none()) {
            self.wanted -= 1;
        }
    }

    /// Whether a topic is there whose state has not come.
    pub(super) fn is_wanted(&self, topic: TopicId) -> bool {
        self.topics.get(&topic).is_some_and(|mirrored| mirrored.held.is_none())
    }

    /// Topics whose state has not come.
    pub fn wanted(&self) -> impl Iterator<Item = TopicId> {
        self.topics.iter().filter(|(_, mirrored)| mirrored.held.is_none()).map(|(&topic, _)| topic)
    }

    /// Asks for what came after every state that is held: much may have been lost.
    pub fn ask_for_all(&mut self) {
        for (&topic, mirrored) in &mut self.topics {
            mirrored.asked.get_or_insert((Asked::Rest, None)).1 = None;
            self.to_ask.push(topic);
        }
    }

    /// What the ingest is to be asked for at once; with `all`, also for what it has been asked for a while ago, and it is
    /// told of every topic that it goes on.
    pub fn asks(&mut self, now: Instant, all: bool) -> Vec<(TopicId, Want)> {
        let listed = std::mem::take(&mut self.to_ask);
        let mut asks = Vec::new();
        for topic in listed {
            asks.extend(self.topics.get_mut(&topic).and_then(|mirrored| Some((topic, mirrored.ask(now)?))));
        }
        if all {
            for (&topic, mirrored) in &mut self.topics {
                asks.push((topic, mirrored.ask(now).unwrap_or(Want::More)));
            }
        }
        asks
    }

    /// Lists what the ingest has been asked for long enough ago to be asked for again.
    pub fn look(&mut self, now: Instant) {
        let late = |since: Option<Instant>| since.is_some_and(|at| now.duration_since(at) >= ASK_AGAIN_AFTER);
        for (&topic, mirrored) in &mut self.topics {
            if let Some((_, since)) = &mut mirrored.asked
                && late(*since)
            {
                *since = None;
                self.to_ask.push(topic);
            }
        }
    }

    /// Topics whose state has come, and its number.
    pub fn held(&self) -> impl Iterator<Item = (TopicId, u64)> {
        self.topics.iter().filter_map(|(&topic, mirrored)| Some((topic, mirrored.held.as_ref()?.held.seq)))
    }

    /// Whether nothing is being asked for.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.topics.values().all(|mirrored| mirrored.asked.is_none())
    }

    /// Takes over what a message brings, for a run that has not begun.
    ///
    /// # Errors
    /// [`MirrorError`] when it makes no sense. The topic is asked for anew.
    pub fn carry(&mut self, carried: &Carried) -> Result<(), MirrorError> {
        match self.admit(carried)? {
            Admitted::Nothing | Admitted::Hole { .. } => Ok(()),
            Admitted::State(snapshot) => self.replace(carried, &snapshot).map(drop),
            Admitted::Updates { mut updates, .. } => {
                while let Some(held) = self.get(carried.topic).map(|state| state.held)
                    && let Some(update) = updates.next(carried.topic, &held)
                {
                    let update = update.inspect_err(|_| self.distrust(carried.topic))?;
                    self.advance(carried.topic, &update)?;
                }
                if self.get(carried.topic).is_none_or(|state| state.held.seq == carried.seq) {
                    return Ok(());
                }
                self.distrust(carried.topic);
                Err(MirrorError::Other)
            }
        }
    }

    pub(super) fn get(&self, topic: TopicId) -> Option<&State> {
        self.topics.get(&topic)?.held.as_ref()
    }

    /// Whether the ingest may have trades after number `held` that are not here.
    pub(super) fn lacks_trades(&self, topic: TopicId, held: u64) -> bool {
        let Some(mirrored) = self.topics.get(&topic).filter(|mirrored| !mirrored.has_tape) else {
            return false;
        };
        mirrored.held.as_ref().is_none_or(|state| match &state.values {
            Values::Trades(trades) => {
                held < state.held.seq && trades.front().is_none_or(|oldest| held < oldest.number)
            }
            _ => false,
        })
    }

    /// Takes over trades before those that have come; `None`: the ingest does not tell them.
    ///
    /// # Errors
    /// [`MirrorError`] when they make no sense; none of them is taken over then.
    pub(super) fn take_tape(&mut self, topic: TopicId, tape: Option<&Tape>) -> Result<(), MirrorError> {
        let Some(mirrored) = self.topics.get_mut(&topic) else { return Ok(()) };
        mirrored.has_tape = true;
        let Some(State { values: Values::Trades(trades), .. }) = &mut mirrored.held else { return Ok(()) };
        let (Some(tape), Some(oldest)) = (tape.filter(|tape| tape.epoch == self.epoch), trades.front())
        else {
            return Ok(());
        };
        let mut earlier = trades_in(topic, tape)?;
        earlier.retain(|record| record.number < oldest.number);
        if earlier.back().is_some_and(|newest| newest.number + 1 == oldest.number) {
            let room = TRADES_MAX.saturating_sub(trades.len());
            earlier.drain(..earlier.len().saturating_sub(room));
            earlier.append(trades);
            *trades = earlier;
        }
        Ok(())
    }

    /// The newest trades of an instrument in a row, newest last.
    pub(super) fn trades(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = &TradeRecord> {
        let trades = self.get(TopicId::new(Channel::Trade, symbol)).map(|state| match &state.values {
            Values::Trades(trades) => trades,
            _ => unreachable!("trades alone are in the topic of trades"),
        });
        trades.into_iter().flatten()
    }

    /// Says what a message leads to.
    pub(super) fn admit<'a>(&mut self, carried: &'a Carried) -> Result<Admitted<'a>, MirrorError> {
        if carried.epoch != self.epoch {
            return Ok(Admitted::Nothing);
        }
        let Some(mirrored) = self.topics.get_mut(&carried.topic) else { return Ok(Admitted::Nothing) };
        let held = mirrored.held.as_ref().map(|state| state.held.seq);
        let is_void = matches!(mirrored.asked, Some((Asked::Whole, _)));
        match carried.form {
            CarriedForm::State => {
                if held.is_some_and(|held| held > carried.seq) {
                    return Ok(Admitted::Nothing);
                }
                if held == Some(carried.seq) && !is_void {
                    mirrored.asked = None;
                    return Ok(Admitted::Nothing);
                }
                state_in(carried).map(Admitted::State).inspect_err(|_| self.distrust(carried.topic))
            }
            CarriedForm::Updates => match held {
                // The state comes.
                None => Ok(Admitted::Nothing),
                Some(_) if is_void => Ok(Admitted::Nothing),
                Some(held) if held < carried.prev => {
                    let is_new = mirrored.asked.is_none();
                    if is_new {
                        mirrored.asked = Some((Asked::Rest, None));
                        self.to_ask.push(carried.topic);
                    }
                    Ok(Admitted::Hole { is_new })
                }
                Some(held) => {
                    // It is all there up to the message's number.
                    let refills = mirrored.asked.take().is_some();
                    if held >= carried.seq {
                        return Ok(Admitted::Nothing);
                    }
                    let records = decode_records(&carried.records);
                    Ok(Admitted::Updates { updates: Updates { records, before: carried.prev }, refills })
                }
            },
        }
    }

    /// The topic is not what the ingest has.
    pub(super) fn distrust(&mut self, topic: TopicId) {
        if let Some(mirrored) = self.topics.get_mut(&topic) {
            mirrored.asked = Some((Asked::Whole, None));
            self.to_ask.push(topic);
        }
    }

    /// Takes over a whole state.
    pub(super) fn replace(
        &mut self,
        carried: &Carried,
        snapshot: &Snapshot<'_>,
    ) -> Result<Replaced, MirrorError> {
        let topic = carried.topic;
        let Some(mirrored) = self.topics.get_mut(&topic) else { return Ok(Replaced::First) };
        let state = State::of(topic, snapshot).inspect_err(|_| {
            mirrored.asked = Some((Asked::Whole, None));
            self.to_ask.push(topic);
        })?;
        let before = mirrored.held.as_ref().map(|state| state.held.seq);
        mirrored.asked = None;
        mirrored.held = Some(state);
        mirrored.has_tape = false;
        Ok(match before {
            None => {
                self.wanted -= 1;
                Replaced::First
            }
            Some(before) if before == snapshot.seq => Replaced::Same,
            Some(before) if before == carried.prev && carried.merged <= 1 => Replaced::Next,
            Some(before) if before == carried.prev => Replaced::Jump(carried.merged),
            Some(before) => Replaced::Jump(u32::try_from(snapshot.seq - before).unwrap_or(u32::MAX).max(1)),
        })
    }

    /// Takes over an update of [`Updates`]; says what is new.
    pub(super) fn advance(&mut self, topic: TopicId, update: &Update<'_>) -> Result<News, MirrorError> {
        let Some(state) = self.topics.get_mut(&topic).and_then(|mirrored| mirrored.held.as_mut()) else {
            return Err(MirrorError::Other);
        };
        state.advance(update).inspect_err(|_| self.distrust(topic))
    }
}

impl Mirrored {
    /// What is to be asked for now, if anything is.
    fn ask(&mut self, now: Instant) -> Option<Want> {
        let (asked, since) = self.asked.as_mut()?;
        *since = Some(now);
        Some(match (*asked, &self.held) {
            (Asked::Rest, Some(state)) => Want::After(state.held.seq),
            (Asked::Rest | Asked::Whole, _) => Want::State,
        })
    }
}

/// The state that is the last record of a message. The epoch in it is the ingest's own, and not looked at.
fn state_in(carried: &Carried) -> Result<Snapshot<'_>, MirrorError> {
    let mut last = None;
    for record in decode_records(&carried.records) {
        let record = record?;
        if record.topic != carried.topic {
            return Err(MirrorError::Other);
        }
        last = Some(record.what);
    }
    match last {
        Some(What::Snapshot(snapshot)) if snapshot.seq == carried.seq => Ok(snapshot),
        _ => Err(MirrorError::Other),
    }
}

/// All trades of a tape, oldest first.
fn trades_in(topic: TopicId, tape: &Tape) -> Result<VecDeque<TradeRecord>, MirrorError> {
    let mut state: Option<State> = None;
    for record in decode_records(&tape.records) {
        let record = record?;
        match (&mut state, record.what) {
            _ if record.topic != topic => return Err(MirrorError::Other),
            (state @ None, What::Snapshot(snapshot)) => *state = Some(State::of(topic, &snapshot)?),
            (Some(state), What::Update(update)) => drop(state.advance(&update)?),
            _ => return Err(MirrorError::Other),
        }
    }
    Ok(match state {
        Some(State { values: Values::Trades(trades), .. }) => trades,
        _ => VecDeque::new(),
    })
}

impl<'a> Updates<'a> {
    /// The next update after the state that is held.
    pub(super) fn next(&mut self, topic: TopicId, held: &Held) -> Option<Result<Update<'a>, MirrorError>> {
        loop {
            let update = match self.records.next()? {
                Ok(record) if record.topic != topic => return Some(Err(MirrorError::Other)),
                Ok(record) => match record.what {
                    What::Update(update) => update,
                    What::Snapshot(_) | What::Gap(_) | What::Merged(_) => {
                        return Some(Err(MirrorError::Other));
                    }
                },
                Err(error) => return Some(Err(error.into())),
            };
            // Its time is of no interest: that of the state before it is not known.
            let before = Held { seq: self.before, ..Held::default() };
            let known = self.before < held.seq;
            self.before = match update.follow(&before) {
                Ok(after) => after.seq,
                Err(missed) => return Some(Err(missed.into())),
            };
            if !known {
                return Some(Ok(update));
            }
        }
    }
}

impl State {
    fn of(topic: TopicId, snapshot: &Snapshot<'_>) -> Result<Self, MirrorError> {
        let held = Held { seq: snapshot.seq, ts_event: snapshot.ts_event };
        let values = match (topic.channel(), &snapshot.change) {
            (Channel::Quote, Some(Change::Quote(change))) => Values::Quote(change.apply(&Quote::default())),
            (Channel::Trade, None) => Values::Trades(VecDeque::new()),
            (Channel::Trade, Some(Change::Trade(change))) => {
                let (trade, ts_event, number) = (change.apply(None), held.ts_event, held.seq);
                Values::Trades([TradeRecord { trade, ts_event, number }].into())
            }
            (Channel::Book(depth), Some(Change::Book(change))) => {
                let mut levels = BookLevels::default();
                change.apply(&mut levels, depth);
                check(&levels, change.checksum)?;
                Values::Book(depth, levels)
            }
            (Channel::Ticker, Some(Change::Ticker(change))) => {
                Values::Ticker(Box::new(change.apply(&Ticker::default())))
            }
            (Channel::Bar(_), None) => Values::Bar(None),
            (Channel::Bar(_), Some(Change::Bar(change))) => Values::Bar(Some(Box::new(change.apply(None)))),
            (Channel::Status, Some(Change::Status { state, reason })) => {
                Values::Status(Status { state: *state, reason: (*reason).to_owned().into() })
            }
            _ => return Err(MirrorError::Other),
        };
        Ok(Self { held, values })
    }

    fn advance(&mut self, update: &Update<'_>) -> Result<News, MirrorError> {
        let held = update.follow(&self.held)?;
        let news = match (&mut self.values, &update.change) {
            (Values::Quote(quote), Change::Quote(change)) => {
                *quote = change.apply(quote);
                News::State
            }
            (Values::Trades(trades), Change::Trade(change)) => {
                let trade = change.apply(trades.back().map(|record| &record.trade));
                if trades.len() == TRADES_MAX {
                    trades.pop_front();
                }
                trades.push_back(TradeRecord { trade, ts_event: held.ts_event, number: held.seq });
                News::Trade(trade)
            }
            (Values::Book(depth, levels), Change::Book(change)) => {
                change.apply(levels, *depth);
                check(levels, change.checksum)?;
                News::Book { from: 0 }
            }
            (Values::Ticker(ticker), Change::Ticker(change)) => {
                **ticker = change.apply(ticker);
                News::State
            }
            (Values::Bar(bar), Change::Bar(change)) => {
                let new = change.apply(bar.as_deref());
                *bar = Some(Box::new(new));
                News::Bar(new)
            }
            (Values::Status(status), Change::Status { state, reason }) => {
                *status = Status { state: *state, reason: (*reason).to_owned().into() };
                News::State
            }
            _ => return Err(MirrorError::Other),
        };
        self.held = held;
        Ok(news)
    }

    /// What is new where a whole state came: what the state itself says.
    pub(super) fn news(&self) -> News {
        match &self.values {
            Values::Trades(trades) => trades.back().map_or(News::State, |record| News::Trade(record.trade)),
            Values::Book(..) => News::Book { from: 0 },
            Values::Bar(Some(bar)) => News::Bar(**bar),
            Values::Quote(_) | Values::Ticker(_) | Values::Bar(None) | Values::Status(_) => News::State,
        }
    }
}

fn check(levels: &BookLevels, theirs: Option<u32>) -> Result<(), MirrorError> {
    let Some(theirs) = theirs else { return Ok(()) };
    let ours = checksum(levels.asks.iter().copied(), levels.bids.iter().copied());
    if ours == theirs { Ok(()) } else { Err(MirrorError::Checksum { ours, theirs }) }
}

impl State {
    pub(super) fn quote(&self) -> Quote {
        if let Values::Quote(quote) = &self.values { *quote } else { Quote::default() }
    }

    /// Best first.
    pub(super) fn bids(&self) -> &[Level] {
        if let Values::Book(_, levels) = &self.values { &levels.bids } else { &[] }
    }

    /// Best first.
    pub(super) fn asks(&self) -> &[Level] {
        if let Values::Book(_, levels) = &self.values { &levels.asks } else { &[] }
    }

    pub(super) fn ticker(&self) -> Ticker {
        if let Values::Ticker(ticker) = &self.values { **ticker } else { Ticker::default() }
    }

    pub(super) fn status(&self) -> Status {
        match &self.values {
            Values::Status(status) => status.clone(),
            _ => unreachable!("the status of a topic that has none"),
        }
    }

    /// The state as publishers keep it.
    pub(super) fn published(&self, topic: TopicId) -> state::State {
        use state::State as Published;
        match &self.values {
            Values::Quote(quote) => Published::Quote(*quote),
            Values::Trades(trades) => Published::Trade(trades.back().map(|record| record.trade)),
            Values::Book(depth, _) => Published::Book(levels::BookLevels::new(
                self.bids().iter().copied(),
                self.asks().iter().copied(),
                *depth,
                self.held.ts_event,
            )),
            Values::Ticker(ticker) => Published::Ticker(**ticker),
            Values::Bar(bar) => match topic.channel() {
                Channel::Bar(interval) => Published::Bar(interval, bar.as_deref().copied()),
                _ => unreachable!("bars alone are in the topic of bars"),
            },
            Values::Status(status) => Published::Status(status.clone()),
        }
    }

    /// When it was last changed.
    pub(super) const fn ts_event(&self) -> Timestamp {
        self.held.ts_event
    }
}
