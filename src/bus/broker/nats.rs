//! NATS.

use std::hash::BuildHasher;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{ConnectErrorKind, ConnectOptions, Event, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::address::{Address, Credentials};
use super::client::{Arrived, Client, Messages, Unsent};
use super::connection::{BusError, Traced, retry_after};
use crate::limits::{BROKER_WAIT, SUBJECT_WAITING_MAX};
use crate::metrics::Metrics;

/// How often a broker that does not answer is asked whether it lives: twice in vain, and it is connected to anew.
const PING_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Nats(async_nats::Client);

impl Client for Nats {
    type Subject = Subject;
    type Asker = Subject;
    type Messages = Subscriber;

    async fn connect(
        address: &Address,
        name: &'static str,
        metrics: &Metrics,
    ) -> Result<(Self, mpsc::Receiver<()>), BusError> {
        let (sender, receiver) = mpsc::channel(1);
        let lot = std::hash::RandomState::new();
        let was_connected = Arc::new(AtomicBool::new(false));
        let (counted, broker) = (metrics.clone(), address.clone());
        let standing = Mutex::new(None);
        let options = ConnectOptions::new()
            .name(name)
            .connection_timeout(BROKER_WAIT)
            .request_timeout(Some(BROKER_WAIT))
            .ping_interval(PING_EVERY)
            .subscription_capacity(SUBJECT_WAITING_MAX)
            .max_reconnects(None)
            .reconnect_delay_callback(move |attempts| retry_after(attempts, lot.hash_one(attempts)))
            .event_callback(move |event| {
                let (sender, metrics) = (sender.clone(), counted.clone());
                let was_connected = Arc::clone(&was_connected);
                let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Event::Connected => *standing = Some(Traced::stands(&broker, name)),
                    Event::Disconnected => {
                        standing.take().into_iter().for_each(|traced| traced.lost("the connection is lost"));
                    }
                    _ => {}
                }
                async move {
                    match event {
                        Event::Connected if was_connected.swap(true, Ordering::Relaxed) => {
                            // One that is not taken yet says the same.
                            let _ = sender.try_send(());
                        }
                        Event::Connected => {}
                        Event::Disconnected => warn!("the connection to the bus is lost"),
                        Event::SlowConsumer(_) => metrics.bus_overruns_total().add(1),
                        other => info!(%other, "the bus"),
                    }
                }
            });
        let options = match address.credentials() {
            Credentials::Nothing => options,
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::Password(name, password) => {
                options.user_and_password(name.clone(), password.clone())
            }
        };
        let connected = options.connect(address.url()).await;
        let client = connected.map_err(|error| {
            let address = Box::new(address.clone());
            let reason = error.to_string();
            match error.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    BusError::Refused(address)
                }
                ConnectErrorKind::Tls | ConnectErrorKind::ServerParse | ConnectErrorKind::TimedOut => {
                    BusError::Wrong { address, reason }
                }
                ConnectErrorKind::Io if is_reachable(&error) => BusError::Wrong { address, reason },
                ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
                    BusError::Unreachable { address, reason }
                }
            }
        })?;
        Ok((Self(client), receiver))
    }

    fn message_bytes_max(&self) -> usize {
        self.0.max_payload()
    }

    async fn publish(&self, subject: Subject, bytes: Vec<u8>) -> Result<(), Unsent> {
        let published = self.0.publish(subject, Bytes::from(bytes)).await;
        published.map_err(|error| Unsent(Some(error.to_string())))
    }

    async fn answer(&self, asker: Subject, bytes: Vec<u8>) -> Result<(), Unsent> {
        self.publish(asker, bytes).await
    }

    async fn listen(&self, subject: String) -> Result<Subscriber, String> {
        self.0.subscribe(subject).await.map_err(|error| error.to_string())
    }

    async fn ask(&self, subject: Subject, bytes: Vec<u8>) -> Option<Bytes> {
        let answer = self.0.request(subject, Bytes::from(bytes)).await;
        answer.map(|answer| answer.payload).inspect_err(|error| debug!(%error, "no answer by the bus")).ok()
    }
}

impl Messages for Subscriber {
    type Asker = Subject;

    async fn next(&mut self) -> Option<Arrived<Subject>> {
        let message = StreamExt::next(self).await?;
        Some(Arrived { payload: message.payload, asker: message.reply })
    }
}

/// Whether something was there, and has said something else than a NATS server would.
fn is_reachable(error: &dyn std::error::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData
                    | io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::Other
            );
        }
        source = cause.source();
    }
    false
}
