//! The tests of what is written in TypeScript: of the client, against this program too, and of the page's own logic.

mod service {
    pub(crate) mod clients;
    pub(crate) mod needed;
}

use std::process::Command;

use service::clients::{folder, node};
use service::needed::is_there;

const WEB: &str = "../../web";

/// Runs tests of `web/`, where what they import is there.
fn passes(tests: &[&str], imports: &[&str]) {
    let Some(mut node) = node("--test", "ws") else { return };
    let imports: String = imports.iter().map(|file| format!("import '{WEB}/{file}';")).collect();
    let mut import = Command::new("node");
    if !is_there(
        "the page or its client (`make web`)",
        import.args(["--input-type=module", "--eval", &imports]).current_dir(folder()),
    ) {
        return;
    }
    let output = node
        .args(tests.iter().map(|test| format!("{WEB}/{test}.test.mjs")))
        .env("TICKWIRE", env!("CARGO_BIN_EXE_tickwire"))
        .env("CLIENTS_REQUIRED", "1")
        .output()
        .expect("node");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_client_passes_its_tests() {
    let tests = ["exact", "rude", "service", "sse", "vectors"].map(|name| format!("client/test/{name}"));
    passes(&tests.each_ref().map(String::as_str), &["client/dist/index.js", "node_modules/ws/index.js"]);
}

#[test]
fn the_page_passes_its_tests() {
    passes(&["test/page"], &["node_modules/vite/dist/node/index.js"]);
}
