//! TLS 1.2 and 1.3 with a certificate from files, which are read again when they have changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tracing::{error, info};

use crate::limits::{CERTIFICATE_BYTES_MAX, CERTIFICATE_CHECK_EVERY};
use crate::metrics::Metrics;

/// Where the certificate is, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those that it was signed with, in this order.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC1.
    pub key: PathBuf,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is larger than any certificate.
    #[error("{} is longer than {CERTIFICATE_BYTES_MAX} bytes", .0.display())]
    TooLong(PathBuf),
    /// A file holds something else than PEM, or nothing that is asked for.
    #[error("{}: {reason}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is wrong. Never the key.
        reason: String,
    },
    /// The thread that follows the files cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// Certificate and key do not go together.
    #[error("{} is not the key of {}: {reason}", files.key.display(), files.certificate.display())]
    Pair {
        /// The two.
        files: CertificateFiles,
        /// What is wrong.
        reason: String,
    },
}

/// What each new connection is offered.
#[derive(Debug)]
pub(super) struct Certificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    stamp: Stamp,
}

/// How files looked when they were read; a changed one looks different.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl CertificateFiles {
    fn load(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertificateError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(&read(&self.certificate)?).collect::<Result<_, _>>().map_err(
                |error| CertificateError::Pem { path: self.certificate.clone(), reason: error.to_string() },
            )?;
        if chain.is_empty() {
            let reason = "no certificate (a PEM block CERTIFICATE) in it".to_owned();
            return Err(CertificateError::Pem { path: self.certificate.clone(), reason });
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|_| CertificateError::Pem {
            path: self.key.clone(),
            reason: "no private key (a PEM block PRIVATE KEY) in it".to_owned(),
        })?;
        let key = CertifiedKey::from_der(chain, key, provider)
            .map_err(|error| CertificateError::Pair { files: self.clone(), reason: error.to_string() })?;
        Ok(Arc::new(key))
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// [`CertificateError`] names the file.
    pub fn check(&self) -> Result<(), CertificateError> {
        self.load(&ring::default_provider()).map(drop)
    }

    fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let wrong = |source| CertificateError::Read { path: path.to_owned(), source };
    if fs::metadata(path).map_err(wrong)?.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::TooLong(path.to_owned()));
    }
    fs::read(path).map_err(wrong)
}

/// What each connection's handshake is done with. A thread follows the files until this is dropped.
///
/// # Errors
/// [`CertificateError`] names the file.
pub fn config(files: CertificateFiles, metrics: &Metrics) -> Result<Arc<ServerConfig>, CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let stamp = files.stamp();
    let key = files.load(&provider)?;
    let current = RwLock::new(Current { key, stamp });
    let certificate = Arc::new(Certificate { files, provider: Arc::clone(&provider), current });
    follow(Arc::downgrade(&certificate), metrics.clone()).map_err(CertificateError::Thread)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn follow(certificate: Weak<Certificate>, metrics: Metrics) -> io::Result<()> {
    std::thread::Builder::new()
        .name("certificate".to_owned())
        .spawn(move || {
            loop {
                std::thread::park_timeout(CERTIFICATE_CHECK_EVERY);
                let Some(certificate) = certificate.upgrade() else { return };
                certificate.reload(&metrics);
            }
        })
        .map(|_| ())
}

impl Certificate {
    /// Reads the files again if they have changed. What is wrong leaves the one before in its place.
    fn reload(&self, metrics: &Metrics) {
        let stamp = self.files.stamp();
        if self.current.read().unwrap_or_else(PoisonError::into_inner).stamp == stamp {
            return;
        }
        let loaded = self.files.load(&self.provider);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Once for each change: half of a new pair is told once, and the other half is a change.
        current.stamp = stamp;
        match loaded {
            Ok(key) => {
                current.key = key;
                metrics.certificate_loads_total().add(1);
                info!(certificate = %self.files.certificate.display(), "the certificate was read again");
            }
            Err(error) => {
                metrics.certificate_failures_total().add(1);
                error!(%error, "the new certificate cannot be used; the one before stays");
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}
