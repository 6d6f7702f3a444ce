//! The clients of the README, in Node and in Python, against the real program.
//!
//! Where Node, Python or their packages are missing, these tests say so and skip; with `CLIENTS_REQUIRED` set,
//! as `make test` does, they fail instead.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod simulated;
}

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use service::eventually::eventually;
use service::process::Service;

const UPDATES: usize = 200;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

fn python() -> OsString {
    std::env::var_os("CLIENTS_PYTHON").unwrap_or_else(|| "python3".into())
}

/// Whether a command ends well; else this test is skipped, which is not allowed everywhere.
fn is_there(what: &str, command: &mut Command) -> bool {
    let command =
        command.current_dir(folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = command.status().is_ok_and(|status| status.success());
    if !there {
        let required = std::env::var_os("CLIENTS_REQUIRED").is_some();
        assert!(!required, "{what} is missing: `make clients` installs what the clients need");
        // Not by `eprintln!`: what tests print by that is shown only when they fail.
        let skipped = format!("SKIPPED: {what} is missing: `make clients` installs what the clients need\n");
        std::io::stderr().write_all(skipped.as_bytes()).expect("standard error");
    }
    there
}

fn node_with_ws() -> bool {
    is_there("node", Command::new("node").arg("--version"))
        && is_there(
            "node's `ws`",
            Command::new("node").args(["--input-type=module", "--eval", "import 'ws'"]),
        )
}

fn python_with_websockets() -> bool {
    is_there("python3", Command::new(python()).arg("--version"))
        && is_there(
            "python's `websockets`",
            Command::new(python()).args(["-c", "import websockets.sync.client"]),
        )
}

fn run(command: &mut Command) -> Output {
    command.current_dir(folder()).stdin(Stdio::null()).output().expect("it is there")
}

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

/// Runs a client against a market, and against what it must refuse.
fn check(client: impl Fn() -> Command) {
    let server = Service::simulated("quotes", 3, 50);
    let url = format!("ws://{}/v1/ws", server.address);
    let updates = UPDATES.to_string();

    let output = run(client().args([&url, &updates, "SYM00000", "sym00002"]));
    assert_prints_live_quotes(&output, &["SYM00000", "SYM00002"]);
    let output = run(client().args([&url, &updates, "*"]));
    assert_prints_live_quotes(&output, &["SYM00000", "SYM00001", "SYM00002"]);

    let refused = run(client().args([&url, &updates, "NOPE"]));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("UNKNOWN_SYMBOL"), "{stderr}");
    let refused = run(client().args([&url, &updates]));
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.contains("BAD_REQUEST"), "{stderr}");

    eventually("none is left", || server.metric("connections") == 0);
}

#[test]
fn the_node_client_prints_live_quotes() {
    if node_with_ws() {
        check(|| {
            let mut node = Command::new("node");
            node.arg("quotes.mjs");
            node
        });
    }
}

#[test]
fn the_python_client_prints_live_quotes() {
    if python_with_websockets() {
        check(|| {
            let mut python = Command::new(python());
            python.arg("quotes.py");
            python
        });
    }
}

/// The page's own logic has its tests in Node, which need no packages.
#[test]
fn the_page_passes_its_own_tests() {
    if is_there("node", Command::new("node").arg("--version")) {
        let output = run(Command::new("node").args(["--test", "page.test.mjs"]));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
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
