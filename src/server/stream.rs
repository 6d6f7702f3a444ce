//! A connection's bytes, in the clear or in TLS. Both sides of it never wait: they take what is there.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use rustls::ServerConnection;
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use crate::limits::TLS_UNSENT_BYTES_MAX;

/// A socket whose handshakes are done.
#[derive(Debug)]
pub(super) enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// In TLS.
    Tls(Box<Tls>),
}

/// A socket and its session.
#[derive(Debug)]
pub(super) struct Tls {
    socket: TcpStream,
    session: RefCell<ServerConnection>,
}

impl Stream {
    pub(super) fn tls(socket: TcpStream, mut session: ServerConnection) -> Self {
        session.set_buffer_limit(Some(TLS_UNSENT_BYTES_MAX));
        Self::Tls(Box::new(Tls { socket, session: RefCell::new(session) }))
    }

    /// The socket below.
    pub(super) const fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => &tls.socket,
        }
    }

    /// Waits until the socket is ready for one of these.
    ///
    /// # Errors
    /// The socket's.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        self.socket().ready(interest).await
    }

    /// Reads what has come; 0: nothing more will.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when nothing has come; else the socket's, or a record that is none.
    pub(super) fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_read(bytes),
            Self::Tls(tls) => tls.try_read(bytes),
        }
    }

    /// Writes what is taken of these. In TLS, what was taken may wait as records: see [`Stream::flush`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when nothing is taken; else the socket's.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.try_write(bytes),
            Self::Tls(tls) => tls.try_write(bytes),
        }
    }

    /// Whether records wait for the socket.
    pub(super) fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.session.borrow().wants_write(),
        }
    }

    /// Writes what the socket takes of the records that wait.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn flush(&self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(&mut tls.session.borrow_mut()).map(|_| ()),
        }
    }

    /// Says that nothing follows, and writes no more: who reads to the end knows that nothing was cut off.
    ///
    /// # Errors
    /// The socket's.
    pub(super) fn end(&self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            let mut session = tls.session.borrow_mut();
            session.send_close_notify();
            tls.flush(&mut session)?;
        }
        socket2::SockRef::from(self.socket()).shutdown(Shutdown::Write)
    }
}

impl Tls {
    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // What ends without a word may have been cut short: RFC 8446 section 6.1.
                count => return count,
            }
            session.read_tls(&mut Bytes(&self.socket))?;
            if let Err(error) = session.process_new_packets() {
                // The alert that says why.
                let _ = self.flush(&mut session);
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
            // Handshakes go on within a session, and answers to them.
            self.flush(&mut session)?;
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        if !self.flush(&mut session)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = session.writer().write(bytes)?;
        self.flush(&mut session)?;
        Ok(count)
    }

    /// Says whether nothing is left to be sent.
    fn flush(&self, session: &mut ServerConnection) -> io::Result<bool> {
        while session.wants_write() {
            match session.write_tls(&mut Bytes(&self.socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// The socket as the session reads and writes it.
struct Bytes<'a>(&'a TcpStream);

impl Read for Bytes<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Bytes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
