//! One connection to a venue after the other, for some of the symbols, and what is asked by them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Bytes, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};
use tracing::field::{Empty, display};
use tracing::{Span, info, info_span, warn};

use super::intake::Intake;
use super::rest::{Answer, Rest, RestError};
use super::tape::Tape;
use super::venues::{Kind, List, Resync};
use super::{Standing, Turns};
use crate::clock::monotonic;
use crate::limits::{LIVE_BACKOFF_FIRST, LIVE_BACKOFF_MAX, LIVE_CONNECT_MAX, LIVE_MESSAGE_BYTES_MAX};
use crate::record::Body;
use crate::venue::{ConnectionId, Session, VenueError};
use crate::{Clock, TRACED, Timestamp};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A snapshot that was asked for, and of which symbol.
type Pending = Pin<Box<dyn Future<Output = (usize, Result<Answer, RestError>)>>>;

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
    #[error("the venue refuses: {0}")]
    Refused(String),
    #[error("the venue refuses the symbol `{0}`: {1}")]
    Symbol(String, #[source] RestError),
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error("nobody asks for messages any more")]
    Unwanted,
}

/// Where a venue is, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) url: String,
    /// What TLS is spoken with; `None`: it is not.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// Follows some symbols of a venue.
pub(super) struct Connector {
    pub(super) kind: &'static Kind,
    pub(super) address: Address,
    pub(super) rest: Option<Rc<Rest>>,
    pub(super) connection: ConnectionId,
    /// The numbers of its symbols.
    pub(super) symbols: Range<usize>,
    pub(super) silence_max: Duration,
    pub(super) turns: Turns,
    pub(super) intake: Rc<RefCell<Intake>>,
    pub(super) standing: Arc<Standing>,
    pub(super) tape: Tape,
    /// Attempts to connect since a connection stood for long.
    pub(super) attempts: u32,
}

/// Reads the list of instruments.
pub(super) async fn survey(
    kind: &Kind,
    address: &Address,
    rest: Option<&Rest>,
    symbols: &[&str],
    tape: &Tape,
) -> Result<Session, Fault> {
    let mut session = super::surveying(kind);
    let requests = match kind.list {
        List::All(list) => vec![list()],
        List::Named(list) => symbols.chunks(kind.request_symbols_max).map(list).collect(),
        List::Get(path) => {
            let rest = rest.expect("a venue that is asked by HTTP has an address for it");
            let mut events = Vec::new();
            let mut asked: Vec<&[&str]> = symbols.chunks(kind.request_symbols_max).rev().collect();
            while let Some(symbols) = asked.pop() {
                let Answer { url, mut payload } = match rest.get(&path(symbols)).await {
                    Ok(answer) => answer,
                    Err(error) if !error.is_of_the_request() => return Err(error.into()),
                    // One of them is wrong, and the venue does not say which.
                    Err(error) => match symbols {
                        [symbol] => return Err(Fault::Symbol((*symbol).to_owned(), error)),
                        _ => {
                            let (first, second) = symbols.split_at(symbols.len() / 2);
                            asked.extend([second, first]);
                            continue;
                        }
                    },
                };
                tape.note(Body::Answered { url: &url, payload: &payload });
                session.on_answer(&url, &mut payload, Timestamp(0), &mut events)?;
            }
            return Ok(session);
        }
    };
    let read = async {
        let mut socket = connect(address).await?;
        tape.connected(Clock::System.now(), &address.url);
        let mut requests = requests.into_iter();
        let mut events = Vec::new();
        while !is_listed(kind, &session, symbols) {
            if let Some(request) = requests.next() {
                send(&mut socket, request, tape).await?;
                sleep(kind.request_spacing).await;
            }
            let Some(mut payload) = payload(next(&mut socket).await?) else { continue };
            tape.note(Body::Received(&payload));
            if let Some(refusal) = refusal(&payload) {
                return Err(Fault::Refused(refusal));
            }
            session.on_message(ConnectionId(0), &mut payload, Timestamp(0), &mut events)?;
            events.clear();
        }
        Ok(())
    };
    let read = timeout(LIVE_CONNECT_MAX, read).await;
    tape.note(Body::Disconnected("the instruments are listed, or are not to be had"));
    // Whoever chooses among what is listed says which of them is not.
    if session.listed() == 0 {
        read.map_err(|_| Fault::Slow("the list of instruments"))??;
    }
    Ok(session)
}

fn is_listed(kind: &Kind, session: &Session, symbols: &[&str]) -> bool {
    match kind.list {
        List::All(_) => session.listed() > 0,
        List::Named(_) | List::Get(_) => symbols.iter().all(|symbol| session.lists(symbol)),
    }
}

impl Connector {
    /// Follows the venue until nobody asks for messages any more.
    pub(super) async fn run(mut self) {
        loop {
            let began = monotonic();
            let traced = self.traced();
            let Err(fault) = self.follow().await;
            // A venue that lets everyone in and throws them out again is not to be asked ever faster.
            self.attempts = match monotonic().duration_since(began) >= LIVE_BACKOFF_MAX {
                true => 1,
                false => self.attempts.saturating_add(1),
            };
            if matches!(fault, Fault::Unwanted) {
                return;
            }
            traced.record("otel.status_description", display(&fault));
            drop(traced);
            let pause = self.backoff();
            let Self { address: Address { url, .. }, connection, .. } = &self;
            warn!(url, connection = connection.0, %fault, pause_ms = pause.as_millis(), "the venue is lost");
            let now = Clock::System.now();
            self.tape.record(now, Body::Disconnected(&fault.to_string()));
            let is_unwanted = self.intake.borrow_mut().on_disconnect(self.connection, now).is_err();
            if is_unwanted {
                return;
            }
            sleep(pause).await;
        }
    }

    /// What a collector of traces is told of the next connection, from the attempt to make it.
    fn traced(&self) -> Span {
        info_span!(
            target: TRACED, parent: None, "feed connection",
            otel.kind = "client",
            // A query may hold a key.
            url.full = self.address.url.split('?').next(),
            feed.venue = self.kind.name,
            feed.connection = i64::from(self.connection.0),
            feed.symbols = i64::try_from(self.symbols.len()).unwrap_or(i64::MAX),
            // What makes it an error.
            otel.status_description = Empty,
        )
    }

    /// One connection, from its beginning to its end.
    async fn follow(&mut self) -> Result<Infallible, Fault> {
        let mut socket = timeout(LIVE_CONNECT_MAX, connect(&self.address))
            .await
            .map_err(|_| Fault::Slow("the connection"))??;
        let _open = self.standing.open();
        let url = self.address.url.as_str();
        info!(url, connection = self.connection.0, symbols = self.symbols.len(), "connected to the venue");
        let now = Clock::System.now();
        self.tape.connected(now, url);
        self.intake.borrow_mut().on_connect(self.connection, url, now)?;
        let mut requests = self.subscribe();
        let mut pace = interval(self.kind.request_spacing);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = monotonic();
        let mut is_asked = false;
        let mut snapshot = None;
        loop {
            tokio::select! {
                frame = next(&mut socket) => {
                    (heard, is_asked) = (monotonic(), false);
                    match payload(frame?) {
                        Some(payload) => self.on_message(payload)?,
                        None => self.intake.borrow_mut().forward()?,
                    }
                }
                (symbol, answer) = answered(&mut snapshot) => {
                    snapshot = None;
                    self.on_answer(symbol, answer)?;
                }
                _ = pace.tick() => {
                    let now = monotonic();
                    let silence = now.duration_since(heard);
                    if silence > self.silence_max {
                        return Err(Fault::Silent(self.silence_max));
                    }
                    if !self.kind.has_heartbeats && silence > self.silence_max / 2 && !is_asked {
                        is_asked = true;
                        self.in_time(write(&mut socket, Frame::Ping(Bytes::new()))).await?;
                    }
                    self.intake.borrow_mut().tell_lost()?;
                    // Nothing is asked for anew before all that is followed is subscribed.
                    match self.kind.resync {
                        _ if !requests.is_empty() => {}
                        Resync::Subscribe(count_max, ask) => {
                            let names = self.take_due(count_max, now).into_iter().map(|(_, name)| name);
                            let names: Vec<String> = names.collect();
                            if !names.is_empty() {
                                requests.extend(ask(&names.iter().map(String::as_str).collect::<Vec<_>>()));
                            }
                        }
                        Resync::Get(path) if snapshot.is_none() => snapshot = self.get(path, now),
                        Resync::Get(_) => {}
                    }
                    if !requests.is_empty()
                        && self.turns.come(now)
                        && let Some(request) = requests.pop_front()
                    {
                        self.in_time(send(&mut socket, request, &self.tape)).await?;
                    }
                }
            }
        }
    }

    /// What is sent must go as fast as what is heard must come.
    async fn in_time(&self, send: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
        timeout(self.silence_max, send).await.map_err(|_| Fault::Silent(self.silence_max))?
    }

    /// Asks for all symbols.
    fn subscribe(&self) -> VecDeque<String> {
        let mut intake = self.intake.borrow_mut();
        let now = monotonic();
        match self.kind.resync {
            Resync::Subscribe(..) => intake.ask(self.symbols.clone(), now),
            Resync::Get(_) => intake.want(self.symbols.clone(), now),
        }
        let names: Vec<&str> = intake.names(self.symbols.clone()).collect();
        names.chunks(self.kind.request_symbols_max).flat_map(self.kind.subscribe).collect()
    }

    /// The books whose snapshots are asked for now: those that are void, and those whose snapshots do not come.
    fn take_due(&self, count_max: usize, now: Instant) -> Vec<(usize, String)> {
        let mut intake = self.intake.borrow_mut();
        let due = intake.due(self.symbols.clone(), count_max, now);
        for &symbol in due.iter().filter(|&&symbol| intake.was_asked(symbol)) {
            warn!(url = self.address.url, symbol = intake.name(symbol), "the book is asked for anew");
            self.standing.add_resync();
        }
        intake.ask(due.iter().copied(), now);
        due.into_iter().map(|symbol| (symbol, intake.name(symbol).to_owned())).collect()
    }

    /// Asks for one snapshot by HTTP, if any is due.
    fn get(&self, path: fn(&str) -> String, now: Instant) -> Option<Pending> {
        let rest = Rc::clone(self.rest.as_ref()?);
        let (symbol, name) = self.take_due(1, now).pop()?;
        Some(Box::pin(async move { (symbol, rest.get(&path(&name)).await) }))
    }

    fn on_answer(&self, symbol: usize, answer: Result<Answer, RestError>) -> Result<(), Fault> {
        let ts_recv = Clock::System.now();
        let mut intake = self.intake.borrow_mut();
        let url = self.address.url.as_str();
        match answer {
            Ok(mut answer) => {
                self.tape.record(ts_recv, Body::Answered { url: &answer.url, payload: &answer.payload });
                if let Some(error) = intake.on_answer(self.connection, &mut answer, ts_recv)? {
                    warn!(url, symbol = intake.name(symbol), %error, "an answer that is not as documented");
                    intake.miss(symbol, monotonic());
                }
            }
            Err(error) => {
                warn!(url, symbol = intake.name(symbol), %error, "no snapshot");
                intake.miss(symbol, monotonic());
            }
        }
        Ok(())
    }

    fn on_message(&self, mut payload: Vec<u8>) -> Result<(), Fault> {
        let ts_recv = Clock::System.now();
        self.tape.record(ts_recv, Body::Received(&payload));
        let url = self.address.url.as_str();
        if let Some(refusal) = refusal(&payload) {
            warn!(url, refusal, "the venue refuses a request");
        }
        if let Some(error) = self.intake.borrow_mut().on_message(self.connection, &mut payload, ts_recv)? {
            warn!(url, %error, "a message that is not as documented");
        }
        Ok(())
    }

    /// The pause before the next attempt: twice as long each time, and of that between a half and all, so that many who
    /// lost a venue at once do not come back at once. The clock's nanoseconds are chance enough.
    fn backoff(&self) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        let longest = LIVE_BACKOFF_FIRST.saturating_mul(1 << doublings).min(LIVE_BACKOFF_MAX);
        let half = longest / 2;
        let chance = u128::from(Clock::System.now().0.unsigned_abs()) % (half.as_nanos() + 1);
        half + Duration::from_nanos(u64::try_from(chance).unwrap_or(0))
    }
}

async fn connect(address: &Address) -> Result<Socket, Fault> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LIVE_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(LIVE_MESSAGE_BYTES_MAX));
    let tls = match &address.tls {
        Some(config) => tokio_tungstenite::Connector::Rustls(Arc::clone(config)),
        None => tokio_tungstenite::Connector::Plain,
    };
    let connected = connect_async_tls_with_config(&address.url, Some(config), true, Some(tls)).await;
    connected.map(|(socket, _)| socket).map_err(|error| Fault::Connect(Box::new(error)))
}

async fn send(socket: &mut Socket, request: String, tape: &Tape) -> Result<(), Fault> {
    tape.note(Body::Sent(request.as_bytes()));
    write(socket, Frame::text(request)).await
}

async fn write(socket: &mut Socket, frame: Frame) -> Result<(), Fault> {
    socket.send(frame).await.map_err(|error| Fault::Broken(Box::new(error)))
}

/// The answer that is waited for, if any is. Cancel-safe: the request goes on.
async fn answered(pending: &mut Option<Pending>) -> (usize, Result<Answer, RestError>) {
    match pending {
        Some(pending) => pending.await,
        None => std::future::pending().await,
    }
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

/// The text of a message by which a venue refuses a request. Each of them has this word in it, in quotes, and none in
/// its market data.
fn refusal(payload: &[u8]) -> Option<String> {
    const BYTES_MAX: usize = 1_024;
    const WORD: &[u8] = b"\"error\"";
    let is_refusal = payload.len() <= BYTES_MAX && payload.windows(WORD.len()).any(|bytes| bytes == WORD);
    is_refusal.then(|| String::from_utf8_lossy(payload).into_owned())
}
