//! Which partition of which Kafka topic a subject is in.

use crate::bus::broker::subject;

/// Beats, what gateways follow, questions and answers: the ingest reads these, and not its own market.
const CONTROL: &str = "-control";
/// Before the subject that answers to somebody go to.
pub(super) const REPLY: &str = "tickwire.v1.reply.";

/// Of a bus: two topics of Kafka, and in how many partitions each is.
pub(super) struct Layout {
    pub(super) stream: KafkaTopic,
    pub(super) control: KafkaTopic,
    /// Where answers to us go: in the partition of the beats, which everybody reads.
    pub(super) reply: String,
}

pub(super) struct KafkaTopic {
    pub(super) name: String,
    pub(super) partitions: usize,
}

/// A partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) is_control: bool,
    pub(super) partition: usize,
}

impl Layout {
    pub(super) fn new(stream: KafkaTopic, control: KafkaTopic, lot: u64) -> Self {
        let beats = partition_of(subject::BEAT, control.partitions);
        let mut names = (0_u64..).map(|number| format!("{REPLY}{:016x}", lot.wrapping_add(number)));
        let reply = names.find(|name| partition_of(name, control.partitions) == beats);
        Self { stream, control, reply: reply.unwrap_or_default() }
    }

    /// The control topic of a bus whose topics are in this one.
    pub(super) fn control_of(stream: &str) -> String {
        format!("{stream}{CONTROL}")
    }

    pub(super) fn topic(&self, is_control: bool) -> &KafkaTopic {
        if is_control { &self.control } else { &self.stream }
    }

    pub(super) fn place(&self, subject: &str) -> Place {
        let is_control = !subject::is_of_topic(subject);
        Place { is_control, partition: partition_of(subject, self.topic(is_control).partitions) }
    }
}

/// As Kafka's own clients do where nobody says otherwise, so that producers in other languages agree.
fn partition_of(key: &str, partitions: usize) -> usize {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) as usize % partitions
}

/// Austin Appleby's hash with the seed that Kafka gives it.
fn murmur2(key: &[u8]) -> u32 {
    const FACTOR: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // A key that is longer than four gigabytes would differ, and there is none.
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, &word| {
        let word = u32::from_le_bytes(word).wrapping_mul(FACTOR);
        hash.wrapping_mul(FACTOR) ^ (word ^ (word >> 24)).wrapping_mul(FACTOR)
    });
    if !rest.is_empty() {
        let last = rest.iter().rev().fold(0, |last, &byte| last << 8 | u32::from(byte));
        hash = (hash ^ last).wrapping_mul(FACTOR);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(FACTOR);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of Kafka's own test of its hash.
    #[test]
    fn keys_are_hashed_as_by_kafka() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn topics_are_spread_and_answers_come_with_the_beats() {
        let topic = |partitions| KafkaTopic { name: "t".to_owned(), partitions };
        let layout = Layout::new(topic(12), topic(5), 7);
        let beats = layout.place(subject::BEAT);
        assert!(beats.is_control && layout.place(&layout.reply) == beats, "{}", layout.reply);
        let mut taken = [0; 12];
        for number in 0..1_200 {
            let place = layout.place(&format!("tickwire.v1.topic.quote.S{number}"));
            assert!(!place.is_control);
            taken[place.partition] += 1;
        }
        assert!(taken.iter().all(|&taken| taken > 50), "{taken:?}");
        assert!(!layout.place("tickwire.v1.late.trade.S1").is_control);
    }
}
