//! The socket below a connection to RabbitMQ, in the clear or in TLS, as the library reads and writes it.
//!
//! The library has TLS of its own, which comes with forty crates, old ciphers among them; what it takes is any stream of
//! a reactor.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use futures_util::Stream;
use futures_util::io::{AsyncRead, AsyncWrite};
use lapin::AsyncTcpStream;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, Socket};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use tokio_util::either::Either;

use crate::limits::BROKER_WAIT;

/// Tokio, but for the sockets.
pub(super) type Runtime = async_rs::Runtime<RuntimeParts<Tokio, Sockets>>;
type Connected = Compat<Either<TcpStream, Box<TlsStream<TcpStream>>>>;

pub(super) fn runtime() -> Runtime {
    Runtime::new(RuntimeParts::new(Tokio::current(), Sockets(Tokio::current())))
}

/// The socket, shut down with this. The library's thread would wait on it for ever where the broker says nothing while it
/// is connected to.
#[derive(Default)]
pub(super) struct Line(Arc<Mutex<Option<Socket>>>);

/// Where a socket is put when it is connected.
#[derive(Clone)]
pub(super) struct Place(Weak<Mutex<Option<Socket>>>);

impl Line {
    /// Whether anybody has taken the connection.
    pub(super) fn is_there(&self) -> bool {
        lock(&self.0).is_some()
    }

    pub(super) fn place(&self) -> Place {
        Place(Arc::downgrade(&self.0))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(socket) = lock(&self.0).take() {
            // It fails for a connection that has ended.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Connects to a host, and trusts it by `tls`; `None`: in the clear.
pub(super) async fn connect(
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    place: Place,
) -> io::Result<AsyncTcpStream<Connected>> {
    let connected = timeout(BROKER_WAIT, TcpStream::connect((host.as_str(), port))).await;
    let socket = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    socket.set_nodelay(true)?;
    let line = place.0.upgrade().ok_or(io::Error::from(io::ErrorKind::ConnectionAborted))?;
    *lock(&line) = Some(SockRef::from(&socket).try_clone()?);
    // Who gives up meanwhile drops it, which shuts the socket down.
    drop(line);
    let stream = match tls {
        None => Either::Left(socket),
        Some(config) => {
            let name = ServerName::try_from(host).map_err(io::Error::other)?;
            Either::Right(Box::new(TlsConnector::from(config).connect(name, socket).await?))
        }
    };
    Ok(AsyncTcpStream::Plain(stream.compat()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tokio's time; its sockets are those of [`connect`].
#[derive(Clone, Debug)]
pub(super) struct Sockets(Tokio);

impl Reactor for Sockets {
    type TcpStream = Connected;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Nobody does: the trait wants it.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Connected, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    /// As [`Reactor::register`].
    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Connected>> + Send + 'static {
        std::future::ready(Err(io::Error::from(io::ErrorKind::Unsupported)))
    }
}
