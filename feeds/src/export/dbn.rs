//! Databento Binary Encoding, version 3.
//!
//! | kind | schema | what becomes of an event |
//! |---|---|---|
//! | trades | `trades` | one record. The number of a trade has no field |
//! | quotes | `mbp-1` | one record with action `M` |
//! | book | `mbp-10` | one record for each message that changes the best ten levels of a book, with them as they are then |
//! | orders | `mbo` | `A`, `M`, `C`, `R`; an execution is `T`, if it prints, `F` and `C`; a replacement `C` and `A` |
//! | bars | `ohlcv-1s`, `-1m`, `-1h`, `-1d` | one record |
//! | statuses | `status` | one record; a reason that DBN has no number for is left out |
//! | instruments | `definition` | one record before an instrument's first event, and one for each definition |
//!
//! One file of several kinds holds them in their order and has no schema; executions are told there by the records of
//! their orders alone. After a gap the records of a book say `MAYBE_BAD_BOOK` until it begins anew.
//!
//! Prices have nine decimals, sizes are whole numbers of 32 bits: what does not fit is an error. Sizes of
//! instruments whose sizes have decimals are told as multiples of a unit that whoever exports names; definitions tell it
//! as `unit_of_measure_qty`. Numbers of
//! states past 32 bits are left out. Publishers are those of the data set, where the feed was of one and it has the
//! instrument's venue; else 0, none. Instruments are numbered from 1 in the feed's order, and the metadata map their
//! symbols to the numbers on all days of the file.

mod depth;
mod file;
mod number;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::os::raw::c_char;

use dbn::{
    Action, BidAskPair, Dataset, FlagSet, HasRType, InstrumentDefMsg, MboMsg, Mbp1Msg, OhlcvMsg, Publisher,
    RecordHeader, Schema, SecurityUpdateAction, Side as DbnSide, StatusAction, StatusMsg, StatusReason,
    TradeMsg, UNDEF_PRICE, Venue, rtype,
};

use super::output::Output;
use super::table::unplaced;
use super::{ExportError, ExportSettings, Format, Kind, LeftOut, Told, kind_of};
use crate::{
    Aggressor, Bar, EventBody, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, SymbolId,
    Timestamp, Trade, TradingStatus,
};
use depth::Depth;
use file::{DbnFile, Symbols};
use number::{SizeUnit, nanos, price};

/// What stands where a feed was of no data set.
const DATASET: &str = "TICKWIRE";
const SECOND: i64 = 1_000_000_000;

/// The files, each made when its first record comes.
pub(super) struct DbnFiles {
    /// By kind; one file of several kinds has none.
    files: BTreeMap<Option<Kind>, DbnFile>,
    rows: BTreeMap<Kind, u64>,
    kinds: BTreeSet<Kind>,
    is_file: bool,
    symbols: Symbols,
    size_unit: SizeUnit,
    instruments: Vec<Instrument>,
    /// By instrument.
    states: Vec<State>,
    /// Instruments whose books the message at hand has changed, and the last event that did.
    changed: BTreeMap<SymbolId, Stamp>,
    /// The records of orders of the message at hand: the last of each instrument is flagged.
    orders: Vec<MboMsg>,
    last_seen: Timestamp,
}

#[derive(Default)]
struct State {
    publisher: u16,
    is_defined: bool,
    depth: Depth,
    /// Whether its book by order may lack something.
    is_bad: bool,
}

/// The times of an event and its number.
#[derive(Clone, Copy)]
struct Stamp {
    ts_event: u64,
    ts_recv: u64,
    sequence: u32,
}

impl DbnFiles {
    pub(super) fn new(settings: &ExportSettings, instruments: &[Instrument]) -> Result<Self, ExportError> {
        if settings.kinds.contains(&Kind::Gaps) {
            let reason = "dbn has no records of gaps: a flag of the records of books tells them".to_owned();
            return Err(ExportError::Settings(reason));
        }
        let dataset = settings.dataset.and_then(|dataset| dataset.parse::<Dataset>().ok());
        let state = |instrument: &Instrument| {
            let venue = instrument.venue.parse::<Venue>().ok();
            let publisher = dataset
                .zip(venue)
                .and_then(|(dataset, venue)| Publisher::from_dataset_venue(dataset, venue).ok())
                .map_or(0, |publisher| publisher as u16);
            State { publisher, depth: Depth::new(instrument.book_levels_max), ..State::default() }
        };
        let names = instruments.iter().map(|instrument| instrument.symbol.to_string()).collect();
        Ok(Self {
            files: BTreeMap::new(),
            rows: BTreeMap::new(),
            kinds: settings.kinds.clone(),
            is_file: settings.is_file(),
            symbols: Symbols { dataset: settings.dataset.unwrap_or(DATASET), names },
            size_unit: SizeUnit::new(settings.size_unit.as_deref())?,
            instruments: instruments.to_vec(),
            states: instruments.iter().map(state).collect(),
            changed: BTreeMap::new(),
            orders: Vec::new(),
            last_seen: Timestamp(0),
        })
    }

    /// Makes the files that were asked for, which are there even without a record.
    pub(super) fn open(&mut self, output: &Output) -> Result<(), ExportError> {
        for kind in self.kinds.clone() {
            self.file(kind, output)?;
            self.rows.insert(kind, 0);
        }
        Ok(())
    }

    /// Writes what an event tells, but for what its message tells as a whole.
    pub(super) fn event(
        &mut self,
        told: &Told<'_>,
        output: &Output,
        left_out: &mut LeftOut,
    ) -> Result<(), ExportError> {
        let Told { event, instrument, .. } = *told;
        let stamp = Stamp::new(event, instrument, left_out)?;
        self.last_seen = event.ts_recv;
        self.define(told, stamp, output)?;
        self.trade(told, stamp, output, left_out)?;
        match (&event.body, kind_of(told)) {
            (EventBody::Quote { bid, ask }, _) if self.wants(Kind::Quotes) => {
                let record = Mbp1Msg {
                    hd: self.header::<Mbp1Msg>(rtype::MBP_1, event.symbol, stamp.ts_event),
                    price: UNDEF_PRICE,
                    action: letter(Action::Modify as u8),
                    side: letter(DbnSide::None as u8),
                    flags: FlagSet::empty().set_last(),
                    ts_recv: stamp.ts_recv,
                    sequence: stamp.sequence,
                    levels: [self.levels(instrument, *bid, *ask)?],
                    ..Mbp1Msg::default()
                };
                self.put(Kind::Quotes, Schema::Mbp1, event, &record, output)?;
            }
            (EventBody::Bar(bar), _) if self.wants(Kind::Bars) => {
                let (record, schema) = self.bar(told, *bar, stamp)?;
                self.put(Kind::Bars, schema, event, &record, output)?;
            }
            (EventBody::Status { status, reason }, _) if self.wants(Kind::Statuses) => {
                let record = StatusMsg {
                    hd: self.header::<StatusMsg>(rtype::STATUS, event.symbol, stamp.ts_event),
                    ts_recv: stamp.ts_recv,
                    action: action(*status) as u16,
                    reason: status_reason(reason).unwrap_or_else(|| {
                        left_out.add("reasons of statuses that dbn has no number for");
                        StatusReason::None as u16
                    }),
                    is_trading: letter(if *status == TradingStatus::Trading { b'Y' } else { b'N' }),
                    ..StatusMsg::default()
                };
                self.put(Kind::Statuses, Schema::Status, event, &record, output)?;
            }
            (EventBody::Gap { .. }, _) => {
                let state = &mut self.states[event.symbol.index()];
                match told.by_order {
                    Some(true) => state.is_bad = true,
                    Some(false) => {
                        state.depth.gap();
                        self.change(event.symbol, stamp);
                    }
                    None if self.kinds.is_empty() => left_out.add("gaps of instruments without a book"),
                    None => {}
                }
            }
            (EventBody::Definition(_), _) => {}
            (_, Some(Kind::Book)) => {
                if self.states[event.symbol.index()].depth.apply(&event.body) {
                    self.change(event.symbol, stamp);
                }
            }
            (_, Some(Kind::Orders)) if self.wants(Kind::Orders) => self.order(told, stamp, left_out)?,
            (_, Some(_)) => {}
            (_, None) if self.kinds.is_empty() => left_out.add(unplaced(&event.body)),
            (_, None) => {}
        }
        Ok(())
    }

    /// Writes what a message has told as a whole: the books by level that it changed, and its orders.
    pub(super) fn end_message(&mut self, output: &Output) -> Result<(), ExportError> {
        for (symbol, stamp) in std::mem::take(&mut self.changed) {
            let (instrument, unit) = (&self.instruments[symbol.index()], &self.size_unit);
            let Some(mut record) = self.states[symbol.index()].depth.record(instrument, unit)? else {
                continue;
            };
            record.hd = self.header::<dbn::Mbp10Msg>(rtype::MBP_10, symbol, stamp.ts_event);
            (record.ts_recv, record.sequence) = (stamp.ts_recv, stamp.sequence);
            self.put_at(Kind::Book, Schema::Mbp10, stamp, &record, output)?;
        }
        let mut orders = std::mem::take(&mut self.orders);
        let mut ended = BTreeSet::new();
        for record in orders.iter_mut().rev() {
            if ended.insert(record.hd.instrument_id) {
                record.flags.set_last();
            }
        }
        for record in orders.drain(..) {
            let stamp = Stamp { ts_event: record.hd.ts_event, ts_recv: record.ts_recv, sequence: 0 };
            self.put_at(Kind::Orders, Schema::Mbo, stamp, &record, output)?;
        }
        self.orders = orders;
        Ok(())
    }

    /// Completes the files. Gives the records of each kind.
    pub(super) fn finish(mut self, output: &Output) -> Result<BTreeMap<Kind, u64>, ExportError> {
        if self.wants(Kind::Instruments) && self.last_seen != Timestamp(0) {
            for index in 0..self.instruments.len() {
                let instrument = self.instruments[index].clone();
                let symbol = SymbolId::from_index(index);
                let time = nanos(self.last_seen, &instrument)?;
                let stamp = Stamp { ts_event: time, ts_recv: time, sequence: 0 };
                if !std::mem::replace(&mut self.states[index].is_defined, true) {
                    self.definition(symbol, &instrument, stamp, output)?;
                }
            }
        }
        if self.is_file && self.files.is_empty() {
            return Err(ExportError::Settings(format!(
                "{}: the feed has nothing that would be in it",
                output.path().display()
            )));
        }
        for file in self.files.into_values() {
            file.finish(&self.symbols)?;
        }
        Ok(self.rows)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Writes an instrument's definition, if this is its first event or one itself.
    fn define(&mut self, told: &Told<'_>, stamp: Stamp, output: &Output) -> Result<(), ExportError> {
        let symbol = told.event.symbol;
        let was_defined = std::mem::replace(&mut self.states[symbol.index()].is_defined, true);
        match &told.event.body {
            EventBody::Definition(instrument) => self.definition(symbol, instrument, stamp, output),
            _ if !was_defined => self.definition(symbol, told.instrument, stamp, output),
            _ => Ok(()),
        }
    }

    fn definition(
        &mut self,
        symbol: SymbolId,
        instrument: &Instrument,
        stamp: Stamp,
        output: &Output,
    ) -> Result<(), ExportError> {
        if !self.wants(Kind::Instruments) {
            return Ok(());
        }
        let tick = instrument.tick_size.map(|tick| price(instrument, "tick size", tick)).transpose()?;
        let currency = instrument.currency.as_deref().and_then(|currency| characters(currency).ok());
        let record = InstrumentDefMsg {
            hd: self.header::<InstrumentDefMsg>(rtype::INSTRUMENT_DEF, symbol, stamp.ts_event),
            ts_recv: stamp.ts_recv,
            min_price_increment: tick.unwrap_or(UNDEF_PRICE),
            unit_of_measure_qty: self.size_unit.billionths(instrument).unwrap_or(UNDEF_PRICE),
            currency: currency.unwrap_or_default(),
            raw_symbol: characters(instrument.symbol.as_str()).map_err(ExportError::Settings)?,
            exchange: characters(instrument.venue).unwrap_or_default(),
            security_update_action: letter(SecurityUpdateAction::Add as u8),
            ..InstrumentDefMsg::default()
        };
        self.put_at(Kind::Instruments, Schema::Definition, stamp, &record, output)
    }

    /// A trade, unless the records of orders in the same file tell it.
    fn trade(
        &mut self,
        told: &Told<'_>,
        stamp: Stamp,
        output: &Output,
        left_out: &mut LeftOut,
    ) -> Result<(), ExportError> {
        let event = told.event;
        let Some(trade) = told.trade else {
            if self.wants(Kind::Trades)
                && matches!(event.body, EventBody::OrderExecute { printable: true, .. })
            {
                left_out.add("trades of orders that nobody added");
            }
            return Ok(());
        };
        let (wants_trades, wants_orders) = (self.wants(Kind::Trades), self.wants(Kind::Orders));
        let is_execution = !matches!(event.body, EventBody::Trade(_));
        let is_of_orders = wants_orders
            && (is_execution || if self.is_file { !wants_trades } else { told.by_order == Some(true) });
        if is_of_orders {
            let record = self.order_record(told, stamp, Action::Trade, None, trade_side(&trade), trade)?;
            self.orders.push(record);
        }
        if wants_trades && !(self.is_file && is_of_orders) {
            let record = TradeMsg {
                hd: self.header::<TradeMsg>(rtype::MBP_0, event.symbol, stamp.ts_event),
                price: price(told.instrument, "price", trade.price)?,
                size: self.size_unit.size(told.instrument, "size", trade.size)?,
                action: letter(Action::Trade as u8),
                side: letter(trade_side(&trade) as u8),
                flags: FlagSet::empty().set_last(),
                ts_recv: stamp.ts_recv,
                sequence: stamp.sequence,
                ..TradeMsg::default()
            };
            self.put(Kind::Trades, Schema::Trades, event, &record, output)?;
        }
        Ok(())
    }

    /// What happened to an order.
    fn order(&mut self, told: &Told<'_>, stamp: Stamp, left_out: &mut LeftOut) -> Result<(), ExportError> {
        let resting = told.resting;
        let side = resting.map_or(DbnSide::None, |resting| dbn_side(resting.side));
        let at = |size: Size| resting.map(|resting| Level { size, ..resting.level });
        let mut push = |action, order, side, level: Level| {
            let record = self.order_record(told, stamp, action, Some(order), side, level)?;
            self.orders.push(record);
            Ok::<_, ExportError>(())
        };
        match told.event.body {
            EventBody::OrderAdd { order, side, level } => push(Action::Add, order, dbn_side(side), level)?,
            EventBody::OrderModify { order, level } => push(Action::Modify, order, side, level)?,
            EventBody::OrderCancel { order, size } => match (size, resting) {
                (Some(size), _) => {
                    let level = at(size);
                    self.cancel(told, stamp, order, side, size, level)?;
                }
                (None, Some(resting)) => push(Action::Cancel, order, side, resting.level)?,
                (None, None) => left_out.add("cancels of orders that nobody added"),
            },
            EventBody::OrderExecute { order, size, price, .. } => {
                if let Some(mut fill) = at(size) {
                    fill.price = price.unwrap_or(fill.price);
                    push(Action::Fill, order, side, fill)?;
                }
                let level = at(size);
                self.cancel(told, stamp, order, side, size, level)?;
            }
            EventBody::OrderReplace { order, new_order, level } => match resting {
                Some(resting) => {
                    push(Action::Cancel, order, side, resting.level)?;
                    push(Action::Add, new_order, side, level)?;
                }
                None => left_out.add("replacements of orders that nobody added"),
            },
            _ => {
                self.states[told.event.symbol.index()].is_bad = false;
                let nothing = MboMsg { price: UNDEF_PRICE, size: 0, ..MboMsg::default() };
                let record = MboMsg {
                    hd: self.header::<MboMsg>(rtype::MBO, told.event.symbol, stamp.ts_event),
                    action: letter(Action::Clear as u8),
                    side: letter(DbnSide::None as u8),
                    flags: FlagSet::empty(),
                    ts_recv: stamp.ts_recv,
                    sequence: stamp.sequence,
                    ..nothing
                };
                self.orders.push(record);
            }
        }
        Ok(())
    }

    /// A cancel of that much; of an order that nobody added the price is not known.
    fn cancel(
        &mut self,
        told: &Told<'_>,
        stamp: Stamp,
        order: OrderId,
        side: DbnSide,
        size: Size,
        level: Option<Level>,
    ) -> Result<(), ExportError> {
        let known = level.unwrap_or(Level { price: Price::ZERO, size });
        let mut record = self.order_record(told, stamp, Action::Cancel, Some(order), side, known)?;
        if level.is_none() {
            record.price = UNDEF_PRICE;
        }
        self.orders.push(record);
        Ok(())
    }

    fn order_record(
        &self,
        told: &Told<'_>,
        stamp: Stamp,
        action: Action,
        order: Option<OrderId>,
        side: DbnSide,
        level: impl Into<Level>,
    ) -> Result<MboMsg, ExportError> {
        let level = level.into();
        let mut flags = FlagSet::empty();
        if self.states[told.event.symbol.index()].is_bad {
            flags.set_maybe_bad_book();
        }
        Ok(MboMsg {
            hd: self.header::<MboMsg>(rtype::MBO, told.event.symbol, stamp.ts_event),
            order_id: order.map_or(0, |order| order.0),
            price: price(told.instrument, "price", level.price)?,
            size: self.size_unit.size(told.instrument, "size", level.size)?,
            flags,
            action: letter(action as u8),
            side: letter(side as u8),
            ts_recv: stamp.ts_recv,
            sequence: stamp.sequence,
            ..MboMsg::default()
        })
    }

    fn bar(&self, told: &Told<'_>, bar: Bar, stamp: Stamp) -> Result<(OhlcvMsg, Schema), ExportError> {
        const INTERVALS: [(i64, u8, Schema); 4] = [
            (SECOND, rtype::OHLCV_1S, Schema::Ohlcv1S),
            (60 * SECOND, rtype::OHLCV_1M, Schema::Ohlcv1M),
            (3_600 * SECOND, rtype::OHLCV_1H, Schema::Ohlcv1H),
            (86_400 * SECOND, rtype::OHLCV_1D, Schema::Ohlcv1D),
        ];
        let instrument = told.instrument;
        let known = INTERVALS.into_iter().find(|(nanos, ..)| *nanos == bar.interval_nanos);
        let (_, rtype, schema) = known.ok_or_else(|| ExportError::Number {
            symbol: instrument.symbol.clone(),
            field: "interval",
            text: format!("{} ns", bar.interval_nanos),
            reason: "dbn has bars of 1 s, 1 m, 1 h and 1 d".to_owned(),
        })?;
        let record = OhlcvMsg {
            hd: self.header::<OhlcvMsg>(rtype, told.event.symbol, stamp.ts_event),
            open: price(instrument, "open", bar.open)?,
            high: price(instrument, "high", bar.high)?,
            low: price(instrument, "low", bar.low)?,
            close: price(instrument, "close", bar.close)?,
            volume: self.size_unit.volume(instrument, bar.volume)?,
        };
        Ok((record, schema))
    }

    fn levels(
        &self,
        instrument: &Instrument,
        bid: Option<Level>,
        ask: Option<Level>,
    ) -> Result<BidAskPair, ExportError> {
        depth::pair(instrument, &self.size_unit, bid, ask)
    }

    fn change(&mut self, symbol: SymbolId, stamp: Stamp) {
        if self.wants(Kind::Book) {
            self.changed.insert(symbol, stamp);
        }
    }

    fn header<R: HasRType>(&self, rtype: u8, symbol: SymbolId, ts_event: u64) -> RecordHeader {
        RecordHeader::new::<R>(rtype, self.states[symbol.index()].publisher, symbol.0 + 1, ts_event)
    }

    fn put<R: dbn::encode::DbnEncodable>(
        &mut self,
        kind: Kind,
        schema: Schema,
        event: &MarketEvent,
        record: &R,
        output: &Output,
    ) -> Result<(), ExportError> {
        let instrument = &self.instruments[event.symbol.index()];
        let (ts_event, ts_recv) = (nanos(event.ts_event, instrument)?, nanos(event.ts_recv, instrument)?);
        self.put_at(kind, schema, Stamp { ts_event, ts_recv, sequence: 0 }, record, output)
    }

    fn put_at<R: dbn::encode::DbnEncodable>(
        &mut self,
        kind: Kind,
        schema: Schema,
        stamp: Stamp,
        record: &R,
        output: &Output,
    ) -> Result<(), ExportError> {
        *self.rows.entry(kind).or_default() += 1;
        self.file(kind, output)?.put(schema, stamp.ts_event, stamp.ts_recv, record)
    }

    fn file(&mut self, kind: Kind, output: &Output) -> Result<&mut DbnFile, ExportError> {
        match self.files.entry((!self.is_file).then_some(kind)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let file = output.open(kind, Format::Dbn)?;
                Ok(entry.insert(DbnFile::new(file, &self.symbols)?))
            }
        }
    }
}

impl Stamp {
    fn new(
        event: &MarketEvent,
        instrument: &Instrument,
        left_out: &mut LeftOut,
    ) -> Result<Self, ExportError> {
        let sequence = u32::try_from(event.sequence).unwrap_or_else(|_| {
            left_out.add("sequence numbers past 32 bits");
            0
        });
        Ok(Self {
            ts_event: nanos(event.ts_event, instrument)?,
            ts_recv: nanos(event.ts_recv, instrument)?,
            sequence,
        })
    }
}

impl From<Trade> for Level {
    fn from(trade: Trade) -> Self {
        Self { price: trade.price, size: trade.size }
    }
}

/// As C has it, on any machine.
const fn letter(byte: u8) -> c_char {
    c_char::from_ne_bytes([byte])
}

fn characters<const N: usize>(text: &str) -> Result<[c_char; N], String> {
    dbn::record::str_to_c_chars(text).map_err(|error| format!("{text}: {error}"))
}

const fn dbn_side(side: Side) -> DbnSide {
    match side {
        Side::Bid => DbnSide::Bid,
        Side::Ask => DbnSide::Ask,
    }
}

const fn trade_side(trade: &Trade) -> DbnSide {
    match trade.aggressor {
        Aggressor::Buy => DbnSide::Bid,
        Aggressor::Sell => DbnSide::Ask,
        Aggressor::None => DbnSide::None,
    }
}

const fn action(status: TradingStatus) -> StatusAction {
    match status {
        TradingStatus::Trading => StatusAction::Trading,
        TradingStatus::Halted => StatusAction::Halt,
        TradingStatus::Auction => StatusAction::PreCross,
        TradingStatus::Closed => StatusAction::Close,
    }
}

/// The number of a reason, as our reader of DBN spells it.
fn status_reason(reason: &str) -> Option<u16> {
    /// Past the last that is known.
    const REASONS: u16 = 256;
    if reason.is_empty() {
        return Some(StatusReason::None as u16);
    }
    (0..REASONS)
        .find(|number| StatusReason::try_from(*number).is_ok_and(|known| format!("{known:?}") == reason))
        .or_else(|| reason.parse().ok())
}
