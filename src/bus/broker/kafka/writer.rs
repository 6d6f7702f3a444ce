//! Writes one partition.

use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::Compression;
use rskafka::record::Record;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::warn;

use super::session::At;
use crate::limits::{BROKER_WAIT, KAFKA_BATCH_BYTES_MAX};
use crate::metrics::Metrics;

/// Until the connection is lost; says why it is. What has come meanwhile goes together, and nothing goes before the batch
/// ahead of it is taken: so it keeps its order.
pub(super) async fn write(at: At, metrics: Metrics, mut records: mpsc::Receiver<Record>) -> String {
    let mut next = records.recv().await;
    let client = match at.connect().await {
        Ok(client) => client,
        Err(reason) => return reason,
    };
    while let Some(first) = next.take() {
        let mut bytes = first.approximate_size();
        let mut batch = vec![first];
        while let Ok(record) = records.try_recv() {
            bytes += record.approximate_size();
            if bytes > KAFKA_BATCH_BYTES_MAX {
                next = Some(record);
                break;
            }
            batch.push(record);
        }
        let messages = batch.len();
        match timeout(BROKER_WAIT, client.produce(batch, Compression::NoCompression)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) if is_too_large(&error) => {
                metrics.bus_messages_bad_total().add(messages as u64);
                warn!(%error, messages, bytes, "the bus does not take messages: its topic's `max.message.bytes` is too small");
            }
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "it does not answer".to_owned(),
        }
        if next.is_none() {
            next = records.recv().await;
        }
    }
    "it is closed".to_owned()
}

fn is_too_large(error: &Error) -> bool {
    let Error::ServerError { protocol_error, .. } = error else { return false };
    matches!(protocol_error, ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge)
}
