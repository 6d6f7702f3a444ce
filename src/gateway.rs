//! The thread of a gateway: hands on to its publisher what comes by the bus, and tells the bus what is wanted. While it
//! waits, the connection to the bus does its work on the same thread.
//!
//! It has no feed. While the ingest is silent, every instrument is `stale` and the gateway not ready; what its clients
//! hold stays. A new run of the stream begins here when the states of all topics that are followed have come, so that
//! clients are never shown less than there is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use tokio::runtime::Runtime;
use tracing::{error, info, warn};

use crate::bus::broker::message::Carried;
use crate::bus::broker::{Delivery, Link, Order};
use crate::ingest::{Control, Phase};
use crate::limits::{
    ASK_AGAIN_AFTER, BEATS_MISSED_MAX, DELIVERIES_PER_TURN_MAX, FOLLOW_EVERY, INGEST_RETRY_AFTER,
    INGEST_SLEEP_MAX,
};
use crate::metrics::Metrics;
use crate::publisher::{Mirror, Publisher};
use crate::state::{Status, StatusState};

/// Relays until it is told to stop, or cannot go on. Takes the calling thread, which the bus works on meanwhile.
///
/// # Panics
/// When the publisher does.
pub fn run(publisher: Publisher, runtime: &Runtime, link: Link, control: Control, metrics: Metrics) {
    publisher.bus().woken_by(link.waker());
    control.enter(Phase::Running);
    let now = monotonic();
    let gateway = Gateway {
        publisher,
        link,
        control,
        metrics,
        next: None,
        beat_at: now,
        followed_at: now,
        looked_at: now,
        was_overdue: false,
        is_recovering: false,
    };
    // A task, because it costs a system call to wake the future that a thread is blocked on.
    let relaying = runtime.spawn(gateway.relay());
    if let Err(error) = runtime.block_on(relaying)
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

struct Gateway {
    publisher: Publisher,
    link: Link,
    control: Control,
    metrics: Metrics,
    /// The states of a run that is about to begin.
    next: Option<Mirror>,
    /// When the stream was last heard to live.
    beat_at: Instant,
    /// When it was last told all that is followed.
    followed_at: Instant,
    looked_at: Instant,
    /// In the last turn it had not been heard for too long. After a long turn, what was said meanwhile is yet to be read.
    was_overdue: bool,
    /// It is heard again, and what it sent meanwhile is being asked for.
    is_recovering: bool,
}

impl Gateway {
    async fn relay(mut self) {
        while !self.control.is_stopped() {
            let Some(idle) = self.turn() else { return };
            if !self.link.wait(idle).await {
                error!("the connection to the bus has ended");
                return;
            }
        }
    }

    /// Says how long there will be nothing to do, if nothing comes; `None`: it cannot go on.
    fn turn(&mut self) -> Option<Duration> {
        let taken = self.take_deliveries()?;
        let now = monotonic();
        self.begin_next_run();
        self.listen_for_silence(now);
        let mut idle = INGEST_SLEEP_MAX;
        if let Some(due) = self.publisher.tick(now) {
            idle = idle.min(due.saturating_duration_since(now));
        }
        let has_more = self.publisher.end_turn();
        if !self.run_errands(now) || self.publisher.is_behind() {
            idle = idle.min(INGEST_RETRY_AFTER);
        }
        if has_more || taken == DELIVERIES_PER_TURN_MAX {
            idle = Duration::ZERO;
        }
        Some(idle)
    }

    /// Says how many it took; `None`: it cannot go on.
    fn take_deliveries(&mut self) -> Option<usize> {
        for taken in 0..DELIVERIES_PER_TURN_MAX {
            match self.link.deliveries.try_recv() {
                Ok(Delivery::Carried(carried)) => self.carry(&carried),
                Ok(Delivery::Lives(epoch)) => self.note_life(&epoch),
                Ok(Delivery::IsAnother) => {
                    error!(
                        "the ingest has other instruments than this gateway began with, or shares them otherwise: it has to begin anew"
                    );
                    return None;
                }
                Ok(Delivery::Bad) => self.metrics.bus_messages_bad_total().add(1),
                Ok(Delivery::Reconnected) => {
                    self.metrics.bus_reconnects_total().add(1);
                    self.publisher.mirror().ask_for_all();
                }
                Err(_) => return Some(taken),
            }
        }
        Some(DELIVERIES_PER_TURN_MAX)
    }

    fn carry(&mut self, carried: &Carried) {
        let next = self.next.as_mut().filter(|next| *next.epoch() == carried.epoch);
        let result = match next {
            Some(next) => next.carry(carried),
            None => self.publisher.carry(carried),
        };
        if let Err(error) = result {
            self.metrics.bus_messages_bad_total().add(1);
            warn!(topic = carried.topic.0, seq = carried.seq, %error, "a message of the bus makes no sense: the state is asked for");
        }
    }

    fn note_life(&mut self, epoch: &Arc<str>) {
        self.beat_at = monotonic();
        if self.control.phase() == Phase::Cut && !self.is_recovering {
            self.is_recovering = true;
            self.publisher.mirror().ask_for_all();
        }
        let is_known = self.next.as_ref().map_or(self.publisher.mirror().epoch(), Mirror::epoch) == epoch;
        if !is_known {
            info!(%epoch, "another run of the stream begins");
            // The one that goes on is no news.
            let goes_on = self.publisher.mirror().epoch() == epoch;
            self.next = (!goes_on).then(|| self.publisher.mirror().of_next_run(Arc::clone(epoch)));
        }
    }

    fn begin_next_run(&mut self) {
        if let Some(next) = self.next.take_if(|next| next.is_complete()) {
            self.publisher.restart_mirrored(next);
        }
    }

    /// Tells clients when the bus falls silent, and when it has spoken again and all that was missed has come.
    fn listen_for_silence(&mut self, now: Instant) {
        let is_overdue = now.duration_since(self.beat_at) > BEATS_MISSED_MAX;
        let is_silent = std::mem::replace(&mut self.was_overdue, is_overdue) && is_overdue;
        match self.control.phase() {
            Phase::Running if is_silent => {
                warn!("the bus is silent: everything is stale");
                let status = Status { state: StatusState::Stale, reason: "bus silent".into() };
                self.publisher.set_bus_state(Some(status));
                self.control.enter(Phase::Cut);
            }
            Phase::Cut if is_silent => self.is_recovering = false,
            Phase::Cut
                if self.is_recovering && self.next.is_none() && self.publisher.mirror().is_settled() =>
            {
                info!("the bus is heard again");
                self.is_recovering = false;
                self.publisher.set_bus_state(None);
                self.control.enter(Phase::Running);
            }
            _ => {}
        }
    }

    /// `false`: the bus takes no more orders now.
    fn run_errands(&mut self, now: Instant) -> bool {
        let Ok(permit) = self.link.orders.try_reserve() else { return false };
        let errands = self.publisher.take_errands();
        let all = now.duration_since(self.followed_at) >= FOLLOW_EVERY;
        if all {
            self.followed_at = now;
        }
        let looks = now.duration_since(self.looked_at) >= ASK_AGAIN_AFTER / 4;
        if looks {
            self.looked_at = now;
        }
        if let Some(next) = &mut self.next {
            for &topic in &errands.wanted {
                next.want(topic);
            }
            errands.forgotten.iter().for_each(|&topic| next.forget(topic));
        }
        let mirror = self.next.as_mut().unwrap_or_else(|| self.publisher.mirror());
        if looks {
            mirror.look(now);
        }
        let follow = (Arc::clone(mirror.epoch()), mirror.asks(now, all));
        self.metrics.bus_subscriptions().set(i64::try_from(mirror.len()).unwrap_or(i64::MAX));
        let order =
            Order { listen: errands.wanted, leave: errands.forgotten, follow, forwards: errands.forwards };
        let is_idle = order.listen.is_empty() && order.leave.is_empty() && order.forwards.is_empty();
        if !is_idle || !order.follow.1.is_empty() {
            permit.send(order);
        }
        true
    }
}
