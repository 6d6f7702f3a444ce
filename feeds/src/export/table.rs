//! Events as rows of tables, which CSV and Parquet share.
//!
//! Of every event (not of an instrument, whose row is of no time):
//!
//! | column | what it is |
//! |---|---|
//! | `exchange` `symbol` | the instrument |
//! | `ts_event` `ts_recv` | the venue's clock; when it was received: nanoseconds since 1970, UTC |
//! | `sequence` | the venue's number of this state of the instrument; 0: none |
//! | `message` | the number of its message in this export, from 1: rows of several files in their order |
//!
//! | kind | its own columns |
//! |---|---|
//! | `trades` | `price` `size` `side` (the aggressor's: `buy`, `sell`, `none`) `id` |
//! | `quotes` | `bid_price` `bid_size` `ask_price` `ask_size`; nothing where a side is empty |
//! | `book` | `is_snapshot` `side` (`bid`, `ask`) `price` `size`: the whole size there, 0: the level is gone. Rows with `true` are the book that replaces what was held. One with `true` and nothing behind it empties the book: after a clearing, a gap, and before a snapshot that follows a snapshot |
//! | `orders` | `action` (`add`, `modify`, `cancel`, `execute`, `replace`, `clear`) `order_id` `side` `order_price` `order_size` `new_order_id` `trade_id` `printable`. The side of an order that was added before is told again; the price of an execution is there where it is not the order's; no size of a cancel: all of it |
//! | `bars` | `interval_ns` `open` `high` `low` `close` `volume`; `ts_event` is its beginning |
//! | `statuses` | `status` (`trading`, `halted`, `auction`, `closed`) `reason` |
//! | `gaps` | `expected` `found`: the venue's numbers; 0: it numbers nothing |
//! | `instruments` | `exchange` `symbol` `price_exponent` `size_exponent` `tick_size` `currency` `book_levels_max` |
//!
//! `trades`, `quotes`, `book` and `bars` are read back by [`crate::format::csv`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::csv::CsvFile;
use super::output::Output;
#[cfg(feature = "parquet")]
use super::parquet::ParquetFile;
use super::{ExportError, ExportSettings, Format, Kind, LeftOut, Told, kind_of};
use crate::{
    Aggressor, Bar, EventBody, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, Timestamp, Trade,
    TradingStatus,
};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Time,
    /// From 0.
    Count,
    Integer,
    Text,
    Flag,
    Price,
    Size,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "CSV has no schema"))]
    pub(super) holds: Type,
    /// Whether there may be nothing.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "CSV has no schema"))]
    pub(super) is_optional: bool,
}

/// A value of a row. Of prices and sizes the instrument tells the scale.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    Nothing,
    Time(Timestamp),
    Count(u64),
    Integer(i64),
    Text(&'a str),
    Flag(bool),
    Price(Price),
    Size(Size),
}

impl<'a> Cell<'a> {
    fn or_nothing<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Nothing, cell)
    }

    fn side(side: Side) -> Self {
        Self::Text(match side {
            Side::Bid => "bid",
            Side::Ask => "ask",
        })
    }

    fn level(level: Option<Level>) -> [Self; 2] {
        level.map_or([Self::Nothing; 2], |level| [Self::Price(level.price), Self::Size(level.size)])
    }
}

const fn some(name: &'static str, holds: Type) -> Column {
    Column { name, holds, is_optional: false }
}

const fn maybe(name: &'static str, holds: Type) -> Column {
    Column { name, holds, is_optional: true }
}

const HEAD: [Column; 6] = [
    some("exchange", Type::Text),
    some("symbol", Type::Text),
    some("ts_event", Type::Time),
    some("ts_recv", Type::Time),
    some("sequence", Type::Count),
    some("message", Type::Count),
];
const TRADES: [Column; 4] = [
    some("price", Type::Price),
    some("size", Type::Size),
    some("side", Type::Text),
    maybe("id", Type::Count),
];
const QUOTES: [Column; 4] = [
    maybe("bid_price", Type::Price),
    maybe("bid_size", Type::Size),
    maybe("ask_price", Type::Price),
    maybe("ask_size", Type::Size),
];
const BOOK: [Column; 4] = [
    some("is_snapshot", Type::Flag),
    maybe("side", Type::Text),
    maybe("price", Type::Price),
    maybe("size", Type::Size),
];
// Not `price` and `size`: whoever reads a CSV file by its header would take orders for trades.
const ORDERS: [Column; 8] = [
    some("action", Type::Text),
    maybe("order_id", Type::Count),
    maybe("side", Type::Text),
    maybe("order_price", Type::Price),
    maybe("order_size", Type::Size),
    maybe("new_order_id", Type::Count),
    maybe("trade_id", Type::Count),
    maybe("printable", Type::Flag),
];
const BARS: [Column; 6] = [
    some("interval_ns", Type::Integer),
    some("open", Type::Price),
    some("high", Type::Price),
    some("low", Type::Price),
    some("close", Type::Price),
    some("volume", Type::Size),
];
const STATUSES: [Column; 2] = [some("status", Type::Text), some("reason", Type::Text)];
const GAPS: [Column; 2] = [some("expected", Type::Count), some("found", Type::Count)];
const INSTRUMENTS: [Column; 7] = [
    some("exchange", Type::Text),
    some("symbol", Type::Text),
    some("price_exponent", Type::Integer),
    some("size_exponent", Type::Integer),
    maybe("tick_size", Type::Price),
    maybe("currency", Type::Text),
    maybe("book_levels_max", Type::Count),
];

/// The columns of a table.
pub(super) fn columns(kind: Kind) -> Vec<Column> {
    let (head, own): (&[Column], &[Column]) = match kind {
        Kind::Trades => (&HEAD, &TRADES),
        Kind::Quotes => (&HEAD, &QUOTES),
        Kind::Book => (&HEAD, &BOOK),
        Kind::Orders => (&HEAD, &ORDERS),
        Kind::Bars => (&HEAD, &BARS),
        Kind::Statuses => (&HEAD, &STATUSES),
        Kind::Gaps => (&HEAD, &GAPS),
        Kind::Instruments => (&[], &INSTRUMENTS),
    };
    [head, own].concat()
}

/// The tables, each made when its first row comes.
pub(super) struct Tables {
    files: BTreeMap<Kind, (TableFile, u64)>,
    format: Format,
    kinds: BTreeSet<Kind>,
    is_file: bool,
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "CSV has no scale for all"))]
    instruments: Vec<Instrument>,
    /// By instrument: whether the last row of its book was of a snapshot.
    in_snapshot: Vec<bool>,
}

enum TableFile {
    Csv(CsvFile),
    #[cfg(feature = "parquet")]
    Parquet(Box<ParquetFile>),
}

impl Tables {
    pub(super) fn create(
        settings: &ExportSettings,
        output: &Output,
        instruments: &[Instrument],
    ) -> Result<Self, ExportError> {
        let mut tables = Self {
            files: BTreeMap::new(),
            format: settings.format,
            kinds: settings.kinds.clone(),
            is_file: settings.is_file(),
            instruments: instruments.to_vec(),
            in_snapshot: vec![false; instruments.len()],
        };
        // A file that was asked for is there, even without a row.
        for kind in &settings.kinds {
            tables.file(*kind, output)?;
        }
        if settings.kinds.contains(&Kind::Instruments) || settings.kinds.is_empty() && !tables.is_file {
            for instrument in instruments {
                let levels_max = instrument.book_levels_max.and_then(|levels| u64::try_from(levels).ok());
                let cells = [
                    Cell::Text(instrument.venue),
                    Cell::Text(instrument.symbol.as_str()),
                    Cell::Integer(instrument.price_exponent.get().into()),
                    Cell::Integer(instrument.size_exponent.get().into()),
                    Cell::or_nothing(instrument.tick_size, Cell::Price),
                    Cell::or_nothing(instrument.currency.as_deref(), Cell::Text),
                    Cell::or_nothing(levels_max, Cell::Count),
                ];
                tables.row(Kind::Instruments, instrument, &[], &cells, output)?;
            }
        }
        Ok(tables)
    }

    /// Writes what an event tells.
    pub(super) fn event(
        &mut self,
        told: &Told<'_>,
        output: &Output,
        left_out: &mut LeftOut,
    ) -> Result<(), ExportError> {
        let Told { event, instrument, resting, trade, .. } = *told;
        let head = head(told);
        if let Some(Trade { price, size, aggressor, id }) = trade {
            let side = match aggressor {
                Aggressor::Buy => "buy",
                Aggressor::Sell => "sell",
                Aggressor::None => "none",
            };
            let id = Cell::or_nothing(id, Cell::Count);
            let cells = [Cell::Price(price), Cell::Size(size), Cell::Text(side), id];
            self.row(Kind::Trades, instrument, &head, &cells, output)?;
        }
        let Some(kind) = kind_of(told) else {
            if self.kinds.is_empty() {
                left_out.add(unplaced(&event.body));
            }
            return Ok(());
        };
        if self.wants(Kind::Trades)
            && trade.is_none()
            && matches!(event.body, EventBody::OrderExecute { printable: true, .. })
        {
            left_out.add("trades of orders that nobody added");
        }
        match &event.body {
            EventBody::Quote { bid, ask } => {
                let ([bid, bid_size], [ask, ask_size]) = (Cell::level(*bid), Cell::level(*ask));
                self.row(kind, instrument, &head, &[bid, bid_size, ask, ask_size], output)?;
            }
            EventBody::LevelSet { side, level } => {
                self.level(told, &head, false, Some((*side, *level)), output)?;
            }
            EventBody::BookSnapshot(snapshot) => {
                if self.in_snapshot[event.symbol.index()]
                    || (snapshot.bids.is_empty() && snapshot.asks.is_empty())
                {
                    self.level(told, &head, true, None, output)?;
                }
                for (side, levels) in [(Side::Bid, &snapshot.bids), (Side::Ask, &snapshot.asks)] {
                    for level in levels {
                        self.level(told, &head, true, Some((side, *level)), output)?;
                    }
                }
            }
            EventBody::BookClear if kind == Kind::Book => self.level(told, &head, true, None, output)?,
            EventBody::Bar(Bar { interval_nanos, open, high, low, close, volume }) => {
                let [open, high, low, close] = [open, high, low, close].map(|price| Cell::Price(*price));
                let cells = [Cell::Integer(*interval_nanos), open, high, low, close, Cell::Size(*volume)];
                self.row(kind, instrument, &head, &cells, output)?;
            }
            EventBody::Status { status, reason } => {
                let status = match status {
                    TradingStatus::Trading => "trading",
                    TradingStatus::Halted => "halted",
                    TradingStatus::Auction => "auction",
                    TradingStatus::Closed => "closed",
                };
                self.row(kind, instrument, &head, &[Cell::Text(status), Cell::Text(reason)], output)?;
            }
            EventBody::Gap { expected, found } => {
                let cells = [Cell::Count(*expected), Cell::Count(*found)];
                self.row(kind, instrument, &head, &cells, output)?;
                if told.by_order == Some(false) {
                    self.level(told, &head, true, None, output)?;
                }
            }
            _ if kind == Kind::Orders => {
                let side = resting.map(|resting| resting.side);
                self.row(kind, instrument, &head, &order(event, side), output)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Completes the files. Gives the rows of each.
    pub(super) fn finish(self, output: &Output) -> Result<BTreeMap<Kind, u64>, ExportError> {
        if self.files.is_empty() && self.is_file {
            return Err(ExportError::Settings(format!(
                "{}: the feed has nothing that would be in it",
                output.path().display()
            )));
        }
        let mut rows = BTreeMap::new();
        for (kind, (file, count)) in self.files {
            match file {
                TableFile::Csv(file) => file.finish()?,
                #[cfg(feature = "parquet")]
                TableFile::Parquet(file) => file.finish()?,
            }
            rows.insert(kind, count);
        }
        Ok(rows)
    }

    /// A row of a book; no level: it is empty.
    fn level(
        &mut self,
        told: &Told<'_>,
        head: &[Cell<'_>],
        is_snapshot: bool,
        level: Option<(Side, Level)>,
        output: &Output,
    ) -> Result<(), ExportError> {
        self.in_snapshot[told.event.symbol.index()] = is_snapshot && level.is_some();
        let [price, size] = Cell::level(level.map(|(_, level)| level));
        let side = Cell::or_nothing(level.map(|(side, _)| side), Cell::side);
        self.row(Kind::Book, told.instrument, head, &[Cell::Flag(is_snapshot), side, price, size], output)
    }

    /// A row of a table that is wanted.
    fn row(
        &mut self,
        kind: Kind,
        instrument: &Instrument,
        head: &[Cell<'_>],
        own: &[Cell<'_>],
        output: &Output,
    ) -> Result<(), ExportError> {
        if !self.wants(kind) {
            return Ok(());
        }
        let (file, rows) = self.file(kind, output)?;
        *rows += 1;
        match file {
            TableFile::Csv(file) => file.row(instrument, head.iter().chain(own)),
            #[cfg(feature = "parquet")]
            TableFile::Parquet(file) => file.row(instrument, head.iter().chain(own)),
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    fn file(&mut self, kind: Kind, output: &Output) -> Result<&mut (TableFile, u64), ExportError> {
        if self.is_file
            && let Some(first) = self.files.keys().find(|first| **first != kind)
        {
            let (path, first, second) = (output.path().to_owned(), first.name(), kind.name());
            return Err(ExportError::Kinds { path, first, second });
        }
        match self.files.entry(kind) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let file = output.open(kind, self.format)?;
                let file = match self.format {
                    #[cfg(feature = "parquet")]
                    Format::Parquet => {
                        TableFile::Parquet(Box::new(ParquetFile::new(file, kind, &self.instruments)?))
                    }
                    _ => TableFile::Csv(CsvFile::new(file, kind)?),
                };
                Ok(entry.insert((file, 0)))
            }
        }
    }
}

fn head<'a>(told: &Told<'a>) -> [Cell<'a>; HEAD.len()] {
    let MarketEvent { ts_event, ts_recv, sequence, .. } = *told.event;
    [
        Cell::Text(told.instrument.venue),
        Cell::Text(told.instrument.symbol.as_str()),
        Cell::Time(ts_event),
        Cell::Time(ts_recv),
        Cell::Count(sequence),
        Cell::Count(told.message),
    ]
}

/// An event of an order; `resting` is the side of the one that was there before.
fn order(event: &MarketEvent, resting: Option<Side>) -> [Cell<'static>; ORDERS.len()] {
    let number = |OrderId(order)| Cell::Count(order);
    let mut cells = [Cell::Nothing; ORDERS.len()];
    let side;
    match event.body {
        EventBody::OrderAdd { order, side: added, level } => {
            let [price, size] = Cell::level(Some(level));
            (cells[0], cells[1], cells[3], cells[4]) = (Cell::Text("add"), number(order), price, size);
            side = Some(added);
        }
        EventBody::OrderModify { order, level } => {
            let [price, size] = Cell::level(Some(level));
            (cells[0], cells[1], cells[3], cells[4]) = (Cell::Text("modify"), number(order), price, size);
            side = resting;
        }
        EventBody::OrderCancel { order, size } => {
            (cells[0], cells[1]) = (Cell::Text("cancel"), number(order));
            cells[4] = Cell::or_nothing(size, Cell::Size);
            side = resting;
        }
        EventBody::OrderExecute { order, size, price, trade_id, printable } => {
            (cells[0], cells[1]) = (Cell::Text("execute"), number(order));
            (cells[3], cells[4]) = (Cell::or_nothing(price, Cell::Price), Cell::Size(size));
            (cells[6], cells[7]) = (Cell::or_nothing(trade_id, Cell::Count), Cell::Flag(printable));
            side = resting;
        }
        EventBody::OrderReplace { order, new_order, level } => {
            let [price, size] = Cell::level(Some(level));
            (cells[0], cells[1], cells[3], cells[4]) = (Cell::Text("replace"), number(order), price, size);
            cells[5] = number(new_order);
            side = resting;
        }
        _ => {
            cells[0] = Cell::Text("clear");
            side = None;
        }
    }
    cells[2] = Cell::or_nothing(side, Cell::side);
    cells
}

/// What an event is that has no kind.
pub(super) const fn unplaced(body: &EventBody) -> &'static str {
    match body {
        EventBody::BookChecksum(_) => "checksums",
        EventBody::Definition(_) => "definitions (`instruments` has what was known at the beginning)",
        _ => "clearings of books that had nothing",
    }
}
