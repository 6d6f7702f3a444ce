//! https and wss of the real program, with certificates of `tickwire dev-cert`.

mod service {
    pub(crate) mod chromium;
    pub(crate) mod clients;
    pub(crate) mod eventually;
    pub(crate) mod http;
    pub(crate) mod needed;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod program;
    pub(crate) mod python;
}

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use service::chromium::{CHROMIUM, chromium};
use service::clients::node;
use service::eventually::eventually;
use service::http::{Response, connect, read_response, request};
use service::page::built;
use service::process::Service;
use service::program::tickwire;
use service::python::python;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Certificates in a folder.
struct Certificates(TempDir);

impl Certificates {
    fn new() -> Self {
        let made = Self(tempfile::tempdir().expect("a folder"));
        made.renew();
        made
    }

    /// Makes all of them anew.
    fn renew(&self) {
        let output =
            tickwire().args(["dev-cert", "--force", "--out"]).arg(self.0.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn flags(&self) -> [String; 4] {
        let path = |name| self.path(name).to_str().expect("UTF-8").to_owned();
        ["--tls-cert".to_owned(), path("cert.pem"), "--tls-key".to_owned(), path("key.pem")]
    }

    fn serve(&self, more: &[&str]) -> Service {
        let market = ["--sim-mode", "quotes", "--sim-instruments", "3"];
        Service::start(self.flags().iter().map(String::as_str).chain(market).chain(more.iter().copied()))
    }

    fn trusting(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_file(self.path("ca.pem")).expect("a certificate");
        roots.add(authority).expect("an authority");
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("both are there")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn connect(&self, address: SocketAddr) -> Secure {
        open(address, self.trusting(rustls::ALL_VERSIONS))
    }

    /// What is answered to a GET, if there is a connection.
    fn get(&self, address: SocketAddr, path: &str) -> io::Result<Response> {
        get(self.connect(address), path)
    }

    fn metric(&self, server: &Service, name: &str) -> i64 {
        let text = self.get(server.address, "/metrics").expect("an answer").body;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("tickwire_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name} in {text}"))
    }

    /// A client of the quotes of all symbols.
    fn follow(&self, address: SocketAddr) -> WebSocket<Secure> {
        let url = format!("wss://{address}/v1/ws");
        let (mut socket, _) = tungstenite::client(url, self.connect(address)).expect("a handshake");
        let subscribe = json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}});
        socket.send(Message::text(subscribe.to_string())).expect("taken");
        socket
    }
}

fn open(address: SocketAddr, config: Arc<ClientConfig>) -> Secure {
    let name = ServerName::from(address.ip());
    StreamOwned::new(ClientConnection::new(config, name).expect("a name"), connect(address))
}

fn get(mut stream: Secure, path: &str) -> io::Result<Response> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").as_bytes())?;
    Ok(read_response(&mut BufReader::new(stream), "GET"))
}

/// Reads so many updates, each of which follows the one before of its symbol.
fn read_updates(
    socket: &mut WebSocket<Secure>,
    seqs: &mut std::collections::BTreeMap<String, u64>,
    count: usize,
) {
    let mut read = 0;
    while read < count {
        let Message::Text(text) = socket.read().expect("a message") else { continue };
        let messages: Vec<Value> = serde_json::from_str(&text).expect("an array");
        for message in messages.iter().filter(|message| message["channel"] == "quote") {
            let Some(symbol) = message["symbol"].as_str() else { continue };
            let seq = message["seq"].as_u64().expect("a number");
            let before = seqs.insert(symbol.to_owned(), seq);
            if message["type"] == "update" {
                assert_eq!(message["prev_seq"].as_u64(), before, "{message}");
            }
            read += 1;
        }
    }
}

/// Follows nothing any more, and reads all that waited.
fn leave(socket: &mut WebSocket<Secure>) {
    let unsubscribe = json!({"method": "unsubscribe", "params": {"channel": "quote", "symbols": ["*"]}});
    socket.send(Message::text(unsubscribe.to_string())).expect("taken");
    loop {
        let Message::Text(text) = socket.read().expect("a message") else { continue };
        let messages: Vec<Value> = serde_json::from_str(&text).expect("an array");
        if messages.iter().any(|message| message["method"] == "unsubscribe" && message["success"] == true) {
            return;
        }
    }
}

#[test]
fn rest_is_answered_in_both_versions_of_tls() {
    let certificates = Certificates::new();
    let server = certificates.serve(&[]);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = open(server.address, certificates.trusting(&[version]));
        let answer = get(stream, "/v1/quotes").expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("SYM00002"), "{}", answer.body);
    }
}

#[test]
fn who_does_not_trust_the_certificate_gets_nothing_and_harms_nobody() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let server = certificates.serve(&[]);
    let error = others.get(server.address, "/health/live").expect_err("no trust");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    // Who speaks no TLS at all is answered nothing that could be mistaken for HTTP.
    let mut plain = connect(server.address);
    plain.write_all(b"GET /health/live HTTP/1.1\r\nHost: here\r\n\r\n").expect("taken");
    let mut answer = Vec::new();
    let _ = io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    eventually("both are counted", || {
        certificates.metric(&server, "refusals_total{reason=\"tls_handshake\"}") == 2
    });
}

#[test]
fn updates_come_whole_to_who_reads_and_to_who_stalls() {
    let certificates = Certificates::new();
    let server = certificates.serve(&["--sim-rate", "3000", "--ping-timeout", "60s"]);
    let mut stalling = certificates.follow(server.address);
    let mut reading = certificates.follow(server.address);
    let (mut seqs, mut others) = Default::default();
    read_updates(&mut stalling, &mut seqs, 1_000);
    // What follows waits: first in the kernel, then here, until it is merged.
    let mut rounds = 0;
    eventually("the other lags", || {
        read_updates(&mut reading, &mut others, 1_000);
        rounds += 1;
        certificates.metric(&server, "laggards") > 0
    });
    read_updates(&mut stalling, &mut seqs, 20_000);
    read_updates(&mut reading, &mut others, 20_000);
    eventually("it has caught up", || {
        read_updates(&mut stalling, &mut seqs, 1_000);
        // Who is not read here lags too, and is cut in the end.
        read_updates(&mut reading, &mut others, 1_000);
        certificates.metric(&server, "laggards") == 0
    });
    let (mut stalled, mut read) = (stalling, reading);
    for socket in [&mut stalled, &mut read] {
        // What waits before the close frame has to be read in two seconds, which a slow machine may not.
        leave(socket);
        socket.close(None).expect("taken");
        // The end comes in the right way: close frame, then TLS's own.
        let end = loop {
            match socket.read() {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
    }
    eventually("none is left", || certificates.metric(&server, "connections") == 0);
}

#[test]
fn a_new_certificate_is_taken_while_running_and_a_wrong_one_is_not() {
    let certificates = Certificates::new();
    let server = certificates.serve(&["--sim-rate", "100"]);
    let mut open = certificates.follow(server.address);
    let mut seqs = Default::default();
    read_updates(&mut open, &mut seqs, 10);
    let before = certificates.connect(server.address);

    std::fs::write(certificates.path("cert.pem"), "no certificate").expect("a file");
    eventually("it is told", || server.log().contains("the new certificate cannot be used"));
    eventually("the log says so", || server.log().contains("cert.pem: no certificate"));
    assert_eq!(certificates.metric(&server, "certificate_failures_total"), 1);

    certificates.renew();
    eventually("the new one is shown", || certificates.get(server.address, "/health/live").is_ok());
    assert!(certificates.metric(&server, "certificate_loads_total") >= 1);
    // Who is connected stays so.
    read_updates(&mut open, &mut seqs, 10);
    drop(before);
}

#[test]
fn plain_http_is_told_to_go_to_https() {
    let certificates = Certificates::new();
    let server = certificates.serve(&["--redirect-listen", "127.0.0.1:0"]);
    let mut line = String::new();
    eventually("the log says where", || {
        let log = server.log();
        line = log.lines().find(|line| line.contains("told to go to https")).unwrap_or_default().to_owned();
        !line.is_empty()
    });
    let address = line.rsplit("127.0.0.1:").next().map(|port| port.chars().take_while(char::is_ascii_digit));
    let port: String = address.expect("an address").collect();
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().expect("an address");
    let answer = request(address, "POST", "/v1/quotes?symbols=A");
    let to = format!("https://127.0.0.1:{}/v1/quotes?symbols=A", server.address.port());
    assert_eq!((answer.status, answer.header("location")), (308, to.as_str()));

    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("taken");
    let mut text = String::new();
    io::Read::read_to_string(&mut stream, &mut text).expect("an answer");
    assert!(text.starts_with("HTTP/1.0 400"), "{text}");
}

fn refused(flags: &[&str]) -> String {
    let output = tickwire().arg("serve").args(flags).output().expect("it runs");
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn what_cannot_be_served_is_told_before_a_port_is_bound() {
    let certificates = Certificates::new();
    let told = refused(&["--listen", "0.0.0.0:0"]);
    assert!(
        told.contains("listen = `0.0.0.0:0`")
            && told.contains("--allow-plain")
            && told.contains("--tls-cert"),
        "{told}"
    );
    let server = Service::spawn(tickwire().args(["serve", "--listen", "0.0.0.0:0", "--allow-plain"]));
    assert_eq!(server.get("/health/live").status, 200);

    let [_, cert, _, key] = certificates.flags();
    for (flags, reason) in [
        (vec!["--tls-cert", cert.as_str()], "go together"),
        (vec!["--tls-key", key.as_str()], "go together"),
        (vec!["--redirect-listen", "127.0.0.1:0"], "no https to go to"),
        (vec!["--tls-cert", "/nowhere.pem", "--tls-key", &key], "cannot read /nowhere.pem"),
        (vec!["--tls-cert", &key, "--tls-key", &key], "no certificate"),
        (vec!["--tls-cert", &cert, "--tls-key", &cert], "no private key"),
    ] {
        let told = refused(&[&["--listen", "127.0.0.1:0"], &flags[..]].concat());
        assert!(told.contains(reason), "{told}");
    }
    let others = Certificates::new();
    let [.., key] = others.flags();
    let told = refused(&["--listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key]);
    assert!(told.contains("is not the key of"), "{told}");
}

#[test]
fn certificates_are_not_replaced_unasked_and_keys_are_private() {
    let certificates = Certificates::new();
    let key = std::fs::read_to_string(certificates.path("key.pem")).expect("a key");
    let output = tickwire().args(["dev-cert", "--out"]).arg(certificates.0.path()).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is there already: say --force"), "{output:?}");
    assert_eq!(std::fs::read_to_string(certificates.path("key.pem")).expect("a key"), key);
    #[cfg(unix)]
    {
        let mode = std::fs::metadata(certificates.path("key.pem")).expect("a file").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    }
    let output = tickwire().args(["dev-cert", "--names", "a b", "--out", "."]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stderr).contains("`a b` is neither"), "{output:?}");
}

/// Runs a client of the README that is told by a variable whom to trust.
fn check(client: impl Fn() -> Option<Command>, trust: &str) {
    let Some(mut command) = client() else { return };
    let certificates = Certificates::new();
    let server = certificates.serve(&["--sim-rate", "50"]);
    let url = format!("wss://localhost:{}/v1/ws", server.address.port());
    let arguments = [&url, "200", "SYM00000", "SYM00002"];
    let output =
        command.args(arguments).env(trust, certificates.path("ca.pem")).output().expect("it is there");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.lines().count() >= 200, "{stderr}");

    let mut command = client().expect("it is there");
    let output = command.args(arguments).env(trust, Path::new("/dev/null")).output().expect("it is there");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("certificate"), "{stderr}");
}

#[test]
fn the_node_client_reads_quotes_by_wss() {
    check(|| node("quotes.mjs", "ws"), "NODE_EXTRA_CA_CERTS");
}

#[test]
fn the_python_client_reads_quotes_by_wss() {
    check(|| python("quotes.py"), "SSL_CERT_FILE");
}

#[test]
fn watch_and_load_speak_wss_to_whom_they_trust() {
    let certificates = Certificates::new();
    let server = certificates.serve(&["--sim-rate", "50"]);
    let url = format!("https://localhost:{}", server.address.port());
    let run = |arguments: &[&str], trusted: &Path| {
        let output = tickwire().args(arguments).env("SSL_CERT_FILE", trusted).output().expect("it runs");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let authority = certificates.path("ca.pem");

    let (success, lines, told) = run(&["watch", &url, "quote", "*", "--count", "20"], &authority);
    assert!(success && lines.lines().count() == 20 && lines.contains("SYM00002"), "{lines}{told}");

    // Some of them prove what they get, the others only read.
    for encoding in ["json", "binary"] {
        let load = ["load", "--json", &url, "--clients", "20", "--verify", "10", "--symbols", "2"];
        let window = ["--encoding", encoding, "--warmup", "100ms", "--duration", "1s"];
        let (success, report, told) = run(&[&load[..], &window].concat(), &authority);
        let report: Value = serde_json::from_str(&report).unwrap_or_else(|error| panic!("{error}: {told}"));
        assert!(success, "{report}");
        assert_eq!((&report["errors"], &report["topics"]), (&json!({}), &json!(40)), "{report}");
        assert!(report["delivered"]["updates"].as_u64() > Some(1_000), "{report}");
    }

    let others = Certificates::new();
    for arguments in [&["watch", &url, "quote", "*"][..], &["load", &url, "--clients", "1"]] {
        let (success, _, told) = run(arguments, &others.path("ca.pem"));
        assert!(!success && told.contains("invalid peer certificate"), "{told}");
    }
}

#[test]
fn the_page_in_chromium_follows_quotes_by_wss() {
    if !built() {
        return;
    }
    let Some(mut client) = chromium("page/secure.mjs") else { return };
    let certificates = Certificates::new();
    let server = certificates.serve(&["--sim-rate", "50"]);
    let url = format!("https://localhost:{}/", server.address.port());
    let output =
        client.arg(&url).arg(certificates.path("cert.pem")).arg(CHROMIUM).output().expect("it is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
