//! One request by HTTP and its answer, on a connection of its own, without redirects. Whoever asks bounds the time.

use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The URL has no host, or none that TLS can prove.
    #[error("not an address of HTTP")]
    Address,
    /// Nothing is there.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// What is there does not speak HTTP, or breaks off.
    #[error(transparent)]
    Http(#[from] hyper::Error),
    /// The answer has begun, and was not read to its end.
    #[error("the answer broke off, or is longer than {bytes_max} bytes: {source}")]
    Body {
        /// How long it may be.
        bytes_max: usize,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Sends a request for a whole URL, and gives the answer, whatever its status. `tls`: what https is spoken with; without it,
/// HTTP is.
///
/// # Errors
/// [`RequestError`].
pub async fn send(
    mut request: Request<Full<Bytes>>,
    tls: Option<&Arc<ClientConfig>>,
    answer_bytes_max: usize,
) -> Result<Response<Bytes>, RequestError> {
    let uri = std::mem::take(request.uri_mut());
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else {
        return Err(RequestError::Address);
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path).map_err(|_| RequestError::Address)?;
    let named = HeaderValue::from_str(authority.as_str()).map_err(|_| RequestError::Address)?;
    request.headers_mut().insert(HOST, named);
    let agent = HeaderValue::from_static(concat!("tickwire/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(USER_AGENT, agent);
    let host = host.trim_matches(['[', ']']);
    let port = port(&uri, tls.is_some()).ok_or(RequestError::Address)?;
    let stream = TcpStream::connect((host, port)).await?;
    match tls {
        None => exchange(stream, request, answer_bytes_max).await,
        Some(config) => {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| RequestError::Address)?;
            let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
            exchange(stream, request, answer_bytes_max).await
        }
    }
}

/// The port that a URL names, or else that of HTTP, or HTTPS with TLS; `None`: what it names is none.
#[must_use]
pub fn port(url: &Uri, is_tls: bool) -> Option<u16> {
    let authority = url.authority()?;
    let is_named = !authority.as_str().ends_with(authority.host());
    if is_named { authority.port_u16() } else { Some(if is_tls { 443 } else { 80 }) }
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    bytes_max: usize,
) -> Result<Response<Bytes>, RequestError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, bytes_max).collect().await;
        let body = body.map_err(|source| RequestError::Body { bytes_max, source })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        // It ends when all has come, or is broken: either way the answer says so.
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_none_is_not_taken_for_that_of_the_scheme() {
        for (url, is_tls, found) in [
            ("http://h", false, Some(80)),
            ("wss://[::1]/x", true, Some(443)),
            ("ws://me@[::1]:9/x", false, Some(9)),
            ("http://127.0.0.1:99999/", false, None),
            ("https://h:/x", true, None),
            ("/x", false, None),
        ] {
            assert_eq!(port(&url.parse().expect(url), is_tls), found, "{url}");
        }
    }
}
