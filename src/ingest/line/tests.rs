//! The line against one that keeps everything as it is, in any order of puts and takes.

use feeds::clock::monotonic;
use feeds::{Aggressor, EventBody, Level, Price, Side, Size, SymbolId, Trade, TradingStatus};
use proptest::prelude::*;

use super::*;

const BY: Duration = Duration::from_secs(900);

fn event(number: u64) -> MarketEvent {
    let signed = i64::try_from(number).expect("small");
    let level = Level { price: Price(10_000 + signed % 17), size: Size(signed) };
    MarketEvent {
        symbol: SymbolId(u32::try_from(number % 200).expect("small")),
        ts_event: Timestamp(1_700_000_000_000_000_000 + signed * 1_234_567),
        ts_recv: Timestamp(1_700_000_000_000_100_000 + signed * 1_234_567),
        sequence: number,
        body: match number % 4 {
            0 => EventBody::Trade(Trade {
                price: level.price,
                size: level.size,
                aggressor: Aggressor::Buy,
                id: Some(number),
            }),
            1 => EventBody::LevelSet { side: Side::Bid, level },
            2 => EventBody::Quote { bid: Some(level), ask: None },
            _ => EventBody::Status { status: TradingStatus::Halted, reason: format!("reason {number}") },
        },
    }
}

fn market() -> Market {
    Market::new(&[])
}

#[derive(Clone, Debug)]
enum Step {
    Put { events: u64 },
    Silence,
    Restart,
    Pass { seconds: u64 },
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_u64..400).prop_map(|events| Step::Put { events }),
        1 => Just(Step::Silence),
        1 => Just(Step::Restart),
        3 => (0_u64..600).prop_map(|seconds| Step::Pass { seconds }),
        3 => Just(Step::Take),
    ]
}

/// What came out: of a market, that there was one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Message(Timestamp, Vec<MarketEvent>),
    State(FeedState),
    Restart,
    Lost,
    GoOn,
}

fn drain(line: &mut DelayLine, now: Instant, taken: &mut Vec<Out>) -> Option<Duration> {
    let mut events = Vec::new();
    loop {
        events.clear();
        taken.push(match line.take(now, &mut events) {
            Next::Message(due) => Out::Message(due, events.clone()),
            Next::Turn(Turn::State(state)) => Out::State(state),
            Next::Turn(Turn::Restart) => Out::Restart,
            Next::Turn(Turn::Lost) => Out::Lost,
            Next::Turn(Turn::GoOn(_)) => Out::GoOn,
            Next::Wait(wait) => return Some(wait),
            Next::Empty => return None,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn everything_comes_out_in_order_and_never_early(
        steps in prop::collection::vec(step(), 1..120),
        has_room in any::<bool>(),
    ) {
        let bytes_max = if has_room { 64 << 20 } else { 1 << 20 };
        let mut now = monotonic();
        let mut line = DelayLine::new(BY, bytes_max, now).expect("memory");
        let (mut expected, mut out) = (VecDeque::new(), Vec::new());
        let (mut number, mut lost, mut owes_restart) = (0, false, false);
        for step in steps {
            match step {
                Step::Put { events } => {
                    let events: Vec<_> = (0..events).map(|next| event(number + next)).collect();
                    number += events.len() as u64;
                    let due = Timestamp(i64::try_from(number).expect("small"));
                    let is_kept = line.put(now, due, &events);
                    prop_assert!(is_kept || !has_room, "there is room");
                    if !is_kept {
                        expected.push_back((now + BY, Out::Lost));
                        (lost, owes_restart) = (true, false);
                    } else if !lost {
                        expected.push_back((now + BY, Out::Message(due, events)));
                    }
                }
                Step::Silence | Step::Restart => {
                    let is_restart = matches!(step, Step::Restart);
                    let state = Some((StatusState::Stale, "feed silent"));
                    let (turn, as_out) = if is_restart {
                        (Turn::Restart, Out::Restart)
                    } else {
                        (Turn::State(state), Out::State(state))
                    };
                    if !line.put_turn(now, turn) {
                        expected.push_back((now + BY, Out::Lost));
                        (lost, owes_restart) = (true, is_restart);
                    } else if !lost {
                        expected.push_back((now + BY, as_out));
                    } else {
                        owes_restart |= is_restart;
                    }
                }
                Step::Pass { seconds } => now += Duration::from_secs(seconds),
                Step::Take => {}
            }
            let wait = drain(&mut line, now, &mut out);
            let due = out.len();
            for taken in out.drain(..) {
                let (at, next) = expected.pop_front().expect("something was put");
                prop_assert!(at <= now, "{:?} early", at - now);
                prop_assert_eq!(taken, next);
            }
            prop_assert_eq!(wait, expected.front().map(|(at, _)| *at - now), "after {} were due", due);
            prop_assert!(line.bytes() <= bytes_max + 2 * BLOCK_BYTES, "{} bytes", line.bytes());
            if line.wants_state() {
                prop_assert!(lost);
                line.go_on(now, market());
                if std::mem::take(&mut owes_restart) {
                    expected.push_back((now + BY, Out::Restart));
                }
                expected.push_back((now + BY, Out::GoOn));
                lost = false;
            }
        }
    }
}

#[test]
fn fifteen_minutes_of_five_thousand_events_a_second_fit() {
    let began = monotonic();
    let mut line = DelayLine::new(BY, 256 << 20, began).expect("memory");
    // A fifth of it, so that the test does not take long.
    for number in 0..900_000 {
        let now = began + Duration::from_micros(number * 1_000);
        assert!(line.put(now, Timestamp(0), &[event(number)]), "full after {number} events");
    }
    let each = line.bytes() / 900_000;
    assert!(each < 40, "{each} bytes an event");
}

#[test]
fn a_line_that_is_full_goes_on_from_a_state_when_half_of_it_is_gone() {
    let began = monotonic();
    let mut line = DelayLine::new(BY, 1 << 20, began).expect("memory");
    let mut number = 0;
    while line.put(began, Timestamp(0), &[event(number)]) {
        number += 1;
    }
    assert!(!line.wants_state(), "it is full");
    assert!(line.put(began, Timestamp(0), &[event(number)]), "not kept, which is known");
    let mut taken = Vec::new();
    assert_eq!(drain(&mut line, began + BY, &mut taken), None);
    let lost = taken.pop();
    assert_eq!((taken.len() as u64, lost), (number, Some(Out::Lost)));
    assert!(line.wants_state());
    line.go_on(began + BY, market());
    assert!(!line.wants_state(), "one state is enough");
    assert!(line.put(began + BY, Timestamp(1), &[event(1)]));
    taken.clear();
    assert_eq!(drain(&mut line, began + BY + BY, &mut taken), None);
    assert_eq!(taken, [Out::GoOn, Out::Message(Timestamp(1), vec![event(1)])]);
}

#[test]
fn what_is_skipped_at_the_beginning_is_no_loss() {
    let began = monotonic();
    let mut line = DelayLine::new(BY, 1 << 20, began).expect("memory");
    line.skip();
    assert!(line.put(began, Timestamp(0), &[event(0)]));
    assert!(line.wants_state());
    line.go_on(began, market());
    let mut taken = Vec::new();
    assert_eq!(drain(&mut line, began, &mut taken), Some(BY));
    assert_eq!(drain(&mut line, began + BY, &mut taken), None);
    assert_eq!(taken, [Out::GoOn]);
}
