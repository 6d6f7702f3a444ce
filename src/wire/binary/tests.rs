//! Records are what was meant: whatever the states, and whatever the bytes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::state::{Bar, Ticker, Totals};
use crate::topic::{Channel, Depth, Interval, Rate};

fn topic(channel: Channel) -> TopicId {
    TopicId::new(channel, feeds::SymbolId(150))
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

fn only(bytes: &[u8]) -> Record<'_> {
    let mut records = decode_records(bytes);
    let record = records.next().expect("a record").expect("a valid one");
    assert_eq!(records.next(), None, "one record");
    record
}

fn update(bytes: &[u8]) -> Update<'_> {
    match only(bytes).what {
        What::Update(update) => update,
        other => panic!("not an update: {other:?}"),
    }
}

fn snapshot(bytes: &[u8]) -> Snapshot<'_> {
    match only(bytes).what {
        What::Snapshot(snapshot) => snapshot,
        other => panic!("not a snapshot: {other:?}"),
    }
}

/// Few values, so that old and new often agree in some fields, and the ends of the range.
fn mantissa() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1_i64..4, 2 => (-9_i64..9).prop_map(|lots| lots * 10_000), 1 => Just(i64::MAX), 1 => Just(i64::MIN), 1 => any::<i64>()]
}

fn level() -> impl Strategy<Value = Level> {
    (mantissa(), mantissa()).prop_map(|(price, size)| Level { price: Price(price), size: Size(size) })
}

fn quotes() -> impl Strategy<Value = Quote> {
    let side = || proptest::option::of(level());
    (side(), side()).prop_map(|(bid, ask)| Quote { bid, ask })
}

fn trades() -> impl Strategy<Value = Trade> {
    let aggressor = prop_oneof![Just(Aggressor::Buy), Just(Aggressor::Sell), Just(Aggressor::None)];
    let id = proptest::option::of(prop_oneof![0_u64..9, any::<u64>()]);
    (level(), aggressor, id).prop_map(|(level, aggressor, id)| Trade {
        price: level.price,
        size: level.size,
        aggressor,
        id,
    })
}

fn totals() -> impl Strategy<Value = Totals> {
    let sum = || prop_oneof![4 => 0_i128..4, 1 => any::<i128>(), 1 => Just(i128::MIN), 1 => Just(i128::MAX)];
    let trades = prop_oneof![4 => 0_u64..3, 1 => any::<u64>()];
    (mantissa(), mantissa(), mantissa(), mantissa(), sum(), sum(), trades).prop_map(
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

/// As the market makes them: the session closes at the last trade's price.
fn tickers() -> impl Strategy<Value = Ticker> {
    let price = || proptest::option::of(mantissa().prop_map(Price));
    let session = proptest::option::of((level(), totals()));
    (session, price(), price(), price()).prop_map(|(session, bid, ask, close)| Ticker {
        last: session.map(|(last, _)| last),
        bid,
        ask,
        session: session.map(|(last, totals)| Totals { close: last.price, ..totals }),
        close,
    })
}

fn bars() -> impl Strategy<Value = Bar> {
    (0_i64..3, totals(), any::<bool>()).prop_map(|(minute, totals, closed)| Bar {
        start: Timestamp(minute * 60_000_000_000),
        totals,
        closed,
    })
}

/// Numbers and times of the states one after the other.
fn heads() -> impl Strategy<Value = Vec<(u64, u32, i64)>> {
    let step = prop_oneof![4 => Just(1_u64), 1 => 1_u64..300, 1 => 1_u64..1 << 40];
    let merged = prop_oneof![4 => Just(1_u32), 1 => any::<u32>().prop_map(|n| n.max(1))];
    let time = prop_oneof![4 => 0_i64..3_000_000_000, 1 => any::<i64>()];
    proptest::collection::vec((step, merged, time), 8)
}

/// Follows a walk of states of one channel from its snapshot on, record by record.
fn follow_walk<S: Clone>(
    topic: TopicId,
    heads: &[(u64, u32, i64)],
    states: &[S],
    write_snapshot: impl Fn(&mut Vec<u8>, &Head, &S),
    write_update: impl Fn(&mut Vec<u8>, &Head, &Held, &S, &S),
    mut take: impl FnMut(Option<Change<'_>>, &S) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut held: Option<Held> = None;
    let mut seq = 0;
    for (index, &(step, merged, time)) in heads.iter().enumerate().take(states.len()) {
        seq += step;
        let mut head = Head::new(topic, seq, Timestamp(time));
        let state = &states[index];
        let micros = Timestamp(time).micros();
        let Some(before) = held else {
            let bytes = written(|out| write_snapshot(out, &head, state));
            let snapshot = snapshot(&bytes);
            prop_assert_eq!((snapshot.seq, snapshot.epoch), (seq, "k3f9"));
            prop_assert_eq!(snapshot.ts_event.micros(), micros);
            held = Some(Held { seq, ts_event: snapshot.ts_event });
            take(snapshot.change, state)?;
            continue;
        };
        head.merged = merged;
        let bytes = written(|out| write_update(out, &head, &before, &states[index - 1], state));
        prop_assert_eq!(only(&bytes).topic, topic);
        let update = update(&bytes);
        prop_assert_eq!((update.step, update.merged), (step, merged));
        let now = update.follow(&before).expect("it follows");
        prop_assert_eq!((now.seq, now.ts_event.micros()), (seq, micros));
        held = Some(now);
        take(Some(update.change), state)?;
    }
    Ok(())
}

proptest! {
    #[test]
    fn quotes_are_followed(heads in heads(), states in proptest::collection::vec(quotes(), 2..8)) {
        let mut client = Quote::default();
        follow_walk(
            topic(Channel::Quote).at(Rate::Ms250),
            &heads,
            &states,
            |out, head, state| quote_snapshot(out, head, "k3f9", state),
            quote_update,
            |change, state| {
                let Some(Change::Quote(change)) = change else { panic!("not a quote") };
                client = change.apply(&client);
                prop_assert_eq!(client, *state);
                Ok(())
            },
        )?;
    }

    #[test]
    fn trades_are_followed(
        heads in heads(),
        first in proptest::option::of(trades()),
        rest in proptest::collection::vec(trades(), 1..7),
    ) {
        let states: Vec<Option<Trade>> = std::iter::once(first).chain(rest.into_iter().map(Some)).collect();
        let mut client: Option<Trade> = None;
        follow_walk(
            topic(Channel::Trade),
            &heads,
            &states,
            |out, head, state| trade_snapshot(out, head, "k3f9", state.as_ref()),
            |out, head, held, old, new| trade_update(out, head, held, old.as_ref(), &new.expect("a trade")),
            |change, state| {
                match change {
                    None => client = None,
                    Some(Change::Trade(change)) => client = Some(change.apply(client.as_ref())),
                    other => panic!("not a trade: {other:?}"),
                }
                prop_assert_eq!(client, *state);
                Ok(())
            },
        )?;
    }

    #[test]
    fn tickers_are_followed(heads in heads(), states in proptest::collection::vec(tickers(), 2..8)) {
        let mut client = Ticker::default();
        follow_walk(
            topic(Channel::Ticker),
            &heads,
            &states,
            |out, head, state| ticker_snapshot(out, head, "k3f9", state),
            ticker_update,
            |change, state| {
                let Some(Change::Ticker(change)) = change else { panic!("not a ticker") };
                client = change.apply(&client);
                prop_assert_eq!(client, *state);
                Ok(())
            },
        )?;
    }

    #[test]
    fn bars_are_followed(
        heads in heads(),
        first in proptest::option::of(bars()),
        rest in proptest::collection::vec(bars(), 1..7),
    ) {
        let states: Vec<Option<Bar>> = std::iter::once(first).chain(rest.into_iter().map(Some)).collect();
        let mut client: Option<Bar> = None;
        follow_walk(
            topic(Channel::Bar(Interval::M1)),
            &heads,
            &states,
            |out, head, state| bar_snapshot(out, head, "k3f9", state.as_ref()),
            |out, head, held, old, new| bar_update(out, head, held, old.as_ref(), &new.expect("a bar")),
            |change, state| {
                match change {
                    None => client = None,
                    Some(Change::Bar(change)) => client = Some(change.apply(client.as_ref())),
                    other => panic!("not a bar: {other:?}"),
                }
                prop_assert_eq!(client, *state);
                Ok(())
            },
        )?;
    }

    #[test]
    fn statuses_are_followed(heads in heads(), reasons in proptest::collection::vec((0_usize..6, any::<String>()), 2..8)) {
        const STATES: [StatusState; 6] = [
            StatusState::Trading,
            StatusState::Halted,
            StatusState::Auction,
            StatusState::Closed,
            StatusState::Stale,
            StatusState::Ended,
        ];
        let states: Vec<Status> = reasons
            .into_iter()
            .map(|(state, reason)| Status { state: STATES[state], reason: Cow::Owned(reason) })
            .collect();
        follow_walk(
            topic(Channel::Status),
            &heads,
            &states,
            |out, head, state| status_snapshot(out, head, "k3f9", state),
            |out, head, held, _, new| status_update(out, head, held, new),
            |change, state| {
                prop_assert_eq!(change, Some(Change::Status { state: state.state, reason: &state.reason }));
                Ok(())
            },
        )?;
    }

    /// Books deeper than the topic: levels come up from below and fall past the depth.
    #[test]
    fn books_are_followed(
        heads in heads(),
        states in proptest::collection::vec((book_side(), book_side()), 2..8),
        checksums: [Option<u32>; 8],
    ) {
        let depth = Depth::D10;
        let states: Vec<BookLevels> = states
            .into_iter()
            .map(|(bids, asks)| BookLevels {
                bids: bids.into_iter().rev().map(as_level).take(10).collect(),
                asks: asks.into_iter().map(as_level).take(10).collect(),
            })
            .collect();
        let mut client = BookLevels::default();
        let (mut index, mut heads_used) = (0, Vec::new());
        // An update of nothing is not sent.
        let states: Vec<BookLevels> = states
            .into_iter()
            .zip(heads)
            .fold(Vec::new(), |mut kept: Vec<BookLevels>, (state, head)| {
                if kept.last() != Some(&state) {
                    kept.push(state);
                    heads_used.push(head);
                }
                kept
            });
        follow_walk(
            topic(Channel::Book(depth)),
            &heads_used,
            &states,
            |out, head, state| {
                let (bids, asks) = (state.bids.iter().copied(), state.asks.iter().copied());
                book_snapshot(out, head, "k3f9", depth, bids, asks, 7);
            },
            |out, head, held, old, new| {
                let bids = changed(&old.bids, &new.bids, true);
                let asks = changed(&old.asks, &new.asks, false);
                let side = |old: &[Level], new: &[Level], changed| BookSide {
                    best: old.first().map(|best| best.price),
                    changed,
                    last: new.get(9).map(|last| last.price),
                };
                let (bids, asks) = (side(&old.bids, &new.bids, &bids), side(&old.asks, &new.asks, &asks));
                book_update(out, head, held, &bids, &asks, checksums[usize::try_from(head.seq % 8).expect("small")]);
            },
            |change, state| {
                let Some(Change::Book(change)) = change else { panic!("not a book") };
                let expected = if index == 0 {
                    Some(7)
                } else {
                    let seq: u64 = heads_used[..=index].iter().map(|head| head.0).sum();
                    checksums[usize::try_from(seq % 8).expect("small")]
                };
                index += 1;
                prop_assert_eq!(change.checksum, expected);
                change.apply(&mut client, depth);
                prop_assert_eq!(&client, state);
                Ok(())
            },
        )?;
    }

    #[test]
    fn gaps_and_prefixes_say_what_they_were_told(prev_seq in 0..=u64::MAX - 9, lost in 1_u64..9, n: u32, ts: i64) {
        let trade = topic(Channel::Trade);
        let bytes = written(|out| gap(out, trade, prev_seq, prev_seq + lost, Timestamp(ts)));
        let What::Gap(gap) = only(&bytes).what else { panic!("not a gap") };
        prop_assert_eq!((gap.prev_seq, gap.seq), (prev_seq, prev_seq + lost));
        prop_assert_eq!(gap.ts_event.micros(), Timestamp(ts).micros());
        let bytes = written(|out| merged_prefix(out, trade, prev_seq, n));
        prop_assert_eq!(only(&bytes), Record { topic: trade, what: What::Merged(Merged { prev_seq, n }) });
    }

    /// Whatever comes, it is records or an error, and no level is missing when it is read again.
    #[test]
    fn any_bytes_are_records_or_an_error(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        channel in 0_usize..12,
        form in 0_u8..4,
        prefix: bool,
    ) {
        let mut message = Vec::new();
        if prefix {
            put(&mut message, u64::from(TopicId::new(Channel::ALL[channel], feeds::SymbolId(0)).0) << 2 | u64::from(form));
        }
        message.extend_from_slice(&bytes);
        read_through(&message);
    }

    #[test]
    fn mutated_records_are_records_or_an_error(
        quote in quotes(), trade in trades(), ticker in tickers(), bar in bars(), side in book_side(),
        at: prop::sample::Index, byte: u8, length: prop::sample::Index,
    ) {
        let levels: Vec<Level> = side.into_iter().map(as_level).collect();
        let (of, held) = (|channel| Head::new(topic(channel), 9, Timestamp(5_000)), Held::default());
        let mut message = written(|out| {
            quote_snapshot(out, &of(Channel::Quote), "e", &quote);
            quote_update(out, &of(Channel::Quote), &held, &quote, &Quote::default());
            trade_update(out, &of(Channel::Trade), &held, None, &trade);
            ticker_snapshot(out, &of(Channel::Ticker), "e", &ticker);
            bar_update(out, &of(Channel::Bar(Interval::H1)), &held, None, &bar);
            let (bids, asks) = (levels.iter().copied(), levels.iter().copied());
            book_snapshot(out, &of(Channel::Book(Depth::D25)), "e", Depth::D25, bids, asks, 1);
            gap(out, topic(Channel::Trade), 1, 2, Timestamp(3));
            merged_prefix(out, topic(Channel::Trade), 1, 2);
        });
        prop_assert_eq!(read_through(&message), Some(8));
        let at = at.index(message.len());
        message[at] = byte;
        read_through(&message);
        message.truncate(length.index(message.len()));
        read_through(&message);
    }

    #[test]
    fn a_loss_shows_at_once_or_within_256_updates(
        seq in prop_oneof![0..1_u64 << 26, 0..u64::MAX / 2],
        lost in prop_oneof![1_u64..65_280, (1_u64..256).prop_map(|n| n * 255), (1_u64..255).prop_map(|n| n * 256)],
    ) {
        let shows = |after: u64| check(seq + after) != check(seq + lost + after);
        if lost < 255 {
            prop_assert!(shows(0));
        }
        prop_assert!((0..=256).any(shows), "{lost} lost after {seq}");
    }
}

fn book_side() -> impl Strategy<Value = BTreeMap<i64, i64>> {
    let price = prop_oneof![8 => 0_i64..30, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()];
    let size = prop_oneof![8 => 1_i64..4, 4 => (1_i64..9).prop_map(|lots| lots * 100_000), 1 => 1..=i64::MAX];
    proptest::collection::btree_map(price, size, 0..16)
}

fn as_level((price, size): (i64, i64)) -> Level {
    Level { price: Price(price), size: Size(size) }
}

/// What differs between two sides, best first.
fn changed(old: &[Level], new: &[Level], descending: bool) -> Vec<Level> {
    let of =
        |levels: &[Level]| levels.iter().map(|level| (level.price, level.size)).collect::<BTreeMap<_, _>>();
    let (old, new) = (of(old), of(new));
    let gone = old.keys().filter(|price| !new.contains_key(price)).map(|&price| (price, Size::ZERO));
    let set =
        new.iter().filter(|(price, size)| old.get(price) != Some(size)).map(|(&price, &size)| (price, size));
    let mut levels: Vec<Level> = gone.chain(set).map(|(price, size)| Level { price, size }).collect();
    levels.sort_by_key(|level| level.price);
    if descending {
        levels.reverse();
    }
    levels
}

/// Reads all records, applies each to an empty state, and says how many there were; `None`: an error.
fn read_through(bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    for record in decode_records(bytes) {
        let Ok(record) = record else { return None };
        count += 1;
        let change = match record.what {
            What::Snapshot(snapshot) => snapshot.change,
            What::Update(update) => {
                let _ = update.follow(&Held { seq: u64::MAX - 1, ts_event: Timestamp(i64::MAX) });
                Some(update.change)
            }
            What::Gap(_) | What::Merged(_) => None,
        };
        match change {
            Some(Change::Quote(change)) => drop(change.apply(&Quote::default())),
            Some(Change::Trade(change)) => drop(change.apply(None)),
            Some(Change::Book(change)) => {
                let mut book = BookLevels::default();
                change.apply(&mut book, Depth::D10);
                assert!(book.bids.len() <= 10 && book.asks.len() <= 10);
            }
            Some(Change::Ticker(change)) => drop(change.apply(&Ticker::default())),
            Some(Change::Bar(change)) => drop(change.apply(None)),
            Some(Change::Status { .. }) | None => {}
        }
    }
    Some(count)
}

#[test]
fn a_quote_that_moves_by_a_tick_takes_at_most_12_bytes() {
    let level = |price, size| Some(Level { price: Price(price), size: Size(size) });
    let old = Quote { bid: level(18_910, 300), ask: level(18_911, 500) };
    let new = Quote { bid: level(18_911, 300), ..old };
    let held = Held { seq: 918_240, ts_event: Timestamp(1_763_848_800_123_456_000) };
    for (topic, seconds, bytes) in [
        (topic(Channel::Quote), 1, 7),
        (topic(Channel::Quote).at(Rate::S5), 1, 10),
        (topic(Channel::Quote), 3_600, 9),
    ] {
        let ts_event = held.ts_event.plus(std::time::Duration::from_secs(seconds));
        let record =
            written(|out| quote_update(out, &Head::new(topic, 918_241, ts_event), &held, &old, &new));
        assert_eq!(record.len(), bytes);
        assert_eq!(update(&record).follow(&held), Ok(Held { seq: 918_241, ts_event }));
        let stale = Held { seq: held.seq - 1, ..held };
        assert_eq!(
            update(&record).follow(&stale),
            Err(Missed { held: stale.seq, step: 1, check: check(918_241) }),
            "the update after one that was missed"
        );
    }
}

#[test]
fn wrong_bytes_are_named_with_their_place() {
    let fault = |bytes: &[u8]| decode_records(bytes).find_map(Result::err).expect("an error");
    let (quote, trade, book) = (0_u8, 1 << 2, 2 << 2);
    assert_eq!(fault(&[quote, 1]), Fault::Truncated.at(2));
    assert_eq!(fault(&[0x80, 0]), Fault::Overlong.at(0));
    assert_eq!(fault(&[0xFF; 11]), Fault::Overlong.at(0));
    assert_eq!(
        fault(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0, 0]),
        Fault::Overlong.at(0),
        "a topic past 32 bits"
    );
    assert_eq!(fault(&[quote | 3, 2]), Fault::Kind(2).at(1));
    assert_eq!(fault(&[quote | 3, 0x88]), Fault::Bits(0x08).at(1), "a quote has no checksum");
    assert_eq!(fault(&[book | 3, 0x90]), Fault::Bits(0x10).at(1), "a book has no best bid");
    assert_eq!(fault(&[quote | 1, 5, 0]), Fault::Value { field: "step", value: 0 }.at(2));
    assert_eq!(fault(&[quote, 1, 0, 0x45, 2, 4]), Fault::Bits(0x45).at(3), "one step for two prices");
    assert_eq!(
        fault(&[quote | 3, 0x90, 1, 0, 0x02, 5]),
        Fault::Bits(0x02).at(4),
        "a size of a side that is gone"
    );
    assert_eq!(fault(&[trade, 1, 0, 0x23, 1]), Fault::Value { field: "side", value: 3 }.at(3));
    assert_eq!(fault(&[trade | 2, 1, 0, 1, 0xFF, 0]), Fault::Text("epoch").at(4));
    assert_eq!(fault(&[trade | 2, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 1]), Fault::Truncated.at(9));
    assert_eq!(fault(&[trade | 2, 1, 0, 0, 2]), Fault::Bits(2).at(4));
    assert_eq!(
        fault(&[5 << 2, 1, 0, 0x80, 0x80, 0x04]),
        Fault::Bits(1 << 16).at(3),
        "a ticker's seventeenth field"
    );
    assert_eq!(fault(&[11 << 2, 1, 0, 6, 0]), Fault::Value { field: "state", value: 6 }.at(3));
    assert_eq!(fault(&[book, 1, 0, 0x80, 0, 1]), Fault::Overlong.at(3), "a distance with a zero to spare");
    let error = fault(&[quote | 3, 2]);
    assert_eq!(error.to_string(), "at byte 1 of a binary message: there is no kind 2");
    assert_eq!(decode_records(&[quote | 3, 2, quote, 1, 0, 0]).count(), 1, "nothing comes after an error");
}
