//! Exact prices and sizes: an integer mantissa, whose decimal exponent is the instrument's.
//!
//! The representation of FIX, SBE and DBN: `Price(18910)` of an instrument with price exponent −2 is 189.10.
//! Nothing here rounds: what an exponent cannot hold is a [`NumberError`].

use std::fmt;

use rust_decimal::Decimal;

/// The power of ten that a mantissa is multiplied by, −18 to 18; −2 means cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

fn parse_mantissa(text: &[u8], exponent: Exponent) -> Result<i64, NumberError> {
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
