//! Recordings by the real program: killed at any moment, checked, played, recorded again.

mod service {
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod metrics;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod signal;
}

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use feeds::record::{Body, Lost, RecordReader, Recorder, RecorderSettings, Verified};
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
    eventually("the log says so", || service.log().contains("recorded"));
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
fn a_refused_start_leaves_no_recording_behind() {
    let folder = folder();
    let out = folder.path().join("of").join("the").join("day");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let nobody = "live:kraken@ws://127.0.0.1:1";
    let cases: [(&[&str], &str); 4] = [
        (&["serve", "--listen", &address, "--record", path(&out)], "cannot listen on"),
        (&["serve", "--listen", "127.0.0.1:0", "--shards", "65", "--record", path(&out)], "shards = `65`"),
        (
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--feed",
                nobody,
                "--symbols",
                "A/B",
                "--record",
                path(&out),
            ],
            "cannot connect",
        ),
        (&["record", "--feed", nobody, "--symbols", "A/B", "--out", path(&out)], "cannot connect"),
    ];
    for (args, reason) in cases {
        let output = run(tickwire().args(args));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && stderr.contains(reason), "{args:?}: {stderr}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0, "{args:?}");
    }
}

#[test]
fn a_recording_that_is_copied_twice_is_refused_by_name() {
    let folder = folder();
    let (day, copy) = (folder.path().join("day"), folder.path().join("copy"));
    let output = run(&mut record(&day, &["--speed", "max", "--duration", "1s"]));
    assert!(output.status.success(), "{output:?}");
    let segment = day.join("00000001.twr");
    for (other, reason) in [(&day, "is given twice"), (&segment, "is a segment of")] {
        let feed = format!("replay:{},{}", path(&day), path(other));
        for mut command in [record(&copy, &["--feed", &feed]), {
            let mut command = tickwire();
            command.args(["serve", "--listen", "127.0.0.1:0", "--feed", &feed]);
            command
        }] {
            let output = run(&mut command);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success() && stderr.contains(reason), "{stderr}");
            assert!(stderr.contains(path(&day)) && !copy.exists(), "{stderr}");
        }
    }
}

#[test]
fn inspect_says_how_a_recording_ends_and_what_was_lost() {
    let folder = folder();
    let recorder = Recorder::start(&RecorderSettings::new(folder.path().to_owned()), |_| {}).expect("room");
    let lost = |records| Lost {
        records,
        bytes: 100,
        first: Timestamp(1_000_000_000),
        last: Timestamp(2_000_000_000),
    };
    for records in 1..=5 {
        recorder.handle().record(None, Timestamp(3_000_000_000), Body::Lost(lost(records)));
    }
    recorder.stop().expect("room");
    let inspect = |flags: &[&str]| {
        let output = run(tickwire().arg("inspect").args(flags).arg(folder.path()));
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let document: serde_json::Value = serde_json::from_str(&inspect(&["--json"])).expect("JSON");
    let recording = &document["files"][0]["recording"];
    assert_eq!((&recording["closed"], &recording["followed"]), (&true.into(), &false.into()));
    assert_eq!(
        (&recording["records_lost"], recording["losses"].as_array().map(Vec::len)),
        (&15.into(), Some(5))
    );
    assert_eq!(recording["losses"][1]["first"], "1970-01-01T00:00:01.000000000Z");
    for text in [inspect(&[]), inspect(&["--verify"])] {
        assert!(text.contains("LOST      15 records had no room"), "{text}");
        assert!(text.contains("such as 2 records of 100 bytes, 1970-01-01T00:00:01"), "{text}");
        assert!(!text.contains("open"), "{text}");
    }
    assert!(inspect(&["--verify"]).contains("not known runs of its recorder behind this one"));

    // Its recorder is killed in mid-block.
    let path = folder.path().join("00000001.twr");
    let bytes = fs::read(&path).expect("there");
    let manifest = folder.path().join("manifest");
    fs::remove_file(&manifest).expect("there");
    fs::write(&path, &bytes[..bytes.len() - 7]).expect("room");
    for text in [inspect(&[]), inspect(&["--verify"])] {
        assert!(text.contains("open      no end was written"), "{text}");
        assert!(text.contains("are the beginning of a frame"), "{text}");
    }
}

#[test]
fn what_a_recording_lost_is_a_gap_of_every_book_when_it_is_served() {
    let folder = folder();
    let output =
        run(&mut record(folder.path(), &["--sim-instruments", "3", "--duration", "5s", "--speed", "max"]));
    assert!(output.status.success(), "{output:?}");
    let last = verified(folder.path()).span.expect("records").1;
    let recorder = Recorder::start(&RecorderSettings::new(folder.path().to_owned()), |_| {}).expect("room");
    let lost = Lost { records: 7, bytes: 100, first: last, last };
    recorder.handle().record(None, last, Body::Lost(lost));
    recorder.stop().expect("room");

    let service = Service::start(["--feed", &format!("replay:{}", path(folder.path())), "--speed", "max"]);
    eventually("the gap of each", || service.metric("sequence_gaps_total") == 3);
    let instruments = service.json("/v1/instruments");
    for instrument in instruments["instruments"].as_array().expect("a list") {
        let symbol = instrument["symbol"].as_str().expect("a text");
        eventually("the empty book", || {
            let book = service.json(&format!("/v1/books/{symbol}"));
            book["bids"].as_array().is_some_and(Vec::is_empty)
                && book["asks"].as_array().is_some_and(Vec::is_empty)
        });
    }
}

#[test]
fn inspect_misses_segments_that_were_removed_from_the_end_of_a_run() {
    let folder = folder();
    let flags = ["--speed", "max", "--duration", "20s", "--rotate-bytes", "100KiB"];
    let output = run(&mut record(folder.path(), &flags));
    assert!(output.status.success(), "{output:?}");
    let segments = verified(folder.path()).segments;
    assert!(segments > 2);
    let said = |flags: &[&str]| {
        let output = run(tickwire().arg("inspect").args(flags).arg(folder.path()));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(!said(&["--verify"]).contains("MISSING"));
    fs::remove_file(folder.path().join(format!("{segments:08}.twr"))).expect("there");
    assert!(said(&["--verify"]).contains("the segment is missing"));
    // With the manifest, which may be missing, and which anybody can write anew.
    fs::remove_file(folder.path().join("manifest")).expect("there");
    for flags in [&["--verify"][..], &[]] {
        assert!(
            said(flags).contains("MISSING   its last segment says that another one follows"),
            "{}",
            said(flags)
        );
    }
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&said(&["--verify", "--json"])).expect("JSON")["files"][0]
            ["followed"],
        true
    );
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
    eventually("the log says so", || service.log().contains("File too large"));
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
