//! Any bytes as compressed messages: no more room is made than they may take. And what is compressed here comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::ws::deflate::{Deflater, Inflater, WINDOW_BITS_MAX, WINDOW_BITS_MIN};

const BYTES_MAX: usize = 16 * 1024;

fn damage(mut inflater: Inflater, messages: [&[u8]; 2]) {
    for message in messages {
        let mut out = Vec::new();
        let result = inflater.decompress(message, &mut out, BYTES_MAX);
        assert!(out.len() <= BYTES_MAX + usize::from(result.is_err()), "{} bytes", out.len());
        assert!(out.capacity() <= BYTES_MAX + 1, "room for {} bytes", out.capacity());
        if result.is_err() {
            return;
        }
    }
}

fn round_trip(window_bits: u8, has_context: bool, messages: [&[u8]; 2]) {
    let mut deflater = Deflater::new(window_bits);
    let mut inflater =
        if has_context { Inflater::with_context(window_bits) } else { Inflater::without_context() };
    for message in messages {
        if !has_context {
            deflater.restart();
        }
        let (mut compressed, mut out) = (Vec::new(), Vec::new());
        deflater.compress(message, &mut compressed);
        assert_eq!(inflater.decompress(&compressed, &mut out, message.len()), Ok(()));
        assert_eq!(out, message);
    }
}

fuzz_target!(|data: &[u8]| {
    let [how, cut, bytes @ ..] = data else { return };
    let messages = bytes.split_at(usize::from(*cut).min(bytes.len())).into();
    let window_bits = WINDOW_BITS_MIN + (how >> 1) % (WINDOW_BITS_MAX - WINDOW_BITS_MIN + 1);
    let has_context = how & 1 != 0;
    damage(
        if has_context { Inflater::with_context(window_bits) } else { Inflater::without_context() },
        messages,
    );
    round_trip(window_bits, has_context, messages);
});
