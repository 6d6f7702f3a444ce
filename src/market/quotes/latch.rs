//! A value of several words that one thread writes and others read, without locks and without `unsafe`.

#[cfg(tickwire_loom)]
use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(tickwire_loom))]
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// A sequence latch: two copies of the value, and the number of the newest write, whose parity says which copy it is
/// in (after `seqcount_latch` of the Linux kernel). The writer fills the copy that nobody is sent to, then publishes
/// its number.
///
/// A reader therefore never waits: a writer that is pre-empted in mid-write leaves the other copy whole and published,
/// where a plain sequence lock would have all readers spin until it is scheduled again. A reader only starts over when
/// a whole write was published during its read, that is, when there is something newer. To hold a reader up, writes
/// to the one instrument would have to follow each other faster than it takes to read seven words, again and again.
///
/// Why a read is whole. Call the writes 1, 2, 3…; write `n` goes to copy `n & 1`, and is published by storing `n`.
/// 1. A reader that acquires `newest == n` sees the words of write `n` or of later ones, because that number was
///    *released* after them.
/// 2. Later words in that copy come from write `n + 2` at the earliest. That write begins with a *release fence*,
///    after `n + 1` was stored. A reader that saw such a word then passes an *acquire fence*, which pairs with the
///    release fence: its second look at `newest` finds `n + 1` or more, and it starts over.
/// 3. So when both looks find `n`, all words are of write `n`. And as one thread never reads an older value of one
///    atomic than it did before, its reads never go back.
///
/// The words themselves are relaxed atomics: plain loads and stores on the machines we know, and no data race. Both
/// fences compile to nothing on x86.
///
/// Aligned to two cache lines: the number and the first copy share one, and no latch shares any with its neighbour.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Latch<const WORDS: usize> {
    newest: AtomicU64,
    copies: [[AtomicU64; WORDS]; 2],
}

impl<const WORDS: usize> Latch<WORDS> {
    /// All words zero.
    pub(super) fn new() -> Self {
        let copy = || std::array::from_fn(|_| AtomicU64::new(0));
        Self { newest: AtomicU64::new(0), copies: [copy(), copy()] }
    }

    /// To be called by one thread only, which the owner of the latch sees to.
    pub(super) fn write(&self, words: [u64; WORDS]) {
        let number = self.newest.load(Ordering::Relaxed) + 1;
        fence(Ordering::Release);
        for (word, value) in self.copy(number).iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.newest.store(number, Ordering::Release);
    }

    pub(super) fn read(&self) -> [u64; WORDS] {
        let mut number = self.newest.load(Ordering::Acquire);
        loop {
            let copy = self.copy(number);
            let words = std::array::from_fn(|word| copy[word].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            let newest = self.newest.load(Ordering::Acquire);
            if newest == number {
                return words;
            }
            number = newest;
        }
    }

    const fn copy(&self, number: u64) -> &[AtomicU64; WORDS] {
        if number & 1 == 0 { &self.copies[0] } else { &self.copies[1] }
    }
}

/// All interleavings and all reorderings that the memory model allows:
/// `RUSTFLAGS="--cfg tickwire_loom" cargo test --release --lib latch` (the flag has a name of its own, because tokio
/// takes plain `loom` for itself and then has no sockets, without which the rest of the crate does not compile).
#[cfg(all(test, tickwire_loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// Enough for a copy that is written while it is read.
    const WRITES: u64 = 3;

    /// Two words are enough for a torn read. Number 0 is what an untouched latch holds.
    fn value(number: u64) -> [u64; 2] {
        [number, number * 3]
    }

    /// One writer, and that many readers which read that often. Loom tries every value that a load may see; what is
    /// bounded is how often a thread is interrupted, which is what keeps the number of runs finite.
    fn check(readers: usize, reads: usize, interruptions: Option<usize>) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = interruptions;
        model.check(move || {
            let latch = Arc::new(Latch::<2>::new());
            let readers: Vec<_> = (0..readers)
                .map(|_| {
                    let latch = Arc::clone(&latch);
                    thread::spawn(move || {
                        let mut newest = 0;
                        for _ in 0..reads {
                            let read = latch.read();
                            assert_eq!(read, value(read[0]), "torn");
                            assert!(read[0] >= newest, "went back from {newest} to {}", read[0]);
                            newest = read[0];
                        }
                    })
                })
                .collect();
            for number in 1..=WRITES {
                latch.write(value(number));
            }
            for reader in readers {
                reader.join().expect("a reader that holds");
            }
            assert_eq!(latch.read(), value(WRITES));
        });
    }

    #[test]
    fn a_read_is_whole_in_every_interleaving() {
        check(1, 1, None);
    }

    #[test]
    fn reads_never_go_back() {
        check(1, 2, Some(3));
    }

    #[test]
    fn two_readers_do_not_disturb_each_other() {
        check(2, 1, Some(2));
    }
}
