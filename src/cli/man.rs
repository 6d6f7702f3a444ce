//! `tickwire man`.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap_mangen::Man;

/// Flags of `man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickwire man | man -l -
  tickwire man token mint > tickwire-token-mint.1")]
pub(super) struct Args {
    /// Of which command, such as `serve` or `token mint`; else that of tickwire itself
    #[arg(value_name = "COMMAND")]
    path: Vec<String>,
}

pub(super) fn run(args: &Args, mut tickwire: clap::Command) -> anyhow::Result<ExitCode> {
    // Only then do commands know what they are called with those before them.
    tickwire.build();
    let mut command = &tickwire;
    for name in &args.path {
        match command.find_subcommand(name) {
            Some(found) => command = found,
            None => bail!("there is no command `{}`: `tickwire help` lists them", args.path.join(" ")),
        }
    }
    let mut page = Vec::new();
    let version = concat!("tickwire ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).source(version).manual("Tickwire").render(&mut page)?;
    print(&page)
}

/// Writes all of it to standard output, unless nobody reads it to its end.
pub(super) fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}
