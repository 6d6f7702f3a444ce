//! `permessage-deflate`. RFC 7692.

use flate2::{Compress, Compression, FlushCompress};

/// The largest window.
pub const WINDOW_BITS_MAX: u8 = 15;

/// Compresses messages, each of which may refer to those before.
pub struct Deflater(Compress);

impl Deflater {
    /// With a window of two to the power of `window_bits` bytes, 9 to 15.
    #[must_use]
    pub fn new(window_bits: u8) -> Self {
        Self(Compress::new_with_window_bits(Compression::new(1), false, window_bits))
    }

    /// The next message refers to none before it.
    pub fn restart(&mut self) {
        self.0.reset();
    }

    /// Appends a message's compressed payload.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        let mut rest = payload;
        loop {
            out.reserve(rest.len() / 2 + 64);
            let before = self.0.total_in();
            self.0.compress_vec(rest, out, FlushCompress::Sync).expect("deflate takes every input");
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(usize::MAX);
            rest = &rest[taken..];
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
        }
        out.truncate(out.len() - 4);
    }
}
