//! The simulated market as a whole: when something happens, and to which instrument.

use std::mem;

use super::SimSettings;
use super::draw::{Draw, ONE};
use super::flow::{DRIFT_MAX, Flow};
use super::listing::{self, Listing};
use super::session::{Phase, Session};
use super::tape::{Numbers, Scale, Tape};
use crate::{EventBody, Instrument, MarketEvent, OrderId, Side, SymbolId, Timestamp, TradingStatus};

const SECOND: i64 = 1_000_000_000;
const SECTORS: usize = 8;

const MARKET_MAX: i64 = 70 * ONE;
const SECTOR_MAX: i64 = DRIFT_MAX - MARKET_MAX;
const MARKET_STEP: u32 = 11_400;
const SECTOR_STEP: u32 = 8_000;
const MARKET_REVERSION: i64 = 1 << 18;
const SECTOR_REVERSION: i64 = 1 << 16;
/// The factors move that often while each instrument has one message, in large markets.
const STEPS_PER_ROUND: usize = 8;

/// Arrivals excite arrivals: 8 of 10 messages are *echoes*, which follow one of the last [`MEMORY`] on the same
/// instrument and after a quarter of the mean time. The others come to any instrument after four times as long as the
/// mean, which keeps it: 8 × 1/4 + 2 × 4 = 10. A fresh message and what echoes it are 1 / (1 - 0.8), five, on average.
const ECHOES_OF_TEN: u32 = 8;
const ECHO_WAIT_QUARTERS: u128 = 1;
const FRESH_WAIT_QUARTERS: u128 = 16;
const MEMORY: usize = 64;

/// An order-driven market. Each call costs the same however many instruments there are: messages are drawn one after
/// the other for the market as a whole, and no instrument has a timer of its own.
pub(super) struct Market {
    draw: Draw,
    instruments: Vec<Simulated>,
    numbers: Numbers,
    /// `None`: trading never ends.
    session: Option<Session>,
    /// When trading began, or the part of the day that it is.
    since: Timestamp,
    /// How many instruments have heard of it.
    turned: usize,
    /// When the next message comes; `None` when time stamps have run out.
    due: Option<Timestamp>,
    /// What of the waiting times is less than a nanosecond, in 2⁻¹⁶ ns.
    rest: u64,
    /// The mean time between events of the whole market, in 2⁻¹⁶ ns.
    wait_mean: u64,
    recent: [usize; MEMORY],
    messages: usize,
    next: usize,
    factors: Factors,
    halt: Halt,
    /// Changes of status since the last other message.
    turns: usize,
}

struct Simulated {
    flow: Flow,
    scale: Scale,
    sector: usize,
    /// How far it follows the market, [`ONE`] at most.
    beta: i64,
}

/// What moves prices together; in grains.
struct Factors {
    market: i64,
    sectors: [i64; SECTORS],
    /// Messages from one step to the next.
    every: usize,
    left: usize,
}

/// The one halt there is at a time, or that comes next.
struct Halt {
    instrument: usize,
    status: TradingStatus,
    /// When the status changes.
    until: Option<Timestamp>,
}

impl Market {
    pub(super) fn new(settings: &SimSettings, per_second: u64) -> (Vec<Instrument>, Self) {
        let mut draw = Draw::new(settings.seed);
        let mut definitions = Vec::with_capacity(settings.instruments);
        let mut instruments = Vec::with_capacity(settings.instruments);
        for index in 0..settings.instruments {
            let Listing { instrument, scale, base_ticks } = listing::list(index, &mut draw);
            definitions.push(instrument);
            let (sector, beta) = (draw.index(SECTORS), draw.from(ONE / 2, 1 << 15));
            instruments.push(Simulated { flow: Flow::new(base_ticks), scale, sector, beta });
        }
        let every = (settings.instruments / STEPS_PER_ROUND).max(1);
        let mut market = Self {
            instruments,
            numbers: Numbers::default(),
            session: settings.session.map(|day| Session::new(day, settings.start)),
            since: settings.start,
            turned: 0,
            due: Some(settings.start),
            rest: 0,
            wait_mean: (1_000_000_000 << 16) / per_second,
            recent: [0; MEMORY],
            messages: 0,
            next: 0,
            factors: Factors { market: 0, sectors: [0; SECTORS], every, left: every },
            halt: Halt { instrument: 0, status: TradingStatus::Trading, until: None },
            turns: 0,
            draw,
        };
        market.halt.wait(settings.start, (20, 40), &mut market.draw);
        market.schedule(1);
        (definitions, market)
    }

    /// The next message; `None` when time stamps have run out.
    pub(super) fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Option<Timestamp> {
        self.turn_session()?;
        let phase = self.session.as_ref().map(|session| session.phase);
        if self.turned < self.instruments.len() {
            let (index, now) = (self.turned, self.since);
            self.turned += 1;
            self.act(index, now, events, |instrument, _, draw, tape| instrument.flow.turn(phase, draw, tape));
            return Some(now);
        }
        let due = self.due?;
        let is_continuous = phase.is_none_or(|phase| phase == Phase::Continuous);
        if let Some(now) = self.halt.until.filter(|&until| is_continuous && until <= due) {
            let (status, reason) = self.halt.turn(now, self.instruments.len(), &mut self.draw);
            self.act(self.halt.instrument, now, events, |_, _, _, tape| tape.status(status, reason));
            self.turns += 1;
            return Some(now);
        }
        let index = self.next;
        let is_halted = index == self.halt.instrument && self.halt.status != TradingStatus::Trading;
        let trades = is_continuous && !is_halted;
        self.factors.step(&mut self.draw);
        let before = events.len();
        self.act(index, due, events, |instrument, drift, draw, tape| {
            if trades {
                instrument.flow.trade(drift, draw, tape);
            } else {
                instrument.flow.gather(drift, draw, tape);
            }
        });
        self.recent[self.messages % MEMORY] = index;
        self.messages = self.messages.wrapping_add(1);
        let turns = mem::take(&mut self.turns);
        self.schedule(events.len() - before + turns);
        Some(due)
    }

    /// Begins the next part of the day when nothing comes before it, and everybody has heard of the last one. `None` when
    /// time stamps have run out.
    fn turn_session(&mut self) -> Option<()> {
        let Some(session) = &mut self.session else { return Some(()) };
        let halt = self.halt.until.filter(|_| session.phase == Phase::Continuous);
        let next = self.due.into_iter().chain(halt).min()?;
        let Some(now) = session.until().filter(|&until| until <= next) else { return Some(()) };
        if self.turned < self.instruments.len() {
            return Some(());
        }
        session.turn(now, &mut self.draw);
        self.since = now;
        self.turned = 0;
        match session.phase {
            Phase::Continuous => {
                self.halt.status = TradingStatus::Trading;
                self.halt.wait(now, (20, 40), &mut self.draw);
            }
            Phase::Closed => self.due = self.due.max(session.until()),
            Phase::Opening | Phase::Closing => {}
        }
        Some(())
    }

    /// An instrument's whole book. A tape wants numbers for new orders, of which there are none.
    pub(super) fn snapshot(&self, symbol: SymbolId, now: Timestamp, events: &mut Vec<MarketEvent>) {
        let Simulated { flow, scale, .. } = &self.instruments[symbol.index()];
        flow.snapshot(&mut Tape { events, numbers: &mut Numbers::default(), symbol, scale: *scale, now });
    }

    /// An order that was never there: a bid above the best offer; `None`: a side is empty.
    pub(super) fn crossing(&self, symbol: SymbolId, order: OrderId) -> Option<EventBody> {
        let Simulated { flow, scale, .. } = &self.instruments[symbol.index()];
        let level = scale.level(flow.crossing_ticks()?, 1);
        Some(EventBody::OrderAdd { order, side: Side::Bid, level })
    }

    /// Lets something happen to an instrument, given the pull of the common factors on it.
    fn act(
        &mut self,
        index: usize,
        now: Timestamp,
        events: &mut Vec<MarketEvent>,
        happen: impl FnOnce(&mut Simulated, i64, &mut Draw, &mut Tape<'_>),
    ) {
        let instrument = &mut self.instruments[index];
        let drift = instrument.beta * self.factors.market / ONE + self.factors.sectors[instrument.sector];
        let symbol = SymbolId::from_index(index);
        let mut tape = Tape { events, numbers: &mut self.numbers, symbol, scale: instrument.scale, now };
        happen(instrument, drift, &mut self.draw, &mut tape);
    }

    /// Decides when and where the next message comes. The wait is in proportion to the events of the last one, so
    /// that events, not messages, have the rate that was asked for.
    fn schedule(&mut self, events: usize) {
        let quarters = if self.draw.below(10) < ECHOES_OF_TEN && self.messages > 0 {
            self.next = self.recent[self.draw.index(self.messages.min(MEMORY))];
            ECHO_WAIT_QUARTERS
        } else {
            self.next = self.draw.index(self.instruments.len());
            FRESH_WAIT_QUARTERS
        };
        let chance = u128::from(self.draw.exponential());
        let mut wait = (u128::from(self.wait_mean) * quarters * events as u128 * chance) >> 18;
        if let (Some(session), Some(now)) = (&mut self.session, self.due) {
            wait = wait * ONE as u128 / session.activity(now, &mut self.draw).unsigned_abs() as u128;
        }
        let wait = wait + u128::from(self.rest);
        self.rest = (wait & 0xffff) as u64;
        self.due = self.due.and_then(|due| {
            let nanoseconds = i64::try_from(wait >> 16).ok()?;
            due.0.checked_add(nanoseconds).map(Timestamp)
        });
    }
}

impl Factors {
    fn step(&mut self, draw: &mut Draw) {
        self.left -= 1;
        if self.left > 0 {
            return;
        }
        self.left = self.every;
        self.market += draw.sway(MARKET_STEP) - self.market / MARKET_REVERSION;
        self.market = self.market.clamp(-MARKET_MAX, MARKET_MAX);
        for sector in &mut self.sectors {
            *sector += draw.sway(SECTOR_STEP) - *sector / SECTOR_REVERSION;
            *sector = (*sector).clamp(-SECTOR_MAX, SECTOR_MAX);
        }
    }
}

impl Halt {
    /// Trading, halted, auction, trading; with another instrument each time.
    fn turn(&mut self, now: Timestamp, instruments: usize, draw: &mut Draw) -> (TradingStatus, &'static str) {
        let (status, reason, seconds) = match self.status {
            TradingStatus::Trading | TradingStatus::Closed => {
                self.instrument = draw.index(instruments);
                let reason = if draw.below(2) == 0 { "NEWS PENDING" } else { "VOLATILITY PAUSE" };
                (TradingStatus::Halted, reason, (5, 10))
            }
            TradingStatus::Halted => (TradingStatus::Auction, "REOPENING", (2, 2)),
            TradingStatus::Auction => (TradingStatus::Trading, "", (20, 40)),
        };
        self.status = status;
        self.wait(now, seconds, draw);
        (status, reason)
    }

    /// Sets the next turn some seconds from now: from the first number, up to the second more.
    fn wait(&mut self, now: Timestamp, (least, more): (i64, u32), draw: &mut Draw) {
        let milliseconds = least * 1_000 + i64::from(draw.below(more * 1_000));
        self.until = now.0.checked_add(milliseconds * (SECOND / 1_000)).map(Timestamp);
    }
}
