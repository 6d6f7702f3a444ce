//! One WebSocket connection: reads requests, answers them, and writes what the socket did not take at once.

use std::io;
use std::rc::Rc;

use feeds::Clock;
use tokio::io::Interest;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::hub::Hub;
use super::socket::{ReadSide, Socket};
use crate::fanout::{Connection, Subscribe, Subscribed};
use crate::limits::{
    BAD_REQUESTS_MAX, MESSAGE_IN_BYTES_MAX, READ_BUFFER_BYTES, READ_TURN_BYTES_MAX, REQUEST_BYTES_MAX,
    STATES_WAIT, SUBSCRIBE_PART_TOPICS,
};
use crate::topic::{Channel, TopicId};
use crate::wire::code::{CloseCode, ErrorCode};
use crate::wire::message::{self, Method, ReqId, Request, RequestError, Symbols};

/// Serves a connection to its end. `already_read` is what came after the handshake in the same packet.
pub(super) async fn serve(hub: Rc<Hub>, socket: Rc<Socket>, already_read: Vec<u8>, clock: Clock) {
    let connection = hub.join(&socket);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_IN_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_IN_BYTES_MAX));
    let mut session = Session {
        context: WebSocketContext::from_partially_read(already_read, Role::Server, Some(config)),
        replies: Vec::new(),
        budget: READ_TURN_BYTES_MAX,
        bad_requests: 0,
        hub: Rc::clone(&hub),
        socket: Rc::clone(&socket),
        connection,
        clock,
    };
    let ended = session.run().await;
    hub.leave(connection);
    if ended == Ended::Close {
        // What the client still sends is read away: closing a socket with unread input would send a reset, which can
        // overtake the close frame.
        let _ = timeout(socket.close_patience(), drain(&socket)).await;
    }
}

struct Session {
    context: WebSocketContext,
    replies: Vec<u8>,
    /// Bytes that may still be read in this turn.
    budget: usize,
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

impl Session {
    async fn run(&mut self) -> Ended {
        loop {
            loop {
                if self.socket.write_waiting().is_err() {
                    return Ended::Broken;
                }
                if self.socket.is_closing() {
                    return Ended::Close;
                }
                match self.read() {
                    Ok(Some(message)) => self.take(message).await,
                    // Whoever sends without end waits its turn like the others of the shard.
                    Ok(None) if self.budget == 0 => {
                        self.budget = READ_TURN_BYTES_MAX;
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
            self.budget = READ_TURN_BYTES_MAX;
        }
    }

    /// The next message, if all of it has come and may be read in this turn.
    fn read(&mut self) -> Result<Option<Message>, Ended> {
        let Self { context, socket, replies, budget, .. } = self;
        let result = context.read(&mut ReadSide { socket, replies, budget });
        let reply = std::mem::take(replies);
        if matches!(result, Err(Error::ConnectionClosed | Error::AlreadyClosed)) {
            // The reply answers the client's close frame, after which nothing may follow.
            self.socket.close_with(reply);
            return Err(Ended::Close);
        }
        if !reply.is_empty() {
            self.socket.send_pong(reply);
            // Before whatever the message behind the ping brings.
            if self.socket.write_waiting().is_err() {
                return Err(Ended::Broken);
            }
        }
        let code = match result {
            Ok(message) => return Ok(Some(message)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(Error::Capacity(_)) => CloseCode::TooBig,
            Err(Error::Utf8(_)) => CloseCode::InvalidPayload,
            Err(Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ))
            | Err(Error::Io(_)) => return Err(Ended::Broken),
            Err(_) => CloseCode::ProtocolError,
        };
        self.socket.close(code, code.reason());
        Err(Ended::Close)
    }

    async fn take(&mut self, message: Message) {
        match message {
            Message::Text(text) => self.answer(text.as_bytes()).await,
            Message::Binary(_) => {
                self.refuse(&failure(ErrorCode::BadJson, "requests are JSON text, not binary"))
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
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
            Method::Resync { .. } => {
                let message = "`resync` is not there yet: unsubscribe, then subscribe".to_owned();
                let (code, method) = (ErrorCode::Unsupported, Some("resync".to_owned()));
                return self.refuse(&RequestError { code, message, req_id, method });
            }
            Method::Subscribe { channel, symbols, snapshot, .. } => {
                return self.subscribe(channel, symbols, snapshot, req_id).await;
            }
        }
        self.hub.tell(self.connection, &out);
    }

    async fn subscribe(&mut self, channel: Channel, symbols: Symbols, snapshot: bool, req_id: Option<ReqId>) {
        let (mut topics, unknown) = self.find(channel, symbols);
        let mut rejected: Vec<_> =
            unknown.into_iter().map(|symbol| (symbol, ErrorCode::UnknownSymbol)).collect();
        loop {
            // In parts, each when the client has taken the states of the one before: all of them at once may be more
            // than may wait for a client.
            let rest = topics.split_off(topics.len().min(SUBSCRIBE_PART_TOPICS));
            let has_more = !rest.is_empty();
            let part = Subscribe {
                req_id: req_id.clone(),
                channel,
                snapshot,
                topics: std::mem::replace(&mut topics, rest),
                rejected: std::mem::take(&mut rejected),
                has_more,
            };
            match self.hub.subscribe(self.connection, part) {
                Subscribed::Acknowledged => {}
                Subscribed::Awaiting => self.wait_for_states().await,
                Subscribed::Refused(code) => {
                    let method = Some("subscribe".to_owned());
                    let message = "the server is busy: try again in a moment".to_owned();
                    return self.refuse(&RequestError { code, message, req_id, method });
                }
            }
            if !has_more || !self.wait_until_taken().await {
                return;
            }
        }
    }

    /// Waits until nothing waits for the client's socket; `false`: the connection is at its end.
    async fn wait_until_taken(&self) -> bool {
        loop {
            if self.socket.write_waiting().is_err() || self.socket.is_closing() {
                return false;
            }
            if !self.socket.has_waiting() {
                return true;
            }
            tokio::select! {
                ready = self.socket.stream.writable() => if ready.is_err() { return false },
                () = self.socket.wake.notified() => {}
            }
        }
    }

    /// Waits until the states of a subscription have come; meanwhile nothing more is read from this client.
    async fn wait_for_states(&self) {
        let arrived = timeout(STATES_WAIT, async {
            while self.hub.is_awaiting(self.connection) {
                if self.socket.write_waiting().is_err() || self.socket.is_closing() {
                    return;
                }
                if self.socket.has_waiting() {
                    tokio::select! {
                        _ = self.socket.stream.writable() => {}
                        () = self.socket.wake.notified() => {}
                    }
                } else {
                    self.socket.wake.notified().await;
                }
            }
        });
        if arrived.await.is_err() {
            self.hub.give_up(self.connection);
        }
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
        self.hub.tell(self.connection, &out);
        self.bad_requests += 1;
        if self.bad_requests >= BAD_REQUESTS_MAX {
            self.socket.close(CloseCode::Policy, "too many malformed requests in a row");
        }
    }
}

fn failure(code: ErrorCode, message: &str) -> RequestError {
    RequestError { code, message: message.to_owned(), req_id: None, method: None }
}

/// Writes what waits, says that nothing more comes, and reads to the client's end.
async fn drain(socket: &Socket) -> io::Result<()> {
    while socket.has_waiting() {
        socket.stream.writable().await?;
        socket.write_waiting()?;
    }
    socket2::SockRef::from(&socket.stream).shutdown(std::net::Shutdown::Write)?;
    let mut sink = [0; 4096];
    loop {
        socket.stream.readable().await?;
        match socket.stream.try_read(&mut sink) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // A client that sends without end would keep the shard, and the time limit, from their turn.
        tokio::task::coop::consume_budget().await;
    }
}
