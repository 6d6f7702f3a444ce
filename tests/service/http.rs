//! As much of HTTP as asking the service for a path needs.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer to a `GET`.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case, a line each.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

/// Asks for `path` over a connection of its own, which the server closes after the answer.
pub(crate) fn get(address: &str, path: &str, limit: Duration) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let wrong = || io::Error::other(format!("no HTTP answer: {text}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(wrong)?;
    let (line, headers) = head.split_once("\r\n").ok_or_else(wrong)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(wrong)?;
    let headers = headers.to_ascii_lowercase();
    // The service knows the length of all that it sends; a body in chunks would be read wrongly here.
    if headers.contains("transfer-encoding") {
        return Err(io::Error::other(format!("a body in chunks: {headers}")));
    }
    Ok(Answer { status, headers, body: body.to_owned() })
}
