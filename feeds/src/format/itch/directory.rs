//! Which instrument a stock locate code stands for.

use std::collections::BTreeMap;

use super::VENUE;
use super::message::{Body, Message, Stock};
use crate::{Exponent, Instrument, Symbol, SymbolId};

const CURRENCY: &str = "USD";
/// `Price(4)` of the specification's data types.
const PRICE_EXPONENT: i8 = -4;

/// Stock locate codes, in the order of their first appearance. Codes have 16 bits, which bounds everything here.
#[derive(Default)]
pub(super) struct Directory {
    /// By locate code: all that a message is looked up for.
    places: Vec<Place>,
    /// By [`SymbolId`].
    entries: Vec<Entry>,
    locates: BTreeMap<Symbol, u16>,
    /// By [`SymbolId`], once all messages have been noted.
    instruments: Vec<Instrument>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    id: Option<SymbolId>,
    /// As some message named it.
    stock: Option<Stock>,
}

struct Entry {
    locate: u16,
    /// As some message named it.
    symbol: Option<Symbol>,
}

impl Directory {
    /// Learns what a message tells of its locate code.
    pub(super) fn note(&mut self, message: &Message) -> Result<(), String> {
        if is_market_wide(message) {
            return Ok(());
        }
        let locate = message.locate;
        let named = match message.body.stock() {
            Some(stock) if self.stock(locate) != Some(stock) => Some((stock, self.name(locate, stock)?)),
            _ => None,
        };
        let index = self.id(locate).unwrap_or_else(|| self.add(locate)).index();
        if let Some((stock, symbol)) = named {
            self.locates.insert(symbol.clone(), locate);
            self.places[usize::from(locate)].stock = Some(stock);
            self.entries[index].symbol = Some(symbol);
        }
        Ok(())
    }

    /// Makes the instruments out of what was noted.
    pub(super) fn complete(&mut self) -> Result<(), String> {
        let price_exponent = Exponent::new(PRICE_EXPONENT).map_err(|error| error.to_string())?;
        for entry in &self.entries {
            let locate = entry.locate;
            let symbol = match &entry.symbol {
                Some(symbol) => symbol.clone(),
                None => Symbol::new(&format!("LOCATE-{locate}")).map_err(|error| error.to_string())?,
            };
            if let Some(other) = self.locates.get(&symbol).filter(|other| **other != locate) {
                return Err(format!(
                    "locate {other} is named {symbol}, which locate {locate} would be called"
                ));
            }
            self.instruments.push(Instrument {
                symbol,
                venue: VENUE,
                price_exponent,
                size_exponent: Exponent::ONE,
                tick_size: None,
                currency: Some(CURRENCY.to_owned()),
                book_levels_max: None,
                begins_stale: false,
            });
        }
        Ok(())
    }

    /// How many locate codes have been noted.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// The instrument a message is about; `None` for the whole market.
    #[inline]
    pub(super) fn find(&self, message: &Message) -> Result<Option<SymbolId>, String> {
        if is_market_wide(message) {
            return Ok(None);
        }
        let place = self.places.get(usize::from(message.locate)).copied().unwrap_or_default();
        match message.body.stock() {
            stock @ Some(_) if stock != place.stock => Err(self.unlike(message.locate, stock)),
            _ if place.id.is_some() => Ok(place.id),
            _ => Err(self.unlike(message.locate, None)),
        }
    }

    /// Why a message is not as it was when the file was opened.
    #[cold]
    fn unlike(&self, locate: u16, stock: Option<Stock>) -> String {
        let Some(stock) = stock else {
            return format!("locate {locate} was not there when the file was opened");
        };
        match self.name(locate, stock) {
            Ok(_) => format!("locate {locate} is named {stock}, as it was not when the file was opened"),
            Err(reason) => reason,
        }
    }

    fn id(&self, locate: u16) -> Option<SymbolId> {
        self.places.get(usize::from(locate))?.id
    }

    fn stock(&self, locate: u16) -> Option<Stock> {
        self.places.get(usize::from(locate))?.stock
    }

    /// The symbol of a stock, if it may stand for this locate code.
    fn name(&self, locate: u16, stock: Stock) -> Result<Symbol, String> {
        if let Some(earlier) = self.stock(locate).filter(|earlier| *earlier != stock) {
            return Err(format!("locate {locate} stands for {earlier}, and here for {stock}"));
        }
        let symbol = stock.symbol().map_err(|error| format!("stock of locate {locate}: {error}"))?;
        match self.locates.get(&symbol) {
            Some(earlier) if *earlier != locate => {
                Err(format!("{symbol} has the locate {earlier}, and here {locate}"))
            }
            _ => Ok(symbol),
        }
    }

    fn add(&mut self, locate: u16) -> SymbolId {
        let id = SymbolId::from_index(self.entries.len());
        let index = usize::from(locate);
        if self.places.len() <= index {
            self.places.resize(index + 1, Place::default());
        }
        self.places[index].id = Some(id);
        self.entries.push(Entry { locate, symbol: None });
        id
    }
}

/// The locate code of these messages is always 0 and means nothing.
const fn is_market_wide(message: &Message) -> bool {
    matches!(message.body, Body::SystemEvent(_) | Body::MwcbDeclineLevel(_) | Body::MwcbStatus(_))
}
