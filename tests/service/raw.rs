//! WebSocket frames by hand: what no library would send, or show.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::upgrade::{HANDSHAKE, upgrade};

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const FIN: u8 = 0x80;

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
    pub(crate) reader: BufReader<TcpStream>,
}

impl RawClient {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let (reader, response) = upgrade(address, HANDSHAKE.as_bytes());
        assert_eq!(response.status, 101, "{response:?}");
        Self { reader }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).expect("the service reads");
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

    /// Everything up to the connection's end.
    pub(crate) fn read_to_end(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.read()).collect()
    }
}
