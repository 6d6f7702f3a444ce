//! What one client may see of the instruments: the one place where names become topics.

use std::fmt;

use feeds::{Instrument, SymbolId};

use crate::directory::{Class, Directory};
use crate::entitlement::{Denied, Entitlement};
use crate::topic::{Channel, TopicId};
use crate::wire::Symbols;
use crate::wire::code::ErrorCode;

/// The directory through somebody's entitlement.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    directory: &'a Directory,
    entitlement: &'a Entitlement,
}

/// Why something cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// There is no such instrument, for anybody.
    Unknown,
    /// There is, but not for this client.
    Denied(Denied),
    /// This client may see late data only, and there is none here.
    NothingLate,
}

impl Unseen {
    pub(super) const fn code(self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::UnknownSymbol,
            Self::Denied(_) | Self::NothingLate => ErrorCode::EntitlementDenied,
        }
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("there is no such instrument"),
            Self::Denied(denied) => denied.fmt(f),
            Self::NothingLate => f.write_str("you may see delayed data only, and none is served here"),
        }
    }
}

/// Names with the codes that an acknowledgement has for them.
pub(super) fn rejected(unseen: Vec<(String, Unseen)>) -> Vec<(String, ErrorCode)> {
    unseen.into_iter().map(|(name, why)| (name, why.code())).collect()
}

impl<'a> View<'a> {
    pub(super) const fn new(directory: &'a Directory, entitlement: &'a Entitlement) -> Self {
        Self { directory, entitlement }
    }

    /// Whether anything can be seen of a channel.
    pub(super) fn channel(self, channel: Channel) -> Result<(), Unseen> {
        if self.entitlement.class() == Class::Delayed && !self.directory.has_twins() {
            return Err(Unseen::NothingLate);
        }
        self.entitlement.allows_channel(channel).map_err(Unseen::Denied)
    }

    /// The instrument of that name, in upper case.
    pub(super) fn find(self, name: &str) -> Result<SymbolId, Unseen> {
        self.directory.find(name, Class::RealTime).ok_or(Unseen::Unknown)?;
        self.entitlement.allows_symbol(name).map_err(Unseen::Denied)?;
        self.directory.find(name, self.entitlement.class()).ok_or(Unseen::NothingLate)
    }

    /// All instruments that can be seen.
    pub(super) fn all(self) -> impl Iterator<Item = (SymbolId, &'a Instrument)> {
        self.directory
            .of(self.entitlement.class())
            .filter(move |(_, instrument)| self.entitlement.allows_symbol(instrument.symbol.as_str()).is_ok())
    }

    /// The topics of the instruments that can be seen, and why there are none of the others.
    pub(super) fn topics(self, channel: Channel, symbols: Symbols) -> (Vec<TopicId>, Vec<(String, Unseen)>) {
        let names = match symbols {
            Symbols::All => {
                return (self.all().map(|(symbol, _)| TopicId::new(channel, symbol)).collect(), Vec::new());
            }
            Symbols::Named(names) => names,
        };
        let (mut topics, mut unseen) = (Vec::new(), Vec::new());
        for name in names {
            match self.find(&name) {
                Ok(symbol) => topics.push(TopicId::new(channel, symbol)),
                Err(why) => unseen.push((name, why)),
            }
        }
        (topics, unseen)
    }

    /// The topic that stands for one that was followed with another entitlement, as it is to be followed now.
    pub(super) fn instead_of(self, topic: TopicId) -> Result<TopicId, Unseen> {
        let channel = topic.channel();
        self.channel(channel)?;
        let symbol = self.find(self.directory.get(topic.symbol()).symbol.as_str())?;
        Ok(TopicId::new(channel, symbol).at(self.entitlement.rate(channel, topic.rate())))
    }
}
