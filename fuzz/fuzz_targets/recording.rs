//! Any bytes as a segment of a recording of ours: as they are, and with the checksums of their frames made right, so that
//! what is behind those meets damage too.

#![no_main]

use std::path::Path;

use feeds::record::{RecordReader, SourceId};
use feeds::{FeedError, Timestamp};
use libfuzzer_sys::{Corpus, fuzz_target};
use tickwire_fuzz::{check_offset, folder, mend_segment, play_expanded, save};

fuzz_target!(|data: &[u8]| -> Corpus {
    let as_it_is = read(data);
    let mended = mend_segment(data);
    if mended == data { as_it_is } else { read(&mended) }
});

/// A few bytes stand for megabytes, once they are compressed; more of those would be slower, and no different.
const EXPANDED_BYTES_MAX: u64 = 64 * 1024;

/// Reads the segment as the only one of its recording, from its beginning and from the middle, and plays it.
fn read(data: &[u8]) -> Corpus {
    let folder = folder();
    let path = save(&folder, "00000001.twr", data);
    let Some(whole) = Reading::of(folder.path(), None) else { return Corpus::Reject };
    let mut times: Vec<Timestamp> = whole.records.iter().map(|record| record.ts_recv).collect();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    for from in [Timestamp(i64::MIN), middle] {
        let part = Reading::of(folder.path(), Some(from));
        if whole.is_sound
            && let Some(part) = part
        {
            let expected = whole.records.iter().skip_while(|record| record.ts_recv < from);
            assert!(part.is_sound && part.records.iter().eq(expected), "from {from:?} on it is not the same");
        }
    }
    play_expanded(&path, &["Tickwire recording"], whole.expanded_bytes)
}

#[derive(PartialEq, Eq, Debug)]
struct Kept {
    source: Option<SourceId>,
    ts_recv: Timestamp,
    body: String,
}

struct Reading {
    records: Vec<Kept>,
    expanded_bytes: usize,
    /// Whether there was no damage.
    is_sound: bool,
}

impl Reading {
    /// `None`: there is too much of it.
    fn of(folder: &Path, from: Option<Timestamp>) -> Option<Self> {
        let mut reading = Self { records: Vec::new(), expanded_bytes: 0, is_sound: false };
        let result = reading.fill(folder, from);
        if let Err(error) = &result {
            check_offset(error);
        }
        reading.is_sound = result.is_ok();
        (reading.expanded_bytes as u64 <= EXPANDED_BYTES_MAX).then_some(reading)
    }

    fn fill(&mut self, folder: &Path, from: Option<Timestamp>) -> Result<(), FeedError> {
        let mut reader = RecordReader::open(folder)?;
        if let Some(from) = from {
            reader.seek(from)?;
        }
        while let Some(record) = reader.next_record()? {
            let (source, ts_recv, body) = (record.source, record.ts_recv, format!("{:?}", record.body));
            if let Some(source) = source {
                assert!(reader.source(source).is_some(), "a source that nobody told of");
            }
            self.records.push(Kept { source, ts_recv, body });
            self.expanded_bytes = usize::try_from(reader.verified().bytes).expect("a part of the memory");
            if self.expanded_bytes as u64 > EXPANDED_BYTES_MAX {
                break;
            }
        }
        Ok(())
    }
}
