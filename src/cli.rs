//! The commands. Each parses what was typed, builds what is used, and prints errors that say what to do next.

mod check_config;
mod completions;
mod dev_cert;
mod export;
mod flags;
mod inspect;
mod lint;
mod load;
mod logging;
mod man;
mod presented;
mod progress;
mod record;
mod replay_capture;
mod serve;
mod tap;
mod target;
mod token;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// A live market-data ticker: feeds in, provable state out, to any number of WebSocket clients.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a feed to clients; without arguments a simulated market and its page on 127.0.0.1:8080
    Serve(serve::Args),
    /// Write a feed to files, exactly as it was received
    Record(record::Args),
    /// Read recordings whole, and say what is in them and whether it is right
    Inspect(inspect::Args),
    /// Write a recording or a simulated market to CSV, DBN or Parquet
    Export(export::Args),
    /// Follow symbols of a server in the terminal
    Watch(watch::Args),
    /// Show all that goes over one's own connection, or, to administrators, over another's, and capture it
    Tap(tap::Args),
    /// Check a capture of `tap`, without a server or against one
    ReplayCapture(replay_capture::Args),
    /// Load a server with many clients that verify what they get
    Load(load::Args),
    /// Look whether a WebSocket endpoint keeps to good practice, and explain what does not
    Lint(lint::Args),
    /// Make a certificate for https and wss on one's own machine
    DevCert(dev_cert::Args),
    /// Make and read the tokens and API keys by which clients are let in
    Token(token::Args),
    /// Show the settings that `serve` would run with, and check them and the files that they name
    CheckConfig(serve::Args),
    /// Print what a shell needs to complete commands and flags
    Completions(completions::Args),
    /// Print the manual page of tickwire, or of one of its commands
    Man(man::Args),
}

/// Runs the command line. 0: done; 1: it failed; 2: it was not understood.
#[must_use]
pub fn run() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Serve(serve::Args::default()));
    let result = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Tap(args) => tap::run(&args),
        Command::ReplayCapture(args) => replay_capture::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Lint(args) => lint::run(&args),
        Command::DevCert(args) => dev_cert::run(&args),
        Command::Token(args) => token::run(&args),
        Command::CheckConfig(args) => check_config::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tickwire: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and what caused it. Causes that a message before them has told already are left out.
fn explain(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |told, cause| {
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}
