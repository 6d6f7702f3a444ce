//! A live feed, and the books that a slow and obvious model makes of its events.

use std::collections::BTreeMap;
use std::thread::park_timeout;
use std::time::Duration;

use feeds::clock::monotonic;
use feeds::live::{Live, LiveSettings};
use feeds::record::RecorderHandle;
use feeds::{BookChecksum, Connections, EventBody, Feed, FeedError, MarketEvent, Progress, Side, Timestamp};

use super::fake::Venue;
use super::fake::server::Book;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    feed: Live,
    symbols: Vec<String>,
    books: BTreeMap<String, Followed>,
    /// (symbol, price, size, number)
    pub(crate) trades: Vec<(String, i64, i64, Option<u64>)>,
    pub(crate) statuses: Vec<String>,
    pub(crate) agreed: u64,
    pub(crate) disagreed: u64,
    /// Everything, by symbol.
    pub(crate) events: Vec<(String, MarketEvent)>,
}

#[derive(Default)]
struct Followed {
    book: Book,
    is_stale: bool,
    gaps: u64,
}

impl Client {
    pub(crate) fn open<V: Venue>(
        venue: &V,
        symbols: &[&str],
        silence_max: Duration,
        recorder: Option<RecorderHandle>,
    ) -> Result<Self, FeedError> {
        let symbols: Vec<String> = symbols.iter().map(|&symbol| symbol.to_owned()).collect();
        let settings = LiveSettings {
            venue: V::NAME.to_owned(),
            url: Some(venue.url()),
            symbols: symbols.clone(),
            silence_max,
            recorder,
        };
        let mut feed = std::thread::scope(|scope| {
            scope.spawn(|| venue.list_instruments(&symbols.iter().map(String::as_str).collect::<Vec<_>>()));
            Live::open(&settings)
        })?;
        feed.begin(Timestamp(0));
        let books = symbols.iter().map(|symbol| (symbol.clone(), Followed::default())).collect();
        let (trades, statuses) = (Vec::new(), Vec::new());
        let (agreed, disagreed, events) = (0, 0, Vec::new());
        Ok(Self { feed, symbols, books, trades, statuses, agreed, disagreed, events })
    }

    /// Takes messages until it is as it should be.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = monotonic();
        let mut events = Vec::new();
        while !is_so(self) {
            assert!(monotonic().duration_since(start) < PATIENCE, "not within {PATIENCE:?}: {what}");
            events.clear();
            match self.feed.next_message(&mut events).expect("a feed that goes on") {
                Progress::Message { .. } => events.iter().for_each(|event| self.apply(event)),
                Progress::Waiting => park_timeout(PATIENCE),
                other => panic!("{other:?} from a live feed"),
            }
        }
    }

    /// Whether all books are the venue's.
    pub(crate) fn has(&self, venue: &impl Venue) -> bool {
        self.symbols.iter().all(|symbol| self.has_book(venue, symbol))
    }

    pub(crate) fn has_book(&self, venue: &impl Venue, symbol: &str) -> bool {
        let followed = &self.books[symbol];
        !followed.is_stale && followed.book == *venue.book(symbol)
    }

    pub(crate) fn is_stale(&self, symbol: &str) -> bool {
        self.books[symbol].is_stale
    }

    /// Of the first two symbols.
    pub(crate) fn gaps(&self) -> [u64; 2] {
        [0, 1].map(|index| self.gaps_of(&self.symbols[index]))
    }

    pub(crate) fn gaps_of(&self, symbol: &str) -> u64 {
        self.books[symbol].gaps
    }

    /// How the connections stand.
    pub(crate) fn connections(&self) -> Connections {
        self.feed.connections()
    }

    /// (venue, exponents of price and size, currency)
    pub(crate) fn instrument(&self, symbol: &str) -> (&str, i8, i8, Option<&str>) {
        let instruments = self.feed.instruments();
        let found = instruments.iter().find(|i| i.symbol.as_str() == symbol).expect("one of ours");
        (found.venue, found.price_exponent.get(), found.size_exponent.get(), found.currency.as_deref())
    }

    fn apply(&mut self, event: &MarketEvent) {
        let symbol = self.feed.instruments()[event.symbol.index()].symbol.as_str();
        self.events.push((symbol.to_owned(), event.clone()));
        let Followed { book, is_stale, gaps } = self.books.get_mut(symbol).expect("one of ours");
        match &event.body {
            EventBody::BookSnapshot(snapshot) => {
                *is_stale = false;
                *book = Book::default();
                for (side, levels) in [("bids", &snapshot.bids), ("asks", &snapshot.asks)] {
                    levels.iter().for_each(|level| book.set(side, level.price.0, level.size.0));
                }
            }
            EventBody::LevelSet { side, level } if !*is_stale => {
                let side = if *side == Side::Bid { "bids" } else { "asks" };
                book.set(side, level.price.0, level.size.0);
            }
            EventBody::Gap { .. } => {
                *book = Book::default();
                *is_stale = true;
                *gaps += 1;
            }
            EventBody::BookClear => *book = Book::default(),
            EventBody::BookChecksum(BookChecksum::Checked { agrees }) => {
                self.agreed += u64::from(*agrees);
                self.disagreed += u64::from(!agrees);
            }
            EventBody::Trade(trade) => {
                self.trades.push((symbol.to_owned(), trade.price.0, trade.size.0, trade.id));
            }
            EventBody::Status { status, reason } => self.statuses.push(format!("{status:?} {reason}")),
            _ => {}
        }
    }
}
