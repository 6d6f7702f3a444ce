//! Puts the lines of a capture in order of their time.
//!
//! Recorders write one connection after another, or all REST answers first, so that the time goes back in mid-file. The
//! file is read at several places at once, a lane for each stretch in which it does not, and the line that is due is
//! the earliest of the lanes' next ones; of equals the one that stands first in the file. Within a lane the order is
//! the file's. Memory is one line a lane, whatever the size of the file; the price is that every lane decompresses
//! what stands before it.

use std::path::Path;

use super::envelope::{Envelope, Line};
use crate::limits::{CAPTURE_LANES_MAX, CAPTURE_TOLERANCE_NANOSECONDS};
use crate::{FeedError, Timestamp};

/// The stretches of a capture, read side by side.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// The lane whose line was taken last.
    turn: Option<usize>,
}

struct Lane {
    envelope: Envelope,
    /// Where the next lane starts.
    end: Option<u64>,
    next: Option<Result<Line, FeedError>>,
    /// The time of `next`; of damage, whose time is not known, that of the line before.
    due: Timestamp,
}

/// Finds where the lanes of a file start.
#[derive(Default)]
pub(super) struct LaneStarts {
    starts: Vec<u64>,
    last: Timestamp,
}

impl Lanes {
    /// Opens a capture with lanes that start at `starts`, the first of which is the file's start.
    pub(super) fn open(path: &Path, starts: &LaneStarts) -> Result<Self, FeedError> {
        let ends = starts.starts.iter().copied().map(Some).chain([None]);
        let mut lanes = Vec::with_capacity(starts.starts.len() + 1);
        for (start, end) in [0].iter().chain(&starts.starts).zip(ends) {
            let envelope = Envelope::open(path, *start)?;
            let mut lane = Lane { envelope, end, next: None, due: Timestamp::default() };
            lane.advance();
            lanes.push(lane);
        }
        Ok(Self { lanes, turn: None })
    }

    /// Takes the line that is due; [`Lanes::envelope`] has what is in it. `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, FeedError> {
        if let Some(turn) = self.turn {
            self.lanes[turn].advance();
        }
        let due = self.lanes.iter().enumerate().filter(|(_, lane)| lane.next.is_some());
        let Some((turn, _)) = due.min_by_key(|(_, lane)| lane.due) else {
            return Ok(None);
        };
        self.turn = Some(turn);
        self.lanes[turn].next.take().transpose()
    }

    /// The envelope of the line taken last; before it, that of the first line.
    pub(super) fn envelope(&mut self) -> &mut Envelope {
        &mut self.lanes[self.turn.unwrap_or(0)].envelope
    }
}

impl Lane {
    fn advance(&mut self) {
        self.next = self.envelope.next_line(self.end, self.due).transpose();
        if let Some(Ok(line)) = &self.next {
            self.due = line.ts_recv;
        }
    }
}

impl LaneStarts {
    /// Takes the place and time of the next line in the file's order.
    ///
    /// # Errors
    /// The reason why the file is refused.
    pub(super) fn see(&mut self, offset: u64, ts_recv: Timestamp) -> Result<(), String> {
        if ts_recv.0 < self.last.0.saturating_sub(CAPTURE_TOLERANCE_NANOSECONDS) {
            if self.starts.len() + 1 >= CAPTURE_LANES_MAX {
                return Err(format!("the time goes back for the {CAPTURE_LANES_MAX}th time"));
            }
            self.starts.push(offset);
        }
        self.last = ts_recv;
        Ok(())
    }
}
