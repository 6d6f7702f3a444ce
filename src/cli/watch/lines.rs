//! States and trades as lines, or as the server's objects.

use std::io::{self, ErrorKind, Write};

use anyhow::{Context, anyhow, bail};
use serde_json::value::RawValue;
use tokio::signal::unix::{SignalKind, signal};

use super::line;
use crate::cli::presented;
use crate::cli::target::Target;
use crate::client::{Client, ClientSettings, Event};
use crate::wire::{ServerMessage, decode};

/// Prints until there were enough, nobody reads any more, or a signal comes.
pub(super) async fn run(
    target: Target,
    settings: ClientSettings,
    json: bool,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let mut printer = Printer { json, left: count, frames: 0 };
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = watch(target, settings, &mut printer) => result,
        result = tokio::signal::ctrl_c() => result.map_err(Into::into),
        _ = terminate.recv() => Ok(()),
    }
}

async fn watch(target: Target, settings: ClientSettings, printer: &mut Printer) -> anyhow::Result<()> {
    // The error's own text names the cause: shown as a chain it would be there twice.
    let connected = Client::connect(target.url, settings).await;
    let mut client = connected.map_err(|error| anyhow!("{error}"))?;
    if printer.json {
        client.keep_messages();
    }
    client.subscribe(target.channel, target.symbols);
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
            Event::State(_)
            | Event::Trade(..)
            | Event::Subscribed { .. }
            | Event::Heartbeat { .. }
            | Event::Pong { .. } => {}
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
