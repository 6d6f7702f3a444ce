//! Messages into books, as the ingest applies them.

use std::hint::black_box;

use feeds::MarketEvent;
use tickwire::market::Market;

/// Applies all messages of a reader. `next` appends the events of the next one, and says whether there was one.
pub(crate) fn into_books(market: &mut Market, mut next: impl FnMut(&mut Vec<MarketEvent>) -> bool) {
    let (mut events, mut changes) = (Vec::new(), Vec::new());
    while next(&mut events) {
        for event in &events {
            market.apply(event, &mut changes);
        }
        market.end_message();
        black_box(&changes);
        events.clear();
        changes.clear();
    }
}
