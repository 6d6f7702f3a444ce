//! What came of a recording, topic by topic, and what one message makes of the state before it.

use std::collections::BTreeMap;

use serde_json::Value;

/// All that clients were told, and the state at the end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stream {
    /// By topic: its messages as they were sent.
    pub(crate) topics: BTreeMap<String, Vec<Vec<u8>>>,
    /// By what was asked.
    pub(crate) state: BTreeMap<String, String>,
}

/// The fields of a topic; of a book each level by its side and price.
type State = BTreeMap<String, Value>;

impl Stream {
    /// Whether no message stands for more than one change, and none is a state but the first.
    pub(crate) fn is_complete(&self) -> bool {
        self.topics.values().all(|messages| {
            messages.iter().enumerate().all(|(index, message)| {
                let message = parse(message);
                (message["type"] == "update" && message.get("n").is_none())
                    || (message["type"] == "snapshot" && index == 0)
            })
        })
    }
}

/// That each message of `found` leads to the state that the complete stream has under the same number, the last one to
/// its last.
pub(crate) fn assert_leads_to(complete: &Stream, found: &Stream) {
    assert!(found.topics.keys().eq(complete.topics.keys()), "other topics");
    for (topic, messages) in &found.topics {
        let expected = states(&complete.topics[topic]);
        let found = states(messages);
        assert_eq!(found.last_key_value(), expected.last_key_value(), "{topic}");
        for (seq, state) in found {
            assert_eq!(Some(&state), expected.get(&seq), "{topic} at {seq}");
        }
    }
}

/// The state after each number.
fn states(messages: &[Vec<u8>]) -> BTreeMap<u64, State> {
    let mut states = BTreeMap::new();
    let mut state = State::new();
    for message in messages {
        let message = parse(message);
        match message["type"].as_str() {
            // The next trade has all fields.
            Some("gap") => continue,
            Some("snapshot") => state.clear(),
            _ => {}
        }
        for (name, value) in message.as_object().expect("an object") {
            match name.as_str() {
                "type" | "seq" | "prev_seq" | "n" | "checksum" | "epoch" => {}
                "bids" | "asks" => {
                    for level in value.as_array().expect("levels") {
                        let price = format!("{name} {}", level[0]);
                        if level[1] == "0" {
                            state.remove(&price);
                        } else {
                            state.insert(price, level[1].clone());
                        }
                    }
                }
                _ => {
                    state.insert(name.clone(), value.clone());
                }
            }
        }
        states.insert(message["seq"].as_u64().expect("a number"), state.clone());
    }
    states
}

pub(crate) fn parse(message: &[u8]) -> Value {
    serde_json::from_slice(message).expect("JSON")
}

/// Without the name of the run.
pub(crate) fn without_epoch(text: &str, epoch: &str) -> String {
    text.replace(&format!("\"epoch\":\"{epoch}\""), "\"epoch\":\"\"")
}
