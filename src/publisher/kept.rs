//! What is kept of the publisher, for a checkpoint: its numbers and the market. What its clients hold is theirs, and what
//! is served late comes of what is served now.

use std::borrow::Cow;

use feeds::{SymbolId, Timestamp};
use serde::{Deserialize, Serialize};

use super::Publisher;
use crate::directory::Class;
use crate::market::quotes::CachedQuote;
use crate::market::{self, KeptMarket, Market};
use crate::topic::TopicId;

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    /// The names of the instruments, in the order of all that follows.
    symbols: Vec<Cow<'a, str>>,
    numbers: Cow<'a, [u64]>,
    last_quotes: Cow<'a, [CachedQuote]>,
    status_at: Cow<'a, [Timestamp]>,
    market: KeptMarket<'a>,
}

/// What was kept, ready to be taken over.
pub struct Recalled {
    market: Market,
    numbers: Vec<u64>,
    last_quotes: Vec<CachedQuote>,
    status_at: Vec<Timestamp>,
}

/// Why what was kept cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// It is not what this version writes.
    #[error("it cannot be read: {0}")]
    Format(#[from] postcard::Error),
    /// It does not fit.
    #[error(transparent)]
    Market(#[from] market::RecallError),
}

impl Publisher {
    /// All of it that shapes what comes after the message that was applied last.
    ///
    /// # Errors
    /// None that there is a reason for: what is kept has no kind of value that the encoding lacks.
    pub fn keep(&self) -> Result<Vec<u8>, postcard::Error> {
        let instruments = self.directory.of(Class::RealTime);
        let here = instruments.len();
        postcard::to_stdvec(&Kept {
            symbols: instruments.map(|(_, instrument)| instrument.symbol.as_str().into()).collect(),
            numbers: Cow::Borrowed(&self.numbers[..TopicId::count(here)]),
            last_quotes: Cow::Borrowed(&self.last_quotes[..here]),
            status_at: Cow::Borrowed(&self.status_at[..here]),
            market: self.markets.real_time().keep(),
        })
    }

    /// Reads what another publisher kept, which had at least the instruments of this one.
    ///
    /// # Errors
    /// [`RecallError`].
    pub fn recall(&self, kept: &[u8]) -> Result<Recalled, RecallError> {
        let kept: Kept<'_> = postcard::from_bytes(kept)?;
        let there = kept.symbols.len();
        if (kept.numbers.len(), kept.last_quotes.len(), kept.status_at.len())
            != (TopicId::count(there), there, there)
        {
            return Err(market::RecallError::Instruments.into());
        }
        let ids: Vec<Option<SymbolId>> =
            kept.symbols.iter().map(|symbol| self.directory.find(symbol, Class::RealTime)).collect();
        let market = self.markets.real_time().recall(kept.market, &ids)?;
        let here = self.directory.of(Class::RealTime).len();
        let mut recalled = Recalled {
            market,
            numbers: vec![0; TopicId::count(here)],
            last_quotes: self.last_quotes[..here].to_vec(),
            status_at: self.status_at[..here].to_vec(),
        };
        let numbers = kept.numbers.chunks_exact(TopicId::count(1));
        let states = kept.last_quotes.iter().zip(&*kept.status_at).zip(numbers);
        for (id, ((quote, status_at), numbers)) in ids.into_iter().zip(states) {
            let Some(id) = id else { continue };
            recalled.last_quotes[id.index()] = *quote;
            recalled.status_at[id.index()] = *status_at;
            let topics = TopicId::count(id.index())..TopicId::count(id.index() + 1);
            recalled.numbers[topics].copy_from_slice(numbers);
        }
        Ok(recalled)
    }

    /// Becomes what was kept. Nobody is told.
    pub fn take_over(&mut self, recalled: Recalled) {
        let Recalled { market, numbers, last_quotes, status_at } = recalled;
        *self.markets.class(Class::RealTime) = market;
        self.numbers[..numbers.len()].copy_from_slice(&numbers);
        self.status_at[..status_at.len()].copy_from_slice(&status_at);
        for (symbol, quote) in (0..).map(SymbolId).zip(&last_quotes) {
            self.quotes.set(symbol, quote);
        }
        self.last_quotes[..last_quotes.len()].copy_from_slice(&last_quotes);
        self.count_states(Class::RealTime);
    }
}
