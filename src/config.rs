//! Settings of the service: defaults, then `tickwire.toml`, then `TICKWIRE_*`, then flags. An unknown key is an error.

mod bus_name;
mod feed_name;
mod unreadable;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use feeds::limits::CHECKPOINT_RECORDS;
use feeds::live::{self, Live, LiveSettings};
use feeds::record::simulated::Recorded;
use feeds::record::{self, RecorderHandle, RecorderSettings};
use feeds::replay::{Replay, ReplaySettings};
use feeds::sim::{Silence, Sim, SimFaults, SimMode, SimSettings};
use feeds::{Feed, Speed, Symbol, Timestamp, TimestampError, userinfo};
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use hyper::http::uri::Authority;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

pub use self::bus_name::BusName;
pub use self::feed_name::FeedName;
use crate::bus::broker::address::Address;
use crate::bus::broker::share::{Publication, Share};
use crate::directory::Class;
use crate::entitlement::Entitlement;
use crate::ingest::{self, DelaySettings};
use crate::limits::{self, DELAY_BYTES_MIN, SHARDS_MAX};
use crate::publisher::WhenFull;
use crate::server::admission::{self, Limit, Networks};
use crate::server::auth::jwks::Place;
use crate::server::auth::{self, Roles, jwt};
use crate::server::tls::CertificateFiles;
use crate::service;
use crate::traces::{self, Collector, CollectorError, Ratio};

/// Settings as they are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: String,
    /// File with the certificate of https and wss, PEM; empty: plain HTTP.
    pub tls_cert: String,
    /// File with its private key, PEM.
    pub tls_key: String,
    /// Address and port at which plain HTTP is told to go to https; empty: none.
    pub redirect_listen: String,
    /// Whether plain HTTP may be served where others than this machine can read it.
    pub allow_plain: bool,
    /// WebSockets of the process.
    pub max_connections: usize,
    /// WebSockets of one address (of IPv6, of one /64).
    pub max_connections_per_address: usize,
    /// Topics that one connection follows.
    pub max_subscriptions: usize,
    /// Handshakes of WebSockets a second of one address.
    pub max_handshakes_per_second: u32,
    /// Requests by HTTP a second of one address.
    pub max_requests_per_second: u32,
    /// Messages a second of one connection; ten seconds' worth at once.
    pub max_messages_per_second: u32,
    /// Memory of the process: `4GiB`; empty: four fifths of what the machine or its container has.
    pub max_memory: String,
    /// Silence of a client after which it is sent a ping: `20s`.
    pub ping_interval: String,
    /// How long it may take to answer: `15s`.
    pub ping_timeout: String,
    /// Addresses and networks that the limits by address do not apply to.
    pub exempt_addresses: Vec<String>,
    /// Addresses and networks of proxies that are believed when they tell a client's address.
    pub trusted_proxies: Vec<String>,
    /// Whether each connection begins with a header of the PROXY protocol, version 2.
    pub proxy_protocol: bool,
    /// Origins of pages that may connect beside our own: `https://dash.example.com`.
    pub allowed_origins: Vec<String>,
    /// Hosts that requests may be for, without ports; empty: any.
    pub allowed_hosts: Vec<String>,
    /// How long connections are closed one after the other at the end: `5s`; `0s`: at once.
    pub drain: String,
    /// File with the secret of tokens of HS256, at least 32 bytes; empty: none are taken.
    pub auth_secret_file: String,
    /// File with the public key of tokens of EdDSA or RS256, PEM; empty: none are taken.
    pub auth_public_key_file: String,
    /// File or URL of a JWKS with public keys of tokens; empty: none are taken.
    pub auth_jwks: String,
    /// How often that is fetched from its URL.
    pub auth_jwks_every: String,
    /// The only issuer of tokens; empty: any whose key is known.
    pub auth_issuer: String,
    /// What tokens have to be for; empty: those that are for nobody in particular.
    pub auth_audience: String,
    /// File with the hashes of API keys; empty: none are taken.
    pub api_keys_file: String,
    /// File with the tokens, subjects and API keys that were taken back; empty: none.
    pub revoked_file: String,
    /// How long a token lives that is given for an API key: `15m`, `1h`.
    pub token_lifetime: String,
    /// How long before the end of its token a connection is told: `1m`, `30s`.
    pub token_notice: String,
    /// Connections that a subject may have at once; 0: as many as it likes.
    pub connections_per_subject: usize,
    /// Whether one more takes the place of the oldest, which is closed, instead of being refused.
    pub connections_take_over: bool,
    /// Threads that serve clients; 0: one a core.
    pub shards: usize,
    /// `all`: feed and clients in one process; `ingest`: its feed is published on the bus too; `gateway`: it has no feed,
    /// and serves what an ingest publishes.
    pub role: String,
    /// The broker between ingest and gateways: `nats://HOST:PORT`, `amqp://HOST:PORT`, `kafka://HOST:PORT`; empty:
    /// none.
    pub bus: BusName,
    /// What an ingest publishes there of its instruments, where several share them: `2/3`; empty: all.
    pub share: String,
    /// `sim`, `replay:FILE[,FILE…]`, or `live:VENUE[@URL]`.
    pub feed: FeedName,
    /// `1`, `N` or `0.5` times as fast as it happened, or `max`.
    pub speed: String,
    /// Whether a recording begins again at its end.
    #[serde(rename = "loop")]
    pub repeat: bool,
    /// Only these symbols of a recording, empty: all; those that are followed of a live venue.
    pub symbols: Vec<String>,
    /// Where a replay begins, in the state of that time: RFC 3339, or nanoseconds since 1970; empty: at its beginning.
    pub from: String,
    /// Folder to record a feed into that is no recording itself; empty: nothing is recorded.
    pub record: String,
    /// Length of a recording's segments: `1GiB`, `64MiB`.
    pub record_rotate_bytes: String,
    /// Time in a recording's segments: `1h`, `15m`; empty: only their length counts.
    pub record_rotate_every: String,
    /// Nothing is read from the feed before so many clients have subscribed.
    pub wait_clients: usize,
    /// Silence of the feed after which instruments are `stale`: `10s`, `500ms`.
    pub stale_after: String,
    /// How late data is served to those who may see it only late: `15m`, `2s`; empty: not at all.
    pub delay: String,
    /// Memory for what waits meanwhile: `256MiB`.
    pub delay_buffer: String,
    /// Seed of the simulated market.
    pub sim_seed: u64,
    /// Instruments of the simulated market.
    pub sim_instruments: usize,
    /// Events per second and instrument of the simulated market.
    pub sim_rate: u64,
    /// `market` or `quotes`.
    pub sim_mode: String,
    /// Length of a trading day of the simulated market: `5m`, `1h`; empty: trading never ends.
    pub sim_session: String,
    /// Faults of the simulated market: `gap:10s`, `reorder:10s`, `duplicate:10s`, `crossed:10s`, `silence:60s:15s`, with
    /// commas between; empty: none.
    pub sim_faults: String,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `tickwire=debug`.
    pub log: String,
    /// `text` or `json`.
    pub log_format: String,
    /// The base address of a collector of OpenTelemetry, to which spans are sent: `http://127.0.0.1:4318`; empty: none are.
    pub otlp_endpoint: String,
    /// The share of traces that is sent, 0 to 1; of one that was begun elsewhere, its `traceparent` says whether it is.
    pub otlp_ratio: String,
    /// Those who do not say who they are.
    pub anonymous: Anonymous,
    /// What may be seen, by the name of a role.
    pub roles: BTreeMap<String, Entitlement>,
}

/// What those may see who do not say who they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anonymous {
    /// Their role; empty: they may see everything where nobody is asked, and are not let in where tokens or API keys are
    /// taken.
    pub role: String,
}

impl Default for Config {
    fn default() -> Self {
        let sim = SimSettings::default();
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            tls_cert: String::new(),
            tls_key: String::new(),
            redirect_listen: String::new(),
            allow_plain: false,
            max_connections: limits::CONNECTIONS_MAX,
            max_connections_per_address: limits::CONNECTIONS_PER_ADDRESS,
            max_subscriptions: limits::TOPICS_PER_CONNECTION_MAX,
            max_handshakes_per_second: limits::HANDSHAKES_PER_SECOND,
            max_requests_per_second: limits::REQUESTS_PER_SECOND,
            max_messages_per_second: limits::MESSAGES_PER_SECOND,
            max_memory: String::new(),
            ping_interval: "20s".to_owned(),
            ping_timeout: "15s".to_owned(),
            exempt_addresses: ["127.0.0.0/8", "::1"].map(str::to_owned).to_vec(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            drain: "5s".to_owned(),
            auth_secret_file: String::new(),
            auth_public_key_file: String::new(),
            auth_jwks: String::new(),
            auth_jwks_every: "10m".to_owned(),
            auth_issuer: String::new(),
            auth_audience: String::new(),
            api_keys_file: String::new(),
            revoked_file: String::new(),
            token_lifetime: "15m".to_owned(),
            token_notice: "1m".to_owned(),
            connections_per_subject: 0,
            connections_take_over: false,
            shards: 0,
            role: "all".to_owned(),
            bus: BusName::default(),
            share: String::new(),
            feed: "sim".into(),
            speed: "1".to_owned(),
            repeat: false,
            symbols: Vec::new(),
            from: String::new(),
            record: String::new(),
            record_rotate_bytes: "1GiB".to_owned(),
            record_rotate_every: String::new(),
            wait_clients: 0,
            stale_after: "10s".to_owned(),
            delay: String::new(),
            delay_buffer: "256MiB".to_owned(),
            sim_seed: sim.seed,
            sim_instruments: sim.instruments,
            sim_rate: sim.rate,
            sim_mode: "market".to_owned(),
            sim_session: String::new(),
            sim_faults: String::new(),
            log: "info".to_owned(),
            log_format: "text".to_owned(),
            otlp_endpoint: String::new(),
            otlp_ratio: "1".to_owned(),
            anonymous: Anonymous::default(),
            roles: BTreeMap::new(),
        }
    }
}

/// A setting that cannot be, by name.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file, a variable or a flag that is not understood: where, which, and why.
    #[error("{0}")]
    Unreadable(String),
    /// A value that is not understood.
    #[error("{key} = `{value}`: {reason}")]
    Value {
        /// The setting.
        key: &'static str,
        /// What it is set to.
        value: String,
        /// What would be right.
        reason: String,
    },
    /// The feed cannot be opened.
    #[error(transparent)]
    Feed(#[from] feeds::FeedError),
}

/// The file that is read when none is named, if it is there.
pub const DEFAULT_FILE: &str = "tickwire.toml";

/// The variable, without `TICKWIRE_`, that is no setting but has a client's token.
const CLIENT_VARIABLE: &str = "token";

/// Puts the settings together. `flags` are those that were given, by key.
///
/// # Errors
/// [`ConfigError::Unreadable`] names the key and where it stands.
pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Config, ConfigError> {
    let file = match file {
        Some(named) => Toml::file_exact(named),
        None => Toml::file(DEFAULT_FILE),
    };
    let read = |figment: Figment| {
        figment.extract().map_err(|error| ConfigError::Unreadable(unreadable::describe(error)))
    };
    read(
        Figment::from(Serialized::defaults(Config::default()))
            .merge(file)
            .merge(Variables(Env::prefixed("TICKWIRE_").ignore(&[CLIENT_VARIABLE])))
            .merge(Serialized::defaults(flags)),
    )
}

/// Settings from the environment. A value is read as what the setting is, not as what it looks like: `1.10` is a
/// text where a text is asked for, and a list has commas between its items.
struct Variables(Env);

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        self.0.metadata()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let defaults = Value::serialize(Config::default())?.into_dict().unwrap_or_default();
        let read = |key: &str, text: String| match defaults.get(key) {
            Some(Value::String(..)) => Value::from(text),
            Some(Value::Array(..)) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::from(items.collect::<Vec<_>>())
            }
            _ => text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
        };
        let settings = self.0.iter().map(|(key, text)| {
            let key = key.as_str().to_ascii_lowercase();
            let value = read(&key, text);
            (key, value)
        });
        Ok(Map::from([(Profile::Default, settings.collect())]))
    }
}

/// Before what is set for the log, which may say otherwise: the client of RabbitMQ warns of each question that finds nobody,
/// that of Kafka tells each step, and what else they have to say, the bus says. Spans that are for a collector of traces are
/// none of the log's.
const QUIET: &str = "lapin=off,rskafka=off,otlp=off";

/// The earliest number that can be meant as nanoseconds since 1970: of March 1973.
const FROM_MIN: Timestamp = Timestamp(100_000_000_000_000_000);

/// Settings that are taken while the service runs, when it is told to read them again.
const RELOADED: [&str; 18] = [
    "log",
    "anonymous",
    "roles",
    "max_connections",
    "max_connections_per_address",
    "max_subscriptions",
    "max_handshakes_per_second",
    "max_requests_per_second",
    "max_messages_per_second",
    "max_memory",
    "ping_interval",
    "ping_timeout",
    "exempt_addresses",
    "trusted_proxies",
    "proxy_protocol",
    "allowed_origins",
    "allowed_hosts",
    "drain",
];

/// Where events come from.
enum Source<'a> {
    Sim,
    Replay(Vec<PathBuf>),
    Live { venue: &'a str, url: Option<&'a str> },
}

/// What a process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Feed and clients, with nothing beside it.
    All,
    /// The same, and the feed is published on a bus.
    Ingest(Publication),
    /// Clients alone: what they are served comes by the bus.
    Gateway(Address),
}

/// Where events come from, opened.
pub struct Opened {
    /// The feed.
    pub feed: Box<dyn Feed>,
    /// How to serve it.
    pub settings: service::Settings,
}

impl Config {
    /// Checks every setting, and opens the feed, to be recorded if there is a recorder.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting, or the file.
    pub fn open(&self, recorder: Option<&RecorderHandle>) -> Result<Opened, ConfigError> {
        let settings = self.settings()?;
        let feed: Box<dyn Feed> = match self.source()? {
            Source::Sim => {
                let sim = Box::new(Sim::new(self.sim()?)?);
                match recorder {
                    Some(recorder) => Box::new(Recorded::new(sim, recorder.clone())?),
                    None => sim,
                }
            }
            Source::Replay(files) => Box::new(Replay::open(&ReplaySettings {
                files,
                repeat: self.repeat,
                symbols: self.symbols()?,
                from: self.from()?,
                checkpoint_records: Some(CHECKPOINT_RECORDS),
            })?),
            Source::Live { venue, url } => {
                let symbols = self.symbols()?.unwrap_or_default();
                Box::new(Live::open(&LiveSettings {
                    venue: venue.to_owned(),
                    url: url.map(str::to_owned),
                    symbols: symbols.iter().map(|symbol| symbol.as_str().to_owned()).collect(),
                    silence_max: self.stale_after()?,
                    recorder: recorder.cloned(),
                })?)
            }
        };
        Ok(Opened { feed, settings })
    }

    /// Checks all settings that need no file, and gives those of the service.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn settings(&self) -> Result<service::Settings, ConfigError> {
        let listen = address("listen", &self.listen)?;
        let tls = self.tls()?;
        if tls.is_none() && !listen.ip().is_loopback() && !self.allow_plain {
            let reason = "others than this machine could read what is sent in the clear: give --tls-cert and --tls-key \
                          (see `tickwire dev-cert`), or say --allow-plain";
            return Err(ConfigError::Value {
                key: "listen",
                value: self.listen.clone(),
                reason: reason.to_owned(),
            });
        }
        let redirect = match self.redirect_listen.as_str() {
            "" => None,
            text => Some(address("redirect_listen", text)?),
        };
        if redirect.is_some() && tls.is_none() {
            return Err(ConfigError::Value {
                key: "redirect_listen",
                value: self.redirect_listen.clone(),
                reason: "there is no https to go to: give --tls-cert and --tls-key".to_owned(),
            });
        }
        let role = self.role()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards = if self.shards == 0 { cores.min(SHARDS_MAX) } else { self.shards };
        // To its publisher, the bus of an ingest is one more.
        let shards_max = if matches!(role, Role::Ingest(_)) { SHARDS_MAX - 1 } else { SHARDS_MAX };
        let shards = if self.shards == 0 { shards.min(shards_max) } else { shards };
        if shards > shards_max {
            let reason = format!("at most {shards_max}");
            return Err(ConfigError::Value { key: "shards", value: shards.to_string(), reason });
        }
        self.log_filter()?;
        self.log_is_json()?;
        self.traces()?;
        self.sim()?.check()?;
        self.symbols()?;
        let mut speed = self.speed()?;
        let wrong = |key, value: &str, reason: &str| {
            Err(ConfigError::Value { key, value: value.to_owned(), reason: reason.to_owned() })
        };
        let source = self.source()?;
        let is_replay = matches!(source, Source::Replay(_));
        if self.repeat && !is_replay {
            return wrong(
                "feed",
                &self.feed.to_string(),
                "`loop` is for recordings: give --feed replay:FILE",
            );
        }
        match source {
            Source::Sim if !self.symbols.is_empty() => {
                let reason =
                    "`symbols` is for recordings and live venues: give --feed replay:FILE or live:VENUE";
                return wrong("feed", &self.feed.to_string(), reason);
            }
            Source::Live { .. } if self.symbols.is_empty() => {
                return wrong("feed", &self.feed.to_string(), "a live venue needs --symbols A,B,…");
            }
            Source::Live { .. } if speed != Speed::REAL => {
                return wrong("speed", &self.speed, "a live venue has its own");
            }
            // Messages are due as they come.
            Source::Live { .. } => speed = Speed::Max,
            Source::Sim | Source::Replay(_) => {}
        }
        let (from, recorder) = (self.from()?, self.recorder()?);
        if !is_replay && from.is_some() {
            return wrong("from", &self.from, "it is for recordings: give --feed replay:FILE");
        }
        if is_replay && recorder.is_some() {
            return wrong(
                "record",
                &self.record,
                "a recording is not recorded again: give --feed sim or live:VENUE",
            );
        }
        let when_full = if is_replay && speed == Speed::Max { WhenFull::Wait } else { WhenFull::Conflate };
        let ingest = ingest::Settings {
            speed,
            wait_clients: self.wait_clients,
            stale_after: self.stale_after()?,
            delay: self.delay()?,
        };
        self.drain()?;
        let admission = self.admission()?;
        let auth = self.auth()?;
        let bus = if let Role::Ingest(publication) = role { Some(publication) } else { None };
        Ok(service::Settings { listen, tls, redirect, admission, auth, shards, bus, ingest, when_full })
    }

    /// What the process does.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when `role`, `bus` and `share` do not go together, or a gateway is given a feed.
    pub fn role(&self) -> Result<Role, ConfigError> {
        let wrong = |key, value: &str, reason: &str| {
            Err(ConfigError::Value { key, value: value.to_owned(), reason: reason.to_owned() })
        };
        let address = match self.bus.as_str() {
            "" => None,
            text => Some(text.parse::<Address>().map_err(|error| ConfigError::Value {
                key: "bus",
                value: self.bus.to_string(),
                reason: error.to_string(),
            })?),
        };
        let of_feeds = [
            ("feed", self.feed.as_str() != "sim"),
            ("loop", self.repeat),
            ("symbols", !self.symbols.is_empty()),
            ("from", !self.from.is_empty()),
            ("record", !self.record.is_empty()),
            ("wait_clients", self.wait_clients != 0),
            ("delay", !self.delay.is_empty()),
            ("speed", self.speed != Self::default().speed),
        ];
        let of_feed = of_feeds.into_iter().find_map(|(key, is_set)| is_set.then_some(key));
        let of_feed = of_feed.or_else(|| Some(self.set_of_sim()?.0));
        let share = match self.share.as_str() {
            "" => Share::WHOLE,
            text if self.role != "ingest" => {
                return wrong("share", text, "it is for an ingest: give --role ingest");
            }
            text => match text.parse::<Share>() {
                Ok(share) => share,
                Err(error) => return wrong("share", text, &error.to_string()),
            },
        };
        match (self.role.as_str(), address) {
            ("all", None) => Ok(Role::All),
            ("all", Some(address)) => {
                let reason =
                    "`all` is one process with nothing beside it: give --role ingest or --role gateway";
                wrong("bus", &address.to_string(), reason)
            }
            ("ingest", Some(address)) => Ok(Role::Ingest(Publication { address, share })),
            ("gateway", Some(address)) => match of_feed {
                None => Ok(Role::Gateway(address)),
                Some(key) => {
                    let reason = format!("a gateway has no feed: `{key}` is for its ingest");
                    wrong("role", "gateway", &reason)
                }
            },
            ("ingest" | "gateway", None) => wrong(
                "role",
                &self.role,
                "give --bus nats://HOST:PORT, amqp://HOST:PORT or kafka://HOST:PORT too",
            ),
            _ => wrong("role", &self.role, "`all`, `ingest` or `gateway`"),
        }
    }

    /// The roles whose data is late, of which there has to be some.
    pub fn delayed_roles(&self) -> impl Iterator<Item = &str> {
        let delayed = self.roles.iter().filter(|(_, entitlement)| entitlement.class() == Class::Delayed);
        delayed.map(|(name, _)| name.as_str())
    }

    /// Who comes in, how often and with how much.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn admission(&self) -> Result<admission::Settings, ConfigError> {
        let trusted_proxies: Networks = items("trusted_proxies", &self.trusted_proxies)?;
        if self.proxy_protocol && trusted_proxies.is_empty() {
            return Err(ConfigError::Value {
                key: "proxy_protocol",
                value: "true".to_owned(),
                reason: "nobody is believed: give --trusted-proxies too".to_owned(),
            });
        }
        let memory_max = match self.max_memory.as_str() {
            "" => None,
            text => Some(length("max_memory", text)?),
        };
        let is_host = |host: &String| host.parse::<Authority>().is_ok_and(|host| host.port().is_none());
        if let Some(wrong) = self.allowed_hosts.iter().find(|host| !is_host(host)) {
            return Err(ConfigError::Value {
                key: "allowed_hosts",
                value: wrong.clone(),
                reason: "a host such as ticks.example.com, without a port".to_owned(),
            });
        }
        Ok(admission::Settings {
            connections_max: at_least_one("max_connections", self.max_connections)?,
            connections_per_address_max: at_least_one(
                "max_connections_per_address",
                self.max_connections_per_address,
            )?,
            subscriptions_max: at_least_one("max_subscriptions", self.max_subscriptions)?,
            handshakes: rate("max_handshakes_per_second", self.max_handshakes_per_second, 1)?,
            requests: rate("max_requests_per_second", self.max_requests_per_second, 1)?,
            messages: rate(
                "max_messages_per_second",
                self.max_messages_per_second,
                limits::MESSAGES_BURST_SECONDS,
            )?,
            memory_max,
            ping_interval: duration("ping_interval", &self.ping_interval)?,
            ping_timeout: duration("ping_timeout", &self.ping_timeout)?,
            exempt: items("exempt_addresses", &self.exempt_addresses)?,
            trusted_proxies,
            proxy_protocol: self.proxy_protocol,
            allowed_origins: items("allowed_origins", &self.allowed_origins)?,
            allowed_hosts: self.allowed_hosts.clone(),
        })
    }

    /// How long connections are closed one after the other at the end.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when it is no time, or too long.
    pub fn drain(&self) -> Result<Duration, ConfigError> {
        if self.drain == "0s" {
            return Ok(Duration::ZERO);
        }
        let drain = duration("drain", &self.drain)?;
        if drain > limits::DRAIN_MAX {
            let reason = format!("at most {:?}", limits::DRAIN_MAX);
            return Err(ConfigError::Value { key: "drain", value: self.drain.clone(), reason });
        }
        Ok(drain)
    }

    /// The names of the settings that differ, and can be changed by a restart alone.
    #[must_use]
    pub fn fixed_differences(&self, other: &Self) -> Vec<String> {
        let values =
            |config: &Self| Value::serialize(config).ok().and_then(Value::into_dict).unwrap_or_default();
        let (ours, theirs) = (values(self), values(other));
        let differs = |key: &String| ours.get(key) != theirs.get(key) && !RELOADED.contains(&key.as_str());
        ours.keys().filter(|key| differs(key)).cloned().collect()
    }

    /// Who is let in.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn auth(&self) -> Result<auth::Settings, ConfigError> {
        let file = |text: &String| (!text.is_empty()).then(|| PathBuf::from(text));
        let text = |text: &String| (!text.is_empty()).then(|| text.clone());
        let jwks = match self.auth_jwks.as_str() {
            "" => None,
            text => Some(Place::parse(text).map_err(|error| ConfigError::Value {
                key: "auth_jwks",
                // Somebody may have put a password into it.
                value: "…".to_owned(),
                reason: error.to_string(),
            })?),
        };
        let roles: Roles =
            self.roles.iter().map(|(name, may)| (name.clone(), Arc::new(may.clone()))).collect();
        let anonymous = self.anonymous()?;
        let settings = auth::Settings {
            secret: file(&self.auth_secret_file),
            public_key: file(&self.auth_public_key_file),
            jwks,
            jwks_every: duration("auth_jwks_every", &self.auth_jwks_every)?,
            rules: jwt::Rules { issuer: text(&self.auth_issuer), audience: text(&self.auth_audience) },
            api_keys: file(&self.api_keys_file),
            revocations: file(&self.revoked_file),
            roles,
            anonymous,
            lifetime: duration("token_lifetime", &self.token_lifetime)?,
            notice: duration("token_notice", &self.token_notice)?,
            bound: auth::Bound {
                connections: self.connections_per_subject,
                takes_over: self.connections_take_over,
            },
        };
        if settings.is_everybody() {
            self.wants_identity()?;
        }
        Ok(settings)
    }

    /// Refuses what says something of who people are where nobody is asked: a key file that was forgotten would let everybody
    /// see everything.
    fn wants_identity(&self) -> Result<(), ConfigError> {
        let bound = match self.connections_per_subject {
            0 => String::new(),
            count => count.to_string(),
        };
        let take_over = if self.connections_take_over { "true" } else { "" };
        let role = self.roles.keys().next().map_or("", String::as_str);
        for (key, value) in [
            ("revoked_file", self.revoked_file.as_str()),
            ("auth_issuer", &self.auth_issuer),
            ("auth_audience", &self.auth_audience),
            ("connections_per_subject", &bound),
            ("connections_take_over", take_over),
            ("roles", role),
        ] {
            if !value.is_empty() {
                let reason = "nobody is asked who they are: give a key of tokens (auth_secret_file, auth_public_key_file, \
                              auth_jwks), api_keys_file, or a role of [anonymous]";
                return Err(ConfigError::Value { key, value: value.to_owned(), reason: reason.to_owned() });
            }
        }
        Ok(())
    }

    fn tls(&self) -> Result<Option<CertificateFiles>, ConfigError> {
        let missing = |key, other: &str| {
            let reason = format!("a certificate and its key go together: give `{other}` too");
            Err(ConfigError::Value { key, value: String::new(), reason })
        };
        match (self.tls_cert.as_str(), self.tls_key.as_str()) {
            ("", "") => Ok(None),
            ("", _) => missing("tls_cert", "tls_cert"),
            (_, "") => missing("tls_key", "tls_key"),
            (certificate, key) => {
                Ok(Some(CertificateFiles { certificate: certificate.into(), key: key.into() }))
            }
        }
    }

    /// How to record, if anything is to be recorded.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn recorder(&self) -> Result<Option<RecorderSettings>, ConfigError> {
        let rotate_bytes = self.rotate_bytes()?;
        let rotate_every = match self.record_rotate_every.as_str() {
            "" => None,
            text => Some(duration("record_rotate_every", text)?),
        };
        let settings = RecorderSettings {
            rotate_bytes,
            rotate_every,
            // What plays flat out waits for whom it plays to; at any other speed nobody waits.
            when_full: if self.speed()? == Speed::Max {
                record::WhenFull::Wait
            } else {
                record::WhenFull::Lose
            },
            folder: PathBuf::from(&self.record),
        };
        Ok((!self.record.is_empty()).then_some(settings))
    }

    /// The recordings that are to be played; `None`: another feed.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when the feed is not understood.
    pub fn replay_files(&self) -> Result<Option<Vec<PathBuf>>, ConfigError> {
        Ok(match self.source()? {
            Source::Replay(files) => Some(files),
            Source::Sim | Source::Live { .. } => None,
        })
    }

    /// The first setting of the simulated market that is not as it is anyway, and its value.
    fn set_of_sim(&self) -> Option<(&'static str, String)> {
        let default = Self::default();
        let settings = [
            ("sim_seed", self.sim_seed.to_string(), self.sim_seed != default.sim_seed),
            (
                "sim_instruments",
                self.sim_instruments.to_string(),
                self.sim_instruments != default.sim_instruments,
            ),
            ("sim_rate", self.sim_rate.to_string(), self.sim_rate != default.sim_rate),
            ("sim_mode", self.sim_mode.clone(), self.sim_mode != default.sim_mode),
            ("sim_session", self.sim_session.clone(), self.sim_session != default.sim_session),
            ("sim_faults", self.sim_faults.clone(), self.sim_faults != default.sim_faults),
        ];
        settings.into_iter().find_map(|(key, value, is_set)| is_set.then_some((key, value)))
    }

    fn source(&self) -> Result<Source<'_>, ConfigError> {
        let wrong = |reason: &str| ConfigError::Value {
            key: "feed",
            value: self.feed.to_string(),
            reason: reason.to_owned(),
        };
        let feed = self.feed.as_str();
        if feed == "sim" {
            return Ok(Source::Sim);
        }
        // What nobody would heed is refused.
        if let Some((key, value)) = self.set_of_sim() {
            let reason = format!(
                "it is for the simulated market, and the feed is {}: leave one of them out",
                self.feed
            );
            return Err(ConfigError::Value { key, value, reason });
        }
        if let Some(text) = feed.strip_prefix("live:") {
            let (venue, url) = text.split_once('@').map_or((text, None), |(venue, url)| (venue, Some(url)));
            if url.is_some_and(|url| !url.starts_with("wss://") && !url.starts_with("ws://")) {
                return Err(wrong("the URL of a venue begins with wss:// or ws://"));
            }
            if url.is_some_and(userinfo::is_in) {
                return Err(wrong(live::NO_USERINFO));
            }
            return if live::venues().any(|known| known == venue) {
                Ok(Source::Live { venue, url })
            } else {
                let known: Vec<String> = live::venues().map(|known| format!("live:{known}")).collect();
                Err(wrong(&format!("the live venues that are known here: {}", known.join(", "))))
            };
        }
        let Some(files) = feed.strip_prefix("replay:") else {
            return Err(wrong("`sim`, `replay:FILE[,FILE…]` or `live:VENUE`"));
        };
        if files.split(',').any(str::is_empty) {
            return Err(wrong("a file name is empty"));
        }
        Ok(Source::Replay(files.split(',').map(PathBuf::from).collect()))
    }

    fn symbols(&self) -> Result<Option<BTreeSet<Symbol>>, ConfigError> {
        if self.symbols.is_empty() {
            return Ok(None);
        }
        let read = |text: &String| {
            Symbol::new(text).map_err(|error| ConfigError::Value {
                key: "symbols",
                value: text.clone(),
                reason: error.to_string(),
            })
        };
        self.symbols.iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    /// The simulated market.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn sim(&self) -> Result<SimSettings, ConfigError> {
        let mode = match self.sim_mode.as_str() {
            "market" => SimMode::Market,
            "quotes" => SimMode::Quotes,
            other => {
                let reason = "`market` or `quotes`".to_owned();
                return Err(ConfigError::Value { key: "sim_mode", value: other.to_owned(), reason });
            }
        };
        Ok(SimSettings {
            seed: self.sim_seed,
            instruments: self.sim_instruments,
            rate: self.sim_rate,
            mode,
            session: self.session()?,
            faults: self.faults()?,
            ..SimSettings::default()
        })
    }

    fn session(&self) -> Result<Option<i64>, ConfigError> {
        if self.sim_session.is_empty() {
            return Ok(None);
        }
        let day = duration("sim_session", &self.sim_session)?;
        Ok(Some(i64::try_from(day.as_nanos()).unwrap_or(i64::MAX)))
    }

    /// Each kind once; the whole part that is wrong is named.
    fn faults(&self) -> Result<SimFaults, ConfigError> {
        let mut faults = SimFaults::default();
        for part in self.sim_faults.split(',').filter(|_| !self.sim_faults.is_empty()) {
            let wrong = |reason: &str| ConfigError::Value {
                key: "sim_faults",
                value: part.to_owned(),
                reason: reason.to_owned(),
            };
            let mut fields = part.split(':');
            let kind = fields.next().unwrap_or_default();
            let mut time = || fields.next().map(|text| duration("sim_faults", text)).transpose();
            let (every, length) = (time()?, time()?);
            let twice = match (kind, every, length, fields.next()) {
                ("gap", Some(every), None, None) => faults.gap.replace(every).is_some(),
                ("reorder", Some(every), None, None) => faults.reorder.replace(every).is_some(),
                ("duplicate", Some(every), None, None) => faults.duplicate.replace(every).is_some(),
                ("crossed", Some(every), None, None) => faults.crossed.replace(every).is_some(),
                ("silence", Some(every), Some(length), None) if length < every => {
                    faults.silence.replace(Silence { every, length }).is_some()
                }
                ("silence", ..) => {
                    return Err(wrong("how often and, shorter, how long, such as silence:60s:15s"));
                }
                ("gap" | "reorder" | "duplicate" | "crossed", ..) => {
                    return Err(wrong("how often, such as gap:10s"));
                }
                _ => return Err(wrong("`gap`, `reorder`, `duplicate`, `crossed` or `silence`")),
            };
            if twice {
                return Err(wrong("it is given twice"));
            }
        }
        Ok(faults)
    }

    /// What is logged.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when it is no filter.
    pub fn log_filter(&self) -> Result<EnvFilter, ConfigError> {
        EnvFilter::try_new(format!("{QUIET},{}", self.log)).map_err(|error| ConfigError::Value {
            key: "log",
            value: self.log.clone(),
            reason: error.to_string(),
        })
    }

    /// Whether a line of the log is a JSON object.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for any other format than `text` and `json`.
    pub fn log_is_json(&self) -> Result<bool, ConfigError> {
        match self.log_format.as_str() {
            "text" => Ok(false),
            "json" => Ok(true),
            other => {
                let reason = "`text` or `json`".to_owned();
                Err(ConfigError::Value { key: "log_format", value: other.to_owned(), reason })
            }
        }
    }

    /// Where spans go, if anywhere.
    ///
    /// # Errors
    /// [`ConfigError::Value`] names the setting.
    pub fn traces(&self) -> Result<Option<traces::Settings>, ConfigError> {
        let wrong = |key, value: &str, error: CollectorError| ConfigError::Value {
            key,
            value: userinfo::hidden(value).into_owned(),
            reason: error.to_string(),
        };
        let ratio =
            self.otlp_ratio.parse::<Ratio>().map_err(|error| wrong("otlp_ratio", &self.otlp_ratio, error))?;
        if self.otlp_endpoint.is_empty() {
            return Ok(None);
        }
        let collector = self
            .otlp_endpoint
            .parse::<Collector>()
            .map_err(|error| wrong("otlp_endpoint", &self.otlp_endpoint, error))?;
        Ok(Some(traces::Settings { collector, ratio, role: self.role.clone() }))
    }

    /// Exact: `2.5` is 2,500 thousandths.
    fn speed(&self) -> Result<Speed, ConfigError> {
        if self.speed == "max" {
            return Ok(Speed::Max);
        }
        let text = self.speed.strip_suffix(['x', '×']).unwrap_or(&self.speed);
        let thousandths = feeds::Exponent::new(-3)
            .and_then(|exponent| feeds::Size::parse(text, exponent))
            .ok()
            .and_then(|size| u64::try_from(size.0).ok())
            .filter(|&thousandths| thousandths > 0);
        thousandths.map(|thousandths| Speed::Times { thousandths }).ok_or_else(|| ConfigError::Value {
            key: "speed",
            value: self.speed.clone(),
            reason: "`max`, or a number above zero with at most three decimals, such as 1, 0.5 or 100"
                .to_owned(),
        })
    }

    fn stale_after(&self) -> Result<Duration, ConfigError> {
        duration("stale_after", &self.stale_after)
    }

    /// Where a replay begins.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when it is no time.
    pub fn from(&self) -> Result<Option<Timestamp>, ConfigError> {
        if self.from.is_empty() {
            return Ok(None);
        }
        let wrong = |reason| ConfigError::Value { key: "from", value: self.from.clone(), reason };
        let from = self.from.parse().map_err(|error: TimestampError| wrong(error.to_string()))?;
        // Seconds, milliseconds and microseconds of our days are nanoseconds of January 1970.
        if (Timestamp(1)..FROM_MIN).contains(&from) {
            return Err(wrong(format!("that is {from}: a number is nanoseconds since 1970")));
        }
        Ok(Some(from))
    }

    fn delay(&self) -> Result<Option<DelaySettings>, ConfigError> {
        let bytes_max = length("delay_buffer", &self.delay_buffer)?;
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        if bytes_max < DELAY_BYTES_MIN {
            let (key, value) = ("delay_buffer", self.delay_buffer.clone());
            return Err(ConfigError::Value { key, value, reason: format!("at least {DELAY_BYTES_MIN}") });
        }
        if self.delay.is_empty() {
            return Ok(None);
        }
        Ok(Some(DelaySettings { by: duration("delay", &self.delay)?, bytes_max }))
    }

    /// What those may see who do not say who they are; each role is checked.
    fn anonymous(&self) -> Result<Option<Arc<Entitlement>>, ConfigError> {
        // Of a gateway, its ingest says whether there is such data.
        if let (Some(name), "", true) =
            (self.delayed_roles().next(), self.delay.as_str(), self.role != "gateway")
        {
            let reason = "it may see delayed data only, and there is none: set `delay`".to_owned();
            return Err(ConfigError::Value { key: "roles", value: name.to_owned(), reason });
        }
        match self.anonymous.role.as_str() {
            "" => Ok(None),
            role => match self.roles.get(role) {
                Some(entitlement) => Ok(Some(Arc::new(entitlement.clone()))),
                None => {
                    let reason = "there is no such role in `[roles]`".to_owned();
                    Err(ConfigError::Value { key: "anonymous.role", value: role.to_owned(), reason })
                }
            },
        }
    }

    fn rotate_bytes(&self) -> Result<u64, ConfigError> {
        length("record_rotate_bytes", &self.record_rotate_bytes)
    }
}

/// What is written item by item; empty ones are none.
fn items<T, C>(key: &'static str, texts: &[String]) -> Result<C, ConfigError>
where
    T: FromStr<Err: Display>,
    C: FromIterator<T>,
{
    let items = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    let read = |text: &str| {
        text.parse().map_err(|error: T::Err| ConfigError::Value {
            key,
            value: text.to_owned(),
            reason: error.to_string(),
        })
    };
    items.map(read).collect()
}

fn at_least_one(key: &'static str, count: usize) -> Result<usize, ConfigError> {
    let wrong = || ConfigError::Value { key, value: count.to_string(), reason: "at least 1".to_owned() };
    if count == 0 { Err(wrong()) } else { Ok(count) }
}

fn rate(key: &'static str, per_second: u32, burst_seconds: u32) -> Result<Limit, ConfigError> {
    let wrong = || ConfigError::Value { key, value: per_second.to_string(), reason: "at least 1".to_owned() };
    let limit = |count: u32| NonZeroU32::new(count).ok_or_else(wrong);
    Ok(Limit { per_second: limit(per_second)?, burst: limit(per_second.saturating_mul(burst_seconds))? })
}

fn length(key: &'static str, text: &str) -> Result<u64, ConfigError> {
    let bytes = scaled(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)]);
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| ConfigError::Value {
        key,
        value: text.to_owned(),
        reason: "a length such as 1GiB, 64MiB or 100000".to_owned(),
    })
}

/// Reads digits and a unit; what the number comes to in the smallest, where it is one and fits.
#[must_use]
pub fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*scale)
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::Value {
        key,
        value: text.to_owned(),
        reason: "an address and a port, such as 127.0.0.1:8080".to_owned(),
    })
}

/// Reads a time such as `10s`, of a setting or a flag.
///
/// # Errors
/// [`ConfigError::Value`] with the key.
pub fn duration(key: &'static str, text: &str) -> Result<Duration, ConfigError> {
    let millis = scaled(text, &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]);
    millis.filter(|&millis| millis > 0).map(Duration::from_millis).ok_or_else(|| ConfigError::Value {
        key,
        value: text.to_owned(),
        reason: "a time such as 500ms, 10s, 15m or 1h".to_owned(),
    })
}
