//! What is killed, frozen or started again shows as such, and leaves nobody with a wrong state.

use feeds::clock::monotonic;
use serde_json::json;

use super::follow::{follow_until_equal, follower};
use super::shares::ingest_of;
use crate::oracle::follower::Follower;
use crate::service::broker::Broker;
use crate::service::eventually::eventually;
use crate::service::signal::signal;
use crate::{QUIET_MARKET, gateway, ingest, until_ready};

/// Reads on until every status is stale, or none; says how long that took.
async fn until_stale(follower: &mut Follower, is_stale: bool) -> std::time::Duration {
    let start = monotonic();
    let symbols = follower.symbols();
    follower
        .follow_until(|follower| {
            symbols
                .iter()
                .all(|symbol| (follower.field("status", symbol, "state") == &json!("stale")) == is_stale)
        })
        .await;
    monotonic().duration_since(start)
}

each_broker! {
    own:

    async fn a_killed_ingest_is_told_and_the_next_one_begins_a_new_epoch(broker: Broker) {
        let mut first = ingest(&broker, QUIET_MARKET);
        let gateways = [gateway(&broker), gateway(&broker)];
        let mut followers = vec![follower(&gateways[0]).await, follower(&gateways[1]).await];
        first.child.kill().expect("it runs");
        first.child.wait().expect("it has ended");
        for follower in &mut followers {
            until_stale(follower, true).await;
            assert_eq!(follower.finished.len(), 0, "what was served stays");
        }
        for gateway in &gateways {
            until_ready(gateway, false);
        }
        let second = ingest(&broker, QUIET_MARKET);
        for follower in &mut followers {
            until_stale(follower, false).await;
            assert_eq!(follower.finished.len(), 1, "one epoch is over");
        }
        followers.push(follower(&second).await);
        follow_until_equal(&mut followers).await;
        for gateway in &gateways {
            until_ready(gateway, true);
        }
    }

    async fn a_frozen_broker_is_told_and_connections_stay(broker: Broker) {
        let ingest = ingest(&broker, QUIET_MARKET);
        let gateway = gateway(&broker);
        let mut followers = vec![follower(&gateway).await, follower(&ingest).await];
        for _ in 0..2 {
            signal(broker.child(), "STOP");
            let after = until_stale(&mut followers[0], true).await;
            eprintln!("stale after {after:?}");
            until_ready(&gateway, false);
            signal(broker.child(), "CONT");
            let after = until_stale(&mut followers[0], false).await;
            eprintln!("not any more after {after:?}");
            until_ready(&gateway, true);
            follow_until_equal(&mut followers).await;
        }
        assert_eq!(followers[0].finished.len(), 0, "it is the same run");
        assert_eq!(gateway.metric("connections_total"), 1);
    }

    async fn a_killed_broker_that_comes_back_leaves_no_hole(mut broker: Broker) {
        let ingest = ingest(&broker, QUIET_MARKET);
        let gateways = [gateway(&broker), gateway(&broker)];
        let mut followers =
            vec![follower(&gateways[0]).await, follower(&gateways[1]).await, follower(&ingest).await];
        broker.kill();
        for follower in &mut followers[..2] {
            until_stale(follower, true).await;
        }
        broker.start_again();
        for follower in &mut followers[..2] {
            until_stale(follower, false).await;
        }
        follow_until_equal(&mut followers).await;
        for (gateway, follower) in gateways.iter().zip(&followers) {
            assert_eq!(follower.finished.len(), 0, "it is the same run");
            assert!(gateway.metric("bus_reconnects_total") > 0);
            assert_eq!(gateway.metric("connections_total"), 1);
        }
    }

    async fn the_share_of_a_killed_ingest_is_taken_over_in_a_new_epoch(broker: Broker) {
        let first = ingest_of(&broker, "1/2", &QUIET_MARKET);
        let mut second = ingest_of(&broker, "2/2", &QUIET_MARKET);
        eventually("both publish", || first.metric("bus_active") == 1 && second.metric("bus_active") == 1);
        let third = ingest_of(&broker, "2/2", &QUIET_MARKET);
        let gateways = [gateway(&broker), gateway(&broker)];
        let mut followers = vec![follower(&gateways[0]).await, follower(&gateways[1]).await];
        follow_until_equal(&mut followers).await;
        assert_eq!((first.metric("bus_active"), third.metric("bus_active")), (1, 0));
        second.child.kill().expect("it runs");
        second.child.wait().expect("it has ended");
        eventually("the third publishes", || third.metric("bus_active") == 1);
        for follower in &mut followers {
            follower.follow_until(|follower| follower.finished.len() == 1).await;
        }
        // The new epoch is the same at both.
        follow_until_equal(&mut followers).await;
        for gateway in &gateways {
            until_ready(gateway, true);
        }
        assert_eq!(first.metric("bus_active"), 1);
        assert!(!first.log().contains("standing by"), "{}", first.log());
    }
}
