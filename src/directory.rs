//! The instruments of this process, by number and by name.

use std::sync::Arc;

use dashmap::DashMap;
use feeds::{Instrument, SymbolId};

/// The instruments of this process. Numbers index flat arrays; names are looked up when a client names them.
#[derive(Clone, Debug)]
pub struct Directory {
    instruments: Arc<[Instrument]>,
    by_name: Arc<DashMap<String, SymbolId>>,
}

impl Directory {
    /// The directory of a feed's instruments.
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        let by_name = DashMap::with_capacity(instruments.len());
        for (index, instrument) in instruments.iter().enumerate() {
            by_name.insert(instrument.symbol.as_str().to_owned(), SymbolId::from_index(index));
        }
        Self { instruments: instruments.into(), by_name: Arc::new(by_name) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instruments.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// The instrument of a number that this directory gave.
    ///
    /// # Panics
    /// On a number of another directory.
    #[must_use]
    pub fn get(&self, symbol: SymbolId) -> &Instrument {
        &self.instruments[symbol.index()]
    }

    /// The number of the instrument of that name, in upper case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<SymbolId> {
        self.by_name.get(name).map(|found| *found)
    }

    /// All instruments with their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SymbolId, &Instrument)> {
        self.instruments
            .iter()
            .enumerate()
            .map(|(index, instrument)| (SymbolId::from_index(index), instrument))
    }
}
