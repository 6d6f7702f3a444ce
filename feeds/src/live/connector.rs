//! The network's side of a live feed: one connection after the other, and what is asked by them.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tracing::{info, warn};

use super::tape::Tape;
use super::{Message, Reader, kraken};
use crate::clock::monotonic;
use crate::limits::{
    LIVE_BACKOFF_FIRST, LIVE_BACKOFF_MAX, LIVE_CONNECT_MAX, LIVE_MESSAGE_BYTES_MAX, LIVE_REQUEST_SPACING,
    LIVE_REQUEST_SYMBOLS_MAX, LIVE_RESYNC_SPACING, LIVE_SNAPSHOT_MAX,
};
use crate::record::Body;
use crate::venue::{ConnectionId, Session, VenueError};
use crate::{Clock, EventBody, MarketEvent, SymbolId, Timestamp};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One connection at a time.
const CONNECTION: ConnectionId = ConnectionId(0);

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cannot connect: {0}")]
    Connect(#[source] Box<tungstenite::Error>),
    #[error("{0} took longer than {limit} s", limit = LIVE_CONNECT_MAX.as_secs())]
    Slow(&'static str),
    #[error("the connection broke: {0}")]
    Broken(#[source] Box<tungstenite::Error>),
    #[error("the venue closed the connection")]
    Closed,
    #[error("silent for more than {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("a message that is not as documented: {0}")]
    Venue(#[from] VenueError),
    #[error("nobody asks for messages any more")]
    Unwanted,
}

/// Follows a venue.
pub(super) struct Connector {
    url: String,
    silence_max: Duration,
    clock: Clock,
    session: Session,
    queue: SyncSender<Message>,
    reader: Reader,
    tape: Tape,
    events: Vec<MarketEvent>,
    /// By symbol.
    books: Vec<Book>,
    /// To be sent, first come, first served. Two a symbol at most: its book is asked for anew only when its snapshot is due.
    requests: VecDeque<String>,
    /// Of messages that the queue had no room for.
    lost: BTreeSet<SymbolId>,
    /// Attempts to connect since a connection stood for long.
    attempts: u32,
}

/// What is known of a symbol's snapshot.
#[derive(Clone, Copy, Default)]
struct Book {
    /// When to ask for it again; `None`: it is here.
    due: Option<Instant>,
    /// When it was asked for last.
    asked: Option<Instant>,
}

impl Book {
    fn ask(&mut self, now: Instant) {
        self.asked = Some(now);
        self.due = Some(now + LIVE_SNAPSHOT_MAX);
    }

    /// It is void.
    fn lose(&mut self, now: Instant) {
        self.due = Some(self.asked.map_or(now, |asked| now.max(asked + LIVE_RESYNC_SPACING)));
    }
}

/// Connects, reads the list of instruments, and leaves.
pub(super) async fn survey(url: &str, tape: &Tape) -> Result<Session, Fault> {
    let read = async {
        let mut session = super::surveying();
        let mut socket = connect(url).await?;
        tape.note(Body::Connected(""));
        send(&mut socket, kraken::list_instruments(), tape).await?;
        let mut events = Vec::new();
        while session.listed() == 0 {
            if let Some(mut payload) = payload(next(&mut socket).await?) {
                tape.note(Body::Received(&payload));
                session.on_message(CONNECTION, &mut payload, Timestamp(0), &mut events)?;
                events.clear();
            }
        }
        tape.note(Body::Disconnected("its instruments are listed"));
        Ok(session)
    };
    timeout(LIVE_CONNECT_MAX, read).await.map_err(|_| Fault::Slow("the list of instruments"))?
}

impl Connector {
    pub(super) fn new(
        url: String,
        silence_max: Duration,
        session: Session,
        queue: SyncSender<Message>,
        reader: Reader,
        tape: Tape,
    ) -> Self {
        let books = vec![Book::default(); session.directory().instruments().len()];
        Self {
            url,
            silence_max,
            clock: Clock::System,
            session,
            queue,
            reader,
            tape,
            events: Vec::new(),
            books,
            requests: VecDeque::new(),
            lost: BTreeSet::new(),
            attempts: 0,
        }
    }

    /// Follows the venue until nobody asks for messages any more.
    pub(super) async fn run(mut self) {
        loop {
            let began = monotonic();
            let Err(fault) = self.follow().await;
            // A venue that lets everyone in and throws them out again is not to be asked ever faster.
            self.attempts = match monotonic().duration_since(began) >= LIVE_BACKOFF_MAX {
                true => 1,
                false => self.attempts.saturating_add(1),
            };
            if matches!(fault, Fault::Unwanted) {
                return;
            }
            let pause = self.backoff();
            warn!(url = self.url, %fault, pause_ms = pause.as_millis(), "the venue is lost");
            let now = self.clock.now();
            self.tape.record(now, Body::Disconnected(&fault.to_string()));
            // From here on nothing is known of any book, and whoever looks at one must see that.
            self.session.on_disconnect(CONNECTION, now, &mut self.events);
            if self.forward().is_err() {
                return;
            }
            sleep(pause).await;
        }
    }

    /// One connection, from its beginning to its end.
    async fn follow(&mut self) -> Result<Infallible, Fault> {
        let mut socket = timeout(LIVE_CONNECT_MAX, connect(&self.url))
            .await
            .map_err(|_| Fault::Slow("the connection"))??;
        info!(url = self.url, symbols = self.books.len(), "connected to the venue");
        let now = self.clock.now();
        self.tape.record(now, Body::Connected(""));
        self.session.on_connect(CONNECTION, &self.url, now, &mut self.events);
        self.forward()?;
        self.subscribe();
        let mut pace = interval(LIVE_REQUEST_SPACING);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = monotonic();
        loop {
            tokio::select! {
                frame = next(&mut socket) => {
                    heard = monotonic();
                    if let Some(payload) = payload(frame?) {
                        self.on_message(payload)?;
                    }
                }
                _ = pace.tick() => {
                    let now = monotonic();
                    if now.duration_since(heard) > self.silence_max {
                        return Err(Fault::Silent(self.silence_max));
                    }
                    self.tell_lost()?;
                    self.resync(now);
                    if let Some(request) = self.requests.pop_front() {
                        timeout(self.silence_max, send(&mut socket, request, &self.tape))
                            .await
                            .map_err(|_| Fault::Silent(self.silence_max))??;
                    }
                }
            }
        }
    }

    /// Asks for all symbols.
    fn subscribe(&mut self) {
        let now = monotonic();
        self.requests.clear();
        let names: Vec<&str> =
            self.session.directory().instruments().iter().map(|i| i.symbol.as_str()).collect();
        self.requests.extend(names.chunks(LIVE_REQUEST_SYMBOLS_MAX).flat_map(kraken::subscribe));
        for book in &mut self.books {
            book.ask(now);
        }
    }

    /// Asks anew for the books that are void, and for those whose snapshots do not come.
    fn resync(&mut self, now: Instant) {
        for (book, instrument) in self.books.iter_mut().zip(self.session.directory().instruments()) {
            if book.due.is_some_and(|due| due <= now) {
                let symbol = instrument.symbol.as_str();
                warn!(url = self.url, symbol, "the book is asked for anew");
                self.requests.extend(kraken::resync(symbol));
                book.ask(now);
            }
        }
    }

    fn on_message(&mut self, mut payload: Vec<u8>) -> Result<(), Fault> {
        let ts_recv = self.clock.now();
        self.tape.record(ts_recv, Body::Received(&payload));
        match self.session.follow(CONNECTION, &mut payload, ts_recv, &mut self.events) {
            Ok(None) => {}
            Ok(Some(error)) => warn!(url = self.url, %error, "a message that is not as documented"),
            Err(error) => {
                self.session.on_disconnect(CONNECTION, ts_recv, &mut self.events);
                return Err(error.into());
            }
        }
        let now = monotonic();
        for event in &self.events {
            let book = &mut self.books[event.symbol.index()];
            match event.body {
                EventBody::BookSnapshot(_) => book.due = None,
                EventBody::Gap { .. } => book.lose(now),
                _ => {}
            }
        }
        self.forward()
    }

    fn tell_gap(&mut self, symbol: SymbolId) {
        let now = self.clock.now();
        let body = EventBody::Gap { expected: 0, found: 0 };
        self.events.push(MarketEvent { symbol, ts_event: now, ts_recv: now, sequence: 0, body });
    }

    /// Hands the events over, as one message. It may hold none: it shows that the venue speaks.
    fn forward(&mut self) -> Result<(), Fault> {
        self.tell_lost()?;
        let events = std::mem::take(&mut self.events);
        if self.lost.is_empty() {
            self.hand_over(events)
        } else {
            self.lost.extend(events.iter().map(|event| event.symbol));
            Ok(())
        }
    }

    /// Tells the gaps of messages that were lost, as soon as there is room for that.
    fn tell_lost(&mut self) -> Result<(), Fault> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.events);
        let lost = std::mem::take(&mut self.lost);
        for &symbol in &lost {
            self.tell_gap(symbol);
        }
        let gaps = std::mem::replace(&mut self.events, events);
        self.hand_over(gaps)?;
        if self.lost.is_empty() {
            let now = monotonic();
            for symbol in lost {
                self.books[symbol.index()].lose(now);
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, events: Vec<MarketEvent>) -> Result<(), Fault> {
        match self.queue.try_send(Message { ts_recv: self.clock.now(), events }) {
            Ok(()) => {
                if let Some(reader) = self.reader.get() {
                    reader.unpark();
                }
                Ok(())
            }
            Err(TrySendError::Full(message)) if message.events.is_empty() => Ok(()),
            Err(TrySendError::Full(message)) => {
                if self.lost.is_empty() {
                    warn!(url = self.url, "messages are not taken fast enough: some are lost");
                }
                self.lost.extend(message.events.iter().map(|event| event.symbol));
                Ok(())
            }
            Err(TrySendError::Disconnected(_)) => Err(Fault::Unwanted),
        }
    }

    /// The pause before the next attempt: twice as long each time, and of that between a half and all, so that many who
    /// lost a venue at once do not come back at once. The clock's nanoseconds are chance enough.
    fn backoff(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        let longest = LIVE_BACKOFF_FIRST.saturating_mul(1 << doublings).min(LIVE_BACKOFF_MAX);
        let half = longest / 2;
        let chance = u128::from(self.clock.now().0.unsigned_abs()) % (half.as_nanos() + 1);
        half + Duration::from_nanos(u64::try_from(chance).unwrap_or(0))
    }
}

async fn connect(url: &str) -> Result<Socket, Fault> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIVE_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(LIVE_MESSAGE_BYTES_MAX));
    let connected = connect_async_with_config(url, Some(config), true).await;
    connected.map(|(socket, _)| socket).map_err(|error| Fault::Connect(Box::new(error)))
}

async fn send(socket: &mut Socket, request: String, tape: &Tape) -> Result<(), Fault> {
    tape.note(Body::Sent(request.as_bytes()));
    socket.send(Frame::text(request)).await.map_err(|error| Fault::Broken(Box::new(error)))
}

/// Cancel-safe: what was read of a frame stays with the socket.
async fn next(socket: &mut Socket) -> Result<Frame, Fault> {
    match socket.next().await {
        Some(Ok(frame)) => Ok(frame),
        Some(Err(error)) => Err(Fault::Broken(Box::new(error))),
        None => Err(Fault::Closed),
    }
}

/// What a session reads; `None` of the frames that keep a connection.
fn payload(frame: Frame) -> Option<Vec<u8>> {
    match frame {
        Frame::Text(text) => Some(text.as_bytes().to_vec()),
        Frame::Binary(bytes) => Some(bytes.to_vec()),
        _ => None,
    }
}
