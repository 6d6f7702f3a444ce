//! The order flow of one instrument.
//!
//! Behind the book stands a fair value that nobody sees: base + market factor + sector factor + the instrument's own
//! walk. Orders arrive around it at a distance, the half spread, which widens with every trade and reverts. When the
//! fair value moves through the touch, somebody trades against the stale orders or their owner withdraws them: that
//! is how the book follows. The rest is noise: arrivals, cancels, replaces, trims, uninformed market orders.
//!
//! Distances are measured in *grains*: 1/8192 of the price or one tick, whichever is more. So a price of 5.00 moves
//! in ticks, one of 2,000.00 in quarters, and both books look alike. Fair values are fixed point, [`ONE`] a grain.
//!
//! All walks are bounded, and so are prices: no more than 70 + 110 grains of fair value, 8 of half spread and 96 of
//! depth below the base, which is at least [`BASE_TICKS_MIN`].

use super::draw::{Draw, ONE};
use super::ladder::{Ladder, ORDERS_MIN};
use super::session::Phase;
use super::tape::Tape;
use crate::{Side, TradingStatus};

/// The lowest base price in ticks; keeps every price above 200 ticks.
pub(super) const BASE_TICKS_MIN: i64 = 500;
/// The most that the market's and the sector's factors together move a fair value.
pub(super) const DRIFT_MAX: i64 = 110 * ONE;
const OWN_MAX: i64 = 70 * ONE;
const OWN_STEP: u32 = 16_000;
const OWN_REVERSION: i64 = 1 << 14;

const WIDTH_MEAN: i64 = ONE * 3 / 4;
const WIDTH_MAX: i64 = 8 * ONE;
const WIDTH_PER_TRADE: i64 = ONE / 3;
const WIDTH_REVERSION: i64 = 16;
/// How far a trade pushes the fair value, a resting order met.
const IMPACT: i64 = ONE / 10;

/// How many orders a side tends to.
const ORDERS_USUAL: usize = 40;
const DEPTH_MEAN_GRAINS: i64 = 6;
const LOTS_MEAN: i64 = 12;
/// How much an auction trades, in usual orders.
const AUCTION_TIMES: i64 = 50;

/// Of 100 arrivals: market orders, replaces, trims. The rest are new orders and, the more of them rest, cancels.
const MARKET_ORDERS: u32 = 3;
const REPLACES: u32 = 5;
const TRIMS: u32 = 1;
const NEW_OR_CANCELS: usize = 91;
const CANCELS_USUAL: usize = 36;
/// Of how many orders that the fair value has passed somebody trades against one; the others are withdrawn.
const TRADED_OF_STALE: u32 = 8;

/// One instrument's book and the forces on it.
pub(super) struct Flow {
    base_ticks: i64,
    grain_ticks: i64,
    own: i64,
    width: i64,
    /// Fair value less the base.
    fair: i64,
    sides: [Ladder; 2],
}

impl Flow {
    pub(super) fn new(base_ticks: i64) -> Self {
        Self {
            base_ticks,
            grain_ticks: (base_ticks >> 13).max(1),
            own: 0,
            width: WIDTH_MEAN,
            fair: 0,
            sides: [Ladder::new(Side::Bid), Ladder::new(Side::Ask)],
        }
    }

    /// A part of the day begins; `None`: the only one there is.
    pub(super) fn turn(&mut self, phase: Option<Phase>, draw: &mut Draw, tape: &mut Tape<'_>) {
        match phase {
            None => {
                tape.status(TradingStatus::Trading, "");
                self.fill(draw, tape);
            }
            Some(Phase::Opening) => {
                tape.status(TradingStatus::Auction, "OPENING AUCTION");
                self.fill(draw, tape);
            }
            Some(Phase::Continuous) => {
                self.cross(draw, tape);
                tape.status(TradingStatus::Trading, "");
            }
            Some(Phase::Closing) => tape.status(TradingStatus::Auction, "CLOSING AUCTION"),
            Some(Phase::Closed) => {
                self.cross(draw, tape);
                tape.status(TradingStatus::Closed, "END OF DAY");
                self.sides.iter_mut().for_each(Ladder::clear);
                tape.clear();
            }
        }
    }

    /// What was sent for the auction alone, which no book shows, trades at the middle of the book.
    fn cross(&self, draw: &mut Draw, tape: &mut Tape<'_>) {
        let [bids, asks] = &self.sides;
        if let (Some(bid), Some(ask)) = (bids.best_ticks(), asks.best_ticks()) {
            tape.cross(bid + (ask - bid) / 2, AUCTION_TIMES * lots(draw));
        }
    }

    /// A whole book at once.
    fn fill(&mut self, draw: &mut Draw, tape: &mut Tape<'_>) {
        for _ in 0..ORDERS_USUAL {
            for side in 0..2 {
                self.add(side, draw, tape);
            }
        }
    }

    /// The whole book, for somebody who knows nothing of it.
    pub(super) fn snapshot(&self, tape: &mut Tape<'_>) {
        tape.clear();
        for side in &self.sides {
            side.retell(tape);
        }
    }

    /// A price above the best offer; `None`: there is no offer, or no bid.
    pub(super) fn crossing_ticks(&self) -> Option<i64> {
        self.sides[0].best_ticks().and(self.sides[1].best_ticks()).map(|ask| ask + 1)
    }

    /// What happens next in continuous trading, with the common factors at `drift`. At least one event.
    pub(super) fn trade(&mut self, drift: i64, draw: &mut Draw, tape: &mut Tape<'_>) {
        self.drift(drift, draw);
        let side = draw.index(2);
        let fair = self.key_behind_fair(side, 0);
        let ladder = &mut self.sides[side];
        if ladder.len() <= ORDERS_MIN {
            return self.add(side, draw, tape);
        }
        if ladder.best() > fair {
            if draw.below(TRADED_OF_STALE) == 0 {
                let met = ladder.sweep(fair, 6 * lots(draw), tape);
                self.feel(side, met);
            } else {
                ladder.cancel_best(tape);
            }
            return;
        }
        let roll = draw.below(100);
        if roll < MARKET_ORDERS {
            // Most want what the best order offers; one in sixteen is large enough to go through several levels.
            let wanted = match draw.below(16) {
                0 => 10 * lots(draw),
                1..=3 => lots(draw),
                _ => ladder.best_lots(),
            };
            let met = ladder.sweep(i64::MIN, wanted, tape);
            self.feel(side, met);
        } else if roll < MARKET_ORDERS + REPLACES {
            let index = ladder.pick_near(draw);
            let key = self.place(side, draw);
            self.sides[side].replace(index, key, lots(draw), tape);
        } else if roll < MARKET_ORDERS + REPLACES + TRIMS {
            let index = ladder.pick_near(draw);
            if !ladder.trim(index, tape) {
                ladder.cancel(index, tape);
            }
        } else {
            self.add_or_cancel(side, NEW_OR_CANCELS, draw, tape);
        }
    }

    /// What happens next while nothing trades: orders come and go. One event.
    pub(super) fn gather(&mut self, drift: i64, draw: &mut Draw, tape: &mut Tape<'_>) {
        self.drift(drift, draw);
        self.add_or_cancel(draw.index(2), 2 * CANCELS_USUAL, draw, tape);
    }

    /// A new order or, [`CANCELS_USUAL`] times in `of` when as many rest as usual, a cancel.
    fn add_or_cancel(&mut self, side: usize, of: usize, draw: &mut Draw, tape: &mut Tape<'_>) {
        let ladder = &mut self.sides[side];
        let wants_cancel = draw.index(of) < CANCELS_USUAL * ladder.len() / ORDERS_USUAL;
        if ladder.is_full() || (wants_cancel && ladder.len() > ORDERS_MIN) {
            let index = ladder.pick_far(draw);
            ladder.cancel(index, tape);
        } else {
            self.add(side, draw, tape);
        }
    }

    fn add(&mut self, side: usize, draw: &mut Draw, tape: &mut Tape<'_>) {
        let key = self.place(side, draw);
        self.sides[side].add(key, lots(draw), tape);
    }

    /// A price for a new order: at the half spread or behind it, never through the other side.
    fn place(&self, side: usize, draw: &mut Draw) -> i64 {
        let (ladder, other) = (&self.sides[side], &self.sides[1 - side]);
        let touch = self.key_behind_fair(side, self.width);
        // A touch that is too far out draws every second arrival: that closes wide spreads.
        let improves = ladder.best() < touch && draw.below(2) == 0;
        let depth = if improves || draw.below(8) == 0 {
            0
        } else {
            i64::from(draw.exponential()) * DEPTH_MEAN_GRAINS * self.grain_ticks / ONE
        };
        (touch - depth).min(-other.best() - 1)
    }

    /// The key on a side that far behind the fair value, in grains; rounded away from it.
    fn key_behind_fair(&self, side: usize, margin: i64) -> i64 {
        let ladder = &self.sides[side];
        let offset = ladder.key(self.fair) - margin;
        ladder.key(self.base_ticks) + (offset * self.grain_ticks).div_euclid(ONE)
    }

    /// Lets the fair value and the half spread go their way.
    fn drift(&mut self, common: i64, draw: &mut Draw) {
        self.own += draw.sway(OWN_STEP) - self.own / OWN_REVERSION;
        self.own = self.own.clamp(-OWN_MAX, OWN_MAX);
        self.width += (WIDTH_MEAN - self.width) / WIDTH_REVERSION;
        self.fair = self.own + common;
    }

    /// A trade that met that many resting orders of `side` tells the market something.
    fn feel(&mut self, side: usize, met: u32) {
        let met = i64::from(met);
        self.own -= self.sides[side].key(met * IMPACT);
        self.width = (self.width + met * WIDTH_PER_TRADE).min(WIDTH_MAX);
    }
}

fn lots(draw: &mut Draw) -> i64 {
    1 + i64::from(draw.exponential()) * LOTS_MEAN / ONE
}
