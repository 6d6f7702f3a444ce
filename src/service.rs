//! The one place that joins the stages: feed → ingest (market, publisher) → bus → shards → sockets. Of a gateway:
//! broker → gateway (publisher) → bus → shards → sockets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::limits::INSTRUMENTS_MAX;
use feeds::{Clock, Feed};
use rustls::ServerConfig;
use tracing::info;

use crate::bus::broker::share::Publication;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
use crate::bus::broker::{self, BusError, Connection, Joined};
use crate::bus::{Bus, BusHandle};
use crate::directory::Directory;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
use crate::gateway;
use crate::ingest::{self, Control};
use crate::lifeline::{Watcher, lifeline};
use crate::limits::SHARDS_MAX;
use crate::market::quotes::{QuoteReader, quote_cache};
use crate::metrics::Metrics;
#[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
use crate::publisher::Mirror;
use crate::publisher::{Publisher, WhenFull};
use crate::server::admission::{self, Admission, TooLittleMemory};
use crate::server::auth::{self, Auth, AuthError};
use crate::server::tls::{self, CertificateError, CertificateFiles};
use crate::server::{Listeners, Server, Sources};
use crate::topic::TopicId;

/// How often to look whether all clients have gone.
const DRAINED_LOOK_EVERY: Duration = Duration::from_millis(20);

/// How to serve a feed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate of TLS; without one, connections are in the clear.
    pub tls: Option<CertificateFiles>,
    /// Where those who come in the clear are told where TLS is.
    pub redirect: Option<SocketAddr>,
    /// Who comes in, how often and with how much.
    pub admission: admission::Settings,
    /// Who is let in.
    pub auth: auth::Settings,
    /// Threads that serve clients, 1 to [`SHARDS_MAX`]; of an ingest one less.
    pub shards: usize,
    /// Of an ingest: where it publishes.
    pub bus: Option<Publication>,
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
    /// It cannot be known who is let in.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// Nobody could be let in.
    #[error(transparent)]
    Memory(#[from] TooLittleMemory),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// Too few or too many shards.
    #[error("shards must be between 1 and {SHARDS_MAX}, not {0}")]
    Shards(usize),
    /// There is no bus.
    #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Too many instruments.
    #[error(
        "the feed has {found} instruments, more than {most}: {INSTRUMENTS_MAX}, or half as many with `delay`"
    )]
    Instruments {
        /// How many.
        found: usize,
        /// How many there may be with these settings.
        most: usize,
    },
}

/// A running service.
pub struct Service {
    address: SocketAddr,
    is_tls: bool,
    server: Server,
    admission: Admission,
    auth: Auth,
    ingest: JoinHandle<()>,
    /// Of an ingest, to a broker.
    #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
    connection: Option<Connection>,
    control: Control,
    bus: BusHandle,
    metrics: Metrics,
    watcher: Watcher,
}

/// What is served, to whom and where, before anybody is.
struct Entrance {
    listeners: Listeners,
    tls: Option<Arc<ServerConfig>>,
    auth: Auth,
    admission: Admission,
    metrics: Metrics,
    clock: Clock,
}

impl Entrance {
    fn open(settings: &Settings, clock: Clock, metrics: Metrics) -> Result<Self, StartError> {
        let shards_max = if settings.bus.is_some() { SHARDS_MAX - 1 } else { SHARDS_MAX };
        if !(1..=shards_max).contains(&settings.shards) {
            return Err(StartError::Shards(settings.shards));
        }
        let admission = Admission::start(settings.admission.clone(), &metrics).map_err(StartError::Thread)?;
        admission.check_memory()?;
        let tls = settings.tls.clone().map(|files| tls::config(files, &metrics)).transpose()?;
        let auth = Auth::open(&settings.auth, clock.clone(), &metrics)?;
        let mut listeners = Listeners::bind(settings.listen, settings.shards)
            .map_err(|source| StartError::Listen { address: settings.listen, source })?;
        if let Some(address) = settings.redirect {
            let address =
                listeners.redirect_from(address).map_err(|source| StartError::Listen { address, source })?;
            info!(%address, "plain HTTP is told to go to https");
        }
        Ok(Self { listeners, tls, auth, admission, metrics, clock })
    }

    /// What the shards serve from.
    fn sources(&self, directory: Directory, quotes: Option<QuoteReader>, control: &Control) -> Sources {
        Sources {
            directory,
            quotes,
            feed: control.clone(),
            admission: self.admission.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            auth: self.auth.clone(),
            tls: self.tls.clone(),
        }
    }
}

impl Service {
    /// Binds, starts the threads, and serves.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub fn start(feed: Box<dyn Feed>, settings: &Settings, clock: Clock) -> Result<Self, StartError> {
        let classes = if settings.ingest.delay.is_some() { 2 } else { 1 };
        if feed.instruments().len() > INSTRUMENTS_MAX / classes {
            return Err(StartError::Instruments {
                found: feed.instruments().len(),
                most: INSTRUMENTS_MAX / classes,
            });
        }
        let entrance = Entrance::open(settings, clock.clone(), Metrics::default())?;
        let metrics = entrance.metrics.clone();
        let control = Control::new(feed.begins_at());
        let directory = match settings.ingest.delay {
            Some(_) => Directory::with_twins(feed.instruments()),
            None => Directory::new(feed.instruments()),
        };
        let (writer, quotes) = quote_cache(directory.len());
        // The bus, where there is one, has the last place.
        let shards = settings.shards + usize::from(settings.bus.is_some());
        let (bus, mut ends) = Bus::new(TopicId::count(directory.len()), shards);
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
        let (lifeline, watcher) = lifeline();
        let of_bus = ends.split_off(settings.shards);
        #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
        let connection = match (&settings.bus, of_bus.into_iter().next()) {
            (Some(publication), Some(end)) => {
                Some(broker::serve(publication, end, &directory, &epoch, &metrics, lifeline.clone())?)
            }
            _ => None,
        };
        #[cfg(not(any(feature = "nats", feature = "amqp", feature = "kafka")))]
        debug_assert!(of_bus.is_empty(), "there is no address of a bus then");
        let sources = entrance.sources(directory, Some(quotes), &control);
        let Entrance { listeners, admission, auth, tls, .. } = entrance;
        let (address, is_tls) = (listeners.address(), tls.is_some());
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
        Ok(Self {
            address,
            is_tls,
            server,
            admission,
            auth,
            ingest,
            #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
            connection,
            control,
            bus: handle,
            metrics,
            watcher,
        })
    }

    /// Binds, starts the threads, and serves what an ingest publishes on the bus.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
    pub fn start_gateway(
        joined: Joined,
        settings: &Settings,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
        let entrance = Entrance::open(settings, clock, metrics.clone())?;
        let control = Control::default();
        let directory = joined.directory.clone();
        let (bus, ends) = Bus::new(TopicId::count(directory.len()), settings.shards);
        let handle = bus.handle().clone();
        let epoch = Arc::clone(&joined.epoch);
        let mirror = Mirror::new(Arc::clone(&epoch));
        let publisher = Publisher::of_gateway(directory.clone(), bus, metrics.clone(), mirror);
        let (lifeline, watcher) = lifeline();
        let (runtime, link) = joined.start(&metrics);
        let sources = entrance.sources(directory, None, &control);
        let Entrance { listeners, admission, auth, tls, .. } = entrance;
        let (address, is_tls) = (listeners.address(), tls.is_some());
        let server =
            Server::start(listeners, ends, &epoch, &sources, &lifeline).map_err(StartError::Thread)?;
        let ingest = {
            let (control, metrics) = (control.clone(), metrics.clone());
            std::thread::Builder::new()
                .name("gateway".to_owned())
                .spawn(move || {
                    let _lifeline = lifeline;
                    gateway::run(publisher, &runtime, link, control, metrics);
                })
                .map_err(StartError::Thread)?
        };
        Ok(Self {
            address,
            is_tls,
            server,
            admission,
            auth,
            ingest,
            connection: None,
            control,
            bus: handle,
            metrics,
            watcher,
        })
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

    /// Takes new settings of who comes in, and of what they may see.
    ///
    /// # Errors
    /// [`AuthError`] when roles cannot be as they are now; all stays as it was.
    pub fn admit(&self, settings: &Settings) -> Result<(), AuthError> {
        self.auth.replace_roles(&settings.auth)?;
        self.admission.replace(settings.admission.clone());
        Ok(())
    }

    /// Begins to end: see [`Server::drain`]. The feed goes on.
    pub fn drain(&self, over: Duration) {
        self.server.drain(over);
    }

    /// Returns when all clients have gone, after [`Service::drain`].
    pub async fn drained(&self) {
        while !self.server.has_ended() {
            tokio::time::sleep(DRAINED_LOOK_EVERY).await;
        }
    }

    /// Closes every connection that is left, and joins the threads.
    pub fn stop(self) {
        self.control.stop();
        self.bus.wake();
        // Shards first: an ingest that waits for a full one is let go when it is gone.
        self.server.stop();
        #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
        self.connection.into_iter().for_each(Connection::stop);
        if self.ingest.join().is_err() {
            tracing::error!("the publisher has panicked");
        }
    }
}
