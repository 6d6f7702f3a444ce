//! The instruments of several files together: which are the same, what they are called, which are wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::limits::INSTRUMENTS_MAX;
use crate::{FeedError, Instrument, Symbol, SymbolId};

/// The instruments of a replay.
pub(super) struct Catalog {
    /// Those that are wanted, in the order of the files.
    pub(super) instruments: Vec<Instrument>,
    /// By file, by the file's own number: the replay's number; `None`: not wanted.
    pub(super) ids: Vec<Vec<Option<SymbolId>>>,
}

impl Catalog {
    /// Names do not depend on the filter: what is qualified without it is qualified with it.
    pub(super) fn new(
        files: &[(&Path, &[Instrument])],
        wanted: Option<&BTreeSet<Symbol>>,
    ) -> Result<Self, FeedError> {
        if files.is_empty() {
            return Err(FeedError::Settings("a replay needs a file".to_owned()));
        }
        let mut venues: BTreeMap<&Symbol, BTreeSet<&str>> = BTreeMap::new();
        for instrument in files.iter().flat_map(|(_, instruments)| *instruments) {
            venues.entry(&instrument.symbol).or_default().insert(instrument.venue);
        }
        // By venue and symbol, with the file it was first seen in.
        let mut known: BTreeMap<(&str, &Symbol), (SymbolId, &Path)> = BTreeMap::new();
        let mut missing: BTreeSet<&Symbol> = wanted.into_iter().flatten().collect();
        let mut catalog = Self { instruments: Vec::new(), ids: Vec::new() };
        for (path, carried) in files {
            let mut ids = Vec::with_capacity(carried.len());
            for instrument in *carried {
                let symbol = &instrument.symbol;
                let qualified = symbol.qualified(instrument.venue);
                if let Some(wanted) = wanted {
                    missing.remove(symbol);
                    missing.remove(&qualified);
                    if !wanted.contains(symbol) && !wanted.contains(&qualified) {
                        ids.push(None);
                        continue;
                    }
                }
                let (id, first_path) = *known.entry((instrument.venue, symbol)).or_insert_with(|| {
                    let id = SymbolId::from_index(catalog.instruments.len());
                    let is_shared = venues.get(symbol).is_some_and(|venues| venues.len() > 1);
                    let symbol = if is_shared { qualified.clone() } else { symbol.clone() };
                    catalog.instruments.push(Instrument { symbol, ..instrument.clone() });
                    (id, *path)
                });
                if !is_alike(&catalog.instruments[id.index()], instrument) {
                    return Err(FeedError::Settings(format!(
                        "{} and {} disagree about the scale or the depth of {qualified}: replay them apart",
                        first_path.display(),
                        path.display()
                    )));
                }
                ids.push(Some(id));
            }
            catalog.ids.push(ids);
        }
        if let Some(symbol) = missing.first() {
            return Err(FeedError::Settings(format!("no recording carries {symbol}")));
        }
        if catalog.instruments.len() > INSTRUMENTS_MAX {
            return Err(FeedError::Settings(format!(
                "the recordings carry {} instruments, more than {INSTRUMENTS_MAX}",
                catalog.instruments.len()
            )));
        }
        Ok(catalog)
    }
}

/// Whether the numbers of two files' messages mean the same, so that one book can take both.
fn is_alike(one: &Instrument, other: &Instrument) -> bool {
    (one.price_exponent, one.size_exponent, one.book_levels_max)
        == (other.price_exponent, other.size_exponent, other.book_levels_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exponent;

    fn instrument(venue: &'static str, symbol: &str) -> Instrument {
        Instrument {
            symbol: Symbol::new(symbol).expect("a symbol"),
            venue,
            price_exponent: Exponent::new(-2).expect("small"),
            size_exponent: Exponent::ONE,
            tick_size: None,
            currency: None,
            book_levels_max: None,
            begins_stale: false,
        }
    }

    fn names(catalog: &Catalog) -> Vec<&str> {
        catalog.instruments.iter().map(|instrument| instrument.symbol.as_str()).collect()
    }

    fn ids(catalog: &Catalog) -> Vec<Vec<Option<u32>>> {
        catalog.ids.iter().map(|file| file.iter().map(|id| id.map(|id| id.0)).collect()).collect()
    }

    #[test]
    fn a_symbol_of_several_venues_is_qualified_with_and_without_a_filter() {
        let one = [instrument("BINANCE", "BTCUSDT"), instrument("BINANCE", "ETHUSDT")];
        let two = [instrument("COINBASE", "BTCUSDT")];
        let three = [instrument("BINANCE", "BTCUSDT"), instrument("BINANCE", "SOLUSDT")];
        let files = [(Path::new("1"), &one[..]), (Path::new("2"), &two[..]), (Path::new("3"), &three[..])];
        let catalog = Catalog::new(&files, None).expect("alike");
        assert_eq!(names(&catalog), ["BINANCE:BTCUSDT", "ETHUSDT", "COINBASE:BTCUSDT", "SOLUSDT"]);
        assert_eq!(ids(&catalog), [vec![Some(0), Some(1)], vec![Some(2)], vec![Some(0), Some(3)]]);

        let wanted = |text| [Symbol::new(text).expect("a symbol")].into();
        let catalog = Catalog::new(&files, Some(&wanted("COINBASE:BTCUSDT"))).expect("there");
        assert_eq!(names(&catalog), ["COINBASE:BTCUSDT"]);
        assert_eq!(ids(&catalog), [vec![None, None], vec![Some(0)], vec![None, None]]);
        let catalog = Catalog::new(&files, Some(&wanted("BTCUSDT"))).expect("there");
        assert_eq!(names(&catalog), ["BINANCE:BTCUSDT", "COINBASE:BTCUSDT"]);
        let error = Catalog::new(&files, Some(&wanted("KRAKEN:BTCUSDT"))).err().expect("not there");
        assert_eq!(error.to_string(), "no recording carries KRAKEN:BTCUSDT");
    }

    #[test]
    fn files_that_disagree_about_an_instrument_are_refused() {
        let one = [instrument("KRAKEN", "XBT/USD")];
        let finer = [Instrument { price_exponent: Exponent::new(-4).expect("small"), ..one[0].clone() }];
        let deeper = [Instrument { book_levels_max: Some(1_000), ..one[0].clone() }];
        for other in [&finer, &deeper] {
            let files = [(Path::new("one.jsonl"), &one[..]), (Path::new("other.jsonl"), &other[..])];
            let error = Catalog::new(&files, None).err().expect("unlike").to_string();
            for named in ["one.jsonl", "other.jsonl", "KRAKEN:XBT/USD"] {
                assert!(error.contains(named), "{error}");
            }
        }
    }

    #[test]
    fn more_instruments_than_the_bound_are_refused() {
        let many: Vec<_> = (0..=INSTRUMENTS_MAX).map(|n| instrument("SIM", &format!("S{n}"))).collect();
        assert!(Catalog::new(&[(Path::new("1"), &many[1..])], None).is_ok());
        assert!(matches!(Catalog::new(&[(Path::new("1"), &many)], None), Err(FeedError::Settings(_))));
    }
}
