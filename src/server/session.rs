//! One WebSocket connection: reads requests, answers them, and writes what the socket did not take at once.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use feeds::Clock;
use tokio::io::Interest;
use tokio::time::timeout;

use super::hub::Hub;
use super::reading::{ReadError, Reader, Received};
use super::socket::Socket;
use super::upgrade::Upgraded;
use crate::bus::Wanted;
use crate::fanout::{Connection, Subscribe, SubscribeKind, Subscribed};
use crate::limits::{BAD_REQUESTS_MAX, REQUEST_BYTES_MAX, STATES_WAIT, SUBSCRIBE_PART_TOPICS};
use crate::topic::{Channel, Rate, TopicId};
use crate::wire::code::{CloseCode, ErrorCode};
use crate::wire::message::{self, Method, ReqId, Request, RequestError, Resume, Symbols};
use crate::ws::frame;

/// Serves a connection to its end. `already_read` is what came after the handshake in the same packet.
pub(super) async fn serve(hub: Rc<Hub>, upgraded: Upgraded, clock: Clock) {
    let Upgraded { stream, already_read, form } = upgraded;
    let socket = Rc::new(Socket::new(stream, hub.metrics().clone()));
    let connection = hub.join(&socket, form);
    let mut session = Session {
        reader: Reader::new(already_read, form.deflate.is_some(), hub.metrics().clone()),
        bad_requests: 0,
        hub: Rc::clone(&hub),
        socket: Rc::clone(&socket),
        connection,
        clock,
    };
    let ended = session.run().await;
    hub.leave(connection);
    // What it has read is not kept until the client has gone.
    drop(session);
    if ended == Ended::Close {
        // What the client still sends is read away: closing a socket with unread input would send a reset, which can
        // overtake the close frame.
        let _ = Box::pin(timeout(socket.close_patience(), drain(&hub, &socket))).await;
    }
}

struct Session {
    reader: Reader,
    bad_requests: u32,
    hub: Rc<Hub>,
    socket: Rc<Socket>,
    connection: Connection,
    clock: Clock,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// A close frame waits to be written.
    Close,
    /// The socket is broken or at its end.
    Broken,
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
                if self.write().is_err() {
                    return Ended::Broken;
                }
                if self.socket.is_closing() {
                    return Ended::Close;
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
                self.socket.close_with(frame::close(error.close_code(), &error.to_string()));
                Ended::Close
            }
            ReadError::Crowded => {
                self.socket.close(CloseCode::TryAgainLater, CloseCode::TryAgainLater.reason());
                Ended::Close
            }
        })
    }

    async fn take(&mut self, received: Received) {
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

    async fn answer(&mut self, text: &[u8]) {
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
        self.bad_requests = 0;
        let req_id = request.req_id;
        let mut out = Vec::new();
        match request.method {
            Method::Auth { .. } => message::ack_auth(&mut out, req_id.as_ref()),
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

    async fn subscribe(&mut self, wish: &Wish, symbols: Symbols, req_id: Option<ReqId>) {
        let (topics, unknown) = self.find(wish.channel, symbols);
        let mut rejected: Vec<_> =
            unknown.into_iter().map(|symbol| (symbol, ErrorCode::UnknownSymbol)).collect();
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
            let is_waiting =
                |session: &Self| session.socket.has_waiting() || session.hub.has_pending(session.connection);
            if !is_done || (kind == SubscribeKind::Part && !self.wait_while(is_waiting).await) {
                return;
            }
        }
    }

    async fn resync(&mut self, channel: Channel, symbol: String, held: Option<u64>, req_id: Option<ReqId>) {
        if !self.wait_while(|session| !session.hub.keeps_up(session.connection)).await {
            return;
        }
        let found = self.hub.directory().find(&symbol).map(|symbol| TopicId::new(channel, symbol));
        let followed = found.and_then(|topic| self.hub.followed(self.connection, topic));
        let Some(topic) = followed else {
            let (code, message) = match found {
                Some(_) => {
                    (ErrorCode::NotSubscribed, "this connection does not follow that topic".to_owned())
                }
                None => (ErrorCode::UnknownSymbol, "there is no such instrument".to_owned()),
            };
            let method = Some("resync".to_owned());
            return self.refuse(&RequestError { code, message, req_id, method });
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
            if self.write().is_err() || self.socket.is_closing() {
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
        let (topics, unknown) = self.find(channel, symbols);
        let mut removed = Vec::new();
        let mut rejected: Vec<_> =
            unknown.iter().map(|symbol| (symbol.as_str(), ErrorCode::UnknownSymbol)).collect();
        for topic in topics {
            let symbol = self.hub.directory().get(topic.symbol()).symbol.as_str();
            if self.hub.unsubscribe(self.connection, topic) {
                removed.push(symbol);
            } else if !is_all {
                rejected.push((symbol, ErrorCode::NotSubscribed));
            }
        }
        message::ack_unsubscribe(out, req_id, channel, removed.into_iter(), rejected.into_iter());
    }

    /// The topics of the instruments that there are, and the names of those that there are not.
    fn find(&self, channel: Channel, symbols: Symbols) -> (Vec<TopicId>, Vec<String>) {
        let directory = self.hub.directory();
        let mut topics = Vec::new();
        let mut unknown = Vec::new();
        match symbols {
            Symbols::All => topics.extend(directory.iter().map(|(symbol, _)| TopicId::new(channel, symbol))),
            Symbols::Named(names) => {
                for name in names {
                    match directory.find(&name) {
                        Some(symbol) => topics.push(TopicId::new(channel, symbol)),
                        None => unknown.push(name),
                    }
                }
            }
        }
        (topics, unknown)
    }

    fn refuse(&mut self, error: &RequestError) {
        self.hub.metrics().requests_bad_total().add(1);
        let mut out = Vec::new();
        message::error(&mut out, error);
        self.bad_requests += 1;
        if self.bad_requests >= BAD_REQUESTS_MAX {
            let reason = "too many malformed requests in a row";
            self.hub.tell_and_close(self.connection, &out, CloseCode::Policy, reason);
        } else {
            self.tell(&out);
        }
    }
}

fn failure(code: ErrorCode, message: &str) -> RequestError {
    RequestError { code, message: message.to_owned(), req_id: None, method: None }
}

/// Writes what waits, says that nothing more comes, and reads to the client's end.
async fn drain(hub: &Hub, socket: &Socket) -> io::Result<()> {
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
