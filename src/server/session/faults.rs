//! What a fault of ours in one connection's work does to the others: nothing.

use feeds::clock::monotonic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use super::super::admission::{self, Admission};
use super::super::auth::Auth;
use super::super::stream::Stream;
use super::*;
use crate::bus::Bus;
use crate::directory::Directory;
use crate::fanout::{Form, Shard};
use crate::metrics::Metrics;

/// What a session panics at.
pub(super) const POISON: &[u8] = b"poison";

/// A masked text message, whose mask is zero.
fn text(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[0x81, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

async fn connect(hub: &Rc<Hub>) -> TcpStream {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let client = TcpStream::connect(address).await.expect("a connection");
    let (stream, peer) = listener.accept().await.expect("a connection");
    let place = hub.admission().place(peer.ip()).expect("room");
    let (stream, form) = (Stream::Plain(stream), Form::default());
    let identity = Auth::everybody().anonymous();
    let (already_read, peer, traced) = (Vec::new(), peer.ip(), Span::none());
    let upgraded = Upgraded { stream, already_read, form, peer, place, identity, traced };
    spawn_local(serve(Rc::clone(hub), upgraded, Clock::System));
    client
}

#[tokio::test]
async fn a_panic_ends_its_connection_alone() {
    let metrics = Metrics::default();
    let admission = Admission::start(admission::tests::settings(), &metrics).expect("a thread");
    let directory = Directory::new(&[]);
    let (bus, _ends) = Bus::new(TopicId::count(0), 1);
    let shard = Shard::new(0, bus.handle().clone(), directory.clone(), "one".into(), monotonic());
    let hub = Rc::new(Hub::new(shard, directory, admission, metrics.clone(), Auth::everybody()));
    let flushing = Rc::clone(&hub);
    let test = async {
        spawn_local(async move {
            loop {
                flushing.dirtied.notified().await;
                flushing.flush(monotonic());
            }
        });
        let (mut bad, mut good) = (connect(&hub).await, connect(&hub).await);
        bad.write_all(&text(POISON)).await.expect("a socket");
        let mut rest = Vec::new();
        // It may end in a reset.
        let _ = bad.read_to_end(&mut rest).await;
        assert_eq!(rest, b"");
        assert_eq!((metrics.connection_panics_total().get(), metrics.connections().get()), (1, 1));
        good.write_all(&text(br#"{"method":"ping"}"#)).await.expect("a socket");
        while !rest.ends_with(b"}}]") {
            assert_ne!(good.read_buf(&mut rest).await.expect("a socket"), 0);
        }
        drop(good);
        while metrics.connections().get() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(metrics.connection_panics_total().get(), 1);
    };
    LocalSet::new().run_until(test).await;
}
