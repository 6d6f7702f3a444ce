//! What goes over a connection, on its way to who taps it: never in the connection's way. What finds no room is dropped, and
//! counted where it is missing.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use feeds::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

use crate::limits::{REQUEST_BYTES_MAX, TAP_WAITING_BYTES_MAX, TAP_WAITING_MAX};
use crate::metrics::Metrics;
use crate::wire::admin::Side;
use crate::wire::code::ErrorCode;
use crate::wire::{Method, ReqId, Request};
use crate::ws::frame::Opcode;

/// A message or a control frame on its way.
#[derive(Clone, Copy)]
pub(in crate::server) struct Passing<'a> {
    pub(in crate::server) at: Timestamp,
    pub(in crate::server) from: Side,
    pub(in crate::server) opcode: Opcode,
    /// Of the payload, before anything of it was hidden.
    pub(in crate::server) bytes: usize,
    pub(in crate::server) wire_bytes: usize,
    pub(in crate::server) is_compressed: bool,
    /// Inflated, and without what nobody is to see.
    pub(in crate::server) payload: &'a [u8],
}

/// The same, kept for who taps.
pub(super) struct Seen {
    pub(super) at: Timestamp,
    pub(super) from: Side,
    pub(super) opcode: Opcode,
    pub(super) bytes: usize,
    pub(super) wire_bytes: usize,
    pub(super) is_compressed: bool,
    pub(super) payload: Vec<u8>,
    /// How many before it found no room.
    pub(super) lost_before: u64,
}

/// The end of a tap at the connection that is tapped. Dropped with the connection.
pub(in crate::server) struct Mirror {
    sender: mpsc::Sender<Seen>,
    room: Arc<Room>,
    lost: Cell<u64>,
    metrics: Metrics,
}

/// The end of it at who taps.
pub(super) struct Reflection {
    receiver: mpsc::Receiver<Seen>,
    room: Arc<Room>,
}

#[derive(Default)]
struct Room {
    /// Of the payloads that wait.
    bytes: AtomicUsize,
    /// What found no room behind the last that did, once the connection has ended.
    lost_at_last: AtomicU64,
}

/// Both ends of a tap.
pub(super) fn mirror(metrics: &Metrics) -> (Mirror, Reflection) {
    let (sender, receiver) = mpsc::channel(TAP_WAITING_MAX);
    let room = Arc::new(Room::default());
    let mirror = Mirror { sender, room: Arc::clone(&room), lost: Cell::new(0), metrics: metrics.clone() };
    (mirror, Reflection { receiver, room })
}

impl Mirror {
    /// Takes what passes, if there is room; `false`: nobody looks any more.
    pub(in crate::server) fn take(&self, passing: &Passing<'_>) -> bool {
        if self.sender.is_closed() {
            return false;
        }
        let len = passing.payload.len();
        if self.room.bytes.fetch_add(len, Ordering::Relaxed) + len > TAP_WAITING_BYTES_MAX {
            self.lose(len);
            return true;
        }
        let Ok(place) = self.sender.try_reserve() else {
            self.lose(len);
            return true;
        };
        let &Passing { at, from, opcode, bytes, wire_bytes, is_compressed, payload } = passing;
        let (payload, lost_before) = (payload.to_vec(), self.lost.take());
        place.send(Seen { at, from, opcode, bytes, wire_bytes, is_compressed, payload, lost_before });
        true
    }

    fn lose(&self, len: usize) {
        self.room.bytes.fetch_sub(len, Ordering::Relaxed);
        self.lost.set(self.lost.get() + 1);
        self.metrics.tap_dropped_total().add(1);
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        // The channel is closed behind this: who sees that sees this.
        self.room.lost_at_last.store(self.lost.get(), Ordering::Release);
    }
}

impl Reflection {
    /// What passed next; `None`: the connection has ended.
    pub(super) async fn next(&mut self) -> Option<Seen> {
        let seen = self.receiver.recv().await?;
        self.room.bytes.fetch_sub(seen.payload.len(), Ordering::Relaxed);
        Some(seen)
    }

    /// How many found no room before the connection ended.
    pub(super) fn lost_at_last(&self) -> u64 {
        self.room.lost_at_last.load(Ordering::Acquire)
    }
}

/// A client's text as others may see it. What it presents is hidden; so is all of what is no right request: a token may
/// stand where none belongs.
pub(in crate::server) fn shown_request(text: &str) -> Vec<u8> {
    let refused = |code: ErrorCode| json!({ "hidden": code.as_str() }).to_string().into_bytes();
    if text.len() > REQUEST_BYTES_MAX {
        return refused(ErrorCode::MessageTooLarge);
    }
    match Request::parse(text.as_bytes()) {
        Ok(Request { method: Method::Auth { .. }, req_id }) => {
            let mut shown = json!({ "method": "auth", "params": { "token": "…" } });
            match req_id {
                None => {}
                Some(ReqId::Number(number)) => shown["req_id"] = number.into(),
                Some(ReqId::Text(text)) => shown["req_id"] = text.into(),
            }
            shown.to_string().into_bytes()
        }
        Ok(_) => text.as_bytes().to_vec(),
        Err(error) => refused(error.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(payload: &[u8]) -> Passing<'_> {
        Passing {
            at: Timestamp(1),
            from: Side::Server,
            opcode: Opcode::Text,
            bytes: payload.len(),
            wire_bytes: payload.len() + 2,
            is_compressed: false,
            payload,
        }
    }

    #[tokio::test]
    async fn what_finds_no_room_is_counted_where_it_is_missing() {
        let metrics = Metrics::default();
        let (mirror, mut reflection) = mirror(&metrics);
        let message = vec![b'a'; TAP_WAITING_BYTES_MAX / 4];
        for _ in 0..6 {
            assert!(mirror.take(&passing(&message)));
        }
        assert_eq!(metrics.tap_dropped_total().get(), 2);
        let first = reflection.next().await.expect("it came");
        assert_eq!(
            (first.lost_before, first.payload.len(), first.wire_bytes),
            (0, message.len(), message.len() + 2)
        );
        assert!(mirror.take(&passing(b"small")), "there is room again");
        assert!(mirror.take(&passing(&message)), "but not so much");
        for _ in 0..3 {
            assert_eq!(reflection.next().await.expect("they came").lost_before, 0);
        }
        let small = reflection.next().await.expect("it came");
        assert_eq!((&small.payload[..], small.lost_before), (&b"small"[..], 2));
        drop(mirror);
        assert!(reflection.next().await.is_none());
        assert_eq!(reflection.lost_at_last(), 1);
        assert_eq!(reflection.room.bytes.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn no_more_wait_than_may_however_small_and_nobody_is_shown_anything_who_left() {
        let metrics = Metrics::default();
        let (mirror, mut reflection) = mirror(&metrics);
        for _ in 0..TAP_WAITING_MAX + 3 {
            assert!(mirror.take(&passing(b"")));
        }
        assert_eq!(metrics.tap_dropped_total().get(), 3);
        assert!(reflection.next().await.is_some());
        drop(reflection);
        assert!(!mirror.take(&passing(b"")));
    }

    #[test]
    fn no_token_is_shown_wherever_it_stands() {
        let shown = |text: &str| String::from_utf8(shown_request(text)).expect("UTF-8");
        let right = r#"{"method":"subscribe","params":{"channel":"quote","symbols":["A"]},"req_id":1}"#;
        assert_eq!(shown(right), right);
        assert_eq!(
            shown(r#"{"req_id":"x","params":{"token":"canary"},"method":"auth"}"#),
            r#"{"method":"auth","params":{"token":"…"},"req_id":"x"}"#
        );
        for wrong in [
            r#"{"method":"auth","params":{"token":["canary"]}}"#,
            r#"{"method":"auth","params":{"token":"canary","more":1}}"#,
            r#"{"method":"auth","method":"ping","params":{"token":"canary"}}"#,
            r#"{"method":"Auth","params":{"token":"canary"}}"#,
            r#"{"method":"ping","params":{"token":"canary"}}"#,
            "canary",
            r#"{"method":"auth","params":{"token":"canary"#,
            &"canary".repeat(REQUEST_BYTES_MAX),
        ] {
            let hidden = shown(wrong);
            assert!(hidden.starts_with(r#"{"hidden":""#) && !hidden.contains("canary"), "{hidden}");
        }
    }
}
