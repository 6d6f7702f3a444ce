//! The ingest's end: publishes, and answers gateways.

use std::sync::Arc;

use feeds::clock::monotonic;
use rustc_hash::FxHashMap;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, info, warn};

use super::address::Broker;
#[cfg(feature = "amqp")]
use super::amqp::Amqp;
use super::client::{Arrived, Client, Messages, answer, publish, read};
use super::connection::{BusError, Connection, runtime};
use super::instruments::Listing;
#[cfg(feature = "kafka")]
use super::kafka::Kafka;
use super::message::{Beat, Carried, Json, Message, MessageError};
#[cfg(feature = "nats")]
use super::nats::Nats;
use super::share::{Publication, Share};
use super::standby::Standing;
use super::{Outlet, subject};
use crate::bus::{BusHandle, Request, ShardEnd, States, Tape};
use crate::directory::Directory;
use crate::lifeline::Lifeline;
use crate::limits::{
    BATCHES_PER_TURN_MAX, BEAT_EVERY, BROKER_JSON_BYTES_MAX, BROKER_REQUESTS_MAX, HISTORY_LIMIT_MAX,
    STATES_WAIT,
};
use crate::metrics::Metrics;
use crate::topic::{Channel, Rate, TopicId};

/// Connects, and publishes from then on what gateways follow.
///
/// # Errors
/// [`BusError`] when there is no such broker; nothing is left running then.
pub fn serve(
    publication: &Publication,
    end: ShardEnd,
    directory: &Directory,
    epoch: &Arc<str>,
    metrics: &Metrics,
    lifeline: Lifeline,
) -> Result<Connection, BusError> {
    match publication.address.broker() {
        #[cfg(feature = "nats")]
        Broker::Nats => serve_by::<Nats>(publication, end, directory, epoch, metrics, lifeline),
        #[cfg(feature = "amqp")]
        Broker::RabbitMq => serve_by::<Amqp>(publication, end, directory, epoch, metrics, lifeline),
        #[cfg(feature = "kafka")]
        Broker::Kafka => serve_by::<Kafka>(publication, end, directory, epoch, metrics, lifeline),
    }
}

fn serve_by<C: Client>(
    publication: &Publication,
    end: ShardEnd,
    directory: &Directory,
    epoch: &Arc<str>,
    metrics: &Metrics,
    lifeline: Lifeline,
) -> Result<Connection, BusError> {
    let Publication { address, share } = publication;
    let listing = Listing::new(directory)?;
    let runtime = runtime()?;
    let (client, reconnected, listening) = runtime.block_on(async {
        let (client, reconnected) = C::connect(address, "tickwire ingest", metrics).await?;
        let wrong = |reason| BusError::Wrong { address: Box::new(address.clone()), reason };
        let listening = Listening::new(&client, *share).await.map_err(wrong)?;
        Ok::<_, BusError>((client, reconnected, listening))
    })?;
    info!(bus = %address, %share, "connected to the bus");
    let topics = TopicId::count(directory.len());
    let source = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "source");
    let outlet = Outlet::new(end.shard, end.bus.clone(), topics, Arc::clone(epoch), monotonic());
    let publishing = Publishing {
        client,
        share: *share,
        directory: directory.clone(),
        listing: Arc::new(listing),
        outlet,
        beat: subject::BEAT.to_owned().into(),
        echo: subject::STANDBY.to_owned().into(),
        subjects: FxHashMap::default(),
        source,
        standing: Standing::new(source, monotonic()),
        has_warned: false,
        metrics: metrics.clone(),
        room: Arc::new(Semaphore::new(BROKER_REQUESTS_MAX)),
        out: Vec::new(),
    };
    Ok(Connection::start(runtime, lifeline, publishing.run(end, listening, reconnected))?)
}

/// What an ingest listens to.
struct Listening<C: Client> {
    follows: C::Messages,
    asks: C::Messages,
    beats: C::Messages,
    echoes: C::Messages,
}

impl<C: Client> Listening<C> {
    async fn new(client: &C, share: Share) -> Result<Self, String> {
        Ok(Self {
            follows: client.listen(subject::follow(share)).await?,
            asks: client.listen(subject::ask(share)).await?,
            beats: client.listen(subject::BEAT.to_owned()).await?,
            echoes: client.listen(subject::STANDBY.to_owned()).await?,
        })
    }
}

struct Publishing<C: Client> {
    client: C,
    share: Share,
    directory: Directory,
    listing: Arc<Listing>,
    outlet: Outlet,
    beat: C::Subject,
    echo: C::Subject,
    /// Of the topics that were ever followed.
    subjects: FxHashMap<TopicId, C::Subject>,
    source: u64,
    standing: Standing,
    /// Of an ingest with other instruments.
    has_warned: bool,
    metrics: Metrics,
    /// For requests that are being answered.
    room: Arc<Semaphore>,
    out: Vec<Carried>,
}

impl<C: Client> Publishing<C> {
    async fn run(
        mut self,
        mut end: ShardEnd,
        mut listening: Listening<C>,
        mut reconnected: mpsc::Receiver<()>,
    ) {
        let mut beats = interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = end.batches.recv() => {
                    let Some(batch) = batch else { return };
                    self.outlet.take(&batch, &mut self.out);
                    for _ in 1..BATCHES_PER_TURN_MAX {
                        let Some(batch) = end.batches.try_recv() else { break };
                        self.outlet.take(&batch, &mut self.out);
                    }
                    self.publish_out().await;
                }
                Some(message) = listening.follows.next() => match read(&self.metrics, &message.payload) {
                    Ok(Message::Follow(mut follow)) if self.standing.is_active() => {
                        follow.topics.retain(|&(topic, _)| self.is_ours(topic));
                        self.outlet.follow(&follow, monotonic());
                    }
                    Ok(Message::Follow(_)) => {}
                    other => self.complain(&other),
                },
                Some(message) = listening.asks.next() => {
                    if self.standing.is_active() {
                        self.answer(&end.bus, message).await;
                    }
                }
                Some(message) = listening.beats.next() => self.hear(&message.payload, true),
                Some(message) = listening.echoes.next() => self.hear(&message.payload, false),
                Some(()) = reconnected.recv() => {
                    self.metrics.bus_reconnects_total().add(1);
                    info!("the connection to the bus stands again");
                }
                _ = beats.tick() => self.beat(&end.bus).await,
                else => return,
            }
        }
    }

    async fn beat(&mut self, bus: &BusHandle) {
        if self.standing.look(monotonic()) {
            info!(term = self.standing.term(), "publishing on the bus: no other ingest does");
            self.metrics.bus_active().set(1);
        }
        self.metrics.bus_term().set(i64::try_from(self.standing.term()).unwrap_or(i64::MAX));
        // Between two runs of the stream there is nothing to tell.
        if let Some(epoch) = bus.epoch() {
            let (term, digest) = (self.standing.term(), self.listing.digest());
            let beat = Beat { source: self.source, term, epoch, digest, share: self.share };
            let to = if self.standing.is_active() { &self.beat } else { &self.echo };
            publish(&self.client, &self.metrics, to.clone(), &Message::Beat(beat)).await;
        }
        self.outlet.look(monotonic(), &mut self.out);
        self.metrics.bus_subscriptions().set(i64::try_from(self.outlet.followed()).unwrap_or(i64::MAX));
        self.publish_out().await;
    }

    /// A beat of one that is active, or what one that stands by has sent itself.
    fn hear(&mut self, payload: &[u8], is_active: bool) {
        let now = monotonic();
        match read(&self.metrics, payload) {
            Ok(Message::Beat(beat)) if is_active => {
                let is_like_ours = beat.digest == self.listing.digest() && beat.share.of() == self.share.of();
                if !is_like_ours && !std::mem::replace(&mut self.has_warned, true) {
                    warn!(
                        "the ingest that publishes on this bus has other instruments, or shares them otherwise: when this one takes over, every gateway ends, to be started anew"
                    );
                }
                // Beside those of other shares it publishes its own.
                let is_of_another = is_like_ours && beat.share != self.share;
                if !is_of_another && self.standing.hear(&beat, now) {
                    warn!(term = beat.term, "another ingest has taken over: standing by");
                    self.metrics.bus_active().set(0);
                }
            }
            Ok(Message::Beat(beat)) => {
                if beat.source == self.source {
                    self.standing.echo(now);
                }
            }
            other => self.complain(&other),
        }
    }

    async fn publish_out(&mut self) {
        let mut out = std::mem::take(&mut self.out);
        if !self.standing.is_active() {
            out.clear();
        }
        for carried in out.drain(..) {
            let directory = &self.directory;
            let subject = self
                .subjects
                .entry(carried.topic)
                .or_insert_with(|| subject::of_topic(directory, carried.topic).into())
                .clone();
            publish(&self.client, &self.metrics, subject, &Message::Carried(carried)).await;
        }
        self.out = out;
    }

    fn is_ours(&self, topic: TopicId) -> bool {
        topic.index() < TopicId::count(self.directory.len()) && self.share.holds(&self.directory, topic)
    }

    fn complain(&self, message: &Result<Message, MessageError>) {
        self.metrics.bus_messages_bad_total().add(1);
        debug!(?message, "a message that no ingest takes");
    }

    async fn answer(&self, bus: &BusHandle, arrived: Arrived<C::Asker>) {
        let Some(asker) = arrived.asker else {
            return self.metrics.bus_messages_bad_total().add(1);
        };
        let (sender, states) = oneshot::channel();
        let is_topic = |&topic: &TopicId| {
            let is_rate = topic.at(topic.rate()) == topic;
            let is_merged = topic.rate() != Rate::Raw;
            is_rate && self.is_ours(topic) && !(is_merged && topic.channel() == Channel::Trade)
        };
        let (request, awaited) = match read(&self.metrics, &arrived.payload) {
            Ok(Message::ListInstruments(first)) => {
                let page = Message::Instruments(self.listing.page(first));
                return answer(&self.client, &self.metrics, asker, &page).await;
            }
            Ok(Message::AskTape(topic)) if is_topic(&topic) && topic.channel() == Channel::Trade => {
                let (reply, tape) = oneshot::channel();
                (Request::Tape { topic, reply }, Awaited::Tape(tape))
            }
            Ok(Message::Read(topics)) if topics.iter().all(is_topic) => {
                (Request::Read { topics, reply: sender }, Awaited::States(states))
            }
            Ok(Message::History(topic, limit))
                if is_topic(&topic)
                    && matches!(topic.channel(), Channel::Trade | Channel::Bar(_))
                    && (1..=HISTORY_LIMIT_MAX).contains(&(limit as usize)) =>
            {
                let request = Request::History { topic, limit: limit as usize, reply: sender };
                (request, Awaited::States(states))
            }
            other => return self.complain(&other),
        };
        let room = Arc::clone(&self.room).try_acquire_owned();
        let is_taken = room.is_ok() && bus.request(request).is_ok();
        let (client, metrics) = (self.client.clone(), self.metrics.clone());
        if !is_taken {
            return answer(&client, &metrics, asker, &Message::Busy).await;
        }
        tokio::spawn(async move {
            let _room = room;
            let bytes_max = BROKER_JSON_BYTES_MAX.min(client.message_bytes_max());
            let message = timeout(STATES_WAIT, awaited.message(bytes_max)).await.ok().flatten();
            answer(&client, &metrics, asker, &message.unwrap_or(Message::Busy)).await;
        });
    }
}

/// What the publisher is to answer with.
enum Awaited {
    States(oneshot::Receiver<States>),
    Tape(oneshot::Receiver<Tape>),
}

impl Awaited {
    /// `None`: it does not answer, or in more than so many bytes of JSON.
    async fn message(self, bytes_max: usize) -> Option<Message> {
        match self {
            Self::Tape(tape) => tape.await.ok().map(Message::Tape),
            Self::States(states) => {
                let States { epoch, seq, json } = states.await.ok()?;
                if json.len() > bytes_max {
                    warn!(bytes = json.len(), "an answer is longer than the bus takes");
                    return None;
                }
                Some(Message::Json(Json { epoch, seq, json }))
            }
        }
    }
}
