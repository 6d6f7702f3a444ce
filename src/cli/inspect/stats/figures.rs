//! What a stream of events looks like, in figures that have no unit of a venue: percents, ticks, basis points, money.

use feeds::{EventBody, Instrument, MarketEvent, Timestamp};
use hdrhistogram::Histogram;

use crate::market::Market;
use crate::state::{Quote, StatusState};

/// Levels a side that make a depth.
const LEVELS: usize = 10;
const MILLION: u128 = 1_000_000;

/// One figure.
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    /// `None`: there is nothing that it could be of.
    pub(super) cell: Option<String>,
}

/// Of one instrument: its scale, and when it spoke last.
pub(super) struct Scale {
    /// The venue's tick, or else the greatest common divisor of all prices so far; 0: none yet.
    tick: u64,
    is_told: bool,
    /// Of price × size.
    exponent: i32,
    last: Option<Timestamp>,
}

impl Scale {
    pub(super) fn new(instrument: &Instrument) -> Self {
        let tick = instrument.tick_size.map_or(0, |tick| tick.0.unsigned_abs());
        let exponent = i32::from(instrument.price_exponent.get()) + i32::from(instrument.size_exponent.get());
        Self { tick, is_told: tick != 0, exponent, last: None }
    }

    /// Looks at the prices of an event.
    pub(super) fn see(&mut self, body: &EventBody) {
        if self.is_told {
            return;
        }
        match body {
            EventBody::LevelSet { level, .. }
            | EventBody::OrderAdd { level, .. }
            | EventBody::OrderModify { level, .. }
            | EventBody::OrderReplace { level, .. } => self.divide(level.price.0),
            EventBody::Quote { bid, ask } => {
                [bid, ask].into_iter().flatten().for_each(|level| self.divide(level.price.0));
            }
            EventBody::BookSnapshot(book) => {
                book.bids.iter().chain(&book.asks).for_each(|level| self.divide(level.price.0));
            }
            _ => {}
        }
    }

    fn divide(&mut self, price: i64) {
        let (mut a, mut b) = (self.tick, price.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        self.tick = a;
    }

    /// Price × size in hundredths of the currency, rounded down.
    fn hundredths(&self, notional: u128) -> u128 {
        match u32::try_from(self.exponent + 2) {
            Ok(up) => notional.saturating_mul(10_u128.saturating_pow(up)),
            Err(_) => notional / 10_u128.saturating_pow((self.exponent + 2).unsigned_abs()),
        }
    }
}

/// The figures of one column.
pub(super) struct Figures {
    events: u64,
    messages: u64,
    adds: u64,
    cancels: u64,
    replaces: u64,
    executes: u64,
    trades: u64,
    quotes: u64,
    level_sets: u64,
    level_removals: u64,
    spread_ticks: Histogram<u64>,
    /// Hundredths of a basis point.
    spread_bps: Histogram<u64>,
    /// Hundredths of the currency.
    best: Histogram<u64>,
    ten: Histogram<u64>,
    /// The size of ten levels, in hundredths of that of the best.
    ratio: Histogram<u64>,
    /// From the best to the tenth level, in hundredths of a basis point.
    reach: Histogram<u64>,
    /// Between the messages of an instrument, in nanoseconds.
    waits: Histogram<u64>,
    waits_sum: u128,
}

impl Figures {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new(3).expect("three digits are within 0 to 5");
        Self {
            events: 0,
            messages: 0,
            adds: 0,
            cancels: 0,
            replaces: 0,
            executes: 0,
            trades: 0,
            quotes: 0,
            level_sets: 0,
            level_removals: 0,
            spread_ticks: histogram(),
            spread_bps: histogram(),
            best: histogram(),
            ten: histogram(),
            ratio: histogram(),
            reach: histogram(),
            waits: histogram(),
            waits_sum: 0,
        }
    }

    pub(super) const fn count(&mut self, body: &EventBody) {
        self.events += 1;
        match body {
            EventBody::OrderAdd { .. } => self.adds += 1,
            EventBody::OrderCancel { .. } => self.cancels += 1,
            EventBody::OrderReplace { .. } | EventBody::OrderModify { .. } => self.replaces += 1,
            EventBody::OrderExecute { .. } => self.executes += 1,
            EventBody::Trade(_) => self.trades += 1,
            EventBody::Quote { .. } => self.quotes += 1,
            EventBody::LevelSet { level, .. } => {
                self.level_sets += 1;
                self.level_removals += (level.size.0 == 0) as u64;
            }
            _ => {}
        }
    }

    /// A message about the event's instrument has been applied.
    pub(super) fn end_message(&mut self, event: &MarketEvent, market: &Market, scale: &mut Scale) {
        self.messages += 1;
        if let Some(last) = scale.last.replace(event.ts_recv) {
            // A capture of several connections may go back: that is no wait.
            let wait = event.ts_recv.0.saturating_sub(last.0).max(0).unsigned_abs();
            record(&mut self.waits, wait.into());
            self.waits_sum += u128::from(wait);
        }
        if market.status(event.symbol).state != StatusState::Trading {
            return;
        }
        let Quote { bid: Some(bid), ask: Some(ask) } = market.quote(event.symbol) else { return };
        let (low, high) = (bid.price.0, ask.price.0);
        if low <= 0 || high <= low {
            return;
        }
        let spread = u128::from(high.abs_diff(low));
        record(&mut self.spread_ticks, spread / u128::from(scale.tick.max(1)));
        record(
            &mut self.spread_bps,
            spread * 2 * MILLION / (u128::from(low.unsigned_abs()) + u128::from(high.unsigned_abs())),
        );
        let book = market.book(event.symbol);
        let bids: Vec<_> = book.bids().take(LEVELS).collect();
        let asks: Vec<_> = book.asks().take(LEVELS).collect();
        for levels in [bids, asks] {
            let notional = |level: &feeds::Level| {
                u128::from(level.price.0.unsigned_abs())
                    .saturating_mul(u128::from(level.size.0.unsigned_abs()))
            };
            let Some(best) = levels.first() else { continue };
            record(&mut self.best, scale.hundredths(notional(best)));
            let [.., last] = &levels[..] else { continue };
            if levels.len() < LEVELS {
                continue;
            }
            record(&mut self.ten, scale.hundredths(levels.iter().map(notional).sum()));
            let size: u128 = levels.iter().map(|level| u128::from(level.size.0.unsigned_abs())).sum();
            record(&mut self.ratio, size * 100 / u128::from(best.size.0.unsigned_abs().max(1)));
            let reach = u128::from(best.price.0.abs_diff(last.price.0));
            record(&mut self.reach, reach * MILLION / u128::from(best.price.0.unsigned_abs().max(1)));
        }
    }

    /// The same rows in the same order for all.
    pub(super) fn rows(&self) -> Vec<Row> {
        let row = |key, title, cell| Row { key, title, cell };
        let share = |count: u64| {
            (self.events > 0).then(|| tenths(u128::from(count) * 1_000 / u128::from(self.events)))
        };
        let per_hundred =
            |count: u64, of: u64| (of > 0).then(|| tenths(u128::from(count) * 1_000 / u128::from(of)));
        let at = |histogram: &Histogram<u64>, quantile: f64| {
            (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile))
        };
        let median = |histogram| at(histogram, 0.5);
        let hundredths =
            |value: Option<u64>| value.map(|value| format!("{}.{:02}", value / 100, value % 100));
        let mean = self.waits_sum.checked_div(u128::from(self.waits.len()));
        let wait = |quantile| at(&self.waits, quantile).map(|wait| microseconds(wait.into()));
        let of_mean = |quantile| {
            let (wait, mean) = (at(&self.waits, quantile)?, mean.filter(|&mean| mean > 0)?);
            Some(tenths(u128::from(wait) * 1_000 / mean))
        };
        let traded = self.trades + self.executes;
        let known = self.adds + self.cancels + self.replaces + traded + self.quotes + self.level_sets;
        vec![
            row("events", "events", Some(self.events.to_string())),
            row("messages", "messages of an instrument", Some(self.messages.to_string())),
            row("adds_percent", "orders added, %", share(self.adds)),
            row("cancels_percent", "orders cancelled or reduced, %", share(self.cancels)),
            row("replaces_percent", "orders replaced, %", share(self.replaces)),
            row("executes_percent", "orders executed, %", share(self.executes)),
            row("trades_percent", "trades of no order, %", share(self.trades)),
            row("level_sets_percent", "levels set, %", share(self.level_sets)),
            row("quotes_percent", "quotes, %", share(self.quotes)),
            row("others_percent", "others, %", share(self.events - known)),
            row(
                "cancels_per_hundred_adds",
                "cancels + replaces per 100 adds + replaces",
                per_hundred(self.cancels + self.replaces, self.adds + self.replaces),
            ),
            row(
                "removals_per_hundred_sets",
                "levels removed per 100 set",
                per_hundred(self.level_removals, self.level_sets),
            ),
            row(
                "events_per_trade",
                "events a trade",
                (traded > 0).then(|| tenths(u128::from(self.events) * 10 / u128::from(traded))),
            ),
            row(
                "spread_ticks_p50",
                "spread, median, ticks",
                median(&self.spread_ticks).map(|ticks| ticks.to_string()),
            ),
            row(
                "spread_ticks_p90",
                "spread, p90, ticks",
                at(&self.spread_ticks, 0.9).map(|ticks| ticks.to_string()),
            ),
            row("spread_bps_p50", "spread, median, bps", hundredths(median(&self.spread_bps))),
            row("best_p50", "depth at best, median, money", hundredths(median(&self.best))),
            row("ten_p50", "depth of 10 levels, median, money", hundredths(median(&self.ten))),
            row("ten_to_best_p50", "10 levels to the best, median, times", hundredths(median(&self.ratio))),
            row("reach_bps_p50", "best to 10th level, median, bps", hundredths(median(&self.reach))),
            row("wait_us_mean", "between messages, mean, µs", mean.map(microseconds)),
            row("wait_us_p50", "between messages, p50, µs", wait(0.5)),
            row("wait_us_p90", "between messages, p90, µs", wait(0.9)),
            row("wait_us_p99", "between messages, p99, µs", wait(0.99)),
            row("wait_percent_p50", "p50, % of the mean", of_mean(0.5)),
            row("wait_percent_p90", "p90, % of the mean", of_mean(0.9)),
            row("wait_percent_p99", "p99, % of the mean", of_mean(0.99)),
        ]
    }
}

/// What does not fit is the greatest that does.
fn record(histogram: &mut Histogram<u64>, value: u128) {
    let value = u64::try_from(value.min(i64::MAX as u128)).unwrap_or(u64::MAX);
    histogram.record(value).expect("a histogram that grows takes every number");
}

fn tenths(value: u128) -> String {
    format!("{}.{}", value / 10, value % 10)
}

fn microseconds(nanoseconds: u128) -> String {
    format!("{}.{:03}", nanoseconds / 1_000, nanoseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use feeds::{BookSnapshot, Exponent, Level, OrderId, Price, Side, Size, Symbol, SymbolId};

    use super::*;

    fn level(price: i64, size: i64) -> Level {
        Level { price: Price(price), size: Size(size) }
    }

    /// The figures of one instrument's messages of an event each, a millisecond apart.
    fn figures(bodies: impl IntoIterator<Item = EventBody>) -> Vec<(&'static str, Option<String>)> {
        let exponent = |value| Exponent::new(value).expect("possible");
        let instrument = Instrument {
            symbol: Symbol::new("A").expect("valid"),
            venue: "TEST",
            price_exponent: exponent(-2),
            size_exponent: exponent(-1),
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        };
        let mut market = Market::new(std::slice::from_ref(&instrument));
        let (mut scale, mut figures) = (Scale::new(&instrument), Figures::new());
        for (number, body) in (0..).zip(bodies) {
            let ts = Timestamp(number * 1_000_000);
            let event = MarketEvent { symbol: SymbolId(0), ts_event: ts, ts_recv: ts, sequence: 0, body };
            scale.see(&event.body);
            figures.count(&event.body);
            market.apply(&event, &mut Vec::new());
            market.end_message();
            figures.end_message(&event, &market, &mut scale);
        }
        figures.rows().into_iter().map(|row| (row.key, row.cell)).collect()
    }

    fn assert_holds(found: &[(&'static str, Option<String>)], expected: &[(&str, Option<&str>)]) {
        for (key, value) in expected {
            let (_, cell) = found.iter().find(|(found, _)| found == key).expect("a figure of that name");
            assert_eq!(cell.as_deref(), *value, "{key}");
        }
    }

    #[test]
    fn a_book_by_level_is_measured_from_best_to_tenth() {
        let bids = (0..10).map(|depth| level(1_000 - 5 * depth, 20)).collect();
        let asks = (0..10).map(|depth| level(1_010 + 5 * depth, 20)).collect();
        let snapshot = EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }));
        let removal = EventBody::LevelSet { side: Side::Bid, level: level(900, 0) };
        let addition = EventBody::LevelSet { side: Side::Bid, level: level(900, 7) };
        let found = figures([snapshot, addition, removal]);
        assert_holds(
            &found,
            &[
                ("events", Some("3")),
                ("level_sets_percent", Some("66.6")),
                ("others_percent", Some("33.3")),
                ("removals_per_hundred_sets", Some("50.0")),
                ("cancels_per_hundred_adds", None),
                ("events_per_trade", None),
                ("spread_ticks_p50", Some("2")),
                // 1,000 x 20 mantissas are 10.00 x 2.0.
                ("best_p50", Some("20.00")),
                ("ten_to_best_p50", Some("10.00")),
                // Of a millisecond, the end of the step that it is in.
                ("wait_us_mean", Some("1000.000")),
                ("wait_us_p50", Some("1000.447")),
                ("wait_percent_p99", Some("100.0")),
            ],
        );
    }

    #[test]
    fn orders_are_counted_by_what_becomes_of_them() {
        let add =
            |order, side, price| EventBody::OrderAdd { order: OrderId(order), side, level: level(price, 10) };
        let found = figures([
            add(1, Side::Bid, 1_000),
            add(2, Side::Ask, 1_003),
            add(3, Side::Bid, 999),
            EventBody::OrderCancel { order: OrderId(3), size: None },
            EventBody::OrderReplace { order: OrderId(1), new_order: OrderId(4), level: level(1_001, 10) },
            EventBody::OrderExecute {
                order: OrderId(4),
                size: Size(5),
                price: None,
                trade_id: None,
                printable: true,
            },
        ]);
        assert_holds(
            &found,
            &[
                ("adds_percent", Some("50.0")),
                ("cancels_percent", Some("16.6")),
                ("cancels_per_hundred_adds", Some("50.0")),
                ("events_per_trade", Some("6.0")),
                ("spread_ticks_p50", Some("3")),
                ("ten_p50", None),
            ],
        );
    }
}
