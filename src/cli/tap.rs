//! `tickwire tap`.

mod others;
mod shown;

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::presented::{self, Presented};
use super::target::{Target, parse_encoding};
use crate::client::{Capture, Client, ClientSettings, Disconnect, Event};
use crate::config;
use crate::wire::Encoding;

use shown::Shown;

/// Flags of `tap`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "tickwire tap [OPTIONS] [URL] <CHANNEL> <SYMBOL>…
       tickwire tap [OPTIONS] [URL] --connections
       tickwire tap [OPTIONS] [URL] --connection <ID>",
    after_help = "\
Examples:
  tickwire tap quote SYM00001
  tickwire tap book '*' --encoding binary --compress --count 100
  tickwire tap quote '*' --duration 10s --out quotes.capture
  tickwire tap --token-file token --redact https://ticks.example.com quote '*'
  tickwire tap --token-file admin-token https://ticks.example.com --connections
  tickwire tap --token-file admin-token https://ticks.example.com --connection 17 --redact

Shows all that goes over this connection, behind its handshake: when, in which direction (→ ours, ← the server's), what it is, its
bytes, those on the wire, z where it was compressed, and what it says. A long message is cut; --whole shows all of it. Records of
binary messages stand one a line, as differences to the state before, in units of the instrument's exponents.

--out writes a capture, described in src/client/capture/format.md, which `tickwire replay-capture` checks. It has all that was
sent: who may not see the prices may not have the file, which nobody but its owner can read. A token is never in it. A capture
that was stopped, or whose connection the server closed, has an end, which tells what the client knew; one that was broken off
has none.

--connections lists who is connected to the server, and --connection shows what goes over one of these connections from then on:
→ its client's, ← the server's. Both are for who has a role or token with `admin = true`, at the server, or gateway, where the
connection is. Prices and sizes are shown as far as that role or token shows them itself, and with --redact none; the tokens that
the client presents never are. The client notices nothing; the server's log says who looks at whom. When messages come faster
than they are read, those that find no room are left out, and it is said how many. The capture of another's connection begins in
its middle: `replay-capture` proves what it has begun to follow since.

Without these, it is the client of `watch` that is tapped: it proves each state, and asks anew for what is not right. It does not
come back: the end of the connection is the end.

Exit code: 0 after --count, --duration, on Ctrl-C, and when nobody reads the output any more; 1 when there is no connection, or it
ends."
)]
pub(super) struct Args {
    /// What to follow, and of which symbols (`*`: all); before them the server's URL as `serve` prints it, if it is not
    /// ws://127.0.0.1:8080/v1/ws
    #[arg(
        required_unless_present_any = ["connections", "connection"],
        num_args = 1..,
        value_names = ["CHANNEL", "SYMBOL"]
    )]
    target: Vec<String>,
    /// List the connections of the server, for its administrators
    #[arg(
        long,
        conflicts_with_all = ["connection", "encoding", "compress", "redact", "whole", "out", "count", "duration"]
    )]
    connections: bool,
    /// Show what goes over the connection of this number in place of our own, for administrators
    #[arg(long, value_name = "ID", conflicts_with_all = ["encoding", "compress"])]
    connection: Option<u64>,
    #[command(flatten)]
    presented: Presented,
    /// json or binary
    #[arg(long, value_name = "ENCODING", default_value = "json", value_parser = parse_encoding)]
    encoding: Encoding,
    /// Negotiate permessage-deflate
    #[arg(long)]
    compress: bool,
    /// Hide what is said: only of what kind the messages are; of another's connection, of which topics too
    #[arg(long, conflicts_with_all = ["out", "whole"])]
    redact: bool,
    /// Show long messages as a whole
    #[arg(long)]
    whole: bool,
    /// Write a capture to this file, which is not there yet, too
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Stop after so many messages and control frames, or a few more
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Stop after that time, such as 10s
    #[arg(long, value_name = "TIME")]
    duration: Option<String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let duration = args.duration.as_deref().map(|text| config::duration("duration", text)).transpose()?;
    if args.connections || args.connection.is_some() {
        return others::run(args, duration);
    }
    let target = Target::read(&args.target)?;
    let settings = ClientSettings {
        token: args.presented.token(&target.url)?,
        encoding: args.encoding,
        compress: args.compress,
        ..ClientSettings::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tap(args, target, settings, duration))
}

async fn tap(
    args: &Args,
    target: Target,
    settings: ClientSettings,
    duration: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let url = target.url.clone();
    // The error's own text names the cause: shown as a chain it would be there twice.
    let mut client = Client::connect(target.url, settings).await.map_err(|error| anyhow!("{error}"))?;
    let mut tapped =
        Tapped { shown: Shown::new(args.redact, args.whole), capture: None, frames: 0, failure: None };
    if let Some(path) = &args.out {
        tapped.capture = Some(Capture::begin(create(path)?, &url, args.encoding, None)?);
    }
    // It is shown to by the client, and looked at here between two events.
    let tapped = Arc::new(Mutex::new(tapped));
    let shared = Arc::clone(&tapped);
    client.tap(Box::new(move |observed| {
        shared.lock().unwrap_or_else(PoisonError::into_inner).take(observed);
    }));
    client.subscribe(target.channel, target.symbols);
    let mut stop = pin!(stop_after(duration));
    let ended = loop {
        tokio::select! {
            event = client.next() => if let Some(ended) = look(&event?) { break Some(ended) },
            result = tokio::signal::ctrl_c() => { result?; break None }
            _ = terminate.recv() => break None,
            () = stop.as_mut() => break None,
        }
        let mut tapped = tapped.lock().unwrap_or_else(PoisonError::into_inner);
        match tapped.failure.take() {
            None => {}
            // Whoever read has seen enough, as `head` does.
            Some(error) if error.kind() == ErrorKind::BrokenPipe => break None,
            Some(error) => return Err(error).context("cannot write what is seen"),
        }
        if args.count.is_some_and(|count| tapped.frames >= count) {
            break None;
        }
    };
    let capture = tapped.lock().unwrap_or_else(PoisonError::into_inner).capture.take();
    if let Some(capture) = capture.filter(|_| ended.as_ref().is_none_or(|ended| ended.is_whole)) {
        capture.end(&client).context("cannot end the capture")?;
    }
    ended.map_or(Ok(ExitCode::SUCCESS), |ended| Err(ended.why))
}

/// An end that was not asked for.
struct Ended {
    why: anyhow::Error,
    /// Whether nothing that the server sent is missing before it.
    is_whole: bool,
}

/// A file that is not there yet, for its owner alone.
fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path);
    file.map(BufWriter::new).with_context(|| format!("cannot write {}", path.display()))
}

/// Waits for that long; for ever without it.
async fn stop_after(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// What is an end, and what is to be known beside the frames.
fn look(event: &Event) -> Option<Ended> {
    match event {
        Event::Subscribed { rejected, .. } if !rejected.is_empty() => {
            let names: Vec<String> = rejected.iter().map(|(name, code)| format!("{name}: {code}")).collect();
            Some(Ended { why: anyhow!("{}", names.join(", ")), is_whole: true })
        }
        Event::Failed { code, message, .. } => {
            Some(Ended { why: presented::explain(&format!("{code}: {message}")), is_whole: true })
        }
        Event::Disconnected(why) => {
            Some(Ended { why: anyhow!("{why}"), is_whole: matches!(why, Disconnect::Closed(..)) })
        }
        Event::Diverged { channel, symbol, divergence } => {
            eprintln!("{channel} of {symbol}: {divergence}; asking anew");
            None
        }
        _ => None,
    }
}

/// What becomes of what is seen.
struct Tapped {
    shown: Shown,
    capture: Option<Capture<BufWriter<File>>>,
    frames: u64,
    /// The first that went wrong; nothing is written after it.
    failure: Option<io::Error>,
}

impl Tapped {
    fn take(&mut self, observed: &crate::client::Observed<'_>) {
        self.frames += 1;
        if self.failure.is_some() {
            return;
        }
        let captured = self.capture.as_mut().map_or(Ok(()), |capture| capture.add(observed));
        self.failure = captured.and_then(|()| self.shown.print(observed, &mut io::stdout().lock())).err();
    }
}
