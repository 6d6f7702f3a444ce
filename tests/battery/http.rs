//! Requests of HTTP that are meant to be read in two ways, or never to end. RFC 9112.

use super::attack::{Attack, Outcome, attack, send_http};
use crate::service::upgrade::HANDSHAKE;

pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let mut add = |name, ends, bytes: String| {
        attacks.push(attack(name, ends, move |address| send_http(address, bytes.as_bytes())));
    };
    let get = |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nHost: here\r\n{headers}\r\n");

    let many: String = (0..1_000).map(|number| format!("X-{number}: y\r\n")).collect();
    add("a thousand headers", Outcome::Status(431), get("/v1/quotes", &many));
    let long = format!("X: {}\r\n", "y".repeat(200_000));
    add("a header of 200 kB", Outcome::Status(431), get("/v1/quotes", &long));
    add("a path of 200 kB", Outcome::Status(431), get(&format!("/{}", "y".repeat(200_000)), ""));
    add(
        "headers at a handshake without end",
        Outcome::Status(431),
        HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{many}")),
    );

    for (name, path) in [
        ("a path upwards", "/../../../../etc/passwd"),
        ("the same, encoded", "/%2e%2e/%2e%2e/etc/passwd"),
        ("the same, encoded twice", "/%252e%252e/etc/passwd"),
        ("the same, backwards", "/..\\..\\etc\\passwd"),
        ("two slashes", "//etc/passwd"),
        ("a NUL in a path", "/app.js%00.html"),
        ("a path upwards from a symbol", "/v1/books/..%2f..%2fetc%2fpasswd"),
    ] {
        add(name, Outcome::Status(404), get(path, ""));
    }

    let smuggled = "GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n";
    for (name, headers) in [
        ("both a length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 44\r\n"),
        ("a length that is none", "Content-Length: 0x10\r\n"),
        ("a negative length", "Content-Length: -1\r\n"),
        ("a length with a sign", "Content-Length: +5\r\n"),
        ("chunks that are not last", "Transfer-Encoding: chunked, identity\r\n"),
        ("an encoding that there is none", "Transfer-Encoding: xchunked\r\n"),
        ("a space before the colon", "Content-Length : 44\r\n"),
        ("a header that goes on in the next line", "X: a\r\n b\r\n"),
        ("a header without a colon", "X\r\n"),
        ("a NUL in a header", "X: a\0b\r\n"),
    ] {
        add(name, Outcome::Status(400), format!("{}{smuggled}", get("/v1/quotes", headers)));
    }
    add(
        "a version that there is none",
        Outcome::Status(400),
        "GET / HTTP/9.9\r\nHost: here\r\n\r\n".to_owned(),
    );
    add("HTTP/0.9", Outcome::Status(400), "GET /\r\n\r\n".to_owned());
    add("no host", Outcome::Status(400), "GET /v1/quotes HTTP/1.1\r\n\r\n".to_owned());
    add("two hosts", Outcome::Status(400), get("/v1/quotes", "Host: there\r\n"));
    for method in ["TRACE", "CONNECT", "DELETE", "PUT"] {
        let request = format!("{method} /v1/quotes HTTP/1.1\r\nHost: here\r\n\r\n");
        add(method, Outcome::Status(405), request);
    }
    add(
        "a body of a terabyte to come",
        Outcome::Status(200),
        get("/v1/quotes", "Content-Length: 1000000000000\r\n"),
    );

    for (name, from, to, status) in [
        ("a handshake of version 8", "Version: 13", "Version: 8", 426),
        ("a handshake of version 99999999999", "Version: 13", "Version: 99999999999", 426),
        ("a handshake without a key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("a handshake with a key of a megabyte", "dGhlIHNhbXBsZSBub25jZQ==", "*", 431),
        ("a handshake by POST", "GET", "POST", 405),
        ("a handshake by HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 426),
    ] {
        let to = if to == "*" { "A".repeat(1_000_000) } else { to.to_owned() };
        add(name, Outcome::Status(status), HANDSHAKE.replace(from, &to));
    }
    attacks
}
