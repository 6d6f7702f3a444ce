//! What came of a comparison: for programs as JSON, for people as text.

use serde::Serialize;

use crate::limits::{CAPTURE_FAULTS_MAX, CAPTURE_VALUE_CHARS_MAX};
use crate::printable::printable;

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// What it comes to.
    pub verdict: Verdict,
    /// Why it cannot be told whether all is the same, if so: differences may have been found nevertheless.
    pub cannot_tell: Option<String>,
    /// Where it was captured.
    pub captured_at: String,
    /// What it was compared with.
    pub server: String,
    /// Lines of the capture that were read: messages and control frames of both sides.
    pub frames: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Answers that were compared.
    pub answers: u64,
    /// States that were compared: those of one number that both have.
    pub states: u64,
    /// Topics of which there were any.
    pub topics: usize,
    /// By how many microseconds the server's times are later; `None`: there was no time in common.
    pub later_us: Option<i64>,
    /// Numbers that one side alone has, and may.
    pub passed_over: PassedOver,
    /// The first of many.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub differences_total: u64,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was captured came again.
    Equal,
    /// Something is otherwise.
    Differs,
    /// Nothing is otherwise, but not all could be compared.
    CannotTell,
}

/// Numbers of states that one side alone has, by what the other one did in their place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// It merged changes, and said how many.
    pub merged: u64,
    /// It began anew with a whole state, or in another epoch; or one of the two began later.
    pub anew: u64,
    /// It said that there was a loss.
    pub lost: u64,
    /// It does not follow the topic, or not any more: why is a difference of its own.
    pub unfollowed: u64,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In what they do not agree.
    pub what: Disagreement,
    /// The capture's line, or the one that was awaited; `None`: there is none that it belongs to.
    pub line: Option<u64>,
    /// The topic, such as `book.10:ETH/USD`; of answers the method and the request's number.
    pub subject: Option<String>,
    /// The number of the state.
    pub seq: Option<u64>,
    /// The field.
    pub field: Option<String>,
    /// What was captured; `None`: nothing.
    pub captured: Option<String>,
    /// What the server sent; `None`: nothing.
    pub server: Option<String>,
}

/// In what a capture and a server do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disagreement {
    /// A field has another value.
    Value,
    /// What was captured the server passed over.
    Missing,
    /// What the server sent is not in the capture, which goes on behind it.
    Extra,
    /// What was captured has not come in time.
    NotCome,
    /// The capture itself proves to be wrong.
    CaptureFault,
    /// What the server sent proves to be wrong.
    ServerFault,
}

/// What is found, as it is found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) later_us: Option<i64>,
    pub(super) answers: u64,
    pub(super) states: u64,
    pub(super) passed_over: PassedOver,
    pub(super) differences: Vec<Difference>,
    pub(super) differences_total: u64,
}

impl Findings {
    /// Counts it, and keeps it if it is one of the first.
    pub(super) fn add(&mut self, difference: impl FnOnce() -> Difference) {
        self.differences_total += 1;
        if self.differences.len() < CAPTURE_FAULTS_MAX {
            let mut difference = difference();
            let Difference { subject, field, captured, server, .. } = &mut difference;
            for text in [subject, field, captured, server] {
                *text = text.take().map(|text| printable(&text, CAPTURE_VALUE_CHARS_MAX));
            }
            self.differences.push(difference);
        }
    }

    /// Whether a time of the server's, in microseconds, is as much later than the captured one as all others are. Where they
    /// are later at all, the rounding of both to microseconds may make it one more or less.
    pub(super) fn is_same_time(&mut self, captured: i64, server: i64) -> bool {
        let later = server.saturating_sub(captured);
        match self.later_us {
            None => {
                self.later_us = Some(later);
                true
            }
            Some(0) => later == 0,
            Some(known) => later.abs_diff(known) <= 1,
        }
    }
}

impl Difference {
    pub(super) const fn new(what: Disagreement) -> Self {
        Self { what, line: None, subject: None, seq: None, field: None, captured: None, server: None }
    }
}
