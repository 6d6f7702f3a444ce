//! HTTP/1.1, as much as a test needs.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::process::Service;
use super::program::PATIENCE;

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// By name in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Response {
    /// A header's value; empty without it.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

impl Service {
    /// The answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Response {
        request(self.address, "GET", path)
    }
}

/// One request on a connection of its own.
pub(crate) fn request(address: SocketAddr, method: &str, path: &str) -> Response {
    let mut stream = connect(address);
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the service reads");
    read_response(&mut BufReader::new(stream), method)
}

/// A connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Reads one answer to a request of that method, and leaves what follows it.
pub(crate) fn read_response(reader: &mut impl BufRead, method: &str) -> Response {
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("not an answer: {line:?}"));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').expect("a header");
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = match headers.get("content-length") {
        Some(len) if method != "HEAD" => len.parse().expect("a number"),
        _ => 0,
    };
    let mut body = vec![0; len];
    reader.read_exact(&mut body).expect("a whole body");
    Response { status, headers, body: String::from_utf8(body).expect("UTF-8") }
}
