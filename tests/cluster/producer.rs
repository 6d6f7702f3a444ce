//! Whoever keeps to the document is an ingest.

use serde_json::json;

use crate::gateway;
use crate::service::broker::{Broker, Kind};
use crate::service::client::Client;
use crate::service::python::python;

#[test]
fn a_producer_in_another_language_is_served() {
    let Some(broker) = Broker::shared(Kind::Nats) else { return };
    let Some(mut producer) = python("producer.py") else { return };
    let address = broker.url().replace("nats://", "").replace(':', " ");
    let mut producer = producer.args(address.split(' ')).spawn().expect("Python is there");
    let gateway = gateway(&broker);
    let mut client = Client::connect(gateway.address);
    client.subscribe("quote", &["ACME"]);
    let state = client.until(|object| object["type"] == "snapshot");
    assert_eq!((&state["bid_size"], &state["ask_size"]), (&json!("300"), &json!("500")), "{state}");
    for _ in 0..2 {
        let update = client.until(|object| object["type"] == "update");
        assert!(update["bid"].is_string() && update.get("bid_size").is_none(), "what changed: {update}");
        assert_eq!(update["seq"].as_u64(), update["prev_seq"].as_u64().map(|seq| seq + 1), "{update}");
    }
    assert_eq!(gateway.metric("bus_messages_bad_total"), 0);
    // Neither fails but for a process that has ended.
    let _ = producer.kill();
    let _ = producer.wait();
}
