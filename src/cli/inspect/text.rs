//! A report for people.

use std::cmp::Reverse;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::report::{Best, Checks, FileReport, Loss, Recorded, ShownCut, ShownLevel, Span, SymbolReport};

/// Rows of the table of symbols.
const ROWS_MAX: usize = 20;
/// Examples of what is wrong.
const EXAMPLES_MAX: usize = 3;

impl Display for FileReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.path)?;
        if let (Some(format), Some(venue)) = (self.format, self.venue) {
            line(f, "format", format_args!("{format}, {venue}"))?;
            line(f, "messages", Grouped(self.messages.into()))?;
            line(f, "events", Grouped(self.events.into()))?;
            for row in self.kinds().chunks(5) {
                line(f, "", row.join(", "))?;
            }
            if !self.unmapped.is_empty() {
                let kinds = self.unmapped.iter();
                let shown = kinds.map(|(name, count)| format!("{name} {}", Grouped((*count).into())));
                line(f, "no event", shown.collect::<Vec<_>>().join(", "))?;
            }
            if let Some(span) = &self.span {
                line(f, "time", format_args!("{} to {}", span.first, span.last))?;
                line(f, "", span)?;
            }
            if let Some(recorded) = &self.recording {
                write!(f, "{recorded}")?;
            }
            line(f, "checks", &self.checks)?;
            if self.unknown_lines > 0 {
                let count = Grouped(self.unknown_lines.into());
                line(
                    f,
                    "WARNING",
                    format_args!("{count} lines of a kind that is NOT KNOWN here: they made no events"),
                )?;
            }
            for (warning, examples) in self.checks.warnings() {
                line(f, "WARNING", warning)?;
                for example in examples {
                    line(f, "", format_args!("such as {example}"))?;
                }
            }
        }
        if let Some(error) = &self.error {
            line(f, "ERROR", error)?;
            if self.format.is_some() {
                line(f, "", "what is told here came before it")?;
            }
        }
        if !self.symbols.is_empty() {
            self.table(f)?;
        }
        Ok(())
    }
}

impl Display for Recorded {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for ShownCut { path, offset, bytes } in &self.cuts {
            line(
                f,
                "cut",
                format_args!("{path}: {bytes} bytes from byte {offset} on are the beginning of a frame"),
            )?;
        }
        if !self.closed {
            line(f, "open", "no end was written: its recorder was killed, or still writes it")?;
        }
        if self.followed {
            line(
                f,
                "MISSING",
                "its last segment says that another one follows: segments were removed from the end,",
            )?;
            line(f, "", "or its recorder was killed, or the disk was full, before there was one")?;
        }
        if self.records_lost > 0 {
            let count = Grouped(self.records_lost.into());
            line(f, "LOST", format_args!("{count} records had no room when it was recorded"))?;
        }
        for Loss { records, bytes, first, last, .. } in self.losses.iter().take(EXAMPLES_MAX) {
            let records = Grouped((*records).into());
            line(f, "", format_args!("such as {records} records of {bytes} bytes, {first} to {last}"))?;
        }
        Ok(())
    }
}

impl FileReport {
    fn kinds(&self) -> Vec<String> {
        let kinds = self.events_by_kind.by_name();
        let seen = kinds.iter().filter(|(_, count)| *count > 0);
        seen.map(|(name, count)| format!("{name} {}", Grouped((*count).into()))).collect()
    }

    /// The busiest symbols, in columns as wide as they need.
    fn table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut symbols: Vec<&SymbolReport> = self.symbols.iter().collect();
        symbols.sort_by_key(|symbol| Reverse(symbol.events));
        let title =
            ["SYMBOL", "EVENTS", "TRADES", "BID SIZE", "BID", "ASK", "ASK SIZE", "LEVELS", "EXPONENTS"];
        let mut rows = vec![title.map(str::to_owned)];
        rows.extend(symbols.iter().take(ROWS_MAX).map(|symbol| symbol.row()));
        let widths: [usize; 9] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].len()).max().unwrap_or(0));
        let more = symbols.len().saturating_sub(ROWS_MAX);
        let cut = if more > 0 { format!(", the {ROWS_MAX} busiest first") } else { String::new() };
        line(f, "symbols", format_args!("{}{cut}", Grouped(self.symbols.len() as u128)))?;
        for row in rows {
            write!(f, "  {:width$}", row[0], width = widths[0])?;
            for (cell, width) in row[1..].iter().zip(&widths[1..]) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        if more > 0 {
            writeln!(f, "  … {} more, --json lists all", Grouped(more as u128))?;
        }
        Ok(())
    }
}

impl SymbolReport {
    fn row(&self) -> [String; 9] {
        let size = |level: &Option<ShownLevel>| level.as_ref().map_or("-", |level| &level.size).to_owned();
        let price = |level: &Option<ShownLevel>| level.as_ref().map_or("-", |level| &level.price).to_owned();
        let Best { bid, ask } = &self.best;
        let levels =
            if self.stale { "STALE".to_owned() } else { format!("{}/{}", self.bid_levels, self.ask_levels) };
        [
            self.symbol.clone(),
            Grouped(self.events.into()).to_string(),
            Grouped(self.trades.into()).to_string(),
            size(bid),
            price(bid),
            price(ask),
            size(ask),
            levels,
            format!("{}/{}", self.price_exponent, self.size_exponent),
        ]
    }
}

impl Display for Span {
    /// To the nanosecond: `2h 14m 7.000000003s, 12 events a second`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let whole = Duration::from_nanos(self.duration_ns);
        let (hours, minutes) = (whole.as_secs() / 3_600, whole.as_secs() / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h ")?;
        }
        if hours + minutes > 0 {
            write!(f, "{minutes}m ")?;
        }
        write!(f, "{:?}", whole.saturating_sub(Duration::from_secs(hours * 3_600 + minutes * 60)))?;
        match self.events_per_second {
            Some(0) => write!(f, ", less than 1 event a second"),
            Some(1) => write!(f, ", 1 event a second"),
            Some(rate) => write!(f, ", {} events a second", Grouped(rate)),
            None => Ok(()),
        }
    }
}

impl Display for Checks {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.checksums_ok, self.checksums_failed) {
            (0, 0) => write!(f, "no checksums; ")?,
            (ok, failed) => {
                write!(f, "checksums {} ok, {} failed; ", Grouped(ok.into()), Grouped(failed.into()))?
            }
        }
        match (self.bbo_equal, self.bbo_unequal) {
            (0, 0) => write!(f, "no bbo; ")?,
            (equal, unequal) => {
                write!(f, "bbo {} equal, {} unequal; ", Grouped(equal.into()), Grouped(unequal.into()))?;
            }
        }
        write!(f, "gaps {}; ", Grouped(self.sequence_gaps.into()))?;
        write!(f, "unknown orders {}; ", Grouped(self.unknown_orders.into()))?;
        write!(f, "crossed {}", Grouped(self.crossed.into()))
    }
}

impl Checks {
    /// Every check that did not hold, with what it means, and examples.
    fn warnings(&self) -> Vec<(String, Vec<String>)> {
        let unknown = self.unknown_order_examples.iter().map(|one| format!("{} {}", one.symbol, one.order));
        let unequal = self.bbo_unequal_examples.iter().map(|one| {
            format!("{} at {}: the venue says {}, the book {}", one.symbol, one.sequence, one.venue, one.book)
        });
        let counts = [
            (
                self.checksums_failed,
                "CHECKSUMS FAILED: each book was given up until its next snapshot",
                vec![],
            ),
            (
                self.bbo_unequal,
                "BOOKS DIFFERED from the venue's own best bid and offer",
                unequal.take(EXAMPLES_MAX).collect(),
            ),
            (
                self.sequence_gaps,
                "GAPS in the venue's numbers: each book was given up until its next snapshot",
                vec![],
            ),
            (
                self.unknown_orders,
                "events of UNKNOWN ORDERS: from before the recording, or messages are missing",
                unknown.take(EXAMPLES_MAX).collect(),
            ),
            (self.crossed, "times a message left a book CROSSED", vec![]),
            (self.duplicate_adds, "orders added under a number that rests already", vec![]),
            (self.oversized, "executions and cancels of more than the order had", vec![]),
            (self.bad_sizes, "sizes negative, or zero where there must be something", vec![]),
            (self.untrusted, "events for books that were given up", vec![]),
            (self.mixed_books, "events by order for a book by level, or the other way round", vec![]),
            (self.overflows, "sums past 64 bits", vec![]),
            (self.refused, "levels or orders past the bounds of a book", vec![]),
            (self.rescaled, "definitions that change the scale of an instrument", vec![]),
            (self.unknown_symbols, "events of unknown instruments", vec![]),
        ];
        let wrong = counts.into_iter().filter(|(count, ..)| *count > 0);
        wrong.map(|(count, what, examples)| (format!("{} {what}", Grouped(count.into())), examples)).collect()
    }
}

impl Display for Best {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, level) in [&self.bid, &self.ask].into_iter().enumerate() {
            let slash = if index == 0 { "" } else { " / " };
            match level {
                Some(ShownLevel { price, size }) => write!(f, "{slash}{price} x {size}")?,
                None => write!(f, "{slash}-")?,
            }
        }
        Ok(())
    }
}

/// A number with its thousands apart: `1,234,567`.
struct Grouped(u128);

impl Display for Grouped {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (index, digit) in digits.char_indices() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

fn line(f: &mut Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<10}{value}")
}
