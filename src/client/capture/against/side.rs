//! One side of a comparison: what a client makes of what a server sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::answer::Answer;
use super::state::{State, TopicName};
use crate::client::{Client, ClientSettings, Event};
use crate::wire::Encoding;

/// What came of a message.
#[derive(Debug)]
pub(super) enum Made {
    Answer(Answer),
    Step(TopicName, Step),
    /// It proves to be wrong: what, and of which topic.
    Fault(Option<TopicName>, String),
}

/// A topic's way to its next number.
#[derive(Debug)]
pub(super) struct Step {
    /// The capture's line.
    pub(super) line: Option<u64>,
    /// Which of the epochs that came over this connection, from 1.
    pub(super) run: u32,
    pub(super) seq: u64,
    /// `None`: what is before it is lost, as the server says.
    pub(super) state: Option<State>,
}

impl Step {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.state.as_ref().map_or(0, State::bytes)
    }
}

pub(super) struct Side {
    client: Client,
    seen: Seen,
}

/// What is known beside the client.
#[derive(Default)]
struct Seen {
    epoch: Option<Arc<str>>,
    run: u32,
    /// Topics that do not follow what was before them.
    broken: BTreeSet<TopicName>,
    /// Whether the client has given it up.
    is_over: bool,
}

impl Side {
    pub(super) fn new(url: &str, encoding: Encoding) -> Self {
        let client = Client::of_recorded(url, ClientSettings { encoding, ..ClientSettings::default() });
        Self { client, seen: Seen::default() }
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the client has given it up: nothing more is taken.
    pub(super) const fn is_over(&self) -> bool {
        self.seen.is_over
    }

    /// Takes a text message. An answer stands before what it is the answer for.
    pub(super) fn text(&mut self, line: Option<u64>, text: &str) -> Vec<Made> {
        if self.seen.is_over {
            return Vec::new();
        }
        let mut made: Vec<Made> = Answer::all(line, text).into_iter().map(Made::Answer).collect();
        self.client.take_each(text, |client| self.seen.look(line, client, &mut made));
        made
    }

    /// Takes a binary message.
    pub(super) fn records(&mut self, line: Option<u64>, bytes: &[u8]) -> Vec<Made> {
        let mut made = Vec::new();
        if !self.seen.is_over {
            self.client.take_records_each(bytes, |client| self.seen.look(line, client, &mut made));
        }
        made
    }

    /// Whether there may be more of a topic.
    pub(super) fn follows(&self, topic: &TopicName) -> bool {
        let (channel, symbol) = topic;
        !self.seen.broken.contains(topic) && self.client.topic(*channel, symbol.as_str()).is_some()
    }
}

impl Seen {
    fn look(&mut self, line: Option<u64>, client: &mut Client, made: &mut Vec<Made>) {
        while let Some(event) = client.take_event() {
            match event {
                Event::State(update) | Event::Trade(update, _) => {
                    let Some(topic) = client.topic(update.channel, update.symbol.as_str()) else { continue };
                    if topic.epoch() != self.epoch.as_ref() {
                        self.epoch = topic.epoch().cloned();
                        self.run += 1;
                    }
                    let state = State::of(topic, &update);
                    let name = (update.channel, update.symbol);
                    self.broken.remove(&name);
                    if state.is_some() {
                        made.push(Made::Step(name, Step { line, run: self.run, seq: update.seq, state }));
                    }
                }
                Event::Gap { channel, symbol, .. } => {
                    if let Some(topic) = client.topic(channel, symbol.as_str()) {
                        let step = Step { line, run: self.run, seq: topic.seq(), state: None };
                        made.push(Made::Step((channel, symbol), step));
                    }
                }
                Event::Diverged { channel, symbol, divergence } => {
                    self.broken.insert((channel, symbol.clone()));
                    made.push(Made::Fault(Some((channel, symbol)), divergence.to_string()));
                }
                Event::Disconnected(why) => {
                    self.is_over = true;
                    made.push(Made::Fault(None, why.to_string()));
                }
                _ => {}
            }
        }
    }
}
