//! One shard's thread: a single-threaded runtime with its own listener, HTTP and WebSocket connections.
//! A connection never moves to another thread.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use feeds::Clock;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use super::http::{self, Bounds};
use super::hub::Hub;
use super::session;
use super::socket::Socket;
use super::upgrade::{self, Entrance, Upgraded};
use crate::bus::ShardEnd;
use crate::directory::Directory;
use crate::fanout::Shard;
use crate::limits::{BATCHES_PER_TURN_MAX, CLOSE_WAIT, HEARTBEAT_CHECK, UPGRADES_WAITING_MAX};
use crate::metrics::Metrics;
use crate::wire::code::CloseCode;

/// What a shard's thread is made of.
pub(super) struct Worker {
    pub(super) listener: std::net::TcpListener,
    pub(super) end: ShardEnd,
    pub(super) directory: Directory,
    pub(super) epoch: Arc<str>,
    pub(super) rest: Router,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) stop: watch::Receiver<bool>,
}

impl Worker {
    /// Serves until it is told to stop. Takes the calling thread.
    ///
    /// # Errors
    /// When the runtime or the listener cannot be set up.
    pub(super) fn run(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(LocalSet::new().run_until(self.serve()))
    }

    async fn serve(mut self) -> io::Result<()> {
        let (sender, mut upgraded) = mpsc::channel::<Upgraded>(UPGRADES_WAITING_MAX);
        let entrance = Entrance { upgraded: sender, metrics: self.metrics.clone() };
        let app = self.rest.merge(Router::new().route("/v1/ws", any(upgrade::upgrade)).with_state(entrance));
        let listener = TcpListener::from_std(self.listener)?;
        let accepting =
            tokio::task::spawn_local(http::serve(listener, app, self.metrics.clone(), Bounds::SERVICE));

        let shard = Shard::new(self.end.shard, self.end.bus.clone(), self.directory.clone(), self.epoch);
        let hub = Rc::new(Hub::new(shard, self.directory, self.metrics));
        let mut heartbeat = tokio::time::interval(HEARTBEAT_CHECK);
        let mut batches = Vec::with_capacity(BATCHES_PER_TURN_MAX);
        loop {
            tokio::select! {
                count = self.end.batches.recv_many(&mut batches, BATCHES_PER_TURN_MAX) => {
                    if count == 0 {
                        break;
                    }
                    hub.deliver(&batches);
                    batches.clear();
                    // Clients' requests and new connections take their turn between batches.
                    tokio::task::yield_now().await;
                }
                Some(Upgraded { stream, already_read, .. }) = upgraded.recv() => {
                    let socket = Rc::new(Socket::new(stream, hub.metrics().clone()));
                    tokio::task::spawn_local(session::serve(Rc::clone(&hub), socket, already_read, self.clock.clone()));
                }
                _ = heartbeat.tick() => hub.heartbeat(&self.clock),
                _ = self.stop.wait_for(|stop| *stop) => break,
            }
        }
        accepting.abort();
        hub.close_all(CloseCode::GoingAway);
        // Sessions end as their clients answer; whoever does not is cut off. Each holds the hub to its very end, also
        // while its last frames are being written.
        let _ = tokio::time::timeout(CLOSE_WAIT, async {
            while Rc::strong_count(&hub) > 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Ok(())
    }
}
