//! Reads one partition while anybody listens to a subject that is in it.

use std::sync::Arc;

use bytes::Bytes;
use feeds::clock::monotonic;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{OffsetAt, PartitionClient};
use rskafka::record::{Record, RecordAndOffset};
use tokio::pin;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::layout::REPLY;
use super::session::At;
use super::{Asker, CORRELATION, Inbox, REPLY_TO};
use crate::bus::broker::client::Arrived;
use crate::bus::broker::listening::Untaken;
use crate::limits::{BROKER_WAIT, KAFKA_FETCH_BYTES_MAX, KAFKA_FETCH_WAIT, QUIET_EVERY};

type Listens = mpsc::Receiver<oneshot::Sender<()>>;

pub(super) struct Reader {
    at: At,
    inbox: Arc<Inbox>,
}

impl Reader {
    pub(super) const fn new(at: At, inbox: Arc<Inbox>) -> Self {
        Self { at, inbox }
    }

    /// Until the connection is lost; says why it is. Whoever listens is told when what is published from then on will come.
    pub(super) async fn run(self, mut listens: Listens) -> String {
        while let Some(listener) = listens.recv().await {
            if let Err(reason) = self.read(listener, &mut listens).await {
                return reason;
            }
        }
        "it is closed".to_owned()
    }

    /// Until nobody listens any more.
    async fn read(&self, listener: oneshot::Sender<()>, listens: &mut Listens) -> Result<(), String> {
        let client = self.at.connect().await?;
        let mut offset = newest(&client).await?;
        // Nobody may wait any more.
        let _ = listener.send(());
        let mut look_at = monotonic() + QUIET_EVERY;
        loop {
            match fetch(&client, offset, listens).await? {
                Some(records) => {
                    for RecordAndOffset { record, offset: its } in records {
                        offset = its + 1;
                        self.take(record).await;
                    }
                }
                None => {
                    // The broker has forgotten them already.
                    self.inbox.metrics.bus_overruns_total().add(1);
                    offset = newest(&client).await?;
                }
            }
            if monotonic() >= look_at {
                look_at = monotonic() + QUIET_EVERY;
                if !self.is_listened_to() {
                    return Ok(());
                }
            }
        }
    }

    fn is_listened_to(&self) -> bool {
        let is_here = |subject: &str| self.at.layout.place(subject) == self.at.place;
        is_here(&self.at.layout.reply) || self.inbox.listening.any(is_here)
    }

    async fn take(&self, mut record: Record) {
        let metrics = &self.inbox.metrics;
        let (Some(key), Some(value)) = (&record.key, record.value.take()) else {
            return metrics.bus_messages_aside_total().add(1);
        };
        let subject = str::from_utf8(key).unwrap_or_default();
        let payload = Bytes::from(value);
        if subject == self.at.layout.reply {
            let number = record.headers.get(CORRELATION).and_then(|number| str::from_utf8(number).ok());
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                self.inbox.asked.answer(number, payload);
            }
            return;
        }
        let reply_to = record.headers.remove(REPLY_TO).and_then(|subject| String::from_utf8(subject).ok());
        let correlation = record.headers.remove(CORRELATION);
        let asker = reply_to
            .filter(|subject| subject.starts_with(REPLY))
            .map(|reply_to| Asker { reply_to, correlation });
        match self.inbox.listening.offer(subject, Arrived { payload, asker }) {
            Ok(()) => {}
            Err(Untaken::Unheard) => metrics.bus_messages_aside_total().add(1),
            Err(Untaken::Full(arrived)) => {
                // Records come by thousands at once, and whoever listens has had no turn yet.
                yield_now().await;
                if let Err(Untaken::Full(_)) = self.inbox.listening.offer(subject, arrived) {
                    metrics.bus_overruns_total().add(1);
                }
            }
        }
    }
}

/// What there is from an offset on, or comes within a while; `None`: there is no such offset. Meanwhile whoever listens is told
/// that it is read.
async fn fetch(
    client: &PartitionClient,
    offset: i64,
    listens: &mut Listens,
) -> Result<Option<Vec<RecordAndOffset>>, String> {
    let wait = i32::try_from(KAFKA_FETCH_WAIT.as_millis()).unwrap_or(i32::MAX);
    let fetching = timeout(BROKER_WAIT, client.fetch_records(offset, 1..KAFKA_FETCH_BYTES_MAX, wait));
    pin!(fetching);
    loop {
        tokio::select! {
            fetched = &mut fetching => return match fetched {
                Ok(Ok((records, _))) => Ok(Some(records)),
                Ok(Err(Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })) => Ok(None),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it does not answer".to_owned()),
            },
            // Nobody may wait any more.
            Some(listener) = listens.recv() => drop(listener.send(())),
        }
    }
}

async fn newest(client: &PartitionClient) -> Result<i64, String> {
    let asking = timeout(BROKER_WAIT, client.get_offset(OffsetAt::Latest)).await;
    asking.map_err(|_| "it does not answer".to_owned())?.map_err(|error| error.to_string())
}
