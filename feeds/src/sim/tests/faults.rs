//! Each fault against the same market without it: nothing else is different, and a snapshot heals the book.

use std::time::Duration;

use super::super::{Silence, SimFaults};
use super::*;

const EVERY: Duration = Duration::from_secs(10);
const RESYNC: i64 = SECOND / 4;

type Message = (Timestamp, Vec<MarketEvent>);

/// The messages of less than so many seconds.
fn messages(faults: SimFaults, mode: SimMode, seconds: i64) -> Vec<Message> {
    let mut sim = sim(SimSettings { instruments: 20, mode, faults, ..SimSettings::default() });
    let mut messages = Vec::new();
    loop {
        let mut events = Vec::new();
        let due = step(&mut sim, &mut events);
        if due.0 >= seconds * SECOND {
            return messages;
        }
        messages.push((due, events));
    }
}

fn clean(mode: SimMode, seconds: i64) -> Vec<Message> {
    messages(SimFaults::default(), mode, seconds)
}

fn of(messages: &[Message], index: usize) -> SymbolId {
    messages[index].1[0].symbol
}

/// The next message of the same instrument.
fn after(messages: &[Message], index: usize) -> usize {
    let symbol = of(messages, index);
    (index + 1..messages.len()).find(|&other| of(messages, other) == symbol).expect("it goes on")
}

/// The first message from that time on that is no change of status.
fn struck(messages: &[Message], seconds: i64) -> usize {
    let quiet = |(due, events): &Message| {
        due.0 >= seconds * SECOND
            && !events.iter().any(|event| matches!(event.body, EventBody::Status { .. }))
    };
    messages.iter().position(quiet).expect("something happens")
}

/// What number the message has among those of its instrument.
fn number(messages: &[Message], index: usize) -> u64 {
    (0..=index).filter(|&other| of(messages, other) == of(messages, index)).count() as u64
}

fn event(symbol: SymbolId, now: Timestamp, body: EventBody) -> MarketEvent {
    MarketEvent { symbol, ts_event: now, ts_recv: now, sequence: 0, body }
}

fn gap(symbol: SymbolId, now: Timestamp, expected: u64, found: u64) -> MarketEvent {
    event(symbol, now, EventBody::Gap { expected, found })
}

/// The book of an instrument after the messages, as a clear and its orders, best and oldest first.
fn snapshot(messages: &[Message], symbol: SymbolId, now: Timestamp) -> Vec<MarketEvent> {
    let mut orders: BTreeMap<OrderId, (Side, Level)> = BTreeMap::new();
    for event in messages.iter().flat_map(|(_, events)| events).filter(|event| event.symbol == symbol) {
        match event.body {
            EventBody::OrderAdd { order, side, level } => {
                orders.insert(order, (side, level));
            }
            EventBody::OrderCancel { order, size: None } => {
                orders.remove(&order);
            }
            EventBody::OrderCancel { order, size: Some(size) }
            | EventBody::OrderExecute { order, size, .. } => {
                let left = &mut orders.get_mut(&order).expect("it rests").1.size.0;
                *left -= size.0;
                if *left == 0 {
                    orders.remove(&order);
                }
            }
            EventBody::OrderReplace { order, new_order, level } => {
                let (side, _) = orders.remove(&order).expect("it rests");
                orders.insert(new_order, (side, level));
            }
            _ => {}
        }
    }
    let mut resting: Vec<_> = orders.into_iter().map(|(order, (side, level))| (side, level, order)).collect();
    resting.sort_by_key(|&(side, level, order)| {
        (side, if side == Side::Bid { -level.price.0 } else { level.price.0 }, order)
    });
    let adds = resting.into_iter().map(|(side, level, order)| EventBody::OrderAdd { order, side, level });
    [EventBody::BookClear].into_iter().chain(adds).map(|body| event(symbol, now, body)).collect()
}

/// Puts the snapshot where it comes: after the first message a round trip after `from`.
fn heal(expected: &mut Vec<Message>, clean: &[Message], symbol: SymbolId, from: Timestamp) {
    let asked = from.0 + RESYNC;
    let at = clean.iter().position(|(due, _)| due.0 >= asked).expect("it goes on");
    let now = clean[at].0;
    let place = expected.iter().rposition(|(due, _)| *due == now).expect("it is there") + 1;
    expected.insert(place, (now, snapshot(&clean[..=at], symbol, now)));
}

#[test]
fn a_lost_message_is_a_gap_and_then_a_snapshot() {
    let clean = clean(SimMode::Market, 19);
    let lost = struck(&clean, 10);
    let next = after(&clean, lost);
    let (symbol, n, now) = (of(&clean, lost), number(&clean, lost), clean[next].0);
    let mut expected = clean.clone();
    expected[next].1.insert(0, gap(symbol, now, n, n + 1));
    expected.remove(lost);
    heal(&mut expected, &clean, symbol, now);
    let found = messages(SimFaults { gap: Some(EVERY), ..SimFaults::default() }, SimMode::Market, 19);
    assert_eq!(found, expected);
}

#[test]
fn a_message_out_of_order_is_two_gaps_and_then_a_snapshot() {
    let clean = clean(SimMode::Market, 19);
    let held = struck(&clean, 10);
    let next = after(&clean, held);
    let (symbol, n, now) = (of(&clean, held), number(&clean, held), clean[next].0);
    let mut expected = clean.clone();
    expected[next].1.insert(0, gap(symbol, now, n, n + 1));
    let mut late = clean[held].1.clone();
    late.iter_mut().for_each(|event| event.ts_recv = now);
    late.insert(0, gap(symbol, now, n + 2, n));
    expected.insert(next + 1, (now, late));
    expected.remove(held);
    heal(&mut expected, &clean, symbol, now);
    let found = messages(SimFaults { reorder: Some(EVERY), ..SimFaults::default() }, SimMode::Market, 19);
    assert_eq!(found, expected);
}

#[test]
fn a_message_twice_is_a_gap_and_then_a_snapshot() {
    let clean = clean(SimMode::Market, 19);
    let twice = struck(&clean, 10);
    let (symbol, n, now) = (of(&clean, twice), number(&clean, twice), clean[twice].0);
    let mut expected = clean.clone();
    let mut again = clean[twice].1.clone();
    again.insert(0, gap(symbol, now, n + 1, n));
    expected.insert(twice + 1, (now, again));
    heal(&mut expected, &clean, symbol, now);
    let found = messages(SimFaults { duplicate: Some(EVERY), ..SimFaults::default() }, SimMode::Market, 19);
    assert_eq!(found, expected);
}

#[test]
fn a_crossed_book_is_one_order_too_many_and_then_a_snapshot() {
    let clean = clean(SimMode::Market, 19);
    let before = struck(&clean, 10);
    let (symbol, now) = (of(&clean, before), clean[before].0);
    let found = messages(SimFaults { crossed: Some(EVERY), ..SimFaults::default() }, SimMode::Market, 19);
    let mut expected = clean.clone();
    let book = snapshot(&clean[..=before], symbol, now);
    let offer = book.iter().find_map(|event| match event.body {
        EventBody::OrderAdd { side: Side::Ask, level, .. } => Some(level.price.0),
        _ => None,
    });
    let made_up = found[before + 1].1.clone();
    let [MarketEvent { body: EventBody::OrderAdd { order, side: Side::Bid, level }, .. }] = made_up[..]
    else {
        panic!("one order: {made_up:?}");
    };
    assert!(level.price.0 > offer.expect("there are offers") && order.0 >= 1 << 63, "{order:?} at {level:?}");
    expected.insert(before + 1, (now, made_up));
    heal(&mut expected, &clean, symbol, now);
    assert_eq!(found, expected);
}

#[test]
fn a_silence_is_a_gap_and_a_snapshot_of_each_instrument_that_spoke() {
    let clean = clean(SimMode::Market, 19);
    let silence = Some(Silence { every: EVERY, length: Duration::from_secs(5) });
    let found = messages(SimFaults { silence, ..SimFaults::default() }, SimMode::Market, 19);
    let began = clean.iter().position(|(due, _)| due.0 >= 10 * SECOND).expect("it goes on");
    let end = clean.iter().position(|(due, _)| due.0 >= 15 * SECOND).expect("it goes on");
    let now = clean[end].0;
    let mut expected = clean[..began].to_vec();
    for symbol in (0..20).map(SymbolId) {
        let count = |upto: usize| (0..upto).filter(|&index| of(&clean, index) == symbol).count() as u64;
        let (heard, sent) = (count(began), count(end + 1));
        if heard == sent {
            continue;
        }
        let mut events = vec![gap(symbol, now, heard + 1, sent + 1)];
        let missed = clean[began..=end].iter().flat_map(|(_, events)| events);
        let statuses = missed.filter(|event| event.symbol == symbol);
        let status = statuses.rev().find(|event| matches!(event.body, EventBody::Status { .. }));
        events.extend(status.map(|status| event(symbol, now, status.body.clone())));
        events.extend(snapshot(&clean[..=end], symbol, now));
        expected.push((now, events));
    }
    assert!(expected.len() > began + 10, "most spoke");
    expected.extend(clean[end + 1..].iter().cloned());
    assert_eq!(found, expected);
}

#[test]
fn quotes_are_whole_and_need_no_snapshot() {
    let clean = clean(SimMode::Quotes, 19);
    let first = struck(&clean, 10);
    let next = after(&clean, first);
    let (symbol, n) = (of(&clean, first), number(&clean, first));
    let mut expected = clean.clone();
    expected[next].1.insert(0, gap(symbol, clean[next].0, n, n + 1));
    expected.remove(first);
    let lost = messages(SimFaults { gap: Some(EVERY), ..SimFaults::default() }, SimMode::Quotes, 19);
    assert_eq!(lost, expected);

    let crossed = messages(SimFaults { crossed: Some(EVERY), ..SimFaults::default() }, SimMode::Quotes, 19);
    let (_, made_up) = &crossed[first + 1];
    let [MarketEvent { body: EventBody::Quote { bid: Some(bid), ask: Some(ask) }, .. }] = made_up[..] else {
        panic!("one quote: {made_up:?}");
    };
    assert!(bid.price > ask.price);
    let others = crossed[..=first].iter().chain(&crossed[first + 2..]);
    assert!(others.eq(&clean));
}

#[test]
fn all_faults_together_come_each_in_its_turn_and_the_same_again() {
    let each = |seconds| Some(Duration::from_secs(seconds));
    let faults = SimFaults {
        gap: each(1),
        reorder: each(2),
        duplicate: each(3),
        crossed: each(5),
        silence: Some(Silence { every: EVERY, length: Duration::from_secs(2) }),
    };
    let found = messages(faults, SimMode::Market, 300);
    assert_eq!(found, messages(faults, SimMode::Market, 300));
    assert!(found.is_sorted_by_key(|(due, _)| *due));
    let mut counts = [0_u64; 3];
    for event in found.iter().flat_map(|(_, events)| events) {
        match event.body {
            EventBody::Gap { expected, found } => counts[usize::from(found < expected)] += 1,
            EventBody::OrderAdd { order, .. } => counts[2] += u64::from(order.0 >= 1 << 63),
            _ => {}
        }
    }
    let [lost, late, crossed] = counts;
    assert!(lost > 29 * 15 && late > 50 && crossed > 20, "{lost} lost, {late} late, {crossed} crossed");
}

#[test]
fn faults_that_cannot_be_are_refused() {
    let refused = |faults| {
        let settings = SimSettings { faults, ..SimSettings::default() };
        matches!(Sim::new(settings), Err(FeedError::Settings(text)) if text.contains("faults"))
    };
    let silence = |every, length| {
        let (every, length) = (Duration::from_secs(every), Duration::from_secs(length));
        SimFaults { silence: Some(Silence { every, length }), ..SimFaults::default() }
    };
    assert!(refused(SimFaults { gap: Some(Duration::ZERO), ..SimFaults::default() }));
    assert!(refused(SimFaults { crossed: Some(Duration::MAX), ..SimFaults::default() }));
    assert!(refused(silence(10, 10)) && refused(silence(10, 0)) && refused(silence(u64::MAX, 1)));
    assert!(!refused(silence(10, 9)));
}
