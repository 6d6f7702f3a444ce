//! What `docs/capacity.md` shows of the model is what the model says of the present limits, and what it was measured by runs.

mod service {
    pub(crate) mod installed;
    pub(crate) mod needed;
}

use std::fs;
use std::path::{Path, PathBuf};

use service::installed::installed;
use service::needed::is_there;

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file)
}

#[test]
fn the_storm_is_as_the_model_has_it() {
    if !is_there("python3", installed("python3").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = folder.path().join("storm.svg");
    let output = installed("python3")
        .arg(docs("reconnect_storm.py"))
        .arg("--svg")
        .arg(&drawn)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let shown = fs::read_to_string(docs("capacity.md")).expect("it ships");
    let table = String::from_utf8(output.stdout).expect("UTF-8");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 8, "{table}");
    assert!(shown.contains(&rows.join("\n")), "let docs/capacity.md have\n{}", rows.join("\n"));
    let same = fs::read(&drawn).expect("drawn") == fs::read(docs("reconnect-storm.svg")).expect("it ships");
    assert!(same, "draw it anew: docs/reconnect_storm.py --svg docs/reconnect-storm.svg");
}

/// In small: what it prints depends on the machine.
#[cfg(feature = "nats")]
#[test]
fn what_things_cost_is_measured() {
    let nats = installed("nats-server");
    if !is_there("python3", installed("python3").arg("--version"))
        || !is_there("nats-server", installed("nats-server").arg("--version"))
    {
        return;
    }
    let output = installed("python3")
        .arg(docs("costs.py"))
        .arg("1")
        .env("TICKWIRE", env!("CARGO_BIN_EXE_tickwire"))
        .env("NATS_SERVER", nats.get_program())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    for part in [
        "a client that comes: 0.",
        "one client of all: ",
        "200 clients of 20: ",
        "the same at two gateways: NATS ",
    ] {
        assert!(told.lines().any(|line| line.starts_with(part)), "no {part} in {told}");
    }
}
