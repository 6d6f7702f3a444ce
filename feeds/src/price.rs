//! Exact prices and sizes: an integer mantissa, whose decimal exponent is the instrument's.
//!
//! The representation of FIX, SBE and DBN: `Price(18910)` of an instrument with price exponent −2 is 189.10.
//! Nothing here rounds: what an exponent cannot hold is a [`NumberError`].

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The power of ten that a mantissa is multiplied by, −18 to 18; −2 means cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "i8")]
pub struct Exponent(i8);

impl Exponent {
    /// Whole units.
    pub const ONE: Self = Self(0);
    /// The smallest exponent: 18 decimals.
    pub const MIN: Self = Self(-18);
    /// The largest exponent.
    pub const MAX: Self = Self(18);

    /// # Errors
    /// [`NumberError::Exponent`] outside −18 to 18.
    pub const fn new(value: i8) -> Result<Self, NumberError> {
        if value < Self::MIN.0 || value > Self::MAX.0 {
            Err(NumberError::Exponent(value))
        } else {
            Ok(Self(value))
        }
    }

    /// The exponent as a number, −18 to 18.
    #[must_use]
    pub const fn get(self) -> i8 {
        self.0
    }

    /// The exponent that holds `text` with no digit lost and none to spare: −2 for `189.10`, 0 for `7`.
    /// Trailing zeros count, because venues show their precision with them.
    ///
    /// # Errors
    /// [`NumberError::Exponent`] for more than 18 decimals.
    pub fn of_text(text: &str) -> Result<Self, NumberError> {
        let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        i8::try_from(decimals).map_or(Err(NumberError::Exponent(i8::MIN)), |decimals| Self::new(-decimals))
    }
}

impl TryFrom<i8> for Exponent {
    type Error = NumberError;

    fn try_from(value: i8) -> Result<Self, NumberError> {
        Self::new(value)
    }
}

/// Why a text or a decimal is not a number of an instrument.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a plain decimal number (`-?digits[.digits]`).
    #[error("`{0}` is not a decimal number")]
    Malformed(String),
    /// Non-zero digits below what the exponent can hold: keeping it would mean rounding it.
    #[error("`{text}` has more digits than exponent {exponent} holds")]
    TooPrecise {
        /// The number as given.
        text: String,
        /// The instrument's exponent.
        exponent: i8,
    },
    /// Larger than 64 bits hold at the exponent.
    #[error("`{text}` is too large for exponent {exponent}")]
    TooLarge {
        /// The number as given.
        text: String,
        /// The instrument's exponent.
        exponent: i8,
    },
    /// An exponent outside −18 to 18.
    #[error("exponent {0} is not between -18 and 18")]
    Exponent(i8),
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl $name {
            /// No price, no size.
            pub const ZERO: Self = Self(0);

            /// Reads plain decimal text, exactly.
            ///
            /// # Errors
            /// [`NumberError`] when the text is no decimal number, or the exponent cannot hold it.
            pub fn parse(text: &str, exponent: Exponent) -> Result<Self, NumberError> {
                parse_mantissa(text.as_bytes(), exponent).map(Self)
            }

            /// The same from bytes, as a parser has them.
            ///
            /// # Errors
            /// As [`Self::parse`].
            pub fn parse_bytes(text: &[u8], exponent: Exponent) -> Result<Self, NumberError> {
                parse_mantissa(text, exponent).map(Self)
            }

            /// Shows the number with all the digits of its exponent: `189.10`.
            #[must_use]
            pub const fn display(self, exponent: Exponent) -> Shown {
                Shown { mantissa: self.0, exponent }
            }

            /// Appends what [`Self::display`] shows.
            pub fn write(self, exponent: Exponent, out: &mut Vec<u8>) {
                write_mantissa(self.0, exponent, out);
            }

            /// # Errors
            /// [`NumberError::TooLarge`] for a mantissa and positive exponent past 96 bits.
            pub fn to_decimal(self, exponent: Exponent) -> Result<Decimal, NumberError> {
                mantissa_to_decimal(self.0, exponent)
            }

            /// # Errors
            /// [`NumberError`] when the exponent cannot hold the decimal exactly.
            pub fn from_decimal(value: Decimal, exponent: Exponent) -> Result<Self, NumberError> {
                Self::parse(&value.to_string(), exponent)
            }
        }
    };
}

quantity! {
    /// A price: mantissa of the instrument's price exponent. Spreads and some futures trade below zero.
    Price
}
quantity! {
    /// A size: mantissa of the instrument's size exponent.
    Size
}

/// A mantissa with its exponent, as text.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    mantissa: i64,
    exponent: Exponent,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        write_mantissa(self.mantissa, self.exponent, &mut text);
        f.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

#[inline]
fn parse_mantissa(text: &[u8], exponent: Exponent) -> Result<i64, NumberError> {
    parse_usual(text, exponent).map_or_else(|| parse_any(text, exponent), Ok)
}

/// Reads what nearly all numbers are: a few digits, none below zero, none lost. `None`: not that, or no number.
///
/// Up to eight digits on either side of the point are read at once, a byte each in a register. That is fewer
/// steps than a loop has, and, since numbers differ in their lengths, no branches that are mispredicted.
#[inline]
fn parse_usual(text: &[u8], exponent: Exponent) -> Option<i64> {
    const POWERS: [u64; 19] = {
        let mut powers = [1; 19];
        let mut power = 1;
        while power < powers.len() {
            powers[power] = powers[power - 1] * 10;
            power += 1;
        }
        powers
    };
    let decimals = usize::try_from(-exponent.get()).ok()?;
    let (whole, length) = leading_digits(text)?;
    let fraction = match &text[length..] {
        [] => &[],
        [b'.', fraction @ ..] if !fraction.is_empty() => fraction,
        _ => return None,
    };
    let kept = fraction.len().min(decimals);
    let digits = match fraction.len() {
        0 => 0,
        1..=8 => {
            // What stands before the fraction is shifted out, and so is what has to be zeros.
            let before = 8 * (8 - fraction.len());
            let digits = (digit_values(last_eight(text)) >> before) << before;
            let kept_behind = digits.unbounded_shl(8 * u32::try_from(fraction.len() - kept).ok()?);
            let is_exact = strange(digits) == 0
                && digits.unbounded_shr(8 * u32::try_from(8 + kept - fraction.len()).ok()?) == 0;
            is_exact.then(|| eight_digits(kept_behind))?
        }
        _ => {
            let (digits, spare) = fraction.split_at(kept);
            let is_exact = spare.iter().all(|byte| *byte == b'0');
            let (digits, length) = if kept > 0 { leading_digits(digits)? } else { (0, 0) };
            (is_exact && length == kept).then_some(digits)?
        }
    };
    i64::try_from((whole * POWERS[kept] + digits).checked_mul(POWERS[decimals - kept])?).ok()
}

/// The number that a text begins with, and how many digits it has. `None`: none, or the text is so long that it may pass 64
/// bits.
#[inline]
fn leading_digits(text: &[u8]) -> Option<(u64, usize)> {
    const SIGNS_MAX: usize = 19;
    if text.is_empty() || text.len() > SIGNS_MAX {
        return None;
    }
    let first = digit_values(first_eight(text));
    let length = strange(first).trailing_zeros() / 8;
    let mut number = eight_digits(first.unbounded_shl(64 - 8 * length));
    let mut length = length as usize;
    if length == 8 {
        while let Some(byte) = text.get(length)
            && let digit = byte.wrapping_sub(b'0')
            && digit < 10
        {
            number = number * 10 + u64::from(digit);
            length += 1;
        }
    }
    (length > 0).then_some((number, length))
}

/// Reads digits that fit 64 bits however they are. `None`: more, or none, or something else.
#[inline]
pub(crate) fn parse_digits(text: &[u8]) -> Option<u64> {
    leading_digits(text).filter(|(_, length)| *length == text.len()).map(|(number, _)| number)
}

/// The first eight signs of a text, the first in the lowest byte; zeros behind a shorter one.
#[inline]
fn first_eight(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_le_bytes(*first);
    }
    // Two parts that are the same where they overlap.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (text.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    text.iter().rev().fold(0, |signs, sign| (signs << 8) | u64::from(*sign))
}

/// The last eight signs of a text, the last in the highest byte; zeros before a shorter one.
#[inline]
fn last_eight(text: &[u8]) -> u64 {
    match text.last_chunk() {
        Some(last) => u64::from_le_bytes(*last),
        None => first_eight(text) << (8 * (8 - text.len())),
    }
}

/// What eight signs are worth as digits.
#[inline]
const fn digit_values(signs: u64) -> u64 {
    signs ^ u64::from_le_bytes([b'0'; 8])
}

/// The highest bit of each of the eight that is no digit.
#[inline]
const fn strange(values: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    // Of seven bits, to which is added what takes a ten past them: nothing is carried into the next byte.
    (((values & (ONES * 0x7f)) + ONES * (0x80 - 10)) | values) & (ONES * 0x80)
}

/// The number of eight digits: neighbours are added up, then pairs, then fours.
#[inline]
const fn eight_digits(values: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let first_and_third = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let second_and_fourth = ((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32));
    first_and_third.wrapping_add(second_and_fourth) >> 32
}

#[cold]
fn parse_any(text: &[u8], exponent: Exponent) -> Result<i64, NumberError> {
    let shown = || String::from_utf8_lossy(text).into_owned();
    let malformed = || NumberError::Malformed(shown());
    let too_large = || NumberError::TooLarge { text: shown(), exponent: exponent.get() };
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut mantissa: i64 = 0;
    // Decimal places that the exponent still has room for; below zero once it has none.
    let mut room: i16 = -i16::from(exponent.get());
    let mut seen_point = false;
    let mut seen_digit = false;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                seen_digit = true;
                let digit = i64::from(byte - b'0');
                if seen_point {
                    if room > 0 {
                        room -= 1;
                    } else {
                        if digit != 0 {
                            return Err(NumberError::TooPrecise { text: shown(), exponent: exponent.get() });
                        }
                        continue;
                    }
                }
                mantissa = mantissa
                    .checked_mul(10)
                    .and_then(|m| if negative { m.checked_sub(digit) } else { m.checked_add(digit) })
                    .ok_or_else(too_large)?;
            }
            b'.' if !seen_point && seen_digit => {
                seen_point = true;
            }
            _ => return Err(malformed()),
        }
    }
    if !seen_digit || digits.last() == Some(&b'.') {
        return Err(malformed());
    }
    while room > 0 {
        mantissa = mantissa.checked_mul(10).ok_or_else(too_large)?;
        room -= 1;
    }
    while exponent.get() > 0 && room < 0 && mantissa != 0 {
        if mantissa % 10 != 0 {
            return Err(NumberError::TooPrecise { text: shown(), exponent: exponent.get() });
        }
        mantissa /= 10;
        room += 1;
    }
    Ok(mantissa)
}

fn write_mantissa(mantissa: i64, exponent: Exponent, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(mantissa.unsigned_abs());
    if mantissa < 0 {
        out.push(b'-');
    }
    let decimals = usize::from(exponent.get().min(0).unsigned_abs());
    if decimals == 0 {
        out.extend_from_slice(digits.as_bytes());
        if mantissa != 0 {
            out.extend(std::iter::repeat_n(b'0', usize::from(exponent.get().unsigned_abs())));
        }
    } else if digits.len() > decimals {
        let (whole, fraction) = digits.as_bytes().split_at(digits.len() - decimals);
        out.extend_from_slice(whole);
        out.push(b'.');
        out.extend_from_slice(fraction);
    } else {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', decimals - digits.len()));
        out.extend_from_slice(digits.as_bytes());
    }
}

fn mantissa_to_decimal(mantissa: i64, exponent: Exponent) -> Result<Decimal, NumberError> {
    let decimals = u32::from(exponent.get().min(0).unsigned_abs());
    let tens = u32::from(exponent.get().max(0).unsigned_abs());
    10_i128
        .checked_pow(tens)
        .and_then(|scale| i128::from(mantissa).checked_mul(scale))
        .and_then(|value| Decimal::try_from_i128_with_scale(value, decimals).ok())
        .ok_or_else(|| NumberError::TooLarge { text: mantissa.to_string(), exponent: exponent.get() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exponent(value: i8) -> Exponent {
        Exponent::new(value).expect("within range")
    }

    #[test]
    fn text_is_read_exactly_or_refused() {
        assert_eq!(Price::parse("189.1", exponent(-2)), Ok(Price(18910)));
        assert_eq!(Price::parse("-0.05", exponent(-2)), Ok(Price(-5)));
        assert_eq!(Price::parse("0.35210000", exponent(-4)), Ok(Price(3521)));
        assert_eq!(Price::parse("1200", exponent(2)), Ok(Price(12)));
        assert!(matches!(Price::parse("1250", exponent(2)), Err(NumberError::TooPrecise { .. })));
        assert!(matches!(Price::parse("0.001", exponent(-2)), Err(NumberError::TooPrecise { .. })));
        assert!(matches!(
            Price::parse("99999999999999999999", exponent(0)),
            Err(NumberError::TooLarge { .. })
        ));
        for wrong in ["", "-", ".", ".5", "5.", "1e3", "1.2.3", " 1", "+1", "1,0", "NaN"] {
            assert!(matches!(Price::parse(wrong, exponent(-2)), Err(NumberError::Malformed(_))), "{wrong}");
        }
        assert_eq!(Price::parse("-9223372036854775808", exponent(0)), Ok(Price(i64::MIN)));
    }

    #[test]
    fn shown_with_all_digits_of_the_exponent() {
        assert_eq!(Price(18910).display(exponent(-2)).to_string(), "189.10");
        assert_eq!(Price(-5).display(exponent(-2)).to_string(), "-0.05");
        assert_eq!(Size(12).display(exponent(2)).to_string(), "1200");
        assert_eq!(Size(0).display(exponent(2)).to_string(), "0");
        assert_eq!(Price(i64::MIN).display(exponent(-18)).to_string(), "-9.223372036854775808");
    }

    proptest! {
        #[test]
        fn text_and_decimal_round_trip(mantissa: i64, exp in -18_i8..=18) {
            let exponent = exponent(exp);
            let text = Price(mantissa).display(exponent).to_string();
            if exp <= 0 {
                prop_assert_eq!(Price::parse(&text, exponent), Ok(Price(mantissa)));
            }
            if let Ok(decimal) = Price(mantissa).to_decimal(exponent) {
                prop_assert_eq!(decimal.to_string(), text);
                if exp <= 0 {
                    prop_assert_eq!(Price::from_decimal(decimal, exponent), Ok(Price(mantissa)));
                }
            }
        }

        #[test]
        fn the_usual_way_is_the_same(
            text in prop_oneof!["-?[0-9]{0,21}\\.?[0-9]{0,12}0{0,9}.?", "[0-9]{1,9}\\.[0-9]{1,9}", "[-./0-9:]{0,20}"],
            exp in -18_i8..=18,
        ) {
            let usual = parse_usual(text.as_bytes(), exponent(exp));
            let any = parse_any(text.as_bytes(), exponent(exp));
            if usual.is_some() || (exp <= 0 && text.len() <= 19 && !text.starts_with('-')) {
                prop_assert_eq!(usual, any.ok(), "{}", text);
            }
        }

        #[test]
        fn digits_are_the_number_that_they_spell(text in prop_oneof!["[0-9]{0,20}", "[/0-9:]{1,16}", "[0-9]{0,9}.[0-9]{0,9}"]) {
            let is_digits = (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(parse_digits(text.as_bytes()), text.parse().ok().filter(|_| is_digits), "{}", text);
        }

        #[test]
        fn agrees_with_rust_decimal(whole in 0_u32..1_000_000, fraction in "[0-9]{1,9}", exp in -12_i8..=0) {
            let text = format!("{whole}.{fraction}");
            let decimal: Decimal = text.parse().expect("a decimal");
            match Price::parse(&text, exponent(exp)) {
                Ok(price) => prop_assert_eq!(price.to_decimal(exponent(exp)).expect("small"), decimal),
                Err(error) => {
                    let is_too_precise = matches!(error, NumberError::TooPrecise { .. });
                    prop_assert!(is_too_precise);
                    prop_assert!(decimal.normalize().scale() > u32::from(exp.unsigned_abs()));
                }
            }
        }
    }
}
