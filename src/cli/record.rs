//! `tickwire record`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use feeds::record::{RecordReader, Recorder, RecorderReport, RecorderStats, WhenFull};
use feeds::replay::check_distinct;
use feeds::{Clock, Feed, FeedError, Progress, Speed, VirtualClock};
use serde::Serialize;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::flags;
use super::logging::Log;
use super::serve::Signals;
use crate::config::{self, Config};
use crate::limits::INGEST_SLEEP_MAX;
use crate::metrics::Metrics;

/// Flags of `record`: all but the duration override the setting of their name.
#[derive(Debug, clap::Args, Serialize)]
#[command(after_help = "\
Examples:
  tickwire record --out day
  tickwire record --out day --duration 10m --rotate-bytes 64MiB --rotate-every 1h
  tickwire record --out storm --speed max --duration 1h --sim-rate 100
  tickwire record --out day --feed live:kraken --symbols BTC/USD,ETH/USD
  tickwire record --feed replay:morning,afternoon --out day

A folder that holds a recording already is gone on with. What happens to it is described in
feeds/src/record/format.md; `tickwire inspect --verify DIR` checks it, `tickwire serve --feed replay:DIR` plays it.

At speed max the feed waits for the disk; else nothing waits: when the disk cannot follow, records are lost, and the
recording, the log and the exit code say so. A recording that is recorded again is copied whole, record by record.

Exit code: 0 when all was recorded; 1 when anything was lost, or the disk failed to the end.")]
pub(super) struct Args {
    /// Folder to record into
    #[arg(long = "out", value_name = "DIR")]
    record: String,
    /// Settings file [default: tickwire.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// sim, live:VENUE with --symbols (live:binance, live:coinbase, live:kraken), or replay:DIR, a recording of this
    /// command [default: sim]
    #[arg(long, value_name = "FEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<String>,
    /// Only these symbols, as the venue spells them: A,B,…
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    symbols: Vec<String>,
    /// How much of the feed's time to record, such as 30s, 10m or 1h [default: until SIGINT or SIGTERM]
    #[arg(long, value_name = "TIME")]
    #[serde(skip)]
    duration: Option<String>,
    /// Begin a segment when one would be longer than this [default: 1GiB]
    #[arg(long = "rotate-bytes", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    record_rotate_bytes: Option<String>,
    /// Begin a segment when the first record of one is so much older [default: only the length counts]
    #[arg(long = "rotate-every", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    record_rotate_every: Option<String>,
    /// 1 as it happens, N times as fast, or max [default: 1]
    #[arg(long, value_name = "SPEED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    simulation: flags::Simulation,
    #[command(flatten)]
    #[serde(flatten)]
    logging: flags::Logging,
}

impl Args {
    /// A flag that was given and says what of a feed is to be recorded.
    fn shapes_a_feed(&self) -> Option<&'static str> {
        [
            ("duration", self.duration.is_some()),
            ("symbols", !self.symbols.is_empty()),
            ("speed", self.speed.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, is_given)| is_given.then_some(flag))
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref(), args)?;
    let duration = args.duration.as_deref().map(|text| config::duration("duration", text)).transpose()?;
    Log::start(&config, None)?;
    let stats = match config.replay_files()? {
        Some(files) => {
            if let Some(flag) = args.shapes_a_feed() {
                anyhow::bail!("--{flag}: a recording is copied whole");
            }
            copy(&config, files)?
        }
        None => record(&config, duration)?,
    };
    let RecorderStats { records, bytes, records_lost, segments, bytes_written, .. } = stats;
    let lost = if records_lost > 0 { format!(", {records_lost} LOST") } else { String::new() };
    let text = format!(
        "recorded {records} records of {bytes} bytes{lost}, in {bytes_written} bytes and {segments} segments, into {}\n",
        config.record
    );
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    Ok(if records_lost > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Copies recordings, one after the other.
fn copy(config: &Config, files: Vec<PathBuf>) -> anyhow::Result<RecorderStats> {
    let mut settings = config.recorder()?.context("no folder to record into")?;
    settings.when_full = WhenFull::Wait;
    // The same file by another name is the same.
    let folder = settings.folder.canonicalize().ok();
    let is_itself = |path: &PathBuf| folder.is_some() && path.canonicalize().ok() == folder;
    anyhow::ensure!(!files.iter().any(is_itself), "{} cannot be copied into itself", config.record);
    check_distinct(&files)?;
    let mut readers = files.iter().map(|path| RecordReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    for reader in &mut readers {
        // What is no recording is refused before there is a folder for it.
        reader.check()?;
    }
    let recorder = Recorder::start(&settings, |report| log(report, None))?;
    let handle = recorder.handle().clone();
    until_stopped(recorder, move |stopped| {
        for reader in &mut readers {
            if !feeds::record::copy(reader, &handle, || stopped.load(Ordering::Acquire))? {
                warn!("stopped: the copy ends here");
                break;
            }
        }
        Ok(())
    })
}

/// Plays a feed to nobody but the recorder.
fn record(config: &Config, duration: Option<Duration>) -> anyhow::Result<RecorderStats> {
    let settings = config.settings()?;
    let recorder = start(config, &Arc::default())?.context("no folder to record into")?;
    let feed = match config.open(Some(recorder.handle())) {
        Ok(opened) => opened.feed,
        Err(error) => {
            recorder.abandon();
            return Err(error.into());
        }
    };
    info!(feed = %config.feed, folder = config.record, "recording");
    until_stopped(recorder, move |stopped| play(feed, settings.ingest.speed, duration, stopped))
}

/// Lets a thread of its own record until it is done or a signal comes, and closes the recording.
fn until_stopped(
    recorder: Recorder,
    work: impl FnOnce(&AtomicBool) -> Result<(), FeedError> + Send + 'static,
) -> anyhow::Result<RecorderStats> {
    let mut signals = Signals::listen(false).context("cannot listen for signals")?;
    let stopped = Arc::new(AtomicBool::new(false));
    let (ended, end) = oneshot::channel::<()>();
    let worker = {
        let stopped = Arc::clone(&stopped);
        std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
            let _ended = ended;
            work(&stopped)
        })?
    };
    signals.wait(async {
        // It is an error, because nothing is ever sent.
        let _ = end.await;
    });
    stopped.store(true, Ordering::Release);
    // A full disk would hold it for ever.
    recorder.handle().stop_waiting();
    worker.thread().unpark();
    let worked =
        worker.join().unwrap_or_else(|_| Err(FeedError::Settings("the feed has panicked".to_owned())));
    let stats = stop(recorder)?;
    worked?;
    Ok(stats)
}

fn play(
    mut feed: Box<dyn Feed>,
    speed: Speed,
    duration: Option<Duration>,
    stopped: &AtomicBool,
) -> Result<(), FeedError> {
    let mut pace = VirtualClock::new(Clock::System, speed, feed.begins_at());
    let begin = Clock::System.now();
    feed.begin(begin);
    let mut events = Vec::new();
    loop {
        events.clear();
        let due = match feed.next_message(&mut events)? {
            Progress::Message { due } => due,
            Progress::Waiting => {
                let is_over = duration.is_some_and(|duration| Clock::System.now() >= begin.plus(duration));
                if is_over || stopped.load(Ordering::Acquire) {
                    break;
                }
                std::thread::park_timeout(INGEST_SLEEP_MAX);
                continue;
            }
            Progress::Restarted | Progress::Ended => break,
        };
        if duration.is_some_and(|duration| due >= begin.plus(duration)) {
            break;
        }
        loop {
            if stopped.load(Ordering::Acquire) {
                return Ok(());
            }
            let wait = pace.wait(due);
            if wait.is_zero() {
                break;
            }
            std::thread::park_timeout(wait.min(INGEST_SLEEP_MAX));
        }
    }
    Ok(())
}

/// A file that is as long as files may be (`ulimit -f`) is then an error of the disk, and ends no process. What tokio
/// listens for once stays so.
fn survive_file_limits() -> std::io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    {
        const SIGXFSZ: i32 = 25;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _entered = runtime.enter();
        let _unasked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(SIGXFSZ))?;
    }
    Ok(())
}

/// Starts what `config` has to record; the service's metrics count its troubles as soon as they are there.
pub(super) fn start(config: &Config, metrics: &Arc<OnceLock<Metrics>>) -> anyhow::Result<Option<Recorder>> {
    let Some(settings) = config.recorder()? else { return Ok(None) };
    config.settings()?;
    survive_file_limits().context("cannot listen for signals")?;
    let metrics = Arc::clone(metrics);
    Ok(Some(Recorder::start(&settings, move |report| log(report, metrics.get()))?))
}

/// Closes the recording, and says in the log what is in it.
pub(super) fn stop(recorder: Recorder) -> anyhow::Result<RecorderStats> {
    let (folder, handle) = (recorder.folder().display().to_string(), recorder.handle().clone());
    let result = recorder.stop();
    let RecorderStats { records, records_lost, segments, .. } = handle.stats();
    match &result {
        Ok(_) if records_lost > 0 => warn!(folder, records, records_lost, segments, "recorded, but not all"),
        Ok(_) => info!(folder, records, records_lost, segments, "recorded"),
        Err(error) => error!(%error, folder, records, records_lost, segments, "the recording is cut"),
    }
    result.with_context(|| format!("the recording is cut: {records} records, and {records_lost} LOST"))
}

fn log(report: RecorderReport, metrics: Option<&Metrics>) {
    match report {
        RecorderReport::Failed { error } => {
            error!(%error, "the recording cannot be written; it is tried again");
            if let Some(metrics) = metrics {
                metrics.recording_failures_total().add(1);
            }
        }
        RecorderReport::Recovered => info!("the recording can be written again"),
        RecorderReport::Lost(lost) => {
            warn!(records = lost.records, first = %lost.first, last = %lost.last, "records are lost: the disk did not take them in time");
            if let Some(metrics) = metrics {
                metrics.recording_records_lost_total().add(lost.records);
            }
        }
    }
}
