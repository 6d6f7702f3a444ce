use std::borrow::Cow;

use feeds::{Aggressor, Exponent, Level, Price, Size, Timestamp, Trade};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::*;
use crate::state::{Bar, Quote, Status, StatusState, Ticker, Totals};
use crate::topic::{Channel, Depth, Interval};

fn exponent(value: i8) -> Exponent {
    Exponent::new(value).expect("within range")
}

fn apple() -> Envelope<'static> {
    Envelope {
        symbol: "AAPL",
        price_exponent: exponent(-2),
        size_exponent: exponent(0),
        seq: 918_241,
        merged: 1,
        ts_event: Timestamp(1_763_848_800_124_001_999),
    }
}

fn level(price: i64, size: i64) -> Level {
    Level { price: Price(price), size: Size(size) }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("UTF-8")
}

/// The object's fields, without those that say which state it is.
fn data(text: &str) -> Map<String, Value> {
    let Value::Object(mut fields) = serde_json::from_str(text).expect("JSON") else {
        panic!("not an object: {text}");
    };
    for head in ["type", "epoch", "seq", "prev_seq", "ts_event"] {
        fields.remove(head);
    }
    fields
}

/// What every client does with an update.
fn applied(snapshot: &str, update: &str) -> Map<String, Value> {
    let mut state = data(snapshot);
    state.extend(data(update));
    state
}

#[test]
fn quotes_are_spelled_as_in_the_protocol() {
    let old = Quote { bid: Some(level(18_910, 300)), ask: Some(level(18_911, 500)) };
    assert_eq!(
        written(|out| quote_snapshot(out, &apple(), "k3f9", &old)),
        r#"{"channel":"quote","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":918241,"ts_event":1763848800124001,"bid":"189.10","bid_size":"300","ask":"189.11","ask_size":"500"}"#
    );
    let higher = Quote { bid: Some(level(18_911, 300)), ..old };
    assert_eq!(
        written(|out| quote_update(out, &apple(), 918_240, &old, &higher)),
        r#"{"channel":"quote","type":"update","symbol":"AAPL","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"bid":"189.11"}"#
    );
    let empty = Quote { bid: None, ask: Some(level(-5, 500)) };
    assert!(
        written(|out| quote_update(out, &apple(), 918_240, &old, &empty))
            .ends_with(r#","bid":null,"bid_size":null,"ask":"-0.05"}"#)
    );
}

#[test]
fn trades_are_spelled_as_in_the_protocol() {
    let trade = Trade { price: Price(18_911), size: Size(7), aggressor: Aggressor::Buy, id: Some(u64::MAX) };
    assert_eq!(
        written(|out| trade_update(out, &apple(), 918_240, &trade)),
        r#"{"channel":"trade","type":"update","symbol":"AAPL","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"price":"189.11","size":"7","side":"buy","id":"18446744073709551615"}"#
    );
    let auction = Trade { aggressor: Aggressor::None, id: None, ..trade };
    assert!(
        written(|out| trade_snapshot(out, &apple(), "k3f9", Some(&auction)))
            .ends_with(r#","price":"189.11","size":"7","side":"none"}"#)
    );
    assert_eq!(
        written(|out| trade_snapshot(out, &apple(), "k3f9", None)),
        r#"{"channel":"trade","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":918241,"ts_event":1763848800124001}"#
    );
}

#[test]
fn a_gap_names_the_first_and_the_last_message_that_is_lost() {
    assert_eq!(
        written(|out| gap(out, &apple(), Channel::Trade, 918_230)),
        r#"{"channel":"trade","type":"gap","symbol":"AAPL","from":918231,"to":918241,"seq":918241,"prev_seq":918230,"ts_event":1763848800124001}"#
    );
}

#[test]
fn merged_changes_are_counted() {
    let (old, new) = (Quote { bid: Some(level(18_910, 300)), ask: None }, Quote::default());
    let five = Envelope { merged: 5, ..apple() };
    assert_eq!(
        written(|out| quote_update(out, &five, 918_230, &old, &new)),
        r#"{"channel":"quote","type":"update","symbol":"AAPL","seq":918241,"prev_seq":918230,"n":5,"ts_event":1763848800124001,"bid":null,"bid_size":null}"#
    );
    let snapshot = written(|out| quote_snapshot(out, &apple(), "k3f9", &new));
    assert_eq!(
        written(|out| caught_up(out, snapshot.as_bytes(), 918_200, 37)),
        r#"{"channel":"quote","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":918241,"ts_event":1763848800124001,"bid":null,"bid_size":null,"ask":null,"ask_size":null,"prev_seq":918200,"n":37}"#
    );
}

#[test]
fn books_are_spelled_as_in_the_protocol() {
    let bids = [level(18_910, 300), level(18_909, 1)];
    let snapshot = |depth| {
        written(|out| {
            book_snapshot(out, &apple(), "k3f9", depth, bids.iter().copied(), std::iter::empty(), u32::MAX);
        })
    };
    assert_eq!(
        snapshot(Depth::D25),
        r#"{"channel":"book","depth":25,"type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":918241,"ts_event":1763848800124001,"bids":[["189.10","300"],["189.09","1"]],"asks":[],"checksum":4294967295}"#
    );
    let deep = (0..200).map(|tick| level(tick, 1));
    for depth in Depth::ALL {
        let text = written(|out| {
            book_snapshot(out, &apple(), "k3f9", depth, deep.clone(), deep.clone(), 0);
        });
        for side in ["bids", "asks"] {
            assert_eq!(data(&text)[side].as_array().map(Vec::len), Some(depth.levels()));
        }
    }
    assert_eq!(
        written(|out| book_update(out, &apple(), 918_240, Depth::D10, &[], &[level(18_911, 0)], Some(7))),
        r#"{"channel":"book","depth":10,"type":"update","symbol":"AAPL","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"asks":[["189.11","0"]],"checksum":7}"#
    );
    assert!(
        written(|out| book_update(out, &apple(), 918_240, Depth::D10, &bids[1..], &[], None))
            .ends_with(r#","bids":[["189.09","1"]]}"#)
    );
}

#[test]
fn tickers_are_spelled_as_in_the_protocol() {
    let nothing = Ticker::default();
    assert!(written(|out| ticker_snapshot(out, &apple(), "k3f9", &nothing)).ends_with(
        r#","last":null,"last_size":null,"bid":null,"ask":null,"open":null,"high":null,"low":null,"close":null,"volume":null,"vwap":null,"trades":null,"change":null,"change_percent":null}"#
    ));
    let mut session = Totals::first(Price(10_000), Size(1));
    session.high = Price(10_001);
    session.close = Price(10_001);
    session.volume += 2;
    session.notional += 20_002;
    session.trades += 1;
    let ticker = Ticker {
        last: Some(level(10_001, 2)),
        bid: Some(Price(10_000)),
        ask: None,
        session: Some(session),
        close: None,
    };
    // (100.00 × 1 + 100.01 × 2) ÷ 3 = 100.00666…
    assert!(written(|out| ticker_snapshot(out, &apple(), "k3f9", &ticker)).ends_with(
        r#","last":"100.01","last_size":"2","bid":"100.00","ask":null,"open":"100.00","high":"100.01","low":"100.00","close":null,"volume":"3","vwap":"100.006667","trades":2,"change":"0.01","change_percent":"0.0100"}"#
    ));
    let closed = Ticker { close: Some(Price(10_000)), ..ticker };
    assert!(
        written(|out| ticker_update(out, &apple(), 918_240, &ticker, &closed))
            .ends_with(r#","ts_event":1763848800124001,"close":"100.00"}"#)
    );
    let free = Ticker { session: Some(Totals::first(Price(0), Size(0))), ..ticker };
    let fields = data(&written(|out| ticker_snapshot(out, &apple(), "k3f9", &free)));
    assert_eq!((&fields["vwap"], &fields["change_percent"]), (&Value::Null, &Value::Null));
    assert_eq!(fields["change"], "100.01");
}

#[test]
fn bars_are_spelled_as_in_the_protocol() {
    let minute = Interval::M1;
    assert!(written(|out| bar_snapshot(out, &apple(), "k3f9", minute, None)).ends_with(
        r#","start":null,"open":null,"high":null,"low":null,"close":null,"volume":null,"vwap":null,"trades":null,"final":false}"#
    ));
    let bar = Bar {
        start: Timestamp(1_763_848_800_000_000_000),
        totals: Totals::first(Price(18_910), Size(3)),
        closed: false,
    };
    assert_eq!(
        written(|out| bar_update(out, &apple(), 918_240, minute, None, &bar)),
        r#"{"channel":"bar","interval":"1m","type":"update","symbol":"AAPL","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"start":1763848800000000,"open":"189.10","high":"189.10","low":"189.10","close":"189.10","volume":"3","vwap":"189.100000","trades":1,"final":false}"#
    );
    let closed = Bar { closed: true, ..bar };
    assert!(
        written(|out| bar_update(out, &apple(), 918_240, minute, Some(&bar), &closed))
            .ends_with(r#","ts_event":1763848800124001,"final":true}"#)
    );
    let next = Bar { start: bar.start.plus(minute.duration()), ..bar };
    let update = written(|out| bar_update(out, &apple(), 918_240, minute, Some(&closed), &next));
    let snapshot = written(|out| bar_snapshot(out, &apple(), "k3f9", minute, Some(&next)));
    assert_eq!(data(&update), data(&snapshot), "a new bar has all its fields");
}

#[test]
fn status_heartbeat_and_their_free_texts() {
    let halted = Status { state: StatusState::Halted, reason: Cow::Borrowed("news \"T1\"\n") };
    assert_eq!(
        written(|out| status_update(out, &apple(), 918_240, &halted)),
        r#"{"channel":"status","type":"update","symbol":"AAPL","seq":918241,"prev_seq":918240,"ts_event":1763848800124001,"state":"halted","reason":"news \"T1\"\n"}"#
    );
    assert_eq!(
        written(|out| status_snapshot(out, &apple(), "k3f9", &halted)),
        r#"{"channel":"status","type":"snapshot","symbol":"AAPL","epoch":"k3f9","seq":918241,"ts_event":1763848800124001,"state":"halted","reason":"news \"T1\"\n"}"#
    );
    assert_eq!(
        written(|out| heartbeat(out, Timestamp(1_763_848_801_000_000_000), 42, true)),
        r#"{"channel":"heartbeat","ts":1763848801000000,"lag_us":42,"laggard":true}"#
    );
}

/// Few values, so that old and new often agree in some fields, and the ends of the range.
fn mantissa() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1_i64..4, 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()]
}

fn levels() -> impl Strategy<Value = Option<Level>> {
    proptest::option::of((mantissa(), mantissa()).prop_map(|(price, size)| level(price, size)))
}

fn quotes() -> impl Strategy<Value = Quote> {
    (levels(), levels()).prop_map(|(bid, ask)| Quote { bid, ask })
}

fn totals() -> impl Strategy<Value = Totals> {
    let sum = || prop_oneof![4 => 0_i128..4, 1 => any::<i128>()];
    (mantissa(), mantissa(), mantissa(), mantissa(), sum(), sum(), 0_u64..3).prop_map(
        |(open, high, low, close, volume, notional, trades)| Totals {
            open: Price(open),
            high: Price(high),
            low: Price(low),
            close: Price(close),
            volume,
            notional,
            trades,
        },
    )
}

fn prices() -> impl Strategy<Value = Option<Price>> {
    proptest::option::of(mantissa().prop_map(Price))
}

fn tickers() -> impl Strategy<Value = Ticker> {
    (levels(), prices(), prices(), proptest::option::of(totals()), prices())
        .prop_map(|(last, bid, ask, session, close)| Ticker { last, bid, ask, session, close })
}

fn bars() -> impl Strategy<Value = Bar> {
    (0_i64..2, totals(), any::<bool>()).prop_map(|(minute, totals, closed)| Bar {
        start: Timestamp(minute * 60_000_000_000),
        totals,
        closed,
    })
}

fn envelopes() -> impl Strategy<Value = Envelope<'static>> {
    (-18_i8..=18, -18_i8..=18, any::<u64>(), any::<i64>()).prop_map(|(prices, sizes, seq, ts)| Envelope {
        symbol: "XBT/EUR",
        price_exponent: exponent(prices),
        size_exponent: exponent(sizes),
        seq,
        merged: 1,
        ts_event: Timestamp(ts),
    })
}

proptest! {
    #[test]
    fn a_quote_update_on_the_old_state_is_the_new_one(envelope in envelopes(), old in quotes(), new in quotes()) {
        let snapshot = |quote| written(|out| quote_snapshot(out, &envelope, "e", quote));
        let update = written(|out| quote_update(out, &envelope, 1, &old, &new));
        prop_assert_eq!(applied(&snapshot(&old), &update), data(&snapshot(&new)));
        let before = data(&snapshot(&old));
        for (field, value) in data(&update) {
            prop_assert!(field == "channel" || field == "symbol" || before[&field] != value, "{} is as before", field);
        }
    }

    #[test]
    fn a_ticker_update_on_the_old_state_is_the_new_one(envelope in envelopes(), old in tickers(), new in tickers()) {
        let snapshot = |ticker| written(|out| ticker_snapshot(out, &envelope, "e", ticker));
        let update = written(|out| ticker_update(out, &envelope, 1, &old, &new));
        prop_assert_eq!(applied(&snapshot(&old), &update), data(&snapshot(&new)));
        let nothing = written(|out| ticker_update(out, &envelope, 1, &new, &new));
        prop_assert_eq!(data(&nothing).len(), 2, "only channel and symbol");
    }

    #[test]
    fn a_bar_update_on_the_old_state_is_the_new_one(
        envelope in envelopes(), old in proptest::option::of(bars()), new in bars(),
    ) {
        let snapshot = |bar: Option<&Bar>| written(|out| bar_snapshot(out, &envelope, "e", Interval::H1, bar));
        let update = written(|out| bar_update(out, &envelope, 1, Interval::H1, old.as_ref(), &new));
        prop_assert_eq!(applied(&snapshot(old.as_ref()), &update), data(&snapshot(Some(&new))));
    }
}
