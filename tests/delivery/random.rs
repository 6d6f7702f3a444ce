//! Random steps: whatever clients do to themselves, they end with the publisher's exact state, or were told.

use std::time::Duration;

use feeds::EventBody;
use proptest::prelude::*;
use tickwire::fanout::{Deflate, Form, Subscribed};
use tickwire::limits::SETTLE_AFTER;
use tickwire::topic::{Channel, Rate, TopicId};
use tickwire::wire::{Encoding, Framing};

use super::pipeline::{CHANNELS, Pipeline};

const SYMBOLS: u32 = 2;
const CLIENTS: usize = 6;
const SHARDS: usize = 2;

#[derive(Clone, Debug)]
enum Step {
    Level {
        symbol: u32,
        side: bool,
        price: i64,
        size: i64,
    },
    Book {
        symbol: u32,
    },
    Trade {
        symbol: u32,
        price: i64,
    },
    Gap {
        symbol: u32,
    },
    Subscribe {
        client: usize,
        channel: usize,
        symbols: Vec<u32>,
        rate: Rate,
    },
    /// Follows what another does.
    Imitate {
        client: usize,
        other: usize,
    },
    Unsubscribe {
        client: usize,
        channel: usize,
        symbol: u32,
    },
    GiveUp {
        client: usize,
    },
    /// Comes back as another, perhaps in another shard.
    Leave {
        client: usize,
        shard: usize,
        form: Form,
    },
    Stall {
        client: usize,
        takes: usize,
    },
    Revive {
        client: usize,
    },
    Drained {
        client: usize,
    },
    Note {
        client: usize,
    },
    Busy,
    Fill {
        symbol: u32,
    },
    Restart,
    /// The publisher takes a turn, a shard takes batches, sends.
    Turn,
    Deliver {
        shard: usize,
    },
    Flush {
        shard: usize,
    },
    Pass {
        millis: u64,
    },
    Settle,
    Check,
}

fn form() -> impl Strategy<Value = Form> {
    let deflate =
        |window_bits, context| Form { deflate: Some(Deflate { window_bits, context }), ..Form::default() };
    prop_oneof![
        2 => Just(Form::default()),
        3 => Just(deflate(15, true)),
        1 => Just(deflate(9, true)),
        1 => Just(deflate(15, false)),
        2 => Just(Form { encoding: Encoding::Binary, ..Form::default() }),
        3 => Just(Form { framing: Framing::Events, ..Form::default() }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let symbol = 0..SYMBOLS;
    let client = 0..CLIENTS;
    let channel = prop_oneof![1 => Just(0), 2 => Just(1), 2 => Just(2), 1 => 3..CHANNELS.len()];
    let shard = 0..SHARDS;
    let rate = prop_oneof![4 => Just(Rate::Raw), 1 => Just(Rate::Ms100)];
    prop_oneof![
        30 => (symbol.clone(), any::<bool>(), 1_i64..40, 0_i64..5)
            .prop_map(|(symbol, side, price, size)| Step::Level { symbol, side, price, size }),
        3 => symbol.clone().prop_map(|symbol| Step::Book { symbol }),
        8 => (symbol.clone(), 20_i64..80).prop_map(|(symbol, price)| Step::Trade { symbol, price }),
        1 => symbol.clone().prop_map(|symbol| Step::Gap { symbol }),
        8 => (client.clone(), channel.clone(), prop::collection::vec(symbol.clone(), 1..3), rate)
            .prop_map(|(client, channel, symbols, rate)| Step::Subscribe { client, channel, symbols, rate }),
        6 => (client.clone(), client.clone()).prop_map(|(client, other)| Step::Imitate { client, other }),
        3 => (client.clone(), channel, symbol.clone())
            .prop_map(|(client, channel, symbol)| Step::Unsubscribe { client, channel, symbol }),
        1 => client.clone().prop_map(|client| Step::GiveUp { client }),
        1 => (client.clone(), shard.clone(), form())
            .prop_map(|(client, shard, form)| Step::Leave { client, shard, form }),
        8 => (client.clone(), 0_usize..3).prop_map(|(client, takes)| Step::Stall { client, takes }),
        8 => client.clone().prop_map(|client| Step::Revive { client }),
        6 => client.clone().prop_map(|client| Step::Drained { client }),
        3 => client.prop_map(|client| Step::Note { client }),
        1 => Just(Step::Busy),
        1 => symbol.prop_map(|symbol| Step::Fill { symbol }),
        1 => Just(Step::Restart),
        6 => Just(Step::Turn),
        6 => shard.clone().prop_map(|shard| Step::Deliver { shard }),
        6 => shard.prop_map(|shard| Step::Flush { shard }),
        6 => prop_oneof![Just(60), Just(u64::try_from(SETTLE_AFTER.as_millis()).expect("short") + 1), Just(1_100)]
            .prop_map(|millis| Step::Pass { millis }),
        8 => Just(Step::Settle),
        1 => Just(Step::Check),
    ]
}

struct Run {
    pipeline: Pipeline,
    /// By number in the steps.
    clients: Vec<usize>,
    /// By shard: who follows everything and never stalls.
    references: Vec<usize>,
}

impl Run {
    fn new(forms: &[Form], has_references: bool) -> Self {
        let mut pipeline = Pipeline::new(SYMBOLS as usize, SHARDS);
        let mut references = Vec::new();
        for shard in 0..SHARDS {
            if has_references {
                let reference = pipeline.join(shard, Form::default());
                for channel in CHANNELS {
                    pipeline.subscribe(reference, channel, &(0..SYMBOLS).collect::<Vec<_>>());
                    pipeline.settle();
                }
                references.push(reference);
            }
        }
        let clients =
            forms.iter().enumerate().map(|(number, &form)| pipeline.join(number % SHARDS, form)).collect();
        Self { pipeline, clients, references }
    }

    /// What a session waits for before it reads the next request.
    fn wait(&mut self, id: usize) {
        if self.pipeline.is_awaiting(id) {
            self.pipeline.settle();
        }
        self.pipeline.flush_one(id);
        if self.pipeline.is_laggard(id) {
            self.pipeline.revive(id);
            self.pipeline.settle();
        }
    }

    fn subscribe(&mut self, id: usize, channel: Channel, rate: Rate, symbols: &[u32]) {
        self.wait(id);
        // Trades are never merged.
        let rate = if channel == Channel::Trade { Rate::Raw } else { rate };
        let subscribed = self.pipeline.try_subscribe(id, channel, rate, symbols);
        assert_ne!(subscribed, Subscribed::Acknowledged);
    }

    fn step(&mut self, step: Step) {
        let pipeline = &mut self.pipeline;
        match step {
            Step::Level { symbol, side, price, size } => pipeline.level(symbol, side, price, size),
            Step::Book { symbol } => pipeline.book(symbol),
            Step::Trade { symbol, price } => pipeline.trade(symbol, price),
            Step::Gap { symbol } => pipeline.event(symbol, EventBody::Gap { expected: 1, found: 3 }),
            Step::Subscribe { client, channel, symbols, rate } => {
                self.subscribe(self.clients[client], CHANNELS[channel], rate, &symbols);
            }
            Step::Imitate { client, other } => {
                let (client, other) = (self.clients[client], self.clients[other]);
                let theirs = pipeline.client(other).wanted.clone();
                let own = pipeline.client(client).wanted.clone();
                for topic in own.difference(&theirs) {
                    self.unsubscribe(client, *topic);
                }
                for topic in theirs.difference(&own) {
                    self.subscribe(client, topic.channel(), topic.rate(), &[topic.symbol().0]);
                }
            }
            Step::Unsubscribe { client, channel, symbol } => {
                let topic = TopicId::new(CHANNELS[channel], feeds::SymbolId(symbol));
                self.unsubscribe(self.clients[client], topic);
            }
            Step::GiveUp { client } => {
                if pipeline.is_awaiting(self.clients[client]) {
                    pipeline.give_up(self.clients[client]);
                }
            }
            Step::Leave { client, shard, form } => {
                let left = pipeline.leave(self.clients[client]);
                self.check_merges(&left);
                self.clients[client] = self.pipeline.join(shard, form);
            }
            Step::Stall { client, takes } => pipeline.stall(self.clients[client], takes),
            Step::Revive { client } => pipeline.revive(self.clients[client]),
            Step::Drained { client } => {
                pipeline.tell_drained(self.clients[client]);
            }
            Step::Note { client } => pipeline.tell(self.clients[client], "psst"),
            Step::Busy => pipeline.keep_busy(),
            Step::Fill { symbol } => {
                if !self.references.is_empty() && !pipeline.publisher.is_behind() {
                    pipeline.fill(symbol);
                }
            }
            Step::Restart => pipeline.restart(),
            Step::Turn => {
                pipeline.publisher.end_turn();
            }
            Step::Deliver { shard } => pipeline.deliver(shard),
            Step::Flush { shard } => pipeline.flush(shard),
            Step::Pass { millis } => pipeline.pass(Duration::from_millis(millis)),
            Step::Settle => pipeline.settle(),
            Step::Check => self.check(),
        }
    }

    fn unsubscribe(&mut self, id: usize, topic: TopicId) {
        if self.pipeline.is_awaiting(id) {
            self.pipeline.settle();
        }
        self.pipeline.unsubscribe(id, topic.channel(), topic.symbol().0);
    }

    fn check(&mut self) {
        self.pipeline.check();
        for client in self.pipeline.clients.iter().flatten() {
            self.check_merges(client);
        }
    }

    /// What a state stood for is what a client was told one by one that missed nothing.
    fn check_merges(&self, client: &super::client::Client) {
        let Some(&reference) = self.references.get(client.seat.0) else { return };
        let reference = self.pipeline.clients[reference].as_ref().expect("it never leaves");
        for merge in &client.merges {
            // At a rate, the shard may have missed other changes.
            if client.rated.contains(&merge.topic) {
                continue;
            }
            let Some(counts) = reference.changes.get(&(merge.epoch.clone(), merge.topic)) else { continue };
            let at = |seq: u64| counts.range(..=seq).next_back().map_or(0, |(_, &count)| count);
            if counts.contains_key(&merge.prev_seq) && counts.contains_key(&merge.seq) {
                assert_eq!(merge.n, at(merge.seq) - at(merge.prev_seq), "{merge:?}");
            }
        }
    }

    fn end(mut self) {
        self.check();
        // Whoever follows nothing any more may still have a cohort for it.
        for id in self.clients.clone() {
            if self.pipeline.client(id).wanted.is_empty() {
                self.pipeline.leave(id);
            }
        }
        self.pipeline.check_cohorts();
        self.pipeline.level(0, true, 39, 77);
        self.pipeline.trade(1, 33);
        self.check();
        self.pipeline.check_end();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_client_holds_what_the_publisher_has_or_was_told(
        forms in prop::collection::vec(form(), CLIENTS),
        has_references: bool,
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let mut run = Run::new(&forms, has_references);
        for step in steps {
            run.step(step);
        }
        run.end();
    }
}

/// A case that has failed once.
#[test]
fn a_status_that_was_asked_for_before_a_restart_is_told_of_again() {
    let mut run = Run::new(&[Form::default(); 3], false);
    let symbols = vec![1];
    for step in [
        Step::Subscribe { client: 2, channel: 6, symbols: symbols.clone(), rate: Rate::Raw },
        Step::Restart,
        Step::Level { symbol: 1, side: false, price: 1, size: 0 },
        Step::Leave { client: 2, shard: 0, form: Form::default() },
        Step::Gap { symbol: 1 },
        Step::Subscribe { client: 0, channel: 6, symbols, rate: Rate::Raw },
    ] {
        run.step(step);
    }
    run.end();
}
