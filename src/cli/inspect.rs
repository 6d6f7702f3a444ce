//! `tickwire inspect`.

mod bbo;
mod reader;
mod report;
mod stats;
mod text;
mod verify;

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use feeds::{Instrument, Symbol};
use serde::Serialize;

use super::flags;
use report::FileReport;

/// Flags of `inspect`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire inspect feeds/recordings/*.zst
  tickwire inspect day.itch.gz --symbols AAPL,MSFT
  tickwire inspect day.itch.gz --json | jq '.files[0].checks'
  tickwire inspect --verify day
  tickwire inspect --stats sim day.itch.gz

Formats: NASDAQ ITCH 5.0, also in MoldUDP64 packets (pcap, pcapng); Databento DBN; IEX TOPS and DEEP packets; LOBSTER
messages; CSV of trades, quotes, books and bars; exchange captures (Binance, Bitfinex, BitMEX, Bitstamp, Bybit, Coinbase,
Deribit, dYdX, FTX, Gemini, HitBTC, Hyperliquid, Kraken, KuCoin, OKX); plain, gzip, zstd or the only file of a zip;
folders of `tickwire record`, and segments of them that tell their instruments; told by content. A pipe is refused, because
a recording is read more than once. ITCH and LOBSTER files
tell no date: it is the one in the file's name (20200130, 2020-01-30, 01302020), else 1970-01-01.

--verify reads such a folder whole and checks, instead of its events, that it is what was recorded: every block against
its hash, every hash against the one before, every segment against its index and the manifest. It names the file and the
offset of what is not as it was written, and the last hash: whoever has kept it knows that nothing before has changed.
Segments that were removed are missed by their numbers, by the hashes, and at the end of a run of the recorder by the last
segment, which says that another follows; all of the last runs can be removed unseen by whoever has kept no hash.

--stats prints how the inputs look, side by side: what their events are, spreads, depths, waits between an instrument's
messages, cancels; `sim` is the first million events of the simulated market. All instruments of an input make a column or,
with --symbols, each of these one. Quotes are looked at after each message about an instrument that trades; percentiles are
exact to three digits, all else is rounded down. A tick is the instrument's or, where none is told, the greatest common
divisor of its prices so far. Money is price times size, in the currencies of the instruments.

Every event goes through the same parsers and the same market as in `serve`. What is checked:
  checksums       the venue's checksums of its book against ours
  gaps            jumps in the venue's numbering of a book
  unknown orders  events of orders that nobody added
  crossed         books whose best bid was at or above their best offer after a message
  bbo             the venue's own best bid and offer against the book's, where both carry the same number

Of a recording of `tickwire record` it is told whether its end was written, and which records had no room when it was made.
Messages of a capture are those received from the venue; a message may be many events, or none.
Times are those of receipt. Rates are rounded down to whole events a second.

Exit code: 0 when every file is sound; 1 when one cannot be read to its end, is of no known format, or when no file
carries one of --symbols. The others are inspected all the same. Failed checks do not change the exit code: they are
said in capitals, and counted in --json.")]
pub(super) struct Args {
    /// The recordings, each inspected by itself
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON object, {"files":[…]}: counts and times as integers, prices and sizes as decimal strings
    #[arg(long)]
    json: bool,
    /// Check the hash chain of recordings of `tickwire record`, and nothing else
    #[arg(long, conflicts_with = "symbols")]
    verify: bool,
    /// Print how the inputs look, side by side, and nothing else; `sim` is the simulated market
    #[arg(long, conflicts_with = "verify")]
    stats: bool,
    #[command(flatten)]
    simulation: flags::Simulation,
    /// Only the events of these symbols; messages are counted all the same
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', value_parser = Symbol::new)]
    symbols: Vec<Symbol>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document {
    files: Vec<FileReport>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let is_simulated = args.stats && args.files.iter().any(|path| path.as_os_str() == stats::SIM);
    if let Some(flag) = args.simulation.given().filter(|_| !is_simulated) {
        bail!("{flag} is for the simulated market: say --stats sim, or leave it out");
    }
    if args.verify {
        return verify::run(&args.files, args.json);
    }
    if args.stats {
        return stats::run(args);
    }
    let mut selection = Selection::new(&args.symbols);
    let mut document = Document { files: Vec::new() };
    let mut sound = true;
    for path in &args.files {
        let report = reader::inspect(path, &mut selection);
        if let Some(error) = &report.error {
            sound = false;
            eprintln!("tickwire: {error}");
        }
        if args.json {
            document.files.push(report);
        } else if !print(&format!("{report}\n"))? {
            return Ok(ExitCode::FAILURE);
        }
    }
    if args.json {
        let text = serde_json::to_string(&document).context("the report cannot be shown")?;
        sound &= print(&format!("{text}\n"))?;
    }
    for symbol in selection.missing() {
        sound = false;
        eprintln!(
            "tickwire: no file carries the symbol `{symbol}`: without --symbols, all of them are listed"
        );
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether somebody still reads what is printed: `… | head` does not, and needs no error.
fn print(text: &str) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}

/// Which instruments are asked for, and which of them were there.
struct Selection {
    /// Empty: all of them.
    symbols: BTreeSet<Symbol>,
    found: BTreeSet<Symbol>,
}

impl Selection {
    fn new(symbols: &[Symbol]) -> Self {
        Self { symbols: symbols.iter().cloned().collect(), found: BTreeSet::new() }
    }

    /// By its plain or its qualified name.
    fn takes(&mut self, instrument: &Instrument) -> bool {
        if self.symbols.is_empty() {
            return true;
        }
        let names = [instrument.symbol.clone(), instrument.symbol.qualified(instrument.venue)];
        let mut taken = false;
        for name in names {
            if self.symbols.contains(&name) {
                taken = true;
                self.found.insert(name);
            }
        }
        taken
    }

    fn missing(&self) -> impl Iterator<Item = &Symbol> {
        self.symbols.difference(&self.found)
    }
}
