//! What comes from clients: a shard's connections read one after the other into the same room, and an idle one holds
//! none.

use std::io;

use super::socket::Socket;
use crate::limits::{
    MESSAGE_IN_BYTES_MAX, MESSAGE_IN_FAIR_BYTES, MESSAGES_IN_BYTES_MAX, PONGS_PER_TURN_MAX,
    READ_TURN_BYTES_MAX,
};
use crate::metrics::{Metrics, Refused};
use crate::ws::decode::{DecodeError, Decoder, Event, Role};
use crate::ws::deflate::Inflater;
use crate::ws::frame::{self, Opcode};

/// What the connections of a shard share. None needs it across an `.await`.
pub(super) struct ReadRoom {
    bytes: Box<[u8]>,
    inflater: Inflater,
    inflated: Vec<u8>,
}

impl ReadRoom {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; READ_TURN_BYTES_MAX].into_boxed_slice(),
            inflater: Inflater::without_context(),
            inflated: Vec::new(),
        }
    }

    /// Reads away what has come; `false`: nothing more comes.
    pub(super) fn discard(&mut self, socket: &Socket) -> io::Result<bool> {
        match socket.stream.try_read(&mut self.bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            count => Ok(count? > 0),
        }
    }
}

/// A message, or the end.
#[derive(Debug)]
pub(super) enum Received {
    Text(String),
    Binary,
    /// The client closes, with this code.
    Close(Option<u16>),
}

/// Why nothing more is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReadError {
    /// The socket is broken or at its end.
    Broken,
    /// The client does not keep to the protocol, or to a bound.
    Refused(DecodeError),
    /// Clients have begun more than is held of their messages, and this one's is long.
    Crowded,
}

/// One connection's place in what comes.
pub(super) struct Reader {
    decoder: Decoder,
    /// What it holds, as it was last counted.
    held: usize,
    metrics: Metrics,
    /// Bytes of the message or control frame that is being read.
    wire_bytes: usize,
    /// What has been read behind the last message and is still to be looked at. Empty but while one is answered.
    rest: Vec<u8>,
    rest_at: usize,
    /// Bytes that may still be read in this turn, or answered with.
    budget: usize,
    /// Pongs that may still be sent one by one in this turn.
    pongs: u32,
}

impl Reader {
    /// `already_read` is what came after the handshake in the same packet.
    pub(super) fn new(already_read: Vec<u8>, may_be_compressed: bool, metrics: Metrics) -> Self {
        Self {
            decoder: Decoder::new(Role::Server, may_be_compressed, MESSAGE_IN_BYTES_MAX),
            held: 0,
            metrics,
            wire_bytes: 0,
            rest: already_read,
            rest_at: 0,
            budget: READ_TURN_BYTES_MAX,
            pongs: PONGS_PER_TURN_MAX,
        }
    }

    pub(super) const fn begin_turn(&mut self) {
        self.budget = READ_TURN_BYTES_MAX;
        self.pongs = PONGS_PER_TURN_MAX;
    }

    /// What a request was answered with counts like what was read: a few bytes can ask for megabytes, and the answers of
    /// a turn wait together.
    pub(super) const fn charge(&mut self, answer: usize) {
        self.budget = self.budget.saturating_sub(answer);
    }

    /// Whether the others of the shard are to have their turn.
    pub(super) const fn is_turn_over(&self) -> bool {
        self.budget == 0
    }

    /// The next message, if all of it has come and may be read in this turn. Pings are answered on the way.
    pub(super) fn next(
        &mut self,
        socket: &Socket,
        room: &mut ReadRoom,
    ) -> Result<Option<Received>, ReadError> {
        let ReadRoom { bytes, inflater, inflated } = room;
        while self.budget > 0 {
            let is_rest = self.rest_at < self.rest.len();
            let mut input = if is_rest {
                &mut self.rest[self.rest_at..]
            } else {
                self.rest = Vec::new();
                self.rest_at = 0;
                let len = bytes.len().min(self.budget);
                match socket.stream.try_read(&mut bytes[..len]) {
                    Ok(0) => return Err(ReadError::Broken),
                    Ok(count) => {
                        socket.hear();
                        self.budget -= count;
                        &mut bytes[..count]
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(_) => return Err(ReadError::Broken),
                }
            };
            let received = loop {
                let before = input.len();
                inflated.clear();
                let event = self.decoder.next(&mut input, inflater, inflated).map_err(ReadError::Refused)?;
                self.wire_bytes += before - input.len();
                let Some(event) = event else { break None };
                let wire_bytes = std::mem::take(&mut self.wire_bytes);
                match event {
                    Event::Pong(payload) => socket.show_received(Opcode::Pong, payload, wire_bytes),
                    Event::Ping(payload) => {
                        socket.show_received(Opcode::Ping, payload, wire_bytes);
                        socket.send_pong(frame::pong(payload));
                        // Before whatever the message behind the ping brings; of a flood, only the newest.
                        if self.pongs > 0 {
                            self.pongs -= 1;
                            socket.write_waiting().map_err(|_broken| ReadError::Broken)?;
                        }
                    }
                    Event::Text(text) => {
                        let text = text.to_owned();
                        socket.show_request(&text, wire_bytes, !inflated.is_empty());
                        break Some(Received::Text(text));
                    }
                    Event::Binary(payload) => {
                        socket.show_received(Opcode::Binary, payload, wire_bytes);
                        break Some(Received::Binary);
                    }
                    Event::Close(close) => {
                        let payload = close.map(|(code, reason)| frame::close_payload(code, reason));
                        socket.show_received(Opcode::Close, &payload.unwrap_or_default(), wire_bytes);
                        break Some(Received::Close(close.map(|(code, _)| code)));
                    }
                }
            };
            let left = input.len();
            if is_rest {
                self.rest_at = self.rest.len() - left;
            } else if left > 0 {
                self.rest = input.to_vec();
            }
            if let Some(Received::Text(text)) = &received {
                // What a few bytes were inflated to takes its time, too.
                self.budget = self.budget.saturating_sub(text.len());
            }
            if received.is_some() {
                self.decoder.release();
            }
            self.count(self.decoder.held_bytes());
            if received.is_some() {
                return Ok(received);
            }
            self.check_room()?;
        }
        Ok(None)
    }

    fn count(&mut self, held: usize) {
        let before = std::mem::replace(&mut self.held, held);
        if before != held {
            self.metrics.inbox_bytes().shift(before, held);
        }
    }

    fn check_room(&self) -> Result<(), ReadError> {
        let is_crowded = || {
            usize::try_from(self.metrics.inbox_bytes().get()).is_ok_and(|bytes| bytes > MESSAGES_IN_BYTES_MAX)
        };
        if self.held > MESSAGE_IN_FAIR_BYTES && is_crowded() {
            self.metrics.refusals_total().of(Refused::Crowded).add(1);
            return Err(ReadError::Crowded);
        }
        Ok(())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.count(0);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, Interest};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::server::admission::{self, Admission};
    use crate::server::stream::Stream;
    use crate::wire::Framing;

    /// A masked text message, whose mask is zero.
    fn text(payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("short");
        [&[0x81, 0x80 | length, 0, 0, 0, 0], payload].concat()
    }

    #[tokio::test]
    async fn a_long_answer_ends_the_turn_and_the_next_goes_on_where_it_ended() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let mut client =
            TcpStream::connect(listener.local_addr().expect("bound")).await.expect("a connection");
        let (stream, _) = listener.accept().await.expect("a connection");
        let admission =
            Admission::start(admission::tests::settings(), &Metrics::default()).expect("a thread");
        let place = admission.place([127, 0, 0, 1].into()).expect("room");
        let socket = Socket::new(
            Stream::Plain(stream),
            [127, 0, 0, 1].into(),
            Framing::Frames,
            place,
            Metrics::default(),
        );
        let (mut room, mut reader) = (ReadRoom::new(), Reader::new(Vec::new(), false, Metrics::default()));
        client.write_all(&[text(b"one"), text(b"two"), text(b"three")].concat()).await.expect("taken");
        socket.stream.ready(Interest::READABLE).await.expect("there");
        let mut next = |reader: &mut Reader| match reader.next(&socket, &mut room).expect("no error") {
            Some(Received::Text(text)) => Some(text),
            None => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(next(&mut reader).as_deref(), Some("one"));
        reader.charge(100);
        assert_eq!(next(&mut reader).as_deref(), Some("two"));
        reader.charge(READ_TURN_BYTES_MAX);
        assert_eq!(next(&mut reader), None);
        assert!(reader.is_turn_over());
        reader.begin_turn();
        assert_eq!(next(&mut reader).as_deref(), Some("three"));
        assert_eq!(next(&mut reader), None);
        assert!(!reader.is_turn_over());
    }
}
