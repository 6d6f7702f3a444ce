//! Any text as a client's request, and as a server's message, which our own client reads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::wire::{Request, decode};

fuzz_target!(|data: &[u8]| {
    let request = Request::parse(data);
    assert_eq!(request, Request::parse(data), "the same text is the same request");
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = decode::decode(text);
    }
});
