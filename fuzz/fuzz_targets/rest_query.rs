//! Any bytes as what stands behind the path of a REST request, to a service that runs: each has one answer, whole, of a status
//! that the protocol has, and an error says which.

#![no_main]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{LazyLock, Mutex};

use feeds::Clock;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tickwire::config::{Anonymous, Config};
use tickwire::service::Service;

const PATHS: [&str; 8] = [
    "/v1/quotes",
    "/v1/instruments",
    "/v1/tickers",
    "/v1/books/SYM00000",
    "/v1/trades/SYM00000",
    "/v1/bars/SYM00000",
    "/v1/admin/connections",
    // There is none to tap: the answer has an end.
    "/v1/admin/connections/0/tap",
];

static SERVICE: LazyLock<Service> = LazyLock::new(|| {
    // Whoever asks is an administrator: else its queries would not be read.
    let everything = r#"{"symbols":["*"],"channels":["quote","trade","book","ticker","bar","status"],"admin":true}"#;
    let everything = serde_json::from_str(everything).expect("an entitlement");
    let config = Config {
        anonymous: Anonymous { role: "all".to_owned() },
        roles: [("all".to_owned(), everything)].into(),
        listen: "127.0.0.1:0".to_owned(),
        shards: 1,
        sim_mode: "quotes".to_owned(),
        sim_instruments: 3,
        sim_rate: 1,
        ..Config::default()
    };
    let opened = config.open(None).expect("a simulated market");
    Service::start(opened.feed, &opened.settings, Clock::System).expect("a free port")
});
/// One for many inputs: so many ports as there are inputs there are not.
static CONNECTION: Mutex<Option<BufReader<TcpStream>>> = Mutex::new(None);

/// The status and the body of an answer; `None`: the connection was at its end.
fn ask(connection: &mut BufReader<TcpStream>, request: &[u8]) -> Option<(u16, Vec<u8>)> {
    connection.get_mut().write_all(request).ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if connection.read_until(b'\n', &mut head).ok()? == 0 {
            assert!(head.is_empty(), "half an answer");
            return None;
        }
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status");
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    connection.read_exact(&mut body).expect("a whole body");
    Some((status, body))
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((&path, query)) = data.split_first() else { return Corpus::Reject };
    // A line's end would be the end of the request, and what follows another.
    if query.contains(&b'\r') || query.contains(&b'\n') {
        return Corpus::Reject;
    }
    let path = PATHS[usize::from(path) % PATHS.len()];
    let request = [b"GET ", path.as_bytes(), b"?", query, b" HTTP/1.1\r\nHost: here\r\n\r\n"].concat();
    let mut kept = CONNECTION.lock().expect("no panic goes on");
    let connect = || BufReader::new(TcpStream::connect(SERVICE.address()).expect("it listens"));
    let answered = kept.as_mut().and_then(|connection| ask(connection, &request));
    let (status, body) = answered.unwrap_or_else(|| {
        let connection = kept.insert(connect());
        ask(connection, &request).expect("an answer on a connection of its own")
    });
    match status {
        200 => {
            serde_json::from_slice::<Value>(&body).expect("JSON");
        }
        // What is no request at all is answered before it has come to a route, and the connection closed.
        400 | 414 if body.is_empty() => *kept = None,
        400 | 404 | 503 => {
            let problem: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(problem["status"], status, "{problem}");
            assert!(problem["code"].is_string() && problem["detail"].is_string(), "{problem}");
        }
        _ => panic!("{status}: {}", String::from_utf8_lossy(&body)),
    }
    Corpus::Keep
});
