//! What clients are told of their feed: silent, alive again, held until they have subscribed.

mod service {
    pub(crate) mod client;
    pub(crate) mod http;
    pub(crate) mod json;
    pub(crate) mod process;
    pub(crate) mod program;
}

use serde_json::{Value, json};

use service::process::Service;

const BINANCE: &str =
    concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/binance-20211012.jsonl.zst");
const KRAKEN: &str =
    concat!("replay:", env!("CARGO_MANIFEST_DIR"), "/feeds/recordings/kraken-20210417.jsonl.zst");

#[test]
fn a_silent_feed_is_stale_until_it_speaks_again() {
    // The recording has pauses of seconds.
    let server = Service::start(["--feed", BINANCE, "--stale-after", "300ms"]);
    let mut client = server.client();
    client.subscribe("status", &["NKNUSDT"]);
    let mut told = Vec::new();
    while told.len() < 4 {
        let status = client.until(|object| object["channel"] == "status" && object["type"] == "update");
        told.push((status["state"].clone(), status["reason"].clone()));
    }
    let (stale, alive) = ((json!("stale"), json!("feed silent")), (json!("trading"), json!("")));
    assert!(
        told == [&stale, &alive, &stale, &alive].map(Clone::clone)
            || told == [&alive, &stale, &alive, &stale].map(Clone::clone),
        "{told:?}"
    );
}

#[test]
fn a_feed_that_waits_for_a_client_is_followed_from_its_first_event_on_every_channel() {
    let server = Service::start(["--feed", KRAKEN, "--speed", "max", "--wait-clients", "1"]);
    let phase = || server.json("/health/ready")["feed"].clone();
    assert_eq!(phase(), "waiting");
    let mut client = server.client();
    let channels = ["book", "quote", "trade", "ticker", "status"];
    // All at once, as a client does that does not wait for answers.
    for channel in channels {
        client.send(&json!({"method": "subscribe", "params": {"channel": channel, "symbols": ["XBT/CHF"]}}));
    }
    for channel in channels {
        let answer = client.until(|object| object["method"] == "subscribe");
        assert_eq!(answer["result"]["granted"][0]["seq"], 0, "{channel}: nothing has happened to it");
    }
    let ended = |object: &Value| object["state"] == "ended";
    assert_eq!(client.until(ended)["reason"], "end of recording");
    assert_eq!(phase(), "ended");
}
