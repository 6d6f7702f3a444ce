//! Others' connections: who there is, and what goes over one of them.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use data_encoding::BASE64;
use feeds::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::super::man::print;
use super::super::presented::explain;
use super::super::target::read_url_alone;
use super::shown::Shown;
use super::{Args, create, stop_after};
use crate::client::{Administrator, Capture, Observed, RestError, Sender};
use crate::printable::printable;
use crate::wire::admin::{Connected, Dropped, FrameKind, Payload, Said, Side, TapFrame, TapHead, TapLine};
use crate::wire::{Encoding, Framing};
use crate::ws::frame::Opcode;

/// Characters of a subject that are shown.
const SUBJECT_CHARS_MAX: usize = 24;
const HEAD: &str = "      id  subject                   address          way  encoding         topics  queued B  conflated  since\n";

pub(super) fn run(args: &Args, duration: Option<Duration>) -> anyhow::Result<ExitCode> {
    let url = read_url_alone(&args.target)?;
    let administrator = Administrator::new(url.clone(), args.presented.token(&url)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.connection {
            None => list(&administrator).await,
            Some(id) => tap(args, &url, &administrator, id, duration).await,
        }
    })
}

fn told(error: &RestError) -> anyhow::Error {
    explain(&error.to_string())
}

async fn list(administrator: &Administrator) -> anyhow::Result<ExitCode> {
    let mut cursor = None;
    loop {
        let part = administrator.connections(cursor.as_deref()).await.map_err(|error| told(&error))?;
        if cursor.is_none() {
            print(HEAD.as_bytes())?;
        }
        let rows: String = part.connections.iter().map(row).collect();
        print(rows.as_bytes())?;
        // A server that did not go on would be asked for ever.
        ensure!(part.next.is_none() || part.next != cursor, "the server's list does not go on");
        cursor = part.next;
        if cursor.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn row(connected: &Connected) -> String {
    let subject = connected.subject.as_deref().unwrap_or("-");
    let way = match connected.transport {
        Framing::Frames => "ws",
        Framing::Events => "sse",
    };
    let encoding = encoding(connected);
    let conflated = format!("{}{}", connected.conflated, if connected.laggard { ", now" } else { "" });
    format!(
        "{:>8}  {:<24}  {:<15}  {way:<3}  {encoding:<15}  {:>6}  {:>8}  {conflated:>9}  {}\n",
        connected.id,
        printable(subject, SUBJECT_CHARS_MAX),
        connected.address,
        connected.topics,
        connected.queued_bytes,
        Timestamp(connected.opened_at.saturating_mul(1_000)),
    )
}

fn encoding(connected: &Connected) -> &'static str {
    match (connected.encoding, connected.compressed) {
        (Encoding::Json, false) => "json",
        (Encoding::Json, true) => "json, deflate",
        (Encoding::Binary, false) => "binary",
        (Encoding::Binary, true) => "binary, deflate",
    }
}

async fn tap(
    args: &Args,
    url: &str,
    administrator: &Administrator,
    id: u64,
    duration: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let payload = if args.redact { Payload::Redacted } else { Payload::Whole };
    let mut tapping = administrator.tap(id, payload).await.map_err(|error| told(&error))?;
    let mut another = Another { args, url, shown: Shown::new(false, args.whole), capture: None, frames: 0 };
    let mut stop = pin!(stop_after(duration));
    loop {
        let line = tokio::select! {
            line = tapping.next() => line.map_err(|error| told(&error))?,
            result = tokio::signal::ctrl_c() => { result?; break }
            _ = terminate.recv() => break,
            () = stop.as_mut() => break,
        };
        let taken = match line {
            Some(TapLine::Tap(head)) => another.begin(&head),
            Some(TapLine::Frame(frame)) => another.frame(&frame),
            Some(TapLine::Dropped(dropped)) => another.dropped(dropped),
            Some(TapLine::Ended(ended)) => {
                Err(anyhow!("the tap has ended: {}", printable(&ended.reason, usize::MAX)))
            }
            None => Err(anyhow!("the server has cut the tap off")),
        };
        if let Err(error) = taken {
            another.leave()?;
            return match error.downcast_ref::<io::Error>() {
                // Whoever read has seen enough, as `head` does.
                Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
                _ => Err(error),
            };
        }
        if args.count.is_some_and(|count| another.frames >= count) {
            break;
        }
    }
    another.leave()?;
    Ok(ExitCode::SUCCESS)
}

/// What becomes of what is seen of another's connection.
struct Another<'a> {
    args: &'a Args,
    url: &'a str,
    shown: Shown,
    capture: Option<Capture<BufWriter<File>>>,
    frames: u64,
}

impl Another<'_> {
    fn begin(&mut self, head: &TapHead) -> anyhow::Result<()> {
        let connected = &head.connection;
        eprintln!(
            "connection {} of {} at {}, {}, follows {} topics",
            connected.id,
            printable(connected.subject.as_deref().unwrap_or("nobody in particular"), SUBJECT_CHARS_MAX),
            connected.address,
            encoding(connected),
            connected.topics,
        );
        self.shown.know(&head.topics);
        if let Some(path) = &self.args.out {
            let capture = Capture::begin(create(path)?, self.url, connected.encoding, Some(connected.id));
            self.capture = Some(capture.context("cannot begin the capture")?);
        }
        Ok(())
    }

    fn frame(&mut self, frame: &TapFrame) -> anyhow::Result<()> {
        self.frames += 1;
        let payload = match &frame.said {
            Said::Payload(text) => BASE64.decode(text.as_bytes()).context("the payload of a frame")?,
            Said::Objects(_) => Vec::new(),
        };
        let observed = Observed {
            at: Timestamp(frame.at),
            sender: match frame.from {
                Side::Client => Sender::Client,
                Side::Server => Sender::Server,
            },
            opcode: match frame.opcode {
                FrameKind::Text => Opcode::Text,
                FrameKind::Binary => Opcode::Binary,
                FrameKind::Close => Opcode::Close,
                FrameKind::Ping => Opcode::Ping,
                FrameKind::Pong => Opcode::Pong,
            },
            wire_bytes: frame.wire_bytes,
            is_compressed: frame.compressed,
            payload: &payload,
        };
        let mut out = io::stdout().lock();
        match (&frame.said, &mut self.capture) {
            (Said::Objects(_), Some(_)) => bail!(
                "the connection is sent what you may not see, which cannot be captured: leave --out away to see the rest"
            ),
            (Said::Objects(objects), None) => {
                self.shown.print_objects(&observed, frame.bytes, objects, &mut out)?;
            }
            (Said::Payload(_), capture) => {
                if let Some(capture) = capture {
                    capture.add(&observed)?;
                }
                self.shown.print_of(&observed, frame.bytes, &mut out)?;
            }
        }
        Ok(())
    }

    fn dropped(&mut self, dropped: Dropped) -> anyhow::Result<()> {
        if let Some(capture) = &mut self.capture {
            capture.add_dropped(dropped)?;
        }
        let mut out = io::stdout().lock();
        writeln!(
            out,
            "… {} messages are missing here: they came faster than they were read",
            dropped.messages
        )?;
        out.flush()?;
        Ok(())
    }

    fn leave(&mut self) -> anyhow::Result<()> {
        self.capture.take().map_or(Ok(()), Capture::leave).context("cannot end the capture")
    }
}
