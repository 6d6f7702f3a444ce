//! When topics at a rate are due.
//!
//! A rate's period has [`SLOTS`] slots; a topic that changed waits for its own. Neighbours share one, so that what a
//! client follows comes in few messages where there are not many instruments, and an unbounded number never comes at
//! once. What did not change is in no list, and costs nothing.
//!
//! Slots are not filled evenly, because a message costs more to send than an update in it: with neighbours spread over
//! eight slots, a client of 5 topics would be sent 3.9 messages a period on average in place of one, and one of 20 topics
//! 7.4. The price is that up to [`RATE_SLOT_INSTRUMENTS`] topics of a kind are encoded in one turn, and that what is raw
//! waits in its shard behind the beat's sends.

use std::time::{Duration, Instant};

use crate::limits::RATE_SLOT_INSTRUMENTS;
use crate::topic::{Rate, TopicId};

const SLOTS: u32 = 8;

pub(super) struct Rates {
    /// In the order of [`Rate::ALL`], but for raw.
    wheels: Vec<Wheel>,
}

struct Wheel {
    /// From one slot to the next.
    step: Duration,
    /// The slot that is due next.
    slot: usize,
    /// When that is; `None` before the first look at the time.
    due: Option<Instant>,
    lists: [Vec<TopicId>; SLOTS as usize],
}

impl Rates {
    pub(super) fn new() -> Self {
        let wheel =
            |period: Duration| Wheel { step: period / SLOTS, slot: 0, due: None, lists: Default::default() };
        Self { wheels: Rate::ALL.into_iter().filter_map(Rate::period).map(wheel).collect() }
    }

    /// Lists a topic until its slot is due; to be called once until then.
    pub(super) fn mark(&mut self, topic: TopicId) {
        let slot = topic.symbol().index() / RATE_SLOT_INSTRUMENTS % SLOTS as usize;
        self.wheels[topic.rate() as usize - 1].lists[slot].push(topic);
    }

    /// Takes the topics whose slot is due at `now`.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<TopicId>) {
        for wheel in &mut self.wheels {
            wheel.take_due(now, due);
        }
    }

    /// When the next topic is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.wheels.iter().filter_map(Wheel::next_due).min()
    }
}

impl Wheel {
    fn take_due(&mut self, now: Instant, taken: &mut Vec<TopicId>) {
        let due = *self.due.get_or_insert(now);
        if now < due {
            return;
        }
        let late = now.duration_since(due).as_nanos() / self.step.as_nanos();
        let passed = u32::try_from(late).unwrap_or(u32::MAX - 1) + 1;
        // Who comes late takes each slot once, and keeps the beat.
        for steps in 0..passed.min(SLOTS) {
            let slot = self.after(steps);
            taken.append(&mut self.lists[slot]);
        }
        self.slot = self.after(passed);
        self.due = Some(due + self.step * passed);
    }

    fn next_due(&self) -> Option<Instant> {
        let steps = (0..SLOTS).find(|&steps| !self.lists[self.after(steps)].is_empty())?;
        Some(self.due? + self.step * steps)
    }

    /// The slot that comes so many steps after the one due next.
    const fn after(&self, steps: u32) -> usize {
        (self.slot + (steps % SLOTS) as usize) % SLOTS as usize
    }
}
