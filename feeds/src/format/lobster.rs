//! LOBSTER message files: NASDAQ's order flow of one stock and day, as lobsterdata.com reconstructs it.
//!
//! ```text
//! 34200.004241176,1,16113575,18,5853300,1
//! seconds since 00:00, type, order, size, price × 10000, side of the order (1 buyers, -1 sellers)
//! ```
//!
//! Stock and day are in the file's name: `AAPL_2012-06-21_34200000_57600000_message_10.csv`. Beside it may stand
//! `…_orderbook_10.csv`: row *n* is the book after message *n*, from the best on ask price, ask size, bid price, bid
//! size, as many levels as the name says.
//!
//! Messages about what lies deeper than these levels are not in the file, nor are the orders that rested before its first
//! message. So the book cannot be made of the messages alone, and not even of the first row and the messages: a level
//! that was pushed out of sight may be gone when it is in sight again. Where there is an order book file the book is
//! taken from it, row by row.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::date;
use crate::limits::{LOBSTER_LINE_BYTES_MAX, LOBSTER_ORDERS_MAX};
use crate::{
    Aggressor, BookSnapshot, EventBody, Exponent, FeedError, Input, Instrument, Level, MarketEvent, OrderId,
    Price, Side, Size, Symbol, SymbolId, Timestamp, Trade, TradingStatus,
};

/// The venue of every LOBSTER file.
pub const VENUE: &str = "NASDAQ";

const CURRENCY: &str = "USD";
const PRICE_EXPONENT: i8 = -4;
const TIME_EXPONENT: i8 = -9;
/// What is in the order book file's name where the message file's has the other.
const MESSAGE: &str = "_message_";
const ORDER_BOOK: &str = "_orderbook_";
/// A level that nobody is at.
const NO_PRICE: i64 = 9_999_999_999;
/// Price levels, and the size at each.
type Levels = BTreeMap<(Side, i64), i64>;

/// Reads a message file.
///
/// With an order book file beside it, a message gives what it changed of the book: the whole of it first, then the levels
/// whose size is another than in the row before. An execution, type `4`, is a trade.
///
/// Without one, the types become: `1` adds an order, `2` cancels a part of it, `3` all, `4` executes it, or is a trade
/// where the file has not added the order.
///
/// In either case `5`, the execution of a hidden order, is a trade, and so is `6`, a cross; `7` halts (price −1), calls an
/// auction (0) and resumes (1).
pub struct LobsterReader {
    input: Input,
    line: Vec<u8>,
    midnight: Timestamp,
    instruments: [Instrument; 1],
    book: Book,
    messages: u64,
    is_over: bool,
}

enum Book {
    /// Row by row, with the row before; `None`: none was read yet.
    Rows(Input, Option<Levels>),
    /// Orders that the file has added, and what is left of them.
    Orders(FxHashMap<u64, i64>),
}

/// A line.
struct Message {
    nanos_since_midnight: i64,
    kind: u8,
    order: u64,
    size: Size,
    price: Price,
    side: Side,
}

/// Whether a file that begins so is a message file.
pub(crate) fn is_message_file(head: &[u8]) -> bool {
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.next().is_some_and(|line| parse(line.trim_ascii_end()).is_ok())
}

impl LobsterReader {
    /// Opens a message file, and the order book file beside it, if there is one.
    ///
    /// # Errors
    /// [`FeedError::Io`] when one cannot be read, [`FeedError::Settings`] for a name that does not begin with a symbol.
    pub fn open(path: &Path) -> Result<Self, FeedError> {
        let input = Input::open(path)?;
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let stock = name.split(['_', '.']).next().unwrap_or_default();
        let symbol = Symbol::new(stock).map_err(|error| {
            let path = path.display();
            FeedError::Settings(format!("{path}: the name of a LOBSTER file begins with its symbol: {error}"))
        })?;
        let exponent = Exponent::new(PRICE_EXPONENT).map_err(|error| input.damaged(error.to_string()))?;
        let book = match order_book(path) {
            Some(path) => Book::Rows(Input::open(&path)?, None),
            None => Book::Orders(FxHashMap::default()),
        };
        Ok(Self {
            input,
            line: Vec::new(),
            midnight: date::midnight(path),
            instruments: [Instrument {
                symbol,
                venue: VENUE,
                price_exponent: exponent,
                size_exponent: Exponent::ONE,
                tick_size: None,
                currency: Some(CURRENCY.to_owned()),
                book_levels_max: None,
                begins_stale: false,
            }],
            book,
            messages: 0,
            is_over: false,
        })
    }

    /// The stock.
    #[must_use]
    pub const fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Appends the events of the next message, and tells its time; `None` at the end, and after an error.
    ///
    /// # Errors
    /// [`FeedError::Damaged`] with the file of the two and the offset of the line; [`FeedError::Io`].
    pub fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        if self.is_over {
            return Ok(None);
        }
        let start = events.len();
        let time = self.advance(events);
        match time {
            Ok(Some(_)) => self.messages += 1,
            Ok(None) => self.is_over = true,
            Err(_) => {
                self.is_over = true;
                events.truncate(start);
            }
        }
        time
    }

    /// How many messages have been read.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    fn advance(&mut self, events: &mut Vec<MarketEvent>) -> Result<Option<Timestamp>, FeedError> {
        let offset = self.input.offset();
        if !self.input.read_line(&mut self.line, LOBSTER_LINE_BYTES_MAX)? {
            return Ok(None);
        }
        let damaged = |input: &Input, reason| input.damaged(reason).at(offset);
        let message = parse(self.line.trim_ascii_end()).map_err(|reason| damaged(&self.input, reason))?;
        let time = Timestamp(self.midnight.0.saturating_add(message.nanos_since_midnight));
        let mut put = |body| {
            events.push(MarketEvent {
                symbol: SymbolId(0),
                ts_event: time,
                ts_recv: time,
                sequence: 0,
                body,
            });
        };
        match &mut self.book {
            Book::Rows(rows, earlier) => {
                let levels = next_row(rows, &mut self.line)?;
                if !matches!(message.kind, b'1'..=b'3') {
                    put(print(&message).map_err(|reason| damaged(&self.input, reason))?);
                }
                match earlier {
                    None => put(EventBody::BookSnapshot(Box::new(snapshot(&levels)))),
                    Some(earlier) => changes(earlier, &levels).for_each(put),
                }
                *earlier = Some(levels);
            }
            Book::Orders(orders) => {
                put(of_order(orders, &message).map_err(|reason| damaged(&self.input, reason))?);
            }
        }
        Ok(Some(time))
    }
}

/// What a message about an order means, by the orders that the file has added.
fn of_order(orders: &mut FxHashMap<u64, i64>, message: &Message) -> Result<EventBody, String> {
    let &Message { kind, order, size, price, side, .. } = message;
    let id = OrderId(order);
    Ok(match kind {
        b'1' => {
            if orders.len() >= LOBSTER_ORDERS_MAX {
                return Err(format!("more than {LOBSTER_ORDERS_MAX} resting orders"));
            }
            orders.insert(order, size.0);
            EventBody::OrderAdd { order: id, side, level: Level { price, size } }
        }
        b'2' => {
            take(orders, order, size);
            EventBody::OrderCancel { order: id, size: Some(size) }
        }
        b'3' => {
            orders.remove(&order);
            EventBody::OrderCancel { order: id, size: None }
        }
        b'4' if take(orders, order, size) => {
            EventBody::OrderExecute { order: id, size, price: None, trade_id: None, printable: true }
        }
        _ => print(message)?,
    })
}

/// Takes from an order, if the file has added it.
fn take(orders: &mut FxHashMap<u64, i64>, order: u64, size: Size) -> bool {
    let Some(rest) = orders.get_mut(&order) else { return false };
    *rest -= size.0;
    if *rest <= 0 {
        orders.remove(&order);
    }
    true
}

/// A message that is about no change of the book alone.
fn print(message: &Message) -> Result<EventBody, String> {
    let &Message { kind, size, price, side, .. } = message;
    let aggressor = match (kind, side) {
        (b'6', _) => Aggressor::None,
        (_, Side::Bid) => Aggressor::Sell,
        (_, Side::Ask) => Aggressor::Buy,
    };
    if kind != b'7' {
        return Ok(EventBody::Trade(Trade { price, size, aggressor, id: None }));
    }
    let status = match price.0 {
        -1 => TradingStatus::Halted,
        0 => TradingStatus::Auction,
        1 => TradingStatus::Trading,
        other => return Err(format!("a halt with {other} for its price")),
    };
    Ok(EventBody::Status { status, reason: String::new() })
}

fn parse(line: &[u8]) -> Result<Message, String> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
    let Ok([time, kind, order, size, price, direction]) = <[&[u8]; 6]>::try_from(fields) else {
        return Err("a line that has not six columns".to_owned());
    };
    let nanos_since_midnight = Exponent::new(TIME_EXPONENT)
        .and_then(|exponent| Price::parse_bytes(time, exponent))
        .map_err(|error| format!("time: {error}"))?;
    let kind = match kind {
        [kind @ b'1'..=b'7'] => *kind,
        _ => return Err(format!("type `{}`, where 1 to 7 are known", kind.escape_ascii())),
    };
    let size = number("size", size)?;
    if size < 0 {
        return Err(format!("a size of {size}"));
    }
    let side = match direction {
        b"1" => Side::Bid,
        b"-1" => Side::Ask,
        _ => return Err(format!("direction `{}`, where 1 and -1 are known", direction.escape_ascii())),
    };
    let order = number("order", order)?;
    Ok(Message {
        nanos_since_midnight: nanos_since_midnight.0,
        kind,
        order: u64::try_from(order).map_err(|_| format!("order {order}"))?,
        size: Size(size),
        price: Price(number("price", price)?),
        side,
    })
}

fn number(field: &str, text: &[u8]) -> Result<i64, String> {
    Price::parse_bytes(text, Exponent::ONE)
        .map(|number| number.0)
        .map_err(|error| format!("{field}: {error}"))
}

/// The order book file of a message file, if it is there.
fn order_book(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let beside = path.with_file_name(name.replace(MESSAGE, ORDER_BOOK));
    (name.contains(MESSAGE) && beside.exists()).then_some(beside)
}

/// The levels of the order book's next row.
fn next_row(rows: &mut Input, line: &mut Vec<u8>) -> Result<Levels, FeedError> {
    let offset = rows.offset();
    if !rows.read_line(line, LOBSTER_LINE_BYTES_MAX)? {
        return Err(rows.damaged("it ends before the messages do".to_owned()));
    }
    row(line.trim_ascii_end()).map_err(|reason| rows.damaged(reason).at(offset))
}

fn row(line: &[u8]) -> Result<Levels, String> {
    let numbers: Vec<i64> =
        line.split(|byte| *byte == b',').map(|text| number("order book", text)).collect::<Result<_, _>>()?;
    let mut levels = BTreeMap::new();
    let (quads, rest) = numbers.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("an order book of {} columns, where each level has four", numbers.len()));
    }
    for [ask, ask_size, bid, bid_size] in quads {
        for (side, price, size) in [(Side::Ask, *ask, *ask_size), (Side::Bid, *bid, *bid_size)] {
            if price.abs() != NO_PRICE && size > 0 {
                levels.insert((side, price), size);
            }
        }
    }
    Ok(levels)
}

fn snapshot(levels: &Levels) -> BookSnapshot {
    let of = |wanted: Side| {
        let own = levels.iter().filter(|((side, _), _)| *side == wanted);
        own.map(|((_, price), size)| Level { price: Price(*price), size: Size(*size) }).collect()
    };
    BookSnapshot { bids: of(Side::Bid), asks: of(Side::Ask) }
}

/// The levels that are not as they were: those first that are gone.
fn changes<'a>(earlier: &'a Levels, levels: &'a Levels) -> impl Iterator<Item = EventBody> {
    let gone = earlier.keys().filter(|key| !levels.contains_key(key)).map(|key| (key, &0));
    let changed = levels.iter().filter(|(key, size)| earlier.get(key) != Some(size));
    gone.chain(changed).map(|((side, price), size)| EventBody::LevelSet {
        side: *side,
        level: Level { price: Price(*price), size: Size(*size) },
    })
}
