//! The one place that joins the stages: feed → ingest (market, publisher) → bus → shards → sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use feeds::limits::INSTRUMENTS_MAX;
use feeds::{Clock, Feed};
use tracing::info;

use crate::bus::{Bus, BusHandle};
use crate::directory::Directory;
use crate::ingest::{self, Control};
use crate::lifeline::{Watcher, lifeline};
use crate::limits::SHARDS_MAX;
use crate::market::quotes::quote_cache;
use crate::metrics::Metrics;
use crate::publisher::{Publisher, WhenFull};
use crate::server::tls::{self, CertificateError, CertificateFiles};
use crate::server::{Listeners, Server, Sources};
use crate::topic::TopicId;

/// How to serve a feed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate of TLS; without one, connections are in the clear.
    pub tls: Option<CertificateFiles>,
    /// Where those who come in the clear are told where TLS is.
    pub redirect: Option<SocketAddr>,
    /// Threads that serve clients, 1 to [`SHARDS_MAX`].
    pub shards: usize,
    /// How the feed is played.
    pub ingest: ingest::Settings,
    /// What happens when a shard cannot follow.
    pub when_full: WhenFull,
}

/// Why a service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address, with its port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Too few or too many shards.
    #[error("shards must be between 1 and {SHARDS_MAX}, not {0}")]
    Shards(usize),
    /// Too many instruments.
    #[error("the feed has {0} instruments, more than {INSTRUMENTS_MAX}")]
    Instruments(usize),
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    is_tls: bool,
    server: Server,
    ingest: JoinHandle<()>,
    control: Control,
    bus: BusHandle,
    metrics: Metrics,
    watcher: Watcher,
}

impl Service {
    /// Binds, starts the threads, and serves.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(feed: Box<dyn Feed>, settings: &Settings, clock: Clock) -> Result<Self, StartError> {
        if !(1..=SHARDS_MAX).contains(&settings.shards) {
            return Err(StartError::Shards(settings.shards));
        }
        if feed.instruments().len() > INSTRUMENTS_MAX {
            return Err(StartError::Instruments(feed.instruments().len()));
        }
        let metrics = Metrics::default();
        let tls = settings.tls.clone().map(|files| tls::config(files, &metrics)).transpose()?;
        let mut listeners = Listeners::bind(settings.listen, settings.shards)
            .map_err(|source| StartError::Listen { address: settings.listen, source })?;
        if let Some(address) = settings.redirect {
            let address =
                listeners.redirect_from(address).map_err(|source| StartError::Listen { address, source })?;
            info!(%address, "plain HTTP is told to go to https");
        }
        let address = listeners.address();
        let is_tls = tls.is_some();
        let control = Control::default();
        let directory = Directory::new(feed.instruments());
        let (writer, quotes) = quote_cache(directory.len());
        let (bus, ends) = Bus::new(TopicId::count(directory.len()), settings.shards);
        let handle = bus.handle().clone();
        let epoch = ingest::new_epoch(&clock);
        let publisher = Publisher::new(
            directory.clone(),
            writer,
            bus,
            metrics.clone(),
            Arc::clone(&epoch),
            settings.when_full,
        );
        let sources = Sources {
            directory,
            quotes,
            feed: control.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            tls,
        };
        let (lifeline, watcher) = lifeline();
        let server =
            Server::start(listeners, ends, &epoch, &sources, &lifeline).map_err(StartError::Thread)?;
        let ingest = {
            let (settings, control, metrics) = (settings.ingest, control.clone(), metrics.clone());
            std::thread::Builder::new()
                .name("ingest".to_owned())
                .spawn(move || {
                    let _lifeline = lifeline;
                    ingest::run(feed, publisher, settings, &clock, &control, &metrics);
                })
                .map_err(StartError::Thread)?
        };
        Ok(Self { address, is_tls, server, ingest, control, bus: handle, metrics, watcher })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is found: `https://127.0.0.1:8443`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.address)
    }

    /// How far its feed has come.
    #[must_use]
    pub const fn feed(&self) -> &Control {
        &self.control
    }

    /// What it counts.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Returns when one of the threads has ended, which none does before [`Service::stop`] unless something is broken.
    pub async fn broken(&mut self) {
        self.watcher.any_dropped().await;
    }

    /// Closes every connection and waits for the threads.
    pub fn stop(self) {
        self.control.stop();
        self.bus.wake();
        // Shards first: an ingest that waits for a full one is let go when it is gone.
        self.server.stop();
        if self.ingest.join().is_err() {
            tracing::error!("the ingest has panicked");
        }
    }
}
