//! Whether something was written as a tutorial shows it.

use std::borrow::Cow;

/// The first of the lines shown that is not among those written, behind the one before it. A line that ends in `…` is the
/// beginning of one. Numbers, the widths of columns and names of epochs are those of one run, and do not count unless
/// `exact` is said.
pub(crate) fn missing<'a>(shown: &'a str, written: &str, exact: bool) -> Option<&'a str> {
    let look = |line| if exact { Cow::Borrowed(line) } else { Cow::Owned(shape(line)) };
    let mut written = written.lines().map(look);
    shown.lines().find(|line| {
        let (line, is_cut) = line.strip_suffix('…').map_or((*line, false), |line| (line, true));
        let line = look(line);
        !written.any(|written| if is_cut { written.starts_with(&*line) } else { written == line })
    })
}

fn shape(line: &str) -> String {
    let mut shape = String::new();
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        let (sign, len) = if let Some(value) = rest.strip_prefix("\"epoch\":\"") {
            ("\"epoch\":", 10 + value.find('"').unwrap_or(value.len()))
        } else if letter.is_ascii_digit() {
            ("#", len_of(rest, |letter| letter.is_ascii_digit() || matches!(letter, '.' | ',')))
        } else if letter == ' ' {
            (" ", len_of(rest, |letter| letter == ' '))
        } else {
            (&rest[..letter.len_utf8()], letter.len_utf8())
        };
        shape += sign;
        rest = rest.get(len..).unwrap_or("");
    }
    shape.trim_end().to_owned()
}

fn len_of(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|letter| !is_part(letter)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_columns_and_epochs_are_those_of_one_run() {
        let written = "a 1,710 of 2\n{\"epoch\":\"hoj2qb7j3l\",\"seq\":17}\nlatency ms  p50 0.408";
        assert_eq!(
            missing("a 9 of 12.5\n{\"epoch\":\"k3f9\",\"seq\":2}\nlatency ms p50 39.007\n", written, false),
            None
        );
        assert_eq!(missing("{\"epoch\":\"k3f9\",\"seq\"…\n", written, false), None);
        assert_eq!(missing("a 1,710 of 2\nlatency ms  p50 0.408\n", written, true), None);
    }

    #[test]
    fn what_is_not_written_so_is_told() {
        let written = "first 1\nsecond 2";
        assert_eq!(missing("third 3\n", written, false), Some("third 3"));
        assert_eq!(missing("second 2\nfirst 1\n", written, false), Some("first 1"));
        assert_eq!(missing("first 1\nfirst 1\n", written, false), Some("first 1"));
        assert_eq!(missing("first\n", written, false), Some("first"));
        assert_eq!(missing("first 2\n", written, true), Some("first 2"));
        assert_eq!(missing("first 1 and…\n", written, false), Some("first 1 and…"));
    }
}
