//! Frames that come. RFC 6455 sections 5 to 8, and RFC 7692 section 6.

use std::str;

use super::deflate::{InflateError, Inflater};
use super::frame::{self, CONTROL_BYTES_MAX, FIN, MASKED, MASKED_HEADER_BYTES_MAX, Opcode, RSV1};
use crate::limits::MESSAGE_FRAMES_MAX;

/// Which end of the connection reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What comes must be masked.
    Server,
    /// What comes must not be masked.
    Client,
}

/// A message, or a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole message of text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// Is to be answered with a pong that carries the same.
    Ping(&'a [u8]),
    /// An answer to a ping, or a sign of life.
    Pong(&'a [u8]),
    /// The code and the reason, if there are any. It is to be answered with a close frame, and nothing more is read.
    Close(Option<(u16, &'a str)>),
}

/// Reads the frames of one connection, in whatever pieces they come. Between messages it holds no memory of its own;
/// of an unfinished one, what has come of it.
#[derive(Debug)]
pub struct Decoder {
    /// Of a message that is not whole yet.
    message: Vec<u8>,
    /// Of a control frame that is not whole yet.
    control: Vec<u8>,
    message_bytes_max: u32,
    /// Payload that the current frame still lacks.
    missing: u32,
    /// How much of an unfinished text is known to be whole characters.
    valid: u32,
    /// Frames of the unfinished message; 0: there is none.
    frames: u32,
    /// For the next byte of the payload.
    mask: [u8; 4],
    header: [u8; MASKED_HEADER_BYTES_MAX],
    header_len: u8,
    /// The frame whose header has come.
    current: Option<Opcode>,
    is_final: bool,
    is_text: bool,
    is_compressed: bool,
    role: Role,
    may_be_compressed: bool,
    is_closed: bool,
}

impl Decoder {
    /// Takes messages of up to `message_bytes_max` bytes, before and after they are inflated. They `may_be_compressed`
    /// when that was negotiated.
    #[must_use]
    pub const fn new(role: Role, may_be_compressed: bool, message_bytes_max: u32) -> Self {
        Self {
            message: Vec::new(),
            control: Vec::new(),
            message_bytes_max,
            missing: 0,
            valid: 0,
            frames: 0,
            mask: [0; 4],
            header: [0; MASKED_HEADER_BYTES_MAX],
            header_len: 0,
            current: None,
            is_final: false,
            is_text: false,
            is_compressed: false,
            role,
            may_be_compressed,
            is_closed: false,
        }
    }

    /// Reads up to the end of the next message or control frame and advances `input` past it; `None`: all of the input
    /// is read. To be called until then, for what is no longer needed to be given back. Bytes are unmasked in place,
    /// and a message that is inflated stands in `inflated`: both may be shared by many connections.
    ///
    /// # Errors
    /// [`DecodeError`], after which nothing more is read.
    pub fn next<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        inflater: &mut Inflater,
        inflated: &'s mut Vec<u8>,
    ) -> Result<Option<Event<'s>>, DecodeError> {
        if self.is_closed {
            *input = &mut [];
            return Ok(None);
        }
        // Until something stands whole, or is in order, there is no going on.
        self.is_closed = true;
        self.release();
        loop {
            if self.current.is_none() && !self.read_header(input)? {
                self.is_closed = false;
                return Ok(None);
            }
            let Some(opcode) = self.current else { continue };
            let chunk = take(input, self.missing);
            self.missing -= len_u32(chunk);
            if self.role == Role::Server {
                self.mask = frame::apply_mask(chunk, self.mask);
            }
            let is_whole = self.missing == 0;
            if is_whole {
                self.current = None;
            }
            if opcode.is_control() {
                if is_whole {
                    self.is_closed = opcode == Opcode::Close;
                    let payload = joined(&mut self.control, chunk);
                    return control_event(opcode, payload).map(Some);
                }
                self.control.extend_from_slice(chunk);
            } else if is_whole && self.is_final {
                self.is_closed = false;
                self.frames = 0;
                return self.message_event(chunk, inflater, inflated).map(Some);
            } else {
                self.message.extend_from_slice(chunk);
                self.check_text()?;
            }
            if !is_whole {
                self.is_closed = false;
                return Ok(None);
            }
        }
    }

    /// Memory that it holds of a message that is not whole yet, or was the last event.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.message.capacity()
    }

    /// Gives back what the last event stood in. [`Decoder::next`] does so too, but is not called before more comes.
    pub fn release(&mut self) {
        if self.frames == 0 {
            self.message = Vec::new();
            self.valid = 0;
        }
        if !self.current.is_some_and(Opcode::is_control) {
            self.control = Vec::new();
        }
    }

    /// Whether the header is whole.
    fn read_header(&mut self, input: &mut &mut [u8]) -> Result<bool, DecodeError> {
        loop {
            let len = usize::from(self.header_len);
            let needed = header_len(self.header, len);
            if len == needed {
                break;
            }
            let bytes = take(input, u32::try_from(needed - len).unwrap_or_default());
            if bytes.is_empty() {
                return Ok(false);
            }
            self.header[len..len + bytes.len()].copy_from_slice(bytes);
            self.header_len += u8::try_from(bytes.len()).unwrap_or_default();
            if len < 2 && self.header_len == 2 {
                self.check_start()?;
            }
        }
        let [first, second, extended @ ..] = self.header;
        let [a, b, c, d, e, f, g, h, ..] = extended;
        let (len, mask_at) = match second & !MASKED {
            126 => (u64::from(u16::from_be_bytes([a, b])), 4),
            127 => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
            short => (u64::from(short), 2),
        };
        let shortest = match mask_at {
            2 => 0,
            4 => 126,
            _ => 1 << 16,
        };
        if len < shortest || len >= 1 << 63 {
            return Err(DecodeError::Length(len));
        }
        self.mask.copy_from_slice(&self.header[mask_at..mask_at + 4]);
        self.header_len = 0;
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(DecodeError::ReservedOpcode(first & 0x0f))?;
        self.begin(opcode, first, len)?;
        Ok(true)
    }

    /// All that the first two bytes can be wrong in.
    fn check_start(&self) -> Result<(), DecodeError> {
        let [first, second, ..] = self.header;
        let opcode = Opcode::from_bits(first & 0x0f).ok_or(DecodeError::ReservedOpcode(first & 0x0f))?;
        let begins_message = matches!(opcode, Opcode::Text | Opcode::Binary);
        let allowed = if self.may_be_compressed && begins_message { RSV1 } else { 0 };
        let reserved = first & 0x70 & !allowed;
        if reserved != 0 {
            return Err(DecodeError::ReservedBits(reserved));
        }
        let is_masked = second & MASKED != 0;
        if is_masked != (self.role == Role::Server) {
            return Err(DecodeError::Mask { is_masked });
        }
        if opcode.is_control() {
            if first & FIN == 0 {
                return Err(DecodeError::ControlFragmented);
            }
            if usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
                return Err(DecodeError::ControlTooLong);
            }
        } else if begins_message == (self.frames > 0) {
            return Err(if begins_message {
                DecodeError::Unfinished
            } else {
                DecodeError::NothingToContinue
            });
        }
        Ok(())
    }

    /// Takes a frame up, when its message is not too large with it.
    fn begin(&mut self, opcode: Opcode, first: u8, len: u64) -> Result<(), DecodeError> {
        let bytes_max = self.message_bytes_max;
        let room = if opcode.is_control() { bytes_max.max(125) } else { bytes_max - len_u32(&self.message) };
        self.missing = u32::try_from(len)
            .ok()
            .filter(|len| *len <= room)
            .ok_or(DecodeError::MessageTooBig { bytes_max })?;
        if !opcode.is_control() {
            if self.frames == MESSAGE_FRAMES_MAX {
                return Err(DecodeError::TooManyFrames);
            }
            self.frames += 1;
            self.is_final = first & FIN != 0;
            if opcode != Opcode::Continuation {
                self.is_text = opcode == Opcode::Text;
                self.is_compressed = first & RSV1 != 0;
            }
        }
        self.current = Some(opcode);
        Ok(())
    }

    /// Text that can no longer become UTF-8 is refused at once.
    fn check_text(&mut self) -> Result<(), DecodeError> {
        if self.is_text && !self.is_compressed {
            let unchecked = &self.message[self.valid as usize..];
            let valid = match str::from_utf8(unchecked) {
                Ok(_) => unchecked.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(DecodeError::Utf8),
            };
            self.valid += len_u32(&unchecked[..valid]);
        }
        Ok(())
    }

    fn message_event<'s>(
        &'s mut self,
        last: &'s [u8],
        inflater: &mut Inflater,
        inflated: &'s mut Vec<u8>,
    ) -> Result<Event<'s>, DecodeError> {
        let mut payload = joined(&mut self.message, last);
        if self.is_compressed {
            inflated.clear();
            let result = inflater.decompress(payload, inflated, self.message_bytes_max as usize);
            self.is_closed = result.is_err();
            result?;
            payload = inflated;
        }
        if !self.is_text {
            return Ok(Event::Binary(payload));
        }
        let text = str::from_utf8(payload).map_err(|_invalid| DecodeError::Utf8);
        self.is_closed = text.is_err();
        text.map(Event::Text)
    }
}

/// A payload that came in one piece stands where it came; others are put together.
fn joined<'a>(parts: &'a mut Vec<u8>, last: &'a [u8]) -> &'a [u8] {
    if parts.is_empty() {
        return last;
    }
    parts.extend_from_slice(last);
    parts
}

fn control_event(opcode: Opcode, payload: &[u8]) -> Result<Event<'_>, DecodeError> {
    Ok(match opcode {
        Opcode::Ping => Event::Ping(payload),
        Opcode::Pong => Event::Pong(payload),
        _ => Event::Close(match payload {
            [] => None,
            [_] => return Err(DecodeError::CloseLength),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(DecodeError::CloseCode(code));
                }
                Some((code, str::from_utf8(reason).map_err(|_invalid| DecodeError::Utf8)?))
            }
        }),
    })
}

/// Up to `len` bytes, cut off at the start.
fn take<'i>(input: &mut &'i mut [u8], len: u32) -> &'i mut [u8] {
    let bytes = std::mem::take(input);
    let (taken, rest) = bytes.split_at_mut((len as usize).min(bytes.len()));
    *input = rest;
    taken
}

/// How long a header is, as far as its first `len` bytes tell.
fn header_len(header: [u8; MASKED_HEADER_BYTES_MAX], len: usize) -> usize {
    if len < 2 {
        return 2;
    }
    let extended = match header[1] & !MASKED {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + extended + if header[1] & MASKED != 0 { 4 } else { 0 }
}

/// What stands here is never longer than a `u32` says: it is at most the bound of a message.
fn len_u32(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// What is wrong with what came. The connection is to be closed with [`DecodeError::close_code`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Bits that no extension in use has given a meaning, here.
    #[error("reserved bits are set: {0:#04x}")]
    ReservedBits(u8),
    /// No such kind of frame.
    #[error("a frame of the reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A client's frame without mask, or a server's with one.
    #[error("{}", if *is_masked { "a server's frame is masked" } else { "a client's frame is not masked" })]
    Mask {
        /// Whether it is.
        is_masked: bool,
    },
    /// Control frames stand whole.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// Control frames carry at most 125 bytes.
    #[error("a control frame is longer than {CONTROL_BYTES_MAX} bytes")]
    ControlTooLong,
    /// There is no message that it could go on with.
    #[error("a continuation of no message")]
    NothingToContinue,
    /// A message within another.
    #[error("a message begins before the last has ended")]
    Unfinished,
    /// Not the shortest form of a length, or one of more than 63 bits.
    #[error("the length {0} is not in its shortest form, or too large for any")]
    Length(u64),
    /// A close frame holds nothing, or at least a code.
    #[error("a close frame of one byte")]
    CloseLength,
    /// No code that may be sent.
    #[error("{0} is no close code that may be sent")]
    CloseCode(u16),
    /// Text, or a close frame's reason.
    #[error("text is not UTF-8")]
    Utf8,
    /// The message is larger than it may be.
    #[error("a message is longer than {bytes_max} bytes")]
    MessageTooBig {
        /// What it may be.
        bytes_max: u32,
    },
    /// The message comes in more frames than it may.
    #[error("a message comes in more than {MESSAGE_FRAMES_MAX} frames")]
    TooManyFrames,
    /// What is wrong with a compressed message.
    #[error(transparent)]
    Inflate(#[from] InflateError),
}

impl DecodeError {
    /// 1002: not the protocol. 1007: not what the message says it is. 1009: too large.
    #[must_use]
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::Mask { .. }
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::NothingToContinue
            | Self::Unfinished
            | Self::Length(_)
            | Self::CloseLength
            | Self::CloseCode(_) => 1002,
            Self::Utf8 | Self::Inflate(InflateError::Damaged) => 1007,
            Self::MessageTooBig { .. } | Self::TooManyFrames | Self::Inflate(InflateError::TooBig { .. }) => {
                1009
            }
        }
    }
}

#[cfg(test)]
mod tests;
