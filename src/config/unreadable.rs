//! What is wrong with a file of settings, or a variable: where, of which setting, and why.

use std::fmt::Write;
use std::fs;

use figment::error::Kind;
use figment::{Error, Source};

/// What is wrong, a line each.
pub(super) fn describe(error: Error) -> String {
    let mut text = String::new();
    for error in error {
        let end = if text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{end}{}", describe_one(&error));
    }
    text
}

fn describe_one(error: &Error) -> String {
    let key = error.path.join(".");
    let metadata = error.metadata.as_ref();
    let place = match metadata.and_then(|metadata| metadata.source.as_ref()) {
        Some(source @ Source::File(path)) => {
            let text = fs::read_to_string(path).unwrap_or_default();
            match line_of(&text, &error.path) {
                Some(line) => format!("{source}:{line}: "),
                None => format!("{source}: "),
            }
        }
        _ if metadata.is_some_and(|metadata| metadata.name.contains("environment")) => {
            return format!("TICKWIRE_{}: {}", key.to_ascii_uppercase(), reason(&error.kind));
        }
        _ => String::new(),
    };
    match &error.kind {
        _ if key.is_empty() => format!("{place}{}", reason(&error.kind)),
        kind => format!("{place}`{key}`: {}", reason(kind)),
    }
}

fn reason(kind: &Kind) -> String {
    match kind {
        Kind::UnknownField(..) => "no such setting; `tickwire check-config` prints all there are".to_owned(),
        kind => kind.to_string().trim_end().to_owned(),
    }
}

/// The line of a TOML text, from 1, in which a key stands: the deepest of the path that is found.
fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = None;
    for name in path {
        let from = found.unwrap_or(0);
        match lines[from..].iter().position(|line| is_of(line, name)) {
            Some(after) => found = Some(from + after),
            None => break,
        }
    }
    found.map(|index| index + 1)
}

/// Whether the line begins a value, or a table, of that name.
fn is_of(line: &str, name: &str) -> bool {
    let line = line.trim_start().trim_start_matches(['[', '"', '\'']);
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['=', ' ', '\t', ']', '.', '"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text = "# rate = 1\nrates = 1\n rate = 2\n[sim]\nrate = 3\n\"speed\"= 4\n";
        let line =
            |path: &[&str]| line_of(text, &path.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(line(&["rate"]), Some(3));
        assert_eq!(line(&["sim"]), Some(4));
        assert_eq!(line(&["sim", "rate"]), Some(5));
        assert_eq!(line(&["speed"]), Some(6));
        assert_eq!((line(&["none"]), line(&[])), (None, None));
    }
}
