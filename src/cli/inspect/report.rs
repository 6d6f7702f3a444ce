//! What is told of a file. The names of the fields are those of `--json`, and stay.

use std::collections::BTreeMap;
use std::path::Path;

use feeds::record::{Cut, Lost, Verified};
use feeds::{EventBody, Exponent, FeedError, Instrument, Level, SymbolId, Timestamp};
use serde::Serialize;

use super::bbo::{BboCheck, Unequal};
use crate::market::{Faults, Market};
use crate::state::{Quote, StatusState};

/// A file.
#[derive(Default, Serialize)]
pub(super) struct FileReport {
    pub(super) path: String,
    /// `None`: not known, and nothing was read.
    pub(super) format: Option<&'static str>,
    pub(super) venue: Option<&'static str>,
    /// Of a capture, all that was sent or received, answers to requests and connects among them.
    pub(super) messages: u64,
    pub(super) events: u64,
    pub(super) events_by_kind: Kinds,
    /// Messages that are no event, by what they are, where the format tells these apart.
    pub(super) unmapped: BTreeMap<String, u64>,
    /// Lines of a capture of a kind that is not known here: they are no messages, and make no events.
    pub(super) unknown_lines: u64,
    /// Of a recording of `tickwire record`, how it ends and what is missing in it.
    pub(super) recording: Option<Recorded>,
    /// `None`: no events.
    pub(super) span: Option<Span>,
    pub(super) symbols: Vec<SymbolReport>,
    pub(super) checks: Checks,
    /// Why, and where, it was not read to its end.
    pub(super) error: Option<String>,
}

impl FileReport {
    /// Of a file that cannot be read at all.
    pub(super) fn unread(path: &Path, error: &FeedError) -> Self {
        Self { path: path.display().to_string(), error: Some(error.to_string()), ..Self::default() }
    }
}

/// How a recording ends, and what was lost when it was made.
#[derive(Serialize)]
pub(super) struct Recorded {
    /// Whether its end was written; if not, its recorder was killed, or still writes it.
    pub(super) closed: bool,
    /// Whether the last segment of a folder says that another one follows: that was removed, or never begun.
    pub(super) followed: bool,
    /// Beginnings of frames that a killed recorder or a failing disk left.
    pub(super) cuts: Vec<ShownCut>,
    /// Records for which the recorder had no room.
    pub(super) records_lost: u64,
    /// The first of these losses; [`feeds::limits::RECORD_LOSSES_KEPT_MAX`] at most.
    pub(super) losses: Vec<Loss>,
}

#[derive(Serialize)]
pub(super) struct ShownCut {
    pub(super) path: String,
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Records that were lost one after the other.
#[derive(Serialize)]
pub(super) struct Loss {
    pub(super) records: u64,
    /// Of their payloads.
    pub(super) bytes: u64,
    first_ns: i64,
    last_ns: i64,
    /// RFC 3339.
    pub(super) first: String,
    pub(super) last: String,
}

impl Recorded {
    pub(super) fn new(path: &Path, verified: &Verified) -> Self {
        let cut = |cut: &Cut| ShownCut {
            path: cut.path.display().to_string(),
            offset: cut.offset,
            bytes: cut.bytes,
        };
        let loss = |lost: &Lost| Loss {
            records: lost.records,
            bytes: lost.bytes,
            first_ns: lost.first.0,
            last_ns: lost.last.0,
            first: lost.first.to_string(),
            last: lost.last.to_string(),
        };
        Self {
            closed: verified.is_closed,
            // A segment by itself is followed by those that nobody asked for.
            followed: verified.is_followed && path.is_dir(),
            cuts: verified.cuts.iter().map(cut).collect(),
            records_lost: verified.records_lost,
            losses: verified.losses.iter().map(loss).collect(),
        }
    }
}

/// How often each kind of event came.
#[derive(Default, Serialize)]
pub(super) struct Kinds {
    trade: u64,
    quote: u64,
    bar: u64,
    level_set: u64,
    book_snapshot: u64,
    book_clear: u64,
    book_checksum: u64,
    order_add: u64,
    order_modify: u64,
    order_cancel: u64,
    order_execute: u64,
    order_replace: u64,
    status: u64,
    definition: u64,
    gap: u64,
}

impl Kinds {
    pub(super) const fn count(&mut self, body: &EventBody) {
        let count = match body {
            EventBody::Trade(_) => &mut self.trade,
            EventBody::Quote { .. } => &mut self.quote,
            EventBody::Bar(_) => &mut self.bar,
            EventBody::LevelSet { .. } => &mut self.level_set,
            EventBody::BookSnapshot(_) => &mut self.book_snapshot,
            EventBody::BookClear => &mut self.book_clear,
            EventBody::BookChecksum(_) => &mut self.book_checksum,
            EventBody::OrderAdd { .. } => &mut self.order_add,
            EventBody::OrderModify { .. } => &mut self.order_modify,
            EventBody::OrderCancel { .. } => &mut self.order_cancel,
            EventBody::OrderExecute { .. } => &mut self.order_execute,
            EventBody::OrderReplace { .. } => &mut self.order_replace,
            EventBody::Status { .. } => &mut self.status,
            EventBody::Definition(_) => &mut self.definition,
            EventBody::Gap { .. } => &mut self.gap,
        };
        *count += 1;
    }

    pub(super) const fn by_name(&self) -> [(&'static str, u64); 15] {
        [
            ("trade", self.trade),
            ("quote", self.quote),
            ("bar", self.bar),
            ("level_set", self.level_set),
            ("book_snapshot", self.book_snapshot),
            ("book_clear", self.book_clear),
            ("book_checksum", self.book_checksum),
            ("order_add", self.order_add),
            ("order_modify", self.order_modify),
            ("order_cancel", self.order_cancel),
            ("order_execute", self.order_execute),
            ("order_replace", self.order_replace),
            ("status", self.status),
            ("definition", self.definition),
            ("gap", self.gap),
        ]
    }
}

/// From the first event to the last, by the time they were received.
#[derive(Serialize)]
pub(super) struct Span {
    /// RFC 3339.
    pub(super) first: String,
    first_ns: i64,
    /// RFC 3339.
    pub(super) last: String,
    last_ns: i64,
    pub(super) duration_ns: u64,
    /// Rounded down; `None`: all at one time.
    pub(super) events_per_second: Option<u128>,
}

impl Span {
    pub(super) fn new(first: Timestamp, last: Timestamp, events: u64) -> Self {
        let duration_ns = last.0.abs_diff(first.0);
        Self {
            first: first.to_string(),
            first_ns: first.0,
            last: last.to_string(),
            last_ns: last.0,
            duration_ns,
            events_per_second: (u128::from(events) * 1_000_000_000).checked_div(u128::from(duration_ns)),
        }
    }
}

/// An instrument, and how the file left it.
#[derive(Serialize)]
pub(super) struct SymbolReport {
    pub(super) symbol: String,
    pub(super) venue: &'static str,
    pub(super) price_exponent: i8,
    pub(super) size_exponent: i8,
    pub(super) events: u64,
    pub(super) trades: u64,
    #[serde(flatten)]
    pub(super) best: Best,
    /// Price levels of buyers, and of sellers.
    pub(super) bid_levels: usize,
    pub(super) ask_levels: usize,
    /// Its book was given up, and no snapshot came since.
    pub(super) stale: bool,
}

impl SymbolReport {
    pub(super) fn new(instrument: &Instrument, symbol: SymbolId, events: u64, market: &Market) -> Self {
        let book = market.book(symbol);
        Self {
            symbol: instrument.symbol.to_string(),
            venue: instrument.venue,
            price_exponent: instrument.price_exponent.get(),
            size_exponent: instrument.size_exponent.get(),
            events,
            trades: market.ticker(symbol).session.map_or(0, |session| session.trades),
            best: Best::new(market.quote(symbol), instrument),
            bid_levels: book.bid_depth(),
            ask_levels: book.ask_depth(),
            stale: market.status(symbol).state == StatusState::Stale,
        }
    }
}

/// Best bid and offer; `None`: that side is empty.
#[derive(Serialize)]
pub(super) struct Best {
    pub(super) bid: Option<ShownLevel>,
    pub(super) ask: Option<ShownLevel>,
}

/// A level in decimals.
#[derive(Serialize)]
pub(super) struct ShownLevel {
    pub(super) price: String,
    pub(super) size: String,
}

impl Best {
    fn new(quote: Quote, instrument: &Instrument) -> Self {
        let scale = (instrument.price_exponent, instrument.size_exponent);
        Self {
            bid: quote.bid.map(|level| ShownLevel::new(level, scale)),
            ask: quote.ask.map(|level| ShownLevel::new(level, scale)),
        }
    }
}

impl ShownLevel {
    fn new(level: Level, (price_exponent, size_exponent): (Exponent, Exponent)) -> Self {
        Self {
            price: level.price.display(price_exponent).to_string(),
            size: level.size.display(size_exponent).to_string(),
        }
    }
}

/// What held, and what did not. Those without a comment are as in [`Faults`].
#[derive(Default, Serialize)]
pub(super) struct Checks {
    pub(super) checksums_ok: u64,
    pub(super) checksums_failed: u64,
    pub(super) sequence_gaps: u64,
    pub(super) unknown_orders: u64,
    /// The first of them; [`crate::limits::FAULT_EXAMPLES_MAX`] at most.
    pub(super) unknown_order_examples: Vec<UnknownOrder>,
    pub(super) crossed: u64,
    /// Venue's best bids and offers that were the book's.
    pub(super) bbo_equal: u64,
    /// Those that were not.
    pub(super) bbo_unequal: u64,
    /// The first of these; [`crate::limits::FAULT_EXAMPLES_MAX`] at most.
    pub(super) bbo_unequal_examples: Vec<UnequalBbo>,
    pub(super) duplicate_adds: u64,
    pub(super) oversized: u64,
    pub(super) bad_sizes: u64,
    pub(super) untrusted: u64,
    pub(super) mixed_books: u64,
    pub(super) overflows: u64,
    pub(super) refused: u64,
    pub(super) rescaled: u64,
    pub(super) unknown_symbols: u64,
}

/// An order that nobody added.
#[derive(Serialize)]
pub(super) struct UnknownOrder {
    pub(super) symbol: String,
    /// The venue's number.
    pub(super) order: u64,
}

/// A book that was not what the venue said.
#[derive(Serialize)]
pub(super) struct UnequalBbo {
    pub(super) symbol: String,
    /// The venue's number of the state.
    pub(super) sequence: u64,
    pub(super) venue: Best,
    pub(super) book: Best,
}

impl Checks {
    pub(super) fn new(faults: &Faults, bbo: &BboCheck, instruments: &[Instrument]) -> Self {
        let &Faults {
            unknown_orders,
            ref examples,
            duplicate_adds,
            oversized,
            bad_sizes,
            checksums_ok,
            checksums_failed,
            sequence_gaps,
            untrusted,
            crossed,
            mixed_books,
            overflows,
            refused,
            rescaled,
            unknown_symbols,
        } = faults;
        let name = |symbol: SymbolId| instruments[symbol.index()].symbol.to_string();
        let unknown_order_examples = examples
            .iter()
            .map(|(symbol, order)| UnknownOrder { symbol: name(*symbol), order: order.0 })
            .collect();
        let unequal = |unequal: &Unequal| {
            let instrument = &instruments[unequal.symbol.index()];
            UnequalBbo {
                symbol: instrument.symbol.to_string(),
                sequence: unequal.sequence,
                venue: Best::new(unequal.venue, instrument),
                book: Best::new(unequal.book, instrument),
            }
        };
        Self {
            checksums_ok,
            checksums_failed,
            sequence_gaps,
            unknown_orders,
            unknown_order_examples,
            crossed,
            bbo_equal: bbo.equal,
            bbo_unequal: bbo.unequal,
            bbo_unequal_examples: bbo.examples.iter().map(unequal).collect(),
            duplicate_adds,
            oversized,
            bad_sizes,
            untrusted,
            mixed_books,
            overflows,
            refused,
            rescaled,
            unknown_symbols,
        }
    }
}
