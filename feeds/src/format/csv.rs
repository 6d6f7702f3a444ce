//! CSV files of trades, quotes, books and bars: those of tardis.dev, and any other whose columns are told.
//!
//! ```text
//! exchange,symbol,timestamp,local_timestamp,id,side,price,amount
//! bitmex,XBTUSD,1583020803145000,1583020803307160,ccc3c1fa-…,sell,8531.5,2152
//! ```
//!
//! What a column is, is told by its name in the header (`columns`, beside this file, has the names), or by a file beside
//! the CSV file, with `.columns` behind its whole name:
//!
//! ```text
//! # day.csv.columns: a role, and the column's name or its number from 0; of a time also its unit
//! time=0:ms, price=2, size=3
//! name=BTCUSD, venue=BITSTAMP, interval=1m, header=yes
//! # where they are not what they seem: QuantConnect's LEAN counts milliseconds of a day, and ten-thousandths of a dollar
//! since=2013-10-07T00:00:00-04:00, price_unit=0.0001, zero=same
//! ```
//!
//! Numbers of times are counted from `since`, else from 1970. With `zero=same`, a side of a quote whose price is zero is as
//! it was in the quote before.
//!
//! Units are `s`, `ms`, `us`, `ns`, or `text` for `2024-01-31 23:59:00`, which without an offset is UTC; where none is
//! told, the digits of the first row's number tell it. A symbol that no column has is `name`, or the file's name up to
//! its first point; a venue is `venue`, or `CSV`. Numbers in the roles need `header=yes` where there is a header.
//!
//! Opening reads the whole file once, to learn instruments and their exponents. Numbers are read exactly.

mod columns;
mod instruments;
mod number;
mod row;
mod rows;
#[cfg(test)]
mod tests;
mod time;

use std::path::Path;

use self::columns::{Columns, Layout};
use self::instruments::{Finest, Instruments};
use self::row::{Reading, Row, Told};
use self::rows::Rows;
use crate::limits::CSV_MESSAGE_ROWS_MAX;
use crate::{BookSnapshot, EventBody, FeedError, Instrument, Level, MarketEvent, Side, SymbolId, Timestamp};

/// Reads a CSV file.
///
/// What the rows become:
/// - trades, quotes and snapshots of books one event each. A quote of a file without sizes has a size of 1 on either
///   side, because there is no quote without one: it means nothing. A trade's `id` is kept where it is a number.
/// - book updates: rows of one instrument that were received together are one message, and those of a snapshot one
///   event. After updates a snapshot replaces the book; what follows in a row of snapshots adds to it. A row of a
///   snapshot without side, price and size empties the book, and what follows replaces it.
/// - bars: one event each, received when its interval is over, if no column tells when; the time of a row is its beginning. The interval is
///   `interval_ns`, else `interval`, else the shortest time between two rows of an instrument.
/// - tickers of derivatives (funding, open interest, index and mark prices): none, there is no event for these.
///
/// `ts_recv` is the time of the column that tells when it was received, or the row's time.
pub struct CsvReader {
    rows: Rows,
    reading: Reading,
    /// By [`SymbolId`]: whether the row before was of a snapshot.
    in_snapshot: Vec<bool>,
    /// What was read ahead.
    next: Option<Result<Row, FeedError>>,
    /// What stopped the survey, and where: playing will stop there too, but knows less of why.
    damage: Option<(u64, FeedError)>,
    messages: u64,
    is_over: bool,
}

/// A row of a book.
struct LevelRow {
    ts_event: Timestamp,
    sequence: u64,
    side: Side,
    level: Level,
}

/// Whether a file that begins so is of a kind that is known here, or its columns are told by a file beside it.
pub(crate) fn is_csv(path: &Path, head: &[u8]) -> bool {
    columns::beside(path).is_some()
        || rows::header(head).is_some_and(|names| Columns::of_header(&names).is_ok())
}

/// The tables of `tickwire export` that are not read back, each by a column that no other has.
const NOT_READ_BACK: [(&str, &str); 4] =
    [("price_exponent", "instruments"), ("order_price", "orders"), ("status", "statuses"), ("found", "gaps")];

/// Why a file that is called CSV, and begins so, cannot be read as such; `None`: it is called otherwise.
pub(crate) fn refusal(path: &Path, head: &[u8]) -> Option<String> {
    const SHOWN_BYTES: usize = 60;
    let name = path.file_name()?.to_string_lossy();
    let is_called_so = name.split('.').skip(1).any(|part| part.eq_ignore_ascii_case("csv"));
    let names = rows::header(head)?;
    let reason = Columns::of_header(&names).err().filter(|_| is_called_so)?;
    let is_exported = names.starts_with(&[b"exchange", b"symbol"]);
    let has = |column: &str| is_exported && names.contains(&column.as_bytes());
    if let Some((_, table)) = NOT_READ_BACK.iter().find(|(column, _)| has(column)) {
        return Some(format!(
            "the {table} of `tickwire export`, which are not read back: leave it out, and give its trades, quotes, book \
             and bars"
        ));
    }
    let line = head.split(|byte| *byte == b'\n').next()?.trim_ascii_end();
    let shown = line[..line.len().min(SHOWN_BYTES)].escape_ascii();
    Some(format!(
        "CSV whose first line, `{shown}`, tells {reason}; {name}.columns, beside it, may tell its columns"
    ))
}

impl CsvReader {
    /// Reads the whole file once to learn its instruments, then stands before its first row. What is damaged after the
    /// first row is left for [`Self::next_message`] to meet.
    ///
    /// # Errors
    /// [`FeedError::Io`] when it cannot be read; [`FeedError::Damaged`] for a header or a first row that cannot be
    /// right; [`FeedError::Settings`] for columns that make no sense, and a name that is no symbol.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let (mut rows, layout) = open(path)?;
        let mut reading = Reading::new(layout, Instruments::survey(path)?);
        let mut is_first = true;
        let damage = loop {
            match read(&mut rows, &mut reading) {
                Ok(Some(row)) => {
                    reading.instruments.see_time(row.id, row.ts_event);
                    is_first = false;
                }
                Ok(None) => break None,
                Err(error) if is_first => return Err(error),
                Err(error) => break Some((rows.offset(), error)),
            }
        };
        let interval = reading.layout.interval.or(reading.instruments.shortest_step());
        let instruments = reading.instruments.finish().map_err(|reason| rows.damaged(reason))?;
        let in_snapshot = vec![false; instruments.list().len()];
        let (rows, layout) = open(path)?;
        let reading = Reading::new(Layout { interval, ..layout }, instruments);
        if reading.layout.columns.is_bars_of_one_interval() && interval.is_none() && !is_first {
            let path = path.display();
            return Err(FeedError::Settings(format!(
                "{path}: no two bars tell how long one is: say `interval=` in {path}.columns"
            )));
        }
        Ok(Self { rows, reading, in_snapshot, next: None, damage, messages: 0, is_over: false })
    }

    /// All instruments of the file, in the order they appear; a [`SymbolId`] is an index here.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        self.reading.instruments.list()
    }

    /// The venue of the first instrument.
    #[must_use]
    pub fn venue(&self) -> &'static str {
        self.instruments().first().map_or(instruments::VENUE, |instrument| instrument.venue)
    }

    /// Appends the events of the next row, or of all rows that belong to one message, and tells when it was received;
    /// `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] with the offset of the row; [`FeedError::Io`]. What stands before has been read.
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return Ok(None);
        }
        let time = self.advance(events);
        self.is_over = !matches!(time, Ok(Some(_)));
        time
    }

    /// How many rows have been read, without the header.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        let Some(Row { id, ts_event, ts_recv, sequence, told }) = self.take()? else {
            return Ok(None);
        };
        self.messages += 1;
        let event = |body| MarketEvent { symbol: id, ts_event, ts_recv, sequence, body };
        match told {
            Told::Nothing => {}
            Told::Event(body) => events.push(event(body)),
            Told::Empty => {
                self.in_snapshot[id.index()] = false;
                events.push(event(EventBody::BookClear));
            }
            Told::Level { side, level, is_snapshot } => {
                let key = (id, ts_recv, is_snapshot);
                let rows = self.together(key, LevelRow { ts_event, sequence, side, level });
                if is_snapshot && !self.in_snapshot[id.index()] {
                    let mut book = BookSnapshot::default();
                    for LevelRow { side, level, .. } in rows {
                        match side {
                            Side::Bid => book.bids.push(level),
                            Side::Ask => book.asks.push(level),
                        }
                    }
                    events.push(event(EventBody::BookSnapshot(Box::new(book))));
                } else {
                    events.extend(rows.into_iter().map(|LevelRow { ts_event, sequence, side, level }| {
                        let body = EventBody::LevelSet { side, level };
                        MarketEvent { symbol: id, ts_event, ts_recv, sequence, body }
                    }));
                }
                self.in_snapshot[id.index()] = is_snapshot;
            }
        }
        Ok(Some(ts_recv))
    }

    /// The levels of a row, and of those behind it that belong to its message.
    fn together(&mut self, key: (SymbolId, Timestamp, bool), first: LevelRow) -> Vec<LevelRow> {
        let mut levels = vec![first];
        while levels.len() < CSV_MESSAGE_ROWS_MAX {
            match self.take() {
                Ok(Some(Row {
                    id,
                    ts_event,
                    ts_recv,
                    sequence,
                    told: Told::Level { side, level, is_snapshot },
                })) if (id, ts_recv, is_snapshot) == key => {
                    self.messages += 1;
                    levels.push(LevelRow { ts_event, sequence, side, level });
                }
                other => {
                    self.next = other.transpose();
                    break;
                }
            }
        }
        levels
    }

    fn take(&mut self) -> Result<Option<Row>, FeedError> {
        if let Some(next) = self.next.take() {
            return next.map(Some);
        }
        read(&mut self.rows, &mut self.reading).map_err(|error| match self.damage.take() {
            Some((offset, damage)) if offset == self.rows.offset() => damage,
            _ => error,
        })
    }
}

/// Lets readers which share an instrument hold it at the finest of their scales, before they are read: each has learnt its
/// own from the numbers of its file. Every number is read anew from its text, exactly.
pub(crate) fn share_scales(readers: &mut [&mut CsvReader]) {
    let mut finest = Finest::new();
    for instrument in readers.iter().flat_map(|reader| reader.instruments()) {
        let (price, size) = (instrument.price_exponent, instrument.size_exponent);
        let held = finest.entry((instrument.venue, instrument.symbol.clone())).or_insert((price, size));
        *held = (price.min(held.0), size.min(held.1));
    }
    for reader in readers {
        reader.reading.instruments.rescale(&finest);
    }
}

/// Opens a file, finds out what its columns are, and stands before its first row.
fn open(path: &Path) -> Result<(Rows, Layout), FeedError> {
    let mut rows = Rows::open(path)?;
    let Some(beside) = columns::beside(path) else {
        rows.next_row()?;
        let names: Vec<_> = rows.fields().collect();
        let columns = Columns::of_header(&names).map_err(|reason| rows.damaged(reason))?;
        let count = names.len();
        rows.expect_columns(count);
        return Ok((rows, Layout::of(columns)));
    };
    let layout = columns::read(&beside, &mut rows)?;
    Ok((rows, layout))
}

fn read(rows: &mut Rows, reading: &mut Reading) -> Result<Option<Row>, FeedError> {
    if !rows.next_row()? {
        return Ok(None);
    }
    reading.row(rows).map(Some).map_err(|reason| rows.damaged(reason))
}
