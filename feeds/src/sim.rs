//! A seeded synthetic market.
//!
//! The same settings give the same events, to the byte, on every machine: all of it is integer arithmetic on one
//! PCG generator, and nothing depends on the clock, on hashing or on threads.
//!
//! `figures.md` beside this file sets its spreads, depths, waits and cancels beside those of recordings.
//!
//! ```text
//!  market.rs   when, which instrument, halts, the factors that move prices together
//!  session.rs  the day: auctions, the rate over the day and its bursts, if asked for
//!  flow.rs     what happens to one instrument: limit orders, cancels, replaces, sweeps
//!  ladder.rs   one side of its book
//!  tape.rs     numbers orders and trades, appends events
//!  quotes.rs   the other mode: a plain, even stream of quotes for load tests
//!  faults.rs   what goes wrong on the way from there to us, if asked for
//! ```

use std::time::Duration;

mod draw;
mod faults;
mod flow;
mod ladder;
mod listing;
mod market;
mod quotes;
mod session;
mod tape;
#[cfg(test)]
mod tests;

use self::faults::Line;
pub use self::faults::{Silence, SimFaults};
use self::market::Market;
use self::quotes::Quotes;
use crate::limits::{INSTRUMENTS_MAX, SIM_EVENTS_PER_SECOND_MAX, SIM_SESSION_MAX, SIM_SESSION_MIN};
use crate::{EventBody, Feed, FeedError, Instrument, MarketEvent, OrderId, Progress, SymbolId, Timestamp};

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimSettings {
    /// Chooses one of 2⁶⁴ markets; each is always the same.
    pub seed: u64,
    /// How many instruments, 1 to [`INSTRUMENTS_MAX`].
    pub instruments: usize,
    /// Events a second of virtual time and instrument: on average in [`SimMode::Market`], exactly in
    /// [`SimMode::Quotes`]. At least 1; all instruments together at most [`SIM_EVENTS_PER_SECOND_MAX`].
    pub rate: u64,
    /// The kind of market.
    pub mode: SimMode,
    /// The length of a trading day, in nanoseconds, with auctions at its ends; `None`: trading never ends. Only in
    /// [`SimMode::Market`].
    pub session: Option<i64>,
    /// What goes wrong on the way from the venue; nothing by default.
    pub faults: SimFaults,
    /// When virtual time begins, unless [`Feed::begin`] tells another time.
    pub start: Timestamp,
}

impl Default for SimSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            instruments: 200,
            rate: 20,
            mode: SimMode::default(),
            session: None,
            faults: SimFaults::default(),
            start: Timestamp(0),
        }
    }
}

impl SimSettings {
    /// Whether there can be such a market: its events a second.
    ///
    /// # Errors
    /// [`FeedError::Settings`] for no or too many instruments, no rate, more events a second than nanoseconds, and
    /// faults and sessions that cannot be.
    pub fn check(&self) -> Result<u64, FeedError> {
        let Self { instruments, rate, .. } = *self;
        if instruments == 0 || instruments > INSTRUMENTS_MAX {
            return Err(FeedError::Settings(format!(
                "simulated market: instruments must be 1 to {INSTRUMENTS_MAX}, not {instruments}"
            )));
        }
        let per_second = u64::try_from(instruments).ok().and_then(|count| count.checked_mul(rate));
        let Some(per_second @ 1..=SIM_EVENTS_PER_SECOND_MAX) = per_second else {
            return Err(FeedError::Settings(format!(
                "simulated market: the rate must be at least 1, and {instruments} instruments times the rate at \
                 most {SIM_EVENTS_PER_SECOND_MAX} events a second; it is {rate}"
            )));
        };
        self.faults.check()?;
        if let Some(day) = self.session {
            if self.mode != SimMode::Market {
                let text = "simulated session: only the mode `market` has one".to_owned();
                return Err(FeedError::Settings(text));
            }
            if !(SIM_SESSION_MIN..=SIM_SESSION_MAX).contains(&day) {
                return Err(FeedError::Settings(format!(
                    "simulated session: a day must take 1s to 24h, not {:?}",
                    Duration::from_nanos(day.unsigned_abs())
                )));
            }
        }
        Ok(per_second)
    }
}

/// The kind of market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SimMode {
    /// Order flow that builds real books, order by order, with trades, bursts and halts.
    #[default]
    Market,
    /// Best bids and offers only, evenly spread over time: the shape of a load test.
    Quotes,
}

/// A synthetic market. It ends only when [`Timestamp`] does, in the year 2262.
pub struct Sim {
    settings: SimSettings,
    per_second: u64,
    instruments: Vec<Instrument>,
    engine: Engine,
    /// `None`: nothing goes wrong.
    line: Option<Line>,
}

enum Engine {
    Market(Box<Market>),
    Quotes(Quotes),
}

impl Sim {
    /// Prepares the market; nothing has happened in it yet.
    ///
    /// # Errors
    /// Those of [`SimSettings::check`].
    pub fn new(settings: SimSettings) -> Result<Self, FeedError> {
        let per_second = settings.check()?;
        Ok(Self::of(settings, per_second))
    }

    fn of(settings: SimSettings, per_second: u64) -> Self {
        let (instruments, engine) = match settings.mode {
            SimMode::Market => {
                let (instruments, market) = Market::new(&settings, per_second);
                (instruments, Engine::Market(Box::new(market)))
            }
            SimMode::Quotes => {
                let (instruments, quotes) = Quotes::new(&settings, per_second);
                (instruments, Engine::Quotes(quotes))
            }
        };
        let line = Line::new(&settings.faults, instruments.len(), settings.start);
        Self { settings, per_second, instruments, engine, line }
    }
}

impl Engine {
    /// The next message; `None` when time stamps have run out.
    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Option<Timestamp> {
        match self {
            Self::Market(market) => market.next_message(events),
            Self::Quotes(quotes) => quotes.next_message(events),
        }
    }

    /// The events that tell an instrument's whole book; none where it has none.
    fn snapshot(&self, symbol: SymbolId, now: Timestamp, events: &mut Vec<MarketEvent>) {
        match self {
            Self::Market(market) => market.snapshot(symbol, now, events),
            Self::Quotes(_) => {}
        }
    }

    /// What leaves the instrument crossed; `None`: nothing does.
    fn crossing(&self, symbol: SymbolId, order: OrderId) -> Option<EventBody> {
        match self {
            Self::Market(market) => market.crossing(symbol, order),
            Self::Quotes(quotes) => Some(quotes.crossing(symbol)),
        }
    }
}

impl Feed for Sim {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn begin(&mut self, now: Timestamp) {
        *self = Self::of(SimSettings { start: now, ..self.settings }, self.per_second);
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        let due = match &mut self.line {
            Some(line) => line.next_message(&mut self.engine, events),
            None => self.engine.next_message(events),
        };
        Ok(due.map_or(Progress::Ended, |due| Progress::Message { due }))
    }
}
