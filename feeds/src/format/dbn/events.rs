//! What a record means for its instrument.

use std::collections::BTreeMap;

use dbn::{
    Action, BboMsg, CbboMsg, Cmbp1Msg, InstrumentDefMsg, MboMsg, Mbp1Msg, Mbp10Msg, OhlcvMsg, RType,
    RecordRef, Side as DbnSide, StatusAction, StatusMsg, StatusReason, TradeMsg, UNDEF_PRICE,
    UNDEF_TIMESTAMP, rtype,
};

use super::prices::{DECIMALS_MAX, POWERS};
use crate::{
    Aggressor, Bar, BookSnapshot, EventBody, Instrument, Level, MarketEvent, OrderId, Price, Side, Size,
    SymbolId, Timestamp, Trade, TradingStatus,
};

const SECOND: i64 = 1_000_000_000;
const DEPTH: usize = 10;

/// The running state of a file, as far as a record's meaning depends on earlier ones.
pub(super) struct Session {
    /// By [`SymbolId`].
    states: Vec<State>,
    unmapped: BTreeMap<Unmapped, u64>,
}

/// What said nothing that an event has a word for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Unmapped {
    Type(u8),
    Kind(&'static str),
}

struct State {
    /// What prices of 10⁻⁹ are divided by.
    divisor: i64,
    /// The number under which its book came last.
    number: Option<u32>,
    /// Whether its book is said to miss something.
    is_book_bad: bool,
    /// Best bid and offer, where a file has these and no orders.
    top: [Option<Level>; 2],
    /// The levels as they were told last; `None`: not yet, or not to be relied on.
    depth: Option<Box<Depth>>,
}

/// Levels of buyers and of sellers, best first.
type Depth = [[Option<Level>; DEPTH]; 2];

/// The times of a record and its number; with the instrument, all that an event is but its body.
#[derive(Clone, Copy)]
struct Stamp {
    symbol: SymbolId,
    ts_event: Timestamp,
    ts_recv: Timestamp,
    sequence: u64,
}

impl Stamp {
    /// Where one of the times is not given, it is the other.
    fn new(symbol: SymbolId, ts_event: u64, ts_recv: u64, sequence: u32) -> Result<Self, String> {
        let (ts_event, ts_recv) = match (time(ts_event)?, time(ts_recv)?) {
            (Some(ts_event), Some(ts_recv)) => (ts_event, ts_recv),
            (Some(time), None) | (None, Some(time)) => (time, time),
            (None, None) => return Err("neither ts_event nor ts_recv is given".to_owned()),
        };
        Ok(Self { symbol, ts_event, ts_recv, sequence: sequence.into() })
    }

    const fn event(self, body: EventBody) -> MarketEvent {
        let Self { symbol, ts_event, ts_recv, sequence } = self;
        MarketEvent { symbol, ts_event, ts_recv, sequence, body }
    }
}

impl Session {
    pub(super) fn new(instruments: &[Instrument]) -> Self {
        let state = |instrument: &Instrument| {
            let decimals = usize::from(instrument.price_exponent.get().unsigned_abs());
            State {
                divisor: POWERS[DECIMALS_MAX.saturating_sub(decimals)],
                number: None,
                is_book_bad: false,
                top: [None; 2],
                depth: None,
            }
        };
        Self { states: instruments.iter().map(state).collect(), unmapped: BTreeMap::new() }
    }

    pub(super) fn unmapped(&self) -> impl Iterator<Item = (String, u64)> {
        self.unmapped.iter().map(|(what, count)| {
            let name = match what {
                Unmapped::Type(kind) => RType::try_from(*kind)
                    .map_or_else(|_| format!("type {kind:#04x}"), |known| format!("{known:?}")),
                Unmapped::Kind(kind) => (*kind).to_owned(),
            };
            (name, *count)
        })
    }

    /// Counts a record that is no event by its type.
    pub(super) fn skip_type(&mut self, kind: u8) {
        *self.unmapped.entry(Unmapped::Type(kind)).or_default() += 1;
    }

    fn skip(&mut self, kind: &'static str) {
        *self.unmapped.entry(Unmapped::Kind(kind)).or_default() += 1;
    }

    /// Appends the events of a record, as [`super::DbnReader`] lists them, and tells when it was received; `None` for a type
    /// that is only counted.
    pub(super) fn append(
        &mut self,
        record: RecordRef<'_>,
        symbol: SymbolId,
        instruments: &[Instrument],
        events: &mut Vec<MarketEvent>,
    ) -> Result<Option<Timestamp>, String> {
        let time = match record.header().rtype {
            rtype::MBO => self.mbo(get(record)?, symbol, events),
            rtype::MBP_0 => {
                let trade: &TradeMsg = get(record)?;
                let stamp = Stamp::new(symbol, trade.hd.ts_event, trade.ts_recv, trade.sequence)?;
                self.trade(stamp, (trade.price, trade.size), trade.side(), events)?;
                Ok(stamp.ts_recv)
            }
            rtype::MBP_1 => self.mbp_1(get(record)?, symbol, events),
            rtype::MBP_10 => self.mbp_10(get(record)?, symbol, events),
            rtype::CMBP_1 | rtype::TCBBO => {
                let mbp: &Cmbp1Msg = get(record)?;
                let [level] = &mbp.levels;
                let stamp = Stamp::new(symbol, mbp.hd.ts_event, mbp.ts_recv, 0)?;
                let (bid, ask) = ((level.bid_px, level.bid_sz), (level.ask_px, level.ask_sz));
                events.push(stamp.event(self.quote(symbol, bid, ask)?));
                if action(mbp.action())? == Action::Trade {
                    self.trade(stamp, (mbp.price, mbp.size), mbp.side(), events)?;
                }
                Ok(stamp.ts_recv)
            }
            rtype::BBO_1S | rtype::BBO_1M => {
                let bbo: &BboMsg = get(record)?;
                let [level] = &bbo.levels;
                let (bid, ask) = ((level.bid_px, level.bid_sz), (level.ask_px, level.ask_sz));
                self.sampled(symbol, bbo.hd.ts_event, bbo.ts_recv, bid, ask, events)
            }
            rtype::CBBO_1S | rtype::CBBO_1M => {
                let bbo: &CbboMsg = get(record)?;
                let [level] = &bbo.levels;
                let (bid, ask) = ((level.bid_px, level.bid_sz), (level.ask_px, level.ask_sz));
                self.sampled(symbol, bbo.hd.ts_event, bbo.ts_recv, bid, ask, events)
            }
            rtype::OHLCV_1S => self.bar(get(record)?, symbol, SECOND, events),
            rtype::OHLCV_1M => self.bar(get(record)?, symbol, 60 * SECOND, events),
            rtype::OHLCV_1H => self.bar(get(record)?, symbol, 3_600 * SECOND, events),
            rtype::OHLCV_1D => self.bar(get(record)?, symbol, 86_400 * SECOND, events),
            rtype::STATUS => self.status(get(record)?, symbol, events),
            rtype::INSTRUMENT_DEF => {
                let definition: &InstrumentDefMsg = get(record)?;
                let stamp = Stamp::new(symbol, definition.hd.ts_event, definition.ts_recv, 0)?;
                definition.raw_symbol().map_err(|error| format!("raw_symbol: {error}"))?;
                let tick =
                    Some(definition.min_price_increment).filter(|tick| *tick > 0 && *tick != UNDEF_PRICE);
                let tick_size = tick.map(|tick| self.price(symbol, tick)).transpose()?;
                let instrument = Instrument { tick_size, ..instruments[symbol.index()].clone() };
                events.push(stamp.event(EventBody::Definition(Box::new(instrument))));
                Ok(stamp.ts_recv)
            }
            kind => {
                self.skip_type(kind);
                return Ok(None);
            }
        };
        time.map(Some)
    }

    fn mbo(
        &mut self,
        mbo: &MboMsg,
        symbol: SymbolId,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, mbo.hd.ts_event, mbo.ts_recv, mbo.sequence)?;
        self.begin_book(stamp, mbo.hd.instrument_id, mbo.flags.is_maybe_bad_book(), events);
        let order = OrderId(mbo.order_id);
        let size = Size(mbo.size.into());
        match action(mbo.action())? {
            Action::Trade => self.trade(stamp, (mbo.price, mbo.size), mbo.side(), events)?,
            Action::Clear => {
                self.states[symbol.index()].top = [None; 2];
                events.push(stamp.event(EventBody::BookClear));
            }
            // The trade was told by `T`, and what it took from the order is told by the `C` or `M` that follows.
            Action::Fill | Action::None => {}
            _ if mbo.flags.is_tob() => self.top(stamp, mbo, events)?,
            _ if mbo.flags.is_mbp() => self.skip("mbo of a level"),
            Action::Cancel => {
                events.push(stamp.event(EventBody::OrderCancel { order, size: Some(size) }));
            }
            Action::Add | Action::Modify if mbo.price == UNDEF_PRICE => self.skip("order without a price"),
            Action::Modify => {
                let level = Level { price: self.price(symbol, mbo.price)?, size };
                events.push(stamp.event(EventBody::OrderModify { order, level }));
            }
            Action::Add => {
                let level = Level { price: self.price(symbol, mbo.price)?, size };
                match side(mbo.side())? {
                    Some(side) => events.push(stamp.event(EventBody::OrderAdd { order, side, level })),
                    None => self.skip("order without a side"),
                }
            }
        }
        Ok(stamp.ts_recv)
    }

    /// A publisher that has no orders tells its best bid or offer as one, which stands in the place of the last.
    fn top(&mut self, stamp: Stamp, mbo: &MboMsg, events: &mut Vec<MarketEvent>) -> Result<(), String> {
        let Some(side) = side(mbo.side())? else {
            self.skip("order without a side");
            return Ok(());
        };
        let level = match action(mbo.action())? {
            Action::Cancel => None,
            _ => self.level(stamp.symbol, (mbo.price, mbo.size))?,
        };
        let top = &mut self.states[stamp.symbol.index()].top;
        top[usize::from(side == Side::Ask)] = level;
        events.push(stamp.event(EventBody::Quote { bid: top[0], ask: top[1] }));
        Ok(())
    }

    fn mbp_1(
        &mut self,
        mbp: &Mbp1Msg,
        symbol: SymbolId,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, mbp.hd.ts_event, mbp.ts_recv, mbp.sequence)?;
        let is_trade = action(mbp.action())? == Action::Trade;
        let [level] = &mbp.levels;
        let quote = self.quote(symbol, (level.bid_px, level.bid_sz), (level.ask_px, level.ask_sz))?;
        // The number is that of the state after the event; a trade tells of the state that it met.
        let sequence = if mbp.flags.is_last() && !is_trade { stamp.sequence } else { 0 };
        events.push(Stamp { sequence, ..stamp }.event(quote));
        if is_trade {
            self.trade(stamp, (mbp.price, mbp.size), mbp.side(), events)?;
        }
        Ok(stamp.ts_recv)
    }

    fn mbp_10(
        &mut self,
        mbp: &Mbp10Msg,
        symbol: SymbolId,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, mbp.hd.ts_event, mbp.ts_recv, mbp.sequence)?;
        self.begin_book(stamp, mbp.hd.instrument_id, mbp.flags.is_maybe_bad_book(), events);
        let mut depth: Depth = [[None; DEPTH]; 2];
        for (index, level) in mbp.levels.iter().enumerate() {
            depth[0][index] = self.level(symbol, (level.bid_px, level.bid_sz))?;
            depth[1][index] = self.level(symbol, (level.ask_px, level.ask_sz))?;
        }
        match self.states[symbol.index()].depth.as_deref_mut() {
            Some(held) => {
                for (side, held, new) in [(Side::Bid, held[0], depth[0]), (Side::Ask, held[1], depth[1])] {
                    changes(&held, &new, |level| {
                        events.push(stamp.event(EventBody::LevelSet { side, level }));
                    });
                }
                *held = depth;
            }
            None => {
                let [bids, asks] = depth.map(|side| side.into_iter().flatten().collect());
                let snapshot = EventBody::BookSnapshot(Box::new(BookSnapshot { bids, asks }));
                events.push(stamp.event(snapshot));
                self.states[symbol.index()].depth = Some(Box::new(depth));
            }
        }
        if action(mbp.action())? == Action::Trade {
            self.trade(stamp, (mbp.price, mbp.size), mbp.side(), events)?;
        }
        Ok(stamp.ts_recv)
    }

    /// Before a record of a book: a name that another number bears now has another book, and a gap that the venue's
    /// feed had makes the book one that is not to be relied on.
    fn begin_book(&mut self, stamp: Stamp, number: u32, is_bad: bool, events: &mut Vec<MarketEvent>) {
        let state = &mut self.states[stamp.symbol.index()];
        if state.number != Some(number) {
            if state.number.is_some() {
                state.depth = None;
                state.top = [None; 2];
                events.push(stamp.event(EventBody::BookClear));
            }
            state.number = Some(number);
        }
        if is_bad && !state.is_book_bad {
            state.depth = None;
            events.push(stamp.event(EventBody::Gap { expected: 0, found: 0 }));
        }
        state.is_book_bad = is_bad;
    }

    fn trade(
        &mut self,
        stamp: Stamp,
        (price, size): (i64, u32),
        aggressor: dbn::Result<DbnSide>,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), String> {
        let aggressor = match side(aggressor)? {
            Some(Side::Bid) => Aggressor::Buy,
            Some(Side::Ask) => Aggressor::Sell,
            None => Aggressor::None,
        };
        if price == UNDEF_PRICE {
            self.skip("trade without a price");
            return Ok(());
        }
        let price = self.price(stamp.symbol, price)?;
        let trade = Trade { price, size: Size(size.into()), aggressor, id: None };
        events.push(stamp.event(EventBody::Trade(trade)));
        Ok(())
    }

    /// The quote at the end of an interval. The time of its last trade says nothing of it.
    fn sampled(
        &self,
        symbol: SymbolId,
        ts_event: u64,
        ts_recv: u64,
        bid: (i64, u32),
        ask: (i64, u32),
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, ts_event, ts_recv, 0)?;
        let stamp = Stamp { ts_event: stamp.ts_recv, ..stamp };
        events.push(stamp.event(self.quote(symbol, bid, ask)?));
        Ok(stamp.ts_recv)
    }

    /// A bar is known when its interval is over, which is when it is taken to have been received.
    fn bar(
        &self,
        bar: &OhlcvMsg,
        symbol: SymbolId,
        interval_nanos: i64,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, bar.hd.ts_event, UNDEF_TIMESTAMP, 0)?;
        let end = stamp.ts_event.0.checked_add(interval_nanos).ok_or("a bar ends past the year 2262")?;
        let stamp = Stamp { ts_recv: Timestamp(end), ..stamp };
        if [bar.open, bar.high, bar.low, bar.close].contains(&UNDEF_PRICE) {
            return Err("a bar without a price".to_owned());
        }
        let volume = i64::try_from(bar.volume).map_err(|_| format!("a volume of {}", bar.volume))?;
        events.push(stamp.event(EventBody::Bar(Bar {
            interval_nanos,
            open: self.price(symbol, bar.open)?,
            high: self.price(symbol, bar.high)?,
            low: self.price(symbol, bar.low)?,
            close: self.price(symbol, bar.close)?,
            volume: Size(volume),
        })));
        Ok(stamp.ts_recv)
    }

    fn status(
        &mut self,
        record: &StatusMsg,
        symbol: SymbolId,
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        let stamp = Stamp::new(symbol, record.hd.ts_event, record.ts_recv, 0)?;
        let status = match StatusAction::try_from(record.action) {
            Ok(StatusAction::Trading) => Some(TradingStatus::Trading),
            Ok(StatusAction::Halt | StatusAction::Pause | StatusAction::Suspend) => {
                Some(TradingStatus::Halted)
            }
            Ok(
                StatusAction::PreOpen
                | StatusAction::PreCross
                | StatusAction::Quoting
                | StatusAction::Cross
                | StatusAction::Rotation
                | StatusAction::PreClose,
            ) => Some(TradingStatus::Auction),
            Ok(StatusAction::Close | StatusAction::PostClose | StatusAction::NotAvailableForTrading) => {
                Some(TradingStatus::Closed)
            }
            // Says something else of the instrument; or something that is not known here.
            _ => (record.is_trading() == Some(true)).then_some(TradingStatus::Trading),
        };
        let Some(status) = status else {
            self.skip("status without a change");
            return Ok(stamp.ts_recv);
        };
        let reason = match StatusReason::try_from(record.reason) {
            Ok(StatusReason::None) => String::new(),
            Ok(reason) => format!("{reason:?}"),
            Err(_) => record.reason.to_string(),
        };
        events.push(stamp.event(EventBody::Status { status, reason }));
        Ok(stamp.ts_recv)
    }

    fn quote(&self, symbol: SymbolId, bid: (i64, u32), ask: (i64, u32)) -> Result<EventBody, String> {
        Ok(EventBody::Quote { bid: self.level(symbol, bid)?, ask: self.level(symbol, ask)? })
    }

    /// A level; `None` where there is none.
    fn level(&self, symbol: SymbolId, (price, size): (i64, u32)) -> Result<Option<Level>, String> {
        if price == UNDEF_PRICE || size == 0 {
            return Ok(None);
        }
        Ok(Some(Level { price: self.price(symbol, price)?, size: Size(size.into()) }))
    }

    fn price(&self, symbol: SymbolId, price: i64) -> Result<Price, String> {
        let divisor = self.states[symbol.index()].divisor;
        if price % divisor == 0 {
            Ok(Price(price / divisor))
        } else {
            Err(format!("price {price} of 10⁻⁹ was not there when the file was opened"))
        }
    }
}

/// What makes one side of a book another: first what is gone, then what is new or of another size.
fn changes(held: &[Option<Level>; DEPTH], new: &[Option<Level>; DEPTH], mut each: impl FnMut(Level)) {
    if held == new {
        return;
    }
    for level in held.iter().flatten() {
        if !new.iter().flatten().any(|other| other.price == level.price) {
            each(Level { price: level.price, size: Size::ZERO });
        }
    }
    for level in new.iter().flatten() {
        if !held.iter().flatten().any(|other| other == level) {
            each(*level);
        }
    }
}

fn get<'a, T: dbn::HasRType<Header = dbn::RecordHeader>>(record: RecordRef<'a>) -> Result<&'a T, String> {
    record.try_get().map_err(|error| error.to_string())
}

fn action(action: dbn::Result<Action>) -> Result<Action, String> {
    action.map_err(|error| error.to_string())
}

fn side(side: dbn::Result<DbnSide>) -> Result<Option<Side>, String> {
    match side {
        Ok(DbnSide::Bid) => Ok(Some(Side::Bid)),
        Ok(DbnSide::Ask) => Ok(Some(Side::Ask)),
        Ok(DbnSide::None) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// `None`: not given.
pub(super) fn time(nanos: u64) -> Result<Option<Timestamp>, String> {
    if nanos == UNDEF_TIMESTAMP {
        return Ok(None);
    }
    i64::try_from(nanos).map(|nanos| Some(Timestamp(nanos))).map_err(|_| format!("time {nanos} is past 2262"))
}
