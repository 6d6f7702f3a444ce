//! Clients in Chromium.

use std::process::Command;

use super::clients::node;
use super::needed::is_there;

/// Where Debian's package puts it.
pub(crate) const CHROMIUM: &str = "/usr/bin/chromium";

/// A client in Node that drives Chromium, if both and the package for it are there.
pub(crate) fn chromium(file: &str) -> Option<Command> {
    let there = is_there("Chromium (Debian's package `chromium`)", Command::new(CHROMIUM).arg("--version"));
    if there { node(file, "playwright-core") } else { None }
}
