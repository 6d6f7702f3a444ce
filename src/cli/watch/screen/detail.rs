//! The book and the tape of one instrument.

use feeds::Aggressor;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph};

use super::{Inks, fitted, sign};
use crate::cli::watch::board::{Board, Ladder, Link, Open, Print, Rung};
use crate::cli::watch::row::{Tone, Way};

/// Widths are whole multiples of it, so that they do not jump with each digit.
const STEP: usize = 4;
const BAR_WIDTH_MAX: usize = 16;
const BORDERS: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, board: &Board, open: &Open, inks: Inks) {
    let book = BookWidths::of(open.ladder.as_ref());
    let tape = TapeWidths::of(open);
    let room = usize::from(area.width).saturating_sub(book.least() + BORDERS);
    // The tape takes what it needs, first without the times; the book has the rest.
    let tape_width = if room >= tape.whole() + BORDERS {
        tape.whole() + BORDERS
    } else if room >= tape.least() + BORDERS {
        room
    } else {
        0
    };
    let tape_width = u16::try_from(tape_width).unwrap_or(u16::MAX);
    let [book_area, tape_area] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(tape_width)]).areas(area);
    draw_book(frame, book_area, board, open, &book, inks);
    if tape_width > 0 {
        draw_tape(frame, tape_area, open, &tape, inks);
    }
}

struct BookWidths {
    size: usize,
    price: usize,
}

impl BookWidths {
    fn of(ladder: Option<&Ladder>) -> Self {
        let rungs = || ladder.into_iter().flat_map(|ladder| ladder.bids.iter().chain(&ladder.asks));
        let size = rungs().map(|rung| rung.size.len()).max().unwrap_or_default();
        let price = rungs().map(|rung| rung.price.len()).max().unwrap_or_default();
        Self {
            size: size.next_multiple_of(STEP).max(STEP),
            price: price.next_multiple_of(STEP).max(2 * STEP),
        }
    }

    /// `SIZE PRICE │ PRICE SIZE`
    const fn least(&self) -> usize {
        2 * (self.size + 1 + self.price) + 3
    }
}

fn draw_book(frame: &mut Frame<'_>, area: Rect, board: &Board, open: &Open, widths: &BookWidths, inks: Inks) {
    let block = titled(board, open, inks);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(ladder) = &open.ladder else {
        let why = open.refused[0].as_ref().map(|code| format!("no book: {code}"));
        let why = why.unwrap_or_else(|| "waiting for the book".to_owned());
        return frame.render_widget(Paragraph::new(why).style(inks.dim()), inner);
    };
    let width = usize::from(inner.width);
    let bar = (width.saturating_sub(widths.least() + 2) / 2).min(BAR_WIDTH_MAX);
    let space = if bar > 0 { 1 } else { 0 };
    let left = width.saturating_sub(widths.least() + 2 * (bar + space)) / 2;
    let heaviest = ladder.heaviest();
    let (size, price) = (widths.size, widths.price);
    let head = format!(
        "{:left$}{:bar$}{:space$}{:>size$} {:>price$}   {:<price$} {:>size$}",
        "", "", "", "SIZE", "BID", "ASK", "SIZE"
    );
    let mut lines = vec![Line::styled(head, inks.strong())];
    for level in 0..ladder.bids.len().max(ladder.asks.len()) {
        let bar_of = |rung: &Rung| bar_of(rung.weight, heaviest, bar);
        let (bid, bid_size) = texts(ladder.bids.get(level));
        let (ask, ask_size) = texts(ladder.asks.get(level));
        let bid_bar = ladder.bids.get(level).map(bar_of).unwrap_or_default();
        let ask_bar = ladder.asks.get(level).map(bar_of).unwrap_or_default();
        lines.push(Line::from(vec![
            Span::raw(" ".repeat(left)),
            Span::styled(fitted(&bid_bar, bar, true), inks.way(Way::Up)),
            Span::raw(format!("{:space$}{} ", "", fitted(bid_size, size, true))),
            Span::styled(fitted(bid, price, true), inks.way(Way::Up)),
            Span::styled(" │ ", inks.dim()),
            Span::styled(fitted(ask, price, false), inks.way(Way::Down)),
            Span::raw(format!(" {}{:space$}", fitted(ask_size, size, true), "")),
            Span::styled(fitted(&ask_bar, bar, false), inks.way(Way::Down)),
        ]));
    }
    let is_good = board.link == Link::Up && open.doubt.is_none();
    let style = if is_good { ratatui::style::Style::new() } else { inks.dim() };
    frame.render_widget(Paragraph::new(lines).style(style), inner);
}

/// Price and size; nothing where there is no level.
fn texts(rung: Option<&Rung>) -> (&str, &str) {
    rung.map_or(("", ""), |rung| (rung.price.as_str(), rung.size.as_str()))
}

/// What it is, and what is wrong with it.
fn titled<'a>(board: &Board, open: &Open, inks: Inks) -> Block<'a> {
    let name = fitted(open.symbol.as_str(), open.symbol.as_str().len().min(24), false);
    let mut spans = vec![Span::styled(format!(" {name} "), inks.strong())];
    if let Some(row) = board.row(&open.symbol)
        && let (condition, tone @ (Tone::Note | Tone::Alarm)) = row.condition()
    {
        let why = if row.reason().is_empty() { String::new() } else { format!(": {}", row.reason()) };
        spans.push(Span::styled(format!("{condition}{why}"), inks.tone(tone)));
        spans.push(Span::raw(" "));
    }
    if let Some(ladder) = open.ladder.as_ref().filter(|ladder| !ladder.spread.is_empty()) {
        spans.push(Span::raw(format!("spread {} ", ladder.spread)));
    }
    spans.push(Span::raw(format!("book of {} ", board.depth.levels())));
    let block = Block::bordered().border_style(inks.dim()).title(Line::from(spans));
    match &open.doubt {
        Some(doubt) => {
            block.title_bottom(Line::styled(format!(" {doubt}; asking anew "), inks.tone(Tone::Alarm)))
        }
        None => block,
    }
}

/// As long as a size is large; of the smallest there is a little too.
fn bar_of(weight: i64, heaviest: i64, width: usize) -> String {
    if weight <= 0 || width == 0 {
        return String::new();
    }
    let eighths =
        i128::try_from(8 * width).unwrap_or_default() * i128::from(weight) / i128::from(heaviest.max(1));
    let eighths = usize::try_from(eighths).unwrap_or_default().clamp(1, 8 * width);
    "━".repeat(eighths.div_ceil(8))
}

struct TapeWidths {
    price: usize,
    size: usize,
}

const TIME_WIDTH: usize = "00:00:00.000".len();
const SIDE_WIDTH: usize = "^ sell".len();

impl TapeWidths {
    fn of(open: &Open) -> Self {
        let price = open.tape.iter().map(|print| print.price.len()).max().unwrap_or_default();
        let size = open.tape.iter().map(|print| print.size.len()).max().unwrap_or_default();
        Self {
            price: price.next_multiple_of(STEP).max(2 * STEP),
            size: size.next_multiple_of(STEP).max(STEP),
        }
    }

    /// `▲ buy PRICE SIZE`
    const fn least(&self) -> usize {
        SIDE_WIDTH + 1 + self.price + 1 + self.size
    }

    const fn whole(&self) -> usize {
        TIME_WIDTH + 1 + self.least()
    }
}

fn draw_tape(frame: &mut Frame<'_>, area: Rect, open: &Open, widths: &TapeWidths, inks: Inks) {
    let mut title = vec![Span::styled(" trades ", inks.strong())];
    if open.lost > 0 {
        title.push(Span::styled(format!("{} lost ", open.lost), inks.tone(Tone::Alarm)));
    }
    let block = Block::bordered().border_style(inks.dim()).title(Line::from(title));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if open.tape.is_empty() {
        let why = open.refused[1].as_ref().map(|code| format!("no trades: {code}"));
        let why = why.unwrap_or_else(|| "waiting for a trade".to_owned());
        return frame.render_widget(Paragraph::new(why).style(inks.dim()), inner);
    }
    let has_time = usize::from(inner.width) >= widths.whole();
    let lines = open.tape.iter().take(usize::from(inner.height));
    let lines: Vec<Line<'_>> = lines.map(|print| line(print, has_time, widths, inks)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn line(print: &Print, has_time: bool, widths: &TapeWidths, inks: Inks) -> Line<'static> {
    let (way, word) = match print.side {
        Aggressor::Buy => (Way::Up, "buy "),
        Aggressor::Sell => (Way::Down, "sell"),
        Aggressor::None => (Way::Same, "    "),
    };
    let mut spans = Vec::new();
    if has_time {
        spans.push(Span::styled(format!("{} ", print.time), inks.dim()));
    }
    let (price, size) = (fitted(&print.price, widths.price, true), fitted(&print.size, widths.size, true));
    spans.push(Span::styled(format!("{} {word} {price}", sign(way)), inks.way(way)));
    spans.push(Span::raw(format!(" {size}")));
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_sizes_are_large() {
        let lengths: Vec<usize> =
            [0, 1, 500, 1_000, 5_000].map(|weight| bar_of(weight, 1_000, 10).chars().count()).into();
        assert_eq!(lengths, [0, 1, 5, 10, 10]);
        assert_eq!(bar_of(i64::MAX, i64::MAX, 3), "━━━");
        assert_eq!(bar_of(5, 10, 0), "");
    }
}
