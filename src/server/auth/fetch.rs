//! Gets a JWKS by HTTP, within bounds of bytes and time.

use std::sync::Arc;

use feeds::request::{self, RequestError};
use http_body_util::Full;
use hyper::header::ACCEPT;
use hyper::{Request, StatusCode, Uri};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::limits::{JWKS_BYTES_MAX, JWKS_FETCH_WAIT};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("answered with {0}")]
    Status(StatusCode),
    #[error("took longer than {} s", JWKS_FETCH_WAIT.as_secs())]
    Slow,
}

/// Gets what is at a URL. `tls`: what https is spoken with.
pub(super) async fn get(uri: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Vec<u8>, FetchError> {
    let request = Request::get(uri.clone())
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .body(Full::default())
        .map_err(|_| RequestError::Address)?;
    let sent = request::send(request, tls, JWKS_BYTES_MAX);
    let answer = timeout(JWKS_FETCH_WAIT, sent).await.map_err(|_| FetchError::Slow)??;
    match answer.status() {
        StatusCode::OK => Ok(answer.into_body().to_vec()),
        status => Err(FetchError::Status(status)),
    }
}
