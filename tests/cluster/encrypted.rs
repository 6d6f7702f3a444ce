//! A NATS server that speaks TLS.

use std::path::Path;

use tempfile::TempDir;

use crate::cluster::refusals::assert_refused;
use crate::service::nats::Nats;
use crate::service::process::Service;
use crate::service::program::tickwire;
use crate::service::run::run;

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
fn a_server_without_tls_is_not_spoken_to_in_the_clear_where_tls_is_asked_for() {
    let Some(nats) = Nats::start(&["--user", "me", "--pass", "canary"]) else { return };
    let host = nats.url().replace("nats://", "");
    assert_refused("ingest", &format!("tls://me:canary@{host}"), &[&format!("tls://…@{host}")]);
}

fn trusting(authority: &Path, role: &str, url: &str) -> Service {
    let flags = ["serve", "--listen", "127.0.0.1:0", "--role", role, "--bus", url];
    Service::spawn(tickwire().args(flags).env("SSL_CERT_FILE", authority))
}
