//! What tests need that is not part of this repository.
//!
//! Where Node, Python, Chromium, a balancer or what they need is missing, tests say so and skip; with `CLIENTS_REQUIRED`
//! set, as `make test` does, they fail instead.

use std::io::Write;
use std::process::{Command, Stdio};

/// Whether a command ends well; else this test is skipped, which is not allowed everywhere.
pub(crate) fn is_there(what: &str, command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
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
