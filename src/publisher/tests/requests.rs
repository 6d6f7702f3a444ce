//! Those who ask beside the stream.

use feeds::SymbolId;
use tokio::sync::oneshot;

use super::super::*;
use super::follower::Rig;
use crate::bus::Request;
use crate::limits::REQUESTS_PER_TURN_MAX;

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
    assert!(rig.publisher.end_turn(), "one more waits");
    assert!(!rig.publisher.end_turn());
    assert!(replies.iter_mut().all(|reply| reply.try_recv().is_ok()));
}
