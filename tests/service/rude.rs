//! What no client should do: odd frames, and ends without a word.

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use super::raw::{FIN, Frame, RawClient, TEXT};

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

impl RawClient {
    pub(crate) fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    /// Sends what the service may refuse to read to its end.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
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

    /// Says that nothing more comes, and stays to read.
    pub(crate) fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).expect("a socket");
    }

    /// Goes without a word: with a reset, not an end.
    pub(crate) fn vanish(self) {
        socket2::SockRef::from(self.stream()).set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
    }
}
