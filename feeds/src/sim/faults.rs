//! Faults on demand, of the line from the simulated venue to us.
//!
//! The market behind the line is the same with and without them, so the seed decides whom they strike: the instrument whose
//! message comes next at the time of the fault. Each instrument's messages are numbered by the venue, and read by the rule
//! that live venues are read by: a number other than the one due is a gap, whatever came. A book after a gap is void until
//! its snapshot, which comes [`RESYNC`] later, between two messages of the venue.
//!
//! ```text
//!  gap        message n is lost                    Gap { n, n + 1 } before n + 1, snapshot
//!  reorder    n comes right after n + 1            Gap { n, n + 1 } before n + 1, Gap { n + 2, n } before n, snapshot
//!  duplicate  n comes twice                        Gap { n + 1, n } before the second, snapshot
//!  silence    nothing comes of any instrument      Gap and snapshot of each instrument that something was missed of
//!  crossed    a bid above the best offer comes     snapshot
//! ```
//!
//! A snapshot of a book by order is a clear and all its orders. Best bids and offers of [`super::SimMode::Quotes`] are whole
//! in each message and need none. At most one instrument is struck at a time: a fault that is due while another is not
//! healed waits for that.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Engine;
use crate::{EventBody, FeedError, MarketEvent, OrderId, SymbolId, Timestamp};

/// From what shows that a book is wrong to its snapshot: a round trip to a far venue.
const RESYNC: i64 = 250_000_000;
/// Numbers of made up orders begin here, where no market comes.
const MADE_UP: u64 = 1 << 63;

/// Which faults there are, and how often, in the time of the simulation; the first of each comes after the time once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimFaults {
    /// A message is lost.
    pub gap: Option<Duration>,
    /// A message comes after the next one of its instrument.
    pub reorder: Option<Duration>,
    /// A message comes twice.
    pub duplicate: Option<Duration>,
    /// A book is crossed.
    pub crossed: Option<Duration>,
    /// Nothing comes at all.
    pub silence: Option<Silence>,
}

/// When nothing comes, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// From the beginning of one to that of the next.
    pub every: Duration,
    /// How long each lasts; less than `every`.
    pub length: Duration,
}

impl SimFaults {
    pub(super) fn check(&self) -> Result<(), FeedError> {
        let silence = self.silence.map(|silence| silence.every);
        let times = [
            ("gap", self.gap),
            ("reorder", self.reorder),
            ("duplicate", self.duplicate),
            ("crossed", self.crossed),
            ("silence", silence),
        ];
        for (name, every) in times {
            if every.is_some_and(|every| every.is_zero() || i64::try_from(every.as_nanos()).is_err()) {
                let text = format!("simulated faults: {name} must come every 1 ns to 292 years");
                return Err(FeedError::Settings(text));
            }
        }
        match self.silence {
            Some(Silence { every, length }) if length.is_zero() || length >= every => {
                Err(FeedError::Settings(format!(
                    "simulated faults: silence every {every:?} must last less than that and more than nothing, not \
                     {length:?}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The line, and what it has done to whom.
pub(super) struct Line {
    strikes: Vec<(Strike, Timer)>,
    silences: Option<(Timer, i64)>,
    /// By [`SymbolId`].
    numbers: Vec<Numbers>,
    struck: Option<Struck>,
    /// Comes before anything else: a message that was held back, repeated or made up.
    late: Option<Message>,
    /// Until when nothing comes.
    silent: Option<Timestamp>,
    /// Of whom something was missed in silence, with the last status that was.
    missed: BTreeMap<SymbolId, Option<EventBody>>,
    now: Timestamp,
    made_up: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strike {
    Gap,
    Reorder,
    Duplicate,
    Crossed,
}

struct Message {
    symbol: SymbolId,
    number: u64,
    events: Vec<MarketEvent>,
}

enum Struck {
    /// The next message of the instrument shows it; this one comes after that.
    Until { symbol: SymbolId, held: Option<Message> },
    /// A snapshot was asked for.
    Healing { symbol: SymbolId, at: Timestamp },
}

/// The venue's numbering of an instrument's messages, from 1.
#[derive(Clone, Default)]
struct Numbers {
    sent: u64,
    /// The greatest that came.
    came: u64,
}

/// Every so often; `None`: time stamps run out before.
struct Timer {
    next: Option<i64>,
    every: i64,
}

impl Line {
    /// `None`: a line without faults.
    pub(super) fn new(faults: &SimFaults, instruments: usize, start: Timestamp) -> Option<Self> {
        let timer = |every: Duration| {
            let every = i64::try_from(every.as_nanos()).unwrap_or(i64::MAX);
            Timer { next: start.0.checked_add(every), every }
        };
        let strikes: Vec<_> = [
            (Strike::Gap, faults.gap),
            (Strike::Reorder, faults.reorder),
            (Strike::Duplicate, faults.duplicate),
            (Strike::Crossed, faults.crossed),
        ]
        .into_iter()
        .filter_map(|(strike, every)| Some((strike, timer(every?))))
        .collect();
        let silences = faults.silence.map(|Silence { every, length }| {
            (timer(every), i64::try_from(length.as_nanos()).unwrap_or(i64::MAX))
        });
        (!strikes.is_empty() || silences.is_some()).then(|| Self {
            strikes,
            silences,
            numbers: vec![Numbers::default(); instruments],
            struck: None,
            late: None,
            silent: None,
            missed: BTreeMap::new(),
            now: start,
            made_up: 0,
        })
    }

    /// The next message that comes; `None` when the market has ended. What is missed in silence is made all the same,
    /// in this call: it takes no longer than the silence wherever the market can be played as it happens.
    pub(super) fn next_message(
        &mut self,
        engine: &mut Engine,
        events: &mut Vec<MarketEvent>,
    ) -> Option<Timestamp> {
        let start = events.len();
        loop {
            if let Some(Message { symbol, number, events: mut late }) = self.late.take() {
                for event in &mut late {
                    event.ts_recv = self.now;
                }
                events.append(&mut late);
                self.receive(symbol, number, start, events);
                return Some(self.now);
            }
            if self.silent.is_none()
                && let Some((symbol, status)) = self.missed.pop_first()
            {
                self.resume(symbol, status, engine, events);
                return Some(self.now);
            }
            if let Some(Struck::Healing { symbol, at }) = self.struck
                && at <= self.now
                && self.silent.is_none()
            {
                self.struck = None;
                engine.snapshot(symbol, self.now, events);
                if events.len() > start {
                    let numbers = &mut self.numbers[symbol.index()];
                    numbers.sent += 1;
                    numbers.came = numbers.sent;
                    return Some(self.now);
                }
            }
            self.now = engine.next_message(events)?;
            let Some(symbol) = events.get(start).map(|event| event.symbol) else { return Some(self.now) };
            self.numbers[symbol.index()].sent += 1;
            if self.listens() {
                if self.pass(symbol, start, engine, events) {
                    return Some(self.now);
                }
            } else {
                self.miss(symbol, events.drain(start..));
            }
        }
    }

    /// Whether what comes now is heard. The message that ends a silence is not, where others were missed: its
    /// instrument resumes with them.
    fn listens(&mut self) -> bool {
        if self.silent.is_none()
            && let Some((timer, length)) = &mut self.silences
            && let Some(began) = timer.strike(self.now)
        {
            self.silent = began.checked_add(*length).map(Timestamp);
        }
        if self.silent.is_some_and(|until| self.now >= until) {
            self.silent = None;
            return self.missed.is_empty();
        }
        self.silent.is_none()
    }

    fn miss(&mut self, symbol: SymbolId, events: impl Iterator<Item = MarketEvent>) {
        let missed = self.missed.entry(symbol).or_default();
        for event in events {
            if matches!(event.body, EventBody::Status { .. }) {
                *missed = Some(event.body);
            }
        }
    }

    /// After a silence: that something was missed, and what the instrument is now.
    fn resume(
        &mut self,
        symbol: SymbolId,
        status: Option<EventBody>,
        engine: &Engine,
        events: &mut Vec<MarketEvent>,
    ) {
        let (start, now) = (events.len(), self.now);
        if let Some(body) = status {
            events.push(MarketEvent { symbol, ts_event: now, ts_recv: now, sequence: 0, body });
        }
        engine.snapshot(symbol, now, events);
        let numbers = &mut self.numbers[symbol.index()];
        numbers.sent += 1;
        let number = numbers.sent;
        self.number(symbol, number, start, events);
    }

    /// Lets a message come, or a fault strike it; whether something of it came.
    fn pass(
        &mut self,
        symbol: SymbolId,
        start: usize,
        engine: &Engine,
        events: &mut Vec<MarketEvent>,
    ) -> bool {
        let number = self.numbers[symbol.index()].sent;
        match self.struck.take() {
            Some(Struck::Until { symbol: struck, held }) if struck == symbol => self.late = held,
            None if events[start..].iter().all(|event| !matches!(event.body, EventBody::Status { .. })) => {
                let now = self.now;
                let strike =
                    self.strikes.iter_mut().find_map(|(strike, timer)| timer.strike(now).map(|_| *strike));
                match strike {
                    None => {}
                    Some(Strike::Gap) => {
                        events.truncate(start);
                        self.struck = Some(Struck::Until { symbol, held: None });
                        return false;
                    }
                    Some(Strike::Reorder) => {
                        let held = Message { symbol, number, events: events.drain(start..).collect() };
                        self.struck = Some(Struck::Until { symbol, held: Some(held) });
                        return false;
                    }
                    Some(Strike::Duplicate) => {
                        self.late = Some(Message { symbol, number, events: events[start..].to_vec() });
                    }
                    Some(Strike::Crossed) => self.cross(symbol, engine),
                }
            }
            struck => self.struck = struck,
        }
        self.receive(symbol, number, start, events);
        true
    }

    /// Makes up a message that crosses the book, and asks for a snapshot after it. A book with an empty side stays.
    fn cross(&mut self, symbol: SymbolId, engine: &Engine) {
        let order = OrderId(MADE_UP + self.made_up);
        let Some(body) = engine.crossing(symbol, order) else { return };
        self.made_up += 1;
        let event = MarketEvent { symbol, ts_event: self.now, ts_recv: self.now, sequence: 0, body };
        let numbers = &mut self.numbers[symbol.index()];
        numbers.sent += 1;
        self.late = Some(Message { symbol, number: numbers.sent, events: vec![event] });
        self.heal(symbol);
    }

    /// A message comes, whose events are `events[start..]`.
    fn receive(&mut self, symbol: SymbolId, number: u64, start: usize, events: &mut Vec<MarketEvent>) {
        if self.number(symbol, number, start, events) {
            self.heal(symbol);
        }
    }

    /// Puts a gap before a message that is not the one due; whether it did.
    fn number(&mut self, symbol: SymbolId, found: u64, start: usize, events: &mut Vec<MarketEvent>) -> bool {
        let numbers = &mut self.numbers[symbol.index()];
        let expected = numbers.came + 1;
        numbers.came = numbers.came.max(found);
        if found == expected {
            return false;
        }
        let body = EventBody::Gap { expected, found };
        let gap = MarketEvent { symbol, ts_event: self.now, ts_recv: self.now, sequence: 0, body };
        events.insert(start, gap);
        true
    }

    fn heal(&mut self, symbol: SymbolId) {
        let at = Timestamp(self.now.0.saturating_add(RESYNC));
        self.struck.get_or_insert(Struck::Healing { symbol, at });
    }
}

impl Timer {
    /// When it was due, if it was by now. What was due since then as well is left out.
    fn strike(&mut self, now: Timestamp) -> Option<i64> {
        let due = self.next.filter(|&next| next <= now.0)?;
        let missed = (now.0 - due) / self.every;
        let last = due + missed * self.every;
        self.next = last.checked_add(self.every);
        Some(last)
    }
}
