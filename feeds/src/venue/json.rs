//! JSON messages, read in one pass on reused memory, with their numbers as sent; and their fields with errors that name
//! them.
//!
//! Why not a parser that is there: all of them make numbers of 64 bits of what venues send as exact decimals, none reads a
//! message where a recorder has put it, as a text within a line of JSON, and those that fill a tape take longer over a
//! message of some hundred bytes, because they find its structure first and read it then.

mod scan;
mod value;

use std::borrow::Cow;

use self::scan::{Flaw, Kind, Token, plain_until, scan, unescape};
use self::value::Document;
pub(crate) use self::value::{Array, Object, Value};
use super::{Problem, VenueError};
use crate::price::parse_digits;

/// A reader whose memory is kept from message to message: it grows to the largest one.
#[derive(Default)]
pub(crate) struct Json {
    tokens: Vec<Token>,
    unescaped: String,
}

impl Json {
    /// Hands the value that `text` is to `read`. With `numbers_are_texts`, every number is a text there, and so is every word
    /// of the signs of numbers.
    pub(crate) fn parse<R>(
        &mut self,
        numbers_are_texts: bool,
        text: &[u8],
        read: impl FnOnce(Value<'_>) -> Result<R, VenueError>,
    ) -> Result<R, VenueError> {
        let Self { tokens, unescaped } = self;
        let text = utf8(text)?;
        scan::<false>(text.as_bytes(), numbers_are_texts, tokens).map_err(not_json)?;
        unescaped.clear();
        for token in tokens.iter_mut().filter(|token| token.kind == Kind::Escaped) {
            let start = unescaped.len();
            let (first, length) = (token.start as usize, token.extent as usize);
            unescape(&text[first..first + length], unescaped)
                .map_err(|flaw| not_json(Flaw { at: first + flaw.at, ..flaw }))?;
            token.start = length_of(start)?;
            token.extent = length_of(unescaped.len() - start)?;
        }
        read(Document { tokens, text, unescaped, numbers_are_texts }.root())
    }

    /// The same for a text that stands within a text of JSON. `None`: it cannot be read there, if at all.
    pub(crate) fn parse_nested<R>(
        &mut self,
        numbers_are_texts: bool,
        text: &[u8],
        read: impl FnOnce(Value<'_>) -> Result<R, VenueError>,
    ) -> Option<Result<R, VenueError>> {
        let text = utf8(text).ok()?;
        scan::<true>(text.as_bytes(), numbers_are_texts, &mut self.tokens).ok()?;
        let Self { tokens, .. } = self;
        Some(read(Document { tokens, text, unescaped: "", numbers_are_texts }.root()))
    }
}

/// A text of which every place is a number of 32 bits.
fn utf8(text: &[u8]) -> Result<&str, VenueError> {
    length_of(text.len())?;
    std::str::from_utf8(text).map_err(|error| not_json(Flaw { at: error.valid_up_to(), expected: "UTF-8" }))
}

fn length_of(length: usize) -> Result<u32, VenueError> {
    u32::try_from(length).map_err(|_| VenueError::expected("message", "less than 4 GB"))
}

fn not_json(Flaw { at, expected }: Flaw) -> VenueError {
    VenueError::new("message", Problem::Json(format!("expected {expected} at offset {at} of it")))
}

/// A decimal number without its exponent, if it has one that can be written out: `1.5e-7` is `0.00000015`.
pub(super) fn without_exponent(text: &str) -> Cow<'_, str> {
    written_out(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn written_out(text: &str) -> Option<String> {
    /// More than any instrument's numbers need; the text grows by so many digits.
    const EXPONENT_MAX: usize = 36;
    let (number, exponent) = text.split_once(['e', 'E'])?;
    let exponent: isize = exponent.parse().ok()?;
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number =
        !whole.is_empty() && [whole, fraction].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if !is_number || exponent.unsigned_abs() > EXPONENT_MAX {
        return None;
    }
    let zeros = "0".repeat(exponent.unsigned_abs());
    let digits = if exponent < 0 { zeros + whole + fraction } else { [whole, fraction, &zeros].concat() };
    let point = if exponent < 0 { whole.len() } else { whole.len() + exponent.unsigned_abs() };
    let (whole, fraction) = digits.split_at(point);
    Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
}

/// A text without escapes up to its closing quote, and what is behind that.
pub(crate) fn plain_text(text: &[u8]) -> Option<(&str, &[u8])> {
    let (plain, rest) = text.split_at_checked(plain_until(text, 0))?;
    Some((std::str::from_utf8(plain).ok()?, rest.strip_prefix(b"\"")?))
}

/// Whether that may stand between the quotes of a text, as far as can be told without making one of it: of characters by
/// their number it cannot.
pub(crate) fn is_text(text: &[u8]) -> bool {
    let mut at = plain_until(text, 0);
    while let Some(b'\\') = text.get(at) {
        let Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') = text.get(at + 1) else {
            return false;
        };
        at = plain_until(text, at + 2);
    }
    at == text.len() && std::str::from_utf8(text).is_ok()
}

/// The length of a text up to its closing quote.
pub(crate) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = plain_until(text, 0);
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at = plain_until(text, at + 2),
            _ => at = plain_until(text, at + 1),
        }
    }
}

/// The text in `field` of `object`.
pub(crate) fn text<'i>(object: &Object<'i>, field: &'static str) -> Result<&'i str, VenueError> {
    as_text(object.get(field), field)
}

/// The text in `field`, or nothing where the field is missing or something else.
pub(crate) fn text_if_any<'i>(object: &Object<'i>, field: &str) -> Option<&'i str> {
    object.get(field)?.as_text()
}

/// The natural number in `field` of `object`, bare or in quotes.
pub(super) fn natural(object: &Object<'_>, field: &'static str) -> Result<u64, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_natural(value, field)
}

/// `value` as a natural number, bare or in quotes.
pub(super) fn as_natural(value: Value<'_>, field: &'static str) -> Result<u64, VenueError> {
    (value.as_number().or_else(|| value.as_text()))
        .and_then(|digits| parse_digits(digits.as_bytes()).or_else(|| digits.parse().ok()))
        .ok_or_else(|| VenueError::expected(field, "a natural number"))
}

/// The whole number of 32 bits in `field` of `object`, bare or in quotes: venues send some checksums signed.
pub(super) fn signed(object: &Object<'_>, field: &'static str) -> Result<i32, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_signed(value, field)
}

/// `value` as a whole number of 32 bits.
pub(super) fn as_signed(value: Value<'_>, field: &'static str) -> Result<i32, VenueError> {
    (value.as_number().or_else(|| value.as_text()))
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| VenueError::expected(field, "a whole number of 32 bits"))
}

/// The natural number of 32 bits in `field` of `object`, bare or in quotes.
pub(super) fn natural_32(object: &Object<'_>, field: &'static str) -> Result<u32, VenueError> {
    u32::try_from(natural(object, field)?)
        .map_err(|_| VenueError::expected(field, "a natural number of 32 bits"))
}

/// The object in `field` of `object`.
pub(super) fn object<'i>(object: &Object<'i>, field: &'static str) -> Result<Object<'i>, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_object(value, field)
}

/// The first two texts of a level, `[price, size, …]`.
pub(super) fn price_and_size<'i>(
    level: Value<'i>,
    field: &'static str,
) -> Result<(&'i str, &'i str), VenueError> {
    let level = as_list(level, field)?;
    let mut fields = level.iter();
    Ok((as_text(fields.next(), field)?, as_text(fields.next(), field)?))
}

/// The list in `field` of `object`.
pub(super) fn list<'i>(object: &Object<'i>, field: &'static str) -> Result<Array<'i>, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_list(value, field)
}

/// `value` as a list.
pub(super) fn as_list<'i>(value: Value<'i>, field: &'static str) -> Result<Array<'i>, VenueError> {
    value.as_array().ok_or_else(|| VenueError::expected(field, "a list"))
}

/// `value` as an object.
pub(crate) fn as_object<'i>(value: Value<'i>, field: &'static str) -> Result<Object<'i>, VenueError> {
    value.as_object().ok_or_else(|| VenueError::expected(field, "an object"))
}

/// `value` as a text.
pub(super) fn as_text<'i>(value: Option<Value<'i>>, field: &'static str) -> Result<&'i str, VenueError> {
    let value = value.ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.as_text().ok_or_else(|| VenueError::expected(field, "a text"))
}

/// `value` as a boolean, in `field` of `object`.
pub(super) fn truth(object: &Object<'_>, field: &'static str) -> Result<bool, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.as_bool().ok_or_else(|| VenueError::expected(field, "true or false"))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod number_tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn exponents_are_written_out_exactly_or_left_alone() {
        for (text, plain) in [
            ("1e-05", "0.00001"),
            ("-1.50E-7", "-0.000000150"),
            ("5.0e2", "500"),
            ("1.2345e+2", "123.45"),
            ("12e0", "12"),
            ("0.10", "0.10"),
        ] {
            // The digits behind the point may be more, the number is the same.
            let found = without_exponent(text);
            let number = |text: &str| text.parse::<Decimal>().expect("a number");
            assert_eq!(number(&found), number(plain), "{text}: {found}");
        }
        for wrong in ["e5", "1e", "1e99", "1e-99", "1.2.3e4", "1e5e5", "+1e5", "-e5", ".e1"] {
            assert_eq!(without_exponent(wrong), wrong);
        }
    }

    proptest! {
        #[test]
        fn exponents_agree_with_rust_decimal(whole in 0_u32..100_000, fraction in "[0-9]{0,6}", exponent in -12_i32..12) {
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{whole}{point}{fraction}e{exponent}");
            let expected = Decimal::from_scientific(&text).expect("a number");
            prop_assert_eq!(without_exponent(&text).parse::<Decimal>().expect("a number"), expected);
        }
    }
}
