//! The limit: one thread that writes prepared bytes to sockets, and nothing else. What it costs is what the kernel
//! costs. A second thread accepts connections and hears requests; when nobody comes and nobody asks, it sleeps.

use std::io::ErrorKind;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::{Parser, ValueEnum};
use futures_util::StreamExt;
use socket2::SockRef;
use tickwire_peers::{Market, Options, SUBPROTOCOL, answer, listen, now_us, sleep_until_due};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// Commands that wait for the writer's next turn.
const COMMANDS_MAX: usize = 1024;
/// How long a command waits for a turn at most.
const HEARD_AFTER_US: u64 = 10_000;
/// What a client that does not read is held for it, in user space. Past that it is dropped.
const HELD_BYTES_MAX: usize = 4 << 20;
const READ_BUFFER_BYTES: usize = 2048;
/// A server's frame header: FIN and text, then the length in as few bytes as will do.
const HEADER_BYTES_MAX: usize = 10;
const TEXT_FRAME: u8 = 0x81;

/// Writes prepared bytes, and nothing else
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: Options,
    /// What is one write
    #[arg(long, value_enum, default_value_t = Mode::Update)]
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One update to one follower, in a frame that all followers share
    Update,
    /// All updates of a millisecond to one follower, in a frame of its own
    Tick,
}

/// What the writer is told; connections are numbered.
enum Command {
    Joined(usize, OwnedWriteHalf),
    Asked(usize, String),
    Left(usize),
}

fn main() -> anyhow::Result<()> {
    let Cli { options, mode } = Cli::parse();
    let (tell, told) = sync_channel(COMMANDS_MAX);
    let writer = Writer::new(Market::new(&options));
    std::thread::spawn(move || {
        if let Err(error) = accept(options.port, &tell) {
            eprintln!("error: {error:#}");
            std::process::exit(1);
        }
    });
    writer.run(mode, &told)
}

fn accept(port: u16, tell: &SyncSender<Command>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        let listener = listen(port)?;
        for connection in 0.. {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::spawn(hear(connection, socket, tell.clone()));
        }
        Ok(())
    })
}

/// Shakes hands, hands the socket's one half to the writer, and tells it what is heard on the other.
async fn hear(connection: usize, socket: TcpStream, tell: SyncSender<Command>) {
    match shake_hands(socket).await {
        Ok((heard, written)) => {
            // A writer that is gone has ended the process.
            let _told = tell.send(Command::Joined(connection, written));
            // Pongs and such, which the load harness does not ask for, go nowhere: only the writer writes.
            let socket = tokio::io::join(heard, tokio::io::sink());
            let mut socket =
                WebSocketStream::from_raw_socket(socket, Role::Server, Some(small_buffers())).await;
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    let _told = tell.send(Command::Asked(connection, text.as_str().to_owned()));
                }
            }
            let _told = tell.send(Command::Left(connection));
        }
        Err(error) => eprintln!("no handshake: {error}"),
    }
}

async fn shake_hands(socket: TcpStream) -> Result<(OwnedReadHalf, OwnedWriteHalf), Error> {
    #[expect(clippy::result_large_err, reason = "tungstenite's signature")]
    let subprotocol = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    };
    let socket = accept_hdr_async_with_config(socket, subprotocol, Some(small_buffers())).await?;
    Ok(socket.into_inner().into_split())
}

fn small_buffers() -> WebSocketConfig {
    WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES)
}

/// The thread that writes.
struct Writer {
    market: Market,
    /// Of each quote, who follows it.
    followers: Vec<Vec<usize>>,
    members: Vec<Option<Member>>,
    /// Who has bytes that its socket refused.
    refused: Vec<usize>,
    counts: Counts,
}

struct Member {
    socket: OwnedWriteHalf,
    /// What the socket refused.
    held: Vec<u8>,
    /// What this turn has for it, as places in the turn's updates.
    pending: Vec<Range<usize>>,
}

#[derive(Default)]
struct Counts {
    members: usize,
    writes: u64,
    refused: u64,
    held_bytes_max: usize,
}

impl Writer {
    fn new(market: Market) -> Self {
        let followers = market.quotes.iter().map(|_| Vec::new()).collect();
        Self { market, followers, members: Vec::new(), refused: Vec::new(), counts: Counts::default() }
    }

    fn run(mut self, mode: Mode, told: &Receiver<Command>) -> ! {
        loop {
            let turn = now_us();
            while let Ok(command) = told.try_recv() {
                self.obey(command);
            }
            self.write_what_was_refused();
            match mode {
                Mode::Update => self.write_updates(turn),
                Mode::Tick => self.write_tick(turn),
            }
            sleep_until_due(self.market.due_us().min(turn + HEARD_AFTER_US), turn);
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Joined(connection, socket) => {
                self.members.resize_with(self.members.len().max(connection + 1), || None);
                self.members[connection] = Some(Member { socket, held: Vec::new(), pending: Vec::new() });
                self.counts.members += 1;
            }
            Command::Asked(connection, text) => match answer(&self.market, &text) {
                Ok(answer) => {
                    for message in answer.messages {
                        let mut frame = vec![0; HEADER_BYTES_MAX];
                        frame.extend_from_slice(message.as_bytes());
                        self.write(connection, framed(&mut frame));
                    }
                    for quote in answer.follow {
                        self.followers[quote].push(connection);
                    }
                }
                Err(error) => eprintln!("not a request: {error}"),
            },
            Command::Left(connection) => self.drop_member(connection),
        }
    }

    fn write_updates(&mut self, turn: u64) {
        let mut frame = Vec::new();
        while let Some(quote) = self.market.advance(turn) {
            if self.followers[quote].is_empty() {
                continue;
            }
            frame.clear();
            frame.extend_from_slice(&[0; HEADER_BYTES_MAX]);
            frame.push(b'[');
            self.market.quotes[quote].write_update(&mut frame);
            frame.push(b']');
            let frame = framed(&mut frame);
            let followers = std::mem::take(&mut self.followers[quote]);
            for &connection in &followers {
                self.write(connection, frame);
            }
            self.followers[quote] = followers;
        }
    }

    fn write_tick(&mut self, turn: u64) {
        // Each update with a comma after it.
        let mut updates = Vec::new();
        let mut touched = Vec::new();
        while let Some(quote) = self.market.advance(turn) {
            if self.followers[quote].is_empty() {
                continue;
            }
            let from = updates.len();
            self.market.quotes[quote].write_update(&mut updates);
            updates.push(b',');
            for &connection in &self.followers[quote] {
                if let Some(member) = &mut self.members[connection] {
                    if member.pending.is_empty() {
                        touched.push(connection);
                    }
                    member.pending.push(from..updates.len());
                }
            }
        }
        let mut frame = Vec::new();
        for connection in touched {
            frame.clear();
            frame.extend_from_slice(&[0; HEADER_BYTES_MAX]);
            frame.push(b'[');
            if let Some(member) = &mut self.members[connection] {
                for update in member.pending.drain(..) {
                    frame.extend_from_slice(&updates[update]);
                }
            }
            frame.pop();
            frame.push(b']');
            self.write(connection, framed(&mut frame));
        }
    }

    /// One write. What the socket does not take is held for it, so that no frame is cut.
    fn write(&mut self, connection: usize, bytes: &[u8]) {
        let Some(member) = &mut self.members[connection] else { return };
        self.counts.writes += 1;
        if member.held.is_empty() {
            match send(&member.socket, bytes) {
                Ok(sent) if sent == bytes.len() => return,
                Ok(sent) => {
                    self.counts.refused += 1;
                    self.refused.push(connection);
                    member.held.extend_from_slice(&bytes[sent..]);
                }
                Err(_) => return self.drop_member(connection),
            }
        } else {
            member.held.extend_from_slice(bytes);
        }
        self.counts.held_bytes_max = self.counts.held_bytes_max.max(member.held.len());
        if member.held.len() > HELD_BYTES_MAX {
            eprintln!("a client is dropped: it does not read");
            self.drop_member(connection);
        }
    }

    fn write_what_was_refused(&mut self) {
        for connection in std::mem::take(&mut self.refused) {
            let Some(member) = &mut self.members[connection] else { continue };
            match send(&member.socket, &member.held) {
                Ok(sent) if sent == member.held.len() => member.held.clear(),
                Ok(sent) => {
                    member.held.drain(..sent);
                    self.refused.push(connection);
                }
                Err(_) => self.drop_member(connection),
            }
        }
    }

    fn drop_member(&mut self, connection: usize) {
        if self.members[connection].take().is_none() {
            return;
        }
        for followers in &mut self.followers {
            followers.retain(|&follower| follower != connection);
        }
        self.counts.members -= 1;
        if self.counts.members == 0 {
            let Counts { writes, refused, held_bytes_max, .. } = std::mem::take(&mut self.counts);
            eprintln!(
                "all clients left: {writes} writes, {refused} refused, at most {held_bytes_max} bytes held for one"
            );
        }
    }
}

/// How much of it the socket took; nothing if it is full.
fn send(socket: &OwnedWriteHalf, bytes: &[u8]) -> std::io::Result<usize> {
    match SockRef::from(socket.as_ref()).send(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// Puts the header before a payload that has left room for it.
fn framed(frame: &mut [u8]) -> &[u8] {
    let length = (frame.len() - HEADER_BYTES_MAX) as u64;
    let bytes = length.to_be_bytes();
    let (marker, bytes) = match length {
        ..126 => (None, &bytes[7..]),
        126..=0xffff => (Some(126), &bytes[6..]),
        _ => (Some(127), &bytes[..]),
    };
    let mut from = HEADER_BYTES_MAX - bytes.len();
    frame[from..HEADER_BYTES_MAX].copy_from_slice(bytes);
    for byte in marker.into_iter().chain([TEXT_FRAME]) {
        from -= 1;
        frame[from] = byte;
    }
    &frame[from..]
}
