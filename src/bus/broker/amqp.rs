//! RabbitMQ, by AMQP 0-9-1.
//!
//! A subject is a routing key of one topic exchange. A process has one queue, which is its own and goes with its connection,
//! bound to the keys that it listens to: one queue keeps the order of each key. Nothing is acknowledged, and of what is
//! published nothing confirmed: a confirmation would tell that the broker has a message, not that a gateway has, and who
//! lacks one sees it by the numbers. Where nobody listens to what is asked, the broker says so.

mod line;
mod session;

use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicPublishOptions, QueueBindOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio::task::consume_budget;
use tokio::time::{interval, timeout};

use super::address::Address;
use super::again::{Connects, Present, keep};
use super::asked::{Asked, Question};
use super::client::{Arrived, Client, Unsent};
use super::connection::{BusError, Traced};
use super::listening::{Listening, Untaken};
use crate::limits::{BROKER_MESSAGE_BYTES_MAX, BROKER_WAIT, QUIET_EVERY};
use crate::metrics::Metrics;
use session::{Opened, Session};

/// Where everything is published but answers.
const EXCHANGE: &str = "tickwire";
/// The exchange that leads to the queue, or to the asker, of that name.
const TO_ONE: &str = "";
/// Stands for a queue of whoever asks: the broker hands the answer to it without one.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

#[derive(Clone)]
pub(super) struct Amqp(Arc<Shared>);

struct Shared {
    address: Address,
    name: &'static str,
    metrics: Metrics,
    session: Present<Session>,
    /// By routing key.
    listening: Listening<Asker>,
    asked: Asked,
}

pub(super) struct Asker {
    key: ShortString,
    correlation: Option<ShortString>,
}

impl Client for Amqp {
    type Subject = ShortString;
    type Asker = Asker;
    type Messages = mpsc::Receiver<Arrived<Asker>>;

    async fn connect(
        address: &Address,
        name: &'static str,
        metrics: &Metrics,
    ) -> Result<(Self, mpsc::Receiver<()>), BusError> {
        let shared = Arc::new(Shared {
            address: address.clone(),
            name,
            metrics: metrics.clone(),
            session: Present::default(),
            listening: Listening::default(),
            asked: Asked::default(),
        });
        let opened = shared.open().await?;
        let (sender, reconnected) = mpsc::channel(1);
        tokio::spawn(keep(Arc::clone(&shared), opened, sender));
        Ok((Self(shared), reconnected))
    }

    fn message_bytes_max(&self) -> usize {
        BROKER_MESSAGE_BYTES_MAX
    }

    async fn publish(&self, subject: ShortString, bytes: Vec<u8>) -> Result<(), Unsent> {
        self.0.send(EXCHANGE, subject, BasicProperties::default(), bytes).await
    }

    async fn answer(&self, asker: Asker, bytes: Vec<u8>) -> Result<(), Unsent> {
        let properties = match asker.correlation {
            Some(correlation) => BasicProperties::default().with_correlation_id(correlation),
            None => BasicProperties::default(),
        };
        self.0.send(TO_ONE, asker.key, properties, bytes).await
    }

    async fn listen(&self, subject: String) -> Result<Self::Messages, String> {
        // Before the session is looked for: where there is none now, the next one binds it.
        let receiver = self.0.listening.listen(subject.clone());
        if let Some(session) = self.0.session.get() {
            // It fails where the connection has just been lost.
            let _ = session.bind(subject, true).await;
        }
        Ok(receiver)
    }

    async fn ask(&self, subject: ShortString, bytes: Vec<u8>) -> Option<Bytes> {
        let question = self.0.asked.begin()?;
        timeout(BROKER_WAIT, self.0.ask(subject, question, &bytes)).await.ok()?
    }
}

impl Connects for Shared {
    type Opened = Opened;

    fn stands(&self) -> Traced {
        Traced::stands(&self.address, self.name)
    }

    async fn open(&self) -> Result<Opened, BusError> {
        let opened = Opened::connect(&self.address, self.name).await?;
        self.session.set(Some(Arc::clone(&opened.session)));
        let subjects = self.listening.subjects();
        let last = subjects.len();
        for (number, subject) in (1..).zip(subjects) {
            // The broker does them in order: when it says that the last is done, all are.
            let bound = opened.session.bind(subject, number < last).await;
            bound.map_err(|error| BusError::Wrong {
                address: Box::new(self.address.clone()),
                reason: error.to_string(),
            })?;
        }
        Ok(opened)
    }

    async fn serve(&self, mut opened: Opened) -> String {
        let mut sweep = interval(QUIET_EVERY);
        loop {
            let delivery = tokio::select! {
                message = opened.messages.next() => message.map(|message| message.map(|message| self.take(message))),
                answer = opened.answers.next() => answer.map(|answer| answer.map(|answer| self.take_answer(answer))),
                _ = sweep.tick() => {
                    self.sweep(&opened.session).await;
                    Some(Ok(()))
                }
            };
            match delivery {
                // Where very many wait, who listens to them has a turn too, before there is no room for the next.
                Some(Ok(())) => consume_budget().await,
                Some(Err(error)) => return error.to_string(),
                None => return "the broker has taken the queue away".to_owned(),
            }
        }
    }

    fn forget(&self) {
        self.session.set(None);
        self.asked.clear();
    }
}

impl Shared {
    /// Never waits: the library's own queue has no bound. What there is no room for is lost, which shows by its number.
    fn take(&self, delivery: Delivery) {
        let asker = delivery
            .properties
            .reply_to()
            .clone()
            .map(|key| Asker { key, correlation: delivery.properties.correlation_id().clone() });
        let arrived = Arrived { payload: Bytes::from(delivery.data), asker };
        if let Err(Untaken::Full(_)) = self.listening.offer(delivery.routing_key.as_str(), arrived) {
            self.metrics.bus_overruns_total().add(1);
        }
    }

    fn take_answer(&self, delivery: Delivery) {
        let correlation = delivery.properties.correlation_id().as_ref();
        let number = correlation.and_then(|correlation| correlation.as_str().parse().ok());
        if let Some(number) = number {
            self.asked.answer(number, Bytes::from(delivery.data));
        }
    }

    /// Ends what nobody listens to any more.
    async fn sweep(&self, session: &Arc<Session>) {
        for subject in self.listening.sweep() {
            let session = Arc::clone(session);
            // Who listens to it again comes behind this, on the same channel. An error ends the queue too, which is seen.
            begin(Box::pin(async move { session.unbind(subject).await })).await;
        }
    }

    async fn send(
        &self,
        exchange: &'static str,
        key: ShortString,
        properties: BasicProperties,
        bytes: Vec<u8>,
    ) -> Result<(), Unsent> {
        let session = self.session.get().ok_or(Unsent(None))?;
        // The library's queue has no bound. With the session the room is closed.
        let room = Arc::clone(&session.room).acquire_owned().await.map_err(|_| Unsent(None))?;
        let sending = Box::pin(async move {
            let options = BasicPublishOptions::default();
            let sent = session.channel.basic_publish(exchange.into(), key, options, &bytes, properties).await;
            drop(room);
            sent.map(drop)
        });
        match begin(sending).await {
            Some(Err(_)) => Err(Unsent(None)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    async fn ask(&self, subject: ShortString, question: Question<'_>, bytes: &[u8]) -> Option<Bytes> {
        let session = self.session.get()?;
        let properties = BasicProperties::default()
            .with_reply_to(REPLY_TO.into())
            .with_correlation_id(question.number.to_string().into());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let published = session.asking.basic_publish(EXCHANGE.into(), subject, options, bytes, properties);
        // An error tells that the connection is lost, which is said where that is noticed.
        let confirmed = published.await.ok()?.await.ok()?;
        if confirmed.take_message().is_some() {
            return None;
        }
        question.answer().await
    }
}

impl Session {
    /// Without waiting for the broker's answer if `is_hasty`.
    async fn bind(&self, subject: String, is_hasty: bool) -> lapin::Result<()> {
        let options = QueueBindOptions { nowait: is_hasty };
        let (queue, none) = (self.queue.clone(), FieldTable::default());
        self.channel.queue_bind(queue, EXCHANGE.into(), subject.into(), options, none).await
    }

    async fn unbind(&self, subject: String) -> lapin::Result<()> {
        let (queue, none) = (self.queue.clone(), FieldTable::default());
        self.channel.queue_unbind(queue, EXCHANGE.into(), subject.into(), none).await
    }
}

/// Takes the first step, which puts a frame in its place behind those before it; what follows need not wait for the rest.
async fn begin<T: Send + 'static>(mut work: Pin<Box<dyn Future<Output = T> + Send>>) -> Option<T> {
    match std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => {
            tokio::spawn(work);
            None
        }
    }
}
