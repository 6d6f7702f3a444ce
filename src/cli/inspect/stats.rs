//! `tickwire inspect --stats`.

mod figures;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use feeds::replay::{Replay, ReplaySettings};
use feeds::sim::Sim;
use feeds::{Feed, FeedError, Instrument, MarketEvent, Progress};
use serde_json::{Map, Value, json};

use super::{Args, Selection, print};
use crate::config;
use crate::limits::SIM_STATS_EVENTS;
use crate::market::Market;
use figures::{Figures, Row};

/// The input that is no file.
pub(super) const SIM: &str = "sim";

/// The figures of an input, or of one of its instruments.
struct Column {
    name: String,
    figures: Figures,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut selection = Selection::new(&args.symbols);
    let (mut columns, mut sound) = (Vec::new(), true);
    for path in &args.files {
        let name = path.display().to_string();
        let mut feed: Box<dyn Feed> = if name == SIM {
            let settings = config::load(None, &args.simulation)?.sim()?;
            Box::new(Sim::new(settings).map_err(config::ConfigError::from)?)
        } else {
            match Replay::open(&ReplaySettings { files: vec![path.clone()], ..ReplaySettings::default() }) {
                Ok(replay) => Box::new(replay),
                Err(error) => {
                    sound = false;
                    eprintln!("tickwire: {error}");
                    continue;
                }
            }
        };
        let events_max = if name == SIM { SIM_STATS_EVENTS } else { u64::MAX };
        let mut measure = Measure::new(&name, feed.instruments(), &mut selection);
        if let Err(error) = measure.read(&mut *feed, events_max) {
            sound = false;
            eprintln!("tickwire: {error}; its figures are of what came before");
        }
        columns.append(&mut measure.columns);
    }
    for symbol in selection.missing() {
        sound = false;
        eprintln!("tickwire: no input carries the symbol `{symbol}`");
    }
    let text = if args.json { as_json(&columns)? } else { as_table(&columns) };
    sound &= print(&text)?;
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One input on its way through the market.
struct Measure {
    market: Market,
    /// The column of each instrument; `None`: not asked for.
    columns_of: Vec<Option<usize>>,
    columns: Vec<Column>,
    instruments: Vec<figures::Scale>,
}

impl Measure {
    /// A column for all instruments or, when some are asked for, one for each of them.
    fn new(input: &str, instruments: &[Instrument], selection: &mut Selection) -> Self {
        let file =
            PathBuf::from(input).file_name().map_or(input.into(), |name| name.to_string_lossy().into_owned());
        let mut columns = Vec::new();
        if selection.symbols.is_empty() {
            columns.push(Column { name: file.clone(), figures: Figures::new() });
        }
        let columns_of = instruments
            .iter()
            .map(|instrument| {
                if selection.symbols.is_empty() {
                    return Some(0);
                }
                selection.takes(instrument).then(|| {
                    let name = format!("{file} {}", instrument.symbol);
                    columns.push(Column { name, figures: Figures::new() });
                    columns.len() - 1
                })
            })
            .collect();
        Self {
            market: Market::new(instruments),
            columns_of,
            columns,
            instruments: instruments.iter().map(figures::Scale::new).collect(),
        }
    }

    fn read(&mut self, feed: &mut dyn Feed, events_max: u64) -> Result<(), FeedError> {
        let (mut events, mut count) = (Vec::new(), 0_u64);
        while count < events_max && matches!(feed.next_message(&mut events)?, Progress::Message { .. }) {
            count += events.len() as u64;
            self.take(&events);
            events.clear();
        }
        Ok(())
    }

    fn take(&mut self, message: &[MarketEvent]) {
        let mut changes = Vec::new();
        for event in message {
            let Some(column) = self.columns_of[event.symbol.index()] else { continue };
            self.instruments[event.symbol.index()].see(&event.body);
            self.columns[column].figures.count(&event.body);
            self.market.apply(event, &mut changes);
            changes.clear();
        }
        self.market.end_message();
        let mut seen = Vec::new();
        for event in message {
            let Some(column) = self.columns_of[event.symbol.index()] else { continue };
            if seen.contains(&event.symbol) {
                continue;
            }
            seen.push(event.symbol);
            let scale = &mut self.instruments[event.symbol.index()];
            self.columns[column].figures.end_message(event, &self.market, scale);
        }
    }
}

fn as_json(columns: &[Column]) -> anyhow::Result<String> {
    let inputs: Vec<Value> = columns
        .iter()
        .map(|column| {
            let rows = column.figures.rows();
            let mut figures: Map<String, Value> =
                rows.into_iter().map(|Row { key, cell, .. }| (key.to_owned(), cell.into())).collect();
            figures.insert("input".to_owned(), column.name.clone().into());
            figures.into()
        })
        .collect();
    let text = serde_json::to_string(&json!({ "inputs": inputs })).context("the figures cannot be shown")?;
    Ok(format!("{text}\n"))
}

fn as_table(columns: &[Column]) -> String {
    let mut rows: Vec<Vec<String>> = vec![vec![String::new()]];
    for (index, column) in columns.iter().enumerate() {
        rows[0].push(column.name.clone());
        for (place, Row { title, cell, .. }) in column.figures.rows().into_iter().enumerate() {
            if index == 0 {
                rows.push(vec![title.to_owned()]);
            }
            rows[place + 1].push(cell.unwrap_or_else(|| "-".to_owned()));
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=columns.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        text.push_str(&format!("{:width$}", row[0], width = widths[0]));
        for (cell, width) in row[1..].iter().zip(&widths[1..]) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        text.push('\n');
    }
    text
}
