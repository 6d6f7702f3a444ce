//! Numbers of as many bytes as they need: seven bits a byte, the lowest first, the high bit set on all but the last.

use super::decode::{Fault, RecordError};

/// Appends an unsigned number.
#[inline]
pub(in crate::wire) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// Appends the difference of two numbers, modulo 2⁶⁴, so that any two have one.
pub(super) fn put_difference(out: &mut Vec<u8>, old: i64, new: i64) {
    put(out, zigzag(new.wrapping_sub(old)));
}

/// Appends the difference of two sums, modulo 2¹²⁸.
pub(super) fn put_sum_difference(out: &mut Vec<u8>, old: i128, new: i128) {
    let difference = new.wrapping_sub(old);
    let mut value = (difference << 1 ^ difference >> 127).cast_unsigned();
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// 0, −1, 1, −2, … as 0, 1, 2, 3, …
pub(super) const fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}

pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads values one after the other.
#[derive(Clone, Debug)]
pub(in crate::wire) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(in crate::wire) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(in crate::wire) const fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What was read since `start`.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| Fault::Truncated.at(self.at))?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn slice(&mut self, length: u64) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at..];
        let slice = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or_else(|| Fault::Truncated.at(self.bytes.len()))?;
        self.at += slice.len();
        Ok(slice)
    }

    pub(in crate::wire) fn number(&mut self) -> Result<u64, RecordError> {
        let start = self.at;
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7F);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits || byte == 0 {
                return Err(Fault::Overlong.at(start));
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Overlong.at(start))
    }

    /// An unsigned number of 32 bits.
    pub(super) fn small_number(&mut self) -> Result<u32, RecordError> {
        let start = self.at;
        u32::try_from(self.number()?).map_err(|_| Fault::Overlong.at(start))
    }

    /// A difference.
    pub(super) fn difference(&mut self) -> Result<i64, RecordError> {
        self.number().map(unzigzag)
    }

    /// A difference of sums.
    pub(super) fn sum_difference(&mut self) -> Result<i128, RecordError> {
        let start = self.at;
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7F);
            if bits << shift >> shift != bits || (byte == 0 && shift > 0) {
                break;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err(Fault::Overlong.at(start))
    }
}
