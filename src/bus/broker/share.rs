//! Which instruments of a market an ingest publishes, where several share them.

use std::fmt;
use std::str::FromStr;

use super::address::Address;
use crate::directory::Directory;
use crate::limits::SHARES_MAX;
use crate::topic::TopicId;

/// One of so many equal shares: of every so many instruments one, with its twin. Written as it is counted, from 1: `2/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    index: u16,
    of: u16,
}

/// What an ingest publishes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The broker.
    pub address: Address,
    /// Of the instruments.
    pub share: Share,
}

/// What is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not `N/M`, such as 2/3: one of M shares, of which there are at most {SHARES_MAX}")]
pub struct ShareError;

impl Share {
    /// All of a market.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// The one of that index, from 0.
    #[must_use]
    pub const fn new(index: u16, of: u16) -> Option<Self> {
        if index < of && of <= SHARES_MAX { Some(Self { index, of }) } else { None }
    }

    /// Which of them, from 0.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub const fn of(self) -> u16 {
        self.of
    }

    /// Whether a topic of that market belongs to it.
    #[must_use]
    pub fn holds(self, directory: &Directory, topic: TopicId) -> bool {
        index_of(directory, topic, self.of) == self.index
    }
}

/// The index of the share that a topic belongs to, of so many.
pub(super) fn index_of(directory: &Directory, topic: TopicId, of: u16) -> u16 {
    let number = directory.original(topic.symbol()).0 % u32::from(of);
    u16::try_from(number).expect("a remainder is below what it was divided by")
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let (number, of) = text.split_once('/').ok_or(ShareError)?;
        let (number, of): (u16, u16) =
            (number.parse().map_err(|_| ShareError)?, of.parse().map_err(|_| ShareError)?);
        let index = number.checked_sub(1).ok_or(ShareError)?;
        Self::new(index, of).ok_or(ShareError)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.of)
    }
}

#[cfg(test)]
mod tests {
    use feeds::{Exponent, Instrument, Symbol, SymbolId};

    use super::*;
    use crate::topic::{Channel, Depth};

    #[test]
    fn it_is_written_as_it_is_counted() {
        let share: Share = "2/3".parse().expect("a share");
        assert_eq!((share.index(), share.of(), share.to_string()), (1, 3, "2/3".to_owned()));
        assert_eq!("1/1".parse(), Ok(Share::WHOLE));
        for wrong in ["", "2", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b", "1/65", "1/99999"] {
            assert_eq!(wrong.parse::<Share>(), Err(ShareError), "{wrong}");
        }
    }

    #[test]
    fn each_topic_belongs_to_one_of_them_and_a_twin_to_its_originals() {
        let instruments: Vec<_> = (0..7)
            .map(|number| Instrument {
                symbol: Symbol::new(&format!("S{number}")).expect("a symbol"),
                venue: "TEST",
                price_exponent: Exponent::ONE,
                size_exponent: Exponent::ONE,
                tick_size: None,
                currency: None,
                book_levels_max: None,
                begins_stale: false,
            })
            .collect();
        let directory = Directory::with_twins(&instruments);
        let shares: Vec<_> = (0..3).map(|index| Share::new(index, 3).expect("one of three")).collect();
        for symbol in (0..7).map(SymbolId) {
            for channel in [Channel::Quote, Channel::Book(Depth::D10), Channel::Status] {
                let holders = |symbol| -> Vec<_> {
                    let topic = TopicId::new(channel, symbol);
                    shares.iter().filter(|share| share.holds(&directory, topic)).collect()
                };
                assert_eq!(holders(symbol), [&shares[symbol.index() % 3]]);
                assert_eq!(holders(directory.twin(symbol)), holders(symbol));
            }
        }
    }
}
