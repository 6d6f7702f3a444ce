//! The edge: sockets. One thread a shard, each with its own listener on the same port.

mod admin;
pub mod admission;
mod assets;
pub mod auth;
mod cors;
mod health;
mod http;
mod hub;
mod lent;
mod negotiation;
mod reading;
mod redirect;
mod refusal;
mod rest;
mod session;
mod socket;
mod sse;
mod stream;
pub mod tls;
mod traced;
mod upgrade;
mod view;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::Clock;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::error;

use crate::bus::ShardEnd;
use crate::directory::Directory;
use crate::ingest::Control;
use crate::lifeline::Lifeline;
use crate::limits::BACKLOG_MAX;
use crate::market::quotes::QuoteReader;
use crate::metrics::Metrics;
use admin::{Switchboard, Taps};
use admission::Admission;
use auth::{Auth, Gate};
use redirect::Redirect;
use worker::{Stop, Worker};

/// Listeners of all shards, bound but not served yet.
#[derive(Debug)]
pub struct Listeners {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    /// For those who come in the clear, to be told where TLS is.
    redirect: Option<TcpListener>,
}

impl Listeners {
    /// Binds one listener a shard to the same address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn bind(address: SocketAddr, shards: usize) -> io::Result<Self> {
        // Another process of the same user could share a port with us unseen, because all our listeners say
        // SO_REUSEPORT: a socket that does not say it finds out whether the port is taken.
        let probe = new_socket(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
        let address = probe.local_addr()?.as_socket().unwrap_or(address);
        drop(probe);
        let listeners = (0..shards).map(|_| bind_shared(address)).collect::<io::Result<_>>()?;
        Ok(Self { listeners, address, redirect: None })
    }

    /// Binds one more listener, which sends whoever comes in the clear to the others, and tells its address.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub fn redirect_from(&mut self, address: SocketAddr) -> io::Result<SocketAddr> {
        let socket = new_socket(address)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG_MAX)?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        self.redirect = Some(socket.into());
        Ok(address)
    }

    /// Where they listen.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

fn new_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = new_socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_MAX)?;
    Ok(socket.into())
}

/// What the shards' threads serve from.
#[derive(Clone)]
pub struct Sources {
    /// The instruments.
    pub directory: Directory,
    /// The quote cache; at a gateway there is none, and the ingest is asked.
    pub quotes: Option<QuoteReader>,
    /// How far the feed has come.
    pub feed: Control,
    /// Who comes in.
    pub admission: Admission,
    /// What is counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// Who is let in.
    pub auth: Auth,
    /// What handshakes of TLS are done with; without it, connections are in the clear.
    pub tls: Option<Arc<ServerConfig>>,
}

/// The shards' threads.
pub struct Server {
    threads: Vec<JoinHandle<()>>,
    admission: Admission,
    stop: watch::Sender<Stop>,
}

impl Server {
    /// Starts a thread for each shard, which holds a lifeline.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        listeners: Listeners,
        ends: Vec<ShardEnd>,
        epoch: &Arc<str>,
        sources: &Sources,
        lifeline: &Lifeline,
    ) -> io::Result<Self> {
        let (stop, stopped) = watch::channel(Stop::Not);
        let to_port = listeners.address.port();
        let mut threads = Vec::with_capacity(ends.len());
        let budget = rest::Budget::new();
        let (taps, (switchboard, asked)) = (Taps::new(), Switchboard::new(ends.len()));
        // Before the first shard accepts: its clients could take the files that the next one needs to begin.
        let ready = listeners.listeners.into_iter().map(worker::listen).collect::<io::Result<Vec<_>>>()?;
        let mut redirect = listeners.redirect;
        for (((runtime, listener), end), asked) in ready.into_iter().zip(ends).zip(asked) {
            let redirect =
                redirect.take().map(|listener| worker::register(&runtime, listener)).transpose()?;
            let gate = Gate { auth: sources.auth.clone(), metrics: sources.metrics.clone() };
            let rest = rest::routes(rest::Sources {
                directory: sources.directory.clone(),
                quotes: sources.quotes.clone(),
                bus: end.bus.clone(),
                budget: budget.clone(),
            })
            .route_layer(axum::middleware::from_fn_with_state(gate.clone(), auth::enter))
            .merge(auth::routes(gate.clone()))
            .merge(admin::routes(admin::Sources {
                gate: gate.clone(),
                switchboard: switchboard.clone(),
                directory: sources.directory.clone(),
                budget: budget.clone(),
                clock: sources.clock.clone(),
                taps: taps.clone(),
            }))
            .route_layer(axum::middleware::from_fn(traced::request))
            .merge(health::routes(
                sources.feed.clone(),
                sources.admission.clone(),
                sources.auth.clone(),
                sources.metrics.clone(),
            ))
            .merge(rest::description())
            .merge(assets::routes())
            .method_not_allowed_fallback(rest::wrong_method)
            .fallback_service(auth::nowhere(gate.clone()));
            let shard = end.shard;
            let worker = Worker {
                listener,
                tls: sources.tls.clone().map(TlsAcceptor::from),
                redirect: redirect.map(|listener| Redirect { listener, to_port }),
                end,
                directory: sources.directory.clone(),
                epoch: Arc::clone(epoch),
                rest,
                admission: sources.admission.clone(),
                gate,
                metrics: sources.metrics.clone(),
                clock: sources.clock.clone(),
                asked,
                stop: stopped.clone(),
            };
            let lifeline = lifeline.clone();
            threads.push(std::thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
                let _lifeline = lifeline;
                worker.run(&runtime);
            })?);
        }
        Ok(Self { threads, admission: sources.admission.clone(), stop })
    }

    /// Is not ready from now on and lets no more WebSockets in; closes those that there are with 1012, each at a moment of its
    /// own within that time; then listens no more, and ends when what is being answered has been.
    pub fn drain(&self, over: Duration) {
        self.admission.begin_to_drain();
        // Without receivers every thread has ended already.
        let _ = self.stop.send(Stop::After(over));
    }

    /// Whether every thread has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Closes every connection that is left, waits for no client, and joins the threads.
    pub fn stop(self) {
        // Without receivers every thread has ended already.
        let _ = self.stop.send(Stop::Now);
        for thread in self.threads {
            if thread.join().is_err() {
                error!("a shard has panicked");
            }
        }
    }
}
