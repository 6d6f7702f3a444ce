//! Clients in Python.

use std::process::Command;

use super::clients::client;
use super::needed::is_there;

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
