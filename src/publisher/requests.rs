//! States and history for those who ask: at the end of a turn, and so much in one turn that the feed does not notice.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use feeds::Timestamp;

use super::baseline::{Baseline, BookBaseline, Published};
use super::{Publisher, envelope};
use crate::bus::{Kind, Request, States, Wanted};
use crate::limits::{
    READS_WAITING_MAX, REQUESTS_PER_TURN_MAX, STATES_BYTES_PER_TURN_MAX, STATES_PER_TURN_MAX,
};
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

/// A request for states that are to be read beside the stream, as far as it has been answered.
pub(super) struct Read {
    topics: std::vec::IntoIter<TopicId>,
    json: Vec<u8>,
    seq: Option<u64>,
    reply: oneshot::Sender<States>,
}

impl Publisher {
    /// Takes requests, and encodes states of those taken. Says whether it could do more at once.
    pub(super) fn answer_requests(&mut self) -> bool {
        let mut spent = 0;
        for _ in 0..REQUESTS_PER_TURN_MAX {
            if spent >= STATES_BYTES_PER_TURN_MAX {
                return true;
            }
            let Some(request) = self.bus.next_request() else { break };
            spent += self.take(request);
        }
        self.answer_subscribers();
        self.answer_readers();
        !self.backlog.is_empty() || !self.reads.is_empty()
    }

    fn answer_subscribers(&mut self) {
        let mut spent = 0;
        for _ in 0..STATES_PER_TURN_MAX {
            if spent >= STATES_BYTES_PER_TURN_MAX {
                return;
            }
            let Some((topic, shards)) = self.backlog.next() else { return };
            let start = self.batch.json.len();
            self.encode_state(topic, Kind::Requested, shards);
            spent += self.batch.json.len() - start;
        }
    }

    fn answer_readers(&mut self) {
        let mut spent = 0;
        let mut states = 0;
        while let Some(mut read) = self.reads.pop_front() {
            // Nobody waits any more: the client has gone.
            if read.reply.is_closed() {
                continue;
            }
            for topic in read.topics.by_ref() {
                let start = read.json.len();
                separate(&mut read.json);
                let seq = self.write_state(topic, &mut read.json);
                read.seq.get_or_insert(seq);
                spent += read.json.len() - start;
                states += 1;
                if spent >= STATES_BYTES_PER_TURN_MAX || states >= STATES_PER_TURN_MAX {
                    break;
                }
            }
            if read.topics.len() > 0 {
                self.reads.push_front(read);
                return;
            }
            let seq = read.seq.unwrap_or_default();
            let _ = read.reply.send(States { epoch: Arc::clone(&self.epoch), seq, json: read.json });
        }
    }

    /// Takes a request; says how many bytes were encoded for it at once.
    fn take(&mut self, request: Request) -> usize {
        match request {
            Request::States { shard, ticket, topics, .. } => {
                self.subscriptions += 1;
                self.answered[shard] = ticket;
                for Wanted { topic, .. } in topics {
                    self.backlog.add(topic, shard);
                }
                0
            }
            Request::Read { topics, reply } => {
                // Dropping the reply tells the reader that too many wait.
                if self.reads.len() < READS_WAITING_MAX {
                    self.reads.push_back(Read {
                        topics: topics.into_iter(),
                        json: Vec::new(),
                        seq: None,
                        reply,
                    });
                }
                0
            }
            Request::History { topic, limit, reply } => {
                let json = self.history(topic, limit);
                let seq = self.numbers[topic.index()];
                let bytes = json.len();
                let _ = reply.send(States { epoch: Arc::clone(&self.epoch), seq, json });
                bytes
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
