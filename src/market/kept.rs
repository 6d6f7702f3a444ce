//! What is kept of a market, for a checkpoint: all that shapes what comes after, and nothing of how it is held.

use std::borrow::Cow;

use feeds::SymbolId;
use serde::{Deserialize, Serialize};

use super::book::{Orders, RestingOrder};
use super::instrument::InstrumentState;
use super::{Market, NEVER};

/// A market between two messages. What was wrong with its events is not in it.
#[derive(Serialize, Deserialize)]
pub struct KeptMarket<'a> {
    instruments: Cow<'a, [InstrumentState]>,
    orders: Vec<RestingOrder>,
    traded: Vec<SymbolId>,
}

/// Why a market cannot be what was kept of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecallError {
    /// An instrument is not there, or its numbers have another scale.
    #[error("not the instruments that there are")]
    Instruments,
    /// An order that there cannot be.
    #[error("an order that there cannot be")]
    Order,
}

impl Market {
    /// What is to be kept of it, between two messages.
    #[must_use]
    pub fn keep(&self) -> KeptMarket<'_> {
        KeptMarket {
            instruments: Cow::Borrowed(&self.instruments),
            orders: self.orders.resting(),
            traded: self.traded.iter().map(|&index| SymbolId::from_index(index)).collect(),
        }
    }

    /// A market that is what was kept, with the faults of this one; `ids`: by the number of an instrument there, its number
    /// here; `None`: not wanted.
    ///
    /// # Errors
    /// [`RecallError`] when there cannot be one.
    pub fn recall(&self, kept: KeptMarket<'_>, ids: &[Option<SymbolId>]) -> Result<Self, RecallError> {
        let here = |there: SymbolId| ids.get(there.index()).copied().ok_or(RecallError::Instruments);
        let mut found: Vec<Option<InstrumentState>> = self.instruments.iter().map(|_| None).collect();
        for (there, mut instrument) in (0..).map(SymbolId).zip(kept.instruments.into_owned()) {
            let Some(id) = here(there)? else { continue };
            let own = self.instruments.get(id.index()).ok_or(RecallError::Instruments)?;
            instrument.begins_stale = own.begins_stale;
            if own.scale() != instrument.scale() || found[id.index()].replace(instrument).is_some() {
                return Err(RecallError::Instruments);
            }
        }
        let instruments = found.into_iter().collect::<Option<Vec<_>>>().ok_or(RecallError::Instruments)?;
        let mut resting = Vec::with_capacity(kept.orders.len());
        for (there, id, side, level) in kept.orders {
            resting.extend(here(there)?.map(|symbol| (symbol, id, side, level)));
        }
        // From the lowest number on, as venues count: the newest have the best places.
        resting.sort_unstable_by_key(|(_, id, ..)| *id);
        let orders = Orders::of(instruments.len(), resting).ok_or(RecallError::Order)?;
        let traded = kept.traded.iter().map(|&there| here(there)).collect::<Result<Vec<_>, _>>()?;
        let traded: Vec<usize> = traded.into_iter().flatten().map(SymbolId::index).collect();
        Ok(Self {
            first: self.first,
            next_due: traded.iter().map(|&index| instruments[index].bar_due()).min().unwrap_or(NEVER),
            instruments,
            orders,
            faults: self.faults.clone(),
            message: Vec::new(),
            traded,
        })
    }
}
