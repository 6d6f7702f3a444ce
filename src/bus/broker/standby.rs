//! Which of several ingests of one share publishes: one is active, the others stand by, each with a market of its own.
//!
//! All hear the beats of the active one. Who has heard none for [`TAKE_OVER_AFTER`], and up to [`BEAT_EVERY`] more by its
//! `source`, is active itself, in a *term* one higher than any that it has heard. Of two who are active the one of the
//! lower term, or else of the lower `source`, stands by again: it was taken for dead. Silence only counts while the bus
//! carries messages, which whoever stands by knows by its own, which it is sent too: an outage of the broker makes
//! nobody active.

use std::time::{Duration, Instant};

use super::message::Beat;
use crate::limits::{BEAT_EVERY, BROKER_RETRY_AFTER, ECHO_MISSED_AFTER, TAKE_OVER_AFTER};

/// What one ingest knows of the others.
#[derive(Debug)]
pub struct Standing {
    source: u64,
    /// The highest that is known; its own while it is active.
    term: u64,
    is_active: bool,
    /// Until when another was active for certain, or nothing could be heard.
    heard_at: Instant,
    /// When its own word came back.
    echoed_at: Option<Instant>,
}

impl Standing {
    /// Of an ingest that begins: it listens first.
    #[must_use]
    pub const fn new(source: u64, now: Instant) -> Self {
        Self { source, term: 0, is_active: false, heard_at: now, echoed_at: None }
    }

    /// Whether it is the one that publishes.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.is_active
    }

    /// For its beats.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// A beat of whoever is active, or takes itself for it. `true`: this one is not any more.
    pub fn hear(&mut self, beat: &Beat, now: Instant) -> bool {
        if beat.source == self.source {
            self.echo(now);
            return false;
        }
        if self.is_active && beat.rank() < (self.term, self.source) {
            return false;
        }
        self.term = self.term.max(beat.term);
        self.heard_at = now;
        std::mem::take(&mut self.is_active)
    }

    /// What it has sent itself has come: the bus carries messages.
    pub fn echo(&mut self, now: Instant) {
        if self.is_deaf(now) {
            // After an outage, who is active may reach the broker later than this one.
            let others_come = if self.echoed_at.is_some() { BROKER_RETRY_AFTER.1 } else { Duration::ZERO };
            self.heard_at = now + others_come;
        }
        self.echoed_at = Some(now);
    }

    /// Looks whether nobody is active. `true`: this one is from now on.
    pub fn look(&mut self, now: Instant) -> bool {
        if self.is_active || self.is_deaf(now) || now.duration_since(self.heard_at) < self.patience() {
            return false;
        }
        // Nobody comes so far, but for one that says so.
        self.term = self.term.saturating_add(1);
        self.is_active = true;
        true
    }

    fn is_deaf(&self, now: Instant) -> bool {
        self.echoed_at.is_none_or(|at| now.duration_since(at) > ECHO_MISSED_AFTER)
    }

    /// Unlike those of others, so that one of them is the first.
    fn patience(&self) -> Duration {
        let span = u64::try_from(BEAT_EVERY.as_micros()).unwrap_or(u64::MAX);
        TAKE_OVER_AFTER + Duration::from_micros(self.source % span)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use feeds::clock::monotonic;
    use proptest::prelude::*;

    use super::super::share::Share;
    use super::*;

    /// How far the model's time goes in a step.
    const STEP: Duration = Duration::from_millis(50);
    /// Steps from beat to beat.
    const BEAT_STEPS: u64 = 5;
    /// Long enough for every patience, also after an outage, and for the loser of two to hear the other.
    const SETTLED_STEPS: u64 = 100;
    /// How much later than others one may reach a broker that is there again.
    const LATE_STEPS: u64 = 35;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fault {
        /// The process runs no more; what is sent to it waits.
        Frozen,
        /// Nothing passes between it and the broker.
        Cut,
        /// Another process in its place.
        Restarted,
    }

    struct Node {
        standing: Standing,
        fault: Option<Fault>,
        /// What waits at the broker or in its sockets for it.
        inbox: Vec<Beat>,
    }

    /// Ingests on a bus, in a time of their own.
    struct Model {
        now: Instant,
        step: u64,
        nodes: Vec<Node>,
        is_bus_frozen: bool,
        /// What has come to a frozen broker.
        held: Vec<(usize, Beat)>,
        sources: u64,
        takeovers: u64,
    }

    impl Model {
        fn new(nodes: usize, seed: u64) -> Self {
            let now = monotonic();
            let mut model = Self {
                now,
                step: 0,
                nodes: Vec::new(),
                is_bus_frozen: false,
                held: Vec::new(),
                sources: seed,
                takeovers: 0,
            };
            for _ in 0..nodes {
                let standing = model.next_standing();
                model.nodes.push(Node { standing, fault: None, inbox: Vec::new() });
            }
            model
        }

        fn next_standing(&mut self) -> Standing {
            self.sources = self.sources.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Standing::new(self.sources >> 20, self.now)
        }

        fn step(&mut self) {
            self.step += 1;
            self.now += STEP;
            let mut sent = Vec::new();
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                if node.fault == Some(Fault::Frozen) {
                    continue;
                }
                for beat in std::mem::take(&mut node.inbox) {
                    // What others who stand by send themselves is not for this one.
                    if beat.source == node.standing.source || beat.digest == 1 {
                        node.standing.hear(&beat, self.now);
                    }
                }
                if (self.step + at as u64).is_multiple_of(BEAT_STEPS) {
                    self.takeovers += u64::from(node.standing.look(self.now));
                    let digest = u32::from(node.standing.is_active());
                    let epoch: Arc<str> = "e".into();
                    let beat = Beat {
                        source: node.standing.source,
                        term: node.standing.term(),
                        epoch,
                        digest,
                        share: Share::WHOLE,
                    };
                    if node.fault != Some(Fault::Cut) {
                        sent.push((at, beat));
                    }
                }
            }
            self.held.extend(sent);
            if !self.is_bus_frozen {
                for (from, beat) in std::mem::take(&mut self.held) {
                    for (at, node) in self.nodes.iter_mut().enumerate() {
                        let is_cut = node.fault == Some(Fault::Cut);
                        let is_for_it = beat.digest == 1 || from == at;
                        if is_for_it && !is_cut {
                            node.inbox.push(beat.clone());
                        }
                    }
                }
            }
        }

        fn run(&mut self, steps: u64) {
            for _ in 0..steps {
                self.step();
            }
        }

        fn active(&self) -> Vec<usize> {
            let all = self.nodes.iter().enumerate();
            all.filter(|(_, node)| node.standing.is_active()).map(|(at, _)| at).collect()
        }
    }

    #[test]
    fn one_that_is_alone_is_active_and_the_next_ones_stand_by() {
        let mut model = Model::new(1, 3);
        model.run(SETTLED_STEPS);
        assert_eq!(model.active(), [0]);
        let standing = model.next_standing();
        model.nodes.push(Node { standing, fault: None, inbox: Vec::new() });
        model.run(10 * SETTLED_STEPS);
        assert_eq!((model.active(), model.takeovers), (vec![0], 1));
    }

    /// Whoever can publish on the bus can say any number.
    #[test]
    fn a_term_behind_which_there_is_none_ends_nobody() {
        let now = monotonic();
        let mut standing = Standing::new(7, now);
        let last = Beat { source: 8, term: u64::MAX, epoch: "e".into(), digest: 0, share: Share::WHOLE };
        standing.hear(&last, now);
        let later = now + 2 * TAKE_OVER_AFTER;
        for at in [now, later] {
            standing.echo(at);
        }
        standing.heard_at = now;
        assert!(standing.look(later));
        assert_eq!((standing.is_active(), standing.term()), (true, u64::MAX));
    }

    proptest! {
        #[test]
        fn an_outage_of_the_broker_makes_nobody_active(
            seed: u64,
            steps in 1_u64..400,
            late in prop::option::of(0..LATE_STEPS),
        ) {
            let mut model = Model::new(3, seed);
            model.run(SETTLED_STEPS);
            let (before, takeovers) = (model.active(), model.takeovers);
            prop_assert_eq!(before.len(), 1);
            model.is_bus_frozen = true;
            model.run(steps);
            model.is_bus_frozen = false;
            if let Some(late) = late.filter(|_| steps > BEAT_STEPS * 3) {
                // What it had sent is lost with its connection, and who is active is the last to come back.
                model.held.clear();
                model.nodes[before[0]].fault = Some(Fault::Cut);
                model.run(late);
                model.nodes[before[0]].fault = None;
            }
            model.run(SETTLED_STEPS);
            prop_assert_eq!((model.active(), model.takeovers), (before, takeovers));
        }

        #[test]
        fn whatever_happens_one_is_active_in_the_end(
            seed: u64,
            faults in prop::collection::vec((0_usize..3, 0_usize..5, 1_u64..80), 0..20),
        ) {
            let mut model = Model::new(3, seed);
            for (at, fault, steps) in faults {
                match fault {
                    0 => model.nodes[at].fault = Some(Fault::Frozen),
                    1 => model.nodes[at].fault = Some(Fault::Cut),
                    2 => {
                        let standing = model.next_standing();
                        model.nodes[at] =
                            Node { standing, fault: Some(Fault::Restarted), inbox: Vec::new() };
                    }
                    3 => model.is_bus_frozen ^= true,
                    _ => model.nodes[at].fault = None,
                }
                model.run(steps);
            }
            model.is_bus_frozen = false;
            for node in &mut model.nodes {
                node.fault = None;
            }
            model.run(2 * SETTLED_STEPS);
            let active = model.active();
            prop_assert_eq!(active.len(), 1, "{:?}", active);
            let takeovers = model.takeovers;
            model.run(SETTLED_STEPS);
            prop_assert_eq!((model.active(), model.takeovers), (active, takeovers), "it stays");
        }

        #[test]
        fn who_is_active_and_ends_is_followed_by_one(seed: u64) {
            let mut model = Model::new(3, seed);
            model.run(SETTLED_STEPS);
            let first = model.active()[0];
            model.nodes[first].fault = Some(Fault::Frozen);
            model.run(SETTLED_STEPS);
            let others: Vec<_> = model.active().into_iter().filter(|&at| at != first).collect();
            prop_assert_eq!(others.len(), 1);
            // It was asleep, and learns of it.
            model.nodes[first].fault = None;
            model.run(SETTLED_STEPS);
            prop_assert_eq!(model.active(), others);
        }
    }
}
