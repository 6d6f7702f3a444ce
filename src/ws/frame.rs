//! Frames that leave. RFC 6455 section 5.2.
//!
//! A message leaves in one frame, whatever its length: a server's unmasked, so that one frame serves many sockets, and
//! a client's masked.

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message that the last frame of data did not end.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// Says why the connection ends.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping.
    Pong = 0xa,
}

impl Opcode {
    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    /// Whether frames of data may stand around such a one, and it has no fragments itself.
    pub(super) const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

pub(super) const FIN: u8 = 0x80;
/// The message is compressed: said on its first frame. RFC 7692 section 6.
pub(super) const RSV1: u8 = 0x40;
pub(super) const MASKED: u8 = 0x80;
/// The longest payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// The longest header of an unmasked frame.
pub const HEADER_BYTES_MAX: usize = 10;
/// The longest header of a masked frame.
pub(super) const MASKED_HEADER_BYTES_MAX: usize = HEADER_BYTES_MAX + 4;

/// A frame's header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; MASKED_HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    /// The header of a whole message of a server. `payload_len` is that of the bytes sent: when it is `compressed`, of
    /// what [`Deflater`](super::deflate::Deflater) made of it.
    #[must_use]
    pub fn new(opcode: Opcode, compressed: bool, payload_len: usize) -> Self {
        let mut bytes = [0; MASKED_HEADER_BYTES_MAX];
        bytes[0] = FIN | if compressed { RSV1 } else { 0 } | opcode as u8;
        let len = match (u8::try_from(payload_len), u16::try_from(payload_len)) {
            (Ok(short @ 0..=125), _) => {
                bytes[1] = short;
                2
            }
            (_, Ok(medium)) => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&medium.to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload_len as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    fn masked(opcode: Opcode, compressed: bool, payload_len: usize, mask: [u8; 4]) -> Self {
        let Self { mut bytes, len } = Self::new(opcode, compressed, payload_len);
        bytes[1] |= MASKED;
        bytes[len..len + 4].copy_from_slice(&mask);
        Self { bytes, len: len + 4 }
    }

    /// Its bytes: 2 to [`HEADER_BYTES_MAX`].
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A whole frame of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// What it carries.
    pub opcode: Opcode,
    /// Whether that is compressed.
    pub is_compressed: bool,
    /// As it is on the wire.
    pub payload: &'a [u8],
    /// Bytes of header and payload.
    pub bytes: usize,
}

/// The first of a server's whole frames that stand one behind the other, and what stands behind it; `None`: there is none.
#[must_use]
pub fn split_first(bytes: &[u8]) -> Option<(Whole<'_>, &[u8])> {
    let &[first, short, ..] = bytes else { return None };
    let (header, payload) = match short {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short & !MASKED)),
    };
    let (frame, behind) = bytes.split_at_checked(header + payload)?;
    let opcode = Opcode::from_bits(first & 0x0f)?;
    let whole =
        Whole { opcode, is_compressed: first & RSV1 != 0, payload: &frame[header..], bytes: frame.len() };
    Some((whole, behind))
}

/// A server's text message.
#[must_use]
pub fn text(payload: &[u8]) -> Vec<u8> {
    [Header::new(Opcode::Text, false, payload.len()).as_bytes(), payload].concat()
}

/// A server's answer to a ping with this payload, which a control frame held: it is at most 125 bytes long.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= CONTROL_BYTES_MAX, "a ping's payload");
    [Header::new(Opcode::Pong, false, payload.len()).as_bytes(), payload].concat()
}

/// A server's ping, without a payload.
#[must_use]
pub fn ping() -> Vec<u8> {
    Header::new(Opcode::Ping, false, 0).as_bytes().to_vec()
}

/// A server's close frame.
#[must_use]
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let payload = close_payload(code, reason);
    [Header::new(Opcode::Close, false, payload.len()).as_bytes(), &payload].concat()
}

/// A server's answer to a close frame: the same code, or none.
#[must_use]
pub fn close_answer(code: Option<u16>) -> Vec<u8> {
    match code {
        Some(code) => close(code, ""),
        None => Header::new(Opcode::Close, false, 0).as_bytes().to_vec(),
    }
}

/// What a close frame carries. The reason is cut at 123 bytes, which is what a control frame holds beside the code.
#[must_use]
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - 2)];
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Appends a whole message, or a control frame, of a client. `mask` is to be one that nobody can foresee, and another
/// for each frame: RFC 6455 section 10.3 says against what.
pub fn put_masked(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, payload: &[u8], mask: [u8; 4]) {
    let header = Header::masked(opcode, compressed, payload.len(), mask);
    out.reserve(header.len + payload.len());
    out.extend_from_slice(header.as_bytes());
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

/// Masks, or unmasks, and returns the mask for what comes behind these bytes.
pub(super) fn apply_mask(bytes: &mut [u8], mut mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    // A word at a time, of which the compiler makes as many at once as the machine can.
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        for (len, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(Header::new(Opcode::Text, false, len).as_bytes(), header);
        }
        assert_eq!(Header::new(Opcode::Binary, true, 7).as_bytes(), [0xc2, 7]);
    }

    #[test]
    fn frames_that_stand_together_are_told_apart_again() {
        let long = "a".repeat(70_000);
        for text_of in ["", "b", &long[..126], &long] {
            let frames = [text(text_of.as_bytes()), close(4007, "slow")].concat();
            let (first, behind) = split_first(&frames).expect("a frame");
            let bytes = frames.len() - behind.len();
            let payload = text_of.as_bytes();
            assert_eq!(first, Whole { opcode: Opcode::Text, is_compressed: false, payload, bytes });
            let (last, nothing) = split_first(behind).expect("a frame");
            assert_eq!((last.opcode, last.payload), (Opcode::Close, &close_payload(4007, "slow")[..]));
            assert_eq!((nothing, split_first(nothing)), (&[][..], None));
            assert_eq!(split_first(&frames[..bytes - 1]), None);
        }
        let (first, _) = split_first(&[0xc1, 1, 9]).expect("a frame");
        assert!(first.is_compressed);
        assert_eq!(first.payload, [9]);
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = close(4007, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 2 + 122, 0x0f, 0xa7]);
        assert_eq!(std::str::from_utf8(&frame[4..]), Ok("é".repeat(61).as_str()));
    }

    #[test]
    fn a_close_frame_is_answered_with_its_code() {
        assert_eq!(close_answer(None), [0x88, 0]);
        assert_eq!(close_answer(Some(1000)), [0x88, 2, 0x03, 0xe8]);
    }

    /// RFC 6455 section 5.7.
    #[test]
    fn the_masked_sample_of_the_rfc_is_made() {
        let mut out = Vec::new();
        put_masked(&mut out, Opcode::Text, false, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn a_mask_goes_on_where_it_stopped() {
        let mask = [1, 2, 3, 4];
        let whole: Vec<u8> = (0..100).zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for cut in 0..=100 {
            let mut bytes: Vec<u8> = (0..100).collect();
            let (first, second) = bytes.split_at_mut(cut);
            let mask = apply_mask(first, mask);
            apply_mask(second, mask);
            assert_eq!(bytes, whole, "cut at {cut}");
        }
    }
}
