//! What lies over the dashboard: the search, and the keys.

use feeds::limits::SYMBOL_BYTES_MAX;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::{Inks, fitted};
use crate::cli::watch::board::Board;
use crate::cli::watch::latency::count;
use crate::cli::watch::search::{Index, Search};

const KEYS: [(&str, &str); 11] = [
    ("↑ ↓  j k", "choose an instrument (PgUp, PgDn, g, G)"),
    ("Enter", "its book and trades"),
    ("Esc", "close them"),
    ("/", "search for an instrument, and add it"),
    ("d", "remove the chosen one"),
    ("s", "sort: as asked, by symbol, change, volume"),
    ("p", "pause the picture, or go on"),
    ("l", "show or hide the connection's figures"),
    ("Ctrl-L", "draw the screen anew"),
    ("?", "these keys; any key closes them"),
    ("q  Ctrl-C", "leave"),
];

pub(super) fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> =
        KEYS.iter().map(|(keys, what)| Line::raw(format!(" {} {what}", fitted(keys, 10, false)))).collect();
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let inner = over(frame, area, 58, height, " keys ");
    frame.render_widget(Paragraph::new(lines), inner);
}

pub(super) fn draw_search(
    frame: &mut Frame<'_>,
    area: Rect,
    search: &Search,
    index: &Index,
    board: &Board,
    inks: Inks,
) {
    let inner = over(frame, area, 58, 18, " add an instrument ");
    let [text, found_area, state] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(inner);
    // Its end is what is being typed.
    let room = usize::from(text.width).saturating_sub(3);
    let typed = search.text().len();
    let shown = search.text().get(typed.saturating_sub(room)..).unwrap_or_default();
    frame.render_widget(
        Line::from(vec![Span::raw("/ "), Span::styled(shown.to_owned(), inks.strong())]),
        text,
    );
    let cursor = u16::try_from(shown.len().min(SYMBOL_BYTES_MAX)).unwrap_or_default();
    frame.set_cursor_position(Position::new(text.x.saturating_add(2).saturating_add(cursor), text.y));

    let found = search.found(index);
    let height = usize::from(found_area.height);
    let first = (search.chosen() + 1).saturating_sub(height);
    let lines = found.iter().enumerate().skip(first).take(height).map(|(place, listed)| {
        let there = if board.row(&listed.symbol).is_some() { "✓" } else { " " };
        let text = format!("{there} {}  {}", fitted(listed.symbol.as_str(), 24, false), listed.place);
        if place == search.chosen() {
            Line::styled(format!("> {text}"), inks.chosen())
        } else {
            Line::raw(format!("  {text}"))
        }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), found_area);
    let told = match index {
        Index::Unknown => "asking for the instruments …".to_owned(),
        Index::Failed(why) => format!("type the whole name: no list ({why})"),
        Index::Known(listed) if found.is_empty() => {
            format!("none of {} matches: Enter tries it as it is", count(listed.len() as u64))
        }
        Index::Known(listed) => {
            format!("Enter adds, Esc leaves; {} instruments, ✓ listed", count(listed.len() as u64))
        }
    };
    frame.render_widget(Line::styled(told, inks.dim()), state);
}

/// An empty box in the middle; its inside.
fn over(frame: &mut Frame<'_>, area: Rect, width: u16, height: u16, title: &'static str) -> Rect {
    let area =
        area.centered(Constraint::Length(width.min(area.width)), Constraint::Length(height.min(area.height)));
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}
