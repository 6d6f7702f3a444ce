//! A gateway answers requests out of their order: some wait until all of their topics have come by the bus.

use std::sync::Arc;

use feeds::clock::monotonic;
use feeds::{SymbolId, Timestamp};
use serde_json::Value;
use tickwire::bus::{Batch, Kind, TopicMessage};
use tickwire::fanout::{Form, Sent, Subscribe, Subscribed};
use tickwire::topic::{Channel, TopicId};
use tickwire::wire::Encoding;

use super::pipeline::Pipeline;

/// A state in these encodings, in a batch by which every request made so far has been answered.
fn state(topic: TopicId, json: &[u8], binary: &[u8]) -> Batch {
    let message = TopicMessage {
        topic,
        kind: Kind::Requested,
        seq: 0,
        merged: 1,
        ts_event: Timestamp(0),
        json: 0..json.len(),
        binary: 0..binary.len(),
    };
    Batch {
        epoch: Arc::from("e0"),
        messages: vec![message],
        json: json.to_vec(),
        binary: binary.to_vec(),
        answered: vec![9],
        made: monotonic(),
    }
}

/// It was asked for by another shard, whose clients want another encoding.
#[test]
fn a_state_in_another_encoding_answers_nobody() {
    let mut pipeline = Pipeline::new(1, 1);
    let shard = &mut pipeline.sides[0].shard;
    let topic = TopicId::new(Channel::Status, SymbolId(0));
    let [json, binary] = Encoding::ALL.map(|encoding| {
        let client = shard.join(Form { encoding, ..Form::default() });
        assert_eq!(shard.subscribe(client, Subscribe::new(Channel::Status, &[topic])), Subscribed::Awaiting);
        client
    });
    shard.deliver(&state(topic, b"", b"\x01"));
    assert_eq!(shard.take_completed(), [binary]);
    assert!(shard.is_awaiting(json));
    shard.deliver(&state(topic, br#"{"type":"snapshot"}"#, b"\x01"));
    assert_eq!(shard.take_completed(), [json]);
    let mut told = String::new();
    shard.flush(monotonic(), u64::MAX, |to, out| {
        if to == json {
            let frame = out.bytes;
            let text = frame.iter().position(|&byte| byte == b'[').expect("an array");
            told = String::from_utf8(frame[text..].to_vec()).expect("UTF-8");
        }
        Sent::Taken
    });
    let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"));
    assert_eq!(told[0]["type"], "snapshot", "{told}");
}
