//! `tickwire watch`, against the real server.

mod service {
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::signal::signal;

/// What a watch prints that ends well.
fn watch(server: &Service, arguments: &[&str]) -> String {
    let output = run(tickwire().args(["watch", &url(server)]).args(arguments));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn url(server: &Service) -> String {
    format!("http://{}", server.address)
}

#[test]
fn quotes_are_lines_with_the_decimals_of_their_instrument() {
    let server = Service::simulated("quotes", 3, 50);
    let text = watch(&server, &["quote", "sym00001", "SYM00002", "--count", "20"]);
    assert_eq!(text.lines().count(), 20, "{text}");
    let mut symbols: Vec<&str> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_symbol, "-", "×", "-"] = words[..] {
            continue; // a snapshot of before the market's first quote
        }
        let [symbol, bid, bid_size, "×", ask, ask_size] = words[..] else { panic!("{line:?}") };
        symbols.push(symbol);
        for price in [bid, ask] {
            assert_eq!(price.split_once('.').map(|(_, decimals)| decimals.len()), Some(2), "{line}");
        }
        for size in [bid_size, ask_size] {
            assert!(size.parse::<u64>().is_ok_and(|size| size > 0), "{line}");
        }
    }
    symbols.sort_unstable();
    symbols.dedup();
    assert_eq!(symbols, ["SYM00001", "SYM00002"]);
}

#[test]
fn json_lines_are_the_servers_objects() {
    let server = Service::simulated("quotes", 3, 50);
    let text = watch(&server, &["quote", "*", "--json", "--count", "30"]);
    let objects: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(objects.len(), 30);
    assert_eq!(objects.iter().filter(|object| object["type"] == "snapshot").count(), 3);
    for symbol in ["SYM00000", "SYM00001", "SYM00002"] {
        let mine: Vec<&Value> = objects.iter().filter(|object| object["symbol"] == symbol).collect();
        assert!(mine.len() > 1, "{symbol}: {text}");
        assert_eq!(mine[0]["type"], "snapshot");
        for pair in mine.windows(2) {
            assert_eq!(
                (&pair[1]["type"], &pair[1]["prev_seq"]),
                (&"update".into(), &pair[0]["seq"]),
                "{text}"
            );
        }
    }
}

#[test]
fn every_channel_has_its_line() {
    let server = Service::simulated("market", 8, 200);
    for (channel, part) in [
        ("book", "bids "),
        ("book.100", "| asks "),
        ("trade", " @ "),
        ("ticker", "last "),
        ("bar.1s", "open "),
        ("status", "state trading"),
    ] {
        let text = watch(&server, &[channel, "*", "--count", "8"]);
        assert_eq!(text.lines().count(), 8, "{channel}: {text}");
        assert!(text.lines().all(|line| line.contains(part)), "{channel}: no {part:?} in\n{text}");
    }
}

#[test]
fn a_symbol_that_is_not_there_is_named() {
    let server = Service::simulated("quotes", 2, 1);
    for (words, parts) in [
        (&["quote", "SYM00001", "NOPE"][..], &["NOPE", "UNKNOWN_SYMBOL"][..]),
        (&["quotes", "SYM00001"], &["`quotes`", "ticker"]),
        (&["quote"], &["which symbols"]),
        (&[], &["what is to be followed"]),
    ] {
        let output = run(tickwire().args(["watch", &url(&server)]).args(words));
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        for part in parts {
            assert!(error.contains(part), "{words:?}: no {part:?} in {error}");
        }
    }
    let output = run(tickwire().args(["watch", "ws://127.0.0.1:1", "quote", "A"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no connection to ws://127.0.0.1:1/v1/ws"));
}

#[test]
fn a_reader_that_leaves_is_a_quiet_end() {
    let server = Service::simulated("quotes", 1, 50);
    let mut child = tickwire()
        .args(["watch", &url(&server), "quote", "SYM00000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("UTF-8");
    assert!(line.starts_with("SYM00000  "), "{line}");
    drop(reader);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let mut error = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut error).expect("UTF-8");
    assert_eq!(error, "");
}

#[test]
fn an_interrupt_is_a_good_end() {
    let server = Service::simulated("quotes", 1, 50);
    let mut child = tickwire()
        .args(["watch", &url(&server), "quote", "SYM00000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("UTF-8");
    signal(&child, "INT");
    // Whatever it still prints must not fill the pipe.
    let mut rest = String::new();
    reader.read_to_string(&mut rest).expect("UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
