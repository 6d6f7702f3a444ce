//! `tickwire inspect --verify`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use feeds::FeedError;
use feeds::record::{Cut, RecordReader, Verified};
use serde::Serialize;

use super::print;

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    files: Vec<Verdict>,
}

/// What is to be said of one recording.
#[derive(Serialize)]
struct Verdict {
    path: String,
    /// Whether all that is there is what was recorded.
    sound: bool,
    /// Up to the damage, where there is any.
    segments: u64,
    blocks: u64,
    records: u64,
    /// Of the records, without compression.
    bytes: u64,
    /// What had no room when it was recorded, as the recording tells.
    records_lost: u64,
    first_ts_recv: Option<i64>,
    last_ts_recv: Option<i64>,
    /// Whether its recorder closed it.
    closed: bool,
    /// Beginnings of frames that a killed recorder or a failing disk left.
    cuts: Vec<ShownCut>,
    /// Of the last frame.
    hash: String,
    error: Option<String>,
    #[serde(skip)]
    span: Option<String>,
}

#[derive(Serialize)]
struct ShownCut {
    path: String,
    offset: u64,
    bytes: u64,
}

pub(super) fn run(paths: &[PathBuf], json: bool) -> anyhow::Result<ExitCode> {
    let mut document = Document { files: Vec::new() };
    let mut sound = true;
    for path in paths {
        let verdict = Verdict::of(path);
        if let Some(error) = &verdict.error {
            sound = false;
            eprintln!("tickwire: {error}");
        }
        if json {
            document.files.push(verdict);
        } else if !print(&format!("{verdict}\n"))? {
            return Ok(ExitCode::FAILURE);
        }
    }
    if json {
        let text = serde_json::to_string(&document).context("the report cannot be shown")?;
        sound &= print(&format!("{text}\n"))?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Verdict {
    fn of(path: &Path) -> Self {
        let (verified, error) = match RecordReader::open(path) {
            Ok(mut reader) => {
                let error = read(&mut reader).err();
                (reader.verified().clone(), error)
            }
            Err(error) => (Verified::default(), Some(error)),
        };
        let Verified { segments, blocks, records, bytes, records_lost, span, is_closed, cuts, hash } =
            verified;
        Self {
            path: path.display().to_string(),
            sound: error.is_none(),
            segments,
            blocks,
            records,
            bytes,
            records_lost,
            first_ts_recv: span.map(|(first, _)| first.0),
            last_ts_recv: span.map(|(_, last)| last.0),
            closed: is_closed,
            cuts: cuts.into_iter().map(ShownCut::from).collect(),
            hash,
            error: error.map(|error| error.to_string()),
            span: span.map(|(first, last)| format!("{first} to {last}")),
        }
    }
}

fn read(reader: &mut RecordReader) -> Result<(), FeedError> {
    while reader.next_record()?.is_some() {}
    Ok(())
}

impl From<Cut> for ShownCut {
    fn from(cut: Cut) -> Self {
        Self { path: cut.path.display().to_string(), offset: cut.offset, bytes: cut.bytes }
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  segments  {} of {} blocks", self.segments, self.blocks)?;
        writeln!(f, "  records   {} of {} bytes", self.records, self.bytes)?;
        if let Some(span) = &self.span {
            writeln!(f, "  time      {span}")?;
        }
        if self.records_lost > 0 {
            writeln!(f, "  LOST      {} records had no room when it was recorded", self.records_lost)?;
        }
        for ShownCut { path, offset, bytes } in &self.cuts {
            writeln!(
                f,
                "  cut       {path}: {bytes} bytes from byte {offset} on are the beginning of a frame"
            )?;
        }
        if let Some(error) = &self.error {
            writeln!(f, "  ERROR     {error}")?;
            return writeln!(f, "            what is told here came before it");
        }
        if !self.closed {
            writeln!(f, "  open      its recorder was killed, or still writes it")?;
        }
        if self.hash.is_empty() {
            return writeln!(f, "  chain     sound, of nothing");
        }
        writeln!(f, "  chain     sound, the last hash is {}", self.hash)
    }
}
