//! `permessage-deflate`: a message's payload, compressed and back. RFC 7692 section 7.2.
//!
//! A message is a run of DEFLATE blocks that ends with an empty stored block, whose last four bytes are not sent.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::limits::DEFLATE_FINAL_BLOCKS_MAX;

/// The largest window, and the one that is meant when none is named.
pub const WINDOW_BITS_MAX: u8 = 15;
/// The smallest window that we compress with. RFC 7692 has 8, too, which no zlib does without a zlib header.
pub const WINDOW_BITS_MIN: u8 = 9;

/// Ends every message, and is not sent.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty message: the first byte of the block whose tail is not sent.
const EMPTY: u8 = 0x00;
/// Twice the bytes of level 1 are not worth a sixth of the time: see the table in the documentation of [`Deflater`].
const LEVEL: u32 = 1;

/// Compresses the messages of one stream, each with the ones before as its context.
pub struct Deflater {
    stream: Compress,
}

impl Deflater {
    /// A stream with a window of `2^window_bits` bytes.
    ///
    /// # Panics
    /// When `window_bits` is not in [`WINDOW_BITS_MIN`] to [`WINDOW_BITS_MAX`].
    #[must_use]
    pub fn new(window_bits: u8) -> Self {
        Self { stream: Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits) }
    }

    /// Appends the compressed form of `payload`.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if payload.is_empty() {
            return out.push(EMPTY);
        }
        let mut rest = payload;
        let start = out.len();
        out.reserve(payload.len() / 2 + 64);
        loop {
            let taken_before = self.stream.total_in();
            let status = self.stream.compress_vec(rest, out, FlushCompress::Sync);
            assert!(status.is_ok(), "a stream that is never finished takes everything: {status:?}");
            rest = after(rest, self.stream.total_in() - taken_before);
            // With room left, all of it has been written.
            if rest.is_empty() && out.len() < out.capacity() {
                break;
            }
            out.reserve(rest.len() + 64);
        }
        assert!(out[start..].ends_with(&TAIL), "a flush ends with an empty block");
        out.truncate(out.len() - TAIL.len());
    }

    /// Makes the next message refer to nothing that came before: whoever has no context can begin with it, and
    /// whoever has one loses nothing.
    pub fn restart(&mut self) {
        self.stream.reset();
    }
}

/// Why a message cannot be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// It becomes longer than it may.
    #[error("a compressed message becomes longer than {bytes_max} bytes")]
    TooBig {
        /// What it may be.
        bytes_max: usize,
    },
    /// It is not DEFLATE, or does not end with the end of a block.
    #[error("a compressed message is damaged")]
    Damaged,
}

/// Decompresses messages: those of one stream, or, where each stands for itself, of any number of streams.
pub struct Inflater {
    stream: Decompress,
    has_context: bool,
}

impl Inflater {
    /// For one stream whose messages have the ones before as their context. (What a sender ends with a final block,
    /// which none needs to do, is no context.)
    #[must_use]
    pub fn with_context(window_bits: u8) -> Self {
        // What was made with a smaller window is read with a larger one.
        let window_bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        Self { stream: Decompress::new_with_window_bits(false, window_bits), has_context: true }
    }

    /// For messages that each stand for themselves, whoever sends them.
    #[must_use]
    pub fn without_context() -> Self {
        Self { stream: Decompress::new(false), has_context: false }
    }

    /// Appends what `payload` was before, when that is at most `bytes_max` bytes long; no more room than that is made.
    ///
    /// # Errors
    /// [`InflateError`]. What was appended until then is of no use, nor is what comes after of a stream with context.
    pub fn decompress(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), InflateError> {
        if !self.has_context {
            self.stream.reset(false);
        }
        let mut room = Room { start: out.len(), bytes_max, final_blocks: 0 };
        self.feed(payload, out, &mut room)?;
        self.feed(&TAIL, out, &mut room)?;
        self.check_end()
    }

    fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>, room: &mut Room) -> Result<(), InflateError> {
        loop {
            room.make(out);
            let (taken_before, len_before) = (self.stream.total_in(), out.len());
            let status = self
                .stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_damaged| InflateError::Damaged)?;
            let taken = self.stream.total_in() - taken_before;
            input = after(input, taken);
            room.check(out)?;
            match status {
                Status::StreamEnd => {
                    room.final_blocks += 1;
                    if room.final_blocks > DEFLATE_FINAL_BLOCKS_MAX {
                        return Err(InflateError::Damaged);
                    }
                    self.stream.reset(false);
                    if input.is_empty() {
                        return Ok(());
                    }
                }
                // With room left, all of it has been written.
                Status::Ok | Status::BufError if input.is_empty() && out.len() < out.capacity() => {
                    return Ok(());
                }
                Status::Ok | Status::BufError if taken == 0 && out.len() == len_before => {
                    return Err(InflateError::Damaged);
                }
                Status::Ok | Status::BufError => {}
            }
        }
    }

    /// The tail must have ended a block, so that another one is read as such. One that is marked as the last says it
    /// for certain; the one that a stream with context can go on behind may vanish in a block's header that was cut.
    fn check_end(&mut self) -> Result<(), InflateError> {
        let mut empty = [0x00, 0x00, 0x00, 0xff, 0xff];
        let mut ended = Status::Ok;
        if !self.has_context {
            empty[0] = 0x01;
            ended = Status::StreamEnd;
        }
        let (taken_before, given_before) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.decompress(&empty, &mut [0], FlushDecompress::Sync);
        let taken = self.stream.total_in() - taken_before;
        let is_end = status.is_ok_and(|status| status == ended)
            && taken == empty.len() as u64
            && self.stream.total_out() == given_before;
        if is_end { Ok(()) } else { Err(InflateError::Damaged) }
    }
}

/// What a message may still become.
struct Room {
    start: usize,
    bytes_max: usize,
    final_blocks: u32,
}

impl Room {
    /// Doubles what there is, up to one byte more than may be used.
    fn make(&self, out: &mut Vec<u8>) {
        if out.len() == out.capacity() {
            let used = out.len() - self.start;
            out.reserve_exact(used.max(1024).min(self.bytes_max - used + 1));
        }
    }

    fn check(&self, out: &[u8]) -> Result<(), InflateError> {
        if out.len() - self.start > self.bytes_max {
            return Err(InflateError::TooBig { bytes_max: self.bytes_max });
        }
        Ok(())
    }
}

/// What is left of `bytes` when the first `taken` of them are.
fn after(bytes: &[u8], taken: u64) -> &[u8] {
    usize::try_from(taken).ok().and_then(|taken| bytes.get(taken..)).unwrap_or_default()
}
