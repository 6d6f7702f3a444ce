//! Settings of the service: defaults, then `tickwire.toml`, then `TICKWIRE_*`, then flags. An unknown key is an error.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use feeds::live::{self, Live, LiveSettings};
use feeds::record::simulated::Recorded;
use feeds::record::{self, RecorderHandle, RecorderSettings};
use feeds::replay::{Replay, ReplaySettings};
use feeds::sim::{Silence, Sim, SimFaults, SimMode, SimSettings};
use feeds::{Feed, Speed, Symbol, Timestamp, TimestampError};
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::ingest;
use crate::limits::SHARDS_MAX;
use crate::publisher::WhenFull;
use crate::server::tls::CertificateFiles;
use crate::service;

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
    /// Threads that serve clients; 0: one a core.
    pub shards: usize,
    /// `sim`, `replay:FILE[,FILE…]`, or `live:VENUE[@URL]`.
    pub feed: String,
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
            shards: 0,
            feed: "sim".to_owned(),
            speed: "1".to_owned(),
            repeat: false,
            symbols: Vec::new(),
            from: String::new(),
            record: String::new(),
            record_rotate_bytes: "1GiB".to_owned(),
            record_rotate_every: String::new(),
            wait_clients: 0,
            stale_after: "10s".to_owned(),
            sim_seed: sim.seed,
            sim_instruments: sim.instruments,
            sim_rate: sim.rate,
            sim_mode: "market".to_owned(),
            sim_session: String::new(),
            sim_faults: String::new(),
            log: "info".to_owned(),
            log_format: "text".to_owned(),
        }
    }
}

/// A setting that cannot be, by name.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file, a variable or a flag that is not understood.
    #[error("{0}")]
    Unreadable(Box<figment::Error>),
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

/// Puts the settings together. `flags` are those that were given, by key.
///
/// # Errors
/// [`ConfigError::Unreadable`] names the key and where it stands.
pub fn load(file: Option<&Path>, flags: impl Serialize) -> Result<Config, ConfigError> {
    let file = match file {
        Some(named) => Toml::file_exact(named),
        None => Toml::file(DEFAULT_FILE),
    };
    let read = |figment: Figment| figment.extract().map_err(|error| ConfigError::Unreadable(Box::new(error)));
    read(
        Figment::from(Serialized::defaults(Config::default()))
            .merge(file)
            .merge(Variables(Env::prefixed("TICKWIRE_")))
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

/// The earliest number that can be meant as nanoseconds since 1970: of March 1973.
const FROM_MIN: Timestamp = Timestamp(100_000_000_000_000_000);

/// Where events come from.
enum Source<'a> {
    Sim,
    Replay(Vec<PathBuf>),
    Live { venue: &'a str, url: Option<&'a str> },
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
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards = if self.shards == 0 { cores.min(SHARDS_MAX) } else { self.shards };
        if shards > SHARDS_MAX {
            let reason = format!("at most {SHARDS_MAX}");
            return Err(ConfigError::Value { key: "shards", value: shards.to_string(), reason });
        }
        self.log_filter()?;
        self.log_is_json()?;
        self.sim()?.check()?;
        self.symbols()?;
        let mut speed = self.speed()?;
        let wrong = |key, value: &str, reason: &str| {
            Err(ConfigError::Value { key, value: value.to_owned(), reason: reason.to_owned() })
        };
        let source = self.source()?;
        let is_replay = matches!(source, Source::Replay(_));
        if self.repeat && !is_replay {
            return wrong("feed", &self.feed, "`loop` is for recordings: give --feed replay:FILE");
        }
        match source {
            Source::Sim if !self.symbols.is_empty() => {
                let reason =
                    "`symbols` is for recordings and live venues: give --feed replay:FILE or live:VENUE";
                return wrong("feed", &self.feed, reason);
            }
            Source::Live { .. } if self.symbols.is_empty() => {
                return wrong("feed", &self.feed, "a live venue needs --symbols A,B,…");
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
        let ingest =
            ingest::Settings { speed, wait_clients: self.wait_clients, stale_after: self.stale_after()? };
        Ok(service::Settings { listen, tls, redirect, shards, ingest, when_full })
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

    fn source(&self) -> Result<Source<'_>, ConfigError> {
        let wrong = |reason: &str| ConfigError::Value {
            key: "feed",
            value: self.feed.clone(),
            reason: reason.to_owned(),
        };
        if self.feed == "sim" {
            return Ok(Source::Sim);
        }
        if let Some(text) = self.feed.strip_prefix("live:") {
            let (venue, url) = text.split_once('@').map_or((text, None), |(venue, url)| (venue, Some(url)));
            if url.is_some_and(|url| !url.starts_with("wss://") && !url.starts_with("ws://")) {
                return Err(wrong("the URL of a venue begins with wss:// or ws://"));
            }
            return if live::venues().any(|known| known == venue) {
                Ok(Source::Live { venue, url })
            } else {
                let known: Vec<String> = live::venues().map(|known| format!("live:{known}")).collect();
                Err(wrong(&format!("the live venues that are known here: {}", known.join(", "))))
            };
        }
        let Some(files) = self.feed.strip_prefix("replay:") else {
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
        EnvFilter::try_new(&self.log).map_err(|error| ConfigError::Value {
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

    fn rotate_bytes(&self) -> Result<u64, ConfigError> {
        let text = self.record_rotate_bytes.as_str();
        let bytes = scaled(text, &[("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("", 1)]);
        bytes.filter(|&bytes| bytes > 0).ok_or_else(|| ConfigError::Value {
            key: "record_rotate_bytes",
            value: text.to_owned(),
            reason: "a length such as 1GiB, 64MiB or 100000".to_owned(),
        })
    }
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
