//! The PROXY protocol, version 2: what a proxy says of its client before the client's first byte, also before TLS.
//!
//! ```text
//! 0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a   signature
//! 21                                    version 2, command 1 (0: LOCAL, the proxy's own connection)
//! 11                                    family 1 (IPv4; 2: IPv6), protocol 1 (stream)
//! 00 0c                                 length of what follows
//! c0 00 02 01  c6 33 64 01  12 67 1f 90 source, destination, their ports; then TLVs, which are not looked at
//! ```

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::PROXY_HEADER_BYTES_MAX;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const HEAD_BYTES: usize = 16;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It ended, or broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The proxy speaks something else.
    #[error("no PROXY header of version 2")]
    Signature,
    /// A header that there is not.
    #[error("a PROXY header with {0}")]
    Form(&'static str),
}

/// Reads the header and not a byte more. `None`: the connection is the proxy's own, or of no internet address.
///
/// # Errors
/// [`ProxyError`]: the connection is to be closed.
pub async fn read_client(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<IpAddr>, ProxyError> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let [signature @ .., command, family, high, low] = head;
    if signature != SIGNATURE {
        return Err(ProxyError::Signature);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if HEAD_BYTES + length > PROXY_HEADER_BYTES_MAX {
        return Err(ProxyError::Form("too many bytes"));
    }
    let mut rest = [0; PROXY_HEADER_BYTES_MAX];
    let rest = &mut rest[..length];
    stream.read_exact(rest).await?;
    match command {
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(ProxyError::Form("an unknown version or command")),
    }
    match family >> 4 {
        1 => {
            let (source, _) = rest.split_first_chunk::<4>().ok_or(ProxyError::Form("no whole address"))?;
            expect(rest, 12)?;
            Ok(Some(Ipv4Addr::from(*source).into()))
        }
        2 => {
            let (source, _) = rest.split_first_chunk::<16>().ok_or(ProxyError::Form("no whole address"))?;
            expect(rest, 36)?;
            Ok(Some(IpAddr::V6(Ipv6Addr::from(*source)).to_canonical()))
        }
        0 | 3 => Ok(None),
        _ => Err(ProxyError::Form("an unknown family")),
    }
}

fn expect(rest: &[u8], length: usize) -> Result<(), ProxyError> {
    if rest.len() < length { Err(ProxyError::Form("no whole address")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x12\x67\x1f\x90";

    fn read(bytes: &[u8]) -> (Result<Option<String>, String>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut rest = bytes;
        let read = runtime.block_on(read_client(&mut rest));
        let read = read.map(|client| client.map(|ip| ip.to_string())).map_err(|error| error.to_string());
        (read, rest.len())
    }

    fn with(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&V4[..12], &[command, family], &length, rest].concat()
    }

    #[test]
    fn the_source_is_the_client_and_what_follows_is_left() {
        let client = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(&[V4, b"GET /"].concat()), (client("192.0.2.1"), 5));
        let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 20], b"tlvs"].concat();
        assert_eq!(read(&[&with(0x21, 0x21, &six)[..], b"\x16\x03"].concat()), (client("2001:db8::1"), 2));
        assert_eq!(read(&[&with(0x20, 0, b"")[..], b"x"].concat()), (Ok(None), 1), "the proxy's own");
        assert_eq!(read(&with(0x21, 0, b"")), (Ok(None), 0), "unknown");
        assert_eq!(read(&with(0x21, 0x31, &[0; 216])), (Ok(None), 0), "of a Unix socket");
    }

    #[test]
    fn every_other_header_is_refused() {
        let long = vec![0; PROXY_HEADER_BYTES_MAX];
        for (bytes, reason) in [
            (b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".to_vec(), "no PROXY header"),
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n".to_vec(), "no PROXY header"),
            (with(0x11, 0x11, &[0; 12]), "an unknown version or command"),
            (with(0x22, 0x11, &[0; 12]), "an unknown version or command"),
            (with(0x21, 0x41, &[0; 12]), "an unknown family"),
            (with(0x21, 0x11, &[0; 11]), "no whole address"),
            (with(0x21, 0x21, &[0; 35]), "no whole address"),
            (with(0x21, 0x11, b""), "no whole address"),
            (with(0x21, 0x11, &long), "too many bytes"),
            (with(0x20, 0x00, &long), "too many bytes"),
        ] {
            let (read, _) = read(&bytes);
            assert!(read.as_ref().is_err_and(|error| error.contains(reason)), "{reason}: {read:?}");
        }
        for end in 0..V4.len() {
            assert!(read(&V4[..end]).0.is_err(), "{end} bytes");
        }
    }
}
