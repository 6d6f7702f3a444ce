//! `tickwire inspect --verify`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use feeds::FeedError;
use feeds::record::{RecordReader, Verified};
use serde::Serialize;

use super::print;
use super::report::Recorded;

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
    first_ts_recv: Option<i64>,
    last_ts_recv: Option<i64>,
    /// How it ends, and what is missing in it.
    #[serde(flatten)]
    recorded: Recorded,
    /// Of the last frame.
    hash: String,
    error: Option<String>,
    #[serde(skip)]
    span: Option<String>,
    #[serde(skip)]
    is_folder: bool,
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
        let recorded = Recorded::new(path, &verified);
        let Verified { segments, blocks, records, bytes, span, hash, .. } = verified;
        let is_folder = path.is_dir();
        let error = error.map(|error| error.to_string());
        Self {
            path: path.display().to_string(),
            is_folder,
            sound: error.is_none(),
            segments,
            blocks,
            records,
            bytes,
            first_ts_recv: span.map(|(first, _)| first.0),
            last_ts_recv: span.map(|(_, last)| last.0),
            recorded,
            hash,
            error,
            span: span.map(|(first, last)| format!("{first} to {last}")),
        }
    }
}

fn read(reader: &mut RecordReader) -> Result<(), FeedError> {
    while reader.next_record()?.is_some() {}
    Ok(())
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path)?;
        writeln!(f, "  segments  {} of {} blocks", self.segments, self.blocks)?;
        writeln!(f, "  records   {} of {} bytes", self.records, self.bytes)?;
        if let Some(span) = &self.span {
            writeln!(f, "  time      {span}")?;
        }
        write!(f, "{}", self.recorded)?;
        if let Some(error) = &self.error {
            writeln!(f, "  ERROR     {error}")?;
            return writeln!(f, "            what is told here came before it");
        }
        if self.hash.is_empty() {
            return writeln!(f, "  chain     sound, of nothing");
        }
        writeln!(f, "  chain     sound, the last hash is {}", self.hash)?;
        let unknown = if !self.is_folder {
            "segments before and behind this one: give the folder"
        } else if self.recorded.followed {
            "which of the two it is, and how much is missing"
        } else if self.recorded.closed {
            "runs of its recorder behind this one, if all their segments were removed: compare the last hash with a kept one"
        } else {
            "blocks behind the last one, which a recorder that was killed had not written, or somebody removed"
        };
        writeln!(f, "  not known {unknown}")
    }
}
