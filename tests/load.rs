//! The load harness, against the real server.

mod service {
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

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
    for fault in report["faults"].as_object().expect("an object") {
        assert_eq!(fault.1, 0, "{}: {report}", fault.0);
    }
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
fn a_server_that_has_less_than_expected_fails_the_load() {
    let server = Service::simulated("quotes", 4, 20);
    let flags = ["--clients", "4", "--warmup", "0s", "--duration", "1s", "--expect-rate"];
    let (report, success) = load(&server, &[&flags[..], &["40"]].concat());
    assert!(!success && number(&report, "/due/missing") >= 70, "{report}");
    let output = run(tickwire().args(["load", &url(&server)]).args(flags).arg("40"));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for part in ["of 160 expected", "missing; late: "] {
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
    for part in ["6 topics of quote", "a second", "latency ms  p50", "own CPU", "0 gaps, 0 checksums failed"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
}

#[test]
fn a_load_that_cannot_be_says_why() {
    let server = Service::simulated("quotes", 2, 1);
    // A port that was free a moment ago.
    let nowhere = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("bound").to_string()
    };
    let nowhere_url = format!("ws://{nowhere}");
    let here = &url(&server);
    let cases: [(&[&str], &[&str]); 6] = [
        (&[here, "--compress"], &["--verify 0"]),
        (&[here, "--encoding", "binary"], &["--verify 0"]),
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
