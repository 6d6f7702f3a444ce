//! A shard's HTTP/1 connections, from their acceptance to their end or upgrade. Each costs a file descriptor and a
//! buffer before it has said anything: their number, their silence and their age are bounded.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use feeds::clock::monotonic;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use crate::limits::{
    HTTP_AGE_MAX, HTTP_BUFFER_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_END_WAIT, HTTP_HEADER_WAIT,
    UNSENT_BYTES_MAX,
};
use crate::metrics::Metrics;

/// How long to leave a listener alone that cannot accept, such as for want of file descriptors: it would be ready
/// again at once, and fail again.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How often that is said.
const ACCEPT_ERROR_EVERY: Duration = Duration::from_secs(10);

/// The bounds of [`crate::limits`]; tests have no time for those.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    connections: usize,
    header_wait: Duration,
    age: Duration,
    end_wait: Duration,
}

impl Bounds {
    pub(super) const SERVICE: Self = Self {
        connections: HTTP_CONNECTIONS_MAX,
        header_wait: HTTP_HEADER_WAIT,
        age: HTTP_AGE_MAX,
        end_wait: HTTP_END_WAIT,
    };
}

/// Accepts and serves until it is dropped. Needs a `LocalSet` around it.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    app: Router,
    metrics: Metrics,
    bounds: Bounds,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(bounds.header_wait).max_buf_size(HTTP_BUFFER_BYTES_MAX);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut said_last = None;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                let now = monotonic();
                if said_last.is_none_or(|last| now.duration_since(last) >= ACCEPT_ERROR_EVERY) {
                    said_last = Some(now);
                    error!(%error, "a shard cannot accept connections");
                }
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            metrics.http_connections_refused_total().add(1);
            continue;
        };
        if let Err(error) = set_options(&stream) {
            debug!(%error, "a socket that cannot be set up is closed");
            continue;
        }
        let (tls, http, app, metrics) = (tls.clone(), http.clone(), app.clone(), metrics.clone());
        spawn_local(async move {
            let _place = place;
            let Some(tls) = tls else { return serve_one(stream, &http, app, bounds).await };
            match timeout(bounds.header_wait, tls.accept(stream)).await {
                Ok(Ok(stream)) => Box::pin(serve_one(stream, &http, app, bounds)).await,
                Ok(Err(error)) => {
                    metrics.tls_handshakes_failed_total().add(1);
                    debug!(%error, "a TLS handshake has failed");
                }
                Err(_) => {
                    metrics.tls_handshakes_failed_total().add(1);
                    debug!("a TLS handshake took too long");
                }
            }
        });
    }
}

/// Serves a connection to its end, or its upgrade.
async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http: &http1::Builder,
    app: Router,
    bounds: Bounds,
) {
    let service = TowerToHyperService::new(app);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let end = match timeout(bounds.age, connection.as_mut()).await {
        Ok(end) => Ok(end),
        Err(_) => {
            // What is being answered may come to its end; another request is not read.
            connection.as_mut().graceful_shutdown();
            timeout(bounds.end_wait, connection).await
        }
    };
    match end {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an HTTP connection has ended"),
        Err(_) => debug!("an HTTP connection has not ended in time, and is cut off"),
    }
}

/// Whether the client was gone before it was accepted, which says nothing of the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Where the kernel does not know it, only its buffer bounds what it keeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket2::SockRef::from(stream).set_send_buffer_size(2 * UNSENT_BYTES_MAX as usize)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::routing::{any, get};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
    use tokio::sync::mpsc;
    use tokio::task::LocalSet;

    use super::super::tls::{self, CertificateFiles};
    use super::super::upgrade::{self, Entrance, Upgraded};
    use super::*;

    const LONG: Duration = Duration::from_secs(30);
    const BOUNDS: Bounds = Bounds { connections: 4, header_wait: LONG, age: LONG, end_wait: LONG };
    const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n";
    const LARGE_BYTES: usize = 64 << 20;

    struct Server {
        address: SocketAddr,
        metrics: Metrics,
        upgraded: mpsc::Receiver<Upgraded>,
    }

    fn with_server<F: Future<Output = ()>>(bounds: Bounds, test: impl FnOnce(Server) -> F) {
        with_tls(None, bounds, test);
    }

    fn with_tls<F: Future<Output = ()>>(
        tls: Option<TlsAcceptor>,
        bounds: Bounds,
        test: impl FnOnce(Server) -> F,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(LocalSet::new().run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let metrics = Metrics::default();
            let (sender, upgraded) = mpsc::channel(1);
            let entrance = Entrance { upgraded: sender, metrics: metrics.clone() };
            let app = Router::new()
                .route("/small", get(|| async { "small" }))
                .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }))
                .route("/v1/ws", any(upgrade::upgrade).with_state(entrance));
            spawn_local(serve(listener, tls, app, metrics.clone(), bounds));
            test(Server { address, metrics, upgraded }).await;
        }));
    }

    impl Server {
        async fn connect(&self) -> TcpStream {
            TcpStream::connect(self.address).await.expect("it listens")
        }
    }

    /// Asks, and reads the answer to its end.
    async fn ask(stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nsmall") {
            if stream.read_buf(&mut answer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Whether the server closes a connection, and how soon.
    async fn closes(stream: &mut TcpStream, within: Duration) -> bool {
        let mut rest = Vec::new();
        // A connection that is reset is closed, too.
        timeout(within, stream.read_to_end(&mut rest)).await.is_ok()
    }

    #[test]
    fn whoever_sends_no_request_is_closed() {
        let header_wait = Duration::from_millis(200);
        with_server(Bounds { header_wait, ..BOUNDS }, |server| async move {
            let mut silent = server.connect().await;
            let mut half = server.connect().await;
            half.write_all(&REQUEST[..20]).await.expect("a socket");
            let mut idle = server.connect().await;
            ask(&mut idle).await.expect("an answer");
            for stream in [&mut silent, &mut half, &mut idle] {
                assert!(closes(stream, LONG / 2).await);
            }
            ask(&mut server.connect().await).await.expect("an answer");
        });
    }

    #[test]
    fn whoever_begins_no_tls_handshake_is_closed_and_counted() {
        let header_wait = Duration::from_millis(200);
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files = CertificateFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).expect("a file");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
        let tls = tls::config(files, &Metrics::default()).expect("a certificate");
        with_tls(Some(tls.into()), Bounds { header_wait, ..BOUNDS }, |server| async move {
            let mut silent = server.connect().await;
            let mut half = server.connect().await;
            half.write_all(&[0x16, 3, 1]).await.expect("a socket");
            for stream in [&mut silent, &mut half] {
                assert!(closes(stream, LONG / 2).await);
            }
            assert_eq!(server.metrics.tls_handshakes_failed_total().get(), 2);
        });
    }

    #[test]
    fn one_connection_too_many_is_closed_at_once_and_counted() {
        with_server(BOUNDS, |server| async move {
            let mut held = Vec::new();
            for _ in 0..BOUNDS.connections {
                let mut stream = server.connect().await;
                ask(&mut stream).await.expect("an answer");
                held.push(stream);
            }
            for refused in 1..=3 {
                assert!(closes(&mut server.connect().await, LONG / 2).await);
                assert_eq!(server.metrics.http_connections_refused_total().get(), refused);
            }
            for stream in &mut held {
                ask(stream).await.expect("the others are served");
            }
            held.pop();
            timeout(LONG, async { while ask(&mut server.connect().await).await.is_err() {} })
                .await
                .expect("a place that was left is given again");
        });
    }

    #[test]
    fn none_lives_longer_than_it_may() {
        let short = Duration::from_millis(300);
        with_server(Bounds { age: short, end_wait: short, ..BOUNDS }, |server| async move {
            let mut busy = server.connect().await;
            let end = timeout(LONG / 2, async { while ask(&mut busy).await.is_ok() {} });
            end.await.expect("it is closed between two answers");

            let mut deaf = server.connect().await;
            deaf.write_all(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("a socket");
            sleep(4 * short).await;
            let mut rest = Vec::new();
            // It may end in a reset.
            let _ = timeout(LONG / 2, deaf.read_to_end(&mut rest)).await.expect("it is cut off");
            assert!(rest.starts_with(b"HTTP/1.1 200 OK") && rest.len() < LARGE_BYTES, "{}", rest.len());
        });
    }

    #[test]
    fn an_upgrade_frees_its_place_and_hands_on_what_was_read() {
        let short = Duration::from_millis(300);
        let bounds = Bounds { connections: 1, header_wait: short, age: short, end_wait: short };
        with_server(bounds, |mut server| async move {
            let mut client = server.connect().await;
            let handshake =
                b"GET /v1/ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nand more";
            client.write_all(handshake).await.expect("a socket");
            let upgraded = timeout(LONG, server.upgraded.recv()).await.expect("in time").expect("a server");
            assert_eq!(upgraded.already_read, b"and more");
            ask(&mut server.connect().await).await.expect("the place is free");
            sleep(3 * short).await;
            upgraded.stream.ready(Interest::WRITABLE).await.expect("a socket");
            upgraded.stream.try_write(b"still here").expect("a socket");
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nstill here") {
                assert_ne!(client.read_buf(&mut answer).await.expect("a socket"), 0);
            }
            assert!(answer.starts_with(b"HTTP/1.1 101 "));
        });
    }
}
