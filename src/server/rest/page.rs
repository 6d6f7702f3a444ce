//! A part of a list: which rows were asked for, and where the next part begins.

use feeds::{Instrument, SymbolId};
use rustc_hash::FxHashSet;

use super::entitled::Entitled;
use super::query::Parameters;
use super::refusal::{Refusal, shortened};
use super::{Sources, find};
use crate::entitlement::Patterns;
use crate::limits::LIST_ROWS_MAX;

/// Rows in their order.
pub(super) struct Page {
    pub(super) rows: Vec<SymbolId>,
    /// The symbol behind which the next part begins; `None`: there is no more.
    next: Option<String>,
}

impl Page {
    /// Ends a list.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        out.push(b']');
        if let Some(next) = &self.next {
            out.extend_from_slice(format!(",\"next\":{}", serde_json::Value::from(next.as_str())).as_bytes());
        }
        out.push(b'}');
    }
}

impl Sources {
    /// The instruments that `?symbols=A,B` names, each once, in the order of their first mention; without it, all that may be
    /// seen. Of these those that the filters leave, behind the cursor, as many as the limit says.
    pub(super) fn page(&self, entitled: &Entitled, parameters: Parameters) -> Result<Page, Refusal> {
        let [symbols, pattern, venue, currency, limit, cursor] =
            parameters.take(["symbols", "match", "venue", "currency", "limit", "cursor"])?;
        let view = self.view(entitled);
        let mut rows: Vec<SymbolId> = match symbols {
            None => view.all().map(|(symbol, _)| symbol).collect(),
            Some(names) => {
                let mut seen = FxHashSet::default();
                let found = names.split(',').map(|name| find(view, name.trim()));
                let found: Vec<_> = found.collect::<Result<_, _>>()?;
                found.into_iter().filter(|symbol| seen.insert(*symbol)).collect()
            }
        };
        let pattern = pattern.map(|text| {
            Patterns::new(&[text.to_ascii_uppercase()])
                .map_err(|error| Refusal::bad_parameter(format!("match `{}`: {error}", shortened(&text))))
        });
        let pattern = pattern.transpose()?;
        let is = |asked: &Option<String>, has: Option<&str>| {
            asked.as_ref().is_none_or(|asked| has.is_some_and(|has| has.eq_ignore_ascii_case(asked)))
        };
        let is_asked = |instrument: &Instrument| {
            is(&venue, Some(instrument.venue))
                && is(&currency, instrument.currency.as_deref())
                && pattern.as_ref().is_none_or(|pattern| pattern.match_symbol(instrument.symbol.as_str()))
        };
        rows.retain(|&symbol| is_asked(self.directory.get(symbol)));
        if let Some(cursor) = cursor {
            let symbol = find(view, &cursor)?;
            let Some(at) = rows.iter().position(|row| *row == symbol) else {
                let message = format!("cursor `{}` is not of this list", shortened(&cursor));
                return Err(Refusal::bad_parameter(message));
            };
            rows.drain(..=at);
        }
        let limit = super::limit(limit, LIST_ROWS_MAX, LIST_ROWS_MAX)?;
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more);
        let next = next.map(|&last| self.directory.get(last).symbol.as_str().to_owned());
        Ok(Page { rows, next })
    }
}
