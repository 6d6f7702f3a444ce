//! The clients of `tests/clients`, and what they need.
//!
//! Where Node, Python, Chromium or their packages are missing, tests say so and skip; with `CLIENTS_REQUIRED` set, as
//! `make test` does, they fail instead.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Whether a command ends well; else this test is skipped, which is not allowed everywhere.
pub(crate) fn is_there(what: &str, command: &mut Command) -> bool {
    let command =
        command.current_dir(folder()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let there = command.status().is_ok_and(|status| status.success());
    if !there {
        let missing = format!("{what} is missing: `make clients` installs it, or says how to");
        assert!(std::env::var_os("CLIENTS_REQUIRED").is_none(), "{missing}");
        // Not by `eprintln!`: what tests print by that is shown only when they fail.
        let skipped = format!("SKIPPED: {missing}\n");
        std::io::stderr().write_all(skipped.as_bytes()).expect("standard error");
    }
    there
}

/// A client in Node, if that and its packages are there.
pub(crate) fn node(file: &str, package: &str) -> Option<Command> {
    let import = format!("import '{package}'");
    let there = is_there("node", Command::new("node").arg("--version"))
        && is_there(
            &format!("node's `{package}`"),
            Command::new("node").args(["--input-type=module", "--eval", &import]),
        );
    there.then(|| client("node".into(), file))
}

/// A client in Python, if that and its package are there.
pub(crate) fn python(file: &str) -> Option<Command> {
    let python = std::env::var_os("CLIENTS_PYTHON").unwrap_or_else(|| "python3".into());
    let there = is_there("python3", Command::new(&python).arg("--version"))
        && is_there(
            "python's `websockets`",
            Command::new(&python).args(["-c", "import websockets.sync.client"]),
        );
    there.then(|| client(python, file))
}

fn client(program: OsString, file: &str) -> Command {
    let mut client = Command::new(program);
    client.arg(file).current_dir(folder()).stdin(Stdio::null());
    client
}
