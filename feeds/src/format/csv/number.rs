//! Numbers as programs print them.

use std::borrow::Cow;

use crate::limits::CSV_EXPONENT_MAX;

/// The same number without an exponent: some programs print `1e-7` for what is small. What is no number stays as it is,
/// and is refused by whoever reads it.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    expand(text).map_or(Cow::Borrowed(text), Cow::Owned)
}

fn expand(text: &str) -> Option<String> {
    let (number, exponent) = text.split_once(['e', 'E'])?;
    let exponent: i32 = exponent.parse().ok().filter(|exponent: &i32| exponent.abs() <= CSV_EXPONENT_MAX)?;
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let mut digits = format!("{whole}{fraction}");
    let point = i32::try_from(whole.len()).ok()? + exponent;
    if point <= 0 {
        let zeros = usize::try_from(1 - point).ok()?;
        digits.insert_str(0, &"0".repeat(zeros));
    } else if let Some(zeros) = usize::try_from(point).ok()?.checked_sub(digits.len()) {
        digits.push_str(&"0".repeat(zeros));
    }
    let point = usize::try_from(point.max(1)).ok()?;
    let (whole, fraction) = digits.split_at(point);
    let dot = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{dot}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_become_digits() {
        for (text, expected) in [
            ("1e-7", "0.0000001"),
            ("-1.25E+3", "-1250"),
            ("1.25e1", "12.5"),
            ("125e-2", "1.25"),
            ("12.5e-1", "1.25"),
            ("12e0", "12"),
            ("1.5", "1.5"),
            ("e5", "e5"),
            ("1e", "1e"),
            ("1e99999", "1e99999"),
            ("1.2.3e4", "1.2.3e4"),
            ("NaN", "NaN"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }
}
