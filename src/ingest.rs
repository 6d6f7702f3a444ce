//! The thread that owns a feed and the market: pulls messages when they are due, and lets the publisher publish.
//!
//! It never waits for a client, with one exception that is asked for: a recording at full speed waits for shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use feeds::clock::monotonic;
use feeds::{Clock, Feed, Progress, Speed, Timestamp, VirtualClock};
use tracing::{error, info, warn};

use crate::limits::{
    FEED_LATE_LOG_EVERY, FEED_LATE_MAX, INGEST_RETRY_AFTER, INGEST_SLEEP_MAX, TURN_MESSAGES_MAX,
    WAIT_CLIENTS_QUIET,
};
use crate::metrics::Metrics;
use crate::publisher::Publisher;
use crate::state::StatusState;

/// How a feed is played.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How fast its time passes.
    pub speed: Speed,
    /// Nothing is read before so many clients have subscribed to something, and for [`WAIT_CLIENTS_QUIET`] no more.
    pub wait_clients: usize,
    /// Silence after which instruments are said to be `stale`.
    pub stale_after: Duration,
}

/// How far a feed has come, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Held until enough clients have subscribed.
    Waiting,
    /// Being played.
    Running,
    /// Silent for longer than it may be.
    Stale,
    /// Over: the last state stays served.
    Ended,
    /// Damaged: what came before stays served.
    Failed,
}

/// A feed's phase, and the way to stop it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    phase: Arc<AtomicU8>,
    stop: Arc<AtomicBool>,
}

impl Control {
    /// How far the feed has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        const PHASES: [Phase; 5] =
            [Phase::Waiting, Phase::Running, Phase::Stale, Phase::Ended, Phase::Failed];
        PHASES[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    /// Asks the ingest to end. Wake its thread afterwards, by [`crate::bus::BusHandle::wake`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

impl Phase {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stale => "stale",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// Plays a feed until it is told to stop. Takes the calling thread.
pub fn run(
    mut feed: Box<dyn Feed>,
    mut publisher: Publisher,
    settings: Settings,
    clock: &Clock,
    control: &Control,
    metrics: &Metrics,
) {
    publisher.bus().owned_by_this_thread();
    let bus = publisher.bus().handle().clone();
    let mut pace = VirtualClock::new(clock.clone(), settings.speed);
    let mut events = Vec::new();
    // When the message in `events` is due; `None`: it has been applied.
    let mut due = None;
    let mut last_message = monotonic();
    let mut last_request = monotonic();
    let mut last_due = Timestamp::default();
    // When the log last said that the feed is late.
    let mut last_late = None;

    while !control.stop.load(Ordering::Acquire) {
        let mut sleep = INGEST_SLEEP_MAX;
        if control.phase() == Phase::Waiting {
            let is_quiet =
                settings.wait_clients == 0 || monotonic().duration_since(last_request) >= WAIT_CLIENTS_QUIET;
            if is_quiet && bus.subscribers() >= settings.wait_clients {
                control.enter(Phase::Running);
                last_message = monotonic();
            } else {
                sleep = INGEST_RETRY_AFTER;
            }
        }
        if matches!(control.phase(), Phase::Running | Phase::Stale) {
            for _ in 0..TURN_MESSAGES_MAX {
                let message_due = if let Some(due) = due {
                    due
                } else {
                    events.clear();
                    match feed.next_message(&mut events) {
                        Ok(Progress::Message { due }) => due,
                        Ok(Progress::Restarted) => {
                            publisher.restart(new_epoch(clock));
                            pace.restart();
                            continue;
                        }
                        Ok(Progress::Ended) => {
                            info!("the recording has ended; its last state stays served");
                            publisher.set_feed_state(Some((StatusState::Ended, "end of recording")));
                            control.enter(Phase::Ended);
                            break;
                        }
                        Err(error) => {
                            error!(%error, "the feed has failed; what came before stays served");
                            metrics.feed_errors_total().add(1);
                            publisher.set_feed_state(Some((StatusState::Ended, "recording damaged")));
                            control.enter(Phase::Failed);
                            break;
                        }
                    }
                };
                let wait = pace.wait(message_due);
                if !wait.is_zero() {
                    due = Some(message_due);
                    sleep = sleep.min(wait);
                    break;
                }
                due = None;
                publisher.advance(message_due);
                publisher.apply(&events);
                last_due = message_due;
                sleep = Duration::ZERO;
            }
            if sleep.is_zero() {
                let late = pace.late(last_due);
                metrics.feed_late_microseconds().set(i64::try_from(late.as_micros()).unwrap_or(i64::MAX));
                let now = monotonic();
                if late > FEED_LATE_MAX
                    && last_late.is_none_or(|last| now.duration_since(last) >= FEED_LATE_LOG_EVERY)
                {
                    warn!(late_ms = late.as_millis(), "the feed cannot keep its pace");
                    last_late = Some(now);
                }
            }
        }
        if sleep.is_zero() {
            last_message = monotonic();
            if control.phase() == Phase::Stale {
                publisher.set_feed_state(None);
                control.enter(Phase::Running);
            }
        } else if control.phase() == Phase::Running
            && monotonic().duration_since(last_message) > settings.stale_after
        {
            warn!(after_ms = settings.stale_after.as_millis(), "the feed is silent");
            publisher.set_feed_state(Some((StatusState::Stale, "feed silent")));
            control.enter(Phase::Stale);
        }
        let subscriptions = publisher.subscriptions();
        let has_more = publisher.end_turn();
        if publisher.subscriptions() != subscriptions {
            last_request = monotonic();
        }
        if publisher.is_behind() {
            sleep = sleep.min(INGEST_RETRY_AFTER);
        }
        if !has_more && !sleep.is_zero() {
            std::thread::park_timeout(sleep);
        }
    }
}

/// The identity of a new run of the stream: the time of its start in base 36, to the microsecond.
#[must_use]
pub fn new_epoch(clock: &Clock) -> Arc<str> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rest = clock.now().micros().unsigned_abs();
    let mut text = Vec::new();
    while rest > 0 {
        text.push(char::from(DIGITS[(rest % 36) as usize]));
        rest /= 36;
    }
    text.iter().rev().collect::<String>().into()
}
