//! Patterns of symbols: `BTC-USD`, `BTC-*`, `*-USD` and `*`.

use feeds::limits::SYMBOL_BYTES_MAX;

use crate::limits::PATTERNS_MAX;

/// Patterns, any of which may match a symbol. Matching takes three searches in sorted lists, however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    /// `*` is among them: the lists are empty then.
    all: bool,
    names: Vec<Vec<u8>>,
    beginnings: Beginnings,
    /// Of the symbols read backwards.
    ends: Beginnings,
}

/// Why patterns are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// More than [`PATTERNS_MAX`].
    #[error("{0} patterns, at most {PATTERNS_MAX} are allowed")]
    TooMany(usize),
    /// Not a name, nor one with a `*` before or behind it.
    #[error(
        "`{0}` is none of a symbol of at most {SYMBOL_BYTES_MAX} bytes, its beginning with a `*` behind it, its end with \
         a `*` before it, and `*`"
    )]
    Pattern(String),
}

impl Patterns {
    /// `*`.
    #[must_use]
    pub const fn all() -> Self {
        Self::any(true)
    }

    /// None at all, which match nothing.
    #[must_use]
    pub const fn none() -> Self {
        Self::any(false)
    }

    const fn any(all: bool) -> Self {
        Self { all, names: Vec::new(), beginnings: Beginnings(Vec::new()), ends: Beginnings(Vec::new()) }
    }

    /// Reads patterns, in upper or lower case. None of them match nothing.
    ///
    /// # Errors
    /// [`PatternError`] shows the first that is wrong.
    pub fn new(texts: &[String]) -> Result<Self, PatternError> {
        if texts.len() > PATTERNS_MAX {
            return Err(PatternError::TooMany(texts.len()));
        }
        let (mut all, mut names, mut beginnings, mut ends) = (false, Vec::new(), Vec::new(), Vec::new());
        for text in texts {
            let stars = text.bytes().filter(|&byte| byte == b'*').count();
            let name = text.trim_matches('*').to_ascii_uppercase().into_bytes();
            let is_name =
                name.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b','));
            match (text.strip_prefix('*'), text.strip_suffix('*'), stars) {
                (Some(""), ..) => all = true,
                _ if name.is_empty() || name.len() > SYMBOL_BYTES_MAX || !is_name => {
                    return Err(PatternError::Pattern(shortened(text)));
                }
                (None, None, 0) => names.push(name),
                (None, Some(_), 1) => beginnings.push(name),
                (Some(_), None, 1) => ends.push(name.into_iter().rev().collect()),
                _ => return Err(PatternError::Pattern(shortened(text))),
            }
        }
        if all {
            return Ok(Self::all());
        }
        names.sort_unstable();
        names.dedup();
        Ok(Self { all, names, beginnings: Beginnings::new(beginnings), ends: Beginnings::new(ends) })
    }

    /// Whether one of them matches a symbol, which is in upper case.
    #[must_use]
    pub fn match_symbol(&self, symbol: &str) -> bool {
        let symbol = symbol.as_bytes();
        self.all
            || self.names.binary_search_by(|name| name[..].cmp(symbol)).is_ok()
            || self.beginnings.match_bytes(symbol)
            || (!self.ends.0.is_empty()
                && self.ends.match_bytes(&symbol.iter().rev().copied().collect::<Vec<_>>()))
    }

    /// Patterns that match the same.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let backwards = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
        let all = self.all.then(|| "*".to_owned()).into_iter();
        let names = self.names.iter().map(|name| text(name));
        let beginnings = self.beginnings.0.iter().map(|beginning| format!("{}*", text(beginning)));
        let ends = self.ends.0.iter().map(|end| format!("*{}", text(&backwards(end))));
        all.chain(names).chain(beginnings).chain(ends).collect()
    }
}

/// Beginnings, sorted, none of which begins with another: so the only one that a text can begin with is the last that
/// is not behind it in the order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Beginnings(Vec<Vec<u8>>);

impl Beginnings {
    fn new(mut beginnings: Vec<Vec<u8>>) -> Self {
        beginnings.sort_unstable();
        // What begins with one that is kept matches nothing that this one does not.
        beginnings.dedup_by(|next, kept| next.starts_with(kept));
        Self(beginnings)
    }

    fn match_bytes(&self, text: &[u8]) -> bool {
        let behind = self.0.partition_point(|beginning| beginning[..] <= *text);
        behind > 0 && text.starts_with(&self.0[behind - 1])
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(SYMBOL_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(texts: &[&str]) -> Result<Patterns, PatternError> {
        Patterns::new(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let long = "A".repeat(SYMBOL_BYTES_MAX + 1);
        for wrong in ["", "**", "A*B", "*A*", "A**", "**A", "A B", "A,B", "A\"", "A\\*", "É*", &long] {
            assert_eq!(
                read(&["AAPL", wrong]).err(),
                Some(PatternError::Pattern(shortened(wrong))),
                "`{wrong}`"
            );
        }
        let longest = "A".repeat(SYMBOL_BYTES_MAX);
        assert!(read(&[&longest, &format!("{longest}*"), &format!("*{longest}")]).is_ok());
        assert!(read(&vec!["A"; PATTERNS_MAX]).is_ok());
        assert_eq!(read(&vec!["A"; PATTERNS_MAX + 1]), Err(PatternError::TooMany(PATTERNS_MAX + 1)));
    }

    #[test]
    fn what_another_pattern_covers_is_not_kept() {
        let texts = |patterns: &[&str]| read(patterns).expect("patterns").texts();
        assert_eq!(texts(&["btc-*", "BTC-U*", "*-USD", "*D", "X", "x"]), ["X", "BTC-*", "*D"]);
        assert_eq!(texts(&["A", "*", "B*"]), ["*"]);
        assert_eq!(read(&["*"]), Ok(Patterns::all()));
        assert!(texts(&[]).is_empty());
    }

    /// Slow, and as the words say it.
    fn matches(pattern: &str, symbol: &str) -> bool {
        if pattern == "*" {
            true
        } else if let Some(beginning) = pattern.strip_suffix('*') {
            symbol.starts_with(beginning)
        } else if let Some(end) = pattern.strip_prefix('*') {
            symbol.ends_with(end)
        } else {
            symbol == pattern
        }
    }

    proptest! {
        #[test]
        fn they_match_as_each_of_them_alone(
            patterns in prop::collection::vec("[AB-]{1,4}|[AB-]{1,4}\\*|\\*[AB-]{1,4}", 0..12),
            all in prop::bool::weighted(0.05),
            symbols in prop::collection::vec("[AB-]{1,6}", 1..50),
        ) {
            let mut texts = patterns;
            if all {
                texts.push("*".to_owned());
            }
            let read = Patterns::new(&texts).expect("patterns");
            let again = Patterns::new(&read.texts()).expect("patterns");
            prop_assert_eq!(&again, &read);
            for symbol in &symbols {
                let expected = texts.iter().any(|pattern| matches(pattern, symbol));
                prop_assert_eq!(read.match_symbol(symbol), expected, "{} of {:?}", symbol, &texts);
            }
        }

        #[test]
        fn no_text_causes_a_panic(texts in prop::collection::vec(any::<String>(), 0..4), symbol in any::<String>()) {
            if let Ok(patterns) = Patterns::new(&texts) {
                let _ = patterns.match_symbol(&symbol);
            }
        }
    }
}
