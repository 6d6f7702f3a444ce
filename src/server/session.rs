//! One WebSocket connection: reads requests, answers them, and writes what the socket did not take at once.

#[cfg(test)]
mod faults;
mod entitle;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use feeds::Clock;
use tokio::io::Interest;
use tokio::time::timeout;
use tracing::{Span, debug, error};

use super::admission::{Meter, Monotonic};
use super::auth;
use super::hub::Hub;
use super::reading::{ReadError, Reader, Received};
use super::refusal;
use super::socket::Socket;
use super::traced;
use super::upgrade::Upgraded;
use super::view::{self, Unseen, View};
use crate::bus::Wanted;
use crate::entitlement::Entitlement;
use crate::fanout::{Connection, Subscribe, SubscribeKind, Subscribed};
use crate::limits::{BAD_REQUESTS_MAX, REQUEST_BYTES_MAX, RETRY_AFTER, STATES_WAIT, SUBSCRIBE_PART_TOPICS};
use crate::metrics::{AuthRefusal, Refused};
use crate::secret::Secret;
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::Framing;
use crate::wire::code::{CloseCode, ErrorCode};
use crate::wire::message::{self, Method, ReqId, Request, RequestError, Resume, Symbols};
use crate::ws::frame;

/// Serves a connection to its end. `already_read` is what came after the handshake in the same packet.
pub(super) async fn serve(hub: Rc<Hub>, upgraded: Upgraded, clock: Clock) {
    let Upgraded { stream, already_read, form, peer, place, identity, traced } = upgraded;
    debug!(encoding = ?form.encoding, compressed = form.deflate.is_some(), "connected");
    let socket = Rc::new(Socket::new(stream, peer, Framing::Frames, place, hub.metrics().clone()));
    // Who has not said who it is sees nothing until it has.
    let entitlement = identity
        .as_ref()
        .map_or_else(|| Arc::new(Entitlement::nothing()), |identity| Arc::clone(&identity.entitlement));
    let lease = hub.lease(identity).unwrap_or_else(|refusal| {
        let code = auth::close_code(refusal);
        socket.close(code, code.reason());
        None
    });
    let member = Member { connection: hub.join(&socket, form, lease), hub: Rc::clone(&hub) };
    let messages = hub.admission().settings().messages;
    let mut session = Session {
        reader: Reader::new(already_read, form.deflate.is_some(), hub.metrics().clone()),
        bad_requests: 0,
        messages: Meter::new(messages, &Monotonic),
        hub: Rc::clone(&hub),
        socket: Rc::clone(&socket),
        connection: member.connection,
        entitlement,
        clock,
        traced: traced.clone(),
    };
    let ended = unless_it_panics(session.run()).await.unwrap_or_else(|| {
        hub.metrics().connection_panics_total().add(1);
        error!(%peer, "a connection has met a fault of ours, and is cut off");
        traced::fault(&traced);
        Ended::Broken
    });
    debug!(?ended, "left");
    traced.record("tickwire.ended", ended.name());
    drop(member);
    // What it has read is not kept until the client has gone.
    drop(session);
    if ended == Ended::Close && !socket.is_cut() {
        // What the client still sends is read away: closing a socket with unread input would send a reset, which can
        // overtake the close frame.
        let settings = hub.admission().settings();
        let patience = socket.close_patience(settings.ping_interval + settings.ping_timeout);
        let _ = Box::pin(timeout(patience, drain(&hub, &socket))).await;
    }
}

/// A connection's part in its shard, which it gives up however it ends.
pub(super) struct Member {
    pub(super) connection: Connection,
    pub(super) hub: Rc<Hub>,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hub.leave(self.connection);
    }
}

/// What comes of it; `None`: it has panicked. The others of the shard are not to end with it: each borrow of what they share
/// ends within one call, and unwinding ends it too.
pub(super) async fn unless_it_panics<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    })
    .await
}

struct Session {
    reader: Reader,
    bad_requests: u32,
    messages: Meter,
    hub: Rc<Hub>,
    socket: Rc<Socket>,
    connection: Connection,
    /// What the client may see.
    entitlement: Arc<Entitlement>,
    clock: Clock,
    /// See [`traced`].
    traced: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// A close frame waits to be written.
    Close,
    /// The socket is broken or at its end.
    Broken,
}

impl Ended {
    /// As a span has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Close => "closed",
            Self::Broken => "broken",
        }
    }
}

/// How topics are to be followed.
struct Wish {
    channel: Channel,
    rate: Rate,
    snapshot: bool,
    resume: Option<Resume>,
}

impl Wish {
    /// The number of the state that the client holds of a symbol, in the epoch of that name.
    fn held(&self, epoch: &str, symbol: &str) -> Option<u64> {
        let resume = self.resume.as_ref().filter(|resume| resume.epoch == epoch)?;
        resume.seq.get(symbol).copied()
    }
}

impl Session {
    async fn run(&mut self) -> Ended {
        loop {
            loop {
                if self.socket.is_cut() || self.write().is_err() {
                    return Ended::Broken;
                }
                if self.socket.is_closing() {
                    return Ended::Close;
                }
                if let Some(entitlement) = self.socket.take_entitlement() {
                    Box::pin(self.entitle(entitlement)).await;
                }
                match self.read() {
                    // Boxed, like the end: what answering needs is not kept by ten thousand idle sessions.
                    Ok(Some(received)) => Box::pin(self.take(received)).await,
                    // Whoever sends without end waits its turn like the others of the shard.
                    Ok(None) if self.reader.is_turn_over() => {
                        self.reader.begin_turn();
                        tokio::task::yield_now().await;
                    }
                    Ok(None) => break,
                    Err(ended) => return ended,
                }
            }
            let interest = if self.socket.has_waiting() {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            tokio::select! {
                ready = self.socket.stream.ready(interest) => if ready.is_err() { return Ended::Broken },
                () = self.socket.wake.notified() => {}
            }
            self.reader.begin_turn();
        }
    }

    fn read(&mut self) -> Result<Option<Received>, Ended> {
        self.reader.next(&self.socket, &mut self.hub.read_room()).map_err(|error| match error {
            ReadError::Broken => Ended::Broken,
            ReadError::Refused(error) => {
                self.hub.metrics().refusals_total().of(Refused::Protocol).add(1);
                self.socket.close_with(frame::close(error.close_code(), &error.to_string()));
                Ended::Close
            }
            ReadError::Crowded => {
                self.hub.close_for_a_while(self.connection, CloseCode::TryAgainLater, millis(RETRY_AFTER));
                Ended::Close
            }
        })
    }

    async fn take(&mut self, received: Received) {
        if let Received::Text(_) | Received::Binary = received
            && let Err(wait) = self.messages.take(self.hub.admission().settings().messages)
        {
            return self.limit(wait);
        }
        match received {
            Received::Text(text) => self.answer(text.as_bytes()).await,
            Received::Binary => {
                self.refuse(&failure(ErrorCode::BadJson, "requests are JSON text, not binary"));
            }
            Received::Close(code) => {
                self.socket.close_with(frame::close_answer(code));
            }
        }
    }

    /// Closes for a message that is one too many.
    fn limit(&self, wait: Duration) {
        let metrics = self.hub.metrics();
        metrics.requests_bad_total().add(1);
        metrics.refusals_total().of(Refused::MessageRate).add(1);
        self.hub.close_for_a_while(self.connection, CloseCode::RateLimited, millis(wait).max(1));
    }

    async fn answer(&mut self, text: &[u8]) {
        #[cfg(test)]
        assert_ne!(text, faults::POISON, "on purpose");
        self.hub.metrics().requests_total().add(1);
        if text.len() > REQUEST_BYTES_MAX {
            let message =
                format!("a request may be {REQUEST_BYTES_MAX} bytes long; this one has {}", text.len());
            return self.refuse(&failure(ErrorCode::MessageTooLarge, &message));
        }
        let request = match Request::parse(text) {
            Ok(request) => request,
            Err(error) => return self.refuse(&error),
        };
        let req_id = request.req_id;
        let may_ask = self.hub.is_let_in(self.connection)
            || matches!(request.method, Method::Auth { .. } | Method::Ping);
        if !may_ask {
            self.hub.metrics().auth_refused_total().of(AuthRefusal::Missing).add(1);
            let message = "say first who you are, by `auth`".to_owned();
            let method = Some(request.method.name().to_owned());
            return self.refuse(&RequestError { code: ErrorCode::AuthRequired, message, req_id, method });
        }
        self.bad_requests = 0;
        let mut out = Vec::new();
        match request.method {
            Method::Auth { token } => return self.auth(&token, req_id).await,
            Method::Ping => message::pong(&mut out, req_id.as_ref(), self.clock.now()),
            Method::List => self.hub.list(self.connection, &mut out, req_id.as_ref()),
            Method::Unsubscribe { channel, symbols } => {
                self.unsubscribe(channel, symbols, req_id.as_ref(), &mut out);
            }
            Method::Resync { channel, symbol, held } => {
                return self.resync(channel, symbol, held, req_id).await;
            }
            Method::Subscribe { channel, symbols, snapshot, rate, resume, on_overflow } => {
                if let Some(what) = on_overflow {
                    self.socket.set_on_overflow(what);
                }
                if let Err(unseen) = self.view().channel(channel) {
                    return self.deny(unseen, "subscribe", req_id);
                }
                let rate = self.entitlement.rate(channel, rate);
                let wish = Wish { channel, rate, snapshot, resume };
                return self.subscribe(&wish, symbols, req_id).await;
            }
        }
        self.tell(&out);
    }

    fn tell(&mut self, answer: &[u8]) {
        self.reader.charge(answer.len());
        self.hub.tell(self.connection, answer);
    }

    /// Lets the client in by what it presents, or on when it presents it anew. What is wrong ends the connection.
    async fn auth(&mut self, token: &Secret, req_id: Option<ReqId>) {
        let (auth, is_new) = (self.hub.auth(), !self.hub.is_let_in(self.connection));
        let mut out = Vec::new();
        if !auth.is_on() {
            message::ack_auth(&mut out, req_id.as_ref(), None);
            return self.tell(&out);
        }
        let renewed = match auth.identify(token).await {
            Ok(identity) => {
                Span::current().record("subject", identity.subject.as_deref());
                self.traced.record("user.id", identity.subject.as_deref());
                let (expires, entitlement) = (identity.expires, Arc::clone(&identity.entitlement));
                self.hub.renew(self.connection, identity).map(|()| (expires, entitlement))
            }
            Err(refusal) => Err(refusal),
        };
        match renewed {
            Ok((expires, entitlement)) => {
                // That was about what it presented before.
                self.socket.take_entitlement();
                message::ack_auth(&mut out, req_id.as_ref(), expires);
                self.tell(&out);
                if is_new {
                    self.entitlement = entitlement;
                } else {
                    self.entitle(entitlement).await;
                }
            }
            Err(refusal) => {
                self.hub.metrics().auth_refused_total().of(refusal).add(1);
                self.hub.metrics().requests_bad_total().add(1);
                let (message, method) = (auth::told(refusal).to_owned(), Some("auth".to_owned()));
                let error = RequestError { code: ErrorCode::AuthFailed, message, req_id, method };
                message::error(&mut out, &error);
                let code = match refusal {
                    AuthRefusal::Connections => CloseCode::ConnectionLimit,
                    _ => CloseCode::AuthFailed,
                };
                self.hub.tell_and_close(self.connection, &out, code, code.reason());
            }
        }
    }

    async fn subscribe(&mut self, wish: &Wish, symbols: Symbols, req_id: Option<ReqId>) {
        let (topics, unseen) = self.view().topics(wish.channel, symbols);
        let mut rejected = view::rejected(unseen);
        self.count_rejected(&rejected);
        // In parts, each when the client has taken the states of the one before: all of them at once may be more
        // than may wait for a client. A request that names nothing known is a part too.
        let mut parts: VecDeque<&[TopicId]> = topics.chunks(SUBSCRIBE_PART_TOPICS).collect();
        if parts.is_empty() {
            parts.push_back(&[]);
        }
        while let Some(part) = parts.pop_front() {
            if !self.wait_while(|session| !session.hub.keeps_up(session.connection)).await {
                return;
            }
            let kind = if parts.is_empty() { SubscribeKind::Last } else { SubscribeKind::Part };
            let epoch = self.hub.epoch();
            let topics = part.iter().map(|&topic| Wanted {
                topic: topic.at(wish.rate),
                held: wish.held(&epoch, self.hub.directory().get(topic.symbol()).symbol.as_str()),
            });
            let subscribe = Subscribe {
                req_id: req_id.clone(),
                channel: wish.channel,
                rate: wish.rate,
                snapshot: wish.snapshot,
                topics: topics.collect(),
                rejected: std::mem::take(&mut rejected),
                kind,
            };
            let is_done = self.ask(subscribe, "subscribe", req_id.as_ref()).await;
            if !is_done || (kind == SubscribeKind::Part && !self.is_drained().await) {
                return;
            }
        }
    }

    async fn resync(&mut self, channel: Channel, symbol: String, held: Option<u64>, req_id: Option<ReqId>) {
        if !self.wait_while(|session| !session.hub.keeps_up(session.connection)).await {
            return;
        }
        let view = self.view();
        let found = view.channel(channel).and_then(|()| view.find(&symbol));
        let topic = match found {
            Ok(symbol) => TopicId::new(channel, symbol),
            Err(unseen) => return self.deny(unseen, "resync", req_id),
        };
        let Some(topic) = self.hub.followed(self.connection, topic) else {
            let message = "this connection does not follow that topic".to_owned();
            let method = Some("resync".to_owned());
            return self.refuse(&RequestError { code: ErrorCode::NotSubscribed, message, req_id, method });
        };
        let resync = Subscribe {
            req_id: req_id.clone(),
            channel,
            rate: topic.rate(),
            snapshot: true,
            topics: vec![Wanted { topic, held }],
            rejected: Vec::new(),
            kind: SubscribeKind::Resync,
        };
        self.ask(resync, "resync", req_id.as_ref()).await;
    }

    /// Subscribes, and waits for the states; `false`: the request was refused.
    async fn ask(&mut self, subscribe: Subscribe, method: &str, req_id: Option<&ReqId>) -> bool {
        match self.hub.subscribe(self.connection, subscribe) {
            Subscribed::Acknowledged => {}
            Subscribed::Awaiting => {
                // Meanwhile nothing more is read from this client.
                let is_awaiting = |session: &Self| session.hub.is_awaiting(session.connection);
                if timeout(STATES_WAIT, self.wait_while(is_awaiting)).await.is_err() {
                    self.hub.give_up(self.connection);
                }
            }
            Subscribed::Refused(code) => {
                let message = "the server is busy: try again in a moment".to_owned();
                let (req_id, method) = (req_id.cloned(), Some(method.to_owned()));
                self.refuse(&RequestError { code, message, req_id, method });
                return false;
            }
        }
        true
    }

    /// Waits while something is so, and writes what waits; `false`: the connection is at its end.
    async fn wait_while(&self, is_so: impl Fn(&Self) -> bool) -> bool {
        loop {
            if self.socket.is_cut() || self.write().is_err() || self.socket.is_closing() {
                return false;
            }
            if !is_so(self) {
                return true;
            }
            if self.socket.has_waiting() {
                tokio::select! {
                    ready = self.socket.stream.ready(Interest::WRITABLE) => if ready.is_err() { return false },
                    () = self.socket.wake.notified() => {}
                }
            } else {
                self.socket.wake.notified().await;
            }
        }
    }

    /// Waits until the client's socket has taken all that there is for it; `false`: the connection is at its end.
    async fn is_drained(&self) -> bool {
        self.wait_while(|session| session.socket.has_waiting() || session.hub.has_pending(session.connection))
            .await
    }

    /// Writes what waits, as far as the socket takes it.
    fn write(&self) -> io::Result<()> {
        self.socket.write_waiting()?;
        if !self.socket.has_waiting() {
            self.hub.drained(self.connection);
        }
        Ok(())
    }

    fn unsubscribe(&self, channel: Channel, symbols: Symbols, req_id: Option<&ReqId>, out: &mut Vec<u8>) {
        let is_all = symbols == Symbols::All;
        let (topics, unseen) = self.view().topics(channel, symbols);
        let mut rejected = view::rejected(unseen);
        let mut removed = Vec::new();
        for topic in topics {
            let symbol = self.hub.directory().get(topic.symbol()).symbol.as_str();
            if self.hub.unsubscribe(self.connection, topic) {
                removed.push(symbol);
            } else if !is_all {
                rejected.push((symbol.to_owned(), ErrorCode::NotSubscribed));
            }
        }
        self.count_rejected(&rejected);
        let rejected = rejected.iter().map(|(symbol, code)| (symbol.as_str(), *code));
        message::ack_unsubscribe(out, req_id, channel, removed.into_iter(), rejected);
    }

    fn view(&self) -> View<'_> {
        View::new(self.hub.directory(), &self.entitlement)
    }

    fn count_rejected(&self, rejected: &[(String, ErrorCode)]) {
        rejected.iter().for_each(|&(_, code)| refusal::count(self.hub.metrics(), code));
    }

    fn deny(&mut self, unseen: Unseen, method: &str, req_id: Option<ReqId>) {
        let (message, method) = (unseen.to_string(), Some(method.to_owned()));
        self.refuse(&RequestError { code: unseen.code(), message, req_id, method });
    }

    fn refuse(&mut self, error: &RequestError) {
        let metrics = self.hub.metrics();
        metrics.requests_bad_total().add(1);
        refusal::count(metrics, error.code);
        let mut out = Vec::new();
        message::error(&mut out, error);
        self.bad_requests += 1;
        if self.bad_requests >= BAD_REQUESTS_MAX {
            self.hub.metrics().refusals_total().of(Refused::BadRequests).add(1);
            let reason = "too many malformed requests in a row";
            self.hub.tell_and_close(self.connection, &out, CloseCode::Policy, reason);
        } else {
            self.tell(&out);
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn failure(code: ErrorCode, message: &str) -> RequestError {
    RequestError { code, message: message.to_owned(), req_id: None, method: None }
}

/// Writes what waits, says that nothing more comes, and reads to the client's end.
pub(super) async fn drain(hub: &Hub, socket: &Socket) -> io::Result<()> {
    while socket.has_waiting() {
        socket.stream.ready(Interest::WRITABLE).await?;
        socket.write_waiting()?;
    }
    socket.stream.end()?;
    loop {
        socket.stream.ready(Interest::READABLE).await?;
        if !hub.read_room().discard(socket)? {
            return Ok(());
        }
        // A client that sends without end would keep the shard, and the time limit, from their turn.
        tokio::task::coop::consume_budget().await;
    }
}

#[cfg(test)]
mod tests;
