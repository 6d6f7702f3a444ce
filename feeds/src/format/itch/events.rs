//! What a message means for its instrument.

use super::message::{Body, HaltAction, Message, TradingState};
use crate::{
    Aggressor, EventBody, Instrument, Level, MarketEvent, OrderId, Price, Side, Size, SymbolId, Timestamp,
    Trade, TradingStatus,
};

const END_OF_MARKET_HOURS: u8 = b'M';
/// The market centre of an operational halt that is NASDAQ itself, not BX (`B`) or PSX (`X`).
const MARKET_NASDAQ: u8 = b'Q';

/// The running state of a day, as far as a message's meaning depends on earlier ones.
pub(super) struct Session {
    midnight: Timestamp,
    /// By [`SymbolId`].
    states: Vec<State>,
}

/// A stock trades when neither of the two stops it: an operational halt that ends does not lift a regulatory one.
#[derive(Clone, Copy)]
struct State {
    regulatory: TradingStatus,
    is_halted_operationally: bool,
}

impl State {
    const fn status(self) -> TradingStatus {
        match self.regulatory {
            TradingStatus::Trading | TradingStatus::Auction if self.is_halted_operationally => {
                TradingStatus::Halted
            }
            status => status,
        }
    }
}

impl Session {
    pub(super) fn new(midnight: Timestamp, instruments: usize) -> Self {
        let state = State { regulatory: TradingStatus::Trading, is_halted_operationally: false };
        Self { midnight, states: vec![state; instruments] }
    }

    /// Appends the events of a message, as [`super::ItchReader`] lists them, and tells its time.
    pub(super) fn append(
        &mut self,
        message: &Message,
        symbol: Option<SymbolId>,
        instruments: &[Instrument],
        events: &mut Vec<MarketEvent>,
    ) -> Result<Timestamp, String> {
        // A day of the years that a file's name may have is centuries from the end of 64 bits.
        let time = Timestamp(self.midnight.0.saturating_add(message.nanos_since_midnight));
        if let Some(symbol) = symbol {
            self.append_of(message, symbol, time, instruments, events)?;
        } else if matches!(message.body, Body::SystemEvent(system) if system.event == END_OF_MARKET_HOURS) {
            for (index, state) in self.states.iter_mut().enumerate() {
                state.regulatory = TradingStatus::Closed;
                let body = status(state.status(), String::new());
                push(events, SymbolId::from_index(index), time, body);
            }
        }
        Ok(time)
    }

    /// Each kind of message writes its event straight to its place.
    fn append_of(
        &mut self,
        message: &Message,
        symbol: SymbolId,
        time: Timestamp,
        instruments: &[Instrument],
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), String> {
        let mut push = |body| push(events, symbol, time, body);
        match message.body {
            Body::AddOrder(add) => push(order_add(add.order, add.side, add.price, add.size)),
            Body::AddOrderAttributed(add) => push(order_add(add.order, add.side, add.price, add.size)),
            Body::OrderExecuted(executed) => push(EventBody::OrderExecute {
                order: executed.order,
                size: executed.size,
                price: None,
                trade_id: Some(executed.match_number),
                printable: true,
            }),
            Body::OrderExecutedWithPrice(executed) => push(EventBody::OrderExecute {
                order: executed.order,
                size: executed.size,
                price: Some(executed.price),
                trade_id: Some(executed.match_number),
                printable: executed.printable,
            }),
            Body::OrderCancel(cancel) => {
                push(EventBody::OrderCancel { order: cancel.order, size: Some(cancel.size) });
            }
            Body::OrderDelete(delete) => push(EventBody::OrderCancel { order: delete.order, size: None }),
            Body::OrderReplace(replace) => push(EventBody::OrderReplace {
                order: replace.order,
                new_order: replace.new_order,
                level: Level { price: replace.price, size: replace.size },
            }),
            Body::Trade(trade) => push(print(trade.price, trade.size, trade.match_number)),
            Body::CrossTrade(cross) if cross.shares == 0 => {}
            Body::CrossTrade(cross) => {
                let size =
                    i64::try_from(cross.shares).map_err(|_| format!("{} cross shares", cross.shares))?;
                push(print(cross.price, Size(size), cross.match_number));
            }
            Body::StockDirectory(_) => {
                push(EventBody::Definition(Box::new(instruments[symbol.index()].clone())));
            }
            Body::StockTradingAction(action) => {
                let state = &mut self.states[symbol.index()];
                state.regulatory = match action.state {
                    TradingState::Halted | TradingState::Paused => TradingStatus::Halted,
                    TradingState::QuotationOnly => TradingStatus::Auction,
                    TradingState::Trading => TradingStatus::Trading,
                };
                let reason = String::from_utf8_lossy(action.reason.trim_ascii()).into_owned();
                push(status(state.status(), reason));
            }
            Body::OperationalHalt(halt) if halt.market == MARKET_NASDAQ => {
                let state = &mut self.states[symbol.index()];
                state.is_halted_operationally = halt.action == HaltAction::Halted;
                push(status(state.status(), String::new()));
            }
            Body::SystemEvent(_)
            | Body::RegSho(_)
            | Body::MarketParticipant(_)
            | Body::MwcbDeclineLevel(_)
            | Body::MwcbStatus(_)
            | Body::IpoQuotingPeriod(_)
            | Body::LuldAuctionCollar(_)
            | Body::OperationalHalt(_)
            | Body::BrokenTrade(_)
            | Body::NetOrderImbalance(_)
            | Body::RetailInterest(_)
            | Body::DirectListing(_) => {}
        }
        Ok(())
    }
}

#[inline(always)]
fn push(events: &mut Vec<MarketEvent>, symbol: SymbolId, time: Timestamp, body: EventBody) {
    events.push(MarketEvent { symbol, ts_event: time, ts_recv: time, sequence: 0, body });
}

const fn order_add(order: OrderId, side: Side, price: Price, size: Size) -> EventBody {
    EventBody::OrderAdd { order, side, level: Level { price, size } }
}

const fn print(price: Price, size: Size, match_number: u64) -> EventBody {
    EventBody::Trade(Trade { price, size, aggressor: Aggressor::None, id: Some(match_number) })
}

const fn status(status: TradingStatus, reason: String) -> EventBody {
    EventBody::Status { status, reason }
}
