//! The day of a file, which its messages do not tell.

use std::path::Path;

use jiff::civil::Date;

use crate::Timestamp;

const TIME_ZONE: &str = "America/New_York";
const EIGHT_DIGITS: usize = 8;
/// Years that a date in a file's name may have. `MMDDYYYY` never begins with such a year, so that the two ways to
/// write a date cannot be taken for each other.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=2099;

/// Midnight in New York of the date in the file's name; the Unix epoch when there is none.
pub(crate) fn midnight(path: &Path) -> Timestamp {
    path.file_name()
        .and_then(|name| name.to_str())
        .and_then(date_in)
        .and_then(|date| date.in_tz(TIME_ZONE).ok())
        .and_then(|midnight| i64::try_from(midnight.timestamp().as_nanosecond()).ok())
        .map_or(Timestamp(0), Timestamp)
}

/// Midnight in New York of the day on which it is `time`.
pub(crate) fn midnight_before(time: Timestamp) -> Timestamp {
    jiff::Timestamp::from_nanosecond(time.0.into())
        .ok()
        .and_then(|time| time.in_tz(TIME_ZONE).ok())
        .and_then(|time| time.start_of_day().ok())
        .and_then(|midnight| i64::try_from(midnight.timestamp().as_nanosecond()).ok())
        .map_or(Timestamp(0), Timestamp)
}

fn date_in(name: &str) -> Option<Date> {
    let numbers: Vec<&str> = name.split(|character: char| !character.is_ascii_digit()).collect();
    let in_one = numbers.iter().filter(|digits| digits.len() == EIGHT_DIGITS).find_map(|digits| {
        date(&digits[..4], &digits[4..6], &digits[6..])
            .or_else(|| date(&digits[4..], &digits[..2], &digits[2..4]))
    });
    in_one.or_else(|| {
        numbers.windows(3).find_map(|parts| {
            let dashed = parts.join("-");
            let is_written_so = parts[1].len() == 2 && parts[2].len() == 2 && name.contains(&dashed);
            is_written_so.then(|| date(parts[0], parts[1], parts[2])).flatten()
        })
    })
}

fn date(year: &str, month: &str, day: &str) -> Option<Date> {
    let year = year.parse().ok().filter(|year| YEARS.contains(year))?;
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_in_the_name_and_begins_in_new_york() {
        for (name, midnight_utc) in [
            ("nasdaq-20191230-0930.itch", "2019-12-30T05:00:00.000000000Z"),
            ("/data/01302020.NASDAQ_ITCH50.gz", "2020-01-30T05:00:00.000000000Z"),
            ("07012019.NASDAQ_ITCH50", "2019-07-01T04:00:00.000000000Z"),
            ("12345678-20200229.itch", "2020-02-29T05:00:00.000000000Z"),
            ("AAPL_2012-06-21_34200000_57600000_message_10.csv", "2012-06-21T04:00:00.000000000Z"),
            ("AAPL_2012_06_21.csv", "1970-01-01T00:00:00.000000000Z"),
            ("20190229.itch", "1970-01-01T00:00:00.000000000Z"),
            ("120191230.itch", "1970-01-01T00:00:00.000000000Z"),
            ("20191230/S123019-v50.txt", "1970-01-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(midnight(Path::new(name)).to_string(), midnight_utc, "{name}");
        }
    }
}
