//! A connection to RabbitMQ, from its making until it is lost.

use std::sync::Arc;
use std::time::Duration;

use feeds::live::tls;
use lapin::options::{
    BasicConsumeOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::line::{self, Line, Place};
use super::{EXCHANGE, REPLY_TO};
use crate::bus::broker::address::{Address, Credentials};
use crate::bus::broker::connection::BusError;
use crate::limits::{BROKER_WAIT, QUEUE_WAITING_MAX, UNSENT_MAX};

/// How often each side says that it lives: twice in vain, and the connection is made anew.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(5);
const PORT: u16 = 5_672;
const TLS_PORT: u16 = 5_671;
/// Who may come in from the broker's own machine, until somebody says otherwise.
const GUEST: &str = "guest";

/// What is used of a connection by several.
pub(super) struct Session {
    pub(super) channel: Channel,
    /// For questions alone: the broker confirms them, and says by that whether anybody is asked.
    pub(super) asking: Channel,
    pub(super) queue: ShortString,
    /// For messages that are not written yet.
    pub(super) room: Arc<Semaphore>,
}

/// A connection, which is closed with this.
pub(super) struct Opened {
    pub(super) session: Arc<Session>,
    pub(super) messages: Consumer,
    pub(super) answers: Consumer,
    _connection: Connection,
    _line: Line,
}

impl Opened {
    /// Connects, and makes exchange and queue.
    pub(super) async fn connect(address: &Address, name: &'static str) -> Result<Self, BusError> {
        let line = Line::default();
        let wrong = |reason| BusError::Wrong { address: Box::new(address.clone()), reason };
        let unreachable = |reason| BusError::Unreachable { address: Box::new(address.clone()), reason };
        let tls = address.is_tls().then(tls::config).transpose().map_err(unreachable)?;
        let connecting = connect(address, name, tls, line.place());
        let connection = match timeout(BROKER_WAIT, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) if is_refusal(&error) => return Err(BusError::Refused(Box::new(address.clone()))),
            Ok(Err(error)) if line.is_there() => return Err(wrong(error.to_string())),
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) if line.is_there() => return Err(wrong("it does not answer".to_owned())),
            Err(_) => return Err(unreachable("no answer".to_owned())),
        };
        match timeout(BROKER_WAIT, Self::prepare(connection, line)).await {
            Ok(opened) => opened.map_err(|error| wrong(error.to_string())),
            Err(_) => Err(wrong("it does not answer".to_owned())),
        }
    }

    async fn prepare(connection: Connection, line: Line) -> lapin::Result<Self> {
        let none = FieldTable::default;
        let channel = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, options, none()).await?;
        let options =
            QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
        let mut bound = none();
        bound.insert("x-max-length".into(), AMQPValue::LongInt(QUEUE_WAITING_MAX));
        bound.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        let queue = channel.queue_declare("".into(), options, bound).await?.name().clone();
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let messages = channel.basic_consume(queue.clone(), "".into(), options, none()).await?;
        let asking = connection.create_channel().await?;
        asking.confirm_select(ConfirmSelectOptions::default()).await?;
        let answers = asking.basic_consume(REPLY_TO.into(), "".into(), options, none()).await?;
        let room = Arc::new(Semaphore::new(UNSENT_MAX));
        let session = Arc::new(Session { channel, asking, queue, room });
        Ok(Self { session, messages, answers, _connection: connection, _line: line })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.session.room.close();
    }
}

async fn connect(
    address: &Address,
    name: &'static str,
    tls: Option<Arc<ClientConfig>>,
    place: Place,
) -> lapin::Result<Connection> {
    let (username, password) = match address.credentials() {
        Credentials::Password(name, password) => (name.clone(), password.clone()),
        Credentials::Nothing | Credentials::Token(_) => (GUEST.to_owned(), GUEST.to_owned()),
    };
    let (host, port) = address.host_and_port();
    let (scheme, usual_port) =
        if tls.is_some() { (AMQPScheme::AMQPS, TLS_PORT) } else { (AMQPScheme::AMQP, PORT) };
    let seconds = u16::try_from(HEARTBEAT_EVERY.as_secs()).unwrap_or(u16::MAX);
    let uri = AMQPUri {
        scheme,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username, password },
            host: host.to_owned(),
            port: port.unwrap_or(usual_port),
        },
        vhost: address.virtual_host().unwrap_or_else(|| "/".to_owned()),
        query: AMQPQueryString { heartbeat: Some(seconds), ..AMQPQueryString::default() },
    };
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Connection::connector(
        uri,
        line::runtime(),
        async move |uri, _| {
            let AMQPAuthority { host, port, .. } = uri.authority;
            Ok(line::connect(host, port, tls.clone(), place.clone()).await?)
        },
        properties,
    )
    .await
}

/// Whether name, password or virtual host are not what the broker knows.
fn is_refusal(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.get_id(), ACCESS_REFUSED | NOT_ALLOWED)
}

const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;
