//! What a client reads: one binary message of the server, as typed records that borrow from it.
//!
//! Nothing is allocated but for tickers and bars, which are large and rare: a book's levels are checked once, and read
//! again where they stand.

use feeds::{Aggressor, Side, Size, Timestamp};

use super::book::{ASK, FLAG_BITS, MORE, SCALE_BITS};
use super::session::{bar_field, ticker_field};
use super::varint::{Reader, unzigzag};
use super::{SCALES, flag, form, kind, quote_field, trade_field};
use crate::state::StatusState;
use crate::topic::{Channel, TopicId};

/// One record of a server's binary message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Which topic.
    pub topic: TopicId,
    /// What of it.
    pub what: What<'a>,
}

/// What a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// The whole state.
    Snapshot(Snapshot<'a>),
    /// What changed.
    Update(Update<'a>),
    /// Messages that this client will not get.
    Gap(Gap),
    /// The next record, a snapshot, comes in place of several updates.
    Merged(Merged),
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// Its number.
    pub seq: u64,
    /// The venue's time, in whole microseconds.
    pub ts_event: Timestamp,
    /// Identity of the run of the stream.
    pub epoch: &'a str,
    /// What it differs in from an empty state; `None`: there was no trade, or no bar, yet.
    pub change: Option<Change<'a>>,
}

/// What changed; see [`Update::follow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update<'a> {
    /// The check of the number that it leads to.
    pub check: u8,
    /// That number less the one of the state before.
    pub step: u64,
    /// How many changes it stands for.
    pub merged: u32,
    /// Microseconds from the state before.
    pub time_step: i64,
    /// The differences.
    pub change: Change<'a>,
}

/// Messages that this client will not get: those after `prev_seq` up to `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number of the last that was sent.
    pub prev_seq: u64,
    /// The number of the last that is lost.
    pub seq: u64,
    /// The venue's time of that, in whole microseconds.
    pub ts_event: Timestamp,
}

/// The snapshot that follows leads from the state of number `prev_seq` over `n` changes to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The number of the state that it replaces.
    pub prev_seq: u64,
    /// How many changes it stands for.
    pub n: u32,
}

/// The differences of one channel's state; `apply` of each gives the new state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the channels, and protocol.md, `tickwire.v1.bin`")]
pub enum Change<'a> {
    Quote(QuoteChange),
    Trade(TradeChange),
    Book(BookChange<'a>),
    Ticker(Box<TickerChange>),
    Bar(Box<BarChange>),
    Status { state: StatusState, reason: &'a str },
}

/// A price's way from one state to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriceStep {
    /// As it was.
    #[default]
    Same,
    /// Moved by that much, modulo 2⁶⁴; from zero where there was none.
    By(i64),
    /// There is none any more.
    Gone,
}

/// Differences of a `quote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `quote`")]
pub struct QuoteChange {
    pub bid: SideChange,
    pub ask: SideChange,
}

/// Differences of a side of a `quote`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideChange {
    /// Its price; gone: the side is empty.
    pub price: PriceStep,
    /// Its size, whole, where it is another.
    pub size: Option<Size>,
}

/// A trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TradeChange {
    /// Its price less the one of the trade before.
    pub price: i64,
    /// Its size, whole.
    pub size: Size,
    /// Who crossed the spread.
    pub aggressor: Aggressor,
    /// Its id less the one of the trade before; `None`: it has none.
    pub id: Option<i64>,
}

/// Changed levels of a `book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookChange<'a> {
    /// Of the book after the update.
    pub checksum: Option<u32>,
    levels: &'a [u8],
}

/// A changed level of a `book`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Bid or ask.
    pub side: Side,
    /// How much worse its price is than that of the side's level before it in the record; of the side's first, than the
    /// best price before the update, or zero where there was none.
    pub distance: i64,
    /// Its size, whole; zero deletes it.
    pub size: Size,
}

/// Differences of a `ticker`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `ticker`")]
pub struct TickerChange {
    pub last: PriceStep,
    /// Whole.
    pub last_size: Option<Size>,
    pub bid: PriceStep,
    pub ask: PriceStep,
    pub close: PriceStep,
    /// Whether there is no session any more.
    pub session_gone: bool,
    pub open: Option<i64>,
    pub high: Option<i64>,
    pub low: Option<i64>,
    pub volume: Option<i128>,
    pub notional: Option<i128>,
    pub trades: Option<i64>,
}

/// Differences of a `bar`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "protocol.md, `bar`")]
pub struct BarChange {
    /// Microseconds from the start of the bar before: it is a new bar.
    pub start: Option<i64>,
    pub open: Option<i64>,
    pub high: Option<i64>,
    pub low: Option<i64>,
    pub close: Option<i64>,
    pub volume: Option<i128>,
    pub notional: Option<i128>,
    pub trades: Option<i64>,
    /// Whether `final` is now what it was not.
    pub final_changed: bool,
}

/// Why bytes are not records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset} of a binary message: {fault}")]
pub struct RecordError {
    /// Where.
    pub offset: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message ends within a record.
    #[error("the message ends within a record")]
    Truncated,
    /// A number that has a shorter form, or does not fit its field.
    #[error("a number is longer than it may be")]
    Overlong,
    /// No such kind of record.
    #[error("there is no kind {0}")]
    Kind(u8),
    /// Bits that have no meaning here.
    #[error("bits {0:#x} mean nothing here")]
    Bits(u32),
    /// A value that the field does not have.
    #[error("`{field}` is {value}")]
    Value {
        /// Which field.
        field: &'static str,
        /// What it is.
        value: u64,
    },
    /// A text that is not UTF-8.
    #[error("`{0}` is not UTF-8")]
    Text(&'static str),
}

impl Fault {
    pub(super) const fn at(self, offset: usize) -> RecordError {
        RecordError { offset, fault: self }
    }
}

/// The records of one message, one after the other; after an error there are no more.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    failed: bool,
}

/// Reads one binary message of the server.
#[must_use]
pub const fn decode_records(bytes: &[u8]) -> Records<'_> {
    Records { reader: Reader::new(bytes), failed: false }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.reader.is_empty() {
            return None;
        }
        let record = record(&mut self.reader);
        self.failed = record.is_err();
        Some(record)
    }
}

fn record<'a>(reader: &mut Reader<'a>) -> Result<Record<'a>, RecordError> {
    let start = reader.at();
    let number = reader.number()?;
    let topic = TopicId(u32::try_from(number >> 2).map_err(|_| Fault::Overlong.at(start))?);
    let what = match number & 3 {
        form::NEXT => What::Update(update(reader, topic, 0)?),
        form::STEP => What::Update(update(reader, topic, flag::STEP)?),
        form::SNAPSHOT => What::Snapshot(snapshot(reader, topic)?),
        _ => {
            let at = reader.at();
            match reader.byte()? {
                kind::GAP => What::Gap(gap(reader)?),
                kind::MERGED => What::Merged(merged(reader)?),
                flags if flags & flag::UPDATE != 0 => {
                    let unknown = flags & !known_flags(topic.channel());
                    if unknown != 0 {
                        return Err(Fault::Bits(unknown.into()).at(at));
                    }
                    What::Update(update(reader, topic, flags)?)
                }
                unknown => return Err(Fault::Kind(unknown).at(at)),
            }
        }
    };
    Ok(Record { topic, what })
}

const fn known_flags(channel: Channel) -> u8 {
    flag::EVERYWHERE
        | match channel {
            Channel::Quote => flag::NO_BID | flag::NO_ASK,
            Channel::Book(_) => flag::CHECKSUM,
            Channel::Trade | Channel::Ticker | Channel::Bar(_) | Channel::Status => 0,
        }
}

fn snapshot<'a>(reader: &mut Reader<'a>, topic: TopicId) -> Result<Snapshot<'a>, RecordError> {
    let seq = reader.number()?;
    let ts_event = time(reader)?;
    let epoch = text(reader, "epoch")?;
    let change = match topic.channel() {
        Channel::Quote => Some(Change::Quote(quote(reader, 0)?)),
        Channel::Trade => exists(reader)?.then(|| trade(reader).map(Change::Trade)).transpose()?,
        Channel::Book(_) => {
            let checksum = Some(checksum(reader)?);
            let levels = if exists(reader)? { levels(reader)? } else { &[] };
            Some(Change::Book(BookChange { checksum, levels }))
        }
        Channel::Ticker => Some(Change::Ticker(Box::new(ticker(reader)?))),
        Channel::Bar(_) => {
            exists(reader)?.then(|| bar(reader).map(|bar| Change::Bar(Box::new(bar)))).transpose()?
        }
        Channel::Status => Some(status(reader)?),
    };
    Ok(Snapshot { seq, ts_event, epoch, change })
}

fn update<'a>(reader: &mut Reader<'a>, topic: TopicId, flags: u8) -> Result<Update<'a>, RecordError> {
    let check = reader.byte()?;
    let at = reader.at();
    let step = if flags & flag::STEP == 0 { 1 } else { reader.number()? };
    if step == 0 {
        return Err(Fault::Value { field: "step", value: 0 }.at(at));
    }
    let at = reader.at();
    let merged = if flags & flag::MERGED == 0 { 1 } else { reader.small_number()? };
    if merged == 0 {
        return Err(Fault::Value { field: "n", value: 0 }.at(at));
    }
    let at = reader.at();
    let time = i64::try_from(reader.number()?).map_err(|_| Fault::Overlong.at(at))?;
    let time_step = if flags & flag::BACKWARDS == 0 { time } else { -time };
    let change = match topic.channel() {
        Channel::Quote => Change::Quote(quote(reader, flags)?),
        Channel::Trade => Change::Trade(trade(reader)?),
        Channel::Book(_) => {
            let checksum = if flags & flag::CHECKSUM == 0 { None } else { Some(checksum(reader)?) };
            Change::Book(BookChange { checksum, levels: levels(reader)? })
        }
        Channel::Ticker => Change::Ticker(Box::new(ticker(reader)?)),
        Channel::Bar(_) => Change::Bar(Box::new(bar(reader)?)),
        Channel::Status => status(reader)?,
    };
    Ok(Update { check, step, merged, time_step, change })
}

fn gap(reader: &mut Reader<'_>) -> Result<Gap, RecordError> {
    let prev_seq = reader.number()?;
    let at = reader.at();
    let lost = reader.number()?;
    if lost == 0 {
        return Err(Fault::Value { field: "step", value: 0 }.at(at));
    }
    let seq = prev_seq.checked_add(lost).ok_or_else(|| Fault::Overlong.at(at))?;
    Ok(Gap { prev_seq, seq, ts_event: time(reader)? })
}

fn merged(reader: &mut Reader<'_>) -> Result<Merged, RecordError> {
    let prev_seq = reader.number()?;
    Ok(Merged { prev_seq, n: reader.small_number()? })
}

/// The most microseconds that nanoseconds in 64 bits hold, when rounded down, on either side of the epoch.
const MICROS_MAX: i64 = i64::MAX / 1_000 + 1;

fn time(reader: &mut Reader<'_>) -> Result<Timestamp, RecordError> {
    let at = reader.at();
    let micros = reader.difference()?;
    if !(-MICROS_MAX..=MICROS_MAX).contains(&micros) {
        return Err(Fault::Overlong.at(at));
    }
    Ok(Timestamp(micros.saturating_mul(1_000)))
}

fn text<'a>(reader: &mut Reader<'a>, field: &'static str) -> Result<&'a str, RecordError> {
    let length = reader.number()?;
    let at = reader.at();
    std::str::from_utf8(reader.slice(length)?).map_err(|_| Fault::Text(field).at(at))
}

fn exists(reader: &mut Reader<'_>) -> Result<bool, RecordError> {
    let at = reader.at();
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        bits => Err(Fault::Bits(bits.into()).at(at)),
    }
}

fn checksum(reader: &mut Reader<'_>) -> Result<u32, RecordError> {
    Ok(u32::from_le_bytes([reader.byte()?, reader.byte()?, reader.byte()?, reader.byte()?]))
}

fn size(reader: &mut Reader<'_>, scale: usize) -> Result<Size, RecordError> {
    let at = reader.at();
    let number = reader.number()?;
    if scale == 0 {
        return Ok(Size(number.cast_signed()));
    }
    let whole = number.checked_mul(SCALES[scale]).and_then(|size| i64::try_from(size).ok());
    whole.map(Size).ok_or_else(|| Fault::Overlong.at(at))
}

fn quote(reader: &mut Reader<'_>, flags: u8) -> Result<QuoteChange, RecordError> {
    use quote_field::{ASK, ASK_SIZE, BID, BID_SIZE, SCALE_SHIFT, STEP_SHIFT};

    let at = reader.at();
    let fields = reader.byte()?;
    let scale = usize::from(fields >> SCALE_SHIFT & 3);
    let step = u64::from(fields >> STEP_SHIFT);
    if step != 0 && !matches!(fields & (BID | ASK), BID | ASK) {
        return Err(Fault::Bits(fields.into()).at(at));
    }
    let mut side = |price, price_size, gone| {
        if flags & gone != 0 {
            return match fields & (price | price_size) {
                0 => Ok(SideChange { price: PriceStep::Gone, size: None }),
                both => Err(Fault::Bits(both.into()).at(at)),
            };
        }
        let price = match (fields & price, step) {
            (0, _) => PriceStep::Same,
            (_, 0) => PriceStep::By(reader.difference()?),
            (_, step) => PriceStep::By(unzigzag(step)),
        };
        let size = if fields & price_size == 0 { None } else { Some(size(reader, scale)?) };
        Ok(SideChange { price, size })
    };
    Ok(QuoteChange { bid: side(BID, BID_SIZE, flag::NO_BID)?, ask: side(ASK, ASK_SIZE, flag::NO_ASK)? })
}

fn trade(reader: &mut Reader<'_>) -> Result<TradeChange, RecordError> {
    use trade_field::{ID, SCALE_SHIFT, SIDE, STEP_SHIFT};

    let at = reader.at();
    let fields = reader.byte()?;
    let aggressor = match fields & SIDE {
        0 => Aggressor::None,
        1 => Aggressor::Buy,
        2 => Aggressor::Sell,
        side => return Err(Fault::Value { field: "side", value: side.into() }.at(at)),
    };
    let price = match u64::from(fields >> STEP_SHIFT).checked_sub(1) {
        None => reader.difference()?,
        Some(step) => unzigzag(step),
    };
    let size = size(reader, usize::from(fields >> SCALE_SHIFT & 3))?;
    let id = if fields & ID == 0 { None } else { Some(reader.difference()?) };
    Ok(TradeChange { price, size, aggressor, id })
}

/// Checks levels, and leaves them as they stand.
fn levels<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], RecordError> {
    let start = reader.at();
    let mut scale = None;
    while level(reader, &mut scale)?.1 {}
    Ok(reader.since(start))
}

/// The next level, and whether more follow.
fn level(reader: &mut Reader<'_>, scale: &mut Option<usize>) -> Result<(LevelChange, bool), RecordError> {
    let at = reader.at();
    let first = u64::from(reader.byte()?);
    let bits = FLAG_BITS + if scale.is_none() { SCALE_BITS } else { 0 };
    let scale = *scale.get_or_insert((first >> FLAG_BITS & 3) as usize);
    let own = 7 - bits;
    let low = (first & 0x7F) >> bits;
    let value = if first < 0x80 {
        low
    } else {
        let rest = reader.number()?;
        if rest == 0 || rest << own >> own != rest {
            return Err(Fault::Overlong.at(at));
        }
        rest << own | low
    };
    let side = if first & ASK == 0 { Side::Bid } else { Side::Ask };
    let size = size(reader, scale)?;
    Ok((LevelChange { side, distance: unzigzag(value), size }, first & MORE != 0))
}

impl<'a> BookChange<'a> {
    /// The levels, in their order: an update's are to be taken one after the other.
    pub fn levels(&self) -> impl Iterator<Item = LevelChange> + use<'a> {
        let mut reader = Reader::new(self.levels);
        let mut scale = None;
        std::iter::from_fn(move || {
            let is_over = reader.is_empty();
            // They have been read before.
            (!is_over).then(|| level(&mut reader, &mut scale).ok()).flatten().map(|(level, _)| level)
        })
    }
}

/// Reads a bitmap of known bits, in which none of `pairs` stand together.
fn bitmap(reader: &mut Reader<'_>, known: u32, pairs: &[(u32, u32)]) -> Result<u32, RecordError> {
    let at = reader.at();
    let fields = reader.small_number()?;
    if fields & !known != 0 {
        return Err(Fault::Bits(fields & !known).at(at));
    }
    for (gone, of) in pairs {
        if fields & gone != 0 && fields & of != 0 {
            return Err(Fault::Bits(fields & (gone | of)).at(at));
        }
    }
    Ok(fields)
}

fn ticker(reader: &mut Reader<'_>) -> Result<TickerChange, RecordError> {
    use ticker_field::{
        ALL, ASK, BID, CLOSE, HIGH, LAST, LAST_SIZE, LOW, NO_ASK, NO_BID, NO_CLOSE, NO_LAST, NO_SESSION,
        NOTIONAL, OPEN, TRADES, VOLUME,
    };

    let session = VOLUME | NOTIONAL | TRADES | HIGH | LOW | OPEN;
    let fields = bitmap(
        reader,
        ALL,
        &[
            (NO_LAST, LAST | LAST_SIZE),
            (NO_BID, BID),
            (NO_ASK, ASK),
            (NO_SESSION, session),
            (NO_CLOSE, CLOSE),
        ],
    )?;
    let is_sent = |field| fields & field != 0;
    let price = |reader: &mut Reader<'_>, field, gone| {
        Ok(match (is_sent(field), is_sent(gone)) {
            (true, _) => PriceStep::By(reader.difference()?),
            (false, true) => PriceStep::Gone,
            (false, false) => PriceStep::Same,
        })
    };
    Ok(TickerChange {
        last: price(reader, LAST, NO_LAST)?,
        last_size: is_sent(LAST_SIZE).then(|| size(reader, 0)).transpose()?,
        bid: price(reader, BID, NO_BID)?,
        ask: price(reader, ASK, NO_ASK)?,
        volume: is_sent(VOLUME).then(|| reader.sum_difference()).transpose()?,
        notional: is_sent(NOTIONAL).then(|| reader.sum_difference()).transpose()?,
        trades: is_sent(TRADES).then(|| reader.difference()).transpose()?,
        high: is_sent(HIGH).then(|| reader.difference()).transpose()?,
        low: is_sent(LOW).then(|| reader.difference()).transpose()?,
        open: is_sent(OPEN).then(|| reader.difference()).transpose()?,
        close: price(reader, CLOSE, NO_CLOSE)?,
        session_gone: is_sent(NO_SESSION),
    })
}

fn bar(reader: &mut Reader<'_>) -> Result<BarChange, RecordError> {
    use bar_field::{ALL, CLOSE, FINAL, HIGH, LOW, NOTIONAL, OPEN, START, TRADES, VOLUME};

    let fields = bitmap(reader, ALL, &[])?;
    let is_sent = |field| fields & field != 0;
    Ok(BarChange {
        start: is_sent(START).then(|| reader.difference()).transpose()?,
        high: is_sent(HIGH).then(|| reader.difference()).transpose()?,
        low: is_sent(LOW).then(|| reader.difference()).transpose()?,
        close: is_sent(CLOSE).then(|| reader.difference()).transpose()?,
        volume: is_sent(VOLUME).then(|| reader.sum_difference()).transpose()?,
        notional: is_sent(NOTIONAL).then(|| reader.sum_difference()).transpose()?,
        trades: is_sent(TRADES).then(|| reader.difference()).transpose()?,
        open: is_sent(OPEN).then(|| reader.difference()).transpose()?,
        final_changed: is_sent(FINAL),
    })
}

fn status<'a>(reader: &mut Reader<'a>) -> Result<Change<'a>, RecordError> {
    let at = reader.at();
    let state = match reader.byte()? {
        0 => StatusState::Trading,
        1 => StatusState::Halted,
        2 => StatusState::Auction,
        3 => StatusState::Closed,
        4 => StatusState::Stale,
        5 => StatusState::Ended,
        state => return Err(Fault::Value { field: "state", value: state.into() }.at(at)),
    };
    Ok(Change::Status { state, reason: text(reader, "reason")? })
}
