//! A bus by TLS, over each broker.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use tempfile::TempDir;

use crate::cluster::refusals::assert_refused;
use crate::service::nats::Nats;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::rabbit::Rabbit;
use crate::service::run::run;
use crate::service::tansu::Tansu;
use crate::service::tls::TlsFront;

/// What a NATS server says first.
const PLAIN_INFO: &[u8] =
    b"INFO {\"server_id\":\"plain\",\"version\":\"2.10.0\",\"host\":\"h\",\"port\":1,\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n";
/// The kind of a TLS record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A certificate of this machine, and who has signed it.
struct Certified {
    certificate: PathBuf,
    key: PathBuf,
    authority: PathBuf,
    _folder: TempDir,
}

impl Certified {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let made = run(tickwire().args(["dev-cert", "--out"]).arg(folder.path()));
        assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
        let [certificate, key, authority] =
            ["cert.pem", "key.pem", "ca.pem"].map(|name| folder.path().join(name));
        Self { certificate, key, authority, _folder: folder }
    }
}

/// Who does not trust the certificate is refused, and shows no password; who does is served.
#[track_caller]
fn assert_trusted_alone(authority: &Path, url: &str, shown: &str) {
    assert_refused("gateway", url, &["certificate", shown]);
    let ingest = trusting(authority, "ingest", url);
    let gateway = trusting(authority, "gateway", url);
    assert_eq!(gateway.json("/v1/instruments"), ingest.json("/v1/instruments"), "{shown}");
}

#[test]
fn a_nats_server_whose_certificate_is_trusted_is_used_and_no_other() {
    let certified = Certified::new();
    let [certificate, key] =
        [&certified.certificate, &certified.key].map(|path| path.to_str().expect("UTF-8"));
    let flags = ["--tls", "--tlscert", certificate, "--tlskey", key, "--user", "me", "--pass", "canary"];
    let Some(nats) = Nats::start(&flags) else { return };
    let host = nats.url().replace("nats://", "");
    // The server itself says that it wants TLS, where the URL does not.
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://me:canary@{host}");
        assert_trusted_alone(&certified.authority, &url, &format!("{scheme}://…@{host}"));
    }
}

#[test]
fn a_rabbit_mq_server_whose_certificate_is_trusted_is_used_and_no_other() {
    let certified = Certified::new();
    let Some(rabbit) = Rabbit::encrypted(&certified.certificate, &certified.key) else { return };
    let url = rabbit.url();
    let shown = url.replace("me:right@", "…@");
    assert_trusted_alone(&certified.authority, &url, &shown);
    let [url, shown] = [url, shown].map(|url| url.replace("amqps://", "amqp://"));
    assert_refused("ingest", &url, &["no RabbitMQ server that can be used", &shown]);
}

#[test]
fn a_kafka_broker_whose_certificate_is_trusted_is_used_and_no_other() {
    let mut front = None;
    // Tansu takes no key beside its certificate.
    let behind = |server: &str| front.insert(TlsFront::of(server.to_owned())).authority.clone();
    let Some(tansu) = Tansu::behind(behind) else { return };
    let front = front.expect("it has been made");
    let url = tansu.url();
    assert_refused("ingest", &url, &["no Kafka broker that can be used", &url]);
    let url = url.replace("kafka://", "kafka+ssl://");
    assert_trusted_alone(&front.certificate, &url, &url);
}

#[test]
fn nothing_is_said_in_the_clear_where_tls_is_asked_for() {
    for (scheme, [who, hidden]) in
        [("tls", ["me:canary@", "…@"]), ("amqps", ["me:canary@", "…@"]), ("kafka+ssl", ["", ""])]
    {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let host = listener.local_addr().expect("an address").to_string();
        let (sender, heard) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                // As a server without TLS begins. It fails for who only looks whether anybody is here.
                let _ = stream.write_all(PLAIN_INFO);
                let mut said = [0; 4_096];
                let length = stream.read(&mut said).unwrap_or_default();
                if length > 0 && sender.send(said[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        assert_refused(
            "ingest",
            &format!("{scheme}://{who}{host}"),
            &[&format!("{scheme}://{hidden}{host}")],
        );
        let said = heard.recv().expect("it has come");
        assert_eq!(said[0], TLS_HANDSHAKE, "{scheme}: {}", String::from_utf8_lossy(&said));
    }
}

fn trusting(authority: &Path, role: &str, url: &str) -> Service {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--role", role, "--bus", url];
    Service::spawn(tickwire().args(flags).env("SSL_CERT_FILE", authority))
}
