//! The opening handshake as a client sees it: RFC 6455 section 4.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod recorded;
    pub(crate) mod upgrade;
}

use std::io::{BufReader, Read, Write};

use feeds::clock::monotonic;
use tickwire::limits::HTTP_HEADER_WAIT;

use service::http::{self, Response, read_response};
use service::process::Service;
use service::upgrade::{HANDSHAKE, upgrade};

fn quiet() -> Service {
    Service::ended("binance-20211012.jsonl.zst")
}

fn shake(server: &Service, handshake: &str) -> Response {
    upgrade(server.address, handshake.as_bytes()).1
}

#[test]
fn the_sample_of_the_rfc_is_accepted() {
    let server = quiet();
    let response = shake(&server, HANDSHAKE);
    assert_eq!(response.status, 101);
    assert_eq!(response.header("upgrade"), "websocket");
    assert_eq!(response.header("connection").to_ascii_lowercase(), "upgrade");
    assert_eq!(response.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(!response.headers.contains_key("sec-websocket-protocol"), "none was offered");
    assert!(!response.headers.contains_key("sec-websocket-extensions"), "none was offered");
}

#[test]
fn header_values_are_read_whatever_their_case_and_company() {
    let server = quiet();
    let handshake = HANDSHAKE
        .replace("Connection: Upgrade", "connection: keep-alive, UPGRADE")
        .replace("Upgrade: websocket", "UPGRADE: WebSocket")
        .replace(
            "\r\n\r\n",
            "\r\nOrigin: http://tickwire\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        );
    let response = shake(&server, &handshake);
    assert_eq!(response.status, 101, "{response:?}");
    let extension = response.header("sec-websocket-extensions");
    assert_eq!(extension, "permessage-deflate; client_no_context_takeover");
}

#[test]
fn compression_is_agreed_on_as_it_is_offered() {
    let server = quiet();
    let ours = "permessage-deflate; client_no_context_takeover";
    for (offer, answer) in [
        ("permessage-deflate", ours),
        ("x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=10", ours),
        ("permessage-deflate; server_max_window_bits=99", ""),
        ("permessage-deflate; server_max_window_bits=8", ""),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ours),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=12",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
    ] {
        let handshake =
            HANDSHAKE.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"));
        let response = shake(&server, &handshake);
        assert_eq!((response.status, response.header("sec-websocket-extensions")), (101, answer), "{offer}");
    }
}

#[test]
fn a_wrong_handshake_is_refused_with_what_would_be_right() {
    let server = quiet();
    let version = "Sec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let cases = [
        (HANDSHAKE.replace("Version: 13", "Version: 8"), 426, "version"),
        (HANDSHAKE.replace(version, ""), 426, "version"),
        (HANDSHAKE.replace("Upgrade: websocket\r\n", ""), 426, "Upgrade: websocket"),
        (HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c"), 426, "Upgrade: websocket"),
        (HANDSHAKE.replace("Connection: Upgrade", "Connection: keep-alive"), 426, "Connection: Upgrade"),
        (HANDSHAKE.replace(key, ""), 400, "Sec-WebSocket-Key"),
        (HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), 400, "Sec-WebSocket-Key"),
        (HANDSHAKE.replace("GET ", "PUT "), 405, "GET"),
        (
            HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: a; b=\"\r\n\r\n"),
            400,
            "Sec-WebSocket-Extensions",
        ),
        (HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"), 400, "tickwire.v1.json"),
    ];
    for (handshake, status, named) in &cases {
        let response = shake(&server, handshake);
        assert_eq!(response.status, *status, "{handshake}{response:?}");
        assert!(response.body.contains(named), "{handshake}{response:?}");
        assert_eq!(response.header("sec-websocket-version") == "13", *status == 426, "{response:?}");
        assert!(!response.headers.contains_key("sec-websocket-accept"), "{response:?}");
    }
    assert_eq!(
        server.metric("refusals_total{reason=\"handshake\"}"),
        i64::try_from(cases.len()).expect("a few")
    );
    assert_eq!(server.metric("connections_total"), 0);
}

#[test]
fn the_subprotocol_is_echoed_from_those_offered() {
    let server = quiet();
    for (offer, chosen) in [
        ("tickwire.v1.json", "tickwire.v1.json"),
        ("chat, tickwire.v1.json", "tickwire.v1.json"),
        ("chat\r\nSec-WebSocket-Protocol: tickwire.v1.json", "tickwire.v1.json"),
        ("tickwire.v1.bin, tickwire.v1.json", "tickwire.v1.bin"),
        ("tickwire.v1.json, tickwire.v1.bin", "tickwire.v1.json"),
    ] {
        let handshake =
            HANDSHAKE.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Protocol: {offer}\r\n\r\n"));
        let response = shake(&server, &handshake);
        assert_eq!((response.status, response.header("sec-websocket-protocol")), (101, chosen), "{offer}");
    }
}

#[test]
fn a_handshake_may_come_in_pieces_and_behind_other_requests() {
    let server = quiet();
    let mut stream = http::connect(server.address);
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    for _ in 0..3 {
        stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: tickwire\r\n\r\n").expect("the service reads");
        let response = read_response(&mut reader, "GET");
        assert_eq!((response.status, response.body.as_str()), (200, "live\n"), "on the same connection");
    }
    let (head, tail) = HANDSHAKE.split_at(40);
    stream.write_all(head.as_bytes()).expect("the service reads");
    assert_eq!(server.get("/health/live").status, 200, "nobody waits for the rest");
    stream.write_all(tail.as_bytes()).expect("the service reads");
    assert_eq!(read_response(&mut reader, "GET").status, 101);
}

#[test]
fn what_is_no_http_harms_nobody() {
    let server = quiet();
    let nonsense: [&[u8]; 5] = [
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &[0xff; 5_000],
        b"GET / HTTP/1.1\r\nHost",
    ];
    for bytes in nonsense {
        let mut stream = http::connect(server.address);
        stream.write_all(bytes).expect("the service reads");
    }
    let mut long = b"GET /".to_vec();
    long.resize(2_000_000, b'a');
    // It need not be read to its end.
    let _ = http::connect(server.address).write_all(&long);
    assert_eq!(server.get("/health/live").status, 200);
    assert_eq!(server.metric("connections"), 0);
}

/// The time limits themselves are tested beside their code, with shorter ones.
#[test]
fn a_connection_without_a_request_is_closed_in_time() {
    let server = quiet();
    let start = monotonic();
    let streams = ["", "GET /v1/ws HTTP/1.1\r\nHost:"].map(|sent| {
        let mut stream = http::connect(server.address);
        stream.write_all(sent.as_bytes()).expect("the service reads");
        stream
    });
    for mut stream in streams {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("it is closed");
        assert_eq!(String::from_utf8_lossy(&rest), "", "no answer");
        assert!(monotonic().duration_since(start) >= HTTP_HEADER_WAIT, "not before");
    }
}

#[test]
fn only_http_1_is_spoken() {
    let server = quiet();
    let mut stream = http::connect(server.address);
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("the service reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it is closed");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "{answer:?}");
}
