//! The Rust client: follows topics, keeps their states from deltas, and proves each of them.
//!
//! One connection, no task of its own: whoever owns a [`Client`] drives it by awaiting [`Client::next`], so that thousands
//! of them fit into one process. A client checks `prev_seq` on every update and the checksum of every book that carries
//! one. A topic that fails is void until it was subscribed to anew; the others go on. A connection that ends, falls
//! silent or breaks the protocol is made anew after a jittered back-off, with all subscriptions.

mod backoff;
mod book;
mod connection;
mod subscriptions;
mod topic;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use feeds::{Exponent, Symbol, SymbolId, Timestamp, Trade};
use rustc_hash::FxHashMap;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::{self, Utf8Bytes};

use crate::limits::RESYNCS_IN_A_ROW_MAX;
use crate::state::Quote;
use crate::topic::{Channel, Depth, TopicId};
use crate::wire::decode::{Ack, Base, Gap, GrantedTopic, Head, decode};
use crate::wire::{CloseCode, ReqId, Return, ServerMessage, Symbols};

pub use book::Book;
pub use topic::{Divergence, TextField};

use backoff::Backoff;
use connection::{Connection, Received};
use subscriptions::Subscriptions;
use topic::{Applied, Topic, Values};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// After how long without any message the connection counts as dead. The server sends a heartbeat each second.
    pub silence: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// The first wait before connecting anew; it doubles, and each is jittered down to its half.
    pub backoff_first: Duration,
    /// The longest wait. A connection that lasted longer makes the next wait the first one again.
    pub backoff_max: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            backoff_first: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
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
    /// Of the last message; bounded by its size.
    events: VecDeque<Event>,
    last_request: i64,
    stats: Stats,
    /// The last text message, for an owner that asked for it.
    kept: Option<Utf8Bytes>,
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
}

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, ClientError>> + Send>>;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A topic's state changed; it can be read from the client. Of several in one message the newest is readable.
    State(Update),
    /// A trade printed. The trade of a snapshot is [`Event::State`]: it is not new.
    Trade(Update, Trade),
    /// The server lost that many messages of a topic for this client, and says so.
    Gap {
        /// The topic's channel.
        channel: Channel,
        /// The topic's instrument.
        symbol: Symbol,
        /// How many.
        lost: u64,
    },
    /// A topic is not what the server has: it is void, and is being subscribed to anew.
    Diverged {
        /// The topic's channel.
        channel: Channel,
        /// The topic's instrument.
        symbol: Symbol,
        /// How that showed.
        divergence: Divergence,
    },
    /// A subscription was answered.
    Subscribed {
        /// What [`Client::subscribe`] returned; negative: the client asked on its own.
        request: i64,
        /// The channel.
        channel: Channel,
        /// How many symbols are followed from now on.
        granted: usize,
        /// Whether more of the answer follows: one to very many symbols comes in parts.
        more: bool,
        /// The symbols that are not, and the error code of each.
        rejected: Vec<(String, String)>,
    },
    /// A request failed.
    Failed {
        /// What the method that asked returned, as far as the server could tell.
        request: Option<i64>,
        /// The error code.
        code: String,
        /// For people.
        message: String,
    },
    /// The stream began anew: everything of the epoch before is void.
    Epoch(Arc<str>),
    /// Nothing happened for a second, and the connection lives.
    Heartbeat {
        /// The age of what is being sent to this client.
        lag: Duration,
        /// Whether this client does not keep up, and gets merged states.
        laggard: bool,
    },
    /// The connection is gone; everything is void. The next call of [`Client::next`] works on a new one.
    Disconnected(Disconnect),
    /// There is a connection again, and the subscriptions were asked for.
    Reconnected,
}

/// Which topic is in which state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The topic's channel.
    pub channel: Channel,
    /// The topic's instrument.
    pub symbol: Symbol,
    /// Number of the state.
    pub seq: u64,
    /// The venue's time of it, in whole microseconds.
    pub ts_event: Timestamp,
    /// Whether it came as a whole.
    pub is_snapshot: bool,
    /// How many changes since the last state are in it. 0: it came as a whole, and in the place of nothing.
    pub merged: u64,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// The server closed it, with that code and reason.
    Closed(u16, String),
    /// It ended without a close frame, or failed.
    Broken(String),
    /// Nothing came for [`ClientSettings::silence`].
    Silent,
    /// The server sent what is not the protocol.
    Malformed(String),
    /// A topic diverged again and again.
    Hopeless,
}

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(code, reason) => write!(f, "closed by the server: {code} {reason}"),
            Self::Broken(reason) => write!(f, "connection lost: {reason}"),
            Self::Silent => f.write_str("the server is silent"),
            Self::Malformed(what) => write!(f, "the server does not keep to the protocol: {what}"),
            Self::Hopeless => f.write_str("a topic diverged again and again"),
        }
    }
}

/// What a client counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Text messages.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects in them.
    pub messages: u64,
    /// Snapshots that were applied.
    pub snapshots: u64,
    /// Updates that were applied.
    pub updates: u64,
    /// Changes in those updates, and in snapshots that came in the place of updates.
    pub merged: u64,
    /// Updates whose `prev_seq` was not the state's number.
    pub gaps: u64,
    /// Messages that the server said it lost.
    pub lost: u64,
    /// Checksums that agreed.
    pub checksums_ok: u64,
    /// Checksums that did not.
    pub checksums_failed: u64,
    /// Data messages that were not applied: of topics that are void, or not followed any more.
    pub ignored: u64,
    /// Connections that were made after the first.
    pub reconnects: u64,
    /// Attempts at that which failed.
    pub connect_failures: u64,
}

/// Why there is nothing more to come.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no connection to begin with.
    #[error("no connection to {url}: {source}")]
    Connect {
        /// Where to.
        url: String,
        /// Why not.
        source: Box<tungstenite::Error>,
    },
    /// Making the connection took longer than [`ClientSettings::connect_timeout`].
    #[error("no connection to {url} within {timeout:?}")]
    ConnectTimeout {
        /// Where to.
        url: String,
        /// How long it was tried.
        timeout: Duration,
    },
    /// The server closed the connection with a code that means: do not come back.
    #[error("closed by the server for good: {code} {reason}")]
    Closed {
        /// The code.
        code: u16,
        /// The reason.
        reason: String,
    },
}

impl Client {
    /// Connects to `url`, such as `ws://127.0.0.1:8080/v1/ws`.
    ///
    /// # Errors
    /// [`ClientError`] when there is no connection. Later on a connection that is lost is no error.
    pub async fn connect(url: impl Into<String>, settings: ClientSettings) -> Result<Self, ClientError> {
        let url = url.into();
        let connection = Connection::open(&url, settings.connect_timeout).await?;
        Ok(Self {
            url,
            settings,
            link: Link::Up(Box::new(connection)),
            backoff: Backoff::new(settings.backoff_first, settings.backoff_max),
            subscriptions: Subscriptions::default(),
            symbols: FxHashMap::default(),
            topics: FxHashMap::default(),
            events: VecDeque::new(),
            last_request: 0,
            stats: Stats::default(),
            kept: None,
        })
    }

    /// What happened next. Also sends what is to be sent, so that it must be awaited all the time.
    ///
    /// Cancel-safe: dropping it loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Closed`] once the server has closed for good; it is the same on every further call.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            match &mut self.link {
                Link::Up(connection) => match connection.receive(self.settings.silence).await {
                    Ok(Received::Text(text)) => {
                        self.take(&text);
                        if let Some(kept) = &mut self.kept {
                            *kept = text;
                        }
                    }
                    Ok(Received::Nothing) => {}
                    Err(disconnect) => self.disconnect(disconnect),
                },
                Link::Waiting(sleep) => {
                    sleep.as_mut().await;
                    let (url, patience) = (self.url.clone(), self.settings.connect_timeout);
                    self.link =
                        Link::Connecting(Box::pin(async move { Connection::open(&url, patience).await }));
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(connection) => self.reconnected(connection),
                    Err(_) => {
                        self.stats.connect_failures += 1;
                        self.wait();
                    }
                },
                Link::Closed { code, reason } => {
                    return Err(ClientError::Closed { code: *code, reason: reason.clone() });
                }
            }
        }
    }

    /// Follows topics from now on, over reconnections too. Returns the number that the answering
    /// [`Event::Subscribed`] carries: several of them where there are more symbols than go into one request, none where
    /// there is no connection just now, because the next connection asks for everything anew.
    pub fn subscribe(&mut self, channel: Channel, symbols: Symbols) -> i64 {
        self.last_request += 1;
        let request = self.last_request;
        self.send("subscribe", channel, &symbols, request);
        self.subscriptions.add(channel, symbols);
        request
    }

    /// Follows topics no more. What is known of them is void at once.
    pub fn unsubscribe(&mut self, channel: Channel, symbols: &Symbols) -> i64 {
        self.last_request += 1;
        let request = self.last_request;
        self.send("unsubscribe", channel, symbols, request);
        match symbols {
            Symbols::All => self.topics.retain(|_, topic| topic.channel() != channel),
            Symbols::Named(names) => {
                for name in names {
                    if let Some(&symbol) = self.symbols.get(name.as_str()) {
                        self.topics.remove(&TopicId::new(channel, symbol));
                    }
                }
            }
        }
        self.subscriptions.remove(channel, symbols);
        request
    }

    /// The state of a `quote` topic, if it is known.
    #[must_use]
    pub fn quote(&self, symbol: &str) -> Option<Quote> {
        match self.topic(Channel::Quote, symbol)?.values()? {
            Values::Quote(quote) => quote.whole(),
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

    /// The fields of a `ticker`, `bar` or `status` topic as they stand on the wire, by name, if it is known.
    #[must_use]
    pub fn fields(&self, channel: Channel, symbol: &str) -> Option<&[TextField]> {
        match self.topic(channel, symbol)?.values()? {
            Values::Texts(texts) => Some(texts),
            _ => None,
        }
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

    /// From now on [`Client::message`] has the messages. It is not the default because the memory of a whole read buffer
    /// may hang on each.
    pub fn keep_messages(&mut self) {
        self.kept = Some(Utf8Bytes::default());
    }

    /// The text message that the last events came from, as it was received, if messages are kept.
    /// [`Stats::frames`] tells a new one from the one before.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.kept.as_ref().map(Utf8Bytes::as_str)
    }

    /// How many topics are followed and how many of them are known.
    #[must_use]
    pub fn topics(&self) -> (usize, usize) {
        (self.topics.len(), self.topics.values().filter(|topic| topic.values().is_some()).count())
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    fn topic(&self, channel: Channel, symbol: &str) -> Option<&Topic> {
        self.topics.get(&TopicId::new(channel, *self.symbols.get(symbol)?))
    }

    fn send(&mut self, method: &str, channel: Channel, symbols: &Symbols, request: i64) {
        // Without a connection it is sent with all other subscriptions when there is one.
        if let Link::Up(connection) = &mut self.link {
            subscriptions::requests(method, channel, symbols, request, |text| connection.queue(text));
        }
    }

    fn wait(&mut self) {
        self.link = Link::Waiting(Box::pin(tokio::time::sleep(self.backoff.next_wait())));
    }

    fn disconnect(&mut self, disconnect: Disconnect) {
        self.topics.clear();
        if let Link::Up(connection) = &self.link
            && connection.age() > self.settings.backoff_max
        {
            self.backoff.reset();
        }
        match &disconnect {
            Disconnect::Closed(code, reason)
                if CloseCode::from_code(*code).is_some_and(|code| code.come_back() != Return::Yes) =>
            {
                self.link = Link::Closed { code: *code, reason: reason.clone() };
            }
            _ => self.wait(),
        }
        self.events.push_back(Event::Disconnected(disconnect));
    }

    fn reconnected(&mut self, connection: Connection) {
        self.stats.reconnects += 1;
        self.link = Link::Up(Box::new(connection));
        for (method, channel, symbols) in self.subscriptions.all() {
            self.last_request += 1;
            self.send(method, channel, &symbols, -self.last_request);
        }
        self.events.push_back(Event::Reconnected);
    }

    /// Takes one text message.
    fn take(&mut self, text: &str) {
        self.stats.frames += 1;
        self.stats.bytes += text.len() as u64;
        let messages = match decode(text) {
            Ok(messages) => messages,
            Err(error) => return self.disconnect(Disconnect::Malformed(error.to_string())),
        };
        for message in messages {
            self.stats.messages += 1;
            if let Err(disconnect) = self.take_message(&message) {
                return self.disconnect(disconnect);
            }
        }
    }

    fn take_message(&mut self, message: &ServerMessage<'_>) -> Result<(), Disconnect> {
        match message {
            ServerMessage::Quote(head, _)
            | ServerMessage::Trade(head, _)
            | ServerMessage::Book(head, _)
            | ServerMessage::Ticker(head, _)
            | ServerMessage::Bar(head, _)
            | ServerMessage::Status(head, _) => self.take_data(head, message)?,
            ServerMessage::Gap(gap) => self.take_gap(gap)?,
            ServerMessage::Ack(ack) => self.take_ack(ack)?,
            ServerMessage::Heartbeat(heartbeat) => {
                let lag = Duration::from_micros(heartbeat.lag_us);
                self.events.push_back(Event::Heartbeat { lag, laggard: heartbeat.laggard });
            }
            ServerMessage::Shutdown { reconnect_after_ms } => {
                self.backoff.wait_at_least(Duration::from_millis(*reconnect_after_ms));
            }
            ServerMessage::Error(failure) => self.events.push_back(Event::Failed {
                request: request_number(failure.req_id.as_ref()),
                code: failure.code.to_owned(),
                message: failure.message.clone().into_owned(),
            }),
            ServerMessage::Unknown => {}
        }
        Ok(())
    }

    fn take_data(&mut self, head: &Head<'_>, message: &ServerMessage<'_>) -> Result<(), Disconnect> {
        if let Base::Snapshot { epoch, .. } = head.base {
            self.enter_epoch(head, epoch);
        }
        let id = self.symbols.get(head.symbol).map(|&symbol| TopicId::new(head.channel, symbol));
        let Some(topic) = id.and_then(|id| self.topics.get_mut(&id)) else {
            self.stats.ignored += 1;
            return Ok(());
        };
        let applied = match topic.apply(head, message) {
            Ok(applied) => applied,
            Err(divergence) => return self.diverged(head.channel, head.symbol, divergence),
        };
        let is_snapshot = matches!(head.base, Base::Snapshot { .. });
        let update = Update {
            channel: head.channel,
            symbol: topic.symbol().clone(),
            seq: head.seq,
            ts_event: head.ts_event,
            is_snapshot,
            merged: head.merged,
        };
        self.events.push_back(match applied {
            Applied::Ignored => {
                self.stats.ignored += 1;
                return Ok(());
            }
            Applied::State { checksum } => {
                self.stats.checksums_ok += u64::from(checksum);
                Event::State(update)
            }
            Applied::Trade(trade) => Event::Trade(update, trade),
        });
        self.stats.snapshots += u64::from(is_snapshot);
        self.stats.updates += u64::from(!is_snapshot);
        self.stats.merged += head.merged;
        Ok(())
    }

    /// Where the topic had a state of another epoch, every state of that epoch is void.
    fn enter_epoch(&mut self, head: &Head<'_>, epoch: &str) {
        let old = self.topic(head.channel, head.symbol).and_then(|topic| topic.epoch().cloned());
        if let Some(old) = old.filter(|old| **old != *epoch) {
            for topic in self.topics.values_mut() {
                if topic.epoch() == Some(&old) {
                    topic.void();
                }
            }
            self.events.push_back(Event::Epoch(epoch.into()));
        }
    }

    fn take_gap(&mut self, gap: &Gap<'_>) -> Result<(), Disconnect> {
        let id = self.symbols.get(gap.symbol).map(|&symbol| TopicId::new(gap.channel, symbol));
        let Some(topic) = id.and_then(|id| self.topics.get_mut(&id)) else {
            self.stats.ignored += 1;
            return Ok(());
        };
        match topic.skip(gap.prev_seq, gap.to) {
            Ok(()) => {
                let lost = gap.to.saturating_sub(gap.prev_seq);
                self.stats.lost += lost;
                let symbol = topic.symbol().clone();
                self.events.push_back(Event::Gap { channel: gap.channel, symbol, lost });
                Ok(())
            }
            Err(divergence) => self.diverged(gap.channel, gap.symbol, divergence),
        }
    }

    /// A topic is not what the server has: it is void until it was subscribed to anew. (`resync` will do that at
    /// once, when the server has it.)
    fn diverged(&mut self, channel: Channel, name: &str, divergence: Divergence) -> Result<(), Disconnect> {
        match &divergence {
            Divergence::Gap { .. } => self.stats.gaps += 1,
            Divergence::Checksum { .. } => self.stats.checksums_failed += 1,
            Divergence::Overfull { .. } => {}
            Divergence::Malformed(text) => {
                return Err(Disconnect::Malformed(format!("{channel} of {name}: {text}")));
            }
        }
        let id = self.symbols.get(name).map(|&symbol| TopicId::new(channel, symbol));
        let Some(topic) = id.and_then(|id| self.topics.get_mut(&id)) else { return Ok(()) };
        topic.void();
        let symbol = topic.symbol().clone();
        let resyncs = topic.count_resync();
        self.events.push_back(Event::Diverged { channel, symbol, divergence });
        if resyncs > RESYNCS_IN_A_ROW_MAX {
            return Err(Disconnect::Hopeless);
        }
        let symbols = Symbols::Named(vec![name.to_owned()]);
        for method in ["unsubscribe", "subscribe"] {
            self.last_request += 1;
            self.send(method, channel, &symbols, -self.last_request);
        }
        Ok(())
    }

    fn take_ack(&mut self, ack: &Ack<'_>) -> Result<(), Disconnect> {
        let (Some(channel), "subscribe") = (ack.channel, &*ack.method) else { return Ok(()) };
        for granted in &ack.granted {
            self.grant(channel, granted).map_err(Disconnect::Malformed)?;
        }
        self.events.push_back(Event::Subscribed {
            request: request_number(ack.req_id.as_ref()).unwrap_or_default(),
            channel,
            granted: ack.granted.len(),
            more: ack.more,
            rejected: ack
                .rejected
                .iter()
                .map(|rejected| (rejected.symbol.clone().into_owned(), rejected.code.to_owned()))
                .collect(),
        });
        Ok(())
    }

    fn grant(&mut self, channel: Channel, granted: &GrantedTopic<'_>) -> Result<(), String> {
        let symbol = Symbol::new(granted.symbol).map_err(|error| error.to_string())?;
        let scale = topic::Scale::new(granted).map_err(|error| error.to_string())?;
        let id = match self.symbols.get(granted.symbol) {
            Some(&id) => id,
            None => {
                let id = SymbolId::from_index(self.symbols.len());
                self.symbols.insert(granted.symbol.into(), id);
                id
            }
        };
        // A topic that is subscribed to anew keeps the count of its failures.
        self.topics
            .entry(TopicId::new(channel, id))
            .and_modify(|topic| topic.rescale(scale))
            .or_insert_with(|| Topic::new(channel, symbol, scale));
        Ok(())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match &self.link {
            Link::Up(_) => "up",
            Link::Waiting(_) => "waiting",
            Link::Connecting(_) => "connecting",
            Link::Closed { .. } => "closed",
        };
        f.debug_struct("Client")
            .field("url", &self.url)
            .field("link", &link)
            .field("stats", &self.stats)
            .finish()
    }
}

/// Our requests have numbers; what the server answers with is anything.
const fn request_number(req_id: Option<&ReqId>) -> Option<i64> {
    match req_id {
        Some(ReqId::Number(number)) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
