//! States and history for those who ask: at the end of a turn, and so much in one turn that the feed does not notice.

use std::collections::VecDeque;
use std::sync::Arc;

use feeds::SymbolId;
use tokio::sync::oneshot;

use super::markets::Markets;
use super::relay::Relay;
use super::state::{About, Out, State};
use super::{BatchBuilder, Publisher};
use crate::bus::{Kind, Request, States, Tape, Wanted};
use crate::limits::{
    READS_WAITING_MAX, REQUESTS_PER_TURN_MAX, REQUESTS_WAITING_MAX, STATES_BYTES_PER_TURN_MAX,
    STATES_PER_TURN_MAX,
};
use crate::market::TradeRecord;
use crate::topic::{Channel, PerTopic, Rate, TopicId};
use crate::wire::binary::{self, Held};
use crate::wire::json::{self, Envelope};

/// States that have been asked for and are yet to be encoded: each topic once, however many ask.
pub(super) struct Backlog {
    topics: VecDeque<TopicId>,
    /// Shards that ask, as bits, by topic; none: the topic is not listed.
    shards: PerTopic<u64>,
}

impl Backlog {
    pub(super) fn new(topics: usize) -> Self {
        Self { topics: VecDeque::new(), shards: PerTopic::new(topics) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// The next topic, and the shards that ask for it.
    pub(super) fn next(&mut self) -> Option<(TopicId, u64)> {
        let topic = self.topics.pop_front()?;
        Some((topic, std::mem::take(self.shards.get_mut(topic))))
    }

    fn add(&mut self, topic: TopicId, shard: usize) {
        let shards = self.shards.get_mut(topic);
        if *shards == 0 {
            self.topics.push_back(topic);
        }
        *shards |= 1 << shard;
    }
}

/// A request of a subscriber that holds states, as far as it has been answered.
///
/// It counts as answered only when all that is resumed has been sent: a state that comes in the meantime, for a topic
/// of which the shard missed something, must not be taken for its answer.
pub(super) struct Ask {
    shard: usize,
    ticket: u64,
    epoch: Arc<str>,
    topics: std::vec::IntoIter<Wanted>,
    /// Those that cannot be resumed.
    whole: Vec<TopicId>,
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
        let (mut spent, mut taken) = (0, 0);
        for request in self.take_ready_requests() {
            spent += self.take(request);
        }
        while taken < REQUESTS_PER_TURN_MAX {
            if spent >= STATES_BYTES_PER_TURN_MAX {
                return true;
            }
            if self.asks.len() >= REQUESTS_WAITING_MAX {
                break;
            }
            let Some(request) = self.bus.next_request() else { break };
            spent += self.take(request);
            taken += 1;
        }
        let has_more = self.resume_subscribers();
        self.answer_subscribers();
        self.answer_readers();
        // More may wait than one turn takes.
        taken == REQUESTS_PER_TURN_MAX || has_more || !self.backlog.is_empty() || !self.reads.is_empty()
    }

    /// Answers those who hold states, as far as their shards have room: what is resumed cannot be made good later.
    /// Says whether it could do more at once.
    fn resume_subscribers(&mut self) -> bool {
        if self.asks.is_empty() {
            return false;
        }
        // What was encoded before has its place before; a shard that has room after it takes what follows.
        self.flush();
        let is_taking: Vec<bool> = (0..self.bus.shards()).map(|shard| self.is_taking(shard)).collect();
        let mut waits: Vec<bool> = is_taking.iter().map(|is_taking| !is_taking).collect();
        let mut waiting = VecDeque::new();
        let (mut has_more, mut spent, mut states) = (false, 0, 0);
        while let Some(mut ask) = self.asks.pop_front() {
            // In the order of their tickets.
            if waits[ask.shard] {
                waiting.push_back(ask);
                continue;
            }
            let is_present = ask.epoch == self.epoch;
            while spent < STATES_BYTES_PER_TURN_MAX
                && states < STATES_PER_TURN_MAX
                && let Some(Wanted { topic, held }) = ask.topics.next()
            {
                let before = self.batch.bytes();
                let is_resumed = held.is_some_and(|held| {
                    is_present && self.encode_resumed(topic, held, ask.shard, ask.ticket)
                });
                if !is_resumed {
                    ask.whole.push(topic);
                }
                spent += self.batch.bytes() - before;
                states += 1;
            }
            if ask.topics.len() > 0 {
                waits[ask.shard] = true;
                has_more = true;
                waiting.push_back(ask);
            } else {
                let answered = &mut self.answered[ask.shard];
                *answered = ask.ticket.max(*answered);
                for topic in ask.whole {
                    self.backlog.add(topic, ask.shard);
                }
            }
        }
        self.asks = waiting;
        self.flush();
        has_more
    }

    /// Encodes what came after the state of number `held`; `false`, and nothing, where not all of it is known. Of
    /// trades it is a gap then: that there was a loss is known.
    fn encode_resumed(&mut self, topic: TopicId, held: u64, shard: usize, ticket: u64) -> bool {
        self.follow(topic);
        let kind = Kind::Resumed { shard, ticket };
        if topic.channel() == Channel::Trade {
            return self.encode_resumed_trades(topic, held, kind, 1 << shard);
        }
        let Some(followed) = self.followed.get_mut(topic) else { return false };
        let listening = self.bus.handle().interest().of(topic);
        let start = self.batch.end();
        let mut merged = 0;
        if held != followed.seq {
            let BatchBuilder { json, binary, .. } = &mut self.batch;
            let outs = [(json, listening.json), (binary, listening.binary)];
            let is_known = followed.histories.iter().zip(outs).all(|(history, (out, shards))| {
                if shards & (1 << shard) == 0 {
                    return true;
                }
                let changes = history.as_ref().and_then(|history| history.write_after(held, out));
                merged = changes.unwrap_or(merged);
                changes.is_some()
            });
            if !is_known {
                self.batch.cut(&start);
                return false;
            }
        }
        let instrument = self.directory.get(topic.symbol());
        let (seq, ts_event) = (followed.seq, followed.ts_event);
        let about = About { topic, instrument, seq, merged, ts_event };
        self.batch.close(&about, kind, start, 1 << shard);
        true
    }

    fn encode_resumed_trades(&mut self, topic: TopicId, held: u64, kind: Kind, shards: u64) -> bool {
        let symbol = topic.symbol();
        let newest = self.numbers[topic.index()];
        if held > newest {
            return false;
        }
        // The trade that is held, too: a binary record is the difference to the one before.
        let known =
            trades(self.relay.as_deref(), &self.markets, symbol).next().map_or(0, |oldest| oldest.number);
        if held < newest && held < known && !(held == 0 && known == 1) {
            self.encode_gap(topic, held, kind, shards);
            return true;
        }
        let listening = self.bus.handle().interest().of(topic);
        let instrument = self.directory.get(symbol);
        let start = self.batch.end();
        let (mut before, mut old) = (Held::default(), None);
        for record in trades(self.relay.as_deref(), &self.markets, symbol) {
            let (seq, ts_event) = (record.number, record.ts_event);
            let about = About { topic, instrument, seq, merged: 1, ts_event };
            if seq > held && listening.json & shards != 0 {
                if self.batch.json.len() > start.json {
                    self.batch.json.push(b',');
                }
                json::trade_update(&mut self.batch.json, &about.envelope(), seq - 1, &record.trade);
            }
            if seq > held && listening.binary & shards != 0 {
                let out = &mut self.batch.binary;
                binary::trade_update(out, &about.head(), &before, old, &record.trade);
            }
            (before, old) = (Held { seq, ts_event }, Some(&record.trade));
        }
        let merged = u32::try_from(newest - held).unwrap_or(u32::MAX);
        let about = About { topic, instrument, seq: newest, merged, ts_event: before.ts_event };
        self.batch.close(&about, kind, start, shards);
        true
    }

    fn answer_subscribers(&mut self) {
        let mut spent = 0;
        for _ in 0..STATES_PER_TURN_MAX {
            if spent >= STATES_BYTES_PER_TURN_MAX {
                return;
            }
            let Some((topic, shards)) = self.backlog.next() else { return };
            let before = self.batch.bytes();
            self.encode_state(topic, Kind::Requested, 1, shards);
            spent += self.batch.bytes() - before;
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
        let Some(request) = self.admit_request(request) else { return 0 };
        match request {
            Request::States { shard, ticket, epoch, topics } => {
                self.subscriptions += 1;
                let is_plain = topics.iter().all(|wanted| wanted.held.is_none());
                if is_plain && self.asks.iter().all(|ask| ask.shard != shard) {
                    // One that was put off is older than those after it, which have been answered meanwhile.
                    self.answered[shard] = ticket.max(self.answered[shard]);
                    for Wanted { topic, .. } in topics {
                        self.backlog.add(topic, shard);
                    }
                } else {
                    let (topics, whole) = (topics.into_iter(), Vec::new());
                    self.asks.push_back(Ask { shard, ticket, epoch, topics, whole });
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
            Request::Tape { topic, reply } => {
                let tape = self.tape(topic);
                let bytes = tape.records.len();
                let _ = reply.send(tape);
                bytes
            }
            Request::History { topic, limit, reply } => {
                let (seq, json) = self.history(topic, limit);
                let bytes = json.len();
                let _ = reply.send(States { epoch: Arc::clone(&self.epoch), seq, json });
                bytes
            }
        }
    }

    /// The trades of an instrument that are known.
    fn tape(&self, topic: TopicId) -> Tape {
        let symbol = topic.symbol();
        let instrument = self.directory.get(symbol);
        let mut tape = Tape { epoch: Arc::clone(&self.epoch), records: Vec::new() };
        let mut before: Option<&TradeRecord> = None;
        for record in self.markets.of(symbol).trades(symbol) {
            let (seq, ts_event) = (record.number, record.ts_event);
            let head = About { topic, instrument, seq, merged: 1, ts_event }.head();
            match before {
                None => binary::trade_snapshot(&mut tape.records, &head, &self.epoch, Some(&record.trade)),
                Some(before) => {
                    let held = Held { seq: before.number, ts_event: before.ts_event };
                    let old = Some(&before.trade);
                    binary::trade_update(&mut tape.records, &head, &held, old, &record.trade);
                }
            }
            before = Some(record);
        }
        tape
    }

    /// The newest trades or bars, and the number of the newest. At a rate, the last bar is as it was last published.
    fn history(&mut self, topic: TopicId, limit: usize) -> (u64, Vec<u8>) {
        let symbol = topic.symbol();
        let mut seq = self.numbers[topic.index()];
        let mut last = None;
        if topic.rate() != Rate::Raw {
            self.follow_read(topic);
            if let Some(followed) = self.followed.get_mut(topic)
                && let State::Bar(_, bar) = followed.state
            {
                (seq, last) = (followed.seq, Some(bar));
            }
        }
        let instrument = self.directory.get(symbol);
        let mut out = Vec::new();
        match topic.channel() {
            Channel::Trade => {
                let newest: Vec<_> = self.markets.of(symbol).trades(symbol).rev().take(limit).collect();
                for record in newest.into_iter().rev() {
                    separate(&mut out);
                    let envelope = Envelope::new(instrument, record.number, record.ts_event);
                    json::trade_record(&mut out, &envelope, &record.trade);
                }
            }
            Channel::Bar(interval) => {
                let bars = self.markets.of(symbol).bars(symbol, interval).rev().copied();
                let newest: Vec<_> = match last {
                    None => bars.take(limit).collect(),
                    Some(None) => Vec::new(),
                    Some(Some(last)) => {
                        let before = bars.filter(|bar| bar.start < last.start);
                        std::iter::once(last).chain(before).take(limit).collect()
                    }
                };
                for bar in newest.iter().rev() {
                    separate(&mut out);
                    let envelope = Envelope::new(instrument, seq, bar.start);
                    json::bar_record(&mut out, &envelope, bar);
                }
            }
            Channel::Quote | Channel::Book(_) | Channel::Ticker | Channel::Status => {}
        }
        (seq, out)
    }

    /// Encodes the state last published of a topic into the batch, in the encodings that these shards listen for. It
    /// stands for `merged` changes.
    pub(super) fn encode_state(&mut self, topic: TopicId, kind: Kind, merged: u32, shards: u64) {
        if !self.is_known(topic) {
            return;
        }
        self.follow(topic);
        let Some(followed) = self.followed.get_mut(topic) else { return };
        let listening = self.bus.handle().interest().of(topic);
        let start = self.batch.end();
        let instrument = self.directory.get(topic.symbol());
        let (seq, ts_event) = (followed.seq, followed.ts_event);
        let about = About { topic, instrument, seq, merged: 1, ts_event };
        let BatchBuilder { json, binary, .. } = &mut self.batch;
        let mut out = Out {
            json: (listening.json & shards != 0).then_some(json),
            binary: (listening.binary & shards != 0).then_some(binary),
        };
        followed.state.write(&about, &self.epoch, &mut out);
        self.batch.close(&About { merged, ..about }, kind, start, shards);
    }

    /// Writes the state last published of a topic, or the present one where nothing is; says its number.
    fn write_state(&mut self, topic: TopicId, out: &mut Vec<u8>) -> u64 {
        if topic.rate() != Rate::Raw {
            self.follow_read(topic);
        }
        let instrument = self.directory.get(topic.symbol());
        let mut out = Out { json: Some(out), binary: None };
        let mut write = |state: &State, seq, ts_event| {
            let about = About { topic, instrument, seq, merged: 1, ts_event };
            state.write(&about, &self.epoch, &mut out);
            seq
        };
        if let Some(Some(followed)) = self.followed.get(topic) {
            return write(&followed.state, followed.seq, followed.ts_event);
        }
        let (state, seq, ts_event) = self.present(topic);
        write(&state, seq, ts_event)
    }
}

/// The newest trades of an instrument in a row, oldest first: the market's, which is empty at a gateway, or those that
/// came by the bus.
fn trades<'a>(
    relay: Option<&'a Relay>,
    markets: &'a Markets,
    symbol: SymbolId,
) -> impl Iterator<Item = &'a TradeRecord> {
    let mirrored = relay.into_iter().flat_map(move |relay| relay.mirror.trades(symbol));
    mirrored.chain(markets.of(symbol).trades(symbol))
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b',');
    }
}
