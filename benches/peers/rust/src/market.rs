//! K × R events a second, event n at n / (K × R) seconds, the instruments in turn.

use std::collections::BTreeMap;

use crate::{Options, now_us};

const FIRST_SEQ: u64 = 1_000;
/// How far a walk goes from its start before it turns, in cents.
const REACH: u64 = 500;

/// All quotes, and whose turn it is.
pub struct Market {
    pub epoch: String,
    pub quotes: Vec<Quote>,
    by_symbol: BTreeMap<String, usize>,
    draw: Draw,
    start_us: u64,
    per_second: u64,
    events: u64,
    next: usize,
    turn_us: u64,
    /// Events that may still come in this turn.
    left: u64,
}

/// One instrument's best bid and offer: a walk of one cent an update, all numbers of the same width.
pub struct Quote {
    pub symbol: String,
    pub seq: u64,
    ts_event: u64,
    base: u64,
    bid: u64,
    bid_size: u64,
    ask_size: u64,
}

/// Marsaglia's xorshift.
struct Draw(u64);

impl Market {
    pub fn new(options: &Options) -> Self {
        let start_us = now_us();
        let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
        let quotes: Vec<Quote> =
            (0..options.symbols).map(|index| Quote::new(index, start_us, &mut draw)).collect();
        let by_symbol =
            quotes.iter().enumerate().map(|(index, quote)| (quote.symbol.clone(), index)).collect();
        Self {
            epoch: format!("peer{}", std::process::id()),
            quotes,
            by_symbol,
            draw,
            start_us,
            per_second: u64::from(options.symbols) * u64::from(options.rate),
            events: 0,
            next: 0,
            turn_us: 0,
            left: 0,
        }
    }

    pub fn find(&self, symbol: &str) -> Option<usize> {
        self.by_symbol.get(symbol).copied()
    }

    /// When the next event is due.
    pub fn due_us(&self) -> u64 {
        self.start_us + self.events * 1_000_000 / self.per_second
    }

    /// The quote that changed, if the next event was due by `turn_us`, when the turn began. One turn has the events of
    /// 10 ms at most: a server that cannot keep up would spend longer and longer turns on the stream, and hear nobody who
    /// connects.
    pub fn advance(&mut self, turn_us: u64) -> Option<usize> {
        if self.turn_us != turn_us {
            self.turn_us = turn_us;
            self.left = self.per_second.div_ceil(100);
        }
        let due = self.due_us();
        if due > turn_us || self.left == 0 {
            return None;
        }
        self.left -= 1;
        let index = self.next;
        self.quotes[index].advance(due, &mut self.draw);
        self.events += 1;
        self.next = if index + 1 == self.quotes.len() { 0 } else { index + 1 };
        Some(index)
    }
}

impl Quote {
    fn new(index: u32, start_us: u64, draw: &mut Draw) -> Self {
        let base = 11_000 + draw.below(87_000);
        Self {
            symbol: format!("SYM{index:05}"),
            seq: FIRST_SEQ,
            ts_event: start_us,
            base,
            bid: base,
            bid_size: draw.size(),
            ask_size: draw.size(),
        }
    }

    fn advance(&mut self, ts_event: u64, draw: &mut Draw) {
        let up = if self.bid.abs_diff(self.base) < REACH { draw.below(2) == 0 } else { self.bid < self.base };
        self.bid = if up { self.bid + 1 } else { self.bid - 1 };
        self.bid_size = draw.size();
        self.ask_size = draw.size();
        self.seq += 1;
        self.ts_event = ts_event;
    }

    /// Appends the update as a JSON object.
    pub fn write_update(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(br#"{"channel":"quote","type":"update","symbol":""#);
        into.extend_from_slice(self.symbol.as_bytes());
        into.extend_from_slice(br#"","seq":"#);
        digits(into, self.seq);
        into.extend_from_slice(br#","prev_seq":"#);
        digits(into, self.seq - 1);
        self.write_fields(into);
    }

    /// Appends the snapshot as a JSON object.
    pub fn write_snapshot(&self, epoch: &str, into: &mut Vec<u8>) {
        into.extend_from_slice(br#"{"channel":"quote","type":"snapshot","symbol":""#);
        into.extend_from_slice(self.symbol.as_bytes());
        into.extend_from_slice(br#"","epoch":""#);
        into.extend_from_slice(epoch.as_bytes());
        into.extend_from_slice(br#"","seq":"#);
        digits(into, self.seq);
        self.write_fields(into);
    }

    fn write_fields(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(br#","ts_event":"#);
        digits(into, self.ts_event);
        into.extend_from_slice(br#","bid":""#);
        price(into, self.bid);
        into.extend_from_slice(br#"","bid_size":""#);
        digits(into, self.bid_size);
        into.extend_from_slice(br#"","ask":""#);
        price(into, self.bid + 1);
        into.extend_from_slice(br#"","ask_size":""#);
        digits(into, self.ask_size);
        into.extend_from_slice(br#""}"#);
    }
}

fn digits(into: &mut Vec<u8>, number: u64) {
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn price(into: &mut Vec<u8>, cents: u64) {
    digits(into, cents);
    into.insert(into.len() - 2, b'.');
}

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) % bound
    }

    fn size(&mut self) -> u64 {
        100 * (10 + self.below(90))
    }
}
