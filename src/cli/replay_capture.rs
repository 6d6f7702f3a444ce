//! `tickwire replay-capture`.

mod compared;

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::man::print;
use super::presented::Presented;
use super::target::read_url;
use crate::client::{self, AgainstError, Checked, ClientSettings, Verdict};
use crate::printable::printable;

/// Of a comparison that could not be made.
const CANNOT_TELL: u8 = 2;

/// Flags of `replay-capture`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("who").arg("token_file").requires("against"))]
#[command(after_help = "\
Examples:
  tickwire tap quote '*' --duration 10s --out quotes.capture
  tickwire replay-capture quotes.capture

  tickwire serve --feed replay:day.itch.gz --speed max --wait-clients 1 --stale-after 24h
  tickwire replay-capture quotes.capture --against http://127.0.0.1:8080

Gives the client all that a server sent it once, without a server: each update must follow the state before it, each checksum of
a book must agree, and at the end each state must have the number that it had when the capture was ended. Kept beside tests, a
capture shows when a change of the client makes something else of it.

With --against, a capture shows when a change of the server does. Its requests are sent to a server that serves the same
recording with the same settings, each when all that came before it in the capture has come; and what comes is compared:
  answers   in their order, with all that they say: symbols and exponents, and the codes of errors, but not their words
  states    at each seq that both sides have, field by field; books level by level; n, where both come from the same state.
            Times may be later than then, but all by one span
  numbers   one that only one side has is a difference, unless the other one merged changes over it and says so, began anew
            by a snapshot or in another epoch, or announced a loss
  proofs    of both sides, as without a server
Epochs, numbers of topics and times of the server differ freely; so do how messages are cut and mixed, checksums, heartbeats, what
`system` says, and how the connection ends. What the server sends beyond the captured end is not looked at. --compress is how to
connect; who let the client in by a token then wants one again. Two things are of the day and not of a recording: `status` tells how
long a feed is silent, which --stale-after 24h, then and now, keeps out; and bars of a simulated market are cut by today's clock.

Exit code: 0 when all that is there is so; 1 when something is not, when a capture of one's own has no end, because it was broken off, and
for what is no capture, with the line. With --against: 0 when all is the same, 1 when something differs, 2 when it cannot be told,
because there is no server, it is gone before all has come, the capture is none or has no end, or nothing is in common.")]
pub(super) struct Args {
    /// What `tickwire tap --out` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Compare it with what this server sends now: its URL, as `serve` prints it
    #[arg(long, value_name = "URL")]
    against: Option<String>,
    /// Negotiate permessage-deflate
    #[arg(long, requires = "against")]
    compress: bool,
    /// Print one JSON object
    #[arg(long, requires = "against")]
    json: bool,
    #[command(flatten)]
    presented: Presented,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.against {
        None => check(args),
        Some(url) => compare(args, url).or_else(|error| {
            eprintln!("tickwire: {}", super::explain(&error));
            Ok(ExitCode::from(CANNOT_TELL))
        }),
    }
}

fn check(args: &Args) -> anyhow::Result<ExitCode> {
    let checked = client::check_capture(open(args)?).map_err(|error| about(args, &error))?;
    print(told(&checked).as_bytes())?;
    let is_right = checked.faults_total == 0 && checked.is_whole();
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(args: &Args, url: &str) -> anyhow::Result<ExitCode> {
    let url = read_url(url)?;
    let settings = ClientSettings {
        token: args.presented.token(&url)?,
        compress: args.compress,
        ..ClientSettings::default()
    };
    let input = open(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let compared = runtime.block_on(client::compare_capture(input, &url, settings));
    let compared = compared.map_err(|error| match error {
        AgainstError::Capture(error) => about(args, &error),
        AgainstError::Client(error) => anyhow!("{error}"),
    })?;
    let text = if args.json {
        serde_json::to_string(&compared).context("what was found cannot be shown")? + "\n"
    } else {
        compared::told(&compared)
    };
    print(text.as_bytes())?;
    Ok(match compared.verdict {
        Verdict::Equal => ExitCode::SUCCESS,
        Verdict::Differs => ExitCode::FAILURE,
        Verdict::CannotTell => ExitCode::from(CANNOT_TELL),
    })
}

fn open(args: &Args) -> anyhow::Result<BufReader<File>> {
    let file = File::open(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    Ok(BufReader::new(file))
}

fn about(args: &Args, error: &client::CaptureError) -> anyhow::Error {
    anyhow!("{}: {}", args.file.display(), printable(&error.to_string(), usize::MAX))
}

fn told(checked: &Checked) -> String {
    let Checked { url, frames, stats, topics: (followed, known), faults, faults_total, .. } = checked;
    let url = printable(url, usize::MAX);
    let mut text = format!(
        "captured at   {url}\nframes        {frames}\nmessages      {}: {} snapshots, {} updates\n\
         checksums     {} agree\nannounced     {} lost\ntopics        {followed}, {known} of them known\n",
        stats.messages, stats.snapshots, stats.updates, stats.checksums_ok, stats.lost
    );
    let end = match checked {
        Checked { has_end: true, .. } => "",
        Checked { is_of_another: true, .. } => {
            "end           none: it is of another's connection, and its states are compared with nothing\n"
        }
        _ => "end           none: it was broken off, and its states are compared with nothing\n",
    };
    text.push_str(end);
    for fault in faults {
        text.push_str(&format!("fault         {}\n", printable(fault, usize::MAX)));
    }
    if *faults_total > faults.len() {
        text.push_str(&format!("              and {} more\n", faults_total - faults.len()));
    }
    text.push_str(match (*faults_total, checked.is_whole()) {
        (0, true) if checked.is_of_another && stats.snapshots == 0 => {
            "nothing of it could be proven: no topic began after the capture did\n"
        }
        (0, true) => "all of it is right\n",
        (0, false) => "what there is of it is right, but it is not whole: capture it again\n",
        _ => "it is not right\n",
    });
    text
}
