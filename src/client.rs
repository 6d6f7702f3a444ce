//! The Rust client: follows topics, keeps their states from deltas, and proves each of them.
//!
//! One connection, no task of its own: whoever owns a [`Client`] drives it by awaiting [`Client::next`], so that thousands
//! of them fit into one process. A client checks `prev_seq` on every update and the checksum of every book that carries
//! one. A topic that fails is void until what it lacks has come again; the others go on. A connection that ends, falls
//! silent or breaks the protocol is made anew after a jittered back-off, with all subscriptions, which go on from the
//! states that are held.

mod admin;
mod backoff;
mod book;
mod capture;
mod connection;
mod event;
mod intake;
mod rest;
mod stream;
mod subscriptions;
mod tap;
mod token;
mod topic;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use feeds::clock::monotonic;
use feeds::{Exponent, Symbol, SymbolId, userinfo};
use rustc_hash::FxHashMap;
use tokio::time::Sleep;

use crate::limits::CLIENT_TOKEN_LOOK_EVERY;
use crate::state::Quote;
use crate::topic::{Channel, Depth, Rate, TopicId};
use crate::wire::{CloseCode, Encoding, OnOverflow, Return, Symbols};

pub use admin::{Administrator, Tapping};
pub use book::Book;
pub use capture::{
    AgainstError, Capture, CaptureError, Checked, Compared, Difference, Disagreement, PassedOver, Verdict,
    check as check_capture, compare as compare_capture,
};
pub use connection::ConnectError;
pub(crate) use connection::random;
pub use event::{Disconnect, Event, Stats, Update};
pub use rest::{Rest, RestError};
pub(crate) use stream::Stream;
pub use tap::{Observed, Sender, Tap};
pub use token::{Token, TokenError};
pub use topic::{Divergence, TextField};

use backoff::Backoff;
use connection::{Connection, Received};
use subscriptions::{Holdings, Subscriptions, Terms};
use topic::{Topic, Values};

/// How patient a client is, and how it wants its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// After how long without any message the connection counts as dead. The server sends a heartbeat each second.
    pub silence: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// The first wait before connecting anew; it doubles, and each is jittered down to its half.
    pub backoff_first: Duration,
    /// The longest wait. A connection that lasted longer makes the next wait the first one again.
    pub backoff_max: Duration,
    /// How data is written.
    pub encoding: Encoding,
    /// Whether the server is offered to compress what it sends.
    pub compress: bool,
    /// How often a topic is sent at most; trades are always sent as they are.
    pub max_frequency: Rate,
    /// What is to happen when the client does not keep up.
    pub on_overflow: OnOverflow,
    /// Bytes that the kernel may hold of what the client has not read yet (`SO_RCVBUF`, which Linux doubles for its own
    /// needs). `None`: it decides, and may come to hold tens of megabytes, which are old when they are read.
    pub receive_buffer: Option<u32>,
    /// What to say who it is by; `None`: it is nobody in particular.
    pub token: Option<Token>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            encoding: Encoding::default(),
            compress: false,
            max_frequency: Rate::default(),
            on_overflow: OnOverflow::default(),
            receive_buffer: None,
            token: None,
        }
    }
}

/// A connection to a server, and what is known through it.
pub struct Client {
    url: String,
    settings: ClientSettings,
    link: Link,
    backoff: Backoff,
    subscriptions: Subscriptions,
    /// Our own numbers of symbols, which have nothing to do with the server's.
    symbols: FxHashMap<Box<str>, SymbolId>,
    topics: FxHashMap<TopicId, Topic>,
    /// States of earlier connections, all of one epoch, for topics that this one was not granted yet.
    held: FxHashMap<TopicId, Topic>,
    /// The server's numbers of topics, of this connection, and ours.
    numbers: FxHashMap<TopicId, TopicId>,
    /// Of the last message; bounded by its size.
    events: VecDeque<Event>,
    last_request: i64,
    /// When to look for another token, once the server has said that this one is over soon.
    renew_at: Option<Instant>,
    stats: Stats,
    /// The last text message, for an owner that asked for it.
    kept: Option<String>,
}

enum Link {
    Up(Box<Connection>),
    /// The wait before the next attempt. Like the attempt itself, it survives a [`Client::next`] that is dropped: else
    /// one that is asked in a loop with a short timer would never come back.
    Waiting(Pin<Box<Sleep>>),
    Connecting(Connecting),
    /// For good.
    Closed {
        code: u16,
        reason: String,
    },
    /// Likewise, at a handshake.
    Refused {
        reason: String,
    },
    /// There never was one: what came over another is taken again, and nothing is sent.
    Recorded,
}

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, ClientError>> + Send>>;

/// Why there is nothing more to come.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection to begin with.
    #[error("no connection to {url}: {source}")]
    Connect {
        /// Where to.
        url: String,
        /// Why not.
        source: ConnectError,
    },
    /// Making the connection took longer than [`ClientSettings::connect_timeout`].
    #[error("no connection to {url} within {timeout:?}")]
    ConnectTimeout {
        /// Where to.
        url: String,
        /// How long it was tried.
        timeout: Duration,
    },
    /// The server lets nobody in who presents this, or nothing.
    #[error("the server does not let this client in (401): {reason}{ANOTHER}")]
    Refused {
        /// What the server says.
        reason: String,
    },
    /// The server closed the connection with a code that means: do not come back.
    #[error("closed by the server for good: {code} {reason}{}", advice(*code))]
    Closed {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
}

/// What to do about a token that is not taken.
const ANOTHER: &str =
    "; present another token: `tickwire token read` tells what is in one, and whether it would be taken";

/// What to do about a connection that was closed for what was presented.
fn advice(code: u16) -> &'static str {
    match CloseCode::from_code(code) {
        Some(CloseCode::AuthTimeout | CloseCode::AuthFailed) => ANOTHER,
        Some(CloseCode::TokenExpired) => {
            "; present another token: one that takes its place in the token file before its time goes on without a break"
        }
        Some(CloseCode::EntitlementRevoked) => {
            "; the token, its subject or the API key was taken back: whoever gave it may give another"
        }
        _ => "",
    }
}

impl Client {
    /// Connects to `url`, such as `ws://127.0.0.1:8080/v1/ws`.
    ///
    /// # Errors
    /// [`ClientError`] when there is no connection. Later on a connection that is lost is no error.
    pub async fn connect(url: impl Into<String>, settings: ClientSettings) -> Result<Self, ClientError> {
        let url = url.into();
        let connection = Connection::open(&url, &settings).await?;
        Ok(Self::new(url, settings, Link::Up(Box::new(connection))))
    }

    /// One that is given what a server sent once.
    fn of_recorded(url: &str, settings: ClientSettings) -> Self {
        Self::new(url.to_owned(), settings, Link::Recorded)
    }

    fn new(url: String, settings: ClientSettings, link: Link) -> Self {
        Self {
            url,
            link,
            backoff: Backoff::new(settings.backoff_first, settings.backoff_max),
            settings,
            subscriptions: Subscriptions::default(),
            symbols: FxHashMap::default(),
            topics: FxHashMap::default(),
            held: FxHashMap::default(),
            numbers: FxHashMap::default(),
            events: VecDeque::new(),
            last_request: 0,
            renew_at: None,
            stats: Stats::default(),
            kept: None,
        }
    }

    /// What happened next. Also sends what is to be sent, so that it must be awaited all the time.
    ///
    /// Cancel-safe: dropping it loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Closed`] once the server has closed for good, and [`ClientError::Refused`] once it does not let the client
    /// in again; it is the same on every further call.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match &mut self.link {
                Link::Up(connection) => {
                    let received = connection.receive(self.settings.silence).await;
                    self.stats.wire_bytes += connection.take_wire_bytes();
                    match received {
                        Ok(Received::Text(text)) => {
                            self.take(&text);
                            if let Some(kept) = &mut self.kept {
                                *kept = text;
                            }
                        }
                        Ok(Received::Binary(bytes)) => self.take_records(&bytes),
                        Ok(Received::Nothing) => {}
                        Err(disconnect) => self.disconnect(disconnect),
                    }
                    self.renew();
                }
                Link::Waiting(sleep) => {
                    sleep.as_mut().await;
                    let (url, settings) = (self.url.clone(), self.settings.clone());
                    self.link =
                        Link::Connecting(Box::pin(async move { Connection::open(&url, &settings).await }));
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(connection) => self.reconnected(connection),
                    Err(ClientError::Refused { reason }) => self.link = Link::Refused { reason },
                    Err(_) => {
                        self.stats.connect_failures += 1;
                        self.wait();
                    }
                },
                Link::Closed { code, reason } => {
                    return Err(ClientError::Closed { code: *code, reason: reason.clone() });
                }
                Link::Refused { reason } => {
                    return Err(ClientError::Refused { reason: reason.clone() });
                }
                Link::Recorded => std::future::pending().await,
            }
        }
    }

    /// Follows topics from now on, over reconnections too. Returns the number that the answering
    /// [`Event::Subscribed`] carries: several of them where there are more symbols than go into one request, none where
    /// there is no connection just now, because the next connection asks for everything anew.
    pub fn subscribe(&mut self, channel: Channel, symbols: Symbols) -> i64 {
        self.last_request += 1;
        let request = self.last_request;
        self.send("subscribe", channel, &symbols, request, None);
        self.subscriptions.add(channel, symbols);
        request
    }

    /// Follows topics no more. What is known of them is void at once.
    pub fn unsubscribe(&mut self, channel: Channel, symbols: &Symbols) -> i64 {
        self.last_request += 1;
        let request = self.last_request;
        self.send("unsubscribe", channel, symbols, request, None);
        for topics in [&mut self.topics, &mut self.held] {
            match symbols {
                Symbols::All => topics.retain(|_, topic| topic.channel() != channel),
                Symbols::Named(names) => {
                    for symbol in names.iter().filter_map(|name| self.symbols.get(name.as_str())) {
                        topics.remove(&TopicId::new(channel, *symbol));
                    }
                }
            }
        }
        self.subscriptions.remove(channel, symbols);
        request
    }

    /// Asks the server what time it is: how long [`Event::Pong`] takes is the way there and back. Returns the number that it
    /// carries. Without a connection none comes.
    pub fn ping(&mut self) -> i64 {
        self.last_request += 1;
        if let Link::Up(connection) = &mut self.link {
            connection.queue(&subscriptions::ping(self.last_request));
        }
        self.last_request
    }

    /// The state of a `quote` topic, if it is known.
    #[must_use]
    pub fn quote(&self, symbol: &str) -> Option<Quote> {
        match self.topic(Channel::Quote, symbol)?.values()? {
            Values::Quote(quote) => Some(*quote),
            _ => None,
        }
    }

    /// The state of a `book` topic, if it is known.
    #[must_use]
    pub fn book(&self, symbol: &str, depth: Depth) -> Option<&Book> {
        match self.topic(Channel::Book(depth), symbol)?.values()? {
            Values::Book(book) => Some(book),
            _ => None,
        }
    }

    /// The fields of a `ticker`, `bar` or `status` topic as they stand on the wire in JSON, by name, if it is known.
    #[must_use]
    pub fn fields(&self, channel: Channel, symbol: &str) -> Option<Cow<'_, [TextField]>> {
        self.topic(channel, symbol)?.texts()
    }

    /// The number of a topic's state, if it is known.
    #[must_use]
    pub fn seq(&self, channel: Channel, symbol: &str) -> Option<u64> {
        let topic = self.topic(channel, symbol)?;
        topic.values().map(|_| topic.seq())
    }

    /// The exponents of a followed topic's prices and sizes.
    #[must_use]
    pub fn exponents(&self, channel: Channel, symbol: &str) -> Option<(Exponent, Exponent)> {
        self.topic(channel, symbol).map(|topic| topic.scale().exponents())
    }

    /// The topics whose states are known, and the numbers of these, in no order.
    pub fn states(&self) -> impl Iterator<Item = (Channel, &Symbol, u64)> {
        let known = self.topics.values().filter(|topic| topic.values().is_some());
        known.map(|topic| (topic.channel(), topic.symbol(), topic.seq()))
    }

    /// From now on `tap` is shown what goes over this connection. Another connection has none.
    pub fn tap(&mut self, tap: Tap) {
        if let Link::Up(connection) = &mut self.link {
            connection.tap(tap);
        }
    }

    /// What happened, of what was taken already.
    fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// From now on [`Client::message`] has the messages. It is not the default because each takes memory for as long as
    /// nothing else comes.
    pub fn keep_messages(&mut self) {
        self.kept = Some(String::new());
    }

    /// The text message that the last events came from, as it was received, if messages are kept.
    /// [`Stats::frames`] tells a new one from the one before.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.kept.as_deref()
    }

    /// How many topics are followed and how many of them are known.
    #[must_use]
    pub fn topics(&self) -> (usize, usize) {
        (self.topics.len(), self.topics.values().filter(|topic| topic.values().is_some()).count())
    }

    /// Whether there is a connection, and compression was agreed on.
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        matches!(&self.link, Link::Up(connection) if connection.is_compressed())
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    fn topic(&self, channel: Channel, symbol: &str) -> Option<&Topic> {
        self.topics.get(&TopicId::new(channel, *self.symbols.get(symbol)?))
    }

    /// `held`: what of the symbols need not be sent as a whole.
    fn send(
        &mut self,
        method: &str,
        channel: Channel,
        symbols: &Symbols,
        request: i64,
        held: Option<&Holdings>,
    ) {
        // Without a connection it is sent with all other subscriptions when there is one.
        if let Link::Up(connection) = &mut self.link {
            let terms =
                Terms { rate: self.settings.max_frequency, on_overflow: self.settings.on_overflow, held };
            subscriptions::requests(method, channel, symbols, request, &terms, |text| {
                connection.queue(&text)
            });
        }
    }

    /// Presents the token that has taken the place of one which is over soon, as soon as there is one.
    fn renew(&mut self) {
        let (Some(at), Link::Up(connection), Some(token)) =
            (self.renew_at, &mut self.link, &self.settings.token)
        else {
            return;
        };
        let now = monotonic();
        if now < at {
            return;
        }
        self.renew_at = Some(now + CLIENT_TOKEN_LOOK_EVERY);
        // Whoever writes it may be about to: it is looked at again.
        if let Ok(token) = token.read()
            && connection.token() != Some(&token)
        {
            self.last_request += 1;
            connection.present(token, -self.last_request);
        }
    }

    /// Whether there is another token by now than this connection has presented.
    fn has_another_token(&self) -> bool {
        let Link::Up(connection) = &self.link else { return false };
        let token = self.settings.token.as_ref().and_then(|token| token.read().ok());
        token.is_some() && token.as_ref() != connection.token()
    }

    fn wait(&mut self) {
        self.link = Link::Waiting(Box::pin(tokio::time::sleep(self.backoff.next_wait())));
    }

    fn disconnect(&mut self, disconnect: Disconnect) {
        let topics = std::mem::take(&mut self.topics);
        self.held.extend(topics.into_iter().filter(|(_, topic)| topic.is_held()));
        self.numbers.clear();
        self.renew_at = None;
        if let Link::Up(connection) = &self.link
            && connection.age() > self.settings.backoff_max
        {
            self.backoff.reset();
        }
        let come_back = match &disconnect {
            Disconnect::Closed(code, _) => {
                CloseCode::from_code(*code).map_or(Return::Yes, CloseCode::come_back)
            }
            _ => Return::Yes,
        };
        let is_welcome = match come_back {
            Return::Yes => true,
            Return::WithNewToken => self.has_another_token(),
            Return::No => false,
        };
        match &disconnect {
            Disconnect::Closed(code, reason) if !is_welcome => {
                self.link = Link::Closed { code: *code, reason: reason.clone() };
            }
            _ if matches!(self.link, Link::Recorded) => {}
            _ => self.wait(),
        }
        self.events.push_back(Event::Disconnected(disconnect));
    }

    fn reconnected(&mut self, connection: Connection) {
        self.stats.reconnects += 1;
        self.link = Link::Up(Box::new(connection));
        for (method, channel, symbols) in self.subscriptions.all() {
            self.last_request += 1;
            let held = Holdings::new(self.held.values().filter(|topic| topic.channel() == channel));
            self.send(method, channel, &symbols, -self.last_request, held.as_ref());
        }
        self.events.push_back(Event::Reconnected);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match &self.link {
            Link::Up(_) => "up",
            Link::Waiting(_) => "waiting",
            Link::Connecting(_) => "connecting",
            Link::Closed { .. } | Link::Refused { .. } => "closed",
            Link::Recorded => "recorded",
        };
        f.debug_struct("Client")
            .field("url", &userinfo::hidden(&self.url))
            .field("link", &link)
            .field("stats", &self.stats)
            .finish()
    }
}

#[cfg(test)]
mod tests;
