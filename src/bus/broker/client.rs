//! What a broker does for an ingest and for gateways: so little that each broker can.
//!
//! Messages of one subject come in the order in which they were published, each at most once; nothing more is asked of
//! a broker. What is lost shows by its number, and the ingest has it.

use std::future::Future;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::address::Address;
use super::connection::BusError;
use super::message::{Message, MessageError};
use crate::metrics::Metrics;

/// A connection to a broker, which makes itself anew when it is lost.
pub(super) trait Client: Clone + Send + Sync + 'static {
    /// Where a message is published.
    type Subject: From<String> + Clone + Send + Sync;
    /// Whom an answer goes to.
    type Asker: Send;
    /// What is listened to; dropped, it is not any more.
    type Messages: Messages<Asker = Self::Asker>;

    /// Connects, and says on the channel whenever the connection stands again after it was lost.
    fn connect(
        address: &Address,
        name: &'static str,
        metrics: &Metrics,
    ) -> impl Future<Output = Result<(Self, mpsc::Receiver<()>), BusError>> + Send;

    /// The longest message that the broker takes, in bytes.
    fn message_bytes_max(&self) -> usize;

    /// Hands a message to the connection, and waits while that has no room.
    fn publish(
        &self,
        subject: Self::Subject,
        bytes: Vec<u8>,
    ) -> impl Future<Output = Result<(), Unsent>> + Send;

    /// Answers, as [`Client::publish`].
    fn answer(&self, asker: Self::Asker, bytes: Vec<u8>) -> impl Future<Output = Result<(), Unsent>> + Send;

    /// Listens to a subject. What is published after this returns, by whoever learns of it by a message of this
    /// connection, comes. An error says why the broker does not let us.
    fn listen(&self, subject: String) -> impl Future<Output = Result<Self::Messages, String>> + Send;

    /// Asks whoever listens to the subject, and waits for the first answer; `None`: nobody listens, or answers in time.
    fn ask(&self, subject: Self::Subject, bytes: Vec<u8>) -> impl Future<Output = Option<Bytes>> + Send;
}

/// The messages of one subject.
pub(super) trait Messages: Send + 'static {
    /// Whom an answer goes to.
    type Asker;

    /// The next one; `None`: the connection has ended. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Arrived<Self::Asker>>> + Send;
}

/// A message as it comes.
pub(super) struct Arrived<A> {
    pub(super) payload: Bytes,
    /// Who waits for an answer, if anybody does.
    pub(super) asker: Option<A>,
}

/// A message was not sent: the broker's reason; `None`: the connection is lost at the moment.
#[derive(Debug)]
pub(super) struct Unsent(pub(super) Option<String>);

/// Publishes a message; one that is not sent shows by its number.
pub(super) async fn publish<C: Client>(
    client: &C,
    metrics: &Metrics,
    subject: C::Subject,
    message: &Message,
) {
    let bytes = message.encode();
    let length = bytes.len();
    count(metrics, length, client.publish(subject, bytes).await);
}

/// Answers whoever has asked.
pub(super) async fn answer<C: Client>(client: &C, metrics: &Metrics, asker: C::Asker, message: &Message) {
    let bytes = message.encode();
    let length = bytes.len();
    count(metrics, length, client.answer(asker, bytes).await);
}

fn count(metrics: &Metrics, length: usize, sent: Result<(), Unsent>) {
    match sent {
        Ok(()) => {
            metrics.bus_messages_out_total().add(1);
            metrics.bus_bytes_out_total().add(length as u64);
        }
        Err(Unsent(None)) => debug!(length, "a message finds no connection to the bus"),
        Err(Unsent(Some(reason))) => {
            metrics.bus_messages_bad_total().add(1);
            warn!(%reason, length, "the bus does not take a message");
        }
    }
}

/// Reads a message that has come.
pub(super) fn read(metrics: &Metrics, payload: &[u8]) -> Result<Message, MessageError> {
    metrics.bus_messages_in_total().add(1);
    metrics.bus_bytes_in_total().add(payload.len() as u64);
    Message::decode(payload)
}
