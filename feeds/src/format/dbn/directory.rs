//! Which instrument a record is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dbn::{InstrumentDefMsg, Publisher, RecordRef, SymbolMappingMsg, UNDEF_PRICE};
use rustc_hash::FxHashMap;

use super::DATABENTO;
use super::names::{Found, Names};
use super::prices::{DECIMALS_MAX, POWERS, decimals_of, prices};
use crate::limits::INSTRUMENTS_MAX;
use crate::{Exponent, Instrument, Price, Symbol, SymbolId};

/// Instruments, in the order of their first appearance: each is a publisher's (one venue of one data set) under one
/// name, whatever its numbers, or under one number that no mapping names.
pub(super) struct Directory {
    names: Names,
    names_at_start: Names,
    /// Where a publisher's number was found last.
    found: FxHashMap<(u16, u32), Place>,
    ids: BTreeMap<(u16, Identity), SymbolId>,
    entries: Vec<Entry>,
    definitions: BTreeMap<(Option<dbn::Dataset>, u32), Definition>,
    /// By [`SymbolId`], once all records have been noted.
    instruments: Vec<Instrument>,
}

#[derive(Clone, Copy)]
struct Place {
    symbol: SymbolId,
    from: u64,
    until: u64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Named(Arc<str>),
    Numbered(u32),
}

struct Entry {
    publisher: u16,
    /// The first of its numbers.
    number: u32,
    name: Option<Arc<str>>,
    /// Digits after the point that its prices need.
    decimals: usize,
}

/// What definitions say that prices do not.
struct Definition {
    symbol: String,
    tick: Option<i64>,
    currency: Option<String>,
}

impl Directory {
    pub(super) fn new(names: Names) -> Self {
        Self {
            names_at_start: names.clone(),
            names,
            found: FxHashMap::default(),
            ids: BTreeMap::new(),
            entries: Vec::new(),
            definitions: BTreeMap::new(),
            instruments: Vec::new(),
        }
    }

    /// Learns what a record tells of its instrument.
    pub(super) fn note(&mut self, record: RecordRef<'_>, time: u64) -> Result<(), String> {
        let header = record.header();
        let (publisher, number) = (header.publisher_id, header.instrument_id);
        let symbol = match self.find(publisher, number, time) {
            Some(symbol) => symbol,
            None => self.add(publisher, number, time)?,
        };
        if let Ok(definition) = record.try_get::<InstrumentDefMsg>() {
            self.note_definition(definition);
        }
        let entry = &mut self.entries[symbol.index()];
        prices(record, |price| entry.decimals = decimals_of(price, entry.decimals));
        Ok(())
    }

    /// Makes the instruments out of what was noted, and begins again.
    pub(super) fn complete(&mut self) -> Result<(), String> {
        let mut taken = BTreeSet::new();
        for entry in &self.entries {
            let publisher = Publisher::try_from(entry.publisher).ok();
            let venue = publisher.map_or(DATABENTO, |publisher| publisher.venue().as_str());
            let definition = self.definitions.get(&(publisher.map(|known| known.dataset()), entry.number));
            let symbol = [entry.name.as_deref(), definition.map(|definition| definition.symbol.as_str())]
                .into_iter()
                .flatten()
                .filter_map(|name| symbol(name, publisher.is_none().then_some(entry.publisher)))
                .find(|symbol| !taken.contains(&(venue, symbol.clone())));
            let symbol = match symbol {
                Some(symbol) => symbol,
                None => Symbol::new(&format!("INSTRUMENT-{}-{}", entry.publisher, entry.number))
                    .map_err(|error| error.to_string())?,
            };
            if !taken.insert((venue, symbol.clone())) {
                return Err(format!("two instruments are called {symbol}"));
            }
            let tick = definition.and_then(|definition| definition.tick);
            let decimals = tick.map_or(entry.decimals, |tick| decimals_of(tick, entry.decimals));
            let exponent = i8::try_from(decimals).map_err(|error| error.to_string())?;
            self.instruments.push(Instrument {
                symbol,
                venue,
                price_exponent: Exponent::new(-exponent).map_err(|error| error.to_string())?,
                size_exponent: Exponent::ONE,
                tick_size: tick.map(|tick| Price(tick / POWERS[DECIMALS_MAX - decimals])),
                currency: definition.and_then(|definition| definition.currency.clone()),
                book_levels_max: None,
                begins_stale: false,
            });
        }
        self.names = self.names_at_start.clone();
        self.found.clear();
        Ok(())
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// Makes the scales of instruments as fine as these, to be called before any event.
    pub(super) fn rescale(&mut self, finest: &BTreeMap<(&'static str, Symbol), Exponent>) {
        for instrument in &mut self.instruments {
            let Some(finer) = finest.get(&(instrument.venue, instrument.symbol.clone())) else { continue };
            let digits = usize::from(instrument.price_exponent.get().abs_diff(finer.get()));
            // A tick that was read from 64 bits of 10⁻⁹ fits into them at any of the scales.
            instrument.tick_size = instrument.tick_size.map(|tick| Price(tick.0 * POWERS[digits]));
            instrument.price_exponent = *finer;
        }
    }

    /// The instrument of a publisher's number at a time.
    pub(super) fn find(&mut self, publisher: u16, number: u32, time: u64) -> Option<SymbolId> {
        if let Some(place) = self.found.get(&(publisher, number))
            && (place.from..place.until).contains(&time)
        {
            return Some(place.symbol);
        }
        let Found { name, from, until } = self.names.find(number, time);
        let identity = name.map_or(Identity::Numbered(number), Identity::Named);
        let symbol = *self.ids.get(&(publisher, identity))?;
        self.found.insert((publisher, number), Place { symbol, from, until });
        Some(symbol)
    }

    /// Learns what a mapping among the records says.
    pub(super) fn note_mapping(&mut self, mapping: &SymbolMappingMsg) -> Result<(), String> {
        self.found.clear();
        self.names.note(mapping)
    }

    fn add(&mut self, publisher: u16, number: u32, time: u64) -> Result<SymbolId, String> {
        if self.entries.len() == INSTRUMENTS_MAX {
            return Err(format!("more than {INSTRUMENTS_MAX} instruments"));
        }
        let symbol = SymbolId::from_index(self.entries.len());
        let Found { name, from, until } = self.names.find(number, time);
        let identity = name.clone().map_or(Identity::Numbered(number), Identity::Named);
        self.ids.insert((publisher, identity), symbol);
        self.found.insert((publisher, number), Place { symbol, from, until });
        self.entries.push(Entry { publisher, number, name, decimals: 0 });
        Ok(symbol)
    }

    fn note_definition(&mut self, definition: &InstrumentDefMsg) {
        let header = &definition.hd;
        let dataset = Publisher::try_from(header.publisher_id).ok().map(|publisher| publisher.dataset());
        // What cannot be read is met again, as damage, when the record is played.
        let Ok(symbol) = definition.raw_symbol() else { return };
        let currency = definition.currency().ok().filter(|currency| !currency.is_empty()).map(str::to_owned);
        self.definitions.entry((dataset, header.instrument_id)).or_insert_with(|| Definition {
            symbol: symbol.to_owned(),
            tick: Some(definition.min_price_increment).filter(|tick| *tick > 0 && *tick != UNDEF_PRICE),
            currency,
        });
    }
}

/// A name as a symbol, if it can be one: the spaces of `ESM4 C5200` become `_`.
fn symbol(name: &str, unknown_publisher: Option<u16>) -> Option<Symbol> {
    let name = name.trim().replace(' ', "_");
    match unknown_publisher {
        // 0 is none: so it is in our own exports.
        Some(publisher @ 1..) => Symbol::new(&format!("PUBLISHER-{publisher}:{name}")).ok(),
        Some(0) | None => Symbol::new(&name).ok(),
    }
}
