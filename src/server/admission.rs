//! Who comes in, how often and with how much: by address over all shards, and by what the process can bear.
//!
//! A connection passes, in this order: the places for HTTP of its shard and of its address; the header of the PROXY
//! protocol, TLS and the head of a request, within one time limit; the gate, which finds out the client's address and
//! counts its requests; and for a WebSocket its rate of handshakes, its origin, memory, and the places of all and of its
//! address. Who is exempt has no address here, nor has a trusted proxy itself, but for its own connections where every other
//! has a PROXY header.

pub mod forwarded;
pub(super) mod gate;
mod memory;
mod network;
pub mod origin;
mod places;
pub mod proxy;
mod rate;

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use axum::http::HeaderMap;
use tracing::{info, warn};

pub use self::network::{Network, NetworkError, Networks};
pub use self::origin::{Origin, OriginError};
pub use self::rate::Limit;

use self::memory::{Measures, Watch};
pub(super) use self::network::Holder;
use self::places::{Deed, NoPlace, Places};
pub(super) use self::places::{HttpPlace, Place};
pub(super) use self::rate::{Meter, Monotonic};
use super::refusal;
use crate::limits::{HTTP_CONNECTIONS_PER_ADDRESS_MAX, MEMORY_LOOK_EVERY, RETRY_AFTER};
use crate::metrics::{Metrics, Refused};
use crate::wire::code::{CloseCode, ErrorCode};

/// What may come in. May change while the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// WebSockets of the process.
    pub connections_max: usize,
    /// WebSockets of one address.
    pub connections_per_address_max: usize,
    /// Topics that one connection follows.
    pub subscriptions_max: usize,
    /// Handshakes of one address.
    pub handshakes: Limit,
    /// Requests by HTTP of one address.
    pub requests: Limit,
    /// Messages of one connection.
    pub messages: Limit,
    /// Bytes of memory that the process may have; `None`: a share of what there is.
    pub memory_max: Option<u64>,
    /// Silence of a client after which it is sent a ping.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// Whom the limits by address do not apply to.
    pub exempt: Networks,
    /// Who is believed when it tells a client's address.
    pub trusted_proxies: Networks,
    /// Whether each connection begins with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// Pages that may connect beside our own.
    pub allowed_origins: Vec<Origin>,
    /// Hosts that requests may be for; none: any.
    pub allowed_hosts: Vec<String>,
}

/// Why somebody is not let in, and when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Refused,
    pub(super) retry_after: Duration,
}

/// The memory that is set is in use before anybody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`max_memory` is {max} bytes, of which the process has {resident} before anybody has come: nobody would be let in; give it \
     several times that, or leave it out"
)]
pub struct TooLittleMemory {
    /// What is set.
    pub max: u64,
    /// What is in use.
    pub resident: u64,
}

/// What the shards share of it. Cheap to clone.
#[derive(Clone)]
pub struct Admission(Arc<Shared>);

struct Shared {
    settings: RwLock<Arc<Settings>>,
    places: Places,
    /// What the process may have where nothing is set.
    memory_default: Option<u64>,
    is_short_of_memory: AtomicBool,
    is_draining: AtomicBool,
    metrics: Metrics,
}

impl Admission {
    /// Begins to count. A thread follows the process's memory until the last clone is dropped.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(settings: Settings, metrics: &Metrics) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            settings: RwLock::new(Arc::new(settings)),
            places: Places::new(Monotonic),
            memory_default: memory::default_max(),
            is_short_of_memory: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            metrics: metrics.clone(),
        });
        shared.look_at_memory(&mut Watch::default());
        let weak = Arc::downgrade(&shared);
        std::thread::Builder::new().name("memory".to_owned()).spawn(move || follow_memory(&weak))?;
        Ok(Self(shared))
    }

    /// Whether the memory that is set leaves room for anybody.
    ///
    /// # Errors
    /// [`TooLittleMemory`]: the process has so much already that nobody would be let in.
    pub fn check_memory(&self) -> Result<(), TooLittleMemory> {
        let (Some(max), Some(resident)) = (self.settings().memory_max, memory::resident_bytes()) else {
            return Ok(());
        };
        if Watch::default().look(resident, max, 0).refuse {
            return Err(TooLittleMemory { max, resident });
        }
        Ok(())
    }

    /// What holds now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What holds from now on. Who is in stays.
    pub fn replace(&self, settings: Settings) {
        *self.0.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Lets no more WebSockets in, and is not ready any more.
    pub fn begin_to_drain(&self) {
        self.0.is_draining.store(true, Ordering::Relaxed);
    }

    /// Whether it is about to end.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self, reason: Refused) {
        self.0.metrics.refusals_total().of(reason).add(1);
    }

    /// Counts what was refused with an error code.
    pub(super) fn refuse_code(&self, code: ErrorCode) {
        refusal::count(&self.0.metrics, code);
    }

    /// A place for a connection that has not said anything yet.
    pub(super) fn http_place(&self, peer: IpAddr) -> Option<HttpPlace> {
        let holder = holder(peer, &self.settings());
        let place = self.0.places.http(holder, HTTP_CONNECTIONS_PER_ADDRESS_MAX).ok();
        if place.is_none() {
            self.refuse(Refused::AddressHttpConnections);
        }
        place
    }

    /// Who a client is. `None`, counted: those who should know contradict each other.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let client = forwarded::client(peer, headers, &self.settings().trusted_proxies);
        client.inspect_err(|_| self.refuse(Refused::Forwarded)).ok()
    }

    /// Counts a request by HTTP.
    ///
    /// # Errors
    /// When it is one too many; it is counted as refused.
    pub(super) fn take_request(&self, client: IpAddr) -> Result<(), Refusal> {
        let settings = self.settings();
        self.take(client, &settings, Deed::Request, settings.requests, Refused::RequestRate)
    }

    /// Counts a handshake, whatever comes of it.
    ///
    /// # Errors
    /// When it is one too many; it is counted as refused.
    pub(super) fn take_handshake(&self, client: IpAddr) -> Result<(), Refusal> {
        let settings = self.settings();
        self.take(client, &settings, Deed::Handshake, settings.handshakes, Refused::HandshakeRate)
    }

    /// Counts a handshake of TLS, which costs us more than its client.
    ///
    /// # Errors
    /// When it is one too many; it is counted as refused.
    pub(super) fn take_tls(&self, peer: IpAddr) -> Result<(), Refusal> {
        let settings = self.settings();
        self.take(peer, &settings, Deed::Tls, settings.handshakes, Refused::TlsRate)
    }

    fn take(
        &self,
        client: IpAddr,
        settings: &Settings,
        deed: Deed,
        limit: Limit,
        reason: Refused,
    ) -> Result<(), Refusal> {
        let taken = self.0.places.take(holder(client, settings), deed, limit);
        taken.map_err(|retry_after| self.refusal(reason, retry_after))
    }

    /// A place for a WebSocket, for as long as it lives.
    ///
    /// # Errors
    /// Why there is none; it is counted as refused.
    pub(super) fn place(&self, client: IpAddr) -> Result<Place, Refusal> {
        if self.is_draining() {
            return Err(self.refusal(Refused::Draining, RETRY_AFTER));
        }
        if self.0.is_short_of_memory.load(Ordering::Relaxed) {
            return Err(self.refusal(Refused::Memory, RETRY_AFTER));
        }
        let settings = self.settings();
        let holder = holder(client, &settings);
        let place =
            self.0.places.socket(holder, settings.connections_max, settings.connections_per_address_max);
        place.map_err(|no_place| match no_place {
            NoPlace::Full => self.refusal(Refused::Connections, RETRY_AFTER),
            NoPlace::Address => self.refusal(Refused::AddressConnections, RETRY_AFTER),
        })
    }

    fn refusal(&self, reason: Refused, retry_after: Duration) -> Refusal {
        self.refuse(reason);
        Refusal { reason, retry_after }
    }
}

impl Shared {
    fn look_at_memory(&self, watch: &mut Watch) {
        let Some(resident) = memory::resident_bytes() else { return };
        self.metrics.resident_bytes().set(i64::try_from(resident).unwrap_or(i64::MAX));
        let set = self.settings.read().unwrap_or_else(PoisonError::into_inner).memory_max;
        let Some(max) = set.or(self.memory_default) else { return };
        let Measures { refuse, shed } = watch.look(resident, max, self.places.sockets());
        if self.is_short_of_memory.swap(refuse, Ordering::Relaxed) != refuse {
            if refuse {
                warn!(resident, max, "hardly any memory is left: nobody more is let in");
            } else {
                info!(resident, max, "there is memory again");
            }
        }
        if shed > 0 {
            let ended = self.places.end_newest(shed, CloseCode::TryAgainLater);
            warn!(resident, max, ended, "too little memory: the newest connections are sent away");
        }
    }
}

fn follow_memory(shared: &Weak<Shared>) {
    let mut watch = Watch::default();
    loop {
        std::thread::park_timeout(MEMORY_LOOK_EVERY);
        let Some(shared) = shared.upgrade() else { return };
        shared.look_at_memory(&mut watch);
    }
}

fn holder(client: IpAddr, settings: &Settings) -> Option<Holder> {
    // A proxy carries many, unless each connection of its says whose it is: one that says none is its own.
    let is_carrier = settings.trusted_proxies.contains(client) && !settings.proxy_protocol;
    let counts = !settings.exempt.contains(client) && !is_carrier;
    counts.then(|| client.into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU32;

    use super::*;

    /// So many of everything that nothing is refused.
    pub(in crate::server) fn settings() -> Settings {
        let many = Limit { per_second: NonZeroU32::MAX, burst: NonZeroU32::MAX };
        Settings {
            connections_max: 100,
            connections_per_address_max: 100,
            subscriptions_max: 100,
            handshakes: many,
            requests: many,
            messages: many,
            memory_max: None,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(60),
            exempt: Networks::default(),
            trusted_proxies: Networks::default(),
            proxy_protocol: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
        }
    }
}
