//! What the numbers of instruments are called.

use std::sync::Arc;

use dbn::{Metadata, SType, SymbolMappingMsg};
use rustc_hash::FxHashMap;

use crate::limits::DBN_NAMES_MAX;

/// Names by instrument number, for the days on which they hold: a number may be given to another instrument, and a
/// name such as `ES.c.0`, the nearest contract, goes from one to the next.
#[derive(Clone, Default)]
pub(super) struct Names {
    by_number: FxHashMap<u32, Vec<Named>>,
}

/// A name, from a time on and until another, in nanoseconds since the Unix epoch.
#[derive(Clone)]
struct Named {
    from: u64,
    until: u64,
    name: Arc<str>,
}

/// What a number is called at a time.
pub(super) struct Found {
    pub(super) name: Option<Arc<str>>,
    /// How long that holds.
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Names {
    /// From the mappings of a file's metadata. A name that stands for several instruments at one time (`ES.FUT`, all
    /// contracts) is the name of none.
    pub(super) fn new(metadata: &Metadata) -> Result<Self, String> {
        let mut names = Self::default();
        let is_inverse = match (metadata.stype_in, metadata.stype_out) {
            (_, SType::InstrumentId) => false,
            (Some(SType::InstrumentId), _) => true,
            _ => return Ok(names),
        };
        for mapping in &metadata.mappings {
            let mut spans: Vec<_> = (mapping.intervals.iter())
                .filter_map(|interval| {
                    let [from, until] = [interval.start_date, interval.end_date]
                        .map(|date| u64::try_from(date.midnight().assume_utc().unix_timestamp_nanos()).ok());
                    Some((from?, until?, &interval.symbol))
                })
                .collect();
            spans.sort();
            if !is_inverse && spans.windows(2).any(|pair| pair[0].1 > pair[1].0 && pair[0].2 != pair[1].2) {
                continue;
            }
            for (from, until, symbol) in spans {
                let (number, name) =
                    if is_inverse { (&mapping.raw_symbol, symbol) } else { (symbol, &mapping.raw_symbol) };
                // An interval without a symbol is how a file says that there was none.
                if let Ok(number) = number.parse()
                    && !name.is_empty()
                {
                    let named = Named { from, until, name: name.as_str().into() };
                    names.by_number.entry(number).or_default().push(named);
                }
            }
        }
        names.check()?;
        Ok(names)
    }

    /// From a mapping among the records, which holds from there on.
    pub(super) fn note(&mut self, mapping: &SymbolMappingMsg) -> Result<(), String> {
        let name = mapping.stype_out_symbol().map_err(|error| error.to_string())?;
        if !name.is_empty() {
            let named = Named { from: 0, until: u64::MAX, name: name.into() };
            self.by_number.insert(mapping.hd.instrument_id, vec![named]);
        }
        self.check()
    }

    /// The name of a number; where it has none at that time, the only one that it ever has.
    pub(super) fn find(&self, number: u32, time: u64) -> Found {
        let Some(names) = self.by_number.get(&number) else {
            return Found { name: None, from: 0, until: u64::MAX };
        };
        let held = names.iter().find(|named| (named.from..named.until).contains(&time));
        if let Some(named) = held {
            return Found { name: Some(named.name.clone()), from: named.from, until: named.until };
        }
        let only =
            names.split_first().filter(|(first, rest)| rest.iter().all(|other| other.name == first.name));
        Found { name: only.map(|(first, _)| first.name.clone()), from: time, until: time.saturating_add(1) }
    }

    fn check(&self) -> Result<(), String> {
        if self.by_number.len() > DBN_NAMES_MAX {
            return Err(format!("more than {DBN_NAMES_MAX} instrument numbers are named"));
        }
        Ok(())
    }
}
