//! What a client asks, as text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::wire::Request;
use tickwire::wire::message;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = Request::parse(data) {
        let mut answer = Vec::new();
        message::error(&mut answer, &error);
        assert!(std::str::from_utf8(&answer).is_ok_and(|answer| answer.starts_with('{')));
    }
});
