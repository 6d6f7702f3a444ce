//! What clients of gateways are sent is what those of the ingest are.

use std::collections::BTreeMap;
use std::time::Duration;

use feeds::clock::monotonic;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::oracle::follower::{Body, Follower};
use crate::service::broker::Broker;
use crate::service::client::Client;
use crate::service::process::Service;
use crate::service::program::PATIENCE;
use crate::{KRAKEN, gateway, ingest};

/// Silence after which a follower is taken to have read all that there is for now.
const QUIET: Duration = Duration::from_millis(15);

const CHANNELS: [&str; 6] = ["quote", "trade", "status", "book.10", "book.25", "book.100"];

pub(super) async fn follower(service: &Service) -> Follower {
    let mut follower = Follower::connect(service).await;
    for channel in CHANNELS {
        follower.subscribe(channel).await;
    }
    follower
}

/// Reads on in all of them until they hold the same. What was conflated stays unlike: a gap does not tell the trade.
pub(super) async fn follow_until_equal(followers: &mut [Follower]) {
    let start = monotonic();
    while !are_equal(followers) {
        assert!(
            monotonic().duration_since(start) < PATIENCE,
            "still not the same: {}",
            differences(followers)
        );
        for follower in &mut *followers {
            while timeout(QUIET, follower.read()).await.is_ok() {}
        }
    }
}

fn are_equal(followers: &[Follower]) -> bool {
    differences(followers).is_empty()
}

/// Topics that are unlike the first's, in words.
fn differences(followers: &[Follower]) -> String {
    let mut found = String::new();
    let Some((first, others)) = followers.split_first() else { return found };
    for other in others {
        for (topic, ours) in &first.states {
            let Some(theirs) = other.states.get(topic) else {
                found += &format!("no {topic:?}; ");
                continue;
            };
            let is_told = topic.0 == "trade" && first.counts.lost + other.counts.lost > 0;
            // Gateways number statuses themselves.
            let is_numbered = topic.0 != "status";
            if ours.epoch != theirs.epoch
                || (is_numbered && ours.seq != theirs.seq)
                || (!is_told && ours.body != theirs.body)
            {
                found +=
                    &format!("{topic:?} at {}:{}, {}:{}; ", ours.epoch, ours.seq, theirs.epoch, theirs.seq);
            }
        }
    }
    found
}

each_broker! {
    shared:

    async fn a_recording_comes_through_gateways_as_it_comes_from_the_ingest(broker: Broker) {
        let ingest = ingest(&broker, ["--feed", KRAKEN, "--speed", "max", "--wait-clients", "1"]);
        let gateways = [gateway(&broker), gateway(&broker)];
        let mut followers = Vec::new();
        for gateway in &gateways {
            followers.push(follower(gateway).await);
        }
        // The last one begins the feed.
        followers.push(follower(&ingest).await);
        for follower in &mut followers {
            follower.follow_to_end().await;
        }
        follow_until_equal(&mut followers).await;
        for follower in &followers {
            assert!(follower.counts.checksums > 100, "{:?}", follower.counts);
            let is_book =
                |body: &Body| matches!(body, Body::Book { bids, asks } if !bids.is_empty() && !asks.is_empty());
            assert!(follower.states.values().any(|state| is_book(&state.body)));
        }
    }

    async fn a_client_that_is_cut_off_goes_on_at_another_gateway(broker: Broker) {
        let ingest = ingest(&broker, ["--sim-mode", "quotes", "--sim-instruments", "3", "--sim-rate", "10"]);
        let mut first = gateway(&broker);
        let second = gateway(&broker);
        let mut client = Client::connect(first.address);
        // Somebody else, so that the second gateway has what is missed.
        let mut other = Client::connect(second.address);
        for client in [&mut client, &mut other] {
            client.subscribe("quote", &["SYM00000", "SYM00001"]);
        }
        let mut held = [("SYM00000", Value::Null), ("SYM00001", Value::Null)];
        // From there on it has what is missed.
        let mut begins = BTreeMap::new();
        while begins.len() < held.len() {
            let state = other.until(|object| object["channel"] == "quote" && object["type"] == "snapshot");
            begins.insert(state["symbol"].as_str().expect("a name").to_owned(), state["seq"].as_u64());
        }
        let mut epoch = Value::Null;
        let mut updates = 0;
        while updates < 10 || held.iter().any(|(symbol, seq)| seq.as_u64() < begins[*symbol]) {
            let quote = client.until(|object| object["channel"] == "quote");
            updates += usize::from(quote["type"] == "update");
            if quote["type"] == "snapshot" {
                epoch = quote["epoch"].clone();
            }
            held.iter_mut()
                .filter(|(symbol, _)| quote["symbol"] == *symbol)
                .for_each(|(_, seq)| *seq = quote["seq"].clone());
        }
        first.child.kill().expect("it runs");
        // What the other is sent meanwhile is what is missed here.
        for _ in 0..10 {
            other.until(|object| object["channel"] == "quote");
        }
        let mut again = Client::connect(second.address);
        let seq: serde_json::Map<String, Value> =
            held.iter().map(|(symbol, seq)| ((*symbol).to_owned(), seq.clone())).collect();
        let symbols = ["SYM00000", "SYM00001"];
        again.send(&json!({"method": "subscribe", "params": {
            "channel": "quote", "symbols": symbols, "resume": {"epoch": epoch, "seq": seq}}}));
        let answer = again.answer();
        assert_eq!((&answer["success"], &answer["result"]["epoch"]), (&json!(true), &epoch), "{answer}");
        let mut first_of = BTreeMap::new();
        while first_of.len() < held.len() {
            let next = again.until(|object| object["channel"] == "quote");
            first_of.entry(next["symbol"].as_str().expect("a name").to_owned()).or_insert(next);
        }
        for (symbol, seq) in &held {
            let next = &first_of[*symbol];
            assert_eq!((&next["type"], &next["prev_seq"]), (&json!("update"), seq), "goes on: {next}");
        }
        drop(ingest);
    }
}
