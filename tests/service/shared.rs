//! The data set beside the checkout, which is not part of the product.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file or folder of it; `None`, loudly, where it is not at hand.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // In one piece, and not by `eprintln!`: what tests print by that is shown only when they fail.
    let skipped = format!("SKIPPED: {} not found\n", path.display());
    std::io::stderr().write_all(skipped.as_bytes()).expect("standard error");
    None
}
