//! What of the board is looked at, and what keys make of that.

use std::cmp::Reverse;

use feeds::Symbol;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::widgets::TableState;
use rust_decimal::Decimal;

use super::board::Board;
use super::row::Row;
use super::search::{Index, Search};

/// Rows that a page up or down goes by.
const PAGE: usize = 10;

/// What is chosen, and in which order.
#[derive(Debug)]
pub(super) struct View {
    chosen: Option<Symbol>,
    pub(super) sort: Sort,
    pub(super) search: Option<Search>,
    pub(super) index: Index,
    pub(super) has_help: bool,
    pub(super) has_latency: bool,
    /// Where the list is scrolled to.
    pub(super) scrolled: TableState,
}

/// The order of the watch-list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// As it was asked for.
    Asked,
    Symbol,
    /// The largest gain first.
    Change,
    /// The largest first.
    Volume,
}

/// What a key asks for beyond the view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing, or what the view has done already.
    Look,
    Leave,
    Open(Symbol),
    Close,
    Add(Symbol),
    Remove(Symbol),
    /// The list of instruments, to be searched in.
    List,
    Pause,
    /// The whole screen again: something else has written on it.
    Redraw,
    /// Something that cannot be.
    Tell(String),
}

impl Sort {
    const fn next(self) -> Self {
        match self {
            Self::Asked => Self::Symbol,
            Self::Symbol => Self::Change,
            Self::Change => Self::Volume,
            Self::Volume => Self::Asked,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "as asked",
            Self::Symbol => "by symbol",
            Self::Change => "by change",
            Self::Volume => "by volume",
        }
    }
}

impl View {
    pub(super) fn new() -> Self {
        Self {
            chosen: None,
            sort: Sort::Asked,
            search: None,
            index: Index::Unknown,
            has_help: false,
            has_latency: true,
            scrolled: TableState::new(),
        }
    }

    /// The rows as they are shown. What has no number to order it by comes last.
    pub(super) fn ordered<'a>(&self, board: &'a Board) -> Vec<&'a Row> {
        let mut rows: Vec<&Row> = board.rows.iter().collect();
        let largest = |value: Option<Decimal>| (value.is_none(), Reverse(value));
        match self.sort {
            Sort::Asked => {}
            Sort::Symbol => rows.sort_by(|a, b| a.symbol.cmp(&b.symbol)),
            Sort::Change => rows.sort_by_key(|row| largest(row.percent.value)),
            Sort::Volume => rows.sort_by_key(|row| largest(row.volume.value)),
        }
        rows
    }

    /// Where in [`View::ordered`] the chosen row stands; the first where none is chosen, or it is not there any more.
    pub(super) fn place(&self, rows: &[&Row]) -> usize {
        let chosen = self.chosen.as_ref();
        rows.iter().position(|row| Some(&row.symbol) == chosen).unwrap_or_default()
    }

    pub(super) fn choose(&mut self, symbol: Symbol) {
        self.chosen = Some(symbol);
    }

    /// What a key means. `board`: what is on the screen.
    pub(super) fn key(&mut self, key: KeyEvent, board: &Board) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Leave,
                KeyCode::Char('l') => Wish::Redraw,
                _ => Wish::Look,
            };
        }
        if self.has_help {
            self.has_help = false;
            return if key.code == KeyCode::Char('q') { Wish::Leave } else { Wish::Look };
        }
        if self.search.is_some() {
            return self.search_key(key.code);
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Leave,
            KeyCode::Char('?') => self.has_help = true,
            KeyCode::Char('l') => self.has_latency = !self.has_latency,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p') => return Wish::Pause,
            KeyCode::Char('/') => {
                self.search = Some(Search::default());
                return Wish::List;
            }
            KeyCode::Esc => return Wish::Close,
            KeyCode::Enter => return self.chosen_row(board).map_or(Wish::Look, Wish::Open),
            KeyCode::Char('d') | KeyCode::Delete => {
                let Some(gone) = self.chosen_row(board) else { return Wish::Look };
                self.choose_beside(board);
                return Wish::Remove(gone);
            }
            KeyCode::Char('j') | KeyCode::Down => self.go(board, |place| place.saturating_add(1)),
            KeyCode::Char('k') | KeyCode::Up => self.go(board, |place| place.saturating_sub(1)),
            KeyCode::PageDown => self.go(board, |place| place.saturating_add(PAGE)),
            KeyCode::PageUp => self.go(board, |place| place.saturating_sub(PAGE)),
            KeyCode::Char('g') | KeyCode::Home => self.go(board, |_| 0),
            KeyCode::Char('G') | KeyCode::End => self.go(board, |_| usize::MAX),
            _ => {}
        }
        Wish::Look
    }

    fn search_key(&mut self, code: KeyCode) -> Wish {
        let Some(search) = &mut self.search else { return Wish::Look };
        match code {
            KeyCode::Esc => self.search = None,
            KeyCode::Enter => {
                let symbol = search.symbol(&self.index);
                self.search = None;
                return symbol.map_or_else(|error| Wish::Tell(error.to_string()), Wish::Add);
            }
            KeyCode::Backspace => search.rub_out(),
            KeyCode::Down => search.next(&self.index),
            KeyCode::Up => search.previous(),
            KeyCode::Char(letter) => search.put(letter),
            _ => {}
        }
        Wish::Look
    }

    fn chosen_row(&self, board: &Board) -> Option<Symbol> {
        let rows = self.ordered(board);
        rows.get(self.place(&rows)).map(|row| row.symbol.clone())
    }

    fn go(&mut self, board: &Board, to: impl Fn(usize) -> usize) {
        let rows = self.ordered(board);
        let place = to(self.place(&rows)).min(rows.len().saturating_sub(1));
        self.chosen = rows.get(place).map(|row| row.symbol.clone());
    }

    /// The row below the chosen one, or above it where it is the last.
    fn choose_beside(&mut self, board: &Board) {
        let rows = self.ordered(board);
        let place = self.place(&rows);
        let beside = rows.get(place + 1).or_else(|| rows.get(place.checked_sub(1)?));
        self.chosen = beside.map(|row| row.symbol.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Depth;

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).expect("a symbol")
    }

    fn board(names: &[&str]) -> Board {
        Board::new(names.iter().map(|name| symbol(name)), Depth::D10)
    }

    fn press(view: &mut View, board: &Board, code: KeyCode) -> Wish {
        view.key(KeyEvent::new(code, KeyModifiers::NONE), board)
    }

    fn typed(view: &mut View, board: &Board, text: &str) {
        for letter in text.chars() {
            assert_eq!(press(view, board, KeyCode::Char(letter)), Wish::Look, "{text}");
        }
    }

    #[test]
    fn keys_choose_and_stop_at_the_ends() {
        let board = board(&["A", "B", "C"]);
        let mut view = View::new();
        for (code, name) in [
            (KeyCode::Up, "A"),
            (KeyCode::Char('j'), "B"),
            (KeyCode::Down, "C"),
            (KeyCode::Down, "C"),
            (KeyCode::Char('k'), "B"),
            (KeyCode::PageDown, "C"),
            (KeyCode::Home, "A"),
            (KeyCode::Char('G'), "C"),
            (KeyCode::PageUp, "A"),
        ] {
            press(&mut view, &board, code);
            assert_eq!(press(&mut view, &board, KeyCode::Enter), Wish::Open(symbol(name)), "{code:?}");
        }
        let none = Board::new([], Depth::D10);
        for code in [KeyCode::Down, KeyCode::Enter, KeyCode::Char('d'), KeyCode::Char('G')] {
            assert_eq!(press(&mut View::new(), &none, code), Wish::Look);
        }
    }

    #[test]
    fn behind_one_that_is_removed_its_neighbour_is_chosen() {
        let mut board = board(&["A", "B", "C"]);
        let mut view = View::new();
        press(&mut view, &board, KeyCode::Down);
        for (gone, next) in [("B", Some("C")), ("C", Some("A")), ("A", None)] {
            assert_eq!(press(&mut view, &board, KeyCode::Char('d')), Wish::Remove(symbol(gone)));
            board.remove(&symbol(gone));
            let open = next.map_or(Wish::Look, |next| Wish::Open(symbol(next)));
            assert_eq!(press(&mut view, &board, KeyCode::Enter), open);
        }
    }

    #[test]
    fn the_chosen_one_stays_chosen_in_each_order() {
        let mut board = board(&["B", "C", "A", "D"]);
        for (index, (percent, volume)) in
            [(Some("-1.5"), Some("7")), (None, None), (Some("2"), Some("10")), (Some("0.1"), Some("9"))]
                .into_iter()
                .enumerate()
        {
            let text = |text: Option<&str>| text.map(Into::into);
            board.rows[index].ticker(&[("change_percent", text(percent)), ("volume", text(volume))]);
        }
        let mut view = View::new();
        press(&mut view, &board, KeyCode::Down);
        for (sort, order, place) in [
            (Sort::Asked, "BCAD", 1),
            (Sort::Symbol, "ABCD", 2),
            (Sort::Change, "ADBC", 3),
            (Sort::Volume, "ADBC", 3),
            (Sort::Asked, "BCAD", 1),
        ] {
            let rows = view.ordered(&board);
            let names: String = rows.iter().map(|row| row.symbol.as_str()).collect();
            assert_eq!((view.sort, names.as_str(), view.place(&rows)), (sort, order, place));
            press(&mut view, &board, KeyCode::Char('s'));
        }
    }

    #[test]
    fn a_search_takes_all_letters_and_adds() {
        let board = board(&["A"]);
        let mut view = View::new();
        assert_eq!(press(&mut view, &board, KeyCode::Char('/')), Wish::List);
        typed(&mut view, &board, "qd?ps");
        assert_eq!(view.search.as_ref().expect("a search").text(), "QD?PS");
        assert_eq!(press(&mut view, &board, KeyCode::Enter), Wish::Add(symbol("QD?PS")));
        assert!(view.search.is_none());
        press(&mut view, &board, KeyCode::Char('/'));
        assert!(matches!(press(&mut view, &board, KeyCode::Enter), Wish::Tell(_)));
        press(&mut view, &board, KeyCode::Char('/'));
        assert_eq!(press(&mut view, &board, KeyCode::Esc), Wish::Look);
        assert_eq!(press(&mut view, &board, KeyCode::Esc), Wish::Close);
    }

    #[test]
    fn there_is_always_a_way_out() {
        let board = board(&["A"]);
        let leave = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        for keys in ["", "/", "/x", "?"] {
            let mut view = View::new();
            for letter in keys.chars() {
                press(&mut view, &board, KeyCode::Char(letter));
            }
            assert_eq!(view.key(leave, &board), Wish::Leave, "{keys}");
        }
        let mut view = View::new();
        press(&mut view, &board, KeyCode::Char('?'));
        assert!(view.has_help);
        assert_eq!(press(&mut view, &board, KeyCode::Char('x')), Wish::Look);
        assert!(!view.has_help);
        assert_eq!(press(&mut view, &board, KeyCode::Char('q')), Wish::Leave);
    }
}
