//! Any bytes as the beginning of a connection that a proxy hands on.

#![no_main]

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tickwire::limits::PROXY_HEADER_BYTES_MAX;
use tickwire::server::admission::proxy::read_client;

const HEAD_BYTES: usize = 16;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    let read = {
        let mut reading = pin!(read_client(&mut rest));
        match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("bytes that are there are not waited for"),
        }
    };
    let taken = data.len() - rest.len();
    assert!(taken <= PROXY_HEADER_BYTES_MAX, "{taken} bytes");
    if let Ok(client) = read {
        let told = usize::from(u16::from_be_bytes([data[14], data[15]]));
        assert_eq!(taken, HEAD_BYTES + told, "no byte of what follows is taken");
        assert!(client.is_none_or(|client| client == client.to_canonical()), "{client:?}");
    }
});
