//! Long work tells a terminal how far it is, and nobody else.

mod service {
    pub(crate) mod needed;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod run;
    pub(crate) mod simulated;
}

use std::process::Command;

use service::needed::is_there;
use service::process::Service;
use service::program::tickwire;
use service::run::run;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst");
/// How a line is written over.
const WIPE: &str = "\r\u{1b}[K";

/// What a command shows on a terminal; `None`: there is none to be had.
fn on_a_terminal(arguments: &[&str]) -> Option<String> {
    if !is_there("`script` of util-linux", Command::new("script").arg("--version")) {
        return None;
    }
    let words = [&[env!("CARGO_BIN_EXE_tickwire")], arguments].concat();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let mut command = Command::new("script");
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let output = run(command.args(["-q", "-e", "-c", &quoted.join(" "), "/dev/null"]));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{text}");
    Some(text)
}

/// A terminal is told `states`, one over the other, and the last is wiped before `result`; else nobody is told anything.
#[track_caller]
fn assert_told(arguments: &[&str], states: &[&str], result: &str) {
    let plain = run(tickwire().args(arguments));
    assert!(plain.status.success(), "{plain:?}");
    assert!(plain.stderr.is_empty(), "{}", String::from_utf8_lossy(&plain.stderr));
    assert!(String::from_utf8_lossy(&plain.stdout).contains(result), "{plain:?}");
    let Some(text) = on_a_terminal(arguments) else { return };
    let mut rest = text.as_str();
    for state in states {
        let at = rest.find(state).unwrap_or_else(|| panic!("no {state:?} in {rest:?}"));
        assert!(rest[..at].contains(WIPE), "{text:?}");
        rest = &rest[at..];
    }
    let wiped = rest.rfind(WIPE).unwrap_or_else(|| panic!("what stands last is not wiped: {rest:?}"));
    assert!(rest[wiped..].contains(result), "{rest:?}");
}

#[test]
fn an_inspection_tells_how_far_it_is() {
    assert_told(&["inspect", RECORDING], &["jsonl.zst: opening"], "kraken");
}

#[test]
fn an_export_tells_how_far_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.csv");
    let out = out.to_str().expect("UTF-8");
    let arguments = ["export", "sim", "--messages", "5000", "--out", out, "--kind", "orders", "--force"];
    assert_told(&arguments, &[": 0 messages", ": finishing"], "exported ");
}

#[test]
fn a_load_tells_how_far_it_is() {
    let server = Service::simulated("quotes", 3, 10);
    let url = format!("http://{}", server.address);
    let arguments = ["load", &url, "--clients", "2", "--warmup", "100ms", "--duration", "500ms"];
    let states = [
        "connecting [",
        "warming up [------------------------]   0 %",
        "measuring [------------------------]   0 %",
        "receiving what is still due",
    ];
    assert_told(&arguments, &states, "clients");
}
