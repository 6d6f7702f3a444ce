//! Programs that `make clients` installs beside its Python.

use std::path::{Path, PathBuf};
use std::process::Command;

/// One of them, or else that on the path.
pub(crate) fn installed(program: &str) -> Command {
    let python = std::env::var_os("CLIENTS_PYTHON").map(PathBuf::from);
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let beside = python.unwrap_or(ours).with_file_name(program);
    Command::new(if beside.is_file() { beside } else { program.into() })
}
