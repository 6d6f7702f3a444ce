//! States and history for those who ask: between two messages of the feed, each topic once a turn.

use std::collections::VecDeque;
use std::sync::Arc;

use feeds::Timestamp;

use super::baseline::{Baseline, BookBaseline, Published};
use super::{Publisher, envelope};
use crate::bus::{Kind, Request, States};
use crate::topic::{Channel, Depth, TopicId};
use crate::wire::json;

/// States that have been asked for and are yet to be encoded: each topic once, however many ask.
pub(super) struct Backlog {
    topics: VecDeque<TopicId>,
    is_listed: Vec<bool>,
    /// Shards that ask, as bits, by topic.
    shards: Vec<u64>,
}

impl Backlog {
    pub(super) fn new(topics: usize) -> Self {
        Self { topics: VecDeque::new(), is_listed: vec![false; topics], shards: vec![0; topics] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The next topic, and the shards that ask for it.
    pub(super) fn next(&mut self) -> Option<(TopicId, u64)> {
        let topic = self.topics.pop_front()?;
        self.is_listed[topic.index()] = false;
        Some((topic, std::mem::take(&mut self.shards[topic.index()])))
    }

    fn add(&mut self, topic: TopicId, shard: usize) {
        self.shards[topic.index()] |= 1 << shard;
        if !std::mem::replace(&mut self.is_listed[topic.index()], true) {
            self.topics.push_back(topic);
        }
    }
}

impl Publisher {
    pub(super) fn answer(&mut self, request: Request) {
        match request {
            Request::States { shard, ticket, topics } => {
                self.answered[shard] = ticket;
                for topic in topics {
                    self.backlog.add(topic, shard);
                }
            }
            Request::Read { topics, reply } => {
                let mut json = Vec::new();
                let mut seq = 0;
                for (index, topic) in topics.into_iter().enumerate() {
                    if index > 0 {
                        json.push(b',');
                    }
                    let topic_seq = self.write_state(topic, &mut json);
                    if index == 0 {
                        seq = topic_seq;
                    }
                }
                // Nobody waits any more: the client has gone.
                let _ = reply.send(States { epoch: Arc::clone(&self.epoch), seq, json });
            }
            Request::History { topic, limit, reply } => {
                let json = self.history(topic, limit);
                let seq = self.numbers[topic.index()];
                let _ = reply.send(States { epoch: Arc::clone(&self.epoch), seq, json });
            }
        }
    }

    fn history(&self, topic: TopicId, limit: usize) -> Vec<u8> {
        let symbol = topic.symbol();
        let mut out = Vec::new();
        match topic.channel() {
            Channel::Trade => {
                let newest: Vec<_> = self.market.trades(symbol).rev().take(limit).collect();
                for record in newest.into_iter().rev() {
                    separate(&mut out);
                    let envelope = envelope(&self.directory, symbol, record.number, record.ts_event);
                    json::trade_record(&mut out, &envelope, &record.trade);
                }
            }
            Channel::Bar(interval) => {
                let seq = self.numbers[topic.index()];
                let newest: Vec<_> = self.market.bars(symbol, interval).rev().take(limit).collect();
                for bar in newest.into_iter().rev() {
                    separate(&mut out);
                    let envelope = envelope(&self.directory, symbol, seq, bar.start);
                    json::bar_record(&mut out, &envelope, bar);
                }
            }
            Channel::Quote | Channel::Book(_) | Channel::Ticker | Channel::Status => {}
        }
        out
    }

    /// Encodes the whole state of a topic into the batch.
    pub(super) fn encode_state(&mut self, topic: TopicId, kind: Kind, shards: u64) {
        let start = self.batch.json.len();
        let mut json = std::mem::take(&mut self.batch.json);
        let seq = self.write_state(topic, &mut json);
        self.batch.json = json;
        self.batch.close(topic, kind, seq, start, shards);
    }

    /// Writes the state last published of a topic, or the present one where nothing is; says its number.
    fn write_state(&mut self, topic: TopicId, out: &mut Vec<u8>) -> u64 {
        let symbol = topic.symbol();
        let now = self.market.ts_event(symbol);
        let seq = self.numbers[topic.index()];
        let envelope = |seq, ts_event| envelope(&self.directory, symbol, seq, ts_event);
        let baseline = &mut self.baselines[topic.index()];
        match topic.channel() {
            Channel::Quote => {
                let cached = &self.last_quotes[symbol.index()];
                json::quote_snapshot(out, &envelope(seq, cached.ts_event), &self.epoch, &cached.quote);
                seq
            }
            Channel::Trade => {
                let last = self.market.trades(symbol).next_back();
                let ts_event = last.map_or(Timestamp::default(), |record| record.ts_event);
                json::trade_snapshot(
                    out,
                    &envelope(seq, ts_event),
                    &self.epoch,
                    last.map(|record| &record.trade),
                );
                seq
            }
            Channel::Status => {
                let envelope = envelope(seq, self.status_at[symbol.index()]);
                json::status_snapshot(out, &envelope, &self.epoch, &self.market.status(symbol));
                seq
            }
            Channel::Book(depth) => {
                let book = self.market.book(symbol);
                let seq = self.numbers[TopicId::new(Channel::Book(Depth::D10), symbol).index()];
                let Baseline::Book(published) = &mut **baseline.get_or_insert_with(|| {
                    Box::new(Baseline::Book(BookBaseline::new(&book, depth, seq, now)))
                }) else {
                    unreachable!("a book topic has a book for its baseline")
                };
                json::book_snapshot(
                    out,
                    &envelope(published.seq, published.ts_event),
                    &self.epoch,
                    depth,
                    published.bids(),
                    published.asks(),
                    book.checksum(),
                );
                published.seq
            }
            Channel::Ticker => {
                let Baseline::Ticker(published) = &mut **baseline.get_or_insert_with(|| {
                    let state = self.market.ticker(symbol);
                    Box::new(Baseline::Ticker(Published { state, seq, ts_event: now }))
                }) else {
                    unreachable!("a ticker topic has a ticker for its baseline")
                };
                let envelope = envelope(published.seq, published.ts_event);
                json::ticker_snapshot(out, &envelope, &self.epoch, &published.state);
                published.seq
            }
            Channel::Bar(interval) => {
                let Baseline::Bar(published) = &mut **baseline.get_or_insert_with(|| {
                    let state = self.market.bar(symbol, interval).copied();
                    Box::new(Baseline::Bar(Published { state, seq, ts_event: now }))
                }) else {
                    unreachable!("a bar topic has a bar for its baseline")
                };
                let envelope = envelope(published.seq, published.ts_event);
                json::bar_snapshot(out, &envelope, &self.epoch, interval, published.state.as_ref());
                published.seq
            }
        }
    }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}
