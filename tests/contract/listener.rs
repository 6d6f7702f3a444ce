//! Whoever listens on a bus, as a shard does, and panics wherever the bus does not keep its contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use tickwire::bus::{Batch, Kind, Request, ShardEnd, TopicMessage, Wanted};
use tickwire::topic::{Channel, TopicId};
use tickwire::wire::Encoding;

/// A state: fields by name, a book's sides by price.
pub(crate) type Fields = BTreeMap<String, Value>;

#[derive(Debug, Default)]
struct Followed {
    /// The request that is to be answered with a state.
    ticket: Option<u64>,
    /// The number and the state; `None` before the first.
    state: Option<(u64, Fields)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) states: u64,
    pub(crate) updates: u64,
    pub(crate) resumed: u64,
    pub(crate) trades: u64,
    pub(crate) lost_trades: u64,
    pub(crate) restarts: u64,
}

pub(crate) struct Listener {
    end: ShardEnd,
    epoch: Option<Arc<str>>,
    tickets: u64,
    topics: BTreeMap<TopicId, Followed>,
    pub(crate) counts: Counts,
}

impl Listener {
    pub(crate) fn new(end: ShardEnd) -> Self {
        Self { end, epoch: None, tickets: 0, topics: BTreeMap::new(), counts: Counts::default() }
    }

    /// Follows topics, from what is held of them on if anything is.
    pub(crate) fn follow(&mut self, topics: &[TopicId]) {
        let shard = self.end.shard;
        self.tickets += 1;
        let mut wanted = Vec::new();
        for &topic in topics {
            for encoding in Encoding::ALL {
                self.end.bus.interest().set(topic, encoding, shard, true);
            }
            let followed = self.topics.entry(topic).or_default();
            followed.ticket = Some(self.tickets);
            wanted.push(Wanted { topic, held: followed.state.as_ref().map(|(seq, _)| *seq) });
        }
        let epoch = self.epoch.clone().unwrap_or_else(|| "none".into());
        let request = Request::States { shard, ticket: self.tickets, epoch, topics: wanted };
        self.end.bus.request(request).expect("room");
    }

    /// Listens no more, and keeps what it holds.
    pub(crate) fn leave(&mut self, topics: &[TopicId]) {
        for &topic in topics {
            for encoding in Encoding::ALL {
                self.end.bus.interest().set(topic, encoding, self.end.shard, false);
            }
            self.topics.get_mut(&topic).expect("followed").ticket = Some(u64::MAX);
        }
    }

    /// Holds from now on what another holds: a client that comes here from there.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.epoch.clone_from(&other.epoch);
        for (&topic, followed) in &other.topics {
            self.topics.insert(topic, Followed { ticket: None, state: followed.state.clone() });
        }
    }

    pub(crate) fn seq(&self, topic: TopicId) -> u64 {
        self.topics[&topic].state.as_ref().map_or(0, |(seq, _)| *seq)
    }

    /// The state, of a topic that is answered, with `epoch` and `seq`.
    pub(crate) fn state(&self, topic: TopicId) -> Option<(Arc<str>, u64, Fields)> {
        let followed = &self.topics[&topic];
        let (seq, fields) = followed.state.clone().filter(|_| followed.ticket.is_none())?;
        Some((self.epoch.clone()?, seq, fields))
    }

    /// Takes what has come.
    pub(crate) fn take(&mut self) {
        while let Some(batch) = self.end.batches.try_recv() {
            if self.epoch.as_ref() != Some(&batch.epoch) {
                self.counts.restarts += u64::from(self.epoch.is_some());
                self.epoch = Some(Arc::clone(&batch.epoch));
                for followed in self.topics.values_mut() {
                    followed.state = None;
                }
            }
            for message in &batch.messages {
                self.take_message(&batch, message);
            }
        }
    }

    fn take_message(&mut self, batch: &Batch, message: &TopicMessage) {
        let shard = self.end.shard;
        let answered = batch.answered.get(shard).copied().unwrap_or(0);
        let Some(followed) = self.topics.get_mut(&message.topic) else { return };
        let text = String::from_utf8(batch.encoded(message, Encoding::Json).to_vec()).expect("UTF-8");
        let counts = &mut self.counts;
        match message.kind {
            Kind::Requested | Kind::Snapshot => {
                let is_answer = followed.ticket.is_some_and(|ticket| ticket <= answered);
                let is_for_all = message.kind == Kind::Snapshot && followed.ticket.is_none();
                if !is_answer && !is_for_all {
                    return;
                }
                let object = object(&text);
                assert_eq!(object["epoch"], *batch.epoch, "{text}");
                assert_eq!(
                    (&object["type"], &object["seq"]),
                    (&"snapshot".into(), &message.seq.into()),
                    "{text}"
                );
                if let Some((held, _)) = followed.state.as_ref().filter(|_| is_for_all) {
                    assert!(message.seq > *held, "it goes back from {held}: {text}");
                }
                followed.ticket = None;
                followed.state = Some((message.seq, fields(&object)));
                counts.states += 1;
            }
            Kind::Update if followed.ticket.is_none() => followed.update(&object(&text), counts),
            Kind::Gap if followed.ticket.is_none() => followed.gap(&object(&text), counts),
            Kind::Resumed { shard: of, ticket } if of == shard && followed.ticket == Some(ticket) => {
                followed.ticket = None;
                counts.resumed += 1;
                let objects: Vec<Map<String, Value>> =
                    serde_json::from_str(&format!("[{text}]")).expect("objects");
                for object in &objects {
                    match object["type"].as_str() {
                        Some("update") => followed.update(object, counts),
                        _ => followed.gap(object, counts),
                    }
                }
                assert_eq!(followed.state.as_ref().map(|(seq, _)| *seq), Some(message.seq), "{text}");
            }
            Kind::Update | Kind::Gap | Kind::Resumed { .. } => {}
        }
    }
}

impl Followed {
    fn update(&mut self, object: &Map<String, Value>, counts: &mut Counts) {
        let (held, state) = self.state.as_mut().expect("no update before a state");
        assert_eq!(object["type"], "update", "{object:?}");
        assert_eq!(object["prev_seq"], *held, "a hole: {object:?}");
        *held = object["seq"].as_u64().expect("a number");
        counts.updates += 1;
        counts.trades += u64::from(object["channel"] == "trade");
        for (name, value) in fields(object) {
            let is_side = matches!(name.as_str(), "bids" | "asks");
            match state.get_mut(&name) {
                Some(Value::Object(levels)) if is_side => {
                    let Value::Object(changes) = value else { panic!("a side is an object") };
                    levels.extend(changes);
                    levels.retain(|_, size| {
                        size.as_str().is_some_and(|size| size.contains(|c| !matches!(c, '0' | '.')))
                    });
                }
                _ => {
                    state.insert(name, value);
                }
            }
        }
    }

    fn gap(&mut self, object: &Map<String, Value>, counts: &mut Counts) {
        let (held, state) = self.state.as_mut().expect("no gap before a state");
        assert_eq!((&object["channel"], &object["type"]), (&"trade".into(), &"gap".into()), "{object:?}");
        assert_eq!(object["from"], *held + 1, "{object:?}");
        let to = object["to"].as_u64().expect("a number");
        counts.lost_trades += to - *held;
        *held = to;
        // What the newest trade was is not told by a gap.
        state.clear();
    }
}

fn object(text: &str) -> Map<String, Value> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// What is a topic's state in an object of it.
pub(crate) fn fields(object: &Map<String, Value>) -> Fields {
    const ABOUT: [&str; 9] =
        ["type", "symbol", "epoch", "seq", "prev_seq", "n", "ts_event", "checksum", "channel"];
    let levels = |value: &Value| {
        let rows = value.as_array().expect("a list").iter();
        Value::Object(
            rows.map(|row| (row[0].as_str().expect("a price").to_owned(), row[1].clone())).collect(),
        )
    };
    let state = object.iter().filter(|(name, _)| !ABOUT.contains(&name.as_str()));
    state
        .map(|(name, value)| {
            let is_side = matches!(name.as_str(), "bids" | "asks");
            (name.clone(), if is_side { levels(value) } else { value.clone() })
        })
        .collect()
}

/// All raw topics of so many instruments.
pub(crate) fn all_topics(instruments: u32) -> Vec<TopicId> {
    let of = |symbol| Channel::ALL.map(|channel| TopicId::new(channel, feeds::SymbolId(symbol)));
    (0..instruments).flat_map(of).collect()
}
