//! The newest quote of every instrument, for any number of readers in other threads.

mod latch;

use std::sync::Arc;

use feeds::{Level, Price, Size, SymbolId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::state::Quote;
use latch::Latch;

/// A quote as readers find it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedQuote {
    /// Best bid and offer.
    pub quote: Quote,
    /// The number of this state of the instrument's `quote` topic; 0 before the first.
    pub seq: u64,
    /// The venue's clock.
    pub ts_event: Timestamp,
}

/// The writing end: there is one.
#[derive(Debug)]
pub struct QuoteWriter(Arc<[Latch<WORDS>]>);

/// The reading end.
#[derive(Clone, Debug)]
pub struct QuoteReader(Arc<[Latch<WORDS>]>);

/// A cache of empty quotes, 128 bytes each: a flat array with one sequence latch per instrument, whose index is its
/// [`SymbolId`].
#[must_use]
pub fn quote_cache(instruments: usize) -> (QuoteWriter, QuoteReader) {
    let latches: Arc<[Latch<WORDS>]> = (0..instruments).map(|_| Latch::new()).collect();
    (QuoteWriter(Arc::clone(&latches)), QuoteReader(latches))
}

impl QuoteWriter {
    /// Makes an instrument's quote this.
    ///
    /// # Panics
    /// When the cache has no such instrument.
    pub fn set(&mut self, symbol: SymbolId, quote: &CachedQuote) {
        self.0[symbol.index()].write(quote.to_words());
    }
}

impl QuoteReader {
    /// An instrument's quote: always a whole one, and never older than what this thread read before. Waits for nobody.
    ///
    /// # Panics
    /// When the cache has no such instrument.
    #[must_use]
    pub fn get(&self, symbol: SymbolId) -> CachedQuote {
        CachedQuote::from_words(self.0[symbol.index()].read())
    }
}

/// Words of a [`CachedQuote`]: presence of the sides, price and size of bid and ask, `seq`, `ts_event`.
const WORDS: usize = 7;
const HAS_BID: u64 = 1;
const HAS_ASK: u64 = 2;

impl CachedQuote {
    fn to_words(self) -> [u64; WORDS] {
        let Quote { bid, ask } = self.quote;
        let present = |level: Option<Level>, bit| if level.is_some() { bit } else { 0 };
        let [bid_level, ask_level] = [bid, ask].map(Option::unwrap_or_default);
        [
            present(bid, HAS_BID) | present(ask, HAS_ASK),
            bid_level.price.0.cast_unsigned(),
            bid_level.size.0.cast_unsigned(),
            ask_level.price.0.cast_unsigned(),
            ask_level.size.0.cast_unsigned(),
            self.seq,
            self.ts_event.0.cast_unsigned(),
        ]
    }

    fn from_words([sides, bid_price, bid_size, ask_price, ask_size, seq, ts_event]: [u64; WORDS]) -> Self {
        let level = |bit, price: u64, size: u64| {
            (sides & bit != 0)
                .then(|| Level { price: Price(price.cast_signed()), size: Size(size.cast_signed()) })
        };
        Self {
            quote: Quote {
                bid: level(HAS_BID, bid_price, bid_size),
                ask: level(HAS_ASK, ask_price, ask_size),
            },
            seq,
            ts_event: Timestamp(ts_event.cast_signed()),
        }
    }
}

#[cfg(all(test, not(tickwire_loom)))]
mod tests {
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    fn level(price: i64, size: i64) -> Level {
        Level { price: Price(price), size: Size(size) }
    }

    #[test]
    fn an_untouched_quote_is_empty() {
        let (mut writer, reader) = quote_cache(3);
        let quote = CachedQuote {
            quote: Quote { bid: Some(level(-5, 3)), ask: None },
            seq: 9,
            ts_event: Timestamp(-1),
        };
        writer.set(SymbolId(1), &quote);
        assert_eq!(reader.get(SymbolId(1)), quote);
        assert_eq!([reader.get(SymbolId(0)), reader.get(SymbolId(2))], [CachedQuote::default(); 2]);
    }

    /// What loom cannot show: the real machine, all words, many rounds. Every field follows from `seq`.
    #[test]
    fn readers_in_other_threads_see_whole_quotes_in_order() {
        const WRITES: u64 = if cfg!(debug_assertions) { 100_000 } else { 2_000_000 };
        let quote_of = |seq: u64| {
            let n = i64::try_from(seq).expect("small");
            CachedQuote {
                quote: Quote {
                    bid: (n % 3 != 0).then(|| level(n, n + 1)),
                    ask: (n % 5 != 0).then(|| level(-n, n * 7)),
                },
                seq,
                ts_event: Timestamp(n * 1_000),
            }
        };
        let (mut writer, reader) = quote_cache(2);
        writer.set(SymbolId(1), &quote_of(0));
        thread::scope(|scope| {
            for _ in 0..2 {
                let reader = reader.clone();
                scope.spawn(move || {
                    let mut newest = 0;
                    while newest < WRITES {
                        let read = reader.get(SymbolId(1));
                        assert!(read.seq >= newest, "went from {newest} back to {}", read.seq);
                        assert_eq!(read, quote_of(read.seq), "torn");
                        newest = read.seq;
                    }
                });
            }
            for seq in 1..=WRITES {
                writer.set(SymbolId(1), &quote_of(seq));
            }
        });
        assert_eq!(reader.get(SymbolId(0)), CachedQuote::default());
    }

    proptest! {
        #[test]
        fn any_quote_comes_back_as_it_was(
            bid: Option<(i64, i64)>, ask: Option<(i64, i64)>, seq: u64, ts_event: i64,
        ) {
            let side = |side: Option<(i64, i64)>| side.map(|(price, size)| level(price, size));
            let quote = Quote { bid: side(bid), ask: side(ask) };
            let cached = CachedQuote { quote, seq, ts_event: Timestamp(ts_event) };
            let (mut writer, reader) = quote_cache(1);
            writer.set(SymbolId(0), &cached);
            prop_assert_eq!(reader.get(SymbolId(0)), cached);
        }
    }
}
