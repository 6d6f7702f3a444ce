//! A topic's state from the records of `tickwire.v1.bin`.

use std::borrow::Cow;

use super::json::apply_texts;
use super::{Applied, Divergence, TextField, Topic, Values};
use crate::client::book::Book;
use crate::state::{Quote, Status, StatusState};
use crate::topic::Channel;
use crate::wire::binary::{Change, Held, Merged, Snapshot, Update};
use crate::wire::decode::decode;
use crate::wire::{Envelope, json};

impl Topic {
    /// Applies a snapshot; `merged`: in the place of what, if of anything.
    ///
    /// # Errors
    /// [`Divergence`], as of [`Topic::apply`].
    pub(in crate::client) fn apply_snapshot(
        &mut self,
        snapshot: &Snapshot<'_>,
        merged: Option<Merged>,
    ) -> Result<Applied, Divergence> {
        if self.is_asked {
            return Ok(Applied::Ignored);
        }
        if let Some(merged) = merged {
            self.check_follows(merged.prev_seq)?;
        }
        self.enter(snapshot.epoch);
        self.held = Held { seq: snapshot.seq, ts_event: snapshot.ts_event };
        self.values = Some(empty(self.channel));
        match &snapshot.change {
            Some(change) => self.apply_change(change, true),
            None => Ok(self.proven(true, false)),
        }
    }

    /// Applies an update.
    ///
    /// # Errors
    /// [`Divergence`], as of [`Topic::apply`].
    pub(in crate::client) fn apply_update(&mut self, update: &Update<'_>) -> Result<Applied, Divergence> {
        if self.is_asked || self.values.is_none() {
            return Ok(Applied::Ignored);
        }
        let expected = self.held.seq;
        self.held = update.follow(&self.held).map_err(|_missed| Divergence::Gap { expected, found: None })?;
        self.apply_change(&update.change, false)
    }

    fn apply_change(&mut self, change: &Change<'_>, is_snapshot: bool) -> Result<Applied, Divergence> {
        let mut checksum = false;
        match (&mut self.values, change) {
            (Some(Values::Quote(quote)), Change::Quote(change)) => *quote = change.apply(quote),
            (Some(Values::Trade(newest)), Change::Trade(change)) => {
                let trade = change.apply(newest.as_ref());
                *newest = Some(trade);
                if !is_snapshot {
                    self.resyncs = 0;
                    return Ok(Applied::Trade(trade));
                }
            }
            (Some(Values::Book(book)), Change::Book(change)) => {
                if let Channel::Book(depth) = self.channel {
                    change.apply(&mut book.0, depth);
                }
                checksum = Self::check_book(book, self.channel, self.scale, change.checksum)?;
            }
            (Some(Values::Ticker(ticker)), Change::Ticker(change)) => **ticker = change.apply(ticker),
            (Some(Values::Bar(bar)), Change::Bar(change)) => {
                *bar = Some(Box::new(change.apply(bar.as_deref())));
            }
            (Some(Values::Status(status)), Change::Status { state, reason }) => {
                *status = Status { state: *state, reason: Cow::Owned((*reason).to_owned()) };
            }
            _ => return Err(Divergence::Malformed("a record of another channel".into())),
        }
        Ok(self.proven(is_snapshot, checksum))
    }

    /// The fields of a `ticker`, `bar` or `status`, as the server would write them in JSON.
    pub(in crate::client) fn texts(&self) -> Option<Cow<'_, [TextField]>> {
        let values = self.values()?;
        if let Values::Texts(texts) = values {
            return Some(Cow::Borrowed(texts));
        }
        let (price_exponent, size_exponent) = self.scale.exponents();
        let envelope = Envelope {
            symbol: self.symbol.as_str(),
            price_exponent,
            size_exponent,
            seq: self.held.seq,
            merged: 1,
            ts_event: self.held.ts_event,
        };
        let epoch = self.epoch.as_deref()?;
        let mut text = vec![b'['];
        match (values, self.channel) {
            (Values::Ticker(ticker), _) => json::ticker_snapshot(&mut text, &envelope, epoch, ticker),
            (Values::Bar(bar), Channel::Bar(interval)) => {
                json::bar_snapshot(&mut text, &envelope, epoch, interval, bar.as_deref());
            }
            (Values::Status(status), _) => json::status_snapshot(&mut text, &envelope, epoch, status),
            _ => return None,
        }
        text.push(b']');
        let mut texts = Vec::new();
        for message in decode(std::str::from_utf8(&text).ok()?).ok()? {
            apply_texts(&mut texts, &message);
        }
        Some(Cow::Owned(texts))
    }
}

fn empty(channel: Channel) -> Values {
    match channel {
        Channel::Quote => Values::Quote(Quote::default()),
        Channel::Trade => Values::Trade(None),
        Channel::Book(_) => Values::Book(Book::default()),
        Channel::Ticker => Values::Ticker(Box::default()),
        Channel::Bar(_) => Values::Bar(None),
        Channel::Status => Values::Status(Status { state: StatusState::Trading, reason: Cow::Borrowed("") }),
    }
}
