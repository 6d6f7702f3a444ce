//! What a shard tells administrators of its connections.

use super::{Hub, Inner};
use crate::fanout::{Connection, Stand};
use crate::limits::TAP_TOPICS_MAX;
use crate::server::admin::{Asked, Filter, Mirror, Tapped};
use crate::server::socket::Socket;
use crate::wire::admin::Connected;

impl Hub {
    /// Answers an administrator. Who does not wait for it any more gets nothing.
    pub(in crate::server) fn answer(&self, asked: Asked) {
        match asked {
            Asked::Connections(filter, reply) => drop(reply.send(self.inner.borrow().list(&filter))),
            Asked::Tap(id, mirror, reply) => drop(reply.send(self.inner.borrow().tap(id, mirror))),
        }
    }
}

impl Inner {
    /// The connections that a filter leaves, by their numbers.
    fn list(&self, filter: &Filter) -> Vec<Connected> {
        let is_asked_for = |connection: Connection, socket: &Socket| {
            filter.after.is_none_or(|after| socket.number() > after)
                && filter.address.is_none_or(|address| socket.peer == address)
                && (filter.subject.is_none() || self.subject(connection) == filter.subject.as_deref())
        };
        let found = self.connected().filter(|(connection, socket)| is_asked_for(*connection, socket));
        let mut found: Vec<_> =
            found.map(|(connection, socket)| (socket.number(), connection, socket)).collect();
        found.sort_unstable_by_key(|(number, ..)| *number);
        found.truncate(filter.most);
        found.into_iter().map(|(_, connection, socket)| self.about(connection, socket)).collect()
    }

    /// Shows from now on what goes over the connection of that number; without one, the mirror is given back.
    fn tap(&self, id: u64, mirror: Mirror) -> Result<Tapped, Mirror> {
        let Some((connection, socket)) = self.connected().find(|(_, socket)| socket.number() == id) else {
            return Err(mirror);
        };
        socket.show_to(mirror);
        let topics = self.shard.subscriptions(connection).map(|(topic, _)| topic);
        Ok(Tapped {
            connection: self.about(connection, socket),
            topics: topics.take(TAP_TOPICS_MAX).collect(),
        })
    }

    pub(super) fn subject(&self, connection: Connection) -> Option<&str> {
        self.lease(connection)?.identity()?.subject.as_deref()
    }

    fn about(&self, connection: Connection, socket: &Socket) -> Connected {
        let Stand { form, topics, is_laggard, times_behind } = self.shard.stand(connection);
        Connected {
            id: socket.number(),
            subject: self.subject(connection).map(str::to_owned),
            address: socket.peer,
            transport: form.framing,
            encoding: form.encoding,
            compressed: form.deflate.is_some(),
            topics: topics as u64,
            queued_bytes: socket.waiting_bytes() as u64,
            laggard: is_laggard,
            conflated: times_behind,
            opened_at: socket.opened.micros(),
        }
    }
}
