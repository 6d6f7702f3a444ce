//! Plays recordings.
//!
//! Several files are merged by the time at which their messages were received, and their instruments are numbered
//! together. How fast they play is not decided here: each message says when it is due.

mod catalog;
mod recording;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::{EventBody, Feed, FeedError, Instrument, MarketEvent, Progress, Symbol, SymbolId, Timestamp};
use catalog::Catalog;
use recording::Recording;

/// What to play.
#[derive(Clone, Debug, Default)]
pub struct ReplaySettings {
    /// The recordings. Messages received at the same time come in the order of the files.
    pub files: Vec<PathBuf>,
    /// Begins again at the end, for ever; but for recordings without any event, which end.
    pub repeat: bool,
    /// Only these instruments, by their plain or their qualified name; `None`: all of them.
    pub symbols: Option<BTreeSet<Symbol>>,
    /// What was received before is not waited for: so a replay begins there, in the state in which everything before has
    /// left the market.
    pub from: Option<Timestamp>,
}

/// A recording that is being played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingSummary {
    /// The file.
    pub path: PathBuf,
    /// What it is, such as `NASDAQ ITCH 5.0`, `exchange capture` or `Tickwire recording`.
    pub format: &'static str,
    /// Where it was recorded; of a DBN file its data set.
    pub venue: &'static str,
    /// The venue's messages played since it last began: of a capture those that were received.
    pub messages: u64,
}

/// Plays recordings as one feed.
///
/// Each file is one message ahead of what was played, so that the earliest can be chosen; of a file alone is read no
/// more than that. A message costs one look at every file, which are few.
pub struct Replay {
    settings: ReplaySettings,
    sources: Vec<Source>,
    files: Vec<RecordingSummary>,
    instruments: Vec<Instrument>,
    /// The latest time that was due: what a capture received out of order is due at once.
    due_max: Option<Timestamp>,
    /// Whether any event was handed out since it last began.
    has_events: bool,
    is_over: bool,
}

struct Source {
    recording: Recording,
    /// From the file's numbers of instruments to the replay's; `None`: not asked for.
    ids: Vec<Option<SymbolId>>,
    next: Next,
    /// The events of the next message.
    events: Vec<MarketEvent>,
}

enum Next {
    Unread,
    At(Timestamp),
    Ended,
}

impl Replay {
    /// Opens all files and settles on their instruments.
    ///
    /// The format of a file is told by its content, whatever its name. A symbol which files of several venues carry
    /// is called `VENUE:SYMBOL`; one which several files of the same venue carry is one instrument.
    ///
    /// # Errors
    /// [`FeedError::Io`] and [`FeedError::Damaged`] from a file's beginning; [`FeedError::UnknownFormat`];
    /// [`FeedError::Settings`] for no file at all, a file given twice, a symbol that no file carries, files that disagree about the
    /// scale of an instrument, and more instruments than [`crate::limits::INSTRUMENTS_MAX`].
    pub fn open(settings: &ReplaySettings) -> Result<Self, FeedError> {
        check_distinct(&settings.files)?;
        let mut recordings =
            settings.files.iter().map(|path| Recording::open(path)).collect::<Result<Vec<_>, _>>()?;
        Recording::share_scales(&mut recordings);
        let carried: Vec<_> = settings
            .files
            .iter()
            .zip(&recordings)
            .map(|(path, recording)| (path.as_path(), recording.instruments()))
            .collect();
        let Catalog { instruments, ids } = Catalog::new(&carried, settings.symbols.as_ref())?;
        let files = settings
            .files
            .iter()
            .zip(&recordings)
            .map(|(path, recording)| RecordingSummary {
                path: path.clone(),
                format: recording.format(),
                venue: recording.venue(),
                messages: 0,
            })
            .collect();
        let sources = recordings
            .into_iter()
            .zip(ids)
            .map(|(recording, ids)| Source { recording, ids, next: Next::Unread, events: Vec::new() })
            .collect();
        Ok(Self {
            settings: settings.clone(),
            sources,
            files,
            instruments,
            due_max: None,
            has_events: false,
            is_over: false,
        })
    }

    /// The files, in the order of the settings.
    #[must_use]
    pub fn files(&self) -> &[RecordingSummary] {
        &self.files
    }

    /// What in a file, by its place in the settings, says nothing that an event has a word for, and how often: records of
    /// DBN by their type. The message that is read ahead counts.
    #[must_use]
    pub fn unmapped(&self, file: usize) -> Vec<(String, u64)> {
        self.sources.get(file).map_or_else(Vec::new, |source| source.recording.unmapped())
    }

    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        let Some((index, received)) = self.earliest()? else {
            return self.end();
        };
        let source = &mut self.sources[index];
        source.next = Next::Unread;
        for mut event in source.events.drain(..) {
            let Some(symbol) = source.ids[event.symbol.index()] else { continue };
            event.symbol = symbol;
            if let EventBody::Definition(instrument) = &mut event.body {
                instrument.symbol = self.instruments[symbol.index()].symbol.clone();
            }
            events.push(event);
            self.has_events = true;
        }
        self.files[index].messages = source.recording.messages();
        let due = self.due_max.map_or(received, |latest| received.max(latest));
        self.due_max = Some(due);
        Ok(Progress::Message { due })
    }

    /// The source with the earliest next message, and when that was received; `None` when all have ended.
    fn earliest(&mut self) -> Result<Option<(usize, Timestamp)>, FeedError> {
        let mut earliest = None;
        for (index, source) in self.sources.iter_mut().enumerate() {
            if matches!(source.next, Next::Unread) {
                let received = source.recording.next_message(&mut source.events)?;
                source.next = received.map_or(Next::Ended, Next::At);
            }
            if let Next::At(received) = source.next
                && earliest.is_none_or(|(_, earlier)| received < earlier)
            {
                earliest = Some((index, received));
            }
        }
        Ok(earliest)
    }

    /// All files have ended: begins again if that was asked for. A pass without any event is the end all the same:
    /// those that follow would be as empty, and may take no time at all.
    fn end(&mut self) -> Result<Progress, FeedError> {
        if !self.settings.repeat || !self.has_events {
            self.is_over = true;
            return Ok(Progress::Ended);
        }
        let again = Self::open(&self.settings)?;
        if again.instruments != self.instruments {
            return Err(FeedError::Settings("a recording changed while it was played: restart".to_owned()));
        }
        *self = again;
        Ok(Progress::Restarted)
    }
}

/// Refuses a file that is given twice, by whatever spelling: each of its events would happen twice, unnoticed.
fn check_distinct(files: &[PathBuf]) -> Result<(), FeedError> {
    let mut seen: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for path in files {
        let canonical = path.canonicalize();
        let canonical =
            canonical.map_err(|source| FeedError::Io { path: path.clone(), offset: 0, source })?;
        if let Some(first) = seen.insert(canonical, path) {
            return Err(FeedError::Settings(format!(
                "{} is given twice, first as {}: its events would be doubled",
                path.display(),
                first.display()
            )));
        }
    }
    Ok(())
}

impl Feed for Replay {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn begins_at(&self) -> Option<Timestamp> {
        self.settings.from
    }

    /// Meets the damage of a file when the message before it has been played. That ends the whole replay.
    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        if self.is_over {
            return Ok(Progress::Ended);
        }
        self.advance(events).inspect_err(|_| self.is_over = true)
    }
}
