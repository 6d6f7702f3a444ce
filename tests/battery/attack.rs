//! What a hostile client does, and how it is to end.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use crate::service::http::connect;
use crate::service::raw::{RawClient, text};

/// One attack, on a connection of its own.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    pub(crate) ends: Outcome,
    pub(crate) run: Box<dyn Fn(SocketAddr) -> Outcome>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A close frame with this code came last.
    Closed(u16),
    /// HTTP was answered with this status, and the connection ended or stood ready for more.
    Status(u16),
    /// The request was refused with this code, and the connection goes on.
    Refused(String),
    /// It was answered, and goes on.
    Served,
    /// The connection ended without an answer.
    Cut,
}

pub(crate) fn attack(
    name: &'static str,
    ends: Outcome,
    run: impl Fn(SocketAddr) -> Outcome + 'static,
) -> Attack {
    Attack { name, ends, run: Box::new(run) }
}

/// Sends bytes behind a handshake, and tells how that ended. A ping request follows, which only an open connection
/// answers.
pub(crate) fn send_frames(address: SocketAddr, bytes: &[u8]) -> Outcome {
    outcome(&mut RawClient::connect(address), bytes)
}

/// Likewise on a connection that is there.
pub(crate) fn outcome(client: &mut RawClient, bytes: &[u8]) -> Outcome {
    // The service may stop reading in the midst of it.
    let _ = client.try_send(bytes);
    let _ = client.try_send(&text(r#"{"method":"ping","req_id":"still there"}"#));
    let mut refused = None;
    while let Some(frame) = client.read() {
        if let Some(code) = frame.close_code() {
            return Outcome::Closed(code);
        }
        if frame.first != 0x81 {
            continue;
        }
        let text = frame.text();
        if let Some((_, code)) = text.split_once(r#""error":{"code":""#) {
            refused = code.split('"').next().map(str::to_owned);
        }
        if text.contains("still there") {
            return refused.map_or(Outcome::Served, Outcome::Refused);
        }
    }
    Outcome::Cut
}

/// Sends bytes in place of a handshake, and tells the first answer's status.
pub(crate) fn send_http(address: SocketAddr, bytes: &[u8]) -> Outcome {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    let mut answer = [0; 12];
    let mut len = 0;
    while len < answer.len() {
        match stream.read(&mut answer[len..]) {
            Ok(0) => return Outcome::Cut,
            Ok(count) => len += count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Outcome::Cut,
            Err(error) => panic!("neither answered nor closed: {error}"),
        }
    }
    let head = std::str::from_utf8(&answer).ok().and_then(|head| head.strip_prefix("HTTP/1."));
    let status = head.and_then(|head| head.get(2..)?.parse().ok());
    Outcome::Status(status.unwrap_or_else(|| panic!("no HTTP: {answer:?}")))
}
