//! A service under churn for a long time: its memory and its files stay flat, no client's state diverges, and it ends
//! in order. A quarter of a minute here; `make soak` for as long as `SOAK_SECONDS` says.

mod service {
    #[allow(dead_code, reason = "peaks are those of single attacks")]
    pub(crate) mod memory;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod signal;
    pub(crate) mod simulated;
}

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::Value;

use service::process::Service;
use service::program::tickwire;
use service::signal::signal;

/// Lives of the service, each ended as an operator ends it.
const LIVES: u64 = 3;
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

#[test]
fn memory_and_files_stay_flat_and_no_state_diverges() {
    let seconds =
        std::env::var("SOAK_SECONDS").map_or(15, |text| text.parse().expect("SOAK_SECONDS: a number"));
    for life in 1..=LIVES {
        let mut server = Service::simulated("market", 100, 50);
        let samples = live(&server, seconds / LIVES);
        signal(&server.child, "TERM");
        let status = server.child.wait().expect("a process");
        assert!(status.success(), "life {life}: {status}: {}", server.log());

        // The first third is to warm up; what is reached in the second is not exceeded in the last.
        let third = samples.len() / 3;
        let most = |part: &[(u64, usize)]| {
            let memory = part.iter().map(|(memory, _)| *memory).max().expect("samples");
            (memory, part.iter().map(|(_, files)| *files).max().expect("samples"))
        };
        let ((memory, files), (last_memory, last_files)) =
            (most(&samples[third..2 * third]), most(&samples[2 * third..]));
        eprintln!("life {life}: {memory} KiB, then {last_memory}; {files} open files, then {last_files}");
        assert!(last_memory <= memory + memory / 20 + 4 * 1024, "{memory} KiB, then {last_memory}");
        assert!(last_files <= files + 32, "{files} open files, then {last_files}");
    }
}

/// Clients of every habit for so long; what memory (KiB) and files the service had meanwhile.
fn live(server: &Service, seconds: u64) -> Vec<(u64, usize)> {
    let url = format!("http://{}", server.address);
    let duration = format!("{seconds}s");
    let habits =
        ["--slow", "10:20000", "--stall", "20:2s:1s", "--churn", "40:1s", "--churn-subs", "40:500ms"];
    let mut load = tickwire()
        .args(["load", "--json", &url, "--channel", "book", "--clients", "250", "--symbols", "10"])
        .args(["--warmup", "500ms", "--duration", &duration, "--threads", "1"])
        .args(habits)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program is built");
    let mut samples = Vec::new();
    let start = monotonic();
    while load.try_wait().expect("a process").is_none() {
        let files = fs::read_dir(format!("/proc/{}/fd", server.child.id())).expect("Linux").count();
        samples.push((server.resident_kib(), files));
        std::thread::park_timeout(SAMPLE_EVERY);
    }
    let took = monotonic().duration_since(start);
    let output = load.wait_with_output().expect("a report");
    let report: Value = serde_json::from_slice(&output.stdout).expect("a report");
    assert!(output.status.success(), "{report}");
    eprintln!("{took:?}: {}", report["delivered"]);
    samples
}
