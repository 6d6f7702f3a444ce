//! One shard's thread: a single-threaded runtime with its own listener, HTTP and WebSocket connections.
//! A connection never moves to another thread.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use feeds::Clock;
use feeds::clock::monotonic;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;

use super::http::{self, Bounds};
use super::hub::Hub;
use super::redirect::{self, Redirect};
use super::session;
use super::upgrade::{self, Entrance, Upgraded};
use crate::bus::{Batches, ShardEnd};
use crate::directory::Directory;
use crate::fanout::Shard;
use crate::limits::{
    BATCHES_PER_TURN_MAX, CLOSE_WAIT, FLUSH_PAUSE_MAX, REST_BATCHES_MAX, SHARD_TICK, UPGRADES_WAITING_MAX,
};
use crate::metrics::Metrics;
use crate::wire::code::CloseCode;

/// How a shard shares its time between sending and letting updates come together: after a round of sends, it rests as
/// long as the round took, within bounds. An idle shard sends at once; a busy one sends more at a time, which costs
/// less, and so does not use up its core before it must. One that is behind has no time to rest.
#[derive(Default)]
struct Pace {
    /// What this round of sends has taken so far.
    spent: Duration,
    rest: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn flush(&mut self, hub: &Hub, is_behind: bool) {
        let began = monotonic();
        let flushed = hub.flush(began);
        self.spent += monotonic().duration_since(began);
        if flushed.is_round_over {
            let rest = std::mem::take(&mut self.spent).min(FLUSH_PAUSE_MAX);
            // Timers are of a millisecond.
            if rest >= Duration::from_millis(1) && !is_behind {
                self.rest = Some(Box::pin(sleep(rest)));
            }
        }
    }

    /// Waits until the rest is over; for ever if there is none.
    async fn rested(&mut self) {
        match &mut self.rest {
            Some(rest) => rest.await,
            None => std::future::pending().await,
        }
        self.rest = None;
    }
}

/// What a shard's thread is made of.
pub(super) struct Worker {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<TlsAcceptor>,
    /// Whoever comes here in the clear is told where TLS is.
    pub(super) redirect: Option<Redirect>,
    pub(super) end: ShardEnd,
    pub(super) directory: Directory,
    pub(super) epoch: Arc<str>,
    pub(super) rest: Router,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) stop: watch::Receiver<bool>,
}

/// A shard's runtime, and its listener in it.
///
/// # Errors
/// When the system has none to give, as of open files.
pub(super) fn listen(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = register(&runtime, listener)?;
    Ok((runtime, listener))
}

/// A listener in a runtime.
///
/// # Errors
/// When the system does not let it be waited for.
pub(super) fn register(runtime: &Runtime, listener: std::net::TcpListener) -> io::Result<TcpListener> {
    let _entered = runtime.enter();
    TcpListener::from_std(listener)
}

impl Worker {
    /// Serves until it is told to stop. Takes the calling thread.
    pub(super) fn run(self, runtime: &Runtime) {
        runtime.block_on(LocalSet::new().run_until(self.serve()));
    }

    async fn serve(mut self) {
        let (sender, mut upgraded) = mpsc::channel::<Upgraded>(UPGRADES_WAITING_MAX);
        let entrance = Entrance { upgraded: sender, metrics: self.metrics.clone() };
        let app = self.rest.merge(Router::new().route("/v1/ws", any(upgrade::upgrade)).with_state(entrance));
        let accepting = tokio::task::spawn_local(http::serve(
            self.listener,
            self.tls,
            app,
            self.metrics.clone(),
            Bounds::SERVICE,
        ));
        let redirecting = self.redirect.map(|Redirect { listener, to_port }| {
            let app = redirect::routes(to_port);
            tokio::task::spawn_local(http::serve(listener, None, app, self.metrics.clone(), Bounds::SERVICE))
        });

        let number = self.end.shard;
        let shard = Shard::new(number, self.end.bus.clone(), self.directory.clone(), self.epoch, monotonic());
        let hub = Rc::new(Hub::new(shard, self.directory, self.metrics));
        let mut tick = tokio::time::interval(SHARD_TICK);
        let mut pace = Pace::default();
        loop {
            let may_flush = pace.rest.is_none() && hub.is_dirty();
            // A shard that rests is not woken for what it would not send. Those that await states from a batch cannot be
            // flushed before it has come: it may be they who fill it.
            let may_take = pace.rest.is_none() && (!hub.is_full() || !hub.is_dirty());
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => break,
                _ = tick.tick() => hub.tick(&self.clock),
                Some(upgraded) = upgraded.recv() => {
                    tokio::task::spawn_local(session::serve(Rc::clone(&hub), upgraded, self.clock.clone()));
                }
                batch = self.end.batches.recv(), if may_take => {
                    let Some(batch) = batch else { break };
                    hub.deliver(&batch);
                    deliver_more(&mut self.end.batches, &hub);
                }
                () = pace.rested() => {}
                () = std::future::ready(()), if may_flush => {}
                () = hub.dirtied.notified() => {}
            }
            if pace.rest.is_none() && hub.is_dirty() {
                pace.flush(&hub, self.end.batches.waiting() > REST_BATCHES_MAX);
            }
            // Clients' requests and new connections take their turn between sends.
            tokio::task::yield_now().await;
        }
        accepting.abort();
        if let Some(redirecting) = redirecting {
            redirecting.abort();
        }
        hub.close_all(CloseCode::GoingAway);
        // Sessions end as their clients answer; whoever does not is cut off. Each holds the hub to its very end, also
        // while its last frames are being written.
        let _ = tokio::time::timeout(CLOSE_WAIT, async {
            while Rc::strong_count(&hub) > 1 {
                sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

/// Delivers what waits beside the batch that this turn began with, as far as a turn and a shard's room go.
fn deliver_more(batches: &mut Batches, hub: &Hub) {
    for _ in 1..BATCHES_PER_TURN_MAX {
        if hub.is_full() {
            return;
        }
        let Some(batch) = batches.try_recv() else { return };
        hub.deliver(&batch);
    }
}
