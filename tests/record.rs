//! Recordings by the real program: killed at any moment, checked, played, recorded again.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
}

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use feeds::record::{Body, RecordReader, Verified};
use feeds::replay::{Replay, ReplaySettings};
use feeds::sim::{Sim, SimSettings};
use feeds::{Feed, MarketEvent, Progress, Timestamp};
use tempfile::TempDir;

use service::eventually::eventually;
use service::process::Service;
use service::program::tickwire;
use service::run::run;
use service::signal::signal;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn path(folder: &Path) -> &str {
    folder.to_str().expect("UTF-8")
}

fn record(out: &Path, flags: &[&str]) -> Command {
    let mut command = tickwire();
    command.args(["record", "--out", path(out)]).args(flags);
    command
}

fn verify(folder: &Path) -> Output {
    run(tickwire().args(["inspect", "--verify", "--json", path(folder)]))
}

fn verified(folder: &Path) -> Verified {
    RecordReader::open(folder).expect("a recording").verify().expect("sound")
}

/// How long the segments are.
fn written(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let segments = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "twr"));
    segments.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
}

/// The messages that have events.
fn messages(feed: &mut dyn Feed, count: usize) -> Vec<(Timestamp, Vec<MarketEvent>)> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let mut events = Vec::new();
        let Progress::Message { due } = feed.next_message(&mut events).expect("sound") else { break };
        if !events.is_empty() {
            messages.push((due, events));
        }
    }
    messages
}

/// What a recording of the simulated market plays, and the market itself as far as that.
#[track_caller]
fn assert_is_the_market(folder: &Path, seed: u64) -> usize {
    let mut reader = RecordReader::open(folder).expect("a recording");
    let first = reader.next_record().expect("sound").expect("its beginning");
    assert_eq!(first.body, Body::Connected(""));
    let start = first.ts_recv;
    let files = vec![folder.to_owned()];
    let mut replay = Replay::open(&ReplaySettings { files, ..ReplaySettings::default() }).expect("sound");
    let mut sim = Sim::new(SimSettings { seed, start, ..SimSettings::default() }).expect("possible");
    assert_eq!(replay.instruments(), sim.instruments());
    let found = messages(&mut replay, usize::MAX);
    let expected = messages(&mut sim, found.len());
    assert!(found == expected, "other events than the market's");
    found.len()
}

#[test]
fn a_recorder_that_is_killed_at_any_moment_leaves_all_but_its_last_block() {
    // Moments: in the first block, in mid-segment, and behind several segments of half a megabyte.
    for (seed, bytes) in [(1, 1), (2, 70_000), (3, 333_333), (4, 600_000), (5, 1_234_567), (6, 2_500_000)] {
        let folder = folder();
        let seed_text = seed.to_string();
        let flags =
            ["--speed", "max", "--rotate-bytes", "512KiB", "--sim-seed", &seed_text, "--log", "error"];
        let mut child = record(folder.path(), &flags).stdout(Stdio::null()).spawn().expect("the program");
        eventually("enough is written", || written(folder.path()) >= bytes);
        child.kill().expect("it runs");
        child.wait().expect("our child");

        let found = verified(folder.path());
        let whole = written(folder.path()) - found.cuts.iter().map(|cut| cut.bytes).sum::<u64>();
        assert!(found.cuts.len() <= 1 && whole > 0, "{found:?}");
        let output = verify(folder.path());
        assert!(output.status.success(), "{output:?}");
        let played = assert_is_the_market(folder.path(), seed);
        assert!(played > 0 || found.records < 300, "{found:?}");

        // The next recorder goes on behind it, and closes it.
        let again = run(&mut record(folder.path(), &["--speed", "max", "--duration", "1s"]));
        assert!(again.status.success(), "{again:?}");
        let after = verified(folder.path());
        assert!(after.is_closed && after.records > found.records, "{after:?}");
        assert_eq!(after.cuts, found.cuts);
    }
}

#[test]
fn what_is_recorded_is_the_market_and_is_recorded_again_to_the_byte() {
    let (one, two) = (folder(), folder());
    let flags = ["--speed", "max", "--duration", "20s", "--sim-seed", "9", "--rotate-every", "5s"];
    let output = run(&mut record(one.path(), &flags));
    assert!(output.status.success(), "{output:?}");
    let found = verified(one.path());
    assert!(found.is_closed && found.segments >= 4, "{found:?}");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.starts_with(&format!("recorded {} records of ", found.records)), "{said}");
    assert!(assert_is_the_market(one.path(), 9) > 10_000);

    let feed = format!("replay:{}", path(one.path()));
    let output = run(&mut record(two.path(), &["--feed", &feed, "--rotate-bytes", "100KiB"]));
    assert!(output.status.success(), "{output:?}");
    assert!(records(one.path(), None) == records(two.path(), None));

    for flags in [["--symbols", "SYM00000"], ["--duration", "1s"], ["--speed", "100"]] {
        let output = run(&mut record(&two.path().join("part"), &[&["--feed", &feed], &flags[..]].concat()));
        assert!(String::from_utf8_lossy(&output.stderr).contains("is copied whole"), "{output:?}");
        assert!(!two.path().join("part").exists());
    }
    let output = run(&mut record(one.path(), &["--feed", &feed]));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be copied into itself"), "{output:?}");
    let capture = "replay:feeds/recordings/kraken-20210417.jsonl.zst";
    let capture = capture.replace("feeds/", &format!("{}/feeds/", env!("CARGO_MANIFEST_DIR")));
    let output = run(&mut record(&two.path().join("part"), &["--feed", &capture]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("not what `tickwire record` writes") && !two.path().join("part").exists(),
        "{said}"
    );
}

/// The records as they are, but for the numbers of their sources.
fn records(folder: &Path, from: Option<Timestamp>) -> Vec<(Timestamp, String)> {
    let mut reader = RecordReader::open(folder).expect("a recording");
    if let Some(from) = from {
        reader.seek(from).expect("sound");
    }
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().expect("sound") {
        let kept = (record.ts_recv, format!("{:?}", record.body));
        records.push(kept);
    }
    records
}

#[test]
fn what_is_served_can_be_recorded_and_served_again_from_any_time() {
    let folder = folder();
    let mut service = Service::start(["--record", path(folder.path()), "--sim-seed", "3", "--speed", "100"]);
    eventually("something is recorded", || written(folder.path()) > 100_000);
    signal(&service.child, "TERM");
    assert!(service.child.wait().expect("our child").success());
    assert!(verified(folder.path()).is_closed);
    assert!(service.log().contains("recorded"), "{}", service.log());
    assert_is_the_market(folder.path(), 3);
    let last = verified(folder.path()).span.expect("records").1;

    // From its end on, everything is there at once.
    let feed = format!("replay:{}", path(folder.path()));
    let service = Service::start(["--feed", &feed, "--from", &last.to_string()]);
    let records = i64::try_from(verified(folder.path()).records).expect("few");
    eventually("all of it was played", || service.metric("feed_messages_total") == records);
}

#[test]
fn what_cannot_be_recorded_is_refused_before_anything_is_served() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("room");
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst");
    let feed = format!("replay:{recording}");
    let cases: [(&[&str], &str); 6] = [
        (&["record", "--out", path(&file)], "file"),
        (&["serve", "--record", path(&file)], "file"),
        (&["serve", "--record", path(folder.path()), "--feed", &feed], "a recording is not recorded again"),
        (&["record", "--out", path(folder.path()), "--rotate-bytes", "much"], "record_rotate_bytes = `much`"),
        (&["record", "--out", path(folder.path()), "--duration", "long"], "duration = `long`"),
        (&["inspect", "--verify", recording], "not what `tickwire record` writes"),
    ];
    for (args, reason) in cases {
        let output = run(tickwire().args(args));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {stderr}");
        assert!(stderr.contains(reason), "{args:?}: {stderr}");
    }
}

#[test]
fn damage_is_named_with_its_file_and_offset() {
    let folder = folder();
    let output =
        run(&mut record(folder.path(), &["--speed", "max", "--duration", "5s", "--rotate-bytes", "100KiB"]));
    assert!(output.status.success(), "{output:?}");
    let output = verify(folder.path());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success() && said["files"][0]["sound"] == true, "{said}");
    assert_eq!(said["files"][0]["records"], verified(folder.path()).records);

    let second = folder.path().join("00000002.twr");
    let mut bytes = fs::read(&second).expect("a second segment");
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&second, bytes).expect("room");
    let output = verify(folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let error = said["files"][0]["error"].as_str().expect("an error");
    let damaged = format!("{}: damaged at byte ", second.display());
    let offset = error.strip_prefix(&damaged).and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
    assert!(offset.is_some_and(|offset| offset <= at) && said["files"][0]["sound"] == false, "{error}");
    assert!(said["files"][0]["records"].as_u64().is_some_and(|records| records > 0), "{said}");
}

/// A limit of the process on the length of files is a disk that is full.
#[test]
fn files_that_may_not_grow_stop_nobody_who_is_served() {
    let folder = folder();
    let out = folder.path().join("day");
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_tickwire")]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--sim-rate", "500", "--record", path(&out)]);
    let service = Service::spawn(&mut command);
    eventually("it has failed", || service.metric("recording_failures_total") > 0);
    assert!(service.log().contains("File too large"), "{}", service.log());
    assert_eq!(service.get("/v1/quotes").status, 200);
    // What waits for the disk ends nothing either.
    signal(&service.child, "TERM");
    drop(service);
    assert!(verified(&out).records > 0);
}

#[test]
fn a_signal_ends_a_recorder_that_waits_for_a_full_disk() {
    let folder = folder();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 64; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_tickwire"), "record"]);
    command.args(["--speed", "max", "--sim-rate", "500", "--out", path(folder.path())]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program");
    eventually("it is full", || written(folder.path()) >= 40_000);
    signal(&child, "INT");
    let output = child.wait_with_output().expect("our child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("LOST"), "{said}");
}
