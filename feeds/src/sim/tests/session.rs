//! Trading days: what happens in which part of them.

use super::*;

const DAY: i64 = 60 * SECOND;
const DAYS: i64 = 4;
const PART: i64 = DAY / 1_000;

/// When within the day an instrument's status became what, and why.
type Told = (i64, TradingStatus, String);

fn settings() -> SimSettings {
    SimSettings { instruments: 10, rate: 200, session: Some(DAY), ..SimSettings::default() }
}

#[test]
fn a_day_opens_and_closes_by_auctions_and_trades_between_them() {
    let mut sim = sim(settings());
    let mut model = Model::new(&sim, Timestamp(0));
    let mut events = Vec::new();
    // Of each instrument: when it was told what, and its auctions' trades, within the day.
    let mut told: BTreeMap<(i64, SymbolId), Vec<Told>> = BTreeMap::new();
    let mut crosses: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    loop {
        let due = step(&mut sim, &mut events);
        if due.0 >= DAYS * DAY {
            break;
        }
        let (day, time) = (due.0 / DAY, due.0 % DAY);
        let symbol = events[0].symbol;
        if let EventBody::Trade(trade) = &events[0].body {
            let (bid, ask) = model.books[symbol.index()].touch().expect("both sides hold orders");
            assert!((bid..ask).contains(&trade.price.0) && trade.size.0 > 0);
            assert_eq!((trade.aggressor, trade.id), (crate::Aggressor::None, Some(model.last_trade + 1)));
            model.last_trade += 1;
            *crosses.entry((day, time)).or_default() += 1;
            let EventBody::Status { status, reason } = &events[1].body else {
                panic!("an auction ends by its trade: {events:?}");
            };
            told.entry((day, symbol)).or_default().push((time, *status, reason.clone()));
            model.status[symbol.index()] = Some(*status);
            if *status == TradingStatus::Closed {
                assert!(matches!(events[2..], [MarketEvent { body: EventBody::BookClear, .. }]));
                model.books[symbol.index()] = Book::default();
                model.orders.retain(|_, (of, ..)| *of != symbol);
            } else {
                assert_eq!(events.len(), 2);
            }
            model.now = due;
            continue;
        }
        assert!(time < 950 * PART, "{events:?} while it is closed");
        for event in &events {
            if let EventBody::Status { status, reason } = &event.body {
                told.entry((day, symbol)).or_default().push((time, *status, reason.clone()));
                model.status[symbol.index()] = Some(*status);
            } else {
                model.apply_event(symbol, &event.body);
            }
        }
        assert!(due >= model.now);
        model.now = due;
        let book = &model.books[symbol.index()];
        let (bid, ask) = book.touch().expect("both sides hold orders");
        assert!(bid < ask);
    }
    let expected: BTreeMap<_, _> =
        (0..DAYS).flat_map(|day| [((day, 50 * PART), 10), ((day, 950 * PART), 10)]).collect();
    assert_eq!(crosses, expected);
    let mut halts = 0;
    for day in 0..DAYS {
        for symbol in (0..10).map(SymbolId) {
            let told = &told[&(day, symbol)];
            let is_of_the_day = |(time, ..): &&Told| [0, 50 * PART, 900 * PART, 950 * PART].contains(time);
            let of_the_day: Vec<_> = told
                .iter()
                .filter(is_of_the_day)
                .map(|(time, status, reason)| (*time, *status, reason.as_str()))
                .collect();
            assert_eq!(
                of_the_day,
                [
                    (0, TradingStatus::Auction, "OPENING AUCTION"),
                    (50 * PART, TradingStatus::Trading, ""),
                    (900 * PART, TradingStatus::Auction, "CLOSING AUCTION"),
                    (950 * PART, TradingStatus::Closed, "END OF DAY"),
                ]
            );
            halts += told.iter().filter(|(_, status, _)| *status == TradingStatus::Halted).count();
        }
    }
    assert!(halts > 0, "halts come as always");
}

/// Events of continuous trading by tenths of it, and by parts of 1/400 of a day, over many days.
fn activity(settings: SimSettings, days: i64) -> ([u64; 10], BTreeMap<i64, u64>) {
    let mut sim = sim(settings);
    let (mut tenths, mut pieces, mut events) = ([0; 10], BTreeMap::new(), Vec::new());
    loop {
        let due = step(&mut sim, &mut events);
        if due.0 >= days * DAY {
            return (tenths, pieces);
        }
        let passed = due.0 % DAY - 50 * PART;
        if (1..850 * PART).contains(&passed) {
            tenths[usize::try_from(passed / (85 * PART)).expect("small")] += events.len() as u64;
            *pieces.entry(due.0 / (DAY / 400)).or_default() += events.len() as u64;
        }
    }
}

#[test]
fn most_happens_at_the_ends_of_the_day_and_in_bursts_and_the_mean_stays() {
    let days = 40;
    let (tenths, pieces) = activity(settings(), days);
    let all: u64 = tenths.iter().sum();
    let asked = 10 * 200 * (days * 850 * PART / SECOND).unsigned_abs();
    assert!(all.abs_diff(asked) * 20 < asked, "{all} of {asked}");
    assert!(tenths[0] > 2 * tenths[4] && tenths[9] > 2 * tenths[5], "{tenths:?}");
    assert!(tenths[..5].is_sorted_by(|a, b| a > b) && tenths[5..].is_sorted_by(|a, b| a < b), "{tenths:?}");
    let mean = all / pieces.len() as u64;
    let bursts = pieces.values().filter(|&&count| count > 4 * mean).count() as u64;
    assert!((5..20).contains(&(bursts / days.unsigned_abs())), "{bursts} in {days} days");
}

#[test]
fn a_session_is_the_same_again_and_one_that_cannot_be_is_refused() {
    assert_eq!(first_events(settings(), 50_000), first_events(settings(), 50_000));
    let refused =
        |settings| matches!(Sim::new(settings), Err(FeedError::Settings(text)) if text.contains("session"));
    assert!(refused(SimSettings { session: Some(SECOND - 1), ..settings() }));
    assert!(refused(SimSettings { session: Some(i64::MAX), ..settings() }));
    assert!(refused(SimSettings { session: Some(-1), ..settings() }));
    assert!(refused(SimSettings { mode: SimMode::Quotes, ..settings() }));
    assert!(!refused(SimSettings { session: Some(SECOND), ..settings() }));

    let mut sim = sim(SimSettings { start: Timestamp(i64::MAX - 3 * DAY / 2), ..settings() });
    let mut events = Vec::new();
    while sim.next_message(&mut events).expect("no failure") != Progress::Ended {}
    assert!(events.iter().any(|event| matches!(event.body, EventBody::BookClear)), "the first day is whole");
}
