//! One tap: lines of JSON by plain HTTP, for as long as the connection that is tapped is there, and who taps it, and may.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;

use feeds::Clock;
use feeds::clock::monotonic;
use tokio::io::Interest;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::{debug, info};

use super::mirror::Reflection;
use super::shown::Shown;
use crate::limits::{CLOSE_WAIT, READ_TURN_BYTES_MAX, SHARD_TICK, TAP_STALLED_MAX};
use crate::metrics::Metrics;
use crate::server::auth::{self, Auth, Due, Lease};
use crate::server::stream::Stream;
use crate::wire::admin::{Dropped, Ended, TapHead, TapLine};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-store\r\n\
    X-Accel-Buffering: no\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n";
const CONNECTION_ENDED: &str = "the connection has ended";

/// A tap that begins.
pub(super) struct Tap {
    pub(super) stream: Stream,
    /// Who taps, for the log.
    pub(super) admin: String,
    pub(super) from: IpAddr,
    pub(super) lease: Option<Lease>,
    pub(super) auth: Auth,
    pub(super) clock: Clock,
    pub(super) head: TapHead,
    pub(super) shown: Shown,
    pub(super) reflection: Reflection,
    pub(super) metrics: Metrics,
    /// One of the few taps that there may be.
    pub(super) place: OwnedSemaphorePermit,
}

/// Serves a tap to its end, and tells the log of both.
pub(super) async fn serve(tap: Tap) {
    let Tap { stream, admin, from, lease, auth, clock, head, shown, reflection, metrics, place } = tap;
    let id = head.connection.id;
    info!(
        admin,
        %from,
        connection = id,
        subject = head.connection.subject.as_deref().unwrap_or("nobody in particular"),
        address = %head.connection.address,
        payload = head.payload.as_str(),
        "a connection is tapped"
    );
    // Who is gone does not acknowledge what it is sent: there is a heartbeat each second.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(stream.socket()).set_tcp_user_timeout(Some(TAP_STALLED_MAX)) {
        debug!(%error, "an administrator that is gone will be noticed late");
    }
    metrics.taps().add(1);
    metrics.taps_total().add(1);
    let lines = Lines { stream: &stream, is_within_one: Cell::new(false) };
    let ended = tokio::select! {
        ended = copy(&lines, head, &shown, reflection) => ended,
        why = watch(&auth, lease, &clock, &shown) => Some(why),
        () = left(&stream) => None,
    };
    if let Some(reason) = ended {
        // Who does not read learns less.
        let _ = timeout(CLOSE_WAIT, say_goodbye(&lines, reason)).await;
    }
    metrics.taps().add(-1);
    drop(place);
    info!(admin, connection = id, reason = ended.unwrap_or("nobody reads it any more"), "a tap has ended");
}

/// Writes what passes; says why there is no more, or nothing where it cannot be written.
async fn copy(
    lines: &Lines<'_>,
    head: TapHead,
    shown: &Shown,
    mut reflection: Reflection,
) -> Option<&'static str> {
    lines.put(HEAD).await.ok()?;
    lines.put_line(&TapLine::Tap(head)).await.ok()?;
    while let Some(seen) = reflection.next().await {
        lines.put_dropped(seen.lost_before).await.ok()?;
        lines.put_line(&TapLine::Frame(shown.frame(&seen))).await.ok()?;
        // Others of the shard have their turn, also where the socket takes everything.
        tokio::task::yield_now().await;
    }
    lines.put_dropped(reflection.lost_at_last()).await.ok()?;
    Some(CONNECTION_ENDED)
}

/// Waits until the administrator is none any more; says why.
async fn watch(auth: &Auth, lease: Option<Lease>, clock: &Clock, shown: &Shown) -> &'static str {
    let Some(mut lease) = lease else { return std::future::pending().await };
    let mut looks = tokio::time::interval(SHARD_TICK);
    loop {
        looks.tick().await;
        match lease.due(auth, monotonic(), clock.now()) {
            Due::Nothing | Due::Notice(_) => {}
            Due::Entitle(entitlement) if entitlement.is_admin() => shown.entitle(entitlement),
            Due::Entitle(_) => return "this is for administrators alone",
            Due::End(refusal) => return auth::told(refusal),
        }
    }
}

/// Waits until who taps has gone. What it sends is read away.
async fn left(stream: &Stream) {
    let mut bytes = vec![0; READ_TURN_BYTES_MAX];
    loop {
        if stream.ready(Interest::READABLE).await.is_err() {
            return;
        }
        match stream.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => tokio::task::yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

async fn say_goodbye(lines: &Lines<'_>, reason: &str) -> io::Result<()> {
    // Behind half a line, nothing could be read.
    if !lines.is_within_one.get() {
        lines.put_line(&TapLine::Ended(Ended { reason: reason.to_owned() })).await?;
    }
    lines.stream.end()?;
    left(lines.stream).await;
    Ok(())
}

/// What is written, a line at a time.
struct Lines<'a> {
    stream: &'a Stream,
    /// A line has been begun, and not all of it is written.
    is_within_one: Cell<bool>,
}

impl Lines<'_> {
    async fn put_dropped(&self, messages: u64) -> io::Result<()> {
        if messages == 0 {
            return Ok(());
        }
        self.put_line(&TapLine::Dropped(Dropped { messages })).await
    }

    async fn put_line(&self, line: &TapLine) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.put(&bytes).await
    }

    /// Writes all of it, however slowly; but where nothing at all is taken for too long, nobody is there.
    async fn put(&self, mut rest: &[u8]) -> io::Result<()> {
        self.is_within_one.set(true);
        loop {
            match self.stream.try_write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            self.stream.flush()?;
            if rest.is_empty() && !self.stream.has_unsent() {
                self.is_within_one.set(false);
                return Ok(());
            }
            timeout(TAP_STALLED_MAX, self.stream.ready(Interest::WRITABLE)).await??;
        }
    }
}
