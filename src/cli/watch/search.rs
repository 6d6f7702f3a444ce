//! Looking for an instrument by a part of its name.

use feeds::limits::SYMBOL_BYTES_MAX;
use feeds::{Symbol, SymbolError};

use super::instruments::Listed;
use crate::limits::WATCH_FOUND_MAX;

/// What was typed so far, and which of the matches is chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    text: String,
    chosen: usize,
}

/// The instruments that can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Index {
    /// They were asked for, or will be.
    Unknown,
    /// There is no list of them, for that reason: a name has to be typed whole.
    Failed(String),
    Known(Vec<Listed>),
}

impl Search {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A letter that no symbol has is passed over.
    pub(super) fn put(&mut self, letter: char) {
        if letter.is_ascii_graphic() && self.text.len() < SYMBOL_BYTES_MAX {
            self.text.push(letter.to_ascii_uppercase());
            self.chosen = 0;
        }
    }

    pub(super) fn rub_out(&mut self) {
        self.text.pop();
        self.chosen = 0;
    }

    pub(super) fn next(&mut self, index: &Index) {
        let last = self.found(index).len().saturating_sub(1);
        self.chosen = (self.chosen + 1).min(last);
    }

    pub(super) const fn previous(&mut self) {
        self.chosen = self.chosen.saturating_sub(1);
    }

    /// Which of [`Search::found`] is chosen.
    pub(super) const fn chosen(&self) -> usize {
        self.chosen
    }

    /// The names that have the text in them: first the one that is it, then those that begin with it.
    pub(super) fn found<'a>(&self, index: &'a Index) -> Vec<&'a Listed> {
        let Index::Known(listed) = index else { return Vec::new() };
        let mut found: Vec<&Listed> =
            listed.iter().filter(|listed| listed.symbol.as_str().contains(&self.text)).collect();
        found.sort_by_key(|listed| {
            let name = listed.symbol.as_str();
            (name != self.text, !name.starts_with(&self.text))
        });
        found.truncate(WATCH_FOUND_MAX);
        found
    }

    /// The match that is chosen; the text itself where nothing matches: the list may be a part, or missing.
    pub(super) fn symbol(&self, index: &Index) -> Result<Symbol, SymbolError> {
        match self.found(index).get(self.chosen) {
            Some(listed) => Ok(listed.symbol.clone()),
            None => Symbol::new(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[&str]) -> Index {
        let listed =
            |name: &&str| Listed { symbol: Symbol::new(name).expect("a symbol"), place: "X".to_owned() };
        Index::Known(names.iter().map(listed).collect())
    }

    fn typed(text: &str) -> Search {
        let mut search = Search::default();
        text.chars().for_each(|letter| search.put(letter));
        search
    }

    #[test]
    fn names_that_begin_so_come_first() {
        let index = index(&["AB", "XA", "BA", "A", "C"]);
        let names = |search: &Search| -> Vec<String> {
            search.found(&index).iter().map(|listed| listed.symbol.to_string()).collect()
        };
        let mut search = typed("a");
        assert_eq!(names(&search), ["A", "AB", "XA", "BA"]);
        search.next(&index);
        search.next(&index);
        assert_eq!(search.symbol(&index).expect("a match").as_str(), "XA");
        for _ in 0..9 {
            search.next(&index);
        }
        assert_eq!(search.symbol(&index).expect("a match").as_str(), "BA");
        search.previous();
        assert_eq!((search.chosen(), search.symbol(&index).expect("a match").as_str()), (2, "XA"));
        search.put('b');
        assert_eq!((names(&search), search.chosen()), (vec!["AB".to_owned()], 0));
        search.rub_out();
        search.rub_out();
        assert_eq!(names(&search).len(), 5);
    }

    #[test]
    fn without_a_match_the_text_is_meant() {
        for index in [Index::Unknown, Index::Failed("404".to_owned()), index(&["A"])] {
            assert_eq!(typed("btc-usd").symbol(&index).expect("a symbol").as_str(), "BTC-USD");
            assert!(typed("btc-usd").found(&index).is_empty());
        }
        assert!(typed("").symbol(&Index::Unknown).is_err());
    }

    #[test]
    fn what_is_typed_is_bounded_and_harmless() {
        let text = typed(&format!("{}\u{1b}[2Jé 🦀{}", "a", "b".repeat(100)));
        assert!(text.text().starts_with("A[2JB") && text.text().len() == SYMBOL_BYTES_MAX);
        let names: Vec<String> = (0..WATCH_FOUND_MAX + 9).map(|number| format!("S{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(typed("s").found(&index(&names)).len(), WATCH_FOUND_MAX);
    }
}
