//! Frames, in one piece and in many: the same must come of both.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::ws::decode::{DecodeError, Decoder, Event, Role};
use tickwire::ws::deflate::Inflater;

const BYTES_MAX: u32 = 4_096;

fn read<'a>(options: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Option<DecodeError>) {
    let role = if options & 1 == 0 { Role::Server } else { Role::Client };
    let mut decoder = Decoder::new(role, options & 2 != 0, BYTES_MAX);
    let mut inflater = Inflater::without_context();
    let mut inflated = Vec::new();
    let mut events = Vec::new();
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = &mut piece[..];
        loop {
            match decoder.next(&mut input, &mut inflater, &mut inflated) {
                Ok(None) => break,
                Ok(Some(event)) => {
                    if let Event::Text(text) = event {
                        assert!(text.len() <= BYTES_MAX as usize);
                    }
                    events.push(format!("{event:?}"));
                }
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}

fuzz_target!(|data: &[u8]| {
    let [options, piece, bytes @ ..] = data else { return };
    let whole = read(*options, std::iter::once(bytes));
    assert_eq!(whole, read(*options, bytes.chunks(usize::from(*piece).max(1))));
});
