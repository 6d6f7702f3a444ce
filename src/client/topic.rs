//! One topic as a client knows it: a state, its number, and the proof that it is the server's.

use std::fmt::{self, Display};
use std::sync::Arc;

use feeds::{Aggressor, Exponent, Level, NumberError, Price, Size, Symbol, Trade};

use super::book::Book;
use crate::state::Quote;
use crate::topic::Channel;
use crate::wire::ServerMessage;
use crate::wire::decode::{
    BarFields, Base, BookFields, Field, GrantedTopic, Head, QuoteFields, StatusFields, TickerFields,
    TradeFields,
};

#[derive(Debug)]
pub(super) struct Topic {
    channel: Channel,
    symbol: Symbol,
    scale: Scale,
    seq: u64,
    /// Of the last snapshot.
    epoch: Option<Arc<str>>,
    /// `None`: void until a snapshot comes.
    values: Option<Values>,
    /// How often it was subscribed to anew since it last was proven.
    resyncs: u32,
}

/// The exponents of an instrument.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    price: Exponent,
    size: Exponent,
}

#[derive(Debug)]
pub(super) enum Values {
    Quote(QuoteSides),
    /// Trades are events: only their numbers are kept.
    Trade,
    Book(Book),
    /// `ticker`, `bar`, `status`: fields as they stand on the wire.
    Texts(Vec<TextField>),
}

/// A field's name, and its value as it stands on the wire; `None`: `null`.
pub type TextField = (&'static str, Option<Box<str>>);

#[derive(Debug, Default)]
pub(super) struct QuoteSides {
    bid: Option<Price>,
    bid_size: Option<Size>,
    ask: Option<Price>,
    ask_size: Option<Size>,
}

/// What a data message did.
pub(super) enum Applied {
    /// Nothing: the topic is void.
    Ignored,
    /// It led to a new state, whose checksum agreed if it carried one.
    State { checksum: bool },
    /// It was a trade.
    Trade(Trade),
}

/// How a topic was found not to be what the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// A message is missing before this one.
    Gap {
        /// The number of the state that we have.
        expected: u64,
        /// The number of the state that the message starts from.
        found: u64,
    },
    /// The book is another one.
    Checksum {
        /// Of our book.
        ours: u32,
        /// The server's.
        theirs: u32,
    },
    /// The book has more levels a side than the topic's depth.
    Overfull {
        /// How many.
        levels: usize,
    },
    /// The message makes no sense: which part of it.
    Malformed(String),
}

impl Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap { expected, found } => {
                write!(f, "a gap: the state is {expected}, the update follows {found}")
            }
            Self::Checksum { ours, theirs } => {
                write!(f, "another book: checksum {ours}, the server's {theirs}")
            }
            Self::Overfull { levels } => write!(f, "a book with {levels} levels a side"),
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

impl Topic {
    pub(super) const fn new(channel: Channel, symbol: Symbol, scale: Scale) -> Self {
        Self { channel, symbol, scale, seq: 0, epoch: None, values: None, resyncs: 0 }
    }

    pub(super) const fn channel(&self) -> Channel {
        self.channel
    }

    pub(super) const fn symbol(&self) -> &Symbol {
        &self.symbol
    }

    pub(super) const fn scale(&self) -> Scale {
        self.scale
    }

    pub(super) const fn seq(&self) -> u64 {
        self.seq
    }

    pub(super) const fn epoch(&self) -> Option<&Arc<str>> {
        self.epoch.as_ref()
    }

    pub(super) const fn values(&self) -> Option<&Values> {
        self.values.as_ref()
    }

    pub(super) fn void(&mut self) {
        self.values = None;
        self.epoch = None;
    }

    pub(super) const fn rescale(&mut self, scale: Scale) {
        self.scale = scale;
    }

    pub(super) const fn count_resync(&mut self) -> u32 {
        self.resyncs += 1;
        self.resyncs
    }

    /// Messages after `prev_seq` up to `to` are lost, as the server says.
    pub(super) const fn skip(&mut self, prev_seq: u64, to: u64) -> Result<(), Divergence> {
        if self.values.is_some() {
            if self.seq != prev_seq {
                return Err(Divergence::Gap { expected: self.seq, found: prev_seq });
            }
            self.seq = to;
        }
        Ok(())
    }

    /// Applies a data message of this topic.
    ///
    /// # Errors
    /// [`Divergence`]; the state may be half changed then, and is to be made void.
    pub(super) fn apply(
        &mut self,
        head: &Head<'_>,
        message: &ServerMessage<'_>,
    ) -> Result<Applied, Divergence> {
        let is_snapshot = match head.base {
            // In the place of another state than ours: what lies between the two is in no number of merged changes.
            Base::Update { prev_seq } | Base::Snapshot { prev_seq: Some(prev_seq), .. }
                if self.values.is_some() && prev_seq != self.seq =>
            {
                return Err(Divergence::Gap { expected: self.seq, found: prev_seq });
            }
            Base::Snapshot { epoch, .. } => {
                self.values = Some(Values::empty(self.channel));
                if self.epoch.as_deref() != Some(epoch) {
                    self.epoch = Some(epoch.into());
                }
                true
            }
            Base::Update { .. } => false,
        };
        let Some(values) = &mut self.values else { return Ok(Applied::Ignored) };
        self.seq = head.seq;
        let mut checksum = false;
        match (values, message) {
            (Values::Quote(quote), ServerMessage::Quote(_, fields)) => {
                quote.apply(fields, self.scale).map_err(malformed)?;
                if quote.whole().is_none() {
                    return Err(Divergence::Malformed(
                        "a price without a size, or the other way round".into(),
                    ));
                }
            }
            (Values::Trade, ServerMessage::Trade(_, trade)) => {
                let trade = trade.as_ref().map(|fields| read_trade(fields, self.scale)).transpose()?;
                if let Some(trade) = trade
                    && !is_snapshot
                {
                    self.resyncs = 0;
                    return Ok(Applied::Trade(trade));
                }
            }
            (Values::Book(book), ServerMessage::Book(head_of_book, fields)) => {
                apply_levels(book, fields, self.scale).map_err(malformed)?;
                if let Channel::Book(depth) = head_of_book.channel
                    && book.levels() > depth.levels()
                {
                    return Err(Divergence::Overfull { levels: book.levels() });
                }
                if let Some(theirs) = fields.checksum {
                    let ours = book.checksum(self.scale.price, self.scale.size);
                    if ours != theirs {
                        return Err(Divergence::Checksum { ours, theirs });
                    }
                    checksum = true;
                }
            }
            (Values::Texts(texts), ServerMessage::Ticker(_, fields)) => apply_ticker(texts, fields),
            (Values::Texts(texts), ServerMessage::Bar(_, fields)) => apply_bar(texts, fields),
            (Values::Texts(texts), ServerMessage::Status(_, fields)) => apply_status(texts, fields),
            _ => return Err(Divergence::Malformed("fields of another channel".into())),
        }
        // A snapshot of a book proves nothing about the deltas that follow, a checksum on one does.
        if !is_snapshot && (checksum || !matches!(self.channel, Channel::Book(_))) {
            self.resyncs = 0;
        }
        Ok(Applied::State { checksum })
    }
}

impl Scale {
    pub(super) fn new(granted: &GrantedTopic<'_>) -> Result<Self, NumberError> {
        Ok(Self {
            price: Exponent::new(granted.price_exponent)?,
            size: Exponent::new(granted.size_exponent)?,
        })
    }

    pub(super) const fn exponents(self) -> (Exponent, Exponent) {
        (self.price, self.size)
    }

    fn price(self, text: &str) -> Result<Price, NumberError> {
        // With a positive exponent the text has zeros that the mantissa does not: `parse` knows.
        Price::parse(text, self.price)
    }

    fn size(self, text: &str) -> Result<Size, NumberError> {
        Size::parse(text, self.size)
    }
}

impl Values {
    fn empty(channel: Channel) -> Self {
        match channel {
            Channel::Quote => Self::Quote(QuoteSides::default()),
            Channel::Trade => Self::Trade,
            Channel::Book(_) => Self::Book(Book::default()),
            Channel::Ticker | Channel::Bar(_) | Channel::Status => Self::Texts(Vec::new()),
        }
    }
}

impl QuoteSides {
    fn apply(&mut self, fields: &QuoteFields<'_>, scale: Scale) -> Result<(), NumberError> {
        fields.bid.try_map(|text| scale.price(text))?.apply(&mut self.bid);
        fields.bid_size.try_map(|text| scale.size(text))?.apply(&mut self.bid_size);
        fields.ask.try_map(|text| scale.price(text))?.apply(&mut self.ask);
        fields.ask_size.try_map(|text| scale.size(text))?.apply(&mut self.ask_size);
        Ok(())
    }

    /// `None` where a side is half there.
    pub(super) fn whole(&self) -> Option<Quote> {
        let side = |price, size| match (price, size) {
            (Some(price), Some(size)) => Some(Some(Level { price, size })),
            (None, None) => Some(None),
            _ => None,
        };
        Some(Quote { bid: side(self.bid, self.bid_size)?, ask: side(self.ask, self.ask_size)? })
    }
}

fn malformed(error: impl Display) -> Divergence {
    Divergence::Malformed(error.to_string())
}

fn read_trade(fields: &TradeFields<'_>, scale: Scale) -> Result<Trade, Divergence> {
    let aggressor = match fields.side {
        "buy" => Aggressor::Buy,
        "sell" => Aggressor::Sell,
        "none" => Aggressor::None,
        other => return Err(Divergence::Malformed(format!("`side` is `{other}`"))),
    };
    Ok(Trade {
        price: scale.price(fields.price).map_err(malformed)?,
        size: scale.size(fields.size).map_err(malformed)?,
        aggressor,
        id: fields.id.map(str::parse).transpose().map_err(malformed)?,
    })
}

fn apply_levels(book: &mut Book, fields: &BookFields<'_>, scale: Scale) -> Result<(), NumberError> {
    for (price, size) in &fields.bids {
        book.set_bid(scale.price(price)?, scale.size(size)?);
    }
    for (price, size) in &fields.asks {
        book.set_ask(scale.price(price)?, scale.size(size)?);
    }
    Ok(())
}

fn set_text(texts: &mut Vec<TextField>, name: &'static str, field: Field<impl Display>) {
    let value = match field {
        Field::Absent => return,
        Field::Null => None,
        Field::Value(value) => Some(value.to_string().into_boxed_str()),
    };
    match texts.iter_mut().find(|(known, _)| *known == name) {
        Some((_, text)) => *text = value,
        None => texts.push((name, value)),
    }
}

fn apply_ticker(texts: &mut Vec<TextField>, fields: &TickerFields<'_>) {
    set_text(texts, "last", fields.last);
    set_text(texts, "last_size", fields.last_size);
    set_text(texts, "bid", fields.bid);
    set_text(texts, "ask", fields.ask);
    set_text(texts, "open", fields.open);
    set_text(texts, "high", fields.high);
    set_text(texts, "low", fields.low);
    set_text(texts, "close", fields.close);
    set_text(texts, "volume", fields.volume);
    set_text(texts, "vwap", fields.vwap);
    set_text(texts, "trades", fields.trades);
    set_text(texts, "change", fields.change);
    set_text(texts, "change_percent", fields.change_percent);
}

fn apply_bar(texts: &mut Vec<TextField>, fields: &BarFields<'_>) {
    set_text(texts, "start", fields.start);
    set_text(texts, "open", fields.open);
    set_text(texts, "high", fields.high);
    set_text(texts, "low", fields.low);
    set_text(texts, "close", fields.close);
    set_text(texts, "volume", fields.volume);
    set_text(texts, "vwap", fields.vwap);
    set_text(texts, "trades", fields.trades);
    set_text(texts, "final", fields.closed);
}

fn apply_status(texts: &mut Vec<TextField>, fields: &StatusFields<'_>) {
    set_text(texts, "state", Field::Value(fields.state));
    set_text(texts, "reason", Field::Value(&fields.reason));
}
