//! The page that this program was built with.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Where its files are.
pub(crate) fn folder() -> PathBuf {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let built = web.join("dist");
    if built.join("index.html").is_file() { built } else { web.join("unbuilt") }
}

/// Whether it is the real one; else this test is skipped, which is not allowed everywhere.
pub(crate) fn built() -> bool {
    let built = folder().ends_with("dist");
    if !built {
        let missing = "the page is not built: `make web` does that, or says what is missing";
        assert!(std::env::var_os("CLIENTS_REQUIRED").is_none(), "{missing}");
        // Not by `eprintln!`: what tests print by that is shown only when they fail.
        std::io::stderr().write_all(format!("SKIPPED: {missing}\n").as_bytes()).expect("standard error");
    }
    built
}
