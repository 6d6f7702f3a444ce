//! One shard's thread: a single-threaded runtime with its own listener, HTTP and WebSocket connections.
//! A connection never moves to another thread.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::any;
use feeds::Clock;
use feeds::clock::monotonic;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::Instrument;

use super::admin::Asked;
use super::admission::{Admission, gate};
use super::auth::Gate;
use super::cors::{self, Sharing};
use super::http::{self, Bounds, Front};
use super::hub::Hub;
use super::redirect::{self, Redirect};
use super::session;
use super::sse::{self, Entered};
use super::upgrade::{self, Entrance, Upgraded};
use crate::bus::{Batches, ShardEnd};
use crate::directory::Directory;
use crate::fanout::Shard;
use crate::limits::{
    BATCHES_PER_TURN_MAX, CLOSE_WAIT, FLUSH_PAUSE_MAX, REST_BATCHES_MAX, SHARD_TICK, UPGRADES_WAITING_MAX,
};
use crate::metrics::{Metrics, Stage};

/// How a shard shares its time between sending and letting updates come together: after a round of sends, it rests as
/// long as the round took, within bounds. An idle shard sends at once; a busy one sends more at a time, which costs
/// less, and so does not use up its core before it must. One that is behind has no time to rest.
#[derive(Default)]
struct Pace {
    /// What this round of sends has taken so far.
    spent: Duration,
    rest: Option<Pin<Box<Sleep>>>,
    /// When the first batch was taken of those that this round sends.
    sending: Option<Instant>,
    /// The same of those that came since it began.
    waiting: Option<Instant>,
}

impl Pace {
    /// Batches were taken.
    fn note_taken(&mut self, now: Instant, is_dirty: bool) {
        // What nobody follows any more makes nothing to send.
        if is_dirty {
            self.waiting.get_or_insert(now);
        }
    }

    fn flush(&mut self, hub: &Hub, is_behind: bool) {
        let began = monotonic();
        self.sending = self.sending.or_else(|| self.waiting.take());
        let flushed = hub.flush(began);
        let ended = monotonic();
        self.spent += ended.duration_since(began);
        if flushed.is_round_over {
            if let Some(taken) = self.sending.take() {
                hub.metrics().stage_seconds().note(Stage::Flush, ended.duration_since(taken));
            }
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
    pub(super) admission: Admission,
    pub(super) gate: Gate,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    /// What administrators ask.
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) stop: watch::Receiver<Stop>,
}

/// Whether a shard serves on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It does.
    Not,
    /// For so long, while its connections are closed one after the other.
    After(Duration),
    /// It ends, and waits for nobody.
    Now,
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
        let (enters, mut entered) = mpsc::channel::<Entered>(UPGRADES_WAITING_MAX);
        let auth = self.gate.auth.clone();
        let admission = &self.admission;
        let is_tls = self.tls.is_some();
        let events = sse::Entrance {
            entered: enters,
            admission: admission.clone(),
            is_tls,
            gate: self.gate.clone(),
            directory: self.directory.clone(),
        };
        let entrance = Entrance { upgraded: sender, admission: admission.clone(), is_tls, gate: self.gate };
        let app = self
            .rest
            .merge(Router::new().route(gate::SOCKET, any(upgrade::upgrade)).with_state(entrance))
            .merge(Router::new().route(gate::EVENTS, any(sse::enter)).with_state(events));
        let sharing = Sharing { admission: admission.clone(), is_tls };
        let app = app.layer(from_fn_with_state(sharing, cors::share));
        let front = |tls, app: Router| Front {
            tls,
            app: app.layer(from_fn_with_state(admission.clone(), gate::check)),
            admission: admission.clone(),
            bounds: Bounds::SERVICE,
        };
        let (shut, is_shut) = watch::channel(false);
        let accepting = spawn_local(http::serve(self.listener, front(self.tls, app), is_shut.clone()));
        let redirecting = self.redirect.map(|Redirect { listener, to_port }| {
            spawn_local(http::serve(listener, front(None, redirect::routes(to_port)), is_shut))
        });

        let number = self.end.shard;
        let shard = Shard::new(number, self.end.bus.clone(), self.directory.clone(), self.epoch, monotonic());
        let hub = Rc::new(Hub::new(shard, self.directory, admission.clone(), self.metrics, auth));
        let mut tick = tokio::time::interval(SHARD_TICK);
        let mut pace = Pace::default();
        let mut drained = pin!(None::<Sleep>);
        let mut waits = true;
        loop {
            let may_flush = pace.rest.is_none() && hub.is_dirty();
            // A shard that rests is not woken for what it would not send. Those that await states from a batch cannot be
            // flushed before it has come: it may be they who fill it.
            let may_take = pace.rest.is_none() && (!hub.is_full() || !hub.is_dirty());
            tokio::select! {
                biased;
                stop = next_stop(&mut self.stop) => match stop {
                    Stop::Not => {}
                    Stop::After(over) => {
                        hub.begin_to_drain(over);
                        drained.set(Some(sleep(over)));
                    }
                    Stop::Now => {
                        waits = false;
                        break;
                    }
                },
                () = some(drained.as_mut()) => break,
                _ = tick.tick() => hub.tick(&self.clock),
                Some(asked) = self.asked.recv() => hub.answer(asked),
                Some(upgraded) = upgraded.recv() => {
                    let span = upgraded.span();
                    spawn_local(session::serve(Rc::clone(&hub), upgraded, self.clock.clone()).instrument(span));
                }
                Some(entered) = entered.recv() => {
                    spawn_local(sse::serve(Rc::clone(&hub), entered));
                }
                batch = self.end.batches.recv(), if may_take => {
                    let Some(batch) = batch else { break };
                    let taken = monotonic();
                    hub.deliver(&batch);
                    deliver_more(&mut self.end.batches, &hub);
                    pace.note_taken(taken, hub.is_dirty());
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
        // Nobody listens any more where a listener has ended.
        let _ = shut.send(true);
        hub.close_all();
        let mut ended = pin!(async {
            // Sessions end as their clients answer; whoever does not is cut off. Each holds the hub to its very end, also
            // while its last frames are being written.
            let sessions = timeout(CLOSE_WAIT, async {
                while Rc::strong_count(&hub) > 1 {
                    sleep(Duration::from_millis(10)).await;
                }
            });
            let answers = async {
                for serving in [Some(accepting), redirecting].into_iter().flatten() {
                    // Whoever has panicked has said so.
                    let _ = serving.await;
                }
            };
            let _ = tokio::join!(sessions, answers);
        });
        while waits {
            tokio::select! {
                () = ended.as_mut() => break,
                stop = next_stop(&mut self.stop) => waits = stop != Stop::Now,
            }
        }
        // The last frames, as far as sockets take them at once.
        tokio::task::yield_now().await;
    }
}

/// What is said next; without anybody who could say it, the end.
async fn next_stop(stop: &mut watch::Receiver<Stop>) -> Stop {
    match stop.changed().await {
        Ok(()) => *stop.borrow_and_update(),
        Err(_) => Stop::Now,
    }
}

/// Waits for a future; for ever if there is none.
async fn some(mut future: Pin<&mut Option<Sleep>>) {
    match future.as_mut().as_pin_mut() {
        Some(future) => future.await,
        None => std::future::pending().await,
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
