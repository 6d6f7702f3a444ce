//! What a server sends, walked without reading it: RFC 6455 frames header by header, and a needle counted in them.

use memchr::memmem;

/// FIN and opcode bits of a frame's first byte, and the mask bit and length of its second. RFC 6455 section 5.2.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_RSV3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

const HEADER_BYTES_MAX: usize = 10;
const CONTROL_BYTES_MAX: usize = 125;

/// Walks the frames of one connection, however they are cut into reads.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    header: [u8; HEADER_BYTES_MAX],
    header_len: usize,
    /// The frame whose payload is coming.
    frame: Option<Frame>,
    /// The data message that is not over yet.
    message: Option<Form>,
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    left: u64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Data(Form),
    Control(Control),
}

/// What a data message is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text as it was written.
    Text,
    /// Compressed, or binary: nothing to be seen in it without taking it apart.
    Opaque,
}

/// What a control frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Close,
    Ping,
    Pong,
}

/// What was found in the bytes of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// So much of a message's payload; `is_end`: nothing more of this message comes.
    Data { form: Form, payload: &'a [u8], is_end: bool },
    /// A control frame, whole.
    Control(Control, &'a [u8]),
}

/// Bytes that are no frames of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no frame of a server begins with {0:#04x} {1:#04x}")]
pub(super) struct BadFrame(u8, u8);

impl Scanner {
    /// The next piece of `bytes`, which are shortened by it; `None` when they are used up.
    pub(super) fn next<'s, 'b: 's>(
        &'s mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<Piece<'s>>, BadFrame> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                match self.read_header(bytes)? {
                    Some(frame) => self.frame = Some(frame),
                    None => return Ok(None),
                }
                continue;
            };
            let len = usize::try_from(frame.left).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (payload, rest) = bytes.split_at(len);
            if payload.is_empty() && frame.left > 0 {
                self.frame = Some(frame);
                return Ok(None);
            }
            *bytes = rest;
            frame.left -= len as u64;
            let is_over = frame.left == 0;
            if !is_over {
                self.frame = Some(frame);
            }
            match frame.kind {
                Kind::Data(form) => {
                    let is_end = is_over && frame.is_final;
                    if is_end {
                        self.message = None;
                    }
                    return Ok(Some(Piece::Data { form, payload, is_end }));
                }
                Kind::Control(control) => {
                    self.control.extend_from_slice(payload);
                    if is_over {
                        return Ok(Some(Piece::Control(control, &self.control)));
                    }
                }
            }
        }
    }

    /// The header of the next frame, once all of it is there.
    fn read_header(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, BadFrame> {
        loop {
            let wanted = match (self.header_len, self.header[1] & LENGTH) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if self.header_len == wanted {
                break;
            }
            let len = (wanted - self.header_len).min(bytes.len());
            if len == 0 {
                return Ok(None);
            }
            let (head, rest) = bytes.split_at(len);
            self.header[self.header_len..self.header_len + len].copy_from_slice(head);
            self.header_len += len;
            *bytes = rest;
        }
        let header = std::mem::take(&mut self.header);
        self.header_len = 0;
        self.frame_of(&header).map(Some)
    }

    fn frame_of(&mut self, header: &[u8; HEADER_BYTES_MAX]) -> Result<Frame, BadFrame> {
        let [first, second, extended @ ..] = *header;
        let bad = BadFrame(first, second);
        let [high, low, ..] = extended;
        let left = match second & LENGTH {
            126 => u64::from(u16::from_be_bytes([high, low])),
            127 => u64::from_be_bytes(extended),
            short => u64::from(short),
        };
        let is_final = first & FIN != 0;
        if first & RSV2_RSV3 != 0 || second & MASKED != 0 {
            return Err(bad);
        }
        let form = |plain| if first & RSV1 == 0 { plain } else { Form::Opaque };
        let kind = match (first & OPCODE, self.message) {
            (0x0, Some(form)) if first & RSV1 == 0 => Kind::Data(form),
            (0x1, None) => Kind::Data(form(Form::Text)),
            (0x2, None) => Kind::Data(Form::Opaque),
            (0x8, _) => Kind::Control(Control::Close),
            (0x9, _) => Kind::Control(Control::Ping),
            (0xa, _) => Kind::Control(Control::Pong),
            _ => return Err(bad),
        };
        match kind {
            Kind::Data(form) => self.message = Some(form),
            Kind::Control(_) if !is_final || first & RSV1 != 0 || left > CONTROL_BYTES_MAX as u64 => {
                return Err(bad);
            }
            Kind::Control(_) => self.control.clear(),
        }
        Ok(Frame { kind, is_final, left })
    }
}

/// Counts a needle in texts that come in pieces.
#[derive(Debug)]
pub(super) struct Needle {
    finder: memmem::Finder<'static>,
}

/// What the last piece of an unfinished text ended with: a needle may have begun in it.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: [u8; Needle::BYTES_MAX - 1],
    len: usize,
}

impl Needle {
    const BYTES_MAX: usize = 24;

    /// # Panics
    /// When it is empty or longer than 24 bytes.
    pub(super) fn new(needle: &'static str) -> Self {
        assert!((1..=Self::BYTES_MAX).contains(&needle.len()), "{needle:?} is not of 1 to 24 bytes");
        Self { finder: memmem::Finder::new(needle) }
    }

    /// How often it ends in `piece`; `is_end`: what comes next is another text. A text in one piece costs one search.
    pub(super) fn count(&self, tail: &mut Tail, piece: &[u8], is_end: bool) -> u64 {
        let across = if tail.len == 0 { 0 } else { self.count_across(tail, piece) };
        if is_end {
            tail.len = 0;
        } else {
            tail.push(piece, self.finder.needle().len() - 1);
        }
        (across + self.finder.find_iter(piece).count()) as u64
    }

    /// Neither the tail nor as much of the piece is as long as the needle: what is found in both together lies across.
    fn count_across(&self, tail: &Tail, piece: &[u8]) -> usize {
        let head = &piece[..(self.finder.needle().len() - 1).min(piece.len())];
        let mut seam = [0; 2 * (Self::BYTES_MAX - 1)];
        let len = tail.len + head.len();
        seam[..tail.len].copy_from_slice(&tail.bytes[..tail.len]);
        seam[tail.len..len].copy_from_slice(head);
        self.finder.find_iter(&seam[..len]).count()
    }
}

impl Tail {
    /// Keeps the last `reach` bytes of what was there and `piece`.
    fn push(&mut self, piece: &[u8], reach: usize) {
        let new = &piece[piece.len() - reach.min(piece.len())..];
        let kept = self.len.min(reach - new.len());
        self.bytes.copy_within(self.len - kept..self.len, 0);
        self.bytes[kept..kept + new.len()].copy_from_slice(new);
        self.len = kept + new.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of a server.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            len @ 0..=125 => frame.push(u8::try_from(len).unwrap()),
            len @ 126..=65_535 => {
                frame.push(126);
                frame.extend(u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(127);
                frame.extend((len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    type Messages = Vec<(Form, Vec<u8>)>;
    type Controls = Vec<(Control, Vec<u8>)>;

    /// Messages with their payload whole, and control frames, of bytes that come in reads of these lengths.
    fn walk(bytes: &[u8], cuts: &[usize]) -> Result<(Messages, Controls), BadFrame> {
        let (mut messages, mut controls, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let mut scanner = Scanner::default();
        let mut rest = bytes;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let (mut read, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            while let Some(piece) = scanner.next(&mut read)? {
                match piece {
                    Piece::Data { form, payload, is_end } => {
                        open.extend_from_slice(payload);
                        if is_end {
                            messages.push((form, std::mem::take(&mut open)));
                        }
                    }
                    Piece::Control(control, payload) => controls.push((control, payload.to_vec())),
                }
            }
        }
        Ok((messages, controls))
    }

    fn any_message() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
        let payload = || {
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..140),
                (65_530..65_540_usize).prop_map(|len| vec![7; len]),
            ]
        };
        let control =
            (prop::sample::select(vec![0x88, 0x89, 0x8a]), prop::collection::vec(any::<u8>(), 0..=125));
        let first = prop::sample::select(vec![0x1, 0x2, 0x41, 0x42]);
        (first, prop::collection::vec((payload(), prop::option::of(control)), 1..4)).prop_map(
            |(first, parts)| {
                let last = parts.len() - 1;
                let mut frames = Vec::new();
                for (number, (payload, control)) in parts.into_iter().enumerate() {
                    let opcode = if number == 0 { first } else { 0 };
                    frames.push((opcode | if number == last { FIN } else { 0 }, payload));
                    frames.extend(control);
                }
                frames
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn however_frames_are_cut_the_same_is_found(
            messages in prop::collection::vec(any_message(), 1..5),
            cuts in prop::collection::vec(0..200_usize, 0..64),
        ) {
            let (mut bytes, mut data, mut controls) = (Vec::new(), Vec::new(), Vec::new());
            for message in &messages {
                let form = if message[0].0 & OPCODE == 1 && message[0].0 & RSV1 == 0 { Form::Text } else { Form::Opaque };
                let mut whole = Vec::new();
                for (first, payload) in message {
                    bytes.extend(frame(*first, payload));
                    match first & OPCODE {
                        0x8 => controls.push((Control::Close, payload.clone())),
                        0x9 => controls.push((Control::Ping, payload.clone())),
                        0xa => controls.push((Control::Pong, payload.clone())),
                        _ => whole.extend_from_slice(payload),
                    }
                }
                data.push((form, whole));
            }
            prop_assert_eq!(walk(&bytes, &cuts), Ok((data, controls)));
        }

        #[test]
        fn a_needle_counts_once_wherever_the_text_is_cut(
            words in prop::collection::vec(prop::sample::select(vec!["needle", "need", "dle", "n", " ", "eedlen"]), 0..40),
            cuts in prop::collection::vec(0..9_usize, 0..40),
        ) {
            let text = words.concat();
            let needle = Needle::new("needle");
            let mut tail = Tail::default();
            let (mut rest, mut count) = (text.as_bytes(), 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                count += needle.count(&mut tail, piece, later.is_empty());
                rest = later;
            }
            prop_assert_eq!(count, text.matches("needle").count() as u64);
            // Another text: nothing of the one before is left.
            prop_assert_eq!(needle.count(&mut tail, b"eedle", true), 0);
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        let whole = |first, payload: &[u8]| walk(&frame(first, payload), &[]).map(drop);
        assert_eq!(whole(0x83, b""), Err(BadFrame(0x83, 0)));
        assert_eq!(whole(0x80, b"a continuation of nothing"), Err(BadFrame(0x80, 25)));
        assert_eq!(whole(0x91, b"RSV3"), Err(BadFrame(0x91, 4)));
        assert_eq!(whole(0x09, b"a ping in parts"), Err(BadFrame(0x09, 15)));
        assert_eq!(whole(0x89, &[0; 126]), Err(BadFrame(0x89, 126)));
        assert_eq!(walk(&[0x81, 0x80, 1, 2, 3, 4], &[]).map(drop), Err(BadFrame(0x81, 0x80)));
        let two_at_once = [frame(0x01, b"begun"), frame(0x81, b"another")].concat();
        assert_eq!(walk(&two_at_once, &[]).map(drop), Err(BadFrame(0x81, 7)));
    }
}
