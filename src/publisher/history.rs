//! The newest updates of a topic in one encoding, for clients that come back.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{HISTORY_BYTES_MAX, HISTORY_TOTAL_BYTES_MAX};
use crate::wire::Encoding;

/// Updates as they were published, oldest first, each the successor of the one before. Grows up to its bound, and asks
/// for no more memory from then on.
pub(super) struct History {
    encoding: Encoding,
    /// JSON objects with a comma behind each, or binary records.
    bytes: VecDeque<u8>,
    entries: VecDeque<Entry>,
    /// Since when nobody listens in this encoding, as far as was seen.
    pub(super) left_at: Option<Instant>,
}

struct Entry {
    prev_seq: u64,
    bytes: u32,
    merged: u32,
}

const ENTRY_BYTES: usize = size_of::<Entry>();
/// The least memory that is asked for.
const GROW_BYTES_MIN: usize = 1_024;

impl History {
    pub(super) const fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: VecDeque::new(), entries: VecDeque::new(), left_at: None }
    }

    /// What it counts for in the bounds.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.entries.len() * ENTRY_BYTES
    }

    /// Keeps an update, at the expense of the oldest ones. `total`: the size of all histories.
    pub(super) fn push(&mut self, prev_seq: u64, merged: u32, message: &[u8], total: &mut usize) {
        let comma = usize::from(self.encoding == Encoding::Json);
        let size = message.len() + comma + ENTRY_BYTES;
        while !self.entries.is_empty()
            && (self.size() + size > HISTORY_BYTES_MAX || *total + size > HISTORY_TOTAL_BYTES_MAX)
        {
            self.drop_oldest(total);
        }
        if size > HISTORY_BYTES_MAX || *total + size > HISTORY_TOTAL_BYTES_MAX {
            return;
        }
        let wanted = self.bytes.len() + message.len() + comma;
        if wanted > self.bytes.capacity() {
            // At least what is wanted, and a power of two up to the bound.
            let capacity = wanted.next_power_of_two().clamp(GROW_BYTES_MIN, HISTORY_BYTES_MAX);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend(message);
        self.bytes.extend(&b","[..comma]);
        let bytes = u32::try_from(message.len() + comma).expect("no more than the bound");
        self.entries.push_back(Entry { prev_seq, bytes, merged });
        *total += size;
    }

    /// Writes all updates after the state of number `held`, and says how many changes they stand for; `None`: they are
    /// not all there.
    pub(super) fn write_after(&self, held: u64, out: &mut Vec<u8>) -> Option<u32> {
        let index = self.entries.binary_search_by_key(&held, |entry| entry.prev_seq).ok()?;
        let skipped = self.entries.range(..index).map(|entry| entry.bytes as usize).sum();
        let (front, back) = self.bytes.as_slices();
        out.extend_from_slice(front.get(skipped..).unwrap_or_default());
        out.extend_from_slice(&back[skipped.saturating_sub(front.len())..]);
        if self.encoding == Encoding::Json {
            out.pop();
        }
        Some(self.entries.range(index..).fold(0, |sum, entry| sum.saturating_add(entry.merged)))
    }

    fn drop_oldest(&mut self, total: &mut usize) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes.drain(..oldest.bytes as usize);
            *total -= oldest.bytes as usize + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(seq: u64) -> Vec<u8> {
        let digits = usize::try_from(seq % 40).expect("small");
        format!("{{{seq}{}}}", "x".repeat(digits)).into_bytes()
    }

    #[test]
    fn what_is_kept_is_the_newest_and_all_of_it_after_any_number_comes_back() {
        let (mut history, mut total) = (History::new(Encoding::Json), 0);
        let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
        for seq in 1..=5_000 {
            history.push(2 * seq, 3, &update(seq), &mut total);
            model.push_back((2 * seq, update(seq)));
            let size = |model: &VecDeque<(u64, Vec<u8>)>| {
                model.iter().map(|(_, text)| text.len() + 1 + ENTRY_BYTES).sum::<usize>()
            };
            while size(&model) > HISTORY_BYTES_MAX {
                model.pop_front();
            }
            assert_eq!((history.size(), total), (size(&model), size(&model)));
            let oldest = model[0].0;
            for held in [oldest, oldest + 2, 2 * seq] {
                let mut out = Vec::new();
                let after: Vec<_> = model.iter().filter(|(prev_seq, _)| *prev_seq >= held).collect();
                let changes = history.write_after(held, &mut out);
                if after.is_empty() {
                    assert_eq!(changes, None);
                    continue;
                }
                let texts: Vec<_> = after.iter().map(|(_, text)| text.as_slice()).collect();
                assert_eq!(out, texts.join(&b','));
                assert_eq!(changes, u32::try_from(3 * after.len()).ok());
            }
            for unknown in [oldest - 2, 2 * seq - 1, 2 * seq + 2] {
                assert_eq!(history.write_after(unknown, &mut Vec::new()), None);
            }
        }
        assert!(history.bytes.capacity() <= HISTORY_BYTES_MAX);
    }

    #[test]
    fn an_update_that_is_too_long_or_too_much_for_all_breaks_the_chain() {
        let (mut history, mut total) = (History::new(Encoding::Binary), 0);
        history.push(1, 1, b"one", &mut total);
        history.push(2, 1, &vec![0; HISTORY_BYTES_MAX], &mut total);
        assert_eq!((history.size(), total), (0, 0));
        history.push(3, 1, b"three", &mut total);
        let mut out = Vec::new();
        assert_eq!((history.write_after(3, &mut out), out.as_slice()), (Some(1), b"three".as_slice()));
        // Its own oldest make room; where they are not enough, nothing is kept.
        let mut all = HISTORY_TOTAL_BYTES_MAX;
        history.push(4, 1, b"four", &mut all);
        assert_eq!(history.write_after(3, &mut Vec::new()), None);
        assert_eq!(history.write_after(4, &mut Vec::new()), Some(1));
        assert_eq!(all, HISTORY_TOTAL_BYTES_MAX - 1);
        history.push(5, 1, &[0; 100], &mut all);
        assert_eq!((history.size(), all), (0, HISTORY_TOTAL_BYTES_MAX - 1 - 4 - ENTRY_BYTES));
    }
}
