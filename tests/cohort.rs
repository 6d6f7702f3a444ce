//! Node's `ws`, Python's `websockets` and Chromium follow one compressed market, all at a time, on connections that come
//! and go: every number and every checksum that they are sent is right, and what is sent is small.
//!
//! How fast the market is, each client tells by the market's own time, and what a machine has no time for comes merged: it
//! counts as what it stands for. Seen in a minute on two cores that others used too: 5,660 changes a second on each of nine
//! connections, in 2.8 million updates and states, of which 1,790 stood for several changes, and 0.32 of the bytes.

mod service {
    pub(crate) mod chromium;
    pub(crate) mod clients;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod simulated;
}

use std::process::{Command, Stdio};

use serde_json::Value;

use service::chromium::{CHROMIUM, chromium};
use service::clients::node;
use service::process::Service;
use service::python::python;

const SECONDS: u64 = 60;
const CONNECTIONS_EACH: u64 = 3;

/// So many instruments and events a second of each make about 5,700 changes a second of books and quotes.
const INSTRUMENTS: usize = 200;
const RATE: usize = 32;
const CHANGES_PER_SECOND_MIN: u64 = 5_000;

/// The clients that are there, by name.
fn clients() -> Vec<(&'static str, Command)> {
    let mut clients = Vec::new();
    clients.extend(node("cohort.mjs", "ws").map(|node| ("Node's ws", node)));
    clients.extend(python("cohort.py").map(|python| ("Python's websockets", python)));
    // Last, since its path is the last argument.
    clients.extend(chromium("cohort.mjs").map(|client| ("Chromium", client)));
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
        let (changes, micros) = (count("stretch_changes"), count("stretch_micros"));
        assert!(micros >= SECONDS * 1_000_000, "{name}: no minute of the market: {report}");
        assert!(changes * 1_000_000 >= CHANGES_PER_SECOND_MIN * micros, "{name}: {report}");
        // One of each book with its snapshot, and one a second while it changes.
        assert!(count("checksums_ok") >= changes / 100, "{name}: {report}");
        text_bytes += count("text_bytes");
    }

    let (bytes, updates) = (server.metric("bytes_out_total"), server.metric("updates_out_total"));
    eprintln!("{bytes} bytes for {text_bytes} of text, {updates} updates and states");
    // About a third. Messages of this market that are compressed each by itself, without a stream, are six tenths.
    let bytes = u64::try_from(bytes).expect("a count");
    assert!(bytes * 2 < text_bytes, "{bytes} bytes for {text_bytes} of text");
}
