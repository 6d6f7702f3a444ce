//! The edge: sockets. One thread a shard, each with its own listener on the same port.

mod assets;
mod health;
mod http;
mod hub;
mod reading;
mod redirect;
mod rest;
mod session;
mod socket;
mod stream;
pub mod tls;
mod upgrade;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

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
use redirect::Redirect;
use worker::Worker;

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
    /// The quote cache.
    pub quotes: QuoteReader,
    /// How far the feed has come.
    pub feed: Control,
    /// What is counted.
    pub metrics: Metrics,
    /// The time.
    pub clock: Clock,
    /// What handshakes of TLS are done with; without it, connections are in the clear.
    pub tls: Option<Arc<ServerConfig>>,
}

/// The shards' threads.
pub struct Server {
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
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
        let (stop, stopped) = watch::channel(false);
        let to_port = listeners.address.port();
        let mut threads = Vec::with_capacity(ends.len());
        let budget = rest::Budget::new();
        // Before the first shard accepts: its clients could take the files that the next one needs to begin.
        let ready = listeners.listeners.into_iter().map(worker::listen).collect::<io::Result<Vec<_>>>()?;
        let mut redirect = listeners.redirect;
        for ((runtime, listener), end) in ready.into_iter().zip(ends) {
            let redirect =
                redirect.take().map(|listener| worker::register(&runtime, listener)).transpose()?;
            let rest = rest::routes(rest::Sources {
                directory: sources.directory.clone(),
                quotes: sources.quotes.clone(),
                bus: end.bus.clone(),
                budget: budget.clone(),
            })
            .merge(health::routes(sources.feed.clone(), sources.metrics.clone()))
            .merge(assets::routes())
            .method_not_allowed_fallback(rest::wrong_method)
            .fallback(rest::not_found);
            let shard = end.shard;
            let worker = Worker {
                listener,
                tls: sources.tls.clone().map(TlsAcceptor::from),
                redirect: redirect.map(|listener| Redirect { listener, to_port }),
                end,
                directory: sources.directory.clone(),
                epoch: Arc::clone(epoch),
                rest,
                metrics: sources.metrics.clone(),
                clock: sources.clock.clone(),
                stop: stopped.clone(),
            };
            let lifeline = lifeline.clone();
            threads.push(std::thread::Builder::new().name(format!("shard-{shard}")).spawn(move || {
                let _lifeline = lifeline;
                worker.run(&runtime);
            })?);
        }
        Ok(Self { threads, stop })
    }

    /// Closes every connection with 1001 and waits for the threads.
    pub fn stop(self) {
        // Without receivers every thread has ended already.
        let _ = self.stop.send(true);
        for thread in self.threads {
            if thread.join().is_err() {
                error!("a shard has panicked");
            }
        }
    }
}
