//! What a message means for its instrument.

use super::message::{Body, Message};
use crate::{Aggressor, EventBody, Instrument, MarketEvent, Side, SymbolId, Timestamp, Trade, TradingStatus};

const END_OF_MARKET_HOURS: u8 = b'M';

/// By [`SymbolId`].
pub(super) struct States(Vec<State>);

/// An instrument trades when neither of the two stops it: the end of one halt does not lift the other.
#[derive(Clone, Copy)]
struct State {
    venue: TradingStatus,
    is_halted_operationally: bool,
}

impl State {
    const fn status(self) -> TradingStatus {
        match self.venue {
            TradingStatus::Trading | TradingStatus::Auction if self.is_halted_operationally => {
                TradingStatus::Halted
            }
            status => status,
        }
    }
}

impl States {
    pub(super) fn new(instruments: usize) -> Self {
        Self(vec![State { venue: TradingStatus::Trading, is_halted_operationally: false }; instruments])
    }

    /// Appends the events of a message, as [`super::IexReader`] lists them.
    pub(super) fn append(
        &mut self,
        message: &Message,
        id: Option<SymbolId>,
        instruments: &[Instrument],
        events: &mut Vec<MarketEvent>,
    ) {
        let Some(time) = message.time else { return };
        if let Some(symbol) = id {
            events.extend(self.body(message, symbol, instruments).map(|body| event(symbol, time, body)));
        } else if message.body == Body::SystemEvent(END_OF_MARKET_HOURS) {
            for (index, state) in self.0.iter_mut().enumerate() {
                state.venue = TradingStatus::Closed;
                let body = EventBody::Status { status: state.status(), reason: String::new() };
                events.push(event(SymbolId::from_index(index), time, body));
            }
        }
    }

    fn body(&mut self, message: &Message, symbol: SymbolId, instruments: &[Instrument]) -> Option<EventBody> {
        let state = &mut self.0[symbol.index()];
        Some(match message.body {
            Body::SecurityDirectory => EventBody::Definition(Box::new(instruments[symbol.index()].clone())),
            Body::TradingStatus { status, reason } => {
                state.venue = match status {
                    b'T' => TradingStatus::Trading,
                    b'O' | b'P' => TradingStatus::Auction,
                    _ => TradingStatus::Halted,
                };
                let reason = String::from_utf8_lossy(reason.trim_ascii()).into_owned();
                EventBody::Status { status: state.status(), reason }
            }
            Body::OperationalHalt { is_halted } => {
                state.is_halted_operationally = is_halted;
                EventBody::Status { status: state.status(), reason: String::new() }
            }
            Body::Quote { bid, ask } => EventBody::Quote { bid, ask },
            Body::Level { is_bid, level, .. } => {
                EventBody::LevelSet { side: if is_bid { Side::Bid } else { Side::Ask }, level }
            }
            Body::Trade { level, id } => EventBody::Trade(Trade {
                price: level.price,
                size: level.size,
                aggressor: Aggressor::None,
                id: Some(id),
            }),
            Body::SystemEvent(_) | Body::Other => return None,
        })
    }
}

const fn event(symbol: SymbolId, time: Timestamp, body: EventBody) -> MarketEvent {
    MarketEvent { symbol, ts_event: time, ts_recv: time, sequence: 0, body }
}
