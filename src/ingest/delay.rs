//! The feed once more, later: what the originals were given waits, and is given to their twins.
//!
//! The delay is one of the wall clock, whatever the speed of a recording: who may see data after fifteen minutes waits
//! fifteen minutes for it.

use std::time::Duration;

use feeds::clock::monotonic;
use feeds::{Clock, MarketEvent, Timestamp};
use tracing::warn;

use super::line::{DelayLine, FeedState, Next, Turn};
use super::{Idle, new_epoch};
use crate::limits::{INGEST_SLEEP_MAX, TURN_MESSAGES_MAX};
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::state::{Status, StatusState};

/// How late data is served, beside what is served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DelaySettings {
    /// How late.
    pub by: Duration,
    /// Bytes that may wait meanwhile. Of more, the late data has a gap: nothing is seen early for it.
    pub bytes_max: usize,
}

/// Gives the twins what their originals were given.
pub(super) struct Delay {
    line: DelayLine,
    events: Vec<MarketEvent>,
    /// The twins have nothing to go on from: not yet, or not any more.
    is_dark: bool,
    metrics: Metrics,
}

impl Delay {
    /// # Panics
    /// When there is no memory for a compressor.
    pub(super) fn new(settings: DelaySettings, publisher: &mut Publisher, metrics: &Metrics) -> Self {
        let reason = format!("data begins {} after the feed", spelled(settings.by));
        publisher.set_delayed_feed_state(Some(&Status { state: StatusState::Stale, reason: reason.into() }));
        Self {
            line: DelayLine::new(settings.by, settings.bytes_max, monotonic())
                .expect("memory for a compressor"),
            events: Vec::new(),
            is_dark: true,
            metrics: metrics.clone(),
        }
    }

    /// The originals have been given this message.
    pub(super) fn keep(&mut self, due: Timestamp, events: &[MarketEvent]) {
        let is_kept = self.line.put(monotonic(), due, events);
        self.count(is_kept);
    }

    /// The feed's state has changed.
    pub(super) fn keep_state(&mut self, state: FeedState) {
        let is_kept = self.line.put_turn(monotonic(), Turn::State(state));
        self.count(is_kept);
    }

    /// The feed has begun again.
    pub(super) fn keep_restart(&mut self) {
        let is_kept = self.line.put_turn(monotonic(), Turn::Restart);
        self.count(is_kept);
    }

    /// The feed is on its way to where it is to begin: the twins begin there too.
    pub(super) fn skip(&mut self) {
        self.line.skip();
    }

    /// Gives the twins what is due, a turn's worth at most.
    pub(super) fn turn(&mut self, publisher: &mut Publisher, clock: &Clock, is_seeking: bool) -> Idle {
        if !is_seeking && self.line.wants_state() {
            self.line.go_on(monotonic(), publisher.copy_market());
        }
        let bytes = i64::try_from(self.line.bytes()).unwrap_or(i64::MAX);
        self.metrics.delay_bytes().set(bytes);
        for _ in 0..TURN_MESSAGES_MAX {
            self.events.clear();
            match self.line.take(monotonic(), &mut self.events) {
                Next::Message(due) => {
                    if std::mem::take(&mut self.is_dark) {
                        publisher.set_delayed_feed_state(None);
                    }
                    publisher.advance_delayed(due);
                    publisher.apply_delayed(&mut self.events);
                }
                Next::Turn(turn) => self.take_turn(turn, publisher, clock),
                Next::Wait(wait) => return wait.min(INGEST_SLEEP_MAX),
                Next::Empty => return INGEST_SLEEP_MAX,
            }
        }
        Duration::ZERO
    }

    fn take_turn(&mut self, turn: Turn, publisher: &mut Publisher, clock: &Clock) {
        match turn {
            Turn::State(state) => {
                self.is_dark = false;
                let state = state.map(|(state, reason)| Status { state, reason: reason.into() });
                publisher.set_delayed_feed_state(state.as_ref());
            }
            Turn::Restart => publisher.restart_delayed(new_epoch(clock)),
            Turn::Lost => {
                self.is_dark = true;
                let lost = Status { state: StatusState::Stale, reason: "delayed data lost".into() };
                publisher.set_delayed_feed_state(Some(&lost));
            }
            Turn::GoOn(market) => {
                self.is_dark = false;
                publisher.continue_delayed(*market);
            }
        }
    }

    fn count(&self, is_kept: bool) {
        if !is_kept {
            warn!(bytes = self.line.bytes(), "the delayed data has no room left, and will have a gap");
            self.metrics.delay_gaps_total().add(1);
        }
    }
}

/// `15m`, `90s`, `500ms`.
fn spelled(time: Duration) -> String {
    match (time.as_millis(), time.as_secs()) {
        (millis, _) if millis % 1_000 != 0 => format!("{millis}ms"),
        (_, secs) if secs % 60 != 0 => format!("{secs}s"),
        (_, secs) => format!("{}m", secs / 60),
    }
}
