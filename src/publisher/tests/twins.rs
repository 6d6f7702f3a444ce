//! The twins of instruments: the same as their originals, only later.

use std::time::Duration;

use feeds::SymbolId;
use proptest::prelude::*;

use super::super::*;
use super::follower::{CHANNELS, Data, Rig, SYMBOLS};
use crate::wire::Encoding;

#[derive(Clone, Debug)]
enum Step {
    Level { symbol: usize, is_bid: bool, price: i64, size: i64 },
    Trade { symbol: usize, price: i64 },
    Status { symbol: usize, reason: u8 },
    Late { events: usize },
    GoOn,
    Join { channel: usize, symbol: usize, rate: usize, is_binary: bool },
    Cut { client: prop::sample::Index },
    Come { client: prop::sample::Index },
    Tick { millis: u64 },
    Turn,
    Settle,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let symbol = 0..SYMBOLS;
    prop_oneof![
        40 => (symbol.clone(), any::<bool>(), 1_i64..40, 0_i64..4)
            .prop_map(|(symbol, is_bid, price, size)| Step::Level { symbol, is_bid, price, size }),
        10 => (symbol.clone(), 20_i64..80).prop_map(|(symbol, price)| Step::Trade { symbol, price }),
        2 => (symbol, 0_u8..3).prop_map(|(symbol, reason)| Step::Status { symbol, reason }),
        30 => (1_usize..5).prop_map(|events| Step::Late { events }),
        2 => Just(Step::GoOn),
        10 => (0..CHANNELS.len(), 0..2 * SYMBOLS, 0..Rate::ALL.len(), any::<bool>())
            .prop_map(|(channel, symbol, rate, is_binary)| Step::Join { channel, symbol, rate, is_binary }),
        5 => any::<prop::sample::Index>().prop_map(|client| Step::Cut { client }),
        5 => any::<prop::sample::Index>().prop_map(|client| Step::Come { client }),
        10 => prop_oneof![4 => 1_u64..400, 1 => 1_000_u64..40_000].prop_map(|millis| Step::Tick { millis }),
        10 => Just(Step::Turn),
        5 => Just(Step::Settle),
        2 => Just(Step::Restart),
    ]
}

proptest! {
    /// Of originals and twins, at any rate and in both encodings; each client holds the state of its own, also when the
    /// twins have lost something, and when one of the two begins again.
    #[test]
    fn clients_of_both_hold_their_states_and_count_their_changes(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let mut rig = Rig::with_twins();
        let (mut here, mut away) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Level { symbol, is_bid, price, size } => rig.level(symbol, is_bid, price, size),
                Step::Trade { symbol, price } => rig.trade(symbol, price),
                Step::Status { symbol, reason } => rig.status(symbol, &format!("reason {reason}")),
                Step::Late { events } => (0..events).for_each(|_| rig.late()),
                Step::GoOn => rig.go_on(),
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
                Step::Settle => rig.check(),
                Step::Restart => rig.restart(),
            }
        }
        rig.check();
    }
}

/// What the reference client of a raw topic holds.
fn held(rig: &Rig, topic: TopicId) -> &Data {
    let client = rig.clients.iter().find(|client| client.topic == topic).expect("a reference");
    &client.held.as_ref().expect("a state").data
}

#[test]
fn twins_are_what_their_originals_were() {
    let mut rig = Rig::with_twins();
    let originals = || (0..SYMBOLS).map(SymbolId::from_index);
    for round in 0..40 {
        rig.level(round % SYMBOLS, round % 3 == 0, 20, 1 + i64::try_from(round).expect("small"));
        rig.trade(round % SYMBOLS, 30 + i64::try_from(round % 7).expect("small"));
    }
    rig.settle();
    let topics: Vec<_> = originals()
        .flat_map(|symbol| CHANNELS.map(|channel| (channel, symbol)))
        .filter(|(channel, _)| *channel != Channel::Status)
        .collect();
    let before: Vec<_> =
        topics.iter().map(|&(channel, symbol)| held(&rig, TopicId::new(channel, symbol)).clone()).collect();
    for _ in 0..10 {
        rig.level(0, true, 21, 5);
        rig.trade(1, 77);
    }
    while rig.late.len() > 20 {
        rig.late();
    }
    rig.settle();
    for ((channel, symbol), before) in topics.into_iter().zip(before) {
        let twin = TopicId::new(channel, rig.publisher.directory.twin(symbol));
        assert_eq!(held(&rig, twin), &before, "{channel} of {symbol:?}");
    }
}
