//! Whom a connection trusts: the authorities that this machine trusts, or those of the file that `SSL_CERT_FILE` names,
//! or of the folder `SSL_CERT_DIR`. A list that is built in would know nothing of the proxy of a trading floor, and
//! would grow old.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// What TLS is spoken with.
///
/// # Errors
/// Why there is nobody to trust.
pub fn config() -> Result<Arc<ClientConfig>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reasons: Vec<String> = found.errors.iter().map(|error| format!(": {error}")).collect();
        return Err(format!(
            "no certificate authority to trust on this machine (SSL_CERT_FILE names a file of them){}",
            reasons.concat()
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
