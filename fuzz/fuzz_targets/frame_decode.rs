//! Any bytes as a connection's input, in either role, with and without deflate: what they are does not depend on the
//! pieces that they come in, nothing is longer than it may be, and nothing is read behind an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::ws::decode::{Decoder, Event, Role};
use tickwire::ws::deflate::Inflater;

const BYTES_MAX: u32 = 2048;

/// All events, as text, and the error that ends them.
fn read(role: Role, deflate: bool, input: &[u8], piece: usize) -> (Vec<String>, Option<String>) {
    let mut decoder = Decoder::new(role, deflate, BYTES_MAX);
    let mut inflater = Inflater::without_context();
    let mut inflated = Vec::new();
    let mut events = Vec::new();
    for piece in input.chunks(piece) {
        let mut bytes = piece.to_vec();
        let mut rest = &mut bytes[..];
        loop {
            match decoder.next(&mut rest, &mut inflater, &mut inflated) {
                Ok(Some(event)) => {
                    let (bytes, bytes_max) = match event {
                        Event::Text(text) => (text.len(), BYTES_MAX as usize),
                        Event::Binary(bytes) => (bytes.len(), BYTES_MAX as usize),
                        Event::Ping(bytes) | Event::Pong(bytes) => (bytes.len(), 125),
                        Event::Close(reason) => (reason.map_or(0, |(_, reason)| reason.len()), 123),
                    };
                    assert!(bytes <= bytes_max, "{bytes} bytes");
                    events.push(format!("{event:?}"));
                }
                Ok(None) => break,
                Err(error) => {
                    let mut more = *b"\x81\0";
                    let behind = decoder.next(&mut &mut more[..], &mut inflater, &mut inflated);
                    assert_eq!(behind, Ok(None), "nothing is read behind an error");
                    return (events, Some(format!("{error:?}")));
                }
            }
        }
        assert!(rest.is_empty(), "all of it is read");
    }
    (events, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, input)) = data.split_first() else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let deflate = how & 2 != 0;
    let whole = read(role, deflate, input, input.len().max(1));
    assert_eq!(read(role, deflate, input, usize::from(how >> 2) + 1), whole);
});
