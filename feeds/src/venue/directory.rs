//! The instruments of a session, by the venue's names, and the reading of their numbers.

use std::borrow::Cow;

use super::json::{self, Object, Value};
use super::{Problem, Stamp, VenueError, level_if_any};
use crate::limits::INSTRUMENTS_MAX;
use crate::{
    BookSnapshot, EventBody, Exponent, Instrument, Level, MarketEvent, NumberError, Price, Side, Size,
    Symbol, SymbolId,
};
use rustc_hash::FxHashMap;

/// The instruments of a session.
///
/// It is either complete, and then reads numbers at the instruments' exponents; or it surveys, which is how a recording
/// is discovered: the same session code runs over all messages, every name becomes an instrument, every number is
/// only asked how many decimals it needs, and [`Directory::finish`] makes the complete directory of it. What a
/// survey has passed, the complete directory can read, because the same code asks for the same numbers.
pub struct Directory {
    venue: &'static str,
    instruments: Vec<Instrument>,
    by_name: FxHashMap<Box<str>, SymbolId>,
    survey: Option<Survey>,
}

#[derive(Default)]
struct Survey {
    listed: FxHashMap<Box<str>, Listing>,
    scales: Vec<Scales>,
}

/// What a venue's list of instruments says of one.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) price_exponent: Option<Exponent>,
    pub(super) size_exponent: Option<Exponent>,
    pub(super) tick_size: Option<String>,
    pub(super) currency: Option<String>,
    /// As [`Instrument::book_levels_max`].
    pub(super) book_levels_max: Option<usize>,
}

impl Listing {
    /// Of the steps of prices and sizes; what is missing, empty or zero is not told.
    pub(super) fn of_steps(
        name: &str,
        (price_field, price_step): (&'static str, Option<&str>),
        (size_field, size_step): (&'static str, Option<&str>),
        currency: Option<&str>,
    ) -> Result<Self, VenueError> {
        let told = |step: Option<&str>| {
            step.filter(|step| step.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
                .map(|step| json::without_exponent(step).into_owned())
        };
        let exponent = |field, step: &Option<String>| {
            let Some(step) = step else { return Ok(None) };
            let digits = if step.contains('.') { step.trim_end_matches('0') } else { step };
            Exponent::of_text(digits).map(Some).map_err(|error| VenueError::new(field, error).of(name))
        };
        let tick_size = told(price_step);
        Ok(Self {
            price_exponent: exponent(price_field, &tick_size)?,
            size_exponent: exponent(size_field, &told(size_step))?,
            tick_size,
            currency: currency.filter(|currency| !currency.is_empty()).map(str::to_owned),
            book_levels_max: None,
        })
    }
}

/// The exponents that the numbers seen ask for.
#[derive(Clone, Copy, Default)]
struct Scales {
    price: Scale,
    size: Scale,
}

#[derive(Clone, Copy, Default)]
struct Scale {
    /// What holds all digits that are not trailing zeros.
    needed: Option<Exponent>,
    /// The decimals that the venue prints, trailing zeros and all, where its checksum is over them.
    printed: Option<Exponent>,
}

impl Directory {
    /// A complete directory.
    #[must_use]
    pub fn new(venue: &'static str, instruments: Vec<Instrument>) -> Self {
        let by_name =
            (0..).zip(&instruments).map(|(id, i)| (i.symbol.as_str().into(), SymbolId(id))).collect();
        Self { venue, instruments, by_name, survey: None }
    }

    /// A directory that learns the instruments from the messages.
    #[must_use]
    pub fn survey(venue: &'static str) -> Self {
        Self {
            venue,
            instruments: Vec::new(),
            by_name: FxHashMap::default(),
            survey: Some(Survey::default()),
        }
    }

    /// Ends a survey.
    ///
    /// # Errors
    /// [`VenueError`] when a listed tick size is no number of the instrument.
    pub fn finish(mut self) -> Result<Self, VenueError> {
        let Some(survey) = self.survey.take() else {
            return Ok(self);
        };
        let nothing = Listing::default();
        for (name, id) in &self.by_name {
            let instrument = &mut self.instruments[id.index()];
            let scales = survey.scales[id.index()];
            let listing = survey.listed.get(name).unwrap_or(&nothing);
            instrument.price_exponent = scales.price.exponent(listing.price_exponent);
            instrument.size_exponent = scales.size.exponent(listing.size_exponent);
            if let Some(text) = &listing.tick_size {
                let tick_size = Price::parse(text, instrument.price_exponent)
                    .map_err(|error| VenueError::new("tick_size", error).of(name))?;
                instrument.tick_size = (tick_size > Price::ZERO).then_some(tick_size);
            }
            instrument.currency.clone_from(&listing.currency);
            instrument.book_levels_max = instrument.book_levels_max.max(listing.book_levels_max);
        }
        Ok(self)
    }

    /// All instruments; [`SymbolId`] is the index. While surveying, their exponents mean nothing yet.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The venue.
    #[must_use]
    pub const fn venue(&self) -> &'static str {
        self.venue
    }

    pub(super) const fn is_surveying(&self) -> bool {
        self.survey.is_some()
    }

    /// Takes a line of the venue's list of instruments; no effect on a complete directory.
    pub(super) fn list(&mut self, name: &str, listing: Listing) -> Result<(), VenueError> {
        if let Some(survey) = &mut self.survey {
            if survey.listed.len() >= INSTRUMENTS_MAX {
                return Err(VenueError::new("instruments", Problem::TooManyInstruments(INSTRUMENTS_MAX)));
            }
            survey.listed.insert(name.into(), listing);
        }
        Ok(())
    }

    /// How many instruments the venue's list names, as far as a survey has read it.
    pub(super) fn listed(&self) -> usize {
        self.survey.as_ref().map_or(0, |survey| survey.listed.len())
    }

    /// Whether the venue's list names it, as far as a survey has read it.
    pub(super) fn lists(&self, name: &str) -> bool {
        self.survey.as_ref().is_some_and(|survey| survey.listed.contains_key(name))
    }

    /// Makes an instrument of the venue's list one of a survey's, before any message about it.
    pub(super) fn choose(&mut self, name: &str) -> Result<(), VenueError> {
        if self.is_surveying() && !self.lists(name) {
            return Err(VenueError::new("symbol", Problem::Unlisted).of(name));
        }
        self.id(name).map(|_| ())
    }

    /// The instrument of that name, if it is one of ours.
    pub(crate) fn find(&self, name: &str) -> Option<SymbolId> {
        self.by_name.get(name).copied()
    }

    /// The instrument of a message of market data.
    pub(super) fn id(&mut self, name: &str) -> Result<SymbolId, VenueError> {
        if let Some(id) = self.by_name.get(name) {
            return Ok(*id);
        }
        let Some(survey) = &mut self.survey else {
            return Err(VenueError::new("symbol", Problem::UnknownInstrument).of(name));
        };
        if self.instruments.len() >= INSTRUMENTS_MAX {
            return Err(VenueError::new("symbol", Problem::TooManyInstruments(INSTRUMENTS_MAX)));
        }
        let symbol = Symbol::new(name).map_err(|error| VenueError::new("symbol", error))?;
        if symbol.as_str() != name {
            return Err(VenueError::new("symbol", Problem::Expected("upper case")).of(name));
        }
        let id = SymbolId::from_index(self.instruments.len());
        self.by_name.insert(name.into(), id);
        survey.scales.push(Scales::default());
        self.instruments.push(Instrument {
            symbol,
            venue: self.venue,
            price_exponent: Exponent::ONE,
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        });
        Ok(id)
    }

    /// Reads a price. While surveying the result is zero.
    #[inline]
    pub(super) fn price(
        &mut self,
        id: SymbolId,
        field: &'static str,
        text: &str,
    ) -> Result<Price, VenueError> {
        let read = match &mut self.survey {
            None => {
                let exponent = self.instruments[id.index()].price_exponent;
                plain_first(text, |text| Price::parse(text, exponent))
            }
            Some(survey) => {
                plain_first(text, |text| survey.scales[id.index()].price.see(text)).map(|()| Price::ZERO)
            }
        };
        read.map_err(|error| VenueError::new(field, error))
    }

    /// Reads a size. While surveying the result is zero.
    #[inline]
    pub(super) fn size(&mut self, id: SymbolId, field: &'static str, text: &str) -> Result<Size, VenueError> {
        if text.starts_with('-') {
            return Err(VenueError::new(field, Problem::Expected("a size of zero or more")));
        }
        let read = match &mut self.survey {
            None => {
                let exponent = self.instruments[id.index()].size_exponent;
                plain_first(text, |text| Size::parse(text, exponent))
            }
            Some(survey) => {
                plain_first(text, |text| survey.scales[id.index()].size.see(text)).map(|()| Size::ZERO)
            }
        };
        read.map_err(|error| VenueError::new(field, error))
    }

    /// Reads a level.
    #[inline]
    pub(super) fn level(
        &mut self,
        id: SymbolId,
        field: &'static str,
        price: &str,
        size: &str,
    ) -> Result<Level, VenueError> {
        Ok(Level { price: self.price(id, field, price)?, size: self.size(id, field, size)? })
    }

    /// Reads `[price, size, …]`.
    pub(super) fn level_of(
        &mut self,
        id: SymbolId,
        field: &'static str,
        level: Value<'_>,
    ) -> Result<Level, VenueError> {
        let (price, size) = json::price_and_size(level, field)?;
        self.level(id, field, price, size)
    }

    /// Reads the lists of levels in two fields of `object`.
    pub(super) fn snapshot(
        &mut self,
        id: SymbolId,
        object: &Object<'_>,
        bids: &'static str,
        asks: &'static str,
    ) -> Result<BookSnapshot, VenueError> {
        let mut side = |field| -> Result<Vec<Level>, VenueError> {
            let mut levels = Vec::new();
            for level in &json::list(object, field)? {
                levels.push(self.level_of(id, field, level)?);
            }
            Ok(levels)
        };
        Ok(BookSnapshot { bids: side(bids)?, asks: side(asks)? })
    }

    /// Reads the list of levels in a field of `object`, and appends what they set.
    pub(super) fn level_sets(
        &mut self,
        stamp: Stamp,
        object: &Object<'_>,
        field: &'static str,
        side: Side,
        events: &mut Vec<MarketEvent>,
    ) -> Result<(), VenueError> {
        for level in &json::list(object, field)? {
            let level = self.level_of(stamp.symbol, field, level)?;
            events.push(stamp.event(EventBody::LevelSet { side, level }));
        }
        Ok(())
    }

    /// Reads the best bid or offer in two fields of `object`; `None` where they are missing, empty, `null` or zero.
    pub(super) fn best(
        &mut self,
        id: SymbolId,
        object: &Object<'_>,
        price_field: &'static str,
        size_field: &'static str,
    ) -> Result<Option<Level>, VenueError> {
        let told = |field| match object.get(field) {
            Some(value) if !value.is_null() => {
                json::as_text(Some(value), field).map(|text| Some(text).filter(|text| !text.is_empty()))
            }
            _ => Ok(None),
        };
        let (Some(price), Some(size)) = (told(price_field)?, told(size_field)?) else { return Ok(None) };
        let (price, size) = (self.price(id, price_field, price)?, self.size(id, size_field, size)?);
        Ok(level_if_any(Level { price, size }))
    }

    /// Tells a survey that the instrument's numbers are to have just the decimals that these are printed with.
    pub(super) fn see_printed(
        &mut self,
        id: SymbolId,
        field: &'static str,
        price: &str,
        size: &str,
    ) -> Result<(), VenueError> {
        if let Some(survey) = &mut self.survey {
            let scales = &mut survey.scales[id.index()];
            for (scale, text) in [(&mut scales.price, price), (&mut scales.size, size)] {
                if scale.printed.is_none() {
                    let exponent = Exponent::of_text(text).map_err(|error| VenueError::new(field, error))?;
                    scale.printed = Some(exponent);
                }
            }
        }
        Ok(())
    }

    /// Tells a survey how many levels a side the venue keeps up to date; the largest number counts.
    pub(super) fn see_book_levels(&mut self, id: SymbolId, levels: usize) {
        if self.survey.is_some() {
            let known = &mut self.instruments[id.index()].book_levels_max;
            *known = (*known).max(Some(levels));
        }
    }
}

/// Reads a number as it is, and only where that fails, without its exponent: hardly any has one.
#[inline]
fn plain_first<T>(
    text: &str,
    mut read: impl FnMut(&str) -> Result<T, NumberError>,
) -> Result<T, NumberError> {
    match read(text) {
        Err(error) => match json::without_exponent(text) {
            Cow::Owned(plain) => read(&plain),
            Cow::Borrowed(_) => Err(error),
        },
        read => read,
    }
}

impl Scale {
    fn see(&mut self, text: &str) -> Result<(), NumberError> {
        if self.needed.is_some_and(|needed| Price::parse(text, needed).is_ok()) {
            return Ok(());
        }
        let digits = if text.contains('.') { text.trim_end_matches('0') } else { text };
        let exponent = Exponent::of_text(digits)?;
        Price::parse(text, exponent)?;
        self.needed = Some(self.needed.map_or(exponent, |needed| needed.min(exponent)));
        Ok(())
    }

    /// The venue's own decimals, widened where a number needs more.
    fn exponent(self, listed: Option<Exponent>) -> Exponent {
        [self.printed.or(listed), self.needed].into_iter().flatten().min().unwrap_or(Exponent::ONE)
    }
}
