//! Joins a stream of changes of a book with a snapshot that comes by another way.
//!
//! Binance's procedure ([spot], [futures]), whose steps the code names:
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

use serde::{Deserialize, Serialize};

use super::{BySymbol, ConnectionId, Receipt, Stamp};
use crate::limits::DEPTH_BUFFER_EVENTS_MAX;
use crate::{BookSnapshot, EventBody, MarketEvent, SymbolId};

/// The books of a venue, as far as they are joined.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Depths {
    books: BySymbol<Book>,
    /// The sum of what the books keep.
    buffered: usize,
}

#[derive(Default, Serialize, Deserialize)]
struct Book {
    depth: Depth,
    /// The connection of its depth stream.
    feeder: Option<ConnectionId>,
}

/// The update numbers of one depth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DepthRange {
    /// `U`
    pub(super) first: u64,
    /// `u`
    pub(super) last: u64,
    pub(super) link: Link,
}

/// How a depth message says which one it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Link {
    /// Its numbers begin where those of the one before end: spot `U`.
    Next,
    /// It names the last number of the one before: futures `pu`.
    After(u64),
    /// Not at all: the numbers are times (Bitstamp). Only going back is seen.
    Later,
}

impl Depths {
    /// A connection begins: the books it fed are void until their new snapshots.
    pub(super) fn on_connect(&mut self, receipt: Receipt, events: &mut Vec<MarketEvent>) {
        let Receipt { connection, ts_recv } = receipt;
        for (symbol, book) in self.books.iter_mut() {
            if book.feeder == Some(connection) {
                book.feeder = None;
                self.buffered -= book.depth.buffered();
                if book.depth.restart() {
                    let stamp = Stamp { symbol, ts_event: ts_recv, ts_recv, sequence: 0 };
                    events.push(stamp.event(EventBody::BookClear));
                }
            }
        }
    }

    /// The book is void until its next snapshot, whatever it was joined from.
    pub(super) fn forget(&mut self, symbol: SymbolId) {
        let depth = &mut self.books.of(symbol).depth;
        self.buffered -= depth.buffered();
        depth.restart();
    }

    /// Takes a depth message whose events are `events[start..]`, and leaves of them what is to be told now.
    pub(super) fn on_range(
        &mut self,
        connection: ConnectionId,
        range: DepthRange,
        stamp: Stamp,
        start: usize,
        events: &mut Vec<MarketEvent>,
    ) {
        let book = self.books.of(stamp.symbol);
        book.feeder = Some(connection);
        self.buffered -= book.depth.buffered();
        book.depth.on_range(range, stamp, start, events);
        self.buffered += book.depth.buffered();
        if self.buffered > DEPTH_BUFFER_EVENTS_MAX {
            self.books.iter_mut().for_each(|(_, book)| book.depth.forget_buffered());
            self.buffered = 0;
        }
    }

    /// Takes a snapshot, whose number is the stamp's, and appends it and the messages kept, where they fit together.
    pub(super) fn on_snapshot(
        &mut self,
        stamp: Stamp,
        snapshot: BookSnapshot,
        events: &mut Vec<MarketEvent>,
    ) {
        let depth = &mut self.books.of(stamp.symbol).depth;
        self.buffered -= depth.buffered();
        depth.on_snapshot(stamp, snapshot, events);
        self.buffered += depth.buffered();
    }
}

/// How far one symbol's book has come.
#[derive(Default, Serialize, Deserialize)]
struct Depth {
    joined: Option<Joined>,
    /// Messages kept in step 1, and the number of events of each.
    ranges: Vec<(DepthRange, usize)>,
    /// Their events, one after another.
    events: Vec<MarketEvent>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
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
    fn on_range(&mut self, range: DepthRange, stamp: Stamp, start: usize, events: &mut Vec<MarketEvent>) {
        match self.joined.map(|joined| joined.judge(range)) {
            Some(Verdict::Follows) => self.joined = Some(Joined::Chain(range.last)),
            Some(Verdict::Stale) => events.truncate(start),
            Some(Verdict::Breaks { expected, found }) => {
                self.joined = None;
                self.keep(range, start, events);
                stamp.tell_gap(expected, found, events);
            }
            None => self.keep(range, start, events),
        }
    }

    fn on_snapshot(&mut self, stamp: Stamp, snapshot: BookSnapshot, events: &mut Vec<MarketEvent>) {
        let last_update_id = stamp.sequence;
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
            stamp.tell_gap(expected, found, events);
            return;
        }
        events.push(stamp.event(EventBody::BookSnapshot(Box::new(snapshot))));
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
            stamp.tell_gap(expected, found, events);
            None
        } else {
            Some(joined)
        };
    }

    /// Forgets everything; whether there was a book.
    fn restart(&mut self) -> bool {
        self.forget_buffered();
        self.joined.take().is_some()
    }

    /// What is kept, in events, a message counting as one more.
    const fn buffered(&self) -> usize {
        self.ranges.len() + self.events.len()
    }

    /// Gives up what is kept. A snapshot from before it will then be refused by step 4, as it must be.
    fn forget_buffered(&mut self) {
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
        match (self, range.link) {
            (Self::Snapshot(id), Link::Next) => {
                if range.last <= id {
                    Verdict::Stale
                } else if range.first <= id.saturating_add(1) {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: id.saturating_add(1), found: range.first }
                }
            }
            (Self::Snapshot(id), Link::After(previous)) => {
                if range.last < id {
                    Verdict::Stale
                } else if range.first <= id || previous <= id {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: id, found: previous }
                }
            }
            (Self::Chain(last), Link::Next) => {
                if range.first == last.saturating_add(1) {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: last.saturating_add(1), found: range.first }
                }
            }
            (Self::Chain(last), Link::After(previous)) => {
                if previous == last {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: last, found: previous }
                }
            }
            (Self::Snapshot(time), Link::Later) => {
                if range.last <= time {
                    Verdict::Stale
                } else {
                    Verdict::Follows
                }
            }
            (Self::Chain(last), Link::Later) => {
                if range.last >= last {
                    Verdict::Follows
                } else {
                    Verdict::Breaks { expected: last, found: range.last }
                }
            }
        }
    }
}
