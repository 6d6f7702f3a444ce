//! Kafka.
//!
//! A subject is the key of a record, and the key's hash says in which partition it is: that keeps the order of each subject.
//! There are two topics of Kafka, one with the market and one with all else. Read are only the partitions that hold
//! what is listened to, each from its newest record on, without a group and without saying how far; records that nobody
//! listens to are left aside by their keys. Nothing is sent twice: what is lost shows by its number, and the ingest has it.

mod layout;
mod reader;
mod session;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use super::address::Address;
use super::again::{Connects, Present, keep};
use super::asked::Asked;
use super::client::{Arrived, Client, Unsent};
use super::connection::{BusError, Traced};
use super::listening::Listening;
use crate::limits::{BROKER_WAIT, KAFKA_MESSAGE_BYTES_MAX, QUIET_EVERY};
use crate::metrics::Metrics;
use session::{Opened, Session};

/// Headers of a question: where the answer goes, and what it is to have in the second one.
const REPLY_TO: &str = "reply_to";
const CORRELATION: &str = "correlation_id";

#[derive(Clone)]
pub(super) struct Kafka(Arc<Shared>);

struct Shared {
    address: Address,
    name: &'static str,
    session: Present<Session>,
    inbox: Arc<Inbox>,
}

/// Whom what is read is for. It outlives connections.
struct Inbox {
    listening: Listening<Asker>,
    asked: Asked,
    metrics: Metrics,
}

pub(super) struct Asker {
    reply_to: String,
    correlation: Option<Vec<u8>>,
}

impl Client for Kafka {
    type Subject = Arc<str>;
    type Asker = Asker;
    type Messages = mpsc::Receiver<Arrived<Asker>>;

    async fn connect(
        address: &Address,
        name: &'static str,
        metrics: &Metrics,
    ) -> Result<(Self, mpsc::Receiver<()>), BusError> {
        let (listening, asked) = (Listening::default(), Asked::default());
        let inbox = Inbox { listening, asked, metrics: metrics.clone() };
        let shared =
            Shared { address: address.clone(), name, session: Present::default(), inbox: Arc::new(inbox) };
        let shared = Arc::new(shared);
        let opened = shared.open().await?;
        let (sender, reconnected) = mpsc::channel(1);
        tokio::spawn(keep(Arc::clone(&shared), opened, sender));
        Ok((Self(shared), reconnected))
    }

    fn message_bytes_max(&self) -> usize {
        KAFKA_MESSAGE_BYTES_MAX
    }

    async fn publish(&self, subject: Arc<str>, bytes: Vec<u8>) -> Result<(), Unsent> {
        let session = self.0.session.get().ok_or(Unsent(None))?;
        session.send(&subject, BTreeMap::new(), bytes).await
    }

    async fn answer(&self, asker: Asker, bytes: Vec<u8>) -> Result<(), Unsent> {
        let session = self.0.session.get().ok_or(Unsent(None))?;
        let correlation = asker.correlation.map(|correlation| (CORRELATION.to_owned(), correlation));
        session.send(&asker.reply_to, correlation.into_iter().collect(), bytes).await
    }

    async fn listen(&self, subject: String) -> Result<Self::Messages, String> {
        // Before the session is looked for: where there is none now, the next one reads it.
        let receiver = self.0.inbox.listening.listen(subject.clone());
        if let Some(session) = self.0.session.get() {
            // It fails where the connection has just been lost.
            let _ = session.listen(session.place(&subject)).await;
        }
        Ok(receiver)
    }

    async fn ask(&self, subject: Arc<str>, bytes: Vec<u8>) -> Option<Bytes> {
        let session = self.0.session.get()?;
        let question = self.0.inbox.asked.begin()?;
        let headers = BTreeMap::from([
            (REPLY_TO.to_owned(), session.reply().as_bytes().to_vec()),
            (CORRELATION.to_owned(), question.number.to_string().into_bytes()),
        ]);
        let asking = async {
            session.send(&subject, headers, bytes).await.ok()?;
            question.answer().await
        };
        timeout(BROKER_WAIT, asking).await.ok()?
    }
}

impl Connects for Shared {
    type Opened = Opened;

    fn stands(&self) -> Traced {
        Traced::stands(&self.address, self.name)
    }

    async fn open(&self) -> Result<Opened, BusError> {
        let opened = Opened::connect(&self.address, self.name, &self.inbox).await?;
        self.session.set(Some(Arc::clone(&opened.session)));
        match opened.listen(&self.inbox.listening.subjects()).await {
            Ok(opened) => Ok(opened),
            Err(reason) => Err(BusError::Wrong { address: Box::new(self.address.clone()), reason }),
        }
    }

    async fn serve(&self, mut opened: Opened) -> String {
        let mut sweep = interval(QUIET_EVERY);
        loop {
            tokio::select! {
                reason = opened.ended() => return reason,
                // Readers look themselves whether anybody listens.
                _ = sweep.tick() => drop(self.inbox.listening.sweep()),
            }
        }
    }

    fn forget(&self) {
        self.session.set(None);
        self.inbox.asked.clear();
    }
}
