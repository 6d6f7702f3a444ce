//! Live venues, over WebSockets.
//!
//! ```text
//!  socket ─► Connector ─┐
//!  socket ─► Connector ─┼─► Intake (Session) ─► bounded queue ─► Live (a Feed)
//!     HTTP ─► Rest ─────┘
//!               a thread of its own                        the thread that asks
//! ```
//!
//! The network's thread never waits for who asks: where the queue is full, messages are lost, and that is told as a gap
//! of each of their symbols. Whatever is lost, here or on the way, makes the books concerned void until the venue's next
//! snapshot, and that is asked for at once: for the symbols concerned on a gap or a wrong checksum, for all of a connection
//! by a new one. What the venues differ in is a table, `live/venues.rs`.

mod binance;
mod coinbase;
mod connector;
mod intake;
mod kraken;
mod queue;
mod rest;
mod tape;
pub mod tls;
mod venues;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::TryRecvError;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use self::connector::{Address, Connector};
use self::intake::Intake;
use self::queue::{Receiver, queue};
use self::rest::Rest;
use self::tape::Tape;
use self::venues::Kind;
use crate::limits::{LIVE_QUEUE_BYTES_MAX, LIVE_SYMBOLS_MAX};
use crate::record::RecorderHandle;
use crate::venue::{ConnectionId, Session};
use crate::{Connections, Feed, FeedError, Instrument, MarketEvent, Progress, Timestamp, userinfo};

/// Which venue, and what of it.
#[derive(Clone)]
pub struct LiveSettings {
    /// Its name: one of [`venues`].
    pub venue: String,
    /// Where it is, if not at its own address.
    pub url: Option<String>,
    /// Its names of the instruments.
    pub symbols: Vec<String>,
    /// A connection that is silent for so long is given up for a new one.
    pub silence_max: Duration,
    /// Records whatever is received and sent, as bytes.
    pub recorder: Option<RecorderHandle>,
}

/// Follows a live venue.
pub struct Live {
    instruments: Vec<Instrument>,
    messages: Receiver,
    reader: Reader,
    url: String,
    standing: Arc<Standing>,
    /// The network's thread ends when this does.
    _stop: oneshot::Sender<()>,
}

/// The thread that asks for messages, as soon as it is known.
type Reader = Arc<OnceLock<Thread>>;

/// How the connections stand, for whoever counts.
#[derive(Default)]
struct Standing {
    open: AtomicU64,
    lost: AtomicU64,
    resyncs: AtomicU64,
}

/// Whose turn it is to send a request: connections that share it take them one after the other.
struct Turns {
    spacing: Duration,
    /// When the first turn is that nobody has taken.
    free: Rc<Cell<Option<Instant>>>,
    /// The turn that was taken for the next request.
    taken: Option<Instant>,
}

impl Turns {
    fn new(spacing: Duration) -> Self {
        Self { spacing, free: Rc::default(), taken: None }
    }

    fn share(&self) -> Self {
        Self { spacing: self.spacing, free: Rc::clone(&self.free), taken: None }
    }

    /// Whether a request may be sent now; else its turn is kept.
    fn come(&mut self, now: Instant) -> bool {
        let turn = self.taken.unwrap_or_else(|| {
            let turn = self.free.get().map_or(now, |free| free.max(now));
            self.free.set(Some(turn + self.spacing));
            turn
        });
        self.taken = Some(turn).filter(|&turn| turn > now);
        self.taken.is_none()
    }
}

/// A connection that is open, until this is dropped: then it is lost.
struct OpenConnection(Arc<Standing>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
        self.0.lost.fetch_add(1, Ordering::Relaxed);
    }
}

impl Standing {
    fn open(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    fn add_resync(&self) {
        self.resyncs.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why a URL of a venue has none.
pub const NO_USERINFO: &str = "the URL of a venue has no name or password in it: they would not be sent";

/// The names of the venues that can be followed live.
pub fn venues() -> impl Iterator<Item = &'static str> {
    Kind::names()
}

impl Live {
    /// Connects to the venue, reads its list of instruments, and starts to follow the symbols.
    ///
    /// # Errors
    /// [`FeedError::Settings`] for a venue or symbols that cannot be, [`FeedError::Live`] when the venue cannot be
    /// reached, or does not list a symbol.
    pub fn open(settings: &LiveSettings) -> Result<Self, FeedError> {
        let LiveSettings { venue, url, symbols, silence_max, recorder } = settings;
        let kind = Kind::find(venue).ok_or_else(|| {
            let known = venues().collect::<Vec<_>>().join(", ");
            FeedError::Settings(format!("`{venue}` is no live venue that is known here: {known}"))
        })?;
        if symbols.is_empty() || symbols.len() > LIVE_SYMBOLS_MAX {
            let count = symbols.len();
            let reason = format!("a live feed takes 1 to {LIVE_SYMBOLS_MAX} symbols, not {count}");
            return Err(FeedError::Settings(reason));
        }
        check_books(kind, symbols)?;
        if url.as_deref().is_some_and(userinfo::is_in) {
            return Err(FeedError::Settings(NO_USERINFO.to_owned()));
        }
        let url = url.clone().unwrap_or_else(|| kind.url.to_owned());
        let wrong = |reason: String| FeedError::Live { url: url.clone(), reason };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| wrong(format!("no runtime: {error}")))?;
        let is_tls = url.starts_with("wss:");
        let tls = is_tls.then(tls::config).transpose().map_err(wrong)?;
        let rest = kind.rest.map(|base| Rest::new(rest_base(kind, base, &url), tls.clone()));
        let address = Address { url: url.clone(), tls };
        let parts = pool(symbols.len(), kind.connection_symbols_max);
        // Each connection is a source of its own, by its name.
        let tapes = (1..=parts.len()).map(|number| {
            let name = if number == 1 { url.clone() } else { format!("{url}#{number}") };
            Tape::new(recorder.as_ref(), kind, &name)
        });
        let tapes = tapes.collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
        let session = runtime
            .block_on(connector::survey(kind, &address, rest.as_ref(), &names, &tapes[0]))
            .map_err(|fault| wrong(fault.to_string()))?;
        let session = session.choose(names).map_err(|error| wrong(error.to_string()))?;
        let mut instruments = session.directory().instruments().to_vec();
        instruments.iter_mut().for_each(|instrument| instrument.begins_stale = true);

        let (queue, messages) = queue(LIVE_QUEUE_BYTES_MAX);
        let (stop, stopped) = oneshot::channel();
        let (reader, standing) = (Reader::default(), Arc::<Standing>::default());
        let intake = Intake::new(session, queue, Arc::clone(&reader));
        let (silence_max, counted) = (*silence_max, Arc::clone(&standing));
        let start = move || {
            let (intake, rest) = (Rc::new(RefCell::new(intake)), rest.map(Rc::new));
            let turns = Turns::new(kind.request_spacing);
            let connectors =
                (0..).map(ConnectionId).zip(parts).zip(tapes).map(|((connection, symbols), tape)| {
                    let (address, standing) = (address.clone(), Arc::clone(&counted));
                    let (intake, rest) = (Rc::clone(&intake), rest.clone());
                    let turns =
                        if kind.spacing_is_shared { turns.share() } else { Turns::new(kind.request_spacing) };
                    Connector {
                        kind,
                        address,
                        rest,
                        connection,
                        symbols,
                        silence_max,
                        turns,
                        intake,
                        standing,
                        tape,
                        attempts: 0,
                    }
                });
            follow(&runtime, connectors.collect(), stopped);
        };
        std::thread::Builder::new()
            .name("live".to_owned())
            .spawn(start)
            .map_err(|error| wrong(format!("no thread: {error}")))?;
        Ok(Self { instruments, messages, reader, url, standing, _stop: stop })
    }
}

/// Refuses symbols that the venue tells of by one name: nobody could say which of them a message is about.
fn check_books(kind: &Kind, symbols: &[String]) -> Result<(), FeedError> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for symbol in symbols {
        let name = (kind.one_book)(symbol);
        if let Some(other) = seen.insert(name, symbol).filter(|other| other != symbol) {
            return Err(FeedError::Settings(format!(
                "`{other}` and `{symbol}` are one book of {}, whose messages come as `{name}`: follow one of them",
                kind.name
            )));
        }
    }
    Ok(())
}

/// Where requests by HTTP go: to where the WebSockets are, unless those are the venue's own.
fn rest_base(kind: &Kind, base: &str, url: &str) -> String {
    if url == kind.url {
        return base.to_owned();
    }
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split('/').next().unwrap_or(rest);
    format!("{}://{authority}", if scheme == "wss" { "https" } else { "http" })
}

/// The symbols of each connection, by number: as many a connection as each other, or one more.
fn pool(symbols: usize, connection_symbols_max: usize) -> Vec<Range<usize>> {
    let connections = symbols.div_ceil(connection_symbols_max);
    let begin = |connection: usize| connection * symbols / connections;
    (0..connections).map(|connection| begin(connection)..begin(connection + 1)).collect()
}

/// The network's thread: until the feed is dropped.
fn follow(runtime: &Runtime, connectors: Vec<Connector>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {}
            // A panic in one ends all: a part that has silently ended would look like a market in which nothing happens.
            _ = join_all(connectors.into_iter().map(Connector::run)) => {}
        }
    });
}

impl Feed for Live {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn begin(&mut self, _now: Timestamp) {
        self.reader.get_or_init(std::thread::current);
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        match self.messages.try_recv() {
            Ok(mut message) => {
                events.append(&mut message.events);
                Ok(Progress::Message { due: message.ts_recv })
            }
            Err(TryRecvError::Empty) => Ok(Progress::Waiting),
            Err(TryRecvError::Disconnected) => {
                let reason = "the thread that follows it has ended".to_owned();
                Err(FeedError::Live { url: self.url.clone(), reason })
            }
        }
    }

    fn connections(&self) -> Connections {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Standing { open, lost, resyncs } = &*self.standing;
        Connections { open: read(open), lost: read(lost), resyncs: read(resyncs) }
    }
}

/// A session that learns the venue's instruments.
fn surveying(kind: &Kind) -> Session {
    Session::survey(kind.venue, kind.url).expect("a venue that is known here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_spread_over_no_more_connections_than_are_needed() {
        let lengths = |symbols| pool(symbols, 3).iter().map(ExactSizeIterator::len).collect::<Vec<_>>();
        assert_eq!([1, 3, 4, 7].map(lengths), [vec![1], vec![3], vec![2, 2], vec![2, 2, 3]]);
        assert!(pool(7, 3).into_iter().flatten().eq(0..7));
    }

    #[test]
    fn connections_that_share_their_turns_take_them_one_after_the_other() {
        let start = crate::clock::monotonic();
        let spacing = Duration::from_millis(100);
        let at = |millis| start + Duration::from_millis(millis);
        let (mut one, mut two) = (Turns::new(spacing), Turns::new(spacing));
        assert!(one.come(start) && two.come(start), "each has its own");

        let mut one = Turns::new(spacing);
        let (mut two, mut three) = (one.share(), one.share());
        assert!(one.come(start));
        assert!(!two.come(at(1)) && !three.come(at(2)) && !one.come(at(3)), "it was the first's turn");
        assert!(!three.come(at(199)) && two.come(at(100)), "in the order of asking");
        assert!(!two.come(at(101)) && three.come(at(200)) && !one.come(at(299)));
        assert!(one.come(at(350)) && two.come(at(400)));
        assert!(three.come(at(10_000)) && !one.come(at(10_000)), "what nobody took is no stock of turns");
    }

    #[test]
    fn names_of_one_book_are_refused_together() {
        let kind = Kind::find("coinbase").expect("known");
        let check = |symbols: &[&str]| {
            check_books(kind, &symbols.iter().map(|&symbol| symbol.to_owned()).collect::<Vec<_>>())
        };
        check(&["BTC-USD", "ETH-USDC", "USDC-EUR"]).expect("three books");
        let refused = check(&["ETH-USD", "BTC-USDC", "BTC-USD"]).expect_err("two books").to_string();
        assert!(refused.contains("`BTC-USDC` and `BTC-USD` are one book of coinbase"), "{refused}");
    }

    #[test]
    fn requests_go_where_the_sockets_are() {
        let kind = Kind::find("binance").expect("known");
        let base = |url| rest_base(kind, "https://own", url);
        assert_eq!(base(kind.url), "https://own");
        assert_eq!(base("ws://127.0.0.1:8080/stream"), "http://127.0.0.1:8080");
        assert_eq!(base("wss://[::1]:9443"), "https://[::1]:9443");
    }

    #[test]
    fn every_venue_is_one_that_sessions_know() {
        for kind in venues().filter_map(Kind::find) {
            assert_eq!(surveying(kind).directory().venue(), kind.venue, "{}", kind.name);
        }
    }
}
