//! Clients that come back with a state: what they missed, or a whole state, or word of the loss.

use std::time::Duration;

use feeds::SymbolId;

use super::super::*;
use super::follower::{CHANNELS, Rig};
use crate::limits::{FOLLOWED_LOOK_EVERY, HISTORY_BYTES_MAX, RESUME_LINGER, TRADES_MAX};
use crate::wire::Encoding;

fn topic(channel: Channel) -> TopicId {
    TopicId::new(channel, SymbolId(0))
}

/// One client of each channel, in both encodings, raw and at a rate.
fn join_all(rig: &mut Rig) -> Vec<usize> {
    let mut clients = Vec::new();
    for channel in CHANNELS {
        for encoding in Encoding::ALL {
            clients.push(rig.join(1, topic(channel), encoding));
            if channel != Channel::Trade {
                clients.push(rig.join(1, topic(channel).at(Rate::Ms100), encoding));
            }
        }
    }
    rig.settle();
    clients
}

fn move_market(rig: &mut Rig, count: i64) {
    for step in 0..count {
        rig.level(0, step % 2 == 0, 20 + step % 11, 1 + step % 5);
        rig.trade(0, 30 + step);
        rig.tick(Duration::from_millis(20));
        rig.turn();
    }
}

#[test]
fn who_comes_back_in_time_gets_just_what_it_missed() {
    let mut rig = Rig::without_reference();
    rig.tick(Duration::ZERO);
    let clients = join_all(&mut rig);
    move_market(&mut rig, 10);
    rig.settle();
    let before: Vec<_> = clients.iter().map(|&client| rig.clients[client].snapshots).collect();
    clients.iter().for_each(|&client| rig.cut(client));
    move_market(&mut rig, 20);
    // Nobody is there, and yet not for so long.
    rig.tick(RESUME_LINGER - Duration::from_secs(1));
    rig.settle();
    clients.iter().for_each(|&client| rig.come(client));
    rig.settle();
    rig.check();
    let after: Vec<_> = clients.iter().map(|&client| rig.clients[client].snapshots).collect();
    assert_eq!(before, after, "no state had to be sent");
    assert!(clients.iter().all(|&client| rig.clients[client].gaps == 0));
}

#[test]
fn who_comes_too_late_gets_a_state_and_of_trades_what_there_is() {
    let mut rig = Rig::without_reference();
    rig.tick(Duration::ZERO);
    let clients = join_all(&mut rig);
    move_market(&mut rig, 10);
    rig.settle();
    assert!(rig.publisher.history_bytes > 0);
    clients.iter().for_each(|&client| rig.cut(client));
    rig.tick(FOLLOWED_LOOK_EVERY);
    rig.tick(RESUME_LINGER);
    // The rates first, then the raw topics that nobody needs any more.
    rig.tick(FOLLOWED_LOOK_EVERY);
    assert_eq!((rig.publisher.history_bytes, rig.publisher.follows.len()), (0, 0));
    move_market(&mut rig, 20);
    let before: Vec<_> = clients.iter().map(|&client| rig.clients[client].snapshots).collect();
    clients.iter().for_each(|&client| rig.come(client));
    rig.settle();
    rig.check();
    for (&client, before) in clients.iter().zip(before) {
        let is_resumed = [Channel::Trade, Channel::Status].contains(&rig.clients[client].topic.channel());
        let client = &rig.clients[client];
        assert_eq!(client.snapshots - before, usize::from(!is_resumed), "{}", client.topic.channel());
        assert_eq!(client.gaps, 0);
    }
}

#[test]
fn trades_that_are_not_known_any_more_are_a_gap_in_answer() {
    let mut rig = Rig::new();
    let clients = Encoding::ALL.map(|encoding| rig.join(1, topic(Channel::Trade), encoding));
    rig.trade(0, 10);
    rig.settle();
    for (missed, gaps) in [(TRADES_MAX - 1, 0), (TRADES_MAX, 1)] {
        clients.iter().for_each(|&client| rig.cut(client));
        for trade in 0..missed {
            rig.trade(0, 10 + i64::try_from(trade).expect("small"));
        }
        clients.iter().for_each(|&client| rig.come(client));
        rig.settle();
        for client in clients {
            assert_eq!(rig.clients[client].gaps, gaps, "{missed} trades missed");
        }
        rig.trade(0, 77);
        rig.check();
    }
}

#[test]
fn the_oldest_updates_of_a_long_absence_are_gone_and_memory_is_bounded() {
    let mut rig = Rig::new();
    let client = rig.join(1, topic(Channel::Quote), Encoding::Json);
    rig.settle();
    rig.cut(client);
    for size in 0..1_000 {
        rig.level(0, true, 30, 1 + size % 7);
        rig.turn();
    }
    let histories = rig.publisher.follows.len() * Encoding::ALL.len();
    assert!(rig.publisher.history_bytes <= histories * HISTORY_BYTES_MAX);
    let before = rig.clients[client].snapshots;
    rig.come(client);
    rig.settle();
    assert_eq!(rig.clients[client].snapshots, before + 1);
    rig.check();
}

#[test]
fn who_holds_another_runs_state_begins_anew() {
    let mut rig = Rig::new();
    let clients = join_all(&mut rig);
    move_market(&mut rig, 10);
    rig.settle();
    clients.iter().for_each(|&client| rig.cut(client));
    let before: Vec<_> = clients.iter().map(|&client| rig.clients[client].snapshots).collect();
    rig.restart();
    move_market(&mut rig, 30);
    clients.iter().for_each(|&client| rig.come(client));
    rig.settle();
    rig.check();
    for (&client, before) in clients.iter().zip(before) {
        assert_eq!(rig.clients[client].snapshots, before + 1);
        assert_eq!(rig.clients[client].gaps, 0);
    }
}

#[test]
fn a_run_that_begins_with_what_was_kept_is_told_to_all_who_follow() {
    let mut rig = Rig::new();
    join_all(&mut rig);
    move_market(&mut rig, 10);
    rig.settle();
    let (kept, numbers) = (rig.publisher.keep().expect("a state"), rig.publisher.numbers.clone());
    move_market(&mut rig, 30);
    rig.settle();
    assert_ne!(rig.publisher.numbers, numbers);
    rig.restart_with(&kept);
    assert_eq!(rig.publisher.numbers, numbers);
    assert_eq!(rig.publisher.keep().expect("a state"), kept);
    rig.settle();
    rig.check();
    move_market(&mut rig, 50);
    rig.settle();
    rig.check();
    assert!(rig.publisher.recall(&kept[..kept.len() / 2]).is_err(), "half of it");
}

#[test]
fn who_comes_back_while_its_shard_is_full_is_answered_when_it_is_not() {
    let mut rig = Rig::new();
    let clients = join_all(&mut rig);
    let filler = rig.join(1, topic(Channel::Book(Depth::D10)), Encoding::Json);
    rig.settle();
    let trades: Vec<_> =
        clients.into_iter().filter(|&client| rig.clients[client].topic.channel() == Channel::Trade).collect();
    let live = rig.join(1, topic(Channel::Trade), Encoding::Binary);
    rig.settle();
    trades.iter().for_each(|&client| rig.cut(client));
    rig.trade(0, 20);
    rig.fill();
    rig.trade(0, 21);
    trades.iter().for_each(|&client| rig.come(client));
    rig.turn();
    rig.trade(0, 22);
    rig.check();
    assert!(rig.clients[filler].snapshots > 1, "it was full");
    assert_eq!(rig.clients[live].gaps, 1, "the one who was there lost trades");
    for client in trades {
        assert_eq!(rig.clients[client].gaps, 0, "who came then lost none");
    }
}
