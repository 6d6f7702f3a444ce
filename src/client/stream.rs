//! A client's socket, in the clear or in TLS.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::http::Uri;
use feeds::live::tls;
use feeds::request;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connected socket, its TLS handshake done.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects to what a `ws://` or `wss://` URL names. `receive_buffer`: the bytes that the kernel may hold for it;
    /// `None`: as many as it likes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for another URL; else the network's, or why the server is not trusted.
    pub(crate) async fn connect(url: &Uri, receive_buffer: Option<u32>) -> io::Result<Self> {
        let wrong = |what| io::Error::new(ErrorKind::InvalidInput, what);
        let is_tls = match url.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(wrong("no URL that begins with ws:// or wss:// and a host")),
        };
        let authority = url.authority().ok_or_else(|| wrong("the URL has no host"))?;
        let host = authority.host().trim_matches(['[', ']']);
        let port = request::port(url, is_tls).ok_or_else(|| wrong("what the URL has for a port is none"))?;
        let socket = dial(host, port, receive_buffer).await?;
        if !is_tls {
            return Ok(Self::Plain(socket));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_invalid| wrong("no name of a server"))?;
        let stream = TlsConnector::from(trusting()?).connect(name, socket).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// What was agreed on in TLS; `None`: it is in the clear.
    pub(crate) fn tls(&self) -> Option<&ClientConnection> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(stream.get_ref().1),
        }
    }
}

/// Whom we trust, read once: there may be thousands of us.
fn trusting() -> io::Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Result<Arc<ClientConfig>, String>> = OnceLock::new();
    CONFIG.get_or_init(tls::config).clone().map_err(io::Error::other)
}

async fn dial(host: &str, port: u16, receive_buffer: Option<u32>) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in lookup_host((host, port)).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(bytes) = receive_buffer {
            // Before it is connected: the window that is offered then follows from it.
            socket.set_recv_buffer_size(bytes)?;
        }
        match socket.connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Linux doubles what it is told, for its own needs.
    #[tokio::test]
    async fn the_kernel_holds_no_more_for_a_client_than_it_is_told_to() {
        const BOUND: u32 = 32 * 1024;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        for (told, bounds) in [(Some(BOUND), BOUND..=2 * BOUND), (None, 2 * BOUND + 1..=u32::MAX)] {
            let (client, _peer) = tokio::join!(dial("127.0.0.1", address.port(), told), listener.accept());
            let client = client.expect("a connection");
            let buffer = socket2::SockRef::from(&client).recv_buffer_size().expect("a socket");
            assert!(bounds.contains(&u32::try_from(buffer).expect("small")), "{buffer}");
        }
    }

    #[tokio::test]
    async fn only_a_websocket_has_an_address() {
        for (url, part) in [("http://127.0.0.1:1/", "ws:// or wss://"), ("/v1/ws", "ws:// or wss://")] {
            let error = Stream::connect(&url.parse().expect("a URL"), None).await.expect_err("no connection");
            assert!(error.to_string().contains(part), "{url}: {error}");
        }
    }
}
