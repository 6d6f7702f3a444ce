//! The market, and where data is also served late, the market as it was.

use feeds::SymbolId;

use crate::directory::{Class, Directory};
use crate::market::Market;

pub(super) struct Markets {
    real_time: Market,
    /// Of the twins.
    delayed: Option<(SymbolId, Market)>,
}

impl Markets {
    pub(super) fn new(directory: &Directory) -> Self {
        let instruments: Vec<_> =
            directory.of(Class::RealTime).map(|(_, instrument)| instrument.clone()).collect();
        let delayed = directory.has_twins().then(|| {
            let first = directory.twin(SymbolId(0));
            (first, Market::new(&instruments).numbered_from(first))
        });
        Self { real_time: Market::new(&instruments), delayed }
    }

    /// The market that has the instrument of that number.
    pub(super) fn of(&self, symbol: SymbolId) -> &Market {
        match &self.delayed {
            Some((first, delayed)) if symbol >= *first => delayed,
            _ => &self.real_time,
        }
    }

    pub(super) const fn real_time(&self) -> &Market {
        &self.real_time
    }

    /// The market of a class.
    ///
    /// # Panics
    /// When nothing is served late, and it is asked for.
    pub(super) fn class(&mut self, class: Class) -> &mut Market {
        match class {
            Class::RealTime => &mut self.real_time,
            Class::Delayed => &mut self.delayed.as_mut().expect("there are twins").1,
        }
    }

    /// Puts the state of the originals at some time in place of the twins'.
    pub(super) fn set_delayed(&mut self, market: Market) {
        if let Some((first, delayed)) = &mut self.delayed {
            *delayed = market.numbered_from(*first);
        }
    }
}
