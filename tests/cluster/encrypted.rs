//! A bus by TLS, over NATS.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;

use tempfile::TempDir;

use crate::cluster::refusals::assert_refused;
use crate::service::nats::Nats;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::run::run;

/// What a NATS server says first.
const PLAIN_INFO: &[u8] =
    b"INFO {\"server_id\":\"plain\",\"version\":\"2.10.0\",\"host\":\"h\",\"port\":1,\"headers\":true,\"max_payload\":1048576,\"proto\":1}\r\n";
/// The kind of a TLS record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

#[test]
fn a_server_whose_certificate_is_trusted_is_used_and_no_other() {
    let folder = TempDir::new().expect("a folder");
    let made = run(tickwire().args(["dev-cert", "--out"]).arg(folder.path()));
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let flags = ["--tls", "--tlscert", certificate, "--tlskey", key, "--user", "me", "--pass", "canary"];
    let Some(nats) = Nats::start(&flags) else { return };
    let host = nats.url().replace("nats://", "");
    let authority = folder.path().join("ca.pem");
    // The server itself says that it wants TLS, where the URL does not.
    for scheme in ["tls", "nats"] {
        let url = format!("{scheme}://me:canary@{host}");
        assert_refused("gateway", &url, &["certificate", &format!("{scheme}://…@{host}")]);
        let ingest = trusting(&authority, "ingest", &url);
        let gateway = trusting(&authority, "gateway", &url);
        assert_eq!(gateway.json("/v1/instruments"), ingest.json("/v1/instruments"), "{scheme}");
    }
}

#[test]
fn nothing_is_said_in_the_clear_where_tls_is_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let (sender, heard) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            // As a server without TLS begins.
            stream.write_all(PLAIN_INFO).expect("it is read");
            let mut said = [0; 4_096];
            let length = stream.read(&mut said).expect("it is written to");
            if sender.send(said[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    assert_refused("ingest", &format!("tls://me:canary@{host}"), &[&format!("tls://…@{host}")]);
    let said = heard.recv().expect("it has come");
    assert_eq!(said[0], TLS_HANDSHAKE, "{}", String::from_utf8_lossy(&said));
}

fn trusting(authority: &Path, role: &str, url: &str) -> Service {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--role", role, "--bus", url];
    Service::spawn(tickwire().args(flags).env("SSL_CERT_FILE", authority))
}
