//! One numbered stream of messages, as its packets came.
//!
//! Packets overtake each other on the way, and two lines that carry the same stream give each packet twice. So what is
//! ahead of its turn waits for what is missing; when [`REORDER_PACKETS_MAX`] packets wait, or the next comes
//! [`REORDER_NANOSECONDS_MAX`] after the first of them, what is missing is given up: a gap.

use std::collections::BTreeMap;

use crate::Timestamp;
use crate::limits::{REORDER_NANOSECONDS_MAX, REORDER_PACKETS_MAX};

/// Numbers begin with it.
const FIRST: u64 = 1;

#[derive(Default)]
pub(super) struct Stream {
    /// The number that is due; `None`: not known before the first packets have been put in order, because a capture
    /// may begin in the middle of a session.
    expected: Option<u64>,
    /// What waits, by its first number and its count.
    held: BTreeMap<(u64, u64), Packet>,
    latest: Timestamp,
    /// Packets that had come before, or came after they had been given up.
    pub(super) duplicates: u64,
    /// Messages that were given up.
    pub(super) lost: u64,
}

/// Messages `first`, `first + 1`, … . A packet without messages tells that `first` is the next that will come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) first: u64,
    pub(super) count: u64,
    /// The record in the file, and its time.
    pub(super) offset: u64,
    pub(super) time: Timestamp,
    /// The messages, each behind its length.
    pub(super) messages: Vec<u8>,
}

/// What comes next in a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The packet's messages, but for as many as were there already.
    Packet(Packet, u64),
    /// Messages `expected` up to `found` are lost.
    Gap { expected: u64, found: u64, time: Timestamp },
}

impl Stream {
    pub(super) fn arrive(&mut self, packet: Packet) {
        self.latest = self.latest.max(packet.time);
        if packet.first <= FIRST && packet.count > 0 {
            self.expected.get_or_insert(packet.first);
        }
        let is_full = packet.count > 0;
        let key = (packet.first, packet.count);
        if self.held.insert(key, packet).is_some() && is_full {
            self.duplicates += 1;
        }
    }

    /// What can be had now; `None`: nothing before the next packet arrives. `is_over`: none will.
    pub(super) fn step(&mut self, is_over: bool) -> Option<Step> {
        loop {
            let (&(first, count), packet) = self.held.first_key_value()?;
            let time = packet.time;
            let Some(expected) = self.expected else {
                if !is_over && !self.must_go_on() {
                    return None;
                }
                self.expected = Some(first);
                continue;
            };
            if first > expected {
                if !is_over && !self.must_go_on() {
                    return None;
                }
                self.expected = Some(first);
                self.lost += first - expected;
                return Some(Step::Gap { expected, found: first, time });
            }
            let packet = self.held.pop_first()?.1;
            let known = expected - first;
            if known < count {
                self.expected = Some(first + count);
                return Some(Step::Packet(packet, known));
            }
            self.duplicates += u64::from(count > 0);
        }
    }

    fn must_go_on(&self) -> bool {
        let earliest = self.held.values().map(|packet| packet.time).min();
        let waited = earliest.map_or(0, |earliest| self.latest.0.saturating_sub(earliest.0));
        self.held.len() > REORDER_PACKETS_MAX || waited > REORDER_NANOSECONDS_MAX
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(first: u64, count: u64, time: i64) -> Packet {
        Packet { first, count, offset: 0, time: Timestamp(time), messages: Vec::new() }
    }

    /// The numbers that come out, and gaps as `expected..found`.
    fn steps(stream: &mut Stream, is_over: bool) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
        while let Some(step) = stream.step(is_over) {
            match step {
                Step::Packet(packet, known) => {
                    numbers.extend(packet.first + known..packet.first + packet.count);
                }
                Step::Gap { expected, found, .. } => gaps.push((expected, found)),
            }
        }
        (numbers, gaps)
    }

    #[test]
    fn what_is_ahead_waits_for_what_is_late() {
        let mut stream = Stream::default();
        stream.arrive(packet(1, 2, 0));
        assert_eq!(steps(&mut stream, false), (vec![1, 2], vec![]));
        stream.arrive(packet(5, 1, 1));
        stream.arrive(packet(6, 0, 2));
        assert_eq!(steps(&mut stream, false), (vec![], vec![]));
        stream.arrive(packet(3, 2, 3));
        stream.arrive(packet(3, 2, 3));
        assert_eq!(steps(&mut stream, false), (vec![3, 4, 5], vec![]));
        stream.arrive(packet(4, 3, 4));
        assert_eq!(steps(&mut stream, false), (vec![6], vec![]), "the part that is new");
        stream.arrive(packet(4, 2, 4));
        assert_eq!(steps(&mut stream, false), (vec![], vec![]));
        assert_eq!((stream.duplicates, stream.lost), (2, 0));
    }

    #[test]
    fn what_does_not_come_is_given_up_after_so_many_packets_or_so_long() {
        let mut stream = Stream::default();
        stream.arrive(packet(1, 1, 0));
        assert_eq!(steps(&mut stream, false), (vec![1], vec![]));
        for n in 0..REORDER_PACKETS_MAX as u64 {
            stream.arrive(packet(3 + n, 1, 0));
            assert_eq!(steps(&mut stream, false), (vec![], vec![]));
        }
        let last = 3 + REORDER_PACKETS_MAX as u64;
        stream.arrive(packet(last, 1, 0));
        assert_eq!(steps(&mut stream, false), ((3..=last).collect(), vec![(2, 3)]));
        stream.arrive(packet(2, 1, 0));
        assert_eq!(steps(&mut stream, false), (vec![], vec![]), "too late");
        stream.arrive(packet(last + 2, 0, 10));
        stream.arrive(packet(last + 2, 0, 10 + REORDER_NANOSECONDS_MAX));
        assert_eq!(steps(&mut stream, false), (vec![], vec![]), "the later took the place of the earlier");
        stream.arrive(packet(last + 2, 1, 11 + 2 * REORDER_NANOSECONDS_MAX));
        assert_eq!(steps(&mut stream, false), (vec![last + 2], vec![(last + 1, last + 2)]));
        assert_eq!((stream.duplicates, stream.lost), (1, 2));
    }

    #[test]
    fn a_stream_that_begins_in_its_middle_has_no_gap_before_it() {
        let mut stream = Stream::default();
        for first in [8, 7, 9] {
            stream.arrive(packet(first, 1, 0));
            assert_eq!(steps(&mut stream, false), (vec![], vec![]));
        }
        assert_eq!(steps(&mut stream, true), (vec![7, 8, 9], vec![]));
    }

    proptest! {
        /// However packets are shuffled within the window, repeated, or left out: each message comes once, in order,
        /// and the gaps are what is missing.
        #[test]
        fn each_message_comes_once_in_order(
            counts in prop::collection::vec((0_u64..4, any::<bool>(), any::<bool>(), 0_usize..20), 1..200),
        ) {
            let mut sent = vec![(0, packet(1, 1, 0))];
            let (mut first, mut expected) = (2, vec![1]);
            for (index, (count, is_lost, is_doubled, delay)) in counts.into_iter().enumerate() {
                if !is_lost {
                    sent.push((index + delay, packet(first, count, 0)));
                    expected.extend(first..first + count);
                }
                if is_doubled && !is_lost {
                    sent.push((index + 3, packet(first, count, 0)));
                }
                first += count;
            }
            sent.sort_by_key(|(place, packet)| (*place, packet.first));
            let mut stream = Stream::default();
            let (mut numbers, mut gaps) = (Vec::new(), Vec::new());
            for (_, packet) in sent {
                stream.arrive(packet);
                let (more, missing) = steps(&mut stream, false);
                numbers.extend(more);
                gaps.extend(missing);
            }
            let (more, missing) = steps(&mut stream, true);
            numbers.extend(more);
            gaps.extend(missing);
            prop_assert_eq!(&numbers, &expected);
            let missing: Vec<u64> = gaps.iter().flat_map(|(from, to)| *from..*to).collect();
            let last = numbers.last().copied().unwrap_or(0).max(missing.last().copied().unwrap_or(0));
            let absent: Vec<u64> = (1..=last).filter(|number| !expected.contains(number)).collect();
            prop_assert_eq!(missing, absent);
        }
    }
}
