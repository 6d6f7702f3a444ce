//! The data set beside the checkout, which is not part of the product.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file or folder of it; `None`, loudly, where it is not at hand.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if path.exists() {
        return Some(path);
    }
    // `eprintln!` would not be seen: what tests print by it is shown when they fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {} not found", path.display());
    None
}
