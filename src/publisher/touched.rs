//! What a message of the feed touched: what changed twice within it is published once.

use feeds::SymbolId;

/// What a message touched, by instrument: what changed twice within a message is published once.
pub(super) struct Touched {
    pub(super) symbols: Vec<SymbolId>,
    /// By instrument.
    pub(super) marks: Vec<Marks>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    is_listed: bool,
    pub(super) quote: bool,
    pub(super) ticker: bool,
    pub(super) status: bool,
    /// Position from the best of the shallowest change.
    pub(super) book: Option<usize>,
    /// A bit an interval.
    pub(super) bars: u8,
}

impl Touched {
    pub(super) fn new(instruments: usize) -> Self {
        Self { symbols: Vec::new(), marks: vec![Marks::default(); instruments] }
    }

    pub(super) fn mark(&mut self, symbol: SymbolId) -> &mut Marks {
        let marks = &mut self.marks[symbol.index()];
        if !std::mem::replace(&mut marks.is_listed, true) {
            self.symbols.push(symbol);
        }
        marks
    }
}
