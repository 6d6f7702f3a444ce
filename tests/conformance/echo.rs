//! A WebSocket echo server made of the same `ws` layer as the service, which the conformance suites talk to: it sends
//! each message back, compressed where that was agreed, and closes as the service does.
//!
//! `cargo run --release --features conformance --bin ws-echo -- ADDRESS`

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use tickwire::limits::HTTP_BUFFER_BYTES_MAX;
use tickwire::ws::decode::{Decoder, Event, Role};
use tickwire::ws::deflate::{Deflater, Inflater};
use tickwire::ws::frame::{self, Header, Opcode};
use tickwire::ws::handshake::{self, Accepted};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// The largest message of the suites is of 16 MiB.
const MESSAGE_BYTES_MAX: u32 = 16 * 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// How long a client may go on sending behind the close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else {
        eprintln!("usage: ws-echo ADDRESS");
        return ExitCode::from(64);
    };
    match serve(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    eprintln!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that breaks off is nothing to report.
            let _ = echo(stream).await;
        });
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some((accepted, mut already_read)) = open(&mut stream).await? else { return Ok(()) };
    let mut echo = Echo::new(&accepted);
    let mut bytes = vec![0; READ_BYTES];
    let mut out = Vec::new();
    let mut is_open = echo.take(&mut already_read, &mut out);
    loop {
        stream.write_all(&out).await?;
        out.clear();
        if !is_open {
            break;
        }
        let count = stream.read(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        is_open = echo.take(&mut bytes[..count], &mut out);
    }
    stream.shutdown().await?;
    // Closing a socket with unread input would send a reset, which can overtake the close frame.
    let _ =
        timeout(CLOSE_WAIT, async { while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {} })
            .await;
    Ok(())
}

/// Reads the handshake and answers it; `None`: it is refused.
async fn open(stream: &mut TcpStream) -> io::Result<Option<(Accepted, Vec<u8>)>> {
    let mut head = Vec::new();
    let end = loop {
        if let Some(at) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break at;
        }
        if head.len() > HTTP_BUFFER_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    };
    let behind = head.split_off(end + 4);
    let accepted = read_head(&String::from_utf8_lossy(&head[..end])).ok_or("malformed".to_owned()).and_then(
        |(method, headers)| {
            handshake::accept(&method, &headers, &[], true).map_err(|error| error.to_string())
        },
    );
    match accepted {
        Ok(accepted) => {
            let mut answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {}\r\n",
                accepted.accept
            );
            if let Some(deflate) = accepted.deflate {
                answer += &format!("Sec-WebSocket-Extensions: {}\r\n", deflate.to_header());
            }
            stream.write_all((answer + "\r\n").as_bytes()).await?;
            Ok(Some((accepted, behind)))
        }
        Err(error) => {
            let answer = format!("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{error}\n");
            stream.write_all(answer.as_bytes()).await?;
            Ok(None)
        }
    }
}

fn read_head(head: &str) -> Option<(Method, HeaderMap)> {
    let mut lines = head.split("\r\n");
    let method = lines.next()?.split(' ').next()?.parse().ok()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some((method, headers))
}

struct Echo {
    decoder: Decoder,
    inflater: Inflater,
    inflated: Vec<u8>,
    /// And whether each message stands for itself.
    deflater: Option<(Deflater, bool)>,
}

impl Echo {
    fn new(accepted: &Accepted) -> Self {
        let deflater = accepted.deflate.map(|deflate| {
            (Deflater::new(deflate.server_max_window_bits), deflate.server_no_context_takeover)
        });
        Self {
            decoder: Decoder::new(Role::Server, deflater.is_some(), MESSAGE_BYTES_MAX),
            inflater: Inflater::without_context(),
            inflated: Vec::new(),
            deflater,
        }
    }

    /// Appends the answers to what has come; `false`: the last of them is a close frame.
    fn take(&mut self, mut input: &mut [u8], out: &mut Vec<u8>) -> bool {
        loop {
            match self.decoder.next(&mut input, &mut self.inflater, &mut self.inflated) {
                Ok(None) => return true,
                Ok(Some(Event::Text(text))) => answer(&mut self.deflater, Opcode::Text, text.as_bytes(), out),
                Ok(Some(Event::Binary(bytes))) => answer(&mut self.deflater, Opcode::Binary, bytes, out),
                Ok(Some(Event::Ping(payload))) => out.extend(frame::pong(payload)),
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(close))) => {
                    out.extend(frame::close_answer(close.map(|(code, _)| code)));
                    return false;
                }
                Err(error) => {
                    out.extend(frame::close(error.close_code(), &error.to_string()));
                    return false;
                }
            }
        }
    }
}

fn answer(deflater: &mut Option<(Deflater, bool)>, opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    match deflater {
        None => {
            out.extend_from_slice(Header::new(opcode, false, payload.len()).as_bytes());
            out.extend_from_slice(payload);
        }
        Some((deflater, stands_for_itself)) => {
            if *stands_for_itself {
                deflater.restart();
            }
            let mut compressed = Vec::new();
            deflater.compress(payload, &mut compressed);
            out.extend_from_slice(Header::new(opcode, true, compressed.len()).as_bytes());
            out.extend_from_slice(&compressed);
        }
    }
}
