//! WebSocket frames by hand, for what no library would send.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use super::http::{self, Response};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
pub(crate) const FIN: u8 = 0x80;

/// The handshake of RFC 6455 section 1.3.
pub(crate) const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nHost: tickwire\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame of a client: its first byte (FIN and opcode) and its payload, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => frame.push(0x80 | len),
        (_, Ok(len)) => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A whole text message in one frame.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(FIN | TEXT, payload.as_bytes())
}

/// A frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// FIN and opcode.
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.first, FIN | TEXT, "{self:?}");
        std::str::from_utf8(&self.payload).expect("UTF-8")
    }

    /// The code of a close frame.
    pub(crate) fn close_code(&self) -> Option<u16> {
        let code = self.payload.get(..2)?.try_into().ok()?;
        (self.first == FIN | CLOSE).then(|| u16::from_be_bytes(code))
    }
}

/// A connection behind its handshake.
pub(crate) struct RawClient {
    reader: BufReader<TcpStream>,
}

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let (client, response) = Self::handshake(address, HANDSHAKE.as_bytes());
        assert_eq!(response.status, 101, "{response:?}");
        client
    }

    /// Sends what is to be a handshake, and whatever is behind it.
    pub(crate) fn handshake(address: SocketAddr, bytes: &[u8]) -> (Self, Response) {
        let mut client = Self { reader: BufReader::new(http::connect(address)) };
        client.send(bytes);
        let response = http::read_response(&mut client.reader, "GET");
        (client, response)
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the service reads");
    }

    /// Sends what the service may refuse to read to its end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// The server's next frame; `None` at the connection's end. Checks that the frame is not masked and not cut.
    pub(crate) fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 2];
        self.reader.read_exact(&mut head).ok()?;
        let len = match head[1] {
            len @ 0..=125 => u64::from(len),
            126 => {
                let mut len = [0; 2];
                self.reader.read_exact(&mut len).ok()?;
                u64::from(u16::from_be_bytes(len))
            }
            127 => {
                let mut len = [0; 8];
                self.reader.read_exact(&mut len).ok()?;
                u64::from_be_bytes(len)
            }
            _ => panic!("a masked frame of the server"),
        };
        let mut payload = vec![0; usize::try_from(len).expect("a length")];
        self.reader.read_exact(&mut payload).ok()?;
        Some(Frame { first: head[0], payload })
    }

    /// The next frame that is no heartbeat.
    pub(crate) fn read_answer(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read()?;
            if frame.first != FIN | TEXT || !frame.text().starts_with("[{\"channel\":\"heartbeat\"") {
                return Some(frame);
            }
        }
    }

    /// Everything up to the connection's end.
    pub(crate) fn read_to_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.read()).collect()
    }

    /// Says that nothing more comes, and stays to read.
    pub(crate) fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).expect("a socket");
    }

    /// Goes without a word: with a reset, not an end.
    pub(crate) fn vanish(self) {
        socket2::SockRef::from(self.stream()).set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
    }
}
