//! Text of others, as a terminal may have it.

/// As many characters as there may be, and `…` where there are more. What would command a terminal, or turn the
/// direction of writing (Unicode UAX #9 section 2), is a space.
#[must_use]
pub fn printable(text: &str, chars_max: usize) -> String {
    let mut letters = text.chars().map(|letter| if is_printable(letter) { letter } else { ' ' });
    let shown: String = letters.by_ref().take(chars_max).collect();
    if letters.next().is_some() { shown + "…" } else { shown }
}

fn is_printable(letter: char) -> bool {
    let turns = matches!(
        letter,
        '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !letter.is_control() && !turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_a_space_and_what_is_long_is_cut() {
        for (text, most, shown) in [
            ("", 0, ""),
            ("añ🦀", 3, "añ🦀"),
            ("añ🦀b", 3, "añ🦀…"),
            ("a\u{1b}]0;b\u{7}\u{1b}[2J\r\nc", 99, "a ]0;b  [2J  c"),
            ("\u{85}\u{9b}31m", 99, "  31m"),
            ("a\u{202e}b\u{2066}c\u{200f}d\u{61c}e\u{202a}", 99, "a b c d e "),
        ] {
            assert_eq!(printable(text, most), shown, "{text:?}");
        }
    }
}
