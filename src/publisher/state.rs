//! The state of a topic as it was last published: what its next update is the difference to. Every channel is encoded
//! here and nowhere else, in each encoding that somebody wants.

use feeds::{Instrument, Level, SymbolId, Timestamp, Trade};

use super::levels::BookLevels;
use crate::market::{Market, checksum};
use crate::state::{Bar, Quote, Status, Ticker};
use crate::topic::{Interval, TopicId};
use crate::wire::binary::{self, BookSide, Head, Held};
use crate::wire::json::{self, Envelope};

/// A topic's state.
#[derive(Clone)]
pub(super) enum State {
    Quote(Quote),
    /// The newest one.
    Trade(Option<Trade>),
    Book(BookLevels),
    Ticker(Ticker),
    Bar(Interval, Option<Bar>),
    Status(Status),
}

/// Where present states are read from: the market, or of a gateway what has come by the bus.
pub(super) trait Present {
    fn quote(&self, symbol: SymbolId) -> Quote;
    /// Best first.
    fn bids(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone;
    /// Best first.
    fn asks(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone;
    fn ticker(&self, symbol: SymbolId) -> Ticker;
    fn status(&self, symbol: SymbolId) -> Status;
}

impl Present for Market {
    fn quote(&self, symbol: SymbolId) -> Quote {
        self.quote(symbol)
    }

    fn bids(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.book(symbol).bids()
    }

    fn asks(&self, symbol: SymbolId) -> impl DoubleEndedIterator<Item = Level> + ExactSizeIterator + Clone {
        self.book(symbol).asks()
    }

    fn ticker(&self, symbol: SymbolId) -> Ticker {
        self.ticker(symbol)
    }

    fn status(&self, symbol: SymbolId) -> Status {
        self.status(symbol)
    }
}

/// What is new of a topic: where the market's present state does not say it, the thing itself.
#[derive(Clone, Copy)]
pub(super) enum News {
    /// The market has it.
    State,
    Trade(Trade),
    /// The best so many levels are as they were.
    Book {
        from: usize,
    },
    /// Perhaps not the newest one any more.
    Bar(Bar),
}

/// Where a message is written: in each encoding that is wanted.
pub(super) struct Out<'a> {
    pub(super) json: Option<&'a mut Vec<u8>>,
    pub(super) binary: Option<&'a mut Vec<u8>>,
}

/// What a message is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) topic: TopicId,
    pub(super) instrument: &'a Instrument,
    pub(super) seq: u64,
    pub(super) merged: u32,
    pub(super) ts_event: Timestamp,
}

impl<'a> About<'a> {
    pub(super) fn envelope(&self) -> Envelope<'a> {
        Envelope { merged: self.merged, ..Envelope::new(self.instrument, self.seq, self.ts_event) }
    }

    pub(super) const fn head(&self) -> Head {
        Head { merged: self.merged, ..Head::new(self.topic, self.seq, self.ts_event) }
    }
}

impl State {
    /// Takes over the present state, and writes what differs; `false`: nothing does. `held`: number and time of the
    /// state before.
    pub(super) fn advance(
        &mut self,
        market: &impl Present,
        news: News,
        held: &Held,
        about: &About<'_>,
        out: &mut Out<'_>,
    ) -> bool {
        let symbol = about.topic.symbol();
        let prev_seq = held.seq;
        match (self, news) {
            (Self::Quote(old), _) => {
                let new = market.quote(symbol);
                if *old == new {
                    return false;
                }
                if let Some(out) = &mut out.json {
                    json::quote_update(out, &about.envelope(), prev_seq, old, &new);
                }
                if let Some(out) = &mut out.binary {
                    binary::quote_update(out, &about.head(), held, old, &new);
                }
                *old = new;
            }
            (Self::Trade(old), News::Trade(new)) => {
                if let Some(out) = &mut out.json {
                    json::trade_update(out, &about.envelope(), prev_seq, &new);
                }
                if let Some(out) = &mut out.binary {
                    binary::trade_update(out, &about.head(), held, old.as_ref(), &new);
                }
                *old = Some(new);
            }
            (Self::Book(levels), News::Book { from }) => {
                return advance_book(levels, market, from, held, about, out);
            }
            (Self::Ticker(old), _) => {
                let new = market.ticker(symbol);
                if *old == new {
                    return false;
                }
                if let Some(out) = &mut out.json {
                    json::ticker_update(out, &about.envelope(), prev_seq, old, &new);
                }
                if let Some(out) = &mut out.binary {
                    binary::ticker_update(out, &about.head(), held, old, &new);
                }
                *old = new;
            }
            (Self::Bar(interval, old), News::Bar(new)) => {
                if *old == Some(new) {
                    return false;
                }
                if let Some(out) = &mut out.json {
                    json::bar_update(out, &about.envelope(), prev_seq, *interval, old.as_ref(), &new);
                }
                if let Some(out) = &mut out.binary {
                    binary::bar_update(out, &about.head(), held, old.as_ref(), &new);
                }
                *old = Some(new);
            }
            (Self::Status(old), _) => {
                let new = market.status(symbol);
                if *old == new {
                    return false;
                }
                if let Some(out) = &mut out.json {
                    json::status_update(out, &about.envelope(), prev_seq, &new);
                }
                if let Some(out) = &mut out.binary {
                    binary::status_update(out, &about.head(), held, &new);
                }
                *old = new;
            }
            (Self::Trade(_) | Self::Book(_) | Self::Bar(..), _) => {
                unreachable!("news of another channel than the topic's")
            }
        }
        true
    }

    /// Writes the whole state.
    pub(super) fn write(&self, about: &About<'_>, epoch: &str, out: &mut Out<'_>) {
        let Out { json, binary } = out;
        match self {
            Self::Quote(quote) => {
                if let Some(out) = json {
                    json::quote_snapshot(out, &about.envelope(), epoch, quote);
                }
                if let Some(out) = binary {
                    binary::quote_snapshot(out, &about.head(), epoch, quote);
                }
            }
            Self::Trade(trade) => {
                if let Some(out) = json {
                    json::trade_snapshot(out, &about.envelope(), epoch, trade.as_ref());
                }
                if let Some(out) = binary {
                    binary::trade_snapshot(out, &about.head(), epoch, trade.as_ref());
                }
            }
            Self::Book(levels) => {
                let (depth, bids, asks) = (levels.depth, &levels.bids, &levels.asks);
                let checksum = checksum(asks.iter(), bids.iter());
                if let Some(out) = json {
                    let envelope = about.envelope();
                    json::book_snapshot(out, &envelope, epoch, depth, bids.iter(), asks.iter(), checksum);
                }
                if let Some(out) = binary {
                    let head = about.head();
                    binary::book_snapshot(out, &head, epoch, depth, bids.iter(), asks.iter(), checksum);
                }
            }
            Self::Ticker(ticker) => {
                if let Some(out) = json {
                    json::ticker_snapshot(out, &about.envelope(), epoch, ticker);
                }
                if let Some(out) = binary {
                    binary::ticker_snapshot(out, &about.head(), epoch, ticker);
                }
            }
            Self::Bar(interval, bar) => {
                if let Some(out) = json {
                    json::bar_snapshot(out, &about.envelope(), epoch, *interval, bar.as_ref());
                }
                if let Some(out) = binary {
                    binary::bar_snapshot(out, &about.head(), epoch, bar.as_ref());
                }
            }
            Self::Status(status) => {
                if let Some(out) = json {
                    json::status_snapshot(out, &about.envelope(), epoch, status);
                }
                if let Some(out) = binary {
                    binary::status_snapshot(out, &about.head(), epoch, status);
                }
            }
        }
    }

    /// What the market's state does not say of this one, when it is published at a rate.
    pub(super) fn news(&self) -> News {
        match self {
            Self::Bar(_, Some(bar)) => News::Bar(*bar),
            Self::Trade(Some(trade)) => News::Trade(*trade),
            Self::Book(_) => News::Book { from: 0 },
            _ => News::State,
        }
    }
}

fn advance_book(
    levels: &mut BookLevels,
    market: &impl Present,
    from: usize,
    held: &Held,
    about: &About<'_>,
    out: &mut Out<'_>,
) -> bool {
    let symbol = about.topic.symbol();
    if !levels.advance(market.bids(symbol), market.asks(symbol), from) {
        return false;
    }
    if out.json.is_none() && out.binary.is_none() {
        return true;
    }
    let checksum =
        levels.is_checksum_due(about.ts_event).then(|| checksum(market.asks(symbol), market.bids(symbol)));
    let (depth, bids, asks) = (levels.depth, &levels.bids, &levels.asks);
    if let Some(out) = &mut out.json {
        let envelope = about.envelope();
        json::book_update(out, &envelope, held.seq, depth, &bids.changed, &asks.changed, checksum);
    }
    if let Some(out) = &mut out.binary {
        let [bids, asks] = [bids, asks].map(|side| BookSide {
            best: side.best_before,
            changed: &side.changed,
            last: side.last_of(depth),
        });
        binary::book_update(out, &about.head(), held, &bids, &asks, checksum);
    }
    true
}
