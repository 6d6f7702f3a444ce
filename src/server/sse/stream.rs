//! One stream: its head, the subscription that it is, and what the socket did not take at once.

use std::io;
use std::pin::pin;
use std::rc::Rc;

use axum::http::HeaderValue;
use tokio::io::Interest;
use tokio::time::{sleep, timeout};
use tracing::error;

use super::Entered;
use crate::bus::Wanted;
use crate::fanout::{Connection, Form, Outgoing, Subscribe, SubscribeKind, Subscribed, mark_of};
use crate::limits::STATES_WAIT;
use crate::metrics::Refused;
use crate::server::hub::{Hub, close_with_retry};
use crate::server::session::{Member, drain, unless_it_panics};
use crate::server::socket::Socket;
use crate::server::traced;
use crate::topic::TopicId;
use crate::wire::code::CloseCode;
use crate::wire::{Cursor, Framing, events};

/// Serves a stream to its end.
pub(in crate::server) async fn serve(hub: Rc<Hub>, entered: Entered) {
    let Entered { stream, peer, place, lease, origin, channel, rate, topics, rejected, held, traced } =
        entered;
    let settings = hub.admission().settings();
    let silence_max = settings.ping_interval + settings.ping_timeout;
    // There is something on its way each second: a client that is gone does not acknowledge it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(stream.socket()).set_tcp_user_timeout(Some(silence_max)) {
        tracing::debug!(%error, "a client that is gone will be noticed late");
    }
    let socket = Rc::new(Socket::new(stream, peer, Framing::Events, place, hub.metrics().clone()));
    let form = Form { framing: Framing::Events, ..Form::default() };
    hub.metrics().event_streams().add(1);
    let member = Member { connection: hub.join(&socket, form, lease), hub: Rc::clone(&hub) };
    let connection = member.connection;
    let head = head(origin.as_ref(), hub.come_back_after_ms(connection));
    socket.send(Outgoing::plain(&head), feeds::clock::monotonic());
    let topics = topics.into_iter().map(|topic| topic.at(rate)).collect();
    let subscribe = Subscribe {
        req_id: None,
        channel,
        rate,
        snapshot: true,
        topics: wanted(topics, held, &hub.epoch()),
        rejected,
        kind: SubscribeKind::Last,
    };
    let has_ended = unless_it_panics(run(&hub, &socket, connection, subscribe)).await.unwrap_or_else(|| {
        hub.metrics().connection_panics_total().add(1);
        error!("a stream of events has met a fault of ours, and is cut off");
        traced::fault(&traced);
        false
    });
    drop(member);
    hub.metrics().event_streams().add(-1);
    if has_ended && !socket.is_cut() {
        // Its client is to read the last event, not a reset.
        let _ = Box::pin(timeout(socket.close_patience(silence_max), drain(&hub, &socket))).await;
    }
}

/// The head of the answer, which ends with the connection, and how soon to come back then.
fn head(origin: Option<&HeaderValue>, retry_after_ms: u64) -> Vec<u8> {
    let mut head =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nVary: Origin\r\n\
        X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
            .to_vec();
    if let Some(origin) = origin {
        head.extend_from_slice(b"Access-Control-Allow-Origin: ");
        head.extend_from_slice(origin.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    events::retry(&mut head, retry_after_ms);
    head
}

/// The topics with what the client holds of each, if its cursor is of these and of this run.
fn wanted(mut topics: Vec<TopicId>, held: Option<Cursor>, epoch: &str) -> Vec<Wanted> {
    topics.sort_unstable();
    let mark = mark_of(topics.iter().copied());
    let held = held.filter(|held| held.epoch == epoch).and_then(|held| held.of(mark, topics.len()));
    let held = held.unwrap_or_else(|| vec![None; topics.len()]);
    topics.into_iter().zip(held).map(|(topic, held)| Wanted { topic, held }).collect()
}

/// Follows, and writes what waits, until one of both ends it; whether that is us, with a last event.
async fn run(hub: &Hub, socket: &Socket, connection: Connection, subscribe: Subscribe) -> bool {
    if let Subscribed::Refused(_) = hub.subscribe(connection, subscribe) {
        hub.metrics().refusals_total().of(Refused::Busy).add(1);
        let after_ms = hub.come_back_after_ms(connection);
        hub.close_for_a_while(connection, CloseCode::TryAgainLater, after_ms);
    }
    let mut due = pin!(sleep(STATES_WAIT));
    loop {
        match step(hub, socket, connection) {
            Ok(true) => {}
            Ok(false) => return false,
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    hub.metrics().refusals_total().of(Refused::Idle).add(1);
                }
                return false;
            }
        }
        // It cannot be told what of its topics is left or late now: coming back it is granted what it may see.
        if socket.take_entitlement().is_some() {
            close_with_retry(socket, CloseCode::TryAgainLater, hub.come_back_after_ms(connection));
        }
        if socket.is_closing() {
            return true;
        }
        let interest =
            if socket.has_waiting() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let is_awaiting = hub.is_awaiting(connection);
        tokio::select! {
            ready = socket.stream.ready(interest) => if ready.is_err() { return false },
            () = socket.wake.notified() => {}
            () = due.as_mut(), if is_awaiting => hub.give_up(connection),
        }
    }
}

/// Writes what the socket takes, and reads away what the client has no business to send; `false`: it is gone.
fn step(hub: &Hub, socket: &Socket, connection: Connection) -> io::Result<bool> {
    if socket.is_cut() {
        return Ok(false);
    }
    socket.write_waiting()?;
    if !socket.has_waiting() {
        hub.drained(connection);
    }
    hub.read_room().discard(socket)
}
