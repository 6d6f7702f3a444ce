//! Ingests that share the instruments of a market are one to clients of gateways.

use std::collections::BTreeSet;

use serde_json::Value;

use super::follow::follower;
use crate::oracle::follower::Follower;
use crate::service::broker::Broker;
use crate::service::eventually::eventually;
use crate::service::process::Service;
use crate::{KRAKEN, gateway, ingest};

/// The ingest of a share.
pub(super) fn ingest_of(broker: &Broker, share: &str, flags: &[&str]) -> Service {
    ingest(broker, flags.iter().copied().chain(["--share", share]))
}

/// Without epochs, of which a gateway makes its own.
fn without_epochs(mut answer: Value) -> Value {
    match &mut answer {
        Value::Object(object) => {
            object.remove("epoch");
            object.values_mut().for_each(|value| *value = without_epochs(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| *value = without_epochs(value.take())),
        _ => {}
    }
    answer
}

each_broker! {
    shared:

    async fn ingests_that_share_a_market_are_one_to_clients(broker: Broker) {
        let flags = ["--feed", KRAKEN, "--speed", "max", "--wait-clients", "1"];
        let ingests = ["1/2", "2/2"].map(|share| ingest_of(&broker, share, &flags));
        let gateway = gateway(&broker);
        let mut at_gateway = follower(&gateway).await;
        // The first that come to the ingests begin the feeds, which are the same.
        let mut at_ingest = follower(&ingests[0]).await;
        let _other = follower(&ingests[1]).await;
        at_gateway.follow_to_end().await;
        at_ingest.follow_to_end().await;
        eventually("both have played it", || ingests.iter().all(|ingest| ingest.json("/health/ready")["feed"] == "ended"));
        let has_all = |follower: &Follower| follower.states.iter().all(|(topic, theirs)| {
            let is_numbered = topic.0 != "status";
            at_ingest.states.get(topic).is_some_and(|ours| {
                (!is_numbered || ours.seq == theirs.seq) && (topic.0 == "trade" || ours.body == theirs.body)
            })
        });
        at_gateway.follow_until(has_all).await;
        assert_eq!(at_gateway.states.len(), at_ingest.states.len());
        assert!(at_gateway.counts.checksums > 100, "{:?}", at_gateway.counts);

        // It is one stream: each state is of its epoch, however it is asked for.
        let epochs: BTreeSet<_> = at_gateway.states.values().map(|state| state.epoch.clone()).collect();
        let quotes = gateway.json("/v1/quotes");
        let of_rest = quotes["quotes"].as_array().expect("a list").iter();
        let of_rest: BTreeSet<_> = of_rest.map(|quote| quote["epoch"].as_str().expect("an epoch").to_owned()).collect();
        assert_eq!((epochs.len(), &of_rest), (1, &epochs));

        // Each has published its own.
        let followed = [gateway.metric("bus_subscriptions"), ingests[0].metric("bus_subscriptions"), ingests[1].metric("bus_subscriptions")];
        assert!(followed[1] > 0 && followed[2] > 0 && followed[0] == followed[1] + followed[2], "{followed:?}");
        let instruments = gateway.json("/v1/instruments");
        assert!(instruments["instruments"].as_array().is_some_and(|all| all.len() > 1), "{instruments}");
        for path in ["/v1/quotes", "/v1/tickers"] {
            assert_eq!(without_epochs(gateway.json(path)), without_epochs(ingests[0].json(path)), "{path}");
        }
        for instrument in instruments["instruments"].as_array().expect("a list") {
            let symbol = instrument["symbol"].as_str().expect("a name").replace('/', "%2F");
            let path = format!("/v1/trades/{symbol}?limit=50");
            assert_eq!(without_epochs(gateway.json(&path)), without_epochs(ingests[1].json(&path)), "{path}");
        }
    }
}
