//! The load harness, against the real server.

mod service {
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::Value;

use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::signal::signal;

/// The report of a load, and whether it says that all was right.
fn load(server: &Service, flags: &[&str]) -> (Value, bool) {
    let output = run(tickwire().args(["load", "--json", &url(server)]).args(flags));
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.success())
}

fn url(server: &Service) -> String {
    format!("http://{}", server.address)
}

fn number(report: &Value, pointer: &str) -> u64 {
    report.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer} in {report}"))
}

#[test]
fn every_quote_that_was_due_comes_to_every_client() {
    let server = Service::simulated("quotes", 20, 50);
    let pid = server.child.id().to_string();
    let mut flags = vec!["--clients", "50", "--symbols", "2", "--threads", "2"];
    flags.extend(["--warmup", "200ms", "--duration", "2s", "--expect-rate", "50", "--pid", &pid]);
    let (report, success) = load(&server, &flags);
    assert!(success, "{report}");
    assert_faultless(&report);
    assert_eq!(report["errors"], serde_json::json!({}));
    assert_eq!((number(&report, "/clients"), number(&report, "/topics")), (50, 100));

    // Whatever the machine did meanwhile: nothing is merged for clients that read, so nothing is missing.
    assert_eq!(number(&report, "/due/expected"), 10_000);
    assert!(number(&report, "/due/updates").abs_diff(10_000) <= 100, "{report}");
    assert_eq!((number(&report, "/due/missing"), number(&report, "/due/clients_behind")), (0, 0));
    assert_eq!(number(&report, "/latency_us/samples"), number(&report, "/due/updates"));
    let percentiles =
        ["p50", "p90", "p99", "p99_9", "max"].map(|name| number(&report["latency_us"], &format!("/{name}")));
    assert!(percentiles.is_sorted() && percentiles[0] > 0, "{report}");

    let delivered = number(&report, "/delivered/updates");
    let by_thread = report["delivered"]["updates_by_thread"].as_array().expect("an array");
    assert_eq!(by_thread.len(), 2);
    assert_eq!(by_thread.iter().filter_map(Value::as_u64).sum::<u64>(), delivered);
    assert!(number(&report, "/delivered/updates_per_client_min") > 0, "{report}");
    assert!(number(&report, "/delivered/updates_per_client_max") * 50 >= delivered);
    assert!(number(&report, "/delivered/messages") >= delivered);
    // Nobody was slow: each update is one change.
    assert_eq!(number(&report, "/delivered/changes_verified"), delivered);
    assert!(number(&report, "/delivered/frames") <= number(&report, "/delivered/messages"));
    assert_eq!(number(&report, "/delivered/snapshots"), 0);
    assert!(number(&report, "/window_ms") >= 1_990, "{report}");

    for cpu in ["/server_cpu", "/harness_cpu"] {
        let millis = number(&report, &format!("{cpu}/ms"));
        assert!(millis > 0, "{cpu}: {report}");
        let each = number(&report, &format!("{cpu}/ms_per_million_updates"));
        assert_eq!(each, millis * 1_000_000 / delivered, "{cpu}: {report}");
    }
}

/// Every client follows all symbols, so that each is to count the same; nothing that is due at a border is shared, hence
/// one update a symbol of a difference.
#[test]
fn drains_count_what_clients_that_verify_count() {
    let server = Service::simulated("quotes", 10, 50);
    let flags =
        ["--clients", "8", "--symbols", "10", "--verify", "4", "--warmup", "200ms", "--duration", "2s"];
    let (report, success) = load(&server, &[&flags[..], &["--expect-rate", "50"]].concat());
    assert!(success, "{report}");
    assert_eq!((number(&report, "/clients"), number(&report, "/verifying")), (8, 4));
    let [min, max] =
        ["min", "max"].map(|end| number(&report, &format!("/delivered/updates_per_client_{end}")));
    assert!(max - min <= 20, "{report}");
    assert_eq!(report["delivered"]["counted"], "exactly");
    // What is known to be due is what clients that verify follow.
    assert_eq!(number(&report, "/due/expected"), 4 * 10 * 50 * 2);
    assert_eq!(number(&report, "/due/missing"), 0);
    assert!(number(&report, "/delivered/updates") > 7_500, "{report}");
    // Each frame has at least the two bytes of its header, and an update at least its prices' names.
    let [wire, bytes, frames] =
        ["wire_bytes", "bytes", "frames"].map(|name| number(&report, &format!("/delivered/{name}")));
    assert!(wire >= bytes + 2 * frames && wire <= bytes + 10 * frames, "{report}");

    let (drained, success) =
        load(&server, &["--clients", "4", "--verify", "0", "--warmup", "0s", "--duration", "1s"]);
    assert!(success, "{drained}");
    assert!(number(&drained, "/delivered/updates") > 150, "{drained}");
    assert_eq!((&drained["latency_us"], &drained["latency_absent"]), (&Value::Null, &"no_updates".into()));
}

#[test]
fn clients_that_are_odd_are_told_apart() {
    let server = Service::simulated("quotes", 20, 50);
    let mut flags = vec!["--clients", "20", "--symbols", "2", "--verify", "4", "--warmup", "200ms"];
    flags.extend(["--duration", "3s", "--expect-rate", "50", "--slow", "2:1000", "--stall", "2:1s:300ms"]);
    flags.extend(["--churn", "2:500ms", "--churn-subs", "2:200ms"]);
    let (report, success) = load(&server, &flags);
    assert!(success, "{report}");
    // Four that read steadily and verify; the odd ones always do.
    assert_eq!((number(&report, "/clients"), number(&report, "/verifying")), (20, 12));
    assert_eq!((number(&report, "/due/expected"), number(&report, "/due/missing")), (4 * 2 * 50 * 3, 0));
    for fault in ["clients_lost", "clients_unready", "gaps", "disconnects", "refusals"] {
        assert_eq!(number(&report, &format!("/faults/{fault}")), 0, "{report}");
    }
    let groups = report["groups"].as_array().expect("an array");
    let habits =
        ["slow: 1000 bytes/s", "stalling: 300ms every 1s", "dropping: every 500ms", "switching: every 200ms"];
    assert_eq!(groups.iter().map(|group| &group["habit"]).collect::<Vec<_>>(), habits);
    for group in groups {
        assert_eq!(number(group, "/clients"), 2);
        assert!(number(group, "/updates") > 0 && number(group, "/deeds") > 0, "{report}");
        assert!(number(group, "/changes") > 0, "{report}");
        assert_eq!((number(group, "/too_slow"), number(group, "/too_slow_at_end")), (0, 0));
    }
    // A client that reads 1,000 of some 10,000 bytes a second falls behind, and nobody else does for it.
    assert!(number(&groups[0], "/latency_us/p50") > number(&report, "/latency_us/p50"), "{report}");
    assert!(number(&groups[0], "/latency_us/max") >= 1_000_000, "{report}");
}

#[test]
fn watch_lists_are_shared() {
    let server = Service::simulated("quotes", 20, 20);
    let flags =
        ["--clients", "6", "--symbols", "5", "--watchlists", "2", "--warmup", "0s", "--duration", "1s"];
    let (report, success) = load(&server, &[&flags[..], &["--expect-rate", "20"]].concat());
    assert!(success, "{report}");
    assert_eq!((number(&report, "/topics"), number(&report, "/due/missing")), (30, 0));
}

/// A frame of a server, in the shortest form.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let mut frame = vec![first];
    match u8::try_from(len) {
        Ok(len @ 0..=125) => frame.push(len),
        _ => {
            frame.push(126);
            frame.extend(u16::try_from(len).expect("short").to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

fn answer(channel: &str) -> String {
    format!(
        r#"[{{"method":"subscribe","success":true,"req_id":0,"result":{{"channel":"{channel}","epoch":"e",
        "granted":[{{"symbol":"A","topic":1,"price_exponent":-2,"size_exponent":0,"seq":1}}],"rejected":[]}}}}]"#
    )
}

/// Answers a handshake, and gives the first request: a masked frame of 126 bytes at least, or less.
fn welcome(stream: &TcpStream) -> (BufReader<TcpStream>, String) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        reader.read_exact(&mut byte).expect("a handshake");
        head.extend(byte);
    }
    let head = String::from_utf8(head).expect("UTF-8");
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value)
    });
    let accept = tungstenite::handshake::derive_accept_key(key.expect("a key").as_bytes());
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: tickwire.v1.json\r\n\r\n"
    )
    .expect("a client");
    let (_, request) = read_frame(&mut reader);
    (reader, request)
}

/// A masked frame of a client: its first byte, and its payload.
fn read_frame(reader: &mut impl Read) -> (u8, String) {
    let mut head = [0; 2];
    reader.read_exact(&mut head).expect("a frame");
    assert_eq!(head[1] & 0x80, 0x80, "clients mask");
    let mut len = u16::from(head[1] & 0x7f);
    if len == 126 {
        let mut bytes = [0; 2];
        reader.read_exact(&mut bytes).expect("a length");
        len = u16::from_be_bytes(bytes);
    }
    let mut bytes = vec![0; 4 + usize::from(len)];
    reader.read_exact(&mut bytes).expect("a payload");
    let (mask, payload) = bytes.split_at_mut(4);
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    (head[0], String::from_utf8(payload.to_vec()).expect("UTF-8"))
}

/// Cuts every message in two, asks for pongs in between, sends what only looks like updates; throws the first drain out.
fn be_rude(listener: &TcpListener) {
    let (scout, _) = listener.accept().expect("the scout");
    let (_scout_reader, request) = welcome(&scout);
    assert!(request.contains("status"), "{request}");
    let status = r#"[{"channel":"status","type":"snapshot","symbol":"A","epoch":"e","seq":1,"ts_event":0,"state":"trading","reason":""}]"#;
    for text in [answer("status"), status.to_owned()] {
        (&scout).write_all(&frame(0x81, text.as_bytes())).expect("the scout reads");
    }
    for is_first in [true, false] {
        let (mut drain, _) = listener.accept().expect("a drain");
        drain.set_nodelay(true).expect("a socket");
        let (mut reader, request) = welcome(&drain);
        assert!(request.contains(r#""channel":"quote""#), "{request}");
        drain.write_all(&frame(0x81, answer("quote").as_bytes())).expect("it reads");
        let update = r#"{"channel":"quote","type":"update","symbol":"A","seq":2,"prev_seq":1,"ts_event":0}"#;
        let gap = update.replace("update", "gap");
        let (snapshot, heartbeat) = (update.replace("update", "snapshot"), r#"{"channel":"heartbeat"}"#);
        let text = format!("[{update},{snapshot},{update},{gap},{heartbeat},{update}]");
        for number in 0_usize.. {
            // The cut goes through every byte in turn, one of a needle's too.
            let (begin, end) = text.as_bytes().split_at(number % text.len());
            let mut bytes = frame(0x01, begin);
            if is_first {
                bytes.extend(frame(0x89, b"who is there"));
            }
            bytes.extend(frame(0x80, end));
            let (first, second) = bytes.split_at(number % bytes.len());
            if drain.write_all(first).and_then(|()| drain.write_all(second)).is_err() {
                return;
            }
            if is_first && number < 30 {
                assert_eq!(read_frame(&mut reader), (0x8a, "who is there".to_owned()));
            } else if is_first {
                drain
                    .write_all(&frame(0x88, &[&4007_u16.to_be_bytes()[..], b"out"].concat()))
                    .expect("it reads");
                break;
            }
        }
    }
}

#[test]
fn a_drain_bears_a_rude_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    // Not joined: should the load not come, it would wait for it for ever.
    std::thread::spawn(move || be_rude(&listener));
    let flags = ["--clients", "1", "--verify", "0", "--warmup", "1500ms", "--duration", "500ms", "--json"];
    let output = run(tickwire().args(["load", &format!("http://{address}")]).args(flags));
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert!(output.status.success(), "{report}");
    let [updates, snapshots, frames] =
        ["updates", "snapshots", "frames"].map(|name| number(&report, &format!("/delivered/{name}")));
    // At the borders of the window a message may have been there in part.
    assert!(frames > 10 && updates.abs_diff(3 * frames) <= 3, "{report}");
    assert!(snapshots.abs_diff(frames) <= 1, "{report}");
    assert_eq!((number(&report, "/faults/disconnects"), number(&report, "/faults/reconnects")), (1, 1));
    assert_eq!(report["errors"], serde_json::json!({"closed by the server: 4007 out": 1}));
}

#[test]
fn a_server_that_has_less_than_expected_fails_the_load() {
    let server = Service::simulated("quotes", 4, 20);
    let flags = ["--clients", "4", "--warmup", "0s", "--duration", "1s", "--expect-rate"];
    let (report, success) = load(&server, &[&flags[..], &["40"]].concat());
    assert!(!success && number(&report, "/due/missing") >= 70, "{report}");
    let output = run(tickwire().args(["load", &url(&server)]).args(flags).arg("40"));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for part in ["160 expected", "missing; late: "] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let (report, success) = load(&server, &[&flags[..], &["20"]].concat());
    assert!(success, "{report}");
}

/// Waits; there is nothing to be seen from outside that tells how far a load is.
fn pass(time: Duration) {
    let start = monotonic();
    let left = || time.saturating_sub(monotonic().duration_since(start));
    while !left().is_zero() {
        std::thread::park_timeout(left());
    }
}

#[test]
fn a_server_that_stalls_cannot_hide_it() {
    let server = Service::simulated("quotes", 10, 50);
    let flags = ["--clients", "10", "--warmup", "0s", "--duration", "5s", "--expect-rate", "50"];
    let (report, success) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&server, &flags));
        pass(Duration::from_millis(2_500));
        signal(&server.child, "STOP");
        pass(Duration::from_secs(1));
        signal(&server.child, "CONT");
        loading.join().expect("a report")
    });
    assert!(success, "{report}");
    // A fifth of all changes was due during the stall, and is late by up to a second. A harness that only looks at what
    // comes would have seen ten late changes, one a client: the 99.6th percentile.
    assert_eq!(number(&report, "/due/missing"), 0, "{report}");
    assert!(number(&report, "/latency_us/p90") >= 350_000, "{report}");
    assert!(number(&report, "/latency_us/max") >= 950_000, "{report}");
}

#[test]
fn clients_whose_server_dies_are_lost() {
    let server = Service::simulated("quotes", 2, 50);
    let flags = ["--clients", "4", "--warmup", "0s", "--duration", "3s"];
    let (report, success) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&server, &flags));
        pass(Duration::from_millis(2_000));
        signal(&server.child, "KILL");
        loading.join().expect("a report")
    });
    assert!(!success, "{report}");
    assert_eq!(number(&report, "/faults/clients_lost"), 4, "{report}");
    assert_eq!(number(&report, "/faults/disconnects"), 4, "{report}");
    assert_eq!(number(&report, "/faults/gaps"), 0, "{report}");
}

#[test]
fn books_are_proven_by_their_checksums() {
    let server = Service::simulated("market", 10, 100);
    let flags =
        ["--clients", "10", "--symbols", "3", "--channel", "book.25", "--warmup", "0s", "--duration", "2s"];
    let (report, success) = load(&server, &flags);
    assert!(success, "{report}");
    assert_eq!(report["channel"], "book.25");
    assert!(number(&report, "/delivered/updates") > 0, "{report}");
    assert!(number(&report, "/checksums_ok") > 0, "{report}");
    assert_eq!((number(&report, "/faults/checksums_failed"), number(&report, "/faults/gaps")), (0, 0));
}

fn assert_faultless(report: &Value) {
    for (name, count) in report["faults"].as_object().expect("an object") {
        assert_eq!(count, 0, "{name}: {report}");
    }
}

#[test]
fn clients_verify_every_form_of_the_data() {
    let server = Service::simulated("market", 20, 100);
    let forms: [&[&str]; 6] = [
        &[],
        &["--compress"],
        &["--max-frequency", "250ms", "--compress"],
        &["--encoding", "binary"],
        &["--encoding", "binary", "--compress"],
        &["--encoding", "binary", "--max-frequency", "100ms"],
    ];
    let reports = forms.map(|form| {
        let flags = ["--clients", "8", "--symbols", "20", "--channel", "book.25", "--duration", "1s"];
        let (report, success) = load(&server, &[&flags[..], form].concat());
        assert!(success, "{report}");
        assert_faultless(&report);
        assert_eq!((number(&report, "/clients"), number(&report, "/verifying")), (8, 8));
        assert!(
            number(&report, "/checksums_ok") > 0 && number(&report, "/delivered/updates") > 0,
            "{report}"
        );
        assert_eq!(report["delivered"]["counted"], "exactly");
        report
    });
    let delivered = |form: usize, name: &str| number(&reports[form], &format!("/delivered/{name}"));
    for plain in [0, 3, 4, 5] {
        let [wire, bytes, frames] = ["wire_bytes", "bytes", "frames"].map(|name| delivered(plain, name));
        assert!(wire >= bytes + 2 * frames && wire <= bytes + 10 * frames, "{}", reports[plain]);
    }
    for compressed in [1, 2] {
        let [wire, bytes] = ["wire_bytes", "bytes"].map(|name| delivered(compressed, name));
        assert!(wire < bytes, "{}", reports[compressed]);
    }
    for conflated in [2, 5] {
        assert!(delivered(conflated, "merges_verified") > 0, "{}", reports[conflated]);
        assert!(delivered(conflated, "changes_verified") > delivered(conflated, "updates"));
    }
    let each = |form| delivered(form, "wire_bytes_per_thousand_updates");
    assert!(each(0) > 5 * each(3), "{} and {}", reports[0], reports[3]);
}

/// The feed has 50 changes a second and symbol, whatever is sent of them: at each border of the window, a period's are in an
/// update of the other side.
#[test]
fn changes_that_were_merged_are_those_that_the_feed_had() {
    let server = Service::simulated("quotes", 10, 50);
    for encoding in ["json", "binary"] {
        let mut flags = vec!["--clients", "4", "--symbols", "10", "--warmup", "1s", "--duration", "2s"];
        flags.extend(["--max-frequency", "250ms", "--encoding", encoding]);
        let (report, success) = load(&server, &flags);
        assert!(success, "{report}");
        assert_faultless(&report);
        assert!(number(&report, "/due/updates") <= 4 * 10 * (2 * 4 + 1), "{report}");
        let [changes, expected] = [number(&report, "/due/changes"), 4 * 10 * 50 * 2];
        assert!(changes.abs_diff(expected) <= 4 * 10 * 50 / 4, "{report}");
    }
}

#[test]
fn what_was_merged_for_clients_that_stall_is_accounted_for() {
    let server = Service::simulated("quotes", 200, 400);
    for encoding in ["json", "binary"] {
        let mut flags = vec!["--clients", "3", "--symbols", "200", "--warmup", "0s", "--duration", "3s"];
        flags.extend(["--stall", "2:1500ms:1s", "--encoding", encoding]);
        let (report, success) = load(&server, &flags);
        assert!(success, "{report}");
        assert_faultless(&report);
        let group = &report["groups"][0];
        let [updates, changes, merges] =
            ["updates", "changes", "merges"].map(|name| number(group, &format!("/{name}")));
        assert!(merges > 0 && changes > updates + merges, "{report}");
        assert_eq!((number(group, "/too_slow"), number(group, "/too_slow_at_end")), (0, 0));
        assert!(number(&report, "/delivered/merges_verified") >= merges, "{report}");
    }
}

#[test]
fn a_recording_has_no_latency() {
    let server = Service::start([
        "--feed",
        concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst"),
        "--loop",
        "--speed",
        "20",
    ]);
    let flags =
        ["--clients", "2", "--symbols", "7", "--channel", "book", "--warmup", "0s", "--duration", "2s"];
    let (report, success) = load(&server, &flags);
    assert!(success, "{report}");
    assert!(number(&report, "/delivered/updates") > 0, "{report}");
    assert_eq!(report["latency_us"], Value::Null);
    assert_eq!(report["latency_absent"], "not_a_live_clock");
    assert_eq!(report["due"], Value::Null);
}

#[test]
fn people_get_a_table() {
    let server = Service::simulated("quotes", 3, 20);
    let flags = ["--clients", "3", "--symbol", "SYM00002,sym00000", "--warmup", "0s", "--duration", "500ms"];
    let output = run(tickwire().args(["load", &url(&server)]).args(flags));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    for part in [
        "6 topics of quote",
        "a second",
        "latency ms  p50",
        "own CPU",
        "0 unaccounted",
        "0 gaps, 0 checksums failed",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_load_that_cannot_be_says_why() {
    let server = Service::simulated("quotes", 2, 1);
    // A port that was free a moment ago.
    let nowhere = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound").to_string()
    };
    let nowhere_url = format!("ws://{nowhere}");
    let here = &url(&server);
    let cases: [(&[&str], &[&str]); 5] = [
        (&[here, "--clients", "2", "--slow", "3:9"], &["3 clients", "the 2"]),
        (&[&nowhere_url], &[&nowhere, "refused"]),
        (&[here, "--symbols", "3"], &["2 instruments", "3"]),
        (&[here, "--symbol", "SYM00001,NOPE"], &["unknown symbols: NOPE"]),
        (&[here, "--pid", "4294967295"], &["/proc/4294967295/stat"]),
    ];
    for (flags, parts) in cases {
        let output = run(tickwire().arg("load").args(flags));
        assert_eq!(output.status.code(), Some(1), "{flags:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in parts {
            assert!(error.contains(part), "{flags:?}: no {part:?} in {error}");
        }
    }
}
