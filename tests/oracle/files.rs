//! Recordings: those that ship, and those that a test writes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// A recording that ships with the product.
pub(crate) fn recording(venue: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("feeds/recordings");
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files = files.map(|file| file.expect("a readable folder").path());
    let is_it =
        |file: &PathBuf| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(venue));
    files.find(is_it).unwrap_or_else(|| panic!("no recording of {venue} ships"))
}

/// A `recv` line. `ts` is the text of its time, in seconds.
pub(crate) fn recv(connection: &str, ts: &str, payload: &Value) -> Value {
    let ts: serde_json::Number = ts.parse().expect("a number");
    json!({"t": "recv", "conn": connection, "ts": ts, "data": payload.to_string()})
}

/// The text of a capture.
pub(crate) fn json_lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Writes a file, compressed as its name says.
pub(crate) fn write(path: &Path, content: &[u8]) {
    let content = match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => zstd::encode_all(content, 3).expect("memory to compress in"),
        Some("gz") => gzip(content),
        _ => content.to_vec(),
    };
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Compressed as `.gz` files are.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).expect("memory to write to");
    encoder.finish().expect("memory to write to")
}
