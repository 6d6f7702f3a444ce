//! The clients of the README, in Node and in Python, against the real program: as far as they are there, see
//! `service/clients.rs`.

mod service {
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod simulated;
}

use std::process::{Command, Output};

use service::clients::node;
use service::eventually::eventually;
use service::process::Service;
use service::python::python;

const UPDATES: usize = 200;

/// A line for each snapshot and each update: symbol, bid, ask, and the bid below the ask.
fn assert_prints_live_quotes(output: &Output, symbols: &[&str]) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {stderr}", output.status);
    let cents = |price: &str| -> i64 {
        let (whole, decimals) =
            price.split_once('.').unwrap_or_else(|| panic!("a price with decimals, not {price}"));
        assert_eq!(decimals.len(), 2, "{price}");
        format!("{whole}{decimals}").parse().expect("digits")
    };
    let mut lines_of = vec![0; symbols.len()];
    for line in stdout.lines() {
        let [symbol, bid, ask] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("a quote, not {line:?}")
        };
        assert!(cents(bid) < cents(ask), "{line}");
        let index = symbols.iter().position(|known| *known == symbol);
        lines_of[index.unwrap_or_else(|| panic!("not asked for: {line}"))] += 1;
    }
    assert!(lines_of.iter().sum::<usize>() >= UPDATES + symbols.len(), "{lines_of:?}");
    assert!(lines_of.iter().all(|&lines| lines > 2), "each moves: {lines_of:?}");
}

/// Runs a client against a market, and against what it must refuse; not at all where it is not there.
fn check(client: impl Fn() -> Option<Command>) {
    let Some(_) = client() else { return };
    let client =
        |arguments: &[&str]| client().expect("it is there").args(arguments).output().expect("it is there");
    let server = Service::simulated("quotes", 3, 50);
    let url = format!("ws://{}/v1/ws", server.address);
    let updates = UPDATES.to_string();

    let output = client(&[&url, &updates, "SYM00000", "sym00002"]);
    assert_prints_live_quotes(&output, &["SYM00000", "SYM00002"]);
    let output = client(&[&url, &updates, "*"]);
    assert_prints_live_quotes(&output, &["SYM00000", "SYM00001", "SYM00002"]);

    let refused = client(&[&url, &updates, "NOPE"]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("UNKNOWN_SYMBOL"), "{stderr}");
    let refused = client(&[&url, &updates]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("BAD_REQUEST"), "{stderr}");

    eventually("none is left", || server.metric("connections") == 0);
}

#[test]
fn the_node_client_prints_live_quotes() {
    check(|| node("quotes.mjs", "ws"));
}

#[test]
fn the_python_client_prints_live_quotes() {
    check(|| python("quotes.py"));
}

/// What the README shows is what these tests run, but for arguments and refusals: the lines that make it work.
#[test]
fn the_readme_shows_these_clients() {
    let readme = include_str!("../README.md");
    let node = include_str!("clients/quotes.mjs");
    let python = include_str!("clients/quotes.py");
    for line in [
        r#"import WebSocket from "ws";"#,
        "for (const message of JSON.parse(text)) {",
        r#"if (message.channel !== "quote") continue;"#,
        r#"const known = message.type === "update" ? quotes.get(message.symbol) : {};"#,
        r#"if (message.type === "update" && message.prev_seq !== known.seq) throw new Error("#,
        "const quote = { ...known, ...message };",
        "quotes.set(quote.symbol, quote);",
    ] {
        assert!(readme.contains(line) && node.contains(line), "{line}");
    }
    for line in [
        "from websockets.sync.client import connect",
        r#"if message.get("channel") != "quote":"#,
        r#"known = quotes.get(message["symbol"], {}) if message["type"] == "update" else {}"#,
        r#"quote = quotes[message["symbol"]] = known | message"#,
    ] {
        assert!(readme.contains(line) && python.contains(line), "{line}");
    }
}
