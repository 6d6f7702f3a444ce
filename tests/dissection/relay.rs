//! A relay between one client and the service, which keeps what it passes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::capture::From;

type Passed = Arc<Mutex<Vec<(From, Vec<u8>)>>>;

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    passed: Passed,
    both: JoinHandle<()>,
}

impl Relay {
    pub(crate) fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let passed = Passed::default();
        let kept = Arc::clone(&passed);
        let both = thread::spawn(move || {
            let (client, _) = listener.accept().expect("a client");
            let server = TcpStream::connect(service).expect("the service listens");
            let halves = [(From::Client, &client, &server), (From::Server, &server, &client)];
            thread::scope(|scope| {
                for (side, from, to) in halves {
                    let kept = &kept;
                    scope.spawn(move || pass_on(side, from, to, kept));
                }
            });
        });
        Self { address, passed, both }
    }

    /// All that went over it, once the client has left.
    pub(crate) fn passed(self) -> Vec<(From, Vec<u8>)> {
        self.both.join().expect("no panic");
        std::mem::take(&mut *self.passed.lock().expect("not poisoned"))
    }
}

fn pass_on(side: From, mut from: &TcpStream, mut to: &TcpStream, kept: &Passed) {
    let mut bytes = [0; 16_384];
    // A connection that breaks has ended too.
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        // Kept first: what the other side answers to it comes behind.
        kept.lock().expect("not poisoned").push((side, bytes[..count].to_vec()));
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    // It fails for one that is gone.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
