//! A client that believes nothing: each message must continue what it holds, or say why it does not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use feeds::Timestamp;
use flate2::{Decompress, FlushDecompress, Status};
use serde_json::{Map, Value};
use tickwire::directory::{Class, Directory};
use tickwire::fanout::{Connection, Deflate, Form, Sent};
use tickwire::topic::{Channel, Rate, TopicId};
use tickwire::wire::binary::{self, What, decode_records};
use tickwire::wire::{Encoding, Framing};

use super::state::{Data, Fields, Held};

const RSV1: u8 = 0x40;

pub(crate) struct Client {
    /// Its shard, and its connection there.
    pub(crate) seat: (usize, Connection),
    pub(crate) form: Form,
    /// What the test has it follow, at which rate.
    pub(crate) wanted: BTreeSet<TopicId>,
    /// What it has followed at a rate.
    pub(crate) rated: BTreeSet<TopicId>,
    /// What it was told that it follows.
    followed: BTreeSet<TopicId>,
    pub(crate) topics: BTreeMap<TopicId, Held>,
    /// Numbers of states that were granted, and are yet to come.
    granted: BTreeMap<TopicId, u64>,
    directory: Directory,
    inflater: Decompress,
    /// What its socket holds: all that was sent to it and that it has not read.
    inbox: VecDeque<Vec<u8>>,
    /// How many more messages its socket takes before it refuses; `None`: it is not stalled.
    pub(crate) takes: Option<usize>,
    /// Every frame that it was sent.
    pub(crate) frames: Vec<Vec<u8>>,
    pub(crate) gaps: Vec<(u64, u64)>,
    /// Snapshots that named the state before them.
    pub(crate) merges: Vec<Merge>,
    /// By run and topic: how many changes led to the state of each number, as far as it was told.
    pub(crate) changes: BTreeMap<(String, TopicId), BTreeMap<u64, u64>>,
}

/// A state in place of so many changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) topic: TopicId,
    pub(crate) epoch: String,
    pub(crate) prev_seq: u64,
    pub(crate) seq: u64,
    pub(crate) n: u64,
}

impl Client {
    pub(crate) fn new(seat: (usize, Connection), form: Form, directory: Directory) -> Self {
        let window_bits = form.deflate.map_or(15, |deflate| deflate.window_bits);
        Self {
            seat,
            form,
            wanted: BTreeSet::new(),
            rated: BTreeSet::new(),
            followed: BTreeSet::new(),
            topics: BTreeMap::new(),
            granted: BTreeMap::new(),
            directory,
            inflater: Decompress::new_with_window_bits(false, window_bits),
            inbox: VecDeque::new(),
            takes: None,
            frames: Vec::new(),
            gaps: Vec::new(),
            merges: Vec::new(),
            changes: BTreeMap::new(),
        }
    }

    /// Its socket gets a message.
    pub(crate) fn send(&mut self, frame: &[u8]) -> Sent {
        self.frames.push(frame.to_vec());
        self.inbox.push_back(frame.to_vec());
        match &mut self.takes {
            None => Sent::Taken,
            Some(0) => Sent::Refused,
            Some(more) => {
                *more -= 1;
                Sent::Taken
            }
        }
    }

    pub(crate) const fn is_stalled(&self) -> bool {
        self.takes.is_some()
    }

    /// Reads all that its socket holds.
    pub(crate) fn read(&mut self) {
        while let Some(frame) = self.inbox.pop_front() {
            self.take(&frame);
        }
    }

    /// It has been told all that the test did, and has got what it was promised.
    pub(crate) fn assert_is_quiet(&self) {
        let wanted: BTreeSet<_> = self.wanted.iter().map(|topic| topic.at(Rate::Raw)).collect();
        assert_eq!(self.followed, wanted);
        assert_eq!(self.granted, BTreeMap::new(), "granted, but not sent");
    }

    fn take(&mut self, frame: &[u8]) {
        if self.form.framing == Framing::Events {
            return self.take_event(std::str::from_utf8(frame).expect("UTF-8"));
        }
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let mut payload = frame[header..].to_vec();
        if frame[0] & RSV1 != 0 {
            let deflate = self.form.deflate.expect("nothing compressed that was not agreed upon");
            payload = self.inflate(deflate, payload);
        }
        match frame[0] & !RSV1 {
            0x81 => {
                let text = std::str::from_utf8(&payload).expect("UTF-8");
                self.take_text(text);
            }
            0x82 => self.take_binary(&payload),
            first => panic!("a frame that begins with {first:#x}"),
        }
    }

    /// An event is one message, and its id names all that the client holds.
    fn take_event(&mut self, event: &str) {
        let lines: Vec<&str> = event.strip_suffix("\n\n").expect("a whole event").split('\n').collect();
        self.take_text(lines[0].strip_prefix("data: ").expect("data comes first"));
        let id = match lines[1..] {
            [] => return,
            [id] => id.strip_prefix("id: ").expect("an id"),
            _ => panic!("{event}"),
        };
        let (epoch, seqs) = seqs_of(id);
        let held = self
            .followed
            .iter()
            .map(|topic| self.topics.get(topic).filter(|held| held.epoch == epoch).map(|held| held.seq));
        let mut held: Vec<_> = held.collect();
        // Topics at a rate stand elsewhere in the order.
        held.sort_unstable();
        assert_eq!(seqs, held, "{event}");
    }

    fn take_text(&mut self, text: &str) {
        let objects: Vec<Map<String, Value>> = serde_json::from_str(text).expect("a JSON array of objects");
        objects.into_iter().for_each(|object| self.take_json(object));
    }

    fn inflate(&mut self, deflate: Deflate, mut payload: Vec<u8>) -> Vec<u8> {
        if !deflate.context {
            self.inflater.reset(false);
        }
        payload.extend([0, 0, 0xff, 0xff]);
        let (mut out, mut rest) = (Vec::new(), payload.as_slice());
        loop {
            out.reserve(64 * 1024);
            let before = self.inflater.total_in();
            let status = self.inflater.decompress_vec(rest, &mut out, FlushDecompress::Sync);
            assert!(matches!(status, Ok(Status::Ok | Status::BufError)), "{status:?}");
            rest = &rest[usize::try_from(self.inflater.total_in() - before).expect("small")..];
            if rest.is_empty() && out.len() < out.capacity() {
                return out;
            }
        }
    }

    fn take_json(&mut self, object: Map<String, Value>) {
        let Some(kind) = object.get("type").and_then(Value::as_str).map(str::to_owned) else {
            return self.take_answer(&object);
        };
        assert_eq!(self.form.encoding, Encoding::Json);
        let topic = self.topic(&object, &object["symbol"]);
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let seq = number("seq").expect("a number");
        let ts_event = Timestamp(object["ts_event"].as_i64().expect("a time") * 1_000);
        match kind.as_str() {
            "snapshot" => {
                let epoch = object["epoch"].as_str().expect("an epoch").to_owned();
                let merged = number("prev_seq").map(|prev_seq| (prev_seq, number("n").expect("a count")));
                let mut fields = Fields::default();
                fields.merge(object);
                let data = Data::Json(fields);
                self.take_snapshot(topic, merged, Held { seq, epoch, ts_event, is_after_gap: false, data });
            }
            "update" => {
                let (prev_seq, n) = (number("prev_seq"), number("n").unwrap_or(1));
                let held = self.continued(topic, &object);
                assert_eq!(prev_seq, Some(held.seq), "{object:?}");
                let Data::Json(fields) = &mut held.data else { panic!("JSON") };
                fields.merge(object);
                held.is_after_gap = false;
                (held.seq, held.ts_event) = (seq, ts_event);
                self.count(topic, n);
            }
            "gap" => {
                let held = self.continued(topic, &object);
                assert_eq!(number("prev_seq"), Some(held.seq), "{object:?}");
                assert_eq!((number("from"), number("to")), (Some(held.seq + 1), Some(seq)));
                self.take_gap(topic, seq);
            }
            other => panic!("a message of type {other}"),
        }
    }

    fn take_binary(&mut self, records: &[u8]) {
        assert_eq!(self.form.encoding, Encoding::Binary);
        let mut merged = None;
        for record in decode_records(records) {
            let record = record.expect("a record");
            // Which rate it is at is not what it is of.
            let topic = record.topic.at(Rate::Raw);
            assert!(self.followed.contains(&topic), "{topic:?} was not asked for: {record:?}");
            match record.what {
                What::Merged(said) => {
                    assert_eq!(merged.replace((topic, said.prev_seq, u64::from(said.n))), None);
                }
                What::Snapshot(snapshot) => {
                    let mut data = Data::nothing(topic.channel());
                    if let Some(change) = snapshot.change {
                        data.apply(topic.channel(), &change);
                    }
                    let (seq, ts_event) = (snapshot.seq, snapshot.ts_event);
                    let epoch = snapshot.epoch.to_owned();
                    let merged = merged.take().map(|(of, prev_seq, n)| {
                        assert_eq!(of, topic);
                        (prev_seq, n)
                    });
                    let held = Held { seq, epoch, ts_event, is_after_gap: false, data };
                    self.take_snapshot(topic, merged, held);
                }
                What::Update(update) => {
                    let held = self.continued(topic, &update);
                    let before = binary::Held { seq: held.seq, ts_event: held.ts_event };
                    let next = update.follow(&before).expect("nothing was missed");
                    held.data.apply(topic.channel(), &update.change);
                    (held.seq, held.ts_event) = (next.seq, next.ts_event);
                    self.count(topic, update.merged.into());
                }
                What::Gap(gap) => {
                    assert_eq!(gap.prev_seq, self.continued(topic, &gap).seq);
                    self.take_gap(topic, gap.seq);
                }
            }
        }
        assert_eq!(merged, None, "what was merged follows");
    }

    fn take_snapshot(&mut self, topic: TopicId, merged: Option<(u64, u64)>, new: Held) {
        if let Some(granted) = self.granted.remove(&topic) {
            assert_eq!((new.seq, merged), (granted, None), "what was granted comes first");
        } else {
            let held = self.topics.get(&topic).expect("granted before");
            if let Some((prev_seq, n)) = merged {
                assert_eq!((prev_seq, &held.epoch), (held.seq, &new.epoch), "{topic:?} {new:?}");
                let merge = Merge { topic, epoch: new.epoch.clone(), prev_seq, seq: new.seq, n };
                self.merges.push(merge);
            } else {
                assert!(
                    held.epoch != new.epoch || held.seq == new.seq,
                    "{topic:?} {}: {new:?} is told of as if it followed {held:?}",
                    topic.channel()
                );
            }
        }
        let n = merged.map_or(0, |(_, n)| n);
        self.topics.insert(topic, new);
        self.count(topic, n);
    }

    fn take_gap(&mut self, topic: TopicId, seq: u64) {
        assert_eq!(topic.channel(), Channel::Trade);
        let held = self.topics.get_mut(&topic).expect("held");
        self.gaps.push((held.seq + 1, seq));
        let lost = seq - held.seq;
        assert!(lost > 0);
        held.seq = seq;
        held.is_after_gap = true;
        self.count(topic, lost);
    }

    /// What the topic's next change is a change of.
    fn continued(&mut self, topic: TopicId, message: &impl std::fmt::Debug) -> &mut Held {
        assert!(!self.granted.contains_key(&topic), "its snapshot comes first: {topic:?} {message:?}");
        self.topics.get_mut(&topic).expect("a change of a state")
    }

    fn count(&mut self, topic: TopicId, n: u64) {
        let held = &self.topics[&topic];
        let counts = self.changes.entry((held.epoch.clone(), topic)).or_default();
        let before = counts.last_key_value().map_or(0, |(_, &count)| count);
        counts.insert(held.seq, before + n);
    }

    fn take_answer(&mut self, object: &Map<String, Value>) {
        assert_eq!(object["success"], true, "{object:?}");
        let none = Value::Null;
        let result = object.get("result").unwrap_or(&none);
        match object["method"].as_str() {
            Some("subscribe") => {
                for granted in result["granted"].as_array().expect("an array") {
                    let topic = self.topic(result.as_object().expect("an object"), &granted["symbol"]);
                    self.followed.insert(topic);
                    self.granted.insert(topic, granted["seq"].as_u64().expect("a number"));
                }
                for rejected in result["rejected"].as_array().expect("an array") {
                    let topic = self.find(result.as_object().expect("an object"), &rejected["symbol"]);
                    self.followed.remove(&topic);
                    self.topics.remove(&topic);
                }
            }
            Some("unsubscribe") => {
                for symbol in result["removed"].as_array().expect("an array") {
                    let topic = self.topic(result.as_object().expect("an object"), symbol);
                    assert!(self.followed.remove(&topic));
                    self.granted.remove(&topic);
                    self.topics.remove(&topic);
                }
            }
            Some("note") => {}
            other => panic!("an answer to {other:?}"),
        }
    }

    /// The topic that a message is about, which must be followed; of an answer, the one that it names.
    fn topic(&self, object: &Map<String, Value>, symbol: &Value) -> TopicId {
        let topic = self.find(object, symbol);
        let is_answer = !object.contains_key("type");
        assert!(is_answer || self.followed.contains(&topic), "{topic:?} was not asked for: {object:?}");
        topic
    }

    fn find(&self, object: &Map<String, Value>, symbol: &Value) -> TopicId {
        let symbol =
            self.directory.find(symbol.as_str().expect("a symbol"), Class::RealTime).expect("a known symbol");
        let is = |channel: &&Channel| {
            channel.name() == object["channel"]
                && match channel {
                    Channel::Book(depth) => object["depth"] == depth.levels(),
                    Channel::Bar(interval) => object["interval"] == interval.as_str(),
                    _ => true,
                }
        };
        TopicId::new(*Channel::ALL.iter().find(is).expect("a known channel"), symbol)
    }
}

/// The run and the numbers, in their order, that an event's id names, as `protocol.md` has it.
fn seqs_of(id: &str) -> (&str, Vec<Option<u64>>) {
    let (epoch, held) = id.split_once(':').expect("an epoch");
    let Some(held) = held.strip_prefix('~') else { return (epoch, vec![held.parse().ok()]) };
    let bytes = data_encoding::BASE64URL_NOPAD.decode(held.as_bytes()).expect("base64url");
    let (mut seqs, mut number, mut shift) = (Vec::new(), 0, 0);
    for byte in &bytes[8..] {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            seqs.push(u64::checked_sub(number, 1));
            (number, shift) = (0, 0);
        }
    }
    seqs.sort_unstable();
    (epoch, seqs)
}
