//! RFC 6455 and RFC 7692 without I/O: the handshake, frames in and out, and compression, for a server and for a client.
//!
//! Writing is apart from reading, because one encoded message goes to many sockets.

pub mod handshake;
pub mod extensions;
pub mod deflate;
pub mod frame;
pub mod decode;
