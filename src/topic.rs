//! What can be followed: a channel, its parameter, and a symbol.

use std::fmt;
use std::time::Duration;

use feeds::SymbolId;
use serde::{Deserialize, Serialize};

/// A kind of data, with its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Best bid and offer.
    Quote,
    /// Every trade.
    Trade,
    /// The best levels of the book.
    Book(Depth),
    /// The session so far.
    Ticker,
    /// Open, high, low, close, volume of an interval.
    Bar(Interval),
    /// Whether it trades, and whether its feed lives.
    Status,
}

/// How many levels a side a `book` topic shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// 10 levels.
    D10,
    /// 25 levels.
    D25,
    /// 100 levels.
    D100,
}

/// The length of a bar. Bars start at whole multiples of it since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Interval {
    /// One second.
    S1,
    /// One minute.
    M1,
    /// Five minutes.
    M5,
    /// One hour.
    H1,
    /// One day.
    D1,
}

impl Depth {
    /// All depths, shallow first.
    pub const ALL: [Self; 3] = [Self::D10, Self::D25, Self::D100];

    /// Levels a side.
    #[must_use]
    pub const fn levels(self) -> usize {
        match self {
            Self::D10 => 10,
            Self::D25 => 25,
            Self::D100 => 100,
        }
    }

    /// The depth of that many levels, if there is one.
    #[must_use]
    pub fn from_levels(levels: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|depth| depth.levels() as u64 == levels)
    }
}

impl Interval {
    /// All intervals, short first.
    pub const ALL: [Self; 5] = [Self::S1, Self::M1, Self::M5, Self::H1, Self::D1];

    /// How long it is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::S1 => 1,
            Self::M1 => 60,
            Self::M5 => 300,
            Self::H1 => 3_600,
            Self::D1 => 86_400,
        })
    }

    /// As the protocol spells it: `1s`, `1m`, `5m`, `1h`, `1d`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S1 => "1s",
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::H1 => "1h",
            Self::D1 => "1d",
        }
    }

    /// The interval spelled `text`, if there is one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.as_str() == text)
    }
}

impl Channel {
    /// All channels with each of their parameters; the index is the channel's part of a [`TopicId`].
    pub const ALL: [Self; 12] = [
        Self::Quote,
        Self::Trade,
        Self::Book(Depth::D10),
        Self::Book(Depth::D25),
        Self::Book(Depth::D100),
        Self::Ticker,
        Self::Bar(Interval::S1),
        Self::Bar(Interval::M1),
        Self::Bar(Interval::M5),
        Self::Bar(Interval::H1),
        Self::Bar(Interval::D1),
        Self::Status,
    ];

    /// The channel without its parameter: `quote`, `trade`, `book`, `ticker`, `bar`, `status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Trade => "trade",
            Self::Book(_) => "book",
            Self::Ticker => "ticker",
            Self::Bar(_) => "bar",
            Self::Status => "status",
        }
    }

    const fn slot(self) -> u32 {
        match self {
            Self::Quote => 0,
            Self::Trade => 1,
            Self::Book(Depth::D10) => 2,
            Self::Book(Depth::D25) => 3,
            Self::Book(Depth::D100) => 4,
            Self::Ticker => 5,
            Self::Bar(Interval::S1) => 6,
            Self::Bar(Interval::M1) => 7,
            Self::Bar(Interval::M5) => 8,
            Self::Bar(Interval::H1) => 9,
            Self::Bar(Interval::D1) => 10,
            Self::Status => 11,
        }
    }
}

impl fmt::Display for Channel {
    /// As in a topic's name: `quote`, `book.10`, `bar.1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Book(depth) => write!(f, "book.{}", depth.levels()),
            Self::Bar(interval) => write!(f, "bar.{}", interval.as_str()),
            other => f.write_str(other.name()),
        }
    }
}

/// How often a topic's changes are sent at most; what changes in between is merged into one update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// Every change.
    #[default]
    Raw,
    /// Ten times a second.
    Ms100,
    /// Four times a second.
    Ms250,
    /// Twice a second.
    Ms500,
    /// Once a second.
    S1,
    /// Every five seconds.
    S5,
}

impl Rate {
    /// All rates; the index is the rate's part of a [`TopicId`].
    pub const ALL: [Self; 6] = [Self::Raw, Self::Ms100, Self::Ms250, Self::Ms500, Self::S1, Self::S5];

    /// From one update to the next; `None`: every change is one.
    #[must_use]
    pub const fn period(self) -> Option<Duration> {
        match self {
            Self::Raw => None,
            Self::Ms100 => Some(Duration::from_millis(100)),
            Self::Ms250 => Some(Duration::from_millis(250)),
            Self::Ms500 => Some(Duration::from_millis(500)),
            Self::S1 => Some(Duration::from_secs(1)),
            Self::S5 => Some(Duration::from_secs(5)),
        }
    }

    /// As `max_frequency` spells it: `raw`, `100ms`, `250ms`, `500ms`, `1s`, `5s`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Ms100 => "100ms",
            Self::Ms250 => "250ms",
            Self::Ms500 => "500ms",
            Self::S1 => "1s",
            Self::S5 => "5s",
        }
    }

    /// The rate spelled `text`, if there is one.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rate| rate.as_str() == text)
    }
}

/// A topic's number: the `topic` of an acknowledgement. Raw topics are dense from 0; the same topic at another rate is
/// a topic of its own, whose number differs in the highest three bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

const CHANNELS: u32 = 12;
const RATE_SHIFT: u32 = 29;
const INDEX_MASK: u32 = (1 << RATE_SHIFT) - 1;
const _: () = assert!(TopicId::count(feeds::limits::INSTRUMENTS_MAX) <= INDEX_MASK as usize);

impl TopicId {
    /// The raw topic of a channel and an instrument.
    #[must_use]
    pub const fn new(channel: Channel, symbol: SymbolId) -> Self {
        Self(symbol.0 * CHANNELS + channel.slot())
    }

    /// How many topics `instruments` have: every [`TopicId`] of theirs is below it.
    #[must_use]
    pub const fn count(instruments: usize) -> usize {
        instruments * CHANNELS as usize
    }

    /// Its channel.
    #[must_use]
    pub const fn channel(self) -> Channel {
        Channel::ALL[((self.0 & INDEX_MASK) % CHANNELS) as usize]
    }

    /// How often it is sent at most.
    #[must_use]
    pub const fn rate(self) -> Rate {
        // A number that no server gave out has a rate of some kind too.
        match self.0 >> RATE_SHIFT {
            0 => Rate::Raw,
            1 => Rate::Ms100,
            2 => Rate::Ms250,
            3 => Rate::Ms500,
            4 => Rate::S1,
            _ => Rate::S5,
        }
    }

    /// The same channel and instrument at a rate.
    #[must_use]
    pub const fn at(self, rate: Rate) -> Self {
        Self((self.0 & INDEX_MASK) | ((rate as u32) << RATE_SHIFT))
    }

    /// Its instrument.
    #[must_use]
    pub const fn symbol(self) -> SymbolId {
        SymbolId((self.0 & INDEX_MASK) / CHANNELS)
    }

    /// As an index into an array of raw topics: the same at every rate. See [`PerTopic`].
    #[must_use]
    pub const fn index(self) -> usize {
        (self.0 & INDEX_MASK) as usize
    }
}

/// Something for every topic, in flat arrays: one for the raw topics, and one for each other rate that is in use.
#[derive(Debug)]
pub struct PerTopic<T> {
    rates: [Vec<T>; Rate::ALL.len()],
    topics: usize,
}

impl<T: Default> PerTopic<T> {
    /// For `topics` raw topics, each with its default.
    #[must_use]
    pub fn new(topics: usize) -> Self {
        let mut rates = [const { Vec::new() }; Rate::ALL.len()];
        rates[0].resize_with(topics, T::default);
        Self { rates, topics }
    }

    /// What a topic has; `None`: nothing of its rate was ever looked at by [`PerTopic::get_mut`].
    #[must_use]
    pub fn get(&self, topic: TopicId) -> Option<&T> {
        self.rates[topic.rate() as usize].get(topic.index())
    }

    /// What a topic has, to be changed.
    pub fn get_mut(&mut self, topic: TopicId) -> &mut T {
        let of_rate = &mut self.rates[topic.rate() as usize];
        if of_rate.is_empty() {
            of_rate.resize_with(self.topics, T::default);
        }
        &mut of_rate[topic.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_number_of_its_own_and_back() {
        for (slot, channel) in Channel::ALL.into_iter().enumerate() {
            for symbol in [0, 1, 7, 65_535] {
                let topic = TopicId::new(channel, SymbolId(symbol));
                assert_eq!(topic.index(), symbol as usize * Channel::ALL.len() + slot);
                assert_eq!((topic.channel(), topic.symbol()), (channel, SymbolId(symbol)));
                assert!(topic.index() < TopicId::count(symbol as usize + 1));
            }
        }
    }

    #[test]
    fn a_topic_at_another_rate_is_another_topic_of_the_same_channel_and_instrument() {
        let raw = TopicId::new(Channel::Bar(Interval::M5), SymbolId(65_535));
        assert_eq!(raw.rate(), Rate::Raw);
        for rate in Rate::ALL {
            let topic = raw.at(rate);
            assert_eq!((topic.rate(), topic.channel(), topic.symbol()), (rate, raw.channel(), raw.symbol()));
            assert_eq!((topic.index(), topic.at(Rate::Raw)), (raw.index(), raw));
            assert_eq!(Rate::from_text(rate.as_str()), Some(rate));
        }
        let mut counts = PerTopic::<u32>::new(TopicId::count(65_536));
        *counts.get_mut(raw.at(Rate::S1)) = 7;
        let seen = Rate::ALL.map(|rate| counts.get(raw.at(rate)).copied());
        assert_eq!(seen, [Some(0), None, None, None, Some(7), None]);
    }

    #[test]
    fn channels_are_spelled_as_in_topics() {
        let spelled: Vec<String> = Channel::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(
            spelled.join(" "),
            "quote trade book.10 book.25 book.100 ticker bar.1s bar.1m bar.5m bar.1h bar.1d status"
        );
    }
}
