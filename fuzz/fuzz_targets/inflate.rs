//! Compressed messages, of which none may become more than it may; and what we compress, read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::ws::deflate::{Deflater, Inflater, WINDOW_BITS_MIN};

const BYTES_MAX: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    let [window, data @ ..] = data else { return };
    let window_bits = WINDOW_BITS_MIN + window % 7;
    // In halves, of which the second has the first as its context.
    let (first, second) = data.split_at(data.len() / 2);
    for mut inflater in [Inflater::without_context(), Inflater::with_context(window_bits)] {
        for payload in [first, second] {
            let mut out = Vec::new();
            let _ = inflater.decompress(payload, &mut out, BYTES_MAX);
            assert!(out.capacity() <= BYTES_MAX + 1, "{}", out.capacity());
        }
    }
    let mut deflater = Deflater::new(window_bits);
    let mut inflater = Inflater::with_context(window_bits);
    for message in [first, second] {
        let (mut payload, mut out) = (Vec::new(), Vec::new());
        deflater.compress(message, &mut payload);
        assert_eq!(inflater.decompress(&payload, &mut out, message.len()), Ok(()));
        assert_eq!(out, message);
    }
});
