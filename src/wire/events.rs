//! Server-sent events, as the HTML standard has them: lines of text, an empty one behind each event.

/// Appends an event with a message: JSON objects, with commas between them.
pub fn data(out: &mut Vec<u8>, objects: &[u8]) {
    out.extend_from_slice(b"data: [");
    out.extend_from_slice(objects);
    out.extend_from_slice(b"]\n\n");
}

/// Appends a comment and a heartbeat: who parses nothing sees that the stream lives, who does what it says.
pub fn heartbeat(out: &mut Vec<u8>, object: &[u8]) {
    out.extend_from_slice(b": heartbeat\n");
    data(out, object);
}

/// Appends how many milliseconds to wait before coming back when the stream has ended.
pub fn retry(out: &mut Vec<u8>, after_ms: u64) {
    out.extend_from_slice(format!("retry: {after_ms}\n\n").as_bytes());
}
