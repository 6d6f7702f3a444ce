//! What a gateway takes from the broker.

use std::time::Duration;

use feeds::clock::monotonic;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use serde_json::json;

use crate::service::broker::{Broker, Kind};
use crate::service::client::Client;
use crate::service::eventually::eventually;
use crate::service::program::PATIENCE;
use crate::{gateway, ingest};

each_broker! {
    shared:

    async fn a_gateway_without_clients_takes_beats_alone(broker: Broker) {
        let ingest = ingest(&broker, ["--sim-instruments", "50", "--sim-rate", "50"]);
        let gateway = gateway(&broker);
        let before = gateway.metric("bus_messages_in_total");
        eventually("eight beats", || gateway.metric("bus_messages_in_total") >= before + 8);
        assert_eq!((gateway.metric("bus_subscriptions"), ingest.metric("bus_subscriptions")), (0, 0));
        let (bytes, messages) = (gateway.metric("bus_bytes_in_total"), gateway.metric("bus_messages_in_total"));
        // Beside the beats there is the list of instruments.
        assert!(bytes < 4_096 + 64 * messages, "{bytes} bytes in {messages} messages");
        assert!(ingest.metric("bus_messages_out_total") <= messages + 40, "the ingest publishes nothing else");
    }

    async fn a_thousand_clients_on_ten_symbols_take_ten_subjects_and_the_last_one_ends_them(broker: Broker) {
        let ingest = ingest(&broker, ["--sim-mode", "quotes", "--sim-instruments", "50", "--sim-rate", "5"]);
        let gateway = gateway(&broker);
        let symbols: Vec<_> = (0..10).map(|number| format!("SYM{number:05}")).collect();
        let mut clients: Vec<_> = (0..1_000).map(|_| Client::connect(gateway.address)).collect();
        for client in &mut clients {
            client.send(&json!({"method": "subscribe", "params": {"channel": "quote", "symbols": symbols}}));
        }
        for client in &mut clients {
            let answer = client.answer();
            assert_eq!(answer["result"]["granted"].as_array().map(Vec::len), Some(10), "{answer}");
        }
        assert_eq!(gateway.metric("bus_subscriptions"), 10);
        eventually("the ingest knows of ten", || ingest.metric("bus_subscriptions") == 10);
        assert_eq!(gateway.metric("bus_holes_total"), 0);
        drop(clients);
        eventually("nobody is there", || gateway.metric("connections") == 0);
        // A while later, so that who comes back finds what it missed.
        eventually("none is listened to", || gateway.metric("bus_subscriptions") == 0);
        eventually("none is published", || ingest.metric("bus_subscriptions") == 0);
    }
}

/// RabbitMQ would go on filling the queue with them.
#[tokio::test]
async fn a_key_that_nobody_follows_any_more_is_bound_no_more() {
    let Some(broker) = Broker::shared(Kind::RabbitMq) else { return };
    let _ingest = ingest(&broker, ["--sim-mode", "quotes", "--sim-instruments", "2"]);
    let gateway = gateway(&broker);
    let connection = lapin::Connection::connect(broker.url(), lapin::ConnectionProperties::default());
    let connection = connection.await.expect("a server");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirmations");
    // What no queue takes comes back.
    let is_bound = async |key: &str| {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let none = lapin::BasicProperties::default();
        let published = channel.basic_publish("tickwire".into(), key.into(), options, b"", none).await;
        published.expect("sent").await.expect("an answer").take_message().is_none()
    };
    assert!(is_bound("tickwire.v1.beat").await && is_bound("tickwire.v1.ask").await);
    let quote = "tickwire.v1.topic.quote.SYM00001";
    assert!(!is_bound(quote).await, "nobody follows it");
    let mut client = Client::connect(gateway.address);
    client.subscribe("quote", &["SYM00001"]);
    client.until(|object| object["type"] == "snapshot");
    assert!(is_bound(quote).await);
    drop(client);
    let start = monotonic();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while is_bound(quote).await {
        assert!(monotonic().duration_since(start) < PATIENCE, "still bound");
        looks.tick().await;
    }
}
