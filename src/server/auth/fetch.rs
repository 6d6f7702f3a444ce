//! Gets a JWKS by HTTP: one request on a connection of its own, without redirects, within bounds of bytes and time.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::{JWKS_BYTES_MAX, JWKS_FETCH_WAIT};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("not an address of HTTP")]
    Address,
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("answered with {0}")]
    Status(StatusCode),
    #[error("the answer broke off, or is longer than {JWKS_BYTES_MAX} bytes")]
    Body,
    #[error("took longer than {} s", JWKS_FETCH_WAIT.as_secs())]
    Slow,
}

/// Gets what is at a URL. `tls`: what https is spoken with.
pub(super) async fn get(uri: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Vec<u8>, FetchError> {
    timeout(JWKS_FETCH_WAIT, request(uri, tls)).await.unwrap_or(Err(FetchError::Slow))
}

async fn request(uri: &Uri, tls: Option<&Arc<ClientConfig>>) -> Result<Vec<u8>, FetchError> {
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return Err(FetchError::Address);
    };
    let host = host.trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, authority.as_str())
        .header(USER_AGENT, concat!("tickwire/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .body(String::new())
        .map_err(|_| FetchError::Address)?;
    let stream = TcpStream::connect((host, port)).await?;
    match tls {
        None => exchange(stream, request).await,
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Address)?;
            exchange(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?, request).await
        }
    }
}

async fn exchange<S>(stream: S, request: Request<String>) -> Result<Vec<u8>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        let body = Limited::new(body, JWKS_BYTES_MAX).collect().await.map_err(|_| FetchError::Body)?;
        Ok(body.to_bytes().to_vec())
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It ends when all has come, or is broken: either way the answer says so.
        _ = &mut connection => answer.await,
    }
}
