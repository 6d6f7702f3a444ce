//! Two gateways behind each of the balancers whose configuration is in `deploy`, as it is there but for the addresses.

mod service {
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod needed;
    pub(crate) mod port;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
    pub(crate) mod signal;
}

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use service::clients::node;
use service::eventually::eventually;
use service::needed::is_there;
use service::port::free_ports;
use service::process::Service;
use service::program::{PATIENCE, tickwire};
use service::python::python;
use service::signal::signal;

const HANDSHAKE: &str = "GET /v1/ws HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

type Secure = StreamOwned<ClientConnection, TcpStream>;

#[derive(Clone, Copy, PartialEq)]
enum Balancer {
    Haproxy,
    Nginx,
}

impl Balancer {
    fn name(self) -> &'static str {
        match self {
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
        }
    }

    fn is_there(self) -> bool {
        is_there(self.name(), Command::new(self.program()).arg("-v"))
    }

    fn program(self) -> PathBuf {
        Path::new("/usr/sbin").join(self.name())
    }

    /// What a gateway behind it is told of who its clients are.
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Haproxy => &["--trusted-proxies", "127.0.0.1", "--proxy-protocol"],
            Self::Nginx => &["--trusted-proxies", "127.0.0.1"],
        }
    }

    /// Its configuration in `deploy`, with these in place of what is there.
    fn configuration(self, replaced: &[(&str, String)]) -> String {
        let file = match self {
            Self::Haproxy => "deploy/haproxy.cfg",
            Self::Nginx => "deploy/nginx.conf",
        };
        let mut text =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it ships");
        for (old, new) in replaced {
            assert_eq!(text.matches(old).count(), 1, "{old} in {text}");
            text = text.replace(old, new);
        }
        text
    }
}

/// Two gateways and a balancer before them.
struct Cluster {
    gateways: Vec<Service>,
    balancer: Child,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    folder: TempDir,
}

impl Cluster {
    fn start(balancer: Balancer, flags: &[&str]) -> Self {
        let market = ["--sim-mode", "quotes", "--sim-instruments", "3", "--drain", "2s"];
        let all = || [&market[..], balancer.flags(), flags].concat();
        let gateways: Vec<_> = (0..2).map(|_| Service::start(all())).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
        let made = tickwire().args(["dev-cert", "--out"]).arg(folder.path()).output().expect("it runs");
        assert!(made.status.success(), "{made:?}");
        let [port] = free_ports();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let [first, second] = [0, 1].map(|at: usize| gateways[at].address.to_string());
        let mut command = Command::new(balancer.program());
        let text = match balancer {
            Balancer::Haproxy => {
                let both = fs::read_to_string(path("cert.pem")).expect("made")
                    + &fs::read_to_string(path("key.pem")).expect("made");
                fs::write(path("both.pem"), both).expect("a file");
                command.args(["-db", "-f", &path("configuration")]);
                balancer.configuration(&[
                    (":443", address.to_string()),
                    ("/etc/haproxy/tickwire.pem", path("both.pem")),
                    ("gateway-1:8080", first),
                    ("gateway-2:8080", second),
                    // For any user's limit of files.
                    ("maxconn 100000", "maxconn 200".to_owned()),
                ])
            }
            Balancer::Nginx => {
                command.args(["-c", &path("configuration"), "-p", &path(""), "-g", "daemon off;"]);
                // Any user may write there.
                let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|kind| format!("{kind}_temp_path {};", path(kind)))
                    .concat();
                balancer.configuration(&[
                    ("listen 443 ssl", format!("listen {address} ssl")),
                    ("/etc/nginx/tickwire.crt", path("cert.pem")),
                    ("/etc/nginx/tickwire.key", path("key.pem")),
                    ("server gateway-1:8080", format!("server {first}")),
                    ("server gateway-2:8080", format!("server {second}")),
                    ("/run/nginx.pid", path("pid")),
                    ("access_log off;", format!("access_log off; {temporary}")),
                    ("worker_processes auto;", "worker_processes 1;".to_owned()),
                    ("worker_rlimit_nofile 200000;", String::new()),
                    ("worker_connections 50000;", "worker_connections 200;".to_owned()),
                ])
            }
        };
        fs::write(path("configuration"), text).expect("a file");
        let output = fs::File::create(path("log")).expect("a file");
        let balancer = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("it is there");
        let tls = trusting(&folder.path().join("ca.pem"));
        let started = Self { gateways, balancer, address, tls, folder };
        eventually("the balancer listens, and has found a gateway that is ready", || {
            TcpStream::connect(address).is_ok() && started.get("/health/ready").starts_with("HTTP/1.1 200 ")
        });
        started
    }

    /// A connection from an address of this machine.
    fn connect_from(&self, from: Ipv4Addr) -> Secure {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((from, 0)).into()).expect("an address of this machine");
        socket.connect(&self.address.into()).expect("the balancer listens");
        socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let name = self.address.ip().into();
        StreamOwned::new(ClientConnection::new(Arc::clone(&self.tls), name).expect("a name"), socket.into())
    }

    fn connect(&self) -> Secure {
        self.connect_from(Ipv4Addr::LOCALHOST)
    }

    /// The head of the answer to a GET.
    fn get(&self, path: &str) -> String {
        ask(self.connect(), &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")).1
    }

    /// A client of all quotes.
    fn follow(&self) -> WebSocket<Secure> {
        let url = format!("wss://{}/v1/ws", self.address);
        let (mut socket, _) = tungstenite::client(url, self.connect()).expect("a handshake");
        let subscribe = json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}});
        socket.send(Message::text(subscribe.to_string())).expect("taken");
        socket
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("a file")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Both balancers end at this, and their workers with them; neither fails but for one that has ended.
        let _ = Command::new("kill").args(["-s", "TERM", &self.balancer.id().to_string()]).status();
        let _ = self.balancer.wait();
        if std::thread::panicking() {
            eprintln!("the balancer's log:\n{}", self.log());
        }
    }
}

fn trusting(authority: &Path) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).expect("a certificate")).expect("an authority");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both are there")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// What is answered, up to the end of its head.
fn ask(mut stream: Secure, head: &str) -> (BufReader<Secure>, String) {
    stream.write_all(head.as_bytes()).expect("the balancer reads");
    let mut reader = BufReader::new(stream);
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut answer).expect("a line") > 0, "cut off after {answer:?}");
    }
    (reader, answer)
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}

/// The objects of the next message; the code of the close frame where that comes.
fn next(socket: &mut WebSocket<Secure>) -> Result<Vec<Value>, u16> {
    loop {
        match socket.read().expect("a message") {
            Message::Text(text) => return Ok(serde_json::from_str(&text).expect("an array")),
            Message::Close(frame) => return Err(frame.map_or(1005, |frame| frame.code.into())),
            _ => {}
        }
    }
}

/// Reads until a quote has come.
fn follows(socket: &mut WebSocket<Secure>) -> bool {
    std::iter::from_fn(|| next(socket).ok()).any(|objects| {
        objects.iter().any(|object| object["channel"] == "quote" && object["type"] == "update")
    })
}

/// Asks, and reads to the answer; the code of the close frame where that comes before it.
fn until_answered(socket: &mut WebSocket<Secure>) -> Result<(), u16> {
    // Of one that is closed, what was sent before is still to be read.
    let _ = socket.send(Message::text(json!({"method": "ping", "req_id": 7}).to_string()));
    while !next(socket)?.iter().any(|object| object["req_id"] == 7) {}
    Ok(())
}

fn a_limit_is_of_the_clients_address(balancer: Balancer) {
    if !balancer.is_there() {
        return;
    }
    let cluster =
        Cluster::start(balancer, &["--max-connections-per-address", "1", "--exempt-addresses", "127.0.0.1"]);
    let shake = |from: [u8; 4], lines: &str| {
        let head = HANDSHAKE.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"));
        ask(cluster.connect_from(from.into()), &head)
    };
    // One at each of the two gateways, and no more, whoever the client says to be.
    let mut held = Vec::new();
    for (from, lines, status) in [
        ([127, 0, 0, 2], "", 101),
        ([127, 0, 0, 2], "", 101),
        ([127, 0, 0, 2], "", 429),
        ([127, 0, 0, 2], "X-Forwarded-For: 192.0.2.1\r\n", 429),
        ([127, 0, 0, 2], "Forwarded: for=192.0.2.1\r\n", 429),
        ([127, 0, 0, 3], "", 101),
        ([127, 0, 0, 3], "X-Forwarded-For: 127.0.0.2\r\n", 101),
    ] {
        let (stream, answer) = shake(from, lines);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{from:?} {lines:?}: {answer}");
        held.push(stream);
    }
}

fn messages_and_their_compression_pass(balancer: Balancer) {
    if !balancer.is_there() {
        return;
    }
    let cluster = Cluster::start(balancer, &[]);
    let offer = HANDSHAKE.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    let (_, answer) = ask(cluster.connect(), &offer);
    assert_status(&answer, 101);
    assert!(
        answer.to_ascii_lowercase().contains("\r\nsec-websocket-extensions: permessage-deflate"),
        "{answer}"
    );

    let authority = cluster.folder.path().join("ca.pem");
    let url = format!("https://localhost:{}", cluster.address.port());
    let watched = tickwire()
        .args(["watch", &url, "quote", "*", "--count", "20"])
        .env("SSL_CERT_FILE", &authority)
        .output()
        .expect("it runs");
    assert!(watched.status.success(), "{watched:?}");
    for mut client in [node("quotes.mjs", "ws"), python("quotes.py")].into_iter().flatten() {
        let output = client
            .args([&format!("{}/v1/ws", url.replace("https", "wss")), "20", "*"])
            .env("NODE_EXTRA_CA_CERTS", &authority)
            .env("SSL_CERT_FILE", &authority)
            .output()
            .expect("it is there");
        assert!(output.status.success(), "{output:?}");
    }
}

fn nobody_is_sent_to_one_that_drains(balancer: Balancer) {
    if !balancer.is_there() {
        return;
    }
    let mut cluster = Cluster::start(balancer, &[]);
    // By the fewest connections, two at each.
    let mut clients: Vec<_> = (0..4).map(|_| cluster.follow()).collect();
    assert!(clients.iter_mut().all(follows));

    signal(&cluster.gateways[0].child, "TERM");
    let mut asked = 0;
    let status = loop {
        assert_status(&cluster.get("/v1/instruments"), 200);
        asked += 1;
        if let Some(status) = cluster.gateways[0].child.try_wait().expect("a child") {
            break status;
        }
    };
    assert!(status.success() && asked > 1, "{status}, asked {asked} times");
    assert_status(&cluster.get("/v1/instruments"), 200);

    let mut closed = 0;
    for mut client in clients {
        match until_answered(&mut client) {
            Ok(()) => {}
            Err(code) => {
                assert_eq!(code, 1012);
                assert!(follows(&mut cluster.follow()));
                closed += 1;
            }
        }
    }
    assert_eq!(closed, 2);
}

mod haproxy {
    use super::Balancer;

    #[test]
    fn a_limit_is_of_the_clients_address() {
        super::a_limit_is_of_the_clients_address(Balancer::Haproxy);
    }

    #[test]
    fn messages_and_their_compression_pass() {
        super::messages_and_their_compression_pass(Balancer::Haproxy);
    }

    #[test]
    fn nobody_is_sent_to_one_that_drains() {
        super::nobody_is_sent_to_one_that_drains(Balancer::Haproxy);
    }
}

mod nginx {
    use super::Balancer;

    #[test]
    fn a_limit_is_of_the_clients_address() {
        super::a_limit_is_of_the_clients_address(Balancer::Nginx);
    }

    #[test]
    fn messages_and_their_compression_pass() {
        super::messages_and_their_compression_pass(Balancer::Nginx);
    }

    #[test]
    fn nobody_is_sent_to_one_that_drains() {
        super::nobody_is_sent_to_one_that_drains(Balancer::Nginx);
    }
}
