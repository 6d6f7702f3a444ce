//! A topic's state from the objects of `tickwire.v1.json`.

use std::fmt::Display;

use feeds::{Aggressor, Level, NumberError, Price, Size, Trade};

use super::{Applied, Divergence, Scale, TextField, Topic, Values};
use crate::client::book::Book;
use crate::state::Quote;
use crate::topic::Channel;
use crate::wire::ServerMessage;
use crate::wire::binary::Held;
use crate::wire::decode::{
    BarFields, Base, BookFields, Field, Head, QuoteFields, StatusFields, TickerFields, TradeFields,
};

impl Topic {
    /// Applies a data message of this topic.
    ///
    /// # Errors
    /// [`Divergence`]; but for a gap, the state may be half changed then, and is to be made void.
    pub(in crate::client) fn apply(
        &mut self,
        head: &Head<'_>,
        message: &ServerMessage<'_>,
    ) -> Result<Applied, Divergence> {
        if self.is_asked {
            return Ok(Applied::Ignored);
        }
        // In the place of another state than ours: what lies between the two is in no number of merged changes.
        if let Base::Update { prev_seq } | Base::Snapshot { prev_seq: Some(prev_seq), .. } = head.base {
            self.check_follows(prev_seq)?;
        }
        let is_snapshot = matches!(head.base, Base::Snapshot { .. });
        if let Base::Snapshot { epoch, .. } = head.base {
            self.values = Some(empty(self.channel));
            self.enter(epoch);
        }
        let Some(values) = &mut self.values else { return Ok(Applied::Ignored) };
        self.held = Held { seq: head.seq, ts_event: head.ts_event };
        let mut checksum = false;
        match (values, message) {
            (Values::Quote(quote), ServerMessage::Quote(_, fields)) => {
                *quote = apply_quote(quote, fields, self.scale)?;
            }
            (Values::Trade(newest), ServerMessage::Trade(_, trade)) => {
                *newest = trade.as_ref().map(|fields| read_trade(fields, self.scale)).transpose()?;
                if let Some(trade) = *newest
                    && !is_snapshot
                {
                    self.resyncs = 0;
                    return Ok(Applied::Trade(trade));
                }
            }
            (Values::Book(book), ServerMessage::Book(_, fields)) => {
                apply_levels(book, fields, self.scale).map_err(malformed)?;
                checksum = Self::check_book(book, self.channel, self.scale, fields.checksum)?;
            }
            (Values::Texts(texts), message) => {
                if !apply_texts(texts, message) {
                    return Err(Divergence::Malformed("fields of another channel".into()));
                }
            }
            _ => return Err(Divergence::Malformed("fields of another channel".into())),
        }
        Ok(self.proven(is_snapshot, checksum))
    }
}

impl Scale {
    fn price(self, text: &str) -> Result<Price, NumberError> {
        // With a positive exponent the text has zeros that the mantissa does not: `parse` knows.
        Price::parse(text, self.price)
    }

    fn size(self, text: &str) -> Result<Size, NumberError> {
        Size::parse(text, self.size)
    }
}

fn empty(channel: Channel) -> Values {
    match channel {
        Channel::Quote => Values::Quote(Quote::default()),
        Channel::Trade => Values::Trade(None),
        Channel::Book(_) => Values::Book(Book::default()),
        Channel::Ticker | Channel::Bar(_) | Channel::Status => Values::Texts(Vec::new()),
    }
}

fn apply_quote(quote: &Quote, fields: &QuoteFields<'_>, scale: Scale) -> Result<Quote, Divergence> {
    let side = |old: Option<Level>, price: Field<&str>, size: Field<&str>| {
        let (mut new_price, mut new_size) = (old.map(|old| old.price), old.map(|old| old.size));
        price.try_map(|text| scale.price(text)).map_err(malformed)?.apply(&mut new_price);
        size.try_map(|text| scale.size(text)).map_err(malformed)?.apply(&mut new_size);
        match (new_price, new_size) {
            (Some(price), Some(size)) => Ok(Some(Level { price, size })),
            (None, None) => Ok(None),
            _ => Err(Divergence::Malformed("a price without a size, or the other way round".into())),
        }
    };
    Ok(Quote {
        bid: side(quote.bid, fields.bid, fields.bid_size)?,
        ask: side(quote.ask, fields.ask, fields.ask_size)?,
    })
}

/// `false`: the message is none of those channels.
pub(super) fn apply_texts(texts: &mut Vec<TextField>, message: &ServerMessage<'_>) -> bool {
    match message {
        ServerMessage::Ticker(_, fields) => apply_ticker(texts, fields),
        ServerMessage::Bar(_, fields) => apply_bar(texts, fields),
        ServerMessage::Status(_, fields) => apply_status(texts, fields),
        _ => return false,
    }
    true
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
        id: fields.id.as_deref().map(str::parse).transpose().map_err(malformed)?,
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
