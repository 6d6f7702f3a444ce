//! Any bytes as a checkpoint of a recording, and damage to one that is sound: to the file, and to what stands in it, with the
//! hash made right again, so that what is behind that meets damage too.
//!
//! A damaged file is left aside, and the recording is played from its beginning. What has the right hash is taken over, or
//! refused; it is not played on from, for nobody damages it so by accident.

#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use feeds::replay::{Replay, ReplaySettings};
use feeds::{Feed, Progress, Timestamp};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tickwire::bus::Bus;
use tickwire::directory::Directory;
use tickwire::market::quotes::quote_cache;
use tickwire::metrics::Metrics;
use tickwire::publisher::{Publisher, WhenFull};
use tickwire::topic::TopicId;
use tickwire_fuzz::{folder, mend_segment, save};

/// What a checkpoint of a few kilobytes may take, and the playing of a few records: what is read makes room for a megabyte
/// of a list before it is there.
const ALLOCATED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// More than there are records in either recording.
const MESSAGES_MAX: usize = 100;

/// As `feeds/src/record/format.md` has it.
const HEAD_BYTES: usize = 100;
const HASH_BYTES: usize = 32;

/// A recording, and a checkpoint in its midst.
struct Recorded {
    segment: Vec<u8>,
    /// The name of its file.
    name: String,
    file: Vec<u8>,
}

static RECORDED: LazyLock<[Recorded; 2]> = LazyLock::new(|| {
    let segments =
        [&include_bytes!("../seeds/recording/every_event")[..], include_bytes!("../seeds/recording/venues")];
    segments.map(Recorded::new)
});

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    let recorded = &RECORDED[usize::from(kind % 2)];
    let content =
        || zstd::bulk::decompress(&recorded.file[HEAD_BYTES..], 1 << 20).expect("what was compressed");
    let (file, is_hash_right) = match kind / 2 % 4 {
        0 => (data.to_vec(), false),
        1 => (damaged(recorded.file.clone(), data), false),
        2 => (recorded.with(data), true),
        _ => (recorded.with(&damaged(content(), data)), true),
    };
    recorded.check(&file, is_hash_right);
});

/// Cuts off as many bytes as the first two tell, and changes one for each three that follow.
fn damaged(mut bytes: Vec<u8>, data: &[u8]) -> Vec<u8> {
    let Some((cut, changes)) = data.split_first_chunk() else { return bytes };
    bytes.truncate(bytes.len().saturating_sub(u16::from_le_bytes(*cut).into()));
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= change[2];
        }
    }
    bytes
}

impl Recorded {
    fn new(segment: &[u8]) -> Self {
        let segment = mend_segment(segment);
        let folder = folder();
        save(&folder, "00000001.twr", &segment);
        let mut replay = Replay::open(&settings(folder.path())).expect("a sound recording");
        let mut publisher = publisher(&replay);
        let mut messages = 0;
        let mut events = Vec::new();
        while let Progress::Message { due } = replay.next_message(&mut events).expect("a sound recording") {
            publisher.advance(due);
            publisher.apply(&events);
            events.clear();
            messages += 1;
            // In the midst of it, where most is known.
            if messages == 6 {
                assert!(replay.wants_state());
                replay.keep_state(&publisher.keep().expect("bytes"));
            }
        }
        drop(replay);
        let mut files = fs::read_dir(folder.path().join("checkpoints")).expect("a folder");
        let file = files.next().expect("a checkpoint").expect("an entry");
        let name = file.file_name().into_string().expect("digits");
        Self { segment, name, file: fs::read(file.path()).expect("a file") }
    }

    /// The checkpoint, with something else in it.
    fn with(&self, content: &[u8]) -> Vec<u8> {
        let compressed = zstd::bulk::compress(content, 1).expect("memory");
        let mut file = self.file[..HEAD_BYTES - HASH_BYTES].to_vec();
        let length_at = file.len() - 8;
        file[length_at..].copy_from_slice(&(content.len() as u64).to_le_bytes());
        let hash = blake3::Hasher::new().update(&file).update(&compressed).finalize();
        file.extend(hash.as_bytes());
        file.extend(compressed);
        file
    }

    fn check(&self, file: &[u8], is_hash_right: bool) {
        let folder = folder();
        save(&folder, "00000001.twr", &self.segment);
        fs::create_dir(folder.path().join("checkpoints")).expect("room in memory");
        fs::write(folder.path().join("checkpoints").join(&self.name), file).expect("room in memory");
        let is = match () {
            () if file == self.file => Is::Sound,
            () if is_hash_right => Is::Forged,
            () => Is::Damaged,
        };
        let allocated = allocation_counter::measure(|| play(&folder, is));
        assert!(allocated.bytes_max <= ALLOCATED_BYTES_MAX, "{} bytes at once", allocated.bytes_max);
    }
}

/// What a checkpoint is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Is {
    Sound,
    Damaged,
    Forged,
}

/// Plays what the folder holds as the service does.
fn play(folder: &TempDir, checkpoint: Is) {
    let mut replay =
        Replay::open(&settings(folder.path())).expect("the recording is sound, whatever its checkpoint is");
    let mut publisher = publisher(&replay);
    let state = replay.take_state();
    if let Some(state) = state {
        assert!(checkpoint != Is::Damaged, "what is damaged is of no use");
        match publisher.recall(&state) {
            Ok(recalled) => publisher.take_over(recalled),
            Err(error) => assert!(checkpoint == Is::Forged, "{error}"),
        }
        if checkpoint == Is::Forged {
            return;
        }
    } else {
        assert!(checkpoint != Is::Sound, "what is sound is of use");
    }
    let mut events = Vec::new();
    for _ in 0..MESSAGES_MAX {
        let Progress::Message { due } = replay.next_message(&mut events).expect("a sound recording") else {
            return;
        };
        publisher.advance(due);
        publisher.apply(&events);
        events.clear();
    }
    panic!("more than {MESSAGES_MAX} messages");
}

fn settings(folder: &Path) -> ReplaySettings {
    ReplaySettings {
        files: vec![folder.to_owned()],
        from: Some(Timestamp(i64::MAX)),
        checkpoint_records: Some(1),
        ..ReplaySettings::default()
    }
}

fn publisher(replay: &Replay) -> Publisher {
    let directory = Directory::new(replay.instruments());
    let (quotes, _) = quote_cache(directory.len());
    let (bus, _) = Bus::new(TopicId::count(directory.len()), 1);
    Publisher::new(directory, quotes, bus, Metrics::default(), "epoch".into(), WhenFull::Conflate)
}
