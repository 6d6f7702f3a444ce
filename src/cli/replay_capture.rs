//! `tickwire replay-capture`.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow};

use super::man::print;
use crate::client::{self, Checked};
use crate::printable::printable;

/// Flags of `replay-capture`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire tap quote '*' --duration 10s --out quotes.capture
  tickwire replay-capture quotes.capture

Gives the client all that a server sent it once, without a server: each update must follow the state before it, each checksum of
a book must agree, and at the end each state must have the number that it had when the capture was ended. Kept beside tests, a
capture shows when a change of the client makes something else of it.

A capture that was broken off has no end to be compared with: that is said, and is no failure.

Exit code: 0 when all that is there is so; 1 when something is not, and for what is no capture, with the line.")]
pub(super) struct Args {
    /// What `tickwire tap --out` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.file.display();
    let file = File::open(&args.file).with_context(|| format!("cannot read {path}"))?;
    let checked = client::check_capture(BufReader::new(file))
        .map_err(|error| anyhow!("{path}: {}", printable(&error.to_string(), usize::MAX)))?;
    print(told(&checked).as_bytes())?;
    Ok(if checked.faults_total == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(checked: &Checked) -> String {
    let Checked { url, frames, stats, topics: (followed, known), has_end, faults, faults_total } = checked;
    let url = printable(url, usize::MAX);
    let mut text = format!(
        "captured at   {url}\nframes        {frames}\nmessages      {}: {} snapshots, {} updates\n\
         checksums     {} agree\nannounced     {} lost\ntopics        {followed}, {known} of them known\n",
        stats.messages, stats.snapshots, stats.updates, stats.checksums_ok, stats.lost
    );
    if !has_end {
        text.push_str("end           none: it was broken off, and its states are compared with nothing\n");
    }
    for fault in faults {
        text.push_str(&format!("fault         {}\n", printable(fault, usize::MAX)));
    }
    if *faults_total > faults.len() {
        text.push_str(&format!("              and {} more\n", faults_total - faults.len()));
    }
    text.push_str(match (*faults_total, has_end) {
        (0, true) => "all of it is right\n",
        (0, false) => "what there is of it is right\n",
        _ => "it is not right\n",
    });
    text
}
