//! A connection's bytes as long as they are HTTP's. A handler can take the connection back before anything is answered,
//! and answer by itself: what HTTP would write from then on comes to nothing.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::stream::Stream;

/// A connection that is lent to HTTP. All clones are the same one.
#[derive(Clone)]
pub(super) struct Lent(Arc<Mutex<Loan>>);

struct Loan {
    /// `None`: it was taken back.
    carrier: Option<Carrier>,
    /// Some of what was written waits: of an answer to a request that came before, with the next one right behind it.
    is_blocked: bool,
}

/// What there is below HTTP.
pub(super) enum Carrier {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Lent {
    pub(super) fn new(carrier: Carrier) -> Self {
        Self(Arc::new(Mutex::new(Loan { carrier: Some(carrier), is_blocked: false })))
    }

    /// Takes the connection back; `None`: it was taken before, or an answer has not gone out yet.
    pub(super) fn take(&self) -> Option<Stream> {
        let mut loan = self.loan();
        if loan.is_blocked {
            return None;
        }
        Some(match loan.carrier.take()? {
            Carrier::Plain(socket) => Stream::Plain(socket),
            Carrier::Tls(stream) => {
                let (socket, session) = stream.into_inner();
                Stream::tls(socket, session)
            }
        })
    }

    fn loan(&self) -> MutexGuard<'_, Loan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, write: impl FnOnce(&mut Carrier) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let mut loan = self.loan();
        let Loan { carrier: Some(carrier), is_blocked } = &mut *loan else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let written = write(carrier);
        *is_blocked = written.is_pending();
        written
    }
}

impl AsyncRead for Lent {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.loan().carrier {
            Some(Carrier::Plain(stream)) => Pin::new(stream).poll_read(context, bytes),
            Some(Carrier::Tls(stream)) => Pin::new(&mut **stream).poll_read(context, bytes),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Lent {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(|carrier| match carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Carrier::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(|carrier| match carrier {
            Carrier::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Carrier::Tls(stream) => Pin::new(&mut **stream).poll_write_vectored(context, parts),
        })
    }

    fn is_write_vectored(&self) -> bool {
        match &self.loan().carrier {
            Some(Carrier::Plain(stream)) => stream.is_write_vectored(),
            Some(Carrier::Tls(stream)) => stream.is_write_vectored(),
            None => false,
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.loan().carrier {
            Some(Carrier::Plain(stream)) => Pin::new(stream).poll_flush(context),
            Some(Carrier::Tls(stream)) => Pin::new(&mut **stream).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.loan().carrier {
            Some(Carrier::Plain(stream)) => Pin::new(stream).poll_shutdown(context),
            Some(Carrier::Tls(stream)) => Pin::new(&mut **stream).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
