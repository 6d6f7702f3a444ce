//! The gateway's end: listens to what its clients follow, and asks the ingest.

use std::io;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tracing::{info, warn};

use super::address::{Address, Broker};
#[cfg(feature = "amqp")]
use super::amqp::Amqp;
use super::client::{Client, Messages, publish, read};
use super::connection::{BusError, Connection, runtime};
use super::instruments::Assembler;
#[cfg(feature = "kafka")]
use super::kafka::Kafka;
use super::message::{Beat, Follow, Message};
#[cfg(feature = "nats")]
use super::nats::Nats;
use super::{Delivery, Link, Order, subject};
use crate::bus::{BusHandle, Request, States};
use crate::directory::Directory;
use crate::lifeline::Lifeline;
use crate::limits::{BEAT_EVERY, DELIVERIES_WAITING_MAX, FOLLOWS_PER_MESSAGE_MAX, READS_PER_MESSAGE_MAX};
use crate::metrics::Metrics;
use crate::topic::TopicId;

/// A bus on which there is an ingest.
pub struct Joined {
    /// The ingest's instruments.
    pub directory: Directory,
    /// What the ingest said last.
    pub beat: Beat,
    start: Start,
}

type Start = Box<dyn FnOnce(Directory, BusHandle, &Metrics, Lifeline) -> io::Result<(Link, Connection)>>;

impl Joined {
    /// Connects to a broker, and waits there for an ingest.
    ///
    /// # Errors
    /// [`BusError`] when there is no such broker, or an ingest that cannot be understood.
    pub fn join(address: &Address, metrics: &Metrics) -> Result<Self, BusError> {
        match address.broker() {
            #[cfg(feature = "nats")]
            Broker::Nats => join::<Nats>(address, metrics),
            #[cfg(feature = "amqp")]
            Broker::RabbitMq => join::<Amqp>(address, metrics),
            #[cfg(feature = "kafka")]
            Broker::Kafka => join::<Kafka>(address, metrics),
        }
    }

    /// Delivers from now on, and runs the gateway's orders.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        self,
        bus: BusHandle,
        metrics: &Metrics,
        lifeline: Lifeline,
    ) -> io::Result<(Link, Connection)> {
        (self.start)(self.directory, bus, metrics, lifeline)
    }
}

fn join<C: Client>(address: &Address, metrics: &Metrics) -> Result<Joined, BusError> {
    let runtime = runtime()?;
    let (client, beats, reconnected, directory, beat) = runtime.block_on(async {
        let (client, reconnected) = C::connect(address, "tickwire gateway", metrics).await?;
        let wrong = |reason: String| BusError::Wrong { address: Box::new(address.clone()), reason };
        let mut beats = client.listen(subject::BEAT.to_owned()).await.map_err(wrong)?;
        let (directory, digest) = instruments(&client, metrics, address).await?;
        let beat = loop {
            let Some(message) = beats.next().await else { return Err(wrong("it is closing".to_owned())) };
            match read(metrics, &message.payload)? {
                Message::Beat(beat) if beat.digest == digest => break beat,
                Message::Beat(_) => {}
                _ => return Err(BusError::Answer),
            }
        };
        Ok::<_, BusError>((client, beats, reconnected, directory, beat))
    })?;
    info!(bus = %address, epoch = %beat.epoch, instruments = directory.len(), "an ingest is there");
    let start: Start = Box::new(move |directory, bus, metrics, lifeline| {
        let (sender, deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
        let (orders, ordered) = mpsc::channel(1);
        let relaying = Relaying {
            client,
            directory,
            follow: subject::FOLLOW.to_owned().into(),
            listening: FxHashMap::default(),
            inlet: Inlet { sender, bus, metrics: metrics.clone() },
        };
        let connection = Connection::start(runtime, lifeline, relaying.run(beats, ordered, reconnected))?;
        Ok((Link { deliveries, orders }, connection))
    });
    Ok(Joined { directory, beat, start })
}

/// Asks for the instruments until there is an ingest.
async fn instruments<C: Client>(
    client: &C,
    metrics: &Metrics,
    address: &Address,
) -> Result<(Directory, u32), BusError> {
    let mut assembler = Assembler::default();
    let mut has_said = false;
    loop {
        let request = Message::ListInstruments(assembler.next()).encode();
        if let Some(answer) = client.ask(subject::ASK.to_owned().into(), request).await {
            let Message::Instruments(page) = read(metrics, &answer)? else { return Err(BusError::Answer) };
            if let Some(done) = assembler.take(&page)? {
                return Ok(done);
            }
            continue;
        }
        // Another ingest may answer next.
        assembler = Assembler::default();
        if !std::mem::replace(&mut has_said, true) {
            warn!(bus = %address, "no ingest publishes there: waiting for one");
        }
        sleep(BEAT_EVERY).await;
    }
}

/// The way to the gateway's thread.
#[derive(Clone)]
struct Inlet {
    sender: mpsc::Sender<Delivery>,
    bus: BusHandle,
    metrics: Metrics,
}

impl Inlet {
    /// `false`: nobody takes it any more.
    async fn deliver(&self, payload: &[u8]) -> bool {
        let delivery = read(&self.metrics, payload).map_or(Delivery::Bad, Delivery::Message);
        self.hand(delivery).await
    }

    async fn hand(&self, delivery: Delivery) -> bool {
        let is_taken = self.sender.send(delivery).await.is_ok();
        self.bus.wake();
        is_taken
    }
}

struct Relaying<C: Client> {
    client: C,
    directory: Directory,
    follow: C::Subject,
    /// What ends the task of each topic, and with it the subscription.
    listening: FxHashMap<TopicId, AbortHandle>,
    inlet: Inlet,
}

impl<C: Client> Relaying<C> {
    async fn run(
        mut self,
        mut beats: C::Messages,
        mut orders: mpsc::Receiver<Order>,
        mut reconnected: mpsc::Receiver<()>,
    ) {
        loop {
            let goes_on = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => {
                        self.obey(order).await;
                        true
                    }
                    None => false,
                },
                beat = beats.next() => match beat {
                    Some(message) => self.inlet.deliver(&message.payload).await,
                    None => false,
                },
                Some(()) = reconnected.recv() => self.inlet.hand(Delivery::Reconnected).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        for topic in order.leave {
            if let Some(task) = self.listening.remove(&topic) {
                task.abort();
            }
        }
        for topic in order.listen {
            self.listen(topic).await;
        }
        let (epoch, topics) = order.follow;
        for part in topics.chunks(FOLLOWS_PER_MESSAGE_MAX) {
            let follow = Message::Follow(Follow { epoch: Arc::clone(&epoch), topics: part.to_vec() });
            publish(&self.client, &self.inlet.metrics, self.follow.clone(), &follow).await;
        }
        for request in order.forwards {
            let (client, inlet) = (self.client.clone(), self.inlet.clone());
            tokio::spawn(async move { forward(&client, &inlet, request).await });
        }
    }

    async fn listen(&mut self, topic: TopicId) {
        let subject = subject::of_topic(&self.directory, topic);
        let mut messages = match self.client.listen(subject).await {
            Ok(messages) => messages,
            Err(reason) => {
                warn!(%reason, topic = topic.0, "the bus does not let us listen");
                return;
            }
        };
        let inlet = self.inlet.clone();
        let task = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                if !inlet.deliver(&message.payload).await {
                    return;
                }
            }
        });
        if let Some(before) = self.listening.insert(topic, task.abort_handle()) {
            before.abort();
        }
    }
}

/// Lets the ingest answer. Where it does not, the reply is dropped, which tells whoever asked.
async fn forward<C: Client>(client: &C, inlet: &Inlet, request: Request) {
    let metrics = &inlet.metrics;
    match request {
        Request::Read { topics, reply } => {
            let mut states: Option<States> = None;
            for part in topics.chunks(READS_PER_MESSAGE_MAX) {
                let Some(next) = ask_for_states(client, metrics, &Message::Read(part.to_vec())).await else {
                    return;
                };
                match &mut states {
                    None => states = Some(next),
                    Some(states) if states.epoch == next.epoch => {
                        states.json.push(b',');
                        states.json.extend_from_slice(&next.json);
                    }
                    Some(_) => return,
                }
            }
            // Nobody may wait any more.
            drop(states.map(|states| reply.send(states)));
        }
        Request::History { topic, limit, reply } => {
            let Ok(limit) = u32::try_from(limit) else { return };
            let states = ask_for_states(client, metrics, &Message::History(topic, limit)).await;
            drop(states.map(|states| reply.send(states)));
        }
        Request::Tape { topic, reply } => {
            match ask(client, metrics, &Message::AskTape(topic)).await {
                Some(Message::Tape(tape)) => drop(reply.send(tape)),
                _ => drop(reply),
            }
            // The gateway's thread waits for it.
            inlet.bus.wake();
        }
        Request::States { .. } => {}
    }
}

async fn ask_for_states<C: Client>(client: &C, metrics: &Metrics, message: &Message) -> Option<States> {
    match ask(client, metrics, message).await? {
        Message::Json(json) => Some(States { epoch: json.epoch, seq: json.seq, json: json.json }),
        _ => None,
    }
}

async fn ask<C: Client>(client: &C, metrics: &Metrics, message: &Message) -> Option<Message> {
    let answer = client.ask(subject::ASK.to_owned().into(), message.encode()).await?;
    let answer = read(metrics, &answer).inspect_err(|error| {
        metrics.bus_messages_bad_total().add(1);
        warn!(%error, "the ingest's answer cannot be read");
    });
    answer.ok()
}
