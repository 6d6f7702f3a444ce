use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::super::deflate::Deflater;
use super::super::frame::{close_payload, put_masked};
use super::*;

const BYTES_MAX: u32 = 1_000_000;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// An [`Event`] that owns what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Event<'_>> for Owned {
    fn from(event: Event<'_>) -> Self {
        match event {
            Event::Text(text) => Self::Text(text.into()),
            Event::Binary(bytes) => Self::Binary(bytes.into()),
            Event::Ping(bytes) => Self::Ping(bytes.into()),
            Event::Pong(bytes) => Self::Pong(bytes.into()),
            Event::Close(close) => Self::Close(close.map(|(code, reason)| (code, reason.into()))),
        }
    }
}

struct Reader {
    decoder: Decoder,
    inflater: Inflater,
    inflated: Vec<u8>,
}

impl Reader {
    fn new(role: Role, deflate: bool) -> Self {
        let decoder = Decoder::new(role, deflate, BYTES_MAX);
        Self { decoder, inflater: Inflater::without_context(), inflated: Vec::new() }
    }

    /// What a chunk of input brings, and what is wrong with it.
    fn read(&mut self, chunk: &[u8], events: &mut Vec<Owned>) -> Result<(), DecodeError> {
        let mut bytes = chunk.to_vec();
        let mut input = &mut bytes[..];
        while let Some(event) = self.decoder.next(&mut input, &mut self.inflater, &mut self.inflated)? {
            events.push(event.into());
        }
        assert!(input.is_empty(), "all of it is read");
        Ok(())
    }
}

/// All events of an input that comes in these chunks, and the error that ends it.
fn read_in<'a>(
    role: Role,
    deflate: bool,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Owned>, Result<(), DecodeError>) {
    let mut reader = Reader::new(role, deflate);
    let mut events = Vec::new();
    for chunk in chunks {
        let result = reader.read(chunk, &mut events);
        if result.is_err() {
            assert_eq!(reader.read(b"\x81\0", &mut events), Ok(()), "nothing is read behind an error");
            return (events, result);
        }
    }
    (events, Ok(()))
}

/// A client's frame, of any first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_masked(&mut frame, Opcode::Binary, false, payload, MASK);
    frame[0] = first;
    frame
}

fn error_of(input: &[u8]) -> DecodeError {
    read_in(Role::Server, false, [input]).1.expect_err("an error")
}

#[test]
fn an_idle_connection_is_small() {
    assert!(size_of::<Decoder>() <= 100, "{}", size_of::<Decoder>());
}

#[test]
fn what_is_against_the_protocol_is_1002() {
    let cases: [(&[u8], DecodeError); 18] = [
        (&[0x91, 0x80], DecodeError::ReservedBits(0x10)),
        (&[0xa1, 0x80], DecodeError::ReservedBits(0x20)),
        (&[0xc1, 0x80], DecodeError::ReservedBits(0x40)),
        (&[0x83, 0x80], DecodeError::ReservedOpcode(3)),
        (&[0x8b, 0x80], DecodeError::ReservedOpcode(11)),
        (&[0x81, 0x00], DecodeError::Mask { is_masked: false }),
        (&[0x09, 0x80], DecodeError::ControlFragmented),
        (&[0x89, 0xfe], DecodeError::ControlTooLong),
        (&[0x88, 0xff], DecodeError::ControlTooLong),
        (&[0x80, 0x80], DecodeError::NothingToContinue),
        (&[0x00, 0x80], DecodeError::NothingToContinue),
        (&[0x01, 0x80, 0, 0, 0, 0, 0x81, 0x80], DecodeError::Unfinished),
        (&[0x01, 0x80, 0, 0, 0, 0, 0x02, 0x80], DecodeError::Unfinished),
        (&[0x81, 0xfe, 0, 125, 0, 0, 0, 0], DecodeError::Length(125)),
        (&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0], DecodeError::Length(65_535)),
        (&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], DecodeError::Length(1 << 63)),
        (&[0x88, 0x81, 0, 0, 0, 0, 3], DecodeError::CloseLength),
        (&[0x88, 0x82, 0, 0, 0, 0, 3, 237], DecodeError::CloseCode(1005)),
    ];
    for (input, error) in cases {
        assert_eq!((error_of(input), error.close_code()), (error, 1002), "{input:x?}");
    }
    let (_, result) = read_in(Role::Client, false, [&[0x81, 0x80][..]]);
    assert_eq!(result, Err(DecodeError::Mask { is_masked: true }));
}

#[test]
fn rsv1_stands_on_the_first_frame_of_a_compressed_message_alone() {
    let first = frame(RSV1 | Opcode::Text as u8, b"");
    for second in [FIN | RSV1, FIN | RSV1 | Opcode::Ping as u8, FIN | RSV1 | Opcode::Close as u8] {
        let input = [&first[..], &frame(second, b"")].concat();
        assert_eq!(read_in(Role::Server, true, [&input[..]]).1, Err(DecodeError::ReservedBits(RSV1)));
    }
}

#[test]
fn close_codes_are_those_that_may_be_sent() {
    for code in 0..=u16::MAX {
        let may_be_sent = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let result = read_in(Role::Server, false, [&frame(0x88, &close_payload(code, "why"))[..]]);
        if may_be_sent {
            assert_eq!(result, (vec![Owned::Close(Some((code, "why".into())))], Ok(())));
        } else {
            assert_eq!(result, (vec![], Err(DecodeError::CloseCode(code))));
        }
    }
    assert_eq!(error_of(&frame(0x88, &[3, 232, 0xff])), DecodeError::Utf8);
}

#[test]
fn nothing_is_read_behind_a_close_frame() {
    let input = [frame(0x88, b""), frame(0x89, b"ping"), vec![0xff; 100]].concat();
    assert_eq!(read_in(Role::Server, false, [&input[..], &input]), (vec![Owned::Close(None)], Ok(())));
}

#[test]
fn text_that_cannot_become_utf_8_is_refused_in_the_middle_of_its_frame() {
    // U+110000, as in Autobahn's 6.4: wrong from the second byte of the character on.
    let payload = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let whole = frame(0x81, payload);
    let header = whole.len() - payload.len();
    let (good, bad) = (&whole[..header + 12], &whole[header + 12..=header + 12]);
    assert_eq!(read_in(Role::Server, false, [good]), (vec![], Ok(())));
    assert_eq!(read_in(Role::Server, false, [good, bad]), (vec![], Err(DecodeError::Utf8)));
    assert_eq!(DecodeError::Utf8.close_code(), 1007);
    // A character that is cut by the message's end.
    assert_eq!(error_of(&frame(0x81, &payload[..12])), DecodeError::Utf8);
    let fragments = [frame(0x01, &payload[..12]), frame(0x80, b"")].concat();
    assert_eq!(error_of(&fragments), DecodeError::Utf8);
    let bytes = read_in(Role::Server, false, [&frame(0x82, payload)[..]]).0;
    assert_eq!(bytes, [Owned::Binary(payload.to_vec())]);
}

#[test]
fn what_is_too_large_is_1009_before_it_comes() {
    let error = DecodeError::MessageTooBig { bytes_max: BYTES_MAX };
    assert_eq!(error.close_code(), 1009);
    let mut huge = vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    huge.extend(MASK);
    assert_eq!(error_of(&huge), error);
    let part = frame(0x02, &vec![0; BYTES_MAX as usize - 1]);
    assert_eq!(error_of(&[&part[..], &frame(0x80, b"ab")[..6]].concat()), error);
    let (events, result) = read_in(Role::Server, false, [&part[..], &frame(0x80, b"a")]);
    assert_eq!((events.len(), result), (1, Ok(())));

    let mut bomb = Vec::new();
    Deflater::new(15).compress(&vec![0; BYTES_MAX as usize + 1], &mut bomb);
    let result = read_in(Role::Server, true, [&frame(FIN | RSV1 | 2, &bomb)[..]]).1;
    assert_eq!(result.map_err(DecodeError::close_code), Err(1009));
}

#[test]
fn a_message_has_a_bound_on_its_frames() {
    let begins = frame(0x01, b"");
    let goes_on = frame(0x00, b"").repeat(MESSAGE_FRAMES_MAX as usize - 2);
    let ends = frame(0x80, b"end");
    let most = [&begins[..], &goes_on, &ends].concat();
    let (events, result) = read_in(Role::Server, false, [&most[..], &most]);
    assert_eq!((events.len(), result), (2, Ok(())));
    let more = [&begins[..], &goes_on, &frame(0x00, b""), &ends].concat();
    assert_eq!(error_of(&more), DecodeError::TooManyFrames);
    assert_eq!(DecodeError::TooManyFrames.close_code(), 1009);
}

#[test]
fn memory_is_held_for_what_came_alone_and_given_back() {
    let mut reader = Reader::new(Role::Server, false);
    let mut events = Vec::new();
    let whole = frame(0x82, &vec![7; 500_000]);
    reader.read(&whole[..100], &mut events).expect("good so far");
    assert!(reader.decoder.message.capacity() < 1_000, "what was announced takes no room");
    reader.read(&whole[100..], &mut events).expect("good");
    reader.read(&frame(0x89, b"ping")[..8], &mut events).expect("good so far");
    assert!(reader.decoder.control.capacity() > 0);
    reader.read(&frame(0x89, b"ping")[8..], &mut events).expect("good");
    assert_eq!(events, [Owned::Binary(vec![7; 500_000]), Owned::Ping(b"ping".to_vec())]);
    assert_eq!((reader.decoder.message.capacity(), reader.decoder.control.capacity()), (0, 0));
}

/// What a client sends.
#[derive(Clone, Debug)]
struct Sent {
    event: Owned,
    is_compressed: bool,
    /// Where a message is cut, and the control frame that stands at the cut.
    cuts: Vec<(Index, Option<Owned>)>,
}

fn control() -> impl Strategy<Value = Owned> {
    let payload = || vec(any::<u8>(), 0..=CONTROL_BYTES_MAX);
    prop_oneof![payload().prop_map(Owned::Ping), payload().prop_map(Owned::Pong)]
}

fn sent() -> impl Strategy<Value = Sent> {
    let event = prop_oneof![
        2 => ".{0,300}".prop_map(Owned::Text),
        2 => vec(any::<u8>(), 0..300).prop_map(Owned::Binary),
        1 => "[a-z]{0,90000}".prop_map(Owned::Text),
        2 => control(),
    ];
    let cuts = vec((any::<Index>(), prop::option::of(control())), 0..5);
    (event, any::<bool>(), cuts).prop_map(|(event, is_compressed, cuts)| Sent { event, is_compressed, cuts })
}

fn payload(event: &Owned) -> (Opcode, Vec<u8>) {
    match event {
        Owned::Text(text) => (Opcode::Text, text.clone().into_bytes()),
        Owned::Binary(bytes) => (Opcode::Binary, bytes.clone()),
        Owned::Ping(bytes) => (Opcode::Ping, bytes.clone()),
        Owned::Pong(bytes) => (Opcode::Pong, bytes.clone()),
        Owned::Close(close) => {
            let payload = |(code, reason): &(u16, String)| close_payload(*code, reason);
            (Opcode::Close, close.as_ref().map(payload).unwrap_or_default())
        }
    }
}

/// Writes it as frames, and what is to be read of it.
fn write(sent: &Sent, bytes: &mut Vec<u8>, expected: &mut Vec<Owned>) {
    let (opcode, mut payload) = payload(&sent.event);
    if opcode.is_control() {
        bytes.extend(frame(FIN | opcode as u8, &payload));
        return expected.push(sent.event.clone());
    }
    let mut first = opcode as u8;
    if sent.is_compressed {
        first |= RSV1;
        let plain = std::mem::take(&mut payload);
        Deflater::new(15).compress(&plain, &mut payload);
    }
    let mut cuts: Vec<_> =
        sent.cuts.iter().map(|(at, control)| (at.index(payload.len() + 1), control)).collect();
    cuts.sort_by_key(|(at, _)| *at);
    let mut start = 0;
    for (at, between) in cuts {
        bytes.extend(frame(first, &payload[start..at]));
        (first, start) = (Opcode::Continuation as u8, at);
        if let Some(control) = between {
            let (opcode, payload) = self::payload(control);
            bytes.extend(frame(FIN | opcode as u8, &payload));
            expected.push(control.clone());
        }
    }
    bytes.extend(frame(FIN | first, &payload[start..]));
    expected.push(sent.event.clone());
}

/// The input in pieces.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut start = 0;
    ends.into_iter().map(|end| &bytes[std::mem::replace(&mut start, end)..end]).collect()
}

proptest! {
    #[test]
    fn what_was_sent_is_read_in_whatever_pieces_it_comes(
        messages in vec(sent(), 0..12),
        close in prop::option::of((3000..5000_u16, ".{0,30}")),
        cuts in vec(any::<Index>(), 0..40),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for sent in &messages {
            write(sent, &mut bytes, &mut expected);
        }
        let close = close.map(|(code, reason)| (code, reason[..reason.floor_char_boundary(123)].to_owned()));
        write(&Sent { event: Owned::Close(close), is_compressed: false, cuts: vec![] }, &mut bytes, &mut expected);
        let (events, result) = read_in(Role::Server, true, cut(&bytes, &cuts));
        prop_assert_eq!((&events, result), (&expected, Ok(())));
        if bytes.len() < 5_000 {
            let (events, result) = read_in(Role::Server, true, bytes.chunks(1));
            prop_assert_eq!((&events, result), (&expected, Ok(())));
        }
    }

    /// What is wrong is the same, wherever the pieces begin.
    #[test]
    fn damage_harms_nobody_and_is_told_alike(
        messages in vec(sent(), 1..6),
        flips in vec((any::<Index>(), any::<u8>()), 1..4),
        end in any::<Index>(),
        cuts in vec(any::<Index>(), 0..40),
    ) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for sent in &messages {
            write(sent, &mut bytes, &mut expected);
        }
        for (at, flip) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        bytes.truncate(end.index(bytes.len() + 1));
        let (events, result) = read_in(Role::Server, true, [&bytes[..]]);
        let (in_pieces, result_in_pieces) = read_in(Role::Server, true, cut(&bytes, &cuts));
        prop_assert_eq!(&events, &in_pieces);
        prop_assert_eq!(result, result_in_pieces);
    }

    #[test]
    fn garbage_harms_nobody(bytes in vec(any::<u8>(), 0..400), cuts in vec(any::<Index>(), 0..10)) {
        for (role, deflate) in [(Role::Server, true), (Role::Client, false)] {
            let whole = read_in(role, deflate, [&bytes[..]]);
            prop_assert_eq!(whole, read_in(role, deflate, cut(&bytes, &cuts)));
        }
    }
}
