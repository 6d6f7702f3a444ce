//! The tutorials of `docs`, followed step by step: each command runs, and writes what is shown.

mod service {
    pub(crate) mod chromium;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod needed;
    #[expect(dead_code, reason = "it is found on the path")]
    pub(crate) mod program;
    pub(crate) mod python;
}
mod tutorial {
    pub(crate) mod block;
    pub(crate) mod likeness;
    pub(crate) mod walk;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use service::chromium::{CHROMIUM, chromium};
use service::clients::node;
use service::needed::is_there;
use service::python::python;
use tutorial::walk::Walk;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tutorials")
}

/// Follows one, if all that it uses is there.
fn walk(name: &str) -> Option<Walk> {
    let text = fs::read_to_string(folder().join(name)).expect("it ships");
    let is_there = is_there("curl", Command::new("curl").arg("--version"))
        && python("quotes.py").is_some()
        && (!text.contains("\nnode ") || node("quotes.mjs", "ws").is_some());
    is_there.then(|| Walk::of(&text))
}

#[test]
fn dashboard_developers_see_their_page_move() {
    let Some(mut look) = chromium("page/watchlist.mjs") else { return };
    let Some(walk) = walk("dashboard.md") else { return };
    let symbols = ["ZAZA", "JOXO-USD", "ZEXI"];
    let page = walk.here("http://127.0.0.1:8000/watchlist.html");
    let output = look.args([&page, CHROMIUM]).args(symbols).output().expect("it is there");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().collect::<Vec<_>>(), symbols);
}

#[test]
fn replayers_get_the_same_result() {
    walk("replayer.md");
}

#[test]
fn load_testers_get_a_figure() {
    walk("load-tester.md");
}

#[test]
fn operators_let_in_who_may_and_stop_without_harm() {
    walk("operator.md");
}

#[test]
fn there_are_no_others() {
    let files = fs::read_dir(folder()).expect("it ships");
    let names: BTreeSet<_> = files.map(|file| file.expect("an entry").file_name()).collect();
    let known = ["dashboard.md", "load-tester.md", "operator.md", "replayer.md"];
    assert!(names.iter().map(|name| name.to_str().expect("UTF-8")).eq(known), "{names:?}");
}
