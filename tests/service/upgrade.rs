//! The opening handshake by hand.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::http::{self, Response};

/// The handshake of RFC 6455 section 1.3.
pub(crate) const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nHost: tickwire\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Sends what is to be a handshake, and whatever is behind it.
pub(crate) fn upgrade(address: SocketAddr, bytes: &[u8]) -> (BufReader<TcpStream>, Response) {
    let mut reader = BufReader::new(http::connect(address));
    reader.get_mut().write_all(bytes).expect("the service reads");
    let response = http::read_response(&mut reader, "GET");
    (reader, response)
}
