//! Ports for programs that do not tell which they have taken.

use std::net::{Ipv4Addr, TcpListener};

/// Ports that were free when all of them were looked for.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}
