//! Topics at rates: their states, their counts, and when they come.

use std::time::Duration;

use feeds::SymbolId;
use proptest::prelude::*;

use super::super::*;
use super::follower::{CHANNELS, Rig, SYMBOLS};
use crate::wire::Encoding;

#[derive(Clone, Debug)]
enum Step {
    Level { symbol: usize, is_bid: bool, price: i64, size: i64 },
    Trade { symbol: usize, price: i64 },
    Status { symbol: usize, reason: u8 },
    Join { channel: usize, symbol: usize, rate: usize, is_binary: bool },
    Cut { client: prop::sample::Index },
    Come { client: prop::sample::Index },
    Tick { millis: u64 },
    Turn,
    Fill,
    Settle,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let symbol = 0..SYMBOLS;
    prop_oneof![
        40 => (symbol.clone(), any::<bool>(), 1_i64..40, 0_i64..4)
            .prop_map(|(symbol, is_bid, price, size)| Step::Level { symbol, is_bid, price, size }),
        10 => (symbol.clone(), 20_i64..80).prop_map(|(symbol, price)| Step::Trade { symbol, price }),
        2 => (symbol.clone(), 0_u8..3).prop_map(|(symbol, reason)| Step::Status { symbol, reason }),
        10 => (0..CHANNELS.len(), symbol, 0..Rate::ALL.len(), any::<bool>())
            .prop_map(|(channel, symbol, rate, is_binary)| Step::Join { channel, symbol, rate, is_binary }),
        5 => any::<prop::sample::Index>().prop_map(|client| Step::Cut { client }),
        5 => any::<prop::sample::Index>().prop_map(|client| Step::Come { client }),
        20 => prop_oneof![4 => 1_u64..400, 1 => 1_000_u64..40_000].prop_map(|millis| Step::Tick { millis }),
        10 => Just(Step::Turn),
        1 => Just(Step::Fill),
        10 => Just(Step::Settle),
        1 => Just(Step::Restart),
    ]
}

/// Clients of shard 1 come, go and come back, at any rate and in both encodings, while the shard takes nothing for long.
fn run(steps: Vec<Step>) {
    let mut rig = Rig::new();
    let reference = rig.clients.len();
    let mut away = Vec::new();
    let mut here: Vec<usize> = Vec::new();
    for step in steps {
        match step {
            Step::Level { symbol, is_bid, price, size } => rig.level(symbol, is_bid, price, size),
            Step::Trade { symbol, price } => rig.trade(symbol, price),
            Step::Status { symbol, reason } => rig.status(symbol, &format!("reason {reason}")),
            Step::Join { channel, symbol, rate, is_binary } => {
                let topic = TopicId::new(CHANNELS[channel], SymbolId::from_index(symbol));
                let rate = if CHANNELS[channel] == Channel::Trade { Rate::Raw } else { Rate::ALL[rate] };
                let encoding = if is_binary { Encoding::Binary } else { Encoding::Json };
                here.push(rig.join(1, topic.at(rate), encoding));
            }
            Step::Cut { client } if !here.is_empty() => {
                let client = here.swap_remove(client.index(here.len()));
                rig.cut(client);
                away.push(client);
            }
            Step::Come { client } if !away.is_empty() => {
                let client = away.swap_remove(client.index(away.len()));
                rig.come(client);
                here.push(client);
            }
            Step::Cut { .. } | Step::Come { .. } => {}
            Step::Tick { millis } => rig.tick(Duration::from_millis(millis)),
            Step::Turn => rig.turn(),
            Step::Fill if !here.is_empty() => {
                let topic = TopicId::new(Channel::Book(Depth::D10), SymbolId(0));
                let filler = rig.join(1, topic, Encoding::Json);
                rig.turn();
                rig.fill();
                here.push(filler);
            }
            Step::Fill => {}
            Step::Settle => rig.check(),
            Step::Restart => rig.restart(),
        }
    }
    rig.check();
    assert!(rig.clients[..reference].iter().all(|client| client.gaps == 0));
}

proptest! {
    #[test]
    fn clients_at_any_rate_hold_the_markets_state_and_count_its_changes(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        run(steps);
    }
}

#[test]
fn a_rate_sends_once_a_period_what_differs_and_nothing_when_nothing_does() {
    let mut rig = Rig::new();
    let quote = TopicId::new(Channel::Quote, SymbolId(0)).at(Rate::Ms250);
    let client = rig.join(1, quote, Encoding::Json);
    rig.settle();
    rig.tick(Duration::ZERO);
    // Ten periods with a change each millisecond.
    for millis in 0..2_500 {
        rig.level(0, true, 30, 1 + millis % 9);
        rig.tick(Duration::from_millis(1));
        rig.settle();
    }
    assert_eq!(rig.clients[client].updates, 10);
    rig.check();
    let updates = rig.clients[client].updates;

    assert_eq!(rig.publisher.tick(rig.now), None, "nothing waits");
    rig.level(0, true, 31, 1);
    rig.level(0, true, 31, 0);
    let due = rig.publisher.tick(rig.now).expect("something waits");
    assert!(due.duration_since(rig.now) <= Duration::from_millis(250));
    rig.tick(Duration::from_secs(1));
    rig.settle();
    assert_eq!(rig.clients[client].updates, updates, "what has changed back is not sent");
    // But it counts: the client checks `n`.
    rig.level(0, true, 31, 5);
    rig.tick(Duration::from_secs(1));
    rig.settle();
    assert_eq!(rig.clients[client].updates, updates + 1);
}

#[test]
fn a_closed_bar_and_a_status_wait_for_nothing() {
    let mut rig = Rig::new();
    let bar = rig.join(1, TopicId::new(Channel::Bar(Interval::S1), SymbolId(0)).at(Rate::S5), Encoding::Json);
    let status = rig.join(1, TopicId::new(Channel::Status, SymbolId(0)).at(Rate::S5), Encoding::Binary);
    rig.settle();
    rig.status(0, "halt");
    rig.settle();
    assert_eq!(rig.clients[status].updates, 1);
    // Seven milliseconds of feed time each: some five seconds.
    for price in 0..700 {
        rig.trade(0, 100 + price);
    }
    rig.settle();
    assert_eq!(rig.clients[bar].updates, 4, "each closed bar, and nothing of the open one");
    rig.check();
}

#[test]
fn neighbours_come_together_and_who_comes_late_keeps_the_beat() {
    let mut rates = Rates::new();
    let start = monotonic();
    let topic = |symbol: usize| TopicId::new(Channel::Quote, SymbolId::from_index(symbol)).at(Rate::S1);
    let mut due = Vec::new();
    rates.take_due(start, &mut due);
    let far = crate::limits::RATE_SLOT_INSTRUMENTS;
    for symbol in [0, 1, far, 3 * far] {
        rates.mark(topic(symbol));
    }
    let mut at = |millis: u64, rates: &mut Rates| {
        rates.take_due(start + Duration::from_millis(millis), &mut due);
        std::mem::take(&mut due)
    };
    assert_eq!(rates.next_due(), Some(start + Duration::from_millis(125)));
    assert_eq!(at(124, &mut rates), []);
    assert_eq!(at(125, &mut rates), [topic(far)]);
    assert_eq!(at(999, &mut rates), [topic(3 * far)]);
    assert_eq!(at(1_000, &mut rates), [topic(0), topic(1)]);
    rates.mark(topic(0));
    rates.mark(topic(far));
    assert_eq!(at(60_050, &mut rates), [topic(far), topic(0)], "each once");
    rates.mark(topic(0));
    assert_eq!(rates.next_due(), Some(start + Duration::from_millis(61_000)));
}
