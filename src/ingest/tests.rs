//! A feed that is played once and seen twice: at once, and late.

use std::collections::{BTreeMap, VecDeque};
use std::thread::JoinHandle;

use feeds::Instrument;
use feeds::sim::{Sim, SimSettings};
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::bus::{Bus, Request, ShardEnd, Wanted};
use crate::directory::{Class, Directory};
use crate::market::quotes::quote_cache;
use crate::publisher::WhenFull;
use crate::topic::{Channel, TopicId};
use crate::wire::Encoding;

const INSTRUMENTS: usize = 3;

/// Messages of a simulated market, and perhaps a beginning anew between them, as fast as they are taken.
struct Script {
    instruments: Vec<Instrument>,
    /// `None`: it begins anew.
    messages: VecDeque<Option<(Timestamp, Vec<MarketEvent>)>>,
}

impl Script {
    fn new(messages: usize, restart_at: Option<usize>) -> Self {
        let settings = SimSettings { instruments: INSTRUMENTS, ..SimSettings::default() };
        let mut sim = Sim::new(settings).expect("a market");
        let mut script = Self { instruments: sim.instruments().to_vec(), messages: VecDeque::new() };
        for number in 0..messages {
            if restart_at == Some(number) {
                script.messages.push_back(None);
            }
            let mut events = Vec::new();
            let Ok(Progress::Message { due }) = sim.next_message(&mut events) else {
                panic!("it never ends")
            };
            script.messages.push_back(Some((due, events)));
        }
        script
    }
}

impl Feed for Script {
    fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    fn next_message(&mut self, events: &mut Vec<MarketEvent>) -> Result<Progress, FeedError> {
        Ok(match self.messages.pop_front() {
            Some(Some((due, message))) => {
                events.extend(message);
                Progress::Message { due }
            }
            Some(None) => Progress::Restarted,
            None => Progress::Ended,
        })
    }
}

/// The ingest in a thread of its own, and a shard that listens to everything in both encodings.
struct Rig {
    directory: Directory,
    end: ShardEnd,
    control: Control,
    metrics: Metrics,
    ingest: Option<JoinHandle<()>>,
    /// By topic, each message in both encodings, the binary one without the topic's number.
    received: BTreeMap<TopicId, Vec<(String, Vec<u8>)>>,
}

impl Rig {
    fn play(script: Script, delay: DelaySettings) -> Self {
        let directory = Directory::with_twins(script.instruments());
        let (bus, mut ends) = Bus::new(TopicId::count(directory.len()), 1);
        let end = ends.pop().expect("a shard");
        let (control, metrics) = (Control::default(), Metrics::default());
        let quotes = quote_cache(directory.len()).0;
        let publisher =
            Publisher::new(directory.clone(), quotes, bus, metrics.clone(), "e0".into(), WhenFull::Wait);
        let settings = Settings {
            speed: Speed::Max,
            wait_clients: 1,
            stale_after: Duration::from_secs(60),
            delay: Some(delay),
        };
        let ingest = {
            let (control, metrics) = (control.clone(), metrics.clone());
            std::thread::spawn(move || {
                run(Box::new(script), publisher, settings, &Clock::System, &control, &metrics);
            })
        };
        let mut rig =
            Self { directory, end, control, metrics, ingest: Some(ingest), received: BTreeMap::new() };
        rig.listen();
        rig
    }

    fn topics(&self) -> Vec<TopicId> {
        let symbols: Vec<_> = self.directory.iter().map(|(symbol, _)| symbol).collect();
        symbols
            .into_iter()
            .flat_map(|symbol| Channel::ALL.map(|channel| TopicId::new(channel, symbol)))
            .collect()
    }

    fn listen(&mut self) {
        let topics = self.topics();
        for encoding in Encoding::ALL {
            topics.iter().for_each(|&topic| self.end.bus.interest().set(topic, encoding, 0, true));
        }
        let wanted = topics.iter().map(|&topic| Wanted { topic, held: None }).collect();
        let request = Request::States { shard: 0, ticket: 1, epoch: "none".into(), topics: wanted };
        self.end.bus.request(request).expect("room");
        self.receive_until(|rig| rig.received.len() == topics.len());
        self.end.bus.subscriber_joined();
    }

    fn receive_until(&mut self, is_enough: impl Fn(&Self) -> bool) {
        while !is_enough(self) {
            let Some(batch) = self.end.batches.try_recv() else {
                std::thread::yield_now();
                continue;
            };
            for message in &batch.messages {
                let json = String::from_utf8(batch.encoded(message, Encoding::Json).to_vec()).expect("UTF-8");
                let binary = batch.encoded(message, Encoding::Binary);
                let number = binary.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
                let form = binary.first().map_or(0, |byte| byte & 3);
                let binary = [&[form], binary.get(number..).unwrap_or_default()].concat();
                self.received.entry(message.topic).or_default().push((json, binary));
            }
        }
    }

    /// Each state and reason that the instruments of a class had.
    fn states(&self, class: Class) -> Vec<Vec<(String, String)>> {
        let topics = self.directory.of(class).map(|(symbol, _)| TopicId::new(Channel::Status, symbol));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let state = |(json, _): &(String, Vec<u8>)| {
            let object: Value = serde_json::from_str(json).expect("an object");
            (text(&object["state"]), text(&object["reason"]))
        };
        topics.map(|topic| self.received[&topic].iter().map(state).collect()).collect()
    }

    fn receive_to_the_end(&mut self) {
        self.receive_until(|rig| {
            let states = rig.states(Class::Delayed);
            states.iter().all(|states| states.last().is_some_and(|(state, _)| state == "ended"))
        });
    }

    /// The present state of a topic.
    fn read(&mut self, topic: TopicId) -> Value {
        let (reply, mut receiver) = oneshot::channel();
        self.end.bus.request(Request::Read { topics: vec![topic], reply }).expect("room");
        loop {
            if let Ok(states) = receiver.try_recv() {
                let mut state: Value = serde_json::from_slice(&states.json).expect("an object");
                // After a gap they are those of the state that it went on from.
                let fields = state.as_object_mut().expect("an object");
                fields.retain(|name, _| name != "seq" && name != "ts_event");
                return state;
            }
            std::thread::yield_now();
        }
    }

    fn assert_twins_are_as_their_originals(&mut self) {
        let originals: Vec<_> = self.directory.of(Class::RealTime).map(|(symbol, _)| symbol).collect();
        for original in originals {
            for channel in Channel::ALL {
                let topic = TopicId::new(channel, original);
                let twin = TopicId::new(channel, self.directory.twin(original));
                assert_eq!(self.read(twin), self.read(topic), "{channel} of {original:?}");
            }
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.control.stop();
        self.end.bus.wake();
        let ended = self.ingest.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_some_and(|ended| ended.is_ok()));
    }
}

#[test]
fn what_is_late_is_the_same_byte_for_byte() {
    let by = Duration::from_millis(200);
    let mut rig = Rig::play(Script::new(20_000, None), DelaySettings { by, bytes_max: 64 << 20 });
    rig.receive_to_the_end();
    let of = |topic: TopicId| &rig.received[&topic];
    let mut messages = 0;
    for (original, _) in rig.directory.of(Class::RealTime) {
        for channel in Channel::ALL.into_iter().filter(|&channel| channel != Channel::Status) {
            let topic = TopicId::new(channel, original);
            let twin = TopicId::new(channel, rig.directory.twin(original));
            assert_eq!(of(topic), of(twin), "{channel} of {original:?}");
            messages += of(topic).len();
        }
    }
    assert!(messages > 20_000, "{messages}");
    let [at_once, late] = [Class::RealTime, Class::Delayed].map(|class| rig.states(class));
    for (at_once, late) in at_once.iter().zip(&late) {
        assert_eq!(late[0], ("stale".to_owned(), "data begins 200ms after the feed".to_owned()));
        assert_eq!(&late[1..], at_once);
    }
    assert_eq!(rig.metrics.delay_gaps_total().get(), 0);
    assert_eq!(rig.metrics.feed_messages_total().get(), 20_000, "each counts once");
    rig.assert_twins_are_as_their_originals();
}

#[test]
fn where_there_is_no_room_it_goes_on_from_a_state_after_the_gap() {
    let by = Duration::from_millis(200);
    let mut rig = Rig::play(Script::new(20_000, None), DelaySettings { by, bytes_max: 96 << 10 });
    rig.receive_to_the_end();
    assert!(rig.metrics.delay_gaps_total().get() > 0);
    for states in rig.states(Class::Delayed) {
        let lost = ("stale".to_owned(), "delayed data lost".to_owned());
        let at = states.iter().position(|state| *state == lost).expect("it is told");
        assert_ne!(at + 1, states.len(), "and told when it is over");
    }
    for (original, _) in rig.directory.of(Class::RealTime) {
        let trades = &rig.received[&TopicId::new(Channel::Trade, rig.directory.twin(original))];
        assert!(trades.iter().any(|(json, _)| json.contains(r#""type":"gap""#)), "lost trades are told");
    }
    rig.assert_twins_are_as_their_originals();
}

#[test]
fn a_feed_that_begins_anew_does_so_late_too() {
    for bytes_max in [64 << 20, 96 << 10] {
        let delay = DelaySettings { by: Duration::from_millis(200), bytes_max };
        let mut rig = Rig::play(Script::new(12_000, Some(9_000)), delay);
        rig.receive_to_the_end();
        rig.assert_twins_are_as_their_originals();
        let trade = TopicId::new(Channel::Trade, rig.directory.twin(feeds::SymbolId(0)));
        let epochs = rig.received[&trade].iter().filter(|(json, _)| json.contains("\"epoch\"")).count();
        assert!(epochs >= 3, "the first, that of the originals, and its own");
    }
}
