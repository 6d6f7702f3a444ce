//! How the dashboard looks.

mod detail;
mod list;
mod over;

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Sparkline, Wrap};

use super::board::{Board, Link};
use super::latency::{Latency, Recent, bytes, count, micros};
use super::row::{Tone, Way};
use super::view::View;

/// The smallest screen that there is room on.
const WIDTH_MIN: u16 = 50;
const HEIGHT_MIN: u16 = 10;
/// Lines that the list takes at least, and what is open beside it.
const LIST_LINES_MIN: u16 = 4;
const OPEN_LINES_MIN: u16 = 7;
/// From this width on, list and book stand side by side.
const WIDE: u16 = 130;
/// What a book and a tape can use; beside them, the list has the rest.
const DETAIL_WIDTH_MAX: u16 = 100;
/// From this width on there is room for the last minute's updates as a picture.
const PICTURE_WIDTH: u16 = 100;

/// What is to be drawn.
pub(super) struct Scene<'a> {
    pub(super) board: &'a Board,
    pub(super) url: &'a str,
    /// How the data comes: encoding and compression.
    pub(super) terms: &'a str,
    pub(super) is_paused: bool,
    pub(super) now: Instant,
}

/// Colours, which only repeat what signs and words say: without them nothing is lost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inks {
    pub(super) is_colored: bool,
}

impl Inks {
    fn way(self, way: Way) -> Style {
        match way {
            Way::Up => self.colored(Color::Green),
            Way::Down => self.colored(Color::Red),
            Way::Same => Style::new(),
        }
    }

    fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Calm => self.dim(),
            Tone::Note => self.colored(Color::Yellow),
            Tone::Alarm => self.colored(Color::Yellow).add_modifier(Modifier::BOLD | Modifier::REVERSED),
        }
    }

    const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    const fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    const fn colored(self, color: Color) -> Style {
        if self.is_colored { Style::new().fg(color) } else { Style::new() }
    }
}

const fn sign(way: Way) -> &'static str {
    match way {
        Way::Up => "▲",
        Way::Down => "▼",
        Way::Same => " ",
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene<'_>, view: &mut View, inks: Inks) {
    let area = frame.area();
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let text = format!(
            "too small: {}×{}, and {WIDTH_MIN}×{HEIGHT_MIN} are needed (q leaves)",
            area.width, area.height
        );
        return frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
    }
    let board = scene.board;
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(head_line(scene, view, inks), head);

    let picture = if body.width >= PICTURE_WIDTH { 34 } else { 0 };
    let facts = flow(&facts(&board.latency, scene.terms), body.width.saturating_sub(picture + 2));
    let is_wide = body.width >= WIDE;
    let needed = match board.open {
        Some(_) if !is_wide => LIST_LINES_MIN + OPEN_LINES_MIN,
        Some(_) => OPEN_LINES_MIN,
        None => LIST_LINES_MIN,
    };
    let lines = u16::try_from(facts.len()).unwrap_or(u16::MAX).saturating_add(1);
    let panel = if view.has_latency && body.height >= needed.saturating_add(lines) { lines } else { 0 };
    let [body, panel] = Layout::vertical([Constraint::Fill(1), Constraint::Length(panel)]).areas(body);
    if panel.height > 0 {
        draw_facts(frame, panel, facts, &board.latency, picture, inks);
    }

    match &board.open {
        None => list::draw(frame, body, board, view, inks),
        Some(open) => {
            let [list, detail] = if is_wide {
                let detail = (body.width / 2).min(DETAIL_WIDTH_MAX);
                Layout::horizontal([Constraint::Fill(1), Constraint::Length(detail)]).areas(body)
            } else {
                let rows = u16::try_from(board.rows.len()).unwrap_or(u16::MAX).saturating_add(1);
                let share = rows.min(body.height / 3).max(LIST_LINES_MIN);
                Layout::vertical([Constraint::Length(share), Constraint::Fill(1)]).areas(body)
            };
            list::draw(frame, list, board, view, inks);
            detail::draw(frame, detail, board, open, inks);
        }
    }
    frame.render_widget(foot_line(scene, inks), foot);
    if let Some(search) = &view.search {
        over::draw_search(frame, area, search, &view.index, board, inks);
    }
    if view.has_help {
        over::draw_help(frame, area);
    }
}

fn head_line(scene: &Scene<'_>, view: &View, inks: Inks) -> Line<'static> {
    let board = scene.board;
    let mut spans = vec![Span::styled(" tickwire ", inks.strong()), Span::raw(" ")];
    spans.push(match &board.link {
        Link::Up => Span::styled("● live", inks.way(Way::Up)),
        Link::Lost { since, .. } => {
            let seconds = scene.now.saturating_duration_since(*since).as_secs();
            Span::styled(format!("✗ no connection for {seconds} s"), inks.tone(Tone::Alarm))
        }
    });
    for (is_so, word) in [(scene.is_paused, " paused "), (board.is_delayed, " delayed data ")] {
        if is_so {
            spans.push(Span::raw("  "));
            spans.push(Span::styled(word, inks.tone(Tone::Alarm)));
        }
    }
    let rows = count(board.rows.len() as u64);
    spans.push(Span::raw(format!("  {rows} {}", view.sort.as_str())));
    spans.push(Span::styled(format!("  {}", scene.url), inks.dim()));
    Line::from(spans)
}

fn foot_line(scene: &Scene<'_>, inks: Inks) -> Line<'static> {
    let board = scene.board;
    if let Link::Lost { why, .. } = &board.link {
        let failures = board.latency.stats.connect_failures;
        let tried = if failures > 0 { format!(" ({failures} attempts failed)") } else { String::new() };
        return Line::styled(format!(" {why}; connecting anew{tried}"), inks.tone(Tone::Note));
    }
    match &board.note {
        Some(note) => Line::styled(format!(" {note}"), inks.tone(Tone::Note)),
        // Where there is not room for all, the first two lead to the others.
        None => {
            let (first, open) =
                if board.open.is_some() { ("Esc close", "another") } else { ("↑↓ choose", "open") };
            let keys = format!(" ? help  q leave  {first}  Enter {open}  / add  d remove  s sort  p pause");
            Line::styled(keys, inks.dim())
        }
    }
}

/// What is measured and counted, each a name and what it is.
fn facts(latency: &Latency, terms: &str) -> Vec<(&'static str, String)> {
    let stats = &latency.stats;
    let quantiles = |recent: &Recent| {
        recent.quantiles().map(|all| {
            let [p50, p90, p99, max] = [all.p50, all.p90, all.p99, all.max].map(micros);
            format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
        })
    };
    let age = quantiles(&latency.ages).unwrap_or_else(|| {
        let why = if latency.off_clock > 0 { "none: times of another clock" } else { "-" };
        why.to_owned()
    });
    let ahead = latency.ahead.map_or_else(
        || "-".to_owned(),
        |ahead| format!("{}{}", if ahead < 0 { "-" } else { "+" }, micros(ahead.unsigned_abs())),
    );
    let rate = latency.rates.back().copied().unwrap_or_default();
    vec![
        ("age", age),
        ("round trip", quantiles(&latency.trips).unwrap_or_else(|| "-".to_owned())),
        ("server's clock", ahead),
        ("updates/s", count(rate)),
        ("bytes/s", bytes(latency.bytes_per_second)),
        ("bytes", bytes(stats.wire_bytes)),
        ("by", terms.to_owned()),
        ("conflated", format!("{} of {}", count(stats.merges), count(stats.updates))),
        ("lost", count(stats.lost)),
        ("gaps", count(stats.gaps)),
        (
            "checksums",
            format!("{} right, {} wrong", count(stats.checksums_ok), count(stats.checksums_failed)),
        ),
        ("reconnects", count(stats.reconnects)),
    ]
}

/// Facts in as many lines of a width as they need.
fn flow(facts: &[(&'static str, String)], width: u16) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = vec![Line::default()];
    for (name, value) in facts {
        let fact = Line::from(vec![
            Span::styled(*name, Style::new().add_modifier(Modifier::DIM)),
            Span::raw(format!(" {value}")),
        ]);
        let used = lines.last().map_or(0, Line::width);
        let is_room = used == 0 || used + 2 + fact.width() <= usize::from(width);
        if !is_room {
            lines.push(Line::default());
        }
        if let Some(line) = lines.last_mut() {
            if is_room && used > 0 {
                line.push_span("  ");
            }
            fact.spans.into_iter().for_each(|span| line.push_span(span));
        }
    }
    lines
}

fn draw_facts(
    frame: &mut Frame<'_>,
    area: Rect,
    facts: Vec<Line<'static>>,
    latency: &Latency,
    picture: u16,
    inks: Inks,
) {
    let block = Block::new().borders(Borders::TOP).border_style(inks.dim()).title(" Connection ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [_, text, picture] =
        Layout::horizontal([Constraint::Length(1), Constraint::Fill(1), Constraint::Length(picture)])
            .areas(inner);
    frame.render_widget(Paragraph::new(facts), text);
    if picture.width > 0 {
        let shown = usize::from(picture.width).saturating_sub(2).min(latency.rates.len());
        let newest: Vec<u64> = latency.rates.iter().skip(latency.rates.len() - shown).copied().collect();
        let bars = Sparkline::default().data(newest).style(inks.colored(Color::Cyan));
        frame.render_widget(bars, picture);
    }
}

/// A text in a width: to the right or to the left, and cut where it is too long, which shows.
fn fitted(text: &str, width: usize, is_right: bool) -> String {
    if width == 0 {
        return String::new();
    }
    let own = Span::raw(text).width();
    if own <= width {
        let space = " ".repeat(width - own);
        return if is_right { space + text } else { text.to_owned() + &space };
    }
    let mut cut = text.to_owned();
    while Span::raw(cut.as_str()).width() >= width && cut.pop().is_some() {}
    cut.push('…');
    let missing = width.saturating_sub(Span::raw(cut.as_str()).width());
    cut + &" ".repeat(missing)
}

#[cfg(test)]
mod tests;
