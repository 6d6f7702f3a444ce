//! Times as CSV files have them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::{Exponent, Price, Timestamp};

/// What a time is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Text,
}

impl Unit {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "s" => Self::Seconds,
            "ms" => Self::Milliseconds,
            "us" => Self::Microseconds,
            "ns" => Self::Nanoseconds,
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// By the digits before the point, which tell since 2001 and until 2286; what is no number is text.
    pub(super) fn guess(text: &str) -> Option<Self> {
        let whole = text.split('.').next().unwrap_or_default();
        if !whole.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Text);
        }
        Some(match whole.len() {
            10 => Self::Seconds,
            13 => Self::Milliseconds,
            16 => Self::Microseconds,
            19 => Self::Nanoseconds,
            _ => return None,
        })
    }

    const fn decimals(self) -> Option<i8> {
        match self {
            Self::Seconds => Some(9),
            Self::Milliseconds => Some(6),
            Self::Microseconds => Some(3),
            Self::Nanoseconds => Some(0),
            Self::Text => None,
        }
    }

    /// Reads a time, exactly.
    pub(super) fn read(self, text: &str) -> Result<Timestamp, String> {
        if let Some(decimals) = self.decimals() {
            return Exponent::new(-decimals)
                .and_then(|exponent| Price::parse(text, exponent))
                .map(|number| Timestamp(number.0))
                .map_err(|error| error.to_string());
        }
        let time = text.parse::<jiff::Timestamp>().or_else(|_| {
            text.parse::<DateTime>().and_then(|time| Ok(time.to_zoned(TimeZone::UTC)?.timestamp()))
        });
        let nanoseconds = time.map_err(|_| format!("`{text}` is no time"))?.as_nanosecond();
        i64::try_from(nanoseconds)
            .map(Timestamp)
            .map_err(|_| format!("`{text}` is a time that 64 bits of nanoseconds do not hold"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_exactly_or_refused() {
        let guess = |text: &str| Unit::guess(text).expect("a unit").read(text).expect("a time").0;
        for text in [
            "1385000000.123456",
            "1385000000123.456",
            "1385000000123456",
            "1385000000123456000",
            "2013-11-21 02:13:20.123456+00:00",
            "2013-11-21T02:13:20.123456Z",
            "2013-11-21 02:13:20.123456",
            "2013-11-20T21:13:20.123456-05:00",
        ] {
            assert_eq!(guess(text), 1_385_000_000_123_456_000, "{text}");
        }
        assert_eq!(guess("2024-01-31"), 1_706_659_200_000_000_000);
        assert_eq!(Unit::guess("20240131"), None);
        assert_eq!(Unit::guess(""), None);
        for wrong in ["2013-13-01 00:00:00", "yesterday", "2300-01-01T00:00:00Z"] {
            assert!(Unit::Text.read(wrong).is_err(), "{wrong}");
        }
        for wrong in ["1385000000.1234567891", "1e9", "99999999999999"] {
            assert!(Unit::Seconds.read(wrong).is_err(), "{wrong}");
        }
    }
}
