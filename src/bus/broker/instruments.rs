//! The instruments of an ingest, for gateways that begin.

use feeds::limits::{INSTRUMENTS_MAX, SYMBOL_BYTES_MAX, VENUES_MAX};
use feeds::{Exponent, Instrument, Price, Symbol, kept_venue};

use super::message::{InstrumentPage, MessageError, Reader};
use crate::directory::{Class, Directory};
use crate::limits::{BROKER_TEXT_BYTES_MAX, INSTRUMENT_PAGE_BYTES_MAX};

/// An ingest's instruments as they stand in messages.
#[derive(Clone, Debug)]
pub struct Listing {
    digest: u32,
    has_twins: bool,
    /// Each as bytes.
    instruments: Vec<Vec<u8>>,
}

/// Why no directory comes of what an ingest tells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// A page cannot be read.
    #[error("instrument {number} cannot be read: {error}")]
    Page {
        /// The number of the instrument.
        number: usize,
        /// What is wrong.
        error: MessageError,
    },
    /// A page that does not follow the one before.
    #[error("instruments from {found} on were sent in place of those from {expected} on")]
    Order {
        /// The number of the first that was asked for.
        expected: usize,
        /// That of the first that was sent.
        found: usize,
    },
    /// Pages of two listings.
    #[error("the ingest has changed its instruments meanwhile")]
    Changed,
    /// All of them are not what the ingest said they were.
    #[error("the instruments' checksum is {found:08x}, and not {expected:08x}")]
    Digest {
        /// As it was said.
        expected: u32,
        /// Of what came.
        found: u32,
    },
    /// More than there can be.
    #[error(
        "{0} instruments are more than {INSTRUMENTS_MAX}, or half as many where they are served late too"
    )]
    TooMany(u32),
    /// Two of one name.
    #[error("instrument {0} is there twice")]
    Twice(String),
    /// More venues than there can be.
    #[error("there are more venues than {VENUES_MAX}")]
    Venues,
    /// A name too long for a message.
    #[error("`{0}` is longer than {BROKER_TEXT_BYTES_MAX} bytes")]
    Text(String),
}

impl Listing {
    /// The instruments of a directory.
    ///
    /// # Errors
    /// [`ListingError::Text`] when one has a name that no message takes.
    pub fn new(directory: &Directory) -> Result<Self, ListingError> {
        let instruments = directory.of(Class::RealTime).map(|(_, instrument)| encode(instrument));
        let instruments = instruments.collect::<Result<Vec<_>, _>>()?;
        let has_twins = directory.has_twins();
        let digest = digest(instruments.iter().map(Vec::as_slice), has_twins);
        Ok(Self { digest, has_twins, instruments })
    }

    /// Tells this listing from another.
    #[must_use]
    pub const fn digest(&self) -> u32 {
        self.digest
    }

    /// As many instruments from number `first` on as one message takes.
    #[must_use]
    pub fn page(&self, first: u32) -> InstrumentPage {
        let start = (first as usize).min(self.instruments.len());
        let mut bytes = Vec::new();
        let mut count = 0;
        for instrument in &self.instruments[start..] {
            if bytes.len() + instrument.len() > INSTRUMENT_PAGE_BYTES_MAX {
                break;
            }
            bytes.extend_from_slice(instrument);
            count += 1;
        }
        let total = u32::try_from(self.instruments.len()).expect("instruments are bounded");
        InstrumentPage { digest: self.digest, total, has_twins: self.has_twins, first, count, bytes }
    }
}

fn digest<'a>(instruments: impl Iterator<Item = &'a [u8]>, has_twins: bool) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for instrument in instruments {
        hasher.update(instrument);
    }
    hasher.update(&[has_twins.into()]);
    hasher.finalize()
}

mod flag {
    pub(super) const TICK: u8 = 1;
    pub(super) const CURRENCY: u8 = 2;
    pub(super) const LEVELS: u8 = 4;
}

fn encode(instrument: &Instrument) -> Result<Vec<u8>, ListingError> {
    let mut out = Vec::new();
    put_text(&mut out, instrument.symbol.as_str())?;
    put_text(&mut out, instrument.venue)?;
    for exponent in [instrument.price_exponent, instrument.size_exponent] {
        out.extend_from_slice(&exponent.get().to_le_bytes());
    }
    let levels = instrument.book_levels_max.map(|levels| u32::try_from(levels).unwrap_or(u32::MAX));
    let flags = [
        (instrument.tick_size.is_some(), flag::TICK),
        (instrument.currency.is_some(), flag::CURRENCY),
        (levels.is_some(), flag::LEVELS),
    ];
    out.push(flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum());
    if let Some(tick) = instrument.tick_size {
        out.extend_from_slice(&tick.0.to_le_bytes());
    }
    if let Some(currency) = &instrument.currency {
        put_text(&mut out, currency)?;
    }
    if let Some(levels) = levels {
        out.extend_from_slice(&levels.to_le_bytes());
    }
    Ok(out)
}

fn put_text(out: &mut Vec<u8>, text: &str) -> Result<(), ListingError> {
    if text.len() > BROKER_TEXT_BYTES_MAX {
        return Err(ListingError::Text(text.to_owned()));
    }
    out.push(u8::try_from(text.len()).expect("the bound is below 256"));
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn decode(reader: &mut Reader<'_>) -> Result<Instrument, DecodeError> {
    let symbol = reader.text("symbol", SYMBOL_BYTES_MAX)?;
    let upper = Symbol::new(&symbol).ok().filter(|read| read.as_str() == symbol);
    let symbol = upper.ok_or(MessageError::Text("symbol"))?;
    let venue = reader.text("venue", BROKER_TEXT_BYTES_MAX)?;
    let venue = Symbol::new(&venue).ok().filter(|read| read.as_str() == venue);
    let venue = kept_venue(&venue.ok_or(MessageError::Text("venue"))?).ok_or(DecodeError::Venues)?;
    let price_exponent = exponent(reader, "price exponent")?;
    let size_exponent = exponent(reader, "size exponent")?;
    let flags = reader.byte("flags")?;
    if flags & !(flag::TICK | flag::CURRENCY | flag::LEVELS) != 0 {
        return Err(MessageError::Value { field: "flags", value: flags.into() }.into());
    }
    let tick_size =
        if flags & flag::TICK == 0 { None } else { Some(Price(reader.long("tick size")?.cast_signed())) };
    let currency = if flags & flag::CURRENCY == 0 {
        None
    } else {
        Some(reader.text("currency", BROKER_TEXT_BYTES_MAX)?)
    };
    let book_levels_max = if flags & flag::LEVELS == 0 { None } else { Some(reader.int("levels")? as usize) };
    Ok(Instrument {
        symbol,
        venue,
        price_exponent,
        size_exponent,
        tick_size,
        currency,
        book_levels_max,
        begins_stale: false,
    })
}

fn exponent(reader: &mut Reader<'_>, field: &'static str) -> Result<Exponent, MessageError> {
    let value = reader.byte(field)?;
    Exponent::new(value.cast_signed()).map_err(|_| MessageError::Value { field, value: value.into() })
}

enum DecodeError {
    Message(MessageError),
    Venues,
}

impl From<MessageError> for DecodeError {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}

/// Puts an ingest's pages together.
#[derive(Debug, Default)]
pub struct Assembler {
    instruments: Vec<Instrument>,
    bytes: Vec<u8>,
    digest: Option<u32>,
}

impl Assembler {
    /// The number of the first instrument that is wanted next.
    #[must_use]
    pub fn next(&self) -> u32 {
        u32::try_from(self.instruments.len()).expect("instruments are bounded")
    }

    /// Takes a page; the directory and its digest when it was the last one.
    ///
    /// # Errors
    /// [`ListingError`] says what cannot be.
    pub fn take(&mut self, page: &InstrumentPage) -> Result<Option<(Directory, u32)>, ListingError> {
        let total = page.total as usize;
        let most = if page.has_twins { INSTRUMENTS_MAX / 2 } else { INSTRUMENTS_MAX };
        if total > most {
            return Err(ListingError::TooMany(page.total));
        }
        if *self.digest.get_or_insert(page.digest) != page.digest {
            return Err(ListingError::Changed);
        }
        let start = self.instruments.len();
        if page.first as usize != start {
            return Err(ListingError::Order { expected: start, found: page.first as usize });
        }
        let mut reader = Reader(&page.bytes);
        for number in start..start + page.count as usize {
            let instrument = decode(&mut reader).map_err(|error| match error {
                DecodeError::Message(error) => ListingError::Page { number, error },
                DecodeError::Venues => ListingError::Venues,
            })?;
            if number == total {
                return Err(ListingError::TooMany(page.total.saturating_add(1)));
            }
            self.instruments.push(instrument);
        }
        if !reader.0.is_empty() || (page.count == 0 && start < total) {
            let error = MessageError::Trailing(reader.0.len());
            return Err(ListingError::Page { number: self.instruments.len(), error });
        }
        self.bytes.extend_from_slice(&page.bytes);
        if self.instruments.len() < total {
            return Ok(None);
        }
        let found = digest(std::iter::once(self.bytes.as_slice()), page.has_twins);
        if found != page.digest {
            return Err(ListingError::Digest { expected: page.digest, found });
        }
        let instruments = std::mem::take(&mut self.instruments);
        let mut names: Vec<&str> = instruments.iter().map(|instrument| instrument.symbol.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|names| names[0] == names[1]) {
            return Err(ListingError::Twice(twice[0].to_owned()));
        }
        let directory =
            if page.has_twins { Directory::with_twins(&instruments) } else { Directory::new(&instruments) };
        Ok(Some((directory, found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(count: usize, has_twins: bool) -> Directory {
        let instruments: Vec<_> = (0..count)
            .map(|number| Instrument {
                symbol: Symbol::new(&format!("S{number}/{}", "X".repeat(number % 50))).expect("a symbol"),
                venue: if number % 2 == 0 { "NASDAQ" } else { "SIM" },
                price_exponent: Exponent::new(-2).expect("an exponent"),
                size_exponent: Exponent::new(3).expect("an exponent"),
                tick_size: (number % 3 == 0).then_some(Price(25)),
                currency: (number % 5 == 0).then(|| "USD".to_owned()),
                book_levels_max: (number % 7 == 0).then_some(1_000),
                begins_stale: false,
            })
            .collect();
        if has_twins { Directory::with_twins(&instruments) } else { Directory::new(&instruments) }
    }

    #[test]
    fn a_gateway_has_the_instruments_of_its_ingest() {
        for (count, has_twins) in [(1, false), (9, true), (20_000, false)] {
            let there = directory(count, has_twins);
            let listing = Listing::new(&there).expect("short names");
            let mut assembler = Assembler::default();
            let mut pages = 0;
            let (here, digest) = loop {
                let page = listing.page(assembler.next());
                pages += 1;
                if let Some(done) = assembler.take(&page).expect("pages in order") {
                    break done;
                }
            };
            assert_eq!(pages > 1, count == 20_000, "{pages} pages");
            assert_eq!(digest, listing.digest());
            assert!(here.iter().eq(there.iter()) && here.has_twins() == has_twins);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let listing = Listing::new(&directory(3, false)).expect("short names");
        let take = |page: &InstrumentPage| Assembler::default().take(page).map(drop);
        let page = listing.page(0);
        assert_eq!(
            take(&listing.page(1)),
            Err(ListingError::Order { expected: 0, found: 1 }),
            "not from the beginning"
        );
        let other = InstrumentPage { has_twins: true, ..page.clone() };
        assert!(matches!(take(&other), Err(ListingError::Digest { .. })));
        let many = u32::try_from(INSTRUMENTS_MAX + 1).expect("small");
        assert_eq!(take(&InstrumentPage { total: many, ..page.clone() }), Err(ListingError::TooMany(many)));
        let short = InstrumentPage { bytes: page.bytes[..9].to_vec(), ..page.clone() };
        assert!(matches!(take(&short), Err(ListingError::Page { number: 0, .. })));
        let none = InstrumentPage { count: 0, bytes: Vec::new(), ..page };
        assert!(matches!(take(&none), Err(ListingError::Page { number: 0, .. })), "it would never end");
    }
}
