//! Frames that leave the server: unmasked, never fragmented. RFC 6455 section 5.2.

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// UTF-8 text.
    Text = 0x1,
    /// Bytes.
    Binary = 0x2,
    /// Says why the connection ends.
    Close = 0x8,
}

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
/// The longest header of an unmasked frame.
pub const HEADER_BYTES_MAX: usize = 10;

/// A frame's header.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    /// The header of a whole message of `payload_len` bytes.
    #[must_use]
    pub fn new(opcode: Opcode, is_compressed: bool, payload_len: usize) -> Self {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[0] = FIN | if is_compressed { RSV1 } else { 0 } | opcode as u8;
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

    /// Its bytes, 2 to 10.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A text message in one frame.
#[must_use]
pub fn text(payload: &[u8]) -> Vec<u8> {
    [Header::new(Opcode::Text, false, payload.len()).as_bytes(), payload].concat()
}

/// A close frame. The reason is cut at 123 bytes, which is what a control frame holds beside the code.
#[must_use]
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason[..reason.floor_char_boundary(123)];
    let mut frame = Header::new(Opcode::Close, false, 2 + reason.len()).as_bytes().to_vec();
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
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
    }

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        let frame = close(4007, &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 2 + 122, 0x0f, 0xa7]);
        assert_eq!(std::str::from_utf8(&frame[4..]), Ok("é".repeat(61).as_str()));
    }
}
