//! The instruments of this process, by number and by name.
//!
//! Where data is also served late, each instrument has a *twin*, which is the same instrument as it was some minutes
//! ago: with a number of its own, and so with topics, states and history of its own, but under the same name. Whoever
//! looks a name up says which of the two is meant; nothing behind that knows twins from originals.

use std::sync::Arc;

use dashmap::DashMap;
use feeds::{Instrument, SymbolId};

/// The instruments of this process. Numbers index flat arrays; names are looked up when a client names them.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The originals, and behind them their twins, if there are any, in the same order.
    instruments: Arc<[Instrument]>,
    originals: usize,
    by_name: Arc<DashMap<String, SymbolId>>,
}

/// How old the data is that somebody may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// As new as it comes: the originals.
    RealTime,
    /// Late by the delay of the server: the twins.
    Delayed,
}

impl Class {
    /// Both.
    pub const ALL: [Self; 2] = [Self::RealTime, Self::Delayed];

    /// In a word, as metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RealTime => "real_time",
            Self::Delayed => "delayed",
        }
    }
}

impl Directory {
    /// The directory of a feed's instruments, without twins.
    #[must_use]
    pub fn new(instruments: &[Instrument]) -> Self {
        let by_name = DashMap::with_capacity(instruments.len());
        for (index, instrument) in instruments.iter().enumerate() {
            by_name.insert(instrument.symbol.as_str().to_owned(), SymbolId::from_index(index));
        }
        Self { instruments: instruments.into(), originals: instruments.len(), by_name: Arc::new(by_name) }
    }

    /// The directory of a feed's instruments, each with its twin.
    #[must_use]
    pub fn with_twins(instruments: &[Instrument]) -> Self {
        Self { instruments: [instruments, instruments].concat().into(), ..Self::new(instruments) }
    }

    /// How many there are, twins included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.instruments.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instruments.is_empty()
    }

    /// Whether the instruments have twins.
    #[must_use]
    pub fn has_twins(&self) -> bool {
        self.instruments.len() > self.originals
    }

    /// The instrument of a number that this directory gave.
    ///
    /// # Panics
    /// On a number of another directory.
    #[must_use]
    pub fn get(&self, symbol: SymbolId) -> &Instrument {
        &self.instruments[symbol.index()]
    }

    /// The number of the instrument of that name, in upper case, for those of that class.
    #[must_use]
    pub fn find(&self, name: &str, class: Class) -> Option<SymbolId> {
        let original = self.by_name.get(name).map(|found| *found)?;
        match class {
            Class::RealTime => Some(original),
            Class::Delayed => self.has_twins().then(|| self.twin(original)),
        }
    }

    /// The number of an original's twin.
    #[must_use]
    pub fn twin(&self, original: SymbolId) -> SymbolId {
        SymbolId::from_index(self.originals + original.index())
    }

    /// The number of a twin's original; an original's own.
    #[must_use]
    pub fn original(&self, symbol: SymbolId) -> SymbolId {
        match self.class(symbol) {
            Class::RealTime => symbol,
            Class::Delayed => SymbolId::from_index(symbol.index() - self.originals),
        }
    }

    /// Whether a number is an original's or a twin's.
    #[must_use]
    pub const fn class(&self, symbol: SymbolId) -> Class {
        if symbol.index() < self.originals { Class::RealTime } else { Class::Delayed }
    }

    /// The instruments for those of a class, with their numbers.
    pub fn of(&self, class: Class) -> impl ExactSizeIterator<Item = (SymbolId, &Instrument)> {
        let numbers = match class {
            Class::RealTime => 0..self.originals,
            Class::Delayed => self.originals..self.instruments.len(),
        };
        let first = numbers.start;
        let numbered = move |(index, instrument)| (SymbolId::from_index(first + index), instrument);
        self.instruments[numbers].iter().enumerate().map(numbered)
    }

    /// All instruments with their numbers, twins included.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SymbolId, &Instrument)> {
        self.instruments
            .iter()
            .enumerate()
            .map(|(index, instrument)| (SymbolId::from_index(index), instrument))
    }
}

#[cfg(test)]
mod tests {
    use feeds::{Exponent, Symbol};

    use super::*;

    fn instruments() -> Vec<Instrument> {
        let instrument = |name: &str| Instrument {
            symbol: Symbol::new(name).expect("a symbol"),
            venue: "TEST",
            price_exponent: Exponent::new(-2).expect("an exponent"),
            size_exponent: Exponent::new(0).expect("an exponent"),
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        };
        vec![instrument("A"), instrument("B")]
    }

    #[test]
    fn a_twin_has_the_name_and_another_number() {
        let directory = Directory::with_twins(&instruments());
        let names = |class| {
            let named =
                directory.of(class).map(|(symbol, instrument)| (symbol.0, instrument.symbol.to_string()));
            named.collect::<Vec<_>>()
        };
        assert_eq!(names(Class::RealTime), [(0, "A".to_owned()), (1, "B".to_owned())]);
        assert_eq!(names(Class::Delayed), [(2, "A".to_owned()), (3, "B".to_owned())]);
        for class in [Class::RealTime, Class::Delayed] {
            for (symbol, instrument) in directory.of(class) {
                assert_eq!(directory.find(instrument.symbol.as_str(), class), Some(symbol));
                assert_eq!((directory.class(symbol), directory.get(symbol)), (class, instrument));
            }
        }
        assert_eq!(directory.find("C", Class::Delayed), None);
    }

    #[test]
    fn without_twins_nothing_is_found_late() {
        let directory = Directory::new(&instruments());
        assert_eq!(directory.find("A", Class::RealTime), Some(SymbolId(0)));
        assert_eq!(directory.find("A", Class::Delayed), None);
        assert_eq!(directory.of(Class::Delayed).len(), 0);
    }
}
