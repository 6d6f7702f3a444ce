//! Reads one file, from its first event to its last.

use std::path::Path;

use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, FeedError, Instrument, MarketEvent, SymbolId, Timestamp};

use super::Selection;
use super::bbo::BboCheck;
use super::report::{Checks, FileReport, Kinds, Recorded, Span, SymbolReport};
use crate::cli::progress::Progress;
use crate::market::{Change, Market};

/// What is in a file. Where it is damaged, what came before is told, and the error.
pub(super) fn inspect(path: &Path, selection: &mut Selection) -> FileReport {
    let mut progress = Progress::of(path.display());
    // That may take as long as reading it, and tells nothing meanwhile.
    progress.show("opening");
    let settings = ReplaySettings { files: vec![path.to_owned()], ..ReplaySettings::default() };
    let mut replay = match Replay::open(&settings) {
        Ok(replay) => replay,
        Err(error) => return FileReport::unread(path, &error),
    };
    let mut reading = Reading::new(replay.instruments(), selection);
    let error = reading.read(&mut replay, &mut progress).err();
    drop(progress);
    reading.finish(&replay, path, error)
}

struct Reading {
    market: Market,
    bbo: BboCheck,
    kinds: Kinds,
    /// When the earliest and the latest event were received.
    span: Option<(Timestamp, Timestamp)>,
    /// Events by [`SymbolId`]; `None`: not asked for.
    events: Vec<Option<u64>>,
    changes: Vec<Change>,
}

impl Reading {
    fn new(instruments: &[Instrument], selection: &mut Selection) -> Self {
        Self {
            market: Market::new(instruments),
            bbo: BboCheck::new(instruments.len()),
            kinds: Kinds::default(),
            span: None,
            events: instruments.iter().map(|instrument| selection.takes(instrument).then_some(0)).collect(),
            changes: Vec::new(),
        }
    }

    fn read(&mut self, replay: &mut Replay, progress: &mut Progress) -> Result<(), FeedError> {
        let mut events = Vec::new();
        let mut messages = 0;
        while matches!(replay.next_message(&mut events)?, feeds::Progress::Message { .. }) {
            for event in &events {
                self.apply(event);
            }
            for event in &events {
                self.bbo.end_state(event.symbol, &self.market);
            }
            self.market.end_message();
            events.clear();
            messages += 1;
            progress.at(messages, None);
        }
        Ok(())
    }

    fn apply(&mut self, event: &MarketEvent) {
        let Some(count) = &mut self.events[event.symbol.index()] else { return };
        *count += 1;
        self.kinds.count(&event.body);
        let (first, last) = self.span.get_or_insert((event.ts_recv, event.ts_recv));
        *first = event.ts_recv.min(*first);
        *last = event.ts_recv.max(*last);
        self.bbo.before(event, &self.market);
        self.market.apply(event, &mut self.changes);
        self.changes.clear();
    }

    fn finish(self, replay: &Replay, path: &Path, error: Option<FeedError>) -> FileReport {
        let instruments = replay.instruments();
        let symbols = self.symbols(instruments);
        let events = self.events.iter().flatten().sum();
        let summary = replay.files().first();
        FileReport {
            path: path.display().to_string(),
            format: summary.map(|summary| summary.format),
            venue: summary.map(|summary| summary.venue),
            messages: summary.map_or(0, |summary| summary.messages),
            events,
            events_by_kind: self.kinds,
            unmapped: replay.unmapped(0).into_iter().collect(),
            unknown_lines: replay.unknown_lines(),
            recording: replay.recorded(0).map(|verified| Recorded::new(path, verified)),
            span: self.span.map(|(first, last)| Span::new(first, last, events)),
            symbols,
            checks: Checks::new(self.market.faults(), &self.bbo, instruments),
            error: error.map(|error| error.to_string()),
        }
    }

    fn symbols(&self, instruments: &[Instrument]) -> Vec<SymbolReport> {
        let counted = instruments.iter().zip(&self.events).enumerate();
        counted
            .filter_map(|(index, (instrument, events))| {
                Some(SymbolReport::new(instrument, SymbolId::from_index(index), (*events)?, &self.market))
            })
            .collect()
    }
}
