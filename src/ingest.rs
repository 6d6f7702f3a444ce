//! The thread that owns a feed and the market: pulls messages when they are due, and lets the publisher publish.
//!
//! It never waits for a client, with one exception that is asked for: a recording at full speed waits for shards.

mod delay;
mod line;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::task::{Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::{Clock, Connections, Feed, FeedError, MarketEvent, Progress, Speed, Timestamp, VirtualClock};
use tracing::{error, info, warn};

use crate::limits::{
    FEED_LATE_LOG_EVERY, FEED_LATE_MAX, INGEST_PAUSE, INGEST_RETRY_AFTER, INGEST_SLEEP_MAX, SEEK_LOG_EVERY,
    TURN_MESSAGES_MAX, WAIT_CLIENTS_QUIET,
};
use crate::metrics::Metrics;
use crate::publisher::{Publisher, Recalled};
use crate::state::StatusState;
use delay::Delay;

pub use delay::DelaySettings;

/// How a feed is played.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How fast its time passes.
    pub speed: Speed,
    /// Nothing is read before so many clients have subscribed to something, and for [`WAIT_CLIENTS_QUIET`] no more.
    pub wait_clients: usize,
    /// Silence after which instruments are said to be `stale`.
    pub stale_after: Duration,
    /// What is served late too; `None`: nothing.
    pub delay: Option<DelaySettings>,
}

/// How far a feed has come, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Held until enough clients have subscribed.
    Waiting,
    /// Played without waiting, up to where it is to begin.
    Seeking,
    /// Being played.
    Running,
    /// Silent for longer than it may be.
    Stale,
    /// Over: the last state stays served.
    Ended,
    /// Damaged: what came before stays served.
    Failed,
    /// Of a gateway: the bus is silent.
    Cut,
}

/// A feed's phase, and the way to stop it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Control {
    phase: Arc<AtomicU8>,
    /// Of a feed that is to begin somewhere.
    seek: Option<Arc<Seek>>,
    stop: Arc<AtomicBool>,
}

/// No message has been read: a time before all.
const NOT_YET: i64 = i64::MIN;

/// In nanoseconds of the feed's time.
#[derive(Debug)]
struct Seek {
    reached: AtomicI64,
    to: Timestamp,
}

impl Control {
    /// Of a feed that waits, and is to begin there.
    #[must_use]
    pub fn new(begins_at: Option<Timestamp>) -> Self {
        let seek = begins_at.map(|to| Arc::new(Seek { reached: AtomicI64::new(NOT_YET), to }));
        Self { seek, ..Self::default() }
    }

    /// How far the feed has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        const PHASES: [Phase; 7] = [
            Phase::Waiting,
            Phase::Seeking,
            Phase::Running,
            Phase::Stale,
            Phase::Ended,
            Phase::Failed,
            Phase::Cut,
        ];
        PHASES[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    /// How far a feed has come that is not yet where it is to begin (`None`: not yet to its first message), and where that
    /// is.
    #[must_use]
    pub fn seek(&self) -> Option<(Option<Timestamp>, Timestamp)> {
        let seek = self.seek.as_ref().filter(|_| matches!(self.phase(), Phase::Waiting | Phase::Seeking))?;
        let reached = Some(seek.reached.load(Ordering::Relaxed)).filter(|&reached| reached != NOT_YET);
        Some((reached.map(Timestamp), seek.to))
    }

    /// Asks the ingest to end. Wake its thread afterwards, by [`crate::bus::BusHandle::wake`].
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Says how far the feed has come.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

impl Phase {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Seeking => "seeking",
            Self::Running => "running",
            Self::Stale => "stale",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Cut => "cut",
        }
    }
}

/// Plays a feed until it is told to stop. Takes the calling thread.
pub fn run(
    feed: Box<dyn Feed>,
    mut publisher: Publisher,
    settings: Settings,
    clock: &Clock,
    control: &Control,
    metrics: &Metrics,
) {
    publisher.bus().woken_by(Waker::from(Arc::new(Parked(std::thread::current()))));
    let now = monotonic();
    let pace = VirtualClock::new(clock.clone(), settings.speed, feed.begins_at());
    let delay = settings.delay.map(|delay| Delay::new(delay, &mut publisher, metrics));
    let mut player = Player {
        feed,
        publisher,
        settings,
        clock,
        control,
        metrics,
        pace,
        delay,
        is_seeking: false,
        events: Vec::new(),
        due: None,
        last_message: now,
        last_subscription: now,
        last_late: None,
        last_progress: now,
        was_stale: false,
    };
    if let Some(recalled) = player.recall() {
        player.publisher.take_over(recalled);
        if let Some(delay) = &mut player.delay {
            delay.skip();
        }
    }
    while !control.is_stopped() {
        player.turn();
    }
}

struct Player<'a> {
    feed: Box<dyn Feed>,
    publisher: Publisher,
    settings: Settings,
    clock: &'a Clock,
    control: &'a Control,
    metrics: &'a Metrics,
    pace: VirtualClock,
    /// The twins of the instruments, where there are any.
    delay: Option<Delay>,
    /// The message that was applied last is one before where the feed is to begin.
    is_seeking: bool,
    /// Of the message that was read last.
    events: Vec<MarketEvent>,
    /// When it is due; `None`: it has been applied.
    due: Option<Timestamp>,
    last_message: Instant,
    last_subscription: Instant,
    /// When the log last said that the feed is late.
    last_late: Option<Instant>,
    /// When it last said how far a seek has come.
    last_progress: Instant,
    /// Whether clients were told that this run of the feed was silent: what came of that is in the numbers of their
    /// statuses, and not in the recording.
    was_stale: bool,
}

/// What the feed has next.
enum Next {
    /// A message, which has been read.
    Due(Timestamp),
    /// Nothing yet: it wakes this thread when there is.
    Waiting,
    /// No message: it has begun again, or there never will be more.
    Nothing,
}

/// How long there is nothing to do, as far as the feed is concerned.
type Idle = Duration;

impl Player<'_> {
    /// Takes what is due, answers who asks, and sleeps until there is more.
    fn turn(&mut self) {
        let sent = self.publisher.bus().sent();
        let mut idle = match self.control.phase() {
            Phase::Waiting => self.hold(),
            Phase::Seeking | Phase::Running | Phase::Stale => self.play(),
            Phase::Ended | Phase::Failed | Phase::Cut => INGEST_SLEEP_MAX,
        };
        self.listen_for_silence(idle);
        if let Some(delay) = &mut self.delay {
            idle = idle.min(delay.turn(&mut self.publisher, self.clock, self.is_seeking));
        }
        self.count_connections();
        self.count_unknown();
        let now = monotonic();
        if let Some(due) = self.publisher.tick(now) {
            idle = idle.min(due.saturating_duration_since(now));
        }
        let subscriptions = self.publisher.subscriptions();
        let has_more = self.publisher.end_turn();
        if self.publisher.subscriptions() != subscriptions {
            self.last_subscription = monotonic();
        }
        if self.publisher.is_behind() {
            idle = idle.min(INGEST_RETRY_AFTER);
        }
        if !has_more && !idle.is_zero() {
            let bus = self.publisher.bus();
            if bus.has_untaken() || bus.sent() == sent {
                idle = idle.max(INGEST_PAUSE);
            }
            std::thread::park_timeout(idle);
        }
    }

    /// Begins as soon as enough clients have subscribed, and nobody does any more.
    fn hold(&mut self) -> Idle {
        let wanted = self.settings.wait_clients;
        let now = monotonic();
        let is_quiet = wanted == 0 || now.duration_since(self.last_subscription) >= WAIT_CLIENTS_QUIET;
        if !is_quiet || self.publisher.bus().handle().subscribers() < wanted {
            return INGEST_RETRY_AFTER;
        }
        self.feed.begin(self.clock.now());
        self.begin();
        Duration::ZERO
    }

    /// Runs, or seeks where the feed is to begin.
    fn begin(&mut self) {
        self.last_message = monotonic();
        self.last_progress = self.last_message;
        self.control.enter(if self.control.seek.is_some() { Phase::Seeking } else { Phase::Running });
    }

    /// Notes how far a seek has come, which is over with the first message that is waited for.
    fn note_seek(&mut self, due: Timestamp) {
        let Some(seek) = &self.control.seek else { return };
        let to = seek.to;
        if due >= to {
            info!(%to, "the recording has come to where it is to begin");
            self.last_message = monotonic();
            self.control.enter(Phase::Running);
            return;
        }
        seek.reached.store(due.0, Ordering::Relaxed);
        let now = monotonic();
        if now.duration_since(self.last_progress) >= SEEK_LOG_EVERY {
            info!(reached = %due, %to, "seeking");
            self.last_progress = now;
        }
    }

    /// Applies messages that are due, a turn's worth at most.
    fn play(&mut self) -> Idle {
        let mut applied = None;
        for _ in 0..TURN_MESSAGES_MAX {
            let due = match self.due.map_or_else(|| self.read(), Next::Due) {
                Next::Due(due) => due,
                Next::Waiting if applied.is_none() => return INGEST_SLEEP_MAX,
                Next::Waiting | Next::Nothing => break,
            };
            if self.control.phase() == Phase::Seeking {
                self.note_seek(due);
            }
            let wait = self.pace.wait(due);
            if !wait.is_zero() {
                self.due = Some(due);
                if applied.is_none() {
                    return wait.min(INGEST_SLEEP_MAX);
                }
                break;
            }
            self.due = None;
            self.publisher.advance(due);
            self.publisher.apply(&self.events);
            self.is_seeking = self.feed.begins_at().is_some_and(|begin| due < begin);
            if let Some(delay) = &mut self.delay {
                if self.is_seeking {
                    delay.skip();
                }
                delay.keep(due, &self.events);
            }
            if self.feed.wants_state() && !self.was_stale {
                self.keep();
            }
            applied = Some(due);
        }
        if let Some(due) = applied {
            self.note_lateness(due);
        }
        Duration::ZERO
    }

    /// Reads the next message, and says when it is due.
    fn read(&mut self) -> Next {
        self.events.clear();
        match self.feed.next_message(&mut self.events) {
            Ok(Progress::Message { due }) => return Next::Due(due),
            Ok(Progress::Waiting) => return Next::Waiting,
            Ok(Progress::Restarted) => {
                let recalled = self.recall();
                let is_recalled = recalled.is_some();
                self.publisher.restart(new_epoch(self.clock), recalled);
                if let Some(delay) = &mut self.delay {
                    delay.keep_restart();
                    if is_recalled {
                        delay.skip();
                    }
                }
                self.pace.restart();
                self.was_stale = false;
                if self.control.phase() != Phase::Failed {
                    self.begin();
                }
            }
            Ok(Progress::Ended) => {
                info!("the recording has ended; its last state stays served");
                self.end(Phase::Ended, "end of recording");
            }
            Err(error) => self.fail(&error),
        }
        Next::Nothing
    }

    /// What the feed begins with, where that is not its beginning.
    fn recall(&mut self) -> Option<Recalled> {
        let state = self.feed.take_state()?;
        match self.publisher.recall(&state) {
            Ok(recalled) => {
                self.is_seeking = true;
                Some(recalled)
            }
            Err(error) => {
                warn!(%error, "the state of a checkpoint cannot be used: the recording is played from its beginning");
                if let Err(error) = self.feed.begin_without_state() {
                    self.fail(&error);
                }
                None
            }
        }
    }

    /// Gives the feed what has become of it so far.
    fn keep(&mut self) {
        match self.publisher.keep() {
            Ok(state) => self.feed.keep_state(&state),
            Err(error) => warn!(%error, "a state that cannot be kept"),
        }
    }

    fn fail(&mut self, error: &FeedError) {
        error!(%error, "the feed has failed; what came before stays served");
        self.metrics.feed_errors_total().add(1);
        let is_live = matches!(error, FeedError::Live { .. });
        self.end(Phase::Failed, if is_live { "venue lost" } else { "recording damaged" });
    }

    fn end(&mut self, phase: Phase, reason: &'static str) {
        self.set_feed_state(Some((StatusState::Ended, reason)));
        self.control.enter(phase);
    }

    fn set_feed_state(&mut self, state: Option<(StatusState, &'static str)>) {
        self.publisher.set_feed_state(state);
        if let Some(delay) = &mut self.delay {
            delay.keep_state(state);
        }
    }

    /// Tells clients when the feed falls silent, and when it speaks again.
    fn listen_for_silence(&mut self, idle: Idle) {
        let now = monotonic();
        match self.control.phase() {
            Phase::Running | Phase::Stale if idle.is_zero() => {
                self.last_message = now;
                if self.control.phase() == Phase::Stale {
                    self.set_feed_state(None);
                    self.control.enter(Phase::Running);
                }
            }
            Phase::Running if now.duration_since(self.last_message) > self.settings.stale_after => {
                warn!(after_ms = self.settings.stale_after.as_millis(), "the feed is silent");
                self.set_feed_state(Some((StatusState::Stale, "feed silent")));
                self.was_stale = true;
                self.control.enter(Phase::Stale);
            }
            _ => {}
        }
    }

    fn count_connections(&self) {
        let Connections { open, lost, resyncs } = self.feed.connections();
        self.metrics.feed_connections().set(i64::try_from(open).unwrap_or(i64::MAX));
        self.metrics.feed_connections_lost_total().set(lost);
        self.metrics.feed_resyncs_total().set(resyncs);
    }

    fn count_unknown(&self) {
        let (known, unknown) = (self.metrics.feed_unknown_lines_total().get(), self.feed.unknown_lines());
        if known == 0 && unknown > 0 {
            warn!(
                "a recording has lines of a kind that is not known here: feed_unknown_lines_total counts them"
            );
        }
        self.metrics.feed_unknown_lines_total().set(unknown);
    }

    fn note_lateness(&mut self, due: Timestamp) {
        let late = self.pace.late(due);
        self.metrics.feed_late_microseconds().set(i64::try_from(late.as_micros()).unwrap_or(i64::MAX));
        let now = monotonic();
        if late > FEED_LATE_MAX
            && self.last_late.is_none_or(|last| now.duration_since(last) >= FEED_LATE_LOG_EVERY)
        {
            warn!(late_ms = late.as_millis(), "the feed cannot keep its pace");
            self.last_late = Some(now);
        }
    }
}

/// A thread that sleeps until it is woken.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
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

#[cfg(test)]
mod tests;
