//! Those who ask beside the stream.

use std::time::Duration;

use feeds::SymbolId;
use tokio::sync::oneshot;

use super::super::*;
use super::follower::Rig;
use crate::bus::Request;
use crate::limits::{FOLLOWED_LOOK_EVERY, REQUESTS_PER_TURN_MAX, RESUME_LINGER};

#[test]
fn requests_that_one_turn_does_not_take_are_not_left_to_the_feed() {
    let mut rig = Rig::without_reference();
    let topic = TopicId::new(Channel::Trade, SymbolId(0));
    let mut replies: Vec<_> = (0..=REQUESTS_PER_TURN_MAX)
        .map(|_| {
            let (reply, receiver) = oneshot::channel();
            rig.publisher.bus().handle().request(Request::History { topic, limit: 1, reply }).expect("room");
            receiver
        })
        .collect();
    assert!(rig.end_turn(), "one more waits");
    assert!(!rig.end_turn());
    assert!(replies.iter_mut().all(|reply| reply.try_recv().is_ok()));
}

/// What is answered, and its number.
fn ask(rig: &mut Rig, request: impl FnOnce(oneshot::Sender<crate::bus::States>) -> Request) -> (String, u64) {
    let (reply, mut receiver) = oneshot::channel();
    rig.publisher.bus().handle().request(request(reply)).expect("room");
    rig.end_turn();
    let states = receiver.try_recv().expect("an answer");
    (String::from_utf8(states.json).expect("UTF-8"), states.seq)
}

#[test]
fn what_is_read_at_a_rate_is_the_same_until_that_rate_is_due() {
    let mut rig = Rig::without_reference();
    let symbol = SymbolId(0);
    let state = |rig: &mut Rig, channel, rate| {
        let topics = vec![TopicId::new(channel, symbol).at(rate)];
        ask(rig, |reply| Request::Read { topics, reply })
    };
    let bars = |rig: &mut Rig, rate, limit| {
        let topic = TopicId::new(Channel::Bar(Interval::S1), symbol).at(rate);
        ask(rig, |reply| Request::History { topic, limit, reply })
    };
    let change = |rig: &mut Rig, at: i64| {
        rig.level(0, true, 30, at);
        rig.trade(0, 20 + at);
    };
    let channels = [Channel::Quote, Channel::Book(Depth::D25), Channel::Ticker, Channel::Bar(Interval::S1)];
    rig.tick(Duration::ZERO);
    change(&mut rig, 1);
    for channel in channels {
        let first = state(&mut rig, channel, Rate::S1);
        assert_eq!(first, state(&mut rig, channel, Rate::Raw), "from the present state on");
        for at in 2..5 {
            change(&mut rig, at);
            rig.tick(Duration::from_millis(1));
            assert_eq!(state(&mut rig, channel, Rate::S1), first, "{channel}");
            assert_ne!(state(&mut rig, channel, Rate::Raw), first, "{channel}");
        }
        rig.tick(Rate::S1.period().expect("a period"));
        assert_eq!(state(&mut rig, channel, Rate::S1), state(&mut rig, channel, Rate::Raw), "{channel}");
        change(&mut rig, 1);
    }

    rig.tick(Duration::from_secs(1));
    let first = [1, 100].map(|limit| bars(&mut rig, Rate::S1, limit));
    assert_eq!(first, [1, 100].map(|limit| bars(&mut rig, Rate::Raw, limit)));
    change(&mut rig, 7);
    assert_eq!(first, [1, 100].map(|limit| bars(&mut rig, Rate::S1, limit)));
    assert_ne!(first, [1, 100].map(|limit| bars(&mut rig, Rate::Raw, limit)));
    rig.tick(Duration::from_secs(1));
    assert_eq!(bars(&mut rig, Rate::S1, 100), bars(&mut rig, Rate::Raw, 100));
    for at in 0..700 {
        change(&mut rig, 1 + at % 9);
    }
    rig.tick(Duration::from_secs(1));
    let many = bars(&mut rig, Rate::S1, 100);
    assert_eq!(many, bars(&mut rig, Rate::Raw, 100));
    assert!(many.0.matches("\"final\":true").count() > 1, "{}", many.0);

    assert_eq!(rig.publisher.follows.len(), 2 * channels.len());
    let looks = RESUME_LINGER.as_millis() / FOLLOWED_LOOK_EVERY.as_millis();
    for _ in 0..=2 * looks {
        rig.tick(FOLLOWED_LOOK_EVERY);
    }
    assert!(rig.publisher.follows.is_empty(), "nothing is kept of what nobody reads any more");
}
