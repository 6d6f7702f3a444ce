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

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::format::recording::{KeptReader, RecordingReader};
use crate::input::check_kept;
use crate::record::checkpoints::Checkpoints;
use crate::record::{SEGMENT_EXTENSION, Verified};
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
    /// Of one recording of our own, keeps checkpoints beside it, at least so many records apart, and begins at the last of
    /// them before `from`; `None`: leaves them alone.
    pub checkpoint_records: Option<u64>,
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
    /// Lines of no known kind before it last began.
    unknown_before: u64,
    is_over: bool,
    /// `None`: of such files there are none.
    checkpoints: Option<Checkpoints>,
    /// What came with the checkpoint at which it begins.
    state: Option<Vec<u8>>,
}

/// What stands in a checkpoint before the state of whoever plays the recording.
#[derive(Serialize, Deserialize)]
struct Kept {
    due_max: Option<Timestamp>,
    has_events: bool,
    reader: KeptReader,
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
        Self::open_at(settings, settings.from)
    }

    /// Opens them at a checkpoint of before `from`, if there is one.
    fn open_at(settings: &ReplaySettings, from: Option<Timestamp>) -> Result<Self, FeedError> {
        check_distinct(&settings.files)?;
        let mut checkpoints = match (&settings.files[..], settings.checkpoint_records) {
            // What is wrong with the recording is told by its reader.
            ([folder], Some(apart)) if folder.is_dir() => Checkpoints::open(folder, apart).ok(),
            _ => None,
        };
        let mut replay =
            match from.zip(checkpoints.as_mut()).and_then(|(from, kept)| resume(settings, from, kept)) {
                Some(replay) => replay,
                None => {
                    if let Some(from) = from {
                        info!(%from, "without a checkpoint: all that comes before is played");
                    }
                    let files = settings.files.iter();
                    let recordings =
                        files.map(|path| Recording::open(path)).collect::<Result<Vec<_>, _>>()?;
                    Self::of(settings, recordings)?
                }
            };
        // Nobody can tell a part of the instruments from all of them, nor what a growing recording will have.
        checkpoints = checkpoints.filter(|kept| settings.symbols.is_none() && kept.are_current());
        if let (Some(checkpoints), [Source { recording: Recording::Ours(reader), .. }]) =
            (&mut checkpoints, &replay.sources[..])
        {
            let (read, total) = reader.records();
            checkpoints.begin(read, total);
        }
        replay.checkpoints = checkpoints;
        Ok(replay)
    }

    fn of(settings: &ReplaySettings, mut recordings: Vec<Recording>) -> Result<Self, FeedError> {
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
            unknown_before: 0,
            is_over: false,
            checkpoints: None,
            state: None,
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

    /// What was read of a file that is a recording of `tickwire record`.
    #[must_use]
    pub fn recorded(&self, file: usize) -> Option<&Verified> {
        self.sources.get(file)?.recording.verified()
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
        self.begin_again(self.settings.from)?;
        Ok(Progress::Restarted)
    }

    fn begin_again(&mut self, from: Option<Timestamp>) -> Result<(), FeedError> {
        // What is still being written is to be found.
        self.checkpoints = None;
        let again = Self::open_at(&self.settings, from)?;
        if again.instruments != self.instruments {
            return Err(FeedError::Settings("a recording changed while it was played: restart".to_owned()));
        }
        let unknown_before = self.unknown_lines();
        *self = Self { unknown_before, ..again };
        Ok(())
    }
}

/// Begins at the newest checkpoint of before `from` that can be used.
fn resume(settings: &ReplaySettings, from: Timestamp, checkpoints: &mut Checkpoints) -> Option<Replay> {
    while let Some((head, content)) = checkpoints.newest_before(from) {
        let resumed = postcard::take_from_bytes::<Kept>(&content)
            .map_err(|error| error.to_string())
            .and_then(|(kept, state)| {
                let reader = RecordingReader::go_on(&settings.files[0], kept.reader);
                let recording = reader.map(|reader| Recording::Ours(Box::new(reader)));
                let replay = recording.and_then(|recording| Replay::of(settings, vec![recording]));
                let replay = replay.map_err(|error| error.to_string())?;
                let (due_max, has_events) = (kept.due_max, kept.has_events);
                Ok(Replay { due_max, has_events, state: Some(state.to_vec()), ..replay })
            });
        match resumed {
            Ok(replay) => {
                info!(at = %head.at, records = head.records, %from, "begins at a checkpoint");
                return Some(replay);
            }
            Err(reason) => checkpoints.give_up(head, &reason),
        }
    }
    None
}

/// Refuses a file that is given twice, by whatever spelling, or with the folder that it is a segment of: each of its events
/// would happen twice, unnoticed.
///
/// # Errors
/// [`FeedError::Settings`] names both, or what is neither a file nor a folder; [`FeedError::Io`] for a file that is not
/// there.
pub fn check_distinct(files: &[PathBuf]) -> Result<(), FeedError> {
    let mut seen: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for path in files {
        check_kept(path)?;
        let canonical = path.canonicalize();
        let canonical =
            canonical.map_err(|source| FeedError::Io { path: path.clone(), offset: None, source })?;
        if let Some(first) = seen.insert(canonical, path) {
            return Err(FeedError::Settings(format!(
                "{} is given twice, first as {}: its events would be doubled",
                path.display(),
                first.display()
            )));
        }
    }
    for (canonical, path) in &seen {
        let is_segment = canonical.extension().is_some_and(|extension| extension == SEGMENT_EXTENSION);
        if is_segment && let Some(folder) = canonical.parent().and_then(|folder| seen.get(folder)) {
            return Err(FeedError::Settings(format!(
                "{} is a segment of {}, which is given too: its events would be doubled",
                path.display(),
                folder.display()
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

    fn unknown_lines(&self) -> u64 {
        self.unknown_before + self.sources.iter().map(|source| source.recording.unknown_lines()).sum::<u64>()
    }

    fn take_state(&mut self) -> Option<Vec<u8>> {
        self.state.take()
    }

    fn begin_without_state(&mut self) -> Result<(), FeedError> {
        self.begin_again(None)
    }

    fn wants_state(&mut self) -> bool {
        match (&mut self.checkpoints, &self.sources[..]) {
            (Some(checkpoints), [Source { recording: Recording::Ours(reader), .. }]) => {
                checkpoints.is_due(reader.records().0)
            }
            _ => false,
        }
    }

    fn keep_state(&mut self, state: &[u8]) {
        let (Some(checkpoints), [Source { recording: Recording::Ours(reader), .. }], Some(at)) =
            (&mut self.checkpoints, &self.sources[..], self.due_max)
        else {
            return;
        };
        let Some(kept) = reader.keep() else {
            info!("no checkpoints can be made of such a recording");
            self.checkpoints = None;
            return;
        };
        let kept = Kept { due_max: self.due_max, has_events: self.has_events, reader: kept };
        match postcard::to_stdvec(&kept) {
            Ok(mut content) => {
                content.extend_from_slice(state);
                checkpoints.keep(reader.records().0, at, content);
            }
            Err(error) => warn!(%error, "no checkpoint"),
        }
    }

    /// Meets the damage of a file when the message before it has been played. That ends the whole replay.
    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        if self.is_over {
            return Ok(Progress::Ended);
        }
        self.advance(events).inspect_err(|_| self.is_over = true)
    }
}
