//! The watch-list.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, HighlightSpacing, Paragraph, Row as TableRow, Table};

use super::{Inks, fitted, sign};
use crate::cli::watch::board::{Board, Link};
use crate::cli::watch::row::{Moving, Row, Signed, Way};
use crate::cli::watch::view::View;

/// Between two columns.
const SPACE: u16 = 2;
/// What stands before the chosen row.
const CHOSEN: &str = "> ";
/// A symbol's widest column; of a longer one, its beginning is shown.
const SYMBOL_WIDTH_MAX: usize = 20;

struct Column {
    title: &'static str,
    is_right: bool,
    /// So that it does not jump with each digit.
    width_min: u16,
    cell: fn(&Row, Inks) -> Line<'static>,
}

/// In the order in which they stand.
const COLUMNS: [Column; 10] = [
    Column { title: "SYMBOL", is_right: false, width_min: 8, cell: symbol },
    Column { title: "LAST ", is_right: true, width_min: 9, cell: |row, inks| price(&row.last, inks) },
    Column { title: "CHANGE", is_right: true, width_min: 7, cell: |row, inks| signed(&row.change, inks) },
    Column { title: "%", is_right: true, width_min: 8, cell: |row, inks| signed(&row.percent, inks) },
    Column { title: "SIZE", is_right: true, width_min: 6, cell: |row, _| plain(&row.bid_size) },
    Column { title: "BID ", is_right: true, width_min: 9, cell: |row, inks| price(&row.bid, inks) },
    Column { title: "ASK ", is_right: true, width_min: 9, cell: |row, inks| price(&row.ask, inks) },
    Column { title: "SIZE", is_right: true, width_min: 6, cell: |row, _| plain(&row.ask_size) },
    Column { title: "VOLUME", is_right: true, width_min: 9, cell: |row, _| plain(&row.volume.text) },
    Column { title: "STATE", is_right: false, width_min: 8, cell: condition },
];

/// Which of them are shown first where there is not room for all; the two sizes together.
const RANKED: [&[usize]; 9] = [&[0], &[1], &[5], &[6], &[9], &[3], &[4, 7], &[2], &[8]];

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, board: &Board, view: &mut View, inks: Inks) {
    let rows = view.ordered(board);
    if rows.is_empty() {
        let text = "No instruments. Press / to search for one.";
        return frame.render_widget(Paragraph::new(text).style(inks.dim()), area);
    }
    let place = view.place(&rows);
    let cells: Vec<Vec<Line<'static>>> =
        rows.iter().map(|row| COLUMNS.iter().map(|column| (column.cell)(row, inks)).collect()).collect();
    let shown = fitting(area.width, |column| {
        let widest = cells.iter().map(|cells| cells[column].width()).max().unwrap_or_default();
        u16::try_from(widest).unwrap_or(u16::MAX).max(COLUMNS[column].width_min)
    });

    let header = shown.iter().map(|(column, _)| aligned(COLUMNS[*column].title.into(), *column));
    let header = TableRow::new(header).style(inks.strong());
    let lines = cells.into_iter().map(|mut cells| {
        TableRow::new(shown.iter().map(|(column, _)| aligned(std::mem::take(&mut cells[*column]), *column)))
    });
    let widths = shown.iter().map(|(_, width)| Constraint::Length(*width));
    let style = if board.link == Link::Up { ratatui::style::Style::new() } else { inks.dim() };
    let table = Table::new(lines, widths)
        .header(header)
        .column_spacing(SPACE)
        .style(style)
        .row_highlight_style(inks.chosen())
        .highlight_symbol(CHOSEN)
        .highlight_spacing(HighlightSpacing::Always);
    view.scrolled.select(Some(place));
    frame.render_stateful_widget(table, area, &mut view.scrolled);
}

/// The columns that a width has room for, in the order in which they stand, with theirs.
fn fitting(width: u16, width_of: impl Fn(usize) -> u16) -> Vec<(usize, u16)> {
    // The first has no space before it.
    let chosen = u16::try_from(CHOSEN.len()).unwrap_or_default();
    let mut room = width.saturating_sub(chosen).saturating_add(SPACE);
    let mut shown = Vec::new();
    for columns in RANKED {
        let own = columns.iter().map(|column| (*column, width_of(*column)));
        let needed =
            own.clone().fold(0_u16, |sum, (_, width)| sum.saturating_add(width).saturating_add(SPACE));
        // A narrower one of less weight would stand where it is looked for.
        let Some(left) = room.checked_sub(needed) else { break };
        room = left;
        shown.extend(own);
    }
    shown.sort_unstable();
    shown
}

fn aligned(line: Line<'static>, column: usize) -> Cell<'static> {
    Cell::from(if COLUMNS[column].is_right { line.right_aligned() } else { line })
}

fn symbol(row: &Row, inks: Inks) -> Line<'static> {
    let name = row.symbol.as_str();
    let shown =
        if name.len() > SYMBOL_WIDTH_MAX { fitted(name, SYMBOL_WIDTH_MAX, false) } else { name.to_owned() };
    Line::styled(shown, inks.strong())
}

fn price(moving: &Moving, inks: Inks) -> Line<'static> {
    if moving.text.is_empty() {
        return Line::raw("- ");
    }
    Line::from(Span::styled(format!("{}{}", moving.text, sign(moving.way)), inks.way(moving.way)))
}

fn signed(number: &Signed, inks: Inks) -> Line<'static> {
    match number.way() {
        _ if number.text.is_empty() => Line::raw("-"),
        Way::Same => Line::raw(number.text.clone()),
        way => Line::styled(number.with_sign(), inks.way(way)),
    }
}

fn plain(text: &str) -> Line<'static> {
    Line::raw(if text.is_empty() { "-".to_owned() } else { text.to_owned() })
}

fn condition(row: &Row, inks: Inks) -> Line<'static> {
    let (text, tone) = row.condition();
    Line::styled(text.to_owned(), inks.tone(tone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_most_is_shown_where_not_all_fits() {
        let titles = |width| -> Vec<&str> {
            let shown = fitting(width, |column| COLUMNS[column].width_min);
            shown.iter().map(|(column, _)| COLUMNS[*column].title).collect()
        };
        assert_eq!(titles(9), [] as [&str; 0]);
        assert_eq!(titles(21), ["SYMBOL", "LAST "]);
        assert_eq!(titles(60), ["SYMBOL", "LAST ", "BID ", "ASK ", "STATE"]);
        assert_eq!(titles(80).len(), 8);
        assert_eq!(titles(200), COLUMNS.map(|column| column.title));
    }
}
