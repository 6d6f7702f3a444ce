//! Any bytes as a file, gzip, zstd, zip or plain: it reads the same in pieces of any size, up to the same damage.

#![no_main]

use feeds::{FeedError, Input};
use libfuzzer_sys::fuzz_target;
use tickwire_fuzz::{folder, save};

/// As much as is read: a few bytes of zstd may stand for millions.
const BYTES_MAX: usize = 1 << 20;

/// What is read, and the error that ended it.
fn read(
    mut input: Input,
    mut next: impl FnMut(&mut Input, &mut Vec<u8>) -> Result<bool, FeedError>,
) -> (Vec<u8>, Option<String>) {
    let mut bytes = Vec::new();
    loop {
        assert_eq!(input.offset(), bytes.len() as u64);
        match next(&mut input, &mut bytes) {
            Ok(true) if bytes.len() < BYTES_MAX => {}
            Ok(_) => return (bytes, None),
            Err(error) => {
                assert!(
                    matches!(error, FeedError::Io { offset, .. } if offset == Some(bytes.len() as u64)),
                    "{error}"
                );
                return (bytes, Some(error.to_string()));
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let folder = folder();
    let path = save(&folder, "input", data);
    let (peeked, pieces) = match (Input::open(&path), Input::open(&path)) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            assert_eq!(one.err().map(|error| error.to_string()), other.err().map(|error| error.to_string()));
            return;
        }
    };
    let (whole, error) = read(peeked, |input, bytes| {
        let more = input.peek()?;
        let count = more.len();
        bytes.extend_from_slice(more);
        input.consume(count);
        Ok(count > 0)
    });
    let piece = 1 + data.last().map_or(0, |byte| usize::from(*byte)) * 16;
    let (in_pieces, other) = read(pieces, |input, bytes| {
        let mut buffer = vec![0; piece];
        let count = input.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    });
    let common = whole.len().min(in_pieces.len());
    assert_eq!(whole[..common], in_pieces[..common]);
    // What is longer than is read may end anywhere.
    if common < BYTES_MAX {
        assert_eq!((whole.len(), error), (in_pieces.len(), other));
    }
});
