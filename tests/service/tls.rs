//! A front of a fake venue that speaks TLS, with a certificate that nobody has heard of.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;

pub(crate) struct TlsFront {
    /// Host and port.
    pub(crate) authority: String,
    /// Its certificate, for who is to trust it.
    pub(crate) certificate: PathBuf,
    _folder: TempDir,
    _runtime: Runtime,
}

impl TlsFront {
    /// In front of the server at `venue`, host and port.
    pub(crate) fn of(venue: String) -> Self {
        Self::with(venue, |_| {})
    }

    /// With a certificate that is somewhat different.
    pub(crate) fn with(venue: String, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
        change(&mut params);
        let signing_key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&signing_key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let certificate = folder.path().join("certificate.pem");
        std::fs::write(&certificate, cert.pem()).expect("a file");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that ring has")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], signing_key.into())
            .expect("a key of the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = Runtime::new().expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let authority = listener.local_addr().expect("bound").to_string();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, venue) = (acceptor.clone(), venue.clone());
                tokio::spawn(async move {
                    // Who does not trust the certificate leaves.
                    let Ok(mut tls) = acceptor.accept(stream).await else { return };
                    let mut plain = TcpStream::connect(venue).await.expect("a venue");
                    // Either may break off.
                    let _ = copy_bidirectional(&mut tls, &mut plain).await;
                });
            }
        });
        Self { authority, certificate, _folder: folder, _runtime: runtime }
    }
}
