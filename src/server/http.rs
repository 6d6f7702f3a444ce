//! A shard's HTTP/1 connections, from their acceptance to their end or upgrade. Each costs a file descriptor and a
//! buffer before it has said anything: their number, their silence and their age are bounded.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use feeds::clock::monotonic;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_local;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error};

use super::admission::gate::Peer;
use super::admission::{Admission, proxy};
use super::lent::{Carrier, Lent};
use crate::limits::{
    HTTP_AGE_MAX, HTTP_BUFFER_BYTES_MAX, HTTP_CONNECTIONS_MAX, HTTP_END_WAIT, HTTP_HEADER_WAIT,
    UNSENT_BYTES_MAX,
};
use crate::metrics::Refused;

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

/// What connections are served with.
#[derive(Clone)]
pub(super) struct Front {
    /// Without it, they come in the clear.
    pub(super) tls: Option<TlsAcceptor>,
    /// The routes, behind the [`gate`].
    pub(super) app: Router,
    pub(super) admission: Admission,
    pub(super) bounds: Bounds,
}

/// Accepts and serves until it is told to stop; then what is being answered comes to its end. Needs a `LocalSet` around it.
pub(super) async fn serve(listener: TcpListener, front: Front, mut stop: watch::Receiver<bool>) {
    let bounds = front.bounds;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new());
    http.header_read_timeout(bounds.header_wait).max_buf_size(HTTP_BUFFER_BYTES_MAX);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut said_last = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok((stream, peer)) => (stream, peer.ip().to_canonical()),
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
            front.admission.refuse(Refused::HttpConnections);
            continue;
        };
        if let Err(error) = set_options(&stream) {
            debug!(%error, "a socket that cannot be set up is closed");
            continue;
        }
        let (http, front, stop) = (http.clone(), front.clone(), stop.clone());
        spawn_local(async move {
            let _place = place;
            front.open(stream, peer, &http, stop).await;
        });
    }
    drop(listener);
    let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
    // Those that do not come to their end are cut off.
    let _ = timeout(bounds.end_wait, places.acquire_many(all)).await;
}

impl Front {
    /// Serves a connection from its first byte. Whatever comes before the end of the first request's head shares one time
    /// limit.
    async fn open(
        self,
        mut stream: TcpStream,
        peer: IpAddr,
        http: &http1::Builder,
        stop: watch::Receiver<bool>,
    ) {
        let mut due = pin!(sleep(self.bounds.header_wait));
        let peer = if self.admission.settings().proxy_protocol {
            let client = tokio::select! {
                client = self.proxied(&mut stream, peer) => client,
                () = due.as_mut() => None,
            };
            let Some(client) = client else { return self.admission.refuse(Refused::ProxyHeader) };
            client
        } else {
            peer
        };
        let Some(_place) = self.admission.http_place(peer) else { return };
        let Some(tls) = self.tls.clone() else {
            return self.serve_one(Carrier::Plain(stream), peer, http, due, stop).await;
        };
        if self.admission.take_tls(peer).is_err() {
            return;
        }
        let handshake = tokio::select! {
            handshake = tls.accept(stream) => handshake,
            () = due.as_mut() => Err(ErrorKind::TimedOut.into()),
        };
        match handshake {
            Ok(stream) => {
                Box::pin(self.serve_one(Carrier::Tls(Box::new(stream)), peer, http, due, stop)).await
            }
            Err(error) => {
                self.admission.refuse(Refused::TlsHandshake);
                debug!(%error, "a TLS handshake has failed");
            }
        }
    }

    /// Whom a proxy speaks for; `None`: it is none that may, or does not say so as it should.
    async fn proxied(&self, stream: &mut TcpStream, peer: IpAddr) -> Option<IpAddr> {
        if !self.admission.settings().trusted_proxies.contains(peer) {
            return None;
        }
        match proxy::read_client(stream).await {
            Ok(client) => Some(client.unwrap_or(peer)),
            Err(error) => {
                debug!(%error, "a proxy's connection is closed");
                None
            }
        }
    }

    /// Serves a connection to its end, or its upgrade.
    async fn serve_one(
        &self,
        carrier: Carrier,
        peer: IpAddr,
        http: &http1::Builder,
        due: Pin<&mut Sleep>,
        mut stop: watch::Receiver<bool>,
    ) {
        let app = TowerToHyperService::new(self.app.clone());
        let has_asked = Rc::new(Cell::new(false));
        let asked = Rc::clone(&has_asked);
        let lent = Lent::new(carrier);
        let lending = lent.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            asked.set(true);
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(lending.clone());
            app.call(request)
        });
        let mut connection = pin!(http.serve_connection(TokioIo::new(lent), service).with_upgrades());
        let silence = async {
            due.await;
            if has_asked.get() {
                std::future::pending().await
            }
        };
        let end = tokio::select! {
            end = connection.as_mut() => Some(end),
            () = silence => return self.admission.refuse(Refused::Silent),
            () = sleep(self.bounds.age) => None,
            _ = stop.wait_for(|stop| *stop) => if has_asked.get() { None } else { return },
        };
        let end = match end {
            Some(end) => Ok(end),
            None => {
                // What is being answered may come to its end; another request is not read.
                connection.as_mut().graceful_shutdown();
                timeout(self.bounds.end_wait, connection).await
            }
        };
        match end {
            Ok(Ok(())) => {}
            // Both limits end at the same moment: either may see it first.
            Ok(Err(error)) if error.is_timeout() && !has_asked.get() => {
                self.admission.refuse(Refused::Silent);
            }
            Ok(Err(error)) if error.is_parse() || error.is_parse_too_large() => {
                self.admission.refuse(Refused::Http);
            }
            Ok(Err(error)) => debug!(%error, "an HTTP connection has ended"),
            Err(_) => debug!("an HTTP connection has not ended in time, and is cut off"),
        }
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
    use tokio::task::{JoinHandle, LocalSet};

    use super::super::admission::{self, gate};
    use super::super::auth::{Auth, Gate};
    use super::super::tls::{self, CertificateFiles};
    use super::super::upgrade::{self, Entrance, Upgraded};
    use super::*;
    use crate::metrics::Metrics;

    const LONG: Duration = Duration::from_secs(30);
    const BOUNDS: Bounds = Bounds { connections: 4, header_wait: LONG, age: LONG, end_wait: LONG };
    const REQUEST: &[u8] = b"GET /small HTTP/1.1\r\nHost: here\r\n\r\n";
    const HANDSHAKE: &[u8] =
        b"GET /v1/ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const LARGE_BYTES: usize = 64 << 20;

    type TlsClient = tokio_rustls::client::TlsStream<TcpStream>;

    struct Server {
        address: SocketAddr,
        metrics: Metrics,
        upgraded: mpsc::Receiver<Upgraded>,
        held: Vec<(Upgraded, TlsClient)>,
        stop: watch::Sender<bool>,
        serving: JoinHandle<()>,
    }

    fn with_server<F: Future<Output = ()>>(bounds: Bounds, test: impl FnOnce(Server) -> F) {
        with_settings(None, admission::tests::settings(), bounds, test);
    }

    fn with_settings<F: Future<Output = ()>>(
        tls: Option<TlsAcceptor>,
        settings: admission::Settings,
        bounds: Bounds,
        test: impl FnOnce(Server) -> F,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(LocalSet::new().run_until(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let metrics = Metrics::default();
            let (sender, upgraded) = mpsc::channel(1);
            let admission = Admission::start(settings, &metrics).expect("a thread");
            let gate = Gate { auth: Auth::everybody(), metrics: metrics.clone() };
            let entrance =
                Entrance { upgraded: sender, admission: admission.clone(), is_tls: tls.is_some(), gate };
            let app = Router::new()
                .route("/small", get(|| async { "small" }))
                .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }))
                .route("/v1/ws", any(upgrade::upgrade).with_state(entrance))
                .layer(axum::middleware::from_fn_with_state(admission.clone(), gate::check));
            let (stop, stopped) = watch::channel(false);
            let serving = spawn_local(serve(listener, Front { tls, app, admission, bounds }, stopped));
            test(Server { address, metrics, upgraded, held: Vec::new(), stop, serving }).await;
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
            assert_eq!(server.metrics.refusals_total().of(Refused::Silent).get(), 2);
        });
    }

    #[test]
    fn when_it_stops_answers_come_to_their_end_and_nobody_is_waited_for_who_asks_nothing() {
        with_server(BOUNDS, |server| async move {
            let mut silent = server.connect().await;
            let mut idle = server.connect().await;
            ask(&mut idle).await.expect("an answer");
            let mut busy = server.connect().await;
            busy.write_all(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n").await.expect("a socket");
            let mut first = [0; 1024];
            busy.read_exact(&mut first).await.expect("an answer has begun");
            server.stop.send(true).expect("it serves");
            for stream in [&mut silent, &mut idle] {
                assert!(closes(stream, LONG / 2).await);
            }
            let mut rest = Vec::new();
            busy.read_to_end(&mut rest).await.expect("a whole answer");
            assert!(first.len() + rest.len() > LARGE_BYTES, "{}", rest.len());
            timeout(LONG / 2, server.serving).await.expect("nothing else is awaited").expect("no panic");
            assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens");
        });
    }

    #[test]
    fn a_proxy_says_who_its_client_is_before_tls_and_who_says_nothing_is_closed() {
        let header_wait = Duration::from_secs(2);
        let (certificate, tls) = certificate();
        let settings = admission::Settings {
            proxy_protocol: true,
            trusted_proxies: ["127.0.0.0/8".parse().expect("a network")].into_iter().collect(),
            connections_per_address_max: 1,
            ..admission::tests::settings()
        };
        with_settings(Some(tls), settings, Bounds { header_wait, ..BOUNDS }, |mut server| async move {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(certificate).expect("a certificate");
            let config = rustls::ClientConfig::builder_with_provider(Arc::new(
                rustls::crypto::ring::default_provider(),
            ))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
            let of = |source| {
                let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02";
                [&head[..], &[source], b"\xc6\x33\x64\x01\x12\x67\x1f\x90"].concat()
            };
            // LOCAL, and of a Unix socket: the proxy's own, which has its limits too.
            let own = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec();
            let unix = [&b"\r\n\r\n\0\r\nQUIT\n\x21\x31\0\xd8"[..], &[0; 216]].concat();
            for (header, status) in [
                (of(1), "101"),
                (of(1), "429"),
                (of(2), "101"),
                (own.clone(), "101"),
                (own, "429"),
                (unix, "429"),
            ] {
                let mut stream = server.connect().await;
                stream.write_all(&header).await.expect("a socket");
                let name = "localhost".try_into().expect("a name");
                let mut stream = connector.connect(name, stream).await.expect("a handshake");
                stream.write_all(HANDSHAKE).await.expect("a socket");
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).await.expect("an answer");
                assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes(), "{header:?}");
                if status == "101" {
                    // Held by the test's queue of one until here.
                    server.held.push((server.upgraded.recv().await.expect("a server"), stream));
                }
            }
            let mut silent = server.connect().await;
            let mut half = server.connect().await;
            half.write_all(b"\r\n\r\n\0").await.expect("a socket");
            let mut wrong = server.connect().await;
            wrong.write_all(REQUEST).await.expect("a socket");
            for stream in [&mut silent, &mut half, &mut wrong] {
                assert!(closes(stream, LONG / 2).await);
            }
            assert_eq!(server.metrics.refusals_total().of(Refused::ProxyHeader).get(), 3);
        });
    }

    fn certificate() -> (rustls::pki_types::CertificateDer<'static>, TlsAcceptor) {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let files = CertificateFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&files.certificate, made.cert.pem()).expect("a file");
        std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
        let tls = tls::config(files, &Metrics::default()).expect("a certificate");
        (made.cert.der().clone(), tls.into())
    }

    #[test]
    fn whoever_begins_no_tls_handshake_is_closed_and_counted() {
        let header_wait = Duration::from_millis(200);
        let (_, tls) = certificate();
        with_settings(
            Some(tls),
            admission::tests::settings(),
            Bounds { header_wait, ..BOUNDS },
            |server| async move {
                let mut silent = server.connect().await;
                let mut half = server.connect().await;
                half.write_all(&[0x16, 3, 1]).await.expect("a socket");
                for stream in [&mut silent, &mut half] {
                    assert!(closes(stream, LONG / 2).await);
                }
                assert_eq!(server.metrics.refusals_total().of(Refused::TlsHandshake).get(), 2);
            },
        );
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
                assert_eq!(server.metrics.refusals_total().of(Refused::HttpConnections).get(), refused);
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
            client.write_all(&[HANDSHAKE, b"and more"].concat()).await.expect("a socket");
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
