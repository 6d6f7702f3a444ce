//! Joins Binance's depth stream with a snapshot of the book.
//!
//! The venue's procedure ([spot], [futures]), whose steps the code names:
//! 1. Keep the depth messages that come before the snapshot.
//! 2. Get the snapshot. If it is older than the first message kept, get another.
//! 3. Drop messages that the snapshot holds already: spot `u <= lastUpdateId`, futures `u < lastUpdateId`.
//! 4. The first message must straddle the snapshot: spot `U <= lastUpdateId + 1 <= u`, futures
//!    `U <= lastUpdateId <= u`. In futures `pu <= lastUpdateId` does as well: `pu` is the last number of this symbol
//!    before the message, so that nothing lies between.
//! 5. From there each message follows the one before: spot `U == u + 1` of that, futures `pu == u` of that. If not,
//!    messages were lost: start again at 1.
//!
//! [spot]: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
//! [futures]: https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams/How-to-manage-a-local-order-book-correctly

use crate::{EventBody, MarketEvent};

/// Which numbering a market has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    /// `U` and `u`.
    Spot,
    /// `U`, `u` and `pu`.
    Futures,
}

/// The update numbers of one depth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DepthRange {
    /// `U`
    pub(super) first: u64,
    /// `u`
    pub(super) last: u64,
    /// `pu`; futures only.
    pub(super) previous: Option<u64>,
}

/// How far one symbol's book has come.
#[derive(Default)]
pub(super) struct Depth {
    joined: Option<Joined>,
    /// Messages kept in step 1, and the number of events of each.
    ranges: Vec<(DepthRange, usize)>,
    /// Their events, one after another.
    events: Vec<MarketEvent>,
}

#[derive(Clone, Copy)]
enum Joined {
    /// The snapshot's `lastUpdateId`: the next message is for steps 3 and 4.
    Snapshot(u64),
    /// `u` of the last message: the next one is for step 5.
    Chain(u64),
}

enum Verdict {
    Follows,
    Stale,
    Breaks { expected: u64, found: u64 },
}

impl Depth {
    /// Takes a depth message whose events are `events[start..]`, and leaves of them what is to be told now. `stamp`
    /// is an event of the message, for what else there is to tell.
    pub(super) fn on_range(
        &mut self,
        range: DepthRange,
        stamp: &MarketEvent,
        start: usize,
        events: &mut Vec<MarketEvent>,
    ) {
        match self.joined.map(|joined| joined.judge(range)) {
            Some(Verdict::Follows) => self.joined = Some(Joined::Chain(range.last)),
            Some(Verdict::Stale) => events.truncate(start),
            Some(Verdict::Breaks { expected, found }) => {
                self.joined = None;
                self.keep(range, start, events);
                tell_break(stamp, expected, found, events);
            }
            None => self.keep(range, start, events),
        }
    }

    /// Takes a snapshot, and appends it and the messages kept, where they fit together.
    pub(super) fn on_snapshot(&mut self, snapshot: MarketEvent, events: &mut Vec<MarketEvent>) {
        let last_update_id = snapshot.sequence;
        if let Some(Joined::Snapshot(last) | Joined::Chain(last)) = self.joined
            && last > last_update_id
        {
            // The book is complete and newer: going back would lose what came since.
            return;
        }
        let mut joined = Joined::Snapshot(last_update_id);
        let first_fresh =
            self.ranges.iter().map(|(range, _)| *range).find_map(|range| match joined.judge(range) {
                Verdict::Stale => None,
                verdict => Some(verdict),
            });
        if let Some(Verdict::Breaks { expected, found }) = first_fresh {
            // Step 2: the messages stay, and wait for another.
            tell_break(&snapshot, expected, found, events);
            return;
        }
        let stamp = beside(&snapshot, EventBody::BookClear);
        events.push(snapshot);
        let mut taken_ranges = 0;
        let mut taken_events = 0;
        let mut broken = None;
        for (range, count) in &self.ranges {
            match joined.judge(*range) {
                Verdict::Stale => {}
                Verdict::Follows => {
                    joined = Joined::Chain(range.last);
                    events.extend_from_slice(&self.events[taken_events..taken_events + count]);
                }
                Verdict::Breaks { expected, found } => {
                    broken = Some((expected, found));
                    break;
                }
            }
            taken_ranges += 1;
            taken_events += count;
        }
        self.ranges.drain(..taken_ranges);
        self.events.drain(..taken_events);
        self.joined = if let Some((expected, found)) = broken {
            tell_break(&stamp, expected, found, events);
            None
        } else {
            Some(joined)
        };
    }

    /// Forgets everything; whether there was a book.
    pub(super) fn restart(&mut self) -> bool {
        self.forget_buffered();
        self.joined.take().is_some()
    }

    /// What is kept, in events, a message counting as one more.
    pub(super) const fn buffered(&self) -> usize {
        self.ranges.len() + self.events.len()
    }

    /// Gives up what is kept. A snapshot from before it will then be refused by step 4, as it must be.
    pub(super) fn forget_buffered(&mut self) {
        self.ranges = Vec::new();
        self.events = Vec::new();
    }

    /// Step 1.
    fn keep(&mut self, range: DepthRange, start: usize, events: &mut Vec<MarketEvent>) {
        self.ranges.push((range, events.len() - start));
        self.events.extend(events.drain(start..));
    }
}

impl Joined {
    const fn judge(self, range: DepthRange) -> Verdict {
        match (self, range.previous) {
            (Self::Snapshot(id), None) => {
                if range.last <= id {
                    Verdict::Stale
                } else if range.first <= id.saturating_add(1) {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: id.saturating_add(1), found: range.first }
                }
            }
            (Self::Snapshot(id), Some(previous)) => {
                if range.last < id {
                    Verdict::Stale
                } else if range.first <= id || previous <= id {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: id, found: previous }
                }
            }
            (Self::Chain(last), None) => {
                if range.first == last.saturating_add(1) {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: last.saturating_add(1), found: range.first }
                }
            }
            (Self::Chain(last), Some(previous)) => {
                if previous == last {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: last, found: previous }
                }
            }
        }
    }
}

fn tell_break(stamp: &MarketEvent, expected: u64, found: u64, events: &mut Vec<MarketEvent>) {
    events.push(beside(stamp, EventBody::Gap { expected, found }));
    events.push(beside(stamp, EventBody::BookClear));
}

/// An event of the same instrument, time and number.
const fn beside(stamp: &MarketEvent, body: EventBody) -> MarketEvent {
    let &MarketEvent { symbol, ts_event, ts_recv, sequence, .. } = stamp;
    MarketEvent { symbol, ts_event, ts_recv, sequence, body }
}
