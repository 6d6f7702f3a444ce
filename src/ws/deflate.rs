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
const LEVEL: u32 = 1;

/// Compresses the messages of one stream, each with the ones before as its context.
///
/// It takes memory: 380 KB with a window of 15 bits, 265 KB with one of 12. Measured on JSON quotes of 160 bytes, as bytes
/// and nanoseconds an update, for messages of so many updates:
///
/// | level | 1 | 4 | 16 | 40 |
/// |---|---|---|---|---|
/// | 1, which is used | 36.6 B, 360 ns | 33.9 B, 320 ns | 32.8 B, 270 ns | 32.6 B, 260 ns |
/// | 2 | 31.7 B, 4.5 µs | 28.9 B, 1.5 µs | 24.5 B, 850 ns | 23.5 B, 570 ns |
/// | 6 | 24.7 B, 4.4 µs | 21.9 B, 2.6 µs | 18.7 B, 1.9 µs | 17.5 B, 1.7 µs |
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
    /// whoever has one loses nothing. It costs some 4 µs, as a full flush does, which would have to be cut off as well.
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
///
/// Its window is allocated with the first message.
pub struct Inflater {
    stream: Option<Decompress>,
    window_bits: u8,
    has_context: bool,
}

impl Inflater {
    /// For one stream whose messages have the ones before as their context. (What a sender ends with a final block,
    /// which none needs to do, is no context.)
    #[must_use]
    pub fn with_context(window_bits: u8) -> Self {
        // What was made with a smaller window is read with a larger one.
        let window_bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
        Self { stream: None, window_bits, has_context: true }
    }

    /// For messages that each stand for themselves, whoever sends them.
    #[must_use]
    pub const fn without_context() -> Self {
        Self { stream: None, window_bits: WINDOW_BITS_MAX, has_context: false }
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
        let window_bits = self.window_bits;
        let stream = self.stream.get_or_insert_with(|| Decompress::new_with_window_bits(false, window_bits));
        if !self.has_context {
            stream.reset(false);
        }
        let mut room = Room { start: out.len(), bytes_max, final_blocks: 0 };
        room.feed(stream, payload, out)?;
        room.feed(stream, &TAIL, out)?;
        check_end(stream, self.has_context)
    }
}

/// What a message may still become.
struct Room {
    start: usize,
    bytes_max: usize,
    final_blocks: u32,
}

impl Room {
    fn feed(
        &mut self,
        stream: &mut Decompress,
        mut input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        loop {
            self.make(out);
            let (taken_before, len_before) = (stream.total_in(), out.len());
            let status = stream
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_damaged| InflateError::Damaged)?;
            let taken = stream.total_in() - taken_before;
            input = after(input, taken);
            self.check(out)?;
            match status {
                Status::StreamEnd => {
                    self.final_blocks += 1;
                    if self.final_blocks > DEFLATE_FINAL_BLOCKS_MAX {
                        return Err(InflateError::Damaged);
                    }
                    stream.reset(false);
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

    /// Doubles what there is, up to one byte more than may be used.
    fn make(&self, out: &mut Vec<u8>) {
        if out.len() == out.capacity() {
            let used = out.len() - self.start;
            out.reserve_exact(used.max(1024).min((self.bytes_max - used).saturating_add(1)));
        }
    }

    fn check(&self, out: &[u8]) -> Result<(), InflateError> {
        if out.len() - self.start > self.bytes_max {
            return Err(InflateError::TooBig { bytes_max: self.bytes_max });
        }
        Ok(())
    }
}

/// The tail must have ended a block, so that another one is read as such. One that is marked as the last says it
/// for certain; the one that a stream with context can go on behind may vanish in a block's header that was cut.
fn check_end(stream: &mut Decompress, has_context: bool) -> Result<(), InflateError> {
    let mut empty = [0x00, 0x00, 0x00, 0xff, 0xff];
    let mut ended = Status::Ok;
    if !has_context {
        empty[0] = 0x01;
        ended = Status::StreamEnd;
    }
    let (taken_before, given_before) = (stream.total_in(), stream.total_out());
    let status = stream.decompress(&empty, &mut [0], FlushDecompress::Sync);
    let taken = stream.total_in() - taken_before;
    let is_end = status.is_ok_and(|status| status == ended)
        && taken == empty.len() as u64
        && stream.total_out() == given_before;
    if is_end { Ok(()) } else { Err(InflateError::Damaged) }
}

/// What is left of `bytes` when the first `taken` of them are.
fn after(bytes: &[u8], taken: u64) -> &[u8] {
    usize::try_from(taken).ok().and_then(|taken| bytes.get(taken..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn compressed(deflater: &mut Deflater, payload: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        deflater.compress(payload, &mut out);
        assert!(out.starts_with(b"before"), "it is appended");
        out.split_off(6)
    }

    fn inflated(inflater: &mut Inflater, payload: &[u8]) -> Result<Vec<u8>, InflateError> {
        let mut out = b"before".to_vec();
        inflater.decompress(payload, &mut out, 1 << 20)?;
        assert!(out.starts_with(b"before"), "it is appended");
        Ok(out.split_off(6))
    }

    /// RFC 7692 section 7.2.3.
    #[test]
    fn the_samples_of_the_rfc_are_read() {
        let samples: [&[u8]; 5] = [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            // In a stored block.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // In a final block.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            // In two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
            // In a final stored block.
            &[0x01, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        ];
        for sample in samples {
            for mut inflater in [Inflater::without_context(), Inflater::with_context(15)] {
                for _ in 0..3 {
                    assert_eq!(inflated(&mut inflater, sample), Ok(b"Hello".to_vec()), "{sample:x?}");
                }
            }
        }
        let mut inflater = Inflater::with_context(15);
        assert_eq!(inflated(&mut inflater, samples[0]), Ok(b"Hello".to_vec()));
        let with_context = [0xf2, 0x00, 0x11, 0x00, 0x00];
        assert_eq!(inflated(&mut inflater, &with_context), Ok(b"Hello".to_vec()));
        assert_eq!(inflated(&mut Inflater::without_context(), &with_context), Err(InflateError::Damaged));
        assert_eq!(inflated(&mut inflater, &[EMPTY]), Ok(Vec::new()));
    }

    #[test]
    fn a_message_that_is_cut_is_damaged() {
        let mut deflater = Deflater::new(15);
        let text: Vec<u8> =
            (0..2_000_u32).flat_map(|number| (number * number).to_string().into_bytes()).collect();
        let whole = compressed(&mut deflater, &text);
        for len in 0..whole.len() {
            let cut = inflated(&mut Inflater::without_context(), &whole[..len]);
            assert_eq!(cut, Err(InflateError::Damaged), "{len} of {}", whole.len());
        }
        assert_eq!(inflated(&mut Inflater::without_context(), &whole), Ok(text));
    }

    #[test]
    fn a_bomb_makes_no_more_room_than_a_message_may_have() {
        let bomb = compressed(&mut Deflater::new(15), &vec![b'x'; 64 << 20]);
        for bytes_max in [0, 1, 1_000, 1 << 20] {
            for mut inflater in [Inflater::without_context(), Inflater::with_context(15)] {
                let mut out = Vec::new();
                let result = inflater.decompress(&bomb, &mut out, bytes_max);
                assert_eq!(result, Err(InflateError::TooBig { bytes_max }));
                assert!(out.capacity() <= bytes_max + 1, "{} for {bytes_max}", out.capacity());
            }
        }
        let mut out = Vec::new();
        let exact = compressed(&mut Deflater::new(15), &[b'x'; 1_000]);
        assert_eq!(Inflater::without_context().decompress(&exact, &mut out, 1_000), Ok(()));
        assert_eq!(out.len(), 1_000);
    }

    #[test]
    fn final_blocks_are_counted() {
        let many = |count: u32| {
            let mut payload = [0x03, 0x00].repeat(count as usize);
            payload.push(EMPTY);
            inflated(&mut Inflater::without_context(), &payload)
        };
        assert_eq!(many(DEFLATE_FINAL_BLOCKS_MAX), Ok(Vec::new()));
        assert_eq!(many(DEFLATE_FINAL_BLOCKS_MAX + 1), Err(InflateError::Damaged));
    }

    /// A message that refers to others, as those of a market do.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let text = vec((0..50_u32, 0..1_000_u32), 0..200).prop_map(|quotes| {
            let quote =
                |(symbol, price)| format!("{{\"symbol\":\"S{symbol}\",\"bid\":\"{price}\"}},").into_bytes();
            quotes.into_iter().flat_map(quote).collect()
        });
        prop_oneof![4 => text, 1 => vec(any::<u8>(), 0..5_000)]
    }

    proptest! {
        #[test]
        fn what_is_compressed_is_read_by_all_who_joined_at_a_restart(
            window_bits in WINDOW_BITS_MIN..=WINDOW_BITS_MAX,
            messages in vec((message(), any::<bool>()), 1..40),
        ) {
            let mut deflater = Deflater::new(window_bits);
            // Each with nothing decoded before: one that is there from the start, and one for each restart.
            let mut readers = vec![Inflater::with_context(window_bits)];
            for (message, restarts) in messages {
                if restarts {
                    deflater.restart();
                    readers.push(Inflater::with_context(window_bits));
                }
                let payload = compressed(&mut deflater, &message);
                for reader in &mut readers {
                    prop_assert_eq!(inflated(reader, &payload), Ok(message.clone()));
                }
            }
        }

        #[test]
        fn without_context_each_message_stands_for_itself(messages in vec(message(), 1..20)) {
            let mut deflater = Deflater::new(15);
            let mut inflater = Inflater::without_context();
            for message in messages {
                deflater.restart();
                let payload = compressed(&mut deflater, &message);
                prop_assert_eq!(inflated(&mut inflater, &payload), Ok(message));
            }
        }

        #[test]
        fn whatever_comes_makes_no_more_than_it_may(
            garbage in vec(any::<u8>(), 0..300),
            good in message(),
            flipped in any::<prop::sample::Index>(),
        ) {
            let mut mutated = compressed(&mut Deflater::new(15), &good);
            let at = flipped.index(mutated.len());
            mutated[at] ^= 0x10;
            let mut inflater = Inflater::without_context();
            for payload in [&garbage, &mutated] {
                let mut out = Vec::new();
                let _ = inflater.decompress(payload, &mut out, 1_000);
                prop_assert!(out.capacity() <= 1_024);
            }
            // What was wrong with one message is forgotten with the next.
            let payload = compressed(&mut Deflater::new(15), &good);
            prop_assert_eq!(inflated(&mut inflater, &payload), Ok(good));
        }
    }
}
