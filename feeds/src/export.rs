//! Writes what a feed says to files that notebooks read: CSV, DBN and Parquet.
//!
//! ```text
//!  Feed ─► MarketEvent ─► Exporter ─► table.rs  rows, a table a kind ─► csv.rs, parquet.rs
//!                             │  └──► dbn.rs    records, a schema a kind
//!                             └ orders.rs       what rests in books: at what price an order traded
//! ```
//!
//! A path is one file, or a folder with a file for each [`Kind`] that occurs, `trades.csv`, `quotes.csv` and so on. `table`,
//! beside this file, has the columns of CSV and Parquet, and `dbn` what becomes of an event in DBN.
//!
//! Nothing is rounded and nothing is cut: a number that a format cannot hold is an error that names the instrument.
//! Nothing is held but what rests in books and, of Parquet, a row group of each table.

mod csv;
mod dbn;
mod error;
mod orders;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{Aggressor, EventBody, Instrument, MarketEvent, Side, Trade};
use dbn::DbnFiles;
pub use error::ExportError;
use orders::{Orders, Resting};
use output::Output;
use table::Tables;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Trades, those among them that are executions of resting orders and print to the tape.
    Trades,
    /// Best bids and offers, as the venue tells them.
    Quotes,
    /// Books by level: snapshots and changes.
    Book,
    /// Books by order: every event of every order.
    Orders,
    /// Bars, as the venue or its vendor makes them.
    Bars,
    /// Trading states.
    Statuses,
    /// Where messages were lost.
    Gaps,
    /// What is traded, as far as it is known before the first message.
    Instruments,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Trades,
        Self::Quotes,
        Self::Book,
        Self::Orders,
        Self::Bars,
        Self::Statuses,
        Self::Gaps,
        Self::Instruments,
    ];

    /// Its name, which is that of its file in a folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Book => "book",
            Self::Orders => "orders",
            Self::Bars => "bars",
            Self::Statuses => "statuses",
            Self::Gaps => "gaps",
            Self::Instruments => "instruments",
        }
    }

    /// The kind of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text with commas: numbers as exact decimals, times as nanoseconds since 1970.
    Csv,
    /// Databento Binary Encoding, version 3.
    Dbn,
    /// Apache Parquet, of builds with the feature `parquet`.
    Parquet,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Dbn, Self::Parquet];

    /// Its name, which is the extension of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Dbn => "dbn",
            Self::Parquet => "parquet",
        }
    }

    /// The format of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that a path's extension names.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension().and_then(|extension| extension.to_str()).and_then(Self::of_name)
    }
}

/// What to write, and where.
#[derive(Clone, Debug)]
pub struct ExportSettings {
    /// One file, where its extension is that of the format; else a folder with a file for each kind.
    pub path: PathBuf,
    /// How.
    pub format: Format,
    /// What; empty: all that occurs. One file of CSV or Parquet holds one kind: where none is told, the only one that
    /// occurs. One file of DBN may hold several.
    pub kinds: BTreeSet<Kind>,
    /// Whether what is there already is replaced.
    pub force: bool,
    /// Of DBN: the data set that the feed was of, such as `GLBX.MDP3`.
    pub dataset: Option<&'static str>,
    /// Of DBN, whose sizes are whole numbers of 32 bits: a plain decimal number that the sizes of instruments whose sizes
    /// have decimals are told as multiples of; `None`: 1.
    pub size_unit: Option<String>,
}

impl ExportSettings {
    /// Refuses a path that looks like a file of another format, and would be a folder.
    fn check_path(&self) -> Result<(), ExportError> {
        let (path, format) = (self.path.display(), self.format.name());
        let extension = self.path.extension().and_then(|extension| extension.to_str());
        match extension {
            Some("zst" | "gz" | "zip") => Err(ExportError::Settings(format!(
                "{path}: {format} is not compressed while it is written: compress it afterwards"
            ))),
            Some(other) if Format::of_name(other).is_some_and(|other| other != self.format) => Err(
                ExportError::Settings(format!("{path} is named like {other}, and the format is {format}")),
            ),
            _ => Ok(()),
        }
    }

    /// Whether the path is one file.
    fn is_file(&self) -> bool {
        Format::of_path(&self.path) == Some(self.format)
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportSummary {
    /// Rows or records of each kind that occurred.
    pub rows: BTreeMap<Kind, u64>,
    /// Events that the format or the choice of kinds has no place for, by what they are.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Writes events to files.
///
/// Until [`Exporter::finish`] the files are under the path with `.partial` behind it, and dropping the exporter before
/// takes them away.
pub struct Exporter {
    writer: Writer,
    orders: Orders,
    output: Output,
    instruments: Vec<Instrument>,
    /// By instrument, see [`Told::by_order`].
    by_order: Vec<Option<bool>>,
    /// Where one kind of book is all that is wanted, what is of either is of it.
    by_order_alone: Option<bool>,
    messages: u64,
    left_out: LeftOut,
}

/// Counts what is not in the files, by what it is.
#[derive(Default)]
struct LeftOut(BTreeMap<&'static str, u64>);

impl LeftOut {
    fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
}

enum Writer {
    Tables(Tables),
    Dbn(Box<DbnFiles>),
}

/// An event, and what its book knows of its order.
struct Told<'a> {
    event: &'a MarketEvent,
    instrument: &'a Instrument,
    /// The order that it is about, as it was before it, if that rests.
    resting: Option<Resting>,
    /// The trade that it is.
    trade: Option<Trade>,
    /// Whether its book is kept by order; `None`: there was nothing in it yet.
    by_order: Option<bool>,
    /// The number of its message, from 1.
    message: u64,
}

impl Exporter {
    /// Makes the folder, or the file.
    ///
    /// # Errors
    /// [`ExportError::Exists`] unless it is forced; [`ExportError::Io`]; [`ExportError::Settings`] for a combination
    /// of settings that makes no sense, and a format that this build does not have.
    pub fn create(settings: &ExportSettings, instruments: &[Instrument]) -> Result<Self, ExportError> {
        if settings.format == Format::Parquet && !cfg!(feature = "parquet") {
            return Err(ExportError::Settings(
                "this build has no Parquet, which takes minutes to compile: build it with `cargo build --release \
                 --features parquet`, or choose csv or dbn"
                    .to_owned(),
            ));
        }
        settings.check_path()?;
        if settings.size_unit.is_some() && settings.format != Format::Dbn {
            return Err(ExportError::Settings(format!(
                "a unit of sizes is for dbn: {} holds sizes of any decimals as they are",
                settings.format.name()
            )));
        }
        if settings.is_file() && settings.format != Format::Dbn && settings.kinds.len() > 1 {
            return Err(ExportError::Settings(format!(
                "{} is one file, which holds one kind: choose one, or give a folder (a path without .{})",
                settings.path.display(),
                settings.format.name()
            )));
        }
        // First what may be refused without a trace.
        let dbn =
            (settings.format == Format::Dbn).then(|| DbnFiles::new(settings, instruments)).transpose()?;
        let output = Output::create(&settings.path, settings.is_file(), settings.force)?;
        let writer = match dbn {
            Some(mut dbn) => {
                dbn.open(&output)?;
                Writer::Dbn(Box::new(dbn))
            }
            None => Writer::Tables(Tables::create(settings, &output, instruments)?),
        };
        Ok(Self {
            writer,
            orders: Orders::new(instruments.len()),
            output,
            instruments: instruments.to_vec(),
            by_order: vec![None; instruments.len()],
            by_order_alone: match settings.kinds.iter().collect::<Vec<_>>()[..] {
                [Kind::Orders] => Some(true),
                [Kind::Book] => Some(false),
                _ => None,
            },
            messages: 0,
            left_out: LeftOut::default(),
        })
    }

    /// Writes the events of a message of the feed.
    ///
    /// # Errors
    /// [`ExportError::Io`] and [`ExportError::Number`], with the path or the instrument;
    /// [`ExportError::Kinds`] where one file would hold two kinds; [`ExportError::Orders`] at the bound.
    pub fn message(&mut self, events: &[MarketEvent]) -> Result<(), ExportError> {
        self.messages += 1;
        for event in events {
            let (resting, trade) = self.orders.apply(event)?;
            let instrument = &self.instruments[event.symbol.index()];
            let by_order = &mut self.by_order[event.symbol.index()];
            *by_order = match event.body {
                EventBody::LevelSet { .. } | EventBody::BookSnapshot(_) => Some(false),
                EventBody::OrderAdd { .. }
                | EventBody::OrderModify { .. }
                | EventBody::OrderCancel { .. }
                | EventBody::OrderExecute { .. }
                | EventBody::OrderReplace { .. } => Some(true),
                _ => *by_order,
            };
            let by_order = by_order.or(self.by_order_alone);
            let told = Told { event, instrument, resting, trade, by_order, message: self.messages };
            match &mut self.writer {
                Writer::Tables(tables) => tables.event(&told, &self.output, &mut self.left_out)?,
                Writer::Dbn(files) => files.event(&told, &self.output, &mut self.left_out)?,
            }
        }
        match &mut self.writer {
            Writer::Tables(_) => Ok(()),
            Writer::Dbn(files) => files.end_message(&self.output),
        }
    }

    /// Completes the files, and gives them their names.
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::Exists`] when somebody has made a file of that name in the meantime.
    pub fn finish(self) -> Result<ExportSummary, ExportError> {
        let rows = match self.writer {
            Writer::Tables(tables) => tables.finish(&self.output)?,
            Writer::Dbn(files) => files.finish(&self.output)?,
        };
        self.output.commit()?;
        Ok(ExportSummary { rows, left_out: self.left_out.0 })
    }
}

/// Who crossed the spread when a resting order of a side traded.
const fn crossing(resting: Side) -> Aggressor {
    match resting {
        Side::Bid => Aggressor::Sell,
        Side::Ask => Aggressor::Buy,
    }
}

/// The table that an event is a row of, or the schema that it is a record of; `None`: none has a place for it. A
/// book's clearing belongs to the book that it clears, by order or by level, and to none before there was one.
const fn kind_of(told: &Told<'_>) -> Option<Kind> {
    Some(match told.event.body {
        EventBody::Trade(_) => Kind::Trades,
        EventBody::Quote { .. } => Kind::Quotes,
        EventBody::Bar(_) => Kind::Bars,
        EventBody::LevelSet { .. } | EventBody::BookSnapshot(_) => Kind::Book,
        EventBody::OrderAdd { .. }
        | EventBody::OrderModify { .. }
        | EventBody::OrderCancel { .. }
        | EventBody::OrderExecute { .. }
        | EventBody::OrderReplace { .. } => Kind::Orders,
        EventBody::BookClear => match told.by_order {
            Some(true) => Kind::Orders,
            Some(false) => Kind::Book,
            None => return None,
        },
        EventBody::Status { .. } => Kind::Statuses,
        EventBody::Gap { .. } => Kind::Gaps,
        EventBody::BookChecksum(_) | EventBody::Definition(_) => return None,
    })
}
