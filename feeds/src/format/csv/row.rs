//! What a row tells.

use std::collections::BTreeMap;

use super::columns::{BookColumns, Columns, Content, Layout};
use super::instruments::Instruments;
use super::rows::Rows;
use super::time::Unit;
use crate::{Aggressor, Bar, BookSnapshot, EventBody, Level, Side, Size, SymbolId, Timestamp, Trade};

/// A row.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: SymbolId,
    pub(super) ts_event: Timestamp,
    pub(super) ts_recv: Timestamp,
    pub(super) sequence: u64,
    pub(super) told: Told,
}

#[derive(Debug)]
pub(super) enum Told {
    Nothing,
    Event(EventBody),
    Level {
        side: Side,
        level: Level,
        is_snapshot: bool,
    },
    /// A snapshot that has no level.
    Empty,
}

/// Reads rows as their columns say.
pub(super) struct Reading {
    pub(super) layout: Layout,
    /// While these survey, the numbers of what is told mean nothing.
    pub(super) instruments: Instruments,
    /// The sides of the last quote of each instrument, where a quote may leave one as it was.
    quotes: BTreeMap<SymbolId, [Option<Level>; 2]>,
}

impl Reading {
    pub(super) const fn new(layout: Layout, instruments: Instruments) -> Self {
        Self { layout, instruments, quotes: BTreeMap::new() }
    }

    pub(super) fn row(&mut self, rows: &Rows) -> Result<Row, String> {
        let Columns { time, received, exchange, symbol, sequence, .. } = self.layout.columns;
        let since = self.layout.since;
        let ts_event = read_time("time", text(rows, time)?, &mut self.layout.time_unit, since)?;
        let ts_recv = match received {
            Some(at) => read_time("time of receipt", text(rows, at)?, &mut self.layout.received_unit, since)?,
            None => ts_event,
        };
        let exchange = match exchange {
            Some(at) => text(rows, at)?,
            None => self.layout.venue.as_deref().unwrap_or_default(),
        };
        let symbol = match symbol {
            Some(at) => some_text("symbol", rows, at)?,
            None => self.layout.name.as_deref().unwrap_or_default(),
        };
        let id = self.instruments.id(exchange, symbol)?;
        let sequence = match sequence.map(|at| text(rows, at)).transpose()? {
            None | Some("") => 0,
            Some(text) => text.parse().map_err(|_| format!("sequence: `{text}` is no number of 64 bits"))?,
        };
        let told = self.told(rows, id)?;
        // What a bar tells is known when it is over.
        let length = match told {
            Told::Event(EventBody::Bar(bar)) if received.is_none() => bar.interval_nanos,
            _ => 0,
        };
        let ts_recv = ts_recv.0.checked_add(length).ok_or("a bar that ends past the year 2262")?;
        Ok(Row { id, ts_event, ts_recv: Timestamp(ts_recv), sequence, told })
    }

    fn told(&mut self, rows: &Rows, id: SymbolId) -> Result<Told, String> {
        let interval_nanos = self.layout.interval.unwrap_or(0);
        let price_decimals = self.layout.price_decimals;
        let mut numbers = Numbers { instruments: &mut self.instruments, rows, id, price_decimals };
        Ok(Told::Event(match self.layout.columns.content {
            Content::DerivativeTickers => return Ok(Told::Nothing),
            Content::BookUpdates { snapshot, side, price, size }
                if text(rows, snapshot)? == "true"
                    && [side, price, size].into_iter().all(|at| rows.field(at).is_empty()) =>
            {
                return Ok(Told::Empty);
            }
            Content::BookUpdates { snapshot, side, price, size } => {
                return Ok(Told::Level {
                    side: match text(rows, side)? {
                        "bid" | "buy" => Side::Bid,
                        "ask" | "sell" => Side::Ask,
                        other => return Err(format!("side: `{other}`, where bid and ask are known")),
                    },
                    level: numbers.level(price, size)?,
                    is_snapshot: match text(rows, snapshot)? {
                        "true" => true,
                        "false" => false,
                        other => return Err(format!("snapshot: `{other}`, where true and false are known")),
                    },
                });
            }
            Content::Books(ref levels) => {
                let mut book = BookSnapshot::default();
                for BookColumns { side, price, size } in levels {
                    if rows.field(*price).is_empty() {
                        continue;
                    }
                    let level = numbers.level(*price, *size)?;
                    match side {
                        Side::Bid => book.bids.push(level),
                        Side::Ask => book.asks.push(level),
                    }
                }
                EventBody::BookSnapshot(Box::new(book))
            }
            Content::Bars { interval, open, high, low, close, volume } => EventBody::Bar(Bar {
                interval_nanos: match interval.map(|at| text(numbers.rows, at)).transpose()? {
                    None => interval_nanos,
                    Some(text) => text
                        .parse()
                        .ok()
                        .filter(|nanos| *nanos > 0)
                        .ok_or_else(|| format!("interval_ns: `{text}` is no number of nanoseconds"))?,
                },
                open: numbers.price("open", open)?,
                high: numbers.price("high", high)?,
                low: numbers.price("low", low)?,
                close: numbers.price("close", close)?,
                volume: numbers.size("volume", volume)?,
            }),
            Content::Quotes { bid, bid_size, ask, ask_size } => {
                let mut sides = [numbers.side(bid, bid_size)?, numbers.side(ask, ask_size)?];
                if self.layout.is_zero_same {
                    let before = self.quotes.entry(id).or_default();
                    for (at, (side, before)) in [bid, ask].into_iter().zip(sides.iter_mut().zip(*before)) {
                        if is_zero(rows.field(at)) {
                            *side = before;
                        }
                    }
                    *before = sides;
                }
                let [bid, ask] = sides;
                EventBody::Quote { bid, ask }
            }
            Content::Trades { price, size, side, id } => EventBody::Trade(Trade {
                price: numbers.price("price", price)?,
                size: numbers.size("size", size)?,
                aggressor: side.map_or(Ok(Aggressor::None), |at| aggressor(text(rows, at)?))?,
                id: id.and_then(|at| text(rows, at).ok()?.parse().ok()),
            }),
        }))
    }
}

/// The numbers of a row.
struct Numbers<'a> {
    instruments: &'a mut Instruments,
    rows: &'a Rows,
    id: SymbolId,
    /// Of the unit that prices are counted in.
    price_decimals: u8,
}

impl Numbers<'_> {
    fn price(&mut self, field: &str, at: usize) -> Result<crate::Price, String> {
        let text = text(self.rows, at)?;
        match self.price_decimals {
            0 => self.instruments.price(self.id, field, text),
            decimals => self.instruments.price(self.id, field, &format!("{text}e-{decimals}")),
        }
    }

    fn size(&mut self, field: &str, at: usize) -> Result<Size, String> {
        self.instruments.size(self.id, field, text(self.rows, at)?)
    }

    fn level(&mut self, price: usize, size: usize) -> Result<Level, String> {
        Ok(Level { price: self.price("price", price)?, size: self.size("size", size)? })
    }

    /// A side of a quote, which is empty where it has no price or no size.
    fn side(&mut self, price: usize, size: Option<usize>) -> Result<Option<Level>, String> {
        if self.rows.field(price).is_empty() {
            return Ok(None);
        }
        let price = self.price("price", price)?;
        let size = match size {
            None => self.instruments.unit_size(self.id)?,
            Some(at) if self.rows.field(at).is_empty() => Size::ZERO,
            Some(at) => self.size("size", at)?,
        };
        Ok((size != Size::ZERO).then_some(Level { price, size }))
    }
}

fn is_zero(number: &[u8]) -> bool {
    !number.is_empty() && number.iter().all(|byte| matches!(byte, b'0' | b'.'))
}

fn aggressor(side: &str) -> Result<Aggressor, String> {
    Ok(match side {
        "buy" | "Buy" | "BUY" | "b" | "B" => Aggressor::Buy,
        "sell" | "Sell" | "SELL" | "s" | "S" => Aggressor::Sell,
        "" | "unknown" | "none" => Aggressor::None,
        other => return Err(format!("side: `{other}`, where buy and sell are known")),
    })
}

/// Reads a time, in the unit that the first row tells where nobody else does.
fn read_time(
    field: &str,
    text: &str,
    unit: &mut Option<Unit>,
    since: Timestamp,
) -> Result<Timestamp, String> {
    let known = unit.or_else(|| Unit::guess(text));
    let Some(known) = known else {
        return Err(format!("{field}: `{text}`, whose digits tell no unit"));
    };
    *unit = Some(known);
    let time = known.read(text).map_err(|reason| format!("{field}: {reason}"))?;
    if since == Timestamp(0) {
        return Ok(time);
    }
    if known == Unit::Text {
        return Err(format!("{field}: `{text}` is not counted, as `since` asks for"));
    }
    let time =
        since.0.checked_add(time.0).ok_or_else(|| format!("{field}: `{text}` is past the year 2262"))?;
    Ok(Timestamp(time))
}

fn text(rows: &Rows, at: usize) -> Result<&str, String> {
    let field = rows.field(at);
    std::str::from_utf8(field).map_err(|_| format!("column {at}: `{}` is not UTF-8", field.escape_ascii()))
}

fn some_text<'a>(field: &str, rows: &'a Rows, at: usize) -> Result<&'a str, String> {
    Some(text(rows, at)?).filter(|text| !text.is_empty()).ok_or_else(|| format!("{field}: empty"))
}
