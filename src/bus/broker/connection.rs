//! The thread of an ingest's connection, and why there may be no connection.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use feeds::TRACED;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tracing::field::Empty;
use tracing::{Span, info_span};

use super::address::Address;
use super::instruments::ListingError;
use super::message::MessageError;
use crate::lifeline::Lifeline;
use crate::limits::BROKER_RETRY_AFTER;

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The broker is not there.
    #[error("cannot reach the bus at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: Box<Address>,
        /// Why.
        reason: String,
    },
    /// It does not let us in.
    #[error("the bus at {0} refuses {who} of its URL", who = .0.who())]
    Refused(Box<Address>),
    /// Something is there that is no such broker, or does not answer.
    #[error("what answers at {address} is no {server} that can be used: {reason}", server = .address.server())]
    Wrong {
        /// Where.
        address: Box<Address>,
        /// Why.
        reason: String,
    },
    /// The instruments that the ingest tells cannot be.
    #[error("the ingest on the bus tells instruments that cannot be: {0}")]
    Instruments(#[from] ListingError),
    /// What the ingest says cannot be read.
    #[error("the ingest on the bus says what cannot be read: {0}")]
    Message(#[from] MessageError),
    /// The ingest says something else than what it was asked.
    #[error("the ingest on the bus does not answer what it was asked")]
    Answer,
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// An ingest's connection, which has a thread of its own.
#[derive(Debug)]
pub struct Connection {
    thread: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Connection {
    /// Closes it, without waiting for the broker.
    pub fn stop(self) {
        // Without a receiver the thread has ended already.
        let _ = self.stop.send(true);
        if self.thread.join().is_err() {
            tracing::error!("the bus has panicked");
        }
    }

    pub(super) fn start(
        runtime: Runtime,
        lifeline: Lifeline,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, mut stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("bus".to_owned()).spawn(move || {
            let _lifeline = lifeline;
            runtime.block_on(async {
                tokio::select! {
                    () = work => {}
                    _ = stopped.wait_for(|stop| *stop) => {}
                }
            });
        })?;
        Ok(Self { thread, stop })
    }
}

pub(super) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// What a collector of traces is told of a connection, which stands from now on until this is dropped, or lost.
pub(super) struct Traced(Span);

impl Traced {
    pub(super) fn stands(address: &Address, name: &str) -> Self {
        let (host, port) = address.host_and_port();
        Self(info_span!(
            target: TRACED, parent: None, "bus connection",
            otel.kind = "client",
            server.address = host,
            server.port = port.map(i64::from),
            tickwire.broker = address.server(),
            tickwire.client = name,
            // What makes it an error.
            otel.status_description = Empty,
        ))
    }

    pub(super) fn lost(self, reason: &str) {
        self.0.record("otel.status_description", reason);
    }
}

/// How long to wait before the next attempt: twice as long each time up to a bound, less up to half of it by lot.
pub(super) fn retry_after(attempts: usize, lot: u64) -> Duration {
    let (first, most) = BROKER_RETRY_AFTER;
    let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).clamp(1, 16) - 1;
    let whole = first.saturating_mul(1 << doublings).min(most);
    let half = u64::try_from(whole.as_micros() / 2).unwrap_or(u64::MAX).max(1);
    whole - Duration::from_micros(lot % half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_further_and_further_apart_up_to_a_bound_and_by_lot() {
        let (first, most) = BROKER_RETRY_AFTER;
        for attempts in 0..100 {
            for lot in [0, 1, u64::MAX / 2, u64::MAX] {
                let after = retry_after(attempts, lot);
                assert!(after >= first / 2 && after <= most, "{attempts}: {after:?}");
            }
        }
        assert_eq!((retry_after(1, 0), retry_after(2, 0), retry_after(50, 0)), (first, first * 2, most));
        assert_ne!(retry_after(50, 1), retry_after(50, 2));
    }
}
