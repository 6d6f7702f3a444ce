//! JSON messages, parsed in place on reused buffers, and their fields with errors that name them.

use std::borrow::Cow;

use simd_json::prelude::{ValueAsScalar, ValueIntoString};
use simd_json::tape::{Array, Object, Tape, Value};
use simd_json::{Buffers, fill_tape};

use super::{Problem, VenueError};

/// A parser whose memory is kept from message to message: it grows to the largest one.
pub(crate) struct Json {
    buffers: Buffers,
    tape: Tape<'static>,
    quoted: Vec<u8>,
}

impl Default for Json {
    fn default() -> Self {
        Self { buffers: Buffers::default(), tape: Tape(Vec::new()), quoted: Vec::new() }
    }
}

impl Json {
    /// Parses `text`, which serves as scratch and is void afterwards, and hands the value to `read`.
    pub(crate) fn parse<'t, R>(
        &mut self,
        text: &'t mut [u8],
        read: impl FnOnce(Value<'_, 't>) -> Result<R, VenueError>,
    ) -> Result<R, VenueError> {
        let mut tape: Tape<'t> = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let result = fill_tape(text, &mut self.buffers, &mut tape)
            .map_err(|error| VenueError::new("message", Problem::Json(error.to_string())))
            .and_then(|()| read(tape.as_value()));
        self.tape = tape.reset();
        result
    }

    /// The same; where `has_bare_numbers`, with all numbers as texts.
    pub(super) fn parse_as<R>(
        &mut self,
        has_bare_numbers: bool,
        text: &mut [u8],
        read: impl FnOnce(Value<'_, '_>) -> Result<R, VenueError>,
    ) -> Result<R, VenueError> {
        if !has_bare_numbers {
            return self.parse(text, read);
        }
        let mut quoted = std::mem::take(&mut self.quoted);
        quote_numbers(text, &mut quoted);
        let result = self.parse(&mut quoted, read);
        self.quoted = quoted;
        result
    }
}

/// Copies JSON with its numbers put in quotes: so they keep the digits as sent, which a parser would round. A word that
/// only begins like a number is quoted too: what is wrong with it shows when it is read.
fn quote_numbers(text: &[u8], quoted: &mut Vec<u8>) {
    quoted.clear();
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let is_number = matches!(byte, b'-' | b'0'..=b'9');
        let length = match byte {
            b'"' => closing_quote(&rest[1..]).map_or(rest.len(), |length| length + 2),
            _ if is_number => rest.iter().take_while(|byte| NUMBER_BYTES.contains(byte)).count(),
            _ => 1,
        };
        let (word, behind) = rest.split_at(length);
        if is_number {
            quoted.push(b'"');
        }
        quoted.extend_from_slice(word);
        if is_number {
            quoted.push(b'"');
        }
        rest = behind;
    }
}

const NUMBER_BYTES: &[u8] = b"0123456789+-.eE";

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

/// The length of a text up to its closing quote.
pub(crate) fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|byte| {
        let is_closing = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_closing
    })
}

/// The text in `field` of `object`.
pub(crate) fn text<'i>(object: &Object<'_, 'i>, field: &'static str) -> Result<&'i str, VenueError> {
    as_text(object.get(field), field)
}

/// The text in `field`, or nothing where the field is missing or something else.
pub(crate) fn text_if_any<'i>(object: &Object<'_, 'i>, field: &str) -> Option<&'i str> {
    object.get(field)?.into_string()
}

/// The natural number in `field` of `object`, bare or in quotes.
pub(super) fn natural(object: &Object<'_, '_>, field: &'static str) -> Result<u64, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_natural(value, field)
}

/// `value` as a natural number, bare or in quotes.
pub(super) fn as_natural(value: Value<'_, '_>, field: &'static str) -> Result<u64, VenueError> {
    value
        .as_u64()
        .or_else(|| value.into_string()?.parse().ok())
        .ok_or_else(|| VenueError::expected(field, "a natural number"))
}

/// The list in `field` of `object`.
pub(super) fn list<'t, 'i>(
    object: &Object<'t, 'i>,
    field: &'static str,
) -> Result<Array<'t, 'i>, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    as_list(value, field)
}

/// `value` as a list.
pub(super) fn as_list<'t, 'i>(
    value: Value<'t, 'i>,
    field: &'static str,
) -> Result<Array<'t, 'i>, VenueError> {
    value.as_array().ok_or_else(|| VenueError::expected(field, "a list"))
}

/// `value` as an object.
pub(crate) fn as_object<'t, 'i>(
    value: Value<'t, 'i>,
    field: &'static str,
) -> Result<Object<'t, 'i>, VenueError> {
    value.as_object().ok_or_else(|| VenueError::expected(field, "an object"))
}

/// `value` as a text.
pub(super) fn as_text<'i>(value: Option<Value<'_, 'i>>, field: &'static str) -> Result<&'i str, VenueError> {
    let value = value.ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.into_string().ok_or_else(|| VenueError::expected(field, "a text"))
}

/// `value` as a boolean, in `field` of `object`.
pub(super) fn truth(object: &Object<'_, '_>, field: &'static str) -> Result<bool, VenueError> {
    let value = object.get(field).ok_or_else(|| VenueError::new(field, Problem::Missing))?;
    value.as_bool().ok_or_else(|| VenueError::expected(field, "true or false"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;

    #[test]
    fn numbers_are_quoted_and_texts_left_alone() {
        let quoted = |text: &str| {
            let mut quoted = Vec::new();
            quote_numbers(text.as_bytes(), &mut quoted);
            String::from_utf8(quoted).expect("text")
        };
        assert_eq!(
            quoted(r#"{"a1":[1,-2.50,3e-7, 4E+2],"b":"5 \"6\"\\","c":true,"d":{"e":7}}"#),
            r#"{"a1":["1","-2.50","3e-7", "4E+2"],"b":"5 \"6\"\\","c":true,"d":{"e":"7"}}"#
        );
        for broken in ["", r#"{"a":"#, r#"["1"#, r#"["1\"#, "[nul", "]"] {
            assert_eq!(quoted(broken), broken);
        }
    }

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
