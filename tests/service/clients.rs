//! The clients of `tests/clients`, where what they need is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::needed::is_there;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A client in Node, if that and its packages are there.
pub(crate) fn node(file: &str, package: &str) -> Option<Command> {
    let import = format!("import '{package}'");
    let there = is_there("node", Command::new("node").arg("--version"))
        && is_there(
            &format!("node's `{package}`"),
            Command::new("node").args(["--input-type=module", "--eval", &import]).current_dir(folder()),
        );
    there.then(|| client("node".into(), file))
}

pub(crate) fn client(program: OsString, file: &str) -> Command {
    let mut client = Command::new(program);
    client.arg(file).current_dir(folder()).stdin(Stdio::null());
    client
}
