//! What shares a partition of Kafka, and what does not share a topic.

use serde_json::json;

use crate::service::broker::{Broker, Kind};
use crate::service::client::Client;
use crate::service::eventually::eventually;
use crate::service::process::Service;
use crate::{gateway, ingest};

#[test]
fn what_nobody_follows_is_left_aside_and_a_partition_without_followers_is_read_no_more() {
    let Some(broker) = Broker::shared(Kind::Kafka) else { return };
    let _ingest = ingest(&broker, ["--sim-mode", "quotes", "--sim-instruments", "12", "--sim-rate", "20"]);
    let [all, one] = [gateway(&broker), gateway(&broker)];
    let mut of_all = Client::connect(all.address);
    of_all.send(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": ["*"]}}));
    let mut of_one = Client::connect(one.address);
    of_one.subscribe("quote", &["SYM00003"]);
    // More of them than there are partitions.
    eventually("all are followed", || all.metric("bus_subscriptions") == 12);
    let aside = || one.metric("bus_messages_aside_total");
    let before = (aside(), one.metric("bus_messages_in_total"));
    eventually("others come there", || aside() >= before.0 + 100);
    for _ in 0..10 {
        of_one.until(|object| object["type"] == "update");
    }
    assert!(one.metric("bus_messages_in_total") - before.1 < aside() - before.0, "they are not taken in");
    assert_eq!((one.metric("bus_subscriptions"), one.metric("bus_holes_total")), (1, 0));
    drop(of_one);
    eventually("nothing of the market is read there", || {
        let before = aside();
        let published = all.metric("bus_messages_in_total");
        eventually("it goes on", || all.metric("bus_messages_in_total") >= published + 50);
        aside() == before
    });
    assert_eq!(one.metric("bus_subscriptions"), 0);
}

#[test]
fn topics_of_one_broker_are_buses_of_their_own() {
    let Some(broker) = Broker::shared(Kind::Kafka) else { return };
    let start = |role: &str, topic: &str, flags: &[&str]| {
        let url = format!("{}/{topic}", broker.url());
        Service::start(["--role", role, "--bus", &url].iter().chain(flags))
    };
    let buses = [("eu", "2"), ("us.tech", "3")];
    let _ingests = buses.map(|(topic, count)| start("ingest", topic, &["--sim-instruments", count]));
    let counts = buses.map(|(topic, _)| {
        let instruments = start("gateway", topic, &[]).json("/v1/instruments");
        instruments["instruments"].as_array().map(Vec::len)
    });
    assert_eq!(counts, [Some(2), Some(3)]);
}
