//! `tickwire watch`.

mod line;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

use super::presented::{self, Presented};
use super::target::Target;
use crate::client::{Client, ClientSettings, Event, Token};
use crate::topic::Channel;
use crate::wire::{ServerMessage, Symbols, decode};

/// Flags of `watch`.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "tickwire watch [OPTIONS] [URL] <CHANNEL> <SYMBOL>…",
    after_help = "\
Examples:
  tickwire watch quote AAPL MSFT
  tickwire watch http://127.0.0.1:8080 book.25 BTC-USD --count 1
  tickwire watch trade '*' --json | jq -c '[.symbol, .price]'
  tickwire watch --token-file token https://ticks.example.com quote '*'

Channels: quote, trade, book (book.10, book.25, book.100), ticker, bar (bar.1s, bar.1m, bar.5m, bar.1h, bar.1d), status.

Every state is proven by its number and, for books, its checksum before it is shown; one that is not right is fetched anew,
which standard error says, like lost and new connections. Of several changes in one message the newest state is shown,
with --json each change.

Exit code: 0 after --count lines, on Ctrl-C, and when nobody reads the output any more; 1 when there is no server, or it
does not have a symbol."
)]
pub(super) struct Args {
    /// What to follow, and of which symbols (`*`: all); before them the server's URL as `serve` prints it, if it is not
    /// ws://127.0.0.1:8080/v1/ws
    #[arg(required = true, num_args = 2.., value_names = ["CHANNEL", "SYMBOL"])]
    target: Vec<String>,
    #[command(flatten)]
    presented: Presented,
    /// Print the server's objects (snapshot, update, gap) as they are, one a line
    #[arg(long)]
    json: bool,
    /// Stop after so many lines; the states at the beginning count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Target { url, channel, symbols } = Target::read(&args.target)?;
    let token = args.presented.token(&url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut printer = Printer { json: args.json, left: args.count, frames: 0 };
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = watch(url, token, channel, symbols, &mut printer) => result?,
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn watch(
    url: String,
    token: Option<Token>,
    channel: Channel,
    symbols: Symbols,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    // The error's own text names the cause: shown as a chain it would be there twice.
    let connected = Client::connect(url, ClientSettings { token, ..ClientSettings::default() }).await;
    let mut client = connected.map_err(|error| anyhow!("{error}"))?;
    if printer.json {
        client.keep_messages();
    }
    client.subscribe(channel, symbols);
    loop {
        let event = client.next().await?;
        match &event {
            Event::Subscribed { rejected, .. } if !rejected.is_empty() => {
                let names: Vec<String> =
                    rejected.iter().map(|(name, code)| format!("{name}: {code}")).collect();
                bail!("{}", names.join(", "));
            }
            Event::Failed { code, message, .. } => {
                return Err(presented::explain(&format!("{code}: {message}")));
            }
            Event::TokenExpiring(at) => eprintln!("the token is over at {at}"),
            Event::TokenRenewed => eprintln!("another token was taken"),
            Event::Entitled { delayed, removed } => {
                let late = if *delayed { "late" } else { "at once" };
                eprintln!(
                    "what may be seen has changed: it comes {late}, and without {} of the topics",
                    removed.len()
                );
            }
            Event::Gap { channel, symbol, lost } => eprintln!("{channel} of {symbol}: {lost} messages lost"),
            Event::Diverged { channel, symbol, divergence } => {
                eprintln!("{channel} of {symbol}: {divergence}; asking anew");
            }
            Event::Disconnected(why) => eprintln!("{why}; connecting anew"),
            Event::Reconnected => eprintln!("connected again"),
            Event::Epoch(epoch) => eprintln!("the stream begins anew, epoch {epoch}"),
            Event::State(_) | Event::Trade(..) | Event::Subscribed { .. } | Event::Heartbeat { .. } => {}
        }
        match printer.print(&event, &client) {
            Ok(Printed::More) => {}
            Ok(Printed::Enough) => return Ok(()),
            // Whoever read has seen enough, as `head` does.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(error).context("cannot write to standard output"),
        }
    }
}

struct Printer {
    json: bool,
    /// Lines still to be printed, if they are limited.
    left: Option<u64>,
    /// Messages of the server that were printed already.
    frames: u64,
}

enum Printed {
    More,
    Enough,
}

impl Printer {
    fn print(&mut self, event: &Event, client: &Client) -> io::Result<Printed> {
        let mut out = io::stdout().lock();
        if !self.json {
            return match line::of(event, client) {
                Some(line) => self.line(&mut out, &line),
                None => Ok(Printed::More),
            };
        }
        let Some(message) = client.message().filter(|_| client.stats().frames > self.frames) else {
            return Ok(Printed::More);
        };
        self.frames = client.stats().frames;
        for object in data_objects(message)? {
            if let Printed::Enough = self.line(&mut out, object)? {
                return Ok(Printed::Enough);
            }
        }
        Ok(Printed::More)
    }

    fn line(&mut self, out: &mut impl Write, line: &str) -> io::Result<Printed> {
        writeln!(out, "{line}")?;
        out.flush()?;
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                return Ok(Printed::Enough);
            }
        }
        Ok(Printed::More)
    }
}

/// The objects of a message that are about a topic, as they were received.
fn data_objects(message: &str) -> io::Result<Vec<&str>> {
    let invalid = |error: &dyn std::error::Error| io::Error::new(ErrorKind::InvalidData, error.to_string());
    let raw: Vec<&RawValue> = serde_json::from_str(message).map_err(|error| invalid(&error))?;
    let decoded = decode::decode(message).map_err(|error| invalid(&error))?;
    let is_data = |message: &ServerMessage<'_>| match message {
        ServerMessage::Quote(..)
        | ServerMessage::Trade(..)
        | ServerMessage::Book(..)
        | ServerMessage::Ticker(..)
        | ServerMessage::Bar(..)
        | ServerMessage::Status(..)
        | ServerMessage::Gap(_) => true,
        ServerMessage::Heartbeat(_)
        | ServerMessage::Shutdown { .. }
        | ServerMessage::TokenExpiring { .. }
        | ServerMessage::Entitlement { .. }
        | ServerMessage::Ack(_)
        | ServerMessage::Error(_)
        | ServerMessage::Unknown => false,
    };
    let data = raw.iter().zip(&decoded).filter(|(_, message)| is_data(message));
    Ok(data.map(|(raw, _)| raw.get()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_printed_as_they_were_received() {
        let update = r#"{"channel":"quote", "type":"update","symbol":"A","seq":2,"prev_seq":1,"ts_event":5,"x":[1,{}],"bid":"1.0"}"#;
        let gap = r#"{"channel":"trade","type":"gap","symbol":"A","from":3,"to":4,"seq":4,"prev_seq":2,"ts_event":5}"#;
        let heartbeat = r#"{"channel":"heartbeat","ts":1,"lag_us":0,"laggard":false}"#;
        let ack = r#"{"method":"ping","success":true,"result":{"ts":1}}"#;
        let message = format!("[{ack}, {update},{heartbeat} ,{gap}]");
        assert_eq!(data_objects(&message).unwrap(), [update, gap]);
        assert!(data_objects("[{]").is_err());
    }
}
