//! Each broker that a bus goes over, for a test.

use std::process::Child;
use std::sync::Arc;

use super::nats::Nats;
use super::rabbit::Rabbit;
use super::tansu::Tansu;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nats,
    RabbitMq,
    Kafka,
}

/// A place on a running server, which nobody else uses.
pub(crate) struct Broker {
    server: Server,
    url: String,
}

enum Server {
    Nats(Nats),
    /// With tests that do no harm to it.
    Shared {
        _server: Arc<Rabbit>,
    },
    RabbitMq(Rabbit),
    Kafka(Tansu),
}

impl Broker {
    /// One that takes no harm; `None`: there is no such program here.
    pub(crate) fn shared(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Nats | Kind::Kafka => Self::own(kind),
            Kind::RabbitMq => {
                let server = Rabbit::shared()?;
                Some(Self { url: server.url(), server: Server::Shared { _server: server } })
            }
        }
    }

    /// One that may be killed and frozen.
    pub(crate) fn own(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Nats => {
                let server = Nats::start(&[])?;
                Self { url: server.url(), server: Server::Nats(server) }
            }
            Kind::RabbitMq => {
                let server = Rabbit::start()?;
                Self { url: server.url(), server: Server::RabbitMq(server) }
            }
            Kind::Kafka => {
                let server = Tansu::start()?;
                Self { url: server.url(), server: Server::Kafka(server) }
            }
        })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn child(&self) -> &Child {
        match &self.server {
            Server::Nats(server) => &server.child,
            Server::RabbitMq(server) => &server.child,
            Server::Kafka(server) => &server.child,
            Server::Shared { .. } => panic!("it is shared"),
        }
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        match &mut self.server {
            Server::Nats(server) => server.kill(),
            Server::RabbitMq(server) => server.kill(),
            Server::Kafka(server) => server.kill(),
            Server::Shared { .. } => panic!("it is shared"),
        }
    }

    /// Starts it again where it was, after [`Broker::kill`].
    pub(crate) fn start_again(&mut self) {
        match &mut self.server {
            Server::Nats(server) => server.start_again(),
            Server::RabbitMq(server) => server.start_again(),
            Server::Kafka(server) => server.start_again(),
            Server::Shared { .. } => panic!("it is shared"),
        }
    }
}
