//! A connection to Kafka, from its making until it is lost.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use feeds::clock::Clock;
use feeds::live::tls;
use futures_util::future::select_ok;
use rskafka::BackoffConfig;
use rskafka::chrono::DateTime;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use rustc_hash::FxHashSet;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::Inbox;
use super::layout::{KafkaTopic, Layout, Place};
use super::reader::Reader;
use super::writer;
use crate::bus::broker::address::Address;
use crate::bus::broker::client::Unsent;
use crate::bus::broker::connection::BusError;
use crate::limits::{
    BROKER_RETRY_AFTER, BROKER_WAIT, KAFKA_FRAME_BYTES_MAX, KAFKA_PARTITIONS_MAX, UNSENT_MAX,
};

/// What is used of a connection by several.
pub(super) struct Session {
    layout: Arc<Layout>,
    stream: Vec<Partition>,
    control: Vec<Partition>,
}

/// The ways to the tasks of a partition, which connect when they are first needed.
struct Partition {
    records: mpsc::Sender<Record>,
    listens: mpsc::Sender<oneshot::Sender<()>>,
}

/// A connection, which is closed with this.
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    tasks: JoinSet<String>,
}

/// A partition as its tasks connect to it.
#[derive(Clone)]
pub(super) struct At {
    client: Arc<Client>,
    pub(super) layout: Arc<Layout>,
    pub(super) place: Place,
}

impl Opened {
    /// Connects, and makes the topics where they are not there.
    pub(super) async fn connect(
        address: &Address,
        name: &'static str,
        inbox: &Arc<Inbox>,
    ) -> Result<Self, BusError> {
        let wrong = |reason| BusError::Wrong { address: Box::new(address.clone()), reason };
        let unreachable = |reason| BusError::Unreachable { address: Box::new(address.clone()), reason };
        let host = reachable(address).await.map_err(|error| unreachable(error.to_string()))?;
        let tls = address.is_tls().then(tls::config).transpose().map_err(unreachable)?;
        match timeout(BROKER_WAIT, Self::prepare(host, tls, address.topic(), name, inbox)).await {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error)) if is_refusal(&error) => Err(BusError::Refused(Box::new(address.clone()))),
            Ok(Err(error)) => Err(wrong(error.to_string())),
            Err(_) => Err(wrong("it does not answer".to_owned())),
        }
    }

    async fn prepare(
        host: String,
        tls: Option<Arc<ClientConfig>>,
        topic: &str,
        name: &'static str,
        inbox: &Arc<Inbox>,
    ) -> Result<Self, Error> {
        let mut client = ClientBuilder::new(vec![host])
            .client_id(name)
            .max_message_size(KAFKA_FRAME_BYTES_MAX)
            .backoff_config(never_again());
        if let Some(config) = tls {
            client = client.tls_config(config);
        }
        let client = Arc::new(client.build().await?);
        // As many partitions as the broker makes where nobody says how many.
        let stream = topic_of(&client, topic.to_owned(), -1).await?;
        let control = topic_of(&client, Layout::control_of(topic), 1).await?;
        let lot = std::hash::RandomState::new().hash_one(name);
        let layout = Arc::new(Layout::new(stream, control, lot));
        let mut tasks = JoinSet::new();
        let mut partitions = |is_control| {
            let places =
                (0..layout.topic(is_control).partitions).map(|partition| Place { is_control, partition });
            let start = |place| {
                let at = At { client: Arc::clone(&client), layout: Arc::clone(&layout), place };
                let (records, written) = mpsc::channel(UNSENT_MAX);
                let (listens, listened) = mpsc::channel(1);
                tasks.spawn(writer::write(at.clone(), inbox.metrics.clone(), written));
                tasks.spawn(Reader::new(at, Arc::clone(inbox)).run(listened));
                Partition { records, listens }
            };
            places.map(start).collect::<Vec<_>>()
        };
        let (stream, control) = (partitions(false), partitions(true));
        Ok(Self { session: Arc::new(Session { layout, stream, control }), tasks })
    }

    /// Listens to the subjects, and for answers; an error says why it cannot.
    pub(super) async fn listen(mut self, subjects: &[String]) -> Result<Self, String> {
        let subjects = subjects.iter().map(String::as_str).chain([self.session.reply()]);
        let places: FxHashSet<_> = subjects.map(|subject| self.session.place(subject)).collect();
        for place in places {
            if self.session.listen(place).await.is_err() {
                return Err(self.ended().await);
            }
        }
        Ok(self)
    }

    /// Waits until the connection is lost; says why it is. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(reason)) => reason,
            Some(Err(error)) => error.to_string(),
            None => "it has no partitions".to_owned(),
        }
    }
}

impl Session {
    /// Where answers to us go.
    pub(super) fn reply(&self) -> &str {
        &self.layout.reply
    }

    pub(super) fn place(&self, subject: &str) -> Place {
        self.layout.place(subject)
    }

    /// Hands a record to its partition, and waits while that has no room.
    pub(super) async fn send(
        &self,
        subject: &str,
        headers: BTreeMap<String, Vec<u8>>,
        bytes: Vec<u8>,
    ) -> Result<(), Unsent> {
        let record = Record {
            key: Some(subject.as_bytes().to_vec()),
            value: Some(bytes),
            headers,
            // Kafka forgets by it.
            timestamp: DateTime::from_timestamp_nanos(Clock::System.now().0),
        };
        self.partition(self.place(subject)).records.send(record).await.map_err(|_| Unsent(None))
    }

    /// Reads a partition from now on, if that is not done already. It fails where the connection is lost.
    pub(super) async fn listen(&self, place: Place) -> Result<(), oneshot::error::RecvError> {
        let (reads, is_read) = oneshot::channel();
        // Without a reader, what is sent is dropped, which is seen.
        let _ = self.partition(place).listens.send(reads).await;
        is_read.await
    }

    fn partition(&self, place: Place) -> &Partition {
        let partitions = if place.is_control { &self.control } else { &self.stream };
        &partitions[place.partition]
    }
}

impl At {
    /// Connects to the broker that leads the partition. Of a new topic none does for some time.
    pub(super) async fn connect(&self) -> Result<PartitionClient, String> {
        let (topic, partition) =
            (&self.layout.topic(self.place.is_control).name, number(self.place.partition));
        let mut reason = "no answer".to_owned();
        let connecting = async {
            loop {
                let client =
                    self.client.partition_client(topic, partition, UnknownTopicHandling::Error).await;
                match client {
                    Ok(client) => break client,
                    Err(error) => reason = error.to_string(),
                }
                sleep(BROKER_RETRY_AFTER.0).await;
            }
        };
        timeout(BROKER_WAIT, connecting).await.map_err(|_| reason)
    }
}

/// The first host that anybody listens at.
async fn reachable(address: &Address) -> io::Result<String> {
    let tries = address.hosts().into_iter().map(|host| {
        Box::pin(async move {
            let connected = timeout(BROKER_WAIT, TcpStream::connect(&host)).await;
            connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok::<_, io::Error>(host)
        })
    });
    select_ok(tries).await.map(|(host, _)| host)
}

/// Tries once: what is sent again could come twice, and who connects anew begins with the newest.
fn never_again() -> BackoffConfig {
    BackoffConfig { deadline: Some(Duration::ZERO), ..BackoffConfig::default() }
}

/// Looks for a topic of Kafka, and has it made in so many partitions where it is not there.
async fn topic_of(client: &Client, name: String, partitions: i32) -> Result<KafkaTopic, Error> {
    loop {
        let topics = client.list_topics().await?;
        let found = topics.iter().find(|topic| topic.name == name).map_or(0, |topic| topic.partitions.len());
        if found > KAFKA_PARTITIONS_MAX {
            let reason =
                format!("topic `{name}` has {found} partitions, and may have {KAFKA_PARTITIONS_MAX}");
            return Err(Error::InvalidResponse(reason));
        }
        if found > 0 {
            return Ok(KafkaTopic { name, partitions: found });
        }
        let wait = i32::try_from(BROKER_WAIT.as_millis()).unwrap_or(i32::MAX);
        // As many copies as the broker makes where nobody says how many.
        match client.controller_client()?.create_topic(&name, partitions, -1, wait).await {
            Ok(()) => info!(topic = name, "made on the bus, with what the broker keeps by default"),
            Err(Error::ServerError { protocol_error: ProtocolError::TopicAlreadyExists, .. }) => {}
            Err(error) => return Err(error),
        }
        sleep(BROKER_RETRY_AFTER.0).await;
    }
}

fn is_refusal(error: &Error) -> bool {
    let Error::ServerError { protocol_error, .. } = error else { return false };
    matches!(
        protocol_error,
        ProtocolError::TopicAuthorizationFailed | ProtocolError::ClusterAuthorizationFailed
    )
}

/// A partition's number as Kafka writes it.
fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
