//! The way to all shards: a connection is known to its own alone.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::mirror::Mirror;
use crate::limits::{ADMIN_REQUESTS_MAX, STATES_WAIT};
use crate::topic::TopicId;
use crate::wire::admin::Connected;

/// Asks the shards. Cheap to clone.
#[derive(Clone)]
pub(in crate::server) struct Switchboard(Arc<[mpsc::Sender<Asked>]>);

/// What a shard is asked.
pub(in crate::server) enum Asked {
    /// Who is connected.
    Connections(Filter, oneshot::Sender<Vec<Connected>>),
    /// To show from now on what goes over the connection of that number; without it, the mirror is given back.
    Tap(u64, Mirror, oneshot::Sender<Result<Tapped, Mirror>>),
}

/// Which connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Filter {
    pub(in crate::server) subject: Option<String>,
    pub(in crate::server) address: Option<IpAddr>,
    /// Behind that number.
    pub(in crate::server) after: Option<u64>,
    /// So many, the first.
    pub(in crate::server) most: usize,
}

/// A connection that is tapped.
pub(in crate::server) struct Tapped {
    pub(in crate::server) connection: Connected,
    /// What it follows, or the first of very much.
    pub(in crate::server) topics: Vec<TopicId>,
}

/// A shard does not answer, because it is busy or at its end.
pub(super) struct Busy;

impl Switchboard {
    /// The way to so many shards, and where each is asked.
    pub(in crate::server) fn new(shards: usize) -> (Self, Vec<mpsc::Receiver<Asked>>) {
        let (senders, receivers): (Vec<_>, _) =
            (0..shards).map(|_| mpsc::channel(ADMIN_REQUESTS_MAX)).unzip();
        (Self(senders.into()), receivers)
    }

    /// The connections that a filter leaves, by their numbers.
    pub(super) async fn connections(&self, filter: &Filter) -> Result<Vec<Connected>, Busy> {
        let mut all = Vec::new();
        for shard in self.0.iter() {
            all.extend(ask(shard, |reply| Asked::Connections(filter.clone(), reply)).await?);
            // No more than one shard has beside the others' are held.
            all.sort_unstable_by_key(|connected: &Connected| connected.id);
            all.truncate(filter.most);
        }
        Ok(all)
    }

    /// Has it shown what goes over the connection of that number; `None`: there is none.
    pub(super) async fn tap(&self, id: u64, mut mirror: Mirror) -> Result<Option<Tapped>, Busy> {
        for shard in self.0.iter() {
            match ask(shard, |reply| Asked::Tap(id, mirror, reply)).await? {
                Ok(tapped) => return Ok(Some(tapped)),
                Err(back) => mirror = back,
            }
        }
        Ok(None)
    }
}

async fn ask<T>(
    shard: &mpsc::Sender<Asked>,
    asked: impl FnOnce(oneshot::Sender<T>) -> Asked,
) -> Result<T, Busy> {
    let (sender, receiver) = oneshot::channel();
    shard.try_send(asked(sender)).map_err(|_| Busy)?;
    match timeout(STATES_WAIT, receiver).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Busy),
    }
}
