//! The market and the publisher without the service around them, turn by turn.

use std::collections::BTreeMap;
use std::path::PathBuf;

use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, Progress, Timestamp};
use tickwire::bus::{Bus, Kind, Request, ShardEnd, Wanted};
use tickwire::directory::Directory;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::state::StatusState;
use tickwire::topic::TopicId;
use tickwire::wire::Encoding;
use tokio::sync::oneshot;

use super::stream::Stream;

/// Plays recordings from a time on, `turn` messages in each turn, to shards that listen to everything from the first event
/// on.
pub(crate) fn publish(files: &[PathBuf], from: Option<Timestamp>, turn: usize, shards: usize) -> Stream {
    let settings = ReplaySettings { files: files.to_vec(), from, ..ReplaySettings::default() };
    publish_to(&settings, None, turn, shards).stream
}

/// What came of a recording.
#[derive(PartialEq)]
pub(crate) struct Published {
    pub(crate) stream: Stream,
    /// How many were read for it.
    pub(crate) messages: usize,
    /// What a checkpoint at its end would hold of the market and the publisher.
    pub(crate) kept: Vec<u8>,
}

/// Plays recordings to a shard that comes before the first message that is due at `join` or later, and listens to
/// everything.
pub(crate) fn publish_after(settings: &ReplaySettings, join: Timestamp) -> Published {
    publish_to(settings, Some(join), 256, 1)
}

fn publish_to(settings: &ReplaySettings, join: Option<Timestamp>, turn: usize, shards: usize) -> Published {
    let mut feed = Replay::open(settings).expect("sound");
    let directory = Directory::new(feed.instruments());
    let topics: Vec<TopicId> =
        (0..u32::try_from(TopicId::count(directory.len())).expect("few")).map(TopicId).collect();
    let (writer, _quotes) = quote_cache(directory.len());
    let (bus, ends) = Bus::new(topics.len(), shards);
    let handle = bus.handle().clone();
    let mut publisher =
        Publisher::new(directory, writer, bus, Metrics::default(), "epoch".into(), WhenFull::Wait);
    if let Some(state) = feed.take_state() {
        let recalled = publisher.recall(&state).expect("what a publisher kept");
        publisher.take_over(recalled);
    }
    let mut listeners: Vec<Listener> = ends.into_iter().map(Listener::new).collect();
    let listen = |publisher: &mut Publisher, listeners: &mut Vec<Listener>| {
        for listener in &*listeners {
            for (topic, encoding) in topics.iter().flat_map(|topic| Encoding::ALL.map(|one| (*topic, one))) {
                handle.interest().set(topic, encoding, listener.end.shard, true);
            }
            let topics = topics.iter().map(|&topic| Wanted { topic, held: None }).collect();
            let shard = listener.end.shard;
            let request = Request::States { shard, ticket: 1, epoch: "epoch".into(), topics };
            handle.request(request).expect("room");
        }
        while publisher.end_turn() {}
        listeners.iter_mut().for_each(Listener::take);
    };
    if join.is_none() {
        listen(&mut publisher, &mut listeners);
    }

    let mut events = Vec::new();
    let mut in_turn = 0;
    let mut messages = 0;
    let mut to_join = join;
    while let Progress::Message { due } = feed.next_message(&mut events).expect("sound") {
        if to_join.take_if(|join| *join <= due).is_some() {
            listen(&mut publisher, &mut listeners);
        }
        publisher.advance(due);
        publisher.apply(&events);
        if feed.wants_state() {
            feed.keep_state(&publisher.keep().expect("a state"));
        }
        events.clear();
        messages += 1;
        in_turn += 1;
        if in_turn == turn {
            in_turn = 0;
            publisher.end_turn();
            listeners.iter_mut().for_each(Listener::take);
        }
    }
    let kept = publisher.keep().expect("a state");
    publisher.set_feed_state(Some((StatusState::Ended, "end of recording")));
    publisher.end_turn();
    listeners.iter_mut().for_each(Listener::take);

    let mut state = BTreeMap::new();
    for topic in topics {
        let (reply, answer) = oneshot::channel();
        handle.request(Request::Read { topics: vec![topic], reply }).expect("room");
        while publisher.end_turn() {}
        let answer = answer.blocking_recv().expect("an answer");
        let text = String::from_utf8(answer.json).expect("UTF-8");
        let name = format!("{} {}", topic.0, topic.channel().name());
        state.insert(name, format!("{} {text}", answer.seq));
    }
    let first = listeners.pop().expect("a shard").topics;
    for other in listeners {
        assert!(other.topics == first, "two shards were told otherwise");
    }
    Published { stream: Stream { topics: first, state }, messages, kept }
}

struct Listener {
    end: ShardEnd,
    topics: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Listener {
    const fn new(end: ShardEnd) -> Self {
        Self { end, topics: BTreeMap::new() }
    }

    fn take(&mut self) {
        while let Some(batch) = self.end.batches.try_recv() {
            for message in &batch.messages {
                assert!(matches!(message.kind, Kind::Requested | Kind::Update) && message.merged == 1);
                for encoding in Encoding::ALL {
                    let topic = format!("{} {encoding:?}", message.topic.0);
                    let bytes = batch.encoded(message, encoding).to_vec();
                    assert!(!bytes.is_empty(), "{topic}");
                    self.topics.entry(topic).or_default().push(bytes);
                }
            }
        }
    }
}
