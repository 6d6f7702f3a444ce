//! `tickwire tap`, against the real server, and `tickwire replay-capture` of what it wrote.

mod service {
    pub(crate) mod captured;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use service::captured::{Captured, objects, replay, url, with_objects};
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::signal::signal;

/// What a tap prints that ends well.
fn tap(server: &Service, arguments: &[&str]) -> String {
    let output = run(tickwire().args(["tap", &url(server)]).args(arguments));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Direction, opcode, bytes, bytes on the wire, whether they are compressed, and the rest, of a line that shows a frame.
fn frame(line: &str) -> (&str, &str, usize, usize, bool, &str) {
    let mut words = line.split_whitespace();
    let mut next = || words.next().unwrap_or_else(|| panic!("{line}"));
    let time = next();
    assert!(time.len() == 15 && time.as_bytes()[2] == b':' && time.as_bytes()[8] == b'.', "{line}");
    let (arrow, opcode) = (next(), next());
    let bytes = next().parse().expect("a number");
    assert_eq!(next(), "B", "{line}");
    let wire = next().parse().expect("a number");
    let is_compressed = match next() {
        "wire" => false,
        "wirez" => true,
        _ => panic!("{line}"),
    };
    let rest = line.split_once(" wire").map_or("", |(_, rest)| rest.trim_start_matches('z').trim());
    (arrow, opcode, bytes, wire, is_compressed, rest)
}

#[test]
fn each_frame_is_a_line_with_what_it_says() {
    let server = Service::simulated("quotes", 3, 50);
    let text = tap(&server, &["quote", "SYM00001", "SYM00002", "--count", "20"]);
    let frames: Vec<_> = text.lines().map(frame).collect();
    assert!(frames.len() >= 20, "{text}");
    let (arrow, opcode, bytes, wire, _, said) = frames[0];
    assert_eq!((arrow, opcode), ("→", "text"), "{text}");
    assert!(matches!(wire - bytes, 6 | 8), "a masked header: {text}");
    let request: Value = serde_json::from_str(said).expect("JSON");
    assert_eq!(request["params"]["symbols"], json!(["SYM00001", "SYM00002"]));
    for (arrow, opcode, bytes, wire, is_compressed, said) in &frames[1..] {
        assert_eq!((*arrow, *opcode, *is_compressed), ("←", "text", false), "{text}");
        assert!(*wire > *bytes && *wire <= bytes + 10 && said.starts_with("[{"), "{text}");
    }
    assert!(frames.iter().any(|frame| frame.5.contains(r#""type":"update","symbol":"SYM00002""#)), "{text}");
}

#[test]
fn what_is_compressed_is_shown_inflated_and_a_reader_that_leaves_is_a_quiet_end() {
    // In one shard, they share a stream.
    let market = ["--sim-mode", "quotes", "--sim-instruments", "20", "--sim-rate", "20"];
    let server = Service::start(market.iter().chain(&["--shards", "1"]));
    let mut command = tickwire();
    command.args(["tap", &url(&server), "quote", "*", "--compress", "--whole"]);
    // Short messages of one client alone are not compressed.
    let mut other = command.stdout(Stdio::null()).spawn().expect("the program is built");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program is built");
    let mut reader = BufReader::new(child.stdout.take().expect("a pipe"));
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).expect("UTF-8") > 0, "it goes on");
        let (_, _, bytes, wire, is_compressed, said) = frame(&line);
        if is_compressed {
            assert!(wire < bytes, "{line}");
            let objects: Vec<Value> = serde_json::from_str(said).expect("a whole message");
            if objects.iter().all(|object| object["type"] == "update") {
                break;
            }
        }
    }
    drop(reader);
    other.kill().expect("it goes on");
    other.wait().expect("our child");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let mut error = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut error).expect("UTF-8");
    assert_eq!(error, "");
}

#[test]
fn records_are_told_by_the_names_of_their_topics() {
    let server = Service::simulated("market", 3, 200);
    for (channel, part) in [
        ("quote", " bid"),
        ("trade", " price +"),
        ("book", " checksum "),
        ("ticker", " last "),
        ("bar.1s", " start +"),
        ("status", " Trading"),
    ] {
        let text = tap(&server, &[channel, "*", "--encoding", "binary", "--whole", "--count", "4"]);
        let records: Vec<&str> = text.lines().filter(|line| line.starts_with("    ")).collect();
        assert!(records.iter().any(|line| line.contains(" snapshot seq ")), "{channel}: {text}");
        assert!(records.iter().all(|line| line.trim().starts_with(channel)), "{channel}: {text}");
        assert!(records.iter().any(|line| line.contains(part)), "{channel}: no {part:?} in\n{text}");
    }
}

#[test]
fn what_is_redacted_tells_no_symbol_and_no_price() {
    let server = Service::simulated("quotes", 3, 50);
    for encoding in ["json", "binary"] {
        let text = tap(&server, &["quote", "SYM00001", "--redact", "--count", "20", "--encoding", encoding]);
        assert!(!text.contains("SYM") && !text.contains('"') && !text.contains("bid"), "{text}");
        let kinds: Vec<&str> = text.lines().map(|line| frame(line).5).collect();
        assert_eq!(kinds[0], "1 subscribe", "{text}");
        let update = if encoding == "json" { "quote update" } else { "update" };
        assert!(kinds.iter().any(|kind| kind.ends_with(update)), "{text}");
    }
    let output = run(tickwire().args(["tap", &url(&server), "quote", "*", "--redact", "--out", "x"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn what_ends_a_tap_is_told() {
    let server = Service::simulated("quotes", 2, 1);
    for (words, part) in [(&["quote", "NOPE"][..], "NOPE: UNKNOWN_SYMBOL"), (&["quote"], "which symbols")] {
        let output = run(tickwire().args(["tap", &url(&server)]).args(words));
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(part), "{words:?}: no {part:?} in {error}");
    }
}

fn capture(server: &Service, arguments: &[&str]) -> Captured {
    Captured::of(server, arguments, 0)
}

/// What is made of a capture with those lines instead.
fn replay_with(captured: &Captured, lines: &[Value]) -> Output {
    replay(&captured.with(lines), &[])
}

#[track_caller]
fn assert_wrong(output: &Output, part: &str) {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(part) && !text.contains("all of it is right"), "no {part:?} in {text}");
}

#[test]
fn what_was_captured_comes_to_the_same_again() {
    let server = Service::simulated("market", 4, 100);
    for arguments in [
        &["quote", "*", "--count", "30"][..],
        &["book", "*", "--count", "30", "--encoding", "binary"],
        &["book.25", "*", "--count", "30", "--compress"],
        &["trade", "*", "--count", "30"],
        &["ticker", "*", "--count", "10", "--encoding", "binary", "--compress"],
    ] {
        let captured = capture(&server, arguments);
        let output = replay(&captured.path, &[]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {text}");
        assert!(
            text.ends_with("all of it is right\n") && !text.contains("broken off"),
            "{arguments:?}: {text}"
        );
        let lines = captured.lines();
        assert_eq!(lines[0]["capture"]["version"], 1, "{}", lines[0]);
        let end = &lines.last().expect("lines")["end"];
        let topics = end["topics"].as_object().map_or(0, |topics| topics.len());
        assert_eq!(topics, 4, "{end}");
        assert_eq!(end["checksums"].as_u64() > Some(0), arguments[0].starts_with("book"), "{end}");
    }
}

#[test]
fn what_is_not_right_in_a_capture_is_found() {
    let server = Service::simulated("quotes", 2, 50);
    let captured = capture(&server, &["quote", "SYM00001", "--count", "30"]);
    let lines = captured.lines();
    assert!(replay_with(&captured, &lines).status.success());

    let is_update = |line: &Value| {
        objects(line).is_some_and(|objects| objects.iter().any(|object| object["type"] == "update"))
    };
    let update = lines.iter().position(is_update).expect("an update");
    let mut without = lines.clone();
    without.remove(update);
    assert_wrong(&replay_with(&captured, &without), "quote of SYM00001: a gap");

    // Its end tells what the last one was.
    let last = lines.iter().rposition(is_update).expect("an update");
    let mut shorter = lines.clone();
    shorter.remove(last);
    assert_wrong(&replay_with(&captured, &shorter), "quote:SYM00001 is at ");

    let mut malformed = lines.clone();
    malformed[update] = with_objects(&lines[update], &[json!({"channel": "quote", "type": "update"})]);
    assert_wrong(&replay_with(&captured, &malformed), &format!("line {}", update + 1));

    assert_wrong(&replay_with(&captured, &lines[..lines.len() - 1]), "it is not whole");
}

#[test]
fn a_server_that_says_goodbye_or_no_leaves_a_whole_capture() {
    let server = Service::simulated("quotes", 2, 50);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("capture");
    let mut command = tickwire();
    command.args(["tap", &url(&server), "quote", "*", "--out"]).arg(&path);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program is built");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("UTF-8").contains(r#""type":"update""#)), "it follows");
    signal(&server.child, "TERM");
    assert!(lines.last().expect("a last line").expect("UTF-8").contains(" close "), "its answer");
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    let mut told = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut told).expect("UTF-8");
    assert!(told.contains("closed by the server: 1012 restart"), "{told}");
    let output = replay(&path, &[]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&path).expect("a file");
    let end: Value = serde_json::from_str(text.lines().last().expect("lines")).expect("JSON");
    assert_eq!(end["end"]["topics"].as_object().map(|topics| topics.len()), Some(2), "{end}");

    let server = Service::simulated("quotes", 2, 50);
    let captured = Captured::of(&server, &["quote", "SYM00001", "NOPE"], 1);
    let output = replay(&captured.path, &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_capture_is_its_owners_alone_and_replaces_nothing() {
    let server = Service::simulated("quotes", 2, 50);
    let captured = capture(&server, &["quote", "SYM00001", "--count", "5"]);
    let lines = captured.lines();
    let mode = std::fs::metadata(&captured.path).expect("written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let path = captured.path.to_str().expect("UTF-8");
    let again = run(tickwire().args(["tap", &url(&server), "quote", "*", "--out", path]));
    let told = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.code() == Some(1) && told.contains(path) && told.contains("exists"), "{told}");
    assert_eq!(captured.lines(), lines);

    // Captures are made to be passed on.
    let mut hostile = lines;
    hostile[0]["capture"]["url"] = json!("ws://x/\u{1b}]0;y\u{7}\u{202e}");
    hostile[1]["frame"]["opcode"] = json!("\u{1b}[2J");
    for lines in [&hostile[..1], &hostile[..2]] {
        let output = replay_with(&captured, lines);
        let told = [output.stdout, output.stderr].concat();
        assert!(
            !told.contains(&0x1b) && !told.contains(&7),
            "{}",
            String::from_utf8_lossy(&told).escape_debug()
        );
    }
}

#[test]
fn a_book_that_is_another_is_found_by_its_checksum() {
    let server = Service::simulated("market", 1, 50);
    let captured = capture(&server, &["book", "*", "--count", "5"]);
    let mut lines = captured.lines();
    let is_book = |object: &Value| object["channel"] == "book" && object["type"] == "snapshot";
    let (at, mut changed) = lines
        .iter()
        .enumerate()
        .find_map(|(at, line)| {
            objects(line).filter(|objects| objects.iter().any(is_book)).map(|found| (at, found))
        })
        .expect("a snapshot");
    for book in changed.iter_mut().filter(|object| is_book(object)) {
        let side = if book["bids"].as_array().is_some_and(|bids| !bids.is_empty()) { "bids" } else { "asks" };
        book[side][0][1] = "999999".into();
    }
    lines[at] = with_objects(&lines[at], &changed);
    assert_wrong(&replay_with(&captured, &lines), ": another book: checksum");
}

#[test]
fn what_is_no_capture_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("capture");
    let head = r#"{"capture":{"version":1,"url":"ws://x/","subprotocol":"tickwire.v1.json"}}"#;
    let frame = |payload: &str| {
        format!(
            r#"{{"frame":{{"at":1,"from":"server","opcode":"text","wire_bytes":1,"compressed":false,"payload":"{payload}"}}}}"#
        )
    };
    let end = r#"{"end":{"messages":0,"checksums":0,"topics":{}}}"#;
    for (text, line, part) in [
        (String::new(), 1, "a capture begins"),
        ("{}\n".to_owned(), 1, "expected"),
        (format!("{end}\n"), 1, "a capture begins"),
        (head.replace("\"version\":1", "\"version\":2") + "\n", 1, "version 2"),
        (head.replace("json\"", "xml\"") + "\n", 1, "`tickwire.v1.xml`"),
        (format!("{head}\n{head}\n"), 2, "another capture"),
        (format!("{head}\n{}\n", frame("?")), 2, "payload"),
        (format!("{head}\n{}", frame("W10=")), 2, "cut off"),
        (format!("{head}\n{end}\n{end}\n"), 3, "follows the end"),
        (format!("{head}\n{}\n", end.replace("topics", "topic")), 2, "`topic`"),
    ] {
        std::fs::write(&path, &text).expect("a file");
        let output = replay(&path, &[]);
        assert_wrong(&output, &format!("capture: line {line}: "));
        assert_wrong(&output, part);
    }
    assert_wrong(&replay(&folder.path().join("none"), &[]), "cannot read");
}
