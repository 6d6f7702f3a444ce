//! The instruments of a file, and the reading of their numbers.

use std::collections::BTreeMap;
use std::path::Path;

use super::number::plain;
use crate::limits::{INSTRUMENTS_MAX, VENUES_MAX};
use crate::{
    Exponent, FeedError, Instrument, NumberError, Price, Size, Symbol, SymbolId, Timestamp, kept_venue,
};

/// The venue of files that tell none.
pub(super) const VENUE: &str = "CSV";

/// By venue and symbol, the exponents of prices and of sizes.
pub(super) type Finest = BTreeMap<(&'static str, Symbol), (Exponent, Exponent)>;

/// Learns the instruments while it surveys, and reads their numbers afterwards.
pub(super) struct Instruments {
    /// By exchange and symbol, as the file spells them.
    ids: BTreeMap<(String, String), SymbolId>,
    by_name: BTreeMap<(&'static str, Symbol), SymbolId>,
    list: Vec<Instrument>,
    /// What the numbers seen ask for, by [`SymbolId`]; `None`: the survey is over.
    survey: Option<Vec<Seen>>,
    /// The instrument of the row before: most files have runs of one.
    latest: Option<((String, String), SymbolId)>,
    /// What a file without symbols is called.
    stem: String,
}

#[derive(Clone, Copy)]
struct Seen {
    price: Exponent,
    size: Exponent,
    latest: Timestamp,
    shortest_step: Option<i64>,
}

impl Instruments {
    pub(super) fn survey(path: &Path) -> Result<Self, FeedError> {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        Ok(Self {
            ids: BTreeMap::new(),
            by_name: BTreeMap::new(),
            list: Vec::new(),
            survey: Some(Vec::new()),
            latest: None,
            stem: name.split('.').next().unwrap_or_default().to_owned(),
        })
    }

    /// Ends the survey.
    pub(super) fn finish(mut self) -> Result<Self, String> {
        for (instrument, seen) in self.list.iter_mut().zip(self.survey.take().unwrap_or_default()) {
            instrument.price_exponent = seen.price;
            instrument.size_exponent = seen.size;
        }
        Ok(self)
    }

    /// Reads numbers at the scale that `finest` has for an instrument, which must not be coarser.
    pub(super) fn rescale(&mut self, finest: &Finest) {
        for instrument in &mut self.list {
            if let Some((price, size)) = finest.get(&(instrument.venue, instrument.symbol.clone())) {
                (instrument.price_exponent, instrument.size_exponent) = (*price, *size);
            }
        }
    }

    pub(super) fn list(&self) -> &[Instrument] {
        &self.list
    }

    /// The instrument of an exchange and a symbol; an empty one: the file tells none.
    pub(super) fn id(&mut self, exchange: &str, symbol: &str) -> Result<SymbolId, String> {
        if let Some(((known_exchange, known_symbol), id)) = &self.latest
            && (known_exchange.as_str(), known_symbol.as_str()) == (exchange, symbol)
        {
            return Ok(*id);
        }
        let key = (exchange.to_owned(), symbol.to_owned());
        let id = match self.ids.get(&key) {
            Some(id) => *id,
            None => self.add(&key)?,
        };
        self.latest = Some((key, id));
        Ok(id)
    }

    pub(super) fn price(&mut self, id: SymbolId, field: &str, text: &str) -> Result<Price, String> {
        let text = plain(text);
        let read = match &mut self.survey {
            None => Price::parse(&text, self.list[id.index()].price_exponent),
            Some(seen) => see(&mut seen[id.index()].price, &text).map(|()| Price::ZERO),
        };
        read.map_err(|error| format!("{}: {field}: {error}", self.list[id.index()].symbol))
    }

    pub(super) fn size(&mut self, id: SymbolId, field: &str, text: &str) -> Result<Size, String> {
        let text = plain(text);
        let read = match &mut self.survey {
            _ if text.starts_with('-') => Err(NumberError::Malformed(text.clone().into_owned())),
            None => Size::parse(&text, self.list[id.index()].size_exponent),
            Some(seen) => see(&mut seen[id.index()].size, &text).map(|()| Size::ZERO),
        };
        read.map_err(|error| format!("{}: {field}: {error}", self.list[id.index()].symbol))
    }

    /// The size of 1 that stands for a size nobody tells.
    pub(super) fn unit_size(&self, id: SymbolId) -> Result<Size, String> {
        Size::parse("1", self.list[id.index()].size_exponent).map_err(|error| error.to_string())
    }

    /// Learns the time between rows.
    pub(super) fn see_time(&mut self, id: SymbolId, time: Timestamp) {
        let Some(seen) = self.survey.as_mut().and_then(|survey| survey.get_mut(id.index())) else { return };
        if seen.latest != Timestamp(i64::MIN) {
            let step = time.0.saturating_sub(seen.latest.0);
            seen.shortest_step = [seen.shortest_step, (step > 0).then_some(step)].into_iter().flatten().min();
        }
        seen.latest = time;
    }

    pub(super) fn shortest_step(&self) -> Option<i64> {
        self.survey.iter().flatten().filter_map(|seen| seen.shortest_step).min()
    }

    fn add(&mut self, key: &(String, String)) -> Result<SymbolId, String> {
        let Some(survey) = &mut self.survey else {
            return Err(format!("{} was not there when the file was opened", key.1));
        };
        let (exchange, symbol) = (key.0.as_str(), key.1.as_str());
        let spelt = if symbol.is_empty() { &self.stem } else { symbol };
        let symbol = Symbol::new(spelt).map_err(|error| error.to_string())?;
        let venue = if exchange.is_empty() { VENUE } else { venue(exchange)? };
        if self.ids.len() >= INSTRUMENTS_MAX {
            return Err(format!("more than {INSTRUMENTS_MAX} instruments"));
        }
        // Some spell it in more than one way.
        let name = (venue, symbol.clone());
        if let Some(id) = self.by_name.get(&name) {
            self.ids.insert(key.clone(), *id);
            return Ok(*id);
        }
        let id = SymbolId::from_index(self.list.len());
        self.ids.insert(key.clone(), id);
        self.by_name.insert(name, id);
        survey.push(Seen {
            price: Exponent::ONE,
            size: Exponent::ONE,
            latest: Timestamp(i64::MIN),
            shortest_step: None,
        });
        self.list.push(Instrument {
            symbol,
            venue,
            price_exponent: Exponent::ONE,
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        });
        Ok(id)
    }
}

/// Widens an exponent to what a number needs; zeros at the end of a fraction do not count.
fn see(needed: &mut Exponent, text: &str) -> Result<(), NumberError> {
    let digits = if text.contains('.') { text.trim_end_matches('0') } else { text };
    let exponent = Exponent::of_text(digits)?;
    Price::parse(text, exponent)?;
    *needed = exponent.min(*needed);
    Ok(())
}

/// An exchange's name as venues are named elsewhere: `binance-futures` is `BINANCE_FUTURES`.
fn venue(exchange: &str) -> Result<&'static str, String> {
    let name = Symbol::new(&exchange.replace('-', "_")).map_err(|error| format!("exchange: {error}"))?;
    kept_venue(&name).ok_or_else(|| format!("more than {VENUES_MAX} exchanges"))
}
