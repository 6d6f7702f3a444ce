//! What is kept, what is found again, and what is left aside.

use tempfile::TempDir;

use super::*;
use crate::record::simulated::Recorded;
use crate::record::{Recorder, RecorderSettings, WhenFull};
use crate::replay::{Replay, ReplaySettings};
use crate::sim::{Sim, SimSettings};
use crate::{Feed, MarketEvent, Progress};

const MESSAGES: usize = 900;
const APART: u64 = 100;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Records some more of a simulated market.
fn record(folder: &Path, seed: u64, messages: usize) {
    let settings = RecorderSettings {
        rotate_bytes: 20_000,
        when_full: WhenFull::Wait,
        ..RecorderSettings::new(folder.to_owned())
    };
    let recorder = Recorder::start(&settings, |_| {}).expect("room");
    let sim = Sim::new(SimSettings { seed, instruments: 3, ..SimSettings::default() }).expect("possible");
    let mut feed = Recorded::new(Box::new(sim), recorder.handle().clone()).expect("simulated");
    feed.begin(Timestamp(1_700_000_000_000_000_000));
    for _ in 0..messages {
        assert!(matches!(feed.next_message(&mut Vec::new()), Ok(Progress::Message { .. })));
    }
    recorder.stop().expect("room");
}

#[derive(Debug, PartialEq)]
struct Played {
    /// What was kept at the checkpoint at which it began: how many messages came before.
    begun_behind: usize,
    messages: Vec<(Timestamp, Vec<MarketEvent>)>,
}

/// Plays a recording, and keeps how far it has come.
fn play(folder: &Path, from: Option<Timestamp>, apart: Option<u64>) -> Played {
    let settings = ReplaySettings {
        files: vec![folder.to_owned()],
        from,
        checkpoint_records: apart,
        ..ReplaySettings::default()
    };
    let mut replay = Replay::open(&settings).expect("sound");
    let kept = replay.take_state().map(|state| state.try_into().expect("a number"));
    let begun_behind = kept.map_or(0, usize::from_le_bytes);
    let mut messages = Vec::new();
    loop {
        let mut events = Vec::new();
        let Progress::Message { due } = replay.next_message(&mut events).expect("sound") else { break };
        messages.push((due, events));
        if replay.wants_state() {
            replay.keep_state(&(begun_behind + messages.len()).to_le_bytes());
        }
    }
    Played { begun_behind, messages }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join(FOLDER)).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// A recording with all its checkpoints.
fn recorded(folder: &Path, seed: u64) -> Played {
    record(folder, seed, MESSAGES);
    let whole = play(folder, None, None);
    assert_eq!(files(folder), [] as [PathBuf; 0], "nobody asked for checkpoints");
    let all = whole.messages.len() / usize::try_from(APART).expect("few");
    // Of those that become due while another is being written, the next replay keeps more.
    while files(folder).len() < all {
        assert!(play(folder, None, Some(APART)) == whole);
    }
    whole
}

#[test]
fn a_replay_begins_at_the_last_checkpoint_before_its_time() {
    let folder = folder();
    let whole = recorded(folder.path(), 1);
    for at in 0..whole.messages.len() {
        let from = whole.messages[at].0;
        let part = play(folder.path(), Some(from), Some(APART));
        let due_before = whole.messages.partition_point(|(due, _)| *due < from);
        assert_eq!(part.begun_behind, due_before / 100 * 100, "from message {at}");
        assert!(part.messages == whole.messages[part.begun_behind..], "from message {at}");
    }
    let before = whole.messages[0].0;
    assert!(play(folder.path(), Some(before), Some(APART)) == whole);
    assert!(play(folder.path(), Some(Timestamp(i64::MAX)), None) == whole, "nobody asked for checkpoints");
    assert_eq!(play(folder.path(), Some(Timestamp(i64::MAX)), Some(APART)).begun_behind, 900);
}

#[test]
fn a_replay_that_begins_again_begins_at_the_checkpoint_again() {
    let folder = folder();
    let whole = recorded(folder.path(), 1);
    let settings = ReplaySettings {
        files: vec![folder.path().to_owned()],
        from: Some(whole.messages[555].0),
        checkpoint_records: Some(APART),
        repeat: true,
        ..ReplaySettings::default()
    };
    let mut replay = Replay::open(&settings).expect("sound");
    for _ in 0..3 {
        assert_eq!(replay.take_state(), Some(500_usize.to_le_bytes().to_vec()));
        assert_eq!(replay.take_state(), None, "it is taken");
        for (due, expected) in &whole.messages[500..] {
            let mut events = Vec::new();
            assert_eq!(replay.next_message(&mut events).expect("sound"), Progress::Message { due: *due });
            assert!(events == *expected);
        }
        assert_eq!(replay.next_message(&mut Vec::new()).expect("sound"), Progress::Restarted);
    }
    // Who cannot use what was kept goes without.
    replay.begin_without_state().expect("sound");
    assert_eq!(replay.take_state(), None);
    let mut events = Vec::new();
    assert_eq!(
        replay.next_message(&mut events).expect("sound"),
        Progress::Message { due: whole.messages[0].0 }
    );
}

/// Plays from the end on while the newest checkpoint is as `damage` has made it, which must be noticed.
#[track_caller]
fn assert_left_aside(folder: &Path, what: &str, damage: impl FnOnce(&mut Vec<u8>)) {
    let newest = files(folder).pop().expect("a checkpoint");
    let sound = fs::read(&newest).expect("there");
    let mut damaged = sound.clone();
    damage(&mut damaged);
    fs::write(&newest, damaged).expect("room");
    let part = play(folder, Some(Timestamp(i64::MAX)), Some(u64::MAX));
    assert_eq!(part.begun_behind, 800, "{what}");
    fs::write(&newest, sound).expect("room");
}

#[test]
fn a_checkpoint_that_is_not_as_it_was_written_is_left_aside() {
    let [one, other] = [folder(), folder()];
    let whole = recorded(one.path(), 1);
    recorded(other.path(), 2);
    let path = one.path();
    assert_eq!(play(path, Some(Timestamp(i64::MAX)), Some(u64::MAX)).begun_behind, 900);
    let length = fs::metadata(files(path).pop().expect("a checkpoint")).expect("there").len();
    let length = usize::try_from(length).expect("small");
    for at in (0..length).filter(|at| *at < 2 * HEAD_BYTES || at % 41 == 0) {
        assert_left_aside(path, &format!("bit flipped at {at}"), |bytes| bytes[at] ^= 1 << (at % 8));
        assert_left_aside(path, &format!("cut at {at}"), |bytes| bytes.truncate(at));
    }
    assert_left_aside(path, "longer", |bytes| bytes.push(0));
    let foreign = fs::read(files(other.path()).pop().expect("a checkpoint")).expect("there");
    assert_left_aside(path, "of another recording", |bytes| *bytes = foreign);
    let older = fs::read(&files(path)[3]).expect("there");
    assert_left_aside(path, "under another name", |bytes| *bytes = older);
    let fingerprint = fingerprint(path).expect("sound");
    let written = |content: &[u8]| encode(&fingerprint, 900, Timestamp(7), content).expect("room");
    assert_left_aside(path, "of another content", |bytes| *bytes = written(&[3; 40]));
    assert_left_aside(path, "of another version", |bytes| {
        bytes[8] += 1;
        let hash = hash_of(&bytes[..HEAD_BYTES - 32], &bytes[HEAD_BYTES..]);
        bytes[HEAD_BYTES - 32..HEAD_BYTES].copy_from_slice(&hash);
    });
    // Where none can be used, all is played, and they are made anew.
    for file in files(path) {
        fs::write(file, "no checkpoint").expect("room");
    }
    assert!(play(path, Some(Timestamp(i64::MAX)), Some(u64::MAX)) == whole);
    while play(path, Some(Timestamp(i64::MAX)), Some(APART)).begun_behind < 900 {}
}

#[test]
fn a_recording_that_has_grown_has_other_checkpoints() {
    let folder = folder();
    let whole = recorded(folder.path(), 1);
    record(folder.path(), 1, 50);
    let part = play(folder.path(), Some(Timestamp(i64::MAX)), Some(u64::MAX));
    assert_eq!(part.begun_behind, 0);
    assert!(part.messages.len() > whole.messages.len() + 50);
    assert!(part.messages.starts_with(&whole.messages));
    while play(folder.path(), Some(Timestamp(i64::MAX)), Some(APART)).begun_behind < 900 {}
}

#[test]
fn where_nothing_can_be_written_there_are_no_checkpoints() {
    let folder = folder();
    record(folder.path(), 1, MESSAGES);
    let whole = play(folder.path(), None, None);
    let in_the_way = folder.path().join(FOLDER);
    fs::write(&in_the_way, "a file").expect("room");
    assert!(play(folder.path(), None, Some(APART)) == whole);
    assert!(play(folder.path(), Some(Timestamp(i64::MAX)), Some(APART)) == whole);
    assert_eq!(fs::read(&in_the_way).expect("there"), b"a file");
}

#[test]
fn checkpoints_are_bounded_and_lie_all_over_the_recording() {
    let folder = folder();
    record(folder.path(), 1, 10);
    let mut checkpoints = Checkpoints::open(folder.path(), 1).expect("sound");
    checkpoints.begin(0, 0);
    for records in 1..=300 {
        assert!(checkpoints.is_due(records));
        checkpoints.keep(records, Timestamp(0), vec![7; 1_000]);
        assert!(checkpoints.finish());
    }
    let kept: Vec<u64> = checkpoints.kept.iter().map(|head| head.records).collect();
    assert_eq!(kept.len() as u64, CHECKPOINTS_MAX);
    assert_eq!(files(folder.path()).len(), kept.len());
    let widest = kept.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(widest <= Some(16) && kept[0] <= 16, "{kept:?}");
    assert_eq!(kept.last(), Some(&300));
    // Of a longer recording they are further apart.
    let mut checkpoints = Checkpoints::open(folder.path(), 5).expect("sound");
    checkpoints.begin(0, 64_000);
    assert!(!checkpoints.is_due(999));
    assert!(checkpoints.is_due(1_000));
}
