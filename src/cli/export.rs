//! `tickwire export`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use feeds::export::{ExportSettings, ExportSummary, Exporter, Format, Kind};
use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, Symbol, Timestamp};
use serde::Serialize;

use super::flags;
use super::progress::Progress;
use crate::config;

/// Where a simulated market begins, unless it is told: a Monday at half past nine in New York. Not now, so that the same
/// flags give the same files.
const SIM_START: Timestamp = Timestamp(1_767_623_400_000_000_000);

/// Flags of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire export day.itch.gz --out day --format csv
  tickwire export feeds/recordings/coinbase-20210417.jsonl.zst --kind trades --out trades.csv
  tickwire export es.mbo.dbn.zst es.trades.dbn.zst --symbols ESH4 --out es.dbn
  tickwire export sim --sim-instruments 10 --duration 1h --out market --format parquet

PATH with the extension of a format, .csv, .dbn or .parquet, is one file; any other is a folder with a file for each kind
that occurs, such as trades.csv. One file holds one kind: --kind says which, where the feed has several; a file of DBN
alone may hold all, in their order.

  trades       trades, and executions of orders that print to the tape           DBN: trades
  quotes       best bids and offers                                              DBN: mbp-1
  book         books by level: snapshots and changes                             DBN: mbp-10, the best ten levels
  orders       books by order: every event of every order                        DBN: mbo
  bars         bars                                                              DBN: ohlcv-1s, -1m, -1h, -1d
  statuses     trading, halted, auction, closed                                  DBN: status
  gaps         where messages were lost                                          DBN: a flag of the book's records
  instruments  symbols, venues, scales                                           DBN: definition

The columns are described in feeds/src/export/table.rs, what becomes of an event in DBN in feeds/src/export/dbn.rs. In CSV
prices and sizes are exact decimals and times nanoseconds since 1970; trades, quotes, book and bars are read back by
`serve`, `inspect` and `export`, the other files are not. In Parquet they are decimals and timestamps. Nothing is rounded: a number that does not
fit is an error. DBN holds prices of nine decimals and sizes of 32 bits without decimals: of crypto currencies say
--size-unit 0.0001, and sizes are multiples of that.

Until it is whole, what is written is called PATH.partial; when anything fails, it is removed.

Exit code: 0 when all is written; 1 when not.")]
pub(super) struct Args {
    /// sim, or recordings, merged by time (`inspect --help` lists the formats); replay:FILE[,FILE…] means the same
    #[arg(required = true, value_name = "FEED")]
    feed: Vec<String>,
    /// File or folder to write
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// csv, dbn or parquet [default: PATH's extension]
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// What to write [default: all that occurs]
    #[arg(long = "kind", value_name = "KIND,…", value_delimiter = ',')]
    kinds: Vec<String>,
    /// Only these symbols of recordings
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', value_parser = Symbol::new)]
    symbols: Vec<Symbol>,
    /// How much of the feed's time, such as 30s, 10m or 1h [default: all of a recording]
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
    /// How many messages at most [default: all of a recording]
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// When the simulated market begins, RFC 3339 or nanoseconds since 1970 [default: 2026-01-05T14:30:00Z]
    #[arg(long, value_name = "TIME")]
    sim_start: Option<Timestamp>,
    /// In DBN, what sizes are multiples of, where an instrument has sizes with decimals [default: 1]
    #[arg(long, value_name = "SIZE")]
    size_unit: Option<String>,
    /// Replace what is at PATH, if it is an export
    #[arg(long)]
    force: bool,
    /// Settings file [default: tickwire.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    simulation: flags::Simulation,
}

/// The settings of the simulated market, which are those of other commands.
#[derive(Serialize)]
struct Simulated<'a> {
    feed: &'static str,
    symbols: [&'static str; 0],
    from: &'static str,
    record: &'static str,
    #[serde(rename = "loop")]
    repeat: bool,
    #[serde(flatten)]
    simulation: &'a flags::Simulation,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let format = match &args.format {
        Some(name) => {
            Format::of_name(name).with_context(|| format!("--format {name}: csv, dbn or parquet"))?
        }
        None => Format::of_path(&args.out).with_context(|| {
            format!("{} tells no format: say --format csv, dbn or parquet", args.out.display())
        })?,
    };
    let kinds = args.kinds.iter().map(|name| {
        Kind::of_name(name).with_context(|| {
            let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            format!("--kind {name}: {}", names.join(", "))
        })
    });
    let kinds = kinds.collect::<anyhow::Result<BTreeSet<_>>>()?;
    let duration = args.duration.as_deref().map(|text| config::duration("duration", text)).transpose()?;
    let Opened { mut feed, begin, dataset } = open(args)?;
    let settings = ExportSettings {
        path: args.out.clone(),
        format,
        kinds,
        force: args.force,
        dataset,
        size_unit: args.size_unit.clone(),
    };
    let mut exporter = Exporter::create(&settings, feed.instruments())?;
    let mut progress = Progress::of(args.out.display());
    progress.show("0 messages");
    play(feed.as_mut(), &mut exporter, begin, duration, args.messages, &mut progress)?;
    progress.show("finishing");
    let summary = exporter.finish()?;
    drop(progress);
    let mut stdout = std::io::stdout();
    stdout.write_all(told(&summary, args).as_bytes()).context("cannot write to standard output")?;
    Ok(ExitCode::SUCCESS)
}

struct Opened {
    feed: Box<dyn Feed>,
    /// `None`: with its first message.
    begin: Option<Timestamp>,
    /// The data set that all of it is of.
    dataset: Option<&'static str>,
}

fn open(args: &Args) -> anyhow::Result<Opened> {
    if args.feed.iter().any(|feed| feed == "sim") {
        ensure!(args.feed.len() == 1, "sim is a feed alone; a file of that name is ./sim");
        ensure!(
            args.symbols.is_empty(),
            "--symbols is for recordings: --sim-instruments tells how many there are"
        );
        ensure!(
            args.duration.is_some() || args.messages.is_some(),
            "a simulated market never ends: say --duration or --messages"
        );
        let simulation = &args.simulation;
        let flags = Simulated { feed: "sim", symbols: [], from: "", record: "", repeat: false, simulation };
        let mut feed = config::load(args.config.as_deref(), flags)?.open(None)?.feed;
        let begin = args.sim_start.unwrap_or(SIM_START);
        feed.begin(begin);
        return Ok(Opened { feed, begin: Some(begin), dataset: None });
    }
    let mut files = Vec::new();
    for feed in &args.feed {
        match feed.strip_prefix("replay:") {
            Some(list) => files.extend(list.split(',').map(PathBuf::from)),
            None => files.push(PathBuf::from(feed)),
        }
    }
    if args.sim_start.is_some() {
        bail!("--sim-start is for sim: a recording has times of its own");
    }
    if let Some(flag) = args.simulation.given() {
        bail!("{flag} is for sim, the simulated market: leave it out for recordings");
    }
    let symbols = (!args.symbols.is_empty()).then(|| args.symbols.iter().cloned().collect());
    let is_out = |file: &PathBuf| match (file.canonicalize(), args.out.canonicalize()) {
        (Ok(file), Ok(out)) => file == out,
        _ => false,
    };
    ensure!(!files.iter().any(is_out), "{} is what is to be exported: say another --out", args.out.display());
    let replay = Replay::open(&ReplaySettings { files, symbols, ..ReplaySettings::default() })?;
    let datasets: BTreeSet<_> =
        replay.files().iter().map(|file| (file.format == "Databento DBN").then_some(file.venue)).collect();
    let dataset = datasets.first().copied().flatten().filter(|_| datasets.len() == 1);
    Ok(Opened { feed: Box::new(replay), begin: None, dataset })
}

fn play(
    feed: &mut dyn Feed,
    exporter: &mut Exporter,
    mut begin: Option<Timestamp>,
    duration: Option<Duration>,
    messages_max: Option<u64>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut events = Vec::new();
    let mut messages = 0;
    while messages_max.is_none_or(|max| messages < max) {
        let feeds::Progress::Message { due } = feed.next_message(&mut events)? else { break };
        let begin = *begin.get_or_insert(due);
        if duration.is_some_and(|duration| due >= begin.plus(duration)) {
            break;
        }
        exporter.message(&events)?;
        events.clear();
        messages += 1;
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let share = match (messages_max, duration) {
            (Some(max), _) => Some((messages, max)),
            (None, Some(duration)) => Some((millis(due.since(begin)), millis(duration))),
            (None, None) => None,
        };
        progress.at(messages, share);
    }
    Ok(())
}

fn told(summary: &ExportSummary, args: &Args) -> String {
    let counts =
        |counts: Vec<String>| if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    let rows = summary.rows.iter().map(|(kind, rows)| format!("{rows} {}", kind.name())).collect();
    let mut text = format!("exported {} to {}\n", counts(rows), args.out.display());
    if !summary.left_out.is_empty() {
        let left_out = summary.left_out.iter().map(|(what, count)| format!("{count} {what}")).collect();
        text.push_str(&format!("left out: {}\n", counts(left_out)));
    }
    text
}
