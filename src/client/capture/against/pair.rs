//! One topic, as it was captured and as the server has it now.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::report::{Difference, Disagreement, Findings, PassedOver};
use super::side::Step;
use super::state::TopicName;

/// What waits on one side for the other one, of all topics together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) steps: u64,
    pub(super) bytes: usize,
}

/// Both sides of a topic.
#[derive(Debug, Default)]
pub(super) struct Pair {
    pub(super) captured: Queue,
    pub(super) server: Queue,
    /// How many states of one number both had.
    pub(super) in_common: u64,
}

/// A side's steps, as far as the other side has not come that far.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Each with the number of the state before it, unless it begins anew.
    steps: VecDeque<(Option<u64>, Step)>,
    /// Where the last one led to.
    last: Option<Place>,
    /// Up to where there was a loss, as the server said.
    lost_to: Option<Place>,
    /// How many states there were.
    pub(super) states: u64,
}

/// A run of the stream, and a number in it.
type Place = (u32, u64);

/// What a side did in the place of a state that the other one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Merged,
    Anew,
    Lost,
}

impl Queue {
    pub(super) fn push(&mut self, step: Step, load: &mut Load) {
        load.steps += 1;
        load.bytes += step.bytes();
        let place = (step.run, step.seq);
        let begins = step.state.as_ref().is_some_and(|state| state.begins);
        let before = self.last.filter(|(run, _)| *run == step.run && !begins).map(|(_, seq)| seq);
        self.last = Some(place);
        self.states += u64::from(step.state.is_some());
        self.steps.push_back((before, step));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub(super) fn pop(&mut self, load: &mut Load) -> Option<(Option<u64>, Step)> {
        let (before, step) = self.steps.pop_front()?;
        load.steps -= 1;
        load.bytes -= step.bytes();
        if step.state.is_none() {
            self.lost_to = Some((step.run, step.seq));
        }
        Some((before, step))
    }

    /// The capture's line of the next step.
    pub(super) fn line(&self) -> Option<u64> {
        self.next()?.1.line
    }

    fn next(&self) -> Option<(Place, &Step)> {
        self.steps.front().map(|(_, step)| ((step.run, step.seq), step))
    }

    /// Why a state of the other side at `place`, before the next one here, is none of this side's. `None`: it should be.
    fn passes_over(&self, place: Place) -> Option<Reason> {
        let (next, step) = self.next()?;
        if next.0 != place.0 {
            return Some(Reason::Anew);
        }
        if self.lost_to.is_some_and(|(run, to)| run == place.0 && place.1 <= to) {
            return Some(Reason::Lost);
        }
        match &step.state {
            None => Some(Reason::Lost),
            Some(state) if state.begins => Some(Reason::Anew),
            Some(state) if state.is_snapshot || state.merged > 1 => Some(Reason::Merged),
            Some(_) => None,
        }
    }

    /// Takes out what the other side does not have. `line`: of the capture, where it is not the step's own.
    fn pass(
        &mut self,
        passed: Option<Reason>,
        what: Disagreement,
        line: Option<u64>,
        topic: &TopicName,
        load: &mut Load,
        findings: &mut Findings,
    ) {
        let Some((_, step)) = self.pop(load) else { return };
        // A loss is none itself. Whoever begins anew does so at a number that others need not have stopped at.
        let Some(state) = &step.state else { return };
        let PassedOver { merged, anew, lost, .. } = &mut findings.passed_over;
        match passed.or(state.begins.then_some(Reason::Anew)) {
            Some(Reason::Merged) => *merged += 1,
            Some(Reason::Anew) => *anew += 1,
            Some(Reason::Lost) => *lost += 1,
            None => findings.add(|| at(topic, &step, line.or(step.line), what)),
        }
    }
}

impl Pair {
    /// Compares what both sides have.
    pub(super) fn settle(
        &mut self,
        topic: &TopicName,
        captured_load: &mut Load,
        server_load: &mut Load,
        findings: &mut Findings,
    ) {
        while let (Some((captured, captured_step)), Some((server, server_step))) =
            (self.captured.next(), self.server.next())
        {
            match captured.cmp(&server) {
                Ordering::Less => {
                    let passed = self.server.passes_over(captured);
                    self.captured.pass(passed, Disagreement::Missing, None, topic, captured_load, findings);
                }
                Ordering::Greater => {
                    let (passed, line) = (self.captured.passes_over(server), captured_step.line);
                    self.server.pass(passed, Disagreement::Extra, line, topic, server_load, findings);
                }
                // What is lost up to a number may be followed by the state of that number.
                Ordering::Equal if captured_step.state.is_none() => {
                    self.captured.pop(captured_load);
                }
                Ordering::Equal if server_step.state.is_none() => {
                    self.server.pop(server_load);
                }
                Ordering::Equal => {
                    let (Some((captured_before, captured)), Some((server_before, server))) =
                        (self.captured.pop(captured_load), self.server.pop(server_load))
                    else {
                        return;
                    };
                    self.in_common += 1;
                    let (Some(state), Some(other)) = (&captured.state, &server.state) else { return };
                    let follows_the_same = captured_before.is_some()
                        && captured_before == server_before
                        && !state.is_snapshot
                        && !other.is_snapshot;
                    let difference = || at(topic, &captured, captured.line, Disagreement::Value);
                    state.compare(other, follows_the_same, difference, findings);
                }
            }
        }
    }
}

/// A difference at a step.
pub(super) fn at(topic: &TopicName, step: &Step, line: Option<u64>, what: Disagreement) -> Difference {
    let (channel, symbol) = topic;
    let subject = Some(format!("{channel}:{symbol}"));
    Difference { line, subject, seq: Some(step.seq), ..Difference::new(what) }
}
