//! Node's `ws`, Python's `websockets` and Chromium follow one compressed market, all at a time, on connections that come
//! and go: every number and every checksum that they are sent is right, and what is sent is small.

mod service {
    pub(crate) mod clients;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod simulated;
}

use std::process::{Command, Stdio};

use serde_json::Value;

use service::clients::{is_there, node, python};
use service::process::Service;

/// Where Debian's package has it.
const CHROMIUM: &str = "/usr/bin/chromium";

const SECONDS: u64 = 60;
const CONNECTIONS_EACH: u64 = 3;

/// So many instruments and events a second of each make about 5,000 updates a second of books and quotes.
const INSTRUMENTS: usize = 200;
const RATE: usize = 25;

/// Of the 5,000 updates a second on each connection, what must come even where the machine is busy with other things
/// and connections are between two visits.
const UPDATES_MIN: u64 = 5_000 * SECONDS * CONNECTIONS_EACH / 5;

/// The clients that are there, by name.
fn clients() -> Vec<(&'static str, Command)> {
    let mut clients = Vec::new();
    clients.extend(node("cohort.mjs", "ws").map(|node| ("Node's ws", node)));
    clients.extend(python("cohort.py").map(|python| ("Python's websockets", python)));
    // Last, since its path is the last argument.
    if is_there("Chromium (Debian's package `chromium`)", Command::new(CHROMIUM).arg("--version")) {
        clients.extend(node("cohort.mjs", "playwright-core").map(|node| ("Chromium", node)));
    }
    clients
}

#[test]
fn clients_of_all_kinds_follow_a_compressed_market() {
    let clients = clients();
    if clients.is_empty() {
        return;
    }
    let server = Service::simulated("market", INSTRUMENTS, RATE);
    let running: Vec<_> = (1_u64..)
        .zip(clients)
        .map(|(seed, (name, mut client))| {
            client.arg(server.address.to_string());
            client.args([SECONDS, seed, CONNECTIONS_EACH].map(|number| number.to_string()));
            if name == "Chromium" {
                client.arg(CHROMIUM);
            }
            let child = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it is there");
            (name, child)
        })
        .collect();

    let mut text_bytes = 0;
    for (name, child) in running {
        let output = child.wait_with_output().expect("pipes can be read");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
        eprintln!("{name}: {report}");
        let count =
            |field: &str| report[field].as_u64().unwrap_or_else(|| panic!("{name}: no {field}: {report}"));
        for field in ["checksums_failed", "gaps", "failures"] {
            assert_eq!(count(field), 0, "{name}: {field}: {report}");
        }
        assert_eq!(count("compressed"), count("connections"), "{name}: {report}");
        assert!(count("connections") > CONNECTIONS_EACH, "{name}: none came back: {report}");
        assert!(count("updates") >= UPDATES_MIN, "{name}: {report}");
        // One of each book with its snapshot, and one a second while it changes.
        assert!(count("checksums_ok") >= UPDATES_MIN / 100, "{name}: {report}");
        text_bytes += count("text_bytes");
    }

    let (bytes, updates) = (server.metric("bytes_out_total"), server.metric("updates_out_total"));
    eprintln!("{bytes} bytes for {text_bytes} of text, {updates} updates and states");
    // About a third. Messages of this market that are compressed each by itself, without a stream, are six tenths.
    let bytes = u64::try_from(bytes).expect("a count");
    assert!(bytes * 2 < text_bytes, "{bytes} bytes for {text_bytes} of text");
}
