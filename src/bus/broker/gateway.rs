//! The gateway's end: listens to what its clients follow, and asks the ingests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use feeds::clock::monotonic;
use rustc_hash::FxHashMap;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::address::{Address, Broker};
#[cfg(feature = "amqp")]
use super::amqp::Amqp;
use super::client::{Client, Messages, publish, read};
use super::connection::{BusError, runtime};
use super::instruments::{Assembler, ListingError};
#[cfg(feature = "kafka")]
use super::kafka::Kafka;
use super::link::Bell;
use super::message::{Beat, Carried, Follow, Json, Message, Want};
#[cfg(feature = "nats")]
use super::nats::Nats;
use super::share::{self, Share};
use super::stream::{Heard, Stream};
use super::{Delivery, Link, Order, subject};
use crate::bus::{Request, States, Tape};
use crate::directory::Directory;
use crate::limits::{
    BEATS_MISSED_MAX, DELIVERIES_WAITING_MAX, FOLLOWS_PER_MESSAGE_MAX, READS_PER_MESSAGE_MAX,
};
use crate::metrics::Metrics;
use crate::topic::TopicId;

/// A bus on which there is an ingest of every share.
pub struct Joined {
    /// Their instruments.
    pub directory: Directory,
    /// The run of the stream.
    pub epoch: Arc<str>,
    start: Start,
}

type Start = Box<dyn FnOnce(Directory, &Metrics) -> (Runtime, Link)>;

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

    /// Delivers and runs the gateway's orders whenever the runtime, which is of the calling thread alone, runs.
    #[must_use]
    pub fn start(self, metrics: &Metrics) -> (Runtime, Link) {
        (self.start)(self.directory, metrics)
    }
}

fn join<C: Client>(address: &Address, metrics: &Metrics) -> Result<Joined, BusError> {
    let runtime = runtime()?;
    let (client, beats, reconnected, directory, stream, epoch) = runtime.block_on(async {
        let (client, reconnected) = C::connect(address, "tickwire gateway", metrics).await?;
        let wrong = |reason: String| BusError::Wrong { address: Box::new(address.clone()), reason };
        let mut beats = client.listen(subject::BEAT.to_owned()).await.map_err(wrong)?;
        let (directory, mut stream) = instruments(&client, &mut beats, metrics, address).await?;
        let mut has_said = false;
        let epoch = loop {
            let beat = next_beat(&mut beats, metrics, address).await?;
            let is_heard_first = stream.missing().any(|share| share == beat.share);
            match stream.hear(&beat, monotonic()) {
                Heard::Lives(epoch) => break epoch,
                Heard::IsAnother => return Err(ListingError::Changed.into()),
                Heard::Nothing if is_heard_first => {}
                Heard::Nothing => {
                    let missing: Vec<_> = stream.missing().map(|share| share.to_string()).collect();
                    if !missing.is_empty() && !std::mem::replace(&mut has_said, true) {
                        warn!(bus = %address, shares = missing.join(" "), "no ingest publishes these shares there: waiting");
                    }
                }
            }
        };
        Ok::<_, BusError>((client, beats, reconnected, directory, stream, epoch))
    })?;
    info!(bus = %address, %epoch, shares = stream.shares(), instruments = directory.len(), "an ingest is there");
    let start: Start = Box::new(move |directory, metrics| {
        let (sender, deliveries) = mpsc::channel(DELIVERIES_WAITING_MAX);
        let (orders, ordered) = mpsc::channel(1);
        let shares = (0..stream.shares()).filter_map(|index| Share::new(index, stream.shares()));
        let subjects = shares
            .map(|share| Subjects { ask: subject::ask(share).into(), follow: subject::follow(share).into() });
        let inlet = Inlet {
            client,
            subjects: subjects.collect(),
            stream: Arc::new(Mutex::new(stream)),
            directory,
            sender,
            bell: Arc::default(),
            metrics: metrics.clone(),
        };
        let bell = Arc::clone(&inlet.bell);
        let relaying = Relaying { inlet, listening: FxHashMap::default() };
        let work = runtime.spawn(relaying.run(beats, ordered, reconnected));
        (runtime, Link { deliveries, orders, work, bell })
    });
    Ok(Joined { directory, epoch, start })
}

/// The next that comes, however long that takes.
async fn next_beat<M: Messages>(
    beats: &mut M,
    metrics: &Metrics,
    address: &Address,
) -> Result<Beat, BusError> {
    let mut has_said = false;
    loop {
        let Ok(message) = timeout(BEATS_MISSED_MAX, beats.next()).await else {
            if !std::mem::replace(&mut has_said, true) {
                warn!(bus = %address, "no ingest publishes there: waiting for one");
            }
            continue;
        };
        let Some(message) = message else {
            let reason = "it is closing".to_owned();
            return Err(BusError::Wrong { address: Box::new(address.clone()), reason });
        };
        match read(metrics, &message.payload)? {
            Message::Beat(beat) => return Ok(beat),
            _ => return Err(BusError::Answer),
        }
    }
}

/// Asks the ingest that is heard first, or whoever is heard when that does not answer.
async fn instruments<C: Client>(
    client: &C,
    beats: &mut C::Messages,
    metrics: &Metrics,
    address: &Address,
) -> Result<(Directory, Stream), BusError> {
    loop {
        let beat = next_beat(beats, metrics, address).await?;
        let ask: C::Subject = subject::ask(beat.share).into();
        let mut assembler = Assembler::default();
        loop {
            let request = Message::ListInstruments(assembler.next()).encode();
            let Some(answer) = client.ask(ask.clone(), request).await else { break };
            let Message::Instruments(page) = read(metrics, &answer)? else { return Err(BusError::Answer) };
            if let Some((directory, digest)) = assembler.take(&page)? {
                return Ok((directory, Stream::new(digest, beat.share.of(), monotonic())));
            }
        }
    }
}

/// Where the ingest of a share is spoken to.
struct Subjects<S> {
    ask: S,
    follow: S,
}

/// The way from the bus to the gateway, and back.
struct Inlet<C: Client> {
    client: C,
    /// By share.
    subjects: Arc<[Subjects<C::Subject>]>,
    stream: Arc<Mutex<Stream>>,
    directory: Directory,
    sender: mpsc::Sender<Delivery>,
    bell: Arc<Bell>,
    metrics: Metrics,
}

impl<C: Client> Clone for Inlet<C> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            subjects: Arc::clone(&self.subjects),
            stream: Arc::clone(&self.stream),
            directory: self.directory.clone(),
            sender: self.sender.clone(),
            bell: Arc::clone(&self.bell),
            metrics: self.metrics.clone(),
        }
    }
}

impl<C: Client> Inlet<C> {
    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn share_of(&self, topic: TopicId) -> u16 {
        share::index_of(&self.directory, topic, u16::try_from(self.subjects.len()).unwrap_or(u16::MAX))
    }

    /// `false`: nobody takes it any more.
    async fn deliver(&self, payload: &[u8]) -> bool {
        let delivery = match read(&self.metrics, payload) {
            Ok(Message::Carried(carried)) => {
                let epoch = self.stream().stream_epoch(self.share_of(carried.topic), carried.epoch);
                Delivery::Carried(Carried { epoch, ..carried })
            }
            Ok(Message::Beat(beat)) => match self.stream().hear(&beat, monotonic()) {
                Heard::Nothing => return true,
                Heard::Lives(epoch) => Delivery::Lives(epoch),
                Heard::IsAnother => Delivery::IsAnother,
            },
            _ => Delivery::Bad,
        };
        self.hand(delivery).await
    }

    async fn hand(&self, delivery: Delivery) -> bool {
        let is_taken = self.sender.send(delivery).await.is_ok();
        self.bell.ring();
        is_taken
    }

    /// Lets the ingests answer. Where one does not, the reply is dropped, which tells whoever asked.
    async fn forward(&self, request: Request) {
        match request {
            // Nobody may wait for an answer any more, which is no harm.
            Request::Read { topics, reply } => drop(self.read(topics).await.map(|states| reply.send(states))),
            Request::History { topic, limit, reply } => {
                let Ok(limit) = u32::try_from(limit) else { return };
                let share = self.share_of(topic);
                let states = self.ask_for_states(share, &Message::History(topic, limit)).await;
                drop(states.map(|states| reply.send(states)));
            }
            Request::Tape { topic, reply } => {
                let share = self.share_of(topic);
                match self.ask(share, &Message::AskTape(topic)).await {
                    Some(Message::Tape(tape)) => {
                        let epoch = self.stream().stream_epoch(share, tape.epoch);
                        drop(reply.send(Tape { epoch, ..tape }));
                    }
                    _ => drop(reply),
                }
                // The gateway waits for it.
                self.bell.ring();
            }
            Request::States { .. } => {}
        }
    }

    /// States in the order of their topics, from the ingest of each.
    async fn read(&self, topics: Vec<TopicId>) -> Option<States> {
        let mut places = vec![Vec::new(); self.subjects.len()];
        for (place, &topic) in topics.iter().enumerate() {
            places[usize::from(self.share_of(topic))].push(place);
        }
        let mut epoch: Option<Arc<str>> = None;
        let mut objects = vec![Vec::new(); topics.len()];
        let mut seq = 0;
        for (share, places) in (0..).zip(&places) {
            for places in places.chunks(READS_PER_MESSAGE_MAX) {
                let asked = places.iter().map(|&place| topics[place]).collect();
                let Message::Json(answer) = self.ask(share, &Message::Read(asked)).await? else {
                    return None;
                };
                let its = self.stream().stream_epoch(share, Arc::clone(&answer.epoch));
                let epoch = epoch.get_or_insert_with(|| Arc::clone(&its));
                if *epoch != its {
                    return None;
                }
                if places[0] == 0 {
                    seq = answer.seq;
                }
                let Some(parts) = split(&answer.json, places.len()) else {
                    self.metrics.bus_messages_bad_total().add(1);
                    warn!("the ingest's answer is not what it was asked");
                    return None;
                };
                for (&place, mut part) in places.iter().zip(parts) {
                    rename_epoch(&mut part, &answer.epoch, epoch);
                    objects[place] = part;
                }
            }
        }
        Some(States { epoch: epoch?, seq, json: objects.join(&b',') })
    }

    async fn ask_for_states(&self, share: u16, message: &Message) -> Option<States> {
        match self.ask(share, message).await? {
            Message::Json(Json { epoch, seq, json }) => {
                Some(States { epoch: self.stream().stream_epoch(share, epoch), seq, json })
            }
            _ => None,
        }
    }

    async fn ask(&self, share: u16, message: &Message) -> Option<Message> {
        let subject = self.subjects[usize::from(share)].ask.clone();
        let answer = self.client.ask(subject, message.encode()).await?;
        let answer = read(&self.metrics, &answer).inspect_err(|error| {
            self.metrics.bus_messages_bad_total().add(1);
            warn!(%error, "the ingest's answer cannot be read");
        });
        answer.ok()
    }
}

/// The objects of a text with commas between them, if they are so many.
fn split(json: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    let listed = [b"[", json, b"]"].concat();
    let objects: Vec<&RawValue> = serde_json::from_slice(&listed).ok()?;
    let objects: Vec<_> = objects.into_iter().map(|object| object.get().as_bytes().to_vec()).collect();
    (objects.len() == count).then_some(objects)
}

/// Of a state of a share makes one of the stream.
fn rename_epoch(object: &mut Vec<u8>, from: &str, to: &str) {
    // Within a text the quotation marks would have a backslash before them.
    let [from, to] = [from, to].map(|epoch| format!("\"epoch\":{}", Value::from(epoch)));
    if from != to
        && let Some(start) = memchr::memmem::find(object, from.as_bytes())
    {
        object.splice(start..start + from.len(), to.bytes());
    }
}

struct Relaying<C: Client> {
    inlet: Inlet<C>,
    /// What ends the task of each topic, and with it the subscription.
    listening: FxHashMap<TopicId, AbortHandle>,
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
        self.follow(order.follow).await;
        for request in order.forwards {
            let inlet = self.inlet.clone();
            tokio::spawn(async move { inlet.forward(request).await });
        }
    }

    /// Tells the ingest of each share what is followed of it.
    async fn follow(&self, (epoch, topics): (Arc<str>, Vec<(TopicId, Want)>)) {
        let Inlet { client, subjects, metrics, .. } = &self.inlet;
        let mut by_share = vec![Vec::new(); subjects.len()];
        for (topic, want) in topics {
            by_share[usize::from(self.inlet.share_of(topic))].push((topic, want));
        }
        for ((share, topics), subjects) in (0..).zip(by_share).zip(&**subjects) {
            let epoch = self.inlet.stream().share_epoch(share, &epoch);
            for part in topics.chunks(FOLLOWS_PER_MESSAGE_MAX) {
                let follow = Message::Follow(Follow { epoch: Arc::clone(&epoch), topics: part.to_vec() });
                publish(client, metrics, subjects.follow.clone(), &follow).await;
            }
        }
    }

    async fn listen(&mut self, topic: TopicId) {
        let subject = subject::of_topic(&self.inlet.directory, topic);
        let mut messages = match self.inlet.client.listen(subject).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_split_and_are_of_the_stream() {
        let json = br#"{"symbol":"A","epoch":"e\"1","seq":1},{"symbol":"\"epoch\":","epoch":"e\"1","seq":2}"#;
        let mut objects = split(json, 2).expect("two");
        for object in &mut objects {
            rename_epoch(object, "e\"1", "f");
        }
        let text = objects.iter().map(|object| String::from_utf8_lossy(object)).collect::<Vec<_>>();
        assert_eq!(
            text,
            [r#"{"symbol":"A","epoch":"f","seq":1}"#, r#"{"symbol":"\"epoch\":","epoch":"f","seq":2}"#]
        );
        assert_eq!((split(json, 3), split(b"{", 1)), (None, None));
    }
}
