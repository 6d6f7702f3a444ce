//! What is recorded of a feed that has no bytes of its own: its events, in an encoding that loses nothing.
//!
//! The settings and the seed would be shorter, but mean the same market only to the same version of the simulator; the
//! events are what happened. `format.md` beside this file has the bytes.

use super::entry::{Body, SourceId};
use super::layout::{Fields, Malformed};
use super::{RecorderHandle, Source};
use crate::limits::INSTRUMENTS_MAX;
use crate::{
    Aggressor, Bar, BookChecksum, BookSnapshot, EventBody, Exponent, Feed, FeedError, Instrument, Level,
    MarketEvent, OrderId, Price, Progress, Side, Size, Symbol, SymbolId, Timestamp, Trade, TradingStatus,
};

/// The venue of all of them.
pub const VENUE: &str = "SIM";
/// The name of the encoding.
pub const FORMAT: &str = "events";

/// Records the events of a simulated feed while it is played.
pub struct Recorded {
    feed: Box<dyn Feed>,
    recorder: RecorderHandle,
    source: SourceId,
    bytes: Vec<u8>,
}

impl Recorded {
    /// Records `feed`, whose instruments are all of [`VENUE`].
    ///
    /// # Errors
    /// [`FeedError::Settings`] when they are not, and when the recorder has too many sources.
    pub fn new(feed: Box<dyn Feed>, recorder: RecorderHandle) -> Result<Self, FeedError> {
        if let Some(other) = feed.instruments().iter().find(|instrument| instrument.venue != VENUE) {
            return Err(FeedError::Settings(format!(
                "only the events of a simulated market can be recorded, not {} of {}",
                other.symbol, other.venue
            )));
        }
        let source = recorder.source(Source {
            venue: VENUE.to_owned(),
            format: FORMAT.to_owned(),
            address: String::new(),
            name: "simulated market".to_owned(),
        })?;
        Ok(Self { feed, recorder, source, bytes: Vec::new() })
    }
}

impl Feed for Recorded {
    fn instruments(&self) -> &[Instrument] {
        self.feed.instruments()
    }

    fn begin(&mut self, now: Timestamp) {
        self.feed.begin(now);
        self.recorder.record(Some(self.source), now, Body::Connected(""));
        self.bytes.clear();
        write_instruments(self.feed.instruments(), &mut self.bytes);
        self.recorder.record(Some(self.source), now, Body::Received(&self.bytes));
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        let start = events.len();
        let progress = self.feed.next_message(events)?;
        if let Progress::Message { due } = progress {
            self.bytes.clear();
            write_events(&events[start..], &mut self.bytes);
            self.recorder.record(Some(self.source), due, Body::Received(&self.bytes));
        }
        Ok(progress)
    }
}

const INSTRUMENTS: u8 = 0;
const EVENTS: u8 = 1;

/// A payload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// All instruments of what follows.
    Instruments(Vec<Instrument>),
    /// A message, whose events were appended.
    Events,
}

pub(crate) fn write_instruments(instruments: &[Instrument], out: &mut Vec<u8>) {
    out.push(INSTRUMENTS);
    out.extend((instruments.len() as u64).to_le_bytes());
    for instrument in instruments {
        write_instrument(instrument, out);
    }
}

/// Appends the encoding of one message's events.
pub fn write_events(events: &[MarketEvent], out: &mut Vec<u8>) {
    out.push(EVENTS);
    for event in events {
        out.extend(event.symbol.0.to_le_bytes());
        out.extend(event.ts_event.0.to_le_bytes());
        out.extend(event.ts_recv.0.to_le_bytes());
        out.extend(event.sequence.to_le_bytes());
        write_body(&event.body, out);
    }
}

/// Reads the encoding of one message's events, and appends them.
///
/// # Errors
/// What is wrong with it.
pub fn read_events(encoded: &[u8], events: &mut Vec<MarketEvent>) -> Result<(), String> {
    match read(encoded, events)? {
        Payload::Events => Ok(()),
        Payload::Instruments(_) => Err("instruments where events must stand".to_owned()),
    }
}

/// Reads a payload, and appends its events.
pub(crate) fn read(payload: &[u8], events: &mut Vec<MarketEvent>) -> Result<Payload, String> {
    read_payload(payload, events).map_err(|Malformed(reason)| reason)
}

fn read_payload(payload: &[u8], events: &mut Vec<MarketEvent>) -> Result<Payload, Malformed> {
    let mut fields = Fields(payload);
    match fields.u8()? {
        INSTRUMENTS => {
            let count = fields.u64()?;
            if count > INSTRUMENTS_MAX as u64 {
                return Err(Malformed(format!("more than {INSTRUMENTS_MAX} instruments")));
            }
            let mut instruments = Vec::new();
            for _ in 0..count {
                instruments.push(fields.instrument()?);
            }
            fields.end()?;
            Ok(Payload::Instruments(instruments))
        }
        EVENTS => {
            while !fields.0.is_empty() {
                events.push(MarketEvent {
                    symbol: SymbolId(fields.u32()?),
                    ts_event: Timestamp(fields.i64()?),
                    ts_recv: Timestamp(fields.i64()?),
                    sequence: fields.u64()?,
                    body: fields.body()?,
                });
            }
            Ok(Payload::Events)
        }
        other => Err(Malformed(format!("a payload of the unknown kind {other}"))),
    }
}

// The kinds of events: what follows the head of one.
const TRADE: u8 = 1;
const QUOTE: u8 = 2;
const LEVEL_SET: u8 = 3;
const BOOK_SNAPSHOT: u8 = 4;
const BOOK_CLEAR: u8 = 5;
const BOOK_CHECKSUM: u8 = 6;
const ORDER_ADD: u8 = 7;
const ORDER_MODIFY: u8 = 8;
const ORDER_CANCEL: u8 = 9;
const ORDER_EXECUTE: u8 = 10;
const ORDER_REPLACE: u8 = 11;
const STATUS: u8 = 12;
const DEFINITION: u8 = 13;
const GAP: u8 = 14;
const BOOK_CHECKED: u8 = 15;
const BAR: u8 = 16;

fn write_body(body: &EventBody, out: &mut Vec<u8>) {
    match body {
        EventBody::Trade(Trade { price, size, aggressor, id }) => {
            out.push(TRADE);
            write_level(Level { price: *price, size: *size }, out);
            out.push(match aggressor {
                Aggressor::Buy => 0,
                Aggressor::Sell => 1,
                Aggressor::None => 2,
            });
            write_option(*id, out, |id, out| out.extend(id.to_le_bytes()));
        }
        EventBody::Quote { bid, ask } => {
            out.push(QUOTE);
            write_option(*bid, out, write_level);
            write_option(*ask, out, write_level);
        }
        EventBody::LevelSet { side, level } => {
            out.push(LEVEL_SET);
            out.push(side_byte(*side));
            write_level(*level, out);
        }
        EventBody::BookSnapshot(snapshot) => {
            out.push(BOOK_SNAPSHOT);
            for levels in [&snapshot.bids, &snapshot.asks] {
                out.extend((levels.len() as u64).to_le_bytes());
                for level in levels {
                    write_level(*level, out);
                }
            }
        }
        EventBody::BookClear => out.push(BOOK_CLEAR),
        EventBody::BookChecksum(BookChecksum::Kraken(checksum)) => {
            out.push(BOOK_CHECKSUM);
            out.extend(checksum.to_le_bytes());
        }
        EventBody::BookChecksum(BookChecksum::Checked { agrees }) => {
            out.push(BOOK_CHECKED);
            out.push(u8::from(*agrees));
        }
        EventBody::Bar(Bar { interval_nanos, open, high, low, close, volume }) => {
            out.push(BAR);
            out.extend(interval_nanos.to_le_bytes());
            for price in [open, high, low, close] {
                out.extend(price.0.to_le_bytes());
            }
            out.extend(volume.0.to_le_bytes());
        }
        EventBody::OrderAdd { order, side, level } => {
            out.push(ORDER_ADD);
            out.extend(order.0.to_le_bytes());
            out.push(side_byte(*side));
            write_level(*level, out);
        }
        EventBody::OrderModify { order, level } => {
            out.push(ORDER_MODIFY);
            out.extend(order.0.to_le_bytes());
            write_level(*level, out);
        }
        EventBody::OrderCancel { order, size } => {
            out.push(ORDER_CANCEL);
            out.extend(order.0.to_le_bytes());
            write_option(*size, out, |size, out| out.extend(size.0.to_le_bytes()));
        }
        EventBody::OrderExecute { order, size, price, trade_id, printable } => {
            out.push(ORDER_EXECUTE);
            out.extend(order.0.to_le_bytes());
            out.extend(size.0.to_le_bytes());
            write_option(*price, out, |price, out| out.extend(price.0.to_le_bytes()));
            write_option(*trade_id, out, |id, out| out.extend(id.to_le_bytes()));
            out.push(u8::from(*printable));
        }
        EventBody::OrderReplace { order, new_order, level } => {
            out.push(ORDER_REPLACE);
            out.extend(order.0.to_le_bytes());
            out.extend(new_order.0.to_le_bytes());
            write_level(*level, out);
        }
        EventBody::Status { status, reason } => {
            out.push(STATUS);
            out.push(match status {
                TradingStatus::Trading => 0,
                TradingStatus::Halted => 1,
                TradingStatus::Auction => 2,
                TradingStatus::Closed => 3,
            });
            write_text(reason, out);
        }
        EventBody::Definition(instrument) => {
            out.push(DEFINITION);
            write_instrument(instrument, out);
        }
        EventBody::Gap { expected, found } => {
            out.push(GAP);
            out.extend(expected.to_le_bytes());
            out.extend(found.to_le_bytes());
        }
    }
}

fn write_instrument(instrument: &Instrument, out: &mut Vec<u8>) {
    write_text(instrument.symbol.as_str(), out);
    out.extend(instrument.price_exponent.get().to_le_bytes());
    out.extend(instrument.size_exponent.get().to_le_bytes());
    write_option(instrument.tick_size, out, |tick, out| out.extend(tick.0.to_le_bytes()));
    write_option(instrument.currency.as_deref(), out, write_text);
    write_option(instrument.book_levels_max, out, |levels, out| out.extend((levels as u64).to_le_bytes()));
}

fn write_level(level: Level, out: &mut Vec<u8>) {
    out.extend(level.price.0.to_le_bytes());
    out.extend(level.size.0.to_le_bytes());
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_option<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

const fn side_byte(side: Side) -> u8 {
    match side {
        Side::Bid => 0,
        Side::Ask => 1,
    }
}

impl Fields<'_> {
    fn body(&mut self) -> Result<EventBody, Malformed> {
        Ok(match self.u8()? {
            TRADE => {
                let Level { price, size } = self.level()?;
                let aggressor = match self.u8()? {
                    0 => Aggressor::Buy,
                    1 => Aggressor::Sell,
                    2 => Aggressor::None,
                    other => return Err(Malformed(format!("{other} is no aggressor"))),
                };
                EventBody::Trade(Trade { price, size, aggressor, id: self.option(Self::u64)? })
            }
            QUOTE => EventBody::Quote { bid: self.option(Self::level)?, ask: self.option(Self::level)? },
            LEVEL_SET => EventBody::LevelSet { side: self.side()?, level: self.level()? },
            BOOK_SNAPSHOT => {
                let (bids, asks) = (self.levels()?, self.levels()?);
                EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }))
            }
            BOOK_CLEAR => EventBody::BookClear,
            BOOK_CHECKSUM => EventBody::BookChecksum(BookChecksum::Kraken(self.u32()?)),
            ORDER_ADD => {
                EventBody::OrderAdd { order: self.order()?, side: self.side()?, level: self.level()? }
            }
            ORDER_MODIFY => EventBody::OrderModify { order: self.order()?, level: self.level()? },
            ORDER_CANCEL => EventBody::OrderCancel { order: self.order()?, size: self.option(Self::size)? },
            ORDER_EXECUTE => EventBody::OrderExecute {
                order: self.order()?,
                size: self.size()?,
                price: self.option(Self::price)?,
                trade_id: self.option(Self::u64)?,
                printable: self.flag()?,
            },
            ORDER_REPLACE => EventBody::OrderReplace {
                order: self.order()?,
                new_order: self.order()?,
                level: self.level()?,
            },
            STATUS => {
                let status = match self.u8()? {
                    0 => TradingStatus::Trading,
                    1 => TradingStatus::Halted,
                    2 => TradingStatus::Auction,
                    3 => TradingStatus::Closed,
                    other => return Err(Malformed(format!("{other} is no trading status"))),
                };
                EventBody::Status { status, reason: self.long_text()? }
            }
            DEFINITION => EventBody::Definition(Box::new(self.instrument()?)),
            GAP => EventBody::Gap { expected: self.u64()?, found: self.u64()? },
            BOOK_CHECKED => EventBody::BookChecksum(BookChecksum::Checked { agrees: self.flag()? }),
            BAR => EventBody::Bar(Bar {
                interval_nanos: self.i64()?,
                open: self.price()?,
                high: self.price()?,
                low: self.price()?,
                close: self.price()?,
                volume: self.size()?,
            }),
            other => return Err(Malformed(format!("an event of the unknown kind {other}"))),
        })
    }

    fn instrument(&mut self) -> Result<Instrument, Malformed> {
        let symbol = self.long_text()?;
        Ok(Instrument {
            symbol: Symbol::new(&symbol).map_err(|error| Malformed(error.to_string()))?,
            venue: VENUE,
            price_exponent: self.exponent()?,
            size_exponent: self.exponent()?,
            tick_size: self.option(Self::price)?,
            currency: self.option(Self::long_text)?,
            book_levels_max: self
                .option(Self::u64)?
                .map(usize::try_from)
                .transpose()
                .map_err(|error| Malformed(error.to_string()))?,
            begins_stale: false,
        })
    }

    fn exponent(&mut self) -> Result<Exponent, Malformed> {
        Exponent::new(i8::from_le_bytes(self.array()?)).map_err(|error| Malformed(error.to_string()))
    }

    fn levels(&mut self) -> Result<Vec<Level>, Malformed> {
        let mut levels = Vec::new();
        for _ in 0..self.u64()? {
            levels.push(self.level()?);
        }
        Ok(levels)
    }

    fn level(&mut self) -> Result<Level, Malformed> {
        Ok(Level { price: self.price()?, size: self.size()? })
    }

    fn price(&mut self) -> Result<Price, Malformed> {
        self.i64().map(Price)
    }

    fn size(&mut self) -> Result<Size, Malformed> {
        self.i64().map(Size)
    }

    fn order(&mut self) -> Result<OrderId, Malformed> {
        self.u64().map(OrderId)
    }

    fn side(&mut self) -> Result<Side, Malformed> {
        Ok(if self.flag()? { Side::Ask } else { Side::Bid })
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed(format!("{other} where 0 or 1 must stand"))),
        }
    }

    fn long_text(&mut self) -> Result<String, Malformed> {
        let bytes = usize::try_from(self.u64()?).map_err(|error| Malformed(error.to_string()))?;
        self.text(bytes).map(str::to_owned)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }
}
