//! Where a broker is.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use hyper::http::Uri;
use hyper::http::uri::Authority;

/// Of AMQP's short texts.
const VIRTUAL_HOST_BYTES_MAX: usize = 255;
/// Of Kafka's topics, of which a bus has a second one with `-control` behind the name.
const TOPIC_BYTES_MAX: usize = 241;
/// Of NATS, by TLS.
const TLS: &str = "tls";
/// Of RabbitMQ, by TLS.
const AMQPS: &str = "amqps";
const KAFKA: &str = "kafka";
/// Kafka calls TLS so: its `security.protocol` is `SSL`.
const KAFKA_SSL: &str = "kafka+ssl";
const KAFKA_PORT: u16 = 9_092;
const KAFKA_TOPIC: &str = "tickwire";

/// A broker's URL. Shown without the name and password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    broker: Broker,
    scheme: String,
    /// Of Kafka: one or several, with commas between.
    host: String,
    /// Of RabbitMQ: the virtual host. Of Kafka: the topic.
    path: String,
    credentials: Credentials,
}

/// Which broker it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broker {
    /// By `nats://`, or `tls://`.
    #[cfg(feature = "nats")]
    Nats,
    /// By `amqp://`, or `amqps://`.
    #[cfg(feature = "amqp")]
    RabbitMq,
    /// By `kafka://`, or `kafka+ssl://`.
    #[cfg(feature = "kafka")]
    Kafka,
}

/// What a broker is told of who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Nothing,
    /// A token, which stands alone before the host.
    Token(String),
    /// A name and a password.
    Password(String, String),
}

/// Why a text is not where a broker is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL with a host.
    #[error("not a URL such as nats://127.0.0.1:4222, amqp://127.0.0.1:5672 or kafka://127.0.0.1:9092")]
    Url,
    /// A broker that is not known here.
    #[error(
        "a bus by `{0}` is not known: nats://HOST:PORT, amqp://HOST:PORT/VHOST or kafka://HOST:PORT/TOPIC, and by TLS tls://… (NATS), amqps://… or kafka+ssl://…"
    )]
    Scheme(String),
    /// Something behind the host.
    #[error("nothing may stand behind host and port")]
    Path,
    /// Something behind the virtual host.
    #[error("nothing may stand behind host, port and virtual host, in which `/` is %2F")]
    BehindVhost,
    /// A name of more bytes than AMQP has room for.
    #[error("a virtual host has {VIRTUAL_HOST_BYTES_MAX} bytes at most")]
    VirtualHost,
    /// A token, which the broker does not know.
    #[error("RabbitMQ takes a name and a password: amqp://NAME:PASSWORD@HOST:PORT")]
    Password,
    /// A name, a password or a token, none of which is sent.
    #[error(
        "Kafka is told no name and no password here: kafka://HOST:PORT, to a listener that asks for none"
    )]
    Anonymous,
    /// A name that no topic of Kafka can have.
    #[error(
        "a topic of Kafka is named by letters, digits, `.`, `_` and `-`, by {TOPIC_BYTES_MAX} of them at most: kafka://HOST:PORT/TOPIC"
    )]
    Topic,
    /// Built without it.
    #[error("this tickwire was built without the feature `{0}`: build it with that")]
    NotBuilt(&'static str),
}

impl Address {
    /// Which broker it is.
    #[must_use]
    pub const fn broker(&self) -> Broker {
        self.broker
    }

    /// What its server is called.
    #[must_use]
    pub const fn server(&self) -> &'static str {
        match self.broker {
            #[cfg(feature = "nats")]
            Broker::Nats => "NATS server",
            #[cfg(feature = "amqp")]
            Broker::RabbitMq => "RabbitMQ server",
            #[cfg(feature = "kafka")]
            Broker::Kafka => "Kafka broker",
        }
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// Whether nothing is said in the clear.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme.as_str(), TLS | AMQPS | KAFKA_SSL)
    }

    /// The host, without the brackets of IPv6, and the port if there is one.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, Option<u16>) {
        let (host, port) = match self.host.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (self.host.as_str(), None),
        };
        (host.trim_start_matches('[').trim_end_matches(']'), port)
    }

    /// The virtual host, where one is named.
    #[must_use]
    pub fn virtual_host(&self) -> Option<String> {
        unescaped(&self.path).ok().filter(|name| !name.is_empty())
    }

    /// Each host of Kafka with its port.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let is_with_port = |host: &str| host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let with_port = |host: &str| {
            if is_with_port(host) { host.to_owned() } else { format!("{host}:{KAFKA_PORT}") }
        };
        self.host.split(',').map(with_port).collect()
    }

    /// Kafka's topic.
    #[must_use]
    pub const fn topic(&self) -> &str {
        if self.path.is_empty() { KAFKA_TOPIC } else { self.path.as_str() }
    }

    /// Who we are.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// What of it a broker may refuse.
    #[cfg(any(feature = "nats", feature = "amqp", feature = "kafka"))]
    pub(super) const fn who(&self) -> &'static str {
        match self.broker {
            #[cfg(feature = "nats")]
            Broker::Nats => "the name, the password or the token",
            #[cfg(feature = "amqp")]
            Broker::RabbitMq => "the name, the password or the virtual host",
            #[cfg(feature = "kafka")]
            Broker::Kafka => "the topic",
        }
    }

    /// `HOST[:PORT][,HOST[:PORT]…][/TOPIC]`.
    fn of_kafka(scheme: &str, text: &str) -> Result<Self, AddressError> {
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        if host.contains('@') {
            return Err(AddressError::Anonymous);
        }
        if !host.split(',').all(is_host) {
            return Err(AddressError::Url);
        }
        let is_named = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        if !is_named || path.len() > TOPIC_BYTES_MAX || matches!(path, "." | "..") {
            return Err(AddressError::Topic);
        }
        Ok(Self {
            broker: Broker::kafka()?,
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            credentials: Credentials::Nothing,
        })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // A URI has one host.
        if let Some((scheme @ (KAFKA | KAFKA_SSL), rest)) = text.split_once("://") {
            return Self::of_kafka(scheme, rest);
        }
        let uri: Uri = text.parse().map_err(|_| AddressError::Url)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(AddressError::Url);
        };
        let is_nats = matches!(scheme, "nats" | TLS);
        if !is_nats && !matches!(scheme, "amqp" | AMQPS) {
            return Err(AddressError::Scheme(scheme.to_owned()));
        }
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        if is_nats && (!path.is_empty() || uri.query().is_some()) {
            return Err(AddressError::Path);
        }
        if path.contains('/') || uri.query().is_some() {
            return Err(AddressError::BehindVhost);
        }
        if unescaped(path)?.len() > VIRTUAL_HOST_BYTES_MAX {
            return Err(AddressError::VirtualHost);
        }
        let behind_name = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
        if !is_host(behind_name) {
            return Err(AddressError::Url);
        }
        let (credentials, host) = match authority.as_str().rsplit_once('@') {
            None => (Credentials::Nothing, authority.as_str()),
            Some((who, host)) => {
                let credentials = match who.split_once(':') {
                    None if !is_nats => return Err(AddressError::Password),
                    None => Credentials::Token(unescaped(who)?),
                    Some((name, password)) => Credentials::Password(unescaped(name)?, unescaped(password)?),
                };
                (credentials, host)
            }
        };
        let broker = Broker::by(is_nats)?;
        Ok(Self {
            broker,
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            credentials,
        })
    }
}

impl Broker {
    fn by(is_nats: bool) -> Result<Self, AddressError> {
        if is_nats {
            #[cfg(feature = "nats")]
            return Ok(Self::Nats);
            #[cfg(not(feature = "nats"))]
            return Err(AddressError::NotBuilt("nats"));
        }
        #[cfg(feature = "amqp")]
        return Ok(Self::RabbitMq);
        #[cfg(not(feature = "amqp"))]
        return Err(AddressError::NotBuilt("amqp"));
    }

    fn kafka() -> Result<Self, AddressError> {
        #[cfg(feature = "kafka")]
        return Ok(Self::Kafka);
        #[cfg(not(feature = "kafka"))]
        return Err(AddressError::NotBuilt(KAFKA));
    }
}

/// A host, perhaps with a port.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let is_port = |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    let rest = text.strip_prefix(authority.host()).unwrap_or(text);
    !authority.host().is_empty() && (rest.is_empty() || is_port(rest))
}

/// What `%` and two hexadecimal digits stand for.
fn unescaped(text: &str) -> Result<String, AddressError> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).ok_or(AddressError::Url)?;
        bytes.extend(HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| AddressError::Url)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| AddressError::Url)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = match self.credentials {
            Credentials::Nothing => "",
            Credentials::Token(_) | Credentials::Password(..) => "…@",
        };
        let slash = if self.path.is_empty() { "" } else { "/" };
        write!(f, "{}://{who}{}{slash}{}", self.scheme, self.host, self.path)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(all(test, feature = "nats", feature = "amqp", feature = "kafka"))]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let password =
            |name: &str, password: &str| Credentials::Password(name.to_owned(), password.to_owned());
        for (text, shown, url, credentials) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222", "nats://127.0.0.1:4222", Credentials::Nothing),
            (
                "tls://bus.example.com/",
                "tls://bus.example.com",
                "tls://bus.example.com",
                Credentials::Nothing,
            ),
            ("nats://me:s%40%C3%A9@[::1]:1", "nats://…@[::1]:1", "nats://[::1]:1", password("me", "s@é")),
            ("nats://secret@h:1", "nats://…@h:1", "nats://h:1", Credentials::Token("secret".to_owned())),
            ("amqp://me:s%2F@h:1/eu", "amqp://…@h:1/eu", "amqp://h:1", password("me", "s/")),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.to_string(), format!("{address:?}")), (shown.to_owned(), shown.to_owned()));
            assert!(address.url() == url && *address.credentials() == credentials, "{text}");
        }
    }

    #[test]
    fn a_virtual_host_may_be_named() {
        for (text, host, vhost) in [
            ("amqp://h", ("h", None), None),
            ("amqp://h/", ("h", None), None),
            ("amqp://h:1/%2f", ("h", Some(1)), Some("/")),
            ("amqp://a:b@[::1]:5672/market%20data", ("::1", Some(5672)), Some("market data")),
            ("amqp://[fe80::2]", ("fe80::2", None), None),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.broker(), Broker::RabbitMq);
            assert_eq!((address.host_and_port(), address.virtual_host().as_deref()), (host, vhost), "{text}");
        }
    }

    #[test]
    fn each_broker_has_a_scheme_for_tls() {
        for (scheme, broker, is_tls) in [
            ("nats", Broker::Nats, false),
            ("tls", Broker::Nats, true),
            ("amqp", Broker::RabbitMq, false),
            ("amqps", Broker::RabbitMq, true),
            ("kafka", Broker::Kafka, false),
            ("kafka+ssl", Broker::Kafka, true),
        ] {
            let text = format!("{scheme}://h:1");
            let address: Address = text.parse().expect(scheme);
            assert_eq!((address.broker(), address.is_tls(), address.url()), (broker, is_tls, text));
        }
    }

    #[test]
    fn kafka_has_hosts_and_a_topic() {
        for (text, hosts, topic) in [
            ("kafka://h", &["h:9092"][..], "tickwire"),
            ("kafka://h/", &["h:9092"], "tickwire"),
            (
                "kafka://10.0.0.1:1,[::1]:2,[::2],b/eu-1.market",
                &["10.0.0.1:1", "[::1]:2", "[::2]:9092", "b:9092"],
                "eu-1.market",
            ),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.broker(), address.topic()), (Broker::Kafka, topic), "{text}");
            assert_eq!(address.hosts(), hosts, "{text}");
            assert_eq!(address.to_string(), text.trim_end_matches('/'), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("", AddressError::Url),
            ("127.0.0.1:4222", AddressError::Url),
            ("nats://h:99999", AddressError::Url),
            ("nats://", AddressError::Url),
            ("nats://a:%4@h:1", AddressError::Url),
            ("kafka://", AddressError::Url),
            ("kafka://h:1,", AddressError::Url),
            ("kafka://h:1,h:99999/eu", AddressError::Url),
            ("kafka://h:1?acks=1", AddressError::Url),
            ("kafka://me:secret@h:1", AddressError::Anonymous),
            ("kafka://h:1/a/b", AddressError::Topic),
            ("kafka://h:1/a?b", AddressError::Topic),
            ("kafka://h:1/..", AddressError::Topic),
            (&format!("kafka://h/{}", "t".repeat(242)), AddressError::Topic),
            ("kafkas://h", AddressError::Scheme("kafkas".to_owned())),
            ("kafka+ssl://me:secret@h:1", AddressError::Anonymous),
            ("mqtts://h", AddressError::Scheme("mqtts".to_owned())),
            ("nats://h:1/market", AddressError::Path),
            ("nats://h:1?x=y", AddressError::Path),
            ("amqp://h:1/a/b", AddressError::BehindVhost),
            ("amqp://h:1/a?heartbeat=1", AddressError::BehindVhost),
            ("amqp://h:1/%4", AddressError::Url),
            ("amqp://secret@h", AddressError::Password),
            (&format!("amqp://h/{}", "v".repeat(256)), AddressError::VirtualHost),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
