//! RFC 6455 without I/O: what a handshake must hold, and the frames that leave.
//!
//! Reading frames is tungstenite's; writing is ours, because one encoded message goes to many sockets.

pub mod deflate;
pub mod frame;
pub mod handshake;
