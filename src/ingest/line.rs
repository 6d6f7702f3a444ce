//! What waits to be seen late: messages of the feed, encoded and compressed, in the order of their coming.
//!
//! It is written at one end and read at the other. What is at neither end stands in compressed blocks: of an event, some
//! 20 bytes are left. It never gives anything out early. When it is full, it takes nothing more, and says so at the place
//! where something is missing; when it has room again, it goes on from the whole state of the market.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use feeds::record::simulated::{read_events, write_events};
use feeds::{MarketEvent, Timestamp};
use zstd::bulk::{Compressor, Decompressor};

use crate::market::Market;
use crate::state::StatusState;

/// Bytes that are compressed together.
const BLOCK_BYTES: usize = 256 * 1024;
/// The fastest of them already takes most of what all have in common.
const LEVEL: i32 = 1;
/// Head of an entry: when it is to be given out, in nanoseconds, and what it is.
const HEAD_BYTES: usize = 9;
/// What a message has behind that: when it was due, and how many bytes follow.
const MESSAGE_HEAD_BYTES: usize = 12;

const MESSAGE: u8 = 0;
const TURN: u8 = 1;

/// What is known of the feed as a whole.
pub(super) type FeedState = Option<(StatusState, &'static str)>;

/// What happens to the feed beside its messages.
#[derive(Debug)]
pub(super) enum Turn {
    /// It is silent, over, or speaks again.
    State(FeedState),
    /// It begins again.
    Restart,
    /// What follows was not kept.
    Lost,
    /// It goes on from there.
    GoOn(Box<Market>),
}

/// What a line has at some time.
#[derive(Debug)]
pub(super) enum Next {
    /// A message, whose events were appended, and when it was due.
    Message(Timestamp),
    /// Something else.
    Turn(Turn),
    /// Nothing for so long.
    Wait(Duration),
    /// Nothing at all.
    Empty,
}

/// A bounded line of what happened.
pub(super) struct DelayLine {
    by: Duration,
    bytes_max: usize,
    origin: Instant,
    /// The oldest entries, from `at` on.
    head: Vec<u8>,
    at: usize,
    blocks: VecDeque<Block>,
    blocks_bytes: usize,
    /// The newest entries.
    tail: Vec<u8>,
    /// For each [`TURN`] in the line, what it is.
    turns: VecDeque<Turn>,
    /// `Some`: nothing is kept until the line goes on from a state.
    gap: Option<Gap>,
    /// Whether a state waits in it: of these there is one at most.
    has_state: bool,
    compressor: Compressor<'static>,
    decompressor: Decompressor<'static>,
}

struct Block {
    compressed: Box<[u8]>,
    len: usize,
}

/// What is missing at the end of the line.
#[derive(Default)]
struct Gap {
    /// The feed has begun again within it.
    has_restart: bool,
}

impl DelayLine {
    /// A line that gives out everything so much later, and takes no more than so many bytes.
    ///
    /// # Errors
    /// When there is no memory for a compressor.
    pub(super) fn new(by: Duration, bytes_max: usize, now: Instant) -> std::io::Result<Self> {
        Ok(Self {
            by,
            bytes_max,
            origin: now,
            head: Vec::new(),
            at: 0,
            blocks: VecDeque::new(),
            blocks_bytes: 0,
            tail: Vec::new(),
            turns: VecDeque::new(),
            gap: None,
            has_state: false,
            compressor: Compressor::new(LEVEL)?,
            decompressor: Decompressor::new()?,
        })
    }

    /// How much it holds, but for a market's state.
    pub(super) fn bytes(&self) -> usize {
        let turns = self.turns.len() * size_of::<Turn>();
        self.head.capacity() + self.tail.capacity() + self.blocks_bytes + turns
    }

    /// Keeps a message that was applied at `now`; `false`: it is the first that is not kept.
    pub(super) fn put(&mut self, now: Instant, due: Timestamp, events: &[MarketEvent]) -> bool {
        if self.gap.is_some() {
            return true;
        }
        let start = self.tail.len();
        self.write_head(now, MESSAGE);
        self.tail.extend(due.0.to_le_bytes());
        self.tail.extend([0; 4]);
        let body = self.tail.len();
        write_events(events, &mut self.tail);
        let len = u32::try_from(self.tail.len() - body).ok();
        let (Some(len), false) = (len, self.bytes() > self.bytes_max) else {
            self.tail.truncate(start);
            self.lose(now);
            return false;
        };
        self.tail[body - 4..body].copy_from_slice(&len.to_le_bytes());
        self.compress_full();
        true
    }

    /// Keeps what happened to the feed at `now`; `false`: it is the first that is not kept.
    pub(super) fn put_turn(&mut self, now: Instant, turn: Turn) -> bool {
        if let Some(gap) = &mut self.gap {
            gap.has_restart |= matches!(turn, Turn::Restart);
            return true;
        }
        let is_kept = self.bytes() <= self.bytes_max;
        if is_kept {
            self.push_turn(now, turn);
        } else {
            let has_restart = matches!(turn, Turn::Restart);
            self.lose(now);
            self.gap = Some(Gap { has_restart });
        }
        is_kept
    }

    /// Keeps nothing, of which nothing is known yet, until it goes on from a state.
    pub(super) fn skip(&mut self) {
        self.gap.get_or_insert_default();
    }

    /// Whether it has room again, after it had none, and goes on as soon as it is given a state.
    pub(super) fn wants_state(&self) -> bool {
        self.gap.is_some() && !self.has_state && self.bytes() <= self.bytes_max / 2
    }

    /// Goes on from the state of the market at `now`, after something was not kept.
    pub(super) fn go_on(&mut self, now: Instant, market: Market) {
        if self.gap.take().is_some_and(|gap| gap.has_restart) {
            self.push_turn(now, Turn::Restart);
        }
        self.push_turn(now, Turn::GoOn(Box::new(market)));
        self.has_state = true;
    }

    /// What is to be given out at `now`.
    pub(super) fn take(&mut self, now: Instant, events: &mut Vec<MarketEvent>) -> Next {
        if self.at == self.head.len() {
            self.refill();
        }
        let Some(head) = self.head.get(self.at..self.at + HEAD_BYTES) else { return Next::Empty };
        let (due, kind) = head.split_at(HEAD_BYTES - 1);
        let wait = Duration::from_nanos(u64::from_le_bytes(array(due)))
            .saturating_sub(now.saturating_duration_since(self.origin));
        if !wait.is_zero() {
            return Next::Wait(wait);
        }
        let is_message = kind == [MESSAGE];
        self.at += HEAD_BYTES;
        if !is_message {
            let turn = self.turns.pop_front().expect("each of them was put");
            self.has_state &= !matches!(turn, Turn::GoOn(_));
            return Next::Turn(turn);
        }
        let (due, rest) = self.head[self.at..].split_at(8);
        let due = Timestamp(i64::from_le_bytes(array(due)));
        let (len, rest) = rest.split_at(4);
        let len = u32::from_le_bytes(array(len)) as usize;
        read_events(&rest[..len], events).expect("they were written so");
        self.at += MESSAGE_HEAD_BYTES + len;
        Next::Message(due)
    }

    fn lose(&mut self, now: Instant) {
        self.push_turn(now, Turn::Lost);
        self.gap = Some(Gap::default());
    }

    fn push_turn(&mut self, now: Instant, turn: Turn) {
        self.write_head(now, TURN);
        self.turns.push_back(turn);
        self.compress_full();
    }

    fn write_head(&mut self, now: Instant, kind: u8) {
        let due = now.saturating_duration_since(self.origin) + self.by;
        self.tail.extend(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
        self.tail.push(kind);
    }

    fn compress_full(&mut self) {
        if self.tail.len() < BLOCK_BYTES {
            return;
        }
        let compressed =
            self.compressor.compress(&self.tail).expect("memory has room for it").into_boxed_slice();
        self.blocks_bytes += compressed.len();
        self.blocks.push_back(Block { compressed, len: self.tail.len() });
        self.tail.clear();
        // A long message's memory is not kept for the short ones after it.
        self.tail.shrink_to(2 * BLOCK_BYTES);
    }

    /// Makes the oldest entries that were not read yet those at the head.
    fn refill(&mut self) {
        self.at = 0;
        match self.blocks.pop_front() {
            Some(Block { compressed, len }) => {
                self.blocks_bytes -= compressed.len();
                self.head = self.decompressor.decompress(&compressed, len).expect("it was compressed so");
            }
            None => self.head = std::mem::take(&mut self.tail),
        }
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("so many bytes")
}

#[cfg(test)]
mod tests;
