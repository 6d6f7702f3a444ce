//! Any bytes as messages of a broker, one after the other, each with its checksum: read, and carried to a gateway's topics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tickwire::bus::broker::instruments::Assembler;
use tickwire::bus::broker::message::{Message, VERSION};
use tickwire::publisher::Mirror;
use tickwire::topic::TopicId;

/// Of two instruments, every topic.
const TOPICS: u32 = 24;

fuzz_target!(|data: &[u8]| {
    // As they come.
    let _ = Message::decode(data);
    let mut mirror = Mirror::new("e".into());
    for topic in 0..TOPICS {
        mirror.want(TopicId(topic));
    }
    let mut assembler = Assembler::default();
    let mut rest = data;
    while let Some((&length, behind)) = rest.split_first() {
        let (content, behind) = behind.split_at(usize::from(length).min(behind.len()));
        rest = behind;
        let mut bytes = [&[VERSION], content].concat();
        let checksum = crc32fast::hash(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        let Ok(message) = Message::decode(&bytes) else { continue };
        assert_eq!(message.encode(), bytes);
        match message {
            Message::Carried(carried) => {
                let before = mirror.held().find(|(topic, _)| *topic == carried.topic);
                let result = mirror.carry(&carried);
                let after = mirror.held().find(|(topic, _)| *topic == carried.topic);
                let numbers = [before, after].map(|held| held.map(|(_, seq)| seq));
                assert!(numbers[0] <= numbers[1], "numbers grow: {numbers:?}");
                if let (Ok(()), Some(seq)) = (result, numbers[1]) {
                    assert!(numbers[0] == numbers[1] || seq == carried.seq, "{numbers:?}, {}", carried.seq);
                }
            }
            Message::Instruments(page) => drop(assembler.take(&page)),
            _ => {}
        }
    }
});
