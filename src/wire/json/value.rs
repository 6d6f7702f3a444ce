//! Single values.

use super::{Exponent, Price, Size};

/// A price as decimal text in quotes, or `null`.
pub(super) fn price(out: &mut Vec<u8>, price: Option<Price>, exponent: Exponent) {
    match price {
        Some(price) => {
            out.push(b'"');
            price.write(exponent, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// A size as decimal text in quotes, or `null`.
pub(super) fn size(out: &mut Vec<u8>, size: Option<Size>, exponent: Exponent) {
    price(out, size.map(|size| Price(size.0)), exponent);
}

/// A sum or a difference, which may be past 64 bits, as decimal text in quotes, or `null`.
pub(super) fn decimal(out: &mut Vec<u8>, mantissa: Option<i128>, exponent: Exponent) {
    match mantissa.map(|mantissa| (mantissa, i64::try_from(mantissa))) {
        Some((_, Ok(small))) => price(out, Some(Price(small)), exponent),
        Some((large, Err(_))) => quotient(out, large, 1, exponent, 0),
        None => out.extend_from_slice(b"null"),
    }
}

/// A ratio of exact sums, times ten to the `exponent`, as decimal text in quotes with the decimals of the exponent and
/// four more, rounded half to even. `None`, and a denominator that is not positive, are `null`.
///
/// These are the only rounded numbers of the protocol.
pub(super) fn ratio(out: &mut Vec<u8>, ratio: Option<(i128, i128)>, exponent: Exponent) {
    match ratio {
        Some((numerator, denominator)) if denominator > 0 => {
            quotient(out, numerator, denominator.unsigned_abs(), exponent, 4);
        }
        _ => out.extend_from_slice(b"null"),
    }
}

/// A long division on the digits themselves, so that no sum is too large for it: at most 39 digits before the point of
/// the mantissa and 22 after it. The denominator is at most 2^127.
fn quotient(out: &mut Vec<u8>, numerator: i128, denominator: u128, exponent: Exponent, extra: usize) {
    let tens = usize::from(exponent.get().max(0).unsigned_abs());
    let decimals = usize::from(exponent.get().min(0).unsigned_abs()) + extra;
    let (is_negative, numerator) = (numerator < 0, numerator.unsigned_abs());

    out.push(b'"');
    let start = out.len();
    integer(out, numerator / denominator);
    let mut remainder = numerator % denominator;
    for _ in 0..tens + extra {
        // Ten times the remainder, modulo the denominator, never holding more than twice the denominator.
        let mut digit = b'0';
        let mut tenfold = 0_u128;
        for _ in 0..10 {
            tenfold += remainder;
            if tenfold >= denominator {
                tenfold -= denominator;
                digit += 1;
            }
        }
        out.push(digit);
        remainder = tenfold;
    }
    let rest = denominator - remainder;
    let is_odd = out.last().is_some_and(|digit| digit % 2 == 1);
    if remainder > rest || (remainder == rest && is_odd) {
        round_up(out, start);
    }

    let leading_zeros = out[start..].iter().take_while(|&&digit| digit == b'0').count();
    out.drain(start..start + leading_zeros);
    let is_zero = out.len() == start;
    let missing = (decimals + 1).saturating_sub(out.len() - start);
    out.splice(start..start, std::iter::repeat_n(b'0', missing));
    if decimals > 0 {
        out.insert(out.len() - decimals, b'.');
    }
    if is_negative && !is_zero {
        out.insert(start, b'-');
    }
    out.push(b'"');
}

/// Adds one to the last of the digits that begin at `start`.
fn round_up(out: &mut Vec<u8>, start: usize) {
    for digit in out[start..].iter_mut().rev() {
        if *digit == b'9' {
            *digit = b'0';
        } else {
            *digit += 1;
            return;
        }
    }
    out.insert(start, b'1');
}

/// An integer.
pub(in crate::wire) fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A text in quotes, escaped as JSON demands (RFC 8259, section 7).
pub(in crate::wire) fn text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1F => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xF)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::{Decimal, RoundingStrategy};

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    fn exponent(value: i8) -> Exponent {
        Exponent::new(value).expect("within range")
    }

    #[test]
    fn ratios_are_rounded_half_to_even_at_four_more_decimals() {
        let shown = |numerator, denominator, exp| {
            written(|out| ratio(out, Some((numerator, denominator)), exponent(exp)))
        };
        assert_eq!(shown(200, 3, -2), "\"0.666667\"");
        assert_eq!(shown(1, 20_000, 0), "\"0.0000\"");
        assert_eq!(shown(3, 20_000, 0), "\"0.0002\"");
        assert_eq!(shown(-3, 20_000, 0), "\"-0.0002\"");
        assert_eq!(shown(-1, 20_000, 0), "\"0.0000\"");
        assert_eq!(shown(199_999, 20_000, 0), "\"10.0000\"");
        assert_eq!(shown(99_999_999, 1_000, -1), "\"9999.99990\"");
        assert_eq!(shown(1, 3, 2), "\"33.3333\"");
        assert_eq!(shown(0, 3, 2), "\"0.0000\"");
        assert_eq!(shown(i128::MAX, i128::MAX, 18), "\"1000000000000000000.0000\"");
        assert_eq!(shown(i128::MIN, 1, 0), "\"-170141183460469231731687303715884105728.0000\"");
        assert_eq!(shown(5, 0, 0), "null");
        assert_eq!(shown(5, -1, 0), "null");
        assert_eq!(written(|out| ratio(out, None, Exponent::ONE)), "null");
    }

    proptest! {
        #[test]
        fn ratios_agree_with_rust_decimal(numerator in -1_000_000_000_i64..1_000_000_000, denominator in 1_u8..=200) {
            // 28 digits hold these exactly enough: a tie or a near tie is decided within the first 12 decimals.
            let expected = (Decimal::from(numerator) / Decimal::from(denominator))
                .round_dp_with_strategy(4, RoundingStrategy::MidpointNearestEven);
            let shown =
                written(|out| ratio(out, Some((i128::from(numerator), i128::from(denominator))), Exponent::ONE));
            let found: Decimal = shown.trim_matches('"').parse().expect("a decimal");
            prop_assert_eq!(found, expected);
            prop_assert_eq!(found.scale(), 4);
        }

        #[test]
        fn sums_are_shown_as_prices_are(mantissa: i64, exp in -18_i8..=18) {
            let sum = written(|out| decimal(out, Some(i128::from(mantissa)), exponent(exp)));
            prop_assert_eq!(sum, written(|out| price(out, Some(Price(mantissa)), exponent(exp))));
        }

        #[test]
        fn any_text_comes_back(original: String) {
            let parsed: String = serde_json::from_str(&written(|out| text(out, &original))).expect("JSON");
            prop_assert_eq!(parsed, original);
        }
    }
}
