//! What somebody may see: of which instruments, which channels, how deep, how often, and how late.
//!
//! It is written the same in a role of the configuration and in a token:
//! `{"symbols":["BTC-*"],"channels":["quote","book"],"depth":10,"max_frequency":"250ms","delayed":true}`. Symbols and
//! channels have to be named; what else is left out does not restrict. One thing more is allowed only where it is said:
//! `"admin":true`, to see who is connected and what they are sent, of which prices and sizes no further than all this goes.

mod patterns;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::patterns::{PatternError, Patterns};
use crate::directory::Class;
use crate::topic::{Channel, Depth, Rate};

/// What somebody may see. It never changes: who may see something else gets another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Entitlement {
    symbols: Patterns,
    channels: Channels,
    depth: Depth,
    fastest: Rate,
    class: Class,
    is_admin: bool,
}

/// Why something is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The instrument, whatever the channel.
    Symbol,
    /// The channel, of all instruments.
    Channel(Channel),
    /// A book of that depth, of all instruments.
    Depth {
        /// The deepest that is allowed.
        maximum: Depth,
    },
}

/// Why a written entitlement is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntitlementError {
    /// One of the patterns, or their number.
    #[error("`symbols`: {0}")]
    Symbols(#[from] PatternError),
    /// A channel that there is not. Their parameters are not part of it.
    #[error("`channels`: `{0}` is none of quote, trade, book, ticker, bar and status")]
    Channel(String),
    /// A channel that is named twice.
    #[error("`channels`: `{0}` is named twice")]
    ChannelTwice(String),
    /// A depth that books do not come in.
    #[error("`depth`: {0} is none of 10, 25 and 100")]
    Depth(u64),
    /// A rate that topics do not come at.
    #[error("`max_frequency`: `{0}` is none of raw, 100ms, 250ms, 500ms, 1s and 5s")]
    Rate(String),
}

impl Entitlement {
    /// All there is, at once. To look after the service is no part of it.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            symbols: Patterns::all(),
            channels: Channels::ALL,
            depth: Depth::D100,
            fastest: Rate::Raw,
            class: Class::RealTime,
            is_admin: false,
        }
    }

    /// Nothing at all.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            symbols: Patterns::none(),
            channels: Channels(0),
            depth: Depth::D10,
            fastest: Rate::Raw,
            class: Class::RealTime,
            is_admin: false,
        }
    }

    /// Whether that channel of that instrument may be seen; the symbol in upper case.
    ///
    /// # Errors
    /// [`Denied`], the instrument first: of one that is not allowed, nothing else is worth saying.
    pub fn allows(&self, channel: Channel, symbol: &str) -> Result<(), Denied> {
        self.allows_symbol(symbol)?;
        self.allows_channel(channel)
    }

    /// Whether anything of that instrument may be seen; the symbol in upper case.
    ///
    /// # Errors
    /// [`Denied::Symbol`].
    pub fn allows_symbol(&self, symbol: &str) -> Result<(), Denied> {
        if self.symbols.match_symbol(symbol) { Ok(()) } else { Err(Denied::Symbol) }
    }

    /// Whether that channel may be seen of the instruments that are allowed.
    ///
    /// # Errors
    /// [`Denied::Channel`] or [`Denied::Depth`].
    pub fn allows_channel(&self, channel: Channel) -> Result<(), Denied> {
        if !self.channels.contain(channel) {
            return Err(Denied::Channel(channel));
        }
        match channel {
            Channel::Book(depth) if depth > self.depth => Err(Denied::Depth { maximum: self.depth }),
            _ => Ok(()),
        }
    }

    /// The rate at which a topic is sent to one who asks for that rate: the fastest that is allowed, if that is slower.
    /// Trades are never merged, and so have no other rate than raw.
    #[must_use]
    pub fn rate(&self, channel: Channel, asked: Rate) -> Rate {
        match channel {
            Channel::Trade => Rate::Raw,
            _ => asked.max(self.fastest),
        }
    }

    /// Whether it is seen as it comes, or late by the delay of the server.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether others' connections may be looked at.
    #[must_use]
    pub const fn is_admin(&self) -> bool {
        self.is_admin
    }

    /// Whether what others are sent of that channel and instrument may be seen, however often and however new it is; the
    /// symbol in upper case.
    #[must_use]
    pub fn allows_of_others(&self, channel: Channel, symbol: &str) -> bool {
        self.class == Class::RealTime && self.fastest == Rate::Raw && self.allows(channel, symbol).is_ok()
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol => f.write_str("this instrument is not part of what you may see"),
            Self::Channel(channel) => {
                write!(f, "the channel {} is not part of what you may see", channel.name())
            }
            Self::Depth { maximum } => {
                write!(f, "books deeper than {} levels are not part of what you may see", maximum.levels())
            }
        }
    }
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    symbols: Vec<String>,
    channels: Vec<String>,
    #[serde(default = "deepest")]
    depth: u64,
    #[serde(default = "fastest")]
    max_frequency: String,
    #[serde(default)]
    delayed: bool,
    /// Not written where it is not so: what was written before there was such a thing stays as it was.
    #[serde(default, skip_serializing_if = "is_not")]
    admin: bool,
}

const fn is_not(flag: &bool) -> bool {
    !*flag
}

const fn deepest() -> u64 {
    Depth::D100.levels() as u64
}

fn fastest() -> String {
    Rate::Raw.as_str().to_owned()
}

impl TryFrom<Written> for Entitlement {
    type Error = EntitlementError;

    fn try_from(written: Written) -> Result<Self, EntitlementError> {
        Ok(Self {
            symbols: Patterns::new(&written.symbols)?,
            channels: Channels::read(&written.channels)?,
            depth: Depth::from_levels(written.depth).ok_or(EntitlementError::Depth(written.depth))?,
            fastest: Rate::from_text(&written.max_frequency)
                .ok_or(EntitlementError::Rate(written.max_frequency))?,
            class: if written.delayed { Class::Delayed } else { Class::RealTime },
            is_admin: written.admin,
        })
    }
}

impl From<Entitlement> for Written {
    fn from(entitlement: Entitlement) -> Self {
        Self {
            symbols: entitlement.symbols.texts(),
            channels: entitlement.channels.names().map(str::to_owned).collect(),
            depth: entitlement.depth.levels() as u64,
            max_frequency: entitlement.fastest.as_str().to_owned(),
            delayed: entitlement.class == Class::Delayed,
            admin: entitlement.is_admin,
        }
    }
}

/// Channels whatever their parameters, a bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Channels(u8);

impl Channels {
    const NAMES: [&str; 6] = ["quote", "trade", "book", "ticker", "bar", "status"];
    const ALL: Self = Self((1 << Self::NAMES.len()) - 1);

    const fn contain(self, channel: Channel) -> bool {
        let index = match channel {
            Channel::Quote => 0,
            Channel::Trade => 1,
            Channel::Book(_) => 2,
            Channel::Ticker => 3,
            Channel::Bar(_) => 4,
            Channel::Status => 5,
        };
        self.0 & (1 << index) != 0
    }

    fn read(names: &[String]) -> Result<Self, EntitlementError> {
        let mut bits = 0;
        for name in names {
            let index = Self::NAMES.iter().position(|known| known == name);
            let bit = 1 << index.ok_or_else(|| EntitlementError::Channel(name.clone()))?;
            if bits & bit != 0 {
                return Err(EntitlementError::ChannelTwice(name.clone()));
            }
            bits |= bit;
        }
        Ok(Self(bits))
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(index, _)| self.0 & (1 << index) != 0)
            .map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::topic::Interval;

    fn read(written: &Value) -> Result<Entitlement, String> {
        serde_json::from_value(written.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        let written = json!({
            "symbols": ["BTC-*"], "channels": ["quote", "trade"], "depth": 10, "max_frequency": "250ms", "delayed": true,
        });
        let entitlement = read(&written).expect("well written");
        assert_eq!(entitlement.class(), Class::Delayed);
        assert_eq!(serde_json::to_value(&entitlement).expect("JSON"), written);
        let toml = toml::to_string(&entitlement).expect("TOML");
        assert_eq!(toml::from_str::<Entitlement>(&toml), Ok(entitlement));

        let all =
            json!({"symbols": ["*"], "channels": ["status", "bar", "ticker", "book", "trade", "quote"]});
        assert_eq!(read(&all), Ok(Entitlement::everything()), "what is left out does not restrict");
        let none = read(&json!({"symbols": [], "channels": []})).expect("nothing is something to be said");
        assert_eq!(none.allows(Channel::Quote, "AAPL"), Err(Denied::Symbol));
        assert_eq!(none.allows_channel(Channel::Quote), Err(Denied::Channel(Channel::Quote)));
    }

    #[test]
    fn each_mistake_is_named() {
        let with = |name: &str, value: Value| {
            let mut written = json!({"symbols": ["*"], "channels": ["quote"]});
            written[name] = value;
            read(&written).expect_err(name)
        };
        for (error, named) in [
            (read(&json!({"channels": ["quote"]})).expect_err("no symbols"), "`symbols`"),
            (read(&json!({"symbols": ["*"]})).expect_err("no channels"), "`channels`"),
            (with("symbols", json!(["A", "B*C"])), "`symbols`: `B*C`"),
            (with("symbols", json!("*")), "sequence"),
            (with("channels", json!(["quotes"])), "`channels`: `quotes`"),
            (with("channels", json!(["book.10"])), "`channels`: `book.10`"),
            (with("channels", json!(["quote", "bar", "quote"])), "`quote` is named twice"),
            (with("depth", json!(11)), "`depth`: 11"),
            (with("depth", json!("10")), "u64"),
            (with("max_frequency", json!("2s")), "`max_frequency`: `2s`"),
            (with("delayed", json!("yes")), "boolean"),
            (with("admin", json!("yes")), "boolean"),
            (with("delay", json!(true)), "`delay`"),
        ] {
            assert!(error.contains(named), "{error} does not name {named}");
        }
    }

    #[test]
    fn only_who_is_said_to_looks_after_the_service_and_sees_no_more_of_prices_by_that() {
        let all =
            json!({"symbols": ["*"], "channels": ["quote", "trade", "book", "ticker", "bar", "status"]});
        assert!(!read(&all).expect("well written").is_admin() && !Entitlement::everything().is_admin());
        let written = json!({
            "symbols": ["BTC-*"], "channels": ["quote"], "depth": 100, "max_frequency": "raw", "delayed": false, "admin": true,
        });
        let admin = read(&written).expect("well written");
        assert!(admin.is_admin());
        assert_eq!(serde_json::to_value(&admin).expect("JSON"), written);
        let is_shown =
            |entitlement: &Entitlement, channel, symbol| entitlement.allows_of_others(channel, symbol);
        assert!(is_shown(&admin, Channel::Quote, "BTC-USD"));
        assert!(!is_shown(&admin, Channel::Trade, "BTC-USD") && !is_shown(&admin, Channel::Quote, "ETH-USD"));
        for (name, value) in [("max_frequency", json!("250ms")), ("delayed", json!(true))] {
            let mut less = written.clone();
            less[name] = value;
            assert!(!is_shown(&read(&less).expect("well written"), Channel::Quote, "BTC-USD"), "{name}");
        }
    }

    #[test]
    fn what_is_not_allowed_says_why() {
        let entitlement = read(&json!({
            "symbols": ["BTC-*"], "channels": ["trade", "book", "bar"], "depth": 25, "max_frequency": "250ms",
        }))
        .expect("well written");
        let (d10, d100) = (Channel::Book(Depth::D10), Channel::Book(Depth::D100));
        for (channel, symbol, expected) in [
            (Channel::Trade, "BTC-USD", Ok(())),
            (d10, "BTC-USD", Ok(())),
            (Channel::Bar(Interval::D1), "BTC-USD", Ok(())),
            (d100, "BTC-USD", Err(Denied::Depth { maximum: Depth::D25 })),
            (Channel::Quote, "BTC-USD", Err(Denied::Channel(Channel::Quote))),
            (Channel::Trade, "ETH-USD", Err(Denied::Symbol)),
            (Channel::Quote, "ETH-USD", Err(Denied::Symbol)),
        ] {
            assert_eq!(entitlement.allows(channel, symbol), expected, "{channel} {symbol}");
        }
        let message = Denied::Depth { maximum: Depth::D25 }.to_string();
        assert!(message.contains("25"), "{message}");
    }

    #[test]
    fn a_rate_that_is_too_fast_becomes_the_fastest_that_is_allowed() {
        let entitlement = read(&json!({
            "symbols": ["*"], "channels": ["trade", "quote"], "max_frequency": "250ms",
        }))
        .expect("well written");
        let granted = |channel, asked| entitlement.rate(channel, asked);
        assert_eq!(granted(Channel::Quote, Rate::Raw), Rate::Ms250);
        assert_eq!(granted(Channel::Quote, Rate::Ms250), Rate::Ms250);
        assert_eq!(granted(Channel::Quote, Rate::S5), Rate::S5);
        assert_eq!(granted(Channel::Trade, Rate::Raw), Rate::Raw);
        assert_eq!(Entitlement::everything().rate(Channel::Status, Rate::Raw), Rate::Raw);
    }

    #[test]
    fn every_channel_has_a_bit_of_its_name() {
        for channel in Channel::ALL {
            let alone = Channels::read(&[channel.name().to_owned()]).expect("a channel");
            for other in Channel::ALL {
                assert_eq!(alone.contain(other), other.name() == channel.name(), "{channel} {other}");
            }
        }
    }
}
